//! The official OpenAI SDKs speak to the relay without any adapter.

use anyhow::{Result, bail};
use rekursing_tests::{built, model_server::MODEL, scene::Real};
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
    let scene = Real::start().await?;
    let key = scene.relay.key("python", "5.00").await?;
    let script = built::root().join("tests/sdk/sdk.py");
    let url = format!("{}/v1", scene.relay.url("http"));
    succeed(Command::new(built::python()?).arg(script).args([&url, &key, MODEL])).await
}

#[tokio::test]
async fn the_sdk_for_node_works() -> Result<()> {
    let scene = Real::start().await?;
    let key = scene.relay.key("node", "5.00").await?;
    let script = built::root().join("tests/sdk/sdk.mjs");
    let url = format!("{}/v1", scene.relay.url("http"));
    succeed(Command::new("node").arg(script).arg(built::node_modules()?).args([&url, &key, MODEL])).await
}
