//! The entries of one account: of a page its own, of the operator anybody's.

use axum::{
    Json,
    extract::{ConnectInfo, Query, State, rejection::QueryRejection},
    http::HeaderMap,
};
use rekursing_market::Account;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller,
    posted::{Peer, Shared},
};
use crate::house::House;

/// Most entries at once.
const ENTRIES_MAX: u64 = 1_000;

/// Which entries of a page's account are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Own {
    /// What `answers` and `ads` are spent from.
    of: Option<String>,
    before: Option<u64>,
    limit: Option<u64>,
}

/// Which entries the operator asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Anybodys {
    account: String,
    before: Option<u64>,
    limit: Option<u64>,
}

/// `GET /api/account/entries`
pub(super) async fn own(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    asked: Result<Query<Own>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let Query(Own { of, before, limit }) = asked?;
    let account = match of.as_deref() {
        None | Some("answers") => Account::Page(account),
        Some("ads") => Account::Advertiser(account),
        Some(_) => return Err(Problem::field("of", "of is answers or ads")),
    };
    list(&house, account, before, limit).await
}

/// `GET /api/operator/entries`
pub(super) async fn anybodys(
    State(house): Shared,
    headers: HeaderMap,
    asked: Result<Query<Anybodys>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let Query(Anybodys { account, before, limit }) = asked?;
    let account = account.parse().map_err(|_| {
        let message = "account is one of the ledger's, such as page:acc_…, owner:plg_… or free";
        Problem::field("account", message)
    })?;
    list(&house, account, before, limit).await
}

async fn list(
    house: &House,
    account: Account,
    before: Option<u64>,
    limit: Option<u64>,
) -> Result<Json<Value>, Problem> {
    let limit = limit.unwrap_or(100).min(ENTRIES_MAX);
    let entries = house.desk.store().entries_of(account, before.unwrap_or(u64::MAX), limit).await;
    Ok(Json(json!({"account": account.to_string(), "entries": entries.map_err(Problem::unread)?})))
}
