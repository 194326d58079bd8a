//! Registering plugins and opening their links, by the hundred.

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rekursing_protocol::{SUBPROTOCOL, VERSION, register::Registered};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{client::IntoClientRequest, http::HeaderValue},
};

/// A WebSocket to the relay.
pub type Socket = WebSocketStream<TcpStream>;

/// Opens a connection from one of this machine's loopback addresses: one address has only so many ports.
///
/// # Errors
/// Fails when the relay takes none.
pub async fn connect(address: &str, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let host = u8::try_from(2 + number / 20_000).context("too many connections")?;
    socket.bind(([127, 0, 0, host], 0).into())?;
    let stream = socket.connect(address.parse().context("an address is host:port")?).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Registers so many plugins over one connection.
///
/// # Errors
/// Fails when the relay refuses one.
pub async fn register(address: &str, plugins: usize) -> Result<Vec<Registered>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(address, 0).await?)).await?;
    let connection = tokio::spawn(connection);
    let mut registered = Vec::with_capacity(plugins);
    for _ in 0..plugins {
        sender.ready().await?;
        let request = hyper::Request::post("/api/plugin/register")
            .header("host", address)
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from_static(b"{}")))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("no registration: {status} {}", String::from_utf8_lossy(&body));
        }
        registered.push(serde_json::from_slice(&body).context("not a registration")?);
    }
    drop(sender);
    connection.abort();
    Ok(registered)
}

/// Opens a WebSocket without saying anything on it.
///
/// # Errors
/// Fails when the relay refuses.
pub async fn open(address: &str, path: &str, number: usize) -> Result<Socket> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (socket, _) = client_async(request, connect(address, number).await?).await?;
    Ok(socket)
}

/// Returns the `identify` of a plugin that offers the model `mock`.
pub fn identify(plugin: &Registered, slots: u16) -> String {
    let offer = json!({
        "model": "mock", "context": 131_072, "slots": slots, "loaded": true, "price": {"input": 1_000, "output": 1_000},
    });
    json!({"identify": {
        "version": VERSION, "plugin": plugin.plugin_id, "secret": plugin.secret, "agent": "bench/0.1.0",
        "inventory": {"offers": [offer], "slots": slots},
    }})
    .to_string()
}
