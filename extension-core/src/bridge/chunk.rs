//! Reads one chunk of a streamed answer: what the `data:` of an event of `/v1/chat/completions` or
//! `/v1/completions` says.
//!
//! Nearly every chunk is nothing but text; it is read in one pass and borrowed where JSON allows it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// What an event says.
#[derive(Debug)]
pub enum Reading<'a> {
    /// A chunk of the answer.
    Chunk(Chunk<'a>),
    /// The server gave up.
    Error(ServerError<'a>),
    /// `[DONE]`: nothing follows.
    Done,
}

/// One chunk of the answer.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// What it adds to the answer.
    pub content: Content<'a>,
    /// Why the server stopped, on the last chunk that has content or after it.
    pub finish: Option<Cow<'a, str>>,
    /// The server's own count of tokens.
    pub usage: Option<Usage>,
}

/// What a chunk adds to the answer.
#[derive(Debug, Default)]
pub enum Content<'a> {
    /// Nothing: the role alone, an empty text, usage.
    #[default]
    Nothing,
    /// Text and nothing else.
    Text(Cow<'a, str>),
    /// More than text (tool calls, reasoning, logprobs …): the chunk's `choices`.
    Rich(&'a RawValue),
}

/// The server's own count of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: Option<u64>,
}

/// What a server says went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError<'a> {
    /// Its words.
    pub message: Cow<'a, str>,
    /// Its code, where it is a number, or 0.
    pub status: u16,
    /// Its type and code, where they are texts, each followed by a space.
    pub labels: String,
}

/// The event is not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event is not a chunk of an answer")]
pub struct NotAChunk;

/// Reads the data of one event.
pub fn read(data: &[u8]) -> Result<Reading<'_>, NotAChunk> {
    if data.trim_ascii() == b"[DONE]" {
        return Ok(Reading::Done);
    }
    // One check of the UTF-8 for the whole event is cheaper than one for each of its strings.
    let text = std::str::from_utf8(data).map_err(|_| NotAChunk)?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| NotAChunk)?;
    if let Some(error) = wire.error {
        return Ok(Reading::Error(error));
    }
    let Some(choices) = wire.choices else {
        return if wire.usage.is_some() || wire.other {
            Ok(Reading::Chunk(Chunk { usage: wire.usage, ..Chunk::default() }))
        } else {
            Err(NotAChunk)
        };
    };
    let content = if choices.rich {
        let raw: RawChoices<'_> = serde_json::from_str(text).map_err(|_| NotAChunk)?;
        Content::Rich(raw.choices)
    } else {
        choices.text.map_or(Content::Nothing, Content::Text)
    };
    Ok(Reading::Chunk(Chunk { content, finish: choices.finish, usage: wire.usage }))
}

#[derive(Deserialize)]
struct RawChoices<'a> {
    #[serde(borrow)]
    choices: &'a RawValue,
}

/// A chunk's fields that matter.
#[derive(Default)]
struct Wire<'a> {
    choices: Option<Choices<'a>>,
    usage: Option<Usage>,
    error: Option<ServerError<'a>>,
    /// Whether it has a field that only such chunks have, so that one without choices is still one.
    other: bool,
}

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a chunk")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire<'de>, A::Error> {
                let mut wire = Wire::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        "choices" => wire.choices = map.next_value()?,
                        "usage" => wire.usage = map.next_value()?,
                        "error" => {
                            wire.error = map.next_value::<Option<ErrorBody<'de>>>()?.map(|body| body.0)
                        }
                        other => {
                            wire.other |= matches!(other, "object" | "timings" | "stats");
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(wire)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string that is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// All choices of a chunk, read as one.
#[derive(Default)]
struct Choices<'a> {
    text: Option<Cow<'a, str>>,
    finish: Option<Cow<'a, str>>,
    rich: bool,
}

impl<'de> Deserialize<'de> for Choices<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Choices<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Choices<'de>, A::Error> {
                let Some(first) = rows.next_element::<Choice<'de>>()? else { return Ok(Choices::default()) };
                let mut choices = Choices {
                    text: first.text.filter(|text| !text.is_empty()),
                    finish: first.finish,
                    rich: first.rich,
                };
                while rows.next_element::<IgnoredAny>()?.is_some() {
                    choices.rich = true;
                }
                Ok(choices)
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// One choice: of a chat it has a `delta`, of a completion a `text`.
#[derive(Default)]
struct Choice<'a> {
    text: Option<Cow<'a, str>>,
    finish: Option<Cow<'a, str>>,
    rich: bool,
}

impl<'de> Deserialize<'de> for Choice<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Choice<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a choice")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Choice<'de>, A::Error> {
                let mut choice = Choice::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        "delta" => {
                            if let Some(delta) = map.next_value::<Option<Delta<'de>>>()? {
                                choice.text = delta.content;
                                choice.rich |= delta.rich;
                            }
                        }
                        "text" => choice.text = map.next_value::<Option<Key<'de>>>()?.map(|text| text.0),
                        "finish_reason" => {
                            choice.finish = map.next_value::<Option<Key<'de>>>()?.map(|reason| reason.0);
                        }
                        "index" => choice.rich |= map.next_value::<u64>()? != 0,
                        "logprobs" => choice.rich |= map.next_value::<Weight>()?.something,
                        // What single servers add beside the content (`stop_reason`, `matched_stop`).
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(choice)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What a chat's choice adds.
#[derive(Default)]
struct Delta<'a> {
    content: Option<Cow<'a, str>>,
    rich: bool,
}

impl<'de> Deserialize<'de> for Delta<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Delta<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a delta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Delta<'de>, A::Error> {
                let mut delta = Delta::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        "content" => delta.content = map.next_value::<Option<Key<'de>>>()?.map(|text| text.0),
                        // Ollama repeats the role on every chunk.
                        "role" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        _ => delta.rich |= map.next_value::<Weight>()?.something,
                    }
                }
                Ok(delta)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Whether a value says anything: null, an empty text, list or object does not.
pub(super) struct Weight {
    pub(super) something: bool,
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let inside = raw.as_bytes();
        let empty = match inside {
            [b'[', middle @ .., b']'] | [b'{', middle @ .., b'}'] => middle.trim_ascii().is_empty(),
            _ => matches!(inside, b"null" | b"\"\""),
        };
        Ok(Weight { something: !empty })
    }
}

/// An error as servers write it: an object, or a text alone.
pub(super) struct ErrorBody<'a>(pub(super) ServerError<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for ErrorBody<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = ErrorBody<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an error")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(ErrorBody(ServerError { message: Cow::Borrowed(text), ..ServerError::default() }))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ErrorBody(ServerError { message: Cow::Owned(text.to_owned()), ..ServerError::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut error = ServerError::default();
                while let Some(Key(key)) = map.next_key()? {
                    let raw = map.next_value::<&'de RawValue>()?.get();
                    match key.as_ref() {
                        "message" => {
                            if let Ok(Key(text)) = serde_json::from_str(raw) {
                                error.message = text;
                            }
                        }
                        "code" | "type" => match serde_json::from_str::<Key<'_>>(raw) {
                            Ok(Key(label)) => {
                                error.labels.push_str(&label);
                                error.labels.push(' ');
                            }
                            Err(_) => error.status = raw.parse().unwrap_or(error.status),
                        },
                        _ => {}
                    }
                }
                Ok(ErrorBody(error))
            }
        }
        deserializer.deserialize_any(Shapes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &str) -> Chunk<'_> {
        let Ok(Reading::Chunk(chunk)) = read(data.as_bytes()) else { panic!("{data} is not a chunk") };
        chunk
    }

    #[test]
    fn plain_text_is_text_and_borrowed() {
        for data in [
            r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a b"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"a b"},"logprobs":null}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"a b","tool_calls":[],"reasoning_content":null,"refusal":""}}]}"#,
            r#"{"object":"text_completion","choices":[{"text":"a b","index":0,"logprobs":null,"finish_reason":null}]}"#,
        ] {
            assert!(
                matches!(chunk(data).content, Content::Text(Cow::Borrowed("a b"))),
                "{data} should be plain text"
            );
        }
        let escaped = chunk(r#"{"choices":[{"delta":{"content":"a\n\u00e4"}}]}"#);
        assert!(matches!(escaped.content, Content::Text(text) if text == "a\nä"));
    }

    #[test]
    fn what_is_more_than_text_keeps_its_choices_unchanged() {
        for choices in [
            r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f"}}]}}]"#,
            r#"[ {"index":0, "delta":{"reasoning_content":"hm"}} ]"#,
            r#"[{"index":0,"delta":{"reasoning":"hm","content":""}}]"#,
            r#"[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.1}]}}]"#,
            r#"[{"index":1,"delta":{"content":"a"}}]"#,
            r#"[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]"#,
        ] {
            let data = format!(r#"{{"id":"x","choices":{choices},"created":1}}"#);
            let Content::Rich(raw) = chunk(&data).content else { panic!("{data} should be rich") };
            assert_eq!(raw.get(), choices);
        }
    }

    #[test]
    fn a_role_alone_adds_nothing() {
        for delta in [r#"{"role":"assistant","content":null}"#, r#"{"role":"assistant","content":""}"#, "{}"]
        {
            let data = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
            assert!(matches!(chunk(&data).content, Content::Nothing), "{data}");
        }
    }

    #[test]
    fn finish_and_usage_are_read_wherever_they_stand() {
        let last = chunk(
            r#"{"choices":[{"delta":{"content":"!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}"#,
        );
        assert!(matches!(last.content, Content::Text(ref text) if text == "!"));
        assert_eq!(last.finish.as_deref(), Some("stop"));
        assert_eq!(last.usage, Some(Usage { prompt_tokens: Some(3), completion_tokens: Some(5) }));
        let usage = chunk(r#"{"choices":[],"usage":{"prompt_tokens":3}}"#);
        assert_eq!(usage.usage, Some(Usage { prompt_tokens: Some(3), completion_tokens: None }));
        assert!(matches!(read(b" [DONE] "), Ok(Reading::Done)));
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        for (data, message, status, labels) in [
            (r#"{"error":"model crashed"}"#, "model crashed", 0, ""),
            (r#"{"error":{"code":400,"message":"no","type":"bad"}}"#, "no", 400, "bad "),
            (r#"{"error":{"message":"no","type":"t","code":"c","param":null}}"#, "no", 0, "t c "),
        ] {
            let Ok(Reading::Error(error)) = read(data.as_bytes()) else { panic!("{data} is an error") };
            assert_eq!(
                (error.message.as_ref(), error.status, error.labels.as_str()),
                (message, status, labels)
            );
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for data in
            ["", "{", "null", "7", "[]", "{}", r#"{"choices":7}"#, r#"{"choices":[7]}"#, "{\"a\":\"\u{1}\"}"]
        {
            assert!(matches!(read(data.as_bytes()), Err(NotAChunk)), "{data:?}");
        }
        assert!(matches!(read(b"{\"choices\":[{\"text\":\"\xff\"}]}"), Err(NotAChunk)));
    }
}
