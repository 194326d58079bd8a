use std::{path::Path, sync::mpsc as channel};

use rekursing_market::{
    Limits, Taken, Tier,
    ledger::{EntryKind, Quote, Settle},
};
use rekursing_protocol::{AccountId, KeyId, PluginId, Price, Span};

use super::*;
use crate::discrepancy::Discrepancy;

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const OWNER: PluginId = PluginId::from_bits(2);

fn grant(id: &str, to: Account, nanos: i64) -> Entry {
    Entry { id: id.to_owned(), at: Moment(1), kind: grant_of(to, Nanos::new(nanos), String::new()) }
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
    }));
    Entry { id: format!("settle:{job}"), at: Moment(Span::DAY.0 * 3), kind }
}

fn key(number: u32, account: AccountId, maker: Option<&Key>, limits: Limits) -> Key {
    let secret = format!("rk_{number:08x}{:056}", 0);
    let maker = maker.map(|maker| maker.id);
    Key::new(&secret, Moment(u64::from(number)), "test".to_owned(), account, maker, limits)
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
    let key = key(7, account, None, Limits::default());
    assert_eq!(other.create_key(&key, Nanos::new(123), "test").unwrap(), NewKey::Made);
    let kind = grant_of(Account::Page(account), Nanos::new(123), String::new());
    assert_eq!(hear.recv().unwrap().kind, kind);
    assert_eq!(other.revoke_key(Moment(6), key.id, Made::Kept, "test").unwrap(), 1);
    assert_eq!(other.revoke_key(Moment(7), key.id, Made::Kept, "test").unwrap(), 0);
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
        let key = key(u32::from(account == rich), account, None, Limits::default());
        unstarted.create_key(&key, Nanos::new(balance), "test").unwrap();
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

#[tokio::test]
async fn a_key_comes_back_with_its_limits_and_the_keys_that_it_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let account = AccountId::from_bits(1);
    let limits = Limits {
        budget_day: Some(Nanos::new(5)),
        budget_total: Some(Nanos::new(9)),
        models: vec!["a".to_owned(), "b,c".to_owned()],
        price_max: Some(Price::new(7, u64::MAX)),
        expires: Some(Moment(99)),
    };
    let maker = key(1, account, None, limits.clone());
    let made = key(2, account, Some(&maker), Limits::default());
    for key in [&maker, &made] {
        assert_eq!(unstarted.create_key(key, Nanos::ZERO, "test").unwrap(), NewKey::Made);
    }
    assert_eq!(unstarted.create_key(&made, Nanos::ZERO, "test").unwrap(), NewKey::Taken);
    let store = unstarted.start(0, Box::new(|_| true)).unwrap();
    let holder = store.holder(made.hash).await.unwrap().unwrap();
    assert_eq!((holder.account, holder.spender.key), (account, made.id));
    assert_eq!(holder.spender.maker.as_ref().map(|maker| &maker.limits), Some(&limits));
    let third = key(3, account, Some(&made), Limits::default());
    assert_eq!(store.put_key(third.clone(), 2).await.unwrap(), NewKey::TooMany);
    assert_eq!(store.put_key(third.clone(), 3).await.unwrap(), NewKey::Made);
    store.revoke_keys(Moment(6), vec![made.id]).await.unwrap();
    assert!(store.holder(made.hash).await.unwrap().is_none());
    let holder = store.holder(third.hash).await.unwrap().unwrap();
    assert_eq!(holder.spender.line().count(), 3, "the limits of a revoked key stay");
    let fourth = key(4, account, Some(&made), Limits::default());
    assert_eq!(store.put_key(fourth, 9).await.unwrap(), NewKey::MakerRevoked);
    let ids = store.account_keys(account).await.unwrap().into_iter().map(|key| key.id);
    assert_eq!(ids.collect::<Vec<_>>(), [maker.id, made.id, third.id]);
    store.stop();
}

#[test]
fn with_a_key_go_those_that_were_made_with_it_unless_they_are_kept() {
    for (made, open) in [(Made::RevokedToo, vec![1]), (Made::Kept, vec![1, 3])] {
        let folder = tempfile::tempdir().unwrap();
        let mut unstarted = Store::open(&at(folder.path())).unwrap();
        let account = AccountId::from_bits(1);
        let first = key(1, account, None, Limits::default());
        let second = key(2, account, Some(&first), Limits::default());
        let third = key(3, account, Some(&second), Limits::default());
        for key in [&first, &second, &third] {
            unstarted.create_key(key, Nanos::ZERO, "test").unwrap();
        }
        assert_eq!(unstarted.revoke_key(Moment(9), second.id, made, "test").unwrap(), 3 - open.len());
        let left = unstarted.keys().unwrap().into_iter().filter(|key| !key.revoked).map(|key| key.id);
        assert_eq!(left.collect::<Vec<_>>(), open.into_iter().map(KeyId::from_bits).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_a_key_has_spent_is_summed_for_itself_and_for_those_it_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let account = AccountId::from_bits(1);
    let budget = Limits { budget_total: Some(Nanos::new(100_000)), ..Limits::default() };
    let maker = key(1, account, None, budget.clone());
    let made = key(2, account, Some(&maker), budget);
    for key in [&maker, &made] {
        unstarted.create_key(key, Nanos::new(1_000_000), "test").unwrap();
    }
    let last = unstarted.opening().unwrap().last;
    let store = unstarted.start(last, Box::new(|_| true)).unwrap();
    for (bits, key) in [(10, Some(maker.id)), (11, Some(made.id)), (12, None)] {
        let job = JobId::from_bits(bits);
        let mut entry = settle(job, 50_000);
        let EntryKind::Settle(settle) = &mut entry.kind else { panic!() };
        settle.api_key = key;
        store.append(hold(job, 50_000));
        store.append(entry);
    }
    store.flushed().await;
    let (usage, spent) = store.account_usage(account, 0).await.unwrap();
    assert_eq!((usage.len(), usage[0].jobs, spent), (1, 3, Nanos::new(60_000)));
    let (usage, sums) = store.keys_usage(account, 0).await.unwrap();
    assert_eq!(usage.iter().map(|usage| usage.key).collect::<Vec<_>>(), [Some(maker.id), Some(made.id)]);
    assert_eq!(sums[&made.id], Nanos::new(20_000));
    store.stop();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let taken = |spent, day, spent_day| Taken {
        held: Nanos::ZERO,
        spent: Nanos::new(spent),
        day,
        spent_day: Nanos::new(spent_day),
    };
    let on = |unstarted: &mut Unstarted, day: u64| {
        let mut taken = unstarted.taken(Moment(Span::DAY.0 * day)).unwrap();
        taken.sort_by_key(|(key, _)| *key);
        taken
    };
    let third = [(maker.id, taken(40_000, 3, 40_000)), (made.id, taken(20_000, 3, 20_000))];
    assert_eq!(on(&mut unstarted, 3), third);
    assert_eq!(on(&mut unstarted, 4)[0], (maker.id, taken(40_000, 4, 0)));
    assert_eq!(audit(&at(folder.path())).unwrap().wrong, None);
}

#[test]
fn what_the_operator_does_is_logged_with_it_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut unstarted = Store::open(&at(folder.path())).unwrap();
    let key = key(7, AccountId::from_bits(1), None, Limits::default());
    unstarted.create_key(&key, Nanos::new(5), "cli:ada").unwrap();
    unstarted.create_key(&key, Nanos::new(5), "cli:ada").unwrap();
    unstarted.grant(Moment(8), key.id, Nanos::new(6), "cli:ada").unwrap();
    unstarted.revoke_key(Moment(9), key.id, Made::Kept, "cli:bob").unwrap();
    unstarted.revoke_key(Moment(9), key.id, Made::Kept, "cli:bob").unwrap();
    let log = unstarted.operator_log(10).unwrap();
    let told: Vec<_> = log.iter().map(|line| (line.seq, line.at.0, line.what.as_str())).collect();
    assert_eq!(told, [(4, 9, "key_revoked"), (3, 8, "grant"), (2, 7, "grant"), (1, 7, "key_created")]);
    assert_eq!((log[0].who.as_str(), log[0].about.as_str()), ("cli:bob", "rk_00000007"));
    assert_eq!((log[1].amount, log[1].about.as_str()), (Some(Nanos::new(6)), PAGE.to_string().as_str()));
    assert_eq!(unstarted.operator_log(1).unwrap().len(), 1);
}
