//! Premium accounts: what one costs, and whether it goes on.

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{Payer, PremiumRefusal};
use rekursing_protocol::{AccountId, Nanos, Span};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    caller::{self, Caller},
    once,
    posted::{self, Peer, Posted, Shared},
};
use crate::house::House;

/// Whether premium is to go on, and what of its price is agreed to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    renews: bool,
    price: Option<Nanos>,
}

/// `PUT /api/account/premium`
pub(super) async fn put(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    let holder = caller::account(&house, &headers, peer).await?;
    let account = holder.account;
    let caller = Caller { payer: Payer::Page(account), holder: Some(holder) };
    let wanted: Wanted = posted::read(&posted.body)?;
    let named = once::named(&headers, &caller, "/api/account/premium", &posted.body)?;
    once::change(&house, named, account, change(&house, account, wanted)).await
}

async fn change(house: &House, account: AccountId, wanted: Wanted) -> Result<Response, Problem> {
    if !house.desk.store().is_healthy() {
        return Err(Problem::store_down());
    }
    if wanted.renews {
        let agreed = "price is what you agree to pay for each period, in USD as a text";
        let price_max = wanted.price.ok_or_else(|| Problem::field("price", agreed))?;
        house.desk.subscribe(account, price_max).await?;
    } else {
        house.desk.unsubscribe(account).await;
    }
    Ok(Json(view(house, account)).into_response())
}

/// Shows what premium costs and what the account has of it; `null` where there is neither.
pub(super) fn view(house: &House, account: AccountId) -> Value {
    let premium = house.desk.premium(account);
    let price = Some(house.config.money.premium_price).filter(|price| *price > Nanos::ZERO);
    if premium.is_none() && price.is_none() {
        return Value::Null;
    }
    json!({
        "price": price,
        "days": house.config.terms().premium_period.0 / Span::DAY.0,
        "until": premium.map(|premium| premium.until),
        "renews": premium.is_some_and(|premium| premium.renews_for.is_some()),
        "renewsFor": premium.and_then(|premium| premium.renews_for),
    })
}

impl From<PremiumRefusal> for Problem {
    fn from(refusal: PremiumRefusal) -> Problem {
        let (status, code, field) = match refusal {
            PremiumRefusal::NotOffered => (StatusCode::NOT_FOUND, "premium_not_offered", None),
            PremiumRefusal::Dearer { .. } => (StatusCode::CONFLICT, "premium_costs_more", Some("price")),
            PremiumRefusal::Insufficient { .. } => (StatusCode::PAYMENT_REQUIRED, "insufficient_funds", None),
            PremiumRefusal::Refused(_) => (StatusCode::CONFLICT, "not_booked", None),
        };
        Problem { field: field.map(Into::into), ..Problem::new(status, code, refusal.to_string()) }
    }
}
