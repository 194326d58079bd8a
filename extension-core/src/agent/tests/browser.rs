//! The model in the browser: tried by itself, offered while it is fast enough, and never taken for a server's.

use rekursing_protocol::Span;
use serde_json::{Value, json};

use super::world::{STREAM, World, config, posts, sent};
use crate::{
    agent::{Config, Event, Memory, Post, ServerView, Why},
    bridge::server::IN_BROWSER,
};

const MODEL: &str = "tiny-q4_0";

/// A registered agent whose model in the browser answers so to `/model`, beside llama.cpp if that is there.
fn world(status: u16, speed: Option<u64>) -> World {
    let mut world = World::new();
    world.models = None;
    world.in_browser =
        Some((status, json!({"name": MODEL, "parameters": "1M", "context": 2_048}).to_string()));
    let config = Config { browser: Some(MODEL.to_owned()), ..config() };
    let speeds = speed.map(|speed| (MODEL.to_owned(), speed)).into_iter().collect();
    world.start_with(config, Memory { speeds, ..Memory::default() });
    world.greet();
    world
}

fn seen(world: &World) -> ServerView {
    world.state().browser.unwrap()
}

fn why(world: &World) -> Option<Why> {
    seen(world).reason.map(|reason| reason.code)
}

/// Returns what is offered by the frames that were sent.
fn offered(frames: &[Value]) -> Option<Vec<Value>> {
    let offers = frames.iter().rev().find_map(|frame| frame["inventory"]["offers"].as_array());
    offers.cloned()
}

/// Ends a fetch of the browser's model after so many milliseconds.
fn end(world: &mut World, post: &Post, millis: u64) -> Vec<Value> {
    world.on(Event::FetchHead { id: post.id, status: 200, content_type: "text/event-stream" });
    let half = STREAM.len() / 2;
    let mut commands = world.on(Event::FetchBytes { id: post.id, bytes: &STREAM.as_bytes()[..half] });
    world.now.0 += millis;
    commands.extend(world.on(Event::FetchBytes { id: post.id, bytes: &STREAM.as_bytes()[half..] }));
    commands.extend(world.on(Event::FetchEnd { id: post.id }));
    sent(&commands)
}

#[test]
fn a_model_in_the_browser_is_tried_by_itself_and_offered_as_what_it_is() {
    let mut world = world(200, None);
    assert_eq!(why(&world), Some(Why::BrowserUntried));
    assert!(world.state().models.is_empty());
    assert!(world.state().trial.unwrap().running);
    let post = world.tried.pop().unwrap();
    assert_eq!(post.url, format!("{IN_BROWSER}/v1/chat/completions"));
    let frames = end(&mut world, &post, 10);
    let offers = offered(&frames).unwrap();
    assert_eq!(
        (&offers[0]["model"], &offers[0]["browser"], &offers[0]["slots"]),
        (&json!(MODEL), &json!(true), &json!(1))
    );
    assert_eq!(offers[0]["quantization"], "Q4_0");
    assert_eq!(why(&world), None);
    assert!(world.state().servers.iter().all(|server| server.address.as_deref() != Some(IN_BROWSER)));
}

#[test]
fn one_that_is_slow_is_not_offered_and_its_owner_is_told() {
    let mut slow = world(200, Some(1_999));
    assert_eq!((why(&slow), slow.state().models.len()), (Some(Why::BrowserSlow), 0));
    assert_eq!(slow.state().connection.reason.unwrap().code, Why::BrowserSlow);
    assert!(slow.tried.is_empty(), "it is not tried again by itself");
    slow.on(Event::TryOut { address: Some(IN_BROWSER) });
    let post = slow.tried.pop().unwrap();
    end(&mut slow, &post, 10);
    assert_eq!(why(&slow), None, "a test of the owner's counts anew");

    let mut stuck = world(200, None);
    stuck.pass(Span::secs(400).0);
    assert_eq!(why(&stuck), Some(Why::BrowserSlow));
}

#[test]
fn one_that_is_being_loaded_or_cannot_be_says_so() {
    assert_eq!(why(&world(503, None)), Some(Why::BrowserLoading));
    assert_eq!(why(&world(500, None)), Some(Why::BrowserUnfit));
}

#[test]
fn other_weights_of_the_same_name_are_tried_anew() {
    let mut world = world(200, Some(50_000));
    assert_eq!(why(&world), None);
    world.on(Event::Configured(config()));
    assert!(world.state().browser.is_none());
    world.on(Event::Configured(Config { browser: Some(MODEL.to_owned()), ..config() }));
    assert_eq!(why(&world), Some(Why::BrowserUntried));
}

#[test]
fn a_server_with_a_model_of_the_same_name_is_asked_and_offered_in_its_place() {
    let mut world = world(200, Some(50_000));
    world.in_browser = Some((200, json!({"name": "tiny-chat", "context": 2_048}).to_string()));
    world.models = Some(super::world::LLAMA_MODELS.to_owned());
    world.pass(30_000);
    let offers = world.state().models;
    assert_eq!(offers.len(), 1);
    let post = world.job(1);
    assert!(post.url.starts_with("http://127.0.0.1"), "{}", post.url);
    assert_eq!(posts(&[]), []);
}
