//! Sessions whose socket is lost, and that are resumed, or not.

use rekursing_protocol::{Moment, Span};

use super::fixture::*;
use crate::{CloseReason, Effect, Market, Refusal, Terms};

const WITHIN: Span = Span::secs(30);

/// A market whose session 1 has a job that has begun, number 1, and one that has not, number 2.
fn halfway() -> Market {
    let mut market = market(terms());
    let two = rekursing_protocol::Offer { slots: 2, ..offer(MODEL) };
    market.join(NOW, session(1), plugin(1), inventory(vec![two]));
    let begun = assigned(&mut market, request(1));
    assert!(market.began(NOW, begun.job, begun.lease));
    assigned(&mut market, request(2));
    market
}

fn resume(market: &mut Market, now: Moment) -> bool {
    market.resume(now, session(1), inventory(vec![offer(MODEL)]), |_, _| true)
}

#[test]
fn a_lost_socket_keeps_what_has_begun_and_gives_the_rest_away() {
    let mut market = halfway();
    market.join(NOW, session(2), plugin(2), inventory(vec![offer(MODEL)]));
    assert!(market.suspend(NOW, session(1)));
    let again = only_assignment(&mut market);
    assert_eq!((again.job, again.lease, again.session), (job(2), 2, session(2)));
    assert_eq!(market.jobs_of(session(1)), Some(vec![(job(1), 1)]));
    assert!(resume(&mut market, NOW + Span::secs(29)));
    assert_eq!(effects(&mut market), []);
    market.finish(NOW + Span::secs(30), job(1), 1, usage(5));
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
}

#[test]
fn a_suspended_session_gets_no_job_and_is_not_shown() {
    let mut market = halfway();
    assert!(market.suspend(NOW, session(1)));
    assert_eq!(effects(&mut market), [], "the job that had not begun waits for whoever is free");
    assert_eq!((market.models(NOW, 9), market.sessions()), (vec![], vec![]));
    let counts = market.counts();
    assert_eq!((counts.sessions, counts.suspended, counts.slots, counts.waiting), (0, 1, 0, 1));
    market.heartbeat(NOW, session(1), &beat(1));
    market.finish(NOW, job(1), 1, usage(5));
    assert_eq!(names(&effects(&mut market)), ["settle", "settled"]);
    assert!(resume(&mut market, NOW));
    assert_eq!(only_assignment(&mut market).job, job(2));
    assert_eq!((market.counts().sessions, market.counts().suspended), (1, 0));
}

#[test]
fn a_job_that_only_a_suspended_session_can_have_waits_for_it() {
    let mut market = with_sessions(1);
    assigned(&mut market, request(1));
    assert!(market.suspend(NOW, session(1)));
    assert_eq!((effects(&mut market), market.jobs_of(session(1))), (vec![], Some(vec![])));
    assert!(resume(&mut market, NOW + Span::secs(1)));
    let again = only_assignment(&mut market);
    assert_eq!((again.job, again.lease), (job(1), 2));
}

#[test]
fn a_session_that_nobody_resumes_in_time_leaves_as_if_it_had_just_gone() {
    let mut market = halfway();
    assert!(market.suspend(NOW, session(1)));
    market.cancel(NOW, job(2), crate::Usage::default());
    effects(&mut market);
    market.tick(NOW + Span::millis(WITHIN.0 - 1));
    assert_eq!(effects(&mut market), [], "its silence is not held against it");
    market.tick(NOW + WITHIN);
    let ended = effects(&mut market);
    assert_eq!(ended[0], Effect::Close { session: session(1), reason: CloseReason::Expired });
    assert_eq!(ended[1..], [Effect::Lost { job: job(1), lease: 1 }]);
    assert!(!resume(&mut market, NOW + WITHIN));
    assert!(!market.has_session(session(1)));
}

#[test]
fn jobs_with_which_the_plugin_does_not_go_on_are_lost_or_given_away() {
    let mut market = halfway();
    // The relay has not noticed that the older socket is gone.
    let one = || inventory(vec![offer(MODEL)]);
    assert!(market.resume(NOW, session(1), one(), |job, lease| (job, lease) == (self::job(2), 1)));
    assert_eq!(effects(&mut market), [Effect::Lost { job: job(1), lease: 1 }]);
    assert_eq!(market.jobs_of(session(1)), Some(vec![(job(2), 1)]));
    assert!(market.resume(NOW, session(1), one(), |_, _| false));
    let again = only_assignment(&mut market);
    assert_eq!((again.job, again.lease, again.session), (job(2), 2, session(1)));
}

#[test]
fn a_session_for_which_there_is_nothing_to_wait_leaves_at_once() {
    let mut idle = with_sessions(1);
    assert!(!idle.suspend(NOW, session(1)), "it has no job");
    assert!(!idle.has_session(session(1)));
    for never in [Terms { resume_within: Span::ZERO, ..terms() }, Terms { suspended_max: 0, ..terms() }] {
        let mut market = market(never);
        market.join(NOW, session(1), plugin(1), inventory(vec![offer(MODEL)]));
        let begun = assigned(&mut market, request(1));
        assert!(market.began(NOW, begun.job, begun.lease));
        assert!(!market.suspend(NOW, session(1)));
        assert_eq!(effects(&mut market), [Effect::Lost { job: job(1), lease: 1 }]);
    }
}

#[test]
fn a_market_that_drains_waits_for_nobody() {
    let mut waiting = halfway();
    assert!(waiting.suspend(NOW, session(1)));
    waiting.drain(NOW);
    assert_eq!(names(&effects(&mut waiting)), ["close", "lost", "void", "ended"]);
    let mut draining = halfway();
    draining.drain(NOW);
    assert!(!draining.suspend(NOW, session(1)));
    assert!(effects(&mut draining).contains(&Effect::Lost { job: job(1), lease: 1 }));
}

#[test]
fn a_plugin_that_begins_anew_gives_up_its_suspended_session() {
    let mut market = halfway();
    assert!(market.suspend(NOW, session(1)));
    market.join(NOW, session(2), plugin(1), inventory(vec![offer(MODEL)]));
    let followed = effects(&mut market);
    assert_eq!(names(&followed), ["close", "lost", "assign"]);
    assert_eq!(followed[0], Effect::Close { session: session(1), reason: CloseReason::Replaced });
    assert_eq!((market.counts().sessions, market.counts().suspended), (1, 0));
    assert_eq!(market.outlook(NOW, plugin(1)).models.len(), 1);
}

#[test]
fn a_request_waits_for_a_suspended_session_no_longer_than_for_a_busy_one() {
    let mut market = halfway();
    assert!(market.suspend(NOW, session(1)));
    market.submit(NOW, request(3)).unwrap();
    market.tick(NOW + terms().queue_wait);
    let ended = effects(&mut market);
    let refusals = ended.iter().filter_map(|effect| {
        let Effect::Ended { end: crate::End::Refused(refusal), .. } = effect else { return None };
        Some(refusal)
    });
    let refusals: Vec<&Refusal> = refusals.collect();
    assert!(refusals.iter().all(|one| matches!(one, Refusal::QueueTimeout { .. })), "{refusals:?}");
    assert_eq!(refusals.len(), 2);
}
