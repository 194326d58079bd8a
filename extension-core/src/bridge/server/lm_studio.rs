//! LM Studio's own lists of models: native v1 (0.4 and later) and v0.

use rekursing_protocol::{Offer, OfferKind};
use serde::Deserialize;

use super::{CONTEXT_UNTOLD, Model, Shelf, bare_offer};

#[derive(Deserialize)]
struct V1 {
    models: Vec<V1Model>,
}

#[derive(Deserialize)]
struct V1Model {
    #[serde(rename = "type")]
    kind: String,
    // Only LM Studio's rows have a key; other servers also answer with `models`.
    key: String,
    architecture: Option<String>,
    quantization: Option<Quantization>,
    params_string: Option<String>,
    #[serde(default)]
    loaded_instances: Vec<Instance>,
    max_context_length: Option<u32>,
    capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
struct Quantization {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Instance {
    id: String,
    config: Option<InstanceConfig>,
}

#[derive(Deserialize)]
struct InstanceConfig {
    context_length: Option<u32>,
    parallel: Option<u16>,
}

#[derive(Deserialize)]
struct Capabilities {
    #[serde(default)]
    vision: bool,
    #[serde(default)]
    trained_for_tool_use: bool,
}

/// Reads `GET /api/v1/models`. Every loaded instance is a model of its own: it has its own id,
/// context and slots.
pub(super) fn v1(body: &[u8]) -> Option<Shelf> {
    let list: V1 = serde_json::from_slice(body).ok()?;
    let mut shelf = Shelf::default();
    for model in list.models {
        let offer = Offer {
            kind: if model.kind.starts_with("embedding") { OfferKind::Embedding } else { OfferKind::Text },
            architecture: model.architecture.unwrap_or_default(),
            parameters: model.params_string.unwrap_or_default(),
            quantization: model.quantization.and_then(|quantization| quantization.name).unwrap_or_default(),
            context: model.max_context_length.unwrap_or(CONTEXT_UNTOLD),
            vision: model.capabilities.as_ref().is_some_and(|capabilities| capabilities.vision),
            tools: model.capabilities.as_ref().is_some_and(|capabilities| capabilities.trained_for_tool_use),
            ..bare_offer("")
        };
        if model.loaded_instances.is_empty() {
            let context = offer.context.min(CONTEXT_UNTOLD);
            let offer = Offer { model: model.key.clone(), context, loaded: false, ..offer };
            shelf.asleep.push(Model { offer, id: model.key });
            continue;
        }
        shelf.models.extend(model.loaded_instances.into_iter().map(|instance| {
            let config = instance.config.as_ref();
            let offer = Offer {
                model: instance.id.clone(),
                context: config.and_then(|config| config.context_length).unwrap_or(offer.context),
                slots: config.and_then(|config| config.parallel).unwrap_or(1).max(1),
                ..offer.clone()
            };
            Model { offer, id: instance.id }
        }));
    }
    Some(shelf)
}

#[derive(Deserialize)]
struct V0 {
    data: Vec<V0Model>,
}

#[derive(Deserialize)]
struct V0Model {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    arch: Option<String>,
    #[serde(default)]
    quantization: Option<String>,
    state: String,
    max_context_length: Option<u32>,
    loaded_context_length: Option<u32>,
    #[serde(default)]
    capabilities: Vec<String>,
}

/// Reads `GET /api/v0/models`.
pub(super) fn v0(body: &[u8]) -> Option<Shelf> {
    let list: V0 = serde_json::from_slice(body).ok()?;
    let models = list.data.into_iter().map(|model| {
        let loaded = model.state == "loaded";
        let context = match model.loaded_context_length {
            Some(context) => context,
            None if loaded => model.max_context_length.unwrap_or(CONTEXT_UNTOLD),
            None => model.max_context_length.unwrap_or(CONTEXT_UNTOLD).min(CONTEXT_UNTOLD),
        };
        let offer = Offer {
            loaded,
            context,
            kind: if model.kind.starts_with("embedding") { OfferKind::Embedding } else { OfferKind::Text },
            architecture: model.arch.unwrap_or_default(),
            quantization: model.quantization.unwrap_or_default(),
            vision: model.kind == "vlm",
            tools: model.capabilities.iter().any(|capability| capability == "tool_use"),
            ..bare_offer(&model.id)
        };
        Model { offer, id: model.id }
    });
    let (models, asleep) = models.partition(|model| model.offer.loaded);
    Some(Shelf { models, asleep, ..Shelf::default() })
}
