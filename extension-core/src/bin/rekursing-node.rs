//! The owner's agent without a browser: it offers the models of a local model server.

use std::io::IsTerminal;

use anyhow::Context;
use clap::Parser;
use rekursing_extension_core::native::{Flags, run};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_env("REKURSING_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let to_reader = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(to_reader);
    log.with_writer(std::io::stderr).init();
    // Only the first caller can install one, and nobody else is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("could not start the runtime")?;
    runtime.block_on(async {
        let (sender, stop) = watch::channel(false);
        tokio::spawn(async move {
            asked_to_stop().await;
            sender.send_replace(true);
            // The sender stays, so that only a signal is taken for one.
            std::future::pending::<()>().await;
        });
        run(flags, stop).await
    })
}

/// Waits for the terminal's or the service manager's signal.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    {
        // Without the signal the process can still be ended from outside.
        let _ = tokio::signal::ctrl_c().await;
    }
}
