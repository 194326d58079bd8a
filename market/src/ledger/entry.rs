//! Entries: what happened to money, and the postings that it amounts to.

use rekursing_protocol::{JobId, Moment, Nanos, PluginId, Price, earnings::Receipt};

use super::Account;
use crate::tier::Tier;

/// One thing that happened to money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What caused it: `grant:…`, `hold:job_…`, `settle:job_…`, `void:job_…`. A cause has its effect
    /// once, so a store refuses an id that it has.
    pub id: String,
    /// When.
    pub at: Moment,
    /// What.
    pub kind: EntryKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Money came from outside.
    Grant {
        /// Who has it.
        to: Account,
        /// How much.
        amount: Nanos,
    },
    /// The most that a job may cost was set aside.
    Hold {
        /// The job.
        job: JobId,
        /// Whose money.
        payer: Account,
        /// How much.
        amount: Nanos,
    },
    /// A job was charged and the rest of its hold given back.
    Settle {
        /// The job.
        job: JobId,
        /// The attempt that was paid.
        lease: u32,
        /// Who paid.
        payer: Account,
        /// Who earned.
        owner: PluginId,
        /// The model.
        model: String,
        /// The tier.
        tier: Tier,
        /// What the page paid, after the tier.
        price: Price,
        /// Prompt tokens charged.
        prompt_tokens: u64,
        /// Answer tokens charged.
        answer_tokens: u64,
        /// What was set aside.
        held: Nanos,
        /// What it cost, at most what was set aside.
        charge: Nanos,
        /// The platform's part of the charge.
        fee: Nanos,
    },
    /// A hold was given back whole.
    Void {
        /// The job.
        job: JobId,
        /// Whose money.
        payer: Account,
        /// How much.
        amount: Nanos,
    },
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
    /// Returns what the entry moves, without legs of nothing: at most three postings, each of which
    /// takes from one account exactly what it gives to another.
    pub fn postings(&self) -> impl Iterator<Item = Posting> + use<> {
        let nothing = (Account::Escrow, Account::Escrow, Nanos::ZERO);
        let legs = match &self.kind {
            EntryKind::Grant { to, amount } => [(Account::Outside, *to, *amount), nothing, nothing],
            EntryKind::Hold { payer, amount, .. } => [(*payer, Account::Escrow, *amount), nothing, nothing],
            EntryKind::Void { payer, amount, .. } => [(Account::Escrow, *payer, *amount), nothing, nothing],
            EntryKind::Settle { payer, owner, held, charge, fee, .. } => [
                (Account::Escrow, Account::Owner(*owner), less(*charge, *fee)),
                (Account::Escrow, Account::Platform, *fee),
                (Account::Escrow, *payer, less(*held, *charge)),
            ],
        };
        legs.into_iter()
            .filter(|(_, _, amount)| *amount != Nanos::ZERO)
            .map(|(debit, credit, amount)| Posting { debit, credit, amount })
    }

    /// Returns the job that the entry is about.
    pub const fn job(&self) -> Option<JobId> {
        match &self.kind {
            EntryKind::Grant { .. } => None,
            EntryKind::Hold { job, .. } | EntryKind::Settle { job, .. } | EntryKind::Void { job, .. } => {
                Some(*job)
            }
        }
    }

    /// Returns the receipt of a settled job.
    pub fn receipt(&self) -> Option<Receipt> {
        match &self.kind {
            EntryKind::Settle { job, model, prompt_tokens, answer_tokens, charge, fee, .. } => {
                Some(Receipt {
                    job_id: *job,
                    at: self.at,
                    model: model.clone(),
                    prompt_tokens: *prompt_tokens,
                    answer_tokens: *answer_tokens,
                    charge: *charge,
                    fee: *fee,
                    earned: less(*charge, *fee),
                })
            }
            EntryKind::Grant { .. } | EntryKind::Hold { .. } | EntryKind::Void { .. } => None,
        }
    }
}

/// Subtracts a part from the whole that it was taken from.
fn less(whole: Nanos, part: Nanos) -> Nanos {
    whole.checked_sub(part).expect("two amounts of an entry are at least zero, so their difference fits")
}
