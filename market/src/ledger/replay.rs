//! Replaying a book: every entry from the first, each held against the rules by which it was made.

use std::collections::HashMap;

use rekursing_protocol::{JobId, Moment, Nanos, PluginId};

use super::{
    Account, Cause, Entry, EntryKind, Quote, Settle, Transfer,
    settle::{Parts, less},
};

/// A book that is read again from its first entry.
#[derive(Debug, Default)]
pub struct Replay {
    balances: HashMap<Account, Nanos>,
    holds: HashMap<JobId, Held>,
    /// Payouts under way, by what their entries' ids have in common.
    payouts: HashMap<String, Payout>,
    /// What is set aside for disputes, by job.
    disputes: HashMap<JobId, (PluginId, Nanos)>,
}

/// An open hold.
#[derive(Debug, Clone, Copy)]
struct Held {
    payer: Account,
    quote: Quote,
    at: Moment,
}

/// What of a payout is where.
#[derive(Debug, Clone, Copy)]
enum Payout {
    Requested(Nanos),
    Sent(Nanos),
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
    /// It is charged for more of a prompt than was held for.
    #[error("it is charged for more of a prompt than was held for")]
    Prompt,
    /// Its price does not follow from its ask and its tier.
    #[error("its price does not follow from its ask and its tier")]
    Price,
    /// Its discount, its fee or what is held back does not follow from its rates.
    #[error("its discount, its fee or what is held back does not follow from its rates")]
    Rates,
    /// Its charge does not follow from its tokens, its price and its discount.
    #[error("its charge does not follow from its tokens, its price and its discount")]
    Charge,
    /// Its parts are no parts of the charge.
    #[error("its parts are no parts of the charge")]
    Parts,
    /// Money does not go this way for its cause.
    #[error("money does not go this way for its cause")]
    NotJoined,
    /// Its payout is not where the entry takes it from, or of another amount.
    #[error("its payout is not where it is taken from, or of another amount")]
    Payout,
    /// It names no job, or takes of a dispute what was not set aside for it, or gives it to somebody else.
    #[error("it is not what was set aside for its dispute")]
    Dispute,
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
                let held = Held { payer: *payer, quote: *quote, at: entry.at };
                if self.holds.insert(*job, held).is_some() {
                    return Err(Flaw::HeldTwice);
                }
            }
            EntryKind::Void { job, payer, amount } => {
                named(entry, "void", job)?;
                self.resolve(*job, *payer, *amount)?;
            }
            EntryKind::Settle(settle) => {
                named(entry, "settle", &settle.job)?;
                let quote = self.resolve(settle.job, settle.payer, settle.held)?;
                check(settle, quote)?;
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
                self.pay_out(&entry.id, transfer)?;
                self.dispute(&entry.id, transfer)?;
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
        self.holds.iter().map(|(job, held)| (*job, held.payer, held.quote.amount()))
    }

    /// Returns since when each open hold is open, oldest first.
    pub fn held_since(&self) -> Vec<(Moment, JobId)> {
        let mut since: Vec<_> = self.holds.iter().map(|(job, held)| (held.at, *job)).collect();
        since.sort_unstable();
        since
    }

    /// Follows a payout, so that none takes what another one has asked for.
    fn pay_out(&mut self, id: &str, transfer: &Transfer) -> Result<(), Flaw> {
        let Transfer { cause, from, amount, .. } = *transfer;
        let Some(payout) = id.split(':').nth(1) else { return Err(Flaw::Id) };
        let known = self.payouts.get(payout).copied();
        let next = match (cause, from, known) {
            (Cause::PayoutRequested, _, None) => Some(Payout::Requested(amount)),
            (Cause::PayoutSent, _, Some(Payout::Requested(asked))) if asked == amount => {
                Some(Payout::Sent(amount))
            }
            (Cause::PayoutCancelled, _, Some(Payout::Requested(asked))) if asked == amount => None,
            (
                Cause::PayoutCost | Cause::PayoutConfirmed | Cause::PayoutReturned,
                Account::PayoutSent,
                Some(Payout::Sent(left)),
            ) if amount <= left => Some(Payout::Sent(less(left, amount))).filter(|_| amount < left),
            (
                Cause::PayoutRequested
                | Cause::PayoutSent
                | Cause::PayoutCancelled
                | Cause::PayoutCost
                | Cause::PayoutConfirmed
                | Cause::PayoutReturned,
                from,
                _,
            ) if !matches!(from, Account::Platform | Account::Shortfall | Account::Outside) => {
                return Err(Flaw::Payout);
            }
            // Beyond what was sent: what a rail took of the platform, or gave back after all.
            _ => return Ok(()),
        };
        match next {
            Some(next) => self.payouts.insert(payout.to_owned(), next),
            None => self.payouts.remove(payout),
        };
        Ok(())
    }

    /// Follows a dispute, so that what was set aside of an owner's goes back to that owner.
    fn dispute(&mut self, id: &str, transfer: &Transfer) -> Result<(), Flaw> {
        let Transfer { cause, from, to, amount, .. } = *transfer;
        let (is_new, owner, place) = match (cause, from, to) {
            (Cause::Dispute, Account::Owner(owner), _) => (true, owner, "owner"),
            (Cause::Dispute, Account::Held(owner), _) => (true, owner, "held"),
            (Cause::DisputeEnded, _, Account::Owner(owner)) => (false, owner, "owner"),
            (Cause::DisputeEnded, _, Account::Held(owner)) => (false, owner, "held"),
            _ => return Ok(()),
        };
        let mut parts = id.split(':').skip(1);
        let job: JobId = parts.next().and_then(|job| job.parse().ok()).ok_or(Flaw::Dispute)?;
        let (whose, before) = self.disputes.get(&job).copied().unwrap_or((owner, Nanos::ZERO));
        if parts.next() != Some(place) || whose != owner {
            return Err(Flaw::Dispute);
        }
        let after = if is_new {
            before.checked_add(amount).ok_or(Flaw::Overflow)?
        } else {
            before.checked_sub(amount).filter(|left| !left.is_negative()).ok_or(Flaw::Dispute)?
        };
        match after {
            Nanos::ZERO => self.disputes.remove(&job),
            after => self.disputes.insert(job, (owner, after)),
        };
        Ok(())
    }

    fn resolve(&mut self, job: JobId, payer: Account, amount: Nanos) -> Result<Quote, Flaw> {
        let held =
            self.holds.remove(&job).filter(|held| held.payer == payer && held.quote.amount() == amount);
        held.map(|held| held.quote).ok_or(Flaw::NoHold)
    }

    fn post(&mut self, entry: &Entry) -> Result<(), Flaw> {
        for posting in entry.postings() {
            let debit = self.balances.entry(posting.debit).or_default();
            *debit = debit.checked_sub(posting.amount).ok_or(Flaw::Overflow)?;
            if debit.is_negative() && !posting.debit.may_be_negative() {
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

/// Works a settlement out again from its tokens, its price and its rates.
fn check(settle: &Settle, quote: Quote) -> Result<(), Flaw> {
    if settle.prompt_tokens > quote.prompt_tokens() {
        return Err(Flaw::Prompt);
    }
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
    if !are_parts {
        return Err(Flaw::Parts);
    }
    // Entries of a time before rates were stored say no more.
    let Some(rates) = settle.rates else { return Ok(()) };
    if settle.price != settle.ask.scaled(rates.tier) {
        return Err(Flaw::Price);
    }
    let parts = Parts::of(settle.price, settle.prompt_tokens, settle.answer_tokens, rates);
    let Settle { discount, charge, fee, held_back, .. } = *settle;
    if parts == Some(Parts { discount, charge, fee, held_back }) { Ok(()) } else { Err(Flaw::Rates) }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, PluginId, Price};

    use super::*;
    use crate::{
        ledger::{Book, Rates, Settlement},
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
            tier_permille: 1_000,
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
        assert_eq!(changed(|settle| settle.fee = Nanos::new(41)), Flaw::Rates);
        assert_eq!(changed(|settle| settle.held_back = Nanos::new(474)), Flaw::Rates);
        assert_eq!(changed(|settle| settle.ask = Price::new(0, 999)), Flaw::Price);
        assert_eq!(changed(|settle| settle.prompt_tokens = 1), Flaw::Prompt);
        let rates = |change: fn(&mut Rates)| changed(|settle| settle.rates.iter_mut().for_each(change));
        assert_eq!(rates(|rates| rates.tier = 1_500), Flaw::Price);
        assert_eq!(rates(|rates| rates.fee = 49), Flaw::Rates);
        assert_eq!(rates(|rates| rates.discount = 9), Flaw::Rates);
        assert_eq!(rates(|rates| rates.holdback = 400), Flaw::Rates);
        // One of a time before rates were stored.
        let mut older = entries();
        let EntryKind::Settle(settle) = &mut older[2].kind else { panic!() };
        (settle.rates, settle.fee) = (None, Nanos::new(41));
        assert!(replay(&older).is_ok());
        assert_eq!(changed(|settle| settle.held = Nanos::new(1)), Flaw::NoHold);
    }

    #[test]
    fn a_payout_takes_what_it_has_asked_for_and_nothing_of_another() {
        let owner = Account::Owner(PluginId::from_bits(2));
        let step = |cause, payout: &str, from, to, amount| Entry {
            id: format!("{cause}:{payout}"),
            at: Moment(1),
            kind: EntryKind::Transfer(Transfer {
                cause,
                from,
                to,
                amount: Nanos::new(amount),
                note: String::new(),
            }),
        };
        let (asked, gone, out) = (Account::PayoutRequested, Account::PayoutSent, Account::Outside);
        let request = |payout, amount| step(Cause::PayoutRequested, payout, owner, asked, amount);
        let send = |payout, amount| step(Cause::PayoutSent, payout, asked, gone, amount);
        let cancel = |payout, amount| step(Cause::PayoutCancelled, payout, asked, owner, amount);
        let confirm = |payout, amount| step(Cause::PayoutConfirmed, payout, gone, out, amount);
        let cost = |payout, amount| step(Cause::PayoutCost, payout, gone, out, amount);
        let back = |payout, amount| step(Cause::PayoutReturned, payout, out, owner, amount);
        let run = |steps: &[Entry]| {
            let mut replay = Replay::default();
            replay.balances.insert(owner, Nanos::new(100));
            steps.iter().try_for_each(|entry| replay.apply(entry)).map(|()| replay.payouts.len())
        };
        let sent = [request("a", 10), request("b", 10), send("a", 10)];
        assert_eq!(run(&sent), Ok(2));
        let then = |step: Entry| run(&[&sent[..], &[step]].concat());
        assert_eq!(then(cancel("b", 10)), Ok(1));
        for step in [cancel("a", 10), cancel("b", 9), send("a", 10), send("c", 10), request("b", 10)] {
            assert_eq!(then(step.clone()), Err(Flaw::Payout), "{step:?}");
        }
        assert_eq!(then(confirm("b", 10)), Err(Flaw::Payout));
        assert_eq!(then(confirm("a", 11)), Err(Flaw::Payout));
        let whole = [&sent[..], &[cost("a", 1), confirm("a", 9), back("a", 9)]].concat();
        assert_eq!(run(&whole), Ok(1));
    }

    #[test]
    fn what_is_set_aside_for_a_dispute_goes_back_to_the_owner_that_it_was_taken_from() {
        let [one, other] = [PluginId::from_bits(2), PluginId::from_bits(3)];
        let step = |id: String, cause, from, to, amount| {
            let (amount, note) = (Nanos::new(amount), String::new());
            let kind = EntryKind::Transfer(Transfer { cause, from, to, amount, note });
            Entry { id, at: Moment(1), kind }
        };
        let owner = Account::Owner;
        let open = |place: &str, from, amount| {
            step(format!("dispute:{JOB}:{place}"), Cause::Dispute, from, Account::Disputed, amount)
        };
        let end = |place: &str, to, amount| {
            step(format!("dispute_ended:{JOB}:{place}"), Cause::DisputeEnded, Account::Disputed, to, amount)
        };
        let run = |steps: &[Entry]| {
            let mut replay = Replay::default();
            for account in [owner(one), Account::Held(one), owner(other)] {
                replay.balances.insert(account, Nanos::new(100));
            }
            steps.iter().try_for_each(|entry| replay.apply(entry)).map(|()| replay.disputes.len())
        };
        let opened = [open("owner", owner(one), 10), open("held", Account::Held(one), 5)];
        assert_eq!(run(&opened), Ok(1));
        let then = |step: Entry| run(&[&opened[..], &[step]].concat());
        assert_eq!(then(end("owner", owner(one), 15)), Ok(0));
        assert_eq!(then(end("held", Account::Held(one), 5)), Ok(1));
        for wrong in [
            end("owner", owner(one), 16),
            end("owner", owner(other), 10),
            end("held", owner(one), 10),
            open("owner", owner(other), 1),
            step("dispute:x:owner".to_owned(), Cause::Dispute, owner(one), Account::Disputed, 1),
        ] {
            assert_eq!(then(wrong.clone()), Err(Flaw::Dispute), "{wrong:?}");
        }
    }
}
