//! Sessions that outlive their socket: what is kept, sent again and given up.

use rekursing_protocol::frame::close;
use serde_json::{Value, json};

use super::world::{World, config, identity, job_id, posts, sent, start};
use crate::agent::{Command, Event, FetchId, Phase};

const SESSION: &str = "ses_00000000000000000000000001";

fn hello(resume_ms: u64) -> Value {
    json!({"hello": {
        "version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536, "resume_ms": resume_ms,
    }})
}

fn ready(token: &str) -> Value {
    json!({"ready": {"session": SESSION, "token": token}})
}

fn resumed(token: &str, jobs: &Value) -> Value {
    json!({"ready": {"session": SESSION, "token": token, "resumed": jobs}})
}

/// An agent whose session can be resumed within 30 seconds.
fn resumable() -> World {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    world.frame(&hello(30_000));
    world.frame(&ready("first"));
    world
}

/// The same with a job whose answer has begun.
fn answering() -> (World, FetchId) {
    let mut world = resumable();
    let post = world.job(1);
    world.head(post.id);
    assert_eq!(said(&mut world, post.id, "a"), [text(0, "a")]);
    (world, post.id)
}

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

/// Lets the model server say something, and returns what is sent to the relay.
fn said(world: &mut World, id: FetchId, text: &str) -> Vec<Value> {
    sent(&world.on(Event::FetchBytes { id, bytes: event(text).as_bytes() }))
}

fn ended(world: &mut World, id: FetchId) -> Vec<Value> {
    sent(&world.on(Event::FetchBytes { id, bytes: b"data: [DONE]\n\n" }))
}

fn text(n: u32, text: &str) -> Value {
    json!({"text": {"job": job_id(1), "lease": 1, "n": n, "text": text}})
}

fn done(n: u32) -> Value {
    json!({"done": {"job": job_id(1), "lease": 1, "n": n, "finish": "stop"}})
}

fn lose(world: &mut World) -> Vec<Command> {
    world.on(Event::SocketClosed { code: 1006 })
}

fn opens(commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::OpenSocket { .. }))
}

/// Opens the next socket when it is time, and returns what `identify` says of the session.
fn back(world: &mut World) -> Value {
    while world.state().connection.phase == Phase::Waiting {
        world.pass(100);
    }
    world.on(Event::SocketOpen);
    sent(&world.frame(&hello(30_000)))[0]["identify"]["resume"].clone()
}

fn going_on(have: u32) -> Value {
    resumed(
        "next",
        &json!([{"job": job_id(1), "lease": 1, "have": have, "credit": 65_536 - u64::from(have)}]),
    )
}

#[test]
fn an_answer_goes_on_where_the_relay_left_off() {
    let (mut world, fetch) = answering();
    assert_eq!(lose(&mut world), [Command::Changed]);
    assert_eq!(world.state().jobs.len(), 1);
    assert!(opens(&world.pass(1_000)), "it is quick to be back");
    assert_eq!(said(&mut world, fetch, "b"), [] as [Value; 0], "there is nobody to tell");
    let resume = back(&mut world);
    let jobs = json!([{"job": job_id(1), "lease": 1, "from": 0, "n": 2}]);
    assert_eq!(resume, json!({"session": SESSION, "token": "first", "jobs": jobs}));
    assert_eq!(said(&mut world, fetch, "c"), [] as [Value; 0], "the relay has not said what it has");
    let frames = sent(&world.frame(&going_on(1)));
    assert_eq!(frames, [text(1, "b"), text(2, "c")]);
    assert_eq!(said(&mut world, fetch, "d"), [text(3, "d")]);
    assert_eq!(ended(&mut world, fetch), [done(4)]);
    assert_eq!(world.state().connection.phase, Phase::Ready);
}

#[test]
fn an_answer_that_ends_meanwhile_is_sent_to_its_end() {
    let (mut world, fetch) = answering();
    lose(&mut world);
    said(&mut world, fetch, "b");
    assert_eq!(ended(&mut world, fetch), [] as [Value; 0]);
    assert_eq!(back(&mut world)["jobs"], json!([{"job": job_id(1), "lease": 1, "from": 0, "n": 2}]));
    assert_eq!(sent(&world.frame(&going_on(1))), [text(1, "b"), done(2)]);
    // That socket is lost as well, and the relay has the end already.
    lose(&mut world);
    assert_eq!(back(&mut world)["token"], "next");
    assert_eq!(sent(&world.frame(&resumed("last", &json!([])))), [] as [Value; 0]);
    lose(&mut world);
    assert_eq!(back(&mut world), Value::Null, "there is nothing to go on with");
}

#[test]
fn an_end_is_kept_until_the_relay_is_known_to_have_it() {
    let settled = json!({"settled": {"job": job_id(1), "earned": "0.1", "prompt_tokens": 1, "answer_tokens": 1, "at": 0}});
    let (mut world, fetch) = answering();
    ended(&mut world, fetch);
    world.frame(&settled);
    lose(&mut world);
    assert_eq!(back(&mut world), Value::Null);

    let (mut world, fetch) = answering();
    ended(&mut world, fetch);
    world.pass_acked(20_000);
    lose(&mut world);
    assert_eq!(back(&mut world), Value::Null, "the heartbeat came behind it");

    let (mut world, fetch) = answering();
    for _ in 0..20 {
        world.pass_acked(1_000);
        said(&mut world, fetch, "b");
    }
    ended(&mut world, fetch);
    world.frame(&json!({"ack": {"n": 1}}));
    lose(&mut world);
    assert_eq!(back(&mut world)["jobs"][0]["n"], 21, "the heartbeat came before it");
}

#[test]
fn the_server_is_read_until_the_window_is_full_and_again_with_the_credit_that_was_lost() {
    let mut world = resumable();
    let mut tight = start(1);
    tight["start"]["credit"] = json!(4);
    let fetch = posts(&world.frame(&tight)).pop().unwrap().id;
    world.head(fetch);
    said(&mut world, fetch, "ab");
    lose(&mut world);
    let commands = world.on(Event::FetchBytes { id: fetch, bytes: event("cdefgh").as_bytes() });
    assert_eq!(commands, [Command::Pause(fetch)]);
    assert_eq!(back(&mut world)["jobs"], json!([{"job": job_id(1), "lease": 1, "from": 0, "n": 2}]));
    // The page has taken the first two bytes, and the credit for them went down with the socket.
    let jobs = json!([{"job": job_id(1), "lease": 1, "have": 1, "credit": 4}]);
    assert_eq!(sent(&world.frame(&resumed("next", &jobs))), [text(1, "cd"), text(2, "ef")]);
    let commands = world.frame(&json!({"credit": {"job": job_id(1), "lease": 1, "bytes": 2}}));
    assert_eq!(sent(&commands), [text(3, "gh")]);
    assert!(commands.contains(&Command::Resume(fetch)));
    // What credit has come back for need not be kept.
    lose(&mut world);
    assert_eq!(back(&mut world)["jobs"][0]["from"], 2);
}

#[test]
fn jobs_that_the_relay_does_not_want_any_more_are_aborted() {
    let (mut world, fetch) = answering();
    let other = world.job(2);
    lose(&mut world);
    assert_eq!(back(&mut world)["jobs"].as_array().map(Vec::len), Some(2));
    let commands = world.frame(&going_on(1));
    assert!(commands.contains(&Command::Abort(other.id)) && !commands.contains(&Command::Abort(fetch)));
    assert_eq!(world.state().jobs.len(), 1);
    // Nor does a relay that was restarted want the other.
    lose(&mut world);
    back(&mut world);
    let commands = world.frame(&ready("anew"));
    assert!(commands.contains(&Command::Abort(fetch)));
    assert_eq!((sent(&commands), world.state().jobs.len()), (vec![], 0));
    assert_eq!(world.state().connection.phase, Phase::Ready);
}

#[test]
fn a_job_that_cannot_be_pieced_together_is_aborted() {
    let (mut world, fetch) = answering();
    lose(&mut world);
    back(&mut world);
    let commands = world.frame(&going_on(7));
    assert!(commands.contains(&Command::Abort(fetch)));
    assert_eq!(sent(&commands), [] as [Value; 0]);
}

#[test]
fn jobs_wait_no_longer_than_the_relay_does() {
    let (mut world, fetch) = answering();
    lose(&mut world);
    let mut commands = Vec::new();
    while !commands.contains(&Command::Abort(fetch)) {
        assert!(world.now.0 < 1_030_000, "it waits for ever");
        said(&mut world, fetch, "b");
        lose(&mut world);
        commands = world.pass(100);
    }
    assert_eq!(world.now.0, 1_030_000);
    assert_eq!(back(&mut world), Value::Null);
}

#[test]
fn a_session_that_the_relay_closes_for_a_cause_is_not_resumed() {
    for code in [close::BAD_FRAME, close::RATE_LIMITED, close::REPLACED, close::DRAINING, close::TIMED_OUT] {
        let (mut world, fetch) = answering();
        assert!(world.on(Event::SocketClosed { code }).contains(&Command::Abort(fetch)), "{code}");
    }
}

#[test]
fn a_relay_that_has_no_room_for_the_next_socket_is_asked_again() {
    for code in [close::OVERLOADED, close::RATE_LIMITED, close::NOT_IDENTIFIED, close::INTERNAL] {
        let (mut world, fetch) = answering();
        lose(&mut world);
        back(&mut world);
        assert!(!world.on(Event::SocketClosed { code }).contains(&Command::Abort(fetch)), "{code}");
        assert_eq!(world.state().jobs.len(), 1);
    }
}

#[test]
fn a_relay_that_falls_silent_is_left_and_its_jobs_go_on() {
    let (mut world, fetch) = answering();
    let mut commands = Vec::new();
    while !commands.contains(&Command::CloseSocket(4900)) {
        commands = world.pass(1_000);
        said(&mut world, fetch, "b");
    }
    assert!(!commands.contains(&Command::Abort(fetch)));
    assert_eq!(back(&mut world)["jobs"][0]["from"], 0);
}

#[test]
fn a_relay_that_drains_or_resumes_nothing_has_no_session_to_go_back_to() {
    let (mut draining, fetch) = answering();
    draining.frame(&json!({"drain": {"deadline_ms": 30_000, "spread_ms": 5_000}}));
    assert!(lose(&mut draining).contains(&Command::Abort(fetch)));

    let (mut leaving, fetch) = answering();
    lose(&mut leaving);
    leaving.pass(1_000);
    leaving.on(Event::SocketOpen);
    let commands = leaving.frame(&hello(0));
    assert_eq!(commands[0], Command::Abort(fetch));
    assert_eq!(sent(&commands)[0]["identify"].get("resume"), None);
}

#[test]
fn an_owner_who_takes_consent_back_keeps_no_session() {
    let (mut world, fetch) = answering();
    lose(&mut world);
    let silent = crate::agent::Config { consent: false, ..config() };
    assert!(world.on(Event::Configured(silent)).contains(&Command::Abort(fetch)));
    world.on(Event::Configured(config()));
    world.on(Event::SocketOpen);
    assert_eq!(sent(&world.frame(&hello(30_000)))[0]["identify"].get("resume"), None);
}

#[test]
fn an_owner_who_tries_again_at_once_loses_no_job() {
    let (mut world, fetch) = answering();
    lose(&mut world);
    let commands = world.on(Event::Retry);
    assert!(opens(&commands) && !commands.contains(&Command::Abort(fetch)));
    world.on(Event::SocketOpen);
    assert_eq!(sent(&world.frame(&hello(30_000)))[0]["identify"]["resume"]["token"], "first");
}
