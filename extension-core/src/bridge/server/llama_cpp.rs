//! llama.cpp's own server: `/props` for slots and context, `/v1/models` for the rest.

use rekursing_protocol::{Offer, OfferKind};
use serde::Deserialize;

use super::{CONTEXT_UNTOLD, Model, Shelf, bare_offer, is_named_embedding, public_name, quantization_in};

/// What `/props` told.
#[derive(Debug, Deserialize)]
pub(super) struct Props {
    total_slots: u16,
    default_generation_settings: Settings,
    #[serde(default)]
    model_path: String,
    #[serde(default)]
    modalities: Modalities,
    #[serde(default)]
    chat_template_caps: Abilities,
}

#[derive(Debug, Deserialize)]
struct Settings {
    n_ctx: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Modalities {
    vision: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Abilities {
    supports_tools: bool,
    supports_tool_calls: bool,
}

/// Reads `GET /props`.
pub(super) fn props(body: &[u8]) -> Option<Props> {
    serde_json::from_slice(body).ok()
}

#[derive(Deserialize)]
struct List {
    data: Vec<Row>,
    /// The same models once more, with what they can do.
    #[serde(default)]
    models: Vec<Imitation>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    meta: Option<Meta>,
    /// Only of a router that serves several models.
    status: Option<Status>,
    #[serde(default)]
    architecture: Architecture,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Architecture {
    input_modalities: Vec<String>,
    output_modalities: Vec<String>,
}

#[derive(Deserialize)]
struct Meta {
    n_ctx: Option<u32>,
    n_params: Option<u64>,
    ftype: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    value: String,
}

#[derive(Deserialize)]
struct Imitation {
    name: String,
    #[serde(default)]
    capabilities: Vec<String>,
}

/// Reads `GET /v1/models`. A list that cannot be read holds nothing: the server is known already.
pub(super) fn models(body: &[u8], props: &Props) -> Shelf {
    let Ok(list) = serde_json::from_slice::<List>(body) else { return Shelf::default() };
    let imitations = list.models;
    let status = |row: &Row| row.status.as_ref().map_or("loaded", |status| status.value.as_str()).to_owned();
    let present = list.data.into_iter().filter(|row| {
        let status = status(row);
        matches!(status.as_str(), "loaded" | "sleeping" | "unloaded")
    });
    let model = |row: Row| {
        let loaded = status(&row) != "unloaded";
        let embeds =
            imitations.iter().any(|imitation| {
                imitation.name == row.id
                    && imitation.capabilities.iter().any(|capability| capability == "embedding")
            }) || row.architecture.output_modalities.iter().any(|modality| modality.starts_with("embedding"))
                || is_named_embedding(&row.id);
        let meta = row.meta.as_ref();
        // An alias says nothing about the file.
        let in_file = || {
            [row.id.as_str(), &props.model_path]
                .into_iter()
                .map(quantization_in)
                .find(|name| !name.is_empty())
        };
        let offer = Offer {
            loaded,
            kind: if embeds { OfferKind::Embedding } else { OfferKind::Text },
            parameters: meta.and_then(|meta| meta.n_params).map(rounded).unwrap_or_default(),
            quantization: meta.and_then(|meta| meta.ftype.clone()).or_else(in_file).unwrap_or_default(),
            // Of `/props` it is what one slot has.
            context: props
                .default_generation_settings
                .n_ctx
                .filter(|context| *context > 0)
                .or(meta.and_then(|meta| meta.n_ctx))
                .unwrap_or(CONTEXT_UNTOLD),
            slots: props.total_slots.max(1),
            vision: props.modalities.vision
                || row.architecture.input_modalities.iter().any(|modality| modality == "image"),
            // A last message of the assistant is gone on with, unless the owner has switched that off.
            continues: !embeds,
            tools: props.chat_template_caps.supports_tools || props.chat_template_caps.supports_tool_calls,
            ..bare_offer(public_name(&row.id))
        };
        Model { offer, id: row.id }
    };
    let (models, asleep) = present.map(model).partition(|model| model.offer.loaded);
    Shelf { models, asleep, ..Shelf::default() }
}

/// Writes a number of parameters as people do: `886K`, `135M`, `8B`, `1.5B`.
fn rounded(count: u64) -> String {
    let (unit, letter) = match count {
        0..1_000_000 => (1_000, 'K'),
        1_000_000..1_000_000_000 => (1_000_000, 'M'),
        1_000_000_000.. => (1_000_000_000, 'B'),
    };
    let tenths = (count * 10 + unit / 2) / unit;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}{letter}"),
        (whole, _) if whole >= 10 => format!("{}{letter}", (count + unit / 2) / unit),
        (whole, tenth) => format!("{whole}.{tenth}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_rounded_as_people_do() {
        for (count, text) in [
            (885_888, "886K"),
            (134_515_008, "135M"),
            (1_540_000_000, "1.5B"),
            (8_030_261_312, "8B"),
            (70_553_706_496, "71B"),
        ] {
            assert_eq!(super::rounded(count), text);
        }
    }
}
