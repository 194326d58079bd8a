//! A session: one live WebSocket of a plugin, and after it is lost, for a while, the next.
//!
//! One task reads and writes a socket. Frames are read one by one, handled, and whatever waits in the
//! outbox is written in one go. The session knows the frames and their limits; who serves and what it
//! costs is the market's.

mod frames;
mod identify;

pub(crate) use identify::bounded;

use std::{collections::VecDeque, future::poll_fn, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rekursing_protocol::{
    Moment, Span, ToPlugin, VERSION,
    frame::{Hello, close},
};

use crate::{
    chance,
    house::House,
    outbox::{Order, Outbox},
};
use frames::Frames;
use identify::{Admitted, Challenge};

/// Why a session ends from our side: a close code and a word for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Closing {
    code: u16,
    why: &'static str,
}

/// How a socket's part in a session ends.
enum Exit {
    /// The plugin leaves in good order.
    Left,
    /// The socket is lost, and its plugin may be back.
    Lost,
    /// Another socket of the plugin has the session.
    TakenOver,
    /// We close it.
    Close(Closing),
}

impl From<Closing> for Exit {
    fn from(closing: Closing) -> Exit {
        Exit::Close(closing)
    }
}

/// Runs a session to the end of its socket. Its network is that of [`crate::desk::Desk::join`]; `host` is the
/// name of ours under which it was opened, for device keys to sign.
pub async fn run(house: Arc<House>, network: Option<u64>, host: Option<String>, mut socket: Box<WebSocket>) {
    // Boxed, because a session is mostly idle and its task is as large as its largest step.
    let exit = match Box::pin(greet(&house, network, host, &mut socket)).await {
        Ok(admitted) => Box::pin(attend(&house, &mut socket, admitted)).await,
        Err(exit) => exit,
    };
    house.sessions.leave();
    let closing = match exit {
        Exit::Left | Exit::Lost => None,
        Exit::TakenOver => Some(Closing { code: close::REPLACED, why: "another socket has the session" }),
        Exit::Close(closing) => Some(closing),
    };
    if let Some(Closing { code, why }) = closing {
        if code == close::BAD_FRAME || code == close::TOO_LARGE {
            crate::telemetry::bad_frame(why);
        }
        tracing::debug!(code, why, "closing a session");
        let frame = Message::Close(Some(CloseFrame { code, reason: why.into() }));
        let patience = Duration::from_millis(house.config.time.write_ms);
        // The other side may be gone already.
        let _ = Box::pin(tokio::time::timeout(patience, farewell(&mut socket, frame))).await;
    }
}

/// Sends the close frame and waits for the other side's.
async fn farewell(socket: &mut WebSocket, frame: Message) {
    if socket.send(frame).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// Says hello and finds out who is there.
async fn greet(
    house: &Arc<House>,
    network: Option<u64>,
    host: Option<String>,
    socket: &mut WebSocket,
) -> Result<Admitted, Exit> {
    if !house.sessions.enter(house.config.limits.sessions) {
        return Err(Closing { code: close::OVERLOADED, why: "as many sessions as there may be" }.into());
    }
    let (time, ms) = (&house.config.time, |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX));
    let challenge = host.map(|host| Challenge { host, nonce: chance::hex(&chance::bytes::<32>()) });
    let hello = ToPlugin::Hello(Hello {
        version: VERSION,
        heartbeat_ms: ms(time.heartbeat_ms),
        frame_bytes_max: u32::try_from(house.config.limits.frame_bytes).unwrap_or(u32::MAX),
        resume_ms: if house.is_draining() { 0 } else { ms(time.resume_ms) },
        nonce: challenge.as_ref().map(|challenge| challenge.nonce.clone()),
    });
    send(house, socket, &hello).await?;
    let patience = Duration::from_millis(house.config.time.identify_ms);
    let text = tokio::time::timeout(patience, next_text(socket))
        .await
        .map_err(|_| Closing { code: close::NOT_IDENTIFIED, why: "nobody said who they are" })??;
    Ok(identify::admit(house, network, challenge.as_ref(), &text).await?)
}

/// Serves a session over its socket, and tells the desk what becomes of it then.
async fn attend(house: &House, socket: &mut WebSocket, admitted: Admitted) -> Exit {
    let Admitted { session, ready, outbox, frames, mut hold } = admitted;
    let exit = tokio::select! {
        biased;
        // A socket that takes no more bytes is let go of as well.
        () = hold.taken_over() => Exit::TakenOver,
        exit = async {
            match send(house, socket, &ToPlugin::Ready(ready)).await {
                Ok(()) => serve(house, socket, outbox, frames).await,
                Err(exit) => exit,
            }
        } => exit,
    };
    match exit {
        Exit::Left | Exit::Close(_) => house.desk.leave(session),
        Exit::Lost => house.desk.suspend(session),
        // Whoever takes it over waits until the hold is dropped.
        Exit::TakenOver => {}
    }
    exit
}

/// Reads frames and writes orders until one side ends it.
async fn serve(house: &House, socket: &mut WebSocket, outbox: Outbox, mut frames: Frames) -> Exit {
    loop {
        let step = tokio::select! {
            biased;
            orders = poll_fn(|context| outbox.poll_take(context)) => Box::pin(write(house, socket, orders, &mut frames)).await,
            text = next_text(socket) => match text {
                Ok(text) => match frames.take(&text) {
                    Ok(Some(reply)) => Box::pin(send(house, socket, &reply)).await,
                    Ok(None) => Ok(()),
                    Err(closing) => Err(closing.into()),
                },
                Err(exit) => Err(exit),
            },
        };
        if let Err(exit) = step {
            return exit;
        }
    }
}

/// Writes every order and flushes once.
async fn write(
    house: &House,
    socket: &mut WebSocket,
    orders: VecDeque<Order>,
    frames: &mut Frames,
) -> Result<(), Exit> {
    let patience = Duration::from_millis(house.config.time.write_ms);
    let all = async {
        for order in orders {
            if let Order::Close(code) = order {
                return Err(Closing { code, why: "the relay closes the session" }.into());
            }
            if let Some(text) = frames.order(order) {
                socket.feed(Message::Text(text.into())).await.map_err(|_| Exit::Lost)?;
            }
        }
        socket.flush().await.map_err(|_| Exit::Lost)
    };
    tokio::time::timeout(patience, all).await.unwrap_or(Err(Exit::Lost))
}

async fn send(house: &House, socket: &mut WebSocket, frame: &ToPlugin) -> Result<(), Exit> {
    let patience = Duration::from_millis(house.config.time.write_ms);
    let text = serde_json::to_string(frame).expect("a frame is plain data");
    let sent = tokio::time::timeout(patience, socket.send(Message::Text(text.into()))).await;
    sent.map_err(|_| Exit::Lost)?.map_err(|_| Exit::Lost)
}

/// Reads the next text message. Pings are answered by the socket itself.
async fn next_text(socket: &mut WebSocket) -> Result<axum::extract::ws::Utf8Bytes, Exit> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return Err(Closing { code: close::BAD_FRAME, why: "a binary message" }.into());
            }
            // A page of the browser that goes away, or a plugin that is switched off.
            Some(Ok(Message::Close(Some(CloseFrame { code: 1000 | 1001, .. })))) => return Err(Exit::Left),
            Some(Ok(Message::Close(_))) | None => return Err(Exit::Lost),
            Some(Err(error)) => return Err(broken(&error.to_string())),
        }
    }
}

/// A message past the limits is answered with its code; any other broken socket is just lost.
fn broken(error: &str) -> Exit {
    if error.contains("too long") || error.contains("too big") || error.contains("Space limit") {
        return Closing { code: close::TOO_LARGE, why: "a message past the limit" }.into();
    }
    Exit::Lost
}

/// Frames of one kind, per second of the relay's clock.
#[derive(Debug, Default)]
struct Rate {
    second: Moment,
    count: u32,
}

impl Rate {
    /// Counts one more; `false` when it is one too many.
    fn allow(&mut self, now: Moment, per_second: u32) -> bool {
        if now.since(self.second) >= Span::secs(1) {
            *self = Rate { second: now, count: 0 };
        }
        self.count += 1;
        // Twice the rate within one second: a burst at a boundary is no flood.
        self.count <= per_second.saturating_mul(2)
    }
}
