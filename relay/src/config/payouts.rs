//! Payouts: which rails there are, what they take, and who has to agree.

use std::path::PathBuf;

use rekursing_market::payout::Tariff;
use rekursing_protocol::Nanos;
use rekursing_rails::Method;
use serde::Deserialize;

/// Payouts to owners. A rail is set up where its table is in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payouts {
    /// Whether the operator has to approve each payout before it is sent.
    pub approval: bool,
    /// USD up to which an owner's payouts of any seven days need no approval, all together, as a decimal string.
    /// One that would make them more waits; what was approved, was cancelled or came back does not count.
    pub approval_above: Nanos,
    /// Payouts of one owner that may be under way at once.
    pub under_way: u64,
    /// Days for which a payout that arrived is watched, because a rail can take it back.
    pub watch_days: u64,
    /// Until a rail must have answered a request, in milliseconds.
    pub request_ms: u64,
    /// PayPal.
    pub paypal: Option<Paypal>,
    /// Stripe Connect.
    pub stripe: Option<Stripe>,
    /// USDC on an EVM chain.
    pub usdc: Option<Usdc>,
}

/// PayPal Payouts. The secret is in a file or in `REKURSING_PAYPAL_SECRET`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paypal {
    /// PayPal's address; `https://api-m.sandbox.paypal.com` is the sandbox's.
    pub url: String,
    /// The client id of the operator's application.
    pub client: String,
    /// File with its secret, which only the relay's user can read.
    pub secret_file: Option<PathBuf>,
    /// The least that may leave a balance at once, in USD.
    pub minimum: Nanos,
    /// What each payout costs its owner, in USD.
    pub cost: Nanos,
    /// What it costs on top, in thousandths.
    pub cost_permille: u64,
    /// The most that it costs, in USD.
    pub cost_max: Nanos,
}

/// Transfers of Stripe Connect. The key is in a file or in `REKURSING_STRIPE_PAYOUT_KEY`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stripe {
    /// Stripe's address.
    pub url: String,
    /// File with the operator's secret key, which only the relay's user can read.
    pub key_file: Option<PathBuf>,
    /// The least that may leave a balance at once, in USD.
    pub minimum: Nanos,
    /// What each payout costs its owner, in USD.
    pub cost: Nanos,
    /// What it costs on top, in thousandths.
    pub cost_permille: u64,
    /// The most that it costs, in USD.
    pub cost_max: Nanos,
}

/// USDC. The key is in a file or in `REKURSING_USDC_KEY`, the node's address in a file or in
/// `REKURSING_USDC_URL`, because it may hold a key as well.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usdc {
    /// File with the address of a node's JSON-RPC interface, which only the relay's user can read.
    pub url_file: Option<PathBuf>,
    /// File with the private key that pays, which only the relay's user can read.
    pub key_file: Option<PathBuf>,
    /// The chain's number, such as 8453 for Base.
    pub chain: u64,
    /// The address of USDC on that chain, with its checksum.
    pub token: String,
    /// What one whole coin of the chain is worth in USD.
    pub coin_price: Nanos,
    /// Blocks that make a transfer final; 12 if left out.
    pub confirmations: Option<u64>,
    /// The least that may leave a balance at once, in USD; 1 if left out.
    pub minimum: Option<Nanos>,
    /// What each payout costs its owner at most, in USD; 0.10 if left out. While the chain asks for more,
    /// payouts wait.
    pub cost: Option<Nanos>,
}

/// 25 cents, PayPal's price for a payout within the United States.
const PAYPAL_COST: Nanos = Nanos::new(250_000_000);

/// Enough for a transfer on the chains above Ethereum.
const USDC_COST: Nanos = Nanos::new(100_000_000);

/// Blocks that make a transfer final unless the operator says otherwise.
const CONFIRMATIONS: u64 = 12;

impl Default for Payouts {
    fn default() -> Payouts {
        Payouts {
            approval: false,
            approval_above: Nanos::ZERO,
            under_way: 10,
            watch_days: 30,
            request_ms: 30_000,
            paypal: None,
            stripe: None,
            usdc: None,
        }
    }
}

impl Default for Paypal {
    fn default() -> Paypal {
        Paypal {
            url: "https://api-m.paypal.com".to_owned(),
            client: String::new(),
            secret_file: None,
            minimum: Method::Paypal.minimum(),
            cost: PAYPAL_COST,
            cost_permille: 0,
            cost_max: Nanos::MAX,
        }
    }
}

impl Default for Stripe {
    fn default() -> Stripe {
        Stripe {
            url: "https://api.stripe.com".to_owned(),
            key_file: None,
            minimum: Method::Stripe.minimum(),
            cost: Nanos::ZERO,
            cost_permille: 0,
            cost_max: Nanos::MAX,
        }
    }
}

impl Usdc {
    /// Returns how many blocks make a transfer final.
    pub fn confirmations(&self) -> u64 {
        self.confirmations.unwrap_or(CONFIRMATIONS)
    }

    /// Returns the most that a transfer may cost.
    pub fn cost(&self) -> Nanos {
        self.cost.unwrap_or(USDC_COST)
    }
}

impl Payouts {
    /// Returns what a method takes; for one that is not set up, what it takes by default.
    pub fn tariff(&self, method: Method) -> Tariff {
        let tariff = |minimum: Nanos, cost: Nanos, cost_permille: u64, cost_max: Nanos| Tariff {
            minimum,
            unit: method.unit(),
            cost,
            cost_permille: cost_permille.min(1_000),
            cost_max,
        };
        match method {
            Method::Paypal => {
                let Paypal { minimum, cost, cost_permille, cost_max, .. } =
                    self.paypal.clone().unwrap_or_default();
                tariff(minimum, cost, cost_permille, cost_max)
            }
            Method::Stripe => {
                let Stripe { minimum, cost, cost_permille, cost_max, .. } =
                    self.stripe.clone().unwrap_or_default();
                tariff(minimum, cost, cost_permille, cost_max)
            }
            Method::Usdc => {
                let usdc = self.usdc.clone().unwrap_or_default();
                let minimum = usdc.minimum.unwrap_or(Method::Usdc.minimum());
                tariff(minimum, usdc.cost(), 0, usdc.cost())
            }
        }
    }

    /// Returns the amount above which what an owner is paid within seven days needs the operator's approval;
    /// `None` when none does.
    pub fn approval_above(&self) -> Option<Nanos> {
        self.approval.then_some(self.approval_above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Nanos {
        text.parse().unwrap()
    }

    fn parsed(text: &str) -> Payouts {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn methods_have_their_lowest_amounts_and_costs_whether_they_are_set_up_or_not() {
        let payouts = parsed("");
        let takes = |method| {
            let Tariff { minimum, cost, .. } = payouts.tariff(method);
            (minimum, cost)
        };
        assert_eq!(takes(Method::Paypal), (usd("5"), usd("0.25")));
        assert_eq!(takes(Method::Stripe), (usd("25"), Nanos::ZERO));
        assert_eq!(takes(Method::Usdc), (usd("1"), usd("0.1")));
        let payouts = parsed("[paypal]\nminimum = \"10\"\ncost_permille = 20\ncost_max = \"20\"");
        let tariff = payouts.tariff(Method::Paypal);
        assert_eq!((tariff.minimum, tariff.cost_of(usd("100"))), (usd("10"), usd("2.25")));
        assert_eq!(tariff.cost_of(usd("5000")), usd("20"));
    }

    #[test]
    fn no_secret_has_a_place_in_the_file() {
        for text in [
            "[paypal]\nsecret = \"x\"",
            "[stripe]\nkey = \"x\"",
            "[usdc]\nkey = \"x\"",
            "[usdc]\nurl = \"x\"",
        ] {
            assert!(toml::from_str::<Payouts>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn approval_is_asked_for_above_its_amount_and_only_where_it_is_on() {
        assert_eq!(parsed("approval_above = \"100\"").approval_above(), None);
        assert_eq!(parsed("approval = true").approval_above(), Some(Nanos::ZERO));
        assert_eq!(parsed("approval = true\napproval_above = \"100\"").approval_above(), Some(usd("100")));
    }
}
