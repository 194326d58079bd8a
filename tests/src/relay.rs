//! A relay of one's own: its program on a free port, with a database that outlives a restart.

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
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
    database::{Database, Engine, Ledger},
    eventually,
    http::Page,
    network::{Network, RELAY_OF_PAGES},
    port::Port,
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

/// Writes a secret of the operator's to a file that only this user can read, and returns its path.
///
/// # Errors
/// Fails when there is one of this name.
pub fn operator_file(folder: &Path, name: &str, secret: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(secret.as_bytes())?;
    Ok(path)
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    /// Where it is reached.
    address: SocketAddr,
    /// Where it listens.
    port: Port,
    program: Program,
    echo: Echo,
}

/// The relay's program with what it is started with.
#[derive(Debug)]
pub struct Program {
    folder: TempDir,
    data: PathBuf,
    database: Database,
    /// What is run in front of it.
    wrap: Vec<String>,
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
        Relay::of(Program::new(Engine::Sqlite, config)?, listen, echo).await
    }

    /// Starts a relay for which the operator has made an API key with an opening balance, and returns both.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn funded(config: &str, balance: &str) -> Result<(Relay, String)> {
        Relay::keeping(Engine::Sqlite, config, balance).await
    }

    /// Does what [`Relay::funded`] does, with the money on this database.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn keeping(engine: Engine, config: &str, balance: &str) -> Result<(Relay, String)> {
        let program = Program::new(engine, config)?;
        let key = program.key(balance).await?;
        Ok((Relay::of(program, "127.0.0.1:0", Echo::Aloud).await?, key))
    }

    /// Starts a program on this address.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn of(program: Program, listen: &str, echo: Echo) -> Result<Relay> {
        let port = Port::of(listen)?;
        let (process, address) = program.serve(port.address(), echo).await?;
        Ok(Relay { process, address, port, program, echo })
    }

    /// Starts a program at the far end of a network, where pages reach it by a line of their own.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn across(network: &Network, program: Program) -> Result<Relay> {
        let relay = Relay::of(program.behind(network.far_end()?), "0.0.0.0:0", Echo::Aloud).await?;
        let address = SocketAddr::new(RELAY_OF_PAGES, relay.port.address().port());
        Ok(Relay { address, ..relay })
    }

    /// Starts a relay for which the operator has made an API key with money for answers and money for ads,
    /// and returns both.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn advertised(
        engine: Engine,
        config: &str,
        balance: &str,
        ads: &str,
    ) -> Result<(Relay, String)> {
        let program = Program::new(engine, config)?;
        let key = program.key(balance).await?;
        program.advertise(&key, ads).await?;
        Ok((Relay::serving(program).await?, key))
    }

    /// Starts a program on a free port.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn serving(program: Program) -> Result<Relay> {
        Relay::of(program, "127.0.0.1:0", Echo::Aloud).await
    }

    /// Returns where it is reached.
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
        self.program.key(balance).await
    }

    /// Marks the account of a key as verified, and waits until the relay has seen it.
    ///
    /// # Errors
    /// Fails when the operator's command does.
    pub async fn verify(&self, key: &str) -> Result<()> {
        let page = self.customer(key);
        let account = page.get("/api/account").await?.expect(200)?["account"].clone();
        self.operate(&["account", "verify", account.as_str().context("an account")?]).await?;
        let seen =
            || async { Ok((page.get("/api/account").await?.expect(200)?["verified"] == true).then_some(())) };
        eventually("the account is verified", seen).await
    }

    /// Runs a command of the operator beside the relay, and returns what it prints.
    ///
    /// # Errors
    /// Fails when the command does.
    pub async fn operate(&self, arguments: &[&str]) -> Result<String> {
        let output = self.program.command(arguments)?.output().await?;
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
        Ledger::open(&self.program.database)
    }

    /// Keeps the relay from writing to SQLite until what is returned is dropped.
    ///
    /// # Errors
    /// Fails when the relay writes for long, and on PostgreSQL.
    pub fn block(&self) -> Result<impl Sized + use<>> {
        self.program.database.block()
    }

    /// Changes the database behind the relay's back.
    ///
    /// # Errors
    /// Fails when the database refuses.
    pub fn tamper(&self, sql: &str) -> Result<()> {
        self.program.database.change(sql)
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
        let output = self.program.command(&["audit"])?.output().await?;
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
        let (process, _) = self.program.serve(self.port.address(), self.echo).await?;
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
}

impl Program {
    /// Sets up a relay of this config in a folder of its own, with the money on this database.
    ///
    /// # Errors
    /// Fails when there is no such database on this machine.
    pub fn new(engine: Engine, config: &str) -> Result<Program> {
        let folder = tempfile::tempdir().context("no folder for the relay's data")?;
        std::fs::write(folder.path().join("relay.toml"), config)?;
        let data = folder.path().join("data");
        let database = Database::of(engine, &data)?;
        Ok(Program { folder, data, database, wrap: Vec::new() })
    }

    /// Keeps the money on this PostgreSQL.
    #[must_use]
    pub fn on(mut self, url: String) -> Program {
        self.database = Database::Postgres(url);
        self
    }

    /// Runs the relay, and not the operator's commands, behind another program.
    #[must_use]
    pub fn behind(mut self, wrap: Vec<String>) -> Program {
        self.wrap = wrap;
        self
    }

    /// Returns the folder of SQLite's database.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Makes an API key with an opening balance.
    ///
    /// # Errors
    /// Fails when the operator's command does.
    pub async fn key(&self, balance: &str) -> Result<String> {
        let mut command = self.command(&["key", "create", "--name", "test", "--balance", balance])?;
        let output = command.output().await.context("could not run the operator's command")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("no key was made: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        let key = text.split_whitespace().find(|word| word.starts_with("rk_"));
        key.map(str::to_owned).with_context(|| format!("no key in {text:?}"))
    }

    /// Gives the account of a key money for ads.
    ///
    /// # Errors
    /// Fails when the operator's command does.
    pub async fn advertise(&self, key: &str, amount: &str) -> Result<()> {
        let mut grant = self.command(&["key", "grant", &key[..11], "--ads", "--amount", amount])?;
        if !grant.output().await.context("could not run the operator's command")?.status.success() {
            bail!("the operator could not grant money for ads");
        }
        Ok(())
    }

    /// Returns an operator's command on this relay's database.
    ///
    /// # Errors
    /// Fails when the relay does not build.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(built::relay()?);
        self.complete(&mut command, arguments);
        Ok(command)
    }

    async fn serve(&self, listen: SocketAddr, echo: Echo) -> Result<(Process, SocketAddr)> {
        let relay = built::relay()?;
        let mut command = match self.wrap.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(relay);
                command
            }
            None => Command::new(relay),
        };
        self.complete(&mut command, &["serve", "--listen", &listen.to_string()]);
        let mut process = Process::start("relay", command, echo)?;
        let url = process.line("LISTENING ").await?;
        let address = url.strip_prefix("http://").context("a URL without http://")?;
        Ok((process, address.parse().context("a URL without an address")?))
    }

    fn complete(&self, command: &mut Command, arguments: &[&str]) {
        command.args(arguments).arg("--config").arg(self.folder.path().join("relay.toml"));
        command.arg("--data-dir").arg(&self.data);
        if let Database::Postgres(url) = &self.database {
            command.env("REKURSING_DATABASE", url);
        }
    }
}
