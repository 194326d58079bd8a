//! What every `POST` passes: from where it comes, in which form its body is, and that the body is
//! there in time and no larger than it may be.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;

use super::{Problem, caller, router::refuse};
use crate::{house::House, memory::Room};

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
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(&format!("the body does not hold: {error}")))
}

/// Longest body of a registration and of whatever is about ads.
const REGISTRATION_BYTES_MAX: usize = 256 * 1024;

impl FromRequest<Arc<House>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Posted, Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let is_small =
            path.starts_with("/api/ads/") || (!path.starts_with("/v1/") && path.ends_with("/register"));
        let most = house.config.limits.request_bytes;
        let most = if is_small { most.min(REGISTRATION_BYTES_MAX) } else { most };
        let read = async {
            check(house, &parts.headers)?;
            let room = room(house, &parts.headers, most)?;
            Ok(Posted { body: whole(house, body, most).await?, room })
        };
        read.await.map_err(|problem: Problem| refuse(problem, &parts.uri))
    }
}

/// Takes a body's part of the memory for requests before a byte of it is read.
fn room(house: &House, headers: &HeaderMap, most: usize) -> Result<Room, Problem> {
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    house.memory.room(told.unwrap_or(most).min(most)).ok_or_else(|| Problem {
        retry_after: Some(5),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many large requests are under way")
    })
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

async fn whole(house: &House, body: Body, most: usize) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, most);
    let patience = Duration::from_millis(house.config.time.body_ms);
    match tokio::time::timeout(patience, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = "the request is too large";
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the body cannot be read")),
        Err(_) => {
            let message = "the body did not come in time";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
        }
    }
}
