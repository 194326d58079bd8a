use std::{path::Path, sync::mpsc as channel};

use rekursing_market::{
    Tier,
    ledger::{EntryKind, Quote, Settle},
};
use rekursing_protocol::{AccountId, PluginId, Price, Span};

use super::*;
use crate::discrepancy::Discrepancy;

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const OWNER: PluginId = PluginId::from_bits(2);

fn grant(id: &str, to: Account, nanos: i64) -> Entry {
    Entry { id: id.to_owned(), at: Moment(1), kind: entries::grant(to, Nanos::new(nanos)) }
}

fn hold(job: JobId, nanos: i64) -> Entry {
    // One nano-dollar per token.
    let quote = Quote::new(Price::new(0, 1_000), 0, nanos.unsigned_abs()).unwrap();
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
    }));
    Entry { id: format!("settle:{job}"), at: Moment(Span::DAY.0 * 3), kind }
}

fn at(folder: &Path) -> Location {
    Location::Folder(folder.to_owned())
}

fn start(folder: &Path) -> Store {
    let mut unstarted = Store::open(&at(folder)).unwrap();
    let last = unstarted.opening().unwrap().last;
    unstarted.start(last, Box::new(|_| true)).unwrap()
}

#[test]
fn what_is_stored_comes_back_as_balances_and_open_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path());
    let (done, open) = (JobId::from_bits(10), JobId::from_bits(11));
    store.append(grant("grant:1", PAGE, 1_000_000));
    store.append(hold(done, 50_000));
    store.append(settle(done, 50_000));
    store.append(hold(open, 70_000));
    store.stop();
    let opening = Store::open(&at(folder.path())).unwrap().opening().unwrap();
    assert_eq!(opening.holds, [(open, PAGE, Nanos::new(70_000))]);
    let balance = |account| opening.balances.iter().find(|(known, _)| *known == account).unwrap().1.get();
    assert_eq!(balance(PAGE), 1_000_000 - 20_000 - 70_000);
    assert_eq!(balance(Account::Owner(OWNER)), 19_000);
    assert_eq!(balance(Account::Platform), 1_000);
    assert_eq!(balance(Account::Escrow), 70_000);
    assert_eq!(balance(Account::Outside), -1_000_000);
    let audit = audit(&at(folder.path())).unwrap();
    assert_eq!((audit.entries, audit.open_holds, audit.wrong), (4, 1, None));
}

#[test]
fn an_entry_with_a_known_id_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path());
    store.append(grant("grant:1", PAGE, 5));
    store.append(grant("grant:1", PAGE, 7));
    store.stop();
    let opening = Store::open(&at(folder.path())).unwrap().opening().unwrap();
    assert!(opening.balances.contains(&(PAGE, Nanos::new(5))));
}

#[test]
fn closures_run_behind_what_precedes_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path());
    let (told, hear) = channel::channel();
    store.append(grant("grant:1", PAGE, 5));
    let location = at(folder.path());
    store.then(move || told.send(super::audit(&location).unwrap().entries).unwrap());
    assert_eq!(hear.recv().unwrap(), 1);
    store.stop();
}

#[test]
fn another_process_can_grant_while_the_store_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let last = unstarted.opening().unwrap().last;
    let (told, hear) = channel::channel();
    let store = unstarted
        .start(last, Box::new(move |grants| grants.iter().all(|grant| told.send(grant.clone()).is_ok())))
        .unwrap();
    let mut other = Store::open(&at(folder.path())).unwrap();
    let account = AccountId::from_bits(9);
    let key = Key {
        hash: [7; 32],
        prefix: "rk_07070707".to_owned(),
        name: "test".to_owned(),
        account,
        revoked: false,
    };
    other.create_key(Moment(5), &key, Nanos::new(123)).unwrap();
    let kind = entries::grant(Account::Page(account), Nanos::new(123));
    assert_eq!(hear.recv().unwrap().kind, kind);
    assert!(other.revoke_key(Moment(6), "rk_07070707").unwrap());
    assert!(!other.revoke_key(Moment(7), "rk_07070707").unwrap());
    assert!(other.keys().unwrap()[0].revoked);
    store.stop();
}

#[test]
fn the_free_budget_is_granted_once_and_topped_up_when_raised() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let mut fund = |nanos| unstarted.fund_free(Moment(1), Nanos::new(nanos)).unwrap().get();
    assert_eq!(fund(0), 0);
    assert_eq!(fund(100), 100);
    assert_eq!(fund(100), 0);
    assert_eq!(fund(150), 50);
    assert_eq!(fund(20), 0);
}

#[test]
fn entries_can_be_neither_changed_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    unstarted.fund_free(Moment(1), Nanos::new(5)).unwrap();
    for sql in ["UPDATE entry SET amount = 6", "DELETE FROM entry"] {
        assert!(unstarted.sql.execute(sql, &[]).is_err(), "{sql}");
    }
}

#[test]
fn an_audit_names_the_first_wrong_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path());
    store.append(grant("grant:1", PAGE, 100));
    store.append(hold(JobId::from_bits(10), 500));
    store.append(hold(JobId::from_bits(11), 600));
    store.stop();
    let wrong = audit(&at(folder.path())).unwrap().wrong.unwrap();
    assert!(wrong.starts_with("entry 2: ") && wrong.contains(&PAGE.to_string()), "{wrong}");
}

#[test]
fn an_audit_finds_an_entry_that_was_changed_behind_our_back() {
    let triggers = "DROP TRIGGER entry_is_never_changed; DROP TRIGGER entry_is_never_removed;";
    for (change, found) in [
        ("UPDATE entry SET note = 'x' WHERE seq = 2", "entry 2: grant:2: its hash is not that of the chain"),
        (
            "UPDATE entry SET hash = zeroblob(32) WHERE seq = 1",
            "entry 1: grant:1: its hash is not that of the chain",
        ),
        ("DELETE FROM entry WHERE seq = 2", "entry 2: grant:3: its number is 3, so one before it is missing"),
        (
            "UPDATE entry SET kind = 'gift' WHERE seq = 3",
            "entry 3: an entry of kind \"gift\": money does not move for this",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = start(folder.path());
        for id in ["grant:1", "grant:2", "grant:3"] {
            store.append(grant(id, PAGE, 100));
        }
        store.stop();
        Sql::connect(&at(folder.path())).unwrap().batch(&format!("{triggers} {change}")).unwrap();
        assert_eq!(audit(&at(folder.path())).unwrap().wrong.unwrap(), found);
    }
}

#[test]
fn one_relay_alone_serves_from_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = Store::open(&at(folder.path())).unwrap();
    let mut other = Store::open(&at(folder.path())).unwrap();
    one.claim().unwrap();
    assert!(other.claim().is_err());
    drop(one);
    other.claim().unwrap();
}

#[tokio::test]
async fn earnings_are_summed_by_day_and_model() {
    let folder = tempfile::tempdir().unwrap();
    let store = start(folder.path());
    store.append(grant("grant:1", PAGE, 1_000_000));
    for bits in 10..13 {
        let job = JobId::from_bits(bits);
        store.append(hold(job, 50_000));
        store.append(settle(job, 50_000));
    }
    store.flushed().await;
    let on = |day: u64| Moment(Span::DAY.0 * day);
    let earnings = store.earnings(on(3), OWNER).await.unwrap();
    assert_eq!((earnings.today, earnings.total), (Nanos::new(57_000), Nanos::new(57_000)));
    assert_eq!((earnings.jobs, earnings.recent.len()), (3, 3));
    assert_eq!(earnings.recent[0].job_id, JobId::from_bits(12));
    assert_eq!(earnings.models[0].answer_tokens, 15);
    let later = store.earnings(on(10), OWNER).await.unwrap();
    assert_eq!((later.today, later.last7_days), (Nanos::ZERO, Nanos::ZERO));
    assert_eq!(later.last30_days, Nanos::new(57_000));
    store.stop();
}

#[test]
fn only_the_latest_discrepancies_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&at(folder.path())).unwrap();
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

#[test]
fn a_purse_tells_what_is_left_held_and_spent() {
    let folder = tempfile::tempdir().unwrap();
    let (rich, poor) = (AccountId::from_bits(1), AccountId::from_bits(2));
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    for (account, balance) in [(rich, 1_000_000), (poor, 0)] {
        let key = Key {
            hash: [u8::from(account == rich); 32],
            prefix: account.to_string(),
            name: "test".to_owned(),
            account,
            revoked: false,
        };
        unstarted.create_key(Moment(5), &key, Nanos::new(balance)).unwrap();
    }
    let last = unstarted.opening().unwrap().last;
    let store = unstarted.start(last, Box::new(|_| true)).unwrap();
    let [settled, void, open] = [10, 11, 12].map(JobId::from_bits);
    store.append(hold(settled, 50_000));
    store.append(settle(settled, 50_000));
    store.append(hold(void, 60_000));
    let kind = EntryKind::Void { job: void, payer: PAGE, amount: Nanos::new(60_000) };
    store.append(Entry { id: format!("void:{void}"), at: Moment(6), kind });
    store.append(hold(open, 70_000));
    store.stop();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let purses = unstarted.purses().unwrap();
    let money = |account| {
        let purse = purses.iter().find(|purse| purse.key.account == account).unwrap();
        [purse.balance, purse.held, purse.spent].map(Nanos::get)
    };
    assert_eq!(money(rich), [1_000_000 - 20_000 - 70_000, 70_000, 20_000]);
    assert_eq!(money(poor), [0, 0, 0]);
    assert!(unstarted.opening().unwrap().balances.contains(&(PAGE, Nanos::new(money(rich)[0]))));
}
