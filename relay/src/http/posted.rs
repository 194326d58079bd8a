//! What every `POST` passes: from where it comes, in which form its body is, and that the body is
//! there in time and no larger than it may be.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{Problem, caller, router::refuse};
use crate::house::House;

/// The body of a `POST`.
#[derive(Debug)]
pub(super) struct Posted(pub(super) Bytes);

impl FromRequest<Arc<House>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Posted, Response> {
        let (parts, body) = request.into_parts();
        let read = async {
            check(house, &parts.headers)?;
            whole(house, body).await
        };
        read.await.map(Posted).map_err(|problem| refuse(problem, &parts.uri))
    }
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

async fn whole(house: &House, body: Body) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, house.config.limits.request_bytes);
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
