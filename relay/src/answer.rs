//! Reading answers: what in them is text to be counted.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::tokens::Counter;

/// What a whole answer says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The first choice's `finish_reason`, or empty.
    pub reason: String,
    /// The server's counts of prompt and answer tokens; none where it says 0.
    pub claimed: (Option<u64>, Option<u64>),
}

/// One choice of a chunk or of a whole answer; the two differ in `delta` and `message`.
#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Words<'a>>,
    #[serde(borrow, default)]
    message: Option<Words<'a>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

/// Everything in a message that a model has written.
#[derive(Debug, Deserialize)]
struct Words<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
struct Claim {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct WholeJson<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<Claim>,
}

/// A whole answer's choices with everything that a page may want to see.
#[derive(Debug, Deserialize)]
struct Said {
    choices: Vec<SaidChoice>,
}

#[derive(Debug, Deserialize)]
struct SaidChoice {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    text: Option<String>,
}

/// A whole answer that has come and is still to be read.
#[derive(Debug)]
pub struct Unread {
    /// Its JSON.
    pub body: String,
    /// What counts it.
    pub counter: Counter,
}

/// A whole answer that was read and counted.
#[derive(Debug)]
pub struct Read {
    /// Its JSON.
    pub body: String,
    /// What has counted it.
    pub counter: Counter,
    /// What it says of itself.
    pub whole: Whole,
}

impl Unread {
    /// Reads it; `None` when it is no answer at all.
    pub fn read(mut self) -> Option<Read> {
        let whole = read_whole(&self.body, &mut self.counter)?;
        Some(Read { body: self.body, counter: self.counter, whole })
    }
}

/// Counts what the model wrote in a chunk's `choices`. What cannot be read counts nothing.
pub fn count_choices(choices: &str, counter: &mut Counter) {
    if let Ok(choices) = serde_json::from_str::<Vec<Choice<'_>>>(choices) {
        choices.iter().for_each(|choice| count(choice, counter));
    }
}

/// Reads a whole answer and counts what the model wrote. `None` when it is no answer at all: not
/// JSON, or neither choices nor embeddings in it.
pub fn read_whole(body: &str, counter: &mut Counter) -> Option<Whole> {
    let whole: WholeJson<'_> = serde_json::from_str(body).ok()?;
    if whole.choices.is_none() && whole.data.is_none() {
        return None;
    }
    let choices = whole.choices.unwrap_or_default();
    choices.iter().for_each(|choice| count(choice, counter));
    let claim = whole.usage.unwrap_or_default();
    let positive = |count: Option<u64>| count.filter(|&count| count > 0);
    let reason = choices.first().and_then(|choice| choice.finish_reason.as_deref());
    Some(Whole {
        reason: reason.unwrap_or_default().to_owned(),
        claimed: (positive(claim.prompt_tokens), positive(claim.completion_tokens)),
    })
}

/// Returns the text of a whole answer's first choice, and its message or null.
pub fn said(body: &str) -> (String, Value) {
    let said = serde_json::from_str::<Said>(body).ok().and_then(|said| said.choices.into_iter().next());
    let Some(SaidChoice { message, text }) = said else { return Default::default() };
    let content = message.get("content").and_then(Value::as_str).map(str::to_owned);
    (content.or(text).unwrap_or_default(), message)
}

fn count(choice: &Choice<'_>, counter: &mut Counter) {
    let mut push = |text: &Option<Cow<'_, str>>| {
        if let Some(text) = text {
            counter.push(text);
        }
    };
    push(&choice.text);
    for words in [&choice.delta, &choice.message].into_iter().flatten() {
        push(&words.reasoning_content);
        // Some servers say the same under both names.
        if words.reasoning != words.reasoning_content {
            push(&words.reasoning);
        }
        push(&words.content);
        push(&words.refusal);
        for call in words.tool_calls.iter().flatten() {
            if let Some(function) = &call.function {
                push(&function.name);
                push(&function.arguments);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokenizer;

    fn counter() -> Counter {
        Counter::new(Tokenizer::Rule)
    }

    #[test]
    fn everything_that_a_model_wrote_is_counted() {
        let mut counter = counter();
        count_choices(
            r#"[{"index":0,"delta":{"content":"four","reasoning_content":"four","tool_calls":
                [{"index":0,"function":{"name":"four","arguments":"fo\"r"}}]},"finish_reason":null}]"#,
            &mut counter,
        );
        assert_eq!(counter.bytes(), 16);
        count_choices("[{\"index\":0,\"text\":\"four\"}]", &mut counter);
        assert_eq!(counter.total(), 5);
    }

    #[test]
    fn a_thought_under_both_names_is_counted_once() {
        let mut counter = counter();
        count_choices(r#"[{"delta":{"reasoning":"four","reasoning_content":"four"}}]"#, &mut counter);
        assert_eq!(counter.bytes(), 4);
        count_choices(r#"[{"delta":{"reasoning":"four","reasoning_content":"more!"}}]"#, &mut counter);
        assert_eq!(counter.bytes(), 13);
    }

    #[test]
    fn a_whole_answer_says_why_it_ended_and_what_it_used() {
        let mut counter = counter();
        let body = r#"{"choices":[{"message":{"role":"assistant","content":"blue k7x2"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":18,"completion_tokens":0},"timings":{"x":1}}"#;
        let whole = read_whole(body, &mut counter).unwrap();
        assert_eq!(whole, Whole { reason: "stop".to_owned(), claimed: (Some(18), None) });
        assert_eq!(counter.bytes(), 9);
        let (text, message) = said(body);
        assert_eq!(text, "blue k7x2");
        assert_eq!(message, serde_json::json!({"role": "assistant", "content": "blue k7x2"}));
        assert_eq!(said("{\"choices\":[{\"text\":\"once\"}]}"), ("once".to_owned(), Value::Null));
        assert_eq!(said("{}"), (String::new(), Value::Null));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in ["", "[]", "{}", "{\"error\":{}}", "<html>", "{\"choices\":7}"] {
            assert_eq!(read_whole(body, &mut counter()), None, "{body}");
        }
        assert!(read_whole("{\"data\":[{\"embedding\":[0.1]}]}", &mut counter()).is_some());
    }
}
