//! The native agent's program.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rekursing_protocol::earnings::Earnings;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    built,
    process::{Echo, Process},
    relay::Relay,
};

/// A running agent.
#[derive(Debug)]
pub struct Node {
    process: Process,
    plugin: String,
    folder: TempDir,
}

impl Node {
    /// Starts an agent and waits until the relay knows it.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn start(relay: &Relay, server: &str) -> Result<Node> {
        Node::with(relay, server, &[]).await
    }

    /// Starts an agent with further arguments.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn with(relay: &Relay, server: &str, arguments: &[&str]) -> Result<Node> {
        Node::at(&relay.url("ws"), server, arguments).await
    }

    /// Starts an agent whose relay is at this URL.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn at(relay: &str, server: &str, arguments: &[&str]) -> Result<Node> {
        Node::of(tempfile::tempdir().context("no folder for the agent's state")?, relay, server, arguments)
            .await
    }

    async fn of(folder: TempDir, relay: &str, server: &str, arguments: &[&str]) -> Result<Node> {
        let mut command = Command::new(built::node()?);
        command.args(["--relay", relay, "--server", server, "--state"]);
        command.arg(folder.path().join("node.json")).args(arguments);
        let mut process = Process::start("node", command, Echo::Aloud)?;
        let plugin = process.line("READY ").await?;
        Ok(Node { process, plugin, folder })
    }

    /// Starts an agent that was killed again, as the plugin that it was.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn again(self, relay: &Relay, server: &str) -> Result<Node> {
        Node::of(self.folder, &relay.url("ws"), server, &[]).await
    }

    /// Returns the plugin's id.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns the file that keeps the plugin's id and secret.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("node.json")
    }

    /// Asks the relay what this plugin has earned, with the secret that the agent keeps.
    ///
    /// # Errors
    /// Fails when the state or the answer cannot be read.
    pub async fn earnings(&self, relay: &Relay) -> Result<Earnings> {
        earnings(relay, &self.plugin, &self.secret()?).await
    }

    /// Reads the secret that the agent keeps.
    ///
    /// # Errors
    /// Fails when the state cannot be read.
    pub fn secret(&self) -> Result<String> {
        let state: Value = serde_json::from_slice(&std::fs::read(self.state())?)?;
        find(&state, "secret").context("no secret in the agent's state")
    }
}

/// Asks the relay what a plugin has earned.
///
/// # Errors
/// Fails when the relay refuses.
pub async fn earnings(relay: &Relay, plugin: &str, secret: &str) -> Result<Earnings> {
    let page = crate::http::Page::bearing(relay.address(), secret);
    let answer = page.get(&format!("/api/plugin/earnings/{plugin}")).await?.expect(200)?;
    serde_json::from_value(answer).context("not earnings")
}

/// Finds a text by its name, however deep it lies.
pub(crate) fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields
            .get(name)
            .and_then(|found| found.as_str().map(str::to_owned))
            .or_else(|| fields.values().find_map(|inner| find(inner, name))),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
