//! Calls of the relay's own routes from within.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        HeaderValue, Method, Request,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
        request::Parts,
    },
    response::Response,
};
use serde_json::{Value, json};
use tower::Service;

use crate::{
    http::{Problem, once},
    replay::LAST_EVENT,
};

/// Asks for a route on behalf of whoever sent a message, with its headers and from its address.
pub(super) async fn call(
    routes: &Router,
    caller: &Parts,
    method: Method,
    path: &'static str,
    body: &Value,
) -> Response {
    let body = if method == Method::GET { Body::empty() } else { Body::from(body.to_string()) };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("paths of routes are written here");
    *request.headers_mut() = caller.headers.clone();
    let headers = request.headers_mut();
    // These belong to the message and not to the call.
    for name in [CONTENT_LENGTH, ACCEPT, once::KEY, LAST_EVENT] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.extensions_mut() = caller.extensions.clone();
    match routes.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Reads a route's whole answer: its JSON, or the error that it is.
pub(super) async fn whole(response: Response) -> Result<Value, Value> {
    let (head, body) = response.into_parts();
    let internal = || Problem::internal().own()["error"].take();
    let bytes = to_bytes(body, usize::MAX).await.map_err(|_| internal())?;
    let mut answer: Value = serde_json::from_slice(&bytes).map_err(|_| internal())?;
    if head.status.is_success() {
        return Ok(answer);
    }
    let mut error = answer["error"].take();
    let seconds =
        head.headers.get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse::<u64>().ok());
    if let Some(seconds) = seconds {
        error["retryAfterSeconds"] = json!(seconds);
    }
    Err(error)
}
