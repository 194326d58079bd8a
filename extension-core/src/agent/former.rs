//! Identities that the agent has had: with another relay, or with one that knows it no more. They are kept,
//! because money may still be owed to them.

use rekursing_protocol::Moment;

use super::{Agent, Command, Identity, Why};

/// Most that are kept of each kind; the oldest goes first.
const KEPT_MAX: usize = 64;

impl Agent {
    /// Takes up the identity that the agent had with the relay that is set, if it has none now.
    pub(super) fn take_up(&mut self, now: Moment) {
        if self.identity().is_some() {
            return;
        }
        let Some(relay) = self.relay.as_ref().map(|relay| relay.http()) else { return };
        let elsewhere = &mut self.memory.elsewhere;
        let Some(at) = elsewhere.iter().rposition(|identity| identity.relay == relay) else { return };
        let identity = elsewhere.remove(at);
        self.become_known(identity, now);
    }

    /// Is somebody from here on, and keeps who it was before.
    pub(super) fn become_known(&mut self, identity: Identity, now: Moment) {
        let before = self.identity.replace(identity.clone());
        if let Some(before) = before.filter(|before| before.plugin != identity.plugin) {
            lay_down(&mut self.memory.elsewhere, before);
            self.keep_now(now);
        }
        self.commands.push(Command::Save(identity));
    }

    /// Tries again as somebody new, because the owner says so, where the relay does not know who it is.
    pub(super) fn renew(&mut self, now: Moment) {
        if self.link.stopped_for() == Some(Why::RelayUnauthorized)
            && let Some(unknown) = self.identity.take()
        {
            lay_down(&mut self.memory.unknown, unknown);
            self.keep_now(now);
            self.lose_pass();
        }
        self.retry(now);
    }
}

fn lay_down(list: &mut Vec<Identity>, identity: Identity) {
    if list.len() >= KEPT_MAX {
        list.remove(0);
    }
    list.push(identity);
}
