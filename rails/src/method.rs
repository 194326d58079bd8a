//! The ways that an owner can choose from.

use std::{fmt, str::FromStr};

use rekursing_protocol::Nanos;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// A way for money to reach an owner. Prints, reads and serializes as `paypal`, `stripe`, `usdc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// PayPal, to an e-mail address.
    Paypal,
    /// Stripe Connect, to a connected account.
    Stripe,
    /// USDC on an EVM chain, to an address.
    Usdc,
}

/// The text names no method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payout method is paypal, stripe or usdc")]
pub struct BadMethod;

impl Method {
    /// Every method.
    pub const ALL: [Method; 3] = [Method::Paypal, Method::Stripe, Method::Usdc];

    /// Returns the least amount of a payout unless the operator sets another.
    pub const fn minimum(self) -> Nanos {
        match self {
            Method::Paypal => Nanos::new(5 * Nanos::DOLLAR.get()),
            Method::Stripe => Nanos::new(25 * Nanos::DOLLAR.get()),
            Method::Usdc => Nanos::DOLLAR,
        }
    }

    /// Returns the smallest amount that the method can tell apart: a cent, or 10⁻⁶ USDC.
    pub const fn unit(self) -> Nanos {
        match self {
            Method::Paypal | Method::Stripe => Nanos::new(10_000_000),
            Method::Usdc => Nanos::new(1_000),
        }
    }

    /// Returns an amount as a number of units.
    pub(crate) fn units(self, amount: Nanos, minimum: Nanos) -> Result<u64, Refusal> {
        let unit = self.unit();
        let whole = amount.get() % unit.get() == 0 && amount > Nanos::ZERO;
        let units = u64::try_from(amount.get() / unit.get()).ok().filter(|_| whole);
        let units = units.ok_or(Refusal::Amount { amount, unit })?;
        if amount < minimum {
            return Err(Refusal::BelowMinimum { amount, minimum });
        }
        Ok(units)
    }

    const fn name(self) -> &'static str {
        match self {
            Method::Paypal => "paypal",
            Method::Stripe => "stripe",
            Method::Usdc => "usdc",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = BadMethod;

    fn from_str(text: &str) -> Result<Method, BadMethod> {
        Method::ALL.into_iter().find(|method| method.name() == text).ok_or(BadMethod)
    }
}

/// Writes cents as dollars with two decimals, as PayPal wants them.
pub(crate) fn dollars(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Reads cents that a rail reports.
pub(crate) fn cents(cents: i64) -> Option<Nanos> {
    cents.checked_mul(Method::Stripe.unit().get()).map(Nanos::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_print_and_read_back() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{method}\""));
        }
        assert_eq!("PayPal".parse::<Method>(), Err(BadMethod));
    }

    #[test]
    fn an_amount_is_a_whole_number_of_units_and_at_least_the_minimum() {
        let amount = |text: &str| text.parse::<Nanos>().unwrap();
        let units = |method: Method, text: &str| method.units(amount(text), method.minimum());
        assert_eq!(units(Method::Paypal, "5"), Ok(500));
        assert_eq!(units(Method::Stripe, "25.01"), Ok(2_501));
        assert_eq!(units(Method::Usdc, "1.000001"), Ok(1_000_001));
        for (method, text) in [
            (Method::Paypal, "5.001"),
            (Method::Usdc, "1.0000001"),
            (Method::Paypal, "0"),
            (Method::Paypal, "-5"),
        ] {
            let unit = method.unit();
            assert_eq!(units(method, text), Err(Refusal::Amount { amount: amount(text), unit }), "{text}");
        }
        let minimum = Method::Paypal.minimum();
        let below = Refusal::BelowMinimum { amount: amount("4.99"), minimum };
        assert_eq!(units(Method::Paypal, "4.99"), Err(below));
    }

    #[test]
    fn cents_are_written_as_dollars() {
        assert_eq!(dollars(500), "5.00");
        assert_eq!(dollars(123_407), "1234.07");
        assert_eq!(cents(35), Some(Nanos::new(350_000_000)));
        assert_eq!(cents(i64::MAX), None);
    }
}
