//! What the GPU did counts for the owner's limits, whatever way a job ends, and what is plainly past them is
//! refused here too, whatever the relay says.

use rekursing_protocol::Moment;
use serde_json::{Value, json};

use super::world::{World, config, identity, job_id, posts, sent, start};
use crate::{
    agent::{Answer, Command, Config, Event, FetchId, Why},
    choices::{Allowance, Loading, Which},
};

const PIECE: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";

/// A prompt of about a thousand tokens.
fn long() -> String {
    "word ".repeat(800)
}

fn limited(allowance: Allowance) -> World {
    World::ready_with(Config { allowance, ..config() })
}

fn by_the_hour(tokens: u64) -> World {
    limited(Allowance { hour_tokens: Some(tokens), ..Allowance::default() })
}

fn asking(number: u128, prompt: &str) -> Value {
    let mut job = start(number);
    job["start"]["body"]["messages"][0]["content"] = json!(prompt);
    job
}

/// The same, to be answered whole in at most so many tokens.
fn whole(number: u128, prompt: &str, tokens: u64) -> Value {
    let mut job = asking(number, prompt);
    job["start"]["stream"] = json!(false);
    job["start"]["body"]["max_tokens"] = json!(tokens);
    job
}

fn begin(world: &mut World, job: &Value) -> FetchId {
    posts(&world.frame(job)).pop().unwrap().id
}

fn refusal(world: &mut World, job: &Value) -> Value {
    let commands = world.frame(job);
    assert_eq!(posts(&commands), []);
    sent(&commands)[0]["fail"]["code"].clone()
}

fn counted(world: &World) -> u64 {
    world.state().done.hour_tokens
}

#[test]
fn a_job_that_is_cancelled_counts_its_prompt_and_what_was_made() {
    let mut world = by_the_hour(100_000);
    let id = begin(&mut world, &asking(1, &long()));
    world.head(id);
    for _ in 0..50 {
        world.on(Event::FetchBytes { id, bytes: PIECE });
    }
    world.frame(&json!({"cancel": {"job": job_id(1), "lease": 1}}));
    assert!((1_050..1_100).contains(&counted(&world)), "{}", counted(&world));
}

#[test]
fn a_whole_answer_that_nobody_waits_for_counts_by_its_time() {
    let mut world = by_the_hour(100_000);
    begin(&mut world, &whole(1, "hi", 2_000));
    world.pass_acked(10_000);
    world.frame(&json!({"cancel": {"job": job_id(1), "lease": 1}}));
    // Nobody has measured the model: it counts as a fast one.
    assert!((1_000..1_050).contains(&counted(&world)), "{}", counted(&world));
    begin(&mut world, &whole(2, "hi", 30));
    world.pass_acked(60_000);
    let before = counted(&world);
    world.frame(&json!({"cancel": {"job": job_id(2), "lease": 1}}));
    assert!((30..80).contains(&(counted(&world) - before)), "it was to be no longer than that");
}

#[test]
fn a_whole_answer_counts_as_its_server_has_counted() {
    let mut world = by_the_hour(100_000);
    let id = begin(&mut world, &whole(1, &long(), 2_000));
    world.pass_acked(10_000);
    world.on(Event::FetchHead { id, status: 200, content_type: "application/json" });
    let body = br#"{"choices":[{"message":{"role":"assistant","content":"one"}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
    world.on(Event::FetchBytes { id, bytes: body });
    world.on(Event::FetchEnd { id });
    assert_eq!(counted(&world), 9);
}

#[test]
fn a_job_that_fails_in_its_middle_counts_and_one_that_was_turned_away_does_not() {
    let mut world = by_the_hour(100_000);
    let id = begin(&mut world, &asking(1, &long()));
    world.on(Event::FetchHead { id, status: 400, content_type: "application/json" });
    world.on(Event::FetchEnd { id });
    let id = begin(&mut world, &asking(2, &long()));
    world.on(Event::FetchFailed { id });
    assert_eq!(counted(&world), 0, "a server that refused or was not there has done nothing");
    world.pass_acked(5_000);
    let id = begin(&mut world, &asking(3, &long()));
    world.head(id);
    world.on(Event::FetchFailed { id });
    assert!(counted(&world) > 1_000);
}

#[test]
fn a_relay_that_leaves_takes_no_work_for_nothing() {
    for end in [Event::SocketClosed { code: 1006 }, Event::Configured(Config { consent: false, ..config() })]
    {
        let mut world = by_the_hour(100_000);
        begin(&mut world, &asking(1, &long()));
        let is_leaving = matches!(end, Event::Configured(_));
        let end = if is_leaving {
            let allowance = Allowance { hour_tokens: Some(100_000), ..Allowance::default() };
            Event::Configured(Config { consent: false, allowance, ..config() })
        } else {
            end
        };
        world.on(end);
        assert!(world.state().jobs.is_empty());
        assert!(counted(&world) > 1_000, "{is_leaving}");
    }
}

#[test]
fn what_runs_is_kept_before_it_ends() {
    let mut world = by_the_hour(100_000);
    begin(&mut world, &asking(1, &long()));
    let kept = |commands: &[Command]| {
        commands.iter().rev().find_map(|command| {
            if let Command::Remember(memory) = command {
                Some(memory.tally.hour(Moment(1_010_000)))
            } else {
                None
            }
        })
    };
    let commands = world.pass_acked(5_000);
    assert!(kept(&commands).unwrap() > 1_000);
    assert_eq!(counted(&world), 0, "it is counted once, at its end");
    let commands = world.on(Event::Stopped);
    assert!(kept(&commands).unwrap() > 1_000);
}

#[test]
fn jobs_stay_away_while_those_that_run_reach_the_limit() {
    let mut world = by_the_hour(1_500);
    begin(&mut world, &asking(1, &long()));
    let id = begin(&mut world, &asking(2, "hi"));
    world.head(id);
    for _ in 0..500 {
        world.on(Event::FetchBytes { id, bytes: PIECE });
    }
    world.on(Event::Tick);
    assert_eq!(world.state().closed.unwrap().reason.code, Why::HourSpent);
}

#[test]
fn a_job_whose_model_is_never_loaded_counts_nothing() {
    let asleep =
        r#"{"models":[{"type":"llm","key":"tiny-chat","loaded_instances":[],"max_context_length":32768}]}"#;
    let mut world = World::new();
    world.instead = [("/api/v1/models", (200, asleep.to_owned()))].into();
    let allowance = Allowance { hour_tokens: Some(100_000), ..Allowance::default() };
    let loading = Loading { which: Which::OnDemand, unload_minutes: None };
    world.start(Config { allowance, loading, ..config() }, Some(identity()));
    world.greet();
    let commands = world.frame(&asking(1, &long()));
    let [load] = &super::world::asks(&commands)[..] else { panic!("{commands:?}") };
    world.on(Event::Answered { id: load.id, answer: Answer::Failed });
    assert_eq!((world.state().jobs.len(), counted(&world)), (0, 0));
}

#[test]
fn a_prompt_plainly_past_the_largest_context_is_refused_whatever_the_relay_says() {
    let mut world = limited(Allowance { context_tokens: Some(512), ..Allowance::default() });
    assert_eq!(refusal(&mut world, &asking(1, &"word ".repeat(2_000))), json!("context_overflow"));
    // What may fit is the server's to judge.
    begin(&mut world, &asking(2, &"word ".repeat(800)));
    let mut greedy = asking(3, "hi");
    greedy["start"]["body"]["max_tokens"] = json!(50_000);
    let post = posts(&world.frame(&greedy)).pop().unwrap();
    let body: Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!(body["max_tokens"], json!(512));
    // A model's own context is a bound, too: this one has 1024 tokens.
    let mut world = World::ready();
    assert_eq!(refusal(&mut world, &asking(1, &"word ".repeat(4_000))), json!("context_overflow"));
}

#[test]
fn a_prompt_plainly_past_what_the_hour_has_left_is_refused() {
    let mut world = by_the_hour(200);
    assert_eq!(refusal(&mut world, &asking(1, &long())), json!("paused"));
    begin(&mut world, &asking(2, "hi"));
    assert_eq!(world.state().closed, None);
}

#[test]
fn several_prompts_in_one_job_are_refused() {
    let mut world = World::ready();
    let mut job = start(1);
    job["start"]["call"] = json!("completion");
    job["start"]["body"] = json!({"prompt": ["one", "two"]});
    assert_eq!(refusal(&mut world, &job), json!("bad_request"));
    job["start"]["body"] = json!({"prompt": ["one"]});
    begin(&mut world, &job);
}
