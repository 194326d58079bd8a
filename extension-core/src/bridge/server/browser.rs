//! The model in the browser, as the extension's own document tells of it.

use rekursing_protocol::Offer;
use serde::Deserialize;

use super::{Model, Shelf, Unready, bare_offer, quantization_in};

/// What `/model` tells once the model is loaded.
#[derive(Deserialize)]
struct Loaded {
    /// The file's name without its ending.
    name: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    parameters: String,
    context: u32,
}

/// Reads `GET /model`: 503 while the model is being loaded, and anything else than 200 when it cannot be.
pub(super) fn shelf(status: u16, body: &[u8]) -> Shelf {
    let unready = |why| Shelf { unready: Some(why), ..Shelf::default() };
    if status == 503 {
        return unready(Unready::Loading);
    }
    let Ok(Loaded { name, architecture, parameters, context }) = serde_json::from_slice(body) else {
        return unready(Unready::Unfit);
    };
    let quantization = quantization_in(&name);
    let offer = Offer { architecture, parameters, quantization, context, browser: true, ..bare_offer(&name) };
    Shelf { models: vec![Model { offer, id: name }], ..Shelf::default() }
}
