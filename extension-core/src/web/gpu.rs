//! Asks the browser for the GPU's name.

use js_sys::{Function, Object, Promise, Reflect};
use rekursing_protocol::Gpu;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{OffscreenCanvas, WebGlRenderingContext};

use super::window;

/// `UNMASKED_RENDERER_WEBGL` of the extension `WEBGL_debug_renderer_info`.
const RENDERER: u32 = 0x9246;

/// Recognises the GPU by WebGL's renderer, and where that says nothing by WebGPU's adapter.
pub(super) async fn recognise() -> Gpu {
    let by_renderer = renderer().map(|raw| crate::gpu::recognise(&raw)).unwrap_or_default();
    if !by_renderer.model.is_empty() {
        return by_renderer;
    }
    match adapter().await {
        Ok(raw) if !raw.trim().is_empty() => crate::gpu::recognise(&raw),
        Ok(_) | Err(_) => by_renderer,
    }
}

fn renderer() -> Option<String> {
    let canvas = OffscreenCanvas::new(1, 1).ok()?;
    let wishes = fast();
    let context = canvas.get_context_with_context_options("webgl", &wishes).ok()??;
    let context: WebGlRenderingContext = context.dyn_into().ok()?;
    context.get_extension("WEBGL_debug_renderer_info").ok()??;
    let raw = context.get_parameter(RENDERER).ok()?.as_string();
    // The context is given back at once: it would hold memory of the GPU that models need.
    if let Ok(Some(extension)) = context.get_extension("WEBGL_lose_context") {
        let _ = call(&extension, "loseContext", &JsValue::UNDEFINED);
    }
    raw
}

async fn adapter() -> Result<String, JsValue> {
    let gpu = Reflect::get(&Reflect::get(&window(), &"navigator".into())?, &"gpu".into())?;
    let asked: Promise = call(&gpu, "requestAdapter", &fast())?.dyn_into()?;
    let adapter = JsFuture::from(asked).await?;
    let about = Reflect::get(&adapter, &"info".into())?;
    let word = |key: &str| Reflect::get(&about, &key.into()).ok().and_then(|word| word.as_string());
    let words = ["vendor", "architecture", "device", "description"];
    Ok(words.into_iter().filter_map(word).collect::<Vec<_>>().join(" "))
}

/// Laptops have two GPUs; models run on the faster one.
fn fast() -> Object {
    let wishes = Object::new();
    let key = "powerPreference".into();
    Reflect::set(&wishes, &key, &"high-performance".into()).expect("a plain object takes every key");
    wishes
}

fn call(this: &JsValue, method: &str, argument: &JsValue) -> Result<JsValue, JsValue> {
    Reflect::get(this, &method.into())?.dyn_into::<Function>()?.call1(this, argument)
}
