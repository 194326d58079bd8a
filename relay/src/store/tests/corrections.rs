//! Charges that were taken back, and what they count for from then on.

use rekursing_market::{
    Book,
    ledger::{Cause, Settlement, Transfer},
};

use super::*;

on_both! {
    a_charge_that_was_released_goes_back_and_counts_for_nothing,
    what_was_paid_out_is_the_platforms_to_give_back,
}

const DAY: u64 = 20_000;
const PRICE: Price = Price::new(0, 1_000_000);

/// A book in which a page has paid 100,000 nano-dollars, half of whose earning was held back and released.
fn released() -> (Book, Vec<Entry>) {
    let (at, later) = (Moment(DAY * Span::DAY.0), Moment((DAY + 8) * Span::DAY.0));
    let (mut book, job) = (Book::default(), JobId::from_bits(10));
    let mut entries = vec![book.grant(at, "1", PAGE, Nanos::new(500_000)).unwrap()];
    entries.push(book.hold(at, job, PAGE, Quote::new(PRICE, 0, 200).unwrap()).unwrap());
    let settlement = Settlement {
        job,
        lease: 1,
        owner: OWNER,
        api_key: None,
        model: "tiny".to_owned(),
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: PRICE,
        price: PRICE,
        prompt_tokens: 0,
        answer_tokens: 100,
        tier_permille: 1_000,
        fee_permille: 50,
        discount_permille: 0,
        holdback_permille: 500,
        release_at: later,
    };
    entries.push(book.settle(at, settlement).unwrap());
    let (held, owner) = (Account::Held(OWNER), Account::Owner(OWNER));
    entries.push(moved(&mut book, later, Cause::Release, held, owner, 47_500));
    (book, entries)
}

fn moved(book: &mut Book, at: Moment, cause: Cause, from: Account, to: Account, nanos: i64) -> Entry {
    let transfer = Transfer { cause, from, to, amount: Nanos::new(nanos), note: String::new() };
    book.transfer(at, "1", transfer).unwrap()
}

fn a_charge_that_was_released_goes_back_and_counts_for_nothing(place: &Place) {
    let (mut book, mut entries) = released();
    let at = entries[3].at + Span::secs(1);
    let settle = entries[2].clone();
    let given_back = |store: &Store| {
        let recent = now(store.earnings(at, OWNER)).unwrap().recent;
        let [job] = recent.as_slice() else { panic!("{recent:?}") };
        assert_eq!((job.receipt.charge, job.receipt.earned > Nanos::ZERO), (Nanos::new(100_000), true));
        job.given_back.get()
    };
    let store = start(place);
    store.append(entries.clone());
    now(store.flushed());
    assert_eq!(given_back(&store), 0);
    store.stop();
    let history = || Store::open(&place.location).unwrap().history(at, Nanos::ZERO).unwrap();
    let before = history();
    assert_eq!((before.volumes.len(), before.patronage.len()), (2, 1));
    assert_eq!(before.volumes[0].1, Nanos::new(100_000));
    entries = book.correct(at, &settle, "it was empty").unwrap();
    assert_eq!(book.balance(PAGE), Nanos::new(500_000));
    let store = start(place);
    store.append(entries);
    now(store.flushed());
    let earned = now(store.earnings(at, OWNER)).unwrap();
    assert_eq!((earned.available, earned.held, earned.total), Default::default());
    assert_eq!(given_back(&store), 100_000, "the figures of its end stay, and this beside them");
    store.stop();
    let after = history();
    assert!(after.volumes.iter().all(|(_, sum)| *sum == Nanos::ZERO), "{:?}", after.volumes);
    assert_eq!((after.patronage, after.held_back), (vec![], vec![]));
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}

fn what_was_paid_out_is_the_platforms_to_give_back(place: &Place) {
    let (mut book, mut entries) = released();
    let at = entries[3].at + Span::secs(1);
    let settle = entries[2].clone();
    let (owner, asked) = (Account::Owner(OWNER), Account::PayoutRequested);
    entries.push(moved(&mut book, at, Cause::PayoutRequested, owner, asked, 60_000));
    assert!(book.correct(at, &settle, "it was empty").is_err(), "nobody has it");
    let (outside, platform) = (Account::Outside, Account::Platform);
    entries.push(moved(&mut book, at, Cause::Correction, outside, platform, 60_000));
    entries.extend(book.correct(at, &settle, "it was empty").unwrap());
    assert_eq!(book.balance(PAGE), Nanos::new(500_000));
    let store = start(place);
    store.append(entries);
    now(store.flushed());
    let earned = now(store.earnings(at, OWNER)).unwrap();
    assert_eq!([earned.available, earned.total, earned.in_payout].map(Nanos::get), [0, 60_000, 60_000]);
    let span = Days { from: rekursing_protocol::Day(DAY), to: rekursing_protocol::Day(DAY + 9) };
    let revenue = now(store.revenue(span)).unwrap();
    assert_eq!(revenue.total.fees.get(), -60_000, "the platform has lost what the owner keeps");
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
}
