//! One request and its answer, token by token.

use std::cell::RefCell;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rekursing_bench::{mark::Marks, now_ns};
use tokio::net::TcpStream;

use crate::tally::Tally;

/// What every page asks.
pub(crate) struct Request {
    pub(crate) address: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Bytes,
    /// Tokens that the answer must hold.
    pub(crate) tokens: u32,
}

impl Request {
    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(&self.address).await.context("no connection")?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::task::spawn_local(async move {
            // How the connection ended shows in the next request.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Asks once and adds what was measured to the tally.
    pub(crate) async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        tally: &RefCell<Tally>,
    ) -> Result<()> {
        let mut request = hyper::Request::post(&self.path).header("host", &self.address);
        request = request.header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(Full::new(self.body.clone()))?;
        let sent_ns = now_ns();
        let response = sender.send_request(request).await.context("no answer")?;
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        self.read(response.into_body(), sent_ns, tally).await
    }

    async fn read(&self, mut body: Incoming, sent_ns: u64, tally: &RefCell<Tally>) -> Result<()> {
        let mut marks = Marks::default();
        let (mut expected, mut previous_ns) = (0, sent_ns);
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the answer was cut")?;
            let Some(bytes) = frame.data_ref() else { continue };
            let read_ns = now_ns();
            let mut tally = tally.borrow_mut();
            marks.feed(bytes, |sequence, made_ns| {
                tally.lost += u64::from(sequence.abs_diff(expected));
                tally.token(sequence, sent_ns, made_ns, previous_ns, read_ns);
                expected = sequence + 1;
                previous_ns = read_ns;
            });
        }
        let mut tally = tally.borrow_mut();
        tally.lost += u64::from(self.tokens.saturating_sub(expected));
        tally.request(sent_ns, now_ns());
        if expected == 0 {
            bail!("an answer without a token");
        }
        Ok(())
    }
}
