//! Top-ups: a page or an advertiser pays in, and Stripe reports that it did.

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{Account, Payer};
use rekursing_protocol::Nanos;
use rekursing_rails::{
    checkout::{CheckoutError, Page, Purpose},
    webhook,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    caller::{self, Caller},
    once,
    posted::{self, Peer, Posted, Shared},
};
use crate::{
    chance,
    house::House,
    store::OpenedTopUp,
    switches::Feature,
    top_ups::{Quote, TopUps, purse},
};

/// What is to be paid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    amount: Nanos,
    #[serde(rename = "for", default)]
    purpose: Purpose,
}

/// `POST /api/account/top-ups`
pub(super) async fn open(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    // What is paid in can be disputed and then leaves the account, so that is no limited key's to begin.
    let holder = caller::account(&house, &headers, peer).await?;
    let account = holder.account;
    let caller = Caller { payer: Payer::Page(account), holder: Some(holder) };
    house.switches.check(Feature::TopUps)?;
    let top_ups = set_up(&house)?;
    let Wanted { amount, purpose } = posted::read(&posted.body)?;
    let [minimum, maximum] = top_ups.bounds();
    if amount < minimum || amount > maximum || amount.get() % CENT != 0 {
        let message = format!("a top-up is whole cents, from {minimum} to {maximum} USD");
        return Err(Problem::field("amount", &message));
    }
    if !house.rates.key(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many payments were begun from this address; wait a minute"));
    }
    let named = once::named(&headers, &caller, "/api/account/top-ups", &posted.body)?;
    // Asked again with the same name, Stripe answers with the same page, also when a crash lay between.
    let key = named.as_ref().map_or_else(|| chance::hex(&chance::bytes::<16>()), once::Named::fingerprint);
    let made = format!("page:{key}");
    let opened = async {
        let page = top_ups.open(account, purpose, amount, &key).await.map_err(|error| failed(&error))?;
        opened(&house, page, purse(account, purpose), purpose, top_ups.quote(amount), made.clone()).await
    };
    once::once(&house, named, made.clone(), opened).await
}

/// Keeps what is shown of a page that was opened, and shows it.
async fn opened(
    house: &House,
    page: Page,
    to: Account,
    purpose: Purpose,
    quote: Quote,
    made: String,
) -> Result<Response, Problem> {
    let Quote { amount, cost, credit } = quote;
    let view = json!({
        "session": page.id, "url": page.url, "for": purpose, "amount": amount, "cost": cost, "credit": credit,
    });
    let opened = OpenedTopUp { session: page.id, to, amount, cost, made };
    house.desk.store().opened(house.desk.now(), opened).await.map_err(Problem::unstored("a top-up"))?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// `POST /api/stripe/webhook`
pub(super) async fn webhook(
    State(house): Shared,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let top_ups = set_up(&house)?;
    let signature = headers.get("stripe-signature").and_then(|text| text.to_str().ok()).unwrap_or_default();
    let secret = top_ups.webhook_secret();
    let report = webhook::read(&body, signature, secret, house.desk.wall()).map_err(|bad| {
        tracing::warn!(%bad, "a report that is not believed to be Stripe's");
        Problem::new(StatusCode::BAD_REQUEST, "bad_signature", bad.to_string())
    })?;
    if !house.desk.store().is_healthy() {
        return Err(Problem::store_down());
    }
    let id = report.id;
    top_ups.book(&house.desk, report.event).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), event = id, "could not book what Stripe reports");
        Problem::store_down()
    })?;
    // Who has paid in, or has got it back, may be verified now or no longer.
    house.keys.forget();
    Ok(Json(json!({"received": true})))
}

/// Nano-dollars of a cent.
const CENT: i64 = 10_000_000;

fn set_up(house: &House) -> Result<&TopUps, Problem> {
    house.top_ups.as_ref().ok_or_else(|| {
        let message = "this relay takes no payments: its operator has not set Stripe up; ask him for credit";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "top_ups_not_set_up", message)
    })
}

fn failed(error: &CheckoutError) -> Problem {
    tracing::error!(%error, source = ?std::error::Error::source(error), "Stripe opened no page");
    let message = "the payment service opened no page; nothing was paid";
    Problem {
        retry_after: Some(5),
        ..Problem::new(StatusCode::BAD_GATEWAY, "payment_service_failed", message)
    }
}
