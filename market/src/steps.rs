//! Steps: a rate that depends on a month's volume.

use rekursing_protocol::Nanos;

/// Rates in thousandths by volume: below the first step the base rate holds, from each step on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    base_permille: u64,
    steps: Vec<(Nanos, u64)>,
}

impl Steps {
    /// Makes steps, in any order. A step of a volume below zero holds from the start.
    pub fn new(base_permille: u64, mut steps: Vec<(Nanos, u64)>) -> Steps {
        steps.sort_unstable();
        Steps { base_permille, steps }
    }

    /// Returns the rate below the first step, in thousandths.
    pub const fn base_permille(&self) -> u64 {
        self.base_permille
    }

    /// Returns each step's volume and rate, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (Nanos, u64)> {
        self.steps.iter().copied()
    }

    /// Returns the rate for a volume.
    pub fn at(&self, volume: Nanos) -> u64 {
        let passed = self.steps.iter().rev().find(|(from, _)| *from <= volume);
        passed.map_or(self.base_permille, |(_, permille)| *permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_from_its_step_on() {
        let steps = Steps::new(50, vec![(Nanos::new(1_000), 30), (Nanos::new(100), 40)]);
        for (volume, permille) in [(0, 50), (99, 50), (100, 40), (999, 40), (1_000, 30), (i64::MAX, 30)] {
            assert_eq!(steps.at(Nanos::new(volume)), permille, "{volume}");
        }
        assert_eq!(Steps::new(7, vec![]).at(Nanos::MAX), 7);
    }
}
