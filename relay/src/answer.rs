//! Reading answers: what in them a page is shown, and what of that is text to be counted.
//!
//! A page asks for one answer, so there is one choice, number 0. Whatever else a server sends is neither passed
//! on nor counted: nobody pays for what nobody sees.

use std::{borrow::Cow, collections::BTreeMap};

use rekursing_protocol::frame::Call;
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

/// Where in a choice a page finds what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The call: the words of a chat are in its message, those of a completion in its text.
    pub call: Call,
    /// Whether the answer comes in pieces, each with a part of the message.
    pub streamed: bool,
    /// Whether the page gave tools, which alone can be called.
    pub tools: bool,
}

/// One choice of a chunk or of a whole answer; the two differ in `delta` and `message`.
#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
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
    choices: Option<Vec<&'a RawValue>>,
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
    /// Where its words are.
    pub form: Form,
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
        let (whole, shown) = read_whole(&self.body, self.form, &mut self.counter)?;
        let body = shown.unwrap_or(self.body);
        Some(Read { body, counter: self.counter, whole })
    }
}

/// Returns the list with nothing in it but the one choice that a page is shown; `None` where it is not there.
pub fn shown(choices: &str) -> Option<Cow<'_, str>> {
    let rows: Vec<&RawValue> = serde_json::from_str(choices).ok()?;
    match rows.as_slice() {
        [only] => is_shown(only).then_some(Cow::Borrowed(choices)),
        rows => rows.iter().find(|row| is_shown(row)).map(|row| Cow::Owned(format!("[{}]", row.get()))),
    }
}

/// Tells whether a choice is number 0. One that does not say, or cannot be read, may be.
fn is_shown(choice: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Numbered {
        #[serde(default)]
        index: Option<u64>,
    }
    serde_json::from_str(choice.get()).map_or(true, |Numbered { index }| index.is_none_or(|index| index == 0))
}

/// Counts what the model wrote in a chunk's `choices`. What cannot be read counts nothing.
pub fn count_choices(choices: &str, form: Form, counter: &mut Counter) {
    if let Ok(choices) = serde_json::from_str::<Vec<Choice<'_>>>(choices) {
        choices.iter().for_each(|choice| count(choice, form, counter));
    }
}

/// Reads a whole answer and counts what the model wrote. Also returns the answer as the page is shown it,
/// where that is another. `None` when it is no answer at all: not JSON, or neither choices nor embeddings
/// in it.
fn read_whole(body: &str, form: Form, counter: &mut Counter) -> Option<(Whole, Option<String>)> {
    let whole: WholeJson<'_> = serde_json::from_str(body).ok()?;
    if whole.choices.is_none() && whole.data.is_none() {
        return None;
    }
    let choices = whole.choices.unwrap_or_default();
    let shown = choices.iter().find(|choice| is_shown(choice));
    let choice: Option<Choice<'_>> =
        shown.map(|choice| serde_json::from_str(choice.get())).transpose().ok()?;
    if let Some(choice) = &choice {
        count(choice, form, counter);
    }
    let claim = whole.usage.unwrap_or_default();
    let positive = |count: Option<u64>| count.filter(|&count| count > 0);
    let reason = choice.as_ref().and_then(|choice| choice.finish_reason.as_deref());
    let told = Whole {
        reason: reason.unwrap_or_default().to_owned(),
        claimed: (positive(claim.prompt_tokens), positive(claim.completion_tokens)),
    };
    let is_all = choices.len() == usize::from(shown.is_some());
    let rest = (!is_all).then(|| with_choices(body, shown.copied())).transpose().ok()?;
    Some((told, rest))
}

/// Returns a whole answer with this choice and no other.
fn with_choices(body: &str, choice: Option<&RawValue>) -> Result<String, serde_json::Error> {
    let mut fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(body)?;
    let choices = serde_json::value::to_raw_value(&Vec::from_iter(choice))?;
    fields.insert("choices".into(), &choices);
    serde_json::to_string(&fields)
}

/// Returns the text of a whole answer's first choice, and its message or null.
pub fn said(body: &str) -> (String, Value) {
    let said = serde_json::from_str::<Said>(body).ok().and_then(|said| said.choices.into_iter().next());
    let Some(SaidChoice { message, text }) = said else { return Default::default() };
    let content = message.get("content").and_then(Value::as_str).map(str::to_owned);
    (content.or(text).unwrap_or_default(), message)
}

/// Counts what a page finds where it looks.
fn count(choice: &Choice<'_>, form: Form, counter: &mut Counter) {
    if choice.index.is_some_and(|index| index > 0) {
        return;
    }
    fn push(counter: &mut Counter, text: &Option<Cow<'_, str>>) {
        if let Some(text) = text {
            counter.push(text);
        }
    }
    fn say(counter: &mut Counter, text: &Option<Cow<'_, str>>) {
        if let Some(text) = text {
            counter.say(text);
        }
    }
    let words = match (form.call, form.streamed) {
        (Call::Completion, _) => return say(counter, &choice.text),
        (Call::Chat | Call::Embedding, true) => &choice.delta,
        (Call::Chat | Call::Embedding, false) => &choice.message,
    };
    let Some(words) = words else { return };
    let is_said = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    // Servers have two names for a thought, and a page reads one of them.
    push(
        counter,
        if is_said(&words.reasoning_content) { &words.reasoning_content } else { &words.reasoning },
    );
    // Who refuses says nothing else.
    say(counter, if is_said(&words.content) { &words.content } else { &words.refusal });
    for call in words.tool_calls.iter().flatten().filter(|_| form.tools) {
        if let Some(function) = &call.function {
            push(counter, &function.name);
            push(counter, &function.arguments);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokenizer;

    const STREAMED: Form = Form { call: Call::Chat, streamed: true, tools: true };
    const WHOLE: Form = Form { streamed: false, ..STREAMED };
    const COMPLETION: Form = Form { call: Call::Completion, ..STREAMED };

    fn counted(choices: &str, form: Form) -> u64 {
        let mut counter = Counter::new(Tokenizer::Rule);
        count_choices(choices, form, &mut counter);
        counter.bytes()
    }

    fn read(body: &str, form: Form) -> Option<Read> {
        Unread { body: body.to_owned(), counter: Counter::new(Tokenizer::Rule), form }.read()
    }

    #[test]
    fn everything_that_a_model_wrote_is_counted() {
        let said = r#"[{"index":0,"delta":{"content":"four","reasoning_content":"four","tool_calls":
            [{"index":0,"function":{"name":"four","arguments":"fo\"r"}}]},"finish_reason":null}]"#;
        assert_eq!(counted(said, STREAMED), 16);
        assert_eq!(counted("[{\"index\":0,\"text\":\"four\"}]", COMPLETION), 4);
        assert_eq!(counted(r#"[{"delta":{"content":null,"refusal":"four"}}]"#, STREAMED), 4);
    }

    #[test]
    fn a_thought_under_both_names_is_counted_once() {
        for other in ["four", "more!"] {
            let said = format!(r#"[{{"delta":{{"reasoning":"{other}","reasoning_content":"four"}}}}]"#);
            assert_eq!(counted(&said, STREAMED), 4);
        }
        assert_eq!(counted(r#"[{"delta":{"reasoning":"four","reasoning_content":""}}]"#, STREAMED), 4);
    }

    #[test]
    fn nothing_is_counted_where_a_page_does_not_look() {
        for (choices, form) in [
            (r#"[{"index":1,"delta":{"content":"word"}}]"#, STREAMED),
            (r#"[{"index":0,"message":{"content":"word"},"text":"word"}]"#, STREAMED),
            (r#"[{"index":0,"delta":{"content":"word"},"text":"word"}]"#, WHOLE),
            (r#"[{"index":0,"delta":{"content":"word"},"message":{"content":"word"}}]"#, COMPLETION),
            (r#"[{"index":"0","delta":{"content":"word"}}]"#, STREAMED),
            (
                r#"[{"index":0,"delta":{"tool_calls":[{"function":{"name":"x","arguments":"word"}}]}}]"#,
                Form { tools: false, ..STREAMED },
            ),
        ] {
            assert_eq!(counted(choices, form), 0, "{choices}");
        }
        let both = r#"[{"index":0,"delta":{"content":"four","refusal":"word word"}}]"#;
        assert_eq!(counted(both, STREAMED), 4);
    }

    #[test]
    fn a_page_is_shown_one_choice_of_a_chunk() {
        let one = r#"{"index":0,"delta":{"content":"Yes."}}"#;
        let other = r#"{"index":1,"delta":{"content":"word"}}"#;
        for (rows, left) in [
            (vec![one], Some(vec![one])),
            (vec![one, other], Some(vec![one])),
            (vec![other, one, one], Some(vec![one])),
            (vec!["{}"], Some(vec!["{}"])),
            (vec![other], None),
            (vec![], None),
        ] {
            let choices = format!("[{}]", rows.join(","));
            let left = left.map(|rows| format!("[{}]", rows.join(",")));
            assert_eq!(shown(&choices).as_deref(), left.as_deref(), "{choices}");
        }
    }

    #[test]
    fn a_page_is_shown_one_choice_of_a_whole_answer_and_pays_for_no_other() {
        let yes = r#"{"index":0,"message":{"content":"Yes."},"finish_reason":"stop"}"#;
        for more in [
            r#"{"index":1,"message":{"content":"word word"}}"#,
            r#"{"index":0,"message":{"content":"word word"}}"#,
            r#"{"message":{"content":"word word"}}"#,
        ] {
            let read =
                read(&format!(r#"{{"id":"x","choices":[{yes},{more}],"usage":null}}"#), WHOLE).unwrap();
            assert_eq!(read.counter.bytes(), 4, "{more}");
            assert_eq!(read.body, format!(r#"{{"choices":[{yes}],"id":"x","usage":null}}"#));
            assert_eq!((said(&read.body).0.as_str(), read.whole.reason.as_str()), ("Yes.", "stop"));
        }
        // A name may be written with escapes, and is the same.
        let written = r#"{"\u0069d":"x","choices":[{"index":1},{"index":0}]}"#;
        assert_eq!(read(written, WHOLE).unwrap().body, r#"{"choices":[{"index":0}],"id":"x"}"#);
        let hidden = read(r#"{"choices":[{"index":1,"message":{"content":"word"}}]}"#, WHOLE).unwrap();
        assert_eq!((hidden.counter.bytes(), hidden.body.as_str()), (0, r#"{"choices":[]}"#));
    }

    #[test]
    fn a_whole_answer_says_why_it_ended_and_what_it_used() {
        let body = r#"{"choices":[{"message":{"role":"assistant","content":"blue k7x2"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":18,"completion_tokens":0},"timings":{"x":1}}"#;
        let Read { body: unchanged, counter, whole } = read(body, WHOLE).unwrap();
        assert_eq!(unchanged, body);
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
        for body in ["", "[]", "{}", "{\"error\":{}}", "<html>", "{\"choices\":7}", "{\"choices\":[7]}"] {
            assert!(read(body, WHOLE).is_none(), "{body}");
        }
        let vectors = Form { call: Call::Embedding, ..WHOLE };
        assert!(read("{\"data\":[{\"embedding\":[0.1]}]}", vectors).is_some());
    }
}
