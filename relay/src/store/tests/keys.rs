//! API keys, what was spent with them, and the operator's log.

use rekursing_market::{Book, Gate, Limits, Taken, ledger::EntryKind, relevance::Method};
use rekursing_protocol::{AccountId, Day, JobId, KeyId, Moment, Nanos, Price, Span};

use super::{OWNER, PAGE, hold, key, now, settle};
use crate::{
    place::{Place, on_both},
    store::{Days, Made, Manager, NewKey, Store, Unstarted, audit},
};

on_both! {
    a_key_comes_back_with_its_limits_and_the_keys_that_it_was_made_with,
    with_a_key_go_those_that_were_made_with_it_unless_they_are_kept,
    a_key_is_revoked_and_listed_however_many_were_made_and_revoked_since,
    what_a_key_has_spent_is_summed_for_itself_and_for_those_it_was_made_with,
    what_was_taken_back_of_a_charge_was_not_spent,
    what_the_operator_does_is_logged_with_it_and_in_order,
}

fn a_key_comes_back_with_its_limits_and_the_keys_that_it_was_made_with(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let account = AccountId::from_bits(1);
    let limits = Limits {
        budget_day: Some(Nanos::new(5)),
        budget_total: Some(Nanos::new(9)),
        models: vec!["a".to_owned(), "b,c".to_owned()],
        price_max: Some(Price::new(7, u64::MAX)),
        expires: Some(Moment(99)),
        gate: Some(Gate { project: "shop".to_owned(), threshold_permille: 300, method: Method::Lexical }),
    };
    let maker = key(1, account, None, limits.clone());
    let made = key(2, account, Some(&maker), Limits::default());
    for key in [&maker, &made] {
        assert_eq!(unstarted.create_key(key, Nanos::ZERO, "test").unwrap(), NewKey::Made);
    }
    assert_eq!(unstarted.create_key(&made, Nanos::ZERO, "test").unwrap(), NewKey::Taken);
    let store = unstarted.start(0, Box::new(|_| true)).unwrap();
    let holder = now(store.holder(made.hash, Nanos::DOLLAR)).unwrap().unwrap();
    assert_eq!((holder.account, holder.spender.key), (account, made.id));
    assert_eq!(holder.spender.maker.as_ref().map(|maker| &maker.limits), Some(&limits));
    let third = key(3, account, Some(&made), Limits::default());
    assert_eq!(now(store.put_key(third.clone(), 2)).unwrap(), NewKey::TooMany);
    assert_eq!(now(store.put_key(third.clone(), 3)).unwrap(), NewKey::Made);
    let whole = Manager::Account(account);
    let revoked = now(store.revoke_managed(Moment(6), whole, made.id, Made::Kept)).unwrap();
    assert_eq!(revoked, Some(vec![made.id]));
    assert!(now(store.holder(made.hash, Nanos::DOLLAR)).unwrap().is_none());
    let holder = now(store.holder(third.hash, Nanos::DOLLAR)).unwrap().unwrap();
    assert_eq!(holder.spender.line().count(), 3, "the limits of a revoked key stay");
    let fourth = key(4, account, Some(&made), Limits::default());
    assert_eq!(now(store.put_key(fourth, 9)).unwrap(), NewKey::MakerRevoked);
    let ids = now(store.managed_keys(Moment(7), whole)).unwrap().into_iter().map(|key| key.id);
    assert_eq!(ids.collect::<Vec<_>>(), [maker.id, made.id, third.id]);
    store.stop();
}

fn with_a_key_go_those_that_were_made_with_it_unless_they_are_kept(place: &Place) {
    for (made, open) in [(Made::RevokedToo, vec![1]), (Made::Kept, vec![1, 3])] {
        let place = place.another();
        let mut unstarted = Store::open(&place.location).unwrap();
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

fn a_key_is_revoked_and_listed_however_many_were_made_and_revoked_since(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let account = AccountId::from_bits(1);
    let limited = Limits { budget_total: Some(Nanos::new(9)), ..Limits::default() };
    let root = key(1, account, None, Limits::default());
    let leaked = key(2, account, Some(&root), limited);
    let first = key(3, account, Some(&leaked), Limits::default());
    let stranger = key(4, AccountId::from_bits(2), None, Limits::default());
    for key in [&root, &leaked, &first, &stranger] {
        unstarted.create_key(key, Nanos::ZERO, "test").unwrap();
    }
    let (into, thief) = ("api_key (hash, prefix, name, account, created, maker, revoked)", leaked.id);
    let churned = (100..1_200).map(|bits| {
        let made = key(bits, account, Some(&leaked), Limits::default());
        let (prefix, account) = (made.id.to_string(), account.to_string());
        let revoked = (bits < 1_180).then_some(Moment(9));
        let hash = made.hash.as_slice().into();
        vec![
            hash,
            prefix.into(),
            "".into(),
            account.into(),
            Moment(9).into(),
            thief.to_string().into(),
            revoked.into(),
        ]
    });
    unstarted.sql.insert(into, "", &churned.collect::<Vec<_>>()).unwrap();
    let store = unstarted.start(0, Box::new(|_| true)).unwrap();
    for manager in [Manager::Account(account), Manager::Key(leaked.id)] {
        let listed = now(store.managed_keys(Moment(10), manager)).unwrap();
        let open = listed.iter().filter(|key| !key.revoked).count();
        let roots = usize::from(manager == Manager::Account(account));
        assert_eq!((listed.len(), open), (1_000, 22 + roots));
        assert!(listed.iter().any(|key| key.id == leaked.id));
    }
    let revoke = |manager, key, made| now(store.revoke_managed(Moment(11), manager, key, made)).unwrap();
    for (manager, key) in [
        (Manager::Account(account), stranger.id),
        (Manager::Key(leaked.id), root.id),
        (Manager::Key(first.id), leaked.id),
    ] {
        assert_eq!(revoke(manager, key, Made::RevokedToo), None, "{manager:?} {key}");
    }
    let gone = revoke(Manager::Account(account), leaked.id, Made::RevokedToo).unwrap();
    assert_eq!((gone.len(), gone[0], gone[1]), (22, leaked.id, first.id));
    assert_eq!(revoke(Manager::Account(account), leaked.id, Made::RevokedToo), None);
    assert!(now(store.holder(leaked.hash, Nanos::DOLLAR)).unwrap().is_none());
    assert!(now(store.holder(root.hash, Nanos::DOLLAR)).unwrap().is_some());
    store.stop();
}

fn what_a_key_has_spent_is_summed_for_itself_and_for_those_it_was_made_with(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
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
        store.append(vec![hold(job, 50_000)]);
        store.append(vec![entry]);
    }
    now(store.flushed());
    let (usage, spent) = now(store.account_usage(account, 0)).unwrap();
    assert_eq!((usage.len(), usage[0].jobs, spent), (1, 3, Nanos::new(60_000)));
    let (usage, sums) = now(store.keys_usage(account, 0)).unwrap();
    assert_eq!(usage.iter().map(|usage| usage.key).collect::<Vec<_>>(), [Some(maker.id), Some(made.id)]);
    assert_eq!(sums[&made.id], Nanos::new(20_000));
    store.stop();
    let mut unstarted = Store::open(&place.location).unwrap();
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
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}

fn what_was_taken_back_of_a_charge_was_not_spent(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let account = AccountId::from_bits(1);
    let budget = Limits { budget_total: Some(Nanos::new(100_000)), ..Limits::default() };
    let (maker, other) = (key(1, account, None, budget.clone()), key(3, account, None, Limits::default()));
    let made = key(2, account, Some(&maker), budget);
    for key in [&maker, &made, &other] {
        unstarted.create_key(key, Nanos::new(1_000_000), "test").unwrap();
    }
    let last = unstarted.opening().unwrap().last;
    let store = unstarted.start(last, Box::new(|_| true)).unwrap();
    for (bits, key) in [(10, &made), (11, &other)] {
        let job = JobId::from_bits(bits);
        let mut entry = settle(job, 50_000);
        let EntryKind::Settle(settle) = &mut entry.kind else { panic!() };
        settle.api_key = Some(key.id);
        store.append(vec![hold(job, 50_000)]);
        store.append(vec![entry]);
    }
    store.stop();
    let mut unstarted = Store::open(&place.location).unwrap();
    let opening = unstarted.opening().unwrap();
    let mut book = Book::restore(opening.balances, opening.holds);
    let store = unstarted.start(opening.last, Box::new(|_| true)).unwrap();
    let at = Moment(Span::DAY.0 * 5);
    let take_back = |book: &mut Book, id: &str| {
        let known = now(store.correctable(id.to_owned())).unwrap().unwrap();
        let made = book.correct(at, &known.entry, "it was wrong").unwrap();
        store.append(made);
        now(store.flushed());
        known.charged
    };
    let charged = take_back(&mut book, &format!("settle:{}", JobId::from_bits(10)));
    let charged = charged.unwrap();
    assert_eq!((charged.at.day(), charged.payer), (3, PAGE));
    let line: Vec<KeyId> = charged.spender.line().map(|spender| spender.key).collect();
    assert_eq!(line, [made.id, maker.id]);
    let told = || {
        let (usage, spent) = now(store.account_usage(account, 0)).unwrap();
        let (by_key, sums) = now(store.keys_usage(account, 0)).unwrap();
        let by_key: Vec<i64> = by_key.iter().map(|usage| usage.spent.get()).collect();
        let span = Days { from: Day(0), to: Day(9) };
        let used = now(store.used(span, crate::store::Whose::Account(account))).unwrap().total;
        assert_eq!((usage.len(), usage[0].jobs, usage[0].spent, used.charge), (1, 2, spent, spent));
        (spent.get(), by_key, sums[&made.id].get())
    };
    assert_eq!(told(), (20_000, vec![0, 20_000], 0));
    let earned = now(store.earnings(at, OWNER)).unwrap();
    assert_eq!((earned.total, earned.available), (Nanos::new(19_000), Nanos::new(19_000)));
    let balance = book.balance(PAGE).get();
    assert_eq!(balance, 3_000_000 - told().0);
    store.stop();
    let mut unstarted = Store::open(&place.location).unwrap();
    let taken = unstarted.taken(Moment(Span::DAY.0 * 3)).unwrap();
    assert_eq!(taken.len(), 2);
    for (_, taken) in taken {
        assert_eq!((taken.spent.get(), taken.spent_day.get()), (0, 0));
    }
    let spent: Vec<i64> = unstarted.purses().unwrap().iter().map(|purse| purse.spent.get()).collect();
    assert_eq!(spent, [20_000; 3]);
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}

fn what_the_operator_does_is_logged_with_it_and_in_order(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let key = key(7, AccountId::from_bits(1), None, Limits::default());
    unstarted.create_key(&key, Nanos::new(5), "cli:ada").unwrap();
    unstarted.create_key(&key, Nanos::new(5), "cli:ada").unwrap();
    unstarted.grant(Moment(8), key.id, rekursing_market::Account::Page, Nanos::new(6), "cli:ada").unwrap();
    unstarted.revoke_key(Moment(9), key.id, Made::Kept, "cli:bob").unwrap();
    unstarted.revoke_key(Moment(9), key.id, Made::Kept, "cli:bob").unwrap();
    let log = unstarted.operator_log(10).unwrap();
    let told: Vec<_> = log.iter().map(|line| (line.seq, line.at.0, line.what.as_str())).collect();
    assert_eq!(told, [(4, 9, "key_revoked"), (3, 8, "grant"), (2, 7, "grant"), (1, 7, "key_created")]);
    assert_eq!((log[0].who.as_str(), log[0].about.as_str()), ("cli:bob", "rk_00000007"));
    assert_eq!((log[1].amount, log[1].about.as_str()), (Some(Nanos::new(6)), PAGE.to_string().as_str()));
    assert_eq!(unstarted.operator_log(1).unwrap().len(), 1);
}
