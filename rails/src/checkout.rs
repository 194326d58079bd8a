//! Top-ups by Stripe Checkout: a page of Stripe's on which a page's owner pays by card.
//!
//! Opening one moves no money. What was paid is told by the events that [`crate::webhook`] reads.

use std::time::Duration;

use rekursing_protocol::{AccountId, Nanos};
use serde::{Deserialize, Serialize};

use crate::{
    BadSetup, Method, Refusal, Secret, SubmitError,
    http::Silence,
    stripe::{Api, complaint, form},
};

/// The least that Stripe charges to a card.
const MINIMUM: Nanos = Nanos::new(500_000_000);

/// Opens pages of Stripe Checkout.
#[derive(Debug)]
pub struct Checkout {
    api: Api,
}

/// What a top-up is to be spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Answers.
    #[default]
    Answers,
    /// The account's own ads beside the answers of others.
    Ads,
}

/// A top-up that somebody wants to pay.
#[derive(Debug, Clone)]
pub struct TopUp {
    /// Whose balance grows.
    pub account: AccountId,
    /// Which of its balances.
    pub purpose: Purpose,
    /// How much is charged: whole cents, at least half a dollar.
    pub amount: Nanos,
    /// Where the browser goes after paying.
    pub success_url: String,
    /// Where it goes otherwise.
    pub cancel_url: String,
    /// The idempotency key, 1 to 255 characters: the same top-up under the same key is the same page.
    pub key: String,
}

/// A page on which to pay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// The Checkout Session, `cs_…`. Its events carry it.
    pub id: String,
    /// Where to send the browser.
    pub url: String,
}

/// Why there is no page. Trying again under the same key is always safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutError {
    /// The amount, a URL or the key is none.
    #[error("{0}")]
    Bad(&'static str),
    /// Stripe refused.
    #[error("Stripe opened no page")]
    Refused(#[source] Refusal),
    /// Stripe did not answer, or not to the point.
    #[error("Stripe does not answer: {0}")]
    Silent(String),
}

impl Checkout {
    /// Sets Stripe up with its address and the operator's secret key. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address is not one to send money through.
    pub fn new(url: &str, key: Secret, patience: Duration) -> Result<Checkout, BadSetup> {
        Ok(Checkout { api: Api::new(url, key, patience)? })
    }

    /// Opens a page for a top-up.
    ///
    /// # Errors
    /// When the top-up makes no sense, or Stripe refuses or does not answer.
    pub async fn open(&self, top_up: &TopUp) -> Result<Page, CheckoutError> {
        let body = body(top_up)?;
        let reply = match self.api.post("/v1/checkout/sessions", body, &top_up.key).await {
            Ok(reply) => reply,
            Err(Silence::Unreached(words) | Silence::Lost(words)) => {
                return Err(CheckoutError::Silent(words));
            }
        };
        if reply.status != 200 {
            return Err(match complaint(&reply) {
                SubmitError::Refused(refusal) => CheckoutError::Refused(refusal),
                SubmitError::NotKnown(not_known) => CheckoutError::Silent(not_known.to_string()),
            });
        }
        reply.json().ok_or_else(|| CheckoutError::Silent("the answer is no page".to_owned()))
    }
}

fn body(top_up: &TopUp) -> Result<String, CheckoutError> {
    let cents = Method::Stripe.units(top_up.amount, MINIMUM);
    let cents = cents.map_err(|_| CheckoutError::Bad("a top-up is whole cents, at least 0.50 USD"))?;
    let cents = cents.to_string();
    if !is_web(&top_up.success_url) || !is_web(&top_up.cancel_url) {
        return Err(CheckoutError::Bad("a browser comes back to an http:// or https:// address"));
    }
    let key = &top_up.key;
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CheckoutError::Bad("an idempotency key is 1 to 255 printable ASCII characters"));
    }
    let account = top_up.account.to_string();
    let mut fields = vec![
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", &cents),
        ("line_items[0][price_data][product_data][name]", top_up.purpose.product()),
        ("client_reference_id", &account),
        ("metadata[account]", &account),
        // A refund is told of the charge, which has the metadata of its payment.
        ("payment_intent_data[metadata][account]", &account),
        ("success_url", &top_up.success_url),
        ("cancel_url", &top_up.cancel_url),
    ];
    match top_up.purpose {
        Purpose::Answers => {}
        Purpose::Ads => fields.push(("metadata[for]", "ads")),
    }
    Ok(form(&fields))
}

impl Purpose {
    /// Returns what the page to pay on calls it.
    const fn product(self) -> &'static str {
        match self {
            Purpose::Answers => "Rekursing credit",
            Purpose::Ads => "Rekursing credit for ads",
        }
    }
}

fn is_web(url: &str) -> bool {
    // Stripe replaces `{CHECKOUT_SESSION_ID}` in it, which is not a character of a URL.
    let plain = url.replace("{CHECKOUT_SESSION_ID}", "");
    let url = reqwest::Url::parse(&plain).ok();
    url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
