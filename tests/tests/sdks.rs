//! The official OpenAI SDKs speak to the relay without any adapter.

use anyhow::{Result, bail};
use rekursing_tests::{
    built,
    model_server::MODEL,
    node::Node,
    relay::Relay,
    scene::Real,
    script::{self, Dialect, Reply, Script, Step},
};
use serde_json::{Value, json};
use tokio::process::Command;

async fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().await?;
    if !output.status.success() || output.stdout != b"ok\n" {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Starts a provider that calls a tool, which the tiny model cannot: whole first, then streamed.
async fn caller(relay: &Relay) -> Result<(Script, Node)> {
    let script = Script::start(Dialect::LmStudio(1)).await?;
    let call = |arguments: &str| -> Value {
        json!([{
            "index": 0, "id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": arguments},
        }])
    };
    let more = json!([{"index": 0, "function": {"arguments": "\"Paris\"}"}}]);
    let delta = |delta: Value| Step::choices(&json!([{"index": 0, "finish_reason": null, "delta": delta}]));
    // For chats, and for responses.
    for _ in 0..2 {
        script.next(Reply::json(200, &json!({
            "id": "chatcmpl-script", "object": "chat.completion", "created": 1_700_000_000, "model": script::MODEL,
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": null, "tool_calls": call("{\"city\": \"Paris\"}"),
            }}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
        })));
        script.next(Reply::steps(vec![
            delta(json!({"role": "assistant", "content": null})),
            delta(json!({"tool_calls": call("{\"city\": ")})),
            delta(json!({"tool_calls": more.clone()})),
            Step::finish("tool_calls"),
            Step::done(),
        ]));
    }
    let node = Node::start(relay, &script.url()).await?;
    Ok((script, node))
}

#[tokio::test]
async fn the_sdk_for_python_works() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    let _caller = caller(&scene.relay).await?;
    let program = built::root().join("tests/sdk/sdk.py");
    let url = format!("{}/v1", scene.relay.url("http"));
    succeed(Command::new(built::python()?).arg(program).args([&url, &key, MODEL, script::MODEL])).await
}

#[tokio::test]
async fn the_sdk_for_node_works() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    let _caller = caller(&scene.relay).await?;
    let program = built::root().join("tests/sdk/sdk.mjs");
    let url = format!("{}/v1", scene.relay.url("http"));
    let mut node = Command::new("node");
    succeed(node.arg(program).arg(built::node_modules()?).args([&url, &key, MODEL, script::MODEL])).await
}
