//! A provider that calls a tool, which the tiny model cannot.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    node::Node,
    relay::Relay,
    script::{self, Dialect, Reply, Script, Step},
};

/// An agent before a scripted server that calls the tool `weather` for Paris.
#[derive(Debug)]
pub struct Caller {
    /// The server.
    pub script: Script,
    /// The agent.
    pub node: Node,
}

impl Caller {
    /// Starts both; the tool is called this many times, each whole first, then streamed.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn start(relay: &Relay, times: usize) -> Result<Caller> {
        let script = Script::start(Dialect::LmStudio(1)).await?;
        for _ in 0..times {
            script.next(whole());
            script.next(streamed());
        }
        let node = Node::start(relay, &script.url()).await?;
        Ok(Caller { script, node })
    }
}

/// Returns the reply that calls the tool at once.
#[must_use]
pub fn whole() -> Reply {
    Reply::json(
        200,
        &json!({
            "id": "chatcmpl-script", "object": "chat.completion", "created": 1_700_000_000, "model": script::MODEL,
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": null, "tool_calls": call("{\"city\": \"Paris\"}"),
            }}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
        }),
    )
}

/// Returns the reply that calls the tool piece by piece.
#[must_use]
pub fn streamed() -> Reply {
    let delta = |delta: Value| Step::choices(&json!([{"index": 0, "finish_reason": null, "delta": delta}]));
    let more = json!([{"index": 0, "function": {"arguments": "\"Paris\"}"}}]);
    Reply::steps(vec![
        delta(json!({"role": "assistant", "content": null})),
        delta(json!({"tool_calls": call("{\"city\": ")})),
        delta(json!({"tool_calls": more})),
        Step::finish("tool_calls"),
        Step::done(),
    ])
}

fn call(arguments: &str) -> Value {
    json!([{
        "index": 0, "id": "call_1", "type": "function",
        "function": {"name": "weather", "arguments": arguments},
    }])
}
