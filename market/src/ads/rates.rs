//! Measured rates: how many of the chosen ads are seen, and how many of those are clicked.

use super::{AdTerms, auction::MILLION};

/// How many of the chosen ads are seen.
#[derive(Debug, Default)]
pub(super) struct SeenRate {
    chosen: u64,
    seen: u64,
}

impl SeenRate {
    /// Notes what became of a chosen ad.
    pub(super) fn note(&mut self, terms: &AdTerms, seen: u64) {
        self.chosen += 1;
        self.seen += seen;
        if self.chosen >= terms.chosen_window.max(2) {
            (self.chosen, self.seen) = (self.chosen / 2, self.seen / 2);
        }
    }

    /// Returns how many of a million are seen, beginning with half of them.
    pub(super) fn ppm(&self, terms: &AdTerms) -> u64 {
        let prior = terms.chosen_prior.max(1);
        (self.seen * MILLION + prior * MILLION / 2) / (self.chosen + prior)
    }
}

/// Returns how many of a million impressions are clicked, beginning with what is usual.
pub(super) fn clicks_ppm(terms: &AdTerms, impressions: u64, clicks: u64) -> u64 {
    ppm(clicks.saturating_add(terms.clicks_prior), impressions.saturating_add(terms.impressions_prior))
}

/// Returns how many of a million impressions have been clicked, beginning with none: whoever bids for clicks that
/// never come brings nothing.
pub(super) fn clicks_counted_ppm(terms: &AdTerms, impressions: u64, clicks: u64) -> u64 {
    ppm(clicks, impressions.saturating_add(terms.impressions_prior))
}

fn ppm(part: u64, all: u64) -> u64 {
    let all = all.max(1);
    let ppm = u128::from(part.min(all)) * u128::from(MILLION) / u128::from(all);
    u64::try_from(ppm).unwrap_or(MILLION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_begin_with_their_priors_and_follow_what_is_measured() {
        let terms = AdTerms { chosen_window: 1_000, ..AdTerms::default() };
        let mut rate = SeenRate::default();
        assert_eq!(rate.ppm(&terms), 500_000);
        (0..980).for_each(|_| rate.note(&terms, 1));
        assert_eq!(rate.ppm(&terms), 990_000);
        (0..100_000).for_each(|_| rate.note(&terms, 0));
        assert!(rate.ppm(&terms) < 20_000);
        assert_eq!(clicks_ppm(&terms, 0, 0), 5_000);
        assert_eq!(clicks_ppm(&terms, 800, 9), 10_000);
        assert_eq!(clicks_ppm(&terms, 0, u64::MAX), MILLION);
        assert_eq!(clicks_counted_ppm(&terms, 0, 0), 0);
        assert_eq!(clicks_counted_ppm(&terms, 800, 10), 10_000);
    }
}
