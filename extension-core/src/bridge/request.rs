//! Builds the one request that a job makes of the model server, out of a whitelist.
//!
//! Fields that are not in the list are dropped: a page reaches neither the server's tools and
//! integrations nor its files, its network or its other endpoints. Images come inside the request
//! or not at all. Values that are known to be harmless are passed on as they are written,
//! because the order of a JSON schema's properties is the order in which a model answers.

mod content;
mod weight;

use std::{borrow::Cow, fmt};

use rekursing_protocol::{FailCode, frame::Call};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use weight::Medium;
pub use weight::Weight;

/// Most bytes of a job's fields.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// Most lists and objects inside each other.
pub const DEPTH_MAX: usize = 48;

/// Most texts in one request for embeddings.
pub const INPUTS_MAX: usize = 2_048;

/// Why a request is not built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More than [`BODY_BYTES_MAX`].
    #[error("the request is too large")]
    TooLarge,
    /// More than [`DEPTH_MAX`] levels.
    #[error("the request is nested too deeply")]
    TooDeep,
    /// Not an object, or an object that says a field twice.
    #[error("the request is not a JSON object of distinct fields")]
    NotAnObject,
    /// What the call cannot do without.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field of the wrong kind, or a number out of all bounds.
    #[error("the field {0} has a value that cannot be")]
    Field(&'static str),
    /// An image, sound or file that is not inside the request, or a tool that is no function.
    #[error("images must be data: URLs, and tools functions; nothing is fetched for a page")]
    Foreign,
}

impl Refusal {
    /// Returns the code that the relay is told.
    pub fn code(&self) -> FailCode {
        match self {
            Refusal::Foreign => FailCode::Refused,
            Refusal::TooLarge
            | Refusal::TooDeep
            | Refusal::NotAnObject
            | Refusal::Missing(_)
            | Refusal::Field(_) => FailCode::BadRequest,
        }
    }
}

/// One `POST` to the model server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path below the server's address.
    pub path: &'static str,
    /// The JSON text to send.
    pub body: String,
    /// How much there is to read for the model.
    pub weight: Weight,
    /// Tokens after which the answer ends, where page or owner have said so.
    pub answer_tokens_max: Option<u64>,
}

/// Returns the path of a call.
pub fn path(call: Call) -> &'static str {
    match call {
        Call::Chat => "/v1/chat/completions",
        Call::Completion => "/v1/completions",
        Call::Embedding => "/v1/embeddings",
    }
}

/// Builds the request for `model`, which is its name at the server, out of a job's `fields`.
pub fn build(call: Call, model: &str, stream: bool, fields: &str) -> Result<Request, Refusal> {
    build_within(call, model, stream, fields, None)
}

/// Does what [`build`] does, and lets no answer become longer than so many tokens: a longer one
/// ends there with the reason `length`, whatever the page has asked for.
pub fn build_within(
    call: Call,
    model: &str,
    stream: bool,
    fields: &str,
    answer_tokens_max: Option<u32>,
) -> Result<Request, Refusal> {
    let mut object = Object::with_capacity(fields.len() + 128);
    object.raw("model", &text(model));
    if call != Call::Embedding {
        object.raw("stream", if stream { "true" } else { "false" });
        if stream {
            object.raw("stream_options", r#"{"include_usage":true}"#);
        }
    }
    let head = object.json.len();
    let longest = answer_tokens_max.filter(|_| call != Call::Embedding).map(u64::from);
    copy(call, fields, if longest.is_some() { &LENGTHS } else { &[] }, &mut object)?;
    let weight = Weight::of(&object.json[head..]).but_medium(object.media);
    let answer_tokens_max = longest.into_iter().chain(object.asked).min();
    if let Some(most) = answer_tokens_max.filter(|_| longest.is_some()) {
        object.raw("max_tokens", &most.to_string());
    }
    Ok(Request { path: path(call), body: object.finish(), weight, answer_tokens_max })
}

/// The fields with which a page limits an answer: two names for one thing.
const LENGTHS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Returns what [`build`] would take out of `given`, as fields without braces, and leaves out those
/// named in `except`. A relay checks and cleans a page's request with it before any plugin does.
pub fn fields(call: Call, given: &str, except: &[&str]) -> Result<String, Refusal> {
    let mut object = Object::with_capacity(given.len());
    copy(call, given, except, &mut object)?;
    Ok(object.json.split_off(1))
}

/// Copies every allowed field of the object `given`, checked, but those in `except`.
fn copy(call: Call, given: &str, except: &[&str], object: &mut Object) -> Result<(), Refusal> {
    if given.len() > BODY_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    if is_too_deep(given) {
        return Err(Refusal::TooDeep);
    }
    let Fields(given) = serde_json::from_str(given).map_err(|_| Refusal::NotAnObject)?;
    let mut subject_missing = true;
    for (key, value) in given {
        let Some(&(name, kind)) = allowed(call).find(|(name, _)| *name == key) else { continue };
        let value = value.get();
        if LENGTHS.contains(&name) {
            object.asked = object.asked.into_iter().chain(value.parse().ok()).min();
        }
        if value == "null" || except.contains(&name) {
            continue;
        }
        subject_missing &= name != subject(call);
        match kind {
            Kind::Messages => content::messages(value, object)?,
            Kind::Tools => content::tools(value, object)?,
            Kind::Flag
            | Kind::Number
            | Kind::Count
            | Kind::Word
            | Kind::FlagOrFew
            | Kind::Few
            | Kind::WordOrObject
            | Kind::WordOrList
            | Kind::OneWord
            | Kind::Words
            | Kind::Object => {
                if !kind.fits(value) {
                    return Err(Refusal::Field(name));
                }
                object.raw(name, value);
            }
        }
    }
    if subject_missing {
        return Err(Refusal::Missing(subject(call)));
    }
    Ok(())
}

/// What a field's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Messages,
    Tools,
    Flag,
    Number,
    Count,
    FlagOrFew,
    Few,
    Word,
    WordOrObject,
    WordOrList,
    /// A text, or a list of one: each of several would be a job of its own.
    OneWord,
    /// A text, or a list of at most [`INPUTS_MAX`].
    Words,
    Object,
}

/// Highest number that any field may hold, and with a minus sign the lowest.
const NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Most alternatives for each token; more make answers that are too large to pass on.
const FEW_MAX: u64 = 20;

/// Highest count: no context is longer.
const COUNT_MAX: u64 = 100_000_000;

impl Kind {
    /// Tells whether a JSON value is of this kind.
    fn fits(self, value: &str) -> bool {
        let first = value.as_bytes().first().copied().unwrap_or_default();
        match self {
            Kind::Messages | Kind::Tools => first == b'[',
            Kind::Flag => matches!(value, "true" | "false"),
            Kind::Number => value.parse::<f64>().is_ok_and(|number| number.abs() <= NUMBER_MAX),
            Kind::Count => value.parse::<u64>().is_ok_and(|count| count <= COUNT_MAX),
            Kind::FlagOrFew => Kind::Flag.fits(value) || Kind::Few.fits(value),
            Kind::Few => value.parse::<u64>().is_ok_and(|count| count <= FEW_MAX),
            Kind::Word => first == b'"',
            Kind::WordOrObject => matches!(first, b'"' | b'{'),
            Kind::WordOrList => matches!(first, b'"' | b'['),
            Kind::OneWord => {
                let only = |[only]: [&RawValue; 1]| only.get().starts_with('"');
                first == b'"' || serde_json::from_str(value).is_ok_and(only)
            }
            Kind::Words => {
                let few = |list: Vec<IgnoredAny>| list.len() <= INPUTS_MAX;
                first == b'"' || serde_json::from_str(value).is_ok_and(few)
            }
            Kind::Object => first == b'{',
        }
    }
}

/// What both chats and completions may set.
const SAMPLING: [(&str, Kind); 15] = [
    ("temperature", Kind::Number),
    ("top_p", Kind::Number),
    ("top_k", Kind::Number),
    ("min_p", Kind::Number),
    ("max_tokens", Kind::Count),
    ("max_completion_tokens", Kind::Count),
    ("stop", Kind::WordOrList),
    ("seed", Kind::Number),
    ("presence_penalty", Kind::Number),
    ("frequency_penalty", Kind::Number),
    ("repeat_penalty", Kind::Number),
    ("logit_bias", Kind::Object),
    ("logprobs", Kind::FlagOrFew),
    ("top_logprobs", Kind::Few),
    // For load tests on llama.cpp: the answer goes on to `max_tokens`.
    ("ignore_eos", Kind::Flag),
];

const CHAT: [(&str, Kind); 6] = [
    ("messages", Kind::Messages),
    ("tools", Kind::Tools),
    ("tool_choice", Kind::WordOrObject),
    ("parallel_tool_calls", Kind::Flag),
    ("response_format", Kind::Object),
    ("reasoning_effort", Kind::Word),
];

const COMPLETION: [(&str, Kind); 3] =
    [("prompt", Kind::OneWord), ("suffix", Kind::Word), ("echo", Kind::Flag)];

/// `encoding_format` is not among them: every server writes lists of numbers where nothing else is asked for, and not
/// every one writes anything else.
const EMBEDDING: [(&str, Kind); 2] = [("input", Kind::Words), ("dimensions", Kind::Count)];

/// Returns all that a call may set beside `model` and `stream`.
fn allowed(call: Call) -> impl Iterator<Item = &'static (&'static str, Kind)> {
    let (own, shared): (&[_], &[_]) = match call {
        Call::Chat => (&CHAT, &SAMPLING),
        Call::Completion => (&COMPLETION, &SAMPLING),
        Call::Embedding => (&EMBEDDING, &[]),
    };
    own.iter().chain(shared)
}

/// Returns the field that a call cannot do without.
fn subject(call: Call) -> &'static str {
    match call {
        Call::Chat => "messages",
        Call::Completion => "prompt",
        Call::Embedding => "input",
    }
}

/// Tells whether more than [`DEPTH_MAX`] lists and objects lie inside each other.
pub fn is_too_deep(json: &str) -> bool {
    depth(json) > DEPTH_MAX
}

/// Returns how many lists and objects lie inside each other at most.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// An object's fields in order, values unread. A field that is there twice is an error, because
/// two readers might each take another one.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    if fields.len() == 256 || fields.iter().any(|(earlier, _)| *earlier == key) {
                        return Err(de::Error::custom("a field twice, or too many"));
                    }
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Returns a text as JSON.
fn text(plain: &str) -> String {
    serde_json::Value::from(plain).to_string()
}

/// An object as it is written, field after field.
struct Object {
    json: String,
    /// The images and sounds in it.
    media: Medium,
    /// The shortest length of the answer that a field has asked for.
    asked: Option<u64>,
}

impl Object {
    fn with_capacity(bytes: usize) -> Object {
        let mut json = String::with_capacity(bytes);
        json.push('{');
        Object { json, media: Medium::default(), asked: None }
    }

    /// Writes a field whose value is JSON already.
    fn raw(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.json.push_str(value);
    }

    /// Writes a field's name; its value follows.
    fn name(&mut self, name: &str) {
        separate(&mut self.json);
        self.json.push('"');
        self.json.push_str(name);
        self.json.push_str("\":");
    }

    /// Writes an image or a sound.
    fn medium(&mut self, value: &str) {
        self.media.add(value);
        self.json.push_str(value);
    }

    fn finish(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// Writes a comma unless the list or object has only begun.
fn separate(json: &mut String) {
    if !json.ends_with(['{', '[']) {
        json.push(',');
    }
}

#[cfg(test)]
mod tests;
