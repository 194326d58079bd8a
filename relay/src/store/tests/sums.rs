//! What is kept beside the entries, against the entries.

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use rekursing_market::ledger::{Cause, Replay, Transfer, correction_id};
use rekursing_protocol::{Day, Hour, Month, earnings::Release};

use super::{
    random::{BEGIN, Random, page, plugin, step},
    *,
};

on_both! {
    what_was_released_first_is_what_was_due_first,
    an_hour_has_its_own_jobs_and_no_others,
    a_long_hour_comes_in_parts,
    the_entries_of_a_job_are_found_by_its_id,
    the_key_of_receipts_is_made_once,
    sums_that_were_changed_behind_our_back_are_found,
    an_older_ledger_gets_its_sums_when_it_is_opened,
    revenue_counts_every_ad_and_no_money_twice,
    statements_earnings_and_revenue_add_up_to_any_ledger,
}

fn months(of: &Random) -> impl Iterator<Item = Month> {
    let (first, last) = (BEGIN.month(), Day(of.now.day()).month().next());
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
    for number in 1..4 {
        let now = Moment(random.now.0 + 1);
        for (account, has) in [
            (page(number), random.book.balance(page(number)).get() + random.set_aside(page(number), now)),
            (Account::Owner(plugin(number)), random.book.balance(Account::Owner(plugin(number))).get()),
            (Account::Held(plugin(number)), random.book.balance(Account::Held(plugin(number))).get()),
        ] {
            let entries = store.entries_of(account, u64::MAX, 1_000).await.unwrap();
            assert!(entries.is_sorted_by(|one, next| one.seq > next.seq), "newest first, each once");
            let moved: i64 = entries.iter().map(|entry| entry.credit.get() - entry.debit.get()).sum();
            assert_eq!(moved, has, "{account}: {entries:?}");
        }
    }
    let span = Days { from: BEGIN, to: Day(random.now.day()) };
    let revenue = store.revenue(span).await.unwrap();
    let cash = revenue.cash;
    assert_eq!(cash.platform, random.book.balance(Account::Platform));
    // What was given back of fees and was not there is missing in the shortfall.
    assert_eq!(revenue.total.fees.get(), cash.platform.get() + cash.shortfall.get());
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
        cash.shortfall,
        cash.outside,
    ];
    assert_eq!(everything.iter().map(|amount| amount.get()).sum::<i64>(), 0, "{cash:?}");
    let used = store.used(span, Whose::Everyones).await.unwrap();
    assert_eq!(used.total.jobs, revenue.total.jobs);
    for number in 1..4 {
        let (_, spent) = store.account_usage(AccountId::from_bits(number), 0).await.unwrap();
        assert_eq!(spent.get(), random.spent(page(number)));
    }
    let of_pages = [1, 2, 3].map(AccountId::from_bits);
    let mut by_pages = 0;
    for account in of_pages {
        by_pages += store.used(span, Whose::Account(account)).await.unwrap().total.charge.get();
    }
    assert_eq!(by_pages + revenue.total.free_cost.get(), used.total.charge.get());
}

/// Returns how many random ledgers are looked at: what `REKURSING_LEDGERS` says, or else a few, and fewer on
/// PostgreSQL, where each needs a database to be made.
fn ledgers(place: &Place) -> u32 {
    let usual = if place.is_sqlite() { 24 } else { 8 };
    std::env::var("REKURSING_LEDGERS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn statements_earnings_and_revenue_add_up_to_any_ledger(place: &Place) {
    let config = ProptestConfig { cases: ledgers(place), ..ProptestConfig::with_source_file(file!()) };
    let ledgers = TestRunner::new(config).run(&vec(step(), 1..120), |steps| {
        let mut random = Random::new();
        steps.into_iter().for_each(|step| random.step(step));
        let mut replay = Replay::default();
        random.entries.iter().try_for_each(|entry| replay.apply(entry)).unwrap();
        let place = place.another();
        let store = start(&place);
        random.entries.iter().cloned().for_each(|entry| store.append(vec![entry]));
        now(async {
            store.flushed().await;
            check(&random, &store).await;
        });
        store.stop();
        prop_assert_eq!(audit(&place.location).unwrap().wrong, None);
        Ok(())
    });
    ledgers.unwrap();
}

/// Stores jobs that were settled at these moments, with half of each earning held back for a week.
fn sell(store: &Store, moments: &[Moment]) {
    store.append(vec![grant("grant:1", PAGE, 1_000_000_000)]);
    for (number, moment) in (10..).zip(moments) {
        let job = JobId::from_bits(number);
        store.append(vec![Entry { at: *moment, ..hold(job, 50_000) }]);
        let mut entry = Entry { at: *moment, ..settle(job, 50_000) };
        if let EntryKind::Settle(settle) = &mut entry.kind {
            settle.held_back = Nanos::new(9_500);
            settle.release_at = *moment + Span(7 * Span::DAY.0);
        }
        store.append(vec![entry]);
    }
}

fn what_was_released_first_is_what_was_due_first(place: &Place) {
    let store = start(place);
    let on = |day| Day(day).begin();
    sell(&store, &[on(100), on(100) + Span::secs(5), on(101), on(102)]);
    let transfer = Transfer {
        cause: Cause::Release,
        from: Account::Held(OWNER),
        to: Account::Owner(OWNER),
        amount: Nanos::new(20_000),
        note: String::new(),
    };
    store.append(vec![Entry {
        id: "release:1".to_owned(),
        at: on(107),
        kind: EntryKind::Transfer(transfer),
    }]);
    now(store.flushed());
    let earnings = now(store.earnings(on(107), OWNER)).unwrap();
    assert_eq!(earnings.held, Nanos::new(18_000));
    let due = |day, nanos| Release { at: on(day), amount: Nanos::new(nanos) };
    assert_eq!(earnings.releases, [due(108, 8_500), due(109, 9_500)]);
    let days: Vec<_> = earnings.days.iter().map(|day| (day.day, day.jobs)).collect();
    assert_eq!(days, [(Day(100), 2), (Day(101), 1), (Day(102), 1)]);
    assert_eq!(earnings.recent[0].receipt.release_at, Some(on(109)));
    let later = now(store.earnings(on(190), OWNER)).unwrap();
    assert_eq!(later.days.first().unwrap().day, Day(101), "only the last 90 days are told");
    store.stop();
}

fn an_hour_has_its_own_jobs_and_no_others(place: &Place) {
    let store = start(place);
    let at = |hour: u64, ms: u64| Moment(hour * Hour::LENGTH.0 + ms);
    sell(&store, &[at(5, 0), at(5, 3_599_999), at(6, 0), at(9, 7)]);
    now(store.flushed());
    let hours = now(store.served_hours(Hour(9))).unwrap();
    assert_eq!(hours, [(Hour(6), 1), (Hour(5), 2)]);
    let slice = now(store.served(Hour(5), 0)).unwrap().unwrap();
    let times: Vec<_> = slice.jobs.iter().map(|job| (job.held_at, job.settled_at)).collect();
    assert_eq!(times, [(at(5, 0), at(5, 0)), (at(5, 3_599_999), at(5, 3_599_999))]);
    assert_eq!(slice.next, None);
    assert_eq!(now(store.served(Hour(6), 0)).unwrap().unwrap().jobs.len(), 1);
    assert_eq!(now(store.served(Hour(6), u64::MAX)).unwrap().unwrap().jobs, []);
    assert_eq!(now(store.served(Hour(7), 0)).unwrap(), None);
    assert_eq!(now(store.served_by(Hour(5))).unwrap(), [("tiny".to_owned(), OWNER)]);
    assert_eq!(now(store.served_by(Hour(7))).unwrap(), []);
    store.stop();
}

fn a_long_hour_comes_in_parts(place: &Place) {
    let store = start(place);
    let moments: Vec<Moment> = (0..10_050).map(Moment).collect();
    sell(&store, &moments);
    now(store.flushed());
    let first = now(store.served(Hour(0), 0)).unwrap().unwrap();
    assert_eq!(first.jobs.len(), 10_000);
    let rest = now(store.served(Hour(0), first.next.unwrap())).unwrap().unwrap();
    assert_eq!((rest.jobs.len(), rest.next), (50, None));
    assert_eq!(rest.jobs[0].settled_at, Moment(10_000));
    store.stop();
}

fn the_entries_of_a_job_are_found_by_its_id(place: &Place) {
    let store = start(place);
    let [settled, void, open] = [10, 11, 12].map(JobId::from_bits);
    store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
    for job in [settled, void, open] {
        store.append(vec![hold(job, 50_000)]);
    }
    store.append(vec![settle(settled, 50_000)]);
    let kind = EntryKind::Void { job: void, payer: PAGE, amount: Nanos::new(50_000) };
    store.append(vec![Entry { id: format!("void:{void}"), at: Moment(6), kind }]);
    now(store.flushed());
    let end = |job: Option<Job>| job.unwrap().end.map(|end| end.id);
    assert_eq!(end(now(store.job(settled)).unwrap()), Some(format!("settle:{settled}")));
    assert_eq!(end(now(store.job(void)).unwrap()), Some(format!("void:{void}")));
    assert_eq!(end(now(store.job(open)).unwrap()), None);
    assert!(now(store.job(JobId::from_bits(13))).unwrap().is_none());
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
        ("UPDATE served SET last_seq = last_seq + 1", "an hour's settlements"),
        (
            "INSERT INTO given_back VALUES ('plg_1', 'free', '', 1, 'tiny', 5, 1)",
            "the sums of what was given back",
        ),
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

fn transfer(id: &str, at: Moment, cause: Cause, from: Account, to: Account, nanos: i64) -> Entry {
    let transfer = Transfer { cause, from, to, amount: Nanos::new(nanos), note: String::new() };
    Entry { id: id.to_owned(), at, kind: EntryKind::Transfer(transfer) }
}

/// Two answers, of which one is free, two premiums, of which one is given back, and ads of two campaigns, one
/// of which pays for clicks alone.
fn revenue_counts_every_ad_and_no_money_twice(place: &Place) {
    let (store, at) = (start(place), Day(3).begin());
    let advertiser = Account::Advertiser(AccountId::from_bits(5));
    let [paid, free] = [10, 11].map(JobId::from_bits);
    let mut entries = vec![grant("grant:1", PAGE, 1_000_000), grant("grant:2", Account::Free, 500_000)];
    entries.push(grant("grant:3", advertiser, 1_000_000));
    entries.extend([hold(paid, 50_000), settle(paid, 50_000), hold(free, 50_000), settle(free, 50_000)]);
    if let EntryKind::Hold { payer, .. } = &mut entries[5].kind {
        *payer = Account::Free;
    }
    if let EntryKind::Settle(settle) = &mut entries[6].kind {
        settle.payer = Account::Free;
    }
    let (pool, platform) = (Account::Free, Account::Platform);
    entries.extend([
        transfer("premium:1", at, Cause::Premium, PAGE, platform, 7_000),
        transfer("premium:2", at, Cause::Premium, PAGE, platform, 7_000),
        // Given back a day later, it counts for the day on which it was paid.
        transfer("correction:premium:2:0", Day(4).begin(), Cause::Correction, platform, PAGE, 7_000),
        transfer("impression:1", at, Cause::Impression, advertiser, pool, 400),
        transfer("click:1", at, Cause::Click, advertiser, pool, 2_600),
        transfer("click:2", at, Cause::Click, advertiser, pool, 3_000),
        transfer("surplus:1", at, Cause::Surplus, pool, platform, 1_000),
    ]);
    store.append(entries);
    let by_click = Some(CampaignId::from_bits(7));
    let counts = vec![
        ((None, 3), AdCount { asked: 8, ..AdCount::default() }),
        ((by_click, 3), AdCount { sent: 3, impressions: 3, clicks: 0, asked: 0 }),
    ];
    now(store.add_ad_counts(counts)).unwrap();
    now(store.flushed());
    let revenue = now(store.revenue(Days { from: Day(3), to: Day(3) })).unwrap();
    let total = revenue.total;
    assert_eq!((total.jobs, total.free_jobs), (2, 1));
    let told = [total.fees, total.free_fees, total.ads, total.premium, total.revenue, total.free_cost];
    assert_eq!(told.map(Nanos::get), [2_000, 1_000, 6_000, 7_000, 1_000 + 6_000 + 7_000, 20_000]);
    assert_eq!((total.asked, total.impressions, total.clicks), (8, 4, 2));
    assert_eq!((revenue.fill_permille, revenue.click_permille), (Some(500), Some(500)));
    assert_eq!(revenue.per_thousand_answers, Some(Nanos::new(6_000_000)));
    let none = now(store.revenue(Days { from: Day(9), to: Day(9) })).unwrap();
    let rates = (none.fill_permille, none.click_permille, none.per_thousand_answers);
    assert_eq!((rates, none.days), ((None, None, None), vec![]));
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
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
        account_entries::FROM,
        account_entries::TO,
        account_entries::SERVED,
        served::HOURS,
        served::SLICE,
        served::OWNERS,
    ] {
        let plan: &'static str = format!("EXPLAIN QUERY PLAN {read}").leak();
        let values: Vec<Value> = (0..read.matches('?').count()).map(|_| Value::Null).collect();
        let steps = store.read(move |sql| sql.list(plan, &values, |row| Ok(row.text(3)?.to_owned())));
        let steps = now(steps).unwrap();
        // What the two parts of net sums have found by their keys is then passed over once.
        let is_found = |step: &String| !step.starts_with("SCAN") || step == "SCAN net_earned";
        assert!(steps.iter().all(is_found), "{read}: {steps:?}");
    }
    store.stop();
}

fn an_older_ledger_gets_its_sums_when_it_is_opened(place: &Place) {
    let store = start(place);
    sell(&store, &[Moment(1_000), Moment(Span::DAY.0 * 40), Moment(Span::DAY.0 * 40 + 5)]);
    let transfer = Transfer {
        cause: Cause::Correction,
        from: Account::Owner(OWNER),
        to: PAGE,
        amount: Nanos::new(9_500),
        note: String::new(),
    };
    let id = correction_id(&format!("settle:{}", JobId::from_bits(10)), 0);
    store.append(vec![Entry { id, at: Moment(Span::DAY.0 * 41), kind: EntryKind::Transfer(transfer) }]);
    now(store.flushed());
    let told = |store: &Store| {
        let earnings = now(store.earnings(Moment(Span::DAY.0 * 41), OWNER)).unwrap();
        let span = Days { from: Day(0), to: Day(41) };
        let hours = now(store.served_hours(Hour(5_000))).unwrap();
        (earnings, now(store.revenue(span)).unwrap(), hours)
    };
    let before = told(&store);
    assert_eq!(before.0.total, Nanos::new(3 * 19_000 - 9_500));
    store.stop();
    let mut sql = Sql::connect(&place.location).unwrap();
    sql.batch(
        "DROP VIEW net_earned; DROP VIEW net_spent; DROP VIEW net_used; DROP VIEW net_sold;
         DROP TABLE given_back; DROP VIEW correction;
         DROP TABLE posted; DROP TABLE withheld; DROP TABLE sold; DROP TABLE served; DROP TABLE receipt_key",
    )
    .unwrap();
    for table in ["posted", "given_back"] {
        let step = schema::step_with(&format!("CREATE TABLE {table} ("));
        schema::take(&mut sql, step).unwrap();
    }
    let store = start(place);
    assert_eq!(told(&store), before);
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}
