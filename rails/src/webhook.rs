//! What Stripe reports of top-ups: its signature, and the events that matter.
//!
//! Stripe sends an event at least once and in any order. Every event has an id, and what it is about has
//! one too; whoever books it makes the entry's id of the latter.

use hmac::{Hmac, KeyInit, Mac};
use rekursing_protocol::{AccountId, Moment, Nanos, Span};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use crate::{Secret, checkout::Purpose, hex, method::cents};

/// How far the time of a signature may be from the present, either way.
pub const TOLERANCE: Span = Span::secs(5 * 60);

/// Most signatures of one event that are looked at. Stripe sends two while a secret is exchanged.
const SIGNATURES_MAX: usize = 8;

/// Why a report is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    /// The header is not `t=…,v1=…`.
    #[error("the Stripe-Signature header does not read")]
    Header,
    /// No signature of it is made with the secret.
    #[error("the signature is not Stripe's")]
    Signature,
    /// It was signed too long ago, or lies ahead.
    #[error("the signature is not of the last five minutes")]
    Time,
    /// It is signed, but no event of the form that is known here.
    #[error("the event does not read")]
    Event,
}

/// A report of Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The event's id, `evt_…`. The same event comes with the same id.
    pub id: String,
    /// What happened.
    pub event: Event,
}

/// What happened to a top-up. Payments and charges without an account in their metadata, what is not in
/// dollars, and what went back of a charge without a payment, are no top-ups: the operator may sell other things through the same account of Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody paid, at once or some days later.
    Paid(Payment),
    /// Somebody went through the page and the money is still on its way. `Paid` or `Failed` follows.
    Awaited(Payment),
    /// The money did not come.
    Failed(Payment),
    /// Money went back to a card.
    Refunded {
        /// The charge, `ch_…`.
        charge: String,
        /// The payment that it belongs to, `pi_…`.
        payment: String,
        /// All that is back of this charge as of `told`, not only this time.
        amount: Nanos,
        /// When Stripe saw it so.
        told: Moment,
    },
    /// Money that was to go back to a card did not arrive, and is here again.
    RefundFailed {
        /// The refund, `re_…`.
        refund: String,
        /// The charge that it is a part of, `ch_…`.
        charge: String,
        /// The payment that it belongs to, `pi_…`.
        payment: String,
        /// How much of it was to go back.
        amount: Nanos,
        /// When Stripe saw it so.
        told: Moment,
    },
    /// Somebody disputes a payment with their bank, and Stripe has taken the money back. A dispute that is
    /// only announced, or an inquiry, takes nothing.
    Withdrawn(Dispute),
    /// A dispute was won, and the money is here again.
    Reinstated(Dispute),
    /// Something that does not concern top-ups.
    Other,
}

/// A top-up that went through the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The Checkout Session, `cs_…`.
    pub session: String,
    /// The payment, `pi_…`.
    pub payment: Option<String>,
    /// Whose balance grows.
    pub account: AccountId,
    /// Which of its balances.
    pub purpose: Purpose,
    /// How much was charged.
    pub amount: Nanos,
}

/// A dispute over a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Its id, `dp_…` or `du_…`.
    pub id: String,
    /// The payment that it is about.
    pub payment: String,
    /// How much is disputed.
    pub amount: Nanos,
    /// Stripe's word for why, such as `fraudulent`.
    pub reason: String,
    /// When Stripe saw it so.
    pub told: Moment,
}

/// Reads a report, after its signature: `body` is what came, to the byte, `signature` the header
/// `Stripe-Signature`, `secret` the endpoint's `whsec_…`.
///
/// # Errors
/// When it is not Stripe's, not of the present, or does not read. A report that does not read for its
/// form should be answered with an error, so that Stripe sends it again.
pub fn read(body: &[u8], signature: &str, secret: &Secret, now: Moment) -> Result<Report, BadReport> {
    verify(body, signature, secret, now)?;
    let envelope = serde_json::from_slice::<Envelope>(body).map_err(|_| BadReport::Event)?;
    let told = Moment(envelope.created.saturating_mul(1_000));
    let event = event(&envelope.kind, envelope.data.object, told).ok_or(BadReport::Event)?;
    Ok(Report { id: envelope.id, event })
}

/// Checks that Stripe signed a body within [`TOLERANCE`]. Signatures are compared in constant time.
///
/// # Errors
/// When the header does not read, no signature fits, or the time is not the present.
pub fn verify(body: &[u8], signature: &str, secret: &Secret, now: Moment) -> Result<(), BadReport> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in signature.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => time = Some(text),
            Some(("v1", text)) if signatures.len() < SIGNATURES_MAX => signatures.push(text),
            Some(_) | None => {}
        }
    }
    let time = time.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).ok_or(BadReport::Header)?;
    let secs = time.parse::<u64>().map_err(|_| BadReport::Header)?;
    if signatures.is_empty() {
        return Err(BadReport::Header);
    }
    let fits = |text: &str| {
        let mut mac = mac(secret);
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        hex::decode(text).is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
    };
    if !signatures.into_iter().any(fits) {
        return Err(BadReport::Signature);
    }
    let signed = Moment(secs.saturating_mul(1_000));
    if now.since(signed) > TOLERANCE || signed.since(now) > TOLERANCE {
        return Err(BadReport::Time);
    }
    Ok(())
}

fn mac(secret: &Secret) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.show().as_bytes()).expect("HMAC takes keys of any length")
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// Seconds since 1970.
    #[serde(default)]
    created: u64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    payment_intent: Option<String>,
    payment_status: String,
    amount_total: Option<i64>,
    currency: Option<String>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    payment_intent: Option<String>,
    amount_refunded: i64,
    currency: String,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    charge: Option<String>,
    payment_intent: Option<String>,
    amount: i64,
    currency: String,
    status: Option<String>,
}

#[derive(Deserialize)]
struct Disputed {
    id: String,
    payment_intent: Option<String>,
    amount: i64,
    currency: String,
    reason: String,
}

/// Reads what happened; `None` when the form is not the one that is known here.
fn event(kind: &str, object: Value, told: Moment) -> Option<Event> {
    match kind {
        "checkout.session.completed" => {
            let session = serde_json::from_value::<Session>(object).ok()?;
            Some(match session.payment_status.as_str() {
                "paid" => session.payment().map_or(Event::Other, Event::Paid),
                "unpaid" => session.payment().map_or(Event::Other, Event::Awaited),
                _ => Event::Other,
            })
        }
        "checkout.session.async_payment_succeeded" => {
            let session = serde_json::from_value::<Session>(object).ok()?;
            Some(session.payment().map_or(Event::Other, Event::Paid))
        }
        "checkout.session.async_payment_failed" => {
            let session = serde_json::from_value::<Session>(object).ok()?;
            Some(session.payment().map_or(Event::Other, Event::Failed))
        }
        "charge.refunded" => {
            let charge = serde_json::from_value::<Charge>(object).ok()?;
            Some(charge.refund(told).unwrap_or(Event::Other))
        }
        // Stripe tells the same of a refund that failed in up to three events.
        "refund.failed" | "refund.updated" | "charge.refund.updated" => {
            let refund = serde_json::from_value::<Refund>(object).ok()?;
            Some(refund.failed(told).unwrap_or(Event::Other))
        }
        "charge.dispute.funds_withdrawn" => {
            let disputed = serde_json::from_value::<Disputed>(object).ok()?;
            Some(disputed.dispute(told).map_or(Event::Other, Event::Withdrawn))
        }
        "charge.dispute.funds_reinstated" => {
            let disputed = serde_json::from_value::<Disputed>(object).ok()?;
            Some(disputed.dispute(told).map_or(Event::Other, Event::Reinstated))
        }
        _ => Some(Event::Other),
    }
}

impl Session {
    fn payment(self) -> Option<Payment> {
        Some(Payment {
            account: account(&self.metadata)?,
            purpose: purpose(&self.metadata)?,
            amount: dollars(self.amount_total?, &self.currency?)?,
            session: self.id,
            payment: self.payment_intent,
        })
    }
}

impl Charge {
    fn refund(self, told: Moment) -> Option<Event> {
        account(&self.metadata)?;
        let amount = dollars(self.amount_refunded, &self.currency)?;
        Some(Event::Refunded { charge: self.id, payment: self.payment_intent?, amount, told })
    }
}

impl Refund {
    /// Returns what it means when it did not go through, in the end or because it was called off.
    fn failed(self, told: Moment) -> Option<Event> {
        self.status.filter(|status| matches!(status.as_str(), "failed" | "canceled"))?;
        Some(Event::RefundFailed {
            refund: self.id,
            charge: self.charge?,
            payment: self.payment_intent?,
            amount: dollars(self.amount, &self.currency)?,
            told,
        })
    }
}

impl Disputed {
    fn dispute(self, told: Moment) -> Option<Dispute> {
        Some(Dispute {
            id: self.id,
            payment: self.payment_intent?,
            amount: dollars(self.amount, &self.currency)?,
            reason: self.reason,
            told,
        })
    }
}

fn account(metadata: &Value) -> Option<AccountId> {
    metadata.get("account")?.as_str()?.parse().ok()
}

/// Reads what a payment is for; without a word, for answers. What another relay's words mean is not guessed.
fn purpose(metadata: &Value) -> Option<Purpose> {
    match metadata.get("for") {
        Some(purpose) => serde_json::from_value(purpose.clone()).ok(),
        None => Some(Purpose::default()),
    }
}

/// The largest amount that Stripe charges, in cents: eight digits, by its reference of a charge's `amount`. What is
/// told to be more is no payment, and must not fill the ledger's 64 bits.
const CENTS_MAX: i64 = 99_999_999;

fn dollars(amount: i64, currency: &str) -> Option<Nanos> {
    cents(amount).filter(|_| currency == "usd" && (0..=CENTS_MAX).contains(&amount))
}

#[cfg(test)]
mod tests;
