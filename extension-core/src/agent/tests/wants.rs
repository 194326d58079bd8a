use serde_json::{Value, json};

use super::world::{World, asks, config, identity};
use crate::agent::{Answer, Command, Config, Errand, Event, Method, Phase, Why};

const SECRET: &str = "shh";

fn want(world: &mut World, want: &Value) -> Vec<Command> {
    world.on(Event::Wanted { page: 3, text: &want.to_string() })
}

fn errand(commands: &[Command]) -> Errand {
    let [Command::Errand(errand)] = commands else { panic!("no errand in {commands:?}") };
    errand.clone()
}

/// Reads what page 3 was told.
fn told(commands: &[Command]) -> Value {
    let [Command::Tell { page: 3, text }] = commands else {
        panic!("page 3 was told nothing in {commands:?}")
    };
    serde_json::from_str(text).unwrap()
}

fn code(got: &Value) -> String {
    let body: Value = serde_json::from_str(got["body"].as_str().unwrap()).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn pages_reach_these_routes_of_the_relay_and_no_others() {
    let mut world = World::ready();
    let plugin = identity().plugin;
    let (job, payout) = ("job_01KJKRV5G0000000000000001A", "pay_01KA60B2M4N6P8R0S2T4V6W8XY");
    for (want_, method, path) in [
        (json!({"what": "earnings"}), Method::Get, format!("/api/plugin/earnings/{plugin}")),
        (json!({"what": "disputes"}), Method::Get, format!("/api/plugin/disputes/{plugin}")),
        (json!({"what": "receipt", "job": job}), Method::Get, format!("/api/jobs/{job}/receipt")),
        (json!({"what": "keys"}), Method::Get, "/.well-known/rekursing-receipts".to_owned()),
        (
            json!({"what": "statement", "month": "2026-03", "csv": true}),
            Method::Get,
            format!("/api/plugin/statements/{plugin}/2026-03?format=csv"),
        ),
        (json!({"what": "payouts"}), Method::Get, format!("/api/plugin/payouts/{plugin}")),
        (
            json!({"what": "set_method", "method": "paypal", "destination": "a@b", "schedule": "weekly"}),
            Method::Put,
            format!("/api/plugin/payouts/{plugin}/method"),
        ),
        (json!({"what": "forget_method"}), Method::Delete, format!("/api/plugin/payouts/{plugin}/method")),
        (json!({"what": "payout", "amount": "all"}), Method::Post, format!("/api/plugin/payouts/{plugin}")),
        (
            json!({"what": "cancel_payout", "payout": payout}),
            Method::Delete,
            format!("/api/plugin/payouts/{plugin}/{payout}"),
        ),
        (json!({"what": "phones"}), Method::Get, format!("/api/plugin/phones/{plugin}")),
        (json!({"what": "phone_code"}), Method::Post, format!("/api/plugin/phones/{plugin}/code")),
        (
            json!({"what": "forget_phone", "phone": "phn_01KA60B2M4N6P8R0S2T4V6W8XY"}),
            Method::Delete,
            format!("/api/plugin/phones/{plugin}/phn_01KA60B2M4N6P8R0S2T4V6W8XY"),
        ),
        (json!({"what": "group"}), Method::Get, format!("/api/plugin/group/{plugin}")),
        (
            json!({"what": "create_group", "input": "0", "output": "0"}),
            Method::Post,
            format!("/api/plugin/group/{plugin}"),
        ),
        (
            json!({"what": "price_group", "input": "0", "output": "0.1"}),
            Method::Put,
            format!("/api/plugin/group/{plugin}"),
        ),
        (json!({"what": "turn_group"}), Method::Post, format!("/api/plugin/group/{plugin}/code")),
        (
            json!({"what": "join_group", "code": "ABCD-EFGH-JKMN"}),
            Method::Post,
            format!("/api/plugin/group/{plugin}/join"),
        ),
        (
            json!({"what": "agree_group", "input": "0", "output": "0"}),
            Method::Post,
            format!("/api/plugin/group/{plugin}/agreed"),
        ),
        (
            json!({"what": "put_out", "member": format!("{plugin}")}),
            Method::Delete,
            format!("/api/plugin/group/{plugin}/members/{plugin}"),
        ),
        (json!({"what": "leave_group"}), Method::Delete, format!("/api/plugin/group/{plugin}")),
    ] {
        let mut message = want_;
        message["id"] = json!(1);
        let errand = errand(&want(&mut world, &message));
        assert_eq!((errand.method, errand.ask.url), (method, format!("http://relay:3002{path}")));
        assert_eq!(errand.ask.bearer.as_deref(), Some(SECRET));
        world.on(Event::Answered { id: errand.ask.id, answer: Answer::Failed });
    }
    for nonsense in [
        json!({"id": 1, "what": "https://elsewhere/"}),
        json!({"id": 1, "what": "receipt", "job": "../../operator/log"}),
        json!({"id": 1, "what": "receipt"}),
        json!({"id": 1, "what": "create_group", "input": "0"}),
        json!({"id": 1, "what": "join_group"}),
        json!({"id": 1, "what": "put_out", "member": "../../payouts"}),
        json!({"id": 1, "what": "statement", "month": "2026-03/..", "csv": false}),
        json!({"id": 1, "what": "payout", "amount": "1\nx"}),
        json!({"id": 1, "what": "payout", "amount": "1".repeat(256)}),
        json!({"what": "earnings"}),
        json!("earnings"),
    ] {
        assert_eq!(want(&mut world, &nonsense), [], "{nonsense}");
    }
}

#[test]
fn a_page_gets_the_relays_answer_and_never_the_secret() {
    let mut world = World::ready();
    let sent = errand(&want(&mut world, &json!({"id": 7, "what": "earnings"})));
    let answer = Answer::Reply { status: 200, body: b"{\"total\":\"1\"}" };
    let commands = world.on(Event::Answered { id: sent.ask.id, answer });
    assert!(!format!("{commands:?}").contains(SECRET));
    assert_eq!(told(&commands), json!({"type": "got", "id": 7, "status": 200, "body": "{\"total\":\"1\"}"}));
    assert_eq!(world.on(Event::Answered { id: sent.ask.id, answer }), [], "an answer is told once");

    let sent = errand(&want(&mut world, &json!({"id": 8, "what": "earnings"})));
    let got = told(&world.on(Event::Answered { id: sent.ask.id, answer: Answer::Failed }));
    assert_eq!((&got["status"], code(&got).as_str()), (&json!(0), "relay_unreachable"));
}

#[test]
fn a_payout_is_named_so_that_asking_again_makes_no_second_one() {
    let mut world = World::ready();
    let order = json!({"id": 1, "what": "payout", "amount": "12.34", "accept": "0.25", "once": "n-1"});
    let errand = errand(&want(&mut world, &order));
    assert_eq!(errand.once.as_deref(), Some("n-1"));
    let body: Value = serde_json::from_str(errand.ask.body.as_deref().unwrap()).unwrap();
    assert_eq!(body, json!({"amount": "12.34", "accept": "0.25"}));
}

#[test]
fn only_so_many_answers_are_waited_for_at_once() {
    let mut world = World::ready();
    let first = errand(&want(&mut world, &json!({"id": 0, "what": "earnings"})));
    for id in 1..8 {
        errand(&want(&mut world, &json!({"id": id, "what": "earnings"})));
    }
    assert_eq!(code(&told(&want(&mut world, &json!({"id": 8, "what": "earnings"})))), "busy");
    world.on(Event::Answered { id: first.ask.id, answer: Answer::Failed });
    errand(&want(&mut world, &json!({"id": 9, "what": "earnings"})));
}

#[test]
fn what_was_earned_is_told_also_after_the_consent_is_withdrawn_but_not_before_it_was_given() {
    let undecided = Config { consent: false, ..config() };
    let mut world = World::new();
    world.start(undecided.clone(), None);
    assert_eq!(code(&told(&want(&mut world, &json!({"id": 1, "what": "earnings"})))), "not_registered");

    let mut world = World::ready();
    world.on(Event::Configured(undecided));
    errand(&want(&mut world, &json!({"id": 1, "what": "payouts"})));

    let elsewhere = Config { relay: "ws://other:3002".to_owned(), ..config() };
    let mut world = World::new();
    world.start(elsewhere, Some(identity()));
    let commands = want(&mut world, &json!({"id": 1, "what": "payouts"}));
    assert_eq!(code(&told(&commands)), "not_registered", "the secret is another relay's");
}

#[test]
fn servers_are_looked_for_before_consent_only_when_the_owner_asks_and_for_a_minute() {
    let mut world = World::new();
    let undecided = Config { consent: false, ..config() };
    assert_eq!(world.start(undecided, None), [Command::Changed]);
    assert_eq!(world.agent.wake_at(), None);
    assert_eq!(world.state().server.reason.map(|reason| reason.code), Some(Why::NoConsent));

    let commands = world.on(Event::Look);
    assert_eq!(asks(&commands), [], "the relay hears nothing of it");
    let state = world.state();
    assert_eq!((state.server.address.as_deref(), state.server.reason), (Some("http://127.0.0.1:8080"), None));
    assert_eq!(state.models[0].model, "tiny-chat");
    assert_eq!(state.connection.phase, Phase::Off);

    world.models = None;
    assert_eq!(world.pass(30_000), [Command::Changed], "it goes on looking");
    assert_eq!(world.state().server.reason.map(|reason| reason.code), Some(Why::ServerSilent));
    world.pass(31_000);
    assert_eq!(world.agent.wake_at(), None);
    assert_eq!(world.state().server.reason.map(|reason| reason.code), Some(Why::NoConsent));
}

#[test]
fn servers_are_looked_for_also_after_the_consent_was_withdrawn() {
    let mut world = World::ready();
    world.on(Event::Configured(Config { consent: false, ..config() }));
    world.on(Event::Look);
    assert_eq!(world.state().models[0].model, "tiny-chat");
    assert_eq!(world.state().connection.phase, Phase::Off);
}

#[test]
fn what_was_found_before_consent_is_offered_as_soon_as_it_is_given() {
    let mut world = World::new();
    world.start(Config { consent: false, ..config() }, Some(identity()));
    world.on(Event::Look);
    let commands = world.on(Event::Configured(config()));
    assert!(commands.iter().any(|command| matches!(command, Command::OpenSocket { .. })), "{commands:?}");
    world.greet();
    world.pass_acked(90_000);
    assert_eq!(
        world.state().connection.phase,
        Phase::Ready,
        "the end of the look is not the end of the link"
    );
}
