//! Health and metrics.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;

use super::posted::Shared;
use crate::telemetry;

/// `GET /healthz`
pub(super) async fn health(State(house): Shared) -> impl IntoResponse {
    let store = house.desk.store().is_healthy();
    let draining = house.is_draining();
    let status = if store && !draining { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = match (store, draining) {
        (false, _) if house.desk.store().is_wrong() => "book_wrong",
        (false, _) => "store_unavailable",
        (true, true) => "draining",
        (true, false) => "ok",
    };
    (
        status,
        Json(
            json!({"status": word, "version": env!("CARGO_PKG_VERSION"), "sessions": house.sessions.taken()}),
        ),
    )
}

/// `GET /metrics`
pub(super) async fn metrics(State(house): Shared) -> impl IntoResponse {
    let store = house.desk.store();
    let text = telemetry::render(&house.metrics, &house.desk.counts(), store.waiting(), store.is_healthy());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
