//! The book: balances and open holds, and the rules by which entries are made.

use std::collections::{HashMap, VecDeque};

use rekursing_protocol::{JobId, Moment, Nanos};

use super::{Account, Cause, Entry, EntryKind, Quote, Settle, Settlement, Transfer};

/// Resolved holds that are remembered, so that a repeat is told from a stranger. Older repeats are
/// refused as [`BookRefusal::NoHold`]; either way nothing moves.
const RESOLVED_MAX: usize = 4_096;

/// Transfers that are remembered, for the same reason. Whoever repeats an older one must ask the store.
const TRANSFERS_MAX: usize = 65_536;

/// Balances and open holds.
///
/// Balances are sums of postings and have no setter: an entry is the only way to move one. No balance
/// but those that [may be](Account::may_be_negative) is ever negative, escrow equals the sum of open holds, and all accounts
/// together are zero.
#[derive(Debug, Default)]
pub struct Book {
    balances: HashMap<Account, Nanos>,
    holds: HashMap<JobId, Hold>,
    transfers: HashMap<String, Transfer>,
    transfers_order: VecDeque<String>,
    resolved: HashMap<JobId, Resolved>,
    resolved_order: VecDeque<JobId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    payer: Account,
    amount: Nanos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolved {
    Settled { lease: u32, charge: Nanos },
    Voided,
}

/// Why an entry is not made, in order of precedence: of two that apply, the upper one is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookRefusal {
    /// The amount is below zero.
    #[error("an amount is not below zero")]
    Negative,
    /// A transfer of nothing.
    #[error("a transfer moves more than nothing")]
    Nothing,
    /// The cause is not about these accounts.
    #[error("money does not go this way for this cause")]
    NotJoined,
    /// The same was done before; nothing moves again.
    #[error("this was done before")]
    Exists,
    /// Something else was done under this id.
    #[error("something else was done under this id")]
    ExistsDifferent,
    /// No such hold is open.
    #[error("no such hold is open")]
    NoHold,
    /// The charge is larger than the hold.
    #[error("a charge of {charge} USD is more than the {held} USD held")]
    ChargeExceedsHold {
        /// What it would cost.
        charge: Nanos,
        /// What was set aside.
        held: Nanos,
    },
    /// The payer has less.
    #[error("{needs} USD are needed and {available} USD are available")]
    Insufficient {
        /// What would be set aside.
        needs: Nanos,
        /// What the payer has.
        available: Nanos,
    },
    /// A balance or an amount would leave 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

/// What an audit found wrong. Each of them is a bug or a damaged store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// All accounts together are not zero.
    #[error("all accounts together are {0} nano-dollars and not zero")]
    Sum(i128),
    /// Escrow and open holds differ.
    #[error("escrow has {escrow} nano-dollars and open holds are {holds}")]
    Escrow {
        /// The balance of escrow.
        escrow: i128,
        /// The sum of open holds.
        holds: i128,
    },
    /// An account that may not be negative is.
    #[error("the account {0} is below zero")]
    Negative(Account),
}

impl Book {
    /// Makes the book of what a store holds: the sums of all postings, and the holds without a
    /// settlement or void.
    pub fn restore(
        balances: impl IntoIterator<Item = (Account, Nanos)>,
        holds: impl IntoIterator<Item = (JobId, Account, Nanos)>,
    ) -> Book {
        Book {
            balances: balances.into_iter().collect(),
            holds: holds.into_iter().map(|(job, payer, amount)| (job, Hold { payer, amount })).collect(),
            ..Book::default()
        }
    }

    /// Moves money for a cause that is no job. `id` is the caller's own and is printed behind the
    /// cause's name: `top_up:{id}`.
    ///
    /// The book knows the latest transfers that it made or was told of; the store knows all of them.
    pub fn transfer(&mut self, now: Moment, id: &str, transfer: Transfer) -> Result<Entry, BookRefusal> {
        let id = format!("{}:{id}", transfer.cause);
        let entry = Entry { id, at: now, kind: EntryKind::Transfer(transfer) };
        self.take(&entry)?;
        Ok(entry)
    }

    /// Tells whether a transfer with this whole id is among the latest.
    pub(super) fn has_transfer(&self, id: &str) -> bool {
        self.transfers.contains_key(id)
    }

    /// Takes over a transfer from outside that another process has stored. Every other kind of entry is
    /// this book's own to make and is refused as [`BookRefusal::NotJoined`].
    pub fn apply_foreign(&mut self, entry: &Entry) -> Result<(), BookRefusal> {
        match &entry.kind {
            EntryKind::Transfer(transfer) if transfer.from == Account::Outside => self.take(entry),
            EntryKind::Transfer(_)
            | EntryKind::Hold { .. }
            | EntryKind::Settle(_)
            | EntryKind::Void { .. } => Err(BookRefusal::NotJoined),
        }
    }

    /// Posts a transfer that breaks no rule.
    fn take(&mut self, entry: &Entry) -> Result<(), BookRefusal> {
        let EntryKind::Transfer(transfer) = &entry.kind else { return Err(BookRefusal::NotJoined) };
        if transfer.amount.is_negative() {
            return Err(BookRefusal::Negative);
        }
        if transfer.amount == Nanos::ZERO {
            return Err(BookRefusal::Nothing);
        }
        if !transfer.cause.joins(transfer.from, transfer.to) {
            return Err(BookRefusal::NotJoined);
        }
        match self.transfers.get(&entry.id) {
            Some(known) if known == transfer => return Err(BookRefusal::Exists),
            Some(_) => return Err(BookRefusal::ExistsDifferent),
            None => {}
        }
        let available = self.balance(transfer.from);
        if !transfer.from.may_be_negative() && available < transfer.amount {
            return Err(BookRefusal::Insufficient { needs: transfer.amount, available });
        }
        self.post(entry)?;
        self.transfers.insert(entry.id.clone(), transfer.clone());
        self.transfers_order.push_back(entry.id.clone());
        if self.transfers_order.len() > TRANSFERS_MAX
            && let Some(oldest) = self.transfers_order.pop_front()
        {
            self.transfers.remove(&oldest);
        }
        Ok(())
    }

    /// Grants money from outside.
    pub fn grant(&mut self, now: Moment, id: &str, to: Account, amount: Nanos) -> Result<Entry, BookRefusal> {
        let transfer =
            Transfer { cause: Cause::Grant, from: Account::Outside, to, amount, note: String::new() };
        self.transfer(now, id, transfer)
    }

    /// Sets money aside for a job.
    pub fn hold(
        &mut self,
        now: Moment,
        job: JobId,
        payer: Account,
        quote: Quote,
    ) -> Result<Entry, BookRefusal> {
        let amount = quote.amount();
        match self.holds.get(&job) {
            Some(open) if *open == (Hold { payer, amount }) => return Err(BookRefusal::Exists),
            Some(_) => return Err(BookRefusal::ExistsDifferent),
            None if self.resolved.contains_key(&job) => return Err(BookRefusal::ExistsDifferent),
            None => {}
        }
        let available = self.balance(payer);
        if available < amount {
            return Err(BookRefusal::Insufficient { needs: amount, available });
        }
        let entry = Entry { id: format!("hold:{job}"), at: now, kind: EntryKind::Hold { job, payer, quote } };
        self.post(&entry)?;
        self.holds.insert(job, Hold { payer, amount });
        Ok(entry)
    }

    /// Charges a job out of its hold and gives the rest back.
    pub fn settle(&mut self, now: Moment, settlement: Settlement) -> Result<Entry, BookRefusal> {
        let (job, lease) = (settlement.job, settlement.lease);
        let Some(hold) = self.holds.get(&job).copied() else {
            return Err(self.settled_before(settlement));
        };
        let settle = Settle::of(settlement, hold.payer, hold.amount)?;
        let charge = settle.charge;
        let kind = EntryKind::Settle(Box::new(settle));
        let entry = Entry { id: format!("settle:{job}"), at: now, kind };
        self.post(&entry)?;
        self.resolve(job, Resolved::Settled { lease, charge });
        Ok(entry)
    }

    /// Says why a job without an open hold is not settled.
    fn settled_before(&self, settlement: Settlement) -> BookRefusal {
        let (job, lease) = (settlement.job, settlement.lease);
        match self.resolved.get(&job) {
            None => BookRefusal::NoHold,
            Some(Resolved::Voided) => BookRefusal::ExistsDifferent,
            Some(Resolved::Settled { lease: paid, charge }) => {
                // Who paid is as before, and what was held covered it.
                let again = Settle::of(settlement, Account::Escrow, Nanos::MAX);
                let is_same = *paid == lease && again.is_ok_and(|again| again.charge == *charge);
                if is_same { BookRefusal::Exists } else { BookRefusal::ExistsDifferent }
            }
        }
    }

    /// Gives a job's hold back whole.
    pub fn void(&mut self, now: Moment, job: JobId) -> Result<Entry, BookRefusal> {
        let Some(hold) = self.holds.get(&job).copied() else {
            return Err(match self.resolved.get(&job) {
                Some(Resolved::Voided) => BookRefusal::Exists,
                Some(Resolved::Settled { .. }) => BookRefusal::ExistsDifferent,
                None => BookRefusal::NoHold,
            });
        };
        let Hold { payer, amount } = hold;
        let entry =
            Entry { id: format!("void:{job}"), at: now, kind: EntryKind::Void { job, payer, amount } };
        self.post(&entry)?;
        self.resolve(job, Resolved::Voided);
        Ok(entry)
    }

    /// Returns an account's balance; what was never posted to has nothing.
    pub fn balance(&self, account: Account) -> Nanos {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// Returns every account that was ever posted to.
    pub fn balances(&self) -> impl Iterator<Item = (Account, Nanos)> {
        self.balances.iter().map(|(account, balance)| (*account, *balance))
    }

    /// Returns the holds that are neither settled nor void, in no order.
    pub fn open_holds(&self) -> impl ExactSizeIterator<Item = (JobId, Account, Nanos)> {
        self.holds.iter().map(|(job, hold)| (*job, hold.payer, hold.amount))
    }

    /// Returns what is set aside for a job.
    pub fn held(&self, job: JobId) -> Option<Nanos> {
        self.holds.get(&job).map(|hold| hold.amount)
    }

    /// Tells whether a job has a hold or had one not long ago.
    pub fn knows(&self, job: JobId) -> bool {
        self.holds.contains_key(&job) || self.resolved.contains_key(&job)
    }

    /// Checks the whole book, in time that grows with the number of accounts and holds.
    pub fn audit(&self) -> Result<(), Imbalance> {
        let wide = |amount: Nanos| i128::from(amount.get());
        let sum: i128 = self.balances.values().copied().map(wide).sum();
        if sum != 0 {
            return Err(Imbalance::Sum(sum));
        }
        let escrow = wide(self.balance(Account::Escrow));
        let holds: i128 = self.holds.values().map(|hold| wide(hold.amount)).sum();
        if escrow != holds {
            return Err(Imbalance::Escrow { escrow, holds });
        }
        match self.balances().find(|(account, balance)| !account.may_be_negative() && balance.is_negative()) {
            Some((account, _)) => Err(Imbalance::Negative(account)),
            None => Ok(()),
        }
    }

    /// Posts all of an entry or nothing of it.
    fn post(&mut self, entry: &Entry) -> Result<(), BookRefusal> {
        let mut moved: Vec<(Account, Nanos)> = Vec::with_capacity(4);
        for posting in entry.postings() {
            for (account, amount) in
                [(posting.debit, Nanos::new(-posting.amount.get())), (posting.credit, posting.amount)]
            {
                let known = moved.iter().position(|(seen, _)| *seen == account);
                let before = known.map_or_else(|| self.balance(account), |place| moved[place].1);
                let after = before.checked_add(amount).ok_or(BookRefusal::Overflow)?;
                match known {
                    Some(place) => moved[place].1 = after,
                    None => moved.push((account, after)),
                }
            }
        }
        self.balances.extend(moved);
        Ok(())
    }

    fn resolve(&mut self, job: JobId, how: Resolved) {
        self.holds.remove(&job);
        self.resolved.insert(job, how);
        self.resolved_order.push_back(job);
        if self.resolved_order.len() > RESOLVED_MAX
            && let Some(oldest) = self.resolved_order.pop_front()
        {
            self.resolved.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
