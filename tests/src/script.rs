//! A model server that does what the test says: it speaks like LM Studio, Ollama, llama.cpp or a
//! plain server, and answers, stalls, cuts and lies on command.
//!
//! It is written on bare sockets, since most of what it does no HTTP library would let it do.

mod dialect;
mod reply;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

pub use dialect::{Dialect, MODEL};
use reply::Exact;
pub use reply::{Gate, Reply, Step};

use crate::{
    eventually::{eventually, within},
    port::Port,
};

/// A running scripted server.
#[derive(Debug)]
pub struct Script {
    port: Port,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    dialect: Dialect,
    loaded: AtomicBool,
    /// Slots that work for somebody else.
    busy: AtomicUsize,
    /// Whether everybody is refused with a 403 that says nothing, as Ollama does to whom it does not know.
    refusing: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    always: Reply,
    next: VecDeque<Reply>,
    /// What jobs are answered whose request has a text.
    told: Vec<(String, Reply)>,
    jobs: Vec<Job>,
    paths: Vec<String>,
    /// Models that it has in the place of its own.
    names: Vec<String>,
    /// The token without which nobody is answered.
    token: Option<String>,
}

/// A job as the scripted server saw it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The path that was posted to.
    pub path: String,
    /// The request's head, as it came.
    pub head: String,
    /// The request's body.
    pub body: Value,
    sent_bytes: Arc<AtomicUsize>,
    fate: watch::Receiver<Fate>,
}

/// How an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Answered,
    Left,
}

impl Script {
    /// Starts a server of this dialect that answers every job with `one two three`.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn start(dialect: Dialect) -> Result<Script> {
        Script::on("127.0.0.1:0", dialect).await
    }

    /// Starts a server on this address.
    ///
    /// # Errors
    /// Fails when the port is taken.
    pub async fn on(address: &str, dialect: Dialect) -> Result<Script> {
        let port = Port::of(address)?;
        let listener = TcpListener::bind(port.address()).await.context("no port for the scripted server")?;
        let always = Reply::text(&["one", " two", " three"]);
        let book = Book {
            always,
            next: VecDeque::new(),
            told: Vec::new(),
            jobs: Vec::new(),
            paths: Vec::new(),
            names: Vec::new(),
            token: None,
        };
        let (loaded, busy, refusing) = (AtomicBool::new(true), AtomicUsize::new(0), AtomicBool::new(false));
        let state = Arc::new(State { dialect, loaded, busy, refusing, book: Mutex::new(book) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, state.clone()));
        Ok(Script { port, state, _tasks: tasks })
    }

    /// Ends it. Its port stays free for the next one, for as long as what is returned is kept.
    pub fn end(self) -> Port {
        self.port
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Returns the server's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Answers every job so from here on.
    pub fn always(&self, reply: Reply) {
        self.state.book().always = reply;
    }

    /// Answers every job so whose request has this text, whenever it comes.
    pub fn whenever(&self, text: &str, reply: Reply) {
        self.state.book().told.push((text.to_owned(), reply));
    }

    /// Answers the next job so; may be said several times, for the ones after it.
    pub fn next(&self, reply: Reply) {
        self.state.book().next.push_back(reply);
    }

    /// Has its model loaded, or not, from here on; only LM Studio tells.
    pub fn set_loaded(&self, loaded: bool) {
        self.state.loaded.store(loaded, Ordering::Relaxed);
    }

    /// Answers nobody without this token from here on.
    pub fn want_token(&self, token: &str) {
        self.state.book().token = Some(token.to_owned());
    }

    /// Refuses everybody with a 403 from here on, or nobody.
    pub fn set_refusing(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::Relaxed);
    }

    /// Has models of these names from here on; only a plain server is asked for them.
    pub fn set_names(&self, names: &[String]) {
        self.state.book().names = names.to_vec();
    }

    /// Works on so many requests of somebody else from here on; only llama.cpp tells.
    pub fn set_busy(&self, slots: usize) {
        self.state.busy.store(slots, Ordering::Relaxed);
    }

    /// Returns the jobs so far.
    pub fn jobs(&self) -> Vec<Job> {
        self.state.book().jobs.clone()
    }

    /// Returns the paths of all requests so far, with their methods.
    pub fn paths(&self) -> Vec<String> {
        self.state.book().paths.clone()
    }

    /// Waits for the job of this number, from 0.
    ///
    /// # Errors
    /// Fails when it does not come.
    pub async fn job(&self, number: usize) -> Result<Job> {
        eventually("the job reaches the model server", || async { Ok(self.jobs().get(number).cloned()) })
            .await
    }
}

impl State {
    /// Lists the models that it was given, where they are asked for.
    fn named(&self, path: &str) -> Option<Value> {
        let names = self.book().names.clone();
        let asked = self.dialect == Dialect::Plain && path == "/v1/models" && !names.is_empty();
        asked.then(|| json!({"object": "list", "data": names.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()}))
    }

    /// Tells whether whoever has sent this head is turned away, and with what.
    fn turns_away(&self, head: &str) -> Option<(u16, &'static str)> {
        if self.refusing.load(Ordering::Relaxed) {
            return Some((403, ""));
        }
        let token = self.book().token.clone()?;
        let is_known = header(head, "authorization") == Some(&format!("Bearer {token}"));
        let refusal = r#"{"error": {"type": "invalid_request", "code": "invalid_api_key", "message": "An LM Studio API token is required"}}"#;
        (!is_known).then_some((401, refusal))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    /// Returns how many bytes of the answer the system has taken.
    pub fn sent_bytes(&self) -> usize {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Tells whether whoever asked has closed the connection before the answer's end.
    pub fn was_left(&self) -> bool {
        *self.fate.borrow() == Fate::Left
    }

    /// Waits until whoever asked has closed the connection before the answer's end.
    ///
    /// # Errors
    /// Fails when that takes longer than the limit.
    pub async fn left(&self, limit: Duration) -> Result<()> {
        let look = || async { Ok(self.was_left().then_some(())) };
        within(limit, "the job is cancelled at the model server", look).await
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut exchanges = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = state.clone();
        exchanges.spawn(async move {
            // A broken connection is an ordinary event; the test looks at what was recorded.
            let _ = exchange(socket, &state).await;
        });
        while exchanges.try_join_next().is_some() {}
    }
}

/// Reads one request and answers it; the connection ends with the answer.
async fn exchange(socket: TcpStream, state: &State) -> Result<()> {
    socket.set_nodelay(true)?;
    let (mut input, mut output) = socket.into_split();
    let (head, body) = read_request(&mut input).await?;
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    state.book().paths.push(format!("{method} {path}"));
    if let Some((status, body)) = state.turns_away(&head) {
        return whole(&mut output, status, "application/json", body.as_bytes()).await;
    }
    if method == "GET" || state.dialect.refuses(&head) {
        let loaded = state.loaded.load(Ordering::Relaxed);
        let busy = state.busy.load(Ordering::Relaxed);
        let (status, json) = match state.named(&path) {
            Some(models) => (200, models),
            None => state.dialect.answer(&path, &head, loaded, busy),
        };
        return whole(&mut output, status, "application/json", json.to_string().as_bytes()).await;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some((loaded, json)) = state.dialect.moves(&path, &body) {
        state.loaded.store(loaded, Ordering::Relaxed);
        return whole(&mut output, 200, "application/json", json.to_string().as_bytes()).await;
    }
    let (fate, watched) = watch::channel(Fate::Open);
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let script = {
        let mut book = state.book();
        let request = body.to_string();
        let told = book.told.iter().find(|(text, _)| request.contains(text)).map(|(_, reply)| reply.clone());
        let reply = told.or_else(|| book.next.pop_front()).unwrap_or_else(|| book.always.clone());
        let script = reply.script(&body);
        book.jobs.push(Job { path, head, body, sent_bytes: sent_bytes.clone(), fate: watched });
        script
    };
    let ended = tokio::select! {
        ended = perform(&mut output, script, &sent_bytes) => ended,
        () = departure(&mut input) => {
            fate.send_replace(Fate::Left);
            return Ok(());
        }
    };
    fate.send_replace(if ended.is_ok() { Fate::Answered } else { Fate::Left });
    ended
}

/// Ends when the other side closes or breaks the connection.
async fn departure(input: &mut OwnedReadHalf) {
    let mut rest = [0; 256];
    while matches!(input.read(&mut rest).await, Ok(count) if count > 0) {}
}

pub(crate) async fn read_request(input: &mut OwnedReadHalf) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        anyhow::ensure!(input.read_buf(&mut bytes).await? > 0, "closed before the request's end");
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut body = bytes.split_off(head_end + 4);
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while body.len() < length {
        anyhow::ensure!(input.read_buf(&mut body).await? > 0, "closed before the body's end");
    }
    Ok((head, body))
}

/// Returns a header of a request's head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(crate) async fn whole(output: &mut OwnedWriteHalf, status: u16, kind: &str, body: &[u8]) -> Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    output.write_all(head.as_bytes()).await?;
    output.write_all(body).await?;
    Ok(output.shutdown().await?)
}

async fn perform(output: &mut OwnedWriteHalf, script: Exact, sent_bytes: &AtomicUsize) -> Result<()> {
    let (status, kind) = (script.status, script.content_type);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    if !script.silent {
        output.write_all(head.as_bytes()).await?;
    }
    for step in script.steps {
        match step {
            Step::Send(bytes) => {
                let size = format!("{:x}\r\n", bytes.len());
                output.write_all(&[size.as_bytes(), &bytes, b"\r\n"].concat()).await?;
                sent_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            }
            Step::Wait(gate) => gate.pass().await,
            Step::Hold => std::future::pending().await,
            // Without the last chunk the reader knows that the answer is not whole.
            Step::Cut => return Ok(output.shutdown().await?),
        }
    }
    output.write_all(b"0\r\n\r\n").await?;
    Ok(output.shutdown().await?)
}
