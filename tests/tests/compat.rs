//! The libraries and programs that most people ask through speak to the relay without any adapter.
//!
//! Their packages are heavy: `cargo xtask compat` fetches them and runs these tests.

use std::os::unix::fs::symlink;

use anyhow::{Context, Result, bail, ensure};
use rekursing_tests::{
    built, caller,
    eventually::PATIENCE,
    guide, library,
    program::{self, asks},
    scene::Real,
    script::Reply,
};
use serde_json::json;
use tokio::{process::Command, time::timeout};

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
    asks(python("compat-llm.py")?, calls()).await.map(drop)
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

/// May call this computer, read, and nothing else.
fn deno() -> Result<Command> {
    let mut command = Command::new(built::compat_node_modules()?.join(".bin/deno"));
    command.args(["run", "--no-config", "--no-prompt", "--allow-net=127.0.0.1", "--allow-read"]);
    Ok(command)
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_client_library_does_in_deno_what_it_says() -> Result<()> {
    library::does_what_it_says(deno()?).await
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn deno_that_is_cut_at_random_bytes_hears_every_byte_once() -> Result<()> {
    deno()?;
    library::hears_every_byte_once(|| deno().expect("it was there before")).await
}

#[tokio::test]
#[ignore = "needs heavy packages: run `cargo xtask compat`"]
async fn the_programs_of_the_guide_for_agents_run_as_they_stand() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    let folder = tempfile::tempdir()?;
    symlink(built::compat_node_modules()?, folder.path().join("node_modules"))?;
    let programs = guide::programs("docs/agents.md", None)?;
    let heavy: Vec<_> = programs.iter().filter(|program| program.is_heavy()).collect();
    ensure!(heavy.len() == 2, "one of each SDK where there are {heavy:?}");
    for program in heavy {
        let code = program.with(&scene.relay.url("http"), &key)?;
        let (mut command, name, said) = match program.language.as_str() {
            "python" => (Command::new(built::compat_python()?), "it.py", "combinations of model and tier"),
            "js" => (Command::new("node"), "it.mjs", " 0.0"),
            other => bail!("who runs {other}?"),
        };
        let file = folder.path().join(name);
        std::fs::write(&file, &code)?;
        let output = timeout(PATIENCE, command.arg(file).kill_on_drop(true).output()).await;
        let output = output.with_context(|| format!("this does not end:\n{code}"))??;
        let written = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && written.contains(said), "this said {output:?}:\n{code}");
    }
    let paid = scene.relay.resolved().await?.settlements()?;
    ensure!(paid.len() == 2, "each asked once: {paid:?}");
    scene.relay.audit().await
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
