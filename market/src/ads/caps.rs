//! Frequency caps: how often each visitor was given each ad today. Bounded, and forgotten at midnight UTC.

use std::collections::HashMap;

use rekursing_protocol::{CampaignId, Moment};

#[derive(Debug, Default)]
pub(super) struct Caps {
    day: u64,
    shown: HashMap<(CampaignId, u64), u32>,
}

impl Caps {
    /// Tells whether the visitor may be given the ad once more.
    pub(super) fn allow(&self, now: Moment, pair: (CampaignId, u64), most: u32, pairs_max: usize) -> bool {
        if self.day != now.day() {
            return true;
        }
        match self.shown.get(&pair) {
            Some(&shown) => shown < most,
            None => self.shown.len() < pairs_max,
        }
    }

    /// Counts one more.
    pub(super) fn take(&mut self, now: Moment, pair: (CampaignId, u64)) {
        if self.day != now.day() {
            self.day = now.day();
            self.shown.clear();
        }
        *self.shown.entry(pair).or_insert(0) += 1;
    }

    /// Takes back one that was given on `day` and never seen, unless that day is over.
    pub(super) fn give_back(&mut self, day: u64, pair: (CampaignId, u64)) {
        if self.day != day {
            return;
        }
        if let Some(shown) = self.shown.get_mut(&pair) {
            *shown = shown.saturating_sub(1);
            if *shown == 0 {
                self.shown.remove(&pair);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekursing_protocol::Span;

    const PAIR: (CampaignId, u64) = (CampaignId::from_bits(1), 7);

    #[test]
    fn a_visitor_sees_an_ad_so_often_a_day_and_afresh_tomorrow() {
        let mut caps = Caps::default();
        let now = Moment(Span::DAY.0 - 1);
        for _ in 0..2 {
            assert!(caps.allow(now, PAIR, 2, 10));
            caps.take(now, PAIR);
        }
        assert!(!caps.allow(now, PAIR, 2, 10));
        assert!(caps.allow(now, (PAIR.0, 8), 2, 10));
        assert!(caps.allow(now + Span(1), PAIR, 2, 10));
        caps.give_back(0, PAIR);
        assert!(caps.allow(now, PAIR, 2, 10));
        caps.take(now + Span(1), PAIR);
        caps.give_back(0, PAIR);
        assert!(!caps.allow(now + Span(1), PAIR, 1, 10));
    }

    #[test]
    fn memory_is_bounded_and_known_pairs_still_count() {
        let mut caps = Caps::default();
        caps.take(Moment(0), PAIR);
        assert!(!caps.allow(Moment(0), (PAIR.0, 8), 2, 1));
        assert!(caps.allow(Moment(0), PAIR, 2, 1));
    }
}
