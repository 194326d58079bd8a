//! What an answer can be expected to be, and the choice of model and tier.

use std::sync::Arc;

use rekursing_protocol::{KeyId, Nanos, Offer, Price, Span, offer::OFFERS_MAX};

use super::fixture::*;
use crate::{Auto, Limits, Market, Objective, Refusal, Request, Routing, Sort, Spender, Tier, Wish};

/// A market in which three owners offer a model each, at these prices for a million answer tokens.
fn of_models(models: [(&str, u64); 3]) -> Market {
    let mut market = market(terms());
    for (number, (model, output)) in (1..).zip(models) {
        let offer = Offer { price: Some(Price::new(output / 2, output).into()), ..offer(model) };
        market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
    }
    market
}

fn any() -> Request {
    Request { model: Wish::Any, ..request(1) }
}

fn auto(objective: &str) -> Auto {
    Auto { objective: Objective::named(objective).unwrap(), deadline: None }
}

#[test]
fn an_estimate_is_what_would_be_held_and_changes_nothing() {
    let mut market = with_sessions(2);
    let before = spendable(&market);
    let estimate = market.estimate(NOW, &request(1)).unwrap();
    assert_eq!(effects(&mut market), []);
    assert_eq!(spendable(&market), before);
    assert_eq!((estimate.model.as_str(), estimate.tier, estimate.offers), (MODEL, Tier::Standard, 2));
    assert_eq!((estimate.prompt_tokens, estimate.answer_tokens, estimate.answer_tokens_max), (100, 100, 100));
    // Unmeasured, the first token is assumed after a second and 20 tokens in each that follows.
    assert_eq!((estimate.first_token, estimate.time), (Span(1_000), Span(6_000)));
    assert_eq!((estimate.success_permille, estimate.is_ready), (1_000, true));
    assert_eq!(estimate.cost, Nanos::new(30_000));
    assigned(&mut market, request(1));
    assert_eq!(before.checked_sub(spendable(&market)), Some(estimate.cost_max));
}

#[test]
fn an_answer_without_a_limit_is_expected_to_be_as_long_as_answers_are() {
    let mut market = with_sessions(1);
    let open = |number| Request { answer_tokens_max: None, ..request(number) };
    let before = market.estimate(NOW, &open(1)).unwrap();
    assert_eq!((before.answer_tokens, before.answer_tokens_max), (256, 2_048));
    for number in 1..=20 {
        let assignment = assigned(&mut market, open(number));
        answer(&mut market, NOW, &assignment, 56);
        effects(&mut market);
    }
    assert_eq!(market.estimate(NOW, &open(21)).unwrap().answer_tokens, 156);
}

#[test]
fn what_nobody_would_answer_is_refused_as_the_answer_would_be() {
    let mut market = with_sessions(1);
    let dear = Request { cost_max: Some(Nanos::new(1)), ..request(1) };
    let refusal = market.estimate(NOW, &dear).unwrap_err();
    assert_eq!(refusal, refused(&mut market, dear));
    let high = Request { tier: Tier::High, ..request(1) };
    let refusal = market.estimate(NOW, &high).unwrap_err();
    assert_eq!(refusal, refused(&mut market, high));
    let other = Request { model: Wish::Named("other".to_owned()), ..request(1) };
    assert_eq!(market.estimate(NOW, &other), Err(Refusal::ModelNotFound { model: "other".to_owned() }));
}

#[test]
fn of_models_alike_the_cheapest_is_chosen_and_in_the_tier_that_costs_least() {
    let mut market = of_models([("one-3b", 400_000), ("two-3b", 200_000), ("three-3b", 300_000)]);
    for objective in ["balanced", "quality", "speed", "cost"] {
        let choice = market.choose(NOW, &any(), &auto(objective)).unwrap();
        assert_eq!((choice.estimate.model.as_str(), choice.estimate.tier), ("two-3b", Tier::Low));
        assert_eq!(
            choice.reasons[0], "6 combinations of model and tier could answer",
            "high has no owner yet"
        );
    }
    assert_eq!(effects(&mut market), []);
}

#[test]
fn a_larger_model_is_worth_more_and_the_size_that_a_stranger_names_is_not_believed() {
    let mut market = of_models([("small-1b", 100_000), ("fair-3b", 200_000), ("giant-900b", 300_000)]);
    let chosen =
        |market: &mut Market, objective| market.choose(NOW, &any(), &auto(objective)).unwrap().estimate;
    assert_eq!(chosen(&mut market, "cost").model, "small-1b");
    let best = chosen(&mut market, "quality");
    assert_eq!((best.model.as_str(), best.quality_permille), ("fair-3b", 250));
    let named = Request { model: Wish::Named("giant-900b".to_owned()), ..request(1) };
    let giant = market.choose(NOW, &named, &auto("quality")).unwrap().estimate;
    assert_eq!((giant.model.as_str(), giant.quality_permille), ("giant-900b", 250));
}

#[test]
fn what_may_be_spent_bounds_the_choice_and_the_refusal_says_what_would_fit() {
    let mut market = of_models([("one-3b", 400_000), ("two-3b", 200_000), ("three-3b", 300_000)]);
    // 100 prompt and 100 answer tokens, at 0.8 of the price.
    let lowest = Nanos::new(24_000);
    let bounded = |most| Request { cost_max: Some(most), ..any() };
    assert_eq!(market.choose(NOW, &bounded(lowest), &auto("quality")).unwrap().estimate.cost_max, lowest);
    assert_eq!(
        market.choose(NOW, &bounded(Nanos::new(23_999)), &auto("quality")),
        Err(Refusal::CostTooHigh { lowest })
    );
    let limits = Limits { models: vec!["three-3b".to_owned()], ..Limits::default() };
    let key = Spender { key: KeyId::from_bits(1), limits, maker: None };
    let limited = Request { spender: Some(Arc::new(key)), ..any() };
    assert_eq!(market.choose(NOW, &limited, &auto("cost")).unwrap().estimate.model, "three-3b");
    let broke = Limits { budget_total: Some(Nanos::new(1)), ..Limits::default() };
    let key = Spender { key: KeyId::from_bits(2), limits: broke, maker: None };
    let limited = Request { spender: Some(Arc::new(key)), ..any() };
    let refusal = market.choose(NOW, &limited, &auto("cost")).unwrap_err();
    assert_eq!(refusal.code(), "key_budget_total");
}

#[test]
fn a_deadline_leaves_out_who_was_measured_to_be_slow() {
    let mut market = of_models([("one-3b", 400_000), ("two-3b", 200_000), ("three-3b", 300_000)]);
    let named = Request { model: Wish::Named("one-3b".to_owned()), ..request(1) };
    let assignment = assigned(&mut market, named);
    // 50 tokens per second behind 0.2 seconds; the others are assumed to make 20 behind one.
    answer(&mut market, NOW, &assignment, 100);
    effects(&mut market);
    let within = |ms| Auto { deadline: Some(Span(ms)), ..auto("cost") };
    assert_eq!(market.choose(NOW, &any(), &within(6_000)).unwrap().estimate.model, "two-3b");
    assert_eq!(market.choose(NOW, &any(), &within(5_999)).unwrap().estimate.model, "one-3b");
    assert_eq!(
        market.choose(NOW, &any(), &within(1_000)),
        Err(Refusal::TooLate { soonest: Some(Span(2_200)) })
    );
}

#[test]
fn the_more_families_there_are_to_choose_from_the_fewer_offers_of_each_are_looked_at() {
    let mut market = market(terms());
    // Each does one job at a time and has one, so that all of whom a job would wait for are looked at.
    for number in 1..=20 {
        let offers = (0..OFFERS_MAX).map(|at| offer(&format!("model-{at}-3b"))).collect();
        market.join(NOW, session(number), plugin(number), inventory(offers));
        assigned(&mut market, Request { model: Wish::Any, ..request(number) });
    }
    let looked = |market: &mut Market, model| {
        let request = Request { model, ..request(100) };
        market.choose(NOW, &request, &auto("cost")).unwrap().estimate.offers
    };
    assert_eq!(looked(&mut market, Wish::Named("model-7-3b".to_owned())), 20);
    assert_eq!(looked(&mut market, Wish::Any), 4_096 / (OFFERS_MAX * Tier::ALL.len()));
}

#[test]
fn who_is_named_is_found_however_many_are_better() {
    let mut market = market(terms());
    for number in 1..=100 {
        let price = Price::new(number * 1_000, number * 2_000);
        let offer = Offer { price: Some(price.into()), ..offer(MODEL) };
        market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
    }
    let asks = |market: &mut Market, routing| {
        let request = Request { routing: Some(Box::new(routing)), ..request(1) };
        market.estimate(NOW, &request).unwrap().cost
    };
    let order = |number| Routing { order: vec![plugin(number)], ..Routing::default() };
    let costs = [1, 50, 100].map(|number| asks(&mut market, order(number)));
    assert!(costs.is_sorted() && costs[0] < costs[1] && costs[1] < costs[2], "{costs:?}");
    let sorted = Routing { sort: Some(Sort::Price), ..order(100) };
    assert_eq!(asks(&mut market, sorted), costs[2], "the order comes before the sort");
}

#[test]
fn names_that_one_owner_makes_up_do_not_crowd_out_a_model_that_several_serve() {
    let mut market = market(terms());
    for number in 1..=2 {
        let cheap = Offer { price: Some(Price::new(10_000, 20_000).into()), ..offer("real-7b") };
        market.join(NOW, session(number), plugin(number), inventory(vec![cheap]));
    }
    for number in 3..=6 {
        let offers = (0..OFFERS_MAX).map(|at| offer(&format!("made-up-{number}-{at}-70b"))).collect();
        market.join(NOW, session(number), plugin(number), inventory(offers));
    }
    let choice = market.choose(NOW, &any(), &auto("balanced")).unwrap();
    assert_eq!(choice.estimate.model, "real-7b");
    assert_eq!(
        choice.reasons[0], "128 combinations of model and tier could answer",
        "64 families in 2 tiers"
    );
    // Which families those are is known for a while. One that is gone by then is none of them.
    for number in 1..=2 {
        market.leave(NOW, session(number));
    }
    market.join(NOW, session(7), plugin(7), inventory(vec![offer("made-up-later-70b")]));
    let choice = market.choose(NOW, &any(), &auto("balanced")).unwrap();
    assert!(choice.estimate.model.starts_with("made-up"), "{choice:?}");
    market.check_invariants(NOW);
}
