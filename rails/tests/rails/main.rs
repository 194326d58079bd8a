//! The rails against servers that speak what the real ones speak, on this machine, with faults.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod checkout;
#[cfg(feature = "evm")]
mod evm;
mod paypal;
mod stripe;

use std::time::Duration;

use rekursing_protocol::{Moment, Nanos, PayoutId, Span};
use rekursing_rails::{Attempt, Fate, NotKnown, Order, Prepared, Rail, Refusal, SubmitError};

/// When the tests take place.
const NOW: Moment = Moment(1_780_000_000_000);

/// Longer than any answer takes on this machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// For a server that never answers.
const IMPATIENCE: Duration = Duration::from_millis(700);

fn amount(text: &str) -> Nanos {
    text.parse().unwrap()
}

fn order(rail: &dyn Rail, number: u128, to: &str, dollars: &str) -> Order {
    let destination = rail.destination(to).unwrap();
    Order { payout: PayoutId::from_bits(number), destination, amount: amount(dollars) }
}

/// Prepares an order and takes it through the bytes that a caller stores.
async fn prepared(rail: &dyn Rail, order: &Order) -> Prepared {
    let prepared = rail.prepare(order, &[], NOW).await.unwrap();
    Prepared::from_bytes(&prepared.to_bytes()).unwrap()
}

fn refused(outcome: Result<String, SubmitError>) -> Refusal {
    match outcome {
        Err(SubmitError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn is_silent(outcome: &Result<String, SubmitError>) -> bool {
    matches!(outcome, Err(SubmitError::NotKnown(NotKnown::Silent(_))))
}

fn is_pending(fate: &Fate) -> bool {
    matches!(fate, Fate::Pending { .. })
}

fn days(count: u64) -> Span {
    Span(count * Span::DAY.0)
}

/// Submits the same bytes eight times at once and returns the names that came back.
async fn submit_at_once(rail: &dyn Rail, prepared: &Prepared) -> Vec<Result<String, SubmitError>> {
    futures_util::future::join_all((0..8).map(|_| rail.submit(prepared, Attempt::Again, NOW))).await
}

/// Returns an address at which nobody listens.
async fn nowhere() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
