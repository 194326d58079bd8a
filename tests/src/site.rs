//! A web site of another origin than the relay's: it has the files that it is given, and refuses what it is
//! asked as a relay under load does.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::script::read_request;

/// A running site. Dropping it takes it down.
#[derive(Debug)]
pub struct Site {
    url: String,
    book: Arc<Mutex<Book>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Book {
    /// By their paths.
    files: HashMap<String, Reply>,
    /// What the next calls for anything else are answered.
    replies: VecDeque<Reply>,
    /// What else than files was asked.
    asked: Vec<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its content type.
    pub kind: &'static str,
    /// For how many seconds it says that one should wait.
    pub retry_after: Option<u32>,
    /// Its body.
    pub body: String,
}

impl Reply {
    /// Returns what is fine.
    pub fn fine(kind: &'static str, body: impl Into<String>) -> Reply {
        Reply { status: 200, kind, retry_after: None, body: body.into() }
    }

    /// Returns a refusal in the relay's words.
    pub fn refusal(status: u16, code: &str, retry_after: Option<u32>) -> Reply {
        let body = json!({"success": false, "error": {"code": code, "message": "not now"}}).to_string();
        Reply { status, kind: "application/json", retry_after, body }
    }
}

impl Site {
    /// Opens a site without anything.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub async fn start() -> Result<Site> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the site")?;
        let url = format!("http://{}", listener.local_addr()?);
        let book: Arc<Mutex<Book>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&book)));
        Ok(Site { url, book, _tasks: tasks })
    }

    /// Returns its origin.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Has a file from here on.
    pub fn put(&self, path: &str, kind: &'static str, text: impl Into<String>) {
        lock(&self.book).files.insert(path.to_owned(), Reply::fine(kind, text));
    }

    /// Answers the next call for something that is no file so; may be said several times.
    pub fn next(&self, reply: Reply) {
        lock(&self.book).replies.push_back(reply);
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, book: Arc<Mutex<Book>>) {
    let mut exchanges = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let book = Arc::clone(&book);
        exchanges.spawn(async move {
            // A broken connection is an ordinary event.
            let _ = exchange(socket, &book).await;
        });
        while exchanges.try_join_next().is_some() {}
    }
}

async fn exchange(socket: TcpStream, book: &Mutex<Book>) -> Result<()> {
    let (mut input, mut output) = socket.into_split();
    let (head, _) = read_request(&mut input).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let Reply { status, kind, retry_after, body } = answer(path, &mut lock(book));
    let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{wait}connection: close\r\n\r\n"
    );
    output.write_all(head.as_bytes()).await?;
    output.write_all(body.as_bytes()).await?;
    Ok(output.shutdown().await?)
}

fn answer(path: &str, book: &mut Book) -> Reply {
    if path == "/asked" {
        return Reply::fine("application/json", json!(book.asked).to_string());
    }
    if let Some(file) = book.files.get(path) {
        return file.clone();
    }
    book.asked.push(path.to_owned());
    book.replies.pop_front().unwrap_or_else(|| Reply::refusal(404, "not_found", None))
}
