//! One attempt at a job: its credit, its count and its times.

use rekursing_market::Assignment;
use rekursing_protocol::{
    Moment, Span,
    frame::{Credit, Resumed},
};

use super::{Fault, Patience, Said, Stream, Stuck};
use crate::{
    outbox::{Order, Outbox},
    tokens::{Counter, Tokenizer},
};

/// Most pieces of an answer that may hold nothing for the page. They cost no credit in the end, so nothing else
/// bounds them.
pub(super) const EMPTY_PIECES_MAX: u32 = 1_000;

/// Shortest time for which a page leaves bytes that says that it does not read. Any page's task may be late
/// by some milliseconds.
const STALL_MIN: Span = Span::millis(250);

/// Most bytes of an answer's pieces for each of its tokens while a page's not reading counts; a token's
/// `choices` with what else a server may say of it are some hundred.
const STALL_BYTES_PER_TOKEN_MAX: u64 = 1_024;

/// One attempt at a job, as its stream sees it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) assignment: Assignment,
    pub(super) tokenizer: Tokenizer,
    /// Prompt tokens by this attempt's model, once they are counted.
    pub(super) prompt_tokens: Option<u64>,
    outbox: Outbox,
    pub(super) next: u32,
    /// Pieces without anything in them for the page.
    empty: u32,
    /// Bytes that the plugin may still send.
    credit: u32,
    /// Since when so few are left that it may wait for the page.
    short_since: Option<Moment>,
    /// Bytes of all pieces.
    bytes: u64,
    /// For how long the page did not read while the plugin may have waited, since the last token.
    unread: Span,
    /// The same before it.
    pub(super) stalled: Span,
    /// Bytes that the page has taken and the plugin does not know of.
    taken: u32,
    pub(super) counter: Counter,
    /// The text so far, for whoever may have to go on with it; `None` where nobody could.
    pub(super) said: Option<Said>,
    pub(super) body: String,
    pub(super) reason: String,
    pub(super) claimed: (Option<u64>, Option<u64>),
    /// Whether the plugin has said that the answer is complete.
    pub(super) complete: bool,
    /// What the plugin's lost sockets do to its deadlines.
    pub(super) absence: Absence,
    /// Whether the desk has noted that the answer began, so that nobody else can take the job over.
    pub(super) begun: bool,
    pub(super) begun_at: Moment,
    pub(super) first_at: Option<Moment>,
    pub(super) last_at: Moment,
    /// When the first and the latest token came, which is not before there is something to read.
    tokens_at: Option<(Moment, Moment)>,
}

/// When a plugin's socket was lost. Deadlines stand still meanwhile.
#[derive(Debug, Default)]
pub(super) struct Absence {
    /// Since when it is lost.
    since: Option<Moment>,
    /// How long earlier losses took.
    total: Span,
    /// The same since the latest piece.
    unheard: Span,
}

impl Absence {
    pub(super) fn begin(&mut self, now: Moment) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Moment) {
        if let Some(since) = self.since.take() {
            for sum in [&mut self.total, &mut self.unheard] {
                *sum = Span(sum.0.saturating_add(now.since(since).0));
            }
        }
    }
}

impl Attempt {
    pub(super) fn new(assignment: Assignment, outbox: Outbox, credit: u32, now: Moment) -> Attempt {
        let tokenizer = Tokenizer::of_offer(&assignment.offer);
        Attempt {
            assignment,
            tokenizer,
            prompt_tokens: None,
            outbox,
            next: 0,
            empty: 0,
            credit,
            short_since: None,
            bytes: 0,
            unread: Span(0),
            stalled: Span(0),
            taken: 0,
            counter: Counter::new(tokenizer),
            said: None,
            body: String::new(),
            reason: String::new(),
            claimed: (None, None),
            complete: false,
            absence: Absence::default(),
            begun: false,
            begun_at: now,
            first_at: None,
            last_at: now,
            tokens_at: None,
        }
    }

    /// Checks a piece's kind, number and size, and counts them. Tells whether there is anything in it: what
    /// is empty goes no further, so that it neither begins an answer nor keeps one alive.
    pub(super) fn step(
        &mut self,
        stream: &Stream,
        streamed: bool,
        n: u32,
        bytes: usize,
        now: Moment,
    ) -> Result<bool, Fault> {
        if stream.work.streamed != streamed {
            return Err(Fault::WrongKind);
        }
        if n != self.next {
            return Err(Fault::OutOfOrder);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Fault::OverCredit)?;
        self.credit = self.credit.checked_sub(bytes).ok_or(Fault::OverCredit)?;
        self.bytes += u64::from(bytes);
        if self.credit < stream.window / 4 {
            self.short_since.get_or_insert(now);
        }
        self.next += 1;
        if bytes == 0 {
            self.hide(stream, 0)?;
        }
        Ok(bytes > 0)
    }

    /// Drops a piece of which the page is shown nothing.
    pub(super) fn hide(&mut self, stream: &Stream, bytes: usize) -> Result<(), Fault> {
        self.take(stream, bytes);
        self.empty += 1;
        if self.empty > EMPTY_PIECES_MAX { Err(Fault::Empty) } else { Ok(()) }
    }

    /// Goes on with the plugin on another socket. Credit that the older one's outbox held is told anew.
    pub(super) fn resume(&mut self, outbox: Outbox, now: Moment) -> Resumed {
        self.outbox = outbox;
        self.absence.end(now);
        let Assignment { job, lease, .. } = self.assignment;
        Resumed { job, lease, have: self.next, credit: self.credit }
    }

    /// Tells whether the plugin is silent or away for longer than is patient, or the job at its last moment.
    pub(super) fn stuck(
        &self,
        stream: &Stream,
        untaken: bool,
        now: Moment,
        patience: &Patience,
    ) -> Option<Stuck> {
        let lease = self.assignment.lease;
        // Nobody stays away again and again and keeps a page waiting.
        if self.absence.total > patience.total {
            return Some(Stuck::Plugin(lease));
        }
        if self.absence.since.is_some() {
            return None;
        }
        let without = |span: Span, absence: Span| Span(span.0.saturating_sub(absence.0));
        let age = without(now.since(self.begun_at), self.absence.total);
        let is_silent = match self.first_at {
            // A whole answer is silent until its end; a page that reads slowly silences its plugin.
            None => age > patience.first_token && stream.work.streamed,
            Some(_) => !untaken && without(now.since(self.last_at), self.absence.unheard) > patience.idle,
        };
        match (is_silent, age > patience.total, self.first_at) {
            (true, _, _) | (false, true, None) => Some(Stuck::Plugin(lease)),
            (false, true, Some(_)) => Some(Stuck::Job(lease)),
            (false, false, _) => None,
        }
    }

    /// Notes that a piece came. Tells whether it is the first.
    pub(super) fn arrived(&mut self, now: Moment) -> bool {
        self.last_at = now;
        self.absence.unheard = Span::ZERO;
        self.first_at.replace(self.first_at.unwrap_or(now)).is_none()
    }

    /// Counts what the model wrote in a piece. What cannot be read is no first token: padding makes nobody
    /// prompt.
    pub(super) fn count(&mut self, now: Moment, count: impl FnOnce(&mut Counter)) {
        let before = self.counter.words();
        count(&mut self.counter);
        if self.counter.words() > before {
            let first = self.tokens_at.map_or(now, |(first, _)| first);
            self.tokens_at = Some((first, now));
            self.stalled = Span(self.stalled.0 + std::mem::take(&mut self.unread).0);
        }
    }

    /// Keeps what was said, as long as it is not too much.
    pub(super) fn say(&mut self, text: &str) {
        if let Some(said) = &mut self.said
            && !said.push(text)
        {
            self.said = None;
        }
    }

    /// Notes that the page reads, and left bytes for as long as this. Only a wait that the plugin can have
    /// noticed counts, and none that it made up itself with bytes that hold next to no text.
    pub(super) fn read(&mut self, now: Moment, untaken_since: Moment) {
        let short_since = self.short_since.take();
        if short_since.is_some() {
            // It may have waited for the page until now, which is no silence of its own.
            self.last_at = now;
        }
        let (Some(short_since), Some(_)) = (short_since, self.tokens_at) else { return };
        let waited = now.since(untaken_since.max(short_since));
        if waited >= STALL_MIN && self.bytes <= self.counter.total().saturating_mul(STALL_BYTES_PER_TOKEN_MAX)
        {
            self.unread = Span(self.unread.0 + waited.0);
        }
    }

    /// Notes that bytes have left the stream, and gives credit for them once a quarter of the window
    /// has gathered.
    pub(super) fn take(&mut self, stream: &Stream, bytes: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.taken >= stream.window / 4 {
            let bytes = std::mem::take(&mut self.taken);
            self.credit = self.credit.saturating_add(bytes);
            let lease = self.assignment.lease;
            self.outbox.push(Order::Credit(Credit { job: stream.job, lease, bytes }));
        }
    }

    /// Returns the time to the first token, and from it to the last. Of a whole answer, which comes at its
    /// end, the first is not known and the second is the whole time.
    pub(super) fn speeds(&self, streamed: bool) -> (Span, Span) {
        if !streamed {
            return (Span(0), self.last_at.since(self.begun_at));
        }
        let (first, last) = self.tokens_at.unwrap_or((self.last_at, self.last_at));
        // Nothing is instantaneous, and nothing says that it was not measured.
        (first.since(self.begun_at).max(Span(1)), last.since(first))
    }
}
