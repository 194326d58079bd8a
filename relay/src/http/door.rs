//! The door of the operator: wrong tokens are tried slowly, and where he has an address of his own, his
//! token opens nothing elsewhere.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rekursing_protocol::KeyId;

use super::{
    Problem,
    caller::{self, NO_KEY},
    plugins::SECRET_PREFIX,
    posted::{Peer, Shared},
};
use crate::{devices::PASS_PREFIX, house::House, receipt::TOKEN_PREFIX};

/// What is shown in the place of a token that opens nothing here.
const NOTHING: HeaderValue = HeaderValue::from_static("Bearer nothing");

/// Lets a call to the operator's own routes in.
pub(super) async fn own(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    request: Request,
    next: Next,
) -> Response {
    match knock(&house, &request, peer) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets a call to routes in that are the operator's and others'. API keys, the secrets and passes of plugins and
/// the tokens of receipts are too long to be guessed, and are not the operator's; nor is the word for no key.
pub(super) async fn shared(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    request: Request,
    next: Next,
) -> Response {
    let shown = caller::bearer(request.headers()).ok().flatten().unwrap_or_default();
    let others = [KeyId::PREFIX, SECRET_PREFIX, PASS_PREFIX, TOKEN_PREFIX];
    if shown == NO_KEY || others.iter().any(|prefix| shown.starts_with(prefix)) {
        return next.run(request).await;
    }
    own(State(house), ConnectInfo(peer), request, next).await
}

/// Lets a call to such routes in where the operator has an address of his own and this is not it: his token
/// is as good as any other wrong word, and nobody learns here that it is his.
pub(super) async fn elsewhere(State(house): Shared, mut request: Request, next: Next) -> Response {
    if caller::operator(&house, request.headers()).is_ok() {
        request.headers_mut().insert(AUTHORIZATION, NOTHING);
    }
    next.run(request).await
}

/// Counts a wrong token, and refuses to look at any from where too many came.
fn knock(house: &House, request: &Request, peer: SocketAddr) -> Result<(), Problem> {
    let headers = request.headers();
    let has_token = house.config.operator_token_sha256.is_some();
    if !has_token || !matches!(caller::bearer(headers), Ok(Some(_))) {
        return Ok(());
    }
    let (now, address) = (house.desk.now(), caller::address(house, headers, peer));
    if house.rates.is_barred(now, address) {
        return Err(Problem::rate_limited("too many wrong tokens from this address; wait a minute"));
    }
    if caller::operator(house, headers).is_err() {
        house.rates.wrong_token(now, address);
    }
    Ok(())
}
