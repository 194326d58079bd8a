//! Many plugins with nothing to do: what does one cost the relay?

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{SinkExt, StreamExt, future::try_join_all};
use rekursing_bench::{link, now_ns, process, timer};
use rekursing_protocol::register::Registered;
use serde_json::json;
use tokio::task::{LocalSet, spawn_local};
use tokio_tungstenite::tungstenite::Message;

/// Plugins with nothing to do.
#[derive(Debug, Parser)]
struct Arguments {
    /// The relay's address, host and port.
    #[arg(long)]
    address: String,
    /// How many plugins.
    #[arg(long, default_value_t = 10_000)]
    plugins: usize,
    /// The relay's process.
    #[arg(long)]
    pid: u32,
    /// Seconds to hold them before memory is read.
    #[arg(long, default_value_t = 3)]
    hold_seconds: u64,
}

/// Plugins that come and go first, so that what is allocated only once does not count.
const WARM_UP: usize = 50;

/// Plugins that connect at the same time.
const AT_ONCE: usize = 64;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the result goes to standard output")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("{}", LocalSet::new().run_until(run(&arguments)).await?);
    Ok(())
}

async fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    spawn_local(timer::drive());
    let registered = link::register(&arguments.address, arguments.plugins).await?;
    drop(open(arguments, &registered[..WARM_UP.min(registered.len())]).await?);
    settle(1).await;
    let before_kib = process::resident_kib(arguments.pid);
    let begin_ns = now_ns();
    let held = open(arguments, &registered).await?;
    let open_ms = (now_ns() - begin_ns) / 1_000_000;
    settle(arguments.hold_seconds).await;
    let after_kib = process::resident_kib(arguments.pid);
    let bytes = after_kib.saturating_sub(before_kib) * 1024 / u64::try_from(held.len().max(1))?;
    Ok(json!({
        "sessions": held.len(), "open_ms": open_ms, "before_kib": before_kib, "after_kib": after_kib,
        "bytes_per_session": bytes,
    }))
}

async fn open(arguments: &Arguments, registered: &[Registered]) -> Result<Vec<link::Socket>> {
    let mut held = Vec::with_capacity(registered.len());
    for group in registered.chunks(AT_ONCE) {
        let first = held.len();
        let opening = group.iter().enumerate().map(|(at, plugin)| one(arguments, plugin, first + at));
        held.extend(try_join_all(opening).await?);
    }
    Ok(held)
}

async fn one(arguments: &Arguments, plugin: &Registered, number: usize) -> Result<link::Socket> {
    let mut socket = link::open(&arguments.address, "/api/plugin/connect", number).await?;
    socket.next().await.context("no hello")??;
    socket.send(Message::text(link::identify(plugin, 1))).await?;
    socket.next().await.context("not ready")??;
    Ok(socket)
}

/// Lets the relay come to rest.
async fn settle(seconds: u64) {
    timer::sleep_until(now_ns() + seconds * 1_000_000_000).await;
}
