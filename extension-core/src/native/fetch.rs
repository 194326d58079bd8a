//! One job's fetch: a task that reads the model server's answer for as long as it may.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use reqwest::header::CONTENT_TYPE;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::shell::Happening;
use crate::agent::Post;

/// Most chunks of one answer that are handed in together.
const TOGETHER_MAX: usize = 32;

/// A fetch that runs. Dropping it aborts it.
#[derive(Debug)]
pub(super) struct Fetch {
    may_read: watch::Sender<bool>,
    task: AbortHandle,
}

impl Fetch {
    /// Begins. What comes goes into the inbox; a full inbox stops the reading.
    pub(super) fn begin(client: reqwest::Client, post: Post, inbox: mpsc::Sender<Happening>) -> Fetch {
        let (may_read, gate) = watch::channel(true);
        let task = tokio::spawn(async move {
            let id = post.id;
            let last = match read(&client, post, &inbox, gate).await {
                Ok(()) => Happening::FetchEnd { id },
                Err(Broken) => Happening::FetchFailed { id },
            };
            // Without an inbox nobody waits for the end.
            let _ = inbox.send(last).await;
        });
        Fetch { may_read, task: task.abort_handle() }
    }

    /// Stops reading, or goes on.
    pub(super) fn pause(&self) {
        self.may_read.send_replace(false);
    }

    pub(super) fn resume(&self) {
        self.may_read.send_replace(true);
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection broke, or never came about.
struct Broken;

async fn read(
    client: &reqwest::Client,
    post: Post,
    inbox: &mpsc::Sender<Happening>,
    mut gate: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let id = post.id;
    let request = client.post(&post.url).header(CONTENT_TYPE, "application/json").body(post.body);
    let request = match post.bearer {
        Some(bearer) => request.bearer_auth(bearer),
        None => request,
    };
    let mut response = request.send().await.map_err(|_| Broken)?;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let head = Happening::FetchHead {
        id,
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default().to_owned(),
    };
    inbox.send(head).await.map_err(|_| Broken)?;
    loop {
        if !*gate.borrow() {
            gate.wait_for(|may_read| *may_read).await.map_err(|_| Broken)?;
        }
        let Some(first) = response.chunk().await.map_err(|_| Broken)? else { return Ok(()) };
        let mut pieces = vec![first];
        let more = gather(&mut response, &mut pieces).await;
        inbox.send(Happening::FetchBytes { id, pieces }).await.map_err(|_| Broken)?;
        if more? == More::No {
            return Ok(());
        }
    }
}

/// Whether a body goes on.
#[derive(PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// Takes what has come already. The connection's own task hands over one chunk at a time, so it is
/// given a turn whenever there seems to be nothing: under load many chunks leave as one piece, and
/// when idle the one that came waits for one turn of the scheduler.
async fn gather(response: &mut reqwest::Response, pieces: &mut Vec<Bytes>) -> Result<More, Broken> {
    while pieces.len() < TOGETHER_MAX {
        let mut next = response.chunk().now_or_never();
        if next.is_none() {
            turn_of_others().await;
            next = response.chunk().now_or_never();
        }
        match next {
            None => break,
            Some(Ok(Some(bytes))) => pieces.push(bytes),
            Some(Ok(None)) => return Ok(More::No),
            Some(Err(_)) => return Err(Broken),
        }
    }
    Ok(More::Yes)
}

/// Goes to the end of the queue of tasks. Tokio's own `yield_now` also asks the operating system
/// for news, which costs a system call for every token.
async fn turn_of_others() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
