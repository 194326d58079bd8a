//! The operator's routes. What each of them does stands in the operator's log.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{
    Account,
    ledger::{BookRefusal, Cause, CorrectionRefusal, Entry, EntryKind, correction_id},
};
use rekursing_protocol::{
    AccountId, Nanos, name,
    register::{Registered, Registration},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, once, plugins,
    posted::{self, Peer, Posted, Shared},
};
use crate::{
    chance,
    house::House,
    store::{self, Act, Correctable, Deed, GRANT_MAX, Standing, grant_of},
    upstream::{self, Spec},
};

/// Longest note or reason, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// Most lines of the log at once.
const LINES_MAX: u64 = 1_000;

/// `POST /api/gpu/register`
pub(super) async fn register_upstream(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    caller::operator(&house, &headers)?;
    let spec: Spec = posted::read(&body)?;
    let spec = spec.check().map_err(|(field, message)| Problem::field(field, message))?;
    // The same address again is the same upstream with other settings; its earnings stay its own.
    let plugin_id = house.upstreams.at(&spec.url).unwrap_or_else(|| house.plugin_id());
    let registration = Registration { name: spec.name.clone(), gpu: spec.gpu(), ..Registration::default() };
    let body = serde_json::to_string(&spec).map_err(|_| Problem::internal())?;
    let stored = store::Upstream { plugin: plugin_id, body };
    let act = Act::of(&who(&house, &headers, peer), Deed::UpstreamRegistered, plugin_id, &spec.name);
    house.desk.store().put_upstream(house.desk.now(), stored, act).await.map_err(|error| {
        tracing::error!(%error, "could not store an upstream");
        Problem::internal()
    })?;
    let secret = plugins::put(&house, plugin_id, &registration, None).await?;
    upstream::start(&house, plugin_id, spec);
    Ok((StatusCode::CREATED, Json(Registered { plugin_id, secret })))
}

/// Credit to be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    account: String,
    amount: Nanos,
    #[serde(default)]
    note: String,
}

/// `POST /api/operator/grants`
pub(super) async fn grant(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let Grant { account, amount, note } = posted::read(&posted.body)?;
    let to = account.parse::<AccountId>().map_or_else(|_| account.parse(), |id| Ok(Account::Page(id)));
    let to = to.ok().filter(|to| Cause::Grant.joins(Account::Outside, *to)).ok_or_else(|| {
        Problem::field("account", "credit is given to acc_…, page:acc_…, advertiser:acc_…, free or shortfall")
    })?;
    if amount <= Nanos::ZERO || amount > GRANT_MAX {
        return Err(Problem::field("amount", &format!("an amount is above 0 and at most {GRANT_MAX} USD")));
    }
    check_note("note", &note)?;
    if let Account::Page(id) | Account::Advertiser(id) = to
        && !house.desk.store().has_account(id).await.map_err(Problem::unread)?
    {
        let message = format!("no key opens the account {id}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "account_not_found", message));
    }
    let id = format!("grant:{}", chance::hex(&chance::bytes::<16>()));
    let named = once::named_by_operator(&headers, "/api/operator/grants", &posted.body)?;
    let act = Act::grant(&who(&house, &headers, peer), to, amount, &note);
    let entry = Entry { id: id.clone(), at: house.desk.now(), kind: grant_of(to, amount, note) };
    let given = async {
        house.desk.store().grant(entry.clone(), act).await.map_err(Problem::unstored("a grant"))?;
        house.desk.granted(&entry);
        let view = json!({"entry": entry.id, "account": to.to_string(), "amount": amount,
            "balance": house.desk.balance(to)});
        Ok((StatusCode::CREATED, Json(view)).into_response())
    };
    once::once(&house, named, id, given).await
}

/// An entry to be taken back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Correction {
    entry: String,
    reason: String,
}

/// `POST /api/operator/corrections`
pub(super) async fn correct(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let Correction { entry, reason } = posted::read(&posted.body)?;
    check_note("reason", &reason)?;
    if reason.trim().is_empty() {
        return Err(Problem::field("reason", "a correction has a reason"));
    }
    let named = once::named_by_operator(&headers, "/api/operator/corrections", &posted.body)?;
    let first = correction_id(&entry, 0);
    let who = who(&house, &headers, peer);
    let corrected = take_back(&house, &who, entry, &reason);
    once::once(&house, named, first, corrected).await
}

async fn take_back(house: &House, who: &str, id: String, reason: &str) -> Result<Response, Problem> {
    // What is reported of a payment meanwhile is booked before or after, and never beside.
    let _alone = match &house.top_ups {
        Some(top_ups) => Some(top_ups.booking().await),
        None => None,
    };
    let known = house.desk.store().correctable(id.clone()).await.map_err(Problem::unread)?;
    let Some(Correctable { entry, before, charged }) = known else {
        let message = "there is no such entry in the ledger";
        return Err(Problem::new(StatusCode::NOT_FOUND, "entry_not_found", message));
    };
    if before {
        return Err(refused(&CorrectionRefusal::Book(BookRefusal::Exists)));
    }
    if house.desk.store().is_wrong() {
        return Err(Problem::book_wrong());
    }
    if !house.desk.store().is_healthy() {
        return Err(Problem::store_down());
    }
    if let Some(session) = id.strip_prefix("top_up:")
        && house.desk.store().has_gone_back(session.to_owned()).await.map_err(Problem::unread)?
    {
        let message = "some of this payment has gone back already; what is left goes back by card";
        return Err(Problem::new(StatusCode::CONFLICT, "corrected_before", message));
    }
    if let EntryKind::Settle(settle) = &entry.kind
        && house.desk.is_disputed(settle.job)
    {
        return Err(refused(&CorrectionRefusal::Disputed));
    }
    let debts = match &entry.kind {
        EntryKind::Settle(settle) => house.desk.store().debts(settle.payer).await.map_err(Problem::unread)?,
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => Vec::new(),
    };
    let amount = entry.postings().map(|posting| posting.amount.get()).sum();
    let amount = entry.receipt().map_or(Nanos::new(amount), |receipt| receipt.charge);
    let act = Act { amount: Some(amount), ..Act::of(who, Deed::Correction, &id, reason) };
    let _still = match &entry.kind {
        EntryKind::Settle(charge) => {
            let told = format!("{id} was taken back: {reason}");
            Some(house.payouts.recall(charge, Nanos::ZERO, who, &told, house.desk.now()).await?)
        }
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => None,
    };
    house.desk.correct(&entry, charged.as_ref(), reason, &debts, act).map_err(|refusal| refused(&refusal))?;
    house.desk.store().flushed().await;
    let view = json!({"corrected": id, "entry": correction_id(&id, 0), "amount": amount});
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

pub(super) fn refused(refusal: &CorrectionRefusal) -> Problem {
    let code = match refusal {
        CorrectionRefusal::NotCorrectable | CorrectionRefusal::Nothing => "not_correctable",
        CorrectionRefusal::Disputed => "dispute_open",
        CorrectionRefusal::Insufficient { .. } | CorrectionRefusal::Uncovered { .. } => {
            "correction_uncovered"
        }
        CorrectionRefusal::Book(BookRefusal::Exists | BookRefusal::ExistsDifferent) => "corrected_before",
        CorrectionRefusal::Book(
            BookRefusal::Negative
            | BookRefusal::Nothing
            | BookRefusal::NotJoined
            | BookRefusal::NoHold
            | BookRefusal::ChargeExceedsHold { .. }
            | BookRefusal::Insufficient { .. }
            | BookRefusal::Overflow,
        ) => "not_correctable",
    };
    Problem::new(StatusCode::CONFLICT, code, refusal.to_string())
}

/// An account to be marked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    account: AccountId,
    verified: bool,
    #[serde(default)]
    note: String,
}

/// `POST /api/operator/verified`
pub(super) async fn verify(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let Marked { account, verified, note } = posted::read(&posted.body)?;
    check_note("note", &note)?;
    if !house.desk.store().has_account(account).await.map_err(Problem::unread)? {
        let message = format!("no key opens the account {account}");
        return Err(Problem::new(StatusCode::NOT_FOUND, "account_not_found", message));
    }
    let standing = if verified { Standing::Verified } else { Standing::Unverified };
    let act = Act::of(&who(&house, &headers, peer), standing.deed(), account, &note);
    house.desk.store().mark(house.desk.now(), account, standing, act).await.map_err(|error| {
        tracing::error!(%error, "could not mark an account");
        Problem::store_down()
    })?;
    house.keys.forget();
    Ok(Json(json!({"account": account, "verified": verified})))
}

/// Which lines of the log are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    before: Option<u64>,
    limit: Option<u64>,
}

/// `GET /api/operator/log`
pub(super) async fn log(
    State(house): Shared,
    headers: HeaderMap,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let Query(Page { before, limit }) = page?;
    let limit = limit.unwrap_or(100).min(LINES_MAX);
    let lines = house.desk.store().operator_log(before.unwrap_or(u64::MAX), limit).await;
    Ok(Json(json!({"log": lines.map_err(Problem::unread)?})))
}

pub(super) fn check_note(field: &'static str, note: &str) -> Result<(), Problem> {
    if note.chars().count() > NOTE_CHARS_MAX || !name::is_plain(note) {
        return Err(Problem::field(field, "at most 500 characters, all of them visible"));
    }
    Ok(())
}

/// Says from where the operator calls.
pub(super) fn who(house: &House, headers: &HeaderMap, peer: SocketAddr) -> String {
    format!("http:{}", caller::address(house, headers, peer))
}
