//! A network of the test's own, with a relay at its far end: the owner's line to it can be pulled out, made to
//! swallow everything, and given another address, while pages go on reaching the relay by a line of their own.
//!
//! It needs no rights but those that a user has in a namespace of his own, and `ip` of iproute2.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::process::{Echo, Process};

/// Tells a test that it runs in a network of its own.
const ALONE: &str = "REKURSING_OWN_NETWORK";

/// The relay's address on the owner's line.
pub const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));

/// The relay's address on the pages' line.
pub const RELAY_OF_PAGES: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 1, 2));

/// The owner's line, at both ends.
const OWNER: &str = "owner0";

/// The pages' line, at both ends. It stays, so that Chrome always has some network.
const PAGES: &str = "page0";

/// How the owner's line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The computer has no way to the relay, and knows it.
    Unplugged,
    /// Somewhere on the way everything is swallowed, and nobody is told.
    Swallowed,
}

/// Two computers and the lines between them: the test's, and the relay's.
#[derive(Debug)]
pub struct Network {
    far: Process,
    /// The last number of the owner's address.
    host: u8,
}

/// Runs a test of this program once more, in a network of its own, unless it runs in one already. Returns
/// whether it does.
///
/// # Errors
/// Fails when the test does.
pub async fn alone(test: &str) -> Result<bool> {
    if std::env::var_os(ALONE).is_some() {
        return Ok(true);
    }
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount"]).arg(std::env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").kill_on_drop(true);
    let output = command.output().await.context("could not run unshare")?;
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{erred}");
    ensure!(output.status.success() && said.contains("1 passed"), "in a network of its own: {said}");
    Ok(false)
}

impl Network {
    /// Lays both lines.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn lay() -> Result<Network> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo HERE && exec sleep infinity"]);
        let mut far = Process::start("far end", command, Echo::Silent)?;
        far.line("HERE").await?;
        let network = Network { far, host: 1 };
        let far = network.far.pid()?;
        network.near("link set lo up").await?;
        network.there("link set lo up").await?;
        for (line, net) in [(OWNER, 0), (PAGES, 1)] {
            network.near(&format!("link add {line} type veth peer name {line} netns {far}")).await?;
            network.near(&format!("addr add 10.9.{net}.1/24 dev {line}")).await?;
            network.there(&format!("addr add 10.9.{net}.2/24 dev {line}")).await?;
            network.near(&format!("link set {line} up")).await?;
            network.there(&format!("link set {line} up")).await?;
        }
        Ok(network)
    }

    /// Returns what a program is run behind to run at the far end.
    ///
    /// # Errors
    /// Fails when the far end is gone.
    pub fn far_end(&self) -> Result<Vec<String>> {
        Ok(vec!["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.far.pid()?)])
    }

    /// Cuts the owner's line.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn cut(&self, cut: Cut) -> Result<()> {
        match cut {
            Cut::Unplugged => self.near(&format!("link set {OWNER} down")).await,
            Cut::Swallowed => self.there(&format!("addr del {RELAY}/24 dev {OWNER}")).await,
        }
    }

    /// Mends the owner's line.
    ///
    /// # Errors
    /// Fails when the system refuses, or nothing was cut so.
    pub async fn mend(&self, cut: Cut) -> Result<()> {
        match cut {
            Cut::Unplugged => self.near(&format!("link set {OWNER} up")).await,
            Cut::Swallowed => self.there(&format!("addr add {RELAY}/24 dev {OWNER}")).await,
        }
    }

    /// Gives the owner's computer another address in the place of the one it had, as a VPN does that comes up.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn move_on(&mut self) -> Result<()> {
        let next = if self.host == 1 { 3 } else { self.host + 1 };
        self.near(&format!("addr del 10.9.0.{}/24 dev {OWNER}", self.host)).await?;
        self.near(&format!("addr add 10.9.0.{next}/24 dev {OWNER}")).await?;
        self.host = next;
        Ok(())
    }

    async fn near(&self, arguments: &str) -> Result<()> {
        run(Command::new("ip"), arguments).await
    }

    async fn there(&self, arguments: &str) -> Result<()> {
        let far_end = self.far_end()?;
        let (first, rest) = far_end.split_first().context("a program to run behind")?;
        let mut command = Command::new(first);
        command.args(rest).arg("ip");
        run(command, arguments).await
    }
}

async fn run(mut command: Command, arguments: &str) -> Result<()> {
    // Some put it where only root looks.
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(arguments.split(' ')).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command.output().await.context("could not run `ip`: install iproute2")?;
    ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
