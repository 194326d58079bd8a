//! Holding back: how long an owner is new, and what is released when.

use std::collections::{BTreeMap, HashMap};

use rekursing_protocol::{AccountId, Moment, Nanos, PluginId, Span};

use crate::terms::Terms;

/// What one page has paid one owner, as far as it counts for trust: jobs of at least
/// [`Terms::trusted_charge_min`] each, out of the page's own account. Free answers count for nothing, or an
/// owner could ask himself as often as he likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patronage {
    /// Who earned.
    pub owner: PluginId,
    /// Who paid.
    pub page: AccountId,
    /// When the first job was paid.
    pub since: Moment,
    /// Jobs that were paid.
    pub jobs: u64,
}

/// How well an owner is known: since when, and by how many paid jobs of how many pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// When the first job was paid.
    pub(crate) since: Moment,
    /// Jobs that were paid.
    pub(crate) jobs: u64,
    /// Pages that paid them, as far as they are counted.
    pub(crate) pages: usize,
}

impl Standing {
    /// Tells whether the owner is trusted: known for long enough, by enough paid jobs of enough pages.
    pub(crate) fn is_trusted(&self, terms: &Terms, now: Moment) -> bool {
        self.jobs >= terms.trusted_jobs
            && self.pages >= terms.trusted_pages
            && now.since(self.since) >= terms.trusted_after
    }

    /// Tells whether what the owner asks tells others what is usual: known for long enough, by enough paid jobs of
    /// enough pages, so that nobody makes a market of his own in an afternoon.
    pub(crate) fn has_voice(&self, terms: &Terms, now: Moment) -> bool {
        self.jobs >= terms.voice_jobs_min
            && self.pages >= terms.voice_pages_min
            && now.since(self.since) >= terms.voice_after
    }
}

/// Every owner's standing.
#[derive(Debug, Default)]
pub(crate) struct Standings(HashMap<PluginId, Record>);

#[derive(Debug)]
struct Record {
    since: Moment,
    jobs: u64,
    /// The pages that paid, up to as many as trust takes, with the jobs of each.
    pages: Vec<(AccountId, u64)>,
}

impl Standings {
    /// Returns an owner's standing.
    pub(crate) fn of(&self, owner: PluginId) -> Standing {
        let known = self.0.get(&owner);
        known.map_or_else(Standing::default, |Record { since, jobs, pages }| Standing {
            since: *since,
            jobs: *jobs,
            pages: pages.len(),
        })
    }

    /// Counts what a page paid.
    pub(crate) fn add(&mut self, terms: &Terms, paid: Patronage) {
        let Patronage { owner, page, since, jobs } = paid;
        let record = self.0.entry(owner).or_insert(Record { since, jobs: 0, pages: Vec::new() });
        record.since = record.since.min(since);
        record.jobs += jobs;
        if let Some((_, paid)) = record.pages.iter_mut().find(|(known, _)| *known == page) {
            *paid += jobs;
        } else if record.pages.len() < terms.trusted_pages.max(terms.voice_pages_min) {
            record.pages.push((page, jobs));
        }
    }

    /// Takes one job back that a page had paid. Where more pages have paid than are counted, another one
    /// takes the place of a page of which no job is left with its next job, or after a restart.
    pub(crate) fn take_back(&mut self, owner: PluginId, page: AccountId) {
        let Some(record) = self.0.get_mut(&owner) else { return };
        record.jobs = record.jobs.saturating_sub(1);
        if let Some((_, paid)) = record.pages.iter_mut().find(|(known, _)| *known == page) {
            *paid = paid.saturating_sub(1);
        }
        record.pages.retain(|(_, paid)| *paid > 0);
        if record.jobs == 0 {
            self.0.remove(&owner);
        }
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

    /// Takes a part of what is held back of an owner, of what is due first.
    pub(crate) fn take(&mut self, owner: PluginId, amount: Nanos) {
        let mut left = amount;
        for ((_, of), held) in &mut self.0 {
            if *of == owner && left > Nanos::ZERO {
                let part = left.min(*held);
                (*held, left) = (Nanos::new(held.get() - part.get()), Nanos::new(left.get() - part.get()));
            }
        }
        self.0.retain(|_, held| *held > Nanos::ZERO);
    }

    /// Takes a part of what is held back of an owner until a moment, and where that is less, of what is due first.
    pub(crate) fn take_at(&mut self, release_at: Moment, owner: PluginId, amount: Nanos) {
        let mut left = amount.get();
        if let Some(held) = self.0.get_mut(&(release_at, owner)) {
            let part = left.min(held.get());
            (*held, left) = (Nanos::new(held.get() - part), left - part);
        }
        self.take(owner, Nanos::new(left));
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
    fn trust_takes_time_jobs_and_pages() {
        let terms = Terms { trusted_after: Span(100), trusted_jobs: 3, trusted_pages: 2, ..Terms::default() };
        let (owner, then) = (PluginId::from_bits(1), Moment(1_000));
        let is_trusted = |jobs: &[(u128, u64)], now| {
            let mut standings = Standings::default();
            for (page, jobs) in jobs {
                let paid = Patronage { owner, page: AccountId::from_bits(*page), since: then, jobs: *jobs };
                standings.add(&terms, paid);
            }
            standings.of(owner).is_trusted(&terms, now)
        };
        let later = then + Span(100);
        assert!(!is_trusted(&[], later));
        assert!(!is_trusted(&[(1, 1_000)], later), "one page is too few");
        assert!(!is_trusted(&[(1, 1_000), (1, 1_000)], later), "it is the same page");
        assert!(!is_trusted(&[(1, 1), (2, 1)], later), "two jobs are too few");
        assert!(!is_trusted(&[(1, 2), (2, 1)], then + Span(99)), "too soon");
        assert!(is_trusted(&[(1, 2), (2, 1)], later));
        assert!(is_trusted(&[(1, 1), (2, 1), (3, 1)], later));
    }

    #[test]
    fn a_job_that_is_taken_back_counts_for_no_trust() {
        let terms = Terms { trusted_after: Span(0), trusted_jobs: 2, trusted_pages: 2, ..Terms::default() };
        let (owner, page) = (PluginId::from_bits(1), AccountId::from_bits);
        let mut standings = Standings::default();
        for number in [1, 1, 2] {
            standings.add(&terms, Patronage { owner, page: page(number), since: Moment(5), jobs: 1 });
        }
        assert!(standings.of(owner).is_trusted(&terms, Moment(5)));
        standings.take_back(owner, page(1));
        assert!(standings.of(owner).is_trusted(&terms, Moment(5)), "the other job of that page counts");
        standings.take_back(owner, page(1));
        assert!(!standings.of(owner).is_trusted(&terms, Moment(5)));
        standings.take_back(owner, page(2));
        standings.take_back(owner, page(2));
        assert_eq!(standings.of(owner), Standing::default());
    }

    #[test]
    fn what_is_taken_of_what_is_held_back_is_not_released() {
        let (one, other) = (PluginId::from_bits(1), PluginId::from_bits(2));
        let mut held = HeldBack::default();
        for (at, owner, amount) in [(10, one, 5), (10, other, 5), (20, one, 7)] {
            held.add(Moment(at), owner, Nanos::new(amount));
        }
        held.take(one, Nanos::new(6));
        assert_eq!(held.take_due(Moment(30)), Some((Moment(10), other, Nanos::new(5))));
        assert_eq!(held.take_due(Moment(30)), Some((Moment(20), one, Nanos::new(6))));
        assert_eq!(held.take_due(Moment(30)), None);
    }

    #[test]
    fn what_is_set_aside_of_one_day_leaves_what_is_due_on_others() {
        let owner = PluginId::from_bits(1);
        let mut held = HeldBack::default();
        for (at, amount) in [(10, 5), (20, 7)] {
            held.add(Moment(at), owner, Nanos::new(amount));
        }
        held.take_at(Moment(20), owner, Nanos::new(6));
        held.take_at(Moment(30), owner, Nanos::new(2));
        assert_eq!(held.take_due(Moment(30)), Some((Moment(10), owner, Nanos::new(3))));
        assert_eq!(held.take_due(Moment(30)), Some((Moment(20), owner, Nanos::new(1))));
        assert_eq!(held.take_due(Moment(30)), None);
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
