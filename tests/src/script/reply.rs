//! What a scripted server answers to one job.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::MODEL;

/// One step of an answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes.
    Send(Bytes),
    /// Waits until the gate lets one through.
    Wait(Gate),
    /// Does nothing until the other side leaves.
    Hold,
    /// Closes the connection in the middle of the answer.
    Cut,
}

/// Holds answers back until the test lets them go on, one step for each [`Gate::open`].
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets this many waiting steps through.
    pub fn open(&self, steps: usize) {
        self.0.add_permits(steps);
    }

    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// An answer to one job.
#[derive(Debug, Clone)]
pub struct Reply {
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    /// These tokens, streamed or whole as the job asks; streamed ones pass the gate one by one.
    Text { tokens: Vec<String>, gate: Option<Gate> },
    /// These tokens as above, without those that the job says were said already.
    Recital { tokens: Vec<String>, gate: Gate },
    /// Exactly this.
    Exact(Exact),
}

/// An answer step by step.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) steps: Vec<Step>,
    /// Whether not even the head is sent.
    pub(super) silent: bool,
}

const EVENT_STREAM: &str = "text/event-stream";

impl Reply {
    /// Answers with these tokens, streamed or whole as the job asks.
    pub fn text(tokens: &[&str]) -> Reply {
        Reply::tokens(tokens, None)
    }

    /// Answers with these tokens, each held back until the gate lets it through.
    pub fn gated(tokens: &[&str], gate: &Gate) -> Reply {
        Reply::tokens(tokens, Some(gate.clone()))
    }

    /// Answers with these tokens, each held back until the gate lets it through. A job whose last message is
    /// the assistant's gets the tokens that are not in there, as llama.cpp's server goes on.
    pub fn recital(tokens: &[String], gate: &Gate) -> Reply {
        Reply { shape: Shape::Recital { tokens: tokens.to_vec(), gate: gate.clone() } }
    }

    /// Answers with an error or any other JSON.
    pub fn json(status: u16, body: &Value) -> Reply {
        let steps = vec![Step::Send(body.to_string().into())];
        Reply::exact(status, "application/json", steps)
    }

    /// Streams exactly these steps as an event stream.
    pub fn steps(steps: Vec<Step>) -> Reply {
        Reply::exact(200, EVENT_STREAM, steps)
    }

    /// Answers with any status, content type and steps.
    pub fn exact(status: u16, content_type: &'static str, steps: Vec<Step>) -> Reply {
        Reply { shape: Shape::Exact(Exact { status, content_type, steps, silent: false }) }
    }

    /// Takes the request and says nothing, not even a head.
    pub fn silence() -> Reply {
        let exact = Exact { status: 200, content_type: EVENT_STREAM, steps: vec![Step::Hold], silent: true };
        Reply { shape: Shape::Exact(exact) }
    }

    fn tokens(tokens: &[&str], gate: Option<Gate>) -> Reply {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        Reply { shape: Shape::Text { tokens, gate } }
    }

    /// Returns the steps of the answer to the job of this body.
    pub(super) fn script(&self, job: &Value) -> Exact {
        let streamed = job["stream"].as_bool().unwrap_or(false);
        match &self.shape {
            Shape::Recital { tokens, gate } => {
                let rest = unsaid(tokens, said(job)).to_vec();
                Reply { shape: Shape::Text { tokens: rest, gate: Some(gate.clone()) } }.script(job)
            }
            Shape::Exact(exact) => exact.clone(),
            Shape::Text { tokens, gate } if streamed => {
                let steps = stream(tokens, gate.as_ref());
                Exact { status: 200, content_type: EVENT_STREAM, steps, silent: false }
            }
            Shape::Text { tokens, gate } => {
                let mut steps: Vec<Step> = gate.iter().cloned().map(Step::Wait).collect();
                steps.push(Step::Send(whole(tokens).to_string().into()));
                Exact { status: 200, content_type: "application/json", steps, silent: false }
            }
        }
    }
}

impl Step {
    /// Sends one streamed chunk with these choices.
    pub fn choices(choices: &Value) -> Step {
        Step::event(&json!({
            "id": "chatcmpl-script", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": MODEL, "choices": choices,
        }))
    }

    /// Sends one streamed chunk with this text.
    pub fn token(text: &str) -> Step {
        Step::choices(&json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]))
    }

    /// Sends the chunk that says why the answer ends.
    pub fn finish(reason: &str) -> Step {
        Step::choices(&json!([{"index": 0, "delta": {}, "finish_reason": reason}]))
    }

    /// Sends the last line of a stream.
    pub fn done() -> Step {
        Step::Send(Bytes::from_static(b"data: [DONE]\n\n"))
    }

    /// Sends any JSON as one event.
    pub fn event(json: &Value) -> Step {
        Step::Send(format!("data: {json}\n\n").into())
    }
}

/// Returns what a job says that the assistant has said already.
fn said(job: &Value) -> &str {
    let last = job["messages"].as_array().and_then(|messages| messages.last());
    last.filter(|last| last["role"] == "assistant")
        .and_then(|last| last["content"].as_str())
        .unwrap_or_default()
}

/// Returns the tokens behind those that make this text; all of them where none do.
fn unsaid<'a>(tokens: &'a [String], said: &str) -> &'a [String] {
    let ends = (0..=tokens.len()).find(|count| tokens[..*count].concat() == said);
    &tokens[ends.unwrap_or_default()..]
}

fn stream(tokens: &[String], gate: Option<&Gate>) -> Vec<Step> {
    let role = json!([{"index": 0, "delta": {"role": "assistant", "content": null}, "finish_reason": null}]);
    let mut steps = vec![Step::choices(&role)];
    for token in tokens {
        steps.extend(gate.cloned().map(Step::Wait));
        steps.push(Step::token(token));
    }
    steps.push(Step::finish("stop"));
    steps.push(Step::event(&json!({
        "id": "chatcmpl-script", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": MODEL, "choices": [], "usage": usage(tokens),
    })));
    steps.push(Step::done());
    steps
}

fn whole(tokens: &[String]) -> Value {
    json!({
        "id": "chatcmpl-script", "object": "chat.completion", "created": 1_700_000_000, "model": MODEL,
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": tokens.concat()},
        }],
        "usage": usage(tokens),
    })
}

fn usage(tokens: &[String]) -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": tokens.len(), "total_tokens": 10 + tokens.len()})
}
