use std::sync::mpsc as channel;

use rekursing_market::{
    Limits, Tier,
    ads::Shown,
    ledger::{EntryKind, Quote, Settle},
};
use rekursing_protocol::{AccountId, CampaignId, ImpressionId, PluginId, Price, Span, receipt::Ad};

use super::*;
use crate::{
    discrepancy::Discrepancy,
    place::{Place, on_both},
};

mod asked;
mod audits;
mod channels;
mod corrections;
mod disputes;
mod friends;
mod keys;
mod losses;
mod objectives;
mod premiums;
mod random;
mod sums;

on_both! {
    what_is_stored_comes_back_as_balances_and_open_holds,
    an_entry_with_a_known_id_changes_nothing,
    what_is_known_already_does_not_keep_its_neighbours_out,
    closures_run_behind_what_precedes_them,
    reads_that_wait_for_their_turn_keep_no_thread_from_others,
    another_process_can_grant_while_the_store_runs,
    money_that_this_process_took_in_is_not_told_again,
    a_ledger_that_has_another_entry_takes_no_more_jobs_until_a_restart,
    the_free_budget_is_granted_once_and_topped_up_when_raised,
    what_the_log_says_of_an_entry_is_stored_with_it_and_once,
    entries_can_be_neither_changed_nor_removed,
    one_relay_alone_serves_from_a_database,
    earnings_are_summed_by_day_and_model,
    what_is_asked_while_serving_is_found_by_an_index,
    only_the_latest_discrepancies_are_kept,
    a_job_has_the_ad_that_was_sent_first,
    a_purse_tells_what_is_left_held_and_spent,
    what_visitors_have_had_comes_back_on_its_day_and_is_then_forgotten,
    which_ads_visitors_were_given_comes_back_on_its_day_and_is_then_forgotten,
}

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const OWNER: PluginId = PluginId::from_bits(2);

fn grant(id: &str, to: Account, nanos: i64) -> Entry {
    Entry { id: id.to_owned(), at: Moment(1), kind: grant_of(to, Nanos::new(nanos), String::new()) }
}

fn hold(job: JobId, nanos: i64) -> Entry {
    // One nano-dollar per token.
    let quote = Quote::new(Price::new(0, 1_000), 10, nanos.unsigned_abs()).unwrap();
    let kind = EntryKind::Hold { job, payer: PAGE, quote };
    Entry { id: format!("hold:{job}"), at: Moment(2), kind }
}

fn settle(job: JobId, held: i64) -> Entry {
    let price = Price::new(1_000_000, 2_000_000);
    let kind = EntryKind::Settle(Box::new(Settle {
        job,
        lease: 1,
        payer: PAGE,
        owner: OWNER,
        api_key: None,
        model: "tiny".into(),
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: price,
        price,
        prompt_tokens: 10,
        answer_tokens: 5,
        held: Nanos::new(held),
        discount: Nanos::ZERO,
        charge: price.cost(10, 5).unwrap(),
        fee: Nanos::new(1_000),
        held_back: Nanos::ZERO,
        release_at: Moment(0),
        rates: None,
    }));
    Entry { id: format!("settle:{job}"), at: Moment(Span::DAY.0 * 3), kind }
}

fn key(number: u32, account: AccountId, maker: Option<&Key>, limits: Limits) -> Key {
    let secret = format!("rk_{number:08x}{:056}", 0);
    let maker = maker.map(|maker| maker.id);
    Key::new(&secret, Moment(u64::from(number)), "test".to_owned(), account, maker, limits)
}

fn start(place: &Place) -> Store {
    let mut unstarted = Store::open(&place.location).unwrap();
    let last = unstarted.opening().unwrap().last;
    unstarted.start(last, Box::new(|_| true)).unwrap()
}

/// Runs what the store does beside its threads.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

fn reads_that_wait_for_their_turn_keep_no_thread_from_others(place: &Place) {
    let store = start(place);
    // One thread for the read that is under way, and one for all others.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let (go, goes) = channel::channel::<()>();
        let read = |read: Box<dyn FnOnce() + Send>| {
            let store = store.clone();
            tokio::spawn(async move {
                let looked = move |_: &mut Sql| {
                    read();
                    Ok(())
                };
                store.read(looked).await.unwrap();
            })
        };
        let mut reads = vec![read(Box::new(move || goes.recv().unwrap()))];
        reads.extend((0..10).map(|_| read(Box::new(|| {}))));
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(|| {}).await.unwrap();
        go.send(()).unwrap();
        for read in reads {
            read.await.unwrap();
        }
    });
    store.stop();
}

fn what_is_stored_comes_back_as_balances_and_open_holds(place: &Place) {
    let store = start(place);
    let (done, open) = (JobId::from_bits(10), JobId::from_bits(11));
    store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
    store.append(vec![hold(done, 50_000)]);
    store.append(vec![settle(done, 50_000)]);
    store.append(vec![hold(open, 70_000)]);
    store.stop();
    let opening = Store::open(&place.location).unwrap().opening().unwrap();
    assert_eq!(opening.holds, [(open, PAGE, Nanos::new(70_000))]);
    let balance = |account| opening.balances.iter().find(|(known, _)| *known == account).unwrap().1.get();
    assert_eq!(balance(PAGE), 1_000_000 - 20_000 - 70_000);
    assert_eq!(balance(Account::Owner(OWNER)), 19_000);
    assert_eq!(balance(Account::Platform), 1_000);
    assert_eq!(balance(Account::Escrow), 70_000);
    assert_eq!(balance(Account::Outside), -1_000_000);
    let audit = audit(&place.location).unwrap();
    assert_eq!((audit.entries, audit.open_holds, audit.wrong), (4, 1, None));
    // Whoever reads the postings alone comes to the same.
    let sums = "SELECT account, CAST(SUM(amount) AS BIGINT) FROM
            (SELECT credit AS account, amount FROM posting UNION ALL SELECT debit, -amount FROM posting) AS leg
        GROUP BY account HAVING SUM(amount) <> 0 ORDER BY account";
    let mut sql = Sql::connect(&place.location).unwrap();
    let summed = sql.list(sums, &[], |row| Ok((row.parsed(0)?, row.nanos(1)?))).unwrap();
    let mut balances = opening.balances;
    balances.retain(|(_, balance)| *balance != Nanos::ZERO);
    balances.sort_by_key(|(account, _)| account.to_string());
    assert_eq!(summed, balances);
}

fn an_entry_with_a_known_id_changes_nothing(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 5)]);
    store.append(vec![grant("grant:1", PAGE, 7)]);
    store.stop();
    let opening = Store::open(&place.location).unwrap().opening().unwrap();
    assert!(opening.balances.contains(&(PAGE, Nanos::new(5))));
}

/// Stored in one batch with one that is known, and twice in it.
fn what_is_known_already_does_not_keep_its_neighbours_out(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let job = JobId::from_bits(10);
    let first = [grant("grant:1", PAGE, 1_000_000)];
    let again =
        [grant("grant:1", PAGE, 1_000_000), hold(job, 50_000), hold(job, 50_000), settle(job, 50_000)];
    for batch in [&first[..], &again, &again] {
        writer::append(&mut unstarted.sql, batch).unwrap();
    }
    let audit = audit(&place.location).unwrap();
    assert_eq!((audit.entries, audit.wrong), (3, None));
}

fn closures_run_behind_what_precedes_them(place: &Place) {
    let store = start(place);
    let (told, hear) = channel::channel();
    store.append(vec![grant("grant:1", PAGE, 5)]);
    let location = place.location.clone();
    store.then(move || told.send(super::audit(&location).unwrap().entries).unwrap());
    assert_eq!(hear.recv().unwrap(), 1);
    store.stop();
}

fn another_process_can_grant_while_the_store_runs(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let last = unstarted.opening().unwrap().last;
    let (told, hear) = channel::channel();
    let store = unstarted
        .start(last, Box::new(move |grants| grants.iter().all(|grant| told.send(grant.clone()).is_ok())))
        .unwrap();
    let mut other = Store::open(&place.location).unwrap();
    let account = AccountId::from_bits(9);
    let key = key(7, account, None, Limits::default());
    assert_eq!(other.create_key(&key, Nanos::new(123), "test").unwrap(), NewKey::Made);
    let kind = grant_of(Account::Page(account), Nanos::new(123), String::new());
    assert_eq!(hear.recv().unwrap().kind, kind);
    assert_eq!(other.revoke_key(Moment(6), key.id, Made::Kept, "test").unwrap(), 1);
    assert_eq!(other.revoke_key(Moment(7), key.id, Made::Kept, "test").unwrap(), 0);
    assert!(other.keys().unwrap()[0].revoked);
    store.stop();
}

/// The desk has booked them when they are stored. Told of them again, it would have to remember all of them.
fn money_that_this_process_took_in_is_not_told_again(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let last = unstarted.opening().unwrap().last;
    let (told, hear) = channel::channel();
    let store = unstarted
        .start(last, Box::new(move |grants| grants.iter().all(|grant| told.send(grant.id.clone()).is_ok())))
        .unwrap();
    let mut other = Store::open(&place.location).unwrap();
    let mut foreign = Vec::new();
    for round in 0..4 {
        let act = || Act {
            who: String::new(),
            deed: Deed::Grant,
            about: String::new(),
            amount: None,
            note: String::new(),
        };
        store.append(vec![grant(&format!("grant:own:{round}"), PAGE, 5)]);
        now(store.flushed());
        now(store.grant(grant(&format!("grant:log:{round}"), PAGE, 5), act())).unwrap();
        let key = key(round, AccountId::from_bits(round.into()), None, Limits::default());
        assert_eq!(other.create_key(&key, Nanos::new(123), "test").unwrap(), NewKey::Made);
        store.append(vec![grant(&format!("grant:behind:{round}"), PAGE, 5)]);
        now(store.flushed());
        foreign.push(hear.recv().unwrap());
    }
    assert!(
        foreign.iter().all(|id| !id.contains(":own:") && !id.contains(":log:") && !id.contains(":behind:"))
    );
    store.stop();
    assert_eq!(hear.try_iter().count(), 0);
    assert_eq!(audit(&place.location).unwrap().entries, 16);
}

fn a_ledger_that_has_another_entry_takes_no_more_jobs_until_a_restart(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 5)]);
    store.append(vec![grant("grant:1", PAGE, 5)]);
    now(store.flushed());
    assert!(store.is_healthy(), "the same again is nothing new");
    store.append(vec![grant("grant:1", PAGE, 7)]);
    now(store.flushed());
    assert!(!store.is_healthy());
    store.append(vec![grant("grant:2", PAGE, 7)]);
    now(store.flushed());
    assert!(!store.is_healthy());
    store.stop();
    let store = start(place);
    assert!(store.is_healthy());
    store.stop();
}

fn the_free_budget_is_granted_once_and_topped_up_when_raised(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let mut fund = |nanos| unstarted.fund_free(Moment(1), Nanos::new(nanos)).unwrap().get();
    assert_eq!(fund(0), 0);
    assert_eq!(fund(100), 100);
    assert_eq!(fund(100), 0);
    assert_eq!(fund(150), 50);
    assert_eq!(fund(20), 0);
    let log = unstarted.operator_log(10).unwrap();
    let told: Vec<_> = log.iter().map(|line| (line.who.as_str(), line.amount.unwrap().get())).collect();
    assert_eq!(told, [("config", 50), ("config", 100)]);
}

/// What the log says of an entry is stored with it or not at all, however often the database refuses.
fn what_the_log_says_of_an_entry_is_stored_with_it_and_once(place: &Place) {
    let store = start(place);
    let (refuse, allow) = if place.is_sqlite() {
        (
            "CREATE TRIGGER refused BEFORE INSERT ON operator_log BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER refused",
        )
    } else {
        (
            "ALTER TABLE operator_log ADD CONSTRAINT refused CHECK (seq < 0) NOT VALID",
            "ALTER TABLE operator_log DROP CONSTRAINT refused",
        )
    };
    let batch = |text: &str| Sql::connect(&place.location).unwrap().batch(text).unwrap();
    let count = |table: &str| {
        let query: &'static str = format!("SELECT COUNT(*) FROM {table}").leak();
        Sql::connect(&place.location).unwrap().number(query, &[]).unwrap()
    };
    batch(refuse);
    let note = |entry: &str| {
        let act = Act::of("test", Deed::Correction, entry, "it was wrong");
        vec![Note { at: Moment(7), entry: entry.to_owned(), act }]
    };
    store.append_noted(vec![grant("grant:1", PAGE, 5), grant("grant:2", PAGE, 6)], note("grant:1"));
    store.then(|| {});
    while store.is_healthy() {
        std::thread::yield_now();
    }
    assert_eq!((count("entry"), count("operator_log")), (0, 0), "neither without the other");
    batch(allow);
    now(store.flushed());
    assert!(store.is_healthy());
    // As after a commit whose answer was lost.
    store.append_noted(vec![grant("grant:1", PAGE, 5), grant("grant:2", PAGE, 6)], note("grant:1"));
    now(store.flushed());
    assert_eq!((count("entry"), count("operator_log")), (2, 1));
    let line = &now(store.operator_log(u64::MAX, 10)).unwrap()[0];
    assert_eq!((line.about.as_str(), line.at), ("grant:1", Moment(7)));
    store.stop();
}

fn entries_can_be_neither_changed_nor_removed(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    unstarted.fund_free(Moment(1), Nanos::new(5)).unwrap();
    for sql in ["UPDATE entry SET amount = 6", "DELETE FROM entry"] {
        assert!(unstarted.sql.execute(sql, &[]).is_err(), "{sql}");
    }
}

fn one_relay_alone_serves_from_a_database(place: &Place) {
    let mut one = Store::open(&place.location).unwrap();
    let mut other = Store::open(&place.location).unwrap();
    one.claim(Duration::ZERO).unwrap();
    assert!(other.claim(Duration::ZERO).is_err());
    drop(one);
    other.claim(Duration::from_secs(10)).unwrap();
}

fn earnings_are_summed_by_day_and_model(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
    for bits in 10..13 {
        let job = JobId::from_bits(bits);
        store.append(vec![hold(job, 50_000)]);
        store.append(vec![settle(job, 50_000)]);
    }
    now(store.flushed());
    let on = |day: u64| Moment(Span::DAY.0 * day);
    let earnings = now(store.earnings(on(3), OWNER)).unwrap();
    assert_eq!((earnings.today, earnings.total), (Nanos::new(57_000), Nanos::new(57_000)));
    assert_eq!((earnings.jobs, earnings.recent.len()), (3, 3));
    assert_eq!(earnings.recent[0].receipt.job_id, JobId::from_bits(12));
    assert_eq!(earnings.models[0].answer_tokens, 15);
    let later = now(store.earnings(on(10), OWNER)).unwrap();
    assert_eq!((later.today, later.last7_days), (Nanos::ZERO, Nanos::ZERO));
    assert_eq!(later.last30_days, Nanos::new(57_000));
    store.stop();
}

fn what_is_asked_while_serving_is_found_by_an_index(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 1_000_000_000)]);
    for bits in 10..500 {
        store.append(vec![hold(JobId::from_bits(bits), 50_000)]);
        store.append(vec![settle(JobId::from_bits(bits), 50_000)]);
    }
    now(store.flushed());
    now(store.earnings(Moment(Span::DAY.0 * 3), OWNER)).unwrap();
    now(store.holder([7; 32], Nanos::DOLLAR)).unwrap();
    let passed = now(store.read(|sql| Ok(sql.passed()))).unwrap();
    assert!(passed.is_none_or(|rows| rows < 100), "{passed:?} rows were looked at in vain");
    store.stop();
}

fn only_the_latest_discrepancies_are_kept(place: &Place) {
    let mut store = Store::open(&place.location).unwrap();
    for number in 1_u32..=5 {
        let found = Discrepancy {
            at: Moment(u64::from(number)),
            job: JobId::from_bits(number.into()),
            plugin: OWNER,
            model: "qwen2.5-7b".to_owned(),
            counted: (10, 20),
            claimed: (None, Some(900)),
        };
        discrepancies::insert(&mut store.sql, &found, 3).unwrap();
    }
    let kept = store.sql.list("SELECT at FROM discrepancy ORDER BY seq", &[], |row| row.number(0)).unwrap();
    assert_eq!(kept, [3, 4, 5]);
}

fn a_job_has_the_ad_that_was_sent_first(place: &Place) {
    let mut store = Store::open(&place.location).unwrap();
    let [with, without] = [10, 11].map(JobId::from_bits);
    let ad = |bits: u128| Ad {
        impression: ImpressionId::from_bits(bits),
        campaign: CampaignId::from_bits(2),
        per_impression: Nanos::new(1_500_000),
        per_click: Nanos::ZERO,
    };
    for job in [with, without] {
        writer::append(&mut store.sql, &[hold(job, 50_000)]).unwrap();
    }
    for bits in [1, 3] {
        receipts::insert_ad(&mut store.sql, with, ad(bits)).unwrap();
    }
    let read = |store: &mut Unstarted, job| receipts::find(&mut store.sql, job).unwrap().unwrap().ad;
    assert_eq!(read(&mut store, with), Some(ad(1)));
    assert_eq!(read(&mut store, without), None);
}

fn what_visitors_have_had_comes_back_on_its_day_and_is_then_forgotten(place: &Place) {
    let visit = |day, visitor, jobs| Visit { day, visitor, jobs };
    let visits = |most| {
        let mut visits = Store::open(&place.location).unwrap().visits(Moment(Span::DAY.0 * 7), most).unwrap();
        visits.sort_by_key(|visit| visit.visitor);
        visits
    };
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
    for visit in [visit(7, 1, 1), visit(7, u64::MAX, 1), visit(7, 1, 2), visit(7, 3, 1), visit(7, 3, 0)] {
        store.visited(visit);
    }
    now(store.flushed());
    store.visited(visit(7, 1, 3));
    store.stop();
    assert_eq!(visits(9), [visit(7, 1, 3), visit(7, u64::MAX, 1)]);
    assert_eq!(visits(1).len(), 1);
    let store = start(place);
    store.visited(visit(8, 1, 1));
    store.stop();
    assert_eq!(visits(9), []);
    assert_eq!(audit(&place.location).unwrap().entries, 1);
}

fn which_ads_visitors_were_given_comes_back_on_its_day_and_is_then_forgotten(place: &Place) {
    let (one, other) = (Some(CampaignId::from_bits(1)), Some(CampaignId::from_bits(2)));
    let shown = |day, visitor, of, times| Shown { day, visitor, of, times };
    let read = |most| {
        let mut shown = Store::open(&place.location).unwrap().shown(Moment(Span::DAY.0 * 7), most).unwrap();
        shown.sort_by_key(|shown| (shown.visitor, shown.of));
        shown
    };
    let store = start(place);
    for (visitor, of, times) in [(1, one, 1), (1, one, 2), (1, None, 1), (u64::MAX, other, 1), (3, one, 0)] {
        store.shown(shown(7, visitor, of, times));
    }
    now(store.flushed());
    store.shown(shown(7, 1, one, 3));
    store.stop();
    let expected = [shown(7, 1, None, 1), shown(7, 1, one, 3), shown(7, u64::MAX, other, 1)];
    assert_eq!(read(9), expected);
    assert_eq!(read(1).len(), 1);
    let store = start(place);
    store.shown(shown(8, 1, one, 1));
    store.stop();
    assert_eq!(read(9), []);
}

fn a_purse_tells_what_is_left_held_and_spent(place: &Place) {
    let (rich, poor) = (AccountId::from_bits(1), AccountId::from_bits(2));
    let mut unstarted = Store::open(&place.location).unwrap();
    for (account, balance) in [(rich, 1_000_000), (poor, 0)] {
        let key = key(u32::from(account == rich), account, None, Limits::default());
        unstarted.create_key(&key, Nanos::new(balance), "test").unwrap();
    }
    let last = unstarted.opening().unwrap().last;
    let store = unstarted.start(last, Box::new(|_| true)).unwrap();
    let [settled, void, open] = [10, 11, 12].map(JobId::from_bits);
    store.append(vec![hold(settled, 50_000)]);
    store.append(vec![settle(settled, 50_000)]);
    store.append(vec![hold(void, 60_000)]);
    let kind = EntryKind::Void { job: void, payer: PAGE, amount: Nanos::new(60_000) };
    store.append(vec![Entry { id: format!("void:{void}"), at: Moment(6), kind }]);
    store.append(vec![hold(open, 70_000)]);
    store.stop();
    let mut unstarted = Store::open(&place.location).unwrap();
    let purses = unstarted.purses().unwrap();
    let money = |account| {
        let purse = purses.iter().find(|purse| purse.key.account == account).unwrap();
        [purse.balance, purse.held, purse.spent].map(Nanos::get)
    };
    assert_eq!(money(rich), [1_000_000 - 20_000 - 70_000, 70_000, 20_000]);
    assert_eq!(money(poor), [0, 0, 0]);
    assert!(unstarted.opening().unwrap().balances.contains(&(PAGE, Nanos::new(money(rich)[0]))));
}
