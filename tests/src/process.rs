//! A child process that dies with the value that guards it.

use std::{process::ExitStatus, process::Stdio, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

use crate::eventually::PATIENCE;

/// Where a child's lines go besides to whoever waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// To standard error, which the test runner shows when a test fails.
    Aloud,
    /// Nowhere.
    Silent,
}

/// A child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// Starts a child and reads its output for as long as it lives.
    ///
    /// # Errors
    /// Fails when the program cannot be started.
    pub fn start(name: &'static str, mut command: Command, echo: Echo) -> Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("could not start {name}"))?;
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = child.stdout.take().context("a child without standard output")?;
        let stderr = child.stderr.take().context("a child without standard error")?;
        tokio::spawn(read_lines(name, stdout, echo, Some(sender)));
        tokio::spawn(read_lines(name, stderr, echo, None));
        Ok(Process { name, child, lines })
    }

    /// Waits for a line on standard output that begins so, and returns what follows.
    ///
    /// # Errors
    /// Fails when the child ends or the patience does.
    pub async fn line(&mut self, prefix: &str) -> Result<String> {
        let wait = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(rest) = line.strip_prefix(prefix) {
                    return Ok(rest.trim().to_owned());
                }
            }
            bail!("{} ended without saying {prefix:?}", self.name)
        };
        let too_long = || anyhow!("{} did not say {prefix:?} within {PATIENCE:?}", self.name);
        timeout(PATIENCE, wait).await.map_err(|_| too_long())?
    }

    /// Returns the process id.
    ///
    /// # Errors
    /// Fails when the child has ended and was waited for.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// Fails when the child has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?).context("a process id of zero")?;
        kill_process(pid, signal).with_context(|| format!("could not signal {}", self.name))
    }

    /// Waits for the child's end.
    ///
    /// # Errors
    /// Fails when it lives on past the limit.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let waited = timeout(limit, self.child.wait()).await;
        waited.map_err(|_| anyhow!("{} still lived after {limit:?}", self.name))?.context("could not wait")
    }

    /// Kills the child as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("could not kill {}", self.name))
    }
}

async fn read_lines(
    name: &'static str,
    stream: impl AsyncRead + Unpin,
    echo: Echo,
    sender: Option<mpsc::UnboundedSender<String>>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if echo == Echo::Aloud {
            eprintln!("[{name}] {line}");
        }
        if let Some(sender) = &sender {
            // Nobody waits for lines once the guard is gone; the pipe is drained all the same.
            let _ = sender.send(line);
        }
    }
}
