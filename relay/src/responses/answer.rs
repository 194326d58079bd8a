//! An answer of `/v1/responses`: its items as they grow, and the events that tell of it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Echo;
use crate::{ask::Dialect, http::Problem, report::Report};

/// Most calls in one answer. A model that calls more tools at once has lost its way.
const CALLS_MAX: usize = 128;

/// What an item takes beside its texts, in bytes.
const ITEM_BYTES: usize = 256;

/// An answer in the making.
#[derive(Debug)]
pub struct Answer {
    echo: Box<Echo>,
    /// What the ids of its items have in common: the job's, without its prefix.
    digits: String,
    items: Vec<Item>,
    /// The thought or the message that still grows: there is one at most.
    growing: Option<usize>,
    /// Where calls stand, by the number by which the model server tells them apart.
    calls: HashMap<u64, usize>,
    /// Bytes of all items, and the most that there may be.
    bytes: usize,
    bytes_max: usize,
    /// Events so far.
    told: u64,
}

/// A part of an answer.
#[derive(Debug)]
struct Item {
    id: String,
    kind: Kind,
    text: String,
    progress: Progress,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Growing,
    Complete,
    /// It was cut off.
    Incomplete,
}

#[derive(Debug)]
enum Kind {
    Reasoning,
    Message,
    Call { number: u64, id: String, name: String },
}

/// What a chat's message, or a piece of one, says.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

/// How an answer ended.
enum Outcome<'a> {
    Done { reason: &'a str },
    Broke(&'a Problem),
}

impl Answer {
    /// Begins the answer that a report is about, whose items have so many bytes at most.
    pub fn new(echo: Box<Echo>, bytes_max: usize, report: &Report) -> Answer {
        Answer {
            echo,
            digits: report.digits(),
            items: Vec::new(),
            growing: None,
            calls: HashMap::new(),
            bytes: 0,
            bytes_max,
            told: 0,
        }
    }

    /// Tells whether it has grown past what is kept, so that it cannot end well.
    pub const fn is_too_long(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// Tells that it begins.
    pub fn begin(&mut self, report: &Report) -> Vec<Value> {
        let response = self.response(report, "in_progress");
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
        ]
    }

    /// Adds a text, and tells of it.
    pub fn text(&mut self, text: &str) -> Vec<Value> {
        let mut events = Vec::with_capacity(1);
        self.grow(Kind::Message, text, &mut events);
        events
    }

    /// Adds what a chunk's choices say, and tells of it. What does not read says nothing.
    pub fn choices(&mut self, choices: &str) -> Vec<Value> {
        #[derive(Deserialize)]
        struct Choice {
            #[serde(default)]
            delta: Option<Said>,
        }
        let choices: Vec<Choice> = serde_json::from_str(choices).unwrap_or_default();
        let mut events = Vec::new();
        if let Some(said) = choices.into_iter().next().and_then(|choice| choice.delta) {
            self.say(said, &mut events);
        }
        events
    }

    /// Tells that it has ended well, for this reason.
    pub fn finish(&mut self, reason: &str, report: &Report) -> Vec<Value> {
        let mut events = Vec::new();
        for at in 0..self.items.len() {
            self.close(at, self.end_of(at, reason), &mut events);
        }
        let response = self.ended(report, &Outcome::Done { reason });
        let name =
            if response["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
        events.push(self.event(name, json!({"response": response})));
        events
    }

    /// Tells that it broke off.
    pub fn fail(&mut self, problem: &Problem, report: &Report) -> Vec<Value> {
        let response = self.ended(report, &Outcome::Broke(problem));
        vec![self.event("response.failed", json!({"response": response}))]
    }

    /// Returns a whole answer: this message of a chat, which ended for this reason.
    ///
    /// # Errors
    /// When there is more of it than is kept.
    pub fn whole(mut self, message: Value, reason: &str, report: &Report) -> Result<Value, Problem> {
        let said: Said = serde_json::from_value(message).unwrap_or_default();
        self.say(said, &mut Vec::new());
        if self.is_too_long() {
            return Err(Problem::response_too_long());
        }
        for at in 0..self.items.len() {
            self.items[at].progress = self.end_of(at, reason);
        }
        Ok(self.ended(report, &Outcome::Done { reason }))
    }

    /// Returns how far an item is in an answer that has ended for this reason: what cuts an answer off cuts its last item.
    fn end_of(&self, at: usize, reason: &str) -> Progress {
        let is_cut = incomplete(reason).is_some() && at + 1 == self.items.len();
        if is_cut { Progress::Incomplete } else { Progress::Complete }
    }

    fn say(&mut self, said: Said, events: &mut Vec<Value>) {
        let thought = said.reasoning_content.filter(|text| !text.is_empty()).or(said.reasoning);
        for (kind, text) in
            [(Kind::Reasoning, thought), (Kind::Message, said.content), (Kind::Message, said.refusal)]
        {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                self.grow(kind, &text, events);
            }
        }
        for (at, call) in (0..).zip(said.tool_calls.unwrap_or_default()) {
            let Call { index, id, function } = call;
            let Function { name, arguments } = function.unwrap_or_default();
            let kind = Kind::Call {
                number: index.unwrap_or(at),
                id: id.unwrap_or_default(),
                name: name.unwrap_or_default(),
            };
            self.grow(kind, &arguments.unwrap_or_default(), events);
        }
    }

    /// Adds a text to the item that it belongs to, which is opened where it is not there.
    fn grow(&mut self, kind: Kind, text: &str, events: &mut Vec<Value>) {
        let known = self.known(&kind);
        let opened = if known.is_none() { self.opened_bytes(&kind) } else { 0 };
        self.bytes = self.bytes.saturating_add(text.len()).saturating_add(opened);
        if self.is_too_long() {
            return;
        }
        let at = match known {
            Some(at) => at,
            None => self.open(kind, events),
        };
        self.items[at].text.push_str(text);
        if text.is_empty() {
            return;
        }
        let place = self.place(at);
        events.push(match self.items[at].kind {
            Kind::Reasoning => self.event(
                "response.reasoning_text.delta",
                with(place, json!({"content_index": 0, "delta": text})),
            ),
            Kind::Message => {
                let piece = json!({"content_index": 0, "delta": text, "logprobs": []});
                self.event("response.output_text.delta", with(place, piece))
            }
            Kind::Call { .. } => {
                self.event("response.function_call_arguments.delta", with(place, json!({"delta": text})))
            }
        });
    }

    /// Returns where the item stands of which this is another part.
    fn known(&self, kind: &Kind) -> Option<usize> {
        match kind {
            Kind::Call { number, .. } => self.calls.get(number).copied(),
            Kind::Reasoning | Kind::Message => self.growing.filter(|at| self.items[*at].kind.is(kind)),
        }
    }

    /// Returns what an item of this kind takes before it says anything, in bytes.
    fn opened_bytes(&self, kind: &Kind) -> usize {
        match kind {
            Kind::Reasoning | Kind::Message => ITEM_BYTES,
            Kind::Call { .. } if self.calls.len() >= CALLS_MAX => usize::MAX,
            Kind::Call { id, name, .. } => ITEM_BYTES.saturating_add(id.len()).saturating_add(name.len()),
        }
    }

    fn open(&mut self, kind: Kind, events: &mut Vec<Value>) -> usize {
        // Texts follow each other; calls may grow side by side.
        if let Some(at) = self.growing.take() {
            self.close(at, Progress::Complete, events);
        }
        let at = self.items.len();
        match kind {
            Kind::Call { number, .. } => drop(self.calls.insert(number, at)),
            Kind::Reasoning | Kind::Message => self.growing = Some(at),
        }
        let id = format!("{}_{}_{at}", kind.prefix(), self.digits);
        self.items.push(Item { id, kind, text: String::new(), progress: Progress::Growing });
        let mut item = self.item(at);
        let part = item.get_mut("content").map(|content| std::mem::replace(content, json!([]))[0].take());
        events.push(self.event("response.output_item.added", json!({"output_index": at, "item": item})));
        if let Some(part) = part {
            let part = with(self.place(at), json!({"content_index": 0, "part": part}));
            events.push(self.event("response.content_part.added", part));
        }
        at
    }

    /// Tells that nothing more comes of an item, once.
    fn close(&mut self, at: usize, progress: Progress, events: &mut Vec<Value>) {
        if std::mem::replace(&mut self.items[at].progress, progress) != Progress::Growing {
            return;
        }
        let (place, item) = (self.place(at), self.item(at));
        let text = Value::from(self.items[at].text.as_str());
        let (name, done) = match &self.items[at].kind {
            Kind::Reasoning => ("response.reasoning_text.done", json!({"content_index": 0, "text": text})),
            Kind::Message => {
                ("response.output_text.done", json!({"content_index": 0, "text": text, "logprobs": []}))
            }
            Kind::Call { name, .. } => {
                ("response.function_call_arguments.done", json!({"arguments": text, "name": name}))
            }
        };
        events.push(self.event(name, with(place.clone(), done)));
        if let Some(part) = item.get("content").map(|content| content[0].clone()) {
            let part = with(place, json!({"content_index": 0, "part": part}));
            events.push(self.event("response.content_part.done", part));
        }
        events.push(self.event("response.output_item.done", json!({"output_index": at, "item": item})));
    }

    /// Returns an item as it is now.
    fn item(&self, at: usize) -> Value {
        let Item { id, kind, text, progress } = &self.items[at];
        let status = progress.name();
        match kind {
            Kind::Reasoning => json!({"id": id, "type": "reasoning", "status": status, "summary": [],
                "content": [{"type": "reasoning_text", "text": text}]}),
            Kind::Message => json!({"id": id, "type": "message", "status": status, "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}),
            Kind::Call { id: call, name, .. } => json!({"id": id, "type": "function_call", "status": status,
                "call_id": if call.is_empty() { id } else { call }, "name": name, "arguments": text}),
        }
    }

    fn place(&self, at: usize) -> Value {
        json!({"item_id": self.items[at].id, "output_index": at})
    }

    fn ended(&self, report: &Report, outcome: &Outcome<'_>) -> Value {
        let (status, incomplete, error) = match outcome {
            Outcome::Done { reason } => match incomplete(reason) {
                Some(reason) => ("incomplete", json!({"reason": reason}), Value::Null),
                None => ("completed", Value::Null, Value::Null),
            },
            Outcome::Broke(problem) => {
                ("failed", Value::Null, json!({"code": problem.code, "message": problem.message}))
            }
        };
        let items: Vec<Value> = (0..self.items.len()).map(|at| self.item(at)).collect();
        let usage = report.usage();
        let extra = json!({
            "incomplete_details": incomplete,
            "error": error,
            "output": items,
            "usage": {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            },
            "rekursing": report.extension(),
        });
        with(self.response(report, status), extra)
    }

    /// Returns the response with nothing in it yet.
    fn response(&self, report: &Report, status: &str) -> Value {
        let head = json!({
            "id": report.id(Dialect::Responses),
            "object": "response",
            "created_at": report.created(),
            "status": status,
            "error": null,
            "incomplete_details": null,
            "model": report.model(),
            "output": [],
            "previous_response_id": null,
            "store": false,
            "truncation": "disabled",
            "usage": null,
        });
        with(head, Value::from((*self.echo).clone()))
    }

    fn event(&mut self, name: &str, fields: Value) -> Value {
        let head = json!({"type": name, "sequence_number": self.told});
        self.told += 1;
        with(head, fields)
    }
}

/// Returns why an answer that ended for this reason is not whole; `None` where it is.
fn incomplete(reason: &str) -> Option<&'static str> {
    match reason {
        "length" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    }
}

impl Progress {
    /// Returns what it is called.
    const fn name(self) -> &'static str {
        match self {
            Progress::Growing => "in_progress",
            Progress::Complete => "completed",
            Progress::Incomplete => "incomplete",
        }
    }
}

impl Kind {
    /// Returns what the id of such an item begins with.
    const fn prefix(&self) -> &'static str {
        match self {
            Kind::Reasoning => "rs",
            Kind::Message => "msg",
            Kind::Call { .. } => "fc",
        }
    }

    /// Tells whether both are of one kind.
    fn is(&self, other: &Kind) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Adds the fields of one object to another.
fn with(mut head: Value, fields: Value) -> Value {
    if let (Value::Object(head), Value::Object(fields)) = (&mut head, fields) {
        head.extend(fields);
    }
    head
}

#[cfg(test)]
mod tests;
