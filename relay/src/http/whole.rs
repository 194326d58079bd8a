//! Whole: a call that changes something runs to its end, whether its caller waits or not.
//!
//! What is durable and what the relay has in memory are changed one after the other. A caller who hangs up
//! in between would leave the one without the other: credit that cannot be spent, a revoked key that opens.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Problem;

/// Answers a call, in a task of its own if it may change something. Not for answers that are streamed.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let answer = tokio::spawn(async move {
        let (head, body) = next.run(request).await.into_parts();
        // Read here, so that what is kept of it for a repetition by its `Idempotency-Key` is whole.
        match to_bytes(body, usize::MAX).await {
            Ok(bytes) => Response::from_parts(head, Body::from(bytes)),
            Err(error) => {
                tracing::error!(%error, "an answer broke off");
                Problem::internal().into_response()
            }
        }
    });
    answer.await.unwrap_or_else(|_| Problem::internal().into_response())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Router, http::Method, middleware, routing::any};
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn what_changes_something_goes_on_when_its_caller_has_left_and_what_only_reads_does_not() {
        for (method, goes_on) in [(Method::POST, true), (Method::DELETE, true), (Method::GET, false)] {
            let [reached, go, done] = std::array::from_fn(|_| Arc::new(Notify::new()));
            let steps = [Arc::clone(&reached), Arc::clone(&go), Arc::clone(&done)];
            let work = any(move || async move {
                let [reached, go, done] = steps;
                reached.notify_one();
                go.notified().await;
                done.notify_one();
            });
            let router = Router::new().route("/", work).layer(middleware::from_fn(whole));
            let request = Request::builder().method(method.clone()).body(Body::empty()).unwrap();
            let mut call = Box::pin(router.oneshot(request));
            tokio::select! {
                answer = &mut call => panic!("{answer:?}"),
                () = reached.notified() => {}
            }
            drop(call);
            go.notify_one();
            if goes_on {
                done.notified().await;
            } else {
                assert_eq!(Arc::strong_count(&done), 1, "{method}: nobody is left to do it");
            }
        }
    }
}
