//! Free answers: the quota of a visitor and the budget of the operator.

use rekursing_protocol::{AccountId, FailCode, Nanos, Offer, OfferKind, Price, Span};

use super::fixture::*;
use crate::{
    Account, Effect, Market, Payer, Refusal, Request, Terms, Usage, Visit,
    free::hangs_on_ad,
    ledger::{Cause, Transfer},
};

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
fn no_free_answer_comes_from_a_plugin_of_the_visitors_own_network() {
    let mut market = market(terms());
    market.join_from(NOW, session(1), plugin(1), Some(1), inventory(vec![offer(MODEL)]));
    let refusal = refused(&mut market, free(1, 1));
    assert_eq!((refusal.code(), &refusal), ("only_own_provider", &Refusal::OnlyOwnProvider));
    // Whoever pays is answered by whom he likes, and so is a visitor from elsewhere.
    let paid = assigned(&mut market, request(2));
    answer(&mut market, NOW, &paid, 50);
    assert_eq!(assigned(&mut market, free(3, 2)).session, session(1));
    // The visitor of that network goes to somebody else, also when he has to wait for one.
    market.join_from(NOW, session(2), plugin(2), Some(2), inventory(vec![offer(MODEL)]));
    assert_eq!(assigned(&mut market, free(4, 1)).session, session(2));
    market.submit(NOW, free(5, 1)).unwrap();
    market.finish(NOW, job(3), 1, usage(10));
    let waits = |effect: &Effect| !matches!(effect, Effect::Assign(_));
    assert!(effects(&mut market).iter().all(waits));
    market.finish(NOW, job(4), 1, usage(10));
    assert_eq!(only_assignment(&mut market).session, session(2));
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

/// A market in which one free answer may cost so much beyond what its ad is expected to bring.
fn covered(per_answer: i64) -> Market {
    let terms = Terms {
        free_per_answer_max: Some(Nanos::new(per_answer)),
        free_answer_tokens_max: 100,
        free_answers_prior: 1,
        ..terms()
    };
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    market
}

/// A free request whose ad is expected to bring so much.
fn beside(number: u64, ad: i64) -> Request {
    Request { ad_expected: Nanos::new(ad), ..free(number, 1) }
}

#[test]
fn an_answer_that_its_ad_does_not_cover_is_refused_although_there_is_money() {
    let mut market = covered(0);
    // 100 tokens of prompt at 100 nano-dollars and 100 of an answer at 200.
    let refusal = refused(&mut market, beside(1, 29_999));
    let (expected, covered) = (Nanos::new(30_000), Nanos::new(29_999));
    assert_eq!(refusal, Refusal::FreeNotCovered { expected, covered });
    assert_eq!(refusal.code(), "free_not_covered");
    assert_eq!(
        refusal.to_string(),
        "free answers are not funded at the moment: this one can be expected to cost 0.00003 USD, of which \
         0.000029999 USD are covered"
    );
    assigned(&mut market, beside(2, 30_000));
}

#[test]
fn the_operator_adds_to_an_answer_what_he_likes_to_add() {
    assert_eq!(refused(&mut covered(9_999), beside(1, 20_000)).code(), "free_not_covered");
    assigned(&mut covered(10_000), beside(1, 20_000));
    assigned(&mut covered(30_000), free(1, 1));
    let mut generous = strict(5);
    assigned(&mut generous, free(1, 1));
}

#[test]
fn an_ad_is_no_cash_and_a_hold_needs_cash() {
    let terms = Terms { free_per_answer_max: Some(Nanos::ZERO), ..terms() };
    let mut market = Market::new(terms, crate::Book::default(), 1);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    assert_eq!(refused(&mut market, beside(1, 1_000_000_000)).code(), "free_budget_empty");
}

#[test]
fn an_answer_is_expected_to_cost_what_those_before_did() {
    let mut market = covered(0);
    let long = assigned(&mut market, beside(1, 30_000));
    answer(&mut market, NOW, &long, 20);
    effects(&mut market);
    // As long as may be once, and 20 tokens once: 60 tokens.
    assert_eq!(refused(&mut market, beside(2, 21_999)).code(), "free_not_covered");
    assigned(&mut market, beside(3, 22_000));
}

#[test]
fn a_job_of_a_page_asks_for_no_cover() {
    assigned(&mut covered(0), request(1));
}

#[test]
fn only_what_may_need_an_ad_waits_for_one() {
    let terms = |per_answer: Option<i64>| Terms {
        free_per_answer_max: per_answer.map(Nanos::new),
        free_answer_tokens_max: 100,
        free_price_max: Price::new(100_000, 200_000),
        ..Terms::default()
    };
    assert!(!hangs_on_ad(&terms(None), &free(1, 1)));
    assert!(!hangs_on_ad(&terms(Some(30_000)), &free(1, 1)));
    assert!(hangs_on_ad(&terms(Some(29_999)), &free(1, 1)));
    assert!(!hangs_on_ad(&terms(Some(0)), &request(1)));
    let vectors = Request { kind: OfferKind::Embedding, ..free(1, 1) };
    assert!(!hangs_on_ad(&terms(Some(0)), &vectors), "no ad stands beside vectors");
    let cheap = Request { price_max: Some(Price::new(0, 0)), ..free(1, 1) };
    assert!(!hangs_on_ad(&terms(Some(0)), &cheap));
}

#[test]
fn what_ads_bring_beyond_what_is_kept_is_the_platforms_at_midnight() {
    let kept = Nanos::new(999_999_000);
    let mut market = market(Terms { free_keep_max: Some(kept), ..terms() });
    market.tick(NOW);
    assert_eq!(effects(&mut market), [], "it may have been done before on the day of a start");
    let tomorrow = NOW + Span::DAY;
    market.tick(tomorrow);
    market.tick(tomorrow + Span(1));
    let moved: Vec<_> = effects(&mut market).into_iter().map(|effect| format!("{effect:?}")).collect();
    assert!(moved.len() == 1 && moved[0].contains(&format!("surplus:{}", tomorrow.0)), "{moved:?}");
    assert_eq!(market.book().balance(Account::Free), kept);
    assert_eq!(market.book().balance(Account::Platform), Nanos::new(1_000));
    market.tick(tomorrow + Span::DAY);
    assert_eq!(effects(&mut market), []);
}

#[test]
fn what_nobody_had_is_brought_by_later_fees_at_midnight() {
    let mut market = market(terms());
    let moved = |market: &mut crate::Market, from, to, nanos| {
        let (amount, note) = (Nanos::new(nanos), String::new());
        let cause = crate::ledger::Cause::Correction;
        let transfer = crate::ledger::Transfer { cause, from, to, amount, note };
        let id = format!("{from}-{to}-{nanos}");
        market.book_mut().transfer(NOW, &id, transfer).unwrap();
    };
    moved(&mut market, Account::Shortfall, Account::Outside, 100);
    moved(&mut market, Account::Outside, Account::Platform, 30);
    market.tick(NOW);
    effects(&mut market);
    for (days, fees, left) in [(1, 0, [-70, 0]), (2, 0, [-70, 0]), (3, 90, [0, 20]), (4, 0, [0, 20])] {
        if fees > 0 {
            moved(&mut market, Account::Outside, Account::Platform, fees);
        }
        market.tick(NOW + Span(days * Span::DAY.0));
        let has = [Account::Shortfall, Account::Platform].map(|account| market.book().balance(account));
        assert_eq!(has.map(Nanos::get), left, "day {days}");
    }
    moved(&mut market, Account::Outside, Account::Shortfall, 5);
    market.tick(NOW + Span(5 * Span::DAY.0));
    assert_eq!(market.book().balance(Account::Platform), Nanos::new(25), "it was brought too much");
    assert_eq!(market.book().audit(), Ok(()));
}

/// The example of `docs/ledger.md`, "A free answer that pays for itself".
#[test]
fn the_documents_free_answer_pays_for_itself() {
    let advertiser = Account::Advertiser(AccountId::from_bits(3));
    let mut book = crate::Book::default();
    book.grant(NOW, "ads", advertiser, Nanos::new(5_000_000_000)).unwrap();
    book.grant(NOW, "free", Account::Free, Nanos::new(10_000_000)).unwrap();
    let terms = Terms {
        free_per_answer_max: Some(Nanos::ZERO),
        free_keep_max: Some(Nanos::new(10_000_000)),
        ..terms()
    };
    let mut market = Market::new(terms, book, 1);
    let unpriced = Offer { price: None, ..offer(MODEL) };
    market.join(NOW, session(1), plugin(1), inventory(vec![unpriced]));
    market.tick(NOW);
    let nanos = |market: &Market, account| market.book().balance(account).get();
    let balances = |market: &Market| {
        [advertiser, Account::Free, Account::Escrow, Account::Owner(plugin(1)), Account::Platform]
            .map(|account| nanos(market, account))
    };
    assert_eq!(balances(&market), [5_000_000_000, 10_000_000, 0, 0, 0]);

    let asked = |number, ad| Request {
        prompt_tokens: 200,
        prompt_tokens_max: 200,
        answer_tokens_max: Some(300),
        ..beside(number, ad)
    };
    let (expected, covered) = (Nanos::new(40_000), Nanos::ZERO);
    assert_eq!(refused(&mut market, asked(1, 0)), Refusal::FreeNotCovered { expected, covered });
    let assignment = assigned(&mut market, asked(2, 750_000));
    assert_eq!(balances(&market), [5_000_000_000, 9_960_000, 40_000, 0, 0]);
    market.began(NOW, assignment.job, assignment.lease);
    market.finish(NOW, assignment.job, assignment.lease, Usage { prompt_tokens: 200, ..usage(120) });
    assert_eq!(balances(&market), [5_000_000_000, 9_978_000, 0, 20_900, 1_100]);
    let seen = Transfer {
        cause: Cause::Impression,
        from: advertiser,
        to: Account::Free,
        amount: Nanos::new(1_500_000),
        note: String::new(),
    };
    market.book_mut().transfer(NOW, "imp", seen).unwrap();
    assert_eq!(balances(&market), [4_998_500_000, 11_478_000, 0, 20_900, 1_100]);
    market.tick(NOW + Span::DAY);
    assert_eq!(balances(&market), [4_998_500_000, 10_000_000, 0, 20_900, 1_479_100]);
    assert_eq!(nanos(&market, Account::Outside), -5_010_000_000);
    // 20 answers of 1,024 tokens and one of 120.
    assert_eq!(market.free_lengths.expected(&market.terms), 981);
}
