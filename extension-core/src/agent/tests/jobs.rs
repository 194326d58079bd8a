//! Jobs: from `start` to `done` or `fail`, and what may not happen on the way.

use serde_json::{Value, json};

use super::world::{STREAM, World, config, job_id, posts, sent, start};
use crate::{
    agent::{Command, Config, Event},
    choices::Pause,
};

fn fail(number: u128, code: &str) -> Vec<Value> {
    vec![json!({"fail": {"job": job_id(number), "lease": 1, "code": code, "detail": ""}})]
}

#[test]
fn a_job_is_one_post_to_the_server_and_its_answer_goes_back() {
    let mut world = World::ready();
    let post = world.job(1);
    assert_eq!(post.url, "http://127.0.0.1:8080/v1/chat/completions");
    let body: Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!(
        (&body["model"], &body["stream"], &body["temperature"]),
        (&json!("tiny-chat"), &json!(true), &json!(0))
    );
    world.head(post.id);
    let frames = sent(&world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() }));
    assert_eq!(
        frames,
        [
            json!({"text": {"job": job_id(1), "lease": 1, "n": 0, "text": "blue k7x2"}}),
            json!({"done": {"job": job_id(1), "lease": 1, "n": 1, "finish": "stop", "prompt_tokens": 18, "answer_tokens": 8}}),
        ]
    );
    assert_eq!(world.on(Event::FetchEnd { id: post.id }), []);
    assert!(world.pass_acked(10_000).iter().all(|command| !matches!(command, Command::Abort(_))));
}

#[test]
fn bytes_that_came_together_leave_together() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    let event = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    for text in ["a", "b"] {
        let bytes = event(text);
        world.agent.handle(Event::FetchBytes { id: post.id, bytes: bytes.as_bytes() }, world.now);
    }
    let frames = sent(&world.on(Event::FetchBytes { id: post.id, bytes: event("c").as_bytes() }));
    assert_eq!(frames.len(), 1);
    assert_eq!((&frames[0]["text"]["text"], &frames[0]["text"]["n"]), (&json!("abc"), &json!(0)));
    let frames = sent(&world.on(Event::FetchBytes { id: post.id, bytes: event("d").as_bytes() }));
    assert_eq!((&frames[0]["text"]["text"], &frames[0]["text"]["n"]), (&json!("d"), &json!(1)));
}

#[test]
fn a_body_that_does_not_end_after_its_answer_is_cut() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() });
    assert!(!world.pass_acked(1_999).contains(&Command::Abort(post.id)));
    assert!(world.pass_acked(1).contains(&Command::Abort(post.id)));
}

#[test]
fn a_cancel_aborts_the_fetch_at_once() {
    let mut world = World::ready();
    let post = world.job(1);
    let other = json!({"cancel": {"job": job_id(1), "lease": 2}});
    assert_eq!(world.frame(&other), []);
    let commands = world.frame(&json!({"cancel": {"job": job_id(1), "lease": 1}}));
    assert_eq!(commands[0], Command::Abort(post.id));
    assert_eq!(sent(&commands), fail(1, "cancelled"));
    assert_eq!(world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() }), []);
    assert!(world.state().jobs.is_empty());
}

#[test]
fn no_more_jobs_run_than_the_owner_allows() {
    let mut world = World::ready();
    world.job(1);
    world.job(2);
    assert_eq!(sent(&world.frame(&start(3))), fail(3, "busy"));
    // The same start twice is one job.
    assert_eq!(world.frame(&start(2)), []);
}

#[test]
fn jobs_that_cannot_be_done_are_refused_with_their_code() {
    let mut paused = World::ready_with(Config { paused: Pause::On, ..config() });
    assert_eq!(sent(&paused.frame(&start(1))), fail(1, "paused"));

    let mut world = World::ready();
    let mut unknown = start(1);
    unknown["start"]["model"] = json!("gpt-4o");
    assert_eq!(sent(&world.frame(&unknown)), fail(1, "model_missing"));
    let mut foreign = start(1);
    foreign["start"]["body"]["messages"][0]["content"] =
        json!([{"type": "image_url", "image_url": {"url": "http://192.168.0.1/"}}]);
    let commands = world.frame(&foreign);
    assert_eq!(sent(&commands), fail(1, "refused"));
    assert_eq!(posts(&commands), []);
    let mut bad = start(1);
    bad["start"]["body"] = json!({"messages": [], "max_tokens": -1});
    assert_eq!(sent(&world.frame(&bad))[0]["fail"]["code"], json!("bad_request"));
}

#[test]
fn credit_stops_and_resumes_the_reading() {
    let mut world = World::ready();
    let mut tight = start(1);
    tight["start"]["credit"] = json!(4);
    let post = posts(&world.frame(&tight)).pop().unwrap();
    world.head(post.id);
    let (first, rest) =
        STREAM.split_at(STREAM.find("data: {\"choices\":[{\"finish_reason\":\"stop\"").unwrap());
    let commands = world.on(Event::FetchBytes { id: post.id, bytes: first.as_bytes() });
    assert_eq!(sent(&commands)[0]["text"]["text"], json!("blue"));
    assert!(commands.contains(&Command::Pause(post.id)));
    let commands = world.frame(&json!({"credit": {"job": job_id(1), "lease": 1, "bytes": 100}}));
    assert_eq!(sent(&commands)[0]["text"]["text"], json!(" k7x2"));
    assert!(commands.contains(&Command::Resume(post.id)));
    let frames = sent(&world.on(Event::FetchBytes { id: post.id, bytes: rest.as_bytes() }));
    assert_eq!(frames[0]["done"]["n"], json!(2));
}

#[test]
fn a_stalled_server_fails_the_job_and_is_let_go() {
    let mut world = World::ready();
    let post = world.job(1);
    let commands = world.pass_acked(30_000);
    assert!(commands.contains(&Command::Abort(post.id)));
    assert!(sent(&commands).contains(&fail(1, "stalled")[0]));
}

#[test]
fn a_lost_link_aborts_its_jobs() {
    let mut world = World::ready();
    let post = world.job(1);
    let commands = world.on(Event::SocketClosed { code: 1006 });
    assert_eq!(commands, [Command::Abort(post.id), Command::Changed]);
    assert_eq!(world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() }), []);
}

#[test]
fn heartbeats_report_what_was_measured_once() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    let half = STREAM.find("\"content\":\"ue\"").unwrap();
    world.now.0 += 250;
    world.on(Event::FetchBytes { id: post.id, bytes: &STREAM.as_bytes()[..half] });
    world.now.0 += 1_000;
    world.on(Event::FetchBytes { id: post.id, bytes: &STREAM.as_bytes()[half..] });
    let failed = world.job(2);
    world.on(Event::FetchFailed { id: failed.id });
    let commands = world.pass_acked(41_000);
    let beats: Vec<Value> =
        sent(&commands).into_iter().filter(|frame| frame.get("heartbeat").is_some()).collect();
    let report = json!([{"model": "tiny-chat", "millitokens_per_second": 7_000, "first_token_ms": 250, "done": 1, "failed": 1}]);
    assert_eq!(beats[0]["heartbeat"]["models"], report);
    assert_eq!(beats[1]["heartbeat"].get("models"), None);
    let model = &world.state().models[0];
    assert_eq!((model.tokens_per_second, model.first_token_ms, model.done), (Some(7), Some(250), 1));
}

#[test]
fn no_word_of_a_prompt_or_an_answer_is_shown() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    world.on(Event::FetchBytes { id: post.id, bytes: &STREAM.as_bytes()[..900] });
    let state = world.state();
    assert_eq!((state.jobs.len(), state.jobs[0].id), (1, job_id(1)));
    let shown = serde_json::to_string(&state).unwrap();
    assert!(!shown.contains("the-secret-prompt") && !shown.contains("blue") && !shown.contains("shh"));
}
