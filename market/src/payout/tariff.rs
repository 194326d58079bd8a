//! What a payout costs, and what is left of it.

use rekursing_protocol::Nanos;

/// What a method of payout takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// The least that may leave a balance at once.
    pub minimum: Nanos,
    /// The smallest amount that can arrive: a cent, or 10⁻⁶ USDC. Above zero.
    pub unit: Nanos,
    /// What each payout costs.
    pub cost: Nanos,
    /// What it costs on top, in thousandths of what leaves the balance, rounded down.
    pub cost_permille: u64,
    /// The most that it costs.
    pub cost_max: Nanos,
}

/// What a payout would move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// What leaves the owner's balance.
    pub amount: Nanos,
    /// The part of it that the rail may take. What it does not take goes back to the owner.
    pub cost: Nanos,
}

impl Quote {
    /// Returns what arrives.
    ///
    /// # Panics
    /// Never for a quote that a [`Tariff`] made: a cost is a part of its amount.
    pub fn arrives(&self) -> Nanos {
        self.amount.checked_sub(self.cost).expect("a cost is a part of its amount")
    }
}

/// Why there is no quote, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRefusal {
    /// Less than the least.
    #[error("{amount} USD is less than {minimum} USD, the least for this method")]
    BelowMinimum {
        /// What was asked for.
        amount: Nanos,
        /// The least.
        minimum: Nanos,
    },
    /// The owner has less.
    #[error("{amount} USD are more than the {available} USD that are available")]
    Insufficient {
        /// What was asked for.
        amount: Nanos,
        /// What there is.
        available: Nanos,
    },
    /// Less than the smallest step is left after the cost.
    #[error("{}", nothing_left(*.amount, *.cost, *.unit))]
    NothingLeft {
        /// What was asked for.
        amount: Nanos,
        /// What it costs.
        cost: Nanos,
        /// In which steps payouts are made.
        unit: Nanos,
    },
}

impl Tariff {
    /// Returns what it costs to pay an amount out.
    pub fn cost_of(&self, amount: Nanos) -> Nanos {
        let share = amount.checked_share(self.cost_permille, 1_000);
        let cost = share.and_then(|share| share.checked_add(self.cost));
        cost.unwrap_or(Nanos::MAX).min(self.cost_max)
    }

    /// Works out a payout of `asked`, or of everything, for an owner who has `available`. What arrives is
    /// a whole number of units; what is left over of the last one stays in the balance.
    ///
    /// # Errors
    /// When it is too little or too much.
    pub fn quote(&self, asked: Option<Nanos>, available: Nanos) -> Result<Quote, QuoteRefusal> {
        let amount = asked.unwrap_or(available);
        if amount < self.minimum || amount <= Nanos::ZERO {
            return Err(QuoteRefusal::BelowMinimum { amount, minimum: self.minimum });
        }
        if amount > available {
            return Err(QuoteRefusal::Insufficient { amount, available });
        }
        let cost = self.cost_of(amount);
        let left = amount.checked_sub(cost).map_or(0, Nanos::get);
        let arrives = Nanos::new(left - left.rem_euclid(self.unit.get()));
        if arrives <= Nanos::ZERO {
            return Err(QuoteRefusal::NothingLeft { amount, cost, unit: self.unit });
        }
        let amount = arrives.checked_add(cost).unwrap_or(amount);
        Ok(Quote { amount, cost })
    }
}

/// One US cent.
const CENT: Nanos = Nanos::new(10_000_000);

/// Names the rule by which nothing is left to be paid out.
fn nothing_left(amount: Nanos, cost: Nanos, unit: Nanos) -> String {
    let (steps, one) = if unit == CENT {
        ("whole cents".to_owned(), "a cent".to_owned())
    } else {
        (format!("whole steps of {unit} USD"), "one".to_owned())
    };
    if cost == Nanos::ZERO {
        return format!("payouts are {steps}, and {amount} USD is less than {one}");
    }
    format!("payouts are {steps}, and less than {one} of {amount} USD is left after the cost of {cost} USD")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Nanos {
        text.parse().unwrap()
    }

    fn paypal() -> Tariff {
        Tariff {
            minimum: usd("5"),
            unit: usd("0.01"),
            cost: usd("0.25"),
            cost_permille: 0,
            cost_max: Nanos::MAX,
        }
    }

    #[test]
    fn whole_units_arrive_and_the_rest_stays() {
        let international = Tariff { cost: Nanos::ZERO, cost_permille: 20, cost_max: usd("20"), ..paypal() };
        let usdc = Tariff { minimum: usd("1"), unit: usd("0.000001"), cost: usd("0.1"), ..paypal() };
        for (tariff, asked, available, amount, cost, arrives) in [
            (paypal(), Some("5"), "5", "5", "0.25", "4.75"),
            (paypal(), Some("7.129999999"), "9", "7.12", "0.25", "6.87"),
            (paypal(), None, "12.345678901", "12.34", "0.25", "12.09"),
            (international, None, "10.01", "10.0002", "0.2002", "9.8"),
            (international, None, "5000", "5000", "20", "4980"),
            (usdc, Some("1.0000019"), "2", "1.000001", "0.1", "0.900001"),
        ] {
            let quote = tariff.quote(asked.map(usd), usd(available)).unwrap();
            assert_eq!(quote, Quote { amount: usd(amount), cost: usd(cost) }, "{asked:?} of {available}");
            assert_eq!(quote.arrives(), usd(arrives));
        }
    }

    #[test]
    fn whoever_has_less_than_a_step_is_told_the_rule() {
        let free = Tariff { minimum: Nanos::new(1), cost: Nanos::ZERO, cost_permille: 0, ..paypal() };
        let said = |tariff: Tariff, all: &str| tariff.quote(None, usd(all)).unwrap_err().to_string();
        assert_eq!(
            said(free, "0.00040755"),
            "payouts are whole cents, and 0.00040755 USD is less than a cent"
        );
        let costly = Tariff { cost: usd("0.5"), ..free };
        assert_eq!(
            said(costly, "0.505"),
            "payouts are whole cents, and less than a cent of 0.505 USD is left after the cost of 0.5 USD"
        );
        let coins = Tariff { unit: usd("0.000001"), ..free };
        assert_eq!(
            said(coins, "0.0000005"),
            "payouts are whole steps of 0.000001 USD, and 0.0000005 USD is less than one"
        );
    }

    #[test]
    fn too_little_and_too_much_are_refused() {
        let minimum = usd("5");
        for (asked, available, refusal) in [
            (Some("4.99"), "9", QuoteRefusal::BelowMinimum { amount: usd("4.99"), minimum }),
            (Some("4.99"), "1", QuoteRefusal::BelowMinimum { amount: usd("4.99"), minimum }),
            (None, "4.99", QuoteRefusal::BelowMinimum { amount: usd("4.99"), minimum }),
            (Some("-6"), "9", QuoteRefusal::BelowMinimum { amount: usd("-6"), minimum }),
            (Some("6"), "5.5", QuoteRefusal::Insufficient { amount: usd("6"), available: usd("5.5") }),
        ] {
            assert_eq!(paypal().quote(asked.map(usd), usd(available)), Err(refusal), "{asked:?}");
        }
        let free = Tariff { minimum: Nanos::ZERO, ..paypal() };
        let cost = usd("0.25");
        let nothing =
            |amount: &str| Err(QuoteRefusal::NothingLeft { amount: usd(amount), cost, unit: usd("0.01") });
        assert_eq!(free.quote(Some(usd("0.259")), usd("9")), nothing("0.259"));
        assert_eq!(free.quote(Some(usd("0.1")), usd("9")), nothing("0.1"));
        let zero = QuoteRefusal::BelowMinimum { amount: Nanos::ZERO, minimum: Nanos::ZERO };
        assert_eq!(free.quote(None, Nanos::ZERO), Err(zero));
    }

    #[test]
    fn a_cost_past_64_bits_is_the_most() {
        let dear = Tariff { cost_permille: u64::MAX, cost_max: usd("3"), ..paypal() };
        assert_eq!(dear.cost_of(Nanos::MAX), usd("3"));
    }
}
