//! Phones: an owner lets one in, and it sees and steers the one plugin from afar. It sets no destination of payouts.

use std::time::Duration;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_protocol::{
    Nanos, PhoneId, PluginId, Price,
    frame::{Rest, Steer, Unwilling, Wish},
    name,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller,
    figures::dollars,
    groups, pairings, payouts,
    plugins::{self, NAME_MAX, Voice},
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    chance,
    house::House,
    phones::{PHONES_MAX, Seen, TOKEN_PREFIX},
    store::Phone,
};

/// How long a plugin may take to say what became of a wish.
const PATIENCE: Duration = Duration::from_secs(10);

/// `POST /api/plugin/phones/{pluginId}/code`
pub(super) async fn open(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { .. }: Posted,
) -> Result<Response, Problem> {
    let Path(plugin) = plugin?;
    let Voice { plugin: id, account } = plugins::voice(&house, &plugin, &headers, peer).await?;
    if account.is_some() {
        let message =
            "the plugin alone lets phones in: one that its account let in would outlast the pairing";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_secret", message));
    }
    if !house.rates.key(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many codes were made from this address; wait a minute"));
    }
    if !house.phones.is_room(id) {
        return Err(full());
    }
    pairings::opened(house.phones.codes.open(house.desk.now(), id))
}

/// `GET /api/plugin/phones/{pluginId}`
pub(super) async fn list(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    let view = |Seen { phone, at }: &Seen| json!({"phoneId": phone.id, "name": phone.name, "pairedAt": phone.paired, "seenAt": at});
    let phones: Vec<Value> = house.phones.list(id).iter().map(view).collect();
    Ok(Json(json!({"phones": phones})))
}

/// `DELETE /api/plugin/phones/{pluginId}/{phoneId}`
pub(super) async fn put_out(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let Path((plugin, phone)) = path?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    let phone = phone.parse::<PhoneId>().ok().and_then(|phone| house.phones.find(id, phone));
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "phone_not_found", "the plugin has no such phone");
    forget(&house, &phone.ok_or_else(unknown)?).await
}

/// What a phone has read, and what its owner calls it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
    name: String,
}

/// `POST /api/phone`
pub(super) async fn pair(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let Code { code, name } = posted::read(&body)?;
    if name.chars().count() > NAME_MAX {
        return Err(Problem::field("name", "a name has at most 60 characters"));
    }
    let now = house.desk.now();
    let address = caller::address(&house, &headers, peer);
    let redeemed = house.phones.codes.redeem(now, address, &code);
    let plugin = redeemed.map_err(|wrong| pairings::refuse(wrong, 300, "five minutes"))?;
    let token = chance::secret(TOKEN_PREFIX);
    let phone = Phone {
        id: house.phone_id(),
        hash: chance::digest(&token),
        plugin,
        name: name::plain(&name, NAME_MAX),
        paired: now,
    };
    let view = json!({"phoneId": phone.id, "pluginId": plugin, "token": token});
    let paired = house.phones.let_in(house.desk.store(), phone).await;
    if !paired.map_err(Problem::unstored("a phone"))? {
        return Err(full());
    }
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// `GET /api/phone`
pub(super) async fn see(State(house): Shared, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let phone = bearer(&house, &headers)?;
    let plugin = phone.plugin;
    let session = house.desk.session_of(plugin);
    let now = house.desk.now();
    let earnings = house.desk.store().earnings(now, plugin).await.map_err(Problem::unread)?;
    let method = house.payouts.method(plugin).await?;
    let models: Vec<Value> = session
        .iter()
        .flat_map(|session| &session.offers)
        .map(|offered| {
            let price = json!({"input": dollars(offered.ask.input), "output": dollars(offered.ask.output)});
            json!({"id": offered.offer.model, "price": price})
        })
        .collect();
    let face = session.as_ref().and_then(|session| house.desk.face(session.session));
    Ok(Json(json!({
        "phoneId": phone.id,
        "pluginId": plugin,
        "name": &*house.plugins.name(plugin),
        "gpu": face.map(|face| face.gpu.name()),
        "live": session.is_some(),
        "paused": session.as_ref().map(|session| session.paused),
        "pausedUntil": session.as_ref().and_then(|session| session.paused_until),
        "jobs": house.desk.paces().iter().filter(|(working, _)| *working == plugin).count(),
        "models": models,
        "earnings": earnings,
        "payout": method.map(|method| json!({
            "method": method.method,
            "destination": method.destination,
            "heldUntil": Some(method.held_until).filter(|until| *until > now),
        })),
    })))
}

/// `DELETE /api/phone`
pub(super) async fn leave(State(house): Shared, headers: HeaderMap) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let phone = bearer(&house, &headers)?;
    forget(&house, &phone).await
}

/// For how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    rest: Rest,
}

/// `POST /api/phone/pause`
pub(super) async fn pause(
    State(house): Shared,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<StatusCode, Problem> {
    let phone = bearer(&house, &headers)?;
    let Pause { rest } = posted::read(&body)?;
    steer(&house, phone.plugin, Wish::Rest(rest)).await
}

/// What is asked for a model, in USD per million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    model: String,
    input: Nanos,
    output: Nanos,
}

/// `POST /api/phone/price`
pub(super) async fn price(
    State(house): Shared,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<StatusCode, Problem> {
    let phone = bearer(&house, &headers)?;
    let Asked { model, input, output } = posted::read(&body)?;
    let ask: Price = groups::price_of(input, output)?;
    steer(&house, phone.plugin, Wish::Price { model, ask }).await
}

/// `POST /api/phone/payout`
pub(super) async fn payout(
    State(house): Shared,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let phone = bearer(&house, &headers)?;
    if !house.rates.payout(phone.plugin) {
        return Err(Problem::rate_limited("this plugin's payouts were changed too often; wait a minute"));
    }
    payouts::order(&house, phone.plugin, "/api/phone/payout", &headers, &body).await
}

/// Has a plugin follow a wish, and waits until it says that it has.
async fn steer(house: &House, plugin: PluginId, wish: Wish) -> Result<StatusCode, Problem> {
    let conflict = |code, message| Problem::new(StatusCode::CONFLICT, code, message);
    let away = || {
        conflict("not_connected", "your computer is not connected, so it cannot be told; nothing was changed")
    };
    let session = house.desk.session_of(plugin).ok_or_else(away)?.session;
    let busy = || Problem::rate_limited("another change is under way; wait a moment");
    let mut waiting = house.phones.wish(session).ok_or_else(busy)?;
    if !house.desk.steer(session, Steer { n: waiting.n, wish }) {
        return Err(away());
    }
    match tokio::time::timeout(PATIENCE, &mut waiting.answer).await {
        Ok(Ok(None)) => Ok(StatusCode::NO_CONTENT),
        Ok(Ok(Some(Unwilling::Off))) => {
            Err(conflict("steering_off", "changes from phones are switched off in the extension's settings"))
        }
        Ok(Ok(Some(Unwilling::Model))) => {
            let message = "your computer does not offer this model now";
            Err(Problem::new(StatusCode::NOT_FOUND, "model_not_found", message))
        }
        Ok(Err(_)) | Err(_) => {
            let message = "your computer has not said whether it follows; look again in a moment";
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "no_word", message))
        }
    }
}

/// Finds out which phone calls, and counts it.
fn bearer(house: &House, headers: &HeaderMap) -> Result<Phone, Problem> {
    let unknown = || {
        let message = "this phone is not paired any more";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_phone", message)
    };
    let token = caller::bearer(headers)?.unwrap_or_default();
    let phone = house.phones.bearer(house.desk.now(), token).ok_or_else(unknown)?;
    match house.plugins.find(phone.plugin) {
        Some(known) if known.revoked.is_some() => return Err(plugins::revoked()),
        Some(_) => {}
        None => return Err(unknown()),
    }
    if !house.rates.phone(phone.id) {
        return Err(Problem::rate_limited("this phone has asked too often; wait a minute"));
    }
    Ok(phone)
}

fn full() -> Problem {
    let message = format!("the plugin has {PHONES_MAX} phones, which is as many as it may have");
    Problem::new(StatusCode::CONFLICT, "too_many_phones", message)
}

async fn forget(house: &House, phone: &Phone) -> Result<StatusCode, Problem> {
    house.phones.put_out(house.desk.store(), phone).await.map_err(Problem::unstored("a phone"))?;
    Ok(StatusCode::NO_CONTENT)
}
