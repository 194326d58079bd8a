//! The routes of payouts: an owner's own, and the operator's over all.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::payout::{self, Schedule};
use rekursing_protocol::{Nanos, PayoutId, PluginId, name};
use rekursing_rails::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, once, operator,
    plugins::{self, Voice, owner, voice},
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    house::House,
    payouts::{self, Asked, By, Denial, Wish},
    store::{Act, Deed, Ending, PayoutRow},
};

/// Longest destination that is looked at, in bytes.
const DESTINATION_BYTES_MAX: usize = 200;

/// Longest text of the operator's, in characters.
const TEXT_MAX: usize = 200;

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

/// The body of `POST /api/operator/payouts/{payoutId}/settle`: what became of it.
#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase", deny_unknown_fields)]
enum Settling {
    /// It arrived.
    Confirmed {
        /// The rail's own name for the payment.
        reference: String,
        reason: String,
        #[serde(default)]
        cost: Nanos,
    },
    /// It did not, and cannot any more.
    Returned {
        reason: String,
        #[serde(default)]
        cost: Nanos,
    },
}

/// `GET /api/plugin/payouts/{pluginId}`
pub(super) async fn list(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let voice = voice(&house, &plugin, &headers, peer).await?;
    let mut view = house.payouts.view(voice.plugin, house.desk.now()).await?;
    view["changeable"] = json!(says_where(&house, &voice).is_ok());
    Ok(Json(view))
}

/// `POST /api/plugin/payouts/{pluginId}`
pub(super) async fn ask(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let Path(plugin) = plugin?;
    let owner = changing(&house, &plugin, &headers, peer).await?.plugin;
    order(&house, owner, "/api/plugin/payouts", &headers, &body).await
}

/// Tells what a payout costs, or makes it where that was accepted; `path` is what was called.
pub(super) async fn order(
    house: &Arc<House>,
    owner: PluginId,
    path: &'static str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let Order { amount, accept } = posted::read(body)?;
    let wrong =
        || Problem::field("amount", "an amount is USD as a decimal text such as \"5.00\", or \"all\"");
    let amount = if amount == "all" { None } else { Some(amount.parse().map_err(|_| wrong())?) };
    let named = once::named_by_owner(headers, owner, path, body)?;
    let id = payouts::new_id(house.desk.now());
    let answered = async {
        Ok(match house.payouts.ask(id, owner, amount, accept, house.desk.now()).await? {
            Asked::Quoted(method, quote) => {
                let quote = json!({ "quote": house.payouts.quote_view(&method, quote, house.desk.now()) });
                once::fruitless((StatusCode::OK, Json(quote)).into_response())
            }
            Asked::Made(payout) => {
                let payout = json!({ "payout": house.payouts.payout_view(&payout) });
                (StatusCode::CREATED, Json(payout)).into_response()
            }
        })
    };
    once::once(house, named, format!("payout_requested:{id}"), answered).await
}

/// `GET /api/plugin/payouts/{pluginId}/method`
pub(super) async fn method(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let owner = owner(&house, &plugin, &headers, peer).await?;
    let method = house.payouts.method(owner).await?.ok_or(Denial::NoMethod)?;
    Ok(Json(house.payouts.method_view(&method, house.desk.now())))
}

/// `PUT /api/plugin/payouts/{pluginId}/method`
pub(super) async fn set_method(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let voice = changing(&house, &plugin, &headers, peer).await?;
    says_where(&house, &voice)?;
    let Voice { plugin: owner, account } = voice;
    let MethodWish { method, destination, threshold, schedule } = posted::read(&body)?;
    if destination.len() > DESTINATION_BYTES_MAX {
        return Err(Problem::field("destination", "a destination has at most 200 characters"));
    }
    let schedule = schedule.map_or(Ok(Schedule::Manual), |text| text.parse());
    let schedule = schedule.map_err(|bad| Problem::field("schedule", &bad.to_string()))?;
    let wish = Wish { method, destination, threshold, schedule, account };
    let set = house.payouts.set_method(owner, wish, house.desk.now()).await?;
    Ok(Json(house.payouts.method_view(&set, house.desk.now())))
}

/// `DELETE /api/plugin/payouts/{pluginId}/method`
pub(super) async fn remove_method(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let Path(plugin) = plugin?;
    let voice = changing(&house, &plugin, &headers, peer).await?;
    says_where(&house, &voice)?;
    let owner = voice.plugin;
    house.payouts.remove_method(owner, house.desk.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/plugin/payouts/{pluginId}/{payoutId}`
pub(super) async fn cancel(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller::origin(&house, &headers)?;
    let Path((plugin, payout)) = path?;
    let owner = changing(&house, &plugin, &headers, peer).await?.plugin;
    let id: PayoutId = payout.parse().map_err(|_| Denial::NotFound)?;
    let named = once::named_by_owner(&headers, owner, "/api/plugin/payouts/cancel", &once::about(id, b""))?;
    let answered = async {
        let by = By::Owner(owner);
        let cancelled = house.payouts.cancel(id, by, "cancelled by the owner", house.desk.now()).await?;
        let view = house.payouts.payout_view(&cancelled);
        Ok(Json(json!({ "payout": view })).into_response())
    };
    once::once(&house, named, entry(payout::State::Cancelled, id), answered).await
}

/// `GET /api/operator/payouts`
pub(super) async fn under_way(State(house): Shared, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    Ok(Json(house.payouts.under_way_view(&house.plugins, house.desk.now()).await?))
}

/// `POST /api/operator/payouts/{payoutId}/approve`
pub(super) async fn approve(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    payout: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let id = one(payout)?;
    let about = once::about(id, &body);
    let named = once::named_by_operator(&headers, "/api/operator/payouts/approve", &about)?;
    let act = Act::of(&operator::who(&house, &headers, peer), Deed::PayoutApproved, id, "");
    let approved = async { house.payouts.approve(id, act, house.desk.now()).await };
    once::change(&house, named, id, operators_answer(&house, approved)).await
}

/// `POST /api/operator/payouts/{payoutId}/cancel`
pub(super) async fn refuse(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    payout: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let id = one(payout)?;
    let Refusal { reason } = posted::read(&body)?;
    let reason = reason.unwrap_or_else(|| "cancelled by the operator".to_owned());
    check_text("reason", &reason)?;
    let about = once::about(id, &body);
    let named = once::named_by_operator(&headers, "/api/operator/payouts/cancel", &about)?;
    let act = Act::of(&operator::who(&house, &headers, peer), Deed::PayoutCancelled, id, &reason);
    let cancelled = async { house.payouts.cancel(id, By::Operator(act), &reason, house.desk.now()).await };
    once::once(&house, named, entry(payout::State::Cancelled, id), operators_answer(&house, cancelled)).await
}

/// `POST /api/operator/payouts/{payoutId}/settle`
pub(super) async fn settle(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    payout: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let id = one(payout)?;
    let (outcome, cost, reference, reason) = match posted::read(&body)? {
        Settling::Confirmed { reference, reason, cost } => {
            (payout::State::Confirmed, cost, Some(reference), reason)
        }
        Settling::Returned { reason, cost } => (payout::State::Returned, cost, None, reason),
    };
    for (field, text) in [("reference", reference.as_deref()), ("reason", Some(reason.as_str()))] {
        let Some(text) = text else { continue };
        check_text(field, text)?;
        if text.trim().is_empty() {
            return Err(Problem::field(field, "what is settled by hand is settled for a reason"));
        }
    }
    let named = once::named_by_operator(&headers, "/api/operator/payouts/settle", &once::about(id, &body))?;
    let who = operator::who(&house, &headers, peer);
    let act = Act::of(&who, Deed::PayoutSettled, id, &format!("{outcome}: {reason}"));
    let settled = async {
        let now = house.desk.now();
        let end = Ending { cost, reference, act: Some((now, act)), ..Ending::of(outcome, &reason) };
        house.payouts.settle(id, end, now).await
    };
    once::once(&house, named, entry(outcome, id), operators_answer(&house, settled)).await
}

/// Checks that an owner may change something now, and tells who speaks for him.
async fn changing(
    house: &House,
    plugin: &str,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Voice, Problem> {
    let voice = voice(house, plugin, headers, peer).await?;
    if house.rates.payout(voice.plugin) {
        Ok(voice)
    } else {
        Err(Problem::rate_limited("this plugin's payouts were changed too often; wait a minute"))
    }
}

/// Checks that whoever speaks may say where payouts go. A plugin that is paired may not: its device key can have been
/// copied with the profile that it is in, and its account cannot.
fn says_where(house: &House, voice: &Voice) -> Result<(), Problem> {
    let is_paired = house.plugins.find(voice.plugin).is_some_and(|known| known.pairing.is_some());
    if voice.account.is_some() || !is_paired {
        return Ok(());
    }
    let message = "the plugin is paired, so its account alone says where payouts go, on its account page";
    Err(Problem::new(StatusCode::FORBIDDEN, "payout_account_only", message))
}

/// Reads which payout a path names.
fn one(payout: Named) -> Result<PayoutId, Problem> {
    let Path(payout) = payout?;
    payout.parse().map_err(|_| Denial::NotFound.into())
}

/// Returns the id of the entry that brings a payout into a state.
fn entry(state: payout::State, id: PayoutId) -> String {
    format!("{}:{id}", state.cause())
}

fn check_text(field: &'static str, text: &str) -> Result<(), Problem> {
    if text.chars().count() > TEXT_MAX || !name::is_plain(text) {
        return Err(Problem::field(field, "at most 200 characters, all of them visible"));
    }
    Ok(())
}

/// Shows the operator a payout once something is done about it.
async fn operators_answer(
    house: &House,
    done: impl Future<Output = Result<PayoutRow, Denial>>,
) -> Result<Response, Problem> {
    let view = house.payouts.operator_view(&done.await?, &house.plugins, house.desk.now());
    Ok(Json(json!({ "payout": view })).into_response())
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        use rekursing_market::payout::QuoteRefusal::{BelowMinimum, Insufficient, NothingLeft};
        let message = denial.to_string();
        match denial {
            Denial::SwitchedOff => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "switched_off", message),
            Denial::LetGo => Problem::new(StatusCode::UNAUTHORIZED, "invalid_secret", message),
            Denial::Revoked => plugins::revoked(),
            Denial::NoMethod => Problem::new(StatusCode::CONFLICT, "payout_method_missing", message),
            Denial::Destination(_) => Problem::field("destination", &message),
            Denial::Threshold { .. } => Problem::field("threshold", &message),
            Denial::Quote(BelowMinimum { .. } | NothingLeft { .. }) => Problem::field("amount", &message),
            Denial::Quote(Insufficient { .. }) => {
                Problem::new(StatusCode::PAYMENT_REQUIRED, "insufficient_funds", message)
            }
            Denial::Held { left, .. } => Problem {
                retry_after: Some(left.0.div_ceil(1_000)),
                ..Problem::new(StatusCode::CONFLICT, "payout_held", message)
            },
            Denial::TooMany { .. } => Problem::new(StatusCode::CONFLICT, "too_many_payouts", message),
            Denial::NotFound => Problem::new(StatusCode::NOT_FOUND, "payout_not_found", message),
            Denial::Late { .. } => Problem::new(StatusCode::CONFLICT, "payout_under_way", message),
            Denial::NotSent { .. } => Problem::new(StatusCode::CONFLICT, "payout_not_sent", message),
            Denial::RailDiffers { .. } => Problem::new(StatusCode::CONFLICT, "payout_rail_differs", message),
            Denial::Cost { .. } => Problem::field("cost", &message),
            Denial::Store(error) => {
                tracing::error!(error = format!("{error:#}"), "could not do something about payouts");
                Problem::internal()
            }
        }
    }
}
