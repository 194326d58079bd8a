//! The few calls of `chrome.runtime`, all that an offscreen document has of `chrome`.

use js_sys::{JSON, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["chrome", "runtime"], js_name = sendMessage)]
    fn send_message(message: &JsValue) -> Promise;

    /// One end of a line between two pages of the extension.
    #[derive(Debug, Clone)]
    pub type Port;
    /// Sends a message; throws when the other end has gone.
    #[wasm_bindgen(method, catch, js_name = postMessage)]
    pub fn post_message(this: &Port, message: &JsValue) -> Result<(), JsValue>;
    /// Fires with each message of the other end.
    #[wasm_bindgen(method, getter, js_name = onMessage)]
    pub fn on_message(this: &Port) -> ChromeEvent;
    /// Fires when the other end goes.
    #[wasm_bindgen(method, getter, js_name = onDisconnect)]
    pub fn on_disconnect(this: &Port) -> ChromeEvent;

    /// Something that happens in `chrome`.
    pub type ChromeEvent;
    /// Adds a listener.
    #[wasm_bindgen(method, js_name = addListener)]
    pub fn add_listener(this: &ChromeEvent, listener: &JsValue);
}

/// Asks the worker to keep a JSON text's value under `key` in storage.
pub(super) fn keep(key: &str, json: &str) {
    let values = Object::new();
    set(&values, key, &value(json));
    tell("keep", "values", &values);
}

/// Asks the worker to put up these request rules and no others.
pub(super) fn fence(json: &str) {
    tell("fence", "rules", &value(json));
}

/// Asks the worker to let a newer version of the extension take over.
pub(super) fn reload() {
    let _ = send_message(&message("reload"));
}

fn tell(kind: &str, key: &str, value: &JsValue) {
    let message = message(kind);
    set(&message, key, value);
    let _ = send_message(&message);
}

fn message(kind: &str) -> Object {
    let message = Object::new();
    set(&message, "type", &kind.into());
    message
}

/// Reads a JSON text as a JavaScript value.
pub(super) fn value(json: &str) -> JsValue {
    JSON::parse(json).unwrap_or(JsValue::NULL)
}

/// Writes a JavaScript value as a JSON text; empty where it is none.
pub(super) fn text(value: &JsValue) -> String {
    JSON::stringify(value).map(String::from).unwrap_or_default()
}

fn set(object: &Object, key: &str, value: &JsValue) {
    Reflect::set(object, &key.into(), value).expect("a plain object takes every key");
}
