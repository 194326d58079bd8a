//! A relay that is none: it registers whoever asks, and says on the link and in its answers whatever the test
//! wants said.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use rekursing_protocol::{SUBPROTOCOL, VERSION};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role},
    },
};

use crate::{
    eventually::PATIENCE,
    link::{Received, frame},
    script::{header, read_request},
};

/// The one plugin that it knows.
pub const PLUGIN: &str = "plg_00000000000000000000000007";

/// A false relay. Dropping it ends it.
#[derive(Debug)]
pub struct FalseRelay {
    address: SocketAddr,
    state: Arc<State>,
    callers: tokio::sync::Mutex<mpsc::UnboundedReceiver<Caller>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    /// How many connections were made to it.
    connections: AtomicUsize,
    /// The link's version, as it greets.
    version: AtomicU32,
    /// How far its clock is ahead of the true one, in seconds.
    ahead: AtomicI64,
    /// Where whoever asks is sent, if anywhere.
    elsewhere: Mutex<Option<String>>,
    /// What was asked over HTTP, method and path.
    asked: Mutex<Vec<String>>,
    /// The cookies that callers brought.
    cookies: Mutex<Vec<String>>,
}

/// A plugin that has called and said who it is.
#[derive(Debug)]
pub struct Caller {
    socket: WebSocketStream<TcpStream>,
    identify: Value,
}

impl FalseRelay {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn start() -> Result<FalseRelay> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the false relay")?;
        let address = listener.local_addr()?;
        let (version, ahead) = (AtomicU32::new(VERSION), AtomicI64::default());
        let state = State {
            connections: AtomicUsize::default(),
            version,
            ahead,
            elsewhere: Mutex::default(),
            asked: Mutex::default(),
            cookies: Mutex::default(),
        };
        let state = Arc::new(state);
        let (sender, callers) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state), sender));
        Ok(FalseRelay { address, state, callers: tokio::sync::Mutex::new(callers), _tasks: tasks })
    }

    /// Returns its URL with this scheme: `http` or `ws`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Greets with this version of the link from here on.
    pub fn set_version(&self, version: u32) {
        self.state.version.store(version, Ordering::Relaxed);
    }

    /// Dates its answers so many seconds into the future from here on, or into the past where it is negative.
    pub fn set_ahead(&self, seconds: i64) {
        self.state.ahead.store(seconds, Ordering::Relaxed);
    }

    /// Sends whoever asks over HTTP there from here on, by a redirect; a registration is answered as before.
    pub fn send_to(&self, url: String) {
        *lock(&self.state.elsewhere) = Some(url);
    }

    /// Returns how many connections were made to it so far, of whatever kind.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Returns what was asked over HTTP so far, each as its method and path.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state.asked).clone()
    }

    /// Returns the cookies by which callers were known so far. Every answer sets some.
    pub fn cookies(&self) -> Vec<String> {
        lock(&self.state.cookies).clone()
    }

    /// Waits for the next plugin that calls and says who it is. It is not welcomed yet.
    ///
    /// # Errors
    /// Fails when none comes.
    pub async fn caller(&self) -> Result<Caller> {
        let mut callers = self.callers.lock().await;
        let came = timeout(PATIENCE, callers.recv()).await;
        came.map_err(|_| anyhow!("nobody called for {PATIENCE:?}"))?.context("the false relay has ended")
    }
}

impl State {
    /// Returns the date of an answer.
    #[expect(clippy::disallowed_methods, reason = "an answer is dated by the clock on the wall")]
    fn date(&self) -> String {
        let seconds = self.ahead.load(Ordering::Relaxed);
        let away = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        httpdate::fmt_http_date(if seconds < 0 { now - away } else { now + away })
    }
}

impl Caller {
    /// Returns the plugin's `identify`.
    pub fn identify(&self) -> &Value {
        &self.identify
    }

    /// Says that jobs may come. No session of it is resumed.
    ///
    /// # Errors
    /// Fails when the connection is broken.
    pub async fn welcome(&mut self) -> Result<()> {
        self.send("ready", &json!({"session": "ses_00000000000000000000000007"})).await
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

    /// Closes the connection with this code.
    ///
    /// # Errors
    /// Fails when the connection is broken.
    pub async fn close(mut self, code: u16) -> Result<()> {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        Ok(self.socket.close(Some(frame)).await?)
    }

    /// Waits for what comes next, and answers heartbeats.
    ///
    /// # Errors
    /// Fails when nothing comes, or what is no frame.
    pub async fn next(&mut self) -> Result<Received> {
        loop {
            let next = timeout(PATIENCE, self.socket.next()).await;
            match next.map_err(|_| anyhow!("the plugin said nothing for {PATIENCE:?}"))? {
                Some(Ok(Message::Text(text))) => match frame(&text)? {
                    Received::Frame(kind, beat) if kind == "heartbeat" => {
                        self.send("ack", &json!({"n": beat["n"]})).await?;
                    }
                    received @ (Received::Frame(..) | Received::Closed(_)) => return Ok(received),
                },
                Some(Ok(Message::Close(close))) => {
                    return Ok(Received::Closed(close.map_or(1005, |close| close.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Received::Closed(1006)),
            }
        }
    }

    /// Waits for the end of a job: its `done` or its `fail`. What is said of other jobs is passed over.
    ///
    /// # Errors
    /// Fails when the link closes first.
    pub async fn end_of(&mut self, job: &str) -> Result<(String, Value)> {
        loop {
            match self.next().await? {
                Received::Frame(kind, frame)
                    if matches!(kind.as_str(), "done" | "fail") && frame["job"] == job =>
                {
                    return Ok((kind, frame));
                }
                Received::Frame(..) => {}
                Received::Closed(code) => bail!("closed with {code} before the end of {job}"),
            }
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, callers: mpsc::UnboundedSender<Caller>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, callers) = (Arc::clone(&state), callers.clone());
        connections.spawn(async move {
            // A broken connection is an ordinary event; the test waits for what it wants to see.
            let _ = serve(socket, &state, &callers).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Reads one request and answers it, or greets whoever wants a link.
async fn serve(socket: TcpStream, state: &State, callers: &mpsc::UnboundedSender<Caller>) -> Result<()> {
    socket.set_nodelay(true)?;
    let (mut input, mut output) = socket.into_split();
    let (head, _) = read_request(&mut input).await?;
    if let Some(key) = header(&head, "sec-websocket-key") {
        lock(&state.cookies).extend(header(&head, "cookie").map(str::to_owned));
        let accept = derive_accept_key(key.as_bytes());
        let switch = format!(
            "HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\
             sec-websocket-protocol: {SUBPROTOCOL}\r\nset-cookie: known=again; max-age=86400; samesite=none; secure\r\n\r\n"
        );
        output.write_all(switch.as_bytes()).await?;
        let socket = WebSocketStream::from_raw_socket(input.reunite(output)?, Role::Server, None).await;
        return greet(socket, state, callers).await;
    }
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let (status, body) = match line.as_str() {
        "POST /api/plugin/register" => (201, json!({"pluginId": PLUGIN, "secret": "rps_false"})),
        _ => (404, json!({"success": false, "error": {"code": "not_found", "message": "Not found."}})),
    };
    lock(&state.asked).push(line);
    let elsewhere = lock(&state.elsewhere).clone().filter(|_| status == 404);
    let (status, location) = match elsewhere {
        Some(url) => (307, format!("location: {url}\r\n")),
        None => (status, String::new()),
    };
    let (date, body) = (state.date(), body.to_string());
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ndate: {date}\r\n{location}content-type: application/json\r\n\
         set-cookie: seen=again; max-age=86400; samesite=none; secure\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    output.write_all((head + &body).as_bytes()).await?;
    Ok(output.shutdown().await?)
}

async fn greet(
    mut socket: WebSocketStream<TcpStream>,
    state: &State,
    callers: &mpsc::UnboundedSender<Caller>,
) -> Result<()> {
    let version = state.version.load(Ordering::Relaxed);
    let hello = json!({"hello": {
        "version": version, "heartbeat_ms": 60_000, "frame_bytes_max": 262_144, "resume_ms": 0,
    }});
    socket.send(Message::text(hello.to_string())).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let Received::Frame(kind, identify) = frame(&text)? else { continue };
        if kind == "identify" {
            // Without a test that waits, nobody is welcomed.
            let _ = callers.send(Caller { socket, identify });
            return Ok(());
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
