//! Pairing: a page's account gets plugins of its own, sees what they earn, and lets them go.

use std::sync::Arc;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{Account, Payer, payout::CHANGE_WAIT};
use rekursing_protocol::{AccountId, Moment, Nanos, PluginId, name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem,
    caller::{self, Caller},
    once,
    plugins::{self, NAME_MAX, Voice},
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    house::House,
    pairings::Wrong,
    store::{Pairing, Plugin},
    switches::Feature,
};

/// Most plugins of one account.
const PLUGINS_MAX: usize = 100;

/// `POST /api/account/pairings`
pub(super) async fn open(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    house.switches.check(Feature::Registrations)?;
    let holder = caller::account(&house, &headers, peer).await?;
    let account = holder.account;
    let caller = Caller { payer: Payer::Page(account), holder: Some(holder) };
    let named = once::named(&headers, &caller, "/api/account/pairings", &body)?;
    if !house.rates.key(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many codes were made from this address; wait a minute"));
    }
    let shared = Arc::clone(&house);
    let made = async move {
        let house = shared;
        opened(house.pairings.open(house.desk.now(), account))
    };
    // A code is in memory alone.
    once::unstored(house, named, account.to_string(), made).await
}

/// `GET /api/account/plugins`
pub(super) async fn list(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let plugins = house.desk.store().account_plugins(account).await.map_err(Problem::unread)?;
    let views: Vec<Value> = plugins
        .iter()
        .map(|(plugin, total)| {
            let Plugin { id, name, gpu, pairing, revoked, .. } = plugin;
            json!({
                "pluginId": id,
                "name": name,
                "gpu": gpu.name(),
                "live": house.desk.is_live(*id),
                "pairedAt": pairing.map(|pairing| pairing.at),
                "revokedAt": revoked,
                "total": total,
                "available": house.desk.balance(Account::Owner(*id)),
                "held": house.desk.balance(Account::Held(*id)),
            })
        })
        .collect();
    Ok(Json(json!({"plugins": views})))
}

/// What an account changes about a plugin of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: String,
}

/// `PATCH /api/account/plugins/{pluginId}`
pub(super) async fn rename(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let id = own(&house, plugin, caller::account(&house, &headers, peer).await?.account)?;
    let Change { name } = posted::read(&body)?;
    if name.chars().count() > NAME_MAX {
        return Err(Problem::field("name", "a name has at most 60 characters"));
    }
    let name = name::plain(&name, NAME_MAX);
    let _alone = house.plugins.changing.lock().await;
    house.desk.store().rename_plugin(id, name.clone()).await.map_err(unstored())?;
    house.plugins.rename(id, &name);
    Ok(Json(json!({"pluginId": id, "name": name})))
}

/// `DELETE /api/account/plugins/{pluginId}`
pub(super) async fn let_go(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    // Strangers keep nobody waiting.
    let account = caller::account(&house, &headers, peer).await?.account;
    let _alone = house.plugins.changing.lock().await;
    let id = own(&house, plugin, account)?;
    let is_revoked = house.plugins.find(id).is_some_and(|known| known.revoked.is_some());
    let left = [Account::Owner(id), Account::Held(id)].map(|account| house.desk.balance(account));
    let is_left = left.iter().any(|left| *left > Nanos::ZERO);
    if is_revoked && (is_left || comes_back(&house, id).await?) {
        let message = "the plugin's key is revoked, so nobody else would reach what it has earned; have that paid out first, and wait for what is disputed or on its way";
        return Err(Problem::new(StatusCode::CONFLICT, "earnings_left", message));
    }
    unpair(&house, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/account/plugins/{pluginId}/key`
pub(super) async fn revoke(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    // Strangers keep nobody waiting.
    let account = caller::account(&house, &headers, peer).await?.account;
    let _alone = house.plugins.changing.lock().await;
    let id = own(&house, plugin, account)?;
    let now = house.desk.now();
    house.payouts.revoke(id, now).await?;
    // A session that is let in from now on is refused, and one that was let in before is closed.
    house.plugins.revoke(id, now);
    house.desk.expel(id);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/plugin/pairing/{pluginId}`
pub(super) async fn whose(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    Ok(Json(view(house.plugins.find(id).and_then(|known| known.pairing))))
}

/// A pairing code that an owner has typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

/// `POST /api/plugin/pairing/{pluginId}`
pub(super) async fn join(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    house.switches.check(Feature::Registrations)?;
    let Code { code } = posted::read(&body)?;
    let named = once::named_by_owner(&headers, id, "/api/plugin/pairing", &body)?;
    let joined = async {
        let _alone = house.plugins.changing.lock().await;
        if house.plugins.find(id).is_some_and(|known| known.pairing.is_some()) {
            let message = "this plugin is paired already; undo that first";
            return Err(Problem::new(StatusCode::CONFLICT, "already_paired", message));
        }
        let now = house.desk.now();
        let redeemed = house.pairings.redeem(now, id, &code);
        let account = redeemed.map_err(|wrong| refuse(wrong, 600, "ten minutes"))?;
        let others = house.desk.store().account_plugins(account).await.map_err(Problem::unread)?;
        if others.len() >= PLUGINS_MAX {
            let message = format!("the account has {PLUGINS_MAX} plugins, which is as many as it may have");
            return Err(Problem::new(StatusCode::CONFLICT, "too_many_plugins", message));
        }
        let pairing = Pairing { account, at: now };
        house.desk.store().pair_plugin(id, pairing).await.map_err(unstored())?;
        tell(&house, id, Some(pairing));
        Ok(Json(view(Some(pairing))).into_response())
    };
    once::change(&house, named, id, joined).await
}

/// `DELETE /api/plugin/pairing/{pluginId}`
pub(super) async fn leave(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let Path(plugin) = plugin?;
    // Strangers keep nobody waiting.
    plugins::voice(&house, &plugin, &headers, peer).await?;
    let _alone = house.plugins.changing.lock().await;
    let Voice { plugin: id, account } = plugins::voice(&house, &plugin, &headers, peer).await?;
    let pairing = house.plugins.find(id).and_then(|known| known.pairing);
    // Whoever was talked into a foreign code undoes it; whoever has stolen a key gets at nothing by that.
    let is_settled = pairing.is_some_and(|pairing| house.desk.now().since(pairing.at) >= CHANGE_WAIT);
    if account.is_none() && is_settled {
        let message = "a day after the pairing only the account can undo it, on its account page";
        return Err(Problem::new(StatusCode::FORBIDDEN, "account_only", message));
    }
    unpair(&house, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells whether something may still come back to a plugin: what is set aside for disputes, or on its way out.
async fn comes_back(house: &House, id: PluginId) -> Result<bool, Problem> {
    let store = house.desk.store();
    let earnings = store.earnings(house.desk.now(), id).await.map_err(Problem::unread)?;
    let payouts = store.payouts_under_way_of(id).await.map_err(Problem::unread)?;
    Ok(earnings.disputed > Nanos::ZERO || payouts > 0)
}

/// Makes a plugin nobody's own, and lets everybody know.
async fn unpair(house: &House, id: PluginId) -> Result<(), Problem> {
    house.payouts.unpair(id, house.desk.now()).await?;
    tell(house, id, None);
    Ok(())
}

/// Lets everybody know whose own a plugin is.
fn tell(house: &House, id: PluginId, pairing: Option<Pairing>) {
    house.plugins.pair(id, pairing);
    house.desk.pair(id, pairing.map(|pairing| pairing.account));
}

/// Finds out which of its own plugins an account means.
fn own(house: &House, plugin: Named, account: AccountId) -> Result<PluginId, Problem> {
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "plugin_not_found", "the account has no such plugin");
    let Path(plugin) = plugin?;
    let id: PluginId = plugin.parse().map_err(|_| unknown())?;
    let is_own = house.plugins.find(id).is_some_and(|known| known.is_of(account));
    if is_own { Ok(id) } else { Err(unknown()) }
}

fn view(pairing: Option<Pairing>) -> Value {
    json!({
        "account": pairing.map(|pairing| pairing.account),
        "pairedAt": pairing.map(|pairing| pairing.at),
    })
}

/// Tells of a code that was made and until when it is good, or that there are too many.
pub(super) fn opened(made: Option<(String, Moment)>) -> Result<Response, Problem> {
    let (code, until) = made.ok_or_else(|| Problem {
        retry_after: Some(60),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many pairing codes are open")
    })?;
    Ok((StatusCode::CREATED, Json(json!({"code": code, "expiresAt": until}))).into_response())
}

/// Says why a code opens nothing, and after how many seconds, in words too, one is looked at again.
pub(super) fn refuse(wrong: Wrong, seconds: u64, words: &str) -> Problem {
    match wrong {
        Wrong::Code => {
            let message = "there is no such pairing code, or it is over";
            Problem::new(StatusCode::NOT_FOUND, "wrong_pairing_code", message)
        }
        Wrong::TooOften => Problem {
            retry_after: Some(seconds),
            ..Problem::rate_limited(&format!("too many wrong pairing codes; wait {words}"))
        },
    }
}

fn unstored() -> impl FnOnce(anyhow::Error) -> Problem {
    Problem::unstored("a plugin")
}
