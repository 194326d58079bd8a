//! The outlook: each thing that keeps jobs away is named, the weightiest first.

use rekursing_protocol::{
    Offer, Price, Span,
    outlook::{Obstacle, Outlook, Range, Wanted},
};

use super::fixture::*;
use crate::{Market, Request, Wish};

const OTHER: &str = "llama3.2:3b";

fn codes(outlook: &Outlook) -> Vec<&'static str> {
    let code = |obstacle: &Obstacle| match obstacle {
        Obstacle::NotConnected => "not connected",
        Obstacle::NoModel => "no model",
        Obstacle::Paused => "paused",
        Obstacle::Parked { .. } => "parked",
        Obstacle::Untrusted { .. } => "untrusted",
        Obstacle::NoDemand => "no demand",
        Obstacle::NotWanted { .. } => "not wanted",
        Obstacle::Dear { .. } => "dear",
        Obstacle::TooShort { .. } => "too short",
        Obstacle::GroupOnly { .. } => "group only",
        Obstacle::VerifiedOnly { .. } => "verified only",
        Obstacle::TopicRefused { .. } => "topic refused",
        Obstacle::Outranked { .. } => "outranked",
        Obstacle::New { .. } => "new",
    };
    outlook.obstacles.iter().map(code).collect()
}

fn asked(market: &mut Market, number: u64, model: &str) {
    let request = Request { model: Wish::Named(model.to_owned()), ..request(number) };
    // Whether anybody can serve it does not matter: it was asked for.
    let _ = market.submit(NOW, request);
    effects(market);
}

#[test]
fn a_plugin_that_is_not_there_or_offers_nothing_is_told_so() {
    let mut market = market(terms());
    assert_eq!(codes(&market.outlook(NOW, plugin(1))), ["not connected"]);
    market.join(NOW, session(1), plugin(1), inventory(vec![]));
    assert_eq!(codes(&market.outlook(NOW, plugin(1))), ["no model", "no demand", "new"]);
    let mut paused = inventory(vec![offer(MODEL)]);
    paused.paused = true;
    market.restock(NOW, session(1), paused);
    assert_eq!(codes(&market.outlook(NOW, plugin(1))), ["paused", "no demand", "new"]);
}

#[test]
fn a_model_that_nobody_asks_for_is_told_with_the_one_that_is_asked_for() {
    let mut market = with_sessions(1);
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(OTHER)]));
    (10..13).for_each(|number| asked(&mut market, number, OTHER));
    market.tick(NOW);
    let outlook = market.outlook(NOW, plugin(1));
    let instead = Wanted { model: "llama3.2-3b".to_owned(), requests: 3 };
    assert_eq!(outlook.wanted, std::slice::from_ref(&instead));
    assert_eq!(outlook.obstacles[0], Obstacle::NotWanted { model: MODEL.to_owned(), instead });
    let tomorrow = NOW + Span::DAY;
    for number in [1, 2] {
        market.heartbeat(tomorrow, session(number), &beat(1));
    }
    market.tick(tomorrow);
    assert_eq!(market.outlook(tomorrow, plugin(1)).wanted, []);
}

#[test]
fn a_dear_ask_is_measured_by_what_others_ask() {
    let mut market = with_sessions(1);
    let at = |price: u64| Offer { price: Some(Price::new(price, 2 * price).into()), ..offer(MODEL) };
    for (number, price) in [(2, 50_000), (3, 70_000), (4, 80_000)] {
        market.join(NOW, session(number), plugin(number), inventory(vec![at(price)]));
    }
    asked(&mut market, 10, MODEL);
    let outlook = market.outlook(NOW, plugin(1));
    let median = Price::new(70_000, 140_000);
    let dear = Obstacle::Dear { model: MODEL.to_owned(), percent: 42, median };
    assert!(outlook.obstacles.contains(&dear), "{outlook:?}");
    let range = Range { lowest: Price::new(50_000, 100_000), median, highest: Price::new(80_000, 160_000) };
    assert_eq!((outlook.models[0].others, outlook.models[0].market), (3, Some(range)));
    assert_eq!(codes(&market.outlook(NOW, plugin(3))), ["new"]);
}

#[test]
fn a_context_that_most_requests_do_not_fit_is_told() {
    let mut market = with_sessions(1);
    for number in 0..4 {
        let prompt_tokens = if number == 0 { 10 } else { 5_000 };
        let _ = market.submit(NOW, Request { prompt_tokens, ..request(number) });
    }
    let outlook = market.outlook(NOW, plugin(1));
    let short = Obstacle::TooShort { model: MODEL.to_owned(), context: 4_096, permille: 750 };
    assert_eq!(outlook.obstacles[0], short);
    assert_eq!(outlook.models[0].requests, 4);
}

#[test]
fn the_weightiest_is_told_first_though_it_is_found_last() {
    let mut market = market(terms());
    let dear = Offer { price: Some(Price::new(140_000, 280_000).into()), ..offer(MODEL) };
    market.join(NOW, session(1), plugin(1), inventory(vec![dear]));
    let cheap = Offer { context: 32_768, ..offer(MODEL) };
    market.join(NOW, session(2), plugin(2), inventory(vec![cheap]));
    for number in 0..4 {
        let prompt_tokens = if number == 0 { 10 } else { 5_000 };
        let _ = market.submit(NOW, Request { prompt_tokens, ..request(number) });
    }
    // 40 % above the median weighs 500, and three of four requests that are too long weigh 750.
    assert_eq!(codes(&market.outlook(NOW, plugin(1))), ["too short", "dear", "new"]);
}

#[test]
fn what_was_paid_is_told_by_model() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    answer(&mut market, NOW, &assignment, 50);
    let model = &market.outlook(NOW, plugin(1)).models[0];
    assert_eq!((model.requests, model.prompt_tokens, model.answer_tokens), (1, 100, 50));
}
