//! Conversations: the words of a request, from which the topic of its answer is told. They go to the
//! classifier and nowhere else.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ask::prompt::Message;

/// The words of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conversation {
    /// What was asked last.
    pub(super) question: String,
    /// Everything that was said before, by whomever.
    pub(super) before: String,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    suffix: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// Reads the fields of a request, without its braces. `None` when there is something in it that is no
/// text: nobody has looked at a picture.
pub(super) fn read(fields: &str) -> Option<Conversation> {
    let object = format!("{{{fields}}}");
    let fields: Fields<'_> = serde_json::from_str(&object).ok()?;
    let mut said = Vec::with_capacity(fields.messages.len());
    for message in &fields.messages {
        let mut text = message.content.map_or(Some(String::new()), |content| words(content.get()))?;
        if let Some(calls) = message.tool_calls {
            text.push(' ');
            text.push_str(calls.get());
        }
        said.push((message.role == "user", text));
    }
    if let Some(prompt) = fields.prompt {
        said.push((true, words(prompt.get())?));
    }
    let last = said.iter().rposition(|(by_page, _)| *by_page)?;
    let (_, question) = said.remove(last);
    let mut before = said.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    if let Some(suffix) = fields.suffix {
        before.push('\n');
        before.push_str(&suffix);
    }
    Some(Conversation { question, before: before.trim().to_owned() })
}

/// Reads a text, a list of texts, or a list of parts that are texts.
fn words(raw: &str) -> Option<String> {
    if raw == "null" {
        return Some(String::new());
    }
    if let Ok(text) = serde_json::from_str::<String>(raw) {
        return Some(text);
    }
    if let Ok(texts) = serde_json::from_str::<Vec<String>>(raw) {
        return Some(texts.join("\n"));
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(raw).ok()?;
    let texts: Option<Vec<_>> = parts.into_iter().map(|part| part.text).collect();
    Some(texts?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(question: &str, before: &str) -> Option<Conversation> {
        Some(Conversation { question: question.to_owned(), before: before.to_owned() })
    }

    #[test]
    fn the_last_question_is_told_from_what_was_said_before() {
        let chat = r#""messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"One?"},
            {"role":"assistant","content":null,"tool_calls":[{"x":1}]},
            {"role":"user","content":[{"type":"text","text":"Two?"},{"type":"text","text":"Three?"}]}],"seed":1"#;
        assert_eq!(read(chat), conversation("Two?\nThree?", "Be brief.\nOne?\n [{\"x\":1}]"));
        assert_eq!(read(r#""prompt":"Once upon","suffix":"the end""#), conversation("Once upon", "the end"));
        assert_eq!(read(r#""prompt":["Once upon"]"#), conversation("Once upon", ""));
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        let image = r#""messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]"#;
        assert_eq!(read(image), None);
        assert_eq!(read(r#""messages":[{"role":"assistant","content":"Hello"}]"#), None);
        assert_eq!(read(""), None);
    }
}
