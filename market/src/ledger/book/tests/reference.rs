//! Millions of random operations, each held against a reference model: a table of balances, a table of
//! holds and what was done before, in wide numbers and without a rule of the book's own code but for which
//! accounts a cause joins.
//!
//! A million by default; `REKURSING_OPERATIONS=20000000 cargo test -p rekursing-market --release reference`
//! makes it twenty.

use std::collections::BTreeMap;

use rekursing_protocol::{AccountId, JobId, Moment, Nanos, PluginId, Price};

use crate::{
    ledger::{Account, Book, Cause, Entry, EntryKind, Quote, Replay, Settlement, Transfer},
    random::Random,
    tier::Tier,
};

/// As far back as something is repeated: the book remembers more.
const RECENT: u64 = 1_000;

/// Operations of one book, so that some books are young.
const OPERATIONS_PER_BOOK: u64 = 20_000;

const ACCOUNTS: [Account; 14] = [
    Account::Page(AccountId::from_bits(1)),
    Account::Page(AccountId::from_bits(2)),
    Account::Page(AccountId::from_bits(3)),
    Account::Advertiser(AccountId::from_bits(1)),
    Account::Owner(PluginId::from_bits(1)),
    Account::Owner(PluginId::from_bits(2)),
    Account::Held(PluginId::from_bits(1)),
    Account::Held(PluginId::from_bits(2)),
    Account::Free,
    Account::PayoutRequested,
    Account::PayoutSent,
    Account::Platform,
    Account::Shortfall,
    Account::Outside,
];

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    Open { payer: Account, held: i128 },
    Over,
}

#[derive(Default)]
struct Model {
    balances: BTreeMap<Account, i128>,
    jobs: BTreeMap<u64, Job>,
    /// Transfers by their number, those taken back by the number of what they took back.
    transfers: BTreeMap<u64, Transfer>,
}

impl Model {
    fn of(&self, account: Account) -> i128 {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// Moves all of it, or nothing where an account would go below zero or leave 64 bits.
    fn post(&mut self, legs: &[(Account, Account, i128)]) -> bool {
        let mut after = self.balances.clone();
        for (from, to, amount) in legs {
            *after.entry(*from).or_default() -= amount;
            *after.entry(*to).or_default() += amount;
        }
        let fits = |(account, balance): (&Account, &i128)| {
            let least = if account.may_be_negative() { i128::from(i64::MIN) } else { 0 };
            (least..=i128::from(i64::MAX)).contains(balance)
        };
        let holds = after.iter().all(fits);
        if holds {
            self.balances = after;
        }
        holds
    }
}

/// A book beside its model.
struct Twin {
    book: Book,
    model: Model,
    replay: Replay,
    random: Random,
    now: u64,
}

impl Twin {
    fn new(seed: u64) -> Twin {
        let (book, model, replay) = (Book::default(), Model::default(), Replay::default());
        Twin { book, model, replay, random: Random::new(seed), now: 0 }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next() % end
    }

    /// Mostly small, now and then as large as can be, and now and then nothing or less.
    fn amount(&mut self) -> i64 {
        match self.below(64) {
            0 => i64::MAX - i64::try_from(self.below(3)).unwrap(),
            1 => 0,
            2 => -1,
            _ => i64::try_from(self.below(5_000_000)).unwrap(),
        }
    }

    fn account(&mut self) -> Account {
        let place = self.below(ACCOUNTS.len() as u64);
        ACCOUNTS[usize::try_from(place).unwrap()]
    }

    fn recent(&mut self) -> u64 {
        let back = self.below(RECENT.min(self.now) + 1);
        self.now - back
    }

    fn step(&mut self) {
        self.now += 1;
        match self.below(16) {
            0 => self.transfer(Cause::Grant, Account::Outside),
            1 | 2 => self.any_transfer(),
            3 => self.pay_out(),
            4 => self.repeat(),
            5..=9 => self.hold(),
            10..=13 => self.settle(),
            14 => self.void(),
            _ => self.correct(),
        }
        for account in ACCOUNTS.into_iter().chain([Account::Escrow]) {
            assert_eq!(i128::from(self.book.balance(account).get()), self.model.of(account), "{account}");
        }
    }

    fn any_transfer(&mut self) {
        let cause = Cause::ALL[usize::try_from(self.below(Cause::ALL.len() as u64)).unwrap()];
        // A payout's entries follow each other.
        if cause.name().starts_with("payout") {
            return;
        }
        let from = self.account();
        self.transfer(cause, from);
    }

    fn transfer(&mut self, cause: Cause, from: Account) {
        // Money is wanted to move: of some accounts, one that is joined is taken.
        let tries = [self.account(), self.account(), self.account()];
        let to = tries.into_iter().find(|to| cause.joins(from, *to)).unwrap_or(tries[0]);
        let amount = Nanos::new(self.amount());
        let transfer = Transfer { cause, from, to, amount, note: String::new() };
        let made = self.book.transfer(Moment(self.now), &self.now.to_string(), transfer.clone());
        let is_sound = amount > Nanos::ZERO && cause.joins(from, to);
        let is_made = is_sound && self.model.post(&[(from, to, amount.get().into())]);
        self.agree(&made.ok().into_iter().collect::<Vec<_>>(), is_made);
        if is_made {
            self.model.transfers.insert(self.now, transfer);
        }
    }

    /// A payout from its request to its end, with what another one has asked for beside it.
    fn pay_out(&mut self) {
        use Account::{Outside, PayoutRequested, PayoutSent};
        let owner = ACCOUNTS[4 + usize::try_from(self.below(2)).unwrap()];
        let amount = Nanos::new(self.amount());
        let steps: &[(Cause, Account, Account)] = match self.below(4) {
            0 => &[(Cause::PayoutCancelled, PayoutRequested, owner)],
            1 => &[(Cause::PayoutSent, PayoutRequested, PayoutSent)],
            2 => &[
                (Cause::PayoutSent, PayoutRequested, PayoutSent),
                (Cause::PayoutConfirmed, PayoutSent, Outside),
                (Cause::PayoutReturned, Outside, owner),
            ],
            _ => &[
                (Cause::PayoutSent, PayoutRequested, PayoutSent),
                (Cause::PayoutReturned, PayoutSent, owner),
            ],
        };
        let request = [(Cause::PayoutRequested, owner, PayoutRequested)];
        for (cause, from, to) in request.iter().chain(steps) {
            let transfer = Transfer { cause: *cause, from: *from, to: *to, amount, note: String::new() };
            let made = self.book.transfer(Moment(self.now), &self.now.to_string(), transfer);
            let is_made = amount > Nanos::ZERO && self.model.post(&[(*from, *to, i128::from(amount.get()))]);
            self.agree(&made.ok().into_iter().collect::<Vec<_>>(), is_made);
            if !is_made {
                return;
            }
        }
    }

    /// What was done before moves nothing again, and nothing else is done under its id.
    fn repeat(&mut self) {
        let number = self.recent();
        let Some(transfer) = self.model.transfers.get(&number).cloned() else { return };
        let other = Transfer { amount: Nanos::new(transfer.amount.get() ^ 1), ..transfer.clone() };
        for again in [transfer, other] {
            self.book.transfer(Moment(self.now), &number.to_string(), again).unwrap_err();
        }
    }

    fn hold(&mut self) {
        // Some ask for a job that was there before.
        let number = if self.below(8) == 0 { self.recent() } else { self.now };
        let payer = ACCOUNTS[usize::try_from(self.below(3)).unwrap()];
        let payer = if self.below(4) == 0 { Account::Free } else { payer };
        // No settlement is for more of a prompt than its hold.
        let (price, prompt, answer) = (self.price(), 3_000, self.below(3_000));
        let Some(quote) = Quote::new(price, prompt, answer) else { panic!("small numbers fit") };
        let amount = cost(price, prompt, answer);
        let made = self.book.hold(Moment(self.now), job(number), payer, quote);
        let is_made =
            !self.model.jobs.contains_key(&number) && self.model.post(&[(payer, Account::Escrow, amount)]);
        self.agree(&made.ok().into_iter().collect::<Vec<_>>(), is_made);
        if is_made {
            self.model.jobs.insert(number, Job::Open { payer, held: amount });
        }
    }

    fn price(&mut self) -> Price {
        Price::new(self.below(200_000), self.below(400_000))
    }

    /// Picks a job that is open, or else any number.
    fn pick(&mut self) -> u64 {
        let from = self.recent();
        let mut later = self.model.jobs.range(from..);
        later.find(|(_, job)| **job != Job::Over).map_or(from, |(number, _)| *number)
    }

    fn settle(&mut self) {
        let number = self.pick();
        let (price, prompt, answer) = (self.price(), self.below(3_000), self.below(3_000));
        let [fee, discount, back] = [self.below(1_100), self.below(80), self.below(1_100)];
        let owner = self.below(2) + 1;
        let settlement = Settlement {
            job: job(number),
            lease: 1,
            owner: PluginId::from_bits(owner.into()),
            api_key: None,
            model: String::new(),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: price,
            price,
            prompt_tokens: prompt,
            answer_tokens: answer,
            tier_permille: 1_000,
            fee_permille: fee,
            discount_permille: discount,
            holdback_permille: back,
            release_at: Moment(9),
        };
        let made = self.book.settle(Moment(self.now), settlement);
        let part = |of: i128, permille: u64| of * i128::from(permille.min(1_000)) / 1_000;
        let cost = cost(price, prompt, answer);
        let spared = part(cost, discount).min(part(cost, fee));
        let (charge, kept) = (cost - spared, part(cost, fee) - spared);
        let held_back = part(charge - kept, back);
        let owner = PluginId::from_bits(owner.into());
        let is_made = match self.model.jobs.get(&number) {
            Some(Job::Open { payer, held }) if charge <= *held => {
                let (payer, held) = (*payer, *held);
                self.model.post(&[
                    (Account::Escrow, Account::Owner(owner), charge - kept - held_back),
                    (Account::Escrow, Account::Held(owner), held_back),
                    (Account::Escrow, Account::Platform, kept),
                    (Account::Escrow, payer, held - charge),
                ])
            }
            _ => false,
        };
        self.agree(&made.ok().into_iter().collect::<Vec<_>>(), is_made);
        if is_made {
            self.model.jobs.insert(number, Job::Over);
        }
    }

    fn void(&mut self) {
        let number = self.pick();
        let made = self.book.void(Moment(self.now), job(number));
        let is_made = match self.model.jobs.get(&number) {
            Some(Job::Open { payer, held }) => {
                let leg = (Account::Escrow, *payer, *held);
                self.model.post(&[leg])
            }
            _ => false,
        };
        self.agree(&made.ok().into_iter().collect::<Vec<_>>(), is_made);
        if is_made {
            self.model.jobs.insert(number, Job::Over);
        }
    }

    /// Takes a transfer back, which may have been taken back before.
    fn correct(&mut self) {
        let number = self.recent();
        let Some(transfer) = self.model.transfers.get(&number).cloned() else { return };
        let (from, to, amount) = (transfer.from, transfer.to, i128::from(transfer.amount.get()));
        let is_loss = transfer.cause == Cause::Correction
            && matches!(transfer.from, Account::Platform | Account::Shortfall)
            && transfer.to == Account::Outside;
        let is_correctable = transfer.cause.is_correctable() || is_loss;
        let id = format!("{}:{number}", transfer.cause);
        let entry = Entry { id, at: Moment(number), kind: EntryKind::Transfer(transfer) };
        let made = self.book.correct(Moment(self.now), &entry, "random");
        let is_made = is_correctable && self.model.post(&[(to, from, amount)]);
        self.agree(&made.unwrap_or_default(), is_made);
        if is_made {
            // It is not repeated and not taken back again; that it cannot be is tried at once.
            self.model.transfers.remove(&number);
            self.book.correct(Moment(self.now), &entry, "again").unwrap_err();
        }
    }

    /// Book and model have come to the same, and a replay takes what the book has made.
    fn agree(&mut self, made: &[Entry], is_made: bool) {
        assert_eq!(made.is_empty(), !is_made, "{made:?}");
        for entry in made {
            assert_eq!(self.replay.apply(entry), Ok(()));
        }
    }

    fn end(&self) {
        assert_eq!(self.book.audit(), Ok(()));
        let open = self.model.jobs.values().filter(|job| **job != Job::Over).count();
        assert_eq!((self.book.open_holds().len(), self.replay.open_holds()), (open, open));
        for (account, balance) in self.replay.balances() {
            assert_eq!(i128::from(balance.get()), self.model.of(account), "replay of {account}");
        }
    }
}

fn job(number: u64) -> JobId {
    JobId::from_bits(number.into())
}

/// What tokens cost, in nano-dollars: a price is micro-dollars per million.
fn cost(price: Price, prompt: u64, answer: u64) -> i128 {
    (i128::from(price.input) * i128::from(prompt) + i128::from(price.output) * i128::from(answer)) / 1_000
}

#[test]
fn a_million_random_operations_come_to_what_a_simple_model_says() {
    let operations = std::env::var("REKURSING_OPERATIONS").ok().and_then(|text| text.parse().ok());
    let books = operations.unwrap_or(1_000_000_u64).div_ceil(OPERATIONS_PER_BOOK);
    for seed in 0..books {
        let mut twin = Twin::new(seed);
        for _ in 0..OPERATIONS_PER_BOOK {
            twin.step();
        }
        twin.end();
    }
}
