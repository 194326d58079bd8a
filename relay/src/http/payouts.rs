//! The routes of payouts: an owner's own, and the operator's over all.
//!
//! What changes something runs in a task of its own, so that a caller who hangs up leaves nothing half
//! done.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::payout::Schedule;
use rekursing_protocol::{Nanos, PayoutId};
use rekursing_rails::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, once, operator,
    plugins::owner,
    posted::{self, Posted},
};
use crate::{
    house::House,
    payouts::{self, Asked, Denial, Wish},
    store::{Act, Deed},
};

type Shared = State<Arc<House>>;

/// The plugin in a path.
type Plugin = Result<Path<String>, PathRejection>;

/// Longest destination that is looked at, in bytes.
const DESTINATION_BYTES_MAX: usize = 200;

/// Longest reason of the operator, in characters.
const REASON_MAX: usize = 200;

/// The body of `PUT /api/plugin/payouts/{pluginId}/method`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodWish {
    method: Method,
    destination: String,
    #[serde(default)]
    threshold: Option<Nanos>,
    #[serde(default)]
    schedule: Option<String>,
}

/// The body of `POST /api/plugin/payouts/{pluginId}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// USD, or `all`.
    amount: String,
    /// The cost that was shown.
    #[serde(default)]
    accept: Option<Nanos>,
}

/// The body of `POST /api/operator/payouts/{payoutId}/cancel`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    #[serde(default)]
    reason: Option<String>,
}

/// `GET /api/plugin/payouts/{pluginId}`
pub(super) async fn list(
    State(house): Shared,
    plugin: Plugin,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers)?;
    Ok(Json(house.payouts.view(owner, house.desk.now()).await?))
}

/// `POST /api/plugin/payouts/{pluginId}`
pub(super) async fn ask(
    State(house): Shared,
    plugin: Plugin,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers)?;
    let Order { amount, accept } = posted::read(&body)?;
    let wrong =
        || Problem::field("amount", "an amount is USD as a decimal text such as \"5.00\", or \"all\"");
    let amount = if amount == "all" { None } else { Some(amount.parse().map_err(|_| wrong())?) };
    let named = once::named_by_owner(&headers, owner, "/api/plugin/payouts", &body)?;
    let id = payouts::new_id(house.desk.now());
    let asked = whole(&house, move |house| async move {
        house.payouts.ask(id, owner, amount, accept, house.desk.now()).await
    });
    let answered = async {
        Ok(match asked.await? {
            Asked::Quoted(method, quote) => {
                let quote = json!({ "quote": house.payouts.quote_view(&method, quote) });
                once::fruitless((StatusCode::OK, Json(quote)).into_response())
            }
            Asked::Made(payout) => {
                let payout = json!({ "payout": house.payouts.payout_view(&payout) });
                (StatusCode::CREATED, Json(payout)).into_response()
            }
        })
    };
    once::once(&house, named, format!("payout_requested:{id}"), answered).await
}

/// `GET /api/plugin/payouts/{pluginId}/method`
pub(super) async fn method(
    State(house): Shared,
    plugin: Plugin,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers)?;
    let method = house.payouts.method(owner).await?.ok_or(Denial::NoMethod)?;
    Ok(Json(house.payouts.method_view(&method, house.desk.now())))
}

/// `PUT /api/plugin/payouts/{pluginId}/method`
pub(super) async fn set_method(
    State(house): Shared,
    plugin: Plugin,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers)?;
    let MethodWish { method, destination, threshold, schedule } = posted::read(&body)?;
    if destination.len() > DESTINATION_BYTES_MAX {
        return Err(Problem::field("destination", "a destination has at most 200 characters"));
    }
    let schedule = schedule.map_or(Ok(Schedule::Manual), |text| text.parse());
    let schedule = schedule.map_err(|bad| Problem::field("schedule", &bad.to_string()))?;
    let wish = Wish { method, destination, threshold, schedule };
    let set =
        whole(
            &house,
            move |house| async move { house.payouts.set_method(owner, wish, house.desk.now()).await },
        );
    Ok(Json(house.payouts.method_view(&set.await?, house.desk.now())))
}

/// `DELETE /api/plugin/payouts/{pluginId}/method`
pub(super) async fn remove_method(
    State(house): Shared,
    plugin: Plugin,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers)?;
    house.payouts.remove_method(owner, house.desk.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/plugin/payouts/{pluginId}/{payoutId}`
pub(super) async fn cancel(
    State(house): Shared,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller::origin(&house, &headers)?;
    let Path((plugin, payout)) = path?;
    let owner = owner(&house, &plugin, &headers)?;
    let id: PayoutId = payout.parse().map_err(|_| Denial::NotFound)?;
    let cancelled = whole(&house, move |house| async move {
        house.payouts.cancel(id, Some(owner), "cancelled by the owner", house.desk.now()).await
    });
    Ok(Json(json!({ "payout": house.payouts.payout_view(&cancelled.await?) })))
}

/// `GET /api/operator/payouts`
pub(super) async fn under_way(State(house): Shared, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    Ok(Json(house.payouts.under_way_view(house.desk.now()).await?))
}

/// `POST /api/operator/payouts/{payoutId}/approve`
pub(super) async fn approve(
    State(house): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    payout: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    _: Posted,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let id = named(payout)?;
    let who = operator::who(&house, &headers, peer);
    let approved = whole(&house, move |house| async move {
        let approved = house.payouts.approve(id, house.desk.now()).await?;
        log(&house, Act::of(&who, Deed::PayoutApproved, id, "")).await?;
        Ok(approved)
    });
    let approved = approved.await?;
    Ok(Json(json!({ "payout": house.payouts.operator_view(&approved, house.desk.now()) })))
}

/// `POST /api/operator/payouts/{payoutId}/cancel`
pub(super) async fn refuse(
    State(house): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    payout: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let id = named(payout)?;
    let Refusal { reason } = posted::read(&body)?;
    let reason = reason.unwrap_or_else(|| "cancelled by the operator".to_owned());
    if reason.chars().count() > REASON_MAX {
        return Err(Problem::field("reason", "a reason has at most 200 characters"));
    }
    let who = operator::who(&house, &headers, peer);
    let cancelled = whole(&house, move |house| async move {
        let cancelled = house.payouts.cancel(id, None, &reason, house.desk.now()).await?;
        log(&house, Act::of(&who, Deed::PayoutCancelled, id, &reason)).await?;
        Ok(cancelled)
    });
    let cancelled = cancelled.await?;
    Ok(Json(json!({ "payout": house.payouts.operator_view(&cancelled, house.desk.now()) })))
}

fn named(payout: Result<Path<String>, PathRejection>) -> Result<PayoutId, Problem> {
    let Path(payout) = payout?;
    payout.parse().map_err(|_| Denial::NotFound.into())
}

/// Stores what the operator did, behind it.
async fn log(house: &House, act: Act) -> Result<(), Denial> {
    let stored = house.desk.store().log(house.desk.now(), act).await;
    stored.map_err(|_| anyhow::anyhow!("the store has ended"))??;
    Ok(())
}

/// Does something to its end, whether the caller waits or not.
async fn whole<T, F>(
    house: &Arc<House>,
    work: impl FnOnce(Arc<House>) -> F + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Denial>> + Send + 'static,
{
    let house = Arc::clone(house);
    let done = tokio::spawn(async move { work(house).await }).await;
    Ok(done.map_err(|_| Problem::internal())??)
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        use rekursing_market::payout::QuoteRefusal::{BelowMinimum, Insufficient, NothingLeft};
        let message = denial.to_string();
        match denial {
            Denial::NoMethod => Problem::new(StatusCode::CONFLICT, "payout_method_missing", message),
            Denial::Destination(_) => Problem::field("destination", &message),
            Denial::Threshold { .. } => Problem::field("threshold", &message),
            Denial::Quote(BelowMinimum { .. } | NothingLeft { .. }) => Problem::field("amount", &message),
            Denial::Quote(Insufficient { .. }) => {
                Problem::new(StatusCode::PAYMENT_REQUIRED, "insufficient_funds", message)
            }
            Denial::TooMany { .. } => Problem::new(StatusCode::CONFLICT, "too_many_payouts", message),
            Denial::NotFound => Problem::new(StatusCode::NOT_FOUND, "payout_not_found", message),
            Denial::Late { .. } => Problem::new(StatusCode::CONFLICT, "payout_under_way", message),
            Denial::Store(error) => {
                tracing::error!(error = format!("{error:#}"), "could not do something about payouts");
                Problem::internal()
            }
        }
    }
}
