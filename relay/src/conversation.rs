//! Conversations: the words of a request, from which the topic of its answer is told. They go to the
//! classifier and nowhere else, and nothing of them is kept.

use std::borrow::Cow;

use rekursing_market::ads;
use rekursing_protocol::Topics;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ask::prompt::Message;

/// The words of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// What was asked last.
    pub(crate) question: String,
    /// Everything that was said before, by whomever.
    pub(crate) before: String,
    /// Whether there is nothing in it but text: nobody has looked at a picture.
    pub(crate) is_all_text: bool,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    suffix: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// Tells what a request is about, out of its fields without their braces.
pub(crate) fn topics(fields: &str) -> Topics {
    let Some(Conversation { question, before, is_all_text }) = read(fields) else { return Topics::UNREAD };
    let topics = ads::topics(&question, &before);
    if is_all_text { topics } else { topics | Topics::UNREAD }
}

/// Reads the fields of a request, without its braces. `None` when nobody asks anything in it.
pub(crate) fn read(fields: &str) -> Option<Conversation> {
    let object = format!("{{{fields}}}");
    let fields: Fields<'_> = serde_json::from_str(&object).ok()?;
    let mut said = Vec::with_capacity(fields.messages.len());
    let mut is_all_text = true;
    let mut words = |raw: &RawValue| {
        let (text, is_text) = words(raw.get());
        is_all_text &= is_text;
        text
    };
    for message in &fields.messages {
        let mut text = message.content.map(&mut words).unwrap_or_default();
        if let Some(calls) = message.tool_calls {
            text.push(' ');
            text.push_str(calls.get());
        }
        said.push((message.role == "user", text));
    }
    for prompt in [fields.prompt, fields.input].into_iter().flatten() {
        said.push((true, words(prompt)));
    }
    let last = said.iter().rposition(|(by_page, _)| *by_page)?;
    let (_, question) = said.remove(last);
    let mut before = said.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n");
    if let Some(suffix) = fields.suffix {
        before.push('\n');
        before.push_str(&suffix);
    }
    Some(Conversation { question, before: before.trim().to_owned(), is_all_text })
}

/// Reads a text, a list of texts, or the texts of a list of parts. Also tells whether that is all of it.
fn words(raw: &str) -> (String, bool) {
    if raw == "null" {
        return (String::new(), true);
    }
    if let Ok(text) = serde_json::from_str::<String>(raw) {
        return (text, true);
    }
    if let Ok(texts) = serde_json::from_str::<Vec<String>>(raw) {
        return (texts.join("\n"), true);
    }
    let Ok(parts) = serde_json::from_str::<Vec<Part<'_>>>(raw) else { return (String::new(), false) };
    let all = parts.len();
    let texts: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
    (texts.join("\n"), texts.len() == all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(question: &str, before: &str) -> Option<Conversation> {
        let (question, before) = (question.to_owned(), before.to_owned());
        Some(Conversation { question, before, is_all_text: true })
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
    fn what_is_no_text_is_told_and_not_read() {
        let image = r#""messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]"#;
        let shown = read(image).unwrap();
        assert_eq!((shown.question.as_str(), shown.is_all_text), ("What is it?", false));
        assert_eq!(topics(image), Topics::UNREAD);
        assert_eq!(topics(r#""messages":7"#), Topics::UNREAD);
        assert_eq!(read(r#""messages":[{"role":"assistant","content":"Hello"}]"#), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn what_embeddings_are_made_of_is_read_too() {
        let topics = |fields| super::topics(fields).names().collect::<Vec<_>>();
        assert_eq!(topics(r#""input":["Who should I vote for?","and why"]"#), ["politics"]);
        assert_eq!(topics(r#""input":[[1,2,3]]"#), ["unread"]);
    }
}
