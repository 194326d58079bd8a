//! The description of the HTTP surface for programs.

use axum::{Extension, http::header, response::IntoResponse};

use super::site;

/// `GET /openapi.json`
pub(super) async fn document() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (Extension(site::Text), kind, include_str!("../../openapi.json"))
}
