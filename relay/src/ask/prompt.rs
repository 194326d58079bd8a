//! Prompts: their tokens and images, by the relay's count.

use std::{borrow::Cow, collections::BTreeMap};

use rekursing_extension_core::bridge::request::INPUTS_MAX;
use rekursing_protocol::frame::Call;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    http::Problem,
    tokens::{TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, Tokenizer},
};

/// How a prompt's texts are counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counting {
    /// With what.
    pub(super) tokenizer: Tokenizer,
    /// Most bytes of text that are counted: what has more is refused whatever its tokens are.
    pub(super) bytes_max: u64,
}

/// What there is to know of a prompt.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// Its tokens.
    pub(super) tokens: u64,
    /// The most tokens that it may turn out to have once its model is known.
    pub(super) tokens_max: u64,
    /// Bytes of its texts, those that were not counted among them.
    pub(super) bytes: u64,
    /// Bytes of the request that are in the count, as they are written.
    pub(super) read_bytes: u64,
    /// Its images.
    pub(super) images: u64,
    /// The `messages` that stand for it, where the page gave none itself.
    pub(super) messages: Option<String>,
}

/// A message of a chat, as a page writes it.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    /// Who says it.
    #[serde(borrow)]
    pub(crate) role: Cow<'a, str>,
    /// A text, a list of parts, or nothing.
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    /// The tools that it calls.
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// Most messages in one request.
const MESSAGES_MAX: usize = 4_096;

/// A chat's messages and tools.
pub(super) fn chat(
    messages: Option<&RawValue>,
    tools: Option<&RawValue>,
    counting: Counting,
) -> Result<Prompt, Problem> {
    let wrong = || Problem::field("messages", "messages is a list of objects with a role and a content");
    let raw = messages.ok_or_else(|| Problem::field("messages", "messages is missing"))?;
    let messages: Vec<Message<'_>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        return Err(Problem::field("messages", "messages holds 1 to 4096 messages"));
    }
    let mut prompt = Prompt::default();
    prompt.tools(tools, counting);
    for message in &messages {
        if !matches!(&*message.role, "system" | "developer" | "user" | "assistant" | "tool" | "function") {
            return Err(Problem::field("messages", "a role is system, developer, user, assistant or tool"));
        }
        prompt.add(TOKENS_PER_MESSAGE);
        if let Some(calls) = message.tool_calls {
            prompt.text(calls.get(), counting);
        }
        let written = [message.tool_calls, message.content].into_iter().flatten();
        prompt.read_bytes += FRAME_BYTES + written.map(|raw| raw.get().len() as u64).sum::<u64>();
        if let Some(content) = message.content {
            prompt.content(content.get(), counting).ok_or_else(wrong)?;
        }
    }
    Ok(prompt)
}

/// A single prompt, asked as a chat of one message.
pub(super) fn single(
    raw: Option<&RawValue>,
    tools: Option<&RawValue>,
    counting: Counting,
) -> Result<Prompt, Problem> {
    let raw = raw.map_or("null", RawValue::get);
    let text: Cow<'_, str> = text(raw).ok_or_else(|| Problem::field("prompt", "prompt is a text"))?;
    if text.is_empty() {
        return Err(Problem::field("prompt", "the prompt is empty"));
    }
    let mut prompt = Prompt { read_bytes: raw.len() as u64, ..Prompt::default() };
    prompt.add(TOKENS_PER_MESSAGE);
    prompt.text(&text, counting);
    prompt.tools(tools, counting);
    prompt.messages = Some(format!("[{{\"role\":\"user\",\"content\":{raw}}}]"));
    Ok(prompt)
}

/// The prompt of a completion: one text, or a list of one.
pub(super) fn completion(raw: Option<&RawValue>, counting: Counting) -> Result<Prompt, Problem> {
    let wrong = || Problem::field("prompt", "prompt is one text");
    let raw = raw.ok_or_else(|| Problem::field("prompt", "prompt is missing"))?.get();
    let text = match text(raw) {
        Some(text) => text,
        None => {
            let [only]: [Cow<'_, str>; 1] = serde_json::from_str(raw).map_err(|_| wrong())?;
            only
        }
    };
    Ok(Prompt::of(raw, &[text], counting))
}

/// The input of embeddings: a text, or a list of texts.
pub(super) fn embedding(raw: Option<&RawValue>, counting: Counting) -> Result<Prompt, Problem> {
    let raw = raw.ok_or_else(|| Problem::field("input", "input is missing"))?.get();
    let texts: Vec<Cow<'_, str>> = match text(raw) {
        Some(text) => vec![text],
        None => serde_json::from_str(raw).map_err(|_| no_texts(raw))?,
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        return Err(Problem::field("input", "input holds 1 to 2048 texts"));
    }
    Ok(Prompt::of(raw, &texts, counting))
}

/// Refuses an input that holds no texts. Some libraries send the numbers of tokens, which differ from model to model.
fn no_texts(raw: &str) -> Problem {
    let are_tokens =
        serde_json::from_str::<Vec<u64>>(raw).is_ok() || serde_json::from_str::<Vec<Vec<u64>>>(raw).is_ok();
    let message = if are_tokens {
        "input is a text or a list of texts, and no numbers of tokens, which are each model's own; LangChain's \
         OpenAIEmbeddings sends texts with `check_embedding_ctx_length=False`"
    } else {
        "input is a text or a list of texts"
    };
    Problem::field("input", message)
}

/// Bytes for which a token is counted where a request holds more than its counted texts: a template may
/// show them to the model.
const BYTES_PER_UNREAD_TOKEN: u64 = 4;

/// Counts the prompt again out of a request's fields, `"name":value,…`. `None` when they are not what
/// [`super::Ask::read`] has made.
pub(crate) fn recount(call: Call, fields: &str, tokenizer: Tokenizer) -> Option<u64> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        messages: Option<&'a RawValue>,
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
        #[serde(borrow, default)]
        prompt: Option<&'a RawValue>,
        #[serde(borrow, default)]
        input: Option<&'a RawValue>,
    }
    let json = format!("{{{fields}}}");
    let own: Fields<'_> = serde_json::from_str(&json).ok()?;
    let counting = Counting { tokenizer, bytes_max: u64::MAX };
    let prompt = match call {
        Call::Chat => chat(own.messages, own.tools, counting),
        Call::Completion => completion(own.prompt, counting),
        Call::Embedding => embedding(own.input, counting),
    };
    let mut prompt = prompt.ok()?;
    prompt.beside(fields);
    Some(prompt.tokens)
}

/// Puts what an assistant has said behind the messages of a chat's fields, `"name":value,…`. `None` when they are
/// not what [`super::Ask::read`] has made, or when the assistant has the last word already.
pub(crate) fn behind(fields: &str, told: &str) -> Option<String> {
    let json = format!("{{{fields}}}");
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(&json).ok()?;
    let messages = all.get("messages")?.get();
    let said: Vec<Message<'_>> = serde_json::from_str(messages).ok()?;
    if said.last()?.role == "assistant" {
        return None;
    }
    let open = messages.trim_end().strip_suffix(']')?;
    let told = serde_json::to_string(told).ok()?;
    let mut behind = format!("\"messages\":{open},{{\"role\":\"assistant\",\"content\":{told}}}]");
    for (name, value) in all.iter().filter(|(name, _)| *name != "messages") {
        behind.push_str(&format!(",{}:{}", serde_json::to_string(name).ok()?, value.get()));
    }
    Some(behind)
}

/// Bytes around a message, and around all of them, that belong to the JSON and not to the prompt.
const FRAME_BYTES: u64 = 64;
const REQUEST_BYTES: u64 = 1_024;

impl Prompt {
    /// Counts texts, each of which is at least one token.
    fn of(raw: &str, texts: &[Cow<'_, str>], counting: Counting) -> Prompt {
        let mut prompt = Prompt { read_bytes: raw.len() as u64, ..Prompt::default() };
        for text in texts {
            if text.is_empty() {
                prompt.add(1);
            } else {
                prompt.text(text, counting);
            }
        }
        prompt
    }

    fn text(&mut self, text: &str, Counting { tokenizer, bytes_max }: Counting) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        if self.bytes > bytes_max {
            return;
        }
        let tokens = tokenizer.count(text);
        self.tokens += tokens;
        // Where the model is not known yet it may have any vocabulary. They are made of bytes, and none
        // needs more than a token for each.
        self.tokens_max += if tokenizer == Tokenizer::Rule { text.len() as u64 } else { tokens };
    }

    fn tools(&mut self, tools: Option<&RawValue>, counting: Counting) {
        if let Some(tools) = tools {
            self.read_bytes += tools.get().len() as u64;
            if tools.get() != "null" {
                self.text(tools.get(), counting);
            }
        }
    }

    /// Counts what has so many tokens whatever the model.
    fn add(&mut self, tokens: u64) {
        self.tokens += tokens;
        self.tokens_max += tokens;
    }

    /// Counts the fields that nothing has counted, beyond what JSON itself takes.
    pub(super) fn beside(&mut self, fields: &str) {
        let unread = (fields.len() as u64).saturating_sub(self.read_bytes + REQUEST_BYTES);
        self.add(unread / BYTES_PER_UNREAD_TOKEN);
    }

    /// Counts a message's content: a text, nothing, or a list of parts. `None` when it is neither.
    fn content(&mut self, raw: &str, counting: Counting) -> Option<()> {
        if raw == "null" {
            return Some(());
        }
        if let Some(text) = text(raw) {
            self.text(&text, counting);
            return Some(());
        }
        for part in serde_json::from_str::<Vec<Part<'_>>>(raw).ok()? {
            if let Some(text) = part.text {
                self.text(&text, counting);
            }
            if matches!(&*part.kind, "image_url" | "input_image" | "image") {
                self.images += 1;
                self.add(TOKENS_PER_IMAGE);
            }
        }
        Some(())
    }
}

/// Reads a JSON text, without a copy where it holds no escapes.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Words<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw).ok().map(|Words(words)| words)
}
