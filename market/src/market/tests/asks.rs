//! What owners ask of whom, and up to which ask a page is served that names no highest price.

use std::sync::Arc;

use rekursing_protocol::{AccountId, KeyId, Moment, Nanos, Offer, Price, Pricing, Span};

use super::fixture::*;
use crate::{
    Effect, End, History, Limits, Market, Patronage, Payer, Refusal, Request, Spender, Terms, Tier, Usage,
    Wish,
};

const HONEST: Price = Price::new(100_000, 300_000);
const DEAREST: Price = Price::new(Price::MAX, Price::MAX);

fn at(price: Price) -> Offer {
    Offer { price: Some(price.into()), ..offer(MODEL) }
}

fn join(market: &mut Market, number: u64, offers: Vec<Offer>) {
    market.join(NOW, session(number), plugin(number), inventory(offers));
}

/// A market with one honest session at work and plugins `2..` that ask this.
fn beside_a_busy_one(asks: &[Price]) -> Market {
    let mut market = market(terms());
    join(&mut market, 1, vec![at(HONEST)]);
    assigned(&mut market, request(1_000));
    for (number, ask) in (2..).zip(asks) {
        join(&mut market, number, vec![at(*ask)]);
    }
    market
}

/// Pages that have paid five jobs of an owner together.
const PATRONS: [(AccountId, u64); 2] = [(PAGE, 3), (AccountId::from_bits(2), 2)];

/// A market that knows these owners by enough paid jobs, and whose followers change their ask by this much at a
/// look.
fn knowing(owners: impl IntoIterator<Item = u64>, follow_step_permille: u64) -> Market {
    known_by(owners, &PATRONS, Moment(0), follow_step_permille)
}

/// A market in which these owners were paid by these pages, and a quarter of an hour is long.
fn known_by(
    owners: impl IntoIterator<Item = u64>,
    patrons: &[(AccountId, u64)],
    since: Moment,
    follow_step_permille: u64,
) -> Market {
    let mut market = market(Terms { voice_after: Span::secs(900), follow_step_permille, ..terms() });
    let paid = |number| {
        patrons.iter().map(move |(page, jobs)| Patronage {
            owner: plugin(number),
            page: *page,
            since,
            jobs: *jobs,
        })
    };
    let patronage = owners.into_iter().flat_map(paid).collect();
    market.recall(NOW, History { patronage, ..History::default() });
    market
}

#[test]
fn a_page_that_names_no_price_waits_rather_than_pay_a_far_dearer_one() {
    for asks in [vec![DEAREST], vec![Price::new(500_000, 300_000)], vec![Price::new(0, 1_300_000)]] {
        let mut market = beside_a_busy_one(&asks);
        market.submit(NOW, request(1)).unwrap();
        assert_eq!(effects(&mut market), [], "{asks:?}");
        assert_eq!(market.counts().waiting, 1);
    }
}

#[test]
fn a_page_that_names_no_price_pays_what_is_not_far_dearer() {
    let mut market = beside_a_busy_one(&[Price::new(400_000, 1_200_000)]);
    assert_eq!(assigned(&mut market, request(1)).session, session(2));
}

#[test]
fn many_unknown_plugins_that_ask_alike_make_nothing_usual() {
    let mut market = beside_a_busy_one(&[DEAREST; 20]);
    market.submit(NOW, request(1)).unwrap();
    assert_eq!(effects(&mut market), []);
    // The wait is over when the honest one is free, and a dear one never gets the job.
    market.join(NOW, session(100), plugin(100), inventory(vec![at(HONEST)]));
    assert_eq!(only_assignment(&mut market).session, session(100));
}

#[test]
fn where_everybody_asks_the_moon_a_page_that_names_no_price_is_told_so() {
    for wish in [Wish::Named(MODEL.to_owned()), Wish::Any] {
        let mut market = market(terms());
        join(&mut market, 1, vec![at(DEAREST)]);
        let unnamed = Request { model: wish, ..request(1) };
        let refusal = refused(&mut market, unnamed.clone());
        assert_eq!(refusal, Refusal::PriceUnusual { lowest: DEAREST });
        assert_eq!(refusal.code(), "price_too_high");
        assert!(refusal.to_string().contains("maxPrice"), "{refusal}");
        let named = Request { price_max: Some(DEAREST), answer_tokens_max: Some(1), ..unnamed };
        assert_eq!(assigned(&mut market, named).price, DEAREST);
    }
}

#[test]
fn a_single_owner_may_ask_up_to_what_is_usual_nowhere() {
    let most = Terms::default().price_unnamed_max;
    let mut market = market(terms());
    join(&mut market, 1, vec![at(most)]);
    assert_eq!(assigned(&mut market, request(1)).price, most);
    // What is usual is before the tier: a higher one multiplies what is paid.
    let mut market = knowing([], 50);
    join(&mut market, 1, vec![at(HONEST)]);
    assert_eq!(assigned(&mut market, Request { tier: Tier::Low, ..request(1) }).price.output, 240_000);
}

#[test]
fn what_known_owners_ask_is_usual_and_not_what_a_newcomer_gives_away() {
    let dear = Price::new(2_000_000, 6_000_000);
    let mut market = knowing(1..=3, 50);
    for number in 1..=3 {
        join(&mut market, number, vec![at(dear)]);
    }
    for number in 4..=9 {
        join(&mut market, number, vec![at(Price::new(0, 0))]);
    }
    let sessions: Vec<_> = (1..=9).map(|number| assigned(&mut market, request(number)).session).collect();
    assert!((1..=3).all(|number| sessions.contains(&session(number))), "{sessions:?}");
}

#[test]
fn a_plugin_has_one_voice_however_many_offers_it_makes() {
    let mut market = knowing(1..=3, 50);
    join(&mut market, 1, vec![at(HONEST)]);
    join(&mut market, 2, vec![at(HONEST)]);
    let quants = (0..30).map(|number| Offer { model: format!("{MODEL}@q{number}"), ..at(DEAREST) });
    join(&mut market, 3, quants.collect());
    for number in 1..=2 {
        assert_eq!(assigned(&mut market, request(number)).price, HONEST);
    }
    market.submit(NOW, request(3)).unwrap();
    assert_eq!(effects(&mut market), []);
}

#[test]
fn a_name_of_its_own_makes_no_price_usual() {
    let mut market = beside_a_busy_one(&[]);
    let name = "somebody/qwen2.5-7b-instruct-q4_k_m";
    join(&mut market, 2, vec![Offer { model: name.to_owned(), ..at(DEAREST) }]);
    let wish = Request { model: Wish::Named(name.to_owned()), ..request(1) };
    assert_eq!(refused(&mut market, wish), Refusal::PriceUnusual { lowest: DEAREST });
}

#[test]
fn who_wants_any_model_pays_what_is_usual_for_any() {
    let mut market = beside_a_busy_one(&[]);
    join(
        &mut market,
        2,
        vec![Offer { model: "brand-new-70b".to_owned(), ..at(Price::new(5_000_000, 5_000_000)) }],
    );
    market.submit(NOW, Request { model: Wish::Any, ..request(1) }).unwrap();
    assert_eq!(effects(&mut market), []);
}

#[test]
fn a_key_with_a_highest_price_names_one() {
    let limits = Limits { price_max: Some(DEAREST), ..Limits::default() };
    let spender = Arc::new(Spender { key: KeyId::from_bits(1), limits, maker: None });
    let mut market = market(terms());
    join(&mut market, 1, vec![at(DEAREST)]);
    let request = Request { spender: Some(spender), answer_tokens_max: Some(1), ..request(1) };
    assert_eq!(assigned(&mut market, request).price, DEAREST);
}

#[test]
fn a_free_answer_costs_no_more_than_is_usual_either() {
    let mut market = beside_a_busy_one(&[Terms::default().free_price_max]);
    let free = Request { payer: Payer::Free { visitor: 1 }, ..request(1) };
    market.submit(NOW, free).unwrap();
    let waits = effects(&mut market);
    assert!(matches!(waits[..], [Effect::Visited(_)]), "{waits:?}");
}

#[test]
fn a_retry_does_not_go_to_a_far_dearer_one() {
    let mut market = market(terms());
    join(&mut market, 1, vec![at(HONEST)]);
    join(&mut market, 2, vec![at(DEAREST)]);
    let first = assigned(&mut market, request(1));
    assert_eq!(first.session, session(1));
    fail(&mut market, &first, rekursing_protocol::FailCode::Stalled);
    let ended = effects(&mut market);
    assert!(matches!(ended.last(), Some(Effect::Ended { end: End::Refused(_), .. })), "{ended:?}");
    assert_eq!(spendable(&market), Nanos::new(10_000_000_000));
}

#[test]
fn whoever_waits_is_not_served_by_a_far_dearer_one_that_becomes_free() {
    let mut market = market(terms());
    join(&mut market, 1, vec![at(HONEST)]);
    join(&mut market, 2, vec![at(DEAREST)]);
    let named = |number| Request { price_max: Some(DEAREST), answer_tokens_max: Some(1), ..request(number) };
    let running = [named(1), named(2)].map(|request| assigned(&mut market, request));
    assert_eq!(running[1].session, session(2));
    let later = NOW + Span::secs(5);
    market.submit(later, request(3)).unwrap();
    assert_eq!(effects(&mut market), []);
    market.finish(later, running[1].job, running[1].lease, Usage { answer_tokens: 1, ..usage(1) });
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
    answer(&mut market, later, &running[0], 1);
    assert_eq!(only_assignment(&mut market).session, session(1));
}

#[test]
fn one_known_owner_makes_nothing_usual_for_the_others() {
    let mut market = knowing([2], 50);
    join(&mut market, 1, vec![at(HONEST)]);
    join(&mut market, 2, vec![at(DEAREST)]);
    assert_eq!(assigned(&mut market, request(1)).session, session(1));
    market.submit(NOW, request(2)).unwrap();
    assert_eq!(effects(&mut market), []);
}

const FOLLOWER: u64 = 50;

/// Lets a session follow the market, and looks at it.
fn follow(market: &mut Market, floor: Price) {
    let follower = Offer { price: Some(Pricing::Market { floor }), ..offer(MODEL) };
    join(market, FOLLOWER, vec![follower]);
    market.tick(NOW + Span::secs(10));
}

/// Looks again and again, ten seconds apart, and returns what the follower asks after each.
fn looks(market: &mut Market, sessions: &[u64], first: u64, count: u64) -> Vec<Price> {
    let look = |number| {
        let now = NOW + Span::secs(10 * number);
        for at in sessions.iter().chain(&[FOLLOWER]) {
            market.heartbeat(now, session(*at), &beat(number));
        }
        market.tick(now);
        market.followed()
    };
    (first..first + count).map(look).collect()
}

impl Market {
    /// Returns what the follower asks.
    fn followed(&self) -> Price {
        let at = self.by_session[&session(FOLLOWER)];
        self.session(at).stocks[0].ask
    }
}

#[test]
fn an_owner_who_follows_the_market_asks_the_median_of_known_owners() {
    let mut market = knowing(1..=3, 1_000);
    for (number, output) in [(1, 20_000), (2, 60_000), (3, 90_000)] {
        join(&mut market, number, vec![at(Price::new(output / 2, output))]);
    }
    follow(&mut market, Price::new(40_000, 0));
    assert_eq!(market.followed(), Price::new(40_000, 60_000), "and never less than his floor");
}

#[test]
fn newcomers_and_one_owner_with_many_offers_move_no_market() {
    let mut market = knowing(1..=4, 10_000);
    for number in 1..=3 {
        join(&mut market, number, vec![at(HONEST)]);
    }
    let many = |offer: Offer| -> Vec<Offer> {
        (0..17).map(|number| Offer { model: format!("{MODEL}@q{number}"), ..offer.clone() }).collect()
    };
    join(&mut market, 4, many(at(Price::new(0, 0))));
    for number in 10..=40 {
        join(&mut market, number, many(at(Price::new(0, 0))));
    }
    follow(&mut market, Price::new(0, 0));
    assert_eq!(market.followed(), HONEST);
}

#[test]
fn owners_that_one_page_has_made_known_or_an_hour_ago_are_no_market_to_follow() {
    let of_one = [(PAGE, 50)];
    for (patrons, since) in [(&of_one[..], Moment(0)), (&PATRONS[..], NOW)] {
        let mut market = known_by(1..=5, patrons, since, 10_000);
        for number in 1..=5 {
            join(&mut market, number, vec![at(DEAREST)]);
        }
        follow(&mut market, Price::new(0, 0));
        assert_eq!(market.followed(), Terms::default().price_default, "{patrons:?} since {since:?}");
    }
}

#[test]
fn fewer_than_three_known_owners_are_no_market_to_follow() {
    let mut market = knowing(1..=2, 10_000);
    for number in 1..=5 {
        join(&mut market, number, vec![at(DEAREST)]);
    }
    follow(&mut market, Price::new(0, 0));
    assert_eq!(market.followed(), Terms::default().price_default);
}

#[test]
fn who_follows_the_market_follows_it_step_by_step_and_stays_when_it_is_gone() {
    let owners = [1, 2, 3];
    let mut market = knowing(owners, 50);
    for number in owners {
        join(&mut market, number, vec![at(Price::new(50_000, 1_000_000))]);
    }
    // It begins at the default ask, also where all whom it follows ask ten times as much.
    follow(&mut market, Price::new(0, 0));
    assert_eq!(market.followed(), Price::new(50_000, 105_000));
    for number in owners {
        market.restock(NOW, session(number), inventory(vec![at(Price::new(50_000, 0))]));
    }
    let asks = looks(&mut market, &owners, 2, 3);
    assert_eq!(asks.iter().map(|ask| ask.output).collect::<Vec<_>>(), [99_750, 94_750, 89_750]);
    assert!(asks.iter().all(|ask| ask.input == 50_000));
    for number in owners {
        market.leave(NOW, session(number));
    }
    assert_eq!(looks(&mut market, &[], 5, 2), [asks[2]; 2]);
    // From nothing it comes up again.
    let down = crate::pricing::toward(market.terms(), Price::new(0, 0), HONEST);
    assert_eq!(down, Price::new(2_500, 5_000));
}

#[test]
fn one_sides_limit_names_no_price_for_the_other() {
    for (named, asked, is_served) in [
        (Price::new(200_000, u64::MAX), Price::new(100_000, 5_000_000_000), false),
        (Price::new(u64::MAX, 600_000), Price::new(5_000_000_000, 300_000), false),
        (Price::new(200_000, 6_000_000_000), Price::new(100_000, 5_000_000_000), true),
        (Price::new(200_000, u64::MAX), Price::new(100_000, 300_000), true),
    ] {
        let limits = Limits { price_max: Some(named), ..Limits::default() };
        let spender = Arc::new(Spender { key: KeyId::from_bits(1), limits, maker: None });
        let by_page = Request { price_max: Some(named), answer_tokens_max: Some(1), ..request(1) };
        let by_key = Request { spender: Some(spender), answer_tokens_max: Some(1), ..request(2) };
        for request in [by_page, by_key] {
            let mut market = market(terms());
            join(&mut market, 1, vec![at(asked)]);
            // Refused or not, what is looked at is whether somebody has it.
            let _ = market.submit(NOW, request);
            let is_assigned = effects(&mut market).iter().any(|effect| matches!(effect, Effect::Assign(_)));
            assert_eq!(is_assigned, is_served, "{named:?} {asked:?}");
        }
    }
}
