//! What a page asks for, read from its JSON and checked.
//!
//! The relay's own fields are read here. What goes to the model server is taken by the agent's
//! whitelist, a first time here and a second time at the plugin.

mod auto;
pub(crate) mod number;
pub(crate) mod prompt;
mod routing;

use std::borrow::Cow;

use rekursing_extension_core::bridge::request;
use rekursing_market::{Auto, Gate, Payer, Refusal, Request, Tier, Wish};
use rekursing_protocol::{
    JobId, Nanos, OfferKind, Price, frame::Call, object::Object, offer::MODEL_NAME_BYTES_MAX,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::{
    prompt::Counting,
    routing::{Shortcuts, Wishes},
};
use crate::{
    body, gate,
    http::Problem,
    print::Print,
    responses::{self, Echo},
    tokens::{TOKEN_BYTES_MAX, Tokenizer},
    vectors::Encoding,
};

/// Which route's words a page speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `POST /api/llm/inference`
    Inference,
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/completions`
    Completion,
    /// `POST /v1/embeddings`
    Embedding,
    /// `POST /v1/responses`
    Responses,
}

impl Dialect {
    /// Returns the route's path.
    pub const fn route(self) -> &'static str {
        match self {
            Dialect::Inference => "/api/llm/inference",
            Dialect::Chat => "/v1/chat/completions",
            Dialect::Completion => "/v1/completions",
            Dialect::Embedding => "/v1/embeddings",
            Dialect::Responses => "/v1/responses",
        }
    }
}

/// What a page asks for, read from its body.
#[derive(Debug)]
pub struct Ask {
    /// Whether the page wants a chunk with the usage at the end of a stream.
    pub include_usage: bool,
    /// Whether the stream's events have numbers, by which their page comes back for the rest.
    pub is_numbered: bool,
    /// Which call to make.
    pub call: Call,
    /// The fields for the model server.
    pub fields: String,
    /// With what the prompt was counted.
    pub tokenizer: Tokenizer,
    /// What a response says again of its request, on that route.
    pub echo: Option<Box<Echo>>,
    /// How the page wants its vectors.
    pub encoding: Encoding,
    /// Whether the answer is to be free, whoever asks.
    pub is_free: bool,
    /// The print of what is asked, as its page has written it; nothing of a free answer.
    pub prompt_print: Option<[u8; 32]>,
    /// What leaves model and tier to the market, if the page does.
    pub auto: Option<Auto>,
    /// What it must be close to, by the page's own word.
    pub gate: Option<Gate>,
    /// What is asked of the market.
    pub request: Request,
}

/// The fields that the relay reads itself.
#[derive(Deserialize)]
struct Own<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<Object<StreamOptions>>,
    #[serde(default)]
    n: Option<i64>,
    #[serde(default)]
    best_of: Option<i64>,
    #[serde(default, alias = "maxTokens")]
    max_tokens: Option<i64>,
    #[serde(default)]
    max_completion_tokens: Option<i64>,
    #[serde(borrow, default)]
    quality: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    objective: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deadline: Option<&'a RawValue>,
    #[serde(borrow, default)]
    objectives: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "maxPrice", alias = "max_price")]
    max_price: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "maxCost", alias = "max_cost")]
    max_cost: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "minTps", alias = "min_tps")]
    min_tps: Option<&'a RawValue>,
    #[serde(default)]
    quantizations: Option<Vec<String>>,
    #[serde(borrow, default)]
    provider: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encoding_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, default)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    frequency_penalty: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Fields that the relay sets itself for the plugin.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Highest limit of answer tokens that a page may name.
const ANSWER_TOKENS_MAX: i64 = 10_000_000;

impl Ask {
    /// Reads a page's body, which asks for this job at this payer's cost.
    pub fn read(dialect: Dialect, body: &str, job: JobId, payer: Payer) -> Result<Ask, Problem> {
        Ask::read_within(dialect, body, job, payer, u64::MAX)
    }

    /// The same of a prompt that has so many tokens at most. One whose text is longer than so many tokens can
    /// be is refused before it is counted, which takes long.
    pub fn read_within(
        dialect: Dialect,
        body: &str,
        job: JobId,
        payer: Payer,
        prompt_tokens_max: u64,
    ) -> Result<Ask, Problem> {
        if request::is_too_deep(body) {
            return Err(Problem::bad_request("the request is nested too deeply"));
        }
        if !body.trim_start().starts_with('{') {
            return Err(Problem::bad_request("the body must be a JSON object"));
        }
        if dialect == Dialect::Responses {
            let (chat, echo) = responses::chat(body)?;
            let ask = Ask::read_within(Dialect::Chat, &chat, job, payer, prompt_tokens_max);
            let ask = ask.map_err(in_responses_words)?;
            let prompt_print = input(body).and_then(|input| print(job, payer, input));
            return Ok(Ask { echo: Some(echo), prompt_print, ..ask });
        }
        let own: Own<'_> = body::read(body)?;
        for (field, many) in [("n", own.n), ("best_of", own.best_of)] {
            if many.is_some_and(|many| many != 1) {
                return Err(Problem::field(
                    field,
                    "one answer per request: n and best_of must be 1 or left out",
                ));
            }
        }
        own.sampling()?;
        let (wish, shortcuts) = own.wish()?;
        let wishes = Wishes::read(own.provider)?;
        let tokenizer = match &wish {
            Wish::Named(model) => Tokenizer::of(model),
            Wish::Any => Tokenizer::Rule,
        };
        let bytes_max = prompt_tokens_max.saturating_mul(TOKEN_BYTES_MAX);
        let mut prompt = own.prompt(dialect, Counting { tokenizer, bytes_max })?;
        if prompt.bytes > bytes_max {
            let needs = prompt.bytes.div_ceil(TOKEN_BYTES_MAX);
            return Err(Refusal::ContextTooLong { needs, largest: prompt_tokens_max }.into());
        }
        let call = match dialect {
            Dialect::Inference | Dialect::Chat | Dialect::Responses => Call::Chat,
            Dialect::Completion => Call::Completion,
            Dialect::Embedding => Call::Embedding,
        };
        let fields = match &prompt.messages {
            Some(messages) => request::fields(call, &with_messages(body, messages), &LIMITS),
            None => request::fields(call, body, &LIMITS),
        };
        let fields = fields.map_err(of_field)?;
        prompt.beside(&fields);
        let include_usage =
            own.stream_options.as_ref().is_some_and(|Object(options)| options.include_usage == Some(true));
        let request = Request {
            job,
            payer,
            spender: None,
            kind: if call == Call::Embedding { OfferKind::Embedding } else { OfferKind::Text },
            model: wish,
            tier: own.tier()?,
            prompt_tokens: prompt.tokens,
            prompt_tokens_max: prompt.tokens_max,
            answer_tokens_max: own.answer_tokens_max()?,
            price_max: own.price_max(&wishes)?,
            cost_max: own.max_cost.map(|cost| number::dollars("maxCost", cost)).transpose()?,
            millitokens_per_second_min: own.min_tps.map_or(Ok(0), number::millitokens)?,
            quantizations: own.quantizations(&wishes)?,
            routing: wishes.routing(shortcuts)?,
            needs_vision: prompt.images > 0,
            is_verified: false,
            topics: None,
            ad_expected: Nanos::ZERO,
            stream: own.stream.unwrap_or(false) && call != Call::Embedding,
            left_by: Vec::new(),
        };
        let is_free = shortcuts.is_free;
        let asked =
            [own.messages, own.prompt, own.input].into_iter().flatten().find(|raw| raw.get() != "null");
        let prompt_print = asked.filter(|_| !is_free).and_then(|asked| print(job, payer, asked));
        let auto = auto::read(own.is_auto(), own.objective, own.deadline)?;
        Ok(Ask {
            include_usage,
            is_numbered: false,
            call,
            fields,
            tokenizer,
            echo: None,
            encoding: if dialect == Dialect::Embedding { own.encoding()? } else { Encoding::Float },
            is_free,
            prompt_print,
            auto,
            gate: own.objectives.filter(|raw| raw.get() != "null").map(gate::read).transpose()?,
            request,
        })
    }
}

impl Own<'_> {
    fn wish(&self) -> Result<(Wish, Shortcuts), Problem> {
        let (name, shortcuts) = routing::cut(self.model.as_deref().unwrap_or_default().trim())?;
        let wish = match name {
            "" | "auto" => Wish::Any,
            name if name.len() > MODEL_NAME_BYTES_MAX || name.chars().any(char::is_control) => {
                return Err(Problem::field(
                    "model",
                    "a model's name is a printable text of at most 200 bytes",
                ));
            }
            name => Wish::Named(name.to_owned()),
        };
        Ok((wish, shortcuts))
    }

    fn is_auto(&self) -> bool {
        self.quality.as_deref() == Some("auto")
    }

    fn tier(&self) -> Result<Tier, Problem> {
        let quality = self.quality.as_deref().filter(|_| !self.is_auto()).unwrap_or("standard");
        quality
            .parse()
            .map_err(|_| Problem::field("quality", "quality is low, standard, high, ultra or auto"))
    }

    /// The page's limit. LM Studio's -1 stands for none.
    fn answer_tokens_max(&self) -> Result<Option<u64>, Problem> {
        let named = self.max_completion_tokens.map_or("max_tokens", |_| "max_completion_tokens");
        let limit = self.max_completion_tokens.or(self.max_tokens).filter(|&limit| limit != -1);
        match limit {
            None => Ok(None),
            Some(limit @ 1..=ANSWER_TOKENS_MAX) => Ok(Some(limit.unsigned_abs())),
            Some(_) => {
                let message = format!("{named} is a whole number from 1 to 10000000, or -1 for no limit");
                Err(Problem::field(named, &message))
            }
        }
    }

    /// Checks the numbers that every server bounds alike, so that a wrong one has one clear answer.
    fn sampling(&self) -> Result<(), Problem> {
        number::within("temperature", self.temperature, 0.0, 5.0)?;
        number::within("top_p", self.top_p, 0.0, 1.0)?;
        number::within("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        number::within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
    }

    fn encoding(&self) -> Result<Encoding, Problem> {
        match self.encoding_format.map_or("null", RawValue::get) {
            "null" | "\"float\"" => Ok(Encoding::Float),
            "\"base64\"" => Ok(Encoding::Base64),
            _ => Err(Problem::field("encoding_format", "encoding_format is float or base64")),
        }
    }

    /// The highest price by either way of naming one; by both, the lower on each side.
    fn price_max(&self, wishes: &Wishes<'_>) -> Result<Option<Price>, Problem> {
        let own = self.max_price.map(number::price).transpose()?;
        let other = wishes.price_max()?;
        let both = own
            .zip(other)
            .map(|(one, other)| Price::new(one.input.min(other.input), one.output.min(other.output)));
        Ok(both.or(own).or(other))
    }

    fn quantizations(&self, wishes: &Wishes<'_>) -> Result<Vec<String>, Problem> {
        let names =
            self.quantizations.as_ref().or(wishes.quantizations.as_ref()).cloned().unwrap_or_default();
        if names.len() > 32 || names.iter().any(|name| name.len() > 64) {
            return Err(Problem::field("quantizations", "at most 32 quantisations of at most 64 bytes"));
        }
        Ok(names)
    }

    fn prompt(&self, dialect: Dialect, counting: Counting) -> Result<prompt::Prompt, Problem> {
        let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "null");
        match dialect {
            Dialect::Inference => match (given(self.prompt), given(self.messages)) {
                (true, true) => Err(Problem::field("prompt", "give prompt or messages, not both")),
                (true, false) => prompt::single(self.prompt, self.tools, counting),
                (false, _) => prompt::chat(self.messages, self.tools, counting),
            },
            Dialect::Chat | Dialect::Responses => prompt::chat(self.messages, self.tools, counting),
            Dialect::Completion => prompt::completion(self.prompt, counting),
            Dialect::Embedding => prompt::embedding(self.input, counting),
        }
    }
}

/// Makes the print of what is asked, if an account pays for the answer.
fn print(job: JobId, payer: Payer, asked: &RawValue) -> Option<[u8; 32]> {
    let Payer::Page(_) = payer else { return None };
    let mut print = Print::of(job);
    print.push_json(asked.get());
    Some(print.hash())
}

/// Returns what is asked in a response's body.
fn input(body: &str) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        input: &'a RawValue,
    }
    serde_json::from_str::<Body<'_>>(body).ok().map(|body| body.input)
}

/// Says of a field that no model server is to get which one it is.
fn of_field(refusal: request::Refusal) -> Problem {
    let message = refusal.to_string();
    match refusal {
        request::Refusal::Field(field) | request::Refusal::Missing(field) => Problem::field(field, &message),
        // What comes from elsewhere stands in a message.
        request::Refusal::Foreign => Problem::field("messages", &message),
        request::Refusal::TooLarge | request::Refusal::TooDeep | request::Refusal::NotAnObject => {
            Problem::bad_request(&message)
        }
    }
}

/// Names a field as whoever asks for a response has named it.
fn in_responses_words(problem: Problem) -> Problem {
    const NAMES: [(&str, &str); 5] = [
        ("max_completion_tokens", "max_output_tokens"),
        ("max_tokens", "max_output_tokens"),
        ("messages", "input"),
        ("reasoning_effort", "reasoning"),
        ("response_format", "text"),
    ];
    let Some(field) = problem.field else { return problem };
    let named = NAMES.iter().find(|(chats, _)| field == *chats || field.starts_with(&format!("{chats}.")));
    let Some((chats, own)) = named else { return Problem { field: Some(field), ..problem } };
    let message = problem.message.replacen(chats, own, 1);
    Problem { field: Some(field.replacen(chats, own, 1).into()), message, ..problem }
}

/// Puts `messages` in front of an object's own fields.
fn with_messages(body: &str, messages: &str) -> String {
    let fields = body.trim_start().strip_prefix('{').unwrap_or_default();
    let comma = if fields.trim_start().starts_with('}') { "" } else { "," };
    format!("{{\"messages\":{messages}{comma}{fields}")
}

#[cfg(test)]
mod tests;
