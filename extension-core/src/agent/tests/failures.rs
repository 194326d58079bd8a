//! What keeps an owner from earning, and that each has a reason of its own.

use rekursing_protocol::{Moment, Span};
use serde_json::json;

use super::world::{World, asks, config, identity, posts};
use crate::agent::{Answer, AskId, Config, Event, ModelServer, Notice, Phase, Why};
use crate::choices::Zone;

fn ollama(tags: &str, loaded: &str) -> World {
    let mut world = World::new();
    world.instead = [
        ("/api/version", (200, r#"{"version":"0.12.3"}"#.to_owned())),
        ("/api/tags", (200, format!(r#"{{"models":[{tags}]}}"#))),
        ("/api/ps", (200, format!(r#"{{"models":[{loaded}]}}"#))),
    ]
    .into();
    world
}

const FAR: &str =
    r#"{"name":"far:cloud","digest":"1b9d","remote_model":"far","remote_host":"https://ollama.com"}"#;
const NEAR: &str =
    r#"{"name":"near:7b","digest":"0a8c","details":{"family":"llama"},"expires_at":"2026-03-02T12:05:00Z"}"#;

fn server_why(world: &World) -> Option<Why> {
    world.state().server.reason.map(|reason| reason.code)
}

fn link_why(world: &World) -> Option<Why> {
    world.state().connection.reason.map(|reason| reason.code)
}

#[test]
fn models_of_a_cloud_alone_are_told_from_no_model_loaded() {
    let mut world = ollama(FAR, "");
    world.start(config(), Some(identity()));
    assert_eq!(server_why(&world), Some(Why::OnlyCloud));
    let mut world = ollama(&format!("{FAR},{NEAR}"), "");
    world.start(config(), Some(identity()));
    assert_eq!(server_why(&world), Some(Why::NoModel));
}

#[test]
fn a_server_that_refuses_the_origin_offers_nothing_until_the_owner_has_let_it_through() {
    let mut world = ollama(NEAR, NEAR);
    world.start(config(), Some(identity()));
    world.greet();
    let mut job = super::world::start(1);
    job["start"]["model"] = json!("near:7b");
    let post = posts(&world.frame(&job)).pop().unwrap();
    world.on(Event::FetchHead { id: post.id, status: 403, content_type: "" });
    world.on(Event::FetchEnd { id: post.id });
    assert_eq!((server_why(&world), world.state().models.len()), (Some(Why::OriginRefused), 0));
    world.pass_acked(60_000);
    assert_eq!(server_why(&world), Some(Why::OriginRefused), "looking does not mend it");
    world.on(Event::Retry);
    assert_eq!((server_why(&world), world.state().models.len()), (None, 1));
}

#[test]
fn an_address_without_chromes_permission_is_not_asked_and_named_as_such() {
    let mut world = World::new();
    let attic = Config { servers: vec![ModelServer::at("http://attic:1234")], ..config() };
    let patterns = ["http://attic/*".to_owned()];
    world.on(Event::Forbidden(&patterns));
    let commands = world.start(attic, Some(identity()));
    assert_eq!(asks(&commands), []);
    let server = world.state().server;
    assert_eq!(world.state().servers[0].origin.as_deref(), Some("http://attic/*"));
    assert_eq!(server.reason.map(|reason| reason.code), Some(Why::NotAllowed));
    assert_eq!(asks(&world.on(Event::Forbidden(&[])))[0].url, "http://attic:1234/api/v1/models");
}

#[test]
fn a_clock_that_is_hours_off_is_said_with_how_far_it_is() {
    let mut world = World::new();
    let ask = asks(&world.start(config(), None)).pop().unwrap();
    let wall = |world: &World, hours: u64| Notice::Clock {
        wall: world.now + Span::secs(hours * 3_600),
        zone: Zone::default(),
    };
    world.on(Event::Noticed(wall(&world, 3)));
    world.on(Event::Dated { id: AskId(ask.id.0 + 99), at: Moment(0) });
    assert_eq!(link_why(&world), None, "only the relay's clock counts");
    world.on(Event::Dated { id: ask.id, at: world.now });
    world.on(Event::Answered { id: ask.id, answer: Answer::Failed });
    let reason = world.state().connection.reason.unwrap();
    assert_eq!(
        (reason.code, reason.text.as_str()),
        (Why::ClockWrong, "This computer's clock is 3 hours ahead. Set it.")
    );
    reason.reads_as_its_message();
    assert_eq!(world.state().connection.phase, Phase::Waiting);
    world.on(Event::Noticed(wall(&world, 0)));
    assert_eq!(link_why(&world), Some(Why::RelayUnreachable), "a clock that was set is right at once");
}

#[test]
fn whoever_else_uses_ollama_is_seen_by_when_it_forgets_its_model() {
    let mut world = ollama(NEAR, NEAR);
    let when = crate::choices::When { own_use_first: true, ..crate::choices::When::default() };
    world.start(Config { when, ..config() }, Some(identity()));
    world.greet();
    world.pass_acked(9_000);
    assert_eq!(world.state().closed, None, "nothing has moved");
    let used = NEAR.replace("12:05:00", "12:05:07");
    world.instead.insert("/api/ps", (200, format!(r#"{{"models":[{used}]}}"#)));
    world.pass_acked(3_000);
    assert_eq!(world.state().closed.map(|closed| closed.reason.code), Some(Why::OwnUse));
    world.pass_acked(61_000);
    assert_eq!(world.state().closed, None);
    // A job of the agent's own moves it as well.
    let mut job = super::world::start(1);
    job["start"]["model"] = json!("near:7b");
    world.frame(&job);
    let used = NEAR.replace("12:05:00", "12:09:00");
    world.instead.insert("/api/ps", (200, format!(r#"{{"models":[{used}]}}"#)));
    world.pass_acked(3_000);
    assert_eq!(world.state().closed, None);
}
