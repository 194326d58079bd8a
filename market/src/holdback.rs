//! Holding back: how long an owner is new, and what is released when.

use std::collections::{BTreeMap, HashMap};

use rekursing_protocol::{Moment, Nanos, PluginId, Span};

use crate::terms::Terms;

/// How well an owner is known: since when, and by how many paid jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// When the first job was paid.
    pub since: Moment,
    /// Jobs that were paid.
    pub jobs: u64,
}

impl Standing {
    /// Tells whether the owner is trusted: known for long enough, by enough paid jobs.
    pub(crate) fn is_trusted(&self, terms: &Terms, now: Moment) -> bool {
        self.jobs >= terms.trusted_jobs && now.since(self.since) >= terms.trusted_after
    }
}

/// Every owner's standing.
#[derive(Debug, Default)]
pub(crate) struct Standings(HashMap<PluginId, Standing>);

impl Standings {
    /// Takes over what a store knows.
    pub(crate) fn recall(&mut self, known: impl IntoIterator<Item = (PluginId, Standing)>) {
        self.0.extend(known);
    }

    /// Returns an owner's standing.
    pub(crate) fn of(&self, owner: PluginId) -> Standing {
        self.0.get(&owner).copied().unwrap_or_default()
    }

    /// Counts a paid job, and returns the standing after it.
    pub(crate) fn paid(&mut self, now: Moment, owner: PluginId) -> Standing {
        let standing = self.0.entry(owner).or_insert(Standing { since: now, jobs: 0 });
        standing.jobs += 1;
        *standing
    }
}

/// What is held back, by the moment of its release and its owner.
#[derive(Debug, Default)]
pub(crate) struct HeldBack(BTreeMap<(Moment, PluginId), Nanos>);

impl HeldBack {
    /// Holds back more until then.
    pub(crate) fn add(&mut self, release_at: Moment, owner: PluginId, amount: Nanos) {
        if amount > Nanos::ZERO {
            let sum = self.0.entry((release_at, owner)).or_default();
            *sum = sum.checked_add(amount).expect("the book has added the same to the owner's account");
        }
    }

    /// Takes the first that is due.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<(Moment, PluginId, Nanos)> {
        let first = self.0.first_entry()?;
        let (release_at, owner) = *first.key();
        (release_at <= now).then(|| (release_at, owner, first.remove()))
    }
}

/// Returns when what is earned now is released: at the first midnight UTC after the holdback's time, so
/// that a day's earnings are released together.
pub(crate) fn release_at(terms: &Terms, now: Moment) -> Moment {
    let due = now + terms.holdback;
    Moment((due.day() + 1) * Span::DAY.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_takes_both_time_and_jobs() {
        let terms = Terms { trusted_after: Span(100), trusted_jobs: 2, ..Terms::default() };
        let (owner, now) = (PluginId::from_bits(1), Moment(1_000));
        let mut standings = Standings::default();
        assert!(!standings.of(owner).is_trusted(&terms, now));
        assert!(!standings.paid(now, owner).is_trusted(&terms, now + Span(100)), "one job is too few");
        let standing = standings.paid(now, owner);
        assert_eq!(standings.of(owner), standing);
        assert!(!standing.is_trusted(&terms, now + Span(99)), "too soon");
        assert!(standing.is_trusted(&terms, now + Span(100)));
    }

    #[test]
    fn what_is_held_back_is_released_at_a_midnight_seven_days_later_at_the_earliest() {
        let terms = Terms::default();
        let noon = Moment(Span::DAY.0 * 10 + Span::DAY.0 / 2);
        assert_eq!(release_at(&terms, noon), Moment(Span::DAY.0 * 18));
        let (one, other) = (PluginId::from_bits(1), PluginId::from_bits(2));
        let mut held = HeldBack::default();
        held.add(Moment(20), one, Nanos::new(5));
        held.add(Moment(10), other, Nanos::new(6));
        held.add(Moment(20), one, Nanos::new(7));
        held.add(Moment(5), one, Nanos::ZERO);
        assert_eq!(held.take_due(Moment(9)), None);
        assert_eq!(held.take_due(Moment(20)), Some((Moment(10), other, Nanos::new(6))));
        assert_eq!(held.take_due(Moment(20)), Some((Moment(20), one, Nanos::new(12))));
        assert_eq!(held.take_due(Moment(20)), None);
    }
}
