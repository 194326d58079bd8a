//! What the power costs that an answer draws.
//!
//! An hour of answering costs `watts / 1000 × price per kWh`. In it `tokens per second × 3600`
//! tokens of answers are made, so a million of them cost
//! `watts × price per kWh / (3.6 × tokens per second)`. The speed is that of single jobs:
//! where several run at once, the machine makes more for the same power, and a token costs less. The time of reading the prompt is not in the
//! measured speed and not in the cost.
//!
//! All prices of the product are US dollars. Who pays for power in another currency says how many dollars one
//! unit of it is; nobody is asked for a rate.

use rekursing_protocol::{Nanos, Price, Pricing};
use serde::{Deserialize, Serialize};

/// What the machine draws while it answers, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Power {
    /// Watts while it answers.
    pub watts: u32,
    /// What a kilowatt-hour costs, in the owner's currency.
    pub per_kwh: Nanos,
    /// The owner's currency.
    #[serde(default)]
    pub currency: Currency,
    /// Whether nothing is offered below cost.
    #[serde(default)]
    pub floor: bool,
}

/// A currency, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    /// Its code, such as `EUR`.
    pub code: Code,
    /// US dollars for one unit, as the owner has set it.
    pub dollars: Nanos,
}

/// Three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code([u8; 3]);

impl Default for Currency {
    fn default() -> Currency {
        Currency { code: Code(*b"USD"), dollars: Nanos::new(1_000_000_000) }
    }
}

impl std::str::FromStr for Code {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Code, &'static str> {
        let letters: [u8; 3] =
            text.trim().to_ascii_uppercase().into_bytes().try_into().map_err(|_| "not three letters")?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Code(letters)) } else { Err("not three letters") }
    }
}

impl TryFrom<String> for Code {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Code, &'static str> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.0.into_iter().map(char::from).collect()
    }
}

impl Power {
    /// Returns what a kilowatt-hour costs in dollars, rounded up to the nano-dollar.
    pub fn kwh(&self) -> Nanos {
        let one = 1_000_000_000;
        let nanos =
            (i128::from(self.per_kwh.get()) * i128::from(self.currency.dollars.get()) + one - 1) / one;
        Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Returns what an hour of answering costs, rounded up to the nano-dollar.
    pub fn hour(&self) -> Nanos {
        let nanos = (i128::from(self.watts) * i128::from(self.kwh().get()) + 999) / 1_000;
        Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Returns what a million tokens of answers cost at this speed, in micro-dollars, rounded up
    /// to two digits so that a price does not change with every job; `None` at no speed.
    pub fn million_tokens(&self, millitokens_per_second: u64) -> Option<u64> {
        let exact = self.exactly(1_000_000, millitokens_per_second)?.div_ceil(1_000);
        let step = 10_u128.pow(exact.checked_ilog10().unwrap_or_default().saturating_sub(1));
        let rounded = exact.div_ceil(step) * step;
        Some(u64::try_from(rounded).unwrap_or(Price::MAX).min(Price::MAX))
    }

    /// Returns what so many tokens of answers cost at this speed, in nano-dollars; `None` at no speed.
    pub fn of_tokens(&self, tokens: u64, millitokens_per_second: u64) -> Option<Nanos> {
        let nanos = self.exactly(tokens, millitokens_per_second)?;
        Some(Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }

    fn exactly(&self, tokens: u64, millitokens_per_second: u64) -> Option<u128> {
        // Seconds are thousandths of tokens ÷ speed, and an hour's watts are a thousandth of a kilowatt-hour.
        let nanos = u128::from(self.watts) * u128::from(self.kwh().get().unsigned_abs());
        let dividend = nanos.saturating_mul(tokens.into());
        let divisor = u128::from(millitokens_per_second).checked_mul(3_600).filter(|divisor| *divisor > 0)?;
        Some(dividend.div_ceil(divisor))
    }

    /// Tells whether the least that may be paid does not cover the cost.
    pub fn is_above(&self, pricing: Pricing, millitokens_per_second: Option<u64>) -> bool {
        let cost = millitokens_per_second.and_then(|speed| self.million_tokens(speed));
        match pricing {
            Pricing::Hourly { per_hour } => per_hour < self.hour(),
            Pricing::Fixed(least) | Pricing::Market { floor: least } => {
                cost.is_some_and(|cost| least.output < cost)
            }
        }
    }

    /// Returns the cost as a price where the owner never asks less; `None` where he may, or at no speed.
    pub fn least(&self, millitokens_per_second: u64) -> Option<Price> {
        let cost = self.million_tokens(millitokens_per_second).filter(|_| self.floor)?;
        Some(Price::new(0, cost))
    }

    /// Raises a price to the cost where the owner wants that. Until a speed was measured, a price
    /// per token stays as it is.
    #[must_use]
    pub fn raise(&self, pricing: Pricing, millitokens_per_second: Option<u64>) -> Pricing {
        if !self.floor {
            return pricing;
        }
        let cost = millitokens_per_second.and_then(|speed| self.million_tokens(speed)).unwrap_or_default();
        let raised = |price: Price| Price { output: price.output.max(cost), ..price };
        match pricing {
            Pricing::Fixed(price) => Pricing::Fixed(raised(price)),
            Pricing::Market { floor } => Pricing::Market { floor: raised(floor) },
            Pricing::Hourly { per_hour } => Pricing::Hourly { per_hour: per_hour.max(self.hour()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(watts: u32, cents: i64) -> Power {
        let currency = Currency::default();
        Power { watts, per_kwh: Nanos::new(cents * 10_000_000), currency, floor: true }
    }

    #[test]
    fn power_that_is_paid_in_another_currency_is_compared_in_dollars() {
        let currency = Currency { code: "eur".parse().unwrap(), dollars: Nanos::new(1_250_000_000) };
        let euros = Power { currency, ..power(300, 24) };
        assert_eq!((euros.kwh(), euros.hour()), (power(300, 30).kwh(), power(300, 30).hour()));
        assert_eq!(euros.million_tokens(50_000), Some(500_000));
        let json = serde_json::to_value(euros).unwrap();
        assert_eq!(json["currency"], serde_json::json!({"code": "EUR", "dollars": "1.25"}));
        assert_eq!(serde_json::from_value::<Power>(json).unwrap(), euros);
        for bad in ["", "EU", "EURO", "E1R", "€"] {
            assert!(bad.parse::<Code>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_that_were_done_cost_what_their_time_drew() {
        // 180,000 tokens at 50 a second are an hour.
        assert_eq!(power(300, 30).of_tokens(180_000, 50_000), Some(Nanos::new(90_000_000)));
        assert_eq!(power(300, 30).of_tokens(0, 50_000), Some(Nanos::ZERO));
        assert_eq!(power(300, 30).of_tokens(1, 0), None);
    }

    #[test]
    fn cost_follows_from_watts_price_and_speed() {
        // 300 W at 30 cents are 9 cents an hour; at 50 tokens/s that is 180,000 tokens.
        assert_eq!(power(300, 30).hour(), Nanos::new(90_000_000));
        for (watts, cents, speed, micros) in [
            (300, 30, 50_000, Some(500_000)),
            (300, 30, 49_990, Some(510_000)),
            (350, 40, 25_000, Some(1_600_000)),
            (0, 30, 50_000, Some(0)),
            (300, 30, 0, None),
            (u32::MAX, 9_000_000, 1, Some(Price::MAX)),
        ] {
            assert_eq!(power(watts, cents).million_tokens(speed), micros, "{watts} {cents} {speed}");
        }
    }

    #[test]
    fn a_price_below_cost_is_seen_and_raised() {
        let power = power(300, 30);
        let hourly = |nanos| Pricing::Hourly { per_hour: Nanos::new(nanos) };
        let market = |output| Pricing::Market { floor: Price::new(7, output) };
        let fixed = |output| Pricing::Fixed(Price::new(7, output));
        for (given, below, raised) in [
            (fixed(499_999), true, fixed(500_000)),
            (fixed(500_000), false, fixed(500_000)),
            (market(0), true, market(500_000)),
            (hourly(89_999_999), true, hourly(90_000_000)),
            (hourly(90_000_001), false, hourly(90_000_001)),
        ] {
            assert_eq!(power.is_above(given, Some(50_000)), below, "{given:?}");
            assert_eq!(power.raise(given, Some(50_000)), raised, "{given:?}");
            assert_eq!(Power { floor: false, ..power }.raise(given, Some(50_000)), given);
        }
        let dear = |power: Power| power.least(50_000).map(|least| (least.input, least.output > 0));
        assert_eq!([dear(power), dear(Power { floor: false, ..power })], [Some((0, true)), None]);
        // Without a measured speed nothing is said of a price per token.
        assert!(!power.is_above(fixed(0), None));
        assert_eq!(power.raise(fixed(0), None), fixed(0));
    }
}
