//! Premium accounts: what a market is told of them after a restart.

use rekursing_market::{Effect, Market, Premium, Terms};
use rekursing_protocol::{AccountId, Moment, Nanos};

use super::{PAGE, grant};
use crate::{
    place::{Place, on_both},
    store::{Entry, Store},
};

on_both! {
    premium_outlives_a_restart_and_what_was_taken_back_or_is_over_does_not,
}

const WHO: AccountId = AccountId::from_bits(1);

/// Runs the relay once: what the store tells goes into a market, `change` changes it, and its effects are
/// stored. Returns what the market knew of the account at first, and the entries that it made.
fn life(place: &Place, now: Moment, change: impl FnOnce(&mut Market)) -> (Option<Premium>, Vec<Entry>) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let opening = unstarted.opening().unwrap();
    let book = rekursing_market::Book::restore(opening.balances, opening.holds);
    let mut market = Market::new(Terms::default(), book, 1);
    market.recall(now, unstarted.history(now, Nanos::ZERO).unwrap());
    let known = market.premium(now, WHO);
    change(&mut market);
    let store = unstarted.start(opening.last, Box::new(|_| true)).unwrap();
    let mut entries = Vec::new();
    for effect in market.drain_effects() {
        match effect {
            Effect::Record(entry) => {
                store.append(vec![entry.clone()]);
                entries.push(entry);
            }
            Effect::Renewal { account, renews_for } => store.renew(account, renews_for),
            Effect::Assign(_)
            | Effect::Cancel { .. }
            | Effect::Lost { .. }
            | Effect::Visited(_)
            | Effect::Settled { .. }
            | Effect::Ended { .. }
            | Effect::Close { .. } => panic!("no job is about"),
        }
    }
    store.stop();
    (known, entries)
}

fn premium_outlives_a_restart_and_what_was_taken_back_or_is_over_does_not(place: &Place) {
    let (price, period) = (Terms::default().premium_price.unwrap(), Terms::default().premium_period);
    let store = Store::open(&place.location).unwrap().start(0, Box::new(|_| true)).unwrap();
    store.append(vec![grant("grant:x", PAGE, price.get() * 3)]);
    store.stop();
    let begun = Moment(1_000);
    life(place, begun, |market| {
        market.subscribe(begun, WHO, price).unwrap();
    });
    let first = Premium { until: begun + period, renews_for: Some(price) };
    // It goes on, at a start long after its end too, and from its end on.
    let (known, renewed) = life(place, first.until, |market| market.tick(first.until));
    assert_eq!((known, renewed.len()), (None, 1));
    let second = Premium { until: first.until + period, ..first };
    let (known, corrected) = life(place, first.until, |market| {
        market.correct(first.until, &renewed[0], None, "by mistake").unwrap();
    });
    assert_eq!((known, corrected.len()), (Some(second), 1));
    let (known, bought) = life(place, first.until, |market| {
        market.subscribe(first.until + rekursing_protocol::Span(1), WHO, price).unwrap();
        market.unsubscribe(first.until + rekursing_protocol::Span(1), WHO).unwrap();
    });
    assert_eq!((known, bought.len()), (None, 1));
    let (known, _) = life(place, first.until, |_| ());
    assert_eq!(known, Some(Premium { until: Moment(second.until.0 + 1), renews_for: None }));
    let over = Moment(second.until.0 + 1);
    let (known, none) = life(place, over, |market| market.tick(over));
    assert_eq!((known, none), (None, vec![]));
    let left = Store::open(&place.location).unwrap().opening().unwrap().balances;
    assert!(left.contains(&(PAGE, Nanos::new(price.get()))), "{left:?}");
}
