//! What jobs cost, on every way to their end.

use rekursing_protocol::{FailCode, Nanos, Offer, OfferKind, Price};

use super::fixture::*;
use crate::{Account, Effect, End, EntryKind, Request, Terms, Usage};

#[test]
fn a_whole_answer_is_held_charged_and_paid_in_this_order() {
    let mut market = with_sessions(1);
    let opening = spendable(&market);
    market.submit(NOW, request(1)).unwrap();
    let placed = effects(&mut market);
    assert_eq!(names(&placed), ["hold", "assign"]);
    // 100 prompt tokens at 100 and 100 answer tokens at 200 nano-dollars.
    assert_eq!(market.book().held(job(1)), Some(Nanos::new(30_000)));
    assert!(market.began(NOW, job(1), 1));
    market.finish(NOW, job(1), 1, usage(50));
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["settle", "settled"]);
    let [Effect::Record(_), Effect::Settled { receipt, session: by, complete, discrepancy, .. }] = &ended[..]
    else {
        panic!("{ended:?}")
    };
    assert_eq!((*by, *complete, *discrepancy), (Some(session(1)), true, false));
    assert_eq!((receipt.charge, receipt.fee), (Nanos::new(20_000), Nanos::new(1_000)));
    assert_eq!(market.book().balance(Account::Owner(plugin(1))), Nanos::new(19_000));
    assert_eq!(market.book().balance(Account::Platform), Nanos::new(1_000));
    assert_eq!(opening.checked_sub(spendable(&market)), Some(Nanos::new(20_000)));
    assert_eq!(market.book().audit(), Ok(()));
}

#[test]
fn a_claim_lowers_a_charge_and_never_raises_it() {
    for (claim, charge, told) in [
        (None, 20_000, false),
        (Some(40), 18_000, false),
        (Some(9_000), 20_000, true),
        (Some(0), 20_000, false),
    ] {
        let mut market = with_sessions(1);
        let assignment = assigned(&mut market, request(1));
        let usage = Usage { claimed_answer: claim, ..usage(50) };
        market.finish(NOW, assignment.job, assignment.lease, usage);
        let ended = effects(&mut market);
        let Some(Effect::Settled { receipt, discrepancy, .. }) = ended.last() else { panic!("{ended:?}") };
        assert_eq!((receipt.charge, *discrepancy), (Nanos::new(charge), told), "{claim:?}");
    }
}

#[test]
fn a_page_that_leaves_pays_for_what_it_got_and_the_session_is_told_first() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.cancel(NOW, job(1), usage(5));
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["cancel", "settle", "settled"]);
    assert!(matches!(ended[2], Effect::Settled { complete: false, .. }));
    assert_eq!(market.book().balance(Account::Owner(plugin(1))), Nanos::new(10_450));
    market.cancel(NOW, job(1), usage(5));
    market.finish(NOW, job(1), 1, usage(5));
    assert_eq!(effects(&mut market), []);
}

#[test]
fn a_page_that_leaves_before_the_first_piece_pays_nothing() {
    let mut market = with_sessions(1);
    let opening = spendable(&market);
    assigned(&mut market, request(1));
    market.cancel(NOW, job(1), Usage::default());
    assert_eq!(names(&effects(&mut market)), ["cancel", "void"]);
    assert_eq!(spendable(&market), opening);
    assigned(&mut market, request(2));
}

#[test]
fn an_answer_that_breaks_off_is_charged_for_what_was_delivered() {
    let mut market = with_sessions(2);
    let assignment = assigned(&mut market, request(1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.fail(NOW, job(1), 1, FailCode::Cut, "x".to_owned(), usage(5));
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["settle", "settled", "ended"]);
    let end = End::Failed { code: FailCode::Cut, detail: "x".to_owned() };
    assert_eq!(ended[2], Effect::Ended { job: job(1), end });
}

#[test]
fn an_answer_of_nothing_is_never_charged() {
    let mut market = with_sessions(1);
    let opening = spendable(&market);
    let assignment = assigned(&mut market, request(1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.finish(NOW, job(1), 1, Usage { claimed_answer: Some(70), ..usage(0) });
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["void", "ended"]);
    assert!(matches!(ended[1], Effect::Ended { end: End::Failed { code: FailCode::Empty, .. }, .. }));
    assert_eq!(spendable(&market), opening);
}

#[test]
fn embeddings_are_charged_by_their_prompt_and_only_when_complete() {
    let vectors = Offer { kind: OfferKind::Embedding, ..offer("vectors") };
    let ask = |number| Request {
        kind: OfferKind::Embedding,
        model: crate::Wish::Any,
        answer_tokens_max: Some(500),
        ..request(number)
    };
    let mut market = market(Terms::default());
    market.join(NOW, session(1), plugin(1), inventory(vec![vectors]));
    let whole = assigned(&mut market, ask(1));
    assert_eq!(whole.answer_tokens_max, 0);
    market.finish(NOW, whole.job, whole.lease, usage(0));
    let ended = effects(&mut market);
    assert!(
        matches!(&ended[1], Effect::Settled { receipt, .. } if receipt.charge == Nanos::new(10_000)),
        "{ended:?}"
    );
    let cut = assigned(&mut market, ask(2));
    assert!(market.began(NOW, cut.job, cut.lease));
    market.fail(NOW, cut.job, cut.lease, FailCode::Cut, String::new(), usage(0));
    assert_eq!(names(&effects(&mut market)), ["void", "ended"]);
}

#[test]
fn a_gift_of_an_owner_is_settled_at_nothing() {
    let mut market = market(Terms::default());
    let gift = Offer { price: Some(Price::new(0, 0).into()), ..offer(MODEL) };
    market.join(NOW, session(1), plugin(1), inventory(vec![gift]));
    let request =
        Request { payer: crate::Payer::Page(rekursing_protocol::AccountId::from_bits(77)), ..request(1) };
    let assignment = assigned(&mut market, request);
    answer(&mut market, NOW, &assignment, 50);
    let ended = effects(&mut market);
    let Effect::Record(entry) = &ended[0] else { panic!("{ended:?}") };
    assert_eq!(entry.postings().count(), 0);
    assert!(matches!(&entry.kind, EntryKind::Settle(settle) if settle.charge == Nanos::ZERO));
}

#[test]
fn a_page_cannot_spend_twice_what_it_has_at_once() {
    let mut market = with_sessions(3);
    let purse = rekursing_protocol::AccountId::from_bits(5);
    market.book_mut().grant(NOW, "small", Account::Page(purse), Nanos::new(59_999)).unwrap();
    let ask = |number| Request { payer: crate::Payer::Page(purse), ..request(number) };
    assigned(&mut market, ask(1));
    let refusal = refused(&mut market, ask(2));
    assert_eq!(refusal.code(), "insufficient_funds");
    market.cancel(NOW, job(1), Usage::default());
    effects(&mut market);
    assigned(&mut market, ask(3));
}

#[test]
fn what_a_crash_left_open_is_given_back_once() {
    let holds = [2, 1].map(|number| (job(number), Account::Page(PAGE), Nanos::new(10)));
    let balances = [
        (Account::Page(PAGE), Nanos::new(80)),
        (Account::Escrow, Nanos::new(20)),
        (Account::Outside, Nanos::new(-100)),
    ];
    let mut market = crate::Market::new(Terms::default(), crate::Book::restore(balances, holds), 1);
    market.recover(NOW);
    assert_eq!(names(&effects(&mut market)), ["void", "void"]);
    assert_eq!(spendable(&market), Nanos::new(100));
    market.recover(NOW);
    assert_eq!(effects(&mut market), []);
    assert_eq!(market.book().audit(), Ok(()));
}

#[test]
fn recovery_leaves_running_jobs_alone() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    market.recover(NOW);
    assert_eq!(effects(&mut market), []);
    answer(&mut market, NOW, &assignment, 5);
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
}

#[test]
fn a_job_is_submitted_once() {
    let mut market = with_sessions(2);
    let assignment = assigned(&mut market, request(1));
    assert_eq!(refused(&mut market, request(1)).code(), "duplicate_job");
    answer(&mut market, NOW, &assignment, 5);
    effects(&mut market);
    assert_eq!(refused(&mut market, request(1)).code(), "duplicate_job");
}

#[test]
fn tokens_of_an_answer_that_never_began_are_not_charged() {
    let mut market = with_sessions(1);
    let opening = spendable(&market);
    assigned(&mut market, request(1));
    market.cancel(NOW, job(1), usage(50));
    assert_eq!(names(&effects(&mut market)), ["cancel", "void"]);
    assert_eq!(spendable(&market), opening);
}

#[test]
fn a_prompt_costs_what_its_model_counts_within_what_was_held_for() {
    for (counted, charged) in [(80, 80), (100, 100), (250, 250), (400, 400), (401, 400)] {
        let mut market = with_sessions(1);
        let before = spendable(&market);
        let unknown = Request { prompt_tokens: 100, prompt_tokens_max: 400, ..request(1) };
        let assignment = assigned(&mut market, unknown);
        let held = market.book().held(assignment.job);
        assert_eq!(held, assignment.price.cost(400, 100), "the hold is over the most that it may be");
        assert!(market.began(NOW, assignment.job, assignment.lease));
        let usage = Usage { prompt_tokens: counted, ..usage(50) };
        market.finish(NOW, assignment.job, assignment.lease, usage);
        let charge = assignment.price.cost(charged, 50).unwrap();
        assert_eq!(spendable(&market), before.checked_sub(charge).unwrap(), "{counted}");
    }
}
