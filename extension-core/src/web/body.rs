//! HTTP requests of the agent, and their bodies piece by piece.

use js_sys::{Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortSignal, Headers, ReadableStreamDefaultReader, ReferrerPolicy, Request, RequestCache,
    RequestCredentials, RequestInit, RequestRedirect, Response,
};

use super::window;
use crate::{agent::Method, bridge::server::IN_BROWSER};

/// What is sent.
pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) bearer: Option<&'a str>,
    /// A JSON text.
    pub(super) body: Option<&'a str>,
    /// What to send as `Idempotency-Key`.
    pub(super) once: Option<&'a str>,
}

/// Sends a request. Nothing of the browser's own goes along, and a redirect is an error. What is asked of the model
/// in the browser goes to `browser`, that of `model.js`, and to no network.
pub(super) async fn send(
    outgoing: &Outgoing<'_>,
    signal: &AbortSignal,
    browser: &Function,
) -> Result<Response, JsValue> {
    let Outgoing { method, url, bearer, body, once } = *outgoing;
    if let Some(path) = url.strip_prefix(IN_BROWSER) {
        let answer = browser.call3(&JsValue::NULL, &path.into(), &body.unwrap_or_default().into(), signal)?;
        return JsFuture::from(Promise::resolve(&answer)).await?.dyn_into();
    }
    let headers = Headers::new()?;
    if let Some(bearer) = bearer {
        headers.set("Authorization", &format!("Bearer {bearer}"))?;
    }
    if let Some(once) = once {
        headers.set("Idempotency-Key", once)?;
    }
    let init = RequestInit::new();
    init.set_method(match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    });
    if let Some(body) = body {
        headers.set("Content-Type", "application/json")?;
        init.set_body(&body.into());
    }
    init.set_headers(&headers);
    init.set_signal(Some(signal));
    init.set_redirect(RequestRedirect::Error);
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(RequestCache::NoStore);
    init.set_referrer_policy(ReferrerPolicy::NoReferrer);
    let request = Request::new_with_str_and_init(url, &init)?;
    JsFuture::from(window().fetch_with_request(&request)).await?.dyn_into()
}

/// A response's body.
pub(super) struct Body(Option<ReadableStreamDefaultReader>);

impl Body {
    pub(super) fn of(response: &Response) -> Result<Body, JsValue> {
        let reader = response.body().map(|stream| stream.get_reader().dyn_into());
        Ok(Body(reader.transpose()?))
    }

    /// Stops the body, so that no more of it comes over the wire.
    pub(super) fn cancel(&self) {
        let _ = self.0.as_ref().map(ReadableStreamDefaultReader::cancel);
    }

    /// Reads the next piece, `None` at the end.
    pub(super) async fn next(&self) -> Result<Option<Vec<u8>>, JsValue> {
        let Some(reader) = &self.0 else { return Ok(None) };
        let promise: Promise = reader.read().unchecked_into();
        let read = JsFuture::from(promise).await?;
        if Reflect::get(&read, &"done".into())?.is_truthy() {
            return Ok(None);
        }
        let bytes: Uint8Array = Reflect::get(&read, &"value".into())?.dyn_into()?;
        Ok(Some(bytes.to_vec()))
    }
}
