//! Jitter out of a seed: splitmix64, good enough to spread agents over time and for nothing else.

use rekursing_protocol::Span;

#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns a span from nothing up to `limit`.
    pub(super) fn within(&mut self, limit: Span) -> Span {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Span((mixed ^ (mixed >> 31)) % limit.0.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_limit_and_differs_by_seed() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.within(Span(1_000)).0).collect::<Vec<_>>()
        };
        assert!(draw(1).iter().all(|millis| *millis <= 1_000));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().any(|millis| *millis > 800) && draw(1).iter().any(|millis| *millis < 200));
        assert_eq!(Random::new(1).within(Span(0)), Span(0));
    }
}
