//! A price to begin with, and the month's data.

use rekursing_protocol::{Nanos, Price, Pricing};
use serde_json::json;

use super::world::{STREAM, World, config, identity, posts};
use crate::{
    agent::{Answer, Basis, Command, Config, Event, Memory, Why},
    choices::{Allowance, Currency, Power},
};

fn remembered(commands: &[Command]) -> Option<Memory> {
    let memory =
        |command: &Command| if let Command::Remember(memory) = command { Some(memory.clone()) } else { None };
    commands.iter().find_map(memory)
}

fn kept(commands: &[Command]) -> Option<Config> {
    let config = |command: &Command| {
        if let Command::Configure(config) = command { Some((**config).clone()) } else { None }
    };
    commands.iter().find_map(config)
}

/// Runs a self-test in which the tokens come a tenth of a second apart.
fn tested(config: Config) -> (World, Vec<Command>) {
    let mut world = World::new();
    world.start(Config { consent: false, ..config }, None);
    world.on(Event::Look);
    let post = posts(&world.on(Event::TryOut { address: None })).pop().unwrap();
    world.on(Event::FetchHead { id: post.id, status: 200, content_type: "text/event-stream" });
    let mut commands = Vec::new();
    for event in STREAM.split_inclusive("\n\n") {
        world.now.0 += 100;
        commands.extend(world.on(Event::FetchBytes { id: post.id, bytes: event.as_bytes() }));
    }
    commands.extend(world.on(Event::FetchEnd { id: post.id }));
    (world, commands)
}

#[test]
fn a_self_test_is_remembered_before_consent_and_proposes_the_cost_of_power() {
    let (world, commands) = tested(config());
    let memory = remembered(&commands).unwrap();
    let speed = memory.speeds["tiny-chat"];
    assert!((5_000..=15_000).contains(&speed), "{speed}");
    let model = world.state().models.remove(0);
    assert_eq!(model.tokens_per_second, u32::try_from(speed / 1_000).ok());
    let proposal = model.proposal.unwrap();
    assert_eq!((proposal.basis, proposal.watts), (Basis::UsualPower, Some(60)));

    let power =
        Power { watts: 300, per_kwh: Nanos::new(300_000_000), currency: Currency::default(), floor: false };
    let (mut world, _) = tested(Config { power: Some(power), ..config() });
    let cost = power.million_tokens(speed).unwrap();
    let proposal = world.state().models[0].proposal.clone().unwrap();
    let floor = Price::new(cost / 4, cost);
    assert_eq!((proposal.pricing, proposal.basis), (Pricing::Market { floor }, Basis::Power));
    let config = kept(&world.on(Event::Priced { model: "tiny-chat" })).unwrap();
    assert_eq!(config.prices["tiny-chat"], proposal.pricing);
    assert_eq!(world.state().models[0].pricing, Some(proposal.pricing));
    assert_eq!(kept(&world.on(Event::Priced { model: "unknown" })), None);
}

#[test]
fn where_others_serve_the_model_their_median_is_proposed_and_never_less_than_the_power() {
    let mut world = World::ready();
    world.pass_acked(1_000);
    let outlook = json!({
        "obstacles": [{"code": "dear", "model": "tiny-chat", "percent": 40, "median": {"input": 1, "output": 2}}],
        "models": [{
            "model": "tiny-chat", "ask": {"input": 5, "output": 9}, "others": 3,
            "market": {"lowest": {"input": 1, "output": 1}, "median": {"input": 100_000, "output": 400_000},
                       "highest": {"input": 9, "output": 9}},
            "requests": 9, "promptTokens": 1, "answerTokens": 1,
        }],
        "wanted": [], "countedMs": 1,
    });
    let commands = world.pass_acked(2_000);
    let ask = super::world::asks(&commands).into_iter().find(|ask| ask.url.contains("/outlook/")).unwrap();
    let body = outlook.to_string();
    world.on(Event::Answered { id: ask.id, answer: Answer::Reply { status: 200, body: body.as_bytes() } });
    let hint = world.state().outlook.remove(0);
    assert_eq!((hint.code.as_str(), hint.model.as_deref()), ("dear", Some("tiny-chat")));
    let commands = world.on(Event::Priced { model: "tiny-chat" });
    let median = Pricing::Fixed(Price::new(100_000, 400_000));
    assert_eq!(kept(&commands).unwrap().prices["tiny-chat"], median);
    let told = super::world::sent(&commands);
    assert_eq!(told[0]["inventory"]["offers"][0]["price"], json!({"input": 100_000, "output": 400_000}));
}

#[test]
fn the_data_of_a_month_is_counted_both_ways_and_ends_with_the_limit() {
    let allowance = Allowance { month_bytes: Some(2_000), ..Allowance::default() };
    let mut world = World::new();
    world.start(Config { allowance, ..config() }, Some(identity()));
    world.greet();
    let before = world.state().done.month_bytes;
    assert!(before > 300, "{before}");
    world.job(1);
    assert!(world.state().done.month_bytes > before + 200);
    let commands = world.pass_acked(400_000);
    assert_eq!(world.state().closed.map(|closed| closed.reason.code), Some(Why::MonthSpent));
    let memory = remembered(&commands).unwrap();
    assert!(commands.iter().filter(|command| matches!(command, Command::Remember(_))).count() < 10);
    let mut again = World::new();
    again.start_with(Config { allowance, ..config() }, memory);
    assert!(again.state().done.month_bytes > before);
}
