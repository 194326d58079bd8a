//! Short HTTP exchanges: one question, one whole answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rekursing_protocol::{Moment, Span};
use reqwest::header::{CONTENT_TYPE, DATE};
use tokio::sync::Mutex;

use super::clock::Clock;
use crate::agent::Ask;

/// How long agents of one load test share what the model server said.
const SHARED_FOR: Span = Span::secs(10);

/// A whole answer; `None` when there was none.
pub(super) type Answered = Option<Whole>;

/// What was answered.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// When, by the other end's clock.
    pub(super) date: Option<Moment>,
}

/// What was answered when, one lock a URL so that many who ask at once cause one question.
type Answers = HashMap<String, Arc<Mutex<Option<(Moment, Answered)>>>>;

/// Carries out exchanges.
#[derive(Debug, Clone)]
pub(super) struct Exchanges {
    client: reqwest::Client,
    clock: Clock,
    /// For many agents in one process: thousands of them would be a load of their own to the model server.
    shared: Option<Arc<Mutex<Answers>>>,
}

impl Exchanges {
    pub(super) fn new(client: reqwest::Client, clock: Clock, is_shared: bool) -> Exchanges {
        Exchanges { client, clock, shared: is_shared.then(Arc::default) }
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask) -> Answered {
        let is_relays = ask.body.is_some() || ask.url.contains("/api/plugin/");
        let Some(shared) = self.shared.as_ref().filter(|_| !is_relays) else {
            return self.ask_alone(ask).await;
        };
        let slot = Arc::clone(shared.lock().await.entry(ask.url.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some((at, answered)) = slot.as_ref()
            && self.clock.now().since(*at) < SHARED_FOR
        {
            return answered.clone();
        }
        let answered = self.ask_alone(ask).await;
        *slot = Some((self.clock.now(), answered.clone()));
        answered
    }

    async fn ask_alone(&self, ask: Ask) -> Answered {
        let timeout = Duration::from_millis(ask.timeout.0);
        tokio::time::timeout(timeout, read(&self.client, ask)).await.ok().flatten()
    }
}

async fn read(client: &reqwest::Client, ask: Ask) -> Answered {
    let request = match ask.body {
        Some(body) => client.post(&ask.url).header(CONTENT_TYPE, "application/json").body(body),
        None => client.get(&ask.url),
    };
    let request = match ask.bearer {
        Some(bearer) => request.bearer_auth(bearer),
        None => request,
    };
    let mut response = request.send().await.ok()?;
    let mut body = BytesMut::new();
    while let Some(bytes) = response.chunk().await.ok()? {
        if body.len() + bytes.len() > ask.answer_bytes_max {
            return None;
        }
        body.extend_from_slice(&bytes);
    }
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(moment);
    Some(Whole { status: response.status().as_u16(), body: body.freeze(), date })
}

/// Reads HTTP's form of a moment.
fn moment(text: &str) -> Option<Moment> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok().map(Moment)
}
