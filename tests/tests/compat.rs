//! The libraries and programs that most people ask through speak to the relay without any adapter.
//!
//! Their packages are heavy: `cargo xtask compat` fetches them and runs these tests.

use anyhow::{Result, ensure};
use rekursing_tests::{
    built, caller,
    program::{self, asks},
    script::Reply,
};
use serde_json::json;
use tokio::process::Command;

fn python(name: &str) -> Result<Command> {
    let mut command = Command::new(built::compat_python()?);
    command.arg(program::path(name));
    Ok(command)
}

/// The tool is called whole, then streamed.
fn calls() -> Vec<Reply> {
    vec![caller::whole(), caller::streamed()]
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn langchain_works() -> Result<()> {
    asks(python("compat-langchain.py")?, calls()).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn litellm_works() -> Result<()> {
    asks(python("compat-litellm.py")?, calls()).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_ai_sdk_of_vercel_works() -> Result<()> {
    let mut command = Command::new("node");
    command.arg(program::path("compat-ai.mjs")).arg(built::compat_node_modules()?);
    asks(command, calls()).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn llamaindex_works() -> Result<()> {
    asks(python("compat-llamaindex.py")?, calls()).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_command_llm_works() -> Result<()> {
    let words = || Reply::text(&["There", " is", " sun"]);
    let replies = vec![caller::whole(), words(), caller::streamed(), words()];
    asks(python("compat-llm.py")?, replies).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_python_sdk_of_mcp_works() -> Result<()> {
    asks(python("compat-mcp.py")?, Vec::new()).await.map(drop)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_typescript_sdk_of_mcp_works() -> Result<()> {
    let mut command = Command::new("node");
    command.arg(program::path("compat-mcp.mjs")).arg(built::compat_node_modules()?);
    asks(command, Vec::new()).await.map(drop)
}

#[tokio::test]
#[ignore = "is run with those of the heavy packages: `cargo xtask compat`"]
async fn an_editor_completes_code() -> Result<()> {
    let mut command = Command::new("node");
    command.arg(program::path("compat-completion.mjs"));
    let job = asks(command, Vec::new()).await?;
    ensure!(job.path == "/v1/completions", "the job went to {}", job.path);
    ensure!(job.body["suffix"] == "\n    return story", "the suffix became {}", job.body["suffix"]);
    ensure!(job.body["stop"] == json!(["\n\n"]), "the stop sequences became {}", job.body["stop"]);
    Ok(())
}
