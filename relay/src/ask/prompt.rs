//! Prompts: their tokens and images, by the relay's count.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    http::Problem,
    tokens::{TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, Tokenizer},
};

/// What there is to know of a prompt.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// Its tokens.
    pub(super) tokens: u64,
    /// Bytes of the request that are in the count, as they are written.
    pub(super) read_bytes: u64,
    /// Its images.
    pub(super) images: u64,
    /// The `messages` that stand for it, where the page gave none itself.
    pub(super) messages: Option<String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
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

/// Most texts in one request for embeddings.
const INPUTS_MAX: usize = 2_048;

/// A chat's messages and tools.
pub(super) fn chat(
    messages: Option<&RawValue>,
    tools: Option<&RawValue>,
    tokenizer: Tokenizer,
) -> Result<Prompt, Problem> {
    let wrong = || Problem::field("messages", "messages is a list of objects with a role and a content");
    let raw = messages.ok_or_else(|| Problem::field("messages", "messages is missing"))?;
    let messages: Vec<Message<'_>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        return Err(Problem::field("messages", "messages holds 1 to 4096 messages"));
    }
    let mut prompt = Prompt { tokens: tool_tokens(tools, tokenizer), ..Prompt::default() };
    prompt.read_bytes = tools.map_or(0, |tools| tools.get().len() as u64);
    for message in &messages {
        if !matches!(&*message.role, "system" | "developer" | "user" | "assistant" | "tool" | "function") {
            return Err(Problem::field("messages", "a role is system, developer, user, assistant or tool"));
        }
        prompt.tokens += TOKENS_PER_MESSAGE;
        prompt.tokens += message.tool_calls.map_or(0, |calls| tokenizer.count(calls.get()));
        let written = [message.tool_calls, message.content].into_iter().flatten();
        prompt.read_bytes += FRAME_BYTES + written.map(|raw| raw.get().len() as u64).sum::<u64>();
        if let Some(content) = message.content {
            prompt.content(content.get(), tokenizer).ok_or_else(wrong)?;
        }
    }
    Ok(prompt)
}

/// A single prompt, asked as a chat of one message.
pub(super) fn single(
    raw: Option<&RawValue>,
    tools: Option<&RawValue>,
    tokenizer: Tokenizer,
) -> Result<Prompt, Problem> {
    let raw = raw.map_or("null", RawValue::get);
    let text: Cow<'_, str> = text(raw).ok_or_else(|| Problem::field("prompt", "prompt is a text"))?;
    if text.is_empty() {
        return Err(Problem::field("prompt", "the prompt is empty"));
    }
    Ok(Prompt {
        tokens: TOKENS_PER_MESSAGE + tokenizer.count(&text) + tool_tokens(tools, tokenizer),
        read_bytes: (raw.len() + tools.map_or(0, |tools| tools.get().len())) as u64,
        images: 0,
        messages: Some(format!("[{{\"role\":\"user\",\"content\":{raw}}}]")),
    })
}

/// The prompt of a completion: one text, or a list of one.
pub(super) fn completion(raw: Option<&RawValue>, tokenizer: Tokenizer) -> Result<Prompt, Problem> {
    let wrong = || Problem::field("prompt", "prompt is one text");
    let raw = raw.ok_or_else(|| Problem::field("prompt", "prompt is missing"))?.get();
    let text = match text(raw) {
        Some(text) => text,
        None => {
            let [only]: [Cow<'_, str>; 1] = serde_json::from_str(raw).map_err(|_| wrong())?;
            only
        }
    };
    Ok(Prompt { tokens: tokenizer.count(&text).max(1), read_bytes: raw.len() as u64, ..Prompt::default() })
}

/// The input of embeddings: a text, or a list of texts.
pub(super) fn embedding(raw: Option<&RawValue>, tokenizer: Tokenizer) -> Result<Prompt, Problem> {
    let raw = raw.ok_or_else(|| Problem::field("input", "input is missing"))?.get();
    let texts: Vec<Cow<'_, str>> = match text(raw) {
        Some(text) => vec![text],
        None => serde_json::from_str(raw)
            .map_err(|_| Problem::field("input", "input is a text or a list of texts"))?,
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        return Err(Problem::field("input", "input holds 1 to 2048 texts"));
    }
    let tokens = texts.iter().map(|text| tokenizer.count(text).max(1)).sum();
    Ok(Prompt { tokens, read_bytes: raw.len() as u64, ..Prompt::default() })
}

/// Bytes around a message, and around all of them, that belong to the JSON and not to the prompt.
const FRAME_BYTES: u64 = 64;
const REQUEST_BYTES: u64 = 1_024;

impl Prompt {
    /// Returns the bytes of the fields that nothing has counted, beyond what JSON itself takes.
    pub(super) fn unread(&self, fields: &str) -> u64 {
        (fields.len() as u64).saturating_sub(self.read_bytes + REQUEST_BYTES)
    }

    /// Counts a message's content: a text, nothing, or a list of parts. `None` when it is neither.
    fn content(&mut self, raw: &str, tokenizer: Tokenizer) -> Option<()> {
        if raw == "null" {
            return Some(());
        }
        if let Some(text) = text(raw) {
            self.tokens += tokenizer.count(&text);
            return Some(());
        }
        for part in serde_json::from_str::<Vec<Part<'_>>>(raw).ok()? {
            self.tokens += part.text.map_or(0, |text| tokenizer.count(&text));
            if matches!(&*part.kind, "image_url" | "input_image" | "image") {
                self.images += 1;
                self.tokens += TOKENS_PER_IMAGE;
            }
        }
        Some(())
    }
}

fn tool_tokens(tools: Option<&RawValue>, tokenizer: Tokenizer) -> u64 {
    tools.filter(|tools| tools.get() != "null").map_or(0, |tools| tokenizer.count(tools.get()))
}

/// Reads a JSON text, without a copy where it holds no escapes.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Words<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw).ok().map(|Words(words)| words)
}
