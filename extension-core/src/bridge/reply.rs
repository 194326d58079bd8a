//! One job's answer as a state machine: the server's bytes go in, pieces of the answer come out.
//!
//! It keeps the job's credit and its deadlines, and it knows every way in which an answer can fail
//! to be one. Texts that came in together leave as one piece; nothing is ever held back to wait for more.

mod measure;
mod whole;

use std::collections::VecDeque;

use rekursing_protocol::{FailCode, Moment, Span, frame::Call};
use serde_json::value::RawValue;

use super::{
    chunk::{self, Content, Reading, Usage},
    fault::Fault,
    server::Kind,
    sse::Sse,
};
pub use measure::Measure;

/// Most bytes of an error's body that are read.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// Most bytes of a whole answer.
pub const WHOLE_BYTES_MAX: usize = 16 << 20;

/// Bytes of a whole answer for a token of which its server has not told.
const BYTES_PER_TOKEN: usize = 4;

/// Most bytes of pieces that may be allowed to leave at one moment; more is not counted.
pub const CREDIT_BYTES_MAX: u64 = 16 << 20;

/// On what terms a job is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The call that was made.
    pub call: Call,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// Which kind of server answers; kinds fail in their own ways.
    pub server: Kind,
    /// Bytes of pieces that may leave before more is allowed; also the most that one chunk may hold.
    pub credit: u64,
    /// Most bytes of one piece; longer texts are cut, longer chunks refused.
    pub piece_bytes_max: usize,
    /// Until the first token must have come.
    pub first_token: Span,
    /// What may pass between tokens.
    pub idle: Span,
    /// What the whole answer may take.
    pub total: Span,
}

/// A piece of the answer.
#[derive(Debug)]
pub enum Piece {
    /// Text and nothing else.
    Text(String),
    /// More than text: a chunk's `choices`.
    Choices(Box<RawValue>),
    /// The next part of a whole answer's JSON.
    Part(String),
}

/// How a good answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ending {
    /// Why the server stopped; empty for a whole answer.
    pub finish: String,
    /// The server's count of prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// The server's count of answer tokens.
    pub answer_tokens: Option<u64>,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Pass on this piece.
    Piece(Piece),
    /// Stop reading the server's body: nothing more may leave.
    Pause,
    /// Go on reading.
    Resume,
    /// The answer is complete; the last step.
    Done(Ending),
    /// The answer failed; the last step. Whatever is still read of it is of no use.
    Failed(Fault),
}

/// One job's answer.
#[derive(Debug)]
pub struct Reply {
    terms: Terms,
    source: Source,
    queue: VecDeque<Piece>,
    /// Bytes of the queue's first piece that have left.
    sent: usize,
    credit: u64,
    paused: bool,
    finish: Option<String>,
    usage: Usage,
    measure: Measure,
    /// The answer's status, once its head has come.
    status: Option<u16>,
    /// When the server last said anything, for the idle deadline.
    heard: Moment,
    ending: Option<Result<Ending, Fault>>,
    closed: bool,
}

/// What the server's bytes are.
#[derive(Debug)]
enum Source {
    /// The head has not come.
    Nothing,
    /// An event stream.
    Events(Sse),
    /// One JSON text.
    Whole(Vec<u8>),
    /// The body of an error.
    Error { status: u16, body: Vec<u8> },
}

impl Reply {
    /// Begins with the job, when its request leaves.
    pub fn new(terms: Terms, now: Moment) -> Reply {
        Reply {
            terms,
            source: Source::Nothing,
            queue: VecDeque::new(),
            sent: 0,
            credit: terms.credit.min(CREDIT_BYTES_MAX),
            paused: false,
            finish: None,
            usage: Usage::default(),
            measure: Measure::new(now),
            status: None,
            heard: now,
            ending: None,
            closed: false,
        }
    }

    /// Takes in the answer's status and content type.
    pub fn head(&mut self, status: u16, content_type: &str, now: Moment) {
        (self.heard, self.status) = (now, Some(status));
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let expected = if self.terms.stream { "text/event-stream" } else { "application/json" };
        let json = kind.eq_ignore_ascii_case("application/json");
        self.source = match status {
            200 if kind.eq_ignore_ascii_case(expected) => {
                if self.terms.stream {
                    Source::Events(Sse::new())
                } else {
                    Source::Whole(Vec::new())
                }
            }
            // LM Studio answers some errors with 200.
            200 if !json => return self.fail(Fault::of(FailCode::Malformed)),
            _ => Source::Error { status, body: Vec::new() },
        };
    }

    /// Takes in bytes of the body.
    pub fn feed(&mut self, bytes: &[u8], now: Moment) {
        if self.ending.is_some() {
            return;
        }
        match &mut self.source {
            Source::Nothing => self.fail(Fault::of(FailCode::Malformed)),
            Source::Events(sse) => {
                let mut sse = std::mem::take(sse);
                self.events(&mut sse, bytes, now);
                self.source = Source::Events(sse);
            }
            Source::Whole(body) => {
                if body.len() + bytes.len() > WHOLE_BYTES_MAX {
                    // How many vectors there are is the page's own choice; no text is that long.
                    let code = match self.terms.call {
                        Call::Embedding => FailCode::TooLarge,
                        Call::Chat | Call::Completion => FailCode::Malformed,
                    };
                    return self.fail(Fault::of(code));
                }
                body.extend_from_slice(bytes);
            }
            Source::Error { status, body } => {
                let room = ERROR_BYTES_MAX - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if body.len() == ERROR_BYTES_MAX {
                    let fault = Fault::of_status(*status, body);
                    self.fail(fault);
                }
            }
        }
    }

    /// Takes in that the body ended as it should.
    pub fn end(&mut self, now: Moment) {
        if self.ending.is_some() {
            return;
        }
        match std::mem::replace(&mut self.source, Source::Nothing) {
            Source::Nothing => self.fail(Fault::of(FailCode::Malformed)),
            Source::Events(mut sse) => {
                match sse.last() {
                    Ok(Some(data)) => self.event(data, now),
                    Ok(None) => {}
                    Err(_) => self.fail(Fault::of(FailCode::Malformed)),
                }
                if self.ending.is_none() && self.finish.is_none() && self.measure.pieces() > 0 {
                    self.fail(Fault::of(FailCode::Cut));
                }
                if self.ending.is_none() {
                    self.complete();
                }
            }
            Source::Whole(body) => match whole::read(self.terms.call, body) {
                Ok((text, usage)) => {
                    let guess =
                        if self.terms.call == Call::Embedding { 0 } else { text.len() / BYTES_PER_TOKEN };
                    self.measure.whole(guess as u64, now);
                    self.usage = usage;
                    self.queue.push_back(Piece::Part(text));
                    self.settle(String::new());
                }
                Err(fault) => self.fail(fault),
            },
            Source::Error { status: 200, body } if !whole::is_error(&body) => {
                self.fail(Fault::of(FailCode::Malformed));
            }
            Source::Error { status, body } => self.fail(Fault::of_status(status, &body)),
        }
    }

    /// Takes in that the connection to the server broke, or never came about.
    pub fn broke(&mut self) {
        if self.ending.is_some() {
            return;
        }
        match &self.source {
            Source::Nothing => self.fail(Fault::of(FailCode::Unreachable)),
            Source::Events(_) if self.finish.is_some() => self.complete(),
            Source::Error { status, body } if *status != 200 => {
                let fault = Fault::of_status(*status, body);
                self.fail(fault);
            }
            Source::Events(_) | Source::Whole(_) | Source::Error { .. } => {
                self.fail(Fault::of(FailCode::Cut))
            }
        }
    }

    /// Allows so many more bytes to leave, up to [`CREDIT_BYTES_MAX`] at one moment.
    pub fn allow(&mut self, bytes: u64, now: Moment) {
        self.credit = self.credit.saturating_add(bytes).min(CREDIT_BYTES_MAX);
        // While nothing could leave, the server was not listened to: its silence starts over.
        if self.paused {
            self.heard = now;
        }
    }

    /// Fails the answer if a deadline has passed.
    pub fn tick(&mut self, now: Moment) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        // The server has said why it stopped and only the end of the stream is missing.
        if self.ending.is_none() && self.finish.is_some() && now < self.measure.started() + self.terms.total {
            return self.complete();
        }
        // Whoever has begun and goes on to the last is not stuck.
        let time_is_up = self.measure.first().is_some() && now >= self.measure.started() + self.terms.total;
        let code = if time_is_up { FailCode::TimeUp } else { FailCode::Stalled };
        self.ending = Some(Err(Fault::of(code)));
    }

    /// Returns when [`Reply::tick`] is due; `None` once the last step was taken.
    pub fn deadline(&self) -> Option<Moment> {
        if self.closed {
            return None;
        }
        let total = self.measure.started() + self.terms.total;
        if self.ending.is_some() || self.paused || !self.terms.stream {
            return Some(total);
        }
        let next = match self.measure.first() {
            None => self.measure.started() + self.terms.first_token,
            Some(_) => self.heard + self.terms.idle,
        };
        Some(next.min(total))
    }

    /// Returns what is to be done next; `None` when it depends on what comes in.
    pub fn step(&mut self) -> Option<Step> {
        if self.closed {
            return None;
        }
        if let Some(piece) = self.piece() {
            return Some(Step::Piece(piece));
        }
        match &self.ending {
            None if self.queue.is_empty() && self.paused => {
                self.paused = false;
                return Some(Step::Resume);
            }
            None if !self.queue.is_empty() && !self.paused => {
                self.paused = true;
                return Some(Step::Pause);
            }
            None => return None,
            Some(Ok(_)) if !self.queue.is_empty() => return None,
            Some(_) => {}
        }
        self.closed = true;
        Some(match self.ending.take()? {
            Ok(ending) => Step::Done(ending),
            Err(fault) => Step::Failed(fault),
        })
    }

    /// Tells whether the server refused the request because of where it comes from: Ollama does that with a
    /// 403, and knows no tokens.
    pub fn is_origin_refused(&self) -> bool {
        self.status == Some(403) && self.terms.server == Kind::Ollama
    }

    /// Tells whether the server has answered at all.
    pub fn has_head(&self) -> bool {
        self.status.is_some()
    }

    /// Tells whether the server has refused the request, and so has done nothing for it.
    pub fn is_turned_away(&self) -> bool {
        self.status.is_some_and(|status| matches!(status, 400..=499 | 503))
    }

    /// Tells whether an answer may be under way of which nothing is seen before its end.
    pub fn is_unseen(&self) -> bool {
        !self.terms.stream && self.terms.call != Call::Embedding && self.measure.pieces() == 0
    }

    /// Returns how fast the answer came.
    pub fn measure(&self) -> &Measure {
        &self.measure
    }

    /// Reads the events of a stream's bytes.
    fn events(&mut self, sse: &mut Sse, bytes: &[u8], now: Moment) {
        let mut input = bytes;
        while self.ending.is_none() {
            match sse.next(&mut input) {
                Ok(Some(data)) => self.event(data, now),
                Ok(None) => return,
                Err(_) => return self.fail(Fault::of(FailCode::Malformed)),
            }
        }
    }

    /// Reads one event.
    fn event(&mut self, data: &[u8], now: Moment) {
        self.heard = now;
        match chunk::read(data) {
            Ok(Reading::Chunk(chunk)) => {
                match chunk.content {
                    Content::Nothing => {}
                    Content::Text(text) => {
                        self.measure.piece(now);
                        match self.queue.back_mut() {
                            Some(Piece::Text(earlier)) => earlier.push_str(&text),
                            _ => self.queue.push_back(Piece::Text(text.into_owned())),
                        }
                    }
                    Content::Rich(choices) => self.choices(choices, now),
                }
                if let Some(finish) = chunk.finish {
                    self.finish = Some(finish.into_owned());
                }
                if let Some(usage) = chunk.usage {
                    self.usage = usage;
                }
            }
            Ok(Reading::Error(error)) => self.fail(Fault::of_error(&error)),
            Ok(Reading::Done) => self.complete(),
            Err(_) => self.fail(Fault::of(FailCode::Malformed)),
        }
    }

    /// Takes in a chunk that is more than text.
    fn choices(&mut self, choices: &RawValue, now: Moment) {
        let bytes = choices.get().len();
        // A chunk is not cut. One past the whole credit could never leave.
        if bytes > self.terms.piece_bytes_max
            || u64::try_from(bytes).is_ok_and(|bytes| bytes > self.terms.credit)
        {
            return self.fail(Fault::of(FailCode::Malformed));
        }
        self.measure.piece(now);
        self.queue.push_back(Piece::Choices(choices.to_owned()));
    }

    /// Ends a stream that came to its end.
    fn complete(&mut self) {
        if self.measure.pieces() == 0 {
            let lm_studio = matches!(self.terms.server, Kind::LmStudio | Kind::LmStudioV0);
            // A prompt past the context makes LM Studio say nothing at all, with status 200.
            let code =
                if lm_studio && self.finish.is_none() { FailCode::ContextOverflow } else { FailCode::Empty };
            return self.fail(Fault::of(code));
        }
        let finish = self.finish.take().unwrap_or_else(|| "stop".to_owned());
        self.settle(finish);
    }

    fn settle(&mut self, finish: String) {
        self.measure.tokens(self.usage.completion_tokens);
        self.ending = Some(Ok(Ending {
            finish,
            prompt_tokens: self.usage.prompt_tokens,
            answer_tokens: self.usage.completion_tokens,
        }));
    }

    fn fail(&mut self, fault: Fault) {
        self.ending.get_or_insert(Err(fault));
    }

    /// Takes the next piece that the credit covers.
    fn piece(&mut self) -> Option<Piece> {
        let limit = usize::try_from(self.credit).unwrap_or(usize::MAX).min(self.terms.piece_bytes_max);
        let fits = self.sent == 0 && self.queue.front()?.bytes() <= limit;
        let piece = if fits { self.queue.pop_front()? } else { self.cut(limit)? };
        self.credit = self.credit.saturating_sub(u64::try_from(piece.bytes()).unwrap_or(u64::MAX));
        Some(piece)
    }

    /// Cuts at most `limit` bytes off the queue's first piece, if it is one that can be cut.
    fn cut(&mut self, limit: usize) -> Option<Piece> {
        let (text, piece): (&str, fn(String) -> Piece) = match self.queue.front()? {
            Piece::Text(text) => (text, Piece::Text),
            Piece::Part(text) => (text, Piece::Part),
            Piece::Choices(_) => return None,
        };
        let end = text.floor_char_boundary(self.sent.saturating_add(limit));
        if end == self.sent {
            return None;
        }
        let piece = piece(text[self.sent..end].to_owned());
        self.sent = end;
        if end == text.len() {
            self.queue.pop_front();
            self.sent = 0;
        }
        Some(piece)
    }
}

impl Piece {
    /// Returns how much credit it uses.
    fn bytes(&self) -> usize {
        match self {
            Piece::Text(text) | Piece::Part(text) => text.len(),
            Piece::Choices(raw) => raw.get().len(),
        }
    }
}

#[cfg(test)]
mod tests;
