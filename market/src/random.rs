//! Randomness from a seed: splitmix64 (Steele, Lea and Flood, 2014). Fair enough to spread load; nothing
//! secret depends on it.

/// A stream of numbers that a seed determines.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns two different numbers below `end`, which is at least 2.
    pub(crate) fn two_below(&mut self, end: usize) -> (usize, usize) {
        let first = self.below(end);
        let other = self.below(end - 1);
        (first, if other >= first { other + 1 } else { other })
    }

    fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.next()) * (end as u128);
        usize::try_from(wide >> 64).expect("a share of a usize fits a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_published_numbers() {
        let mut random = Random::new(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn two_draws_differ_and_reach_every_number() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            let (one, other) = random.two_below(5);
            assert_ne!(one, other);
            seen[one] = true;
            seen[other] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_ne!(random.two_below(2).0, 2);
    }
}
