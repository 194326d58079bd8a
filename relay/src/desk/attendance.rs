//! Sessions at the desk: those that come, are resumed, and go.

use std::{collections::HashMap, sync::Arc};

use rekursing_protocol::{
    AccountId, JobId, PluginId, SessionId,
    frame::{Heartbeat, Inventory, Kept, Resumed},
};

use super::{Desk, Face};
use crate::{
    stream::{Return, Stream},
    ticket::Ticket,
};

/// A session's place at the desk.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) face: Face,
    /// What it can be resumed with, where it can be.
    ticket: Option<Ticket>,
}

impl Desk {
    /// Lets a session in, whose visitors' number is [`Desk::visitor`] of where it comes from; `None` where that
    /// is no visitor's network.
    pub fn join(
        &self,
        session: SessionId,
        plugin: PluginId,
        network: Option<u64>,
        face: Face,
        inventory: Inventory,
    ) {
        self.shared.sessions.insert(session, Seat { face, ticket: None });
        self.run(|market, now| market.join_from(now, session, plugin, network, inventory));
    }

    /// Lets a session of a server of the operator's own in.
    pub fn join_own(&self, session: SessionId, plugin: PluginId, face: Face, inventory: Inventory) {
        self.shared.sessions.insert(session, Seat { face, ticket: None });
        self.run(|market, now| {
            market.join(now, session, plugin, Inventory::default());
            market.own(session);
            market.restock(now, session, inventory);
        });
    }

    /// Notes whose own plugin it is, if anybody's.
    pub fn pair(&self, plugin: PluginId, account: Option<AccountId>) {
        self.run(|market, _| market.pair(plugin, account));
    }

    /// Closes the session of a plugin that may not come any more, if it has one.
    pub fn expel(&self, plugin: PluginId) {
        self.run(|market, now| market.expel(now, plugin));
    }

    /// Lets a session be resumed.
    pub fn issue(&self, session: SessionId, ticket: Ticket) {
        if let Some(mut seat) = self.shared.sessions.get_mut(&session) {
            seat.ticket = Some(ticket);
        }
    }

    /// Takes the ticket of a session that this plugin may resume with this token.
    pub fn ticket(&self, session: SessionId, plugin: PluginId, token: &str) -> Option<Ticket> {
        let mut seat = self.shared.sessions.get_mut(&session)?;
        seat.ticket.take_if(|ticket| ticket.opens(plugin, token))
    }

    /// Notes that a session's plugin has the token of its ticket.
    pub fn confirm(&self, session: SessionId) {
        if let Some(mut seat) = self.shared.sessions.get_mut(&session) {
            seat.ticket.iter_mut().for_each(Ticket::confirm);
        }
    }

    /// Lets a session go on over another outbox. Returns the jobs that go on with what the plugin has kept of
    /// them, or nothing when the session is gone.
    pub fn resume(
        &self,
        session: SessionId,
        network: Option<u64>,
        face: Face,
        ticket: Ticket,
        inventory: Inventory,
        kept: &[Kept],
    ) -> Option<Vec<(Arc<Stream>, Resumed)>> {
        let kept: HashMap<(JobId, u32), &Kept> = kept.iter().map(|one| ((one.job, one.lease), one)).collect();
        self.run(|market, now| {
            if !market.has_session(session) {
                return None;
            }
            let outbox = face.outbox.clone();
            let older = self.shared.sessions.insert(session, Seat { face, ticket: Some(ticket) });
            older.into_iter().for_each(|seat| seat.face.outbox.close());
            let mut open = Vec::new();
            market.relocate(session, network);
            market.resume(now, session, inventory, |job, lease| {
                let Some(stream) = self.stream(job) else { return false };
                match stream.resume(lease, kept.get(&(job, lease)).copied(), &outbox, now) {
                    Return::Open(resumed) => open.push((stream, resumed)),
                    Return::Complete => {}
                    Return::Lost => return false,
                }
                true
            });
            Some(open)
        })
    }

    /// Notes that a session offers something else.
    pub fn restock(&self, session: SessionId, inventory: Inventory) {
        self.run(|market, now| market.restock(now, session, inventory));
    }

    /// Notes that a session lives.
    pub fn heartbeat(&self, session: SessionId, beat: &Heartbeat) {
        self.run(|market, now| market.heartbeat(now, session, beat));
    }

    /// Notes that a session's socket is lost. Where it may be resumed, jobs that have begun wait for that.
    pub fn suspend(&self, session: SessionId) {
        if let Some(seat) = self.shared.sessions.get(&session) {
            seat.face.outbox.close();
        }
        let is_suspended = self.run(|market, now| {
            let is_suspended = market.suspend(now, session);
            for (job, lease) in market.jobs_of(session).unwrap_or_default() {
                self.stream(job).into_iter().for_each(|stream| stream.suspend(lease, now));
            }
            is_suspended
        });
        if !is_suspended {
            self.shared.sessions.remove(&session);
        }
    }

    /// Lets a session go.
    pub fn leave(&self, session: SessionId) {
        if let Some((_, seat)) = self.shared.sessions.remove(&session) {
            seat.face.outbox.close();
        }
        self.run(|market, now| market.leave(now, session));
    }
}
