//! Money: whole nano-dollars, checked, and prices in micro-dollars per million tokens.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount of money in nano-dollars (10⁻⁹ USD).
///
/// In JSON it is a decimal string in USD (`"0.000123"`), never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Something else than digits and one point.
    #[error("an amount is a decimal number of dollars such as 0.000123")]
    NotDecimal,
    /// A non-zero digit past the ninth decimal.
    #[error("an amount has at most nine decimals")]
    TooFine,
    /// Past what 64 bits hold (about 9.2 billion dollars).
    #[error("the amount is too large")]
    TooLarge,
}

impl Nanos {
    /// Nothing.
    pub const ZERO: Nanos = Nanos(0);
    /// One dollar.
    pub const DOLLAR: Nanos = Nanos(1_000_000_000);
    /// The largest amount.
    pub const MAX: Nanos = Nanos(i64::MAX);

    /// Makes an amount of whole nano-dollars.
    pub const fn new(nanos: i64) -> Nanos {
        Nanos(nanos)
    }

    /// Returns the whole nano-dollars.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Adds, unless the sum leaves 64 bits.
    pub const fn checked_add(self, other: Nanos) -> Option<Nanos> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Nanos(sum)),
            None => None,
        }
    }

    /// Subtracts, unless the difference leaves 64 bits. The result may be negative.
    pub const fn checked_sub(self, other: Nanos) -> Option<Nanos> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Nanos(difference)),
            None => None,
        }
    }

    /// Multiplies by `parts` of `whole`, rounded towards zero; `None` when the result leaves 64 bits
    /// or `whole` is zero.
    pub fn checked_share(self, parts: u64, whole: u64) -> Option<Nanos> {
        if whole == 0 {
            return None;
        }
        let scaled = i128::from(self.0) * i128::from(parts) / i128::from(whole);
        i64::try_from(scaled).ok().map(Nanos)
    }

    /// Tells whether the amount is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl fmt::Display for Nanos {
    /// Prints a decimal number of dollars without trailing zeros: `0.000123`, `-2.5`, `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (dollars, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{sign}{dollars}");
        }
        let decimals = format!("{rest:09}");
        write!(f, "{sign}{dollars}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Nanos {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Nanos, BadAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let scaled = decimal(digits, 9)?;
        let nanos = i64::try_from(scaled).map_err(|_| BadAmount::TooLarge)?;
        Ok(Nanos(if negative { -nanos } else { nanos }))
    }
}

/// Reads `digits[.digits]` as a whole number of 10^-`places` units, without any rounding.
fn decimal(text: &str, places: usize) -> Result<u128, BadAmount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || text.ends_with('.') {
        return Err(BadAmount::NotDecimal);
    }
    if whole.len() > 24 || fraction.len() > 32 {
        return Err(BadAmount::TooLarge);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(BadAmount::TooFine);
    }
    let digits = format!("{whole}{fraction:0<places$}");
    digits.parse().map_err(|_| BadAmount::TooLarge)
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What a model costs: micro-dollars (10⁻⁶ USD) per one million tokens, prompt and answer apart.
///
/// One micro-dollar per million tokens is 0.001 nano-dollars per token, so a price is exact
/// where an amount per token would not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Per million prompt tokens.
    pub input: u64,
    /// Per million answer tokens.
    pub output: u64,
}

impl Price {
    /// The highest price on either side that anybody may ask: 10,000 dollars per million tokens.
    pub const MAX: u64 = 10_000_000_000;

    /// Makes a price of micro-dollars per million tokens.
    pub const fn new(input: u64, output: u64) -> Price {
        Price { input, output }
    }

    /// Returns the cost of so many tokens, rounded down to the nano-dollar: whoever pays never pays
    /// for a part of a nano-dollar. `None` when it leaves 64 bits.
    pub fn cost(self, prompt_tokens: u64, answer_tokens: u64) -> Option<Nanos> {
        // micro-dollars per 10⁶ tokens × tokens ÷ 10⁶ × 10³ nano-dollars = price × tokens ÷ 10³.
        let input = u128::from(self.input) * u128::from(prompt_tokens);
        let output = u128::from(self.output) * u128::from(answer_tokens);
        i64::try_from((input + output) / 1_000).ok().map(Nanos)
    }

    /// Multiplies both sides by `permille` thousandths, rounded down, at most [`Price::MAX`].
    #[must_use]
    pub fn scaled(self, permille: u64) -> Price {
        let scale = |side: u64| {
            let scaled = u128::from(side) * u128::from(permille) / 1_000;
            u64::try_from(scaled).unwrap_or(Price::MAX).min(Price::MAX)
        };
        Price { input: scale(self.input), output: scale(self.output) }
    }

    /// Returns the dearer of the two on each side.
    #[must_use]
    pub fn at_least(self, least: Price) -> Price {
        Price { input: self.input.max(least.input), output: self.output.max(least.output) }
    }

    /// Returns the cheaper of the two on each side.
    #[must_use]
    pub fn at_most(self, most: Price) -> Price {
        Price { input: self.input.min(most.input), output: self.output.min(most.output) }
    }

    /// Returns both sides together, by which prices are put in order.
    pub const fn sum(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Reads the older form, dollars per token (`0.00015`), as a price for both sides.
    /// Digits finer than a micro-dollar per million tokens are refused.
    pub fn per_token(dollars: &str) -> Result<Price, BadAmount> {
        // Dollars per token × 10⁶ micro-dollars × 10⁶ tokens: twelve decimals.
        let side = u64::try_from(decimal(dollars, 12)?).map_err(|_| BadAmount::TooLarge)?;
        if side > Price::MAX {
            return Err(BadAmount::TooLarge);
        }
        Ok(Price { input: side, output: side })
    }
}

/// How an owner prices a model.
///
/// In JSON it is a price (`{"input":50000,"output":100000}`), `{"per_hour":"0.5"}`, or
/// `{"floor":{"input":0,"output":0}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Pricing {
    /// This price.
    Fixed(Price),
    /// What an hour of answering costs, in USD. The price per token follows from the measured speed.
    Hourly {
        /// USD for an hour in which one answer is made.
        per_hour: Nanos,
    },
    /// What others ask for models of this class, and never less than the floor.
    Market {
        /// The least price.
        floor: Price,
    },
}

impl Pricing {
    /// The most that an hour may cost: 1,000 dollars.
    pub const HOUR_MAX: Nanos = Nanos::new(1_000_000_000_000);

    /// Returns the price, where it is a fixed one.
    pub const fn fixed(self) -> Option<Price> {
        match self {
            Pricing::Fixed(price) => Some(price),
            Pricing::Hourly { .. } | Pricing::Market { .. } => None,
        }
    }

    /// Tells whether no side is past the highest.
    pub fn is_sane(self) -> bool {
        match self {
            Pricing::Fixed(price) | Pricing::Market { floor: price } => {
                price.input <= Price::MAX && price.output <= Price::MAX
            }
            Pricing::Hourly { per_hour } => !per_hour.is_negative() && per_hour <= Pricing::HOUR_MAX,
        }
    }
}

impl From<Price> for Pricing {
    fn from(price: Price) -> Pricing {
        Pricing::Fixed(price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_and_read_back_exactly() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (123_000, "0.000123"),
            (2_500_000_000, "2.5"),
            (-7_000_000_000, "-7"),
            (i64::MAX, "9223372036.854775807"),
        ] {
            assert_eq!(Nanos::new(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Nanos::new(nanos)));
        }
    }

    #[test]
    fn refuses_what_is_not_an_amount() {
        for (text, why) in [
            ("", BadAmount::NotDecimal),
            (".5", BadAmount::NotDecimal),
            ("5.", BadAmount::NotDecimal),
            ("1e3", BadAmount::NotDecimal),
            ("+1", BadAmount::NotDecimal),
            ("--1", BadAmount::NotDecimal),
            ("0.0000000001", BadAmount::TooFine),
            ("9223372036.854775808", BadAmount::TooLarge),
            ("99999999999999999999999999", BadAmount::TooLarge),
        ] {
            assert_eq!(text.parse::<Nanos>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_cost_is_rounded_down_once() {
        let price = Price::new(150_000, 600_000);
        assert_eq!(price.cost(10, 4), Some(Nanos::new(3_900)));
        assert_eq!(Price::new(1, 1).cost(999, 0), Some(Nanos::ZERO));
        assert_eq!(Price::new(1, 1).cost(500, 500), Some(Nanos::new(1)));
        assert_eq!(Price::new(Price::MAX, 0).cost(u64::MAX, 0), None);
    }

    #[test]
    fn the_older_price_per_token_is_read_exactly() {
        assert_eq!(Price::per_token("0.0001"), Ok(Price::new(100_000_000, 100_000_000)));
        assert_eq!(Price::per_token("0.000000000001"), Ok(Price::new(1, 1)));
        assert!(Price::per_token("0.0000000000001").is_err());
        assert!(Price::per_token("-1").is_err());
        assert!(Price::per_token("1").is_err());
    }

    #[test]
    fn every_way_of_pricing_has_one_form() {
        for (pricing, json) in [
            (Pricing::Fixed(Price::new(1, 2)), r#"{"input":1,"output":2}"#),
            (Pricing::Hourly { per_hour: Nanos::new(500_000_000) }, r#"{"per_hour":"0.5"}"#),
            (Pricing::Market { floor: Price::new(3, 4) }, r#"{"floor":{"input":3,"output":4}}"#),
        ] {
            assert_eq!(serde_json::to_string(&pricing).unwrap(), json);
            assert_eq!(serde_json::from_str::<Pricing>(json).unwrap(), pricing);
            assert!(pricing.is_sane());
        }
        for json in [r#"{"per_hour":0.5}"#, r#"{"input":1}"#, r#"{"per_hour":"1","floor":{}}"#, "{}"] {
            assert!(serde_json::from_str::<Pricing>(json).is_err(), "{json}");
        }
        assert!(!Pricing::Hourly { per_hour: Nanos::new(-1) }.is_sane());
        assert!(!Pricing::Fixed(Price::new(Price::MAX + 1, 0)).is_sane());
    }

    #[test]
    fn shares_are_rounded_towards_zero() {
        assert_eq!(Nanos::new(99).checked_share(50, 1_000), Some(Nanos::new(4)));
        assert_eq!(Nanos::new(99).checked_share(1, 0), None);
        assert_eq!(Nanos::MAX.checked_share(2, 1), None);
    }
}
