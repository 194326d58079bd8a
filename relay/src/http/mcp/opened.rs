//! The sessions of agents that are open, whose they are, and which of them makes room for another.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use rekursing_protocol::{Moment, Span};

use crate::seats;

/// How long a session is kept of which nothing is heard, that was opened without an API key, while others want to open
/// one: longer than a free answer takes.
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

    /// Returns those of which nothing was heard for long, and that showed no key.
    pub(super) fn idle(&self, now: Moment) -> Vec<String> {
        let is_idle = |whose: &Whose| !whose.has_key && now.since(whose.heard) >= KEYLESS_IDLE;
        self.sessions.iter().filter(|(_, whose)| is_idle(whose)).map(|(id, _)| id.clone()).collect()
    }

    /// Returns the session that makes room for one of this address: the oldest of whoever has most.
    pub(super) fn gives_way(&self, address: IpAddr) -> Option<String> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for whose in self.sessions.values() {
            *counts.entry(whose.address).or_default() += 1;
        }
        let gives = seats::gives_up(counts.into_iter(), self.of(address))?;
        let sessions = self.sessions.iter().filter(|(_, whose)| whose.address == gives);
        sessions.min_by_key(|(_, whose)| whose.number).map(|(id, _)| id.clone())
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
    fn whoever_has_most_gives_his_oldest_session_up_and_one_without_a_key_ends_sooner() {
        let address = |last| IpAddr::from(Ipv4Addr::new(203, 0, 113, last));
        let mut opened = Opened::default();
        for (id, last, has_key) in [("a", 1, false), ("b", 1, true), ("c", 1, false), ("d", 2, true)] {
            opened.enter(id, address(last), has_key, Moment(0));
        }
        assert_eq!(opened.gives_way(address(3)).as_deref(), Some("a"));
        assert_eq!(opened.gives_way(address(2)).as_deref(), Some("a"));
        assert_eq!(opened.gives_way(address(1)), None, "nobody has more than it would have");
        opened.hear("c", Moment(1));
        assert_eq!(opened.idle(Moment(0) + KEYLESS_IDLE), ["a"]);
        assert_eq!(opened.idle(Moment(1)), Vec::<String>::new());
    }
}
