//! Answers that are kept for a while, for callers who ask again with the same `Idempotency-Key`: what
//! such a call is, which of them run, and what they came to.
//!
//! Everything here is in memory, bounded in bytes and in time, and never written anywhere. What is small
//! and no secret the store keeps too.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use rekursing_protocol::{Moment, Span};

use crate::http::Problem;

/// Says of an answer that it was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What an answer takes beside its body, in bytes.
const HEAD_BYTES: usize = 1_024;

/// The hash by which a call is known: of its caller, its route and its key.
pub type CallId = [u8; 32];

/// A call that may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Which call.
    pub id: CallId,
    /// SHA-256 of its body.
    pub body: [u8; 32],
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, in the pieces in which it was written.
    pub parts: Vec<Bytes>,
}

/// What a call came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// An answer.
    Answer(Arc<Answer>),
    /// A refusal behind which something was charged.
    Problem(Problem),
}

/// What is known of a call that somebody wants to make.
#[derive(Debug)]
pub enum Claim {
    /// Nothing: it is his to make, under this number.
    Mine(u64),
    /// It runs.
    Running,
    /// Another call was made with this key.
    Other,
    /// It was made, and came to this.
    Made(Outcome),
}

/// The calls that run, and those whose answers are kept.
#[derive(Debug)]
pub struct Replays {
    calls: Mutex<Calls>,
    bytes_max: usize,
    keep: Span,
}

#[derive(Debug, Default)]
struct Calls {
    by_id: HashMap<CallId, Known>,
    /// Those that ended, oldest first.
    ended: VecDeque<(Moment, CallId)>,
    bytes: usize,
    /// Bytes of the answers that are being written.
    running: usize,
    numbers: u64,
}

#[derive(Debug)]
struct Known {
    body: [u8; 32],
    number: u64,
    /// What it came to, and the bytes that this takes; `None` while it runs.
    outcome: Option<(Outcome, usize)>,
}

impl Replays {
    /// Makes room for so many bytes of answers, each kept for so long at most.
    pub fn new(bytes_max: usize, keep: Span) -> Replays {
        Replays { calls: Mutex::default(), bytes_max, keep }
    }

    /// Claims a call, or tells what is known of it.
    pub fn claim(&self, now: Moment, call: Call) -> Claim {
        let calls = &mut *self.calls.lock();
        calls.forget(|ended| now.since(ended) >= self.keep);
        match calls.by_id.get(&call.id) {
            Some(known) if known.body != call.body => Claim::Other,
            Some(Known { outcome: Some((outcome, _)), .. }) => Claim::Made(outcome.clone()),
            Some(_) => Claim::Running,
            None => {
                calls.numbers += 1;
                let number = calls.numbers;
                calls.by_id.insert(call.id, Known { body: call.body, number, outcome: None });
                Claim::Mine(number)
            }
        }
    }

    /// Makes room for more of an answer that is being written. `false` where there is none.
    pub fn grow(&self, bytes: usize) -> bool {
        let calls = &mut *self.calls.lock();
        calls.running += bytes;
        while calls.running + calls.bytes > self.bytes_max {
            if calls.ended.is_empty() {
                calls.running -= bytes;
                return false;
            }
            calls.forget_oldest();
        }
        true
    }

    /// Ends a claimed call for which room was made for `grown` bytes, and keeps what it came to if there is
    /// anything to keep and room for it.
    pub fn end(&self, now: Moment, id: CallId, number: u64, grown: usize, outcome: Option<Outcome>) {
        let calls = &mut *self.calls.lock();
        calls.running -= grown;
        let Some(known) = calls.by_id.get_mut(&id).filter(|known| known.number == number) else { return };
        let bytes = outcome.as_ref().map_or(0, Outcome::bytes);
        let Some(outcome) = outcome.filter(|_| bytes <= self.bytes_max) else {
            calls.by_id.remove(&id);
            return;
        };
        known.outcome = Some((outcome, bytes));
        calls.ended.push_back((now, id));
        calls.bytes += bytes;
        while calls.running + calls.bytes > self.bytes_max && !calls.ended.is_empty() {
            calls.forget_oldest();
        }
    }

    /// Forgets what was kept for long enough.
    pub fn tidy(&self, now: Moment) {
        self.calls.lock().forget(|ended| now.since(ended) >= self.keep);
    }
}

impl Calls {
    fn forget(&mut self, is_old: impl Fn(Moment) -> bool) {
        while self.ended.front().is_some_and(|(ended, _)| is_old(*ended)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, id)) = self.ended.pop_front() else { return };
        let known = self.by_id.remove(&id);
        self.bytes -= known.and_then(|known| known.outcome).map_or(0, |(_, bytes)| bytes);
    }
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Outcome::Answer(answer) => HEAD_BYTES + answer.parts.iter().map(Bytes::len).sum::<usize>(),
            Outcome::Problem(_) => HEAD_BYTES,
        }
    }

    /// Gives the same again.
    pub fn again(self) -> Result<Response, Problem> {
        match self {
            Outcome::Answer(answer) => Ok(answer.again()),
            Outcome::Problem(problem) => Err(problem),
        }
    }
}

impl Answer {
    fn again(&self) -> Response {
        let parts = self.parts.clone().into_iter();
        let frames = parts.map(|part| Ok::<_, std::convert::Infallible>(Frame::data(part)));
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u8, body: u8) -> Call {
        Call { id: [id; 32], body: [body; 32] }
    }

    fn answer(bytes: usize) -> Option<Outcome> {
        let parts = vec![Bytes::from(vec![0; bytes])];
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), parts };
        Some(Outcome::Answer(Arc::new(answer)))
    }

    fn number(claim: &Claim) -> u64 {
        let Claim::Mine(number) = claim else { panic!("{claim:?}") };
        *number
    }

    #[test]
    fn a_call_is_one_callers_to_make_and_then_answered_for_a_while() {
        let replays = Replays::new(10_000, Span(100));
        let first = number(&replays.claim(Moment(0), call(1, 1)));
        assert!(matches!(replays.claim(Moment(1), call(1, 1)), Claim::Running));
        assert!(matches!(replays.claim(Moment(1), call(1, 2)), Claim::Other));
        replays.end(Moment(5), [1; 32], first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(104), call(1, 1)), Claim::Made(_)));
        assert!(matches!(replays.claim(Moment(104), call(1, 2)), Claim::Other));
        let second = number(&replays.claim(Moment(105), call(1, 2)));
        replays.end(Moment(106), [1; 32], first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(107), call(1, 2)), Claim::Running), "the first is over");
        replays.end(Moment(108), [1; 32], second, 0, None);
        number(&replays.claim(Moment(109), call(1, 3)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let replays = Replays::new(3 * (HEAD_BYTES + 100), Span(1_000));
        for id in 1..=4 {
            let number = number(&replays.claim(Moment(0), call(id, 0)));
            replays.end(Moment(u64::from(id)), [id; 32], number, 0, answer(100));
        }
        let is_kept = |id| matches!(replays.claim(Moment(5), call(id, 0)), Claim::Made(_));
        assert_eq!([1, 2, 3, 4].map(is_kept), [false, true, true, true]);
        let large = number(&replays.claim(Moment(5), call(9, 0)));
        replays.end(Moment(5), [9; 32], large, 0, answer(10_000));
        assert!(!is_kept(9));
        assert_eq!([2, 3, 4].map(is_kept), [true; 3], "nothing makes way for what is too large");
        replays.tidy(Moment(1_005));
        assert_eq!(replays.calls.lock().bytes, 0);
    }

    #[test]
    fn what_is_being_written_counts_too() {
        let replays = Replays::new(3 * HEAD_BYTES, Span(1_000));
        for id in 1..=2 {
            let number = number(&replays.claim(Moment(0), call(id, 0)));
            replays.end(Moment(u64::from(id)), [id; 32], number, 0, answer(0));
        }
        let running = number(&replays.claim(Moment(3), call(3, 0)));
        assert!(replays.grow(2 * HEAD_BYTES));
        assert!(matches!(replays.claim(Moment(3), call(2, 0)), Claim::Made(_)), "one had to go");
        assert!(!replays.grow(2 * HEAD_BYTES), "there is nothing left to forget");
        replays.end(Moment(4), [3; 32], running, 2 * HEAD_BYTES, None);
        assert!(replays.grow(3 * HEAD_BYTES), "all of it is free again");
    }
}
