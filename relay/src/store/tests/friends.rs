//! Groups of friends, and whom the operator and their payments vouch for.

use rekursing_market::{Group, Limits, ledger::Account};
use rekursing_protocol::{AccountId, GroupId, Moment, Nanos, PluginId, Price};

use super::{key, now, start};
use crate::{
    place::{Place, on_both},
    store::{Act, OpenedTopUp, Standing, Store, WentBack},
};

on_both! {
    groups_come_back_with_their_members_and_are_found_by_their_latest_code,
    an_account_is_verified_once_it_has_paid_in_enough_or_the_operator_says_so,
}

const WHO: AccountId = AccountId::from_bits(1);

fn groups(place: &Place) -> Vec<(GroupId, Group)> {
    let mut groups = Store::open(&place.location).unwrap().history(Moment(9), Nanos::ZERO).unwrap().groups;
    groups.sort_by_key(|(id, _)| *id);
    groups
}

fn groups_come_back_with_their_members_and_are_found_by_their_latest_code(place: &Place) {
    let store = start(place);
    let (one, two) = (GroupId::from_bits(1), GroupId::from_bits(2));
    let [ada, bob, eve] = [1, 2, 3].map(PluginId::from_bits);
    now(store.put_group(Moment(5), one, ada, Price::new(7, 8), [1; 32])).unwrap();
    now(store.put_group(Moment(5), two, bob, Price::new(0, 0), [2; 32])).unwrap();
    let free = Price::new(0, 0);
    now(store.join_group(Moment(6), one, WHO.to_string(), free)).unwrap();
    now(store.join_group(Moment(7), one, WHO.to_string(), free)).unwrap();
    now(store.join_group(Moment(6), two, WHO.to_string(), free)).unwrap();
    now(store.join_group(Moment(6), one, eve.to_string(), Price::new(7, 8))).unwrap();
    now(store.leave_group(two, WHO.to_string())).unwrap();
    now(store.price_group(one, ada, Price::new(0, 9))).unwrap();
    now(store.turn_group(one, 1, [3; 32])).unwrap();
    assert_eq!(now(store.group_turn(one)).unwrap(), Some(1));
    let found = |code| now(store.group_with(code)).unwrap();
    assert_eq!([found([1; 32]), found([2; 32]), found([3; 32])], [None, Some(two), Some(one)]);
    let group = |creator, price, accounts: &[AccountId]| Group {
        creator,
        price,
        plugins: [(creator, price)].into(),
        accounts: accounts.iter().copied().collect(),
    };
    let mut known = [(one, group(ada, Price::new(0, 9), &[WHO])), (two, group(bob, free, &[]))];
    known[0].1.plugins.insert(eve, Price::new(7, 8));
    assert_eq!(groups(place), known);
    now(store.agree_in_group(one, eve, Price::new(0, 9))).unwrap();
    known[0].1.plugins.insert(eve, Price::new(0, 9));
    assert_eq!(groups(place), known);
    now(store.put_out_of_group(one, eve.to_string(), 2, [4; 32])).unwrap();
    known[0].1.plugins.remove(&eve);
    assert_eq!(groups(place), known);
    assert_eq!(
        [found([3; 32]), found([4; 32])],
        [None, Some(one)],
        "whoever was put out knows the code before"
    );
    now(store.close_group(one)).unwrap();
    assert_eq!(groups(place), known[1..]);
    assert_eq!(found([4; 32]), None);
    store.stop();
}

fn an_account_is_verified_once_it_has_paid_in_enough_or_the_operator_says_so(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let key = key(1, WHO, None, Limits::default());
    unstarted.create_key(&key, Nanos::DOLLAR, "test").unwrap();
    let last = unstarted.opening().unwrap().last;
    let store = unstarted.start(last, Box::new(|_| true)).unwrap();
    let dollars = |dollars: i64| Nanos::new(dollars * Nanos::DOLLAR.get());
    let is_verified = |from| now(store.holder(key.hash, from)).unwrap().unwrap().is_verified;
    assert!(!is_verified(Nanos::ZERO), "a grant is no payment");
    let (to, made) = (Account::Page(WHO), String::new());
    let opened = OpenedTopUp { session: "one".to_owned(), to, amount: dollars(3), cost: Nanos::ZERO, made };
    now(store.opened(Moment(5), opened)).unwrap();
    assert!(!is_verified(dollars(3)), "nobody has paid yet");
    for (session, payment, to) in [("one", "pi_1", to), ("two", "pi_2", Account::Advertiser(WHO))] {
        let payment = Some(payment.to_owned());
        now(store.paid(session.to_owned(), to, dollars(3), Nanos::ZERO, payment)).unwrap();
    }
    assert_eq!([is_verified(dollars(6)), is_verified(dollars(7))], [true, false]);
    let back = WentBack {
        id: "ch_1".to_owned(),
        payment: "pi_1".to_owned(),
        amount: dollars(2),
        disputed: None,
        told: Moment(6),
    };
    now(store.went_back(Moment(6), back)).unwrap();
    assert_eq!([is_verified(dollars(4)), is_verified(dollars(5))], [true, false]);

    let mark = |standing: Standing| {
        let act = Act::of("test", standing.deed(), WHO, "because");
        now(store.mark(Moment(7), WHO, standing, act)).unwrap();
    };
    mark(Standing::Verified);
    mark(Standing::Verified);
    assert!(is_verified(dollars(100)));
    mark(Standing::Unverified);
    assert!(!is_verified(dollars(100)));
    let log = now(store.operator_log(u64::MAX, 10)).unwrap();
    let log: Vec<_> = log.iter().map(|line| (line.what.as_str(), line.note.as_str())).collect();
    assert_eq!(log[..2], [("account_unverified", "because"), ("account_verified", "because")]);
    store.stop();

    let mut beside = Store::open(&place.location).unwrap();
    let act = |standing: Standing| Act::of("cli:ada", standing.deed(), WHO, "");
    assert!(beside.mark(Moment(8), WHO, Standing::Verified, &act(Standing::Verified)).unwrap());
    let nobody = AccountId::from_bits(99);
    assert!(!beside.mark(Moment(8), nobody, Standing::Verified, &act(Standing::Verified)).unwrap());
}
