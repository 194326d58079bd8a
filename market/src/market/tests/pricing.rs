//! Prices, fees, discounts and what is held back.

use rekursing_protocol::{AccountId, Moment, Nanos, Offer, Price, Pricing, Span};

use super::fixture::*;
use crate::{
    Account, Effect, EntryKind, History, Market, Patronage, Payer, Refusal, Request, Steps, Terms, Tier,
    Usage, ledger::Settle,
};

/// A market with one session that was measured at 50 tokens per second, many times.
fn measured(terms: Terms, offer: Offer) -> Market {
    measured_in(Tier::Standard, terms, offer)
}

/// The same, with answers of this tier.
fn measured_in(tier: Tier, terms: Terms, offer: Offer) -> Market {
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer]));
    for number in 0..30 {
        let assignment = assigned(&mut market, Request { tier, ..request(1_000 + number) });
        answer(&mut market, NOW, &assignment, 100);
        effects(&mut market);
    }
    market
}

/// Lets a job run to its end and returns what was settled.
fn settle(market: &mut Market, request: Request, usage: Usage) -> Settle {
    let assignment = assigned(market, request);
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.finish(NOW, assignment.job, assignment.lease, usage);
    let settled = effects(market).into_iter().find_map(|effect| {
        let Effect::Record(entry) = effect else { return None };
        let EntryKind::Settle(settle) = entry.kind else { return None };
        Some(*settle)
    });
    settled.unwrap()
}

fn dollars(whole: i64) -> Nanos {
    Nanos::new(whole * Nanos::DOLLAR.get())
}

#[test]
fn a_page_pays_the_tier_that_it_got() {
    let mut market = measured(terms(), offer(MODEL));
    let high = |number| Request { tier: Tier::High, ..request(number) };
    let kept = settle(&mut market, high(1), usage(100));
    assert_eq!((kept.tier_asked, kept.tier), (Tier::High, Tier::High));
    assert_eq!((kept.ask, kept.price), (Price::new(100_000, 200_000), Price::new(150_000, 300_000)));
    // Ten tokens per second are far below the floor of thirty.
    let slow = Usage { generation: Span(10_000), ..usage(100) };
    let missed = settle(&mut market, high(2), slow);
    assert_eq!((missed.tier_asked, missed.tier), (Tier::High, Tier::Standard));
    assert_eq!(missed.price, Price::new(100_000, 200_000));
    let slow_page = settle(&mut market, high(3), Usage { stalled: Span(8_000), ..slow });
    assert_eq!(slow_page.tier, Tier::High);
}

#[test]
fn the_highest_tier_wants_a_trusted_owner_and_many_bits() {
    let terms = || {
        let mut terms = terms();
        terms.tiers.ultra.floor.millitokens_per_second_min = 30_000;
        terms
    };
    let ultra = Request { tier: Tier::Ultra, ..request(1) };
    let refusal = Refusal::TierUnavailable { tier: Tier::Ultra, best: Some(Tier::High) };
    let fine = Offer { quantization: "Q8_0".to_owned(), ..offer(MODEL) };
    assert_eq!(
        refused(&mut measured(terms(), fine.clone()), ultra.clone()),
        refusal,
        "nobody knows the owner"
    );
    let trusting = || Terms { trusted_jobs: 30, trusted_pages: 1, trusted_after: Span(0), ..terms() };
    assert_eq!(refused(&mut measured(trusting(), offer(MODEL)), ultra.clone()), refusal, "Q4 is too coarse");
    assert_eq!(assigned(&mut measured(trusting(), fine), ultra).tier, Tier::Ultra);
}

#[test]
fn a_model_in_a_browser_is_of_the_lowest_tier_alone_however_fast_it_was() {
    let in_browser = || Offer { browser: true, ..offer(MODEL) };
    let ask = |tier| Request { tier, ..request(1) };
    for tier in [Tier::Standard, Tier::High] {
        assert!(assigned(&mut measured_in(Tier::Low, terms(), offer(MODEL)), ask(tier)).tier == tier);
        let refusal = Refusal::TierUnavailable { tier, best: Some(Tier::Low) };
        assert_eq!(refused(&mut measured_in(Tier::Low, terms(), in_browser()), ask(tier)), refusal);
    }
    let given = assigned(&mut measured_in(Tier::Low, terms(), in_browser()), ask(Tier::Low));
    assert_eq!((given.tier, given.price), (Tier::Low, Price::new(80_000, 160_000)));
}

#[test]
fn fee_and_discount_follow_the_months_volume() {
    let terms = Terms {
        fee: Steps::new(50, vec![(dollars(1_000), 20)]),
        discount: Steps::new(0, vec![(dollars(100), 10), (dollars(10_000), 400)]),
        ..terms()
    };
    // 100 prompt tokens at 100 and 50 answer tokens at 200 nano-dollars are 20,000.
    for (owners, pages, discount, charge, fee) in [
        (0, 0, 0, 20_000, 1_000),
        (1_000, 0, 0, 20_000, 400),
        (0, 100, 200, 19_800, 800),
        (1_000, 100, 200, 19_800, 200),
        // The discount ends where the fee does.
        (1_000, 10_000, 400, 19_600, 0),
    ] {
        let mut market = market(terms.clone());
        let volumes =
            vec![(Account::Owner(plugin(1)), dollars(owners)), (Account::Page(PAGE), dollars(pages))];
        market.recall(NOW, History { volumes, ..History::default() });
        market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
        let settled = settle(&mut market, request(1), usage(50));
        let amounts = [settled.discount, settled.charge, settled.fee].map(Nanos::get);
        assert_eq!(amounts, [discount, charge, fee], "{owners} {pages}");
        assert_eq!(settled.earned().get(), charge - fee);
        assert_eq!(market.book().audit(), Ok(()));
    }
}

#[test]
fn a_leap_of_the_clock_releases_nothing_for_as_long_as_it_is_doubted() {
    let mut market = market(Terms::default());
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let held = settle(&mut market, request(1), usage(50)).held_back;
    assert!(held > Nanos::ZERO);
    let month = Span(30 * Span::DAY.0);
    market.doubt(month);
    market.tick(NOW + month);
    assert_eq!(market.book().balance(Account::Held(plugin(1))), held);
    market.doubt(Span::ZERO);
    market.tick(NOW + month);
    assert_eq!(market.book().balance(Account::Held(plugin(1))), Nanos::ZERO);
}

#[test]
fn half_of_a_new_owners_earnings_is_released_after_a_week() {
    let mut market = market(Terms::default());
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let settled = settle(&mut market, request(1), usage(50));
    assert_eq!(settled.held_back, Nanos::new(9_500));
    let (owner, held) = (Account::Owner(plugin(1)), Account::Held(plugin(1)));
    let both = |market: &Market| [owner, held].map(|account| market.book().balance(account).get());
    assert_eq!(both(&market), [9_500, 9_500]);
    market.tick(Moment(settled.release_at.0 - 1));
    assert_eq!(both(&market), [9_500, 9_500]);
    effects(&mut market);
    market.tick(settled.release_at);
    assert_eq!(both(&market), [19_000, 0]);
    let released = effects(&mut market);
    let Effect::Record(entry) = &released[0] else { panic!("{released:?}") };
    assert_eq!(entry.id, format!("release:{}:{due}:{due}", plugin(1), due = settled.release_at.0));
    market.tick(settled.release_at + Span(1_000));
    assert_eq!(effects(&mut market), []);
}

#[test]
fn a_trusted_owner_gets_all_at_once_also_after_a_restart() {
    let mut market = market(Terms::default());
    let paid = |page| Patronage {
        owner: plugin(1),
        page: AccountId::from_bits(page),
        since: Moment(0),
        jobs: if page == 1 { 98 } else { 1 },
    };
    let history = History { patronage: (1..=3).map(paid).collect(), ..History::default() };
    let later = Moment(Terms::default().trusted_after.0);
    market.recall(later, history);
    market.join(later, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    market.submit(later, request(1)).unwrap();
    let assignment = only_assignment(&mut market);
    answer(&mut market, later, &assignment, 50);
    assert_eq!(market.book().balance(Account::Held(plugin(1))), Nanos::ZERO);
    assert_eq!(market.book().balance(Account::Owner(plugin(1))), Nanos::new(19_000));
}

#[test]
fn a_charge_that_is_taken_back_lowers_no_fee_and_earns_no_trust() {
    let mut terms = terms();
    terms.fee = Steps::new(50, vec![(Nanos::new(20_000), 20)]);
    terms.trusted_jobs = 1;
    terms.trusted_pages = 1;
    terms.trusted_after = Span(0);
    terms.trusted_charge_min = Nanos::ZERO;
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let first = settle(&mut market, request(1), usage(100));
    assert_eq!((first.fee.get(), first.held_back), (first.charge.get() * 50 / 1_000, Nanos::ZERO));
    let again = settle(&mut market, request(2), usage(100));
    assert_eq!(again.fee.get(), again.charge.get() * 20 / 1_000, "of so much in a month less is taken");
    for charge in [first, again] {
        let entry = crate::ledger::Entry {
            id: format!("settle:{}", charge.job),
            at: NOW,
            kind: EntryKind::Settle(Box::new(charge)),
        };
        market.correct(NOW, &entry, None, "it was empty").unwrap();
        effects(&mut market);
    }
    let after = settle(&mut market, request(3), usage(100));
    assert_eq!(after.fee.get(), after.charge.get() * 50 / 1_000, "as if nothing had been charged");
}

#[test]
fn an_owner_who_asks_by_the_hour_asks_less_per_token_the_faster_he_is() {
    let hourly = Offer { price: Some(Pricing::Hourly { per_hour: Nanos::DOLLAR }), ..offer(MODEL) };
    let mut market = measured(terms(), hourly);
    // A dollar for 3,600 × 50 tokens.
    assert_eq!(assigned(&mut market, request(1)).price, Price::new(2_777_777, 5_555_555));
}

#[test]
fn whole_answers_change_neither_what_a_steady_owner_asks_by_the_hour_nor_his_tier() {
    let hourly = Offer { price: Some(Pricing::Hourly { per_hour: Nanos::DOLLAR }), ..offer(MODEL) };
    let mut market = measured(terms(), hourly);
    let asked = assigned(&mut market, request(1));
    answer(&mut market, NOW, &asked, 100);
    effects(&mut market);
    for number in 2..=20 {
        let whole = Usage { first_token: Span(0), generation: Span(2_000), ..usage(100) };
        let settled = settle(&mut market, Request { tier: Tier::High, ..request(number) }, whole);
        assert_eq!((settled.tier, settled.ask), (Tier::High, asked.price));
    }
}

/// Lets pages pay for jobs of one owner, and returns what is held back of each next one.
fn held_back_after(payers: &[Payer], ask: Price) -> Nanos {
    let terms = Terms { trusted_jobs: 6, trusted_after: Span(0), free_jobs_per_day: 100, ..Terms::default() };
    let mut market = market(terms);
    for page in 2..=3 {
        let account = Account::Page(AccountId::from_bits(page));
        market.book_mut().grant(NOW, &page.to_string(), account, Nanos::DOLLAR).unwrap();
    }
    market.join(
        NOW,
        session(1),
        plugin(1),
        inventory(vec![Offer { price: Some(ask.into()), ..offer(MODEL) }]),
    );
    for (number, payer) in (1..).zip(payers.iter().cycle().take(12)) {
        settle(&mut market, Request { payer: *payer, ..request(number) }, usage(100));
    }
    market.restock(NOW, session(1), inventory(vec![offer(MODEL)]));
    settle(&mut market, request(1_000), usage(100)).held_back
}

#[test]
fn trust_is_earned_from_several_pages_that_pay_and_not_given_away() {
    let pages = [1, 2, 3].map(|page| Payer::Page(AccountId::from_bits(page)));
    let free = [1, 2, 3].map(|visitor| Payer::Free { visitor });
    let (usual, nothing, little) = (Price::new(50_000, 100_000), Price::new(0, 0), Price::new(0, 90_000));
    assert_eq!(held_back_after(&pages, usual), Nanos::ZERO);
    for (payers, ask) in
        [(&free[..], nothing), (&free, usual), (&pages, nothing), (&pages, little), (&pages[..2], usual)]
    {
        assert!(held_back_after(payers, ask) > Nanos::ZERO, "{payers:?} {ask:?}");
    }
}
