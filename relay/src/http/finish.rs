//! Finishing: a call that changes something is done to its end, whether its caller waits or not.
//!
//! A caller who hangs up would otherwise leave it half done: stored and not told, or moved and its
//! `Idempotency-Key` free for a repetition that moves again.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Problem;

/// Runs a call in a task of its own and reads its answer there, so that what is kept of it for a repetition
/// is whole. Not for answers that are streamed; a call that changes nothing is let through.
pub(super) async fn to_its_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let call = tokio::spawn(async move {
        let (head, body) = next.run(request).await.into_parts();
        match to_bytes(body, usize::MAX).await {
            Ok(bytes) => Response::from_parts(head, Body::from(bytes)),
            Err(error) => {
                tracing::error!(%error, "an answer broke off");
                Problem::internal().into_response()
            }
        }
    });
    // A panic has been logged by the task.
    call.await.unwrap_or_else(|_| Problem::internal().into_response())
}
