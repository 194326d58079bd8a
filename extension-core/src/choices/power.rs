//! What the power costs that an answer draws.
//!
//! An hour of answering costs `watts / 1000 × price per kWh`. In it `tokens per second × 3600`
//! tokens of answers are made, so a million of them cost
//! `watts × price per kWh / (3.6 × tokens per second)`. The speed is that of single jobs:
//! where several run at once, the machine makes more for the same power, and a token costs less. The time of reading the prompt is not in the
//! measured speed and not in the cost.

use rekursing_protocol::{Nanos, Price, Pricing};
use serde::{Deserialize, Serialize};

/// What the machine draws while it answers, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Power {
    /// Watts while it answers.
    pub watts: u32,
    /// US dollars per kilowatt-hour.
    pub per_kwh: Nanos,
    /// Whether nothing is offered below cost.
    #[serde(default)]
    pub floor: bool,
}

impl Power {
    /// Returns what an hour of answering costs, rounded up to the nano-dollar.
    pub fn hour(&self) -> Nanos {
        let nanos = (i128::from(self.watts) * i128::from(self.per_kwh.get()) + 999) / 1_000;
        Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// Returns what a million tokens of answers cost at this speed, in micro-dollars, rounded up
    /// to two digits so that a price does not change with every job; `None` at no speed.
    pub fn million_tokens(&self, millitokens_per_second: u64) -> Option<u64> {
        // Watts × nano-dollars ÷ (3.6 × thousandths of tokens per second) are micro-dollars.
        let dividend = u128::from(self.watts) * u128::from(self.per_kwh.get().unsigned_abs()) * 10;
        let divisor = u128::from(millitokens_per_second).checked_mul(36).filter(|divisor| *divisor > 0)?;
        let exact = dividend.div_ceil(divisor);
        let step = 10_u128.pow(exact.checked_ilog10().unwrap_or_default().saturating_sub(1));
        let rounded = exact.div_ceil(step) * step;
        Some(u64::try_from(rounded).unwrap_or(Price::MAX).min(Price::MAX))
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
        Power { watts, per_kwh: Nanos::new(cents * 10_000_000), floor: true }
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
        // Without a measured speed nothing is said of a price per token.
        assert!(!power.is_above(fixed(0), None));
        assert_eq!(power.raise(fixed(0), None), fixed(0));
    }
}
