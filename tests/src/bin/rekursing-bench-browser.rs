//! Measures the real extension in a real Chromium; prints one line of JSON. A part of `cargo xtask bench`,
//! which names the URL of a model server and its model.

#![expect(clippy::print_stdout, reason = "the figures go to standard output")]

use std::time::Duration;

use anyhow::{Context, Result};
use rekursing_tests::{
    http::Page,
    owner::Owner,
    process::Echo,
    relay::{FREE, Relay},
};
use serde_json::json;
use tokio::time::Instant;

/// How often each thing is measured; the median counts.
const ROUNDS: usize = 41;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the model server's URL is missing")?;
    let model = arguments.next().context("the model's name is missing")?;
    let relay = Relay::on("127.0.0.1:0", FREE, Echo::Silent).await?;
    let owner = Owner::ready(&relay.url("http"), &url).await?;
    let server = Page::visitor(url.trim_start_matches("http://").parse()?);
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(first_token(&server, &model).await?);
        through.push(first_token(&relay.visitor(), &model).await?);
    }
    let (paint, ready) = popup(&owner).await?;
    let figures = json!({
        "direct_first_ms": median(direct), "extension_first_ms": median(through),
        "worker_ms": worker(&owner).await?, "popup_paint_ms": paint, "popup_ready_ms": ready,
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

/// Milliseconds until the popup has painted anything, and until it shows the agent's state.
async fn popup(owner: &Owner) -> Result<(f64, f64)> {
    let (mut paints, mut readies) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let popup = owner.popup().await?;
        let paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
        paints.push(popup.until_some(paint).await?.as_f64().context("a time")?);
        let ready = popup.eval("Number(document.body.dataset.painted)").await?;
        readies.push(ready.as_f64().context("a time")?);
        popup.close().await?;
    }
    Ok((median(paints), median(readies)))
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
