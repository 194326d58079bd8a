//! The device key: JavaScript keeps it and signs with it.

use std::rc::Rc;

use js_sys::{Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::Inner;
use crate::agent::{Event, Proof, Sign};

pub(super) fn begin(inner: &Rc<Inner>, sign: Sign) {
    let inner = Rc::clone(inner);
    spawn_local(async move {
        let proof = run(&inner, &sign).await;
        inner.on(Event::Signed { id: sign.id, proof });
    });
}

/// Returns what came of it; nothing where there can be no key.
async fn run(inner: &Inner, sign: &Sign) -> Option<Proof> {
    let text = sign.text.as_deref().map_or(JsValue::NULL, JsValue::from_str);
    let promise = inner.sign.call2(&JsValue::NULL, &sign.relay.as_str().into(), &text).ok()?;
    let done = JsFuture::from(promise.dyn_into::<Promise>().ok()?).await.ok()?;
    let field = |name: &str| Reflect::get(&done, &name.into()).ok().and_then(|value| value.as_string());
    Some(Proof { key: field("key")?, signature: field("signature")? })
}
