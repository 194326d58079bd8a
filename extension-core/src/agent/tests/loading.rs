//! Models that are loaded for a job or by a click, and unloaded again.

use serde_json::{Value, json};

use super::world::{World, asks, config, identity, posts, sent, start};
use crate::{
    agent::{Answer, Ask, Command, Config, Event, Move},
    choices::{Loading, Which},
};

const AWAKE: &str = r#"{"type":"llm","key":"awake","loaded_instances":[{"id":"awake","config":{"context_length":8192,"parallel":2}}],"max_context_length":32768}"#;
const ASLEEP: &str = r#"{"type":"llm","key":"asleep","loaded_instances":[],"max_context_length":32768}"#;

fn lm_studio(loading: Loading) -> World {
    let mut world = World::new();
    has(&mut world, &[AWAKE, ASLEEP]);
    world.start(Config { loading, ..config() }, Some(identity()));
    world.greet();
    world
}

fn has(world: &mut World, models: &[&str]) {
    let list = format!(r#"{{"models":[{}]}}"#, models.join(","));
    world.instead = [("/api/v1/models", (200, list))].into();
}

fn on_demand() -> Loading {
    Loading { which: Which::OnDemand, unload_minutes: Some(10) }
}

fn job(world: &mut World, number: u128) -> Vec<Command> {
    let mut job = start(number);
    job["start"]["model"] = json!("asleep");
    world.frame(&job)
}

/// Returns the only question, and what is in it.
fn asked(commands: &[Command]) -> (Ask, Value) {
    let [ask] = &asks(commands)[..] else { panic!("{commands:?}") };
    (ask.clone(), serde_json::from_str(ask.body.as_deref().unwrap()).unwrap())
}

fn loaded(world: &mut World, id: crate::agent::AskId) -> Vec<Command> {
    let body = br#"{"type":"llm","instance_id":"asleep","load_time_seconds":9.1,"status":"loaded"}"#;
    world.on(Event::Answered { id, answer: Answer::Reply { status: 200, body } })
}

#[test]
fn what_is_not_loaded_is_offered_only_where_the_owner_wants_it_and_as_such() {
    let world = lm_studio(Loading::default());
    assert_eq!(world.state().models.len(), 1);
    assert_eq!(world.state().servers[0].asleep, ["asleep"]);
    let world = lm_studio(on_demand());
    let seen: Vec<_> = world.state().models.into_iter().map(|m| (m.model, m.loaded, m.context)).collect();
    assert_eq!(seen, [("awake".to_owned(), true, 8_192), ("asleep".to_owned(), false, 4_096)]);
}

#[test]
fn a_job_waits_for_its_model_and_the_model_leaves_when_no_job_has_come_for_long() {
    let mut world = lm_studio(on_demand());
    let commands = job(&mut world, 1);
    assert_eq!(posts(&commands), []);
    let (ask, body) = asked(&commands);
    assert_eq!(ask.url, "http://127.0.0.1:8080/api/v1/models/load");
    assert_eq!(body, json!({"model": "asleep"}));
    has(&mut world, &[AWAKE, &AWAKE.replace("awake", "asleep")]);
    let post = posts(&loaded(&mut world, ask.id)).pop().unwrap();
    assert_eq!(post.url, "http://127.0.0.1:8080/v1/chat/completions");
    world.on(Event::FetchFailed { id: post.id });
    assert!(asks(&world.pass_acked(599_000)).iter().all(|ask| ask.body.is_none()));
    let commands = world.pass_acked(2_000);
    let unload: Vec<_> = asks(&commands).into_iter().filter(|ask| ask.body.is_some()).collect();
    assert_eq!(unload[0].url, "http://127.0.0.1:8080/api/v1/models/unload");
    assert_eq!(unload[0].body.as_deref(), Some(r#"{"instance_id":"asleep"}"#));
    assert!(asks(&world.pass_acked(3_600_000)).iter().all(|ask| ask.body.is_none()), "the owner's own stay");
}

#[test]
fn a_model_that_cannot_be_loaded_fails_the_job_and_is_said() {
    let mut world = lm_studio(on_demand());
    let (ask, _) = asked(&job(&mut world, 1));
    let commands =
        world.on(Event::Answered { id: ask.id, answer: Answer::Reply { status: 500, body: b"{}" } });
    assert_eq!(sent(&commands)[0]["fail"]["code"], json!("model_loading"));
    assert!(world.state().servers[0].unmoved.as_ref().is_some_and(|said| said.text.contains("memory")));
    // A job that was given up meanwhile is not begun.
    let (ask, _) = asked(&job(&mut world, 2));
    world.frame(&json!({"cancel": {"job": super::world::job_id(2), "lease": 1}}));
    assert_eq!(posts(&loaded(&mut world, ask.id)), []);
}

#[test]
fn the_owner_loads_and_unloads_what_the_server_has_and_nothing_else() {
    let mut world = lm_studio(Loading::default());
    let click =
        |world: &mut World, address: &str, model: &str, way| world.on(Event::Moved { address, model, way });
    let here = "http://127.0.0.1:8080";
    for (address, model, way) in [
        (here, "asleep", Move::Out),
        (here, "awake", Move::In),
        (here, "something", Move::In),
        ("http://127.0.0.1:22", "asleep", Move::In),
    ] {
        assert_eq!(asks(&click(&mut world, address, model, way)), []);
    }
    let (ask, body) = asked(&click(&mut world, here, "awake", Move::Out));
    assert_eq!((ask.url.ends_with("/api/v1/models/unload"), body), (true, json!({"instance_id": "awake"})));
    assert_eq!(world.state().servers[0].moving.as_deref(), Some("awake"));
    assert_eq!(asks(&click(&mut world, here, "awake", Move::Out)), [], "once is enough");
    let (_, body) = asked(&click(&mut world, here, "asleep", Move::In));
    assert_eq!(body, json!({"model": "asleep"}));
    // A page cannot: its job names a model, and of what is not offered there is none.
    assert_eq!(asks(&job(&mut world, 1)), []);
    let mut llama = World::ready();
    assert_eq!(asks(&click(&mut llama, here, "tiny-chat", Move::Out)), []);
}
