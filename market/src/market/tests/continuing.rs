//! Answers whose owner leaves, and who goes on with them.

use rekursing_protocol::{FailCode, Nanos, Offer};

use super::fixture::*;
use crate::{Account, BrokenOff, Effect, Payer, Request, Terms, Wish, continuation};

fn going_on() -> Offer {
    Offer { continues: true, ..offer(MODEL) }
}

fn broken(offer: &Offer) -> BrokenOff<'_> {
    BrokenOff {
        code: FailCode::Cut,
        plugin: plugin(1),
        offer,
        prompt_tokens: 90,
        answer_tokens_max: 100,
        answer_tokens: 40,
        charge: Nanos::new(8_000),
    }
}

fn left(number: u64) -> Request {
    Request { left_by: vec![plugin(1)], ..request(number) }
}

#[test]
fn whoever_leaves_in_the_middle_is_paid_for_what_was_read_and_not_for_the_prompt() {
    for (code, charge) in [
        (FailCode::Cut, 10_000),
        (FailCode::ModelCrashed, 10_000),
        (FailCode::Stalled, 10_000),
        // Whatever a plugin says of it.
        (FailCode::ServerError, 10_000),
        (FailCode::BadRequest, 10_000),
        (FailCode::ContextOverflow, 10_000),
        (FailCode::TooLarge, 10_000),
        (FailCode::Empty, 10_000),
        (FailCode::Busy, 10_000),
        (FailCode::Paused, 10_000),
        (FailCode::Refused, 10_000),
        (FailCode::Cancelled, 10_000),
        (FailCode::TimeUp, 10_000),
    ] {
        let mut market = with_sessions(1);
        let assignment = assigned(&mut market, request(1));
        assert!(market.began(NOW, assignment.job, assignment.lease));
        market.fail(NOW, assignment.job, assignment.lease, code, String::new(), usage(50));
        let ended = effects(&mut market);
        let charges: Vec<_> = ended
            .iter()
            .filter_map(|effect| {
                let Effect::Settled { receipt, .. } = effect else { return None };
                Some(receipt.charge)
            })
            .collect();
        assert_eq!(charges, [Nanos::new(charge)], "{code:?}");
        let stability = market.session(0).reliability.stability();
        assert!(
            stability < 1.0 || market.sessions()[0].success_permille < 1_000,
            "{code:?}: nothing is remembered"
        );
    }
}

#[test]
fn an_answer_that_takes_all_of_its_time_is_nobodys_fault() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    let end = NOW + terms().answer_time_max;
    market.fail(end, assignment.job, assignment.lease, FailCode::TimeUp, String::new(), usage(50));
    let ended = effects(&mut market);
    let Some(Effect::Settled { receipt, .. }) =
        ended.iter().find(|effect| matches!(effect, Effect::Settled { .. }))
    else {
        panic!("{ended:?}")
    };
    assert_eq!(receipt.charge, Nanos::new(20_000), "the prompt is paid");
    assert_eq!(market.sessions()[0].success_permille, 1_000);
}

#[test]
fn what_is_left_of_an_answer_is_asked_for_within_what_is_left_of_its_limits() {
    let offer = going_on();
    let before = Request {
        cost_max: Some(Nanos::new(50_000)),
        ad_expected: Nanos::new(5_000),
        // As many as are usual, which are those of the first part's assignment.
        answer_tokens_max: None,
        model: Wish::Any,
        ..request(1)
    };
    let next = continuation(&Terms::default(), &before, &broken(&offer), job(2)).unwrap();
    assert_eq!(
        next,
        Request {
            job: job(2),
            model: Wish::Named(MODEL.to_owned()),
            prompt_tokens: 130,
            prompt_tokens_max: 90,
            answer_tokens_max: Some(60),
            cost_max: Some(Nanos::new(42_000)),
            quantizations: vec!["Q4_K_M".to_owned()],
            ad_expected: Nanos::new(-3_000),
            left_by: vec![plugin(1)],
            ..before
        }
    );
}

#[test]
fn an_answer_does_not_go_on_where_nothing_is_left_or_the_owner_is_not_at_fault() {
    let (offer, terms) = (going_on(), Terms::default());
    let none = |before: Request, broken: BrokenOff<'_>| {
        assert_eq!(continuation(&terms, &before, &broken, job(2)), None, "{before:?} {broken:?}");
    };
    for code in [FailCode::BadRequest, FailCode::ServerError, FailCode::TimeUp, FailCode::TooLarge] {
        none(request(1), BrokenOff { code, ..broken(&offer) });
    }
    none(request(1), BrokenOff { answer_tokens_max: 40, ..broken(&offer) });
    none(Request { cost_max: Some(Nanos::new(8_000)), ..request(1) }, broken(&offer));
    none(Request { stream: false, ..request(1) }, broken(&offer));
    none(Request { left_by: vec![plugin(2), plugin(3)], ..request(1) }, broken(&offer));
}

#[test]
fn only_who_can_goes_on_and_never_who_has_left() {
    let mut market = market(terms());
    let offers = [going_on(), offer(MODEL), going_on()];
    for (number, offer) in (1..).zip(offers) {
        market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
    }
    for number in 1..=20 {
        let assignment = assigned(&mut market, left(number));
        assert_eq!(assignment.plugin, plugin(3));
        answer(&mut market, NOW, &assignment, 10);
        effects(&mut market);
    }
    market.leave(NOW, session(3));
    assert_eq!(refused(&mut market, left(21)).code(), "no_provider");
}

#[test]
fn a_smaller_context_is_enough_to_go_on_in() {
    let mut market = market(terms());
    let small = Offer { context: 150, ..going_on() };
    market.join(NOW, session(2), plugin(2), inventory(vec![small]));
    let assignment = assigned(&mut market, left(1));
    assert_eq!(assignment.answer_tokens_max, 50);
}

#[test]
fn going_on_takes_nothing_more_of_a_visitors_quota() {
    let mut market = market(Terms { free_jobs_per_day: 1, ..terms() });
    market.join(NOW, session(2), plugin(2), inventory(vec![going_on()]));
    let payer = Payer::Free { visitor: 9 };
    for (number, left_by) in [(1, vec![]), (2, vec![plugin(1)]), (3, vec![plugin(1)])] {
        let assignment = assigned(&mut market, Request { payer, left_by, ..request(number) });
        answer(&mut market, NOW, &assignment, 10);
        effects(&mut market);
    }
    assert_eq!(refused(&mut market, Request { payer, ..request(4) }).code(), "free_quota_used");
    assert!(market.book().balance(Account::Owner(plugin(2))) > Nanos::ZERO);
}
