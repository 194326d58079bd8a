//! Passes: what an owner with a device key shows on the owners' routes, for a signature.

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::{
    device::{Purpose, Statement},
    pass::{Asking, Challenge, Pass},
};

use super::{
    Problem, caller, plugins,
    posted::{self, Peer, Posted, Shared},
};
use crate::{
    devices::{self, NONCE_FOR, PASS_FOR},
    house::House,
};

/// `POST /api/plugin/challenge`
pub(super) async fn challenge(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    _: Posted,
) -> Result<Json<Challenge>, Problem> {
    if !house.rates.challenge(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many challenges from this address; wait a minute"));
    }
    own_host(&house, &headers)?;
    let nonce = house.devices.nonce(house.desk.now());
    Ok(Json(Challenge { nonce, holds_ms: NONCE_FOR.0 }))
}

/// `POST /api/plugin/pass`
pub(super) async fn pass(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Pass>, Problem> {
    if !house.rates.challenge(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many challenges from this address; wait a minute"));
    }
    let host = own_host(&house, &headers)?;
    let Asking { plugin_id, nonce, signature }: Asking = posted::read(&body)?;
    let now = house.desk.now();
    let asked_at = house.devices.asked_at(now, &nonce).ok_or_else(refused)?;
    let statement = Statement { purpose: Purpose::Pass, host: &host, plugin: plugin_id, nonce: &nonce };
    let known = house.plugins.find(plugin_id).ok_or_else(refused)?;
    if !known.key.is_some_and(|key| devices::has_signed(&key, &statement, &signature)) {
        return Err(refused());
    }
    if known.revoked.is_some() {
        return Err(plugins::revoked());
    }
    if !house.rates.pass(plugin_id) {
        return Err(Problem::rate_limited("this plugin has got too many passes; wait a minute"));
    }
    if !house.plugins.use_nonce(plugin_id, asked_at) {
        return Err(refused());
    }
    Ok(Json(Pass { pass: house.devices.pass(now, plugin_id), holds_ms: PASS_FOR.0 }))
}

fn own_host(house: &House, headers: &HeaderMap) -> Result<String, Problem> {
    caller::own_host(house, headers).ok_or_else(|| {
        let message =
            "device keys are taken only under a name that this relay's operator has among `origins`";
        Problem::new(StatusCode::FORBIDDEN, "device_keys_refused", message)
    })
}

fn refused() -> Problem {
    let message = "the plugin has not signed this nonce with its device key, or has done so before";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_signature", message)
}
