//! Consent, registration, greeting, heartbeats, pauses and stops.

use rekursing_protocol::{Moment, Nanos, Price, frame::close};
use serde_json::json;

use super::world::{World, asks, config, identity, sent};
use crate::agent::{Answer, Ask, Command, Config, Event, Memory, Phase, Why};
use crate::choices::Pause;

fn opens(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::OpenSocket { .. })).count()
}

fn why(world: &World) -> Option<Why> {
    world.state().connection.reason.map(|reason| reason.code)
}

#[test]
fn nothing_happens_before_the_owner_says_yes() {
    let mut world = World::new();
    let silent = Config { consent: false, ..config() };
    assert_eq!(world.start(silent, Some(identity())), [Command::Changed]);
    assert_eq!(world.agent.wake_at(), None);
    assert_eq!(world.pass(600_000), []);
    assert_eq!(world.on(Event::Retry), [Command::Changed]);
    assert_eq!(world.on(Event::Tick), []);
    assert_eq!((world.state().connection.phase, why(&world)), (Phase::Off, Some(Why::NoConsent)));
    assert_eq!(opens(&world.on(Event::Configured(config()))), 1);
}

#[test]
fn taking_consent_back_closes_everything() {
    let mut world = World::ready();
    let post = world.job(1);
    let commands = world.on(Event::Configured(Config { consent: false, ..config() }));
    assert_eq!(commands, [Command::Abort(post.id), Command::CloseSocket(1000), Command::Changed]);
    assert_eq!(world.pass(600_000), []);
    assert!(world.state().models.is_empty() && world.state().jobs.is_empty());
}

#[test]
fn registers_once_and_keeps_the_identity() {
    let mut world = World::new();
    let commands = world.start(config(), None);
    let register = asks(&commands).pop().unwrap();
    assert_eq!((register.url.as_str(), register.bearer), ("http://relay:3002/api/plugin/register", None));
    let body: serde_json::Value = serde_json::from_str(&register.body.unwrap()).unwrap();
    assert_eq!((&body["gpu"]["model"], &body["models"][0]["model"]), (&json!("M2"), &json!("tiny-chat")));
    assert_eq!(opens(&commands), 0);

    let body = json!({"pluginId": identity().plugin, "secret": "shh"}).to_string();
    let answer = Answer::Reply { status: 201, body: body.as_bytes() };
    let commands = world.on(Event::Answered { id: register.id, answer });
    let url = "ws://relay:3002/api/plugin/connect".to_owned();
    assert_eq!(commands, [Command::Save(identity()), Command::OpenSocket { url }, Command::Changed]);
}

#[test]
fn a_registration_that_fails_is_tried_again() {
    for (answer, reason) in [
        (Answer::Failed, Why::RelayUnreachable),
        (Answer::Reply { status: 500, body: b"{}" }, Why::RelayRefused),
        (Answer::Reply { status: 201, body: b"{}" }, Why::RelayRefused),
    ] {
        let mut world = World::new();
        let register = asks(&world.start(config(), None)).pop().unwrap();
        world.on(Event::Answered { id: register.id, answer });
        assert_eq!((world.state().connection.phase, why(&world)), (Phase::Waiting, Some(reason)));
        assert_eq!(asks(&world.pass(1_000)).len(), 1);
    }
}

#[test]
fn the_secret_of_one_relay_is_not_shown_to_another() {
    let mut world = World::new();
    let elsewhere = Config { relay: "ws://other:3002".to_owned(), ..config() };
    let commands = world.start(elsewhere, Some(identity()));
    assert_eq!(asks(&commands).len(), 1);
    assert!(!format!("{commands:?}").contains("shh"));

    let mut world = World::ready();
    let commands = world.on(Event::Configured(Config { relay: "ws://other:3002".to_owned(), ..config() }));
    assert!(commands.contains(&Command::CloseSocket(1000)));
    assert_eq!(asks(&commands)[0].url, "http://other:3002/api/plugin/register");
}

#[test]
fn says_who_it_is_when_greeted() {
    let mut world = World::new();
    let priced = Config { price: Some(Price::new(1, 2).into()), ..config() };
    assert_eq!(opens(&world.start(priced, Some(identity()))), 1);
    assert_eq!(world.state().connection.phase, Phase::Connecting);
    let commands = world.greet();
    let identify = &sent(&commands)[0]["identify"];
    assert_eq!(identify["plugin"], json!(identity().plugin));
    assert_eq!(
        (&identify["secret"], &identify["agent"], &identify["version"]),
        (&json!("shh"), &json!("test/1"), &json!(1))
    );
    assert_eq!(identify["inventory"]["slots"], json!(2));
    assert_eq!(identify["inventory"]["offers"][0]["price"], json!({"input": 1, "output": 2}));
    assert_eq!((world.state().connection.phase, why(&world)), (Phase::Ready, None));
    let earnings = asks(&commands).pop().unwrap();
    assert!(earnings.url.ends_with(&identity().plugin.to_string()));
    assert_eq!(earnings.bearer.as_deref(), Some("shh"));
}

#[test]
fn beats_within_the_first_interval_and_then_every_one() {
    let mut world = World::ready();
    let began = world.now.0;
    let commands = world.pass_acked(100_000);
    let beats: Vec<_> =
        sent(&commands).into_iter().filter(|frame| frame.get("heartbeat").is_some()).collect();
    assert!(beats.len() >= 5 && beats.len() <= 6, "{} beats since {began}", beats.len());
    let numbers: Vec<_> = beats.iter().map(|beat| beat["heartbeat"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=beats.len() as u64).collect::<Vec<_>>());
    assert_eq!(world.state().connection.phase, Phase::Ready);
}

#[test]
fn a_relay_that_falls_silent_is_left() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    let mut commands = Vec::new();
    while world.state().connection.phase == Phase::Ready {
        commands.extend(world.pass(1_000));
        if world.now.0 > 1_050_000 {
            panic!("the silence was not noticed");
        }
        world.on(Event::FetchBytes {
            id: post.id,
            bytes: b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        });
    }
    assert!(commands.contains(&Command::CloseSocket(4900)));
    assert!(commands.contains(&Command::Abort(post.id)));
}

#[test]
fn a_lost_link_is_tried_again_after_ever_longer_pauses() {
    let mut world = World::ready();
    let mut longest = 0;
    for _ in 0..40 {
        world.on(Event::SocketClosed { code: 1006 });
        assert_eq!(
            (world.state().connection.phase, why(&world)),
            (Phase::Waiting, Some(Why::RelayUnreachable))
        );
        let began = world.now.0;
        while opens(&world.pass(1)) == 0 {
            assert!(world.now.0 - began <= 20_001);
        }
        longest = longest.max(world.now.0 - began);
    }
    assert!(longest > 10_000, "{longest}");
    // A session that held makes the next pause short.
    world.greet();
    world.pass_acked(61_000);
    world.on(Event::SocketClosed { code: 1001 });
    assert_eq!(opens(&world.pass(1_001)), 1);
}

#[test]
fn a_final_close_stops_until_the_owner_acts() {
    for (code, reason) in [
        (close::VERSION, Why::TooOld),
        (close::REPLACED, Why::Replaced),
        (close::REVOKED, Why::KeyRevoked),
        (close::UNAUTHORIZED, Why::RelayUnauthorized),
    ] {
        assert!(close::is_final(code));
        let mut world = World::ready();
        world.on(Event::SocketClosed { code });
        assert_eq!((world.state().connection.phase, why(&world)), (Phase::Off, Some(reason)));
        assert_eq!(opens(&world.pass(600_000)), 0);
        let commands = world.on(Event::Retry);
        assert_eq!((asks(&commands).len(), opens(&commands)), (0, 1), "nobody is anybody else by a retry");
    }
}

/// Returns what was to be remembered last.
fn remembered(commands: &[Command]) -> Option<Memory> {
    let remembered =
        |command: &Command| if let Command::Remember(memory) = command { Some(memory.clone()) } else { None };
    commands.iter().rev().find_map(remembered)
}

fn registered(world: &mut World, commands: &[Command], plugin: &str) -> Vec<Command> {
    let [ask] = &asks(commands)[..] else { panic!("{commands:?}") };
    let body = json!({"pluginId": plugin, "secret": "new"}).to_string();
    world.on(Event::Answered { id: ask.id, answer: Answer::Reply { status: 201, body: body.as_bytes() } })
}

#[test]
fn who_is_unknown_becomes_somebody_new_only_when_the_owner_says_so_and_is_kept() {
    let mut world = World::ready();
    // Where the relay knows it there is nothing to agree to.
    world.on(Event::Renew);
    assert_eq!(world.state().plugin, Some(identity().plugin));
    world.on(Event::SocketClosed { code: close::UNAUTHORIZED });
    let commands = world.on(Event::Renew);
    let memory = remembered(&commands).unwrap();
    assert_eq!((memory.unknown, memory.elsewhere.len()), (vec![identity()], 0));
    let commands = registered(&mut world, &commands, "plg_00000000000000000000000009");
    assert_eq!(opens(&commands), 1);
    assert!(commands.iter().any(|command| matches!(command, Command::Save(_))));
    // It is not taken for an identity that could be tried again.
    world.on(Event::SocketClosed { code: close::UNAUTHORIZED });
    let commands = world.on(Event::Renew);
    assert_eq!((asks(&commands).len(), remembered(&commands).unwrap().unknown.len()), (1, 2));
}

#[test]
fn another_relay_takes_no_identity_away() {
    let mut world = World::ready();
    let other = Config { relay: "ws://other:3002".to_owned(), ..config() };
    let commands = world.on(Event::Configured(other.clone()));
    let commands = registered(&mut world, &commands, "plg_00000000000000000000000009");
    let memory = remembered(&commands).unwrap();
    assert_eq!((&memory.elsewhere, memory.unknown.len()), (&vec![identity()], 0));
    // Back with the first, also after a restart, it is who it was.
    let mut again = World::new();
    again.start_with(config(), memory);
    let saved = |commands: &[Command]| {
        commands.iter().find_map(|command| {
            if let Command::Save(identity) = command { Some(identity.clone()) } else { None }
        })
    };
    let commands = world.on(Event::Configured(config()));
    assert_eq!((saved(&commands), asks(&commands).len(), opens(&commands)), (Some(identity()), 0, 1));
    let commands = world.on(Event::Configured(other));
    assert_eq!(saved(&commands).unwrap().relay, "http://other:3002");
}

#[test]
fn three_misunderstandings_in_ten_minutes_stop_the_agent() {
    let mut world = World::ready();
    for count in 1..=3 {
        world.on(Event::SocketClosed { code: close::BAD_FRAME });
        let phase = if count < 3 { Phase::Waiting } else { Phase::Off };
        assert_eq!(world.state().connection.phase, phase);
        world.pass(10_000);
        world.greet();
    }
    assert_eq!(why(&world), Some(Why::BadFrames));
}

#[test]
fn another_version_is_not_talked_to() {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    let commands =
        world.frame(&json!({"hello": {"version": 2, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536}}));
    assert_eq!(commands, [Command::CloseSocket(close::VERSION), Command::Changed]);
    assert_eq!(why(&world), Some(Why::TooOld));
    assert_eq!(opens(&world.pass(600_000)), 0, "only an update helps");
}

#[test]
fn an_older_relay_is_tried_again() {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    world.frame(&json!({"hello": {"version": 0, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536}}));
    assert_eq!((world.state().connection.phase, why(&world)), (Phase::Waiting, Some(Why::RelayOld)));
    assert!(opens(&world.pass(60_000)) > 0);
}

#[test]
fn a_relay_that_does_not_greet_is_left() {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    world.on(Event::SocketOpen);
    assert!(world.pass(10_000).iter().any(|command| matches!(command, Command::CloseSocket(_))));
}

#[test]
fn frames_that_cannot_be_are_not_lived_with() {
    for text in
        ["", "{", "{\"dance\":{}}", "{\"hello\":{\"version\":1,\"heartbeat_ms\":1,\"frame_bytes_max\":1}}"]
    {
        let mut world = World::ready();
        let commands = world.on(Event::Frame(text));
        assert_eq!(commands, [Command::CloseSocket(close::BAD_FRAME), Command::Changed], "{text}");
    }
}

#[test]
fn a_draining_relay_is_left_once_idle() {
    let mut world = World::ready();
    let post = world.job(1);
    world.frame(&json!({"drain": {"deadline_ms": 30_000, "spread_ms": 5_000}}));
    let closes = |commands: &[Command]| commands.contains(&Command::CloseSocket(1000));
    assert!(!closes(&world.pass_acked(6_000)));
    world.on(Event::FetchFailed { id: post.id });
    assert!(closes(&world.pass_acked(10)));
    assert_eq!(why(&world), Some(Why::Draining));
    assert_eq!(opens(&world.pass(1_000)), 1);
}

#[test]
fn an_address_that_is_none_is_named_as_such() {
    let mut world = World::new();
    world.start(Config { relay: "relay".to_owned(), ..config() }, None);
    assert_eq!((world.state().connection.phase, why(&world)), (Phase::Off, Some(Why::BadRelayAddress)));
}

#[test]
fn stopping_says_goodbye() {
    let mut world = World::ready();
    let post = world.job(1);
    let commands = world.on(Event::Stopped);
    assert_eq!(commands, [Command::Abort(post.id), Command::CloseSocket(1000), Command::Changed]);
    assert_eq!(world.agent.wake_at(), None);
}

#[test]
fn earnings_are_asked_for_after_settlements_together_and_every_minute() {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    let first = asks(&world.greet()).pop().unwrap();
    let earnings = json!({
        "pluginId": identity().plugin, "available": "0.5", "held": "0.25", "paid": "0", "today": "0.25",
        "releases": [{"at": 5, "amount": "0.1"}, {"at": 9, "amount": "0.15"}],
        "last7Days": "0", "last30Days": "0", "total": "0.75", "jobs": 3, "models": [], "recent": [],
    });
    let body = earnings.to_string();
    world.on(Event::Answered { id: first.id, answer: Answer::Reply { status: 200, body: body.as_bytes() } });
    let seen = world.state().earnings.unwrap();
    assert_eq!((seen.total.to_string().as_str(), seen.held_until), ("0.75", Some(Moment(9))));

    let settled = json!({"settled": {"job": super::world::job_id(1), "earned": "0.1", "prompt_tokens": 1, "answer_tokens": 1, "at": 0}});
    world.frame(&settled);
    world.frame(&settled);
    let asked = of("earnings", &world.pass_acked(2_000));
    assert_eq!(asked.len(), 1);
    world.on(Event::Answered { id: asked[0].id, answer: Answer::Failed });
    assert_eq!(world.state().earnings.unwrap().total.to_string(), "0.75");
    assert_eq!(of("earnings", &world.pass_acked(59_000)).len(), 0);
    assert_eq!(of("earnings", &world.pass_acked(2_000)).len(), 1);
}

#[test]
fn why_no_job_comes_is_asked_for_every_minute_and_said_in_the_owners_words() {
    let mut world = World::new();
    world.start(config(), Some(identity()));
    world.greet();
    let asked = of("outlook", &world.pass_acked(3_000)).pop().unwrap();
    assert!(asked.url.ends_with(&identity().plugin.to_string()));
    assert_eq!((asked.bearer.as_deref(), asked.body), (Some("shh"), None));
    let side = |price: u64| json!({"input": price, "output": 2 * price});
    let market = json!({"lowest": side(50_000), "median": side(70_000), "highest": side(80_000)});
    let model = json!({
        "model": "tiny-chat", "ask": side(1_000_000), "others": 2, "market": market, "requests": 9,
        "promptTokens": 3_000_000, "answerTokens": 0,
    });
    let outlook = json!({"models": [model], "wanted": [], "countedMs": 7_200_000, "quality": {"permille": 412, "voices": 9}, "obstacles": [
        {"code": "paused"},
        {"code": "dear", "model": "tiny-chat", "percent": 42, "median": {"input": 1, "output": 2}},
        {"code": "too_short", "model": "tiny-chat", "context": 512, "permille": 605},
        {"code": "not_wanted", "model": "tiny-chat", "instead": {"model": "big-chat", "requests": 214}},
    ]});
    let body = outlook.to_string();
    let answer = Answer::Reply { status: 200, body: body.as_bytes() };
    assert_eq!(world.on(Event::Answered { id: asked.id, answer }), [Command::Changed]);
    let hints = world.state().outlook;
    let codes: Vec<&str> = hints.iter().map(|hint| hint.code.as_str()).collect();
    assert_eq!(codes, ["dear", "too_short", "not_wanted", "thumbs"], "that it is paused the owner knows");
    let market = world.state().models[0].market.clone().unwrap();
    // Three dollars in two hours, for three who serve it.
    assert_eq!((market.others, market.requests, market.hourly), (2, 9, Some(Nanos::new(500_000_000))));
    assert!(hints[0].text.contains("42 %") && hints[1].text.contains("60 %"), "{hints:?}");
    assert!(hints[2].text.ends_with("big-chat was asked for 214 times."), "{hints:?}");

    assert_eq!(of("outlook", &world.pass_acked(59_000)).len(), 0);
    let asked = of("outlook", &world.pass_acked(2_000)).pop().unwrap();
    let answer = Answer::Reply { status: 429, body: b"{}" };
    world.on(Event::Answered { id: asked.id, answer });
    assert_eq!(world.state().outlook.len(), 4, "a relay that does not tell changes nothing");
    world.on(Event::Configured(Config { paused: Pause::On, ..config() }));
    assert_eq!(world.state().outlook, []);
}

/// Takes what is asked of one of the relay's routes.
fn of(route: &str, commands: &[Command]) -> Vec<Ask> {
    let part = format!("/api/plugin/{route}/");
    asks(commands).into_iter().filter(|ask| ask.url.contains(&part)).collect()
}
