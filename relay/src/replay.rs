//! Answers that are kept for a while, for callers who ask again with the same `Idempotency-Key`: what
//! such a call is, which of them run, and what they came to.
//!
//! Everything here is in memory, bounded in bytes and in time, and never written anywhere. What is small
//! and no secret the store keeps too.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
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

use crate::http::{Problem, once::Recorded};

/// Says of an answer that it was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Names the last event that a page has heard.
pub const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

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
    /// It runs, and writes this, if it has begun to.
    Running(Weak<Recorded>),
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
    /// What it writes while it runs.
    recorded: Weak<Recorded>,
    /// What it came to, and the bytes that this takes; `None` while it runs.
    outcome: Option<(Outcome, usize)>,
}

/// The last event of a stream that its page has heard; 0 is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEvent(u64);

/// What is to be read of the parts of an answer: from which part on, and which of its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rest {
    part: usize,
    byte: usize,
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
            Some(known) => Claim::Running(Weak::clone(&known.recorded)),
            None => {
                calls.numbers += 1;
                let number = calls.numbers;
                calls
                    .by_id
                    .insert(call.id, Known { body: call.body, number, recorded: Weak::new(), outcome: None });
                Claim::Mine(number)
            }
        }
    }

    /// Notes what a claimed call writes.
    pub fn writes(&self, id: CallId, number: u64, recorded: &Arc<Recorded>) {
        if let Some(known) = self.calls.lock().by_id.get_mut(&id).filter(|known| known.number == number) {
            known.recorded = Arc::downgrade(recorded);
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

    /// Gives the same again, or what of it stands behind an event.
    pub fn again(self, last: Option<LastEvent>) -> Result<Response, Problem> {
        match self {
            Outcome::Answer(answer) => {
                let rest = last.map_or(Some(Rest::default()), |last| last.rest(&answer.parts));
                rest.map(|rest| answer.again(rest)).ok_or_else(LastEvent::unknown)
            }
            Outcome::Problem(problem) => Err(problem),
        }
    }
}

impl LastEvent {
    /// Reads the header, if there is one.
    pub fn read(headers: &HeaderMap) -> Result<Option<LastEvent>, Problem> {
        let Some(value) = headers.get(LAST_EVENT) else { return Ok(None) };
        let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = text.and_then(|text| text.parse().ok());
        number.map(|number| Some(LastEvent(number))).ok_or_else(LastEvent::unknown)
    }

    /// Tells whether there is such an event: 0 is none.
    pub fn is_some_event(self) -> bool {
        self.0 > 0
    }

    /// Finds what stands behind the event; nothing where there is no such event. Every part holds whole events.
    pub fn rest(self, parts: &[Bytes]) -> Option<Rest> {
        if self.0 == 0 {
            return Some(Rest::default());
        }
        // Within an event line breaks are escaped, so nothing else begins a line like this.
        let id = format!("id: {}\n", self.0);
        // Whoever comes back mostly lacks little.
        parts.iter().enumerate().rev().find_map(|(part, bytes)| {
            let text = std::str::from_utf8(bytes).ok()?;
            let starts = |&(at, _): &(usize, &str)| at == 0 || text.as_bytes()[at - 1] == b'\n';
            let (at, _) = text.match_indices(&id).find(starts)?;
            Some(Rest { part, byte: at + text[at..].find("\n\n")? + 2 })
        })
    }

    fn unknown() -> Problem {
        Problem::bad_request("Last-Event-ID is the number of an event of this answer, or 0")
    }
}

impl Rest {
    /// Takes the next of what is to be read.
    pub fn next(&mut self, parts: &[Bytes]) -> Option<Bytes> {
        loop {
            let part = parts.get(self.part)?.slice(self.byte..);
            self.skip();
            if !part.is_empty() {
                return Some(part);
            }
        }
    }

    /// Passes over the next part.
    pub fn skip(&mut self) {
        *self = Rest { part: self.part + 1, byte: 0 };
    }
}

impl Answer {
    /// Gives the rest of it.
    pub fn again(&self, mut rest: Rest) -> Response {
        let parts: Vec<Bytes> = std::iter::from_fn(|| rest.next(&self.parts)).collect();
        let parts = parts.into_iter();
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
        assert!(matches!(replays.claim(Moment(1), call(1, 1)), Claim::Running(_)));
        assert!(matches!(replays.claim(Moment(1), call(1, 2)), Claim::Other));
        replays.end(Moment(5), [1; 32], first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(104), call(1, 1)), Claim::Made(_)));
        assert!(matches!(replays.claim(Moment(104), call(1, 2)), Claim::Other));
        let second = number(&replays.claim(Moment(105), call(1, 2)));
        replays.end(Moment(106), [1; 32], first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(107), call(1, 2)), Claim::Running(_)), "the first is over");
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
    fn what_stands_behind_an_event_is_found_to_the_byte() {
        let event = |id: u64, data: &str| format!("id: {id}\nevent: token\ndata: {data}\n\n");
        let parts = [
            event(1, "id: 2\\n"),
            format!("{}{}", event(2, "a"), event(3, "b")),
            ": still there\n\n".to_owned(),
            event(21, "id: 3"),
        ];
        let parts = parts.map(Bytes::from);
        let behind = |last: u64| {
            let mut rest = LastEvent(last).rest(&parts)?;
            let read = std::iter::from_fn(|| rest.next(&parts)).collect::<Vec<_>>().concat();
            Some(String::from_utf8(read).unwrap())
        };
        let whole = String::from_utf8(parts.concat()).unwrap();
        assert_eq!(behind(0), Some(whole.clone()));
        assert_eq!(behind(1), Some(whole[event(1, "id: 2\\n").len()..].to_owned()));
        assert_eq!(behind(2), Some(format!("{}: still there\n\n{}", event(3, "b"), event(21, "id: 3"))));
        assert_eq!(behind(3), Some(format!(": still there\n\n{}", event(21, "id: 3"))));
        assert_eq!(behind(21), Some(String::new()));
        for none in [4, 22, u64::MAX] {
            assert_eq!(behind(none), None);
        }
    }

    #[test]
    fn a_last_event_is_a_number_and_nothing_else() {
        let read = |text: &'static str| {
            LastEvent::read(&HeaderMap::from_iter([(LAST_EVENT, HeaderValue::from_static(text))]))
        };
        assert_eq!(LastEvent::read(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("0").unwrap(), Some(LastEvent(0)));
        assert_eq!(read("7").unwrap(), Some(LastEvent(7)));
        for wrong in ["", "-1", "+1", " 1 2", "1.5", "x", "99999999999999999999"] {
            assert_eq!(read(wrong).unwrap_err().code, "bad_request", "{wrong}");
        }
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
