//! Entries: what happened to money, and the postings that it amounts to.

use rekursing_protocol::{JobId, Moment, Nanos, earnings::Receipt};

use super::{Account, Quote, Settle, Transfer, settle::less};

/// One thing that happened to money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What caused it: `hold:job_…`, `settle:job_…`, `void:job_…`, or the cause of a transfer with
    /// whatever is its own (`grant:…`). A cause has its effect once, so a store refuses an id that it has.
    pub id: String,
    /// When.
    pub at: Moment,
    /// What.
    pub kind: EntryKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// The most that a job may cost was set aside.
    Hold {
        /// The job.
        job: JobId,
        /// Whose money.
        payer: Account,
        /// How much, and why that much.
        quote: Quote,
    },
    /// A job was charged and the rest of its hold given back.
    Settle(Box<Settle>),
    /// A hold was given back whole.
    Void {
        /// The job.
        job: JobId,
        /// Whose money.
        payer: Account,
        /// How much.
        amount: Nanos,
    },
    /// Money moved for a cause that is no job.
    Transfer(Transfer),
}

/// Money that moves from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The account that it leaves.
    pub debit: Account,
    /// The account that it reaches.
    pub credit: Account,
    /// How much, more than nothing.
    pub amount: Nanos,
}

impl Entry {
    /// Returns what the entry moves, without legs of nothing: at most four postings, each of which
    /// takes from one account exactly what it gives to another.
    pub fn postings(&self) -> impl Iterator<Item = Posting> + use<> {
        let nothing = (Account::Escrow, Account::Escrow, Nanos::ZERO);
        let legs = match &self.kind {
            EntryKind::Hold { payer, quote, .. } => {
                [(*payer, Account::Escrow, quote.amount()), nothing, nothing, nothing]
            }
            EntryKind::Void { payer, amount, .. } => {
                [(Account::Escrow, *payer, *amount), nothing, nothing, nothing]
            }
            EntryKind::Settle(settle) => [
                (Account::Escrow, Account::Owner(settle.owner), less(settle.earned(), settle.held_back)),
                (Account::Escrow, Account::Held(settle.owner), settle.held_back),
                (Account::Escrow, Account::Platform, settle.fee),
                (Account::Escrow, settle.payer, less(settle.held, settle.charge)),
            ],
            EntryKind::Transfer(Transfer { from, to, amount, .. }) => {
                [(*from, *to, *amount), nothing, nothing, nothing]
            }
        };
        legs.into_iter()
            .filter(|(_, _, amount)| *amount != Nanos::ZERO)
            .map(|(debit, credit, amount)| Posting { debit, credit, amount })
    }

    /// Returns the name of what happened: `hold`, `settle`, `void`, or the cause of a transfer.
    pub const fn kind_name(&self) -> &'static str {
        match &self.kind {
            EntryKind::Hold { .. } => "hold",
            EntryKind::Settle(_) => "settle",
            EntryKind::Void { .. } => "void",
            EntryKind::Transfer(transfer) => transfer.cause.name(),
        }
    }

    /// Returns the job that the entry is about.
    pub const fn job(&self) -> Option<JobId> {
        match &self.kind {
            EntryKind::Hold { job, .. } | EntryKind::Void { job, .. } => Some(*job),
            EntryKind::Settle(settle) => Some(settle.job),
            EntryKind::Transfer(_) => None,
        }
    }

    /// Returns the receipt of a settled job.
    pub fn receipt(&self) -> Option<Receipt> {
        match &self.kind {
            EntryKind::Settle(settle) => Some(Receipt {
                job_id: settle.job,
                at: self.at,
                model: settle.model.clone(),
                prompt_tokens: settle.prompt_tokens,
                answer_tokens: settle.answer_tokens,
                charge: settle.charge,
                fee: settle.fee,
                earned: settle.earned(),
                held_back: settle.held_back,
                release_at: settle.release_at(),
            }),
            EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => None,
        }
    }

    /// Writes every field as one text that no other entry has, for the chain of hashes. A field is its
    /// length in bytes, a colon and its text, so that no field can pretend to be two.
    pub fn canonical(&self) -> String {
        use std::fmt::Write;

        let (mut text, mut printed) = (String::with_capacity(512), String::with_capacity(64));
        let mut field = |value: &dyn std::fmt::Display| {
            printed.clear();
            // Printing into a text cannot fail.
            let _ = write!(printed, "{value}");
            let _ = write!(text, "{}:{printed}", printed.len());
        };
        field(&self.id);
        field(&self.at.0);
        match &self.kind {
            EntryKind::Hold { job, payer, quote } => {
                field(&"hold");
                field(job);
                field(payer);
                field(&quote.price().input);
                field(&quote.price().output);
                field(&quote.prompt_tokens());
                field(&quote.answer_tokens());
                field(&quote.amount().get());
            }
            EntryKind::Void { job, payer, amount } => {
                field(&"void");
                field(job);
                field(payer);
                field(&amount.get());
            }
            EntryKind::Transfer(transfer) => {
                field(&transfer.cause);
                field(&transfer.from);
                field(&transfer.to);
                field(&transfer.amount.get());
                field(&transfer.note);
            }
            EntryKind::Settle(settle) => {
                field(&"settle");
                field(&settle.job);
                field(&settle.lease);
                field(&settle.payer);
                field(&settle.owner);
                field(&settle.model);
                field(&settle.tier_asked);
                field(&settle.tier);
                for price in [settle.ask, settle.price] {
                    field(&price.input);
                    field(&price.output);
                }
                field(&settle.prompt_tokens);
                field(&settle.answer_tokens);
                for amount in [settle.held, settle.discount, settle.charge, settle.fee, settle.held_back] {
                    field(&amount.get());
                }
                field(&settle.release_at.0);
                // Entries of a time before keys were named have none, and keep their hash.
                if let Some(key) = settle.api_key {
                    field(&key);
                }
                // The same of rates; no key is written like them.
                if let Some(rates) = settle.rates {
                    field(&rates);
                }
            }
        }
        text
    }
}
