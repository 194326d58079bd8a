//! Groups: friends first, at their price, and nothing that is won by asking each other for nothing.

use rekursing_protocol::{AccountId, FailCode, GroupId, Nanos, Offer, Price, Serves, frame::Inventory};

use super::fixture::*;
use crate::{Account, EntryKind, Market, Payer, Refusal, Request, Terms};

/// Has no money.
const FRIEND: AccountId = AccountId::from_bits(7);
const GROUP: GroupId = GroupId::from_bits(1);
const NOTHING: Price = Price::new(0, 0);

/// A market in which plugins 1 and 2 serve the model, and plugin 1 has made the group, which the friend is
/// in.
fn befriended(price: Price) -> Market {
    let mut market = with_sessions(2);
    befriend(&mut market, price);
    market
}

fn befriend(market: &mut Market, price: Price) {
    let change = market.regroup(NOW, |groups, terms| {
        groups.create(terms, GROUP, plugin(1), price)?;
        groups.add_account(terms, GROUP, FRIEND)
    });
    change.unwrap();
}

fn of_friend(number: u64) -> Request {
    Request { payer: Payer::Page(FRIEND), ..request(number) }
}

fn serves_group(market: &mut Market) {
    let inventory = Inventory { serves: Serves::Group, ..inventory(vec![offer(MODEL)]) };
    market.restock(NOW, session(1), inventory);
}

#[test]
fn a_friend_is_served_for_nothing_and_it_is_a_job_like_any_other() {
    let mut market = befriended(NOTHING);
    for number in 1..=20 {
        let assignment = assigned(&mut market, of_friend(number));
        assert_eq!((assignment.plugin, assignment.price), (plugin(1), NOTHING));
        answer(&mut market, NOW, &assignment, 50);
        let effects = effects(&mut market);
        assert_eq!(names(&effects), ["settle", "settled"]);
        let crate::Effect::Record(entry) = &effects[0] else { panic!("{effects:?}") };
        let EntryKind::Settle(settle) = &entry.kind else { panic!("{entry:?}") };
        assert_eq!((settle.charge, settle.fee, settle.held_back, settle.earned()), Default::default());
        assert_eq!((settle.prompt_tokens, settle.answer_tokens), (100, 50));
        assert_eq!(entry.postings().count(), 0, "nothing moves");
    }
    assert_eq!(market.book().balance(Account::Page(FRIEND)), Nanos::ZERO);
    assert_eq!(market.counts().completed, 20);
}

#[test]
fn a_friend_pays_the_groups_price_and_a_stranger_the_owners() {
    let mut market = befriended(Price::new(10_000, 20_000));
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    let friendly = assigned(&mut market, request(1));
    assert_eq!((friendly.plugin, friendly.price), (plugin(1), Price::new(10_000, 20_000)));
    answer(&mut market, NOW, &friendly, 50);
    // 100 × 10 and 50 × 20 nano-dollars.
    assert_eq!(market.book().balance(Account::Page(PAGE)), Nanos::new(10_000_000_000 - 2_000));
    market.regroup(NOW, |groups, _| groups.remove_account(PAGE, GROUP)).unwrap();
    assert_eq!(assigned(&mut market, request(2)).price, Price::new(100_000, 200_000));
}

#[test]
fn a_member_keeps_the_price_of_before_until_it_agrees_to_a_lower_one() {
    let price = Price::new(10_000, 20_000);
    let mut market = befriended(price);
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    market.regroup(NOW, |groups, terms| groups.add_plugin(terms, GROUP, plugin(2))).unwrap();
    market.leave(NOW, session(1));
    market.regroup(NOW, |groups, _| groups.set_price(plugin(1), NOTHING)).unwrap();
    let kept = assigned(&mut market, request(1));
    assert_eq!((kept.plugin, kept.price), (plugin(2), price));
    answer(&mut market, NOW, &kept, 50);
    effects(&mut market);
    market.regroup(NOW, |groups, _| groups.agree(plugin(2), NOTHING)).unwrap();
    assert_eq!(assigned(&mut market, request(2)).price, NOTHING);
}

#[test]
fn an_owner_who_never_asks_less_than_his_power_costs_does_not_of_friends_either() {
    let mut market = befriended(NOTHING);
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    market.leave(NOW, session(2));
    let least = Some(Price::new(0, 7_000));
    market.restock(NOW, session(1), inventory(vec![Offer { least, ..offer(MODEL) }]));
    assert_eq!(assigned(&mut market, request(1)).price, Price::new(0, 7_000));
}

#[test]
fn an_owner_whose_least_is_above_the_groups_price_comes_first_only_if_no_stranger_is_cheaper() {
    let mut market = befriended(NOTHING);
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    let stranger = Price::new(100_000, 200_000);
    let least = stranger.scaled(3_000);
    let dear = Offer { least: Some(least), price: Some(least.into()), ..offer(MODEL) };
    market.restock(NOW, session(1), inventory(vec![dear]));
    let first = assigned(&mut market, request(1));
    assert_eq!((first.plugin, first.price), (plugin(2), stranger));
    answer(&mut market, NOW, &first, 10);
    let named = Request { price_max: Some(least), ..request(2) };
    let named = assigned(&mut market, named);
    assert_eq!((named.plugin, named.price), (plugin(1), least));
    answer(&mut market, NOW, &named, 10);
    effects(&mut market);
    let estimate = market.estimate(NOW, &request(3)).unwrap();
    assert!(estimate.cost <= stranger.cost(100, 100).unwrap(), "{estimate:?}");
    // He is ranked by what he asks of strangers, and asks no more of friends.
    let cheap = Offer { least: Some(least), price: Some(NOTHING.into()), ..offer(MODEL) };
    market.restock(NOW, session(1), inventory(vec![cheap]));
    assert_eq!(assigned(&mut market, request(4)).price, NOTHING);
}

#[test]
fn an_account_is_a_friend_by_its_own_plugin_and_never_served_by_that_one() {
    let mut market = with_sessions(3);
    market.pair(plugin(2), Some(FRIEND));
    let change = market.regroup(NOW, |groups, terms| {
        groups.create(terms, GROUP, plugin(1), NOTHING)?;
        groups.add_plugin(terms, GROUP, plugin(2))
    });
    change.unwrap();
    let friendly = assigned(&mut market, of_friend(1));
    assert_eq!((friendly.plugin, friendly.price), (plugin(1), NOTHING));
    market.submit(NOW, of_friend(2)).unwrap();
    assert_eq!(
        names(&effects(&mut market)),
        [""; 0],
        "its own is idle, and the other's without money for it"
    );
    answer(&mut market, NOW, &friendly, 10);
    assert_eq!(only_assignment(&mut market).plugin, plugin(1));
    // It is one for as long as it owns the plugin.
    market.pair(plugin(2), None);
    assert!(matches!(refused(&mut market, of_friend(3)), Refusal::InsufficientFunds { .. }));
}

#[test]
fn friends_are_served_in_front_of_strangers_who_came_before() {
    let mut market = with_sessions(1);
    befriend(&mut market, NOTHING);
    let running = assigned(&mut market, request(1));
    market.submit(NOW, request(2)).unwrap();
    market.submit(NOW, of_friend(3)).unwrap();
    market.submit(NOW, of_friend(4)).unwrap();
    let mut order = Vec::new();
    let mut current = running;
    for _ in 0..3 {
        answer(&mut market, NOW, &current, 10);
        current = only_assignment(&mut market);
        order.push(current.job);
    }
    assert_eq!(order, [job(3), job(4), job(2)]);
}

#[test]
fn a_friend_whose_group_is_busy_waits_for_it_or_pays_somebody_else() {
    let mut market = befriended(NOTHING);
    assigned(&mut market, of_friend(1));
    market.submit(NOW, of_friend(2)).unwrap();
    assert_eq!(names(&effects(&mut market)), [""; 0], "without money only the group is left");
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    let elsewhere = assigned(&mut market, request(3));
    assert_eq!((elsewhere.plugin, elsewhere.price), (plugin(2), Price::new(100_000, 200_000)));
    let only_group = Request { price_max: Some(NOTHING), ..request(4) };
    market.submit(NOW, only_group).unwrap();
    assert_eq!(names(&effects(&mut market)), [""; 0], "who pays nothing waits for the group");
}

#[test]
fn who_serves_the_group_alone_serves_friends_alone() {
    let mut market = befriended(NOTHING);
    market.leave(NOW, session(2));
    serves_group(&mut market);
    assert_eq!(refused(&mut market, request(1)), Refusal::GroupOnly);
    assert_eq!(assigned(&mut market, of_friend(2)).plugin, plugin(1));
    assert_eq!(market.models_of(GROUP), [MODEL]);
    let of_another = Request { payer: Payer::Free { visitor: 3 }, ..request(3) };
    assert_eq!(refused(&mut market, of_another), Refusal::GroupOnly);
}

#[test]
fn what_waits_is_looked_at_anew_when_a_friend_joins() {
    let mut market = with_sessions(1);
    befriend(&mut market, NOTHING);
    let second = AccountId::from_bits(8);
    assigned(&mut market, of_friend(1));
    serves_group(&mut market);
    let stranger = Request { payer: Payer::Page(second), ..request(2) };
    assert_eq!(refused(&mut market, stranger), Refusal::GroupOnly);
    // It may wait for a plugin that is paid, and the group's own becomes free meanwhile.
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(MODEL)]));
    assigned(&mut market, request(3));
    market.submit(NOW, request(4)).unwrap();
    let running = market.jobs_of(session(1)).unwrap()[0];
    market.began(NOW, running.0, running.1);
    market.finish(NOW, running.0, running.1, usage(10));
    effects(&mut market);
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    assert_eq!(only_assignment(&mut market).job, job(4));
}

#[test]
fn friends_win_neither_trust_nor_speed_nor_a_record_nor_demand_by_asking_each_other() {
    let terms =
        Terms { trusted_jobs: 1, trusted_pages: 1, trusted_after: rekursing_protocol::Span(0), ..terms() };
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    befriend(&mut market, NOTHING);
    let before = market.sessions()[0].clone();
    for number in 1..=30 {
        let assignment = assigned(&mut market, of_friend(number));
        if number % 10 == 0 {
            fail(&mut market, &assignment, FailCode::ModelCrashed);
        } else {
            answer(&mut market, NOW, &assignment, 100);
        }
        effects(&mut market);
    }
    assert_eq!(market.sessions()[0].success_permille, before.success_permille);
    assert_eq!(market.sessions()[0].offers[0].millitokens_per_second, 0, "no speed was measured");
    let outlook = market.outlook(NOW, plugin(1));
    let new =
        |obstacle: &_| matches!(obstacle, rekursing_protocol::outlook::Obstacle::New { jobs_left: 1, .. });
    assert!(outlook.obstacles.iter().any(new), "{outlook:?}");
    let model = &outlook.models[0];
    assert_eq!((model.requests, model.prompt_tokens, model.answer_tokens), (0, 0, 0));
}

#[test]
fn a_friends_job_fails_over_to_whom_he_can_pay() {
    let mut market = befriended(NOTHING);
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    let first = assigned(&mut market, request(1));
    assert_eq!(first.plugin, plugin(1));
    fail(&mut market, &first, FailCode::ModelCrashed);
    let second = only_assignment(&mut market);
    assert_eq!((second.plugin, second.price), (plugin(2), Price::new(100_000, 200_000)));
    answer(&mut market, NOW, &second, 50);
    market.check_invariants(NOW);

    let broke = assigned(&mut market, of_friend(2));
    fail(&mut market, &broke, FailCode::ModelCrashed);
    let ended = names(&effects(&mut market));
    assert_eq!(ended.last(), Some(&"ended"), "{ended:?}");
}

#[test]
fn a_group_that_asks_for_far_more_than_is_usual_is_paid_only_by_who_says_so() {
    let mut market = befriended(Price::new(50_000_000, 50_000_000));
    let rich = Request { payer: Payer::Page(PAGE), ..request(1) };
    market.regroup(NOW, |groups, terms| groups.add_account(terms, GROUP, PAGE)).unwrap();
    assert_eq!(assigned(&mut market, rich).plugin, plugin(2));
    let willing = Request { price_max: Some(Price::new(Price::MAX, Price::MAX)), ..request(2) };
    assert_eq!(assigned(&mut market, willing).plugin, plugin(1));
}

#[test]
fn a_group_goes_over_a_restart() {
    let market = befriended(NOTHING);
    let group = market.groups().get(GROUP).unwrap().clone();
    let mut next = super::fixture::market(terms());
    next.recall(NOW, crate::History { groups: vec![(GROUP, group)], ..Default::default() });
    next.join(NOW, session(1), plugin(1), inventory(vec![Offer { slots: 2, ..offer(MODEL) }]));
    assert_eq!(assigned(&mut next, of_friend(1)).price, NOTHING);
}
