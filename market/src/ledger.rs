//! The ledger: double entry, append-only, every entry with its own id.
//!
//! - [`Account`] says whose money it is.
//! - [`Entry`] says what happened; [`Entry::postings`] what it moved. Entries are never changed or
//!   taken back: a correction is a new entry.
//! - [`Book`] holds what the rules need between two entries: balances, which are nothing but sums of
//!   postings, and open holds. It makes entries and refuses those that break a rule.
//!
//! A hold takes the most that a job may cost from the payer into escrow before a provider begins. It is
//! resolved exactly once: settled, which pays owner and platform and gives the rest back, or voided,
//! which gives all of it back. Whatever crashes, no job is charged twice.
//!
//! The shell stores each entry before anybody sees its consequence, and refuses an id that it has
//! already stored. `docs/ledger.md` walks through examples in numbers.

mod account;
mod book;
mod correction;
mod dispute;
mod entry;
mod payments;
mod quote;
mod replay;
mod settle;
mod transfer;

pub use account::{Account, BadAccount};
pub use book::{Book, BookRefusal, Imbalance};
pub use correction::{CorrectionRefusal, correction_id};
pub use dispute::SetAside;
pub use entry::{Entry, EntryKind, Posting};
pub use payments::{Borne, PaymentCost, Reclaimed, repaid_id, returned_id, uncovered_id};
pub use quote::Quote;
pub use replay::{Flaw, Replay};
pub use settle::{BadRates, Parts, Rates, Settle, Settlement};
pub use transfer::{BadCause, Cause, Transfer};
