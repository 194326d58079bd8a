//! Any other server with OpenAI's list of models, which tells little beside names.

use rekursing_protocol::{Offer, OfferKind};
use serde::Deserialize;

use super::{CONTEXT_UNTOLD, Model, bare_offer, is_named_embedding, public_name, quantization_in};

#[derive(Deserialize)]
struct List {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    /// vLLM tells it.
    max_model_len: Option<u32>,
}

/// Reads `GET /v1/models`.
pub(super) fn models(body: &[u8]) -> Option<Vec<Model>> {
    let list: List = serde_json::from_slice(body).ok()?;
    let models = list.data.into_iter().map(|row| {
        let embeds = is_named_embedding(&row.id);
        let offer = Offer {
            kind: if embeds { OfferKind::Embedding } else { OfferKind::Text },
            quantization: quantization_in(&row.id),
            context: row.max_model_len.unwrap_or(CONTEXT_UNTOLD),
            // Such servers do not tell; the owner's own limit is the one that holds.
            slots: u16::MAX,
            ..bare_offer(public_name(&row.id))
        };
        Model { offer, id: row.id }
    });
    Some(models.collect())
}
