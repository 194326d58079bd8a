//! llama.cpp's own server with the tiny chat model: real tokens, thousands a second.

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{
    built,
    process::{Echo, Process},
};

/// The name under which the server offers its model.
pub const MODEL: &str = "tiny-chat";

/// A running model server.
#[derive(Debug)]
pub struct ModelServer {
    process: Process,
    url: String,
}

impl ModelServer {
    /// Starts a server with the tiny chat model on a free port.
    ///
    /// # Errors
    /// Fails when the outfit is missing or the server does not come up.
    pub async fn start() -> Result<ModelServer> {
        ModelServer::with("0").await
    }

    /// Starts a server on this port.
    ///
    /// # Errors
    /// Fails when the outfit is missing or the server does not come up.
    pub async fn with(port: &str) -> Result<ModelServer> {
        let mut command = Command::new(built::python()?);
        command.arg(built::model("serve_xllama.py")).arg(built::model("tiny-chat.gguf"));
        command.args(["--port", port, "--parallel", "4", "--ctx", "4096", "--alias", MODEL]);
        let mut process = Process::start("model", command, Echo::Silent)?;
        let url = process.line("LISTENING ").await?;
        Ok(ModelServer { process, url })
    }

    /// Returns the server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the server's port.
    ///
    /// # Errors
    /// Fails when the URL has none.
    pub fn port(&self) -> Result<u16> {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).context("a URL without a port")
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
