//! The sessions of agents that are open, whose they are, and which of them makes room for another.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use rekursing_protocol::{Moment, Span};

use crate::seats;

/// How long a session is kept of which nothing is heard, that was opened without an API key, while others want to open
/// one and there is no room.
const KEYLESS_IDLE: Span = Span::secs(5 * 60);

/// The sessions that were opened, by their ids.
#[derive(Debug, Default)]
pub(super) struct Opened {
    sessions: HashMap<String, Whose>,
    numbers: u64,
}

/// Whose a session is.
#[derive(Debug, Clone, Copy)]
struct Whose {
    address: IpAddr,
    has_key: bool,
    /// When it was heard of last.
    heard: Moment,
    /// In which order they were opened.
    number: u64,
}

impl Opened {
    /// Tells how many there are.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Tells how many of them were opened from an address.
    pub(super) fn of(&self, address: IpAddr) -> usize {
        self.sessions.values().filter(|whose| whose.address == address).count()
    }

    /// Returns those of which nothing was heard for long, that showed no key and in which nothing is answered.
    pub(super) fn idle(&self, busy: &HashSet<String>, now: Moment) -> Vec<String> {
        let is_idle = |(id, whose): &(&String, &Whose)| {
            !whose.has_key && !busy.contains(*id) && now.since(whose.heard) >= KEYLESS_IDLE
        };
        self.sessions.iter().filter(is_idle).map(|(id, _)| id.clone()).collect()
    }

    /// Returns the session that makes room for one of this address: the oldest of whoever has most, first of those
    /// without a key. One in which something is answered makes none, nor does one with a key for one without.
    pub(super) fn gives_way(&self, busy: &HashSet<String>, address: IpAddr, has_key: bool) -> Option<String> {
        let may = |(id, whose): &(&String, &Whose)| !busy.contains(*id) && (has_key || !whose.has_key);
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (_, whose) in self.sessions.iter().filter(may) {
            *counts.entry(whose.address).or_default() += 1;
        }
        let gives = seats::gives_up(counts.into_iter(), self.of(address))?;
        let sessions = self.sessions.iter().filter(may).filter(|(_, whose)| whose.address == gives);
        sessions.min_by_key(|(_, whose)| (whose.has_key, whose.number)).map(|(id, _)| id.clone())
    }

    /// Notes that something was heard of one.
    pub(super) fn hear(&mut self, session: &str, now: Moment) {
        if let Some(whose) = self.sessions.get_mut(session) {
            whose.heard = now;
        }
    }

    /// Notes one that was opened.
    pub(super) fn enter(&mut self, session: &str, address: IpAddr, has_key: bool, heard: Moment) {
        self.numbers += 1;
        let whose = Whose { address, has_key, heard, number: self.numbers };
        self.sessions.insert(session.to_owned(), whose);
    }

    /// Forgets one that has ended.
    pub(super) fn leave(&mut self, session: &str) {
        self.sessions.remove(session);
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, live: &HashSet<String>) {
        self.sessions.retain(|session, _| live.contains(session));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn whoever_has_most_gives_his_oldest_session_up_but_none_in_which_something_is_answered() {
        let address = |last| IpAddr::from(Ipv4Addr::new(203, 0, 113, last));
        let mut opened = Opened::default();
        let sessions = [("b", 1, true), ("a", 1, false), ("c", 1, false), ("d", 2, true), ("e", 1, true)];
        for (id, last, has_key) in sessions {
            opened.enter(id, address(last), has_key, Moment(0));
        }
        let busy = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<HashSet<_>>();
        let gives = |ids: &[&str], last, has_key| opened.gives_way(&busy(ids), address(last), has_key);
        assert_eq!(gives(&[], 3, false).as_deref(), Some("a"));
        assert_eq!(gives(&[], 2, true).as_deref(), Some("a"));
        assert_eq!(gives(&["a"], 3, true).as_deref(), Some("c"));
        assert_eq!(gives(&["a", "c"], 3, true).as_deref(), Some("b"));
        assert_eq!(gives(&["a", "c"], 3, false), None, "one with a key makes no room for one without");
        assert_eq!(gives(&["a", "b", "c", "e"], 3, true), None, "nothing that is answered is cut off");
        assert_eq!(gives(&[], 1, true), None, "nobody has more than it would have");
        opened.hear("c", Moment(1));
        assert_eq!(opened.idle(&busy(&[]), Moment(0) + KEYLESS_IDLE), ["a"]);
        assert_eq!(opened.idle(&busy(&["a"]), Moment(0) + KEYLESS_IDLE), Vec::<String>::new());
        assert_eq!(opened.idle(&busy(&[]), Moment(1)), Vec::<String>::new());
    }
}
