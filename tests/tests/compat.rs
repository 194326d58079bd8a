//! The libraries and programs that most people ask through speak to the relay without any adapter.
//!
//! Their packages are heavy: `cargo xtask compat` fetches them and runs these tests.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    built,
    caller::{self, Caller},
    eventually::PATIENCE,
    model_server::MODEL,
    scene::Real,
    script::{self, Job, Reply, Step},
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// What the programs ask for where they stop in the middle.
const STORY: &str = "Tell a long story";

/// The same where they complete code.
const CODE: &str = "def long_story(";

fn program(name: &str) -> PathBuf {
    built::root().join("tests/sdk").join(name)
}

fn python(name: &str) -> Result<Command> {
    let mut command = Command::new(built::compat_python()?);
    command.arg(program(name));
    Ok(command)
}

/// Runs a program to its end; returns the job that it stopped, which it did while it was still running.
async fn asks(command: Command, replies: Vec<Reply>) -> Result<Job> {
    let (scene, key) = Real::funded("5.00").await?;
    let caller = Caller::start(&scene.relay, 0).await?;
    replies.into_iter().for_each(|reply| caller.script.next(reply));
    caller.script.whenever(STORY, Reply::steps(vec![Step::token("one"), Step::Hold]));
    let text = json!({
        "id": "cmpl-script", "object": "text_completion", "created": 1_700_000_000, "model": script::MODEL,
        "choices": [{"index": 0, "text": "one", "finish_reason": null}],
    });
    caller.script.whenever(CODE, Reply::steps(vec![Step::event(&text), Step::Hold]));
    let url = format!("{}/v1", scene.relay.url("http"));
    let talk = talk(command, [&url, &key, MODEL, script::MODEL], &caller.script);
    timeout(3 * PATIENCE, talk).await.context("the program does not end")?
}

async fn talk(mut command: Command, arguments: [&str; 4], script: &script::Script) -> Result<Job> {
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("a child without standard input")?;
    let mut output = BufReader::new(child.stdout.take().context("a child without standard output")?);
    let mut line = String::new();
    output.read_line(&mut line).await?;
    ensure!(line == "stopped\n", "the program said {line:?}");
    let job = script.jobs().pop().context("no job came to the scripted server")?;
    job.left(PATIENCE).await?;
    input.write_all(b"\n").await?;
    let mut rest = String::new();
    output.read_to_string(&mut rest).await?;
    ensure!(child.wait().await?.success() && rest == "ok\n", "the program said {rest:?}");
    Ok(job)
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
    command.arg(program("compat-ai.mjs")).arg(built::compat_node_modules()?);
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
    command.arg(program("compat-mcp.mjs")).arg(built::compat_node_modules()?);
    asks(command, Vec::new()).await.map(drop)
}

#[tokio::test]
#[ignore = "is run with those of the heavy packages: `cargo xtask compat`"]
async fn an_editor_completes_code() -> Result<()> {
    let mut command = Command::new("node");
    command.arg(program("compat-completion.mjs"));
    let job = asks(command, Vec::new()).await?;
    ensure!(job.path == "/v1/completions", "the job went to {}", job.path);
    ensure!(job.body["suffix"] == "\n    return story", "the suffix became {}", job.body["suffix"]);
    ensure!(job.body["stop"] == json!(["\n\n"]), "the stop sequences became {}", job.body["stop"]);
    Ok(())
}
