//! Tiers: what each costs and asks of a provider, where the operator wants it otherwise than by default.

use anyhow::{Result, ensure};
use rekursing_market::{
    Tier,
    tier::{Floor, TierTable, TierTerms},
};
use rekursing_protocol::Span;
use serde::Deserialize;

/// Highest price of a tier: a hundred times the ask.
const PRICE_PERMILLE_MAX: u64 = 100_000;

/// Highest speed that may be asked for, in tokens per second.
const TOKENS_PER_SECOND_MAX: u64 = 100_000;

/// Longest time to the first token that may be allowed: an hour.
const FIRST_TOKEN_MS_MAX: u64 = 3_600_000;

/// Most bits of a weight that may be asked for.
const QUANTIZATION_BITS_MAX: u8 = 64;

/// The four tiers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    /// Whoever is there, for less.
    pub low: Turned,
    /// The owner's price.
    pub standard: Turned,
    /// Shown to be fast and steady.
    pub high: Turned,
    /// Shown to be very fast and very steady.
    pub ultra: Turned,
}

/// What of one tier is otherwise than by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turned {
    /// What the page pays, in thousandths of the owner's ask.
    pub price_permille: Option<u64>,
    /// Answers that must have been measured of the model on the plugin.
    pub answers: Option<u32>,
    /// Slowest measured speed, in tokens per second.
    pub tokens_per_second: Option<u64>,
    /// Longest measured time to the first token, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// Lowest success rate, in thousandths.
    pub success_permille: Option<u64>,
    /// Fewest bits of a weight.
    pub quantization_bits: Option<u8>,
    /// Whether the owner must be trusted.
    pub trusted: Option<bool>,
}

impl Tiers {
    /// Returns the terms of all four.
    pub(super) fn table(&self) -> TierTable {
        let TierTable { low, standard, high, ultra } = TierTable::default();
        TierTable {
            low: self.low.over(low),
            standard: self.standard.over(standard),
            high: self.high.over(high),
            ultra: self.ultra.over(ultra),
        }
    }

    /// Checks that every figure is within its range and that no tier costs less than the one below.
    pub(super) fn check(&self) -> Result<()> {
        for (tier, turned) in Tier::ALL.into_iter().zip([&self.low, &self.standard, &self.high, &self.ultra])
        {
            turned.check(tier)?;
        }
        let table = self.table();
        for pair in Tier::ALL.windows(2) {
            let [below, above] = [pair[0], pair[1]];
            ensure!(
                table.of(below).price_permille <= table.of(above).price_permille,
                "tiers.{above}.price_permille must not be less than that of tiers.{below}"
            );
        }
        Ok(())
    }
}

impl Turned {
    fn over(&self, by_default: TierTerms) -> TierTerms {
        let TierTerms { price_permille, floor } = by_default;
        TierTerms {
            price_permille: self.price_permille.unwrap_or(price_permille),
            floor: Floor {
                answers_min: self.answers.unwrap_or(floor.answers_min),
                millitokens_per_second_min: self
                    .tokens_per_second
                    .map_or(floor.millitokens_per_second_min, |speed| speed.saturating_mul(1_000)),
                first_token_max: self.first_token_ms.map_or(floor.first_token_max, Span::millis),
                success_permille_min: self.success_permille.unwrap_or(floor.success_permille_min),
                quantization_bits_min: self.quantization_bits.unwrap_or(floor.quantization_bits_min),
                is_trusted: self.trusted.unwrap_or(floor.is_trusted),
            },
        }
    }

    fn check(&self, tier: Tier) -> Result<()> {
        let within = |name: &str, value: Option<u64>, least: u64, most: u64| {
            let is_within = value.is_none_or(|value| (least..=most).contains(&value));
            ensure!(is_within, "tiers.{tier}.{name} must be a whole number from {least} to {most}");
            Ok(())
        };
        within("price_permille", self.price_permille, 1, PRICE_PERMILLE_MAX)?;
        within("tokens_per_second", self.tokens_per_second, 0, TOKENS_PER_SECOND_MAX)?;
        within("first_token_ms", self.first_token_ms, 1, FIRST_TOKEN_MS_MAX)?;
        within("success_permille", self.success_permille, 0, 1_000)?;
        let bits = self.quantization_bits.map(u64::from);
        within("quantization_bits", bits, 0, u64::from(QUANTIZATION_BITS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_turned_keeps_its_default() {
        assert_eq!(Config::parse("").unwrap().terms().tiers, TierTable::default());
        let config = Config::parse(
            "[tiers.low]\nprice_permille = 700\n[tiers.high]\nanswers = 9\ntokens_per_second = 40\n\
             first_token_ms = 1500\nsuccess_permille = 970\nquantization_bits = 8\ntrusted = true",
        );
        let tiers = config.unwrap().terms().tiers;
        let by_default = TierTable::default();
        assert_eq!(tiers.low, TierTerms { price_permille: 700, ..by_default.low });
        assert_eq!((tiers.standard, tiers.ultra), (by_default.standard, by_default.ultra));
        let floor = Floor {
            answers_min: 9,
            millitokens_per_second_min: 40_000,
            first_token_max: Span::millis(1_500),
            success_permille_min: 970,
            quantization_bits_min: 8,
            is_trusted: true,
        };
        assert_eq!(tiers.high, TierTerms { price_permille: 1_500, floor });
    }

    #[test]
    fn a_figure_out_of_its_range_is_refused_in_a_sentence() {
        for (text, said) in [
            (
                "tiers.low.price_permille = 0",
                "tiers.low.price_permille must be a whole number from 1 to 100000",
            ),
            (
                "tiers.ultra.price_permille = 100001",
                "tiers.ultra.price_permille must be a whole number from 1 to 100000",
            ),
            (
                "tiers.high.success_permille = 1001",
                "tiers.high.success_permille must be a whole number from 0 to 1000",
            ),
            (
                "tiers.high.first_token_ms = 0",
                "tiers.high.first_token_ms must be a whole number from 1 to 3600000",
            ),
            (
                "tiers.high.tokens_per_second = 100001",
                "tiers.high.tokens_per_second must be a whole number from 0 to 100000",
            ),
            (
                "tiers.high.quantization_bits = 65",
                "tiers.high.quantization_bits must be a whole number from 0 to 64",
            ),
        ] {
            assert_eq!(refusal(text), said);
        }
        assert!(Config::parse("tiers.high.price = 3").is_err());
        assert!(Config::parse("tiers.best.price_permille = 3000").is_err());
    }

    #[test]
    fn no_tier_costs_less_than_the_one_below() {
        assert_eq!(
            refusal("tiers.high.price_permille = 999"),
            "tiers.high.price_permille must not be less than that of tiers.standard"
        );
        assert_eq!(
            refusal("tiers.low.price_permille = 1001"),
            "tiers.standard.price_permille must not be less than that of tiers.low"
        );
        Config::parse("tiers.low.price_permille = 1000").unwrap();
    }
}
