//! Receipts of jobs, for whoever paid, whoever served and the operator; and the keys to check them with.

use std::{collections::HashSet, net::SocketAddr};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
};
use rekursing_market::ledger::Account;
use rekursing_protocol::{
    AccountId, JobId, KeyId, PluginId,
    receipt::{PublicKeys, SignedReceipt},
};

use super::{
    Problem, account, caller,
    plugins::SECRET_PREFIX,
    posted::{Named, Peer, Shared},
};
use crate::{
    devices::PASS_PREFIX,
    house::House,
    receipt::{self, TOKEN_PREFIX},
    store::Job,
};

/// `GET /api/jobs/{jobId}/receipt`
pub(super) async fn receipt(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
) -> Result<Json<SignedReceipt>, Problem> {
    let Path(id) = id?;
    // Whose job it is nobody learns who may not see it.
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "job_not_found", "you have no such job");
    let reader = Reader::of(&house, &headers, peer).await?;
    let id: JobId = id.parse().map_err(|_| unknown())?;
    let job = house.desk.store().job(id).await.map_err(Problem::unread)?;
    let job = job.filter(|job| reader.may_read(&house, id, job)).ok_or_else(unknown)?;
    let receipt = house.seal.receipt(&job).ok_or_else(Problem::internal)?;
    Ok(Json(house.seal.sign(receipt)))
}

/// `GET /.well-known/rekursing-receipts`
pub(super) async fn keys(State(house): Shared) -> Json<PublicKeys> {
    Json(house.seal.public().clone())
}

/// Who wants to read a receipt, or to say what the answer was like.
pub(super) enum Reader {
    /// Who may read all of them.
    Operator,
    /// Whoever has all of this account: it has paid, or its own plugin has served.
    Page(AccountId),
    /// A limited key of this account, with all that were made with it.
    Limited(Account, HashSet<KeyId>),
    /// Whoever has this secret.
    Secret(String),
    /// The plugin that showed a pass.
    Plugin(PluginId),
    /// Whoever has this token, which came with a free answer.
    Visitor(String),
}

impl Reader {
    pub(super) async fn of(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Reader, Problem> {
        if caller::operator(house, headers).is_ok() {
            return Ok(Reader::Operator);
        }
        match caller::bearer(headers)? {
            Some(secret) if secret.starts_with(SECRET_PREFIX) => Ok(Reader::Secret(secret.to_owned())),
            Some(pass) if pass.starts_with(PASS_PREFIX) => {
                let plugin = house.devices.bearer(house.desk.now(), pass);
                plugin.map(Reader::Plugin).ok_or_else(|| {
                    let message = "the pass is over, or none of this relay's";
                    Problem::new(StatusCode::UNAUTHORIZED, "invalid_secret", message)
                })
            }
            Some(token) if token.starts_with(TOKEN_PREFIX) => {
                if !house.rates.free_request(caller::address(house, headers, peer)) {
                    let message = "too many requests without an API key; wait a minute";
                    return Err(Problem::rate_limited(message));
                }
                Ok(Reader::Visitor(token.to_owned()))
            }
            _ => {
                let holder = caller::holder(house, headers, peer).await?;
                let purse = Account::Page(holder.account);
                if holder.spender.is_unlimited() {
                    return Ok(Reader::Page(holder.account));
                }
                let managed = account::managed(house, &holder).await?;
                Ok(Reader::Limited(purse, managed.into_iter().map(|key| key.id).collect()))
            }
        }
    }

    /// Tells whether it is whoever got the answer.
    pub(super) fn may_rate(&self, house: &House, id: JobId, job: &Job) -> bool {
        match self {
            Reader::Page(account) => receipt::is_of(job, Account::Page(*account)),
            Reader::Limited(..) | Reader::Visitor(_) => self.may_read(house, id, job),
            Reader::Operator | Reader::Secret(_) | Reader::Plugin(_) => false,
        }
    }

    fn may_read(&self, house: &House, id: JobId, job: &Job) -> bool {
        match self {
            Reader::Operator => true,
            Reader::Page(account) => {
                let served = || receipt::owner(job).and_then(|owner| house.plugins.find(owner));
                receipt::is_of(job, Account::Page(*account))
                    || served().is_some_and(|one| one.is_of(*account))
            }
            Reader::Limited(account, keys) => {
                receipt::is_of(job, *account)
                    && receipt::payer_key(job).is_some_and(|key| keys.contains(&key))
            }
            Reader::Visitor(token) => receipt::is_of(job, Account::Free) && house.receipts.opens(id, token),
            Reader::Secret(secret) => receipt::owner(job)
                .and_then(|owner| house.plugins.find(owner))
                .is_some_and(|known| known.has_secret(secret)),
            Reader::Plugin(plugin) => receipt::owner(job) == Some(*plugin),
        }
    }
}
