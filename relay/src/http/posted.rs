//! What every `POST` passes: from where it comes, in which form its body is, and that the body is
//! there in time and no larger than it may be.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, FromRequest, Path, Request, State, rejection::PathRejection},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::Deserialize;

use super::{Problem, caller, router::refuse};
use crate::{
    body,
    house::House,
    memory::{Reading, Room},
};

/// What all handlers share.
pub(super) type Shared = State<Arc<House>>;

/// Who calls.
pub(super) type Peer = ConnectInfo<SocketAddr>;

/// The one thing that a path names.
pub(super) type Named = Result<Path<String>, PathRejection>;

/// The body of a `POST`, and its part of the memory for requests.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) body: Bytes,
    pub(super) room: Room,
}

/// Reads a body that is an object. A list is refused here, because serde takes one for an object of its
/// fields.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad_request("the body must be a JSON object"));
    }
    body::read_bytes(body)
}

/// Longest body of a registration, of a dispute and of whatever is about ads.
const REGISTRATION_BYTES_MAX: usize = 256 * 1024;

impl FromRequest<Arc<House>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Posted, Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let is_small = path == "/api/account/disputes"
            || path.starts_with("/api/ads/")
            || (!path.starts_with("/v1/") && path.ends_with("/register"));
        let most = house.config.limits.request_bytes;
        let most = if is_small { most.min(REGISTRATION_BYTES_MAX) } else { most };
        let read = async {
            check(house, &parts.headers)?;
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(Problem::internal)?;
            let address = caller::address(house, &parts.headers, peer.0);
            let reading = house.memory.reading(address).ok_or_else(overloaded)?;
            whole(house, &parts.headers, body, most, reading).await
        };
        read.await.map_err(|problem: Problem| refuse(problem, &parts.uri))
    }
}

fn overloaded() -> Problem {
    let message = "too many large requests are under way";
    Problem { retry_after: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message) }
}

fn check(house: &House, headers: &HeaderMap) -> Result<(), Problem> {
    caller::origin(house, headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the body must be JSON, with Content-Type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

async fn whole(
    house: &House,
    headers: &HeaderMap,
    body: Body,
    most: usize,
    reading: Reading,
) -> Result<Posted, Problem> {
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if told.is_some_and(|told: u64| told > most as u64) {
        return Err(too_large());
    }
    let patience = Duration::from_millis(house.config.time.body_ms);
    tokio::time::timeout(patience, collected(body, most, reading)).await.unwrap_or_else(|_| {
        let message = "the body did not come in time";
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
    })
}

/// Reads a body, whose part of the memory for requests grows with what has come of it.
async fn collected(mut body: Body, most: usize, mut reading: Reading) -> Result<Posted, Problem> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("the body cannot be read"))?;
        let Ok(part) = frame.into_data() else { continue };
        let bytes = whole.len() + part.len();
        if bytes > most {
            return Err(too_large());
        }
        if !reading.grow(bytes) {
            return Err(overloaded());
        }
        whole.extend_from_slice(&part);
    }
    Ok(Posted { body: whole.freeze(), room: reading.read() })
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too large")
}
