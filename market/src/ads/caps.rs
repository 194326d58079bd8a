//! Caps by the day: how often each visitor was given each ad, and how many of his clicks were counted.
//! Bounded, and forgotten at midnight UTC.

use std::{collections::HashMap, hash::Hash};

use rekursing_protocol::Moment;

/// What was counted today, of each `Of`.
#[derive(Debug)]
pub(super) struct Caps<Of> {
    day: u64,
    counts: HashMap<Of, u32>,
}

impl<Of> Default for Caps<Of> {
    fn default() -> Caps<Of> {
        Caps { day: 0, counts: HashMap::new() }
    }
}

impl<Of: Eq + Hash> Caps<Of> {
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
        if self.day != now.day() {
            self.day = now.day();
            self.counts.clear();
        }
        *self.counts.entry(of).or_insert(0) += 1;
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
    fn memory_is_bounded_and_known_pairs_still_count() {
        let mut caps = Caps::default();
        caps.take(Moment(0), PAIR);
        assert!(!caps.allow(Moment(0), &(PAIR.0, 8), 2, 1));
        assert!(caps.allow(Moment(0), &PAIR, 2, 1));
    }
}
