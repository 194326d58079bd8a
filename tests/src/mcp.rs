//! An agent as the relay sees one: messages of MCP over HTTP, written out, so that a mistake of ours shows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    http::{Page, Stream},
    relay::Relay,
};

/// An agent with a session.
#[derive(Debug, Clone)]
pub struct Agent {
    page: Page,
    /// The id of the latest request: each has one of its own.
    latest: Arc<AtomicU64>,
}

impl Agent {
    /// Opens a session with this API key, or without one.
    ///
    /// # Errors
    /// Fails when the relay opens none.
    pub async fn open(relay: &Relay, key: Option<&str>) -> Result<Agent> {
        let page = key.map_or_else(|| relay.visitor(), |key| relay.customer(key));
        Agent::of(page).await
    }

    /// Opens a session as this page.
    ///
    /// # Errors
    /// Fails when the relay opens none.
    pub async fn of(page: Page) -> Result<Agent> {
        let page = page.with("accept", "application/json, text/event-stream");
        let mut opened = page.stream("/mcp", &initialize()).await?;
        ensure!(opened.status == 200, "a session was answered {}", opened.status);
        let session = opened.headers.get("mcp-session-id").context("a session without an id")?.to_str()?;
        let page = page.with("mcp-session-id", session).with("mcp-protocol-version", "2025-06-18");
        let answer = answer(&mut opened, &json!(0)).await?;
        ensure!(answer["result"]["serverInfo"]["name"] == "rekursing", "the server is {answer}");
        let agent = Agent { page, latest: Arc::new(AtomicU64::new(100)) };
        agent.notify("notifications/initialized", &json!({})).await?;
        Ok(agent)
    }

    /// Asks for something and returns its result.
    ///
    /// # Errors
    /// Fails when the protocol refuses it.
    pub async fn request(&self, method: &str, params: &Value) -> Result<Value> {
        let id = self.latest.fetch_add(1, Ordering::Relaxed);
        let mut stream = self.begin(id, method, params).await?;
        let answer = answer(&mut stream, &json!(id)).await?;
        ensure!(answer.get("error").is_none(), "{method}: {answer}");
        Ok(answer["result"].clone())
    }

    /// Calls a tool and returns its result.
    ///
    /// # Errors
    /// Fails when the protocol refuses it.
    pub async fn call(&self, tool: &str, arguments: &Value) -> Result<Value> {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments})).await
    }

    /// Sends a request under this id and returns the stream that answers it.
    ///
    /// # Errors
    /// Fails when there is none.
    pub async fn begin(&self, id: u64, method: &str, params: &Value) -> Result<Stream> {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let stream = self.page.stream("/mcp", &message).await?;
        ensure!(stream.status == 200, "{method} was answered {}", stream.status);
        Ok(stream)
    }

    /// Sends what has no answer.
    ///
    /// # Errors
    /// Fails when the relay does not take it.
    pub async fn notify(&self, method: &str, params: &Value) -> Result<()> {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let status = self.page.post("/mcp", &message).await?.status;
        ensure!(status == 202, "{method} was answered {status}");
        Ok(())
    }

    /// Ends the session, and returns the status.
    ///
    /// # Errors
    /// Fails when there is no answer.
    pub async fn end(&self) -> Result<u16> {
        Ok(self.page.stream_of(Method::DELETE, "/mcp", Bytes::new()).await?.status)
    }
}

/// Returns the message that opens a session.
pub fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    }})
}

/// Reads the next message of a stream.
///
/// # Errors
/// Fails when the stream ends or says something else.
pub async fn message(stream: &mut Stream) -> Result<Value> {
    loop {
        let event = stream.next().await?.context("the stream ended")?;
        if !event.data.is_empty() {
            return serde_json::from_str(&event.data).with_context(|| format!("not JSON: {}", event.data));
        }
    }
}

/// Reads the answer to a request, passing over what comes before.
///
/// # Errors
/// Fails when the stream ends without it.
pub async fn answer(stream: &mut Stream, id: &Value) -> Result<Value> {
    loop {
        let message = message(stream).await?;
        if message["id"] == *id && message.get("method").is_none() {
            return Ok(message);
        }
    }
}
