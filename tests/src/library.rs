//! The client library at work: what its programs in `tests/sdk/` ask of, and what must be seen behind them.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use tokio::process::Command;

use crate::{
    built, caller, count,
    cuts::Cuts,
    eventually::PATIENCE,
    program,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL, Reply, Step},
};

/// An answer with everything by which bytes could be told apart wrongly.
pub const TOLD: [&str; 12] = [
    "Grüße, ",
    "日本",
    "語 ",
    "🦀\u{200d}",
    "\r\n",
    "\n\n",
    "data: x\n",
    "id: 3\n",
    "\u{feff}",
    "event: done",
    " ",
    "end",
];

/// Returns the file that imports it.
#[must_use]
pub fn index() -> PathBuf {
    built::root().join("site/client/index.js")
}

/// Runs a program that ends with `ok`.
///
/// # Errors
/// Fails with what else it says.
pub async fn succeed(command: &mut Command) -> Result<()> {
    let output = command.kill_on_drop(true).output().await?;
    if !output.status.success() || output.stdout != b"ok\n" {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Returns a relay that pages of this origin may call, with all that `client.mjs` asks for, and a key.
///
/// # Errors
/// Fails when it does not come up.
pub async fn scene(origin: &str) -> Result<(Scripted, String)> {
    let (relay, key) = Relay::funded(&format!("origins = [{origin:?}]\n{FREE}"), "5.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(8)).await?;
    scene.script.whenever("hold behind a word", Reply::steps(vec![Step::token("one"), Step::Hold]));
    scene.script.whenever("hold", Reply::steps(vec![Step::Hold]));
    scene.script.whenever("the weather", caller::streamed());
    Ok((scene, key))
}

/// Tells that what `client.mjs` stopped is left at the model server, and what it did not is answered to its end.
///
/// # Errors
/// Fails when it is not so.
pub async fn looks_right(scene: &Scripted) -> Result<()> {
    let jobs = scene.script.jobs();
    // The one that is stopped before its first word may never have come.
    let (held, answered): (Vec<_>, Vec<_>) =
        jobs.iter().partition(|job| job.body.to_string().contains("hold"));
    ensure!((3..=4).contains(&held.len()), "{held:?}");
    for job in held {
        job.left(PATIENCE).await?;
    }
    ensure!(answered.len() >= 3, "{answered:?}");
    ensure!(answered.iter().all(|job| !job.was_left()), "an answer was not read to its end");
    ensure!(jobs.iter().all(|job| !job.body.to_string().contains("ada")), "the owner learns who asks");
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

/// Does in this runtime what `client.mjs` does.
///
/// # Errors
/// Fails when something is not as the library says.
pub async fn does_what_it_says(mut runtime: Command) -> Result<()> {
    let (scene, key) = scene("https://example.com").await?;
    runtime.arg(program::path("client.mjs")).arg(index());
    succeed(runtime.args([&scene.relay.url("http"), &key, MODEL])).await?;
    looks_right(&scene).await
}

/// Returns a relay that pages of this origin may call and whose answers are all [`TOLD`], with a key and a line that
/// breaks.
///
/// # Errors
/// Fails when it does not come up.
pub async fn breaking(origin: &str) -> Result<(Scripted, String, Cuts)> {
    let config = format!(
        "origins = [{origin:?}]\n[free]\nbudget = \"1000\"\njobs_per_day = 1000000\n\
         [limits]\nfree_requests_per_minute = 1000000\n"
    );
    let (relay, key) = Relay::funded(&config, "5.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(8)).await?;
    scene.script.always(Reply::text(&TOLD));
    // So many bytes that an answer is cut in its head, anywhere within, or not at all.
    let line = Cuts::to(scene.relay.address(), 4_000, 7).await?;
    Ok((scene, key, line))
}

/// Returns how often such a line is cut.
///
/// # Errors
/// Fails when the variable for that is no number.
pub fn cuts() -> Result<usize> {
    Ok(usize::try_from(count("REKURSING_CUTS", 40)?)?)
}

/// Asks from this runtime over a line that breaks, as a visitor and with a key in turn.
///
/// # Errors
/// Fails when an answer is not the same to the byte.
pub async fn hears_every_byte_once(runtime: impl Fn() -> Command) -> Result<()> {
    let (scene, key, line) = breaking("https://example.com").await?;
    let keys: [&[&str]; 2] = [&[], &[&key]];
    for key in keys.iter().cycle() {
        if line.made() >= cuts()? {
            break;
        }
        let mut runtime = runtime();
        runtime.arg(program::path("client-cut.mjs")).arg(index());
        succeed(runtime.args([&line.url(), MODEL, &TOLD.concat(), "10"]).args(*key)).await?;
    }
    scene.relay.resolved().await?;
    scene.relay.audit().await
}
