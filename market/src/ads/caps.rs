//! Caps by the day: how often each visitor was given each ad, and how many of his clicks were counted.
//! Bounded, and forgotten at midnight UTC.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use rekursing_protocol::Moment;

/// What was counted today, of each `Of`.
#[derive(Debug)]
pub(super) struct Caps<Of> {
    day: u64,
    counts: HashMap<Of, u32>,
    /// Those whose count has changed since it was last taken to be stored.
    changed: HashSet<Of>,
}

impl<Of> Default for Caps<Of> {
    fn default() -> Caps<Of> {
        Caps { day: 0, counts: HashMap::new(), changed: HashSet::new() }
    }
}

impl<Of: Copy + Eq + Hash> Caps<Of> {
    /// Tells whether there may be one more, of at most so many, where at most `known_max` are remembered.
    pub(super) fn allow(&self, now: Moment, of: &Of, most: u32, known_max: usize) -> bool {
        if self.day != now.day() {
            return most > 0;
        }
        match self.counts.get(of) {
            Some(&count) => count < most,
            None => most > 0 && self.counts.len() < known_max,
        }
    }

    /// Counts one more.
    pub(super) fn take(&mut self, now: Moment, of: Of) {
        self.begin(now.day());
        *self.counts.entry(of).or_insert(0) += 1;
        self.changed.insert(of);
    }

    /// Puts back what was counted before a restart.
    pub(super) fn restore(&mut self, day: u64, of: Of, times: u32) {
        self.begin(day);
        self.counts.insert(of, times);
    }

    /// Takes what has changed since the last time, with the day: who was counted how often.
    pub(super) fn take_changed(&mut self) -> (u64, Vec<(Of, u32)>) {
        let times = |of| (of, self.counts.get(&of).copied().unwrap_or_default());
        (self.day, self.changed.drain().map(times).collect())
    }

    fn begin(&mut self, day: u64) {
        if self.day != day {
            self.day = day;
            self.counts.clear();
            self.changed.clear();
        }
    }

    /// Takes back one that was counted on `day` and came to nothing, unless that day is over.
    pub(super) fn give_back(&mut self, day: u64, of: &Of) {
        if self.day != day {
            return;
        }
        if let Some(count) = self.counts.get_mut(of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(of);
            }
            self.changed.insert(*of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekursing_protocol::{CampaignId, Span};

    const PAIR: (CampaignId, u64) = (CampaignId::from_bits(1), 7);

    #[test]
    fn a_visitor_sees_an_ad_so_often_a_day_and_afresh_tomorrow() {
        let mut caps = Caps::default();
        let now = Moment(Span::DAY.0 - 1);
        for _ in 0..2 {
            assert!(caps.allow(now, &PAIR, 2, 10));
            caps.take(now, PAIR);
        }
        assert!(!caps.allow(now, &PAIR, 2, 10));
        assert!(caps.allow(now, &(PAIR.0, 8), 2, 10));
        assert!(caps.allow(now + Span(1), &PAIR, 2, 10));
        caps.give_back(0, &PAIR);
        assert!(caps.allow(now, &PAIR, 2, 10));
        caps.take(now + Span(1), PAIR);
        caps.give_back(0, &PAIR);
        assert!(!caps.allow(now + Span(1), &PAIR, 1, 10));
    }

    #[test]
    fn what_has_changed_is_told_once_and_counts_again_when_it_is_restored() {
        let mut caps = Caps::default();
        let now = Moment(Span::DAY.0 * 7);
        caps.take(now, PAIR);
        caps.take(now, PAIR);
        assert_eq!(caps.take_changed(), (7, vec![(PAIR, 2)]));
        assert_eq!(caps.take_changed(), (7, vec![]));
        let mut again = Caps::default();
        again.restore(7, PAIR, 2);
        assert!(!again.allow(now, &PAIR, 2, 10));
        assert!(again.allow(now + Span::DAY, &PAIR, 2, 10));
        assert_eq!(again.take_changed(), (7, vec![]));
        again.give_back(7, &PAIR);
        again.give_back(7, &PAIR);
        assert_eq!(again.take_changed(), (7, vec![(PAIR, 0)]));
        again.take(now, PAIR);
        again.take(now + Span::DAY, (PAIR.0, 8));
        assert_eq!(again.take_changed(), (8, vec![((PAIR.0, 8), 1)]), "yesterday is over");
    }

    #[test]
    fn memory_is_bounded_and_known_pairs_still_count() {
        let mut caps = Caps::default();
        caps.take(Moment(0), PAIR);
        assert!(!caps.allow(Moment(0), &(PAIR.0, 8), 2, 1));
        assert!(caps.allow(Moment(0), &PAIR, 2, 1));
    }
}
