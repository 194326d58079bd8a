//! What becomes of a job whose session fails it.

use rekursing_protocol::{FailCode, Moment, Nanos, Offer, Span};

use super::fixture::*;
use crate::{Account, Effect, End, Refusal, Terms};

fn end(effects: &[Effect]) -> &End {
    let Some(Effect::Ended { end, .. }) = effects.last() else { panic!("{effects:?}") };
    end
}

#[test]
fn before_the_first_piece_another_session_takes_over_inside_the_same_hold() {
    let mut market = with_sessions(3);
    let first = assigned(&mut market, request(1));
    fail(&mut market, &first, FailCode::ModelCrashed);
    let retried = effects(&mut market);
    assert_eq!(names(&retried), ["assign"]);
    let Effect::Assign(second) = &retried[0] else { panic!("{retried:?}") };
    assert_eq!(second.lease, 2);
    assert_ne!(second.session, first.session);
    answer(&mut market, NOW, second, 50);
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
    assert_eq!(market.book().balance(Account::Owner(first.plugin)), Nanos::ZERO);
    assert_eq!(market.book().balance(Account::Owner(second.plugin)), Nanos::new(19_000));
}

#[test]
fn a_stale_lease_is_dropped_and_never_paid() {
    let mut market = with_sessions(2);
    let first = assigned(&mut market, request(1));
    fail(&mut market, &first, FailCode::Stalled);
    let second = only_assignment(&mut market);
    assert!(!market.began(NOW, first.job, first.lease));
    market.finish(NOW, first.job, first.lease, usage(90));
    fail(&mut market, &first, FailCode::Cut);
    assert_eq!(effects(&mut market), []);
    assert!(market.began(NOW, second.job, second.lease));
    market.finish(NOW, second.job, second.lease + 1, usage(90));
    assert_eq!(effects(&mut market), []);
}

#[test]
fn retries_are_bounded_and_then_nothing_is_charged() {
    let mut market = with_sessions(5);
    let opening = spendable(&market);
    let mut assignment = assigned(&mut market, request(1));
    let mut tried = vec![assignment.session];
    for _ in 0..2 {
        fail(&mut market, &assignment, FailCode::Unreachable);
        assignment = only_assignment(&mut market);
        tried.push(assignment.session);
    }
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), 3, "nobody is asked twice");
    fail(&mut market, &assignment, FailCode::Unreachable);
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["void", "ended"]);
    assert_eq!(*end(&ended), End::Refused(Refusal::ProviderFailed { code: FailCode::Unreachable }));
    assert_eq!(spendable(&market), opening);
}

#[test]
fn the_last_provider_to_fail_ends_the_job() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    fail(&mut market, &assignment, FailCode::ModelMissing);
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["void", "ended"]);
    assert_eq!(*end(&ended), End::Refused(Refusal::ProviderFailed { code: FailCode::ModelMissing }));
}

#[test]
fn the_pages_own_mistake_is_confirmed_once_and_counts_against_nobody() {
    for (code, told) in [
        (FailCode::BadRequest, "bad_request"),
        (FailCode::ContextOverflow, "context_too_long"),
        (FailCode::TooLarge, "answer_too_large"),
    ] {
        let mut market = with_sessions(3);
        for number in 1..=5 {
            let first = assigned(&mut market, request(number));
            market.fail(NOW, first.job, first.lease, code, "no".to_owned(), usage(0));
            let second = only_assignment(&mut market);
            assert_ne!(second.session, first.session);
            market.fail(NOW, second.job, second.lease, code, "no".to_owned(), usage(0));
            let ended = effects(&mut market);
            assert_eq!(names(&ended), ["void", "ended"]);
            let End::Refused(refusal) = end(&ended) else { panic!("{ended:?}") };
            assert_eq!((refusal.code(), refusal.is_temporary()), (told, false));
        }
        assert!(market.sessions().iter().all(|view| view.success_permille == 1_000 && !view.parked));
    }
}

#[test]
fn who_turns_away_pages_that_another_one_serves_is_to_blame() {
    let mut market = with_sessions(2);
    let first = assigned(&mut market, request(1));
    market.fail(NOW, first.job, first.lease, FailCode::BadRequest, "no".to_owned(), usage(0));
    let second = only_assignment(&mut market);
    answer(&mut market, NOW, &second, 20);
    let view = market.sessions().into_iter().find(|view| view.session == first.session).unwrap();
    assert!(view.success_permille < 1_000);
}

#[test]
fn a_cheap_session_that_fails_does_not_keep_the_job_from_a_dearer_one() {
    let mut market = with_sessions(1);
    let cheap = Offer { price: Some(rekursing_protocol::Price::new(1, 1).into()), ..offer(MODEL) };
    market.join(NOW, session(2), plugin(2), inventory(vec![cheap]));
    let first = assigned(&mut market, request(1));
    assert_eq!(first.session, session(2));
    fail(&mut market, &first, FailCode::Refused);
    assert_eq!(only_assignment(&mut market).session, session(1));
}

#[test]
fn an_empty_answer_is_tried_elsewhere() {
    let mut market = with_sessions(2);
    let first = assigned(&mut market, request(1));
    market.finish(NOW, first.job, first.lease, usage(0));
    assert_ne!(only_assignment(&mut market).session, first.session);
}

#[test]
fn three_failures_park_a_session_and_one_job_probes_it() {
    let mut market = with_sessions(1);
    for number in 1..=3 {
        let assignment = assigned(&mut market, request(number));
        fail(&mut market, &assignment, FailCode::Unreachable);
        effects(&mut market);
    }
    assert!(market.sessions()[0].parked);
    market.submit(NOW, request(4)).unwrap();
    assert_eq!(effects(&mut market), []);
    market.tick(NOW + Span::secs(14));
    assert_eq!(effects(&mut market), []);
    market.tick(NOW + Span::secs(15));
    let probe = only_assignment(&mut market);
    answer(&mut market, NOW + Span::secs(15), &probe, 20);
    assert!(!market.sessions()[0].parked);
}

#[test]
fn a_probe_that_says_nothing_of_the_session_leaves_room_for_another() {
    for code in [FailCode::BadRequest, FailCode::Refused] {
        let mut market = with_sessions(1);
        for number in 1..=3 {
            let assignment = assigned(&mut market, request(number));
            fail(&mut market, &assignment, FailCode::Unreachable);
            effects(&mut market);
        }
        let later = NOW + Span::secs(15);
        for number in 4..=6 {
            market.submit(later, request(number)).unwrap();
            let probe = only_assignment(&mut market);
            market.fail(later, probe.job, probe.lease, code, String::new(), usage(0));
            effects(&mut market);
        }
        assert!(market.sessions()[0].parked, "it has shown nothing yet");
    }
}

#[test]
fn parking_ends_on_time_without_a_tick() {
    let mut market = with_sessions(1);
    for number in 1..=3 {
        let assignment = assigned(&mut market, request(number));
        fail(&mut market, &assignment, FailCode::Unreachable);
        effects(&mut market);
    }
    market.submit(NOW + Span::secs(15), request(4)).unwrap();
    assert_eq!(only_assignment(&mut market).job, job(4));
}

#[test]
fn who_says_not_now_is_left_alone_for_a_while_and_not_blamed() {
    for code in [FailCode::Busy, FailCode::Paused, FailCode::ModelLoading] {
        let mut market = with_sessions(1);
        let mut now = NOW;
        let mut assignment = assigned(&mut market, request(1));
        for lease in 2..=6 {
            market.fail(now, job(1), assignment.lease, code, String::new(), usage(0));
            assert_eq!(effects(&mut market), [], "it waits for the rest to be over");
            now = now + Terms::default().rest;
            market.tick(now);
            assignment = only_assignment(&mut market);
            assert_eq!(assignment.lease, lease);
        }
        let view = &market.sessions()[0];
        assert_eq!((view.success_permille, view.parked), (1_000, false));
        answer(&mut market, now, &assignment, 5);
        assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
    }
}

#[test]
fn not_now_is_said_until_the_deadline_and_no_longer() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    let late = NOW + Terms::default().queue_wait;
    market.fail(late, job(1), assignment.lease, FailCode::Busy, String::new(), usage(0));
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["void", "ended"]);
    assert!(matches!(end(&ended), End::Refused(Refusal::QueueTimeout { .. })));
}

#[test]
fn who_is_not_trusted_serves_nobody_until_trust_has_healed() {
    let terms = Terms { breaker_failures: 1_000, ..Terms::default() };
    let mut market = market(terms);
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    let mut number = 0;
    let refusal = loop {
        number += 1;
        if let Err(refusal) = market.submit(NOW, request(number)) {
            break refusal;
        }
        let assignment = only_assignment(&mut market);
        fail(&mut market, &assignment, FailCode::Unreachable);
        effects(&mut market);
    };
    assert_eq!(refusal, Refusal::ProviderUntrusted);
    let later = Moment(NOW.0 + Terms::default().trust_half_life.0);
    market.heartbeat(later, session(1), &beat(1));
    market.submit(later, request(1_000)).unwrap();
    assert_eq!(only_assignment(&mut market).session, session(1));
}

#[test]
fn a_page_cannot_park_a_provider_with_a_request_that_no_server_can_answer() {
    for code in [FailCode::ServerError, FailCode::Empty] {
        let mut market = with_sessions(1);
        for number in 1..=20 {
            let assignment = assigned(&mut market, request(number));
            fail(&mut market, &assignment, code);
            effects(&mut market);
        }
        let view = &market.sessions()[0];
        assert_eq!((view.parked, view.success_permille), (false, 1_000));
    }
}

#[test]
fn who_fails_what_another_one_answers_is_to_blame() {
    let mut market = with_sessions(2);
    let first = assigned(&mut market, request(1));
    market.fail(NOW, first.job, first.lease, FailCode::ServerError, String::new(), usage(0));
    let second = only_assignment(&mut market);
    assert!(market.sessions().iter().all(|session| session.success_permille == 1_000));
    answer(&mut market, NOW, &second, 20);
    let rate =
        |session| market.sessions().iter().find(|view| view.session == session).unwrap().success_permille;
    assert!(rate(first.session) < 1_000);
    assert_eq!(rate(second.session), 1_000);
}
