//! Effects: what the shell must do, in the order in which they come.

use std::sync::Arc;

use rekursing_protocol::{
    AccountId, FailCode, JobId, Nanos, Offer, PluginId, Price, SessionId, earnings::Receipt,
};

use crate::{ledger::Entry, refusal::Refusal, tier::Tier, visitors::Visit};

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Give the job to the session.
    Assign(Box<Assignment>),
    /// Tell the session to stop the job; nobody waits for it.
    Cancel {
        /// The job.
        job: JobId,
        /// Its lease.
        lease: u32,
        /// Who has it.
        session: SessionId,
    },
    /// The session is gone in the middle of the answer. The shell answers with
    /// [`crate::Market::fail`], code `Cut` and the usage so far, which settles the job.
    Lost {
        /// The job.
        job: JobId,
        /// Its lease, still the one to report with.
        lease: u32,
    },
    /// Store the entry, in this order among all entries.
    Record(Entry),
    /// Keep how many free answers a visitor has had, for the next start.
    Visited(Visit),
    /// The job was charged. Follows its [`Effect::Record`].
    Settled {
        /// The job.
        job: JobId,
        /// What it cost and earned.
        receipt: Receipt,
        /// The tier that the page got and pays.
        tier: Tier,
        /// Who served it; `None` when the session is gone.
        session: Option<SessionId>,
        /// Whether the answer came to its end.
        complete: bool,
        /// Whether the server's claim is far from the relay's count.
        discrepancy: bool,
    },
    /// The job is over without a complete answer. A job that the shell cancelled ends without this.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        end: End,
    },
    /// Store whether an account's premium goes on, and for how much at most.
    Renewal {
        /// The account.
        account: AccountId,
        /// The most that is paid for the next period; `None` when it is to end.
        renews_for: Option<Nanos>,
    },
    /// Close the session; the market has already forgotten it.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
}

/// A job for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The job.
    pub job: JobId,
    /// Which attempt this is, from 1; what comes with another lease is dropped and never paid.
    pub lease: u32,
    /// Who serves.
    pub session: SessionId,
    /// Whose session it is.
    pub plugin: PluginId,
    /// With which model.
    pub offer: Arc<Offer>,
    /// In which tier.
    pub tier: Tier,
    /// What the page pays, after the tier.
    pub price: Price,
    /// Most answer tokens; the shell limits the server to them. 0 for embeddings.
    pub answer_tokens_max: u64,
}

/// How a job ended without a complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing was delivered and nothing is charged.
    Refused(Refusal),
    /// The answer broke off after its first piece. What was delivered is charged: where it came to
    /// anything, an [`Effect::Settled`] precedes.
    Failed {
        /// Why.
        code: FailCode,
        /// The server's words for the page, or empty.
        detail: String,
    },
}

/// Why the market closes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// A newer session of the same plugin took over.
    Replaced,
    /// Its plugin may not come any more.
    Revoked,
    /// No heartbeat for too long.
    TimedOut,
    /// Its socket was lost, and nobody resumed it in time.
    Expired,
}
