//! A plugin by hand: it says on the link whatever the test wants said.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use rekursing_protocol::{SUBPROTOCOL, VERSION, earnings::Earnings};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::{eventually::PATIENCE, relay::Relay};

/// A registered plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl Plugin {
    /// Registers a plugin.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn register(relay: &Relay) -> Result<Plugin> {
        let body = json!({"name": "by hand", "gpu": {"vendor": "NVIDIA", "model": "GeForce RTX 4090"}});
        let json = relay.visitor().post("/api/plugin/register", &body).await?.expect(201)?;
        let text = |name: &str| json[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(Plugin { id: text("pluginId")?, secret: text("secret")? })
    }

    /// Asks what it has earned.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn earnings(&self, relay: &Relay) -> Result<Earnings> {
        crate::node::earnings(relay, &self.id, &self.secret).await
    }
}

/// How a connection is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Knock<'a> {
    /// The subprotocol, if any.
    pub subprotocol: Option<&'a str>,
    /// The origin, if any.
    pub origin: Option<&'a str>,
    /// Under which name, if not by the address.
    pub host: Option<&'a str>,
    /// Where a proxy in front says that it comes from, if there is one.
    pub from: Option<&'a str>,
}

impl Default for Knock<'_> {
    fn default() -> Self {
        Knock { subprotocol: Some(SUBPROTOCOL), origin: None, host: None, from: None }
    }
}

/// One connection to the relay.
#[derive(Debug)]
pub struct Link {
    socket: WebSocketStream<TcpStream>,
    hello: Value,
}

/// What came next on a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A frame: its kind and what it holds.
    Frame(String, Value),
    /// The end, with the close code; 1006 when there was none.
    Closed(u16),
}

impl Link {
    /// Connects as a native plugin does and reads the relay's `hello`.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn open(relay: &Relay) -> Result<Link> {
        Link::open_as(relay, Knock::default()).await
    }

    /// Connects so and reads the relay's `hello`.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn open_as(relay: &Relay, knock: Knock<'_>) -> Result<Link> {
        let knocked = Link::knock(relay.address(), knock).await?;
        let mut link = knocked.map_err(|status| anyhow!("the relay refused the link with {status}"))?;
        link.hello = link.frame("hello").await?;
        Ok(link)
    }

    /// Asks for a connection; a refusal gives the HTTP status.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer at all.
    pub async fn knock(address: SocketAddr, knock: Knock<'_>) -> Result<Result<Link, u16>> {
        let mut request = format!("ws://{address}/api/plugin/connect").into_client_request()?;
        let headers = request.headers_mut();
        if let Some(subprotocol) = knock.subprotocol {
            headers.insert("sec-websocket-protocol", HeaderValue::from_str(subprotocol)?);
        }
        if let Some(origin) = knock.origin {
            headers.insert("origin", HeaderValue::from_str(origin)?);
        }
        if let Some(host) = knock.host {
            headers.insert("host", HeaderValue::from_str(host)?);
        }
        if let Some(from) = knock.from {
            headers.insert("x-forwarded-for", HeaderValue::from_str(from)?);
        }
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        match client_async(request, socket).await {
            Ok((socket, _)) => Ok(Ok(Link { socket, hello: Value::Null })),
            Err(tungstenite::Error::Http(response)) => Ok(Err(response.status().as_u16())),
            Err(error) => Err(error).context("no answer to the upgrade"),
        }
    }

    /// Connects, identifies with one offer and waits until the relay is ready to send jobs.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn ready(relay: &Relay, plugin: &Plugin, offer: &Value) -> Result<Link> {
        let mut link = Link::open(relay).await?;
        link.send("identify", &identify(plugin, offer)).await?;
        link.frame("ready").await?;
        Ok(link)
    }

    /// Connects and resumes a session: its `ready`, and the jobs as they stand in a `resume`. Returns the new
    /// `ready` too.
    ///
    /// # Errors
    /// Fails when the relay refuses the plugin.
    pub async fn resume(
        relay: &Relay,
        plugin: &Plugin,
        offer: &Value,
        ready: &Value,
        jobs: &Value,
    ) -> Result<(Link, Value)> {
        let mut link = Link::open(relay).await?;
        let mut identify = identify(plugin, offer);
        identify["resume"] = json!({"session": ready["session"], "token": ready["token"], "jobs": jobs});
        link.send("identify", &identify).await?;
        let ready = link.frame("ready").await?;
        Ok((link, ready))
    }

    /// Returns how the relay has greeted.
    pub fn hello(&self) -> &Value {
        &self.hello
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Fails when the connection is broken.
    pub async fn send(&mut self, kind: &str, frame: &Value) -> Result<()> {
        self.send_text(json!({kind: frame}).to_string()).await
    }

    /// Sends any text.
    ///
    /// # Errors
    /// Fails when the connection is broken.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<()> {
        Ok(self.socket.send(Message::text(text.into())).await?)
    }

    /// Sends any message.
    ///
    /// # Errors
    /// Fails when the connection is broken.
    pub async fn send_message(&mut self, message: Message) -> Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// Waits for whatever comes next.
    ///
    /// # Errors
    /// Fails when nothing comes or what comes is not a frame.
    pub async fn next(&mut self) -> Result<Received> {
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await;
            let message = next.map_err(|_| anyhow!("nothing came on the link for {PATIENCE:?}"))?;
            match message {
                Some(Ok(Message::Text(text))) => return frame(&text),
                Some(Ok(Message::Close(close))) => {
                    return Ok(Received::Closed(close.map_or(1005, |close| close.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Received::Closed(1006)),
            }
        }
    }

    /// Waits for a frame of this kind, passing over others.
    ///
    /// # Errors
    /// Fails when the link closes first.
    pub async fn frame(&mut self, wanted: &str) -> Result<Value> {
        loop {
            match self.next().await? {
                Received::Frame(kind, frame) if kind == wanted => return Ok(frame),
                Received::Frame(..) => {}
                Received::Closed(code) => bail!("closed with {code} while waiting for {wanted}"),
            }
        }
    }

    /// Waits for the end and returns the close code.
    ///
    /// # Errors
    /// Fails when the link stays open.
    pub async fn closed(&mut self) -> Result<u16> {
        loop {
            if let Received::Closed(code) = self.next().await? {
                return Ok(code);
            }
        }
    }
}

pub(crate) fn frame(text: &str) -> Result<Received> {
    let value: Value = serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))?;
    let Value::Object(fields) = value else { bail!("not a frame: {text}") };
    let (kind, frame) = fields.into_iter().next().with_context(|| format!("not a frame: {text}"))?;
    Ok(Received::Frame(kind, frame))
}

/// Returns an `identify` of this plugin with one offer.
pub fn identify(plugin: &Plugin, offer: &Value) -> Value {
    json!({
        "version": VERSION, "plugin": plugin.id, "secret": plugin.secret, "agent": "hand/0.1.0",
        "inventory": {"offers": [offer], "slots": offer["slots"]},
    })
}

/// Returns an offer of this model with this many slots, at 1 dollar in and 2 dollars out per million tokens.
pub fn offer(model: &str, slots: u16) -> Value {
    json!({
        "model": model, "context": 4096, "slots": slots, "loaded": true, "quantization": "Q4_K_M",
        "price": {"input": 1_000_000, "output": 2_000_000},
    })
}
