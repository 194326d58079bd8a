//! A server of one file that gives it as its path says: whole, broken off, held back, moved, and as none. It is what
//! weights for the model in the browser are fetched from.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::Semaphore,
    task::JoinSet,
};

use crate::script::{header, read_request, whole};

/// So much of the file comes where it breaks off or is held back.
pub const PART: usize = 600_000;

/// A running server of one file.
#[derive(Debug)]
pub struct Files {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    file: Vec<u8>,
    asked: Mutex<Vec<Asked>>,
    /// How many connections may break.
    cuts: Semaphore,
}

/// What somebody has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// From which byte on, as the header says it.
    pub range: Option<String>,
    /// The state of the file in which only that part is wanted.
    pub if_range: Option<String>,
}

impl Files {
    /// Starts a server of this file.
    ///
    /// # Errors
    /// Fails when the file cannot be read or no port is free.
    pub async fn start(file: &Path) -> Result<Files> {
        let file = std::fs::read(file).with_context(|| format!("no {}", file.display()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the file")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { file, asked: Mutex::default(), cuts: Semaphore::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Ok(Files { address, state, _tasks: tasks })
    }

    /// Returns the address of a way of giving the file:
    ///
    /// - `whole.gguf`: as a good server does, with parts and an `ETag`
    /// - `broken.gguf`: that, but the first time nothing more comes after [`PART`] until the connection is [`cut`](Files::cut)
    /// - `held.gguf`: that, but nothing more comes after [`PART`]
    /// - `changed.gguf`: broken, and another file each time
    /// - `plain.gguf`: broken, without parts and without an `ETag`; whole when it is asked for again
    /// - `moved.gguf`: sends on to `whole.gguf`
    /// - `page.gguf`: a page, `endless.gguf`: of no length, `huge.gguf`: of four gigabytes, and others: 404
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Breaks the connection that waits for it.
    pub fn cut(&self) {
        self.state.cuts.add_permits(1);
    }

    /// Returns what was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut exchanges = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        exchanges.spawn(async move {
            // A broken connection is an ordinary event; the test looks at what was asked.
            let _ = exchange(socket, &state).await;
        });
        while exchanges.try_join_next().is_some() {}
    }
}

async fn exchange(socket: TcpStream, state: &State) -> Result<()> {
    let (mut input, mut output) = socket.into_split();
    let (head, _) = read_request(&mut input).await?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let named = |name: &str| header(&head, name).map(str::to_owned);
    let asked = Asked { path: path.clone(), range: named("range"), if_range: named("if-range") };
    let before = {
        let mut book = state.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = book.iter().filter(|asked| asked.path == path).count();
        book.push(asked.clone());
        before
    };
    let tag = match path.as_str() {
        "/plain.gguf" => None,
        "/changed.gguf" => Some(format!("\"{before}\"")),
        _ => Some("\"one\"".to_owned()),
    };
    let is_part = tag.is_some() && asked.if_range == tag;
    let from = asked.range.as_deref().filter(|_| is_part).and_then(begin).unwrap_or(0);
    match path.as_str() {
        "/whole.gguf" => give(&mut output, &state.file, tag, from, usize::MAX).await?,
        "/broken.gguf" | "/changed.gguf" | "/plain.gguf" if from == 0 && before == 0 => {
            give(&mut output, &state.file, tag, 0, PART).await?;
            state.cuts.acquire().await?.forget();
        }
        "/broken.gguf" | "/changed.gguf" | "/plain.gguf" => {
            give(&mut output, &state.file, tag, from, usize::MAX).await?;
        }
        "/held.gguf" => {
            give(&mut output, &state.file, tag, from, if from == 0 { PART } else { usize::MAX }).await?;
            while from == 0 && input.read(&mut [0; 256]).await? > 0 {}
        }
        "/moved.gguf" => {
            let head =
                "HTTP/1.1 302 X\r\nlocation: /whole.gguf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            output.write_all(head.as_bytes()).await?;
        }
        "/endless.gguf" => {
            output.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").await?;
            output.write_all(&state.file).await?;
        }
        "/huge.gguf" => {
            output.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 4294967296\r\n\r\n").await?;
            output.write_all(&state.file).await?;
        }
        "/page.gguf" => whole(&mut output, 200, "text/html", b"<!doctype html><p>Sign in").await?,
        _ => whole(&mut output, 404, "text/plain", b"none").await?,
    }
    Ok(output.shutdown().await?)
}

/// Reads where a part begins.
fn begin(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Gives a file from one byte on, at most so much of it, and says how long all of it is.
async fn give(
    output: &mut OwnedWriteHalf,
    file: &[u8],
    tag: Option<String>,
    from: usize,
    most: usize,
) -> Result<()> {
    let (all, rest) = (file.len(), file.get(from..).context("a part beyond the file")?);
    let tag = tag.map(|tag| format!("etag: {tag}\r\n")).unwrap_or_default();
    let part = match from {
        0 => "HTTP/1.1 200 X\r\n".to_owned(),
        _ => format!("HTTP/1.1 206 X\r\ncontent-range: bytes {from}-{}/{all}\r\n", all - 1),
    };
    let head = format!("{part}{tag}content-length: {}\r\nconnection: close\r\n\r\n", rest.len());
    output.write_all(head.as_bytes()).await?;
    Ok(output.write_all(&rest[..rest.len().min(most)]).await?)
}
