//! What every rail has in common, and what it guarantees.

use std::{fmt, future::Future, pin::Pin};

use rekursing_protocol::{Moment, Nanos, PayoutId};

use crate::{BadDestination, Destination, Method, NotKnown, Prepared, Refusal, SubmitError};

/// What a rail answers once it has spoken to the world.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Money that is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The payout. Its id is the idempotency key: one id is never paid twice.
    pub payout: PayoutId,
    /// Where to, as [`Rail::destination`] read it.
    pub destination: Destination,
    /// How much arrives: a whole number of the rail's units, at least its minimum.
    pub amount: Nanos,
}

/// Whether an order may have left before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It certainly has not: it was never submitted, or every submission ended in a [`Refusal`].
    First,
    /// It may have: a submission ended in [`NotKnown`], or the process died during one.
    Again,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The rail has no trace of it. Submit it again.
    Unknown,
    /// The rail has it and has not finished. Look again later.
    Pending {
        /// What it waits for, for the owner to read.
        note: String,
    },
    /// The money has arrived. A rail may still take it back later; looking again then says so.
    Confirmed {
        /// The rail's own name for the payment, for the owner to find it by.
        reference: String,
        /// What the rail took for it, on top of the amount.
        cost: Nanos,
    },
    /// The money is with the operator and does not leave under this order any more.
    Returned {
        /// Why, for the owner to read.
        reason: String,
        /// What the rail took all the same.
        cost: Nanos,
    },
}

/// A way for money to leave.
///
/// # What the caller does
/// 1. It prepares an order, one at a time per rail, and stores the [`Prepared`] bytes durably. Bytes that
///    were not stored are never submitted.
/// 2. It notes durably that it is about to submit, submits the stored bytes, and submits the same bytes
///    again for as long as the answer is [`NotKnown`] or [`Fate::Unknown`]: with [`Attempt::First`] as
///    long as every answer was a refusal, with [`Attempt::Again`] after anything else.
/// 3. It looks until the order is confirmed or returned.
/// 4. After [`Fate::Returned`], or after a [`Refusal`] that it does not want to try again, it closes the
///    order or prepares it anew, and never submits the old bytes again. Only then does the money go back
///    to the owner. It never closes an order whose last answer was [`NotKnown`].
///
/// # What the rail guarantees
/// - The same prepared bytes move money at most once, however often, late or concurrently they are
///   submitted. Bytes too old for the rail's own memory of idempotency keys are not sent.
/// - [`SubmitError::Refused`] says that the order certainly did not leave. It is given for a first attempt
///   alone: a second one that is turned away says nothing of the one before.
/// - Preparing and looking move nothing.
/// - Nothing of the operator's secrets is in a `Debug` form, an error or the prepared bytes.
pub trait Rail: fmt::Debug + Send + Sync {
    /// Returns the method that owners choose it by.
    fn method(&self) -> Method;

    /// Returns the least amount of an order.
    fn minimum(&self) -> Nanos;

    /// Reads where an owner wants money to go.
    ///
    /// # Errors
    /// When it is no destination of this rail, or one where money would be lost.
    fn destination(&self, text: &str) -> Result<Destination, BadDestination>;

    /// Fixes everything that will be sent for an order.
    ///
    /// `standing` are all orders prepared on this rail and not closed, among them those that were confirmed
    /// and may still be taken back: what they have claimed for themselves (a nonce) is not given to another.
    ///
    /// # Errors
    /// When the order cannot be sent. Nothing was.
    fn prepare<'a>(
        &'a self,
        order: &'a Order,
        standing: &'a [Prepared],
        now: Moment,
    ) -> Later<'a, Result<Prepared, Refusal>>;

    /// Sends an order and returns the rail's name for it, which makes looking quicker and later surer.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] when it certainly did not leave, [`SubmitError::NotKnown`] when it may have.
    fn submit<'a>(
        &'a self,
        prepared: &'a Prepared,
        attempt: Attempt,
        now: Moment,
    ) -> Later<'a, Result<String, SubmitError>>;

    /// Finds out what became of a submitted order, by the name that [`Rail::submit`] returned if it did.
    ///
    /// # Errors
    /// When the rail does not tell, or contradicts what was sent.
    fn look<'a>(
        &'a self,
        prepared: &'a Prepared,
        name: Option<&'a str>,
        now: Moment,
    ) -> Later<'a, Result<Fate, NotKnown>>;
}
