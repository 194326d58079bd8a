//! The native shell: it runs the agent over the operating system's sockets, for owners without
//! Chrome and for load tests.
//!
//! It decides nothing: it hands the agent what happened and executes its commands. All that is
//! ready is handed in before commands are asked for, and all that leaves is flushed at once: under
//! load many tokens share one write, and when idle none waits.

mod clock;
mod exchange;
mod fetch;
mod flags;
mod gpu;
mod keep;
mod shell;
mod socket;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{sync::watch, task::JoinSet};

use crate::agent::Config;
use clock::Clock;
use exchange::Exchanges;
pub use flags::Flags;
use keep::Keep;
use shell::Shell;

/// How many agents of a load test begin at once, and how long the next ones wait.
const BEGIN_TOGETHER: usize = 100;
const BEGIN_EVERY: Duration = Duration::from_millis(50);

/// How long a connection to the model server waits for the next job. llama.cpp's server, LM Studio
/// and vLLM close theirs after 5 s; a job that is written onto it in that moment would be lost.
const JOBS_IDLE: Duration = Duration::from_secs(4);

/// How long any other connection waits: longer than the relay is not asked for earnings.
const EXCHANGES_IDLE: Duration = Duration::from_secs(90);

/// Runs the agents that the flags ask for until `stop` is true, then leaves in good order.
/// One thread is enough for it, and there the tasks of a load take turns in the order of their needs.
pub async fn run(flags: Flags, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let jobs = client(JOBS_IDLE)?;
    let sessions = flags.sessions.max(1);
    let clock = Clock::start();
    let exchanges = Exchanges::new(client(EXCHANGES_IDLE)?, clock, sessions > 1);
    let keep = Arc::new(Keep::new(flags.state.clone().filter(|_| sessions == 1)));
    let config = Config::from(flags);
    let gpu = gpu::recognise();
    let mut agents = JoinSet::new();
    for number in 0..sessions {
        let shell = Shell::new(jobs.clone(), exchanges.clone(), Arc::clone(&keep), clock, sessions > 1)?;
        agents.spawn(shell.run(config.clone(), gpu.clone(), stop.clone()));
        if number % BEGIN_TOGETHER == BEGIN_TOGETHER - 1 {
            tokio::time::sleep(BEGIN_EVERY).await;
        }
    }
    while let Some(ended) = agents.join_next().await {
        ended.context("an agent panicked")??;
    }
    Ok(())
}

/// Makes a client that sends what it is given where it is told, and keeps connections this long.
fn client(idle: Duration) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .pool_max_idle_per_host(256)
        .pool_idle_timeout(idle)
        .build()
        .context("could not set up HTTP")
}
