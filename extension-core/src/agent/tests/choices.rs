//! What the owner chooses, as the relay and the model server see it.

use rekursing_protocol::{Nanos, Price, Pricing};
use serde_json::{Value, json};

use super::world::{STREAM, World, config, job_id, posts, sent, start};
use crate::{
    agent::{Command, Config, Event, Memory, Notice, Why},
    choices::{Allowance, Currency, Models, Pause, Power, Tally, When, Zone},
};

/// Returns whether jobs are let in, as often as the relay was told.
fn told(commands: &[Command]) -> Vec<bool> {
    let frames = sent(commands).into_iter();
    frames.filter_map(|frame| frame["inventory"]["paused"].as_bool()).map(|paused| !paused).collect()
}

fn offers(commands: &[Command]) -> Vec<Value> {
    let frames = sent(commands).into_iter();
    frames.filter_map(|frame| frame.get("inventory").map(|inventory| inventory["offers"].clone())).collect()
}

fn why(world: &World) -> Option<Why> {
    world.state().closed.map(|closed| closed.reason.code)
}

fn refused(world: &mut World, number: u128) -> bool {
    let frames = sent(&world.frame(&start(number)));
    frames.first().is_some_and(|frame| frame["fail"]["code"] == json!("paused"))
}

fn finish(world: &mut World, number: u128) -> Vec<Command> {
    let post = world.job(number);
    world.head(post.id);
    let mut commands = world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() });
    commands.extend(world.on(Event::FetchEnd { id: post.id }));
    commands
}

#[test]
fn a_pause_for_a_time_ends_by_itself() {
    let mut world = World::ready();
    let until = world.now + rekursing_protocol::Span::secs(3_600);
    let paused = Config { paused: Pause::Until(until), ..config() };
    assert_eq!(told(&world.on(Event::Configured(paused))), [false]);
    assert!(refused(&mut world, 1));
    assert_eq!((world.state().paused, world.state().paused_until), (true, Some(until)));
    assert!(told(&world.pass_acked(3_599_999)).is_empty());
    assert_eq!(told(&world.pass_acked(1)), [true]);
    assert_eq!((world.state().paused, world.state().paused_until), (false, None));
    world.job(2);
}

#[test]
fn a_pause_ends_by_the_clock_on_the_wall_though_the_computer_slept() {
    let mut world = World::ready();
    let hour = rekursing_protocol::Span::secs(3_600);
    let paused = Config { paused: Pause::Until(world.now + hour), ..config() };
    world.on(Event::Configured(paused));
    let woken = Notice::Clock { wall: world.now + hour, zone: Zone::default() };
    let commands = world.on(Event::Noticed(woken));
    assert_eq!(told(&commands), [true]);
    world.acknowledge(&commands);
    // From there on moments of both clocks are told apart.
    let again = Config { paused: Pause::Until(world.now + hour + hour), ..config() };
    assert_eq!(told(&world.on(Event::Configured(again))), [false]);
    assert!(told(&world.pass_acked(hour.0 - 1)).is_empty());
    assert_eq!(told(&world.pass_acked(1)), [true]);
}

#[test]
fn jobs_come_while_nobody_uses_the_computer() {
    let when = When { idle_minutes: Some(10), ..When::default() };
    let mut world = World::ready_with(Config { when, ..config() });
    assert_eq!(why(&world), Some(Why::InUse));
    assert!(!world.state().paused, "a rule is no pause");
    world.on(Event::Noticed(Notice::Idle));
    assert!(told(&world.pass_acked(539_999)).is_empty());
    assert_eq!(told(&world.pass_acked(1)), [true]);
    world.job(1);
    // A job that runs goes on when the owner comes back; new ones stay away.
    let commands = world.on(Event::Noticed(Notice::Used));
    assert_eq!((told(&commands), world.state().jobs.len()), (vec![false], 1));
    // A locked screen counts from the moment it was locked.
    world.on(Event::Noticed(Notice::Locked));
    assert!(told(&world.pass_acked(599_999)).is_empty());
    assert_eq!(told(&world.pass_acked(1)), [true]);
}

#[test]
fn running_jobs_are_given_back_where_the_owner_wants_it() {
    let when = When { mains_only: true, give_back: true, ..When::default() };
    let mut world = World::ready_with(Config { when, ..config() });
    let post = world.job(1);
    let commands = world.on(Event::Noticed(Notice::Battery(true)));
    assert!(commands.contains(&Command::Abort(post.id)));
    let failed = json!({"fail": {"job": job_id(1), "lease": 1, "code": "paused", "detail": ""}});
    assert!(sent(&commands).contains(&failed));
    assert_eq!((why(&world), world.state().jobs.len()), (Some(Why::OnBattery), 0));
    assert_eq!(told(&world.on(Event::Noticed(Notice::Battery(false)))), [true]);

    // A pause lets them finish all the same.
    world.job(2);
    world.on(Event::Configured(Config { paused: Pause::On, when, ..config() }));
    assert_eq!(world.state().jobs.len(), 1);
}

#[test]
fn the_owners_own_use_of_the_server_comes_first() {
    let when = When { own_use_first: true, ..When::default() };
    let mut world = World::ready_with(Config { when, ..config() });
    world.busy_slots = Some(0);
    world.pass_acked(4_000);
    let post = world.job(1);
    world.busy_slots = Some(1);
    assert!(told(&world.pass_acked(10_000)).is_empty(), "its own job is not somebody else's");
    world.busy_slots = Some(2);
    assert_eq!(told(&world.pass_acked(3_000)), [false]);
    assert_eq!((why(&world), world.state().servers[0].foreign), (Some(Why::OwnUse), Some(1)));
    world.on(Event::FetchFailed { id: post.id });
    world.busy_slots = Some(0);
    assert!(told(&world.pass_acked(56_000)).is_empty(), "a minute of rest");
    assert_eq!(told(&world.pass_acked(6_000)), [true]);
}

#[test]
fn a_job_that_was_dropped_is_not_taken_for_the_owners() {
    let when = When { own_use_first: true, ..When::default() };
    let mut world = World::ready_with(Config { when, ..config() });
    world.busy_slots = Some(1);
    world.job(1);
    world.pass_acked(3_000);
    world.frame(&json!({"cancel": {"job": job_id(1), "lease": 1}}));
    // The server notices late.
    assert!(told(&world.pass_acked(3_000)).is_empty());
    world.busy_slots = Some(0);
    assert!(told(&world.pass_acked(60_000)).is_empty());
}

#[test]
fn nobody_is_asked_for_load_that_nobody_looks_at() {
    let mut world = World::ready();
    world.pass_acked(60_000);
    assert!(!world.asked.iter().any(|url| url.ends_with("/slots")));
}

#[test]
fn tokens_are_counted_and_the_count_survives_a_restart() {
    let allowance = Allowance { hour_tokens: Some(50), ..Allowance::default() };
    let mut world = World::ready_with(Config { allowance, ..config() });
    // Each answer is 18 and 8 tokens.
    assert_eq!(told(&finish(&mut world, 1)), Vec::<bool>::new());
    assert_eq!(told(&finish(&mut world, 2)), [false]);
    assert!(refused(&mut world, 3));
    assert_eq!((why(&world), world.state().done.hour_tokens), (Some(Why::HourSpent), 52));
    let commands = world.pass_acked(5_000);
    let remembered =
        |command: &Command| if let Command::Remember(memory) = command { Some(memory.clone()) } else { None };
    let kept = commands.iter().find_map(remembered);
    let mut again = World::new();
    again.start_with(Config { allowance, ..config() }, kept.unwrap());
    again.greet();
    assert!(refused(&mut again, 4));
    assert_eq!(told(&again.pass_acked(3_600_000)), [true]);
}

#[test]
fn a_day_of_tokens_ends_at_local_midnight() {
    let allowance = Allowance { day_tokens: Some(1), ..Allowance::default() };
    let mut world = World::new();
    let mut tally = Tally::default();
    let zone = Zone::ahead(60);
    tally.count(1, zone, world.now);
    world.on(Event::Noticed(Notice::Clock { wall: world.now, zone }));
    world.start_with(Config { allowance, ..config() }, Memory { tally, ..Memory::default() });
    world.greet();
    assert_eq!(why(&world), Some(Why::DaySpent));
    let midnight = 23 * 3_600_000 - world.now.0;
    assert!(told(&world.pass_acked(midnight - 1)).is_empty());
    assert_eq!(told(&world.pass_acked(1)), [true]);
}

#[test]
fn an_answer_and_a_context_are_no_longer_than_the_owner_allows() {
    let allowance = Allowance { answer_tokens: Some(100), context_tokens: Some(512), ..Allowance::default() };
    let mut world = World::ready_with(Config { allowance, ..config() });
    assert_eq!(world.state().models[0].context, 512);
    let mut number = 0;
    let mut length = |asked: Value| {
        number += 1;
        let mut job = start(number);
        for (field, tokens) in asked.as_object().unwrap() {
            job["start"]["body"][field] = tokens.clone();
        }
        let post = posts(&world.frame(&job)).pop().unwrap();
        world.on(Event::FetchFailed { id: post.id });
        let body: Value = serde_json::from_str(&post.body).unwrap();
        assert_eq!(body.get("max_completion_tokens"), None);
        body["max_tokens"].clone()
    };
    assert_eq!(length(json!({})), json!(100));
    assert_eq!(length(json!({"max_tokens": 50})), json!(50));
    assert_eq!(length(json!({"max_completion_tokens": 5_000})), json!(100));
    assert_eq!(length(json!({"max_completion_tokens": 7, "max_tokens": 5_000})), json!(7));
}

#[test]
fn only_chosen_models_are_offered_and_done() {
    let said = |model: &str, offered| [(model.to_owned(), offered)].into();
    let none = Models { new: true, said: said("tiny-chat", false) };
    let mut world = World::ready();
    let commands = world.on(Event::Configured(Config { models: none, ..config() }));
    assert_eq!(offers(&commands), [json!([])]);
    let state = world.state();
    assert_eq!(state.withheld, ["tiny-chat"]);
    assert_eq!(state.server.reason.unwrap().code, Why::NoneChosen);
    assert_eq!(sent(&world.frame(&start(1)))[0]["fail"]["code"], json!("model_missing"));
    let only = Models { new: false, said: said("tiny-chat", true) };
    let commands = world.on(Event::Configured(Config { models: only, ..config() }));
    assert_eq!(offers(&commands)[0][0]["model"], json!("tiny-chat"));
    let new = Models { new: false, ..Models::default() };
    assert_eq!(offers(&world.on(Event::Configured(Config { models: new, ..config() }))), [json!([])]);
}

#[test]
fn no_price_is_below_the_cost_of_power_once_the_speed_is_known() {
    let currency = Currency::default();
    let power = Power { watts: 300, per_kwh: Nanos::new(300_000_000), currency, floor: true };
    let price = Some(Pricing::Market { floor: Price::new(1, 2) });
    let config = Config { price, power: Some(power), ..config() };
    let mut world = World::new();
    let speeds = [("tiny-chat".to_owned(), 50_000)].into();
    world.start_with(config.clone(), Memory { speeds, ..Memory::default() });
    world.greet();
    let model = &world.state().models[0];
    assert_eq!(model.pricing, Some(Pricing::Market { floor: Price::new(1, 500_000) }));
    assert_eq!((model.cost, model.below_cost), (Some(500_000), false));
    let power = Some(Power { floor: false, ..power });
    let commands = world.on(Event::Configured(Config { power, ..config }));
    assert_eq!(offers(&commands)[0][0]["price"], json!({"floor": {"input": 1, "output": 2}}));
    assert!(world.state().models[0].below_cost);
}

#[test]
fn the_journal_tells_times_and_codes_and_no_word_of_any_job() {
    let mut world = World::ready();
    finish(&mut world, 1);
    let post = world.job(2);
    world.on(Event::FetchFailed { id: post.id });
    world.on(Event::SocketClosed { code: 1006 });
    let journal = world.agent.journal();
    for line in [
        "1970-01-01 00:16:40 UTC ready models=1\n",
        "UTC job began model=tiny-chat\n",
        "UTC job done model=tiny-chat pieces=",
        "UTC job failed model=tiny-chat code=unreachable\n",
        "UTC closed code=1006\n",
        "UTC waiting models=1 link=relay_unreachable\n",
    ] {
        assert!(journal.contains(line), "{line} {journal}");
    }
    for secret in ["the-secret-prompt", "blue", "shh", "127.0.0.1"] {
        assert!(!journal.contains(secret), "{secret}");
    }
    for number in 0..1_000 {
        world.on(Event::Configured(Config { paused: [Pause::On, Pause::Off][number % 2], ..config() }));
    }
    assert_eq!(world.agent.journal().lines().count(), 300);
}
