//! What is kept beside the entries, against the entries.

use proptest::{collection::vec, prelude::*};
use rekursing_market::{
    Book,
    ledger::{Cause, Replay, Settlement, Transfer},
};
use rekursing_protocol::{Day, Hour, Month, earnings::Release};

use super::*;

on_both! {
    what_was_released_first_is_what_was_due_first,
    an_hour_has_its_own_jobs_and_no_others,
    a_long_hour_comes_in_parts,
    the_entries_of_a_job_are_found_by_its_id,
    the_key_of_receipts_is_made_once,
    sums_that_were_changed_behind_our_back_are_found,
    an_older_ledger_gets_its_sums_when_it_is_opened,
}

/// One thing that a random book does; the numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    TopUp { page: u128, amount: i64 },
    Refund { page: u128, amount: i64 },
    Hold { page: u128, tokens: u64, is_free: bool },
    Settle { which: usize, owner: u128, tokens: u64, model: u8 },
    Void { which: usize },
    Release { owner: u128, amount: i64 },
    AskPayout { owner: u128, amount: i64 },
    EndPayout { which: usize, how: u8 },
    Impression { amount: i64 },
    Wait { hours: u64 },
}

fn step() -> impl Strategy<Value = Step> {
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
        2 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::EndPayout { which, how }),
        2 => amount().prop_map(|amount| Step::Impression { amount }),
        3 => (1..200_u64).prop_map(|hours| Step::Wait { hours }),
    ]
}

/// A book that does random things, each of which it may refuse.
struct Random {
    book: Book,
    now: Moment,
    entries: Vec<Entry>,
    open: Vec<(JobId, u64)>,
    payouts: Vec<(u128, u128, i64)>,
    next: u128,
}

const ADVERTISER: Account = Account::Advertiser(AccountId::from_bits(50));
const PRICE: Price = Price::new(0, 1_000_000);

fn page(number: u128) -> Account {
    Account::Page(AccountId::from_bits(number))
}

fn plugin(number: u128) -> PluginId {
    PluginId::from_bits(100 + number)
}

impl Random {
    /// Begins at the end of a month, with money in the shared purses.
    fn new() -> Random {
        let mut random = Random {
            book: Book::default(),
            now: Day(20_482).begin(),
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

    fn step(&mut self, step: Step) {
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
            owner: plugin(owner),
            model: format!("model-{}", model % 3),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: PRICE,
            price: PRICE,
            prompt_tokens: 0,
            answer_tokens: tokens.min(most),
            fee_permille: 50,
            discount_permille: u64::from(model % 7) * 10,
            holdback_permille: u64::from(model % 2) * 500,
            release_at: self.now + Span(7 * Span::DAY.0),
        };
        let entry = self.book.settle(self.now, settlement).unwrap();
        self.entries.push(entry);
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
            2 => {
                self.transfer_as(&id, Cause::PayoutCost, sent, Account::Outside, cost);
                let rest = amount - cost;
                assert!(self.transfer_as(&id, Cause::PayoutConfirmed, sent, Account::Outside, rest));
            }
            _ => {}
        }
    }

    /// Returns what an account had before a moment, by the entries alone.
    fn before(&self, account: Account, moment: Moment) -> i64 {
        let postings = self.entries.iter().filter(|entry| entry.at < moment).flat_map(Entry::postings);
        postings
            .map(|posting| {
                let amount = posting.amount.get();
                i64::from(posting.credit == account) * amount - i64::from(posting.debit == account) * amount
            })
            .sum()
    }

    /// Returns what was set aside for an account's jobs before a moment.
    fn set_aside(&self, account: Account, moment: Moment) -> i64 {
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

fn months(of: &Random) -> impl Iterator<Item = Month> {
    let (first, last) = (Day(20_482).month(), Day(of.now.day()).month().next());
    std::iter::successors(Some(first), |month| Some(month.next())).take_while(move |month| *month <= last)
}

fn check_sheet(sheet: &Sheet, opening: i64, closing: i64) {
    assert_eq!((sheet.opening.get(), sheet.closing.get()), (opening, closing), "{sheet:?}");
    let moved: i64 = sheet.lines.iter().map(|line| line.credit.get() - line.debit.get()).sum();
    assert_eq!(opening + moved, closing, "{sheet:?}");
}

async fn check(random: &Random, store: &Store) {
    for month in months(random) {
        let (begin, end) = (month.first().begin(), month.next().first().begin());
        for number in 1..4 {
            let statement = store.owner_statement(plugin(number), month).await.unwrap();
            let accounts = [Account::Owner(plugin(number)), Account::Held(plugin(number))];
            for (sheet, account) in statement.accounts.iter().zip(accounts) {
                check_sheet(sheet, random.before(account, begin), random.before(account, end));
            }
            let statement = store.page_statement(AccountId::from_bits(number), month).await.unwrap();
            let (available, aside) = (&statement.accounts[0], &statement.accounts[1]);
            check_sheet(available, random.before(page(number), begin), random.before(page(number), end));
            check_sheet(aside, random.set_aside(page(number), begin), random.set_aside(page(number), end));
        }
    }
    for number in 1..4 {
        let earnings = store.earnings(random.now, plugin(number)).await.unwrap();
        let [available, held] =
            [Account::Owner(plugin(number)), Account::Held(plugin(number))].map(|a| random.book.balance(a));
        assert_eq!((earnings.available, earnings.held), (available, held));
        let due: i64 = earnings.releases.iter().map(|release| release.amount.get()).sum();
        assert_eq!(due, held.get(), "what is due adds up to what is held");
        let parts = [earnings.available, earnings.held, earnings.in_payout, earnings.paid];
        let sum: i64 = parts.iter().map(|part| part.get()).sum();
        assert_eq!(
            sum + earnings.payout_costs.get(),
            earnings.total.get(),
            "all that was earned is somewhere"
        );
    }
    let span = Days { from: Day(20_482), to: Day(random.now.day()) };
    let revenue = store.revenue(span).await.unwrap();
    let cash = revenue.cash;
    assert_eq!(cash.platform, random.book.balance(Account::Platform));
    assert_eq!(revenue.total.fees, cash.platform);
    assert_eq!(cash.free, random.book.balance(Account::Free));
    let everything = [
        cash.platform,
        cash.free,
        cash.escrow,
        cash.owners,
        cash.owners_held,
        cash.payouts_requested,
        cash.payouts_sent,
        cash.advertisers,
        cash.pages,
        cash.outside,
    ];
    assert_eq!(everything.iter().map(|amount| amount.get()).sum::<i64>(), 0, "{cash:?}");
    let used = store.used(span, None).await.unwrap();
    assert_eq!(used.total.jobs, revenue.total.jobs);
    let of_pages = [1, 2, 3].map(AccountId::from_bits);
    let mut by_pages = 0;
    for account in of_pages {
        by_pages += store.used(span, Some(account)).await.unwrap().total.charge.get();
    }
    assert_eq!(by_pages + revenue.total.free_cost.get(), used.total.charge.get());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn statements_earnings_and_revenue_add_up_to_any_ledger(steps in vec(step(), 1..120)) {
        let mut random = Random::new();
        steps.into_iter().for_each(|step| random.step(step));
        let mut replay = Replay::default();
        random.entries.iter().try_for_each(|entry| replay.apply(entry)).unwrap();
        let place = Place::sqlite();
        let store = start(&place);
        random.entries.iter().cloned().for_each(|entry| store.append(entry));
        now(async {
            store.flushed().await;
            check(&random, &store).await;
        });
        store.stop();
        prop_assert_eq!(audit(&place.location).unwrap().wrong, None);
    }
}

/// Stores jobs that were settled at these moments, with half of each earning held back for a week.
fn sell(store: &Store, moments: &[Moment]) {
    store.append(grant("grant:1", PAGE, 1_000_000_000));
    for (number, moment) in (10..).zip(moments) {
        let job = JobId::from_bits(number);
        store.append(Entry { at: *moment, ..hold(job, 50_000) });
        let mut entry = Entry { at: *moment, ..settle(job, 50_000) };
        if let EntryKind::Settle(settle) = &mut entry.kind {
            settle.held_back = Nanos::new(9_500);
            settle.release_at = *moment + Span(7 * Span::DAY.0);
        }
        store.append(entry);
    }
}

fn what_was_released_first_is_what_was_due_first(place: &Place) {
    let store = start(place);
    now(async {
        let on = |day| Day(day).begin();
        sell(&store, &[on(100), on(100) + Span::secs(5), on(101), on(102)]);
        let transfer = Transfer {
            cause: Cause::Release,
            from: Account::Held(OWNER),
            to: Account::Owner(OWNER),
            amount: Nanos::new(20_000),
            note: String::new(),
        };
        store.append(Entry { id: "release:1".to_owned(), at: on(107), kind: EntryKind::Transfer(transfer) });
        store.flushed().await;
        let earnings = store.earnings(on(107), OWNER).await.unwrap();
        assert_eq!(earnings.held, Nanos::new(18_000));
        let due = |day, nanos| Release { at: on(day), amount: Nanos::new(nanos) };
        assert_eq!(earnings.releases, [due(108, 8_500), due(109, 9_500)]);
        let days: Vec<_> = earnings.days.iter().map(|day| (day.day, day.jobs)).collect();
        assert_eq!(days, [(Day(100), 2), (Day(101), 1), (Day(102), 1)]);
        assert_eq!(earnings.recent[0].release_at, Some(on(109)));
        let later = store.earnings(on(190), OWNER).await.unwrap();
        assert_eq!(later.days.first().unwrap().day, Day(101), "only the last 90 days are told");
    });
    store.stop();
}

fn an_hour_has_its_own_jobs_and_no_others(place: &Place) {
    let store = start(place);
    now(async {
        let at = |hour: u64, ms: u64| Moment(hour * Hour::LENGTH.0 + ms);
        sell(&store, &[at(5, 0), at(5, 3_599_999), at(6, 0), at(9, 7)]);
        store.flushed().await;
        let hours = store.served_hours(Hour(9)).await.unwrap();
        assert_eq!(hours, [(Hour(6), 1), (Hour(5), 2)]);
        let slice = store.served(Hour(5), 0).await.unwrap().unwrap();
        let times: Vec<_> = slice.jobs.iter().map(|job| (job.held_at, job.settled_at)).collect();
        assert_eq!(times, [(at(5, 0), at(5, 0)), (at(5, 3_599_999), at(5, 3_599_999))]);
        assert_eq!(slice.next, None);
        assert_eq!(store.served(Hour(6), 0).await.unwrap().unwrap().jobs.len(), 1);
        assert_eq!(store.served(Hour(6), u64::MAX).await.unwrap().unwrap().jobs, []);
        assert_eq!(store.served(Hour(7), 0).await.unwrap(), None);
    });
    store.stop();
}

fn a_long_hour_comes_in_parts(place: &Place) {
    let store = start(place);
    now(async {
        let moments: Vec<Moment> = (0..10_050).map(Moment).collect();
        sell(&store, &moments);
        store.flushed().await;
        let first = store.served(Hour(0), 0).await.unwrap().unwrap();
        assert_eq!(first.jobs.len(), 10_000);
        let rest = store.served(Hour(0), first.next.unwrap()).await.unwrap().unwrap();
        assert_eq!((rest.jobs.len(), rest.next), (50, None));
        assert_eq!(rest.jobs[0].settled_at, Moment(10_000));
    });
    store.stop();
}

fn the_entries_of_a_job_are_found_by_its_id(place: &Place) {
    let store = start(place);
    now(async {
        let [settled, void, open] = [10, 11, 12].map(JobId::from_bits);
        store.append(grant("grant:1", PAGE, 1_000_000));
        for job in [settled, void, open] {
            store.append(hold(job, 50_000));
        }
        store.append(settle(settled, 50_000));
        let kind = EntryKind::Void { job: void, payer: PAGE, amount: Nanos::new(50_000) };
        store.append(Entry { id: format!("void:{void}"), at: Moment(6), kind });
        store.flushed().await;
        let end = |job: Option<Job>| job.unwrap().end.map(|end| end.id);
        assert_eq!(end(store.job(settled).await.unwrap()), Some(format!("settle:{settled}")));
        assert_eq!(end(store.job(void).await.unwrap()), Some(format!("void:{void}")));
        assert_eq!(end(store.job(open).await.unwrap()), None);
        assert!(store.job(JobId::from_bits(13)).await.unwrap().is_none());
    });
    store.stop();
}

fn the_key_of_receipts_is_made_once(place: &Place) {
    let mut store = Store::open(&place.location).unwrap();
    let first = store.receipt_keys(crate::receipt::key(Moment(1))).unwrap();
    let again = store.receipt_keys(crate::receipt::key(Moment(2))).unwrap();
    assert_eq!((again.len(), &again[0].id, again[0].seed), (1, &first[0].id, first[0].seed));
}

fn sums_that_were_changed_behind_our_back_are_found(place: &Place) {
    for (change, found) in [
        ("UPDATE posted SET credit = credit + 1 WHERE account = 'platform'", "the sums of postings"),
        ("UPDATE posted SET debit = debit + 1 WHERE account = 'page'", "the sums of a class of accounts"),
        ("UPDATE withheld SET amount = amount - 1", "the sums of what is held back"),
        ("UPDATE sold SET answer_tokens = 0", "the sums of what is sold"),
    ] {
        let place = place.another();
        let store = start(&place);
        sell(&store, &[Moment(1_000)]);
        store.stop();
        assert_eq!(audit(&place.location).unwrap().wrong, None);
        Sql::connect(&place.location).unwrap().batch(change).unwrap();
        let wrong = audit(&place.location).unwrap().wrong.unwrap();
        assert!(wrong.starts_with(found), "{wrong}");
    }
}

#[test]
fn nothing_that_an_owner_asks_reads_the_whole_ledger() {
    let place = Place::sqlite();
    let store = start(&place);
    sell(&store, &[Moment(1_000)]);
    now(store.flushed());
    for read in [
        earnings::SINCE,
        earnings::BALANCE,
        earnings::RELEASES,
        earnings::PAYOUTS,
        earnings::BY_DAY,
        earnings::BY_MODEL,
        earnings::RECENT,
        served::HOURS,
        served::SLICE,
    ] {
        let plan: &'static str = format!("EXPLAIN QUERY PLAN {read}").leak();
        let values: Vec<Value> = (0..read.matches('?').count()).map(|_| Value::Null).collect();
        let steps = store.read(move |sql| sql.list(plan, &values, |row| Ok(row.text(3)?.to_owned())));
        let steps = now(steps).unwrap();
        assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{read}: {steps:?}");
    }
    store.stop();
}

fn an_older_ledger_gets_its_sums_when_it_is_opened(place: &Place) {
    let store = start(place);
    sell(&store, &[Moment(1_000), Moment(Span::DAY.0 * 40), Moment(Span::DAY.0 * 40 + 5)]);
    now(store.flushed());
    let told = |store: &Store| {
        let earnings = now(store.earnings(Moment(Span::DAY.0 * 41), OWNER)).unwrap();
        let span = Days { from: Day(0), to: Day(41) };
        let hours = now(store.served_hours(Hour(5_000))).unwrap();
        (earnings, now(store.revenue(span)).unwrap(), hours)
    };
    let before = told(&store);
    store.stop();
    let mut sql = Sql::connect(&place.location).unwrap();
    sql.batch(
        "DROP TABLE posted; DROP TABLE withheld; DROP TABLE sold; DROP TABLE served; DROP TABLE receipt_key",
    )
    .unwrap();
    schema::take(&mut sql, 3).unwrap();
    let store = start(place);
    assert_eq!(told(&store), before);
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}
