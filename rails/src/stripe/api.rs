//! Stripe's HTTP interface: forms in, JSON out.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::{
    BadSetup, Secret,
    http::{Endpoint, Reply, Silence, ask},
};

/// The version of the interface whose shapes are read here.
const VERSION: &str = "2025-04-30.basil";

/// Stripe with the operator's key.
pub(crate) struct Api {
    endpoint: Endpoint,
    key: Secret,
}

/// What comes in place of an answer.
#[derive(Deserialize, Default)]
pub(super) struct Complaint {
    #[serde(default)]
    pub(super) error: Details,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Details {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) code: String,
    pub(super) param: String,
    message: String,
}

impl Details {
    pub(super) fn words(&self) -> String {
        let parts = [&self.kind, &self.code, &self.message];
        parts.map(String::as_str).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

impl Api {
    pub(crate) fn new(url: &str, key: Secret, patience: Duration) -> Result<Api, BadSetup> {
        Ok(Api { endpoint: Endpoint::new(url, patience)?, key })
    }

    /// Posts a form under an idempotency key.
    pub(crate) async fn post(&self, path: &str, form: String, key: &str) -> Result<Reply, Silence> {
        let request = self
            .endpoint
            .post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", key)
            .body(form);
        ask(self.signed(request)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Silence> {
        ask(self.signed(self.endpoint.get(path))).await
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.bearer_auth(self.key.show()).header("stripe-version", VERSION)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// Writes a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Stripe's names go into paths.
pub(super) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
