//! Premium accounts: paid for by the period, no fee, and over when nobody pays.

use rekursing_protocol::{AccountId, Moment, Nanos, Span};

use super::fixture::*;
use crate::{
    Account, Effect, Entry, Market, Premium, PremiumRefusal, Terms,
    premium::{self, paid},
};

const PRICE: Nanos = Nanos::new(5_000_000_000);
const PERIOD: Span = Span::secs(30 * 24 * 60 * 60);

fn premium_until(until: Moment, renews_for: Option<Nanos>) -> Premium {
    Premium { until, renews_for }
}

/// Takes the entries among the effects.
fn entries(market: &mut Market) -> Vec<Entry> {
    let recorded = |effect| if let Effect::Record(entry) = effect { Some(entry) } else { None };
    effects(market).into_iter().filter_map(recorded).collect()
}

/// Charges one answer of 50 tokens, and returns what the owner and the platform got of it.
fn earned(market: &mut Market, number: u64) -> (Nanos, Nanos, Nanos) {
    let balance = |market: &Market, account| market.book().balance(account).get();
    let accounts = [Account::Page(PAGE), Account::Owner(plugin(1)), Account::Platform];
    let before = accounts.map(|account| balance(market, account));
    let assignment = assigned(market, request(number));
    answer(market, NOW, &assignment, 50);
    effects(market);
    let after = accounts.map(|account| balance(market, account));
    let [page, owner, platform] = std::array::from_fn(|at| Nanos::new((after[at] - before[at]).abs()));
    (page, owner, platform)
}

#[test]
fn a_premium_account_pays_its_owners_in_full_and_no_fee() {
    let mut market = with_sessions(1);
    let paid = earned(&mut market, 1);
    assert_eq!(paid, (Nanos::new(20_000), Nanos::new(19_000), Nanos::new(1_000)));
    let premium = market.subscribe(NOW, PAGE, PRICE).unwrap();
    assert_eq!(premium, premium_until(NOW + PERIOD, Some(PRICE)));
    assert_eq!(entries(&mut market)[0].id, format!("premium:{PAGE}:{}", (NOW + PERIOD).0));
    assert_eq!(market.book().balance(Account::Platform), Nanos::new(5_000_001_000));
    let paid = earned(&mut market, 2);
    assert_eq!(paid, (Nanos::new(19_000), Nanos::new(19_000), Nanos::ZERO));
    assert_eq!(market.book().audit(), Ok(()));
}

#[test]
fn to_subscribe_twice_pays_once() {
    let mut market = with_sessions(1);
    let first = market.subscribe(NOW, PAGE, PRICE).unwrap();
    assert_eq!(market.subscribe(NOW + Span(1), PAGE, PRICE), Ok(first));
    assert_eq!(entries(&mut market).len(), 1);
}

#[test]
fn premium_goes_on_by_itself_until_it_is_cancelled() {
    let mut market = with_sessions(1);
    market.subscribe(NOW, PAGE, PRICE).unwrap();
    let end = NOW + PERIOD;
    market.tick(end + Span(7));
    assert_eq!(market.premium(end, PAGE), Some(premium_until(end + PERIOD, Some(PRICE))));
    assert_eq!(market.unsubscribe(end, PAGE), Some(premium_until(end + PERIOD, None)));
    market.tick(end + PERIOD);
    assert_eq!(market.premium(end + PERIOD, PAGE), None);
    assert_eq!(market.unsubscribe(end + PERIOD, PAGE), None);
    assert_eq!(entries(&mut market).len(), 2);
    // 10 dollars less two periods at 5.
    assert_eq!(market.book().balance(Account::Page(PAGE)), Nanos::ZERO);
}

#[test]
fn premium_that_cannot_be_paid_or_became_dearer_ends_and_says_so() {
    let dearer = Terms { premium_price: Some(Nanos::new(PRICE.get() + 1)), ..terms() };
    for (terms, taken) in [(terms(), Nanos::new(1)), (dearer, Nanos::ZERO)] {
        let mut market = market(terms);
        let agreed = market.terms().premium_price.unwrap().min(PRICE);
        market.recall(
            NOW,
            crate::History {
                premiums: vec![(PAGE, premium_until(NOW + Span(1), Some(agreed)))],
                ..crate::History::default()
            },
        );
        if taken > Nanos::ZERO {
            market.pay_back(NOW, "x", Account::Page(PAGE), Nanos::new(5_000_000_001), "").unwrap();
        }
        effects(&mut market);
        market.tick(NOW + Span(1));
        assert_eq!(effects(&mut market), [Effect::Renewal { account: PAGE, renews_for: None }]);
        assert_eq!(market.premium(NOW + Span(1), PAGE), None);
    }
}

#[test]
fn a_relay_that_was_away_for_long_charges_for_no_time_before_it_came_back() {
    let mut market = market(terms());
    let history = |until| crate::History {
        premiums: vec![(PAGE, premium_until(until, Some(PRICE)))],
        ..crate::History::default()
    };
    market.recall(NOW, history(NOW));
    let late = NOW + Span(PERIOD.0 * 3);
    market.tick(late);
    assert_eq!(market.premium(late, PAGE).map(|premium| premium.until), Some(late + PERIOD));
    assert_eq!(entries(&mut market).len(), 1);
}

#[test]
fn premium_is_refused_where_none_is_sold_or_it_is_not_paid_for() {
    let refused = |terms: Terms, account, agreed| market(terms).subscribe(NOW, account, agreed);
    let poor = AccountId::from_bits(9);
    assert_eq!(
        refused(Terms { premium_price: None, ..terms() }, PAGE, PRICE),
        Err(PremiumRefusal::NotOffered)
    );
    let less = Nanos::new(PRICE.get() - 1);
    assert_eq!(refused(terms(), PAGE, less), Err(PremiumRefusal::Dearer { price: PRICE }));
    let none = PremiumRefusal::Insufficient { price: PRICE, available: Nanos::ZERO };
    assert_eq!(refused(terms(), poor, PRICE), Err(none));
}

#[test]
fn premium_that_is_taken_back_ends_and_may_be_bought_again() {
    let mut market = with_sessions(1);
    market.subscribe(NOW, PAGE, PRICE).unwrap();
    let entry = entries(&mut market).remove(0);
    assert_eq!(paid(&entry), Some((PAGE, NOW + PERIOD)));
    market.correct(NOW, &entry, None, "bought by mistake").unwrap();
    assert_eq!(market.premium(NOW, PAGE), None);
    assert_eq!(market.book().balance(Account::Page(PAGE)), Nanos::new(10_000_000_000));
    let again = NOW + Span(1);
    assert_eq!(market.subscribe(again, PAGE, PRICE).unwrap().until, again + PERIOD);
    assert_ne!(premium::id(PAGE, again + PERIOD), premium::id(PAGE, NOW + PERIOD));
}

#[test]
fn an_earlier_period_that_is_taken_back_ends_no_later_one() {
    let mut market = with_sessions(1);
    market.subscribe(NOW, PAGE, PRICE).unwrap();
    let first = entries(&mut market).remove(0);
    let end = NOW + PERIOD;
    market.tick(end);
    market.correct(end, &first, None, "the first month was our fault").unwrap();
    assert_eq!(market.premium(end, PAGE), Some(premium_until(end + PERIOD, Some(PRICE))));
}

#[test]
fn a_period_that_is_over_and_cancelled_before_anybody_looked_does_not_go_on() {
    let mut market = with_sessions(1);
    market.subscribe(NOW, PAGE, PRICE).unwrap();
    let over = NOW + PERIOD + Span(1);
    assert_eq!(market.unsubscribe(over, PAGE), None);
    market.tick(over);
    assert_eq!(market.premium(over, PAGE), None);
    assert_eq!(entries(&mut market).len(), 1);
}
