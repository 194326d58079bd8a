//! A book that does random things, with a model of it that knows nothing but its entries.

use proptest::prelude::*;
use rekursing_market::{
    Book,
    ledger::{Cause, Settlement, Transfer},
};
use rekursing_protocol::{Day, Hour};

use super::*;

/// The day on which every random book begins.
pub(super) const BEGIN: Day = Day(20_482);

/// One thing that a random book does; the numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    TopUp { page: u128, amount: i64 },
    Refund { page: u128, amount: i64 },
    Hold { page: u128, tokens: u64, is_free: bool },
    Settle { which: usize, owner: u128, tokens: u64, model: u8 },
    Void { which: usize },
    Release { owner: u128, amount: i64 },
    AskPayout { owner: u128, amount: i64 },
    EndPayout { which: usize, how: u8 },
    Impression { amount: i64 },
    Correct { which: usize },
    Wait { hours: u64 },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let amount = || 1..5_000_000_i64;
    prop_oneof![
        3 => (1..4_u128, amount()).prop_map(|(page, amount)| Step::TopUp { page, amount }),
        1 => (1..4_u128, amount()).prop_map(|(page, amount)| Step::Refund { page, amount }),
        6 => (1..4_u128, 1..900_u64, any::<bool>())
            .prop_map(|(page, tokens, is_free)| Step::Hold { page, tokens, is_free }),
        6 => (any::<usize>(), 1..4_u128, 0..900_u64, any::<u8>())
            .prop_map(|(which, owner, tokens, model)| Step::Settle { which, owner, tokens, model }),
        1 => any::<usize>().prop_map(|which| Step::Void { which }),
        2 => (1..4_u128, 1..200_000_i64).prop_map(|(owner, amount)| Step::Release { owner, amount }),
        2 => (1..4_u128, 1..200_000_i64).prop_map(|(owner, amount)| Step::AskPayout { owner, amount }),
        2 => (any::<usize>(), 0..6_u8).prop_map(|(which, how)| Step::EndPayout { which, how }),
        2 => amount().prop_map(|amount| Step::Impression { amount }),
        2 => any::<usize>().prop_map(|which| Step::Correct { which }),
        3 => (1..200_u64).prop_map(|hours| Step::Wait { hours }),
    ]
}

/// A book that does random things, each of which it may refuse.
pub(super) struct Random {
    pub(super) book: Book,
    pub(super) now: Moment,
    pub(super) entries: Vec<Entry>,
    open: Vec<(JobId, u64)>,
    payouts: Vec<(u128, u128, i64)>,
    next: u128,
}

const ADVERTISER: Account = Account::Advertiser(AccountId::from_bits(50));
const PRICE: Price = Price::new(0, 1_000_000);

pub(super) fn page(number: u128) -> Account {
    Account::Page(AccountId::from_bits(number))
}

pub(super) fn plugin(number: u128) -> PluginId {
    PluginId::from_bits(100 + number)
}

impl Random {
    /// Begins at the end of a month, with money in the shared purses.
    pub(super) fn new() -> Random {
        let mut random = Random {
            book: Book::default(),
            now: BEGIN.begin(),
            entries: Vec::new(),
            open: Vec::new(),
            payouts: Vec::new(),
            next: 0,
        };
        random.transfer(Cause::Grant, Account::Outside, Account::Free, 5_000_000);
        random.transfer(Cause::TopUp, Account::Outside, ADVERTISER, 50_000_000);
        random
    }

    fn transfer(&mut self, cause: Cause, from: Account, to: Account, amount: i64) -> bool {
        self.next += 1;
        let id = self.next.to_string();
        self.transfer_as(&id, cause, from, to, amount)
    }

    fn transfer_as(&mut self, id: &str, cause: Cause, from: Account, to: Account, amount: i64) -> bool {
        let transfer = Transfer { cause, from, to, amount: Nanos::new(amount), note: String::new() };
        let made = self.book.transfer(self.now, id, transfer);
        made.map(|entry| self.entries.push(entry)).is_ok()
    }

    pub(super) fn step(&mut self, step: Step) {
        self.now = self.now + Span::secs(1);
        match step {
            Step::TopUp { page: number, amount } => {
                self.transfer(Cause::TopUp, Account::Outside, page(number), amount);
            }
            Step::Refund { page: number, amount } => {
                self.transfer(Cause::Refund, page(number), Account::Outside, amount);
            }
            Step::Hold { page: number, tokens, is_free } => {
                self.next += 1;
                let payer = if is_free { Account::Free } else { page(number) };
                let job = JobId::from_bits(self.next);
                let held = self.book.hold(self.now, job, payer, Quote::new(PRICE, 0, tokens).unwrap());
                if let Ok(entry) = held {
                    self.entries.push(entry);
                    self.open.push((job, tokens));
                }
            }
            Step::Settle { which, owner, tokens, model } => self.settle(which, owner, tokens, model),
            Step::Void { which } => {
                if let Some((job, _)) = self.take(which) {
                    let entry = self.book.void(self.now, job).unwrap();
                    self.entries.push(entry);
                }
            }
            Step::Release { owner, amount } => {
                let (held, free) = (Account::Held(plugin(owner)), Account::Owner(plugin(owner)));
                self.transfer(Cause::Release, held, free, amount);
            }
            Step::AskPayout { owner, amount } => {
                let (from, id) = (Account::Owner(plugin(owner)), self.next + 1);
                if self.transfer(Cause::PayoutRequested, from, Account::PayoutRequested, amount) {
                    self.payouts.push((id, owner, amount));
                }
            }
            Step::EndPayout { which, how } => self.end_payout(which, how),
            Step::Impression { amount } => {
                self.transfer(Cause::Impression, ADVERTISER, Account::Free, amount);
            }
            Step::Correct { which } => self.correct(which),
            Step::Wait { hours } => self.now = self.now + Span(hours * Hour::LENGTH.0),
        }
    }

    fn take(&mut self, which: usize) -> Option<(JobId, u64)> {
        if self.open.is_empty() { None } else { Some(self.open.swap_remove(which % self.open.len())) }
    }

    fn settle(&mut self, which: usize, owner: u128, tokens: u64, model: u8) {
        let Some((job, most)) = self.take(which) else { return };
        let settlement = Settlement {
            job,
            lease: 1,
            api_key: None,
            owner: plugin(owner),
            model: format!("model-{}", model % 3),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: PRICE,
            price: PRICE,
            prompt_tokens: 0,
            answer_tokens: tokens.min(most),
            tier_permille: 1_000,
            fee_permille: 50,
            discount_permille: u64::from(model % 7) * 10,
            holdback_permille: u64::from(model % 2) * 500,
            release_at: self.now + Span(7 * Span::DAY.0),
        };
        let entry = self.book.settle(self.now, settlement).unwrap();
        self.entries.push(entry);
    }

    /// Takes a charge back.
    fn correct(&mut self, which: usize) {
        let of_charges: Vec<&Entry> =
            self.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Settle(_))).collect();
        if of_charges.is_empty() {
            return;
        }
        let entry = of_charges[which % of_charges.len()].clone();
        self.entries.extend(self.book.correct(self.now, &entry, "at random").unwrap_or_default());
    }

    /// Returns what an account has paid for jobs and not got back.
    pub(super) fn spent(&self, account: Account) -> i64 {
        let of_charges = self.entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Settle(settle) if settle.payer == account => Some(settle.charge.get()),
            EntryKind::Transfer(transfer) if transfer.cause == Cause::Correction => {
                let amount = transfer.amount.get();
                Some(
                    i64::from(transfer.from == account) * amount - i64::from(transfer.to == account) * amount,
                )
            }
            EntryKind::Settle(_)
            | EntryKind::Hold { .. }
            | EntryKind::Void { .. }
            | EntryKind::Transfer(_) => None,
        });
        of_charges.sum()
    }

    fn end_payout(&mut self, which: usize, how: u8) {
        if self.payouts.is_empty() {
            return;
        }
        let (id, owner, amount) = self.payouts.swap_remove(which % self.payouts.len());
        let (id, owner) = (id.to_string(), Account::Owner(plugin(owner)));
        let (asked, sent) = (Account::PayoutRequested, Account::PayoutSent);
        if how == 0 {
            assert!(self.transfer_as(&id, Cause::PayoutCancelled, asked, owner, amount));
            return;
        }
        assert!(self.transfer_as(&id, Cause::PayoutSent, asked, sent, amount));
        let cost = amount / 10;
        match how {
            1 => assert!(self.transfer_as(&id, Cause::PayoutReturned, sent, owner, amount)),
            // The rail took half of what was shown, or all of it; later the money may come back.
            2..=4 => {
                let unspent = if how == 3 { cost / 2 } else { 0 };
                self.transfer_as(&id, Cause::PayoutCost, sent, Account::Outside, cost - unspent);
                self.transfer_as(&format!("{id}:unspent"), Cause::PayoutReturned, sent, owner, unspent);
                let rest = amount - cost;
                assert!(self.transfer_as(&id, Cause::PayoutConfirmed, sent, Account::Outside, rest));
                if how == 4 {
                    assert!(self.transfer_as(&id, Cause::PayoutReturned, Account::Outside, owner, rest));
                }
            }
            _ => {}
        }
    }

    /// Returns what an account had before a moment, by the entries alone.
    pub(super) fn before(&self, account: Account, moment: Moment) -> i64 {
        let postings = self.entries.iter().filter(|entry| entry.at < moment).flat_map(Entry::postings);
        postings
            .map(|posting| {
                let amount = posting.amount.get();
                i64::from(posting.credit == account) * amount - i64::from(posting.debit == account) * amount
            })
            .sum()
    }

    /// Returns what was set aside for an account's jobs before a moment.
    pub(super) fn set_aside(&self, account: Account, moment: Moment) -> i64 {
        let entries = self.entries.iter().filter(|entry| entry.at < moment);
        entries
            .map(|entry| match &entry.kind {
                EntryKind::Hold { payer, quote, .. } if *payer == account => quote.amount().get(),
                EntryKind::Void { payer, amount, .. } if *payer == account => -amount.get(),
                EntryKind::Settle(settle) if settle.payer == account => -settle.held.get(),
                EntryKind::Hold { .. }
                | EntryKind::Void { .. }
                | EntryKind::Settle(_)
                | EntryKind::Transfer(_) => 0,
            })
            .sum()
    }
}
