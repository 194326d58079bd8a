//! Refusals: whoever asks for an answer and is turned away is counted by why, wherever that happens.

use axum::{extract::Request, middleware::Next, response::Response};

use super::problem::Cause;
use crate::telemetry;

/// Answers a request, and counts its refusal unless the desk has done so when its job ended.
pub(super) async fn counted(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(Cause(code)) = response.extensions().get() {
        telemetry::refused(code);
    }
    response
}
