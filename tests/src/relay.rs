//! A relay of one's own: its program on a free port, with a data folder that outlives a restart.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    built,
    database::Ledger,
    eventually,
    http::Page,
    process::{Echo, Process},
};

/// Free answers for everybody, and no rate limit in the way of a test.
pub const FREE: &str = "
[free]
budget = \"5.00\"
jobs_per_day = 1000000
[limits]
registrations_per_minute = 100000
connects_per_minute = 100000
free_requests_per_minute = 1000000
";

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    address: SocketAddr,
    folder: TempDir,
    echo: Echo,
}

impl Relay {
    /// Starts a relay that gives free answers.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn start() -> Result<Relay> {
        Relay::with(FREE).await
    }

    /// Starts a relay with a config file of this text.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn with(config: &str) -> Result<Relay> {
        Relay::on("127.0.0.1:0", config, Echo::Aloud).await
    }

    /// Starts a relay on this address.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn on(listen: &str, config: &str, echo: Echo) -> Result<Relay> {
        let folder = folder(config)?;
        let (process, address) = launch(folder.path(), listen, echo).await?;
        Ok(Relay { process, address, folder, echo })
    }

    /// Starts a relay for which the operator has made an API key with an opening balance, and returns both.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn funded(config: &str, balance: &str) -> Result<(Relay, String)> {
        let folder = folder(config)?;
        let key = make_key(&folder.path().join("data"), balance).await?;
        let (process, address) = launch(folder.path(), "127.0.0.1:0", Echo::Aloud).await?;
        Ok((Relay { process, address, folder, echo: Echo::Aloud }, key))
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL with this scheme: `http` or `ws`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns a page without a key.
    pub fn visitor(&self) -> Page {
        Page::visitor(self.address)
    }

    /// Returns a page with a key.
    pub fn customer(&self, key: &str) -> Page {
        Page::bearing(self.address, key)
    }

    /// Makes an API key while the relay runs. The relay sees its balance a moment later.
    ///
    /// # Errors
    /// Fails when the operator's command does.
    pub async fn key(&self, balance: &str) -> Result<String> {
        make_key(&self.data(), balance).await
    }

    /// Runs a command of the operator beside the relay, and returns what it prints.
    ///
    /// # Errors
    /// Fails when the command does.
    pub async fn operate(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(built::relay()?);
        let output = command.args(arguments).arg("--data-dir").arg(self.data()).output().await?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Opens the ledger's database beside the relay.
    ///
    /// # Errors
    /// Fails when it cannot be read.
    pub fn ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.data())
    }

    /// Waits until there was a hold and every hold is resolved, and returns the ledger.
    ///
    /// # Errors
    /// Fails when a hold stays open, or none is ever made.
    pub async fn resolved(&self) -> Result<Ledger> {
        let look = || async {
            let ledger = self.ledger()?;
            let holds = ledger.entries("hold")?;
            let resolved = ledger.entries("settle")? + ledger.entries("void")?;
            Ok((holds > 0 && holds == resolved).then_some(ledger))
        };
        eventually("every hold is resolved", look).await
    }

    /// Lets the relay's own auditor check every rule of the ledger.
    ///
    /// # Errors
    /// Fails with what the auditor found.
    pub async fn audit(&self) -> Result<()> {
        let mut command = Command::new(built::relay()?);
        let output = command.args(["audit", "--data-dir"]).arg(self.data()).output().await?;
        if !output.status.success() {
            bail!("the audit found {output:?}");
        }
        Ok(())
    }

    /// Returns who is live.
    ///
    /// # Errors
    /// Fails when the relay does not answer.
    pub async fn stats(&self) -> Result<Value> {
        self.visitor().get("/api/plugin/stats").await?.expect(200)
    }

    /// Kills the relay as a power cut would.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        let (process, _) = launch(self.folder.path(), &self.address.to_string(), self.echo).await?;
        self.process = process;
        Ok(())
    }

    /// Asks it to leave and waits until it has.
    ///
    /// # Errors
    /// Fails when it stays past the limit or leaves in anger.
    pub async fn leave(&mut self, limit: Duration) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.ended(limit).await?;
        if !status.success() {
            bail!("the relay left with {status}");
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

fn folder(config: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir().context("no folder for the relay's data")?;
    std::fs::write(folder.path().join("relay.toml"), config)?;
    Ok(folder)
}

async fn make_key(data: &Path, balance: &str) -> Result<String> {
    let mut command = Command::new(built::relay()?);
    command.args(["key", "create", "--name", "test", "--balance", balance, "--data-dir"]).arg(data);
    let output = command.output().await.context("could not run the operator's command")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("no key was made: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let key = text.split_whitespace().find(|word| word.starts_with("rk_"));
    key.map(str::to_owned).with_context(|| format!("no key in {text:?}"))
}

async fn launch(folder: &Path, listen: &str, echo: Echo) -> Result<(Process, SocketAddr)> {
    let mut command = Command::new(built::relay()?);
    command.args(["serve", "--listen", listen, "--data-dir"]).arg(folder.join("data"));
    command.arg("--config").arg(folder.join("relay.toml"));
    let mut process = Process::start("relay", command, echo)?;
    let url = process.line("LISTENING ").await?;
    let address = url.strip_prefix("http://").context("a URL without http://")?;
    Ok((process, address.parse().context("a URL without an address")?))
}
