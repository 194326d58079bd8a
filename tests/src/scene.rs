//! The usual cast: a relay, a native agent and a model server behind it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    database::Engine,
    http::{Page, Stream},
    model_server::{self, ModelServer},
    node::Node,
    relay::{FREE, Relay},
    script::{self, Dialect, Script},
    sse::Event,
};

/// A relay with one agent before a scripted server.
#[derive(Debug)]
pub struct Scripted {
    /// The relay.
    pub relay: Relay,
    /// The agent.
    pub node: Node,
    /// The server.
    pub script: Script,
}

impl Scripted {
    /// Starts all three; the server has four slots.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn start() -> Result<Scripted> {
        Scripted::with(FREE, Dialect::LlamaCpp(4)).await
    }

    /// Starts all three with this config of the relay and this server.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn with(config: &str, dialect: Dialect) -> Result<Scripted> {
        Scripted::before(Relay::with(config).await?, dialect).await
    }

    /// Starts all three with the money on this database, and returns a page with this much of it too.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn keeping(engine: Engine, balance: &str) -> Result<(Scripted, Page)> {
        let (relay, key) = Relay::keeping(engine, FREE, balance).await?;
        Scripted::around(relay, &key).await
    }

    /// Joins an agent and a server to this relay, and returns the page that has this key too.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn around(relay: Relay, key: &str) -> Result<(Scripted, Page)> {
        let scene = Scripted::before(relay, Dialect::LlamaCpp(8)).await?;
        let page = scene.relay.customer(key);
        Ok((scene, page))
    }

    /// Starts agent and server for a relay that runs.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn before(relay: Relay, dialect: Dialect) -> Result<Scripted> {
        let script = Script::start(dialect).await?;
        let node = Node::with(&relay, &script.url(), &["--slots", "8"]).await?;
        Ok(Scripted { relay, node, script })
    }
}

/// A relay with one agent before llama.cpp's own server.
#[derive(Debug)]
pub struct Real {
    /// The relay.
    pub relay: Relay,
    /// The agent.
    pub node: Node,
    /// The server.
    pub server: ModelServer,
}

impl Real {
    /// Starts all three.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn start() -> Result<Real> {
        Ok(Real::funded("5.00").await?.0)
    }

    /// Starts all three, and returns an API key with this much money too.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn funded(balance: &str) -> Result<(Real, String)> {
        Real::with(FREE, balance).await
    }

    /// Does the same with this config of the relay.
    ///
    /// # Errors
    /// Fails when one does not come up.
    pub async fn with(config: &str, balance: &str) -> Result<(Real, String)> {
        let (server, funded) = tokio::try_join!(ModelServer::start(), Relay::funded(config, balance))?;
        let (relay, key) = funded;
        let node = Node::start(&relay, server.url()).await?;
        Ok((Real { relay, node, server }, key))
    }
}

/// Returns an inference request for the scripted model.
pub fn ask(prompt: &str) -> Value {
    json!({"prompt": prompt, "model": script::MODEL, "stream": true})
}

/// Returns an inference request for the tiny chat model, always with the same answer.
pub fn ask_tiny(prompt: &str) -> Value {
    json!({"prompt": prompt, "model": model_server::MODEL, "stream": true, "temperature": 0})
}

/// Joins the texts of an answer's `token` events.
pub fn text(events: &[Event]) -> String {
    let tokens = events.iter().filter(|event| event.name == "token");
    tokens.filter_map(|event| token(&event.data)).collect()
}

fn token(data: &str) -> Option<String> {
    let json: Value = serde_json::from_str(data).ok()?;
    json["text"].as_str().map(str::to_owned)
}

/// Reads `token` events until they make this text, and not a byte more.
///
/// # Errors
/// Fails when other text comes, or none.
pub async fn hear(stream: &mut Stream, text: &str) -> Result<()> {
    let mut heard = String::new();
    while heard.len() < text.len() {
        heard += stream.event("token").await?["text"].as_str().unwrap_or_default();
    }
    anyhow::ensure!(heard == text, "heard {heard:?} where {text:?} was said");
    Ok(())
}
