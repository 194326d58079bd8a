//! The owners' routes: register, connect, earnings; and who is live, for anyone.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{
        HeaderMap, StatusCode,
        header::{ORIGIN, UPGRADE},
    },
    response::{IntoResponse, Response},
};
use rekursing_protocol::{
    AccountId, KeyId, PluginId, SUBPROTOCOL, Serves,
    earnings::Earnings,
    name,
    offer::OFFERS_MAX,
    outlook::Outlook,
    register::{Registered, Registration},
};
use serde_json::{Value, json};

use super::{
    Problem, caller,
    figures::tokens_per_second,
    posted::{self, Named, Peer, Posted, Shared},
    written::{List, Written},
};
use crate::{
    chance,
    devices::{self, Key},
    house::House,
    session,
    store::Plugin,
    switches::Feature,
};

/// What the secret of a plugin begins with.
pub(super) const SECRET_PREFIX: &str = "rps_";

/// Longest name of a plugin, in characters.
pub(super) const NAME_MAX: usize = 60;

/// `POST /api/plugin/register`
pub(super) async fn register(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<(StatusCode, Json<Registered>), Problem> {
    if !house.rates.registration(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many registrations from this address; wait a minute"));
    }
    let registration: Registration = posted::read(&body)?;
    let key = check(&registration)?;
    // Under a name that is not ours nothing can be signed for us.
    let key = key.filter(|_| caller::own_host(&house, &headers).is_some());
    // Whoever has lost the answer to a registration, or all but the key, is who he was.
    if let Some(plugin_id) = key.and_then(|key| house.plugins.with_key(&key)) {
        if house.plugins.find(plugin_id).is_some_and(|known| known.revoked.is_some()) {
            return Err(revoked());
        }
        return Ok((StatusCode::OK, Json(Registered { plugin_id, secret: None })));
    }
    house.switches.check(Feature::Registrations)?;
    let plugin_id = house.plugin_id();
    let secret = put(&house, plugin_id, &registration, key).await?;
    Ok((StatusCode::CREATED, Json(Registered { plugin_id, secret })))
}

/// Stores a plugin durably and lets it in from then on, by its key or else by a secret, which is returned.
pub(super) async fn put(
    house: &House,
    id: PluginId,
    registration: &Registration,
    key: Option<Key>,
) -> Result<Option<String>, Problem> {
    let secret = key.is_none().then(|| chance::secret(SECRET_PREFIX));
    let secret_hash = secret.as_deref().map(chance::digest);
    let gpu = session::bounded(registration.gpu.clone());
    let name = name::plain(&registration.name, NAME_MAX);
    let plugin = Plugin { id, secret_hash, key, pairing: None, revoked: None, name, gpu };
    house.desk.store().put_plugin(house.desk.now(), plugin.clone()).await.map_err(|error| {
        tracing::error!(%error, "could not store a plugin");
        Problem::internal()
    })?;
    house.plugins.enter(&plugin);
    Ok(secret)
}

/// Checks a registration. Returns its device key, if it has one.
fn check(registration: &Registration) -> Result<Option<Key>, Problem> {
    let name = &registration.name;
    if name.chars().count() > NAME_MAX {
        return Err(Problem::field("name", "a name has at most 60 characters"));
    }
    if registration.models.len() > OFFERS_MAX {
        return Err(Problem::field("models", "at most 64 models"));
    }
    for offer in &registration.models {
        offer.check().map_err(|refusal| Problem::field("models", &refusal.to_string()))?;
    }
    let wrong = || Problem::field("key", "a key is an Ed25519 public key of 64 hex digits");
    registration.key.as_deref().map(|key| devices::key(key).ok_or_else(wrong)).transpose()
}

/// `GET /api/plugin/connect`
pub(super) async fn connect(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refusal) => return not_upgraded(&refusal),
    };
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    if origin.is_some_and(|origin| !caller::is_extension(&house, origin)) {
        let message = "only the extension and native nodes may connect";
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", message));
    }
    let address = caller::address(&house, &headers, peer);
    if !house.rates.connect(address) {
        return Err(Problem::rate_limited("too many connections from this address; wait a minute"));
    }
    if house.is_draining() {
        return Err(rekursing_market::Refusal::Draining.into());
    }
    let limits = &house.config.limits;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(limits.session_buffer_bytes)
        .write_buffer_size(limits.session_buffer_bytes)
        .max_write_buffer_size(2 * limits.request_bytes)
        .max_message_size(limits.frame_bytes)
        .max_frame_size(limits.frame_bytes);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::bad_request("the WebSocket's subprotocol must be rekursing.v1"));
    }
    let house = Arc::clone(&house);
    let network = caller::is_public(address).then(|| house.desk.visitor(address));
    // A task of its own is smaller than the one that upgraded, which then ends.
    let host = caller::own_host(&house, &headers);
    let begin = move |socket| {
        tokio::spawn(session::run(house, network, host, Box::new(socket)));
        std::future::ready(())
    };
    Ok(upgrade.on_upgrade(begin).into_response())
}

/// Tells a call that is no WebSocket from a WebSocket that is not spoken well.
fn not_upgraded(refusal: &WebSocketUpgradeRejection) -> Result<Response, Problem> {
    use WebSocketUpgradeRejection::{
        ConnectionNotUpgradable, InvalidConnectionHeader, InvalidUpgradeHeader, MethodNotGet,
    };
    let is_plain = matches!(
        refusal,
        MethodNotGet(_) | InvalidConnectionHeader(_) | InvalidUpgradeHeader(_) | ConnectionNotUpgradable(_)
    );
    if !is_plain {
        return Err(Problem::bad_request(&refusal.body_text()));
    }
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "this route is a WebSocket");
    Ok(([(UPGRADE, "websocket")], problem).into_response())
}

/// `GET /api/plugin/earnings/{pluginId}`
pub(super) async fn earnings(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
) -> Result<Json<Earnings>, Problem> {
    let Path(id) = id?;
    let id = owner(&house, &id, &headers, peer).await?;
    let earnings = house.desk.store().earnings(house.desk.now(), id).await;
    Ok(Json(earnings.map_err(Problem::unread)?))
}

/// `GET /api/plugin/outlook/{pluginId}`
pub(super) async fn outlook(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
) -> Result<Json<Outlook>, Problem> {
    let Path(id) = id?;
    let id = owner(&house, &id, &headers, peer).await?;
    // It takes a look at every offer.
    if !house.rates.outlook(id) {
        return Err(Problem::rate_limited("this plugin has looked too often; wait a minute"));
    }
    Ok(Json(Outlook { quality: house.qualities.of(id), ..house.desk.outlook(id) }))
}

/// Checks that whoever calls has a pass or the secret of the plugin that the path names, or is the account
/// whose own it is.
pub(super) async fn owner(
    house: &House,
    id: &str,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<PluginId, Problem> {
    Ok(voice(house, id, headers, peer).await?.plugin)
}

/// Who speaks for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Voice {
    /// The plugin.
    pub(super) plugin: PluginId,
    /// The account whose own it is, where that speaks; nothing where the plugin does itself.
    pub(super) account: Option<AccountId>,
}

/// Checks like [`owner`] that the caller may speak for a plugin, and tells as whom he does.
pub(super) async fn voice(
    house: &House,
    id: &str,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Voice, Problem> {
    let refused = || {
        let message = "unknown plugin, wrong secret, or a pass that is over";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_secret", message)
    };
    let plugin: PluginId = id.parse().map_err(|_| refused())?;
    let given = caller::bearer(headers)?.unwrap_or_default();
    let own = Voice { plugin, account: None };
    let has_pass = house.devices.bearer(house.desk.now(), given) == Some(plugin);
    let known = house.plugins.find(plugin).ok_or_else(refused)?;
    if given.starts_with(KeyId::PREFIX) {
        let account = caller::account(house, headers, peer).await?.account;
        return if known.is_of(account) {
            Ok(Voice { account: Some(account), ..own })
        } else {
            Err(refused())
        };
    }
    match known.revoked {
        _ if !has_pass && !known.has_secret(given) => Err(refused()),
        Some(_) => Err(revoked()),
        // Nearly all of what an owner asks is looked up in the store.
        None if !house.rates.owner_call(plugin) => {
            Err(Problem::rate_limited("too many calls about this plugin; wait a minute"))
        }
        None => Ok(own),
    }
}

/// Tells whoever shows a key, secret or pass that its account has revoked it.
pub(super) fn revoked() -> Problem {
    let message = "the account that this plugin is paired with has revoked its key";
    Problem::new(StatusCode::UNAUTHORIZED, "key_revoked", message)
}

/// `GET /api/plugin/stats`
pub(super) async fn stats(State(house): Shared) -> Result<Response, Problem> {
    let write = |house: &Arc<House>| live(house).to_string();
    Ok(Written::as_json(Written::of(&house, List::Stats, write).await?))
}

fn live(house: &House) -> Value {
    let now = house.desk.now();
    let counts = house.desk.counts();
    let sessions = house.desk.sessions();
    let rows: Vec<Value> = sessions
        .iter()
        // What friends have among themselves is nobody else's business.
        .filter(|session| session.serves != Serves::Group)
        .take(500)
        .map(|session| {
            let face = house.desk.face(session.session);
            let models: Vec<Value> = session
                .offers
                .iter()
                .map(|rekursing_market::OfferView { offer, millitokens_per_second, .. }| {
                    json!({
                        "id": offer.model,
                        "quantization": offer.quantization,
                        "browser": offer.browser,
                        "context": offer.context,
                        "loaded": offer.loaded,
                        "tokensPerSecond": tokens_per_second(*millitokens_per_second),
                    })
                })
                .collect();
            json!({
                "pluginId": session.plugin,
                "name": face.as_ref().map(|face| &*face.name).unwrap_or_default(),
                "gpu": face.as_ref().map(|face| face.gpu.name()),
                "gpuClass": face.as_ref().map(|face| face.gpu.class),
                "models": models,
                "slots": session.slots,
                "paused": session.paused,
                "successRate": tokens_per_second(session.success_permille * 1_000).map(|rate| rate / 1_000.0),
                "uptimeSeconds": now.since(session.since).0 / 1_000,
            })
        })
        .collect();
    json!({
        "plugins": counts.sessions,
        "slots": counts.slots,
        "jobsRunning": counts.running,
        "jobsWaiting": counts.waiting,
        "jobsCompleted": counts.completed,
        "sessions": rows,
    })
}
