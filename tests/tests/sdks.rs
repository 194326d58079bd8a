//! The official OpenAI SDKs speak to the relay without any adapter.

use anyhow::{Result, bail};
use rekursing_tests::{built, caller::Caller, model_server::MODEL, scene::Real, script};
use tokio::process::Command;

async fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().await?;
    if !output.status.success() || output.stdout != b"ok\n" {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[tokio::test]
async fn the_sdk_for_python_works() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    // For chats, and for responses.
    let _caller = Caller::start(&scene.relay, 2).await?;
    let program = built::root().join("tests/sdk/sdk.py");
    let url = format!("{}/v1", scene.relay.url("http"));
    succeed(Command::new(built::python()?).arg(program).args([&url, &key, MODEL, script::MODEL])).await
}

#[tokio::test]
async fn the_sdk_for_node_works() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    // For chats, and for responses.
    let _caller = Caller::start(&scene.relay, 2).await?;
    let program = built::root().join("tests/sdk/sdk.mjs");
    let url = format!("{}/v1", scene.relay.url("http"));
    let mut node = Command::new("node");
    succeed(node.arg(program).arg(built::node_modules()?).args([&url, &key, MODEL, script::MODEL])).await
}
