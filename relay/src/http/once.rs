//! Once: a call with an `Idempotency-Key` has its effect once, however often it is made.
//!
//! The same call of the same caller gets the same answer for as long as that is kept in memory. Behind
//! that a record in the store, without the answer, still keeps a call that came to something from being
//! made again. A call that came to nothing may be made again with its key.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderName, StatusCode},
    response::Response,
};
use http_body::{Frame, SizeHint};
use rekursing_market::Payer;
use rekursing_protocol::PluginId;
use sha2::{Digest, Sha256};

use super::{
    Problem,
    caller::{Advertiser, Caller},
};
use crate::{
    chance,
    house::House,
    replay::{Answer, Call, CallId, Claim, Outcome},
    store::Asked,
};

/// The header that names a call.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A call that names itself.
#[derive(Debug)]
pub(super) struct Named {
    call: Call,
    /// Whether money of the caller's own may move, so that not even a restart lets it move twice.
    durable: bool,
}

impl Named {
    /// Returns a text that the same call always has, and no other.
    pub(super) fn fingerprint(&self) -> String {
        chance::hex(&Sha256::digest([self.call.id, self.call.body].concat())[..16])
    }
}

/// Reads a call of an advertiser's.
pub(super) fn named_by_advertiser(
    headers: &HeaderMap,
    advertiser: Advertiser,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    match advertiser {
        Advertiser::Operator => named_by_operator(headers, route, body),
        Advertiser::Account(account) => {
            Ok(call(headers, &account.to_string(), route, body)?.map(|call| Named { call, durable: true }))
        }
    }
}

/// Returns what a call about one thing says in all: which thing its path names, and its body.
pub(super) fn about(thing: impl ToString, body: &[u8]) -> Vec<u8> {
    // No name of a thing holds a zero byte.
    [thing.to_string().as_bytes(), body].join(&0)
}

/// Set by the body of an answer that in the end has come to nothing and cost nothing.
#[derive(Debug, Clone, Default)]
pub struct Fruitless(Arc<AtomicBool>);

impl Fruitless {
    /// Notes that nothing came of it.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads a call's `Idempotency-Key`, if it has one.
pub(super) fn named(
    headers: &HeaderMap,
    caller: &Caller,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    let who = match (&caller.holder, caller.payer) {
        (Some(holder), _) => holder.spender.key.to_string(),
        (None, Payer::Page(account)) => account.to_string(),
        (None, Payer::Free { visitor }) => format!("visitor:{visitor}"),
    };
    let durable = matches!(caller.payer, Payer::Page(_));
    Ok(call(headers, &who, route, body)?.map(|call| Named { call, durable }))
}

/// Reads a call of the operator's.
pub(super) fn named_by_operator(
    headers: &HeaderMap,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    Ok(call(headers, "operator", route, body)?.map(|call| Named { call, durable: true }))
}

/// Reads a call of an owner's.
pub(super) fn named_by_owner(
    headers: &HeaderMap,
    owner: PluginId,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    Ok(call(headers, &owner.to_string(), route, body)?.map(|call| Named { call, durable: true }))
}

/// Marks an answer as one of which nothing has come, so that the call may be made again.
pub(super) fn fruitless(mut response: Response) -> Response {
    let fruitless = Fruitless::default();
    fruitless.note();
    response.extensions_mut().insert(fruitless);
    response
}

fn call(headers: &HeaderMap, who: &str, route: &str, body: &[u8]) -> Result<Option<Call>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_plain = key.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    if keys.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !is_plain {
        let message = "Idempotency-Key is one text of 1 to 255 printable ASCII characters";
        return Err(Problem::bad_request(message));
    }
    // None of the three holds a zero byte.
    let id = [who.as_bytes(), route.as_bytes(), key.as_bytes()].join(&0);
    Ok(Some(Call { id: Sha256::digest(id).into(), body: Sha256::digest(body).into() }))
}

/// Does the work of a call, unless it was done before. `made` is the id of what the work will make.
pub(super) async fn once(
    house: &Arc<House>,
    named: Option<Named>,
    made: String,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    run(house, named, Trace::Made(made), work).await
}

/// Does the work of a call that makes nothing and changes something that is there, unless it was done
/// before. A relay that dies in the middle of it lets it be done again: `thing` then is what it was to be.
pub(super) async fn change(
    house: &Arc<House>,
    named: Option<Named>,
    thing: impl ToString,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    run(house, named, Trace::Changed(thing.to_string()), work).await
}

/// How the store knows later that something came of a call.
enum Trace {
    /// By what it made, which is named beforehand.
    Made(String),
    /// By a note that is made behind it.
    Changed(String),
}

async fn run(
    house: &Arc<House>,
    named: Option<Named>,
    trace: Trace,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let Some(Named { call, durable }) = named else { return work.await };
    let now = house.desk.now();
    let ticket = match house.replays.claim(now, call) {
        Claim::Mine(number) => Ticket { house: Arc::clone(house), id: call.id, number, outcome: None },
        Claim::Running => return Err(running()),
        Claim::Other => return Err(reused()),
        Claim::Made(outcome) => return outcome.again(),
    };
    if durable {
        let asked = match &trace {
            Trace::Made(made) => house.desk.store().ask(now, call, made.clone()).await,
            Trace::Changed(_) => house.desk.store().asked(call).await,
        };
        match asked.map_err(unnoted)? {
            Asked::Fresh => {}
            Asked::Done(made) => return Err(gone(made)),
            Asked::Other => return Err(reused()),
        }
    }
    match work.await {
        Ok(response) => {
            if let (true, Trace::Changed(thing)) = (durable, trace) {
                house.desk.store().did(now, call, thing).await.map_err(unnoted)?;
            }
            Ok(record(response, ticket))
        }
        Err(problem) => {
            if problem.charged {
                ticket.keep(Outcome::Problem(problem.clone()));
            }
            Err(problem)
        }
    }
}

fn unnoted(error: anyhow::Error) -> Problem {
    tracing::error!(error = format!("{error:#}"), "could not note a call");
    Problem::store_down()
}

fn running() -> Problem {
    let message = "the first request with this Idempotency-Key is still under way";
    Problem { retry_after: Some(1), ..Problem::new(StatusCode::CONFLICT, "idempotency_running", message) }
}

fn reused() -> Problem {
    let message = "this Idempotency-Key belongs to another request";
    Problem::new(StatusCode::CONFLICT, "idempotency_key_reused", message)
}

fn gone(made: String) -> Problem {
    let message = "this was done before, and its answer is kept no longer; `id` names what came of it";
    Problem { id: Some(made), ..Problem::new(StatusCode::CONFLICT, "idempotency_answer_gone", message) }
}

/// The right to make a call; given back when it is dropped.
#[derive(Debug)]
struct Ticket {
    house: Arc<House>,
    id: CallId,
    number: u64,
    outcome: Option<Outcome>,
}

impl Ticket {
    fn keep(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (now, outcome) = (self.house.desk.now(), self.outcome.take());
        self.house.replays.end(now, self.id, self.number, outcome);
    }
}

/// Lets a response keep its body as it is written.
fn record(mut response: Response, ticket: Ticket) -> Response {
    let fruitless = response.extensions_mut().remove::<Fruitless>().unwrap_or_default();
    let (head, inner) = response.into_parts();
    let answer = Answer { status: head.status, headers: head.headers.clone(), parts: Vec::new() };
    let mut recorded = Recorded { inner, fruitless, recording: Some((answer, 0, ticket)) };
    // Nobody reads a body that is empty.
    if recorded.inner.is_end_stream() {
        recorded.end();
    }
    Response::from_parts(head, Body::new(recorded))
}

/// A body that is kept as it is written. Dropped before its end, it is not: the inner body goes first, and
/// with it the job, and only then may the call be made again.
#[derive(Debug)]
struct Recorded {
    inner: Body,
    fruitless: Fruitless,
    /// What was written, its bytes, and the call that it belongs to.
    recording: Option<(Answer, usize, Ticket)>,
}

impl Recorded {
    fn write(&mut self, part: &Bytes) {
        let Some((answer, bytes, ticket)) = &mut self.recording else { return };
        *bytes += part.len();
        if *bytes <= ticket.house.replays.bytes_max() {
            answer.parts.push(part.clone());
        } else {
            answer.parts = Vec::new();
        }
    }

    fn end(&mut self) {
        let Some((answer, bytes, ticket)) = self.recording.take() else { return };
        let is_whole = bytes <= ticket.house.replays.bytes_max();
        if is_whole && !self.fruitless.0.load(Ordering::Relaxed) {
            ticket.keep(Outcome::Answer(Arc::new(answer)));
        }
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(part) = frame.data_ref() {
                    this.write(part);
                }
                if this.inner.is_end_stream() {
                    this.end();
                }
            }
            Poll::Ready(None) => this.end(),
            Poll::Ready(Some(Err(_))) => this.recording = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
