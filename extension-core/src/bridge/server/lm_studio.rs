//! LM Studio's own lists of models: native v1 (0.4 and later) and v0.

use rekursing_protocol::{Offer, OfferKind};
use serde::Deserialize;

use super::{CONTEXT_UNTOLD, Model, bare_offer};

#[derive(Deserialize)]
struct V1 {
    models: Vec<V1Model>,
}

#[derive(Deserialize)]
struct V1Model {
    #[serde(rename = "type")]
    kind: String,
    // Only LM Studio's rows have a key; other servers also answer with `models`.
    #[serde(rename = "key")]
    _key: String,
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
pub(super) fn v1(body: &[u8]) -> Option<Vec<Model>> {
    let list: V1 = serde_json::from_slice(body).ok()?;
    let models = list.models.into_iter().flat_map(|model| {
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
        model.loaded_instances.into_iter().map(move |instance| {
            let config = instance.config.as_ref();
            let offer = Offer {
                model: instance.id.clone(),
                context: config.and_then(|config| config.context_length).unwrap_or(offer.context),
                slots: config.and_then(|config| config.parallel).unwrap_or(1).max(1),
                ..offer.clone()
            };
            Model { offer, id: instance.id }
        })
    });
    Some(models.collect())
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
pub(super) fn v0(body: &[u8]) -> Option<Vec<Model>> {
    let list: V0 = serde_json::from_slice(body).ok()?;
    let loaded = list.data.into_iter().filter(|model| model.state == "loaded").map(|model| {
        let offer = Offer {
            kind: if model.kind.starts_with("embedding") { OfferKind::Embedding } else { OfferKind::Text },
            architecture: model.arch.unwrap_or_default(),
            quantization: model.quantization.unwrap_or_default(),
            context: model.loaded_context_length.or(model.max_context_length).unwrap_or(CONTEXT_UNTOLD),
            vision: model.kind == "vlm",
            tools: model.capabilities.iter().any(|capability| capability == "tool_use"),
            ..bare_offer(&model.id)
        };
        Model { offer, id: model.id }
    });
    Some(loaded.collect())
}
