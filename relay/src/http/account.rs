//! A page's account: what it has, what it has spent, and its keys.
//!
//! A key without limits stands for its account and manages all of the account's keys. A limited one
//! manages itself and the keys that were made with it, and those stay within its limits.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{Account, Limits, Payer, Spender};
use rekursing_protocol::{KeyId, Moment, Nanos, Price, Span};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Problem,
    caller::{self, Caller},
    groups, once,
    posted::{self, Named, Peer, Posted, Shared},
    premium,
    statements::{self, Form},
};
use crate::{
    ask::number,
    chance, gate,
    house::House,
    keys, limits,
    store::{Holder, Key, LINE_MAX, Made, NewKey, Usage},
};

/// Days of usage that are told.
const USAGE_DAYS: u64 = 90;

/// `GET /api/account`
pub(super) async fn account(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let holder = caller::holder(&house, &headers, peer).await?;
    let (store, now) = (house.desk.store(), house.desk.now());
    let since = (now.day() + 1).saturating_sub(USAGE_DAYS);
    let managed = managed(&house, &holder).await?;
    let (by_key, spent_by_key) = store.keys_usage(holder.account, since).await.map_err(Problem::unread)?;
    let by_key: Vec<Value> = by_key
        .iter()
        .filter(|usage| managed.iter().any(|key| Some(key.id) == usage.key))
        .map(usage_view)
        .collect();
    let purse = Account::Page(holder.account);
    let mut view = json!({
        "account": holder.account,
        "balance": house.desk.balance(purse),
        "verified": holder.is_verified,
        "usageByKey": by_key,
    });
    let own = managed.iter().find(|key| key.id == holder.spender.key);
    view["key"] = json!(own.map(|key| key_view(&house, key, &spent_by_key)));
    // What others of the account spend is no business of a key that was given away with a limit.
    if holder.spender.is_unlimited() {
        let (usage, spent) = store.account_usage(holder.account, since).await.map_err(Problem::unread)?;
        view["groups"] = groups::of_account(&house, holder.account);
        view["premium"] = premium::view(&house, holder.account);
        view["held"] = json!(house.desk.held(purse));
        view["ads"] = json!({"balance": house.desk.balance(Account::Advertiser(holder.account))});
        view["spent"] = json!(spent);
        view["usage"] = usage.iter().map(usage_view).collect();
    }
    Ok(Json(view))
}

/// `GET /api/account/keys`
pub(super) async fn keys(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let holder = caller::holder(&house, &headers, peer).await?;
    let keys = managed(&house, &holder).await?;
    let sums = house.desk.store().keys_usage(holder.account, u64::MAX).await.map_err(Problem::unread)?.1;
    let keys: Vec<Value> = keys.iter().map(|key| key_view(&house, key, &sums)).collect();
    Ok(Json(json!({"keys": keys})))
}

/// A key to be made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted<'a> {
    #[serde(default)]
    name: String,
    budget_per_day: Option<Nanos>,
    budget_total: Option<Nanos>,
    models: Option<Vec<String>>,
    #[serde(borrow)]
    max_price: Option<&'a RawValue>,
    expires_at: Option<Moment>,
    #[serde(borrow)]
    objectives: Option<&'a RawValue>,
}

/// `POST /api/account/keys`
pub(super) async fn create_key(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    let holder = caller::holder(&house, &headers, peer).await?;
    let Holder { account, spender, .. } = holder.clone();
    let caller = Caller { payer: Payer::Page(account), holder: Some(holder) };
    let wanted: Wanted<'_> = posted::read(&posted.body)?;
    let limits = wanted.limits(house.desk.now(), &spender)?;
    if spender.line().count() >= LINE_MAX {
        let message = format!("at most {LINE_MAX} keys are made one with the other");
        return Err(Problem::new(StatusCode::FORBIDDEN, "key_line_too_long", message));
    }
    let secret = chance::secret(KeyId::PREFIX);
    let key = Key::new(&secret, house.desk.now(), wanted.name, account, Some(spender.key), limits);
    let named = once::named(&headers, &caller, "/api/account/keys", &posted.body)?;
    if !house.rates.key(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many keys were made from this address; wait a minute"));
    }
    let prefix = key.id.to_string();
    let maker = Arc::clone(&house);
    let made = async move { Ok(make_key(&maker, &secret, key).await?.into_response()) };
    once::unstored(house, named, prefix, made).await
}

async fn make_key(house: &House, secret: &str, key: Key) -> Result<(StatusCode, Json<Value>), Problem> {
    let open_max = house.config.limits.keys_per_account;
    let made = house.desk.store().put_key(key.clone(), open_max).await.map_err(|error| {
        tracing::error!(%error, "could not store a key");
        Problem::internal()
    })?;
    match made {
        NewKey::Made => {
            let mut view = key_view(house, &key, &HashMap::new());
            view["key"] = secret.into();
            Ok((StatusCode::CREATED, Json(view)))
        }
        // Once in four billion.
        NewKey::Taken => Err(Problem { retry_after: Some(1), ..Problem::internal() }),
        NewKey::TooMany => {
            let message = format!("the account has {open_max} open keys, which is as many as it may have");
            Err(Problem::new(StatusCode::CONFLICT, "too_many_keys", message))
        }
        NewKey::MakerRevoked => {
            let message = "the API key is unknown or revoked";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
        }
    }
}

/// `GET /api/account/statements/{month}`
pub(super) async fn statement(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    month: Named,
    form: Result<Query<Form>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let Path(month) = month?;
    let month = statements::month(&house, &month)?;
    let statement = house.desk.store().page_statement(account, month).await;
    let statement = statement.map_err(Problem::unread)?;
    let account = account.to_string();
    statements::respond(&statement, &account, &account, form?.0, &headers)
}

impl Wanted<'_> {
    /// Checks the limits: each that is named stays within those of the key that makes this one. Those that
    /// are not named hold all the same.
    fn limits(&self, now: Moment, maker: &Spender) -> Result<Limits, Problem> {
        if !keys::is_name(&self.name) {
            return Err(Problem::field("name", keys::BAD_NAME));
        }
        let limits = Limits {
            budget_day: self.budget_per_day,
            budget_total: self.budget_total,
            models: self.models.clone().unwrap_or_default(),
            price_max: self.max_price.map(number::price).transpose()?,
            expires: self.expires_at,
            gate: self.objectives.map(gate::read).transpose()?,
        };
        limits::check(&limits).map_err(|(field, message)| Problem::field(field, message))?;
        if self.models.as_ref().is_some_and(Vec::is_empty) {
            return Err(Problem::field(
                "models",
                "a key that may ask no model is of no use; leave models out",
            ));
        }
        for (field, budget) in [("budgetPerDay", limits.budget_day), ("budgetTotal", limits.budget_total)] {
            if budget.is_some_and(Nanos::is_negative) {
                return Err(Problem::field(field, "a budget is not below 0"));
            }
        }
        if limits.expires.is_some_and(|expires| expires <= now) {
            return Err(Problem::field("expiresAt", "expiresAt lies in the past"));
        }
        match exceeds(&limits, maker) {
            Some(field) => Err(Problem::field(field, "a key gives no more than it may do itself")),
            None => Ok(limits),
        }
    }
}

/// Returns the first limit that is wider than one that holds for the maker.
fn exceeds(limits: &Limits, maker: &Spender) -> Option<&'static str> {
    let wider = |limit: fn(&Limits) -> Option<Nanos>| {
        let mut line = maker.line().filter_map(|maker| limit(&maker.limits));
        limit(limits).is_some_and(|own| line.any(|most| own > most))
    };
    let most = maker.price_max();
    let is_dearer = |own: Price| most.is_some_and(|most| own.input > most.input || own.output > most.output);
    let is_later = |own: Moment| maker.is_expired(own - Span::millis(1));
    [
        ("budgetPerDay", wider(|limits| limits.budget_day)),
        ("budgetTotal", wider(|limits| limits.budget_total)),
        ("models", limits.models.iter().any(|model| !maker.allows(model))),
        ("maxPrice", limits.price_max.is_some_and(is_dearer)),
        ("expiresAt", limits.expires.is_some_and(is_later)),
    ]
    .into_iter()
    .find_map(|(field, is_wider)| is_wider.then_some(field))
}

/// What becomes of the keys that were made with one that is revoked.
#[derive(Debug, Deserialize)]
pub(super) struct Keep {
    /// `keep` leaves them open.
    #[serde(default)]
    made: String,
}

/// `DELETE /api/account/keys/{prefix}`
pub(super) async fn revoke_key(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    keep: Result<Query<Keep>, QueryRejection>,
    prefix: Named,
) -> Result<Json<Value>, Problem> {
    caller::origin(&house, &headers)?;
    let Path(prefix) = prefix?;
    let Query(keep) = keep?;
    let holder = caller::uncounted(&house, &headers, peer).await?;
    let made = match keep.made.as_str() {
        "" => Made::RevokedToo,
        "keep" => Made::Kept,
        _ => return Err(Problem::field("made", "made is keep or left out")),
    };
    let not_found = || {
        let message = "this key manages no open key that begins so";
        Problem::new(StatusCode::NOT_FOUND, "key_not_found", message)
    };
    let key: KeyId = prefix.parse().map_err(|_| not_found())?;
    let revoked = house.desk.store().revoke_managed(house.desk.now(), holder.manager(), key, made).await;
    let revoked = revoked.map_err(|error| {
        tracing::error!(%error, "could not revoke keys");
        Problem::internal()
    })?;
    let revoked = revoked.ok_or_else(not_found)?;
    house.keys.forget();
    Ok(Json(json!({"revoked": revoked})))
}

/// Reads the keys that a key manages.
pub(super) async fn managed(house: &House, holder: &Holder) -> Result<Vec<Key>, Problem> {
    let keys = house.desk.store().managed_keys(house.desk.now(), holder.manager()).await;
    keys.map_err(Problem::unread)
}

fn key_view(house: &House, key: &Key, spent: &HashMap<KeyId, Nanos>) -> Value {
    let taken = house.desk.taken(key.id);
    let left = |budget: Option<Nanos>, spent: Nanos| {
        let left = |budget: Nanos| budget.checked_sub(spent)?.checked_sub(taken.held);
        budget.map(|budget| left(budget).unwrap_or_default())
    };
    let mut view = json!({
        "prefix": key.id,
        "name": key.name,
        "madeWith": key.maker,
        "createdAt": key.created,
        "revoked": key.revoked,
        "spent": spent.get(&key.id).copied().unwrap_or_default(),
        "leftToday": left(key.limits.budget_day, taken.spent_day),
        "leftTotal": left(key.limits.budget_total, taken.spent),
    });
    if let Value::Object(view) = &mut view {
        view.extend(limits::fields(&key.limits));
    }
    view
}

fn usage_view(usage: &Usage) -> Value {
    let mut view = json!({
        "day": usage.day * Span::DAY.0,
        "model": usage.model,
        "jobs": usage.jobs,
        "promptTokens": usage.prompt_tokens,
        "answerTokens": usage.answer_tokens,
        "spent": usage.spent,
    });
    if let Some(key) = usage.key {
        view["key"] = json!(key);
    }
    view
}
