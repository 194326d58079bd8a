//! An order with everything that will be sent for it fixed.

use std::fmt;

use rekursing_protocol::{Moment, Nanos, PayoutId, Span};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Method, Order, Refusal, hex};

/// Which form the bytes have.
const VERSION: u32 = 1;

/// How far a clock may be set back between two looks at it.
const CLOCK_ROOM: Span = Span::secs(5 * 60);

/// An order with everything that will be sent for it fixed. The caller stores its bytes before it
/// submits it. They hold no secret, but whom the money goes to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    version: u32,
    pub(crate) method: Method,
    pub(crate) payout: PayoutId,
    pub(crate) destination: String,
    pub(crate) amount: Nanos,
    pub(crate) made: Moment,
    /// What is sent, to the byte: a JSON or form body, or a signed transaction in hex.
    pub(crate) body: String,
    /// The place of a signed transaction in its account's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<u64>,
    /// As which account of the operator's the rail was set up, see [`account`]; nothing in bytes of a time before
    /// that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

/// Returns a name for one of the operator's accounts at a rail: the first half of SHA-256 of what opens it, of which
/// nobody can tell what that is.
pub(crate) fn account(opened_by: &str) -> String {
    hex::encode(&Sha256::digest(opened_by)[..16])
}

/// The bytes are no prepared order.
#[derive(Debug, thiserror::Error)]
#[error("these bytes are no prepared order of a form that is known here")]
pub struct BadPrepared(#[source] Option<serde_json::Error>);

impl Prepared {
    pub(crate) fn new(order: &Order, body: String, nonce: Option<u64>, now: Moment) -> Prepared {
        Prepared {
            version: VERSION,
            method: order.destination.method(),
            payout: order.payout,
            destination: order.destination.text().to_owned(),
            amount: order.amount,
            made: now,
            body,
            nonce,
            account: None,
        }
    }

    /// Adds as which account the rail is set up.
    pub(crate) fn by(self, account: &str) -> Prepared {
        Prepared { account: Some(account.to_owned()), ..self }
    }

    /// Tells whether the rail is set up as the same account as when this was prepared. Another account knows nothing
    /// of what the first was sent, and would do it again.
    pub(crate) fn is_by(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
    }

    /// Returns the bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain fields always serialize")
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are not what [`Prepared::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Prepared, BadPrepared> {
        let prepared: Prepared = serde_json::from_slice(bytes).map_err(|error| BadPrepared(Some(error)))?;
        if prepared.version != VERSION {
            return Err(BadPrepared(None));
        }
        Ok(prepared)
    }

    /// Returns the rail's method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the payout.
    pub fn payout(&self) -> PayoutId {
        self.payout
    }

    /// Returns how much arrives.
    pub fn amount(&self) -> Nanos {
        self.amount
    }

    /// Checks that the order is this rail's.
    pub(crate) fn of(&self, method: Method) -> Result<(), Refusal> {
        if self.method == method { Ok(()) } else { Err(Refusal::Foreign) }
    }

    pub(crate) fn is_older_than(&self, age: Span, now: Moment) -> bool {
        now.since(self.made) > age
    }

    /// Tells whether a rail that remembers for so long certainly notices a repetition. What was made
    /// ahead of the present was made by a clock that was wrong, and is as old as may be.
    pub(crate) fn is_remembered(&self, memory: Span, now: Moment) -> bool {
        !self.is_older_than(memory, now) && self.made.since(now) <= CLOCK_ROOM
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("method", &self.method)
            .field("payout", &self.payout)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

impl Order {
    /// Checks what every rail checks, and returns the amount in units.
    pub(crate) fn check(
        &self,
        method: Method,
        minimum: Nanos,
        standing: &[Prepared],
    ) -> Result<u64, Refusal> {
        if self.destination.method() != method {
            return Err(Refusal::Foreign);
        }
        if standing.iter().any(|prepared| prepared.payout == self.payout) {
            return Err(Refusal::Standing);
        }
        method.units(self.amount, minimum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Destination;

    fn order() -> Order {
        let destination = Destination::paypal("ada@example.com").unwrap();
        let amount = Nanos::new(7 * Nanos::DOLLAR.get());
        Order { payout: PayoutId::from_bits(7), destination, amount }
    }

    #[test]
    fn the_bytes_read_back_and_bytes_of_another_form_are_refused() {
        let prepared = Prepared::new(&order(), "{}".into(), None, Moment(5));
        let bytes = prepared.to_bytes();
        assert_eq!(Prepared::from_bytes(&bytes).unwrap(), prepared);
        let later = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(Prepared::from_bytes(later.as_bytes()).is_err());
        assert!(Prepared::from_bytes(b"").is_err());
    }

    #[test]
    fn what_a_wrong_clock_made_counts_as_forgotten() {
        let prepared = Prepared::new(&order(), "{}".into(), None, Moment(0) + Span::DAY);
        let memory = Span::secs(60);
        let made = Moment(0) + Span::DAY;
        assert!(prepared.is_remembered(memory, made));
        assert!(prepared.is_remembered(memory, made + memory));
        assert!(prepared.is_remembered(memory, made - CLOCK_ROOM));
        assert!(!prepared.is_remembered(memory, made + memory + Span(1)));
        assert!(!prepared.is_remembered(memory, made - CLOCK_ROOM - Span(1)));
    }

    #[test]
    fn bytes_say_by_which_account_and_not_what_opens_it() {
        let (own, other) = (account("sk_test_own"), account("sk_test_other"));
        let prepared = Prepared::new(&order(), "{}".into(), None, Moment(5));
        assert!(prepared.is_by(&own) && prepared.is_by(&other), "of a time before it was kept");
        let prepared = Prepared::from_bytes(&prepared.by(&own).to_bytes()).unwrap();
        assert_eq!([prepared.is_by(&own), prepared.is_by(&other)], [true, false]);
        assert!(!String::from_utf8(prepared.to_bytes()).unwrap().contains("sk_test"));
    }

    #[test]
    fn debug_names_nobody() {
        let prepared = Prepared::new(&order(), "{\"receiver\":\"ada@example.com\"}".into(), None, Moment(5));
        assert!(!format!("{prepared:?}").contains("ada"));
    }

    #[test]
    fn a_payout_is_prepared_once_and_on_its_own_rail() {
        let prepared = Prepared::new(&order(), "{}".into(), None, Moment(5));
        let minimum = Method::Paypal.minimum();
        assert_eq!(order().check(Method::Paypal, minimum, &[]), Ok(700));
        assert_eq!(order().check(Method::Paypal, minimum, &[prepared]), Err(Refusal::Standing));
        assert_eq!(order().check(Method::Stripe, minimum, &[]), Err(Refusal::Foreign));
    }
}
