//! The device key: registering with it, signing on the link and for passes, and the move from a secret to it.

use serde_json::{Value, json};

use super::world::{World, asks, config, identity, sent};
use crate::agent::{Answer, Ask, Command, Config, Errand, Event, Identity, Phase, Proof, Sign, Why};

const KEY: &str = "the-public-key";

fn keyed() -> Identity {
    Identity { secret: None, ..identity() }
}

fn world(key: Option<&'static str>) -> World {
    World { key, ..World::new() }
}

fn hello(nonce: Option<&str>) -> Value {
    let mut hello = json!({"version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536});
    if let Some(nonce) = nonce {
        hello["nonce"] = json!(nonce);
    }
    json!({"hello": hello})
}

fn ready(keyed: bool) -> Value {
    json!({"ready": {"session": "ses_00000000000000000000000001", "keyed": keyed}})
}

fn reply(world: &mut World, ask: &Ask, body: &Value) -> Vec<Command> {
    let body = body.to_string();
    world.on(Event::Answered { id: ask.id, answer: Answer::Reply { status: 200, body: body.as_bytes() } })
}

fn saved(commands: &[Command]) -> Vec<Identity> {
    let saved = commands.iter().filter_map(|command| {
        if let Command::Save(identity) = command { Some(identity.clone()) } else { None }
    });
    saved.collect()
}

fn errands(commands: &[Command]) -> Vec<Errand> {
    let errands = commands.iter().filter_map(|command| {
        if let Command::Errand(errand) = command { Some(errand.clone()) } else { None }
    });
    errands.collect()
}

/// Lets a pass be got, and returns what follows.
fn pass(world: &mut World, commands: &[Command]) -> Vec<Command> {
    let challenge = asks(commands).into_iter().find(|ask| ask.url.ends_with("/challenge")).unwrap();
    let commands = reply(world, &challenge, &json!({"nonce": "n2", "holdsMs": 60_000}));
    let redeem = asks(&commands).pop().unwrap();
    assert_eq!(redeem.url, "http://relay:3002/api/plugin/pass");
    let body: Value = serde_json::from_str(redeem.body.as_deref().unwrap()).unwrap();
    let signature = format!("signed rekursing-device-v1\npass\n1\nrelay:3002\n{}\nn2", identity().plugin);
    assert_eq!(body, json!({"pluginId": identity().plugin, "nonce": "n2", "signature": signature}));
    reply(world, &redeem, &json!({"pass": "rpp_1", "holdsMs": 600_000}))
}

#[test]
fn a_device_key_registers_and_no_secret_is_kept() {
    let mut world = world(Some(KEY));
    let register = asks(&world.start(config(), None)).pop().unwrap();
    let body: Value = serde_json::from_str(register.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["key"], KEY);
    let commands = reply(&mut world, &register, &json!({"pluginId": identity().plugin}));
    assert_eq!(saved(&commands), [keyed()]);
}

#[test]
fn a_relay_that_takes_no_key_gives_a_secret_which_is_kept() {
    let mut world = world(Some(KEY));
    let register = asks(&world.start(config(), None)).pop().unwrap();
    let commands = reply(&mut world, &register, &json!({"pluginId": identity().plugin, "secret": "shh"}));
    assert_eq!(saved(&commands), [identity()]);
    world.on(Event::SocketOpen);
    let identify = &sent(&world.frame(&hello(None)))[0]["identify"];
    assert_eq!(
        (&identify["secret"], &identify["signature"], &identify["key"]),
        (&json!("shh"), &Value::Null, &Value::Null)
    );
    assert!(world.signed.is_empty());
}

#[test]
fn the_key_signs_the_nonce_for_this_relay_and_plugin_and_nothing_secret_is_sent() {
    let mut world = world(Some(KEY));
    world.start(config(), Some(keyed()));
    world.on(Event::SocketOpen);
    let identify = &sent(&world.frame(&hello(Some("n1"))))[0]["identify"];
    let text = format!("rekursing-device-v1\nlink\n1\nrelay:3002\n{}\nn1", identity().plugin);
    assert_eq!(world.signed, std::slice::from_ref(&text));
    assert_eq!(identify["signature"], format!("signed {text}"));
    assert!(identify.get("secret").is_none() && identify.get("key").is_none());
    let commands = world.frame(&ready(false));
    assert_eq!(world.state().connection.phase, Phase::Ready);
    assert!(saved(&commands).is_empty());
}

#[test]
fn a_secret_gives_way_to_the_key_once_the_relay_has_said_so() {
    let mut world = self::world(Some(KEY));
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    let identify = &sent(&world.frame(&hello(Some("n1"))))[0]["identify"];
    assert_eq!((&identify["secret"], &identify["key"]), (&json!("shh"), &json!(KEY)));
    assert!(identify["signature"].as_str().unwrap().starts_with("signed "));
    let commands = world.frame(&ready(true));
    assert_eq!(saved(&commands), [keyed()]);

    let mut refused = self::world(Some(KEY));
    refused.start(config(), Some(identity()));
    refused.on(Event::SocketOpen);
    refused.frame(&hello(Some("n1")));
    assert!(saved(&refused.frame(&ready(false))).is_empty(), "the relay goes on taking the secret");
}

#[test]
fn without_a_device_key_the_secret_serves_as_before() {
    let mut world = world(None);
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    let identify = &sent(&world.frame(&hello(Some("n1"))))[0]["identify"];
    assert_eq!(
        (&identify["secret"], identify.get("signature"), identify.get("key")),
        (&json!("shh"), None, None)
    );
}

#[test]
fn a_key_that_is_gone_or_not_taken_is_said_and_tried_again() {
    for nonce in [Some("n1"), None] {
        let mut world = world(None);
        world.start(config(), Some(keyed()));
        world.on(Event::SocketOpen);
        let commands = world.frame(&hello(nonce));
        assert!(sent(&commands).is_empty() && commands.contains(&Command::CloseSocket(4003)), "{commands:?}");
        let connection = world.state().connection;
        assert_eq!(connection.phase, Phase::Waiting);
        assert_eq!(connection.reason.unwrap().code, Why::KeyUnusable);
        let opens = world.pass(2_000);
        assert!(opens.iter().any(|command| matches!(command, Command::OpenSocket { .. })));
    }
}

#[test]
fn a_key_that_does_not_answer_is_not_waited_for_long_and_its_late_answer_changes_nothing() {
    let mut agent = World::new();
    agent.start(config(), Some(identity()));
    agent.on(Event::SocketOpen);
    agent.agent.handle(Event::Frame(&hello(Some("n1")).to_string()), agent.now);
    let sign: Vec<Sign> = agent
        .agent
        .commands(agent.now)
        .filter_map(|command| if let Command::Sign(sign) = command { Some(sign) } else { None })
        .collect();
    let sent_later = sent(&agent.pass(3_000));
    assert_eq!(sent_later[0]["identify"]["secret"], "shh", "{sent_later:?}");
    let proof = Some(Proof { key: KEY.to_owned(), signature: "late".to_owned() });
    assert_eq!(agent.on(Event::Signed { id: sign[0].id, proof }), []);
}

#[test]
fn what_pages_want_waits_for_a_pass_and_the_pass_serves_again_until_its_end() {
    let mut world = world(Some(KEY));
    let off = Config { consent: false, ..config() };
    world.start(off, Some(keyed()));
    let want = |world: &mut World, id: u64| {
        let text = json!({"type": "want", "id": id, "what": "earnings"}).to_string();
        world.on(Event::Wanted { page: 1, text: &text })
    };
    let first = want(&mut world, 1);
    assert!(errands(&first).is_empty());
    assert!(asks(&want(&mut world, 2)).is_empty(), "one pass is enough for all");
    let sent = errands(&pass(&mut world, &first));
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|errand| errand.ask.bearer.as_deref() == Some("rpp_1")));
    assert_eq!(errands(&want(&mut world, 3))[0].ask.bearer.as_deref(), Some("rpp_1"));
    world.pass(570_000);
    assert_eq!(asks(&want(&mut world, 4)).len(), 1, "the pass is over and another is asked for");
}

#[test]
fn pages_are_told_when_no_pass_comes_and_may_ask_again_at_once() {
    let mut world = world(Some(KEY));
    world.start(Config { consent: false, ..config() }, Some(keyed()));
    let text = json!({"type": "want", "id": 1, "what": "earnings"}).to_string();
    for _ in 0..2 {
        let asked = asks(&world.on(Event::Wanted { page: 1, text: &text }));
        let told = world.on(Event::Answered { id: asked[0].id, answer: Answer::Failed });
        assert!(format!("{told:?}").contains("relay_unreachable"), "{told:?}");
    }
}

#[test]
fn a_pass_that_the_relay_does_not_take_is_asked_for_anew() {
    let mut world = world(Some(KEY));
    world.start(Config { consent: false, ..config() }, Some(keyed()));
    let text = json!({"type": "want", "id": 1, "what": "earnings"}).to_string();
    let asked = world.on(Event::Wanted { page: 1, text: &text });
    let errand = errands(&pass(&mut world, &asked)).pop().unwrap();
    let answer = Answer::Reply { status: 401, body: b"{}" };
    world.on(Event::Answered { id: errand.ask.id, answer });
    assert_eq!(asks(&world.on(Event::Wanted { page: 1, text: &text })).len(), 1);
}

#[test]
fn what_the_agent_asks_for_itself_waits_for_a_pass_without_asking_again_and_again() {
    let mut world = world(Some(KEY));
    world.start(config(), Some(keyed()));
    world.on(Event::SocketOpen);
    world.frame(&hello(Some("n1")));
    let commands = world.frame(&ready(false));
    assert_eq!(asks(&commands).len(), 1, "{commands:?}");
    assert!(asks(&world.pass(1_000)).is_empty());
    let after = pass(&mut world, &commands);
    let earnings = asks(&after).pop().unwrap();
    assert!(earnings.url.contains("/api/plugin/earnings/"));
    assert_eq!(earnings.bearer.as_deref(), Some("rpp_1"));
}

#[test]
fn a_pass_of_one_relay_is_not_shown_to_another() {
    let mut world = world(Some(KEY));
    world.start(Config { consent: false, ..config() }, Some(keyed()));
    let text = json!({"type": "want", "id": 1, "what": "earnings"}).to_string();
    let asked = world.on(Event::Wanted { page: 1, text: &text });
    pass(&mut world, &asked);
    let elsewhere = Config { relay: "ws://other:3002".to_owned(), consent: false, ..config() };
    world.on(Event::Configured(elsewhere));
    let commands = world.on(Event::Wanted { page: 1, text: &text });
    assert!(!format!("{commands:?}").contains("rpp_1"));
}
