//! Answers that are kept for a while, for callers who ask again with the same `Idempotency-Key`: what
//! such a call is, which of them run, and what they came to.
//!
//! Everything here is in memory, bounded in bytes and in time, and never written anywhere. What is small
//! and no secret the store keeps too. Where the room is used up, whoever uses most of it gives way first, so that
//! nobody is pushed out by one who uses more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
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
    /// Whose share of the room it takes.
    pub whose: Whose,
}

/// Who has a share of the room: an account, a visitor or the operator, by a hash.
pub type Whose = u64;

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
    /// Those that ended, oldest first, by a number.
    ended: BTreeMap<u64, (Moment, CallId)>,
    shares: HashMap<Whose, Share>,
    /// Who has how much, least first.
    by_use: BTreeSet<(usize, Whose)>,
    /// Bytes of all shares.
    bytes: usize,
    numbers: u64,
}

/// What one has of the room.
#[derive(Debug, Default)]
struct Share {
    /// Bytes of what is kept and of what is being written.
    bytes: usize,
    /// What is kept, oldest first, by its number among those that ended.
    kept: VecDeque<u64>,
}

#[derive(Debug)]
struct Known {
    body: [u8; 32],
    whose: Whose,
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
                let Call { id, body, whose } = call;
                calls.by_id.insert(id, Known { body, whose, number, recorded: Weak::new(), outcome: None });
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

    /// Makes room for more of an answer that is being written. `false` where there is none that somebody who uses
    /// more has to give.
    pub fn grow(&self, whose: Whose, bytes: usize) -> bool {
        let calls = &mut *self.calls.lock();
        calls.take(whose, bytes);
        let fits = calls.make_room(whose, self.bytes_max);
        if !fits {
            calls.give(whose, bytes);
        }
        fits
    }

    /// Ends a claimed call for which room was made for `grown` bytes, and keeps what it came to if there is
    /// anything to keep and room for it.
    pub fn end(&self, now: Moment, call: Call, number: u64, grown: usize, outcome: Option<Outcome>) {
        let calls = &mut *self.calls.lock();
        calls.give(call.whose, grown);
        let Some(known) = calls.by_id.get_mut(&call.id).filter(|known| known.number == number) else {
            return;
        };
        let bytes = outcome.as_ref().map_or(0, Outcome::bytes);
        let Some(outcome) = outcome.filter(|_| bytes <= self.bytes_max) else {
            calls.by_id.remove(&call.id);
            return;
        };
        known.outcome = Some((outcome, bytes));
        calls.take(call.whose, bytes);
        calls.numbers += 1;
        calls.ended.insert(calls.numbers, (now, call.id));
        calls.shares.entry(call.whose).or_default().kept.push_back(calls.numbers);
        calls.make_room(call.whose, self.bytes_max);
    }

    /// Forgets what was kept for long enough.
    pub fn tidy(&self, now: Moment) {
        self.calls.lock().forget(|ended| now.since(ended) >= self.keep);
    }
}

impl Calls {
    fn forget(&mut self, is_old: impl Fn(Moment) -> bool) {
        while let Some((_, (ended, id))) = self.ended.first_key_value()
            && is_old(*ended)
        {
            // What ended first of all is the first of its share as well.
            let Some(whose) = self.by_id.get(id).map(|known| known.whose) else { return };
            self.forget_oldest(whose);
        }
    }

    /// Forgets what was kept of those who use most, until all of it fits. Nobody gives way to one who uses more.
    fn make_room(&mut self, whose: Whose, bytes_max: usize) -> bool {
        while self.bytes > bytes_max {
            let own = self.shares.get(&whose).map_or(0, |share| share.bytes);
            let most = self.by_use.iter().rev().take_while(|(bytes, _)| *bytes >= own);
            let has_kept =
                |(_, whose): &&(usize, Whose)| self.shares.get(whose).is_some_and(|s| !s.kept.is_empty());
            let Some((_, gives)) = most.into_iter().find(has_kept).copied() else { return false };
            self.forget_oldest(gives);
        }
        true
    }

    fn forget_oldest(&mut self, whose: Whose) {
        let Some(number) = self.shares.get_mut(&whose).and_then(|share| share.kept.pop_front()) else {
            return;
        };
        let known = self.ended.remove(&number).and_then(|(_, id)| self.by_id.remove(&id));
        let bytes = known.and_then(|known| known.outcome).map_or(0, |(_, bytes)| bytes);
        self.give(whose, bytes);
    }

    /// Counts bytes that one takes.
    fn take(&mut self, whose: Whose, bytes: usize) {
        let share = self.shares.entry(whose).or_default();
        self.by_use.remove(&(share.bytes, whose));
        share.bytes += bytes;
        self.by_use.insert((share.bytes, whose));
        self.bytes += bytes;
    }

    /// Counts bytes that one gives back.
    fn give(&mut self, whose: Whose, bytes: usize) {
        let Some(share) = self.shares.get_mut(&whose) else { return };
        self.by_use.remove(&(share.bytes, whose));
        share.bytes -= bytes;
        self.bytes -= bytes;
        if share.bytes == 0 && share.kept.is_empty() {
            self.shares.remove(&whose);
        } else {
            self.by_use.insert((share.bytes, whose));
        }
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
        Call { id: [id; 32], body: [body; 32], whose: 1 }
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
        replays.end(Moment(5), call(1, 0), first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(104), call(1, 1)), Claim::Made(_)));
        assert!(matches!(replays.claim(Moment(104), call(1, 2)), Claim::Other));
        let second = number(&replays.claim(Moment(105), call(1, 2)));
        replays.end(Moment(106), call(1, 0), first, 0, answer(10));
        assert!(matches!(replays.claim(Moment(107), call(1, 2)), Claim::Running(_)), "the first is over");
        replays.end(Moment(108), call(1, 0), second, 0, None);
        number(&replays.claim(Moment(109), call(1, 3)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let replays = Replays::new(3 * (HEAD_BYTES + 100), Span(1_000));
        for id in 1..=4 {
            let number = number(&replays.claim(Moment(0), call(id, 0)));
            replays.end(Moment(u64::from(id)), call(id, 0), number, 0, answer(100));
        }
        let is_kept = |id| matches!(replays.claim(Moment(5), call(id, 0)), Claim::Made(_));
        assert_eq!([1, 2, 3, 4].map(is_kept), [false, true, true, true]);
        let large = number(&replays.claim(Moment(5), call(9, 0)));
        replays.end(Moment(5), call(9, 0), large, 0, answer(10_000));
        assert!(!is_kept(9));
        assert_eq!([2, 3, 4].map(is_kept), [true; 3], "nothing makes way for what is too large");
        replays.tidy(Moment(1_005));
        let calls = replays.calls.lock();
        assert_eq!((calls.bytes, calls.shares.len(), calls.by_use.len(), calls.ended.len()), (0, 0, 0, 0));
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
            replays.end(Moment(u64::from(id)), call(id, 0), number, 0, answer(0));
        }
        let running = number(&replays.claim(Moment(3), call(3, 0)));
        assert!(replays.grow(1, 2 * HEAD_BYTES));
        assert!(matches!(replays.claim(Moment(3), call(2, 0)), Claim::Made(_)), "one had to go");
        assert!(!replays.grow(1, 2 * HEAD_BYTES), "there is nothing left to forget");
        replays.end(Moment(4), call(3, 0), running, 2 * HEAD_BYTES, None);
        assert!(replays.grow(1, 3 * HEAD_BYTES), "all of it is free again");
    }

    #[test]
    fn whoever_uses_most_gives_way_and_nobody_is_pushed_out_by_one_who_uses_more() {
        let replays = Replays::new(5 * HEAD_BYTES, Span(1_000));
        let of = |whose, id: u8| Call { whose, ..call(id, 0) };
        let keep = |whose, id: u8| {
            let number = number(&replays.claim(Moment(0), of(whose, id)));
            replays.end(Moment(u64::from(id)), of(whose, id), number, 0, answer(0));
        };
        let is_kept = |whose, id| {
            let claim = replays.claim(Moment(50), of(whose, id));
            if let Claim::Mine(number) = claim {
                replays.end(Moment(50), of(whose, id), number, 0, None);
            }
            matches!(claim, Claim::Made(_))
        };
        keep(1, 1);
        for id in 11..=30 {
            keep(2, id);
        }
        assert!(is_kept(1, 1), "the oldest of all, and the only one of its account");
        assert_eq!([26, 27, 30].map(|id| is_kept(2, id)), [false, true, true]);
        // Somebody else's first one takes the place of one of those.
        keep(3, 2);
        assert_eq!([is_kept(1, 1), is_kept(3, 2), is_kept(2, 27), is_kept(2, 28)], [true, true, false, true]);
        // What is being written has room out of one's own share and of those who use more.
        let writing = number(&replays.claim(Moment(60), of(1, 3)));
        assert!(replays.grow(1, HEAD_BYTES) && !is_kept(2, 28));
        assert!(!replays.grow(1, 3 * HEAD_BYTES), "the others use less");
        assert!([is_kept(3, 2), is_kept(2, 29), is_kept(2, 30)].iter().all(|kept| *kept));
        replays.end(Moment(61), of(1, 3), writing, HEAD_BYTES, None);
        replays.tidy(Moment(2_000));
        assert!(replays.calls.lock().shares.is_empty());
    }
}
