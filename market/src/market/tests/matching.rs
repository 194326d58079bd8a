//! Who gets a job, and what a page is told when nobody does.

use rekursing_protocol::{Offer, OfferKind, Price, Span};

use super::fixture::*;
use crate::{Market, Payer, Refusal, Request, Terms, Tier, Usage, Wish, tier::Floor};

/// A market whose one session makes this offer.
fn serving(offer: Offer) -> Market {
    let mut market = market(Terms::default());
    market.join(NOW, session(1), plugin(1), inventory(vec![offer]));
    market
}

#[test]
fn a_model_is_shown_as_in_a_browser_while_nobody_else_serves_it() {
    let mut market = serving(Offer { browser: true, ..offer(MODEL) });
    assert!(market.models(NOW, 9)[0].browser);
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(MODEL)]));
    assert!(!market.models(NOW, 9)[0].browser);
}

#[test]
fn a_refusal_names_the_filter_that_emptied_the_list_and_what_would_fit() {
    let plain = || offer(MODEL);
    let ask = |change: fn(&mut Request)| {
        let mut request = request(1);
        change(&mut request);
        request
    };
    let cases: Vec<(&str, Request, Refusal)> = vec![
        (
            "model_not_found",
            ask(|request| request.model = Wish::Named("gpt-99".to_owned())),
            Refusal::ModelNotFound { model: "gpt-99".to_owned() },
        ),
        (
            "no_provider",
            ask(|request| {
                request.model = Wish::Any;
                request.kind = OfferKind::Embedding;
            }),
            Refusal::NoProvider,
        ),
        (
            "wrong_kind",
            ask(|request| request.kind = OfferKind::Embedding),
            Refusal::WrongKind { kind: OfferKind::Embedding },
        ),
        (
            "context_too_long",
            ask(|request| request.prompt_tokens = 4_000),
            Refusal::ContextTooLong { needs: 4_100, largest: 4_096 },
        ),
        (
            "context_too_long",
            ask(|request| {
                request.prompt_tokens = u64::MAX;
                request.answer_tokens_max = None;
            }),
            Refusal::ContextTooLong { needs: u64::MAX, largest: 4_096 },
        ),
        ("vision_unavailable", ask(|request| request.needs_vision = true), Refusal::VisionUnavailable),
        (
            "tier_unavailable",
            ask(|request| request.tier = Tier::High),
            Refusal::TierUnavailable { tier: Tier::High, best: Some(Tier::Standard) },
        ),
        (
            "price_too_high",
            ask(|request| request.price_max = Some(Price::new(100_000, 199_999))),
            Refusal::PriceTooHigh { lowest: Price::new(100_000, 200_000) },
        ),
        (
            "cost_too_high",
            ask(|request| request.cost_max = Some("0.000029999".parse().unwrap())),
            Refusal::CostTooHigh { lowest: "0.00003".parse().unwrap() },
        ),
        (
            "too_slow",
            ask(|request| request.millitokens_per_second_min = 20_001),
            Refusal::TooSlow { fastest: 20_000 },
        ),
        (
            "quantization_unavailable",
            ask(|request| request.quantizations = vec!["Q8_0".to_owned(), "F16".to_owned()]),
            Refusal::QuantizationUnavailable { available: vec!["Q4_K_M".to_owned()] },
        ),
        (
            "insufficient_funds",
            ask(|request| request.payer = Payer::Page(rekursing_protocol::AccountId::from_bits(99))),
            Refusal::InsufficientFunds {
                needs: "0.00003".parse().unwrap(),
                available: rekursing_protocol::Nanos::ZERO,
            },
        ),
    ];
    for (code, request, refusal) in cases {
        let told = refused(&mut serving(plain()), request);
        assert_eq!(told, refusal);
        assert_eq!(told.code(), code);
        assert!(!told.to_string().is_empty());
    }
}

#[test]
fn of_many_offers_the_one_that_came_farthest_tells_what_would_fit() {
    let mut market = market(Terms::default());
    let small = Offer { context: 64, price: Some(Price::new(1, 1).into()), ..offer(MODEL) };
    let dear = Offer { price: Some(Price::new(900_000, 900_000).into()), ..offer(MODEL) };
    let dearer = Offer { price: Some(Price::new(950_000, 950_000).into()), ..offer(MODEL) };
    for (number, offer) in [small, dearer, dear].into_iter().enumerate() {
        let number = u64::try_from(number).unwrap() + 1;
        market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
    }
    let mut request = request(1);
    request.price_max = Some(Price::new(800_000, 800_000));
    assert_eq!(refused(&mut market, request), Refusal::PriceTooHigh { lowest: Price::new(900_000, 900_000) });
}

#[test]
fn a_model_is_found_by_every_name_that_means_it() {
    for (offered, wished) in [
        ("Qwen/Qwen2.5-7B-Instruct-GGUF", "qwen2.5-7b-instruct"),
        ("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct-GGUF"),
        ("qwen2.5:7b-instruct-q4_K_M", "QWEN2.5-7B-INSTRUCT"),
        ("llama3.2:latest", "llama3.2"),
    ] {
        let mut market = serving(offer(offered));
        let wish = Request { model: Wish::Named(wished.to_owned()), ..request(1) };
        assert_eq!(assigned(&mut market, wish).offer.model, offered);
    }
}

#[test]
fn any_model_is_the_best_one_of_its_kind() {
    let mut market = serving(offer("something"));
    let embedding = Offer { kind: OfferKind::Embedding, loaded: true, ..offer("vectors") };
    market.join(NOW, session(2), plugin(2), inventory(vec![embedding]));
    let any = |number, kind| Request { model: Wish::Any, kind, ..request(number) };
    assert_eq!(assigned(&mut market, any(1, OfferKind::Text)).offer.model, "something");
    assert_eq!(assigned(&mut market, any(2, OfferKind::Embedding)).offer.model, "vectors");
}

#[test]
fn quantizations_are_compared_in_any_case() {
    let mut market = serving(offer(MODEL));
    let request = Request { quantizations: vec!["q4_k_m".to_owned()], ..request(1) };
    assert_eq!(assigned(&mut market, request).session, session(1));
}

#[test]
fn a_loaded_model_is_tried_before_a_cheaper_one_that_is_not() {
    let mut market = market(Terms::default());
    let cold = Offer { loaded: false, price: Some(Price::new(1, 1).into()), ..offer(MODEL) };
    market.join(NOW, session(1), plugin(1), inventory(vec![cold]));
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(MODEL)]));
    assert_eq!(assigned(&mut market, request(1)).session, session(2));
    assert_eq!(assigned(&mut market, request(2)).session, session(1));
}

#[test]
fn a_much_cheaper_offer_always_wins() {
    for seed in 0..50 {
        let mut market = Market::new(Terms::default(), with_sessions(0).book, seed);
        let cheap = Offer { price: Some(Price::new(10_000, 20_000).into()), ..offer(MODEL) };
        market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
        market.join(NOW, session(2), plugin(2), inventory(vec![cheap]));
        market.join(NOW, session(3), plugin(3), inventory(vec![offer(MODEL)]));
        assert_eq!(assigned(&mut market, request(1)).session, session(2));
    }
}

/// A market in which session 1 gives away what the others offer at the default price.
fn beside_a_free_one(others: u64, seed: u64) -> Market {
    let mut market = Market::new(Terms::default(), with_sessions(0).book, seed);
    for number in 1..=others + 1 {
        let price = if number == 1 { Some(Price::new(0, 0)) } else { None };
        market.join(
            NOW,
            session(number),
            plugin(number),
            inventory(vec![Offer { price: price.map(Into::into), ..offer(MODEL) }]),
        );
    }
    market
}

#[test]
fn who_asks_nothing_is_drawn_no_more_often_than_the_best_of_equals() {
    let drawn = (0..400).filter(|seed| {
        let mut market = beside_a_free_one(7, *seed);
        assigned(&mut market, request(1)).session == session(1)
    });
    let drawn = drawn.count();
    assert!((60..140).contains(&drawn), "two of eight are drawn, so one in four: {drawn} of 400");
}

#[test]
fn who_asks_nothing_and_is_slow_or_fails_is_not_preferred() {
    let slow = Usage { first_token: Span::secs(4), generation: Span::secs(20), ..usage(100) };
    for seed in 0..20 {
        let mut market = beside_a_free_one(0, seed);
        for number in 1..=3 {
            let assignment = assigned(&mut market, request(number));
            assert!(market.began(NOW, assignment.job, assignment.lease));
            market.finish(NOW, assignment.job, assignment.lease, slow);
            effects(&mut market);
        }
        let asks = Offer { price: None, ..offer(MODEL) };
        market.join(NOW, session(2), plugin(2), inventory(vec![asks]));
        assert_eq!(assigned(&mut market, request(4)).session, session(2));
    }
}

#[test]
fn of_equals_several_are_drawn_and_never_the_last() {
    let mut drawn = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut market = Market::new(Terms::default(), with_sessions(0).book, seed);
        for number in 1..=4 {
            market.join(NOW, session(number), plugin(number), inventory(vec![offer(MODEL)]));
        }
        drawn.insert(assigned(&mut market, request(1)).session);
    }
    assert_eq!(drawn, [1, 2, 3].map(session).into());
}

#[test]
fn no_more_than_so_many_are_weighed_however_many_there_are() {
    for seed in 0..50 {
        let terms = Terms { choices_max: 2, ..Terms::default() };
        let mut market = Market::new(terms, with_sessions(0).book, seed);
        for number in 1..=20 {
            market.join(NOW, session(number), plugin(number), inventory(vec![offer(MODEL)]));
        }
        assert_eq!(assigned(&mut market, request(1)).session, session(1), "of two the better");
    }
}

#[test]
fn equal_seeds_and_calls_give_equal_effects() {
    let run = || {
        let mut market = with_sessions(20);
        for number in 1..=10 {
            market.submit(NOW, request(number)).unwrap();
        }
        effects(&mut market)
    };
    assert_eq!(run(), run());
}

#[test]
fn speed_is_what_was_measured_and_opens_the_higher_tiers() {
    let floor = Floor { answers_min: 2, millitokens_per_second_min: 40_000, ..Floor::default() };
    let mut terms = Terms::default();
    terms.tiers.high.floor = floor;
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let high = |number| Request { tier: Tier::High, ..request(number) };
    for number in 1..=2 {
        let refusal = refused(&mut market, high(100 + number));
        assert_eq!(refusal, Refusal::TierUnavailable { tier: Tier::High, best: Some(Tier::Standard) });
        let assignment = assigned(&mut market, request(number));
        // The claim of a server says nothing about its speed.
        let boast = Usage { claimed_answer: Some(1_000_000), ..usage(50) };
        market.finish(NOW, assignment.job, assignment.lease, boast);
        effects(&mut market);
    }
    let assignment = assigned(&mut market, high(3));
    assert_eq!(assignment.price, Price::new(150_000, 300_000));
    assert_eq!(market.models(NOW, 9)[0].millitokens_per_second, 50_000);
}

#[test]
fn the_default_terms_let_a_fresh_session_serve_low_and_standard_alone() {
    for (tier, serves) in
        [(Tier::Low, true), (Tier::Standard, true), (Tier::High, false), (Tier::Ultra, false)]
    {
        let mut market = with_sessions(1);
        assert_eq!(market.submit(NOW, Request { tier, ..request(1) }).is_ok(), serves, "{tier}");
    }
}

#[test]
fn without_a_limit_the_answer_is_bounded_by_the_default_and_by_the_context_left() {
    for (context, prompt_tokens, most) in [(100_000, 100, 2_048), (4_096, 3_000, 1_096), (116, 100, 16)] {
        let mut market = serving(Offer { context, ..offer(MODEL) });
        let request = Request { prompt_tokens, answer_tokens_max: None, ..request(1) };
        assert_eq!(assigned(&mut market, request).answer_tokens_max, most);
    }
    let mut full = serving(Offer { context: 115, ..offer(MODEL) });
    let request = Request { answer_tokens_max: None, ..request(1) };
    assert_eq!(refused(&mut full, request), Refusal::ContextTooLong { needs: 116, largest: 115 });
}

#[test]
fn an_offer_without_a_price_asks_the_default() {
    let mut market = serving(Offer { price: None, ..offer(MODEL) });
    let request = Request { tier: Tier::Low, ..request(1) };
    assert_eq!(assigned(&mut market, request).price, Price::new(40_000, 80_000));
}
