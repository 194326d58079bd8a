//! Replaying a book: every entry from the first, each held against the rules by which it was made.

use std::collections::HashMap;

use rekursing_protocol::{JobId, Nanos};

use super::{Account, Entry, EntryKind, Settle, settle::less};

/// A book that is read again from its first entry.
#[derive(Debug, Default)]
pub struct Replay {
    balances: HashMap<Account, Nanos>,
    holds: HashMap<JobId, (Account, Nanos)>,
}

/// Which rule an entry breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its id does not name its cause.
    #[error("its id does not name its cause")]
    Id,
    /// Its job has an open hold already.
    #[error("its job has an open hold already")]
    HeldTwice,
    /// It resolves a hold that is not open, or of another amount or account.
    #[error("no such hold is open")]
    NoHold,
    /// Its charge does not follow from its tokens, its price and its discount.
    #[error("its charge does not follow from its tokens, its price and its discount")]
    Charge,
    /// Its parts are no parts of the charge.
    #[error("its parts are no parts of the charge")]
    Parts,
    /// Money does not go this way for its cause.
    #[error("money does not go this way for its cause")]
    NotJoined,
    /// It takes what the account does not have.
    #[error("{0} does not have what it takes")]
    Negative(Account),
    /// A balance would leave 64 bits.
    #[error("a balance leaves 64 bits")]
    Overflow,
}

impl Replay {
    /// Takes the next entry.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Flaw> {
        match &entry.kind {
            EntryKind::Hold { job, payer, quote } => {
                named(entry, "hold", job)?;
                if self.holds.insert(*job, (*payer, quote.amount())).is_some() {
                    return Err(Flaw::HeldTwice);
                }
            }
            EntryKind::Void { job, payer, amount } => {
                named(entry, "void", job)?;
                self.resolve(*job, *payer, *amount)?;
            }
            EntryKind::Settle(settle) => {
                named(entry, "settle", &settle.job)?;
                self.resolve(settle.job, settle.payer, settle.held)?;
                check(settle)?;
            }
            EntryKind::Transfer(transfer) => {
                let is_named = entry.id.strip_prefix(transfer.cause.name());
                if !is_named.is_some_and(|own| own.len() > 1 && own.starts_with(':')) {
                    return Err(Flaw::Id);
                }
                let is_joined = transfer.cause.joins(transfer.from, transfer.to);
                if !is_joined || transfer.amount <= Nanos::ZERO {
                    return Err(Flaw::NotJoined);
                }
            }
        }
        self.post(entry)
    }

    /// Returns every account that was ever posted to.
    pub fn balances(&self) -> impl Iterator<Item = (Account, Nanos)> {
        self.balances.iter().map(|(account, balance)| (*account, *balance))
    }

    /// Tells how many holds are open.
    pub fn open_holds(&self) -> usize {
        self.holds.len()
    }

    /// Returns every open hold: its job, whose money it is and how much.
    pub fn holds(&self) -> impl Iterator<Item = (JobId, Account, Nanos)> {
        self.holds.iter().map(|(job, (payer, amount))| (*job, *payer, *amount))
    }

    fn resolve(&mut self, job: JobId, payer: Account, amount: Nanos) -> Result<(), Flaw> {
        if self.holds.remove(&job) == Some((payer, amount)) { Ok(()) } else { Err(Flaw::NoHold) }
    }

    fn post(&mut self, entry: &Entry) -> Result<(), Flaw> {
        for posting in entry.postings() {
            let debit = self.balances.entry(posting.debit).or_default();
            *debit = debit.checked_sub(posting.amount).ok_or(Flaw::Overflow)?;
            if debit.is_negative() && posting.debit != Account::Outside {
                return Err(Flaw::Negative(posting.debit));
            }
            let credit = self.balances.entry(posting.credit).or_default();
            *credit = credit.checked_add(posting.amount).ok_or(Flaw::Overflow)?;
        }
        Ok(())
    }
}

fn named(entry: &Entry, kind: &str, job: &JobId) -> Result<(), Flaw> {
    if entry.id == format!("{kind}:{job}") { Ok(()) } else { Err(Flaw::Id) }
}

/// Works a settlement out again from its tokens and its price.
fn check(settle: &Settle) -> Result<(), Flaw> {
    let amounts = [settle.held, settle.discount, settle.charge, settle.fee, settle.held_back];
    if amounts.into_iter().any(Nanos::is_negative) {
        return Err(Flaw::Parts);
    }
    let cost = settle.price.cost(settle.prompt_tokens, settle.answer_tokens);
    if cost != settle.charge.checked_add(settle.discount) {
        return Err(Flaw::Charge);
    }
    let are_parts = settle.charge <= settle.held
        && settle.fee <= settle.charge
        && settle.held_back <= less(settle.charge, settle.fee);
    if are_parts { Ok(()) } else { Err(Flaw::Parts) }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, Moment, PluginId, Price};

    use super::*;
    use crate::{
        ledger::{Book, Quote, Settlement},
        tier::Tier,
    };

    const JOB: JobId = JobId::from_bits(3);

    /// A grant, a hold and its settlement.
    fn entries() -> [Entry; 3] {
        let mut book = Book::default();
        let page = Account::Page(AccountId::from_bits(1));
        let price = Price::new(0, 1_000);
        let grant = book.grant(Moment(1), "x", page, Nanos::new(5_000)).unwrap();
        let hold = book.hold(Moment(2), JOB, page, Quote::new(price, 0, 2_000).unwrap()).unwrap();
        let settlement = Settlement {
            job: JOB,
            lease: 1,
            owner: PluginId::from_bits(2),
            api_key: None,
            model: "m".to_owned(),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: price,
            price,
            prompt_tokens: 0,
            answer_tokens: 1_000,
            fee_permille: 50,
            discount_permille: 10,
            holdback_permille: 500,
            release_at: Moment(9),
        };
        [grant, hold, book.settle(Moment(3), settlement).unwrap()]
    }

    fn replay(entries: &[Entry]) -> Result<Replay, Flaw> {
        let mut replay = Replay::default();
        entries.iter().try_for_each(|entry| replay.apply(entry))?;
        Ok(replay)
    }

    fn changed(change: impl Fn(&mut Settle)) -> Flaw {
        let mut all = entries();
        let EntryKind::Settle(settle) = &mut all[2].kind else { panic!() };
        change(settle);
        replay(&all).unwrap_err()
    }

    #[test]
    fn what_a_book_made_replays_to_its_balances() {
        let replay = replay(&entries()).unwrap();
        assert_eq!(replay.open_holds(), 0);
        let sum: i64 = replay.balances().map(|(_, balance)| balance.get()).sum();
        assert_eq!(sum, 0);
        let held = replay.balances().find(|(account, _)| matches!(account, Account::Held(_))).unwrap();
        assert_eq!(held.1, Nanos::new(475));
    }

    #[test]
    fn every_broken_rule_is_named() {
        let all = entries();
        let [grant, hold, settle] = all.clone();
        let renamed = Entry { id: "hold:other".to_owned(), ..hold.clone() };
        assert_eq!(replay(&[grant.clone(), renamed]).unwrap_err(), Flaw::Id);
        assert_eq!(replay(&[grant.clone(), hold.clone(), hold.clone()]).unwrap_err(), Flaw::HeldTwice);
        assert_eq!(replay(&[grant, settle.clone()]).unwrap_err(), Flaw::NoHold);
        assert!(matches!(replay(&[hold]).unwrap_err(), Flaw::Negative(Account::Page(_))));
        let [grant, hold, settle] = all;
        assert_eq!(replay(&[grant, hold, settle.clone(), settle]).unwrap_err(), Flaw::NoHold);
        assert_eq!(changed(|settle| settle.answer_tokens += 1), Flaw::Charge);
        assert_eq!(changed(|settle| settle.discount = Nanos::ZERO), Flaw::Charge);
        assert_eq!(changed(|settle| settle.fee = Nanos::new(2_000)), Flaw::Parts);
        assert_eq!(changed(|settle| settle.held_back = Nanos::new(951)), Flaw::Parts);
        assert_eq!(changed(|settle| settle.held = Nanos::new(1)), Flaw::NoHold);
    }
}
