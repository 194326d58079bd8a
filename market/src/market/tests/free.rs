//! Free answers: the quota of a visitor and the budget of the operator.

use rekursing_protocol::{FailCode, Nanos, Offer, Price, Span};

use super::fixture::*;
use crate::{Account, Effect, Market, Payer, Refusal, Request, Terms, Usage, Visit};

fn free(number: u64, visitor: u64) -> Request {
    Request { payer: Payer::Free { visitor }, ..request(number) }
}

fn strict(jobs_per_day: u32) -> Market {
    let mut market = market(Terms { free_jobs_per_day: jobs_per_day, ..terms() });
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    market
}

#[test]
fn the_budget_pays_the_owner() {
    let mut market = strict(5);
    let assignment = assigned(&mut market, free(1, 1));
    answer(&mut market, NOW, &assignment, 50);
    assert_eq!(market.book().balance(Account::Free), Nanos::new(999_980_000));
    assert_eq!(market.book().balance(Account::Owner(plugin(1))), Nanos::new(19_000));
}

#[test]
fn an_empty_budget_is_told() {
    let mut market = Market::new(Terms::default(), crate::Book::default(), 1);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let refusal = refused(&mut market, free(1, 1));
    assert_eq!(refusal, Refusal::FreeBudgetEmpty { needs: Nanos::new(30_000), available: Nanos::ZERO });
    assert_eq!(refusal.code(), "free_budget_empty");
}

#[test]
fn what_a_visitor_has_had_is_told_to_be_kept_and_counts_at_the_next_start() {
    let mut market = strict(2);
    market.submit(NOW, free(1, 7)).unwrap();
    let Some(Effect::Visited(visit)) = effects(&mut market).pop() else { panic!("nothing is to be kept") };
    assert_eq!(visit, Visit { day: NOW.day(), visitor: 7, jobs: 1 });
    market.submit(NOW, free(2, 7)).unwrap();
    assert_eq!(names(&effects(&mut market)), ["visited"], "it waits");
    market.cancel(NOW, job(2), Usage::default());
    assert_eq!(effects(&mut market), [Effect::Visited(visit)], "a job that nobody took on is given back");
    let unknown = Request { model: crate::Wish::Named("no".to_owned()), ..free(3, 7) };
    refused(&mut market, unknown);
    assert_eq!(effects(&mut market), [], "what was refused changes nothing");

    let mut next = strict(1);
    next.restore_visit(NOW, visit);
    assert_eq!(refused(&mut next, free(1, 7)), Refusal::FreeQuotaUsed { jobs_per_day: 1 });
    assert_eq!(next.submit(NOW, free(2, 8)), Ok(()));
}

#[test]
fn a_visitor_who_leaves_before_the_first_token_has_used_his_quota() {
    let mut market = strict(1);
    let assignment = assigned(&mut market, free(1, 1));
    market.cancel(NOW, job(1), Usage::default());
    let left = effects(&mut market);
    assert_eq!(names(&left), ["cancel", "void"], "the session may have begun, and nobody pays it");
    assert_eq!(refused(&mut market, free(2, 1)), Refusal::FreeQuotaUsed { jobs_per_day: 1 });
    assert_eq!(assignment.session, session(1));
}

#[test]
fn a_visitor_who_leaves_while_nobody_has_his_job_keeps_his_quota() {
    let mut market = strict(1);
    assigned(&mut market, request(1));
    assert_eq!(market.submit(NOW, free(2, 1)), Ok(()), "it waits for the one slot");
    market.cancel(NOW, job(2), Usage::default());
    assert_eq!(market.submit(NOW, free(3, 1)), Ok(()));
}

#[test]
fn a_visitor_whose_provider_failed_keeps_his_quota() {
    for code in [FailCode::ServerError, FailCode::ModelCrashed, FailCode::Busy, FailCode::Cut] {
        let mut market = strict(1);
        let assignment = assigned(&mut market, free(1, 1));
        fail(&mut market, &assignment, code);
        market.cancel(NOW, job(1), Usage::default());
        effects(&mut market);
        assert_eq!(market.submit(NOW, free(2, 1)), Ok(()), "{code:?}");
    }
    let mut market = strict(1);
    let assignment = assigned(&mut market, free(1, 1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.leave(NOW, session(1));
    market.cancel(NOW, job(1), Usage::default());
    effects(&mut market);
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(MODEL)]));
    assert_eq!(market.submit(NOW, free(2, 1)), Ok(()), "the provider left in the middle");
}

#[test]
fn a_visitor_has_so_many_a_day_and_what_came_to_nothing_does_not_count() {
    let mut market = strict(1);
    let unknown = Request { model: crate::Wish::Named("no".to_owned()), ..free(3, 1) };
    assert_eq!(refused(&mut market, unknown).code(), "model_not_found");
    let assignment = assigned(&mut market, free(4, 1));
    answer(&mut market, NOW, &assignment, 5);
    effects(&mut market);
    assert_eq!(refused(&mut market, free(5, 1)).code(), "free_quota_used");
    let other = assigned(&mut market, free(6, 2));
    answer(&mut market, NOW, &other, 5);
    effects(&mut market);
    let tomorrow = NOW + Span::DAY;
    market.heartbeat(tomorrow, session(1), &beat(1));
    assert_eq!(market.submit(tomorrow, free(7, 1)), Ok(()));
}

#[test]
fn free_answers_are_shorter_and_never_dear() {
    let mut market = strict(5);
    let long = Request { answer_tokens_max: Some(3_000), ..free(1, 1) };
    assert_eq!(assigned(&mut market, long).answer_tokens_max, 1_024);
    let dear = Offer { price: Some(Price::new(Price::MAX, Price::MAX).into()), ..offer(MODEL) };
    let mut greedy = super::fixture::market(Terms::default());
    greedy.join(NOW, session(1), plugin(1), inventory(vec![dear]));
    assert_eq!(refused(&mut greedy, free(1, 1)).code(), "price_too_high");
}
