//! Several model servers: each is watched, and a job goes to one that has its model.

use serde_json::{Value, json};

use super::world::{LLAMA_MODELS, LLAMA_PROPS, World, config, identity, posts, start};
use crate::agent::{Answer, Ask, Command, Config, Event, ModelServer, Why};

const ATTIC: &str = "http://attic:1234";
const CELLAR: &str = "http://cellar:1234";

fn two() -> Config {
    let attic = ModelServer { token: Some("attic's".to_owned()), ..ModelServer::at(ATTIC) };
    Config { servers: vec![attic, ModelServer::at(CELLAR)], slots: 8, ..config() }
}

/// What a server says to a question.
type Says = fn(&str) -> Option<(u16, String)>;

fn llama(path: &str) -> Option<(u16, String)> {
    match path {
        "/props" => Some((200, LLAMA_PROPS.to_owned())),
        "/v1/models" => Some((200, LLAMA_MODELS.to_owned())),
        _ => Some((404, "no".to_owned())),
    }
}

fn other(path: &str) -> Option<(u16, String)> {
    llama(path).map(|(status, body)| (status, body.replace("tiny-chat", "other-chat")))
}

fn silent(_: &str) -> Option<(u16, String)> {
    None
}

fn guarded(_: &str) -> Option<(u16, String)> {
    Some((401, String::new()))
}

fn web_page(_: &str) -> Option<(u16, String)> {
    Some((200, "<html>".to_owned()))
}

/// Lets both servers answer until nothing is asked any more, and returns what was asked of them.
fn settle(world: &mut World, attic: Says, cellar: Says) -> Vec<Ask> {
    let mut asked = Vec::new();
    loop {
        let commands: Vec<Command> = world.agent.commands(world.now).collect();
        let mut asks = super::world::asks(&commands);
        asks.retain(|ask| !ask.url.contains("relay"));
        if asks.is_empty() {
            return asked;
        }
        for ask in asks {
            let reply = match (ask.url.strip_prefix(ATTIC), ask.url.strip_prefix(CELLAR)) {
                (Some(path), _) => attic(path),
                (_, Some(path)) => cellar(path),
                (None, None) => panic!("{} was asked", ask.url),
            };
            let answer = match &reply {
                Some((status, body)) => Answer::Reply { status: *status, body: body.as_bytes() },
                None => Answer::Failed,
            };
            world.agent.handle(Event::Answered { id: ask.id, answer }, world.now);
            asked.push(ask);
        }
    }
}

fn ready(attic: Says, cellar: Says) -> (World, Vec<Ask>) {
    let mut world = World::new();
    let started = Event::Started {
        config: two(),
        identity: Some(identity()),
        memory: Box::default(),
        gpu: crate::gpu::recognise("Apple M2"),
    };
    world.agent.handle(started, world.now);
    let asked = settle(&mut world, attic, cellar);
    world.greet();
    (world, asked)
}

#[test]
fn a_model_of_two_servers_is_offered_once_with_the_slots_of_both() {
    let (mut world, asked) = ready(llama, llama);
    let models = world.state().models;
    assert_eq!((models.len(), models[0].slots), (1, 8));
    // Each server hears its own token and no other.
    for ask in asked {
        let token = ask.url.starts_with(ATTIC).then(|| "attic's".to_owned());
        assert_eq!(ask.bearer, token, "{}", ask.url);
    }
    let hosts: Vec<String> = (1..=4)
        .map(|number| {
            let post = world.job(number);
            assert_eq!(post.bearer.is_some(), post.url.starts_with(ATTIC));
            post.url.split('/').nth(2).unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(hosts, ["attic:1234", "cellar:1234", "attic:1234", "cellar:1234"]);
}

#[test]
fn a_job_goes_to_the_server_that_has_its_model() {
    let (mut world, _) = ready(llama, other);
    let addresses: Vec<String> = world.agent.servers().into_iter().map(|(address, _)| address).collect();
    assert_eq!(addresses, [ATTIC, CELLAR]);
    for (number, model, address) in [(1, "tiny-chat", ATTIC), (2, "other-chat", CELLAR)] {
        let mut job = start(number);
        job["start"]["model"] = json!(model);
        let post = posts(&world.frame(&job)).pop().unwrap();
        assert!(post.url.starts_with(address), "{}", post.url);
        let body: Value = serde_json::from_str(&post.body).unwrap();
        assert_eq!(body["model"], json!(model));
    }
}

#[test]
fn each_server_says_what_is_the_matter_with_it_while_the_other_works() {
    for (cellar, why) in
        [(silent as Says, Why::ServerSilent), (guarded, Why::TokenWanted), (web_page, Why::NotAServer)]
    {
        let (world, _) = ready(llama, cellar);
        let state = world.state();
        assert_eq!((state.server.address.as_deref(), state.server.reason), (Some(ATTIC), None));
        let reasons: Vec<_> =
            state.servers.iter().map(|server| server.reason.as_ref().map(|reason| reason.code)).collect();
        assert_eq!(reasons, [None, Some(why)]);
        assert_eq!(state.servers[1].address.as_deref(), Some(CELLAR));
    }
}

#[test]
fn no_token_goes_to_an_address_that_the_owner_has_not_named() {
    let mut world = World::new();
    let lone = Config { servers: Vec::new(), token: Some("secret".to_owned()), ..config() };
    world.start(lone.clone(), Some(identity()));
    world.models = None;
    let said = |world: &World| {
        let state = world.state();
        let reason = state.server.reason.unwrap();
        reason.reads_as_its_message();
        (reason.code, state.servers.first().and_then(|server| server.address.clone()))
    };
    let mut asked = Vec::new();
    let mut look = |world: &mut World, at: &str| {
        world.agent.handle(Event::Look, world.now);
        loop {
            let commands: Vec<Command> = world.agent.commands(world.now).collect();
            let mut asks = super::world::asks(&commands);
            asks.retain(|ask| !ask.url.contains("relay"));
            if asks.is_empty() {
                return;
            }
            for ask in asks {
                let is_there = ask.url.starts_with(at);
                let answer = if is_there { Answer::Reply { status: 401, body: b"" } } else { Answer::Failed };
                world.agent.handle(Event::Answered { id: ask.id, answer }, world.now);
                asked.push(ask);
            }
        }
    };
    // Whoever says that it wants a token may be anybody: the owner is told where it is, and asked.
    for at in ["http://127.0.0.1:9931", "http://127.0.0.1:1234"] {
        look(&mut world, at);
        assert_eq!(said(&world), (Why::TokenWanted, Some(at.to_owned())));
    }
    assert!(asked.len() > 6 && asked.iter().all(|ask| ask.bearer.is_none()));
}

#[test]
fn a_test_looks_at_every_server_at_once() {
    let (mut world, _) = ready(llama, silent);
    world.now = world.now + rekursing_protocol::Span::secs(1);
    world.agent.handle(Event::Probe, world.now);
    let asked = settle(&mut world, llama, llama);
    assert!(asked.iter().any(|ask| ask.url.starts_with(ATTIC)));
    let servers = world.state().servers;
    assert!(servers.iter().all(|server| server.looked_at == Some(world.now) && server.reason.is_none()));
    assert_eq!(world.state().models[0].slots, 8);
}

#[test]
fn a_test_that_finds_nothing_new_is_told_all_the_same() {
    let mut world = World::ready();
    assert_eq!(world.on(Event::Probe), [Command::Changed]);
    assert_eq!(world.pass_acked(14_000).iter().filter(|command| **command == Command::Changed).count(), 0);
}

#[test]
fn no_server_is_looked_at_before_the_owner_agreed() {
    let mut world = World::new();
    world.start(Config { consent: false, ..two() }, None);
    assert!(world.on(Event::Probe).is_empty());
    let servers = world.state().servers;
    assert_eq!(servers.len(), 2);
    for server in servers {
        assert_eq!((server.reason.unwrap().code, server.looked_at), (Why::NoConsent, None));
    }
}

#[test]
fn a_server_that_stays_in_the_settings_is_not_looked_for_anew() {
    let (mut world, _) = ready(llama, llama);
    let one = Config { servers: vec![two().servers.remove(1)], ..two() };
    world.agent.handle(Event::Configured(one), world.now);
    let state = world.state();
    assert_eq!((state.servers.len(), state.models.len()), (1, 1));
    assert_eq!(state.server.address.as_deref(), Some(CELLAR));
}
