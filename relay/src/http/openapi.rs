//! The description of the HTTP surface for programs.

use axum::{http::header, response::IntoResponse};

/// `GET /openapi.json`
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../../openapi.json"))
}
