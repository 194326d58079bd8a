//! Who waits, for how long, and who is served first.

use rekursing_protocol::{FailCode, Offer, Span};

use super::fixture::*;
use crate::{Effect, End, Refusal, Request, Terms, Usage, Wish};

#[test]
fn jobs_wait_for_a_slot_and_are_served_in_their_order() {
    let mut market = with_sessions(1);
    let first = assigned(&mut market, request(1));
    for number in 2..=3 {
        market.submit(NOW, request(number)).unwrap();
        assert_eq!(effects(&mut market), []);
    }
    answer(&mut market, NOW, &first, 10);
    let served = effects(&mut market);
    assert_eq!(names(&served), ["settle", "settled", "hold", "assign"]);
    assert!(matches!(&served[3], Effect::Assign(second) if second.job == job(2)));
    market.join(NOW, session(9), plugin(9), inventory(vec![offer(MODEL)]));
    assert_eq!(only_assignment(&mut market).job, job(3));
    assert_eq!(market.counts().waiting, 0);
}

#[test]
fn a_waiting_job_holds_no_money() {
    let mut market = with_sessions(1);
    assigned(&mut market, request(1));
    let before = spendable(&market);
    market.submit(NOW, request(2)).unwrap();
    assert_eq!(spendable(&market), before);
    market.cancel(NOW, job(2), Usage::default());
    assert_eq!(effects(&mut market), []);
    assert_eq!(market.counts().waiting, 0);
}

#[test]
fn the_queue_is_bounded() {
    let mut market = market(Terms { queue_max: 2, ..Terms::default() });
    market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
    for number in 1..=3 {
        market.submit(NOW, request(number)).unwrap();
    }
    effects(&mut market);
    assert_eq!(refused(&mut market, request(4)), Refusal::QueueFull { waiting: 2 });
}

#[test]
fn who_waited_too_long_is_refused() {
    let mut market = with_sessions(1);
    assigned(&mut market, request(1));
    market.submit(NOW, request(2)).unwrap();
    market.submit(NOW + Span::secs(1), request(3)).unwrap();
    let wait = Terms::default().queue_wait;
    market.heartbeat(NOW + wait, session(1), &beat(1));
    market.tick(NOW + wait);
    let refusal = Refusal::QueueTimeout { waited: wait };
    assert_eq!(effects(&mut market), [Effect::Ended { job: job(2), end: End::Refused(refusal) }]);
    assert_eq!(market.counts().waiting, 1);
}

#[test]
fn a_slot_that_fits_only_a_later_job_serves_that_one() {
    let mut market = with_sessions(1);
    let big = Offer { context: 100_000, ..offer(MODEL) };
    market.join(NOW, session(2), plugin(2), inventory(vec![big]));
    let long = |number| Request { prompt_tokens: 50_000, ..request(number) };
    let running = assigned(&mut market, long(1));
    let short = assigned(&mut market, request(2));
    assert_eq!((running.session, short.session), (session(2), session(1)));
    market.submit(NOW, long(3)).unwrap();
    market.submit(NOW, request(4)).unwrap();
    answer(&mut market, NOW, &short, 10);
    assert_eq!(only_assignment(&mut market).job, job(4));
    answer(&mut market, NOW, &running, 10);
    assert_eq!(only_assignment(&mut market).job, job(3));
}

#[test]
fn slots_are_counted_by_session_and_by_model() {
    let mut market = market(Terms::default());
    let two = Offer { slots: 2, ..offer("b") };
    let offers = vec![offer("a"), two];
    market.join(
        NOW,
        session(1),
        plugin(1),
        rekursing_protocol::frame::Inventory { offers, slots: 2, ..Default::default() },
    );
    let ask = |number, model: &str| Request { model: Wish::Named(model.to_owned()), ..request(number) };
    let a = assigned(&mut market, ask(1, "a"));
    market.submit(NOW, ask(2, "a")).unwrap();
    assert_eq!(effects(&mut market), [], "the model has one slot");
    assigned(&mut market, ask(3, "b"));
    market.submit(NOW, ask(4, "b")).unwrap();
    assert_eq!(effects(&mut market), [], "the session has two");
    answer(&mut market, NOW, &a, 10);
    assert_eq!(only_assignment(&mut market).job, job(2), "the older job first");
}

#[test]
fn a_drain_refuses_who_waits_and_who_comes_and_lets_who_runs_end() {
    let mut market = with_sessions(1);
    let running = assigned(&mut market, request(1));
    market.submit(NOW, request(2)).unwrap();
    market.drain(NOW);
    let refusal = End::Refused(Refusal::Draining);
    assert_eq!(effects(&mut market), [Effect::Ended { job: job(2), end: refusal }]);
    assert_eq!(refused(&mut market, request(3)), Refusal::Draining);
    answer(&mut market, NOW, &running, 10);
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
}

#[test]
fn a_job_that_had_a_session_goes_back_to_its_place_even_when_the_queue_is_full() {
    let mut market = market(Terms { queue_max: 1, ..Terms::default() });
    for number in 1..=2 {
        market.join(NOW, session(number), plugin(number), inventory(vec![offer(MODEL)]));
    }
    let first = assigned(&mut market, request(1));
    let second = assigned(&mut market, request(2));
    market.submit(NOW, request(3)).unwrap();
    fail(&mut market, &first, FailCode::Busy);
    assert_eq!(effects(&mut market), []);
    assert_eq!(market.counts().waiting, 2);
    answer(&mut market, NOW, &second, 10);
    assert_eq!(only_assignment(&mut market).job, job(1), "it came before the other");
}

#[test]
fn while_draining_a_failed_attempt_goes_to_a_free_session_or_ends() {
    let mut market = with_sessions(3);
    let [first, second, third] = [1, 2, 3].map(|number| assigned(&mut market, request(number)));
    market.drain(NOW);
    fail(&mut market, &first, FailCode::Stalled);
    let ended = effects(&mut market);
    let refusal = Refusal::ProviderFailed { code: FailCode::Stalled };
    assert_eq!(ended.last(), Some(&Effect::Ended { job: job(1), end: End::Refused(refusal) }));
    answer(&mut market, NOW, &second, 10);
    effects(&mut market);
    fail(&mut market, &third, FailCode::Stalled);
    assert_eq!(names(&effects(&mut market)), ["assign"]);
}
