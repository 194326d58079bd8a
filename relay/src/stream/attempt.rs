//! One attempt at a job: its credit, its count and its times.

use rekursing_market::Assignment;
use rekursing_protocol::{Moment, Span, frame::Credit};

use super::{Fault, Stream};
use crate::{
    outbox::{Order, Outbox},
    tokens::{Counter, Tokenizer},
};

/// Most pieces of an answer that may hold nothing. They cost no credit, so nothing else bounds them.
pub(super) const EMPTY_PIECES_MAX: u32 = 1_000;

/// One attempt at a job, as its stream sees it.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) assignment: Assignment,
    pub(super) tokenizer: Tokenizer,
    /// Prompt tokens by this attempt's model, once they are counted.
    pub(super) prompt_tokens: Option<u64>,
    outbox: Outbox,
    pub(super) next: u32,
    /// Pieces without anything in them.
    empty: u32,
    /// Bytes that the plugin may still send.
    credit: u32,
    /// Whether so few were left that it may have waited for the page.
    pub(super) throttled: bool,
    /// Bytes that the page has taken and the plugin does not know of.
    taken: u32,
    pub(super) counter: Counter,
    pub(super) body: String,
    pub(super) reason: String,
    pub(super) claimed: (Option<u64>, Option<u64>),
    pub(super) begun_at: Moment,
    pub(super) first_at: Option<Moment>,
    pub(super) last_at: Moment,
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
            throttled: false,
            taken: 0,
            counter: Counter::new(tokenizer),
            body: String::new(),
            reason: String::new(),
            claimed: (None, None),
            begun_at: now,
            first_at: None,
            last_at: now,
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
    ) -> Result<bool, Fault> {
        if stream.work.streamed != streamed {
            return Err(Fault::WrongKind);
        }
        if n != self.next {
            return Err(Fault::OutOfOrder);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Fault::OverCredit)?;
        self.credit = self.credit.checked_sub(bytes).ok_or(Fault::OverCredit)?;
        self.throttled |= self.credit < stream.window / 4;
        self.next += 1;
        self.empty += u32::from(bytes == 0);
        if self.empty > EMPTY_PIECES_MAX {
            return Err(Fault::Empty);
        }
        Ok(bytes > 0)
    }

    pub(super) fn arrived(&mut self, now: Moment) -> bool {
        self.last_at = now;
        self.first_at.replace(self.first_at.unwrap_or(now)).is_none()
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
        let first = self.first_at.unwrap_or(self.last_at);
        (first.since(self.begun_at), self.last_at.since(first))
    }
}
