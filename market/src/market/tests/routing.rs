//! A page's own wishes about who answers.

use rekursing_protocol::{FailCode, GroupId, Nanos, Offer, PluginId, Price, Span};

use super::fixture::*;
use crate::{BrokenOff, Market, Refusal, Request, Routing, Sort, Terms, Usage, continuation};

fn routed(number: u64, routing: Routing) -> Request {
    Request { routing: Some(Box::new(routing)), ..request(number) }
}

fn sorted(number: u64, sort: Sort) -> Request {
    routed(number, Routing { sort: Some(sort), ..Routing::default() })
}

/// A market of four who ask 4, 3, 2 and 1 times the price, of whom each later one is slower.
fn graded() -> Market {
    let mut market = market(terms());
    for number in 1..=4 {
        let price = Price::new((5 - number) * 10_000, (5 - number) * 20_000);
        let offer = Offer { slots: 2, price: Some(price.into()), ..offer(MODEL) };
        market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
    }
    for number in 1..=4 {
        let only = routed(100 + number, Routing { only: vec![plugin(number)], ..Routing::default() });
        let assignment = assigned(&mut market, only);
        assert!(market.began(NOW, assignment.job, assignment.lease));
        let measured =
            Usage { first_token: Span(100 * (5 - number)), generation: Span(1_000 * number), ..usage(100) };
        market.finish(NOW, assignment.job, assignment.lease, measured);
        effects(&mut market);
    }
    market
}

/// Asks, and gives back who answers.
fn who(market: &mut Market, request: Request) -> PluginId {
    let assignment = assigned(market, request);
    answer(market, NOW, &assignment, 10);
    effects(market);
    assignment.plugin
}

#[test]
fn only_those_answer_whom_the_page_names_and_none_whom_it_rules_out() {
    let mut market = with_sessions(3);
    for number in 1..=20 {
        let only = Routing { only: vec![plugin(2), plugin(9)], ..Routing::default() };
        assert_eq!(who(&mut market, routed(number, only)), plugin(2));
        let ignore = Routing { ignore: vec![plugin(1), plugin(2)], ..Routing::default() };
        assert_eq!(who(&mut market, routed(100 + number, ignore)), plugin(3));
    }
    for routing in [
        Routing { only: vec![plugin(9)], ..Routing::default() },
        Routing { ignore: vec![plugin(1), plugin(2), plugin(3)], ..Routing::default() },
        Routing { order: vec![plugin(9)], allows_fallbacks: false, ..Routing::default() },
    ] {
        let refusal = refused(&mut market, routed(200, routing));
        assert_eq!((refusal.code(), refusal.is_temporary()), ("provider_unavailable", true));
    }
}

#[test]
fn whoever_is_named_and_does_not_fit_tells_why() {
    let mut market = with_sessions(2);
    let dear = Offer { price: Some(Price::new(900_000, 900_000).into()), ..offer(MODEL) };
    market.restock(NOW, session(1), inventory(vec![dear]));
    let only = Routing { only: vec![plugin(1)], ..Routing::default() };
    let request = Request { price_max: Some(Price::new(500_000, 500_000)), ..routed(1, only) };
    assert_eq!(refused(&mut market, request), Refusal::PriceTooHigh { lowest: Price::new(900_000, 900_000) });
}

#[test]
fn an_order_is_followed_while_they_are_free_and_others_come_behind_it() {
    let mut market = with_sessions(3);
    let order = || Routing { order: vec![plugin(3), plugin(2)], ..Routing::default() };
    let first = assigned(&mut market, routed(1, order()));
    let second = assigned(&mut market, routed(2, order()));
    let third = assigned(&mut market, routed(3, order()));
    assert_eq!([first.plugin, second.plugin, third.plugin], [plugin(3), plugin(2), plugin(1)]);
    // Who allows no others waits for one of the order.
    answer(&mut market, NOW, &third, 10);
    effects(&mut market);
    market.submit(NOW, routed(4, Routing { allows_fallbacks: false, ..order() })).unwrap();
    assert_eq!(effects(&mut market), []);
    market.finish(NOW, second.job, second.lease, usage(10));
    assert_eq!(only_assignment(&mut market).plugin, plugin(2));
}

#[test]
fn the_cheapest_the_fastest_or_the_promptest_alone_is_chosen_by_what_was_measured() {
    for (sort, chosen) in [(Sort::Price, 4), (Sort::Throughput, 1), (Sort::Latency, 4)] {
        assert_eq!(assigned(&mut graded(), sorted(1, sort)).plugin, plugin(chosen), "{sort:?}");
    }
    let mut market = graded();
    let both = Routing { order: vec![plugin(2)], sort: Some(Sort::Price), ..Routing::default() };
    assert_eq!(assigned(&mut market, routed(2, both)).plugin, plugin(2), "an order is stronger than a sort");
}

#[test]
fn without_fallbacks_nobody_else_is_tried_and_nobody_goes_on() {
    let mut market = with_sessions(3);
    let alone = || Routing { allows_fallbacks: false, ..Routing::default() };
    let assignment = assigned(&mut market, routed(1, alone()));
    fail(&mut market, &assignment, FailCode::Unreachable);
    let effects = effects(&mut market);
    assert_eq!(names(&effects), ["void", "ended"]);
    let offer = Offer { continues: true, ..offer(MODEL) };
    let broken = BrokenOff {
        code: FailCode::Cut,
        plugin: plugin(1),
        offer: &offer,
        prompt_tokens: 100,
        answer_tokens_max: 100,
        answer_tokens: 40,
        charge: Nanos::new(1),
    };
    let go_on = |request: Request| continuation(&Terms::default(), &request, &broken, job(2));
    assert_eq!(go_on(routed(1, alone())), None);
    let named = Routing { order: vec![plugin(2)], ..alone() };
    assert!(go_on(routed(1, named)).is_some());
}

#[test]
fn a_prompt_that_nobody_may_keep_goes_to_the_operators_servers_and_to_friends_alone() {
    let deny = |number| routed(number, Routing { denies_collection: true, ..Routing::default() });
    let mut market = with_sessions(2);
    assert_eq!(refused(&mut market, deny(1)), Refusal::CollectionDenied);
    market.own(session(2));
    assert_eq!(who(&mut market, deny(2)), plugin(2));
    let group = GroupId::from_bits(1);
    let mut market = with_sessions(2);
    let befriended = market.regroup(NOW, |groups, terms| {
        groups.create(terms, group, plugin(1), Price::new(0, 0))?;
        groups.add_account(terms, group, PAGE)
    });
    befriended.unwrap();
    assert_eq!(who(&mut market, deny(3)), plugin(1));
}
