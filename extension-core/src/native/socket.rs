//! The WebSocket to the relay: frames in, and frames out of a queue that is flushed as a whole.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use anyhow::Context as _;
use futures_util::{Sink, SinkExt, StreamExt};
use rekursing_protocol::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        Message, Utf8Bytes,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::agent::limits::{MESSAGE_BYTES_MAX, UNSENT_BYTES_MAX, UNSENT_BYTES_PAUSE};

/// How long the other end may take to see a close.
const FAREWELL: Duration = Duration::from_secs(1);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    queue: VecDeque<Utf8Bytes>,
    queue_bytes: usize,
    /// Whether frames lie in the stream's own buffer.
    unflushed: bool,
}

/// What the socket did.
#[derive(Debug)]
pub(super) enum Turn {
    /// A text message came.
    Frame(Utf8Bytes),
    /// The other end closed, with this code.
    Closed(u16),
    /// All that was to leave has left.
    Flushed,
}

/// The code of a connection that ended without one.
pub(super) const LOST: u16 = 1006;

impl Socket {
    /// Connects and upgrades.
    pub(super) async fn open(url: &str) -> anyhow::Result<Socket> {
        let mut request = url.into_client_request().context("the relay's address is no WebSocket address")?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        // Small buffers: an idle session costs a few kilobytes. Frames gather up to the write
        // buffer's size and leave in one write.
        let config = WebSocketConfig::default()
            .read_buffer_size(4 << 10)
            .write_buffer_size(64 << 10)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (stream, _) = connect_async_tls_with_config(request, Some(config), true, None)
            .await
            .context("could not open the WebSocket")?;
        Ok(Socket { stream, queue: VecDeque::new(), queue_bytes: 0, unflushed: false })
    }

    /// Queues a text message.
    pub(super) fn send(&mut self, text: String) {
        self.queue_bytes += text.len();
        self.queue.push_back(text.into());
    }

    /// Tells whether so much waits to leave that jobs are read no further.
    pub(super) fn is_clogged(&self) -> bool {
        self.queue_bytes > UNSENT_BYTES_PAUSE
    }

    /// Tells whether more waits to leave than is kept.
    pub(super) fn is_stuck(&self) -> bool {
        self.queue_bytes > UNSENT_BYTES_MAX
    }

    /// Sends what waits and waits for what comes, whichever happens first. Nothing is lost when
    /// the future is dropped.
    pub(super) async fn turn(&mut self) -> Turn {
        poll_fn(|context| {
            if self.unflushed || !self.queue.is_empty() {
                match self.poll_push(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Turn::Flushed),
                    Poll::Ready(Err(Lost)) => return Poll::Ready(Turn::Closed(LOST)),
                    Poll::Pending => {}
                }
            }
            loop {
                return Poll::Ready(match ready!(self.stream.poll_next_unpin(context)) {
                    Some(Ok(Message::Text(text))) => Turn::Frame(text),
                    Some(Ok(Message::Close(frame))) => {
                        Turn::Closed(frame.map_or(1005, |frame| frame.code.into()))
                    }
                    // The library answers pings by itself.
                    Some(Ok(
                        Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                    )) => {
                        continue;
                    }
                    Some(Err(_)) | None => Turn::Closed(LOST),
                });
            }
        })
        .await
    }

    /// Sends what can leave at once; tells what happened if the connection is gone.
    pub(super) fn push_now(&mut self) -> Option<Turn> {
        if self.queue.is_empty() && !self.unflushed {
            return None;
        }
        let mut context = Context::from_waker(Waker::noop());
        match self.poll_push(&mut context) {
            Poll::Ready(Err(Lost)) => Some(Turn::Closed(LOST)),
            // What is pending is polled again by the next turn, which wakes.
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Says goodbye, once everything that waits has left. Of what is stuck nothing is waited for.
    pub(super) async fn close(mut self, code: u16) {
        if self.is_stuck() {
            self.queue.clear();
        }
        let farewell = async {
            if poll_fn(|context| self.poll_push(context)).await.is_err() {
                return;
            }
            let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
            // A connection that is gone already needs no farewell.
            if self.stream.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    fn poll_push(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        while !self.queue.is_empty() {
            ready!(self.stream.poll_ready_unpin(context)).map_err(|_| Lost)?;
            let Some(text) = self.queue.pop_front() else { break };
            self.queue_bytes -= text.len();
            self.unflushed = true;
            std::pin::Pin::new(&mut self.stream).start_send(Message::Text(text)).map_err(|_| Lost)?;
        }
        ready!(self.stream.poll_flush_unpin(context)).map_err(|_| Lost)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

/// The connection is gone.
#[derive(Debug)]
struct Lost;
