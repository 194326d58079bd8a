//! A program of somebody else's library, which asks the relay as it is and stops an answer in the middle.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    built,
    caller::Caller,
    eventually::PATIENCE,
    model_server::MODEL,
    scene::Real,
    script::{self, Job, Reply, Script, Step},
};

/// What the programs ask for where they stop in the middle.
const STORY: &str = "Tell a long story";

/// The same where they complete code.
const CODE: &str = "def long_story(";

/// What they ask for where the answer breaks off.
const BREAK: &str = "Begin a poem";

/// What they ask for where they give up on a whole answer.
const SILENCE: &str = "Say nothing";

/// What the tool tells, which then comes back.
const TOLD: &str = "sun in Paris";

/// Where such a program lies.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    built::root().join("tests/sdk").join(name)
}

/// Runs a program to its end; returns the job that it stopped, which it did while it was still running.
///
/// It is given the base URL, a key, the real model and the scripted one. The scripted one makes these
/// replies, in this order, says "There is sun" once it is told what the tool found, breaks a poem off
/// behind "one", says nothing where it is asked for that, and tells a story without an end. Once the program
/// has stopped that story it writes `stopped`, waits for a line, and ends with `ok`.
///
/// # Errors
/// Fails when the program does, and when its job does not end.
pub async fn asks(command: Command, replies: Vec<Reply>) -> Result<Job> {
    let (scene, key) = Real::funded("5.00").await?;
    let caller = Caller::start(&scene.relay, 0).await?;
    replies.into_iter().for_each(|reply| caller.script.next(reply));
    caller.script.whenever(STORY, Reply::steps(vec![Step::token("one"), Step::Hold]));
    caller.script.whenever(BREAK, Reply::steps(vec![Step::token("one"), Step::Cut]));
    caller.script.whenever(SILENCE, Reply::silence());
    caller.script.whenever(TOLD, Reply::text(&["There", " is", " sun"]));
    let text = json!({
        "id": "cmpl-script", "object": "text_completion", "created": 1_700_000_000, "model": script::MODEL,
        "choices": [{"index": 0, "text": "one", "finish_reason": null}],
    });
    caller.script.whenever(CODE, Reply::steps(vec![Step::event(&text), Step::Hold]));
    let url = format!("{}/v1", scene.relay.url("http"));
    let talk = talk(command, [&url, &key, MODEL, script::MODEL], &caller.script);
    timeout(6 * PATIENCE, talk).await.context("the program does not end")?
}

async fn talk(mut command: Command, arguments: [&str; 4], script: &Script) -> Result<Job> {
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("a child without standard input")?;
    let mut output = BufReader::new(child.stdout.take().context("a child without standard output")?);
    let mut line = String::new();
    output.read_line(&mut line).await?;
    ensure!(line == "stopped\n", "the program said {line:?}");
    let mut jobs = script.jobs();
    let job = jobs.pop().context("no job came to the scripted server")?;
    job.left(PATIENCE).await?;
    // Some give up on a whole answer too.
    for job in jobs.iter().filter(|job| job.body.to_string().contains(SILENCE)) {
        job.left(PATIENCE).await?;
    }
    input.write_all(b"\n").await?;
    let mut rest = String::new();
    output.read_to_string(&mut rest).await?;
    ensure!(child.wait().await?.success() && rest == "ok\n", "the program said {rest:?}");
    Ok(job)
}
