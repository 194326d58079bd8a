//! A page as the relay sees one: requests over connections of their own, closed when the page leaves.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    eventually::PATIENCE,
    sse::{Event, Reader},
};

/// Whoever asks: an anonymous visitor, or the holder of a key.
#[derive(Debug, Clone)]
pub struct Page {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A streamed answer. Dropping it closes the connection: the page has left.
#[derive(Debug)]
pub struct Stream {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    reader: Reader,
    connection: JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Page {
    /// Makes a page without a key.
    pub fn visitor(address: SocketAddr) -> Page {
        Page { address, headers: Vec::new() }
    }

    /// Makes a page with a bearer token.
    pub fn bearing(address: SocketAddr, token: &str) -> Page {
        Page::visitor(address).with("authorization", &format!("Bearer {token}"))
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Page {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for a route.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.stream_of(Method::GET, path, Bytes::new()).await?.whole().await
    }

    /// Deletes what a path names.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.stream_of(Method::DELETE, path, Bytes::new()).await?.whole().await
    }

    /// Changes what a path names and reads the whole answer.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.stream_of(Method::PATCH, path, Bytes::from(body.to_string())).await?.whole().await
    }

    /// Puts JSON under a path and reads the whole answer.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.stream_of(Method::PUT, path, Bytes::from(body.to_string())).await?.whole().await
    }

    /// Posts JSON and reads the whole answer.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.post_bytes(path, body.to_string()).await
    }

    /// Posts bytes as JSON, whatever they are, and reads the whole answer.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        self.stream_of(Method::POST, path, body.into()).await?.whole().await
    }

    /// Posts JSON and returns as soon as the answer's head is there.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn stream(&self, path: &str, body: &Value) -> Result<Stream> {
        self.stream_of(Method::POST, path, Bytes::from(body.to_string())).await
    }

    /// Sends any request and returns as soon as the answer's head is there.
    ///
    /// # Errors
    /// Fails when there is no HTTP answer.
    pub async fn stream_of(&self, method: Method, path: &str, body: Bytes) -> Result<Stream> {
        let exchange = async {
            let (connection, response) = self.exchange(method, path, body).await?;
            let (head, body) = response.into_parts();
            let reader = Reader::default();
            Ok(Stream { status: head.status.as_u16(), headers: head.headers, body, reader, connection })
        };
        timeout(PATIENCE, exchange).await.map_err(|_| anyhow!("no answer of {path} within {PATIENCE:?}"))?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(JoinHandle<()>, Response<Incoming>)> {
        let socket = TcpStream::connect(self.address).await.context("the relay takes no connection")?;
        socket.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let connection = tokio::spawn(async move {
            // How the connection ended shows in the body.
            let _ = connection.await;
        });
        let mut request = Request::builder().method(&method).uri(path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address.to_string());
        }
        if [Method::POST, Method::PUT, Method::PATCH].contains(&method) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await;
        Ok((connection, response.with_context(|| format!("no answer to {method} {path}"))?))
    }
}

impl Answer {
    /// Returns the body as JSON.
    ///
    /// # Errors
    /// Fails when it is something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Returns the body as JSON when the status is as expected.
    ///
    /// # Errors
    /// Fails with the body when the status is another.
    pub fn expect(&self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!("{} where {status} was expected: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        self.json()
    }

    /// Returns the error's stable code, in either of the two shapes.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn error_code(&self) -> Result<String> {
        let json = self.json()?;
        let code = json["error"]["code"].as_str().or(json["error"]["type"].as_str());
        code.map(str::to_owned).with_context(|| format!("no error code in {json}"))
    }
}

impl Stream {
    /// Waits for the next event; `None` is the end of the stream.
    ///
    /// # Errors
    /// Fails when the stream is cut or nothing comes for too long.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.reader.next_event() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.bytes().await? else { return Ok(None) };
            self.reader.feed(&bytes);
        }
    }

    /// Waits for the next event of this name, passing over others.
    ///
    /// # Errors
    /// Fails when the stream ends without one.
    pub async fn event(&mut self, name: &str) -> Result<Value> {
        let mut last = None;
        while let Some(event) = self.next().await? {
            if event.name == name {
                return serde_json::from_str(&event.data)
                    .with_context(|| format!("not JSON: {}", event.data));
            }
            last = Some(event);
        }
        bail!("the stream of status {} ended without {name:?}, the last event was {last:?}", self.status)
    }

    /// Reads all events to the end.
    ///
    /// # Errors
    /// Fails when the stream is cut.
    pub async fn events(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }

    /// Reads the body to its end, as a whole answer.
    ///
    /// # Errors
    /// Fails when it is cut.
    pub async fn whole(mut self) -> Result<Answer> {
        let mut body = Vec::new();
        while let Some(bytes) = self.bytes().await? {
            body.extend_from_slice(&bytes);
        }
        Ok(Answer { status: self.status, headers: std::mem::take(&mut self.headers), body: body.into() })
    }

    async fn bytes(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(PATIENCE, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| anyhow!("nothing came for {PATIENCE:?}"))? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.context("the answer was cut")?.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// Sends bytes over a bare connection and returns what comes back until the other side closes or
/// the limit passes. For what no proper HTTP library would send.
///
/// # Errors
/// Fails when no connection is taken.
pub async fn raw(address: SocketAddr, bytes: &[u8], limit: Duration) -> Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await?;
    let mut answer = Vec::new();
    // Whoever refuses early may close before everything was sent; what was answered still counts.
    let _ = socket.write_all(bytes).await;
    let _ = timeout(limit, socket.read_to_end(&mut answer)).await;
    Ok(answer)
}
