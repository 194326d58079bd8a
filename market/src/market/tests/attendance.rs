//! Sessions that come, change, fall silent and go.

use rekursing_protocol::{FailCode, Offer, Span, frame::Inventory};

use super::fixture::*;
use crate::{
    CloseReason, Effect, Refusal, Request, Terms, Wish,
    session::{Session, Stock},
    tier::Tier,
};

#[test]
fn a_session_that_leaves_before_the_first_piece_loses_the_job_to_another() {
    let mut market = with_sessions(2);
    let first = assigned(&mut market, request(1));
    market.leave(NOW, first.session);
    let second = only_assignment(&mut market);
    assert_eq!((second.job, second.lease), (job(1), 2));
    assert_ne!(second.session, first.session);
}

#[test]
fn a_session_that_leaves_mid_answer_is_paid_for_what_the_shell_reports() {
    let mut market = with_sessions(2);
    let assignment = assigned(&mut market, request(1));
    assert!(market.began(NOW, assignment.job, assignment.lease));
    market.leave(NOW, assignment.session);
    assert_eq!(effects(&mut market), [Effect::Lost { job: job(1), lease: 1 }]);
    assert!(!market.began(NOW, job(1), 1));
    market.fail(NOW, job(1), 1, FailCode::Cut, String::new(), usage(5));
    let ended = effects(&mut market);
    assert_eq!(names(&ended), ["settle", "settled", "ended"]);
    assert!(matches!(ended[1], Effect::Settled { session: None, complete: false, .. }));
}

#[test]
fn a_newer_session_of_a_plugin_replaces_the_older_and_takes_its_jobs() {
    let mut market = with_sessions(1);
    let assignment = assigned(&mut market, request(1));
    market.join(NOW, session(2), plugin(1), inventory(vec![offer(MODEL)]));
    let followed = effects(&mut market);
    assert_eq!(followed[0], Effect::Close { session: session(1), reason: CloseReason::Replaced });
    assert!(matches!(&followed[1], Effect::Assign(again) if again.session == session(2) && again.lease == 2));
    assert!(!market.began(NOW, assignment.job, assignment.lease));
    assert_eq!(market.counts().sessions, 1);
    market.leave(NOW, session(1));
    assert_eq!(market.counts().sessions, 1);
}

#[test]
fn a_plugin_that_may_not_come_any_more_is_closed_and_its_jobs_go_elsewhere() {
    let mut market = with_sessions(2);
    let assignment = assigned(&mut market, request(1));
    market.expel(NOW, assignment.plugin);
    let followed = effects(&mut market);
    let closed = Effect::Close { session: assignment.session, reason: CloseReason::Revoked };
    assert_eq!(followed[0], closed);
    assert!(matches!(&followed[1], Effect::Assign(again) if again.plugin != assignment.plugin));
    assert_eq!(market.counts().sessions, 1);
    market.expel(NOW, assignment.plugin);
    assert_eq!(effects(&mut market), []);
}

#[test]
fn silence_first_costs_new_jobs_and_then_the_session() {
    let mut market = with_sessions(1);
    market.tick(NOW + Span::millis(24_999));
    assert_eq!(market.counts().suspects, 0);
    market.tick(NOW + Span::secs(25));
    assert_eq!(market.counts().suspects, 1);
    market.submit(NOW + Span::secs(26), request(1)).unwrap();
    assert_eq!(effects(&mut market), [], "it waits for a sign of life");
    market.heartbeat(NOW + Span::secs(27), session(1), &beat(1));
    assert_eq!(only_assignment(&mut market).session, session(1));
    market.tick(NOW + Span::secs(27 + 45));
    let ended = effects(&mut market);
    assert_eq!(ended[0], Effect::Close { session: session(1), reason: CloseReason::TimedOut });
    assert_eq!(names(&ended), ["close", "void", "ended"]);
    assert_eq!(market.counts().sessions, 0);
}

#[test]
fn a_paused_session_takes_nothing_new_and_is_not_listed() {
    let mut market = with_sessions(1);
    market.restock(NOW, session(1), Inventory { paused: true, ..inventory(vec![offer(MODEL)]) });
    assert_eq!(refused(&mut market, request(1)), Refusal::ProviderPaused);
    assert_eq!(market.models(NOW, 9), []);
    market.restock(NOW, session(1), inventory(vec![offer(MODEL)]));
    assigned(&mut market, request(2));
}

#[test]
fn a_restock_keeps_what_runs_and_what_was_measured() {
    let mut market = with_sessions(1);
    let measured = assigned(&mut market, request(1));
    answer(&mut market, NOW, &measured, 50);
    effects(&mut market);
    let running = assigned(&mut market, request(2));
    let dearer =
        Offer { price: Some(rekursing_protocol::Price::new(900_000, 900_000).into()), ..offer(MODEL) };
    market.restock(NOW, session(1), inventory(vec![offer("other"), dearer]));
    market.submit(NOW, request(3)).unwrap();
    assert_eq!(effects(&mut market), [], "the running job still has the slot");
    market.finish(NOW, running.job, running.lease, usage(50));
    let ended = effects(&mut market);
    let Effect::Settled { receipt, .. } = &ended[1] else { panic!("{ended:?}") };
    assert_eq!(receipt.charge.get(), 20_000, "at the price that it began with");
    assert_eq!(market.models(NOW, 9)[1].millitokens_per_second, 50_000);
    market.restock(NOW, session(1), inventory(vec![]));
    assert_eq!(refused(&mut market, request(4)).code(), "model_not_found");
}

#[test]
fn coming_back_wipes_nothing_clean() {
    let mut market = with_sessions(1);
    for number in 1..=3 {
        let assignment = assigned(&mut market, request(number));
        fail(&mut market, &assignment, FailCode::Unreachable);
        effects(&mut market);
    }
    market.leave(NOW, session(1));
    market.join(NOW, session(2), plugin(1), inventory(vec![offer(MODEL)]));
    let view = &market.sessions()[0];
    assert!(view.parked);
    assert!(view.success_permille < 600);
    market.submit(NOW, request(4)).unwrap();
    assert_eq!(effects(&mut market), []);
    market.tick(NOW + Span::secs(15));
    assert_eq!(only_assignment(&mut market).session, session(2));
}

#[test]
fn a_list_of_so_many_models_has_those_that_most_offer_and_any_other_is_found_by_its_name() {
    let mut market = with_sessions(3);
    let invented: Vec<_> = (0..20).map(|number| offer(&format!("invented-{number}"))).collect();
    market.join(NOW, session(4), plugin(4), inventory(invented));
    let listed = market.models(NOW, 5);
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().any(|model| model.id == MODEL && model.providers == 3));
    assert_eq!(market.models(NOW, 100).len(), 21);
    for number in 0..20 {
        let name = format!("invented-{number}");
        assert_eq!(market.model(NOW, &name).map(|model| model.id), Some(name));
    }
    assert_eq!(market.model(NOW, "nobody-has-it"), None);
    assert_eq!(market.model(NOW, "Qwen/Qwen2.5-7B-Instruct"), None, "a list names it otherwise");
}

#[test]
fn a_list_shows_each_model_once_with_what_is_to_be_had() {
    let mut market = with_sessions(2);
    let other = Offer {
        quantization: "Q8_0".to_owned(),
        context: 9_000,
        price: Some(rekursing_protocol::Price::new(50_000, 300_000).into()),
        vision: true,
        ..offer("Qwen/Qwen2.5-7B-Instruct-GGUF")
    };
    market.join(NOW, session(3), plugin(3), inventory(vec![other, offer(MODEL)]));
    let models = market.models(NOW, 9);
    assert_eq!(models.len(), 1);
    let view = &models[0];
    assert_eq!((view.id.as_str(), view.providers, view.context), (MODEL, 3, 9_000));
    assert_eq!(view.quantizations, ["Q4_K_M", "Q8_0"]);
    assert_eq!(view.price_min, rekursing_protocol::Price::new(50_000, 200_000));
    assert_eq!(view.price_max, rekursing_protocol::Price::new(100_000, 300_000));
    assert!(view.vision);
    // Nobody has shown yet what the higher tiers ask for.
    let tiers: Vec<_> =
        view.tiers.iter().map(|tier| (tier.tier, tier.providers, tier.price_min, tier.price_max)).collect();
    let price = rekursing_protocol::Price::new;
    assert_eq!(
        tiers,
        [
            (Tier::Low, 3, price(40_000, 160_000), price(80_000, 240_000)),
            (Tier::Standard, 3, price(50_000, 200_000), price(100_000, 300_000)),
        ]
    );
    assert_eq!(market.models(NOW + Span::secs(60), 9), []);
    let wish = Request { model: Wish::Named(view.id.clone()), ..request(1) };
    assigned(&mut market, wish);
}

#[test]
fn ten_thousand_idle_sessions_share_what_is_alike() {
    let mut market = market(Terms::default());
    for number in 1..=10_000 {
        market.join(NOW, session(number), plugin(number), inventory(vec![offer(MODEL)]));
    }
    let views = market.sessions();
    assert!(
        views.windows(2).all(|two| std::sync::Arc::ptr_eq(&two[0].offers[0].offer, &two[1].offers[0].offer))
    );
    // Maps and index entries of a session with one offer come on top: two ids and places in two maps,
    // and two shelves' entries in two trees each, together less than half of a KiB.
    assert!(size_of::<Option<Session>>() + size_of::<Stock>() <= 512);
    for number in 1..=10_000 {
        market.leave(NOW, session(number));
    }
    assert!(market.shelves.families().next().is_none(), "an empty shelf is forgotten");
    assert!(market.wakes.is_empty());
}

#[test]
fn who_comes_back_after_parking_is_over_serves_at_once() {
    let mut market = with_sessions(1);
    for number in 1..=3 {
        let assignment = assigned(&mut market, request(number));
        fail(&mut market, &assignment, FailCode::Unreachable);
        effects(&mut market);
    }
    market.submit(NOW, request(4)).unwrap();
    market.leave(NOW, session(1));
    market.join(NOW + Span::secs(15), session(2), plugin(1), inventory(vec![offer(MODEL)]));
    assert_eq!(only_assignment(&mut market).job, job(4));
}
