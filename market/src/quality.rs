//! Quality: what pages think of an owner's answers, as one figure that no crowd of one makes.
//!
//! Every account has one voice about each owner: the mean of its thumbs on his answers. A verified account's voice
//! counts in full, another's a part of that, because accounts cost nothing; and all free answers together have one
//! voice, because nobody knows who their visitors are. Few voices say little, so the figure begins at what answers are
//! like on average and moves from there as voices come: the Bayesian average, as in the weighted rating of film
//! charts, (v · R + m · C) / (v + m) with v voices of mean R.

use rekursing_protocol::Span;
pub use rekursing_protocol::outlook::Quality;

/// For how long a thumb counts.
pub const REMEMBERED: Span = Span(90 * Span::DAY.0);

/// How much a verified account's voice counts, in thousandths.
const VERIFIED: u64 = 1_000;

/// How much another account's voice counts, in thousandths.
const UNVERIFIED: u64 = 250;

/// How much the one voice of all free answers counts, in thousandths.
const FREE: u64 = 250;

/// What answers are like on average, in thousandths: C.
const PRIOR: u64 = 800;

/// For how many voices that stands, in thousandths: m.
const PRIOR_WEIGHT: u64 = 5_000;

/// From how many voices on the figure is told, in thousandths: of fewer everybody would know whose they are.
const TOLD_FROM: u64 = 2_000;

/// Voices of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Voices {
    /// How many.
    pub count: u64,
    /// The sum of their means, each in thousandths: 1,000 for a thumb up on every answer.
    pub permilles: u64,
}

/// What is said of one owner's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// By verified accounts.
    pub verified: Voices,
    /// By other accounts.
    pub unverified: Voices,
    /// By all who asked for free answers, together: the thumbs that they gave.
    pub free: Voices,
}

impl Said {
    /// Returns the figure; `None` where too few have said anything.
    pub fn quality(self) -> Option<Quality> {
        let Said { verified, unverified, free } = self;
        // However many they are, they are one.
        let crowd = free.permilles.checked_div(free.count);
        let free = Voices { count: u64::from(crowd.is_some()), permilles: crowd.unwrap_or_default() };
        let weighted = [(verified, VERIFIED), (unverified, UNVERIFIED), (free, FREE)];
        let weight: u64 = weighted.iter().map(|(voices, weight)| voices.count * weight).sum();
        if weight < TOLD_FROM {
            return None;
        }
        let sum: u64 = weighted.iter().map(|(voices, weight)| voices.permilles * weight).sum();
        let permille = (sum + PRIOR * PRIOR_WEIGHT) / (weight + PRIOR_WEIGHT);
        Some(Quality { permille, voices: verified.count + unverified.count + free.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voices(count: u64, permille: u64) -> Voices {
        Voices { count, permilles: count * permille }
    }

    fn told(verified: Voices, unverified: Voices, free: Voices) -> Option<u64> {
        Said { verified, unverified, free }.quality().map(|quality| quality.permille)
    }

    #[test]
    fn few_voices_say_nothing_and_many_say_what_they_mean() {
        let none = Voices::default();
        assert_eq!(told(none, none, none), None);
        assert_eq!(told(voices(1, 1_000), none, none), None);
        assert_eq!(told(voices(2, 1_000), none, none), Some(857));
        assert_eq!(told(voices(2, 0), none, none), Some(571));
        assert_eq!(told(voices(10_000, 0), none, none), Some(0));
        assert_eq!(told(voices(10_000, 1_000), none, none), Some(999));
    }

    #[test]
    fn a_crowd_that_nobody_knows_moves_less_than_one_that_somebody_does() {
        let (none, good) = (Voices::default(), voices(8, 1_000));
        assert!(told(good, none, none) > told(none, good, none));
        let with = |free| told(voices(4, 500), none, free);
        assert_eq!(with(voices(1, 0)), with(voices(1_000_000, 0)), "all free answers are one voice");
        assert!(with(voices(1_000_000, 0)) < with(none));
        let spread = with(voices(5, 1_000)).unwrap() - with(voices(5, 0)).unwrap();
        assert!(spread < 30, "{spread}");
    }

    #[test]
    fn the_figure_lies_between_nothing_and_all_and_grows_with_each_thumb_up() {
        for count in 2..50 {
            for mean in (0..=1_000).step_by(50) {
                let said = |mean| told(voices(count, mean), voices(count, mean), Voices::default()).unwrap();
                assert!(said(mean) <= 1_000 && said(mean) <= said((mean + 50).min(1_000)), "{count} {mean}");
            }
        }
    }
}
