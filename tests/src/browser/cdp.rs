//! The debugging protocol over the browser's pipe: JSON messages, each ended by a zero byte.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::eventually::PATIENCE;

/// A connection to a browser. Clones share it.
#[derive(Debug, Clone)]
pub struct Cdp {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next: AtomicU64,
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
}

impl Cdp {
    /// Speaks over the two ends of a browser's pipe.
    pub fn over(input: ChildStdin, output: ChildStdout) -> Cdp {
        let (outbox, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { next: AtomicU64::new(1), outbox, waiting: Mutex::default() });
        tokio::spawn(write(input, messages));
        tokio::spawn(read(output, Arc::clone(&shared)));
        Cdp { shared }
    }

    /// Calls a method of the browser.
    ///
    /// # Errors
    /// Fails when the browser refuses, dies or does not answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.send(json!({"method": method, "params": params})).await.with_context(|| method.to_owned())
    }

    /// Calls a method of one attached target.
    ///
    /// # Errors
    /// Fails when the target refuses, dies or does not answer.
    pub async fn call_in(&self, session: &str, method: &str, params: Value) -> Result<Value> {
        let message = json!({"method": method, "params": params, "sessionId": session});
        self.send(message).await.with_context(|| method.to_owned())
    }

    async fn send(&self, mut message: Value) -> Result<Value> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        message["id"] = json!(id);
        let (sender, answer) = oneshot::channel();
        self.shared.waiting().insert(id, sender);
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.shared.outbox.send(bytes).map_err(|_| anyhow!("the browser is gone"))?;
        let answer = timeout(PATIENCE, answer).await.map_err(|_| anyhow!("no answer within {PATIENCE:?}"))?;
        let answer = answer.context("the browser is gone")?;
        if !answer["error"].is_null() {
            bail!("{}", answer["error"]);
        }
        Ok(answer["result"].clone())
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(mut input: ChildStdin, mut messages: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        if input.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn read(output: ChildStdout, shared: Arc<Shared>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while matches!(output.read_until(0, &mut bytes).await, Ok(count) if count > 0) {
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        bytes.clear();
        // Events carry no id and nobody asked for them.
        let Some(id) = message["id"].as_u64() else { continue };
        if let Some(sender) = shared.waiting().remove(&id) {
            // Whoever asked may have given up.
            let _ = sender.send(message);
        }
    }
    shared.waiting().clear();
}
