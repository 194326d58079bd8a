//! Top-ups: how pages pay in, and what that costs them.

use std::path::PathBuf;

use rekursing_protocol::Nanos;
use serde::Deserialize;

/// Top-ups by Stripe Checkout, set up where this table is in the file. The secret key is in a file or in
/// `REKURSING_STRIPE_KEY`, the webhook's secret in a file or in `REKURSING_STRIPE_WEBHOOK_SECRET`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopUps {
    /// Stripe's address.
    pub url: String,
    /// File with the operator's secret key, which only the relay's user can read.
    pub key_file: Option<PathBuf>,
    /// File with the secret of the webhook's endpoint, which only the relay's user can read.
    pub webhook_secret_file: Option<PathBuf>,
    /// What each payment costs whoever pays, in USD.
    pub cost: Nanos,
    /// What it costs on top, in thousandths.
    pub cost_permille: u64,
    /// The least that is paid in at once, in USD.
    pub minimum: Nanos,
    /// The most that is paid in at once, in USD.
    pub maximum: Nanos,
    /// Where the browser goes after paying.
    pub success_url: String,
    /// Where it goes otherwise.
    pub cancel_url: String,
    /// Until Stripe must have answered a request, in milliseconds.
    pub request_ms: u64,
}

/// Stripe's price of a card payment within the United States: 2.9 % and 30 cents.
const COST: Nanos = Nanos::new(300_000_000);

impl Default for TopUps {
    fn default() -> TopUps {
        TopUps {
            url: "https://api.stripe.com".to_owned(),
            key_file: None,
            webhook_secret_file: None,
            cost: COST,
            cost_permille: 29,
            minimum: Nanos::new(5 * Nanos::DOLLAR.get()),
            maximum: Nanos::new(10_000 * Nanos::DOLLAR.get()),
            success_url: "https://rekursing.com/account.html?paid={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://rekursing.com/account.html".to_owned(),
            request_ms: 30_000,
        }
    }
}
