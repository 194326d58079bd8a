//! Ollama: what it has (`/api/tags`) and what of it is loaded (`/api/ps`). Models that run in
//! Ollama's cloud are nobody's GPU and are never offered.

use rekursing_protocol::{Offer, OfferKind};
use serde::Deserialize;

use super::{CONTEXT_UNTOLD, Model, Shelf, bare_offer};

/// What `/api/tags` told.
pub(super) type Tags = Vec<Row>;

#[derive(Deserialize)]
struct List {
    models: Vec<Row>,
}

/// One model; of `/api/ps` it also has the context.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    name: String,
    // Ollama's rows always have one; llama.cpp imitates the list with an empty text.
    digest: String,
    #[serde(default)]
    details: Details,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    remote_model: String,
    #[serde(default)]
    remote_host: String,
    context_length: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    family: String,
    parameter_size: String,
    quantization_level: String,
}

impl Row {
    fn is_remote(&self) -> bool {
        let tag = self.name.rsplit(':').next().unwrap_or_default();
        !self.remote_model.is_empty() || !self.remote_host.is_empty() || tag.ends_with("cloud")
    }
}

/// Tells whether this is `GET /api/version`.
pub(super) fn version(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "version")]
        _version: String,
    }
    serde_json::from_slice::<Version>(body).is_ok()
}

/// Reads `GET /api/tags`.
pub(super) fn tags(body: &[u8]) -> Option<Tags> {
    let list: List = serde_json::from_slice(body).ok()?;
    list.models.iter().all(|row| !row.digest.is_empty()).then_some(list.models)
}

/// Reads `GET /api/ps`, and takes what it leaves out from the tags.
pub(super) fn loaded(body: &[u8], tags: &Tags) -> Option<Shelf> {
    let list: List = serde_json::from_slice(body).ok()?;
    let is_loaded = |tag: &&Row| list.models.iter().any(|row| row.name == tag.name);
    let asleep = tags.iter().filter(|tag| !is_loaded(tag) && !tag.is_remote());
    let asleep = asleep.map(|tag| tag.model(None)).map(|mut model| {
        model.offer.loaded = false;
        model
    });
    let asleep = asleep.collect();
    let models = list.models.iter().filter_map(|row| {
        let tag = tags.iter().find(|tag| tag.name == row.name);
        let is_remote = row.is_remote() || tag.is_some_and(Row::is_remote);
        (!is_remote).then(|| row.model(tag))
    });
    let has_cloud = tags.iter().chain(&list.models).any(Row::is_remote);
    Some(Shelf { models: models.collect(), asleep, has_cloud, unready: None })
}

impl Row {
    /// Makes a model of it; with what its tag says, if there is one.
    fn model(&self, tag: Option<&Row>) -> Model {
        let can = |what: &str| tag.unwrap_or(self).capabilities.iter().any(|capability| capability == what);
        let embeds = can("embedding") || self.details.family.ends_with("bert");
        let offer = Offer {
            kind: if embeds { OfferKind::Embedding } else { OfferKind::Text },
            architecture: self.details.family.clone(),
            parameters: self.details.parameter_size.clone(),
            quantization: self.details.quantization_level.clone(),
            context: self.context_length.filter(|context| *context > 0).unwrap_or(CONTEXT_UNTOLD),
            vision: can("vision"),
            tools: can("tools"),
            ..bare_offer(&self.name)
        };
        Model { offer, id: self.name.clone() }
    }
}
