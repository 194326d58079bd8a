//! Which kind of model server answers at an address, and what it has loaded.
//!
//! Looking is a plan of `GET`s, one after the other, each read as one kind's shape. Shapes decide,
//! not statuses: LM Studio answers paths that it does not know with 200.

mod browser;
mod generic;
mod llama_cpp;
mod lm_studio;
mod ollama;

use rekursing_protocol::{Offer, offer::OFFERS_MAX};
use serde::{Deserialize, Serialize};

/// The kinds of model servers that the bridge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// LM Studio 0.4 and later: `/api/v1/models`.
    LmStudio,
    /// LM Studio before 0.4: `/api/v0/models`.
    LmStudioV0,
    /// Ollama.
    Ollama,
    /// llama.cpp's own server.
    LlamaCpp,
    /// Anything else that answers `/v1/models`.
    Generic,
    /// The model in the browser: the extension's own document answers in the place of a server.
    Browser,
}

/// A model that a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What pages see of it; without a price.
    pub offer: Offer,
    /// Its name at the server.
    pub id: String,
}

/// What is at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A model server and what it has, perhaps nothing.
    Found {
        /// Its kind.
        kind: Kind,
        /// What it has, each name once.
        shelf: Shelf,
    },
    /// A server that wants an API token, or another one.
    TokenWanted,
    /// A server that answers no request which names the origin that this one names.
    OriginRefused,
    /// Something that serves no models.
    Foreign,
    /// Nothing.
    Nothing,
}

/// What a model server has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shelf {
    /// The models that are loaded.
    pub models: Vec<Model>,
    /// Those that it loads when they are asked for.
    pub asleep: Vec<Model>,
    /// Whether it has models that run in a provider's cloud. They are never offered.
    pub has_cloud: bool,
    /// Why the model in the browser is not there.
    pub unready: Option<Unready>,
}

/// Why the model in the browser is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// It is being loaded.
    Loading,
    /// It cannot be loaded here.
    Unfit,
}

/// Where the agent asks the model in the browser. No such host exists anywhere, and the fence lets nothing out to
/// it: the extension's document answers.
pub const IN_BROWSER: &str = "http://in-browser.invalid";

/// Where a model server usually is: LM Studio, Ollama, llama.cpp (its older and its newer port),
/// vLLM, exo.
pub const USUAL_ADDRESSES: [&str; 6] = [
    "http://127.0.0.1:1234",
    "http://127.0.0.1:11434",
    "http://127.0.0.1:8080",
    "http://127.0.0.1:9931",
    "http://127.0.0.1:8000",
    "http://127.0.0.1:52415",
];

/// Looks at one address.
#[derive(Debug)]
pub struct Probe {
    stage: Stage,
    /// Whether the plan began in its middle, with the kind that was there the last time.
    shortcut: bool,
}

/// One `GET` of the plan, with what earlier ones told.
#[derive(Debug)]
enum Stage {
    LmStudio,
    LmStudioV0,
    OllamaVersion,
    OllamaTags,
    OllamaLoaded(ollama::Tags),
    LlamaProps,
    LlamaModels(llama_cpp::Props),
    Models,
    Browser,
}

impl Probe {
    /// Begins to look; with the kind that was there the last time, if any.
    pub fn new(known: Option<Kind>) -> Probe {
        let stage = match known {
            // Every other kind has a generic list, too: only the whole plan tells them apart.
            None | Some(Kind::LmStudio | Kind::Generic) => Stage::LmStudio,
            Some(Kind::LmStudioV0) => Stage::LmStudioV0,
            Some(Kind::Ollama) => Stage::OllamaTags,
            Some(Kind::LlamaCpp) => Stage::LlamaProps,
            Some(Kind::Browser) => Stage::Browser,
        };
        Probe { shortcut: !matches!(stage, Stage::LmStudio), stage }
    }

    /// Begins to look at an address at which nothing is known yet.
    pub fn at(address: &str) -> Probe {
        Probe::new((address == IN_BROWSER).then_some(Kind::Browser))
    }

    /// Returns the path to `GET` now.
    pub fn path(&self) -> &'static str {
        match self.stage {
            Stage::LmStudio => "/api/v1/models",
            Stage::LmStudioV0 => "/api/v0/models",
            Stage::OllamaVersion => "/api/version",
            Stage::OllamaTags => "/api/tags",
            Stage::OllamaLoaded(_) => "/api/ps",
            Stage::LlamaProps => "/props",
            Stage::LlamaModels(_) | Stage::Models => "/v1/models",
            Stage::Browser => "/model",
        }
    }

    /// Takes in an answer; `None` means that [`Probe::path`] has the next question.
    pub fn answered(&mut self, status: u16, body: &[u8]) -> Option<Outcome> {
        if status == 401 {
            return Some(Outcome::TokenWanted);
        }
        let said = body;
        let body = if status == 200 { body } else { b"" };
        let (kind, shelf) = match std::mem::replace(&mut self.stage, Stage::LmStudio) {
            Stage::LmStudio => match lm_studio::v1(body) {
                Some(shelf) => (Kind::LmStudio, shelf),
                None => return self.go_on(Stage::LmStudioV0),
            },
            Stage::LmStudioV0 => match lm_studio::v0(body) {
                Some(shelf) => (Kind::LmStudioV0, shelf),
                None => return self.go_on(Stage::OllamaVersion),
            },
            Stage::OllamaVersion => {
                let next = if ollama::version(body) { Stage::OllamaTags } else { Stage::LlamaProps };
                return self.go_on(next);
            }
            Stage::OllamaTags => match ollama::tags(body) {
                Some(tags) => {
                    self.stage = Stage::OllamaLoaded(tags);
                    return None;
                }
                None => return self.go_on(Stage::LlamaProps),
            },
            Stage::OllamaLoaded(tags) => match ollama::loaded(body, &tags) {
                Some(shelf) => (Kind::Ollama, shelf),
                None => return self.go_on(Stage::LlamaProps),
            },
            // While the model loads, llama.cpp answers everything with 503.
            Stage::LlamaProps if status == 503 => (Kind::LlamaCpp, Shelf::default()),
            Stage::LlamaProps => match llama_cpp::props(body) {
                Some(props) => {
                    self.stage = Stage::LlamaModels(props);
                    return None;
                }
                None => return self.go_on(Stage::Models),
            },
            Stage::LlamaModels(props) => (Kind::LlamaCpp, llama_cpp::models(body, &props)),
            Stage::Models => match generic::models(body) {
                Some(models) => (Kind::Generic, Shelf { models, ..Shelf::default() }),
                None if status == 403 && refuses_origin(said) => return Some(Outcome::OriginRefused),
                None if status == 403 => return Some(Outcome::TokenWanted),
                None => return Some(Outcome::Foreign),
            },
            Stage::Browser => (Kind::Browser, browser::shelf(status, body)),
        };
        Some(Outcome::Found { kind, shelf: shelf.presentable() })
    }

    /// Asks the next question; when the known kind is gone, the first.
    fn go_on(&mut self, next: Stage) -> Option<Outcome> {
        self.stage = if std::mem::take(&mut self.shortcut) { Stage::LmStudio } else { next };
        None
    }
}

impl Shelf {
    /// Keeps what may be offered: well-formed, each name once, no more than a plugin may offer.
    fn presentable(self) -> Shelf {
        let mut kept = Shelf { has_cloud: self.has_cloud, unready: self.unready, ..Shelf::default() };
        for model in self.models.into_iter().chain(self.asleep) {
            let known = kept.models.iter().chain(&kept.asleep);
            let (double, count) = known.fold((false, 0), |(double, count), earlier| {
                (double || earlier.offer.model == model.offer.model, count + 1)
            });
            if !double && model.offer.check().is_ok() && count < OFFERS_MAX {
                let list = if model.offer.loaded { &mut kept.models } else { &mut kept.asleep };
                list.push(model);
            }
        }
        kept
    }
}

/// Tells whether a 403 is about where a request comes from: Ollama says nothing at all then.
fn refuses_origin(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said).to_ascii_lowercase();
    said.trim().is_empty() || said.contains("origin")
}

/// Returns the name that pages see: a file's name without its folders, which are nobody's business.
fn public_name(id: &str) -> &str {
    let is_path = id.ends_with(".gguf")
        || id.contains('\\')
        || ["/", "./", "../", "~"].iter().any(|start| id.starts_with(start));
    if is_path { id.rsplit(['/', '\\']).next().unwrap_or(id) } else { id }
}

/// Finds a quantisation in a model's name: `Q4_K_M`, `IQ2_XS`, `F16`, `MXFP4`.
fn quantization_in(name: &str) -> String {
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    stem.rsplit(['-', '.', ':', '@', '/'])
        .map(str::to_ascii_uppercase)
        .find(|part| {
            let digits = part.strip_prefix("IQ").or_else(|| part.strip_prefix('Q'));
            matches!(part.as_str(), "F16" | "F32" | "BF16" | "FP16" | "FP8" | "MXFP4")
                || digits.is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
        })
        .unwrap_or_default()
}

/// Tells whether a model is named for embeddings, where its server does not tell what it is for.
fn is_named_embedding(id: &str) -> bool {
    id.to_ascii_lowercase().contains("embed")
}

/// An offer of which nothing but the name is known.
fn bare_offer(name: &str) -> Offer {
    Offer {
        model: name.to_owned(),
        kind: rekursing_protocol::OfferKind::Text,
        architecture: String::new(),
        parameters: String::new(),
        quantization: String::new(),
        context: CONTEXT_UNTOLD,
        slots: 1,
        loaded: true,
        vision: false,
        tools: false,
        continues: false,
        browser: false,
        price: None,
        least: None,
    }
}

/// The context of a server that does not tell: what the oldest defaults have. A model that is loaded on
/// demand is offered with no more, because its server decides only then.
const CONTEXT_UNTOLD: u32 = 4_096;

#[cfg(test)]
mod tests;
