//! llama.cpp's own server with the tiny chat model: real tokens, thousands a second.

use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use crate::{
    built,
    process::{Echo, Process},
};

/// The name under which the server offers its model.
pub const MODEL: &str = "tiny-chat";

/// The name under which the server offers it for embeddings.
pub const EMBEDDING_MODEL: &str = "tiny-embed";

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
        ModelServer::serving(&built::model("tiny-chat.gguf"), MODEL).await
    }

    /// Starts a server that makes vectors out of the tiny chat model's insides, on a free port.
    ///
    /// # Errors
    /// Fails when the outfit is missing or the server does not come up.
    pub async fn embedding() -> Result<ModelServer> {
        ModelServer::with(&built::model("tiny-chat.gguf"), EMBEDDING_MODEL, &["--embedding"]).await
    }

    /// Starts a server with this model under this name on a free port.
    ///
    /// # Errors
    /// Fails when the outfit is missing or the server does not come up.
    pub async fn serving(model: &Path, name: &str) -> Result<ModelServer> {
        ModelServer::with(model, name, &[]).await
    }

    async fn with(model: &Path, name: &str, more: &[&str]) -> Result<ModelServer> {
        let mut command = Command::new(built::python()?);
        command.arg(built::model("serve_xllama.py")).arg(model);
        command.args(["--port", "0", "--parallel", "4", "--ctx", "4096", "--alias", name]).args(more);
        let mut process = Process::start("model", command, Echo::Silent)?;
        let url = process.line("LISTENING ").await?;
        Ok(ModelServer { process, url })
    }

    /// Returns the server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
