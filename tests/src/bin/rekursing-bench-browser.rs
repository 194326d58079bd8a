//! Measures the real extension in a real Chromium; prints one line of JSON. A part of `cargo xtask bench`,
//! which names the URL of a model server and its model.

#![expect(clippy::print_stdout, reason = "the figures go to standard output")]

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rekursing_tests::{
    browser::Tab,
    built,
    http::Page,
    owner::Owner,
    process::Echo,
    relay::{FREE, Relay},
};
use serde_json::json;
use tokio::time::Instant;

/// How often each thing is measured; the median counts.
const ROUNDS: usize = 41;

/// A page of the extension with one word: no page of it is painted sooner on this machine.
const EMPTY: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Empty</title><p>Empty"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the model server's URL is missing")?;
    let model = arguments.next().context("the model's name is missing")?;
    let relay = Relay::on("127.0.0.1:0", FREE, Echo::Silent).await?;
    let folder = tempfile::tempdir().context("no folder for the extension")?;
    built::copy(&built::extension()?, folder.path())?;
    fs::write(folder.path().join("empty.html"), EMPTY).context("could not write the empty page")?;
    let owner = Owner::ready_with(folder.path(), &relay.url("http"), &url).await?;
    let server = Page::visitor(url.trim_start_matches("http://").parse()?);
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(first_token(&server, &model).await?);
        through.push(first_token(&relay.visitor(), &model).await?);
    }
    let [empty, paint, ready] = popup(&owner).await?;
    let figures = json!({
        "direct_first_ms": median(direct), "extension_first_ms": median(through),
        "worker_ms": worker(&owner).await?,
        "empty_paint_ms": empty, "popup_paint_ms": paint, "popup_ready_ms": ready,
    });
    println!("{figures}");
    Ok(())
}

/// Milliseconds from a request to its first token.
async fn first_token(page: &Page, model: &str) -> Result<f64> {
    let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    let begun = Instant::now();
    let mut stream = page.stream("/v1/chat/completions", &body).await?;
    loop {
        let event = stream.next().await?.context("no token")?;
        // The mock's tokens are marks between tildes.
        if event.data.contains('~') {
            return Ok(milliseconds(begun.elapsed()));
        }
    }
}

/// Milliseconds until an empty page of the extension has painted anything, until the popup has, and until
/// the popup shows the agent's state. Both pages are opened in turn, so that whatever else runs meets them
/// alike.
async fn popup(owner: &Owner) -> Result<[f64; 3]> {
    let (mut empties, mut paints, mut readies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let empty = owner.open("empty.html").await?;
        empties.push(painted(&empty).await?);
        empty.close().await?;
        let popup = owner.popup().await?;
        paints.push(painted(&popup).await?);
        let ready = popup.eval("Number(document.body.dataset.painted)").await?;
        readies.push(ready.as_f64().context("a time")?);
        popup.close().await?;
    }
    Ok([empties, paints, readies].map(median))
}

async fn painted(tab: &Tab) -> Result<f64> {
    let paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
    tab.until_some(paint).await?.as_f64().context("a time")
}

/// Milliseconds from a message to a stopped worker to its answer.
async fn worker(owner: &Owner) -> Result<f64> {
    let popup = owner.popup().await?;
    let mut times = Vec::new();
    for _ in 0..5 {
        owner.kill_worker().await?;
        let ask = "(async () => { const t = performance.now(); \
                   await chrome.runtime.sendMessage({type: 'wake'}); return performance.now() - t; })()";
        times.push(popup.eval(ask).await?.as_f64().context("a time")?);
    }
    Ok(median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
