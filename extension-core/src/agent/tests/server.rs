//! Finding the model server, and telling the relay only what is new.

use serde_json::json;

use super::world::{LLAMA_METRICS, LLAMA_MODELS, World, config, identity, sent, start};
use crate::{
    agent::{Command, Config, Event, ModelServer, Phase, Why},
    bridge::server::Kind,
    choices::Pause,
};

/// Lets two heartbeats pass, and returns how many requests wait by the last of them.
fn queue(world: &mut World) -> serde_json::Value {
    let beats = sent(&world.pass_acked(40_000)).into_iter();
    let mut queues = beats.filter_map(|frame| frame.get("heartbeat").map(|beat| beat["queue"].clone()));
    queues.next_back().unwrap()
}

fn inventories(commands: &[Command]) -> Vec<serde_json::Value> {
    sent(commands)
        .into_iter()
        .filter_map(|mut frame| frame.get_mut("inventory").map(serde_json::Value::take))
        .collect()
}

#[test]
fn what_is_found_is_shown() {
    let world = World::ready();
    let state = world.state();
    assert_eq!(state.server.kind, Some(Kind::LlamaCpp));
    assert_eq!(state.server.address.as_deref(), Some("http://127.0.0.1:8080"));
    assert_eq!((state.models.len(), state.models[0].model.as_str()), (1, "tiny-chat"));
    // Never more than the owner allows over all models.
    assert_eq!((state.models[0].context, state.models[0].slots), (1024, 2));
}

#[test]
fn an_unchanged_inventory_is_not_told_again() {
    let mut world = World::ready();
    assert!(inventories(&world.pass_acked(120_000)).is_empty());
}

#[test]
fn a_server_that_goes_and_comes_back_is_noticed_without_a_click() {
    let mut world = World::ready();
    world.models = None;
    let told = inventories(&world.pass_acked(15_000));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["offers"], json!([]));
    let state = world.state();
    assert_eq!(state.connection.phase, Phase::Ready);
    assert_eq!(state.server.reason.unwrap().code, Why::ServerSilent);
    assert_eq!(state.connection.reason.unwrap().code, Why::ServerSilent);

    world.models = Some(LLAMA_MODELS.to_owned());
    let told = inventories(&world.pass_acked(5_000));
    assert_eq!(told[0]["offers"][0]["model"], json!("tiny-chat"));
    assert_eq!(world.state().server.reason, None);
}

#[test]
fn a_server_without_a_model_is_named_as_such() {
    let mut world = World::new();
    world.models = Some(r#"{"data":[]}"#.to_owned());
    world.start(config(), Some(identity()));
    let state = world.state();
    assert_eq!((state.server.kind, state.server.reason.unwrap().code), (Some(Kind::LlamaCpp), Why::NoModel));
    let commands = world.greet();
    assert_eq!(sent(&commands)[0]["identify"]["inventory"]["offers"], json!([]));
}

#[test]
fn a_server_at_work_may_be_too_busy_to_answer() {
    let mut world = World::ready();
    world.job(1);
    world.models = None;
    assert!(inventories(&world.pass_acked(16_000)).is_empty());
    assert_eq!(world.state().models.len(), 1);
}

#[test]
fn a_job_that_finds_nobody_makes_the_agent_look_again() {
    let mut world = World::ready();
    let post = world.job(1);
    world.models = None;
    let commands = world.on(Event::FetchFailed { id: post.id });
    assert_eq!(sent(&commands)[0]["fail"]["code"], json!("unreachable"));
    let commands = world.on(Event::Tick);
    assert_eq!(inventories(&commands).len(), 1);
}

#[test]
fn settings_change_what_is_offered_at_once() {
    let mut world = World::ready();
    let paused = Config { paused: Pause::On, slots: 5, ..config() };
    let told = inventories(&world.on(Event::Configured(paused.clone())));
    assert_eq!((&told[0]["paused"], &told[0]["slots"]), (&json!(true), &json!(5)));
    assert_eq!(world.state().connection.reason.unwrap().code, Why::Paused);
    let prices = [("tiny-chat".to_owned(), rekursing_protocol::Price::new(3, 4).into())].into();
    let told = inventories(&world.on(Event::Configured(Config { prices, ..paused })));
    assert_eq!(told[0]["offers"][0]["price"], json!({"input": 3, "output": 4}));
}

#[test]
fn another_server_is_looked_for_at_once() {
    let mut world = World::ready();
    let elsewhere = Config { servers: vec![ModelServer::at("http://127.0.0.1:9")], ..config() };
    world.on(Event::Configured(elsewhere));
    assert_eq!(world.state().server.reason.unwrap().code, Why::ServerSilent);
    world.on(Event::Configured(Config { servers: Vec::new(), ..config() }));
    assert_eq!(world.state().server.address.as_deref(), Some("http://127.0.0.1:8080"));
}

#[test]
fn heartbeats_say_how_many_requests_wait_at_the_server() {
    let mut world = World::ready();
    world.metrics = Some(LLAMA_METRICS.to_owned());
    assert_eq!(queue(&mut world), json!(3));
    world.metrics = Some(LLAMA_METRICS.replace("deferred 3", "deferred 0"));
    assert_eq!(queue(&mut world), json!(0));
    // What a server once told counts for nothing when it says no more.
    world.metrics = Some(LLAMA_METRICS.to_owned());
    assert_eq!(queue(&mut world), json!(3));
    world.metrics = None;
    assert_eq!(queue(&mut world), json!(0));
    world.metrics = Some(LLAMA_METRICS.to_owned());
    assert_eq!(queue(&mut world), json!(3));
    world.models = None;
    assert_eq!(queue(&mut world), json!(0));
}

#[test]
fn where_no_server_tells_the_jobs_beyond_its_slots_are_said_to_wait() {
    let mut world = World::ready();
    for number in 1..=2 {
        let mut long = start(number);
        long["start"]["first_token_ms"] = json!(300_000);
        world.frame(&long);
    }
    assert_eq!(queue(&mut world), json!(0));
    world.props = world.props.replace("\"total_slots\":4", "\"total_slots\":1");
    assert_eq!(queue(&mut world), json!(1));
}
