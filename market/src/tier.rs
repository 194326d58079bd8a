//! Tiers: how much more or less than the owner's price a page pays, and what a provider must have
//! shown to serve it. Floors are measured by the relay; what an owner claims counts for nothing.

use std::{fmt, str::FromStr};

use rekursing_protocol::Span;

/// How good an answer the page wants to pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Tier {
    /// Whoever is there, for less.
    Low,
    /// The owner's price.
    #[default]
    Standard,
    /// Shown to be fast and steady.
    High,
    /// Shown to be very fast and very steady.
    Ultra,
}

/// Why a text is not a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tier is low, standard, high or ultra")]
pub struct BadTier;

impl Tier {
    /// Every tier, lowest first.
    pub const ALL: [Tier; 4] = [Tier::Low, Tier::Standard, Tier::High, Tier::Ultra];

    /// Returns the tier's name as pages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Low => "low",
            Tier::Standard => "standard",
            Tier::High => "high",
            Tier::Ultra => "ultra",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = BadTier;

    fn from_str(text: &str) -> Result<Tier, BadTier> {
        Tier::ALL.into_iter().find(|tier| tier.name() == text).ok_or(BadTier)
    }
}

/// What one tier costs and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierTerms {
    /// What the page pays, in thousandths of the owner's price.
    pub price_permille: u64,
    /// What a provider must have shown.
    pub floor: Floor,
}

/// What a provider must have shown. The default asks for nothing, so a fresh session passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Answers that the relay must have measured of this model on this plugin.
    pub answers_min: u32,
    /// Slowest measured speed, in thousandths of a token per second.
    pub millitokens_per_second_min: u64,
    /// Longest measured time to the first token.
    pub first_token_max: Span,
    /// Lowest success rate, in thousandths.
    pub success_permille_min: u64,
    /// Fewest bits of a weight, by the quantisation's name; a name that does not say has none.
    pub quantization_bits_min: u8,
    /// Whether the owner must be trusted.
    pub is_trusted: bool,
}

impl Default for Floor {
    fn default() -> Floor {
        Floor {
            answers_min: 0,
            millitokens_per_second_min: 0,
            first_token_max: Span(u64::MAX),
            success_permille_min: 0,
            quantization_bits_min: 0,
            is_trusted: false,
        }
    }
}

/// The terms of all four tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierTable {
    /// Terms of [`Tier::Low`].
    pub low: TierTerms,
    /// Terms of [`Tier::Standard`].
    pub standard: TierTerms,
    /// Terms of [`Tier::High`].
    pub high: TierTerms,
    /// Terms of [`Tier::Ultra`].
    pub ultra: TierTerms,
}

impl TierTable {
    /// Returns the terms of one tier.
    pub const fn of(&self, tier: Tier) -> &TierTerms {
        match tier {
            Tier::Low => &self.low,
            Tier::Standard => &self.standard,
            Tier::High => &self.high,
            Tier::Ultra => &self.ultra,
        }
    }
}

impl Default for TierTable {
    fn default() -> TierTable {
        let open = |price_permille| TierTerms { price_permille, floor: Floor::default() };
        TierTable {
            low: open(800),
            standard: open(1_000),
            high: TierTerms {
                price_permille: 1_500,
                floor: Floor {
                    answers_min: 5,
                    millitokens_per_second_min: 30_000,
                    first_token_max: Span::millis(2_000),
                    success_permille_min: 950,
                    quantization_bits_min: 4,
                    is_trusted: false,
                },
            },
            ultra: TierTerms {
                price_permille: 2_000,
                floor: Floor {
                    answers_min: 20,
                    millitokens_per_second_min: 60_000,
                    first_token_max: Span::millis(1_000),
                    success_permille_min: 980,
                    quantization_bits_min: 6,
                    is_trusted: true,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_multiply_the_owners_price() {
        let table = TierTable::default();
        let permille = Tier::ALL.map(|tier| table.of(tier).price_permille);
        assert_eq!(permille, [800, 1_000, 1_500, 2_000]);
    }

    #[test]
    fn tiers_print_and_read_back_and_nothing_else_is_one() {
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        for text in ["", "Low", "best", "ultra "] {
            assert_eq!(text.parse::<Tier>(), Err(BadTier), "{text}");
        }
    }
}
