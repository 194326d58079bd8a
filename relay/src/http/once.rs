//! Once: a call with an `Idempotency-Key` has its effect once, however often it is made.
//!
//! The same call of the same caller gets the same answer for as long as that is kept: in memory, and where
//! it is small and neither a model's answer nor a secret, in the store. Behind that a record in the store
//! still keeps a call that came to something from being made again. A call that came to nothing may be made
//! again with its key. Who names his call wants its answer: it is written to its end also when he leaves.

mod recorded;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use rekursing_market::Payer;
use rekursing_protocol::{JobId, PluginId};
use sha2::{Digest, Sha256};

use super::{
    Problem,
    caller::{Advertiser, Caller},
};
use crate::{
    chance,
    house::House,
    replay::{Answer, Call, Claim, LastEvent, Outcome, Whose},
    store::{Asked, KeptAnswer},
};
pub(crate) use recorded::Recorded;
use recorded::record;

/// The header that names a call.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whose the operator's calls are.
const OPERATOR: &str = "operator";

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A call that names itself.
#[derive(Debug)]
pub(super) struct Named {
    call: Call,
    /// The account under which the store notes it, so that not even a restart lets money of the caller's own
    /// move twice; none of a visitor, who has no money.
    whose: Option<String>,
    /// What the caller has heard of the answer; nothing where he does not come back for the rest.
    last: Option<LastEvent>,
}

impl Named {
    /// Has the answer given from behind an event on.
    pub(super) fn behind(self, last: Option<LastEvent>) -> Named {
        Named { last, ..self }
    }

    /// Has the store note nothing of a call by which no money moves: made again, it does no harm.
    pub(super) fn unnoted(self) -> Named {
        Named { whose: None, ..self }
    }

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
            let account = account.to_string();
            let call = call(headers, &account, &account, route, body)?;
            Ok(call.map(|call| Named { call, whose: Some(account), last: None }))
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

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
    let whose = match caller.payer {
        Payer::Page(account) => Some(account.to_string()),
        Payer::Free { .. } => None,
    };
    let share = whose.as_deref().unwrap_or(&who);
    Ok(call(headers, share, &who, route, body)?.map(|call| Named { call, whose, last: None }))
}

/// Reads a call of the operator's.
pub(super) fn named_by_operator(
    headers: &HeaderMap,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    let call = call(headers, OPERATOR, OPERATOR, route, body)?;
    Ok(call.map(|call| Named { call, whose: Some(OPERATOR.to_owned()), last: None }))
}

/// Reads a call of an owner's.
pub(super) fn named_by_owner(
    headers: &HeaderMap,
    owner: PluginId,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Named>, Problem> {
    let owner = owner.to_string();
    Ok(call(headers, &owner, &owner, route, body)?.map(|call| Named { call, whose: Some(owner), last: None }))
}

/// Marks an answer as one of which nothing has come, so that the call may be made again.
pub(super) fn fruitless(mut response: Response) -> Response {
    let fruitless = Fruitless::default();
    fruitless.note();
    response.extensions_mut().insert(fruitless);
    response
}

/// Reads a call of `who`, whose answer takes room out of the share of `whose`.
fn call(
    headers: &HeaderMap,
    whose: &str,
    who: &str,
    route: &str,
    body: &[u8],
) -> Result<Option<Call>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let is_plain = key.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    if keys.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !is_plain {
        let message = "Idempotency-Key is one text of 1 to 255 printable ASCII characters";
        return Err(Problem::bad_request(message));
    }
    // None of the three holds a zero byte.
    let id = [who.as_bytes(), route.as_bytes(), key.as_bytes()].join(&0);
    let whose = share(whose);
    Ok(Some(Call { id: Sha256::digest(id).into(), body: Sha256::digest(body).into(), whose }))
}

fn share(whose: &str) -> Whose {
    let [a, b, c, d, e, f, g, h, ..] = chance::digest(whose);
    Whose::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Does the work of a call, unless it was done before. `made` is the id of what the work will make.
pub(super) async fn once(
    house: &Arc<House>,
    named: Option<Named>,
    made: String,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    run(house, named, Trace::Made(made), Keep::Stored, work).await
}

/// Does what [`once`] does for an answer that is never stored: what a model says, or a secret. It is made
/// to its end, also when its caller does not wait for that; only who leaves a stream for which he would come
/// back before any of it is there wants none of it.
pub(super) async fn unstored(
    house: Arc<House>,
    named: Option<Named>,
    made: String,
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    let waits = named.as_ref().is_none_or(|named| named.last.is_some());
    let work = async move { run(&house, named, Trace::Made(made), Keep::InMemory, work).await };
    if waits {
        return work.await;
    }
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}

/// Does the work of a call that makes nothing and changes something that is there, unless it was done
/// before. A relay that dies in the middle of it lets it be done again: `thing` then is what it was to be.
pub(super) async fn change(
    house: &Arc<House>,
    named: Option<Named>,
    thing: impl ToString,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    run(house, named, Trace::Changed(thing.to_string()), Keep::Stored, work).await
}

/// Where an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// In memory alone.
    InMemory,
    /// In the store too.
    Stored,
}

/// How the store knows later that something came of a call.
enum Trace {
    /// By what it made, which is named beforehand.
    Made(String),
    /// By a note that is made behind it.
    Changed(String),
}

/// Tells whether something has failed at our side, so that nobody knows what came of the call.
fn is_ours(problem: &Problem) -> bool {
    matches!(problem.code, "internal" | "store_unavailable" | "book_wrong")
}

async fn run(
    house: &Arc<House>,
    named: Option<Named>,
    trace: Trace,
    keep: Keep,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let Some(Named { call, whose, last }) = named else { return work.await };
    let now = house.desk.now();
    let mut ticket = match house.replays.claim(now, call) {
        Claim::Mine(number) => Ticket::of(house, call, number),
        Claim::Running(recorded) => {
            let again = recorded.upgrade().zip(last).and_then(|(recorded, last)| recorded.again(last));
            return again.ok_or_else(running);
        }
        Claim::Other => return Err(reused()),
        Claim::Made(outcome) => return outcome.again(last),
    };
    if last.is_some_and(LastEvent::is_some_event) {
        return Err(rest_is_gone(house, call, whose.is_some()).await);
    }
    let stays = last.map(|_| Duration::from_millis(house.config.time.return_ms));
    if whose.is_some() {
        let asked = match &trace {
            Trace::Made(made) => house.desk.store().ask(now, call, made.clone()).await,
            Trace::Changed(_) => house.desk.store().asked(call).await,
        };
        match asked.map_err(unnoted)? {
            Asked::Fresh => {
                if let Trace::Made(made) = &trace {
                    ticket.asked = Some(made.clone());
                }
            }
            Asked::Done { answer: Some(answer), .. } => return again(answer),
            Asked::Done { made, answer: None } => return Err(gone(Some(made))),
            Asked::Other => return Err(reused()),
        }
    }
    match work.await {
        Ok(response) => {
            let Some(whose) = whose else { return Ok(record(response, ticket, stays)) };
            let (response, answer) = match keep {
                Keep::InMemory => (response, None),
                Keep::Stored => kept(response, house.config.limits.kept_answer_bytes).await?,
            };
            let answer = answer.map(|answer| (answer, house.config.limits.quota(whose)));
            let store = house.desk.store();
            match (trace, answer) {
                (Trace::Changed(thing), answer) => {
                    store.did(now, call, thing, answer).await.map_err(unnoted)?;
                }
                (Trace::Made(_), Some((answer, quota))) => {
                    // What was made is there, and its answer in memory.
                    if let Err(error) = store.answered(call, answer, quota).await {
                        tracing::error!(error = format!("{error:#}"), "could not keep an answer");
                    }
                }
                (Trace::Made(_), None) => {}
            }
            Ok(record(response, ticket, stays))
        }
        Err(problem) => {
            if problem.charged {
                ticket.keep(Outcome::Problem(problem.clone()));
            } else if is_ours(&problem) {
                ticket.asked = None;
            }
            Err(problem)
        }
    }
}

/// Returns an answer with what is to be stored of it, if anything came of it and it is small.
async fn kept(response: Response, bytes_max: usize) -> Result<(Response, Option<KeptAnswer>), Problem> {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    let is_fruitless = head.extensions.get::<Fruitless>().is_some_and(|fruitless| fruitless.is_noted());
    let answer = (body.len() <= bytes_max && !is_fruitless).then(|| {
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        KeptAnswer {
            status: head.status.as_u16(),
            kind: kind.unwrap_or_default().to_owned(),
            body: body.to_vec(),
        }
    });
    Ok((Response::from_parts(head, Body::from(body)), answer))
}

/// Gives a stored answer again.
fn again(answer: KeptAnswer) -> Result<Response, Problem> {
    let KeptAnswer { status, kind, body } = answer;
    let mut headers = HeaderMap::new();
    if !kind.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&kind).map_err(|_| Problem::internal())?);
    }
    let status = StatusCode::from_u16(status).map_err(|_| Problem::internal())?;
    Outcome::Answer(Arc::new(Answer { status, headers, parts: vec![Bytes::from(body)] })).again(None)
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

/// Refuses to begin an answer anew of which its caller has heard a part.
async fn rest_is_gone(house: &House, call: Call, is_noted: bool) -> Problem {
    if !is_noted {
        return gone(None);
    }
    match house.desk.store().asked(call).await {
        Ok(Asked::Done { made, .. }) => gone(Some(made)),
        Ok(Asked::Fresh) => gone(None),
        Ok(Asked::Other) => reused(),
        Err(error) => unnoted(error),
    }
}

fn gone(made: Option<String>) -> Problem {
    let message = match &made {
        None => "the connection broke, and the rest of this answer was not kept; ask again",
        Some(made) if made.starts_with(JobId::PREFIX) => {
            "this was answered and charged before, and its answer is kept no longer; `id` names the job, whose \
             receipt says what it cost"
        }
        Some(_) => "this was done before, and its answer is kept no longer; `id` names what came of it",
    };
    Problem { id: made, ..Problem::new(StatusCode::CONFLICT, "idempotency_answer_gone", message) }
}

/// The right to make a call; given back when it is dropped.
#[derive(Debug)]
struct Ticket {
    house: Arc<House>,
    call: Call,
    number: u64,
    /// Bytes for which room was made.
    grown: usize,
    outcome: Option<Outcome>,
    /// What the store was told that the call will make. It forgets that where nothing comes of the call: else every
    /// name that somebody makes up would leave a row.
    asked: Option<String>,
}

impl Ticket {
    fn of(house: &Arc<House>, call: Call, number: u64) -> Ticket {
        Ticket { house: Arc::clone(house), call, number, grown: 0, outcome: None, asked: None }
    }

    fn keep(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (now, outcome) = (self.house.desk.now(), self.outcome.take());
        if let Some(made) = self.asked.take().filter(|_| outcome.is_none()) {
            self.house.desk.store().unask(self.call, made);
        }
        self.house.replays.end(now, self.call, self.number, self.grown, outcome);
    }
}
