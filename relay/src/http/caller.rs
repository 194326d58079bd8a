//! Callers: from where, with which key, out of which page.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};
use rekursing_market::{Payer, ads::Country};
use rekursing_protocol::{AccountId, KeyId, device};
use subtle::ConstantTimeEq;

use super::{Problem, posted::Shared};
use crate::{chance, config::EXTENSION_ID, house::House, store::Holder};

/// The API key that stands for "none", for SDKs that insist on one.
pub(super) const NO_KEY: &str = "free";

/// Whoever asks for an answer.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who pays.
    pub payer: Payer,
    /// The key that was shown; `None` for a visitor.
    pub holder: Option<Holder>,
}

/// Who asks about campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advertiser {
    /// The operator, who may see and change all of them.
    Operator,
    /// An account, which has its own.
    Account(AccountId),
}

/// Finds out who asks about campaigns: an account by an API key without limits, or the operator by his token.
pub async fn advertiser(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Advertiser, Problem> {
    match bearer(headers)? {
        Some(key) if key.starts_with("rk_") => {
            Ok(Advertiser::Account(account(house, headers, peer).await?.account))
        }
        Some(_) => operator(house, headers).map(|()| Advertiser::Operator),
        None => {
            let message = "this route needs an API key, or the operator's token";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
        }
    }
}

/// Returns the country that the proxy in front has seen.
pub fn country(house: &House, headers: &HeaderMap) -> Option<Country> {
    let name = house.config.ads.country_header.as_deref().filter(|_| house.config.behind_proxy)?;
    headers.get(name)?.to_str().ok()?.trim().to_ascii_uppercase().parse().ok()
}

/// Finds out who pays: the account behind the key, or the free budget for a visitor without one.
pub async fn caller(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Caller, Problem> {
    if let Some(holder) = shown(house, headers, peer).await? {
        return Ok(Caller { payer: Payer::Page(holder.account), holder: Some(holder) });
    }
    let address = address(house, headers, peer);
    if !house.rates.free_request(address) {
        return Err(Problem::rate_limited("too many requests without an API key; wait a minute"));
    }
    Ok(Caller { payer: Payer::Free { visitor: house.desk.visitor(address) }, holder: None })
}

/// Finds out whose key was shown, on routes that are an account's own.
pub async fn holder(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Holder, Problem> {
    let holder = uncounted(house, headers, peer).await?;
    // Nearly all of them look into the store. A key that was given away takes none of the others' calls.
    if house.rates.own_call(holder.spender.key) {
        return Ok(holder);
    }
    Err(Problem::rate_limited("too many calls about this account with this key; wait a minute"))
}

/// The same on the route by which a key is revoked: whoever floods it with calls does not keep it open.
pub(super) async fn uncounted(
    house: &House,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Holder, Problem> {
    shown(house, headers, peer).await?.ok_or_else(|| {
        let message = "this route needs an API key, as `Authorization: Bearer rk_…`";
        Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    })
}

/// Finds out whose account is asked about, on routes that are about all of it: a key that was given away
/// with a limit does not stand for it.
pub async fn account(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Holder, Problem> {
    let holder = holder(house, headers, peer).await?;
    if holder.spender.is_unlimited() {
        return Ok(holder);
    }
    let message = "only a key without limits stands for its account, and this one has some";
    Err(Problem::new(StatusCode::FORBIDDEN, "key_has_limits", message))
}

/// Tells whether a key was shown that is an account's.
pub(super) async fn has_key(house: &House, headers: &HeaderMap, peer: SocketAddr) -> bool {
    matches!(shown(house, headers, peer).await, Ok(Some(_)))
}

/// Reads the key that was shown, if there is one.
async fn shown(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<Option<Holder>, Problem> {
    let Some(key) = bearer(headers)?.filter(|key| *key != NO_KEY) else { return Ok(None) };
    let known = known(house, key).await;
    // Whoever tries keys is as slow as a visitor.
    if known.is_err() && !house.rates.free_request(address(house, headers, peer)) {
        return Err(Problem::rate_limited("too many requests with a wrong API key; wait a minute"));
    }
    let holder = known?;
    if holder.spender.is_expired(house.desk.now()) {
        let message = "the API key has expired";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "api_key_expired", message));
    }
    Ok(Some(holder))
}

async fn known(house: &House, key: &str) -> Result<Holder, Problem> {
    let wrong =
        || Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", "the API key is unknown or revoked");
    if !key.starts_with(KeyId::PREFIX) || key.len() > 200 {
        return Err(wrong());
    }
    let hash = chance::digest(key);
    if let Some(holder) = house.keys.holder(&hash) {
        return Ok(holder);
    }
    let looked = house.keys.age();
    let known = house.desk.store().holder(hash, house.config.money.verified_from).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "could not look up a key");
        Problem::store_down()
    })?;
    let holder = known.ok_or_else(wrong)?;
    house.keys.keep(hash, holder.clone(), looked);
    Ok(holder)
}

/// Checks the operator's token.
pub fn operator(house: &House, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(expected) = &house.config.operator_token_sha256 else {
        let message = "this relay has no operator token, so its operator's routes are closed";
        return Err(Problem::new(StatusCode::FORBIDDEN, "operator_only", message));
    };
    let wrong = |message| Err(Problem::new(StatusCode::UNAUTHORIZED, "operator_only", message));
    let Some(token) = bearer(headers)?.filter(|token| !token.is_empty()) else {
        return wrong("this route needs the operator's token");
    };
    let given = chance::hex(&chance::digest(token));
    if bool::from(given.as_bytes().ct_eq(expected.to_ascii_lowercase().as_bytes())) {
        return Ok(());
    }
    wrong("the operator's token is wrong")
}

/// Returns the bearer token, if there is one.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let scheme = "bearer ";
    let text = value.to_str().unwrap_or_default();
    match text.get(..scheme.len()) {
        Some(start) if start.eq_ignore_ascii_case(scheme) => Ok(Some(text[scheme.len()..].trim())),
        _ => {
            let message = "Authorization must be `Bearer` and a key";
            Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
        }
    }
}

/// Returns the caller's address; behind a proxy, the one that the proxy saw.
pub fn address(house: &House, headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
    let forwarded = || {
        let list = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        list.rsplit(',').next()?.trim().parse().ok()
    };
    let seen = if house.config.behind_proxy { forwarded().unwrap_or(peer.ip()) } else { peer.ip() };
    network(seen)
}

/// Tells one visitor from another, by his network.
pub fn visitor(house: &House, headers: &HeaderMap, peer: SocketAddr) -> u64 {
    house.desk.visitor(address(house, headers, peer))
}

/// One address for whoever can pick among many: an IPv6 subscriber has up to a whole /48. So many subscribers
/// may share one, as they share an IPv4 address. An IPv4 address in IPv6's clothes is an IPv4 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
    }
}

/// Tells whether an address says of two callers that they are of one network. Those of this computer, of a
/// private network and of a link say nothing: there all callers may look alike.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || is_shared)
        }
        // What is left of ::1 as a network is ::.
        IpAddr::V6(v6) => {
            let is_own = v6.is_loopback() || v6.is_unspecified();
            !(is_own || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// Refuses pages of other sites: a browser says from where it comes, and only the relay's own pages,
/// those of the config and the extension may call.
///
/// A page under the name by which the relay was called is its own only where the name cannot be somebody
/// else's: whoever has a domain can let its name stand for the relay's address.
pub fn origin(house: &House, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let same = origin.split_once("://").is_some_and(|(scheme, rest)| {
        let called = host.is_some_and(|host| host.eq_ignore_ascii_case(rest));
        matches!(scheme, "http" | "https") && called && is_nobodys(rest)
    });
    if same || is_named(house, origin) || is_extension(house, origin) {
        return Ok(());
    }
    let message = "pages of this origin may not call this relay, unless its operator names it in `origins`";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", message))
}

/// What the config names in the place of an origin to let pages of all origins ask.
pub(super) const EVERY_ORIGIN: &str = "*";

/// Routes on which pages of all origins may call where the config lets them: what asks, and what tells of answers.
/// Each of them goes by a key or a token in the call or is anybody's, and none by what a browser adds on its own.
const ASKING: [&str; 6] =
    ["/v1/", "/api/llm/", "/api/live", "/api/jobs/", "/api/ads/impressions", "/.well-known/"];

/// Tells whether pages of all origins may call this path.
pub(super) fn is_everyones(house: &House, path: &str) -> bool {
    let origins = &house.config.origins;
    origins.iter().any(|origin| origin == EVERY_ORIGIN) && ASKING.iter().any(|of| path.starts_with(of))
}

/// Lets a page of any origin ask, where it may, as a program does that names none.
pub(super) async fn everyones_page(State(house): Shared, mut request: Request, next: Next) -> Response {
    if is_everyones(&house, request.uri().path()) {
        request.headers_mut().remove(ORIGIN);
    }
    next.run(request).await
}

/// Returns the name under which the relay was called, as device keys sign it, where it is one of its own: an
/// address, or a name that the config has among its origins. Whoever lets a name of his stand for the relay's
/// address gets no signature for it.
pub fn own_host(house: &House, headers: &HeaderMap) -> Option<String> {
    let host = device::host(headers.get(HOST)?.to_str().ok()?);
    let is_named =
        |origin: &String| origin.split_once("://").is_some_and(|(_, named)| device::host(named) == host);
    (is_nobodys(&host) || house.config.origins.iter().any(is_named)).then_some(host)
}

/// Tells whether a host, with or without a port, has no name that somebody could own.
pub(super) fn is_nobodys(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// Tells whether the config names this origin.
pub fn is_named(house: &House, origin: &str) -> bool {
    house.config.origins.iter().any(|named| named.eq_ignore_ascii_case(origin))
}

/// Tells whether this is the origin of an extension that may connect.
pub fn is_extension(house: &House, origin: &str) -> bool {
    let Some(id) = origin.strip_prefix("chrome-extension://") else { return false };
    let is_named = house.config.extensions.iter().any(|named| named == id);
    id == EXTENSION_ID || is_named || house.downloads.offers(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_one_network_and_so_is_an_ipv4_address() {
        for (one, other, same) in [
            ("2001:db8:7::1", "2001:db8:7:ffff::2", true),
            ("2001:db8:7::1", "2001:db8:8::1", false),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
        ] {
            let [one, other] = [one, other].map(|text| network(text.parse().unwrap()));
            assert_eq!(one == other, same, "{one} {other}");
        }
    }

    #[test]
    fn callers_of_this_computer_or_a_private_network_may_be_anybody() {
        for address in
            ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.7", "172.16.0.1", "169.254.1.1", "100.64.0.1"]
        {
            assert!(!is_public(network(address.parse().unwrap())), "{address}");
        }
        for address in ["fd00:1::1", "fe80::1", "::ffff:10.1.2.3", "0.0.0.0"] {
            assert!(!is_public(network(address.parse().unwrap())), "{address}");
        }
        for address in ["203.0.113.7", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:203.0.113.7"] {
            assert!(is_public(network(address.parse().unwrap())), "{address}");
        }
    }

    #[test]
    fn only_addresses_and_localhost_are_nobodys() {
        for (host, nobodys) in [
            ("localhost", true),
            ("LOCALHOST:3002", true),
            ("127.0.0.1:3002", true),
            ("192.168.1.7", true),
            ("[::1]:3002", true),
            ("relay.example", false),
            ("127.0.0.1.evil.example:3002", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_nobodys(host), nobodys, "{host}");
        }
    }
}
