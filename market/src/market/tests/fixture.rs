//! A market with names for what tests speak of.

use rekursing_protocol::{
    AccountId, FailCode, JobId, Moment, Nanos, Offer, OfferKind, PluginId, Price, SessionId, Span,
    frame::{Heartbeat, Inventory},
};

use crate::{Account, Assignment, Book, Effect, Market, Payer, Refusal, Request, Terms, Tier, Usage, Wish};

pub(super) const PAGE: AccountId = AccountId::from_bits(1);
pub(super) const NOW: Moment = Moment(1_000_000);
pub(super) const MODEL: &str = "qwen2.5-7b-instruct";

pub(super) fn plugin(number: u64) -> PluginId {
    PluginId::from_bits(number.into())
}

pub(super) fn session(number: u64) -> SessionId {
    SessionId::from_bits(number.into())
}

pub(super) fn job(number: u64) -> JobId {
    JobId::from_bits(number.into())
}

pub(super) fn offer(model: &str) -> Offer {
    Offer {
        model: model.to_owned(),
        kind: OfferKind::Text,
        architecture: String::new(),
        parameters: String::new(),
        quantization: "Q4_K_M".to_owned(),
        context: 4_096,
        slots: 1,
        loaded: true,
        vision: false,
        tools: false,
        continues: false,
        browser: false,
        price: Some(Price::new(100_000, 200_000).into()),
        least: None,
    }
}

pub(super) fn inventory(offers: Vec<Offer>) -> Inventory {
    let slots = offers.iter().map(|offer| offer.slots).max().unwrap_or(1);
    Inventory { offers, slots, ..Inventory::default() }
}

pub(crate) fn request(number: u64) -> Request {
    Request {
        job: job(number),
        payer: Payer::Page(PAGE),
        spender: None,
        kind: OfferKind::Text,
        model: Wish::Named(MODEL.to_owned()),
        tier: Tier::Standard,
        prompt_tokens: 100,
        prompt_tokens_max: 100,
        answer_tokens_max: Some(100),
        price_max: None,
        cost_max: None,
        millitokens_per_second_min: 0,
        quantizations: Vec::new(),
        routing: None,
        needs_vision: false,
        is_verified: false,
        topics: None,
        ad_expected: Nanos::ZERO,
        stream: true,
        left_by: Vec::new(),
    }
}

/// An answer of so many tokens at 50 tokens per second.
pub(super) fn usage(answer_tokens: u64) -> Usage {
    Usage {
        prompt_tokens: 100,
        answer_tokens,
        claimed_prompt: None,
        claimed_answer: None,
        first_token: Span(200),
        generation: Span(answer_tokens * 20),
        stalled: Span(0),
    }
}

pub(super) fn beat(n: u64) -> Heartbeat {
    Heartbeat { n, jobs: 0, queue: 0, models: Vec::new() }
}

/// The default terms, but that owners get at once what they earn.
pub(super) fn terms() -> Terms {
    Terms { holdback_permille: 0, ..Terms::default() }
}

/// A market in which the page has 10 USD and the free budget 1 USD.
pub(super) fn market(terms: Terms) -> Market {
    let mut book = Book::default();
    book.grant(NOW, "page", Account::Page(PAGE), Nanos::new(10_000_000_000)).unwrap();
    book.grant(NOW, "free", Account::Free, Nanos::DOLLAR).unwrap();
    Market::new(terms, book, 7)
}

/// A market with sessions 1 to `count` that offer the model alike.
pub(super) fn with_sessions(count: u64) -> Market {
    let mut market = market(terms());
    for number in 1..=count {
        market.join(NOW, session(number), plugin(number), inventory(vec![offer(MODEL)]));
    }
    market
}

pub(super) fn effects(market: &mut Market) -> Vec<Effect> {
    market.drain_effects().collect()
}

/// Submits, and returns the one assignment that follows.
pub(super) fn assigned(market: &mut Market, request: Request) -> Assignment {
    market.submit(NOW, request).unwrap();
    only_assignment(market)
}

/// Returns the one assignment among the effects.
pub(super) fn only_assignment(market: &mut Market) -> Assignment {
    let effects = effects(market);
    let mut assignments = effects.iter().filter_map(|effect| {
        let Effect::Assign(assignment) = effect else { return None };
        Some((**assignment).clone())
    });
    let first = assignments.next().unwrap_or_else(|| panic!("nothing was assigned: {effects:?}"));
    assert_eq!(assignments.next(), None);
    first
}

/// Submits, and returns why it was refused.
pub(super) fn refused(market: &mut Market, request: Request) -> Refusal {
    let refusal = market.submit(NOW, request).unwrap_err();
    assert_eq!(effects(market), []);
    refusal
}

/// Lets an assigned job end well.
pub(super) fn answer(market: &mut Market, now: Moment, assignment: &Assignment, answer_tokens: u64) {
    assert!(market.began(now, assignment.job, assignment.lease));
    market.finish(now, assignment.job, assignment.lease, usage(answer_tokens));
}

/// Lets an assigned job fail with nothing delivered.
pub(super) fn fail(market: &mut Market, assignment: &Assignment, code: FailCode) {
    market.fail(NOW, assignment.job, assignment.lease, code, String::new(), Usage::default());
}

pub(super) fn spendable(market: &Market) -> Nanos {
    market.book().balance(Account::Page(PAGE))
}

/// Returns the names of the effects, for their order.
pub(super) fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Assign(_) => "assign",
        Effect::Cancel { .. } => "cancel",
        Effect::Lost { .. } => "lost",
        Effect::Record(entry) => entry.id.split_once(':').map_or("?", |(kind, _)| match kind {
            "hold" => "hold",
            "settle" => "settle",
            "void" => "void",
            _ => "grant",
        }),
        Effect::Visited(_) => "visited",
        Effect::Settled { .. } => "settled",
        Effect::Ended { .. } => "ended",
        Effect::Close { .. } => "close",
        Effect::Renewal { .. } => "renewal",
    };
    effects.iter().map(name).collect()
}
