//! A stream: one job's answer on its way from a session to its page.
//!
//! The session pushes pieces, the page takes them; neither waits for the other. What may lie between
//! them is bounded by credit: the plugin may send only as many bytes as the page has taken, plus a
//! window. The stream counts tokens as they pass and knows no rule about money.

mod attempt;
mod said;

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use rekursing_market::{Assignment, Payer, Refusal, Tier, Usage};
use rekursing_protocol::{
    FailCode, JobId, Moment, PluginId, Span,
    earnings::Receipt,
    frame::{Kept, Resumed},
};
use serde_json::value::RawValue;

use crate::{
    answer::{self, Form, Read, Unread},
    outbox::Outbox,
    print::Print,
    store::Prints,
    tokens::{Counter, Tokenizer},
    work::{Part, Work},
};
use attempt::Attempt;
pub(crate) use said::Said;

/// A piece of a streamed answer.
#[derive(Debug)]
pub enum Piece {
    /// Nothing but text.
    Text(String),
    /// The `choices` of one chunk that is more than text.
    Choices(Box<RawValue>),
}

/// Fewest bytes of a piece beside plain text. Each becomes an event of a few hundred bytes, so without a
/// least size a plugin could spend next to no credit and have relay and page work without end.
const CHOICES_BYTES_MIN: usize = 16;

/// Bytes of the window for each piece beside plain text that may wait for the page.
const WINDOW_BYTES_PER_PIECE: u32 = 32;

/// How a job ended.
#[derive(Debug)]
pub enum Ending {
    /// Complete, charged, durable.
    Done(Box<Finish>),
    /// Nothing was delivered and nothing is charged.
    Refused(Refusal),
    /// The vectors are longer than this many bytes; nothing is charged.
    TooLarge(usize),
    /// It broke off; what was delivered is charged, durably.
    Failed {
        /// Why.
        code: FailCode,
        /// The server's words, or empty.
        detail: String,
        /// The charge, if there is one.
        receipt: Option<Receipt>,
    },
}

impl Ending {
    /// Tells whether nothing was charged.
    pub const fn is_fruitless(&self) -> bool {
        match self {
            Ending::Done(_) | Ending::Failed { receipt: Some(_), .. } => false,
            Ending::Refused(_) | Ending::TooLarge(_) | Ending::Failed { receipt: None, .. } => true,
        }
    }
}

/// The end of a complete answer.
#[derive(Debug)]
pub struct Finish {
    /// What was charged.
    pub receipt: Receipt,
    /// The tier that the page got.
    pub tier: Tier,
    /// Why the server stopped.
    pub reason: String,
    /// The whole answer's JSON when it was not streamed, else empty.
    pub body: String,
    /// Until the first token, from the start at the plugin; zero of a whole answer.
    pub first_token: Span,
    /// From the first token to the last; of a whole answer from the start to the end.
    pub generation: Span,
}

/// Everything new since the page last took something.
#[derive(Debug)]
pub struct Batch {
    /// The pieces, in order.
    pub pieces: VecDeque<Piece>,
    /// The end, behind them.
    pub ending: Option<Ending>,
}

/// What is wrong with a frame about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The job has gone to somebody else or is over: drop the frame.
    Stale,
    /// A piece is missing or doubled.
    OutOfOrder,
    /// More bytes than were allowed.
    OverCredit,
    /// One more piece without anything in it than is borne.
    Empty,
    /// A piece that this job does not have: a part of a whole answer in a streamed one or the reverse.
    WrongKind,
    /// A piece that holds next to nothing, and so costs no credit and yet work.
    TooSmall,
}

/// One job's stream.
#[derive(Debug)]
pub struct Stream {
    /// The job.
    pub job: JobId,
    /// What to do.
    pub work: Work,
    window: u32,
    form: Form,
    /// See [`Work::may_go_on`], which reads the whole request.
    may_go_on: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attempt: Option<Attempt>,
    pieces: VecDeque<Piece>,
    receipt: Option<Receipt>,
    ending: Option<Ending>,
    waker: Option<Waker>,
    /// Since when pieces wait that the page has not taken.
    untaken_since: Option<Moment>,
}

/// What a part of an answer has said, for whoever goes on with it.
#[derive(Debug)]
pub struct Told {
    /// The text.
    pub(crate) said: Said,
    /// Who said it.
    pub assignment: Assignment,
    /// The prompt's tokens as this model has them.
    pub prompt_tokens: u64,
    /// With what they were counted.
    pub tokenizer: Tokenizer,
    /// The text's tokens.
    pub answer_tokens: u64,
}

/// A stuck job, as the watchdog sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// The plugin has been silent for too long.
    Plugin(u32),
    /// The answer, which has begun, has taken all the time that it may.
    Job(u32),
    /// The page has not read for too long.
    Page,
}

/// What becomes of a job whose plugin is back.
#[derive(Debug, PartialEq, Eq)]
pub enum Return {
    /// It goes on.
    Open(Resumed),
    /// The plugin has nothing more to say of it; the relay is still at it.
    Complete,
    /// It cannot be pieced together.
    Lost,
}

/// The watchdog's patience.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the first token.
    pub first_token: Span,
    /// Between tokens.
    pub idle: Span,
    /// For the whole job.
    pub total: Span,
    /// Until the page reads.
    pub page: Span,
}

impl Stream {
    /// Makes a stream with `window` bytes between plugin and page.
    pub fn new(job: JobId, work: Work, window: u32) -> Arc<Stream> {
        let form = Form { call: work.call, streamed: work.streamed, tools: work.has_tools() };
        let may_go_on = work.may_go_on();
        Arc::new(Stream { job, work, window, form, may_go_on, state: Mutex::default() })
    }

    /// Tells whether another provider could go on with the answer.
    pub const fn may_go_on(&self) -> bool {
        self.may_go_on
    }

    /// Notes who has the job. What an earlier attempt left is dropped: the page saw none of it.
    pub fn assign(&self, assignment: Assignment, outbox: Outbox, now: Moment) {
        let mut state = self.state.lock();
        state.pieces.clear();
        state.untaken_since = None;
        let mut attempt = Attempt::new(assignment, outbox, self.window, now);
        if let Payer::Page(_) = self.work.payer {
            attempt.counter = attempt.counter.printing(Some(Print::of(self.job)));
        }
        attempt.said = if self.may_go_on { Said::beside(&self.work.room) } else { None };
        if attempt.tokenizer == self.work.tokenizer {
            attempt.prompt_tokens = Some(self.work.prompt_tokens);
        }
        state.attempt = Some(attempt);
    }

    /// Returns who has the job.
    pub fn assignment(&self) -> Option<Assignment> {
        self.state.lock().attempt.as_ref().map(|attempt| attempt.assignment.clone())
    }

    /// Reads who has the job under this lease, without a copy.
    pub fn with_assignment<T>(&self, lease: u32, read: impl FnOnce(&Assignment) -> T) -> Option<T> {
        let state = self.state.lock();
        let attempt = state.attempt.as_ref().filter(|attempt| attempt.assignment.lease == lease)?;
        Some(read(&attempt.assignment))
    }

    /// Counts the prompt by the model of this attempt, unless that is done. Takes as long as the prompt,
    /// and holds up nobody else.
    pub fn count_prompt(&self, lease: u32) {
        let uncounted =
            |attempt: &&mut Attempt| attempt.assignment.lease == lease && attempt.prompt_tokens.is_none();
        let tokenizer = self.state.lock().attempt.as_mut().filter(uncounted).map(|attempt| attempt.tokenizer);
        let Some(tokenizer) = tokenizer else { return };
        let tokens = self.work.prompt_tokens_by(tokenizer);
        if let Some(attempt) = self.state.lock().attempt.as_mut().filter(uncounted) {
            attempt.prompt_tokens = Some(tokens);
        }
    }

    /// Lets an attempt's deadlines stand still: the socket of whoever has it is lost.
    pub fn suspend(&self, lease: u32, now: Moment) {
        if let Ok(attempt) = self.state.lock().attempt(lease) {
            attempt.absence.begin(now);
        }
    }

    /// Goes on with an attempt over another outbox, if what the plugin has kept of it reaches from what has
    /// come to where the answer is.
    pub fn resume(&self, lease: u32, kept: Option<&Kept>, outbox: &Outbox, now: Moment) -> Return {
        let mut state = self.state.lock();
        let Ok(attempt) = state.attempt(lease) else { return Return::Lost };
        if attempt.complete {
            return Return::Complete;
        }
        match kept {
            Some(kept) if (kept.from..=kept.n).contains(&attempt.next) => {
                Return::Open(attempt.resume(outbox.clone(), now))
            }
            Some(_) | None => Return::Lost,
        }
    }

    /// Returns the bytes that a plugin may send at first.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Lets the page see what an attempt delivers, from its first piece on. Called once the desk has noted
    /// that the answer began: until then the job may go to somebody else, and the page must not have seen a
    /// word of it.
    pub fn began(&self, lease: u32) {
        let mut state = self.state.lock();
        if let Ok(attempt) = state.attempt(lease) {
            attempt.begun = true;
            state.wake();
        }
    }

    /// Takes a piece of text from the plugin. Returns whether it is the attempt's first, which the page does
    /// not see before [`Stream::began`].
    pub fn text(&self, lease: u32, n: u32, text: &str, now: Moment) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let attempt = state.attempt(lease)?;
        if !attempt.step(self, true, n, text.len(), now)? {
            return Ok(false);
        }
        attempt.count(now, |counter| counter.say(text));
        attempt.say(text);
        let first = attempt.arrived(now);
        match state.pieces.back_mut() {
            Some(Piece::Text(waiting)) => waiting.push_str(text),
            _ => state.pieces.push_back(Piece::Text(text.to_owned())),
        }
        state.arrived(now);
        Ok(first)
    }

    /// Takes a piece that is more than text, of which the page gets what it is shown. Returns whether it is
    /// the attempt's first, which the page does not see before [`Stream::began`].
    pub fn choices(&self, lease: u32, n: u32, choices: &RawValue, now: Moment) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let attempt = state.attempt(lease)?;
        let piece = on_one_line(choices)?;
        let shown = answer::shown(piece.get());
        if shown.as_ref().is_some_and(|shown| shown.len() < CHOICES_BYTES_MIN) {
            return Err(Fault::TooSmall);
        }
        let bytes = if is_empty(&piece) { 0 } else { choices.get().len() };
        if !attempt.step(self, true, n, bytes, now)? {
            return Ok(false);
        }
        let Some(shown) = shown else { return attempt.hide(self, bytes).map(|()| false) };
        attempt.take(self, bytes.saturating_sub(shown.len()));
        let piece = match shown {
            Cow::Borrowed(_) => piece,
            Cow::Owned(shown) => RawValue::from_string(shown).map_err(|_| Fault::WrongKind)?,
        };
        attempt.count(now, |counter| answer::count_choices(piece.get(), self.form, counter));
        // Nobody could go on behind it in words.
        attempt.said = None;
        let first = attempt.arrived(now);
        if state.pieces.len() >= (self.window / WINDOW_BYTES_PER_PIECE) as usize {
            return Err(Fault::OverCredit);
        }
        state.pieces.push_back(Piece::Choices(piece));
        state.arrived(now);
        Ok(first)
    }

    /// Takes a part of a whole answer, which is kept until its end. Returns whether the answer is
    /// longer than `bytes_max`.
    pub fn body(&self, lease: u32, n: u32, part: &str, now: Moment, bytes_max: usize) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let attempt = state.attempt(lease)?;
        if !attempt.step(self, false, n, part.len(), now)? {
            return Ok(false);
        }
        attempt.arrived(now);
        if attempt.body.len() + part.len() > bytes_max {
            return Ok(true);
        }
        attempt.body.push_str(part);
        attempt.take(self, part.len());
        Ok(false)
    }

    /// Notes how the server ended. Returns a whole answer, which is still to be read.
    pub fn complete(
        &self,
        lease: u32,
        pieces: u32,
        reason: &str,
        claimed: (Option<u64>, Option<u64>),
    ) -> Result<Option<Unread>, Fault> {
        let mut state = self.state.lock();
        let attempt = state.attempt(lease)?;
        if attempt.complete {
            return Err(Fault::Stale);
        }
        if pieces != attempt.next {
            return Err(Fault::OutOfOrder);
        }
        attempt.complete = true;
        attempt.reason = reason.chars().take(40).collect();
        attempt.claimed = claimed;
        if self.work.streamed {
            return Ok(None);
        }
        let counter = std::mem::replace(&mut attempt.counter, Counter::new(Tokenizer::Rule));
        Ok(Some(Unread { body: std::mem::take(&mut attempt.body), counter, form: self.form }))
    }

    /// Takes a whole answer back that was read.
    pub fn read(&self, lease: u32, read: Read) -> Result<(), Fault> {
        let mut state = self.state.lock();
        let attempt = state.attempt(lease)?;
        (attempt.body, attempt.counter) = (read.body, read.counter);
        (attempt.reason, attempt.claimed) = (read.whole.reason, read.whole.claimed);
        Ok(())
    }

    /// Returns what has been delivered so far.
    pub fn usage(&self) -> Usage {
        let state = self.state.lock();
        let Some(attempt) = &state.attempt else { return Usage::default() };
        let (first_token, generation) = attempt.speeds(self.work.streamed);
        Usage {
            prompt_tokens: attempt.prompt_tokens.unwrap_or(self.work.prompt_tokens),
            answer_tokens: attempt.counter.total(),
            // A server counts what was said before as prompt.
            claimed_prompt: attempt.claimed.0.filter(|_| self.work.part == Part::First),
            claimed_answer: attempt.claimed.1,
            first_token,
            generation,
            stalled: attempt.stalled,
        }
    }

    /// Returns the prints of what was asked and answered, where any are kept.
    pub fn prints(&self) -> Prints {
        let state = self.state.lock();
        let answer = state.attempt.as_ref().and_then(|attempt| attempt.counter.print());
        Prints { job: self.job, prompt: self.work.prompt_print, answer }
    }

    /// Returns who is at work on the answer and how fast it comes, in thousandths of a token per second; nothing
    /// of a whole answer, of one that has not begun and of one that is complete.
    pub fn pace(&self) -> Option<(PluginId, u64)> {
        let state = self.state.lock();
        let attempt = state.attempt.as_ref().filter(|attempt| attempt.begun && !attempt.complete)?;
        let (_, generation) = attempt.speeds(self.work.streamed);
        if !self.work.streamed {
            return None;
        }
        let pace = (attempt.counter.total() * 1_000_000).checked_div(generation.0).unwrap_or(0);
        Some((attempt.assignment.plugin, pace))
    }

    /// Returns what the answer has said; `None` where it said more than text, too much to be
    /// kept, or there was no room for it.
    pub fn told(&self) -> Option<Told> {
        let mut state = self.state.lock();
        let attempt = state.attempt.as_mut()?;
        Some(Told {
            said: attempt.said.take()?,
            assignment: attempt.assignment.clone(),
            prompt_tokens: attempt.prompt_tokens.unwrap_or(self.work.prompt_tokens),
            tokenizer: attempt.tokenizer,
            answer_tokens: attempt.counter.total(),
        })
    }

    /// Notes what was charged; the end follows.
    pub fn settled(&self, receipt: Receipt, tier: Tier, complete: bool) {
        let mut state = self.state.lock();
        if complete && let Some(attempt) = &mut state.attempt {
            let (first_token, generation) = attempt.speeds(self.work.streamed);
            let finish = Finish {
                receipt,
                tier,
                reason: std::mem::take(&mut attempt.reason),
                body: std::mem::take(&mut attempt.body),
                first_token,
                generation,
            };
            state.end(Ending::Done(Box::new(finish)));
        } else {
            state.receipt = Some(receipt);
        }
    }

    /// Notes that nothing was delivered.
    pub fn refused(&self, refusal: Refusal) {
        self.state.lock().end(Ending::Refused(refusal));
    }

    /// Notes that the vectors are longer than so many bytes.
    pub fn too_large(&self, bytes_max: usize) {
        self.state.lock().end(Ending::TooLarge(bytes_max));
    }

    /// Notes that the answer broke off.
    pub fn failed(&self, code: FailCode, detail: String) {
        let mut state = self.state.lock();
        let receipt = state.receipt.take();
        state.end(Ending::Failed { code, detail, receipt });
    }

    /// Takes what is new, for the page.
    pub fn poll_take(&self, context: &mut Context<'_>, now: Moment) -> Poll<Batch> {
        let mut state = self.state.lock();
        if !state.is_to_be_seen() {
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                state.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        let pieces = std::mem::take(&mut state.pieces);
        let ending = state.ending.take();
        let untaken_since = state.untaken_since.take();
        let taken: usize = pieces.iter().map(Piece::len).sum();
        if let Some(attempt) = state.attempt.as_mut().filter(|_| ending.is_none()) {
            attempt.read(now, untaken_since.unwrap_or(now));
            attempt.take(self, taken);
        }
        Poll::Ready(Batch { pieces, ending })
    }

    /// Tells who keeps the job waiting for longer than is patient.
    pub fn stuck(&self, now: Moment, patience: &Patience) -> Option<Stuck> {
        let state = self.state.lock();
        if state.untaken_since.is_some_and(|since| now.since(since) > patience.page) {
            return Some(Stuck::Page);
        }
        let attempt = state.attempt.as_ref().filter(|_| state.ending.is_none())?;
        attempt.stuck(self, state.untaken_since.is_some(), now, patience)
    }
}

/// A list of choices without line breaks, which would end an event in the middle.
fn on_one_line(choices: &RawValue) -> Result<Box<RawValue>, Fault> {
    let json = choices.get();
    if !json.starts_with('[') {
        return Err(Fault::WrongKind);
    }
    if !json.contains(['\n', '\r']) {
        return Ok(choices.to_owned());
    }
    // Within JSON's texts line breaks are escaped, so these stand between its parts.
    RawValue::from_string(json.replace(['\n', '\r'], " ")).map_err(|_| Fault::WrongKind)
}

/// Tells whether a list of choices has none.
fn is_empty(choices: &RawValue) -> bool {
    choices.get().trim_matches(['[', ']']).trim_ascii().is_empty()
}

impl State {
    fn attempt(&mut self, lease: u32) -> Result<&mut Attempt, Fault> {
        if self.ending.is_some() {
            return Err(Fault::Stale);
        }
        self.attempt.as_mut().filter(|attempt| attempt.assignment.lease == lease).ok_or(Fault::Stale)
    }

    fn is_begun(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.begun)
    }

    /// Tells whether there is something for the page.
    fn is_to_be_seen(&self) -> bool {
        self.ending.is_some() || self.is_begun() && !self.pieces.is_empty()
    }

    fn arrived(&mut self, now: Moment) {
        self.untaken_since.get_or_insert(now);
        if self.is_begun() {
            self.wake();
        }
    }

    fn end(&mut self, ending: Ending) {
        if self.ending.is_none() {
            // What is neither begun nor charged was nobody's answer.
            if !self.is_begun() && ending.is_fruitless() {
                self.pieces.clear();
            }
            self.ending = Some(ending);
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Text(text) => text.len(),
            Piece::Choices(choices) => choices.get().len(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
