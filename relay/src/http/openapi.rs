//! The description of the HTTP surface for programs.

use axum::{http::HeaderMap, response::Response};

use super::document::Document;

static DESCRIPTION: Document = Document::new("application/json", include_bytes!("../../openapi.json"));

/// `GET /openapi.json`
pub(super) async fn document(headers: HeaderMap) -> Response {
    DESCRIPTION.answer(&headers)
}
