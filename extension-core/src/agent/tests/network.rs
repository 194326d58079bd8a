//! Networks that go and come back, computers that sleep, clocks that are set.

use rekursing_protocol::{Moment, frame::close};
use serde_json::json;

use super::world::{World, asks, config, sent};
use crate::{
    agent::{Answer, Command, Event, Notice, Phase, Why},
    choices::Zone,
};

fn opens(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::OpenSocket { .. })).count()
}

fn beats(commands: &[Command]) -> usize {
    sent(commands).iter().filter(|frame| frame.get("heartbeat").is_some()).count()
}

fn standing(world: &World) -> (Phase, Option<Why>) {
    let connection = world.state().connection;
    (connection.phase, connection.reason.map(|reason| reason.code))
}

fn network(world: &mut World) -> Vec<Command> {
    world.on(Event::Noticed(Notice::Network))
}

/// The wall shows the agent's own time and so much more.
fn clock(world: &mut World, ahead: u64) -> Vec<Command> {
    let wall = Moment(world.now.0 + ahead);
    world.on(Event::Noticed(Notice::Clock { wall, zone: Zone::default() }))
}

/// An agent whose relay cannot be reached for so long that its pauses are the longest.
fn away() -> World {
    let mut world = World::ready();
    lose(&mut world, 20);
    world
}

/// Has so many tries fail in a row.
fn lose(world: &mut World, times: usize) {
    for _ in 0..times {
        world.on(Event::SocketClosed { code: 1006 });
        while opens(&world.pass(100)) == 0 {}
    }
    world.on(Event::SocketClosed { code: 1006 });
}

#[test]
fn whoever_is_in_the_network_again_is_back_within_half_a_minute() {
    for _ in 0..20 {
        let mut world = away();
        // The try that is under way hangs as long as one can, and then comes the longest pause.
        while opens(&world.pass(1)) == 0 {}
        let began = world.now.0;
        while opens(&world.pass(1)) == 0 {
            assert!(world.now.0 - began <= 30_001);
        }
    }
}

#[test]
fn answers_in_the_middle_are_not_kept_waiting_for_long() {
    let mut world = World::new();
    world.start(config(), Some(super::world::identity()));
    world.on(Event::SocketOpen);
    let hello =
        json!({"version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536, "resume_ms": 300_000});
    world.frame(&json!({"hello": hello}));
    world.frame(&json!({"ready": {"session": "ses_00000000000000000000000001", "token": "t"}}));
    let post = world.job(1);
    world.head(post.id);
    for _ in 0..30 {
        world.on(Event::SocketClosed { code: 1006 });
        assert_eq!(opens(&world.pass(4_001)), 1);
    }
}

#[test]
fn a_relay_that_says_ready_and_closes_at_once_is_not_called_without_end() {
    let mut world = World::new();
    world.start(config(), Some(super::world::identity()));
    let hello =
        json!({"version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536, "resume_ms": 300_000});
    let job = json!([{"job": super::world::job_id(1), "lease": 1, "have": 0, "credit": 65_536}]);
    let mut ready = json!({"session": "ses_00000000000000000000000001", "token": "t"});
    let mut began = world.now;
    for round in 0..50 {
        world.on(Event::SocketOpen);
        world.frame(&json!({"hello": hello}));
        world.frame(&json!({"ready": ready}));
        assert_eq!(world.state().connection.phase, Phase::Ready);
        if round == 0 {
            let mut long = super::world::start(1);
            long["start"]["first_token_ms"] = json!(1_000_000);
            long["start"]["total_ms"] = json!(1_000_000);
            assert_eq!(super::world::posts(&world.frame(&long)).len(), 1);
            ready["resumed"] = job.clone();
        }
        if round == 9 {
            began = world.now;
        }
        world.on(Event::SocketClosed { code: 1006 });
        while opens(&world.pass(10)) == 0 {}
    }
    assert_eq!(world.state().jobs.len(), 1, "the answer is still waited for");
    let took = world.now.0 - began.0;
    assert!(took > 50_000, "40 tries in {took} ms");
}

#[test]
fn a_relay_that_says_it_has_too_much_to_do_is_left_alone_for_longer() {
    let mut longest = 0;
    let mut world = World::ready();
    for _ in 0..40 {
        world.on(Event::SocketClosed { code: close::OVERLOADED });
        network(&mut world);
        let began = world.now.0;
        while opens(&world.pass(10)) == 0 {}
        longest = longest.max(world.now.0 - began);
    }
    assert!((30_000..=60_010).contains(&longest), "{longest}");
}

#[test]
fn news_of_the_network_end_a_pause() {
    for _ in 0..20 {
        let mut world = away();
        network(&mut world);
        assert_eq!(opens(&world.pass(1_001)), 1);
    }
}

#[test]
fn news_of_the_network_change_nothing_where_the_agent_has_stopped_or_may_not_begin() {
    let mut world = World::ready();
    world.on(Event::SocketClosed { code: close::REPLACED });
    assert_eq!(network(&mut world), []);
    assert_eq!((standing(&world), world.pass(600_000)), ((Phase::Off, Some(Why::Replaced)), vec![]));
    let mut world = World::new();
    assert_eq!((network(&mut world), world.agent.wake_at()), (vec![], None));
}

#[test]
fn news_without_end_cause_few_tries_and_few_heartbeats() {
    let mut world = away();
    let mut tries = 0;
    for _ in 0..6_000 {
        network(&mut world);
        let commands = world.pass(100);
        if opens(&commands) > 0 {
            tries += opens(&commands);
            world.on(Event::SocketClosed { code: 1006 });
        }
    }
    assert!((60..300).contains(&tries), "{tries} tries in ten minutes");

    let mut world = World::ready();
    let mut asked = 0;
    for _ in 0..6_000 {
        let commands = [network(&mut world), world.pass(100)].concat();
        asked += beats(&commands);
        world.acknowledge(&commands);
    }
    assert!((50..=90).contains(&asked), "{asked} heartbeats in ten minutes");
    assert_eq!(standing(&world), (Phase::Ready, None));
}

#[test]
fn a_relay_that_went_with_the_network_is_noticed_at_once() {
    let mut world = World::ready();
    world.pass_acked(30_000);
    assert_eq!(beats(&network(&mut world)), 1);
    let commands = world.pass(5_001);
    assert!(commands.contains(&Command::CloseSocket(4900)), "{commands:?}");
    assert_eq!(opens(&[commands, world.pass(1_001)].concat()), 1);
}

#[test]
fn a_relay_that_answers_is_kept() {
    let mut world = World::ready();
    world.pass_acked(30_000);
    let commands = network(&mut world);
    world.pass(2_000);
    world.acknowledge(&commands);
    world.pass_acked(60_000);
    assert_eq!(standing(&world), (Phase::Ready, None));
}

#[test]
fn a_computer_that_slept_looks_whether_the_relay_is_still_there() {
    // Its own clock stood still, and the one on the wall did not.
    let mut world = World::ready();
    world.pass_acked(30_000);
    assert_eq!(beats(&clock(&mut world, 3_600_000)), 1);
    assert!(world.pass(5_001).contains(&Command::CloseSocket(4900)));

    // Its own clock went on, and the timer rang late.
    let mut world = World::ready();
    world.pass_acked(30_000);
    world.now = Moment(world.now.0 + 3_600_000);
    let commands = world.on(Event::Tick);
    assert_eq!(beats(&commands), 1);
    assert!(!commands.contains(&Command::CloseSocket(4900)), "the answer had no time to come");
    assert!(world.pass(5_001).contains(&Command::CloseSocket(4900)));
}

#[test]
fn a_computer_that_slept_while_the_relay_was_away_tries_again_at_once() {
    let mut world = away();
    clock(&mut world, 3_600_000);
    assert_eq!(opens(&world.pass(1_001)), 1);
}

#[test]
fn a_clock_that_is_set_costs_one_heartbeat_and_nothing_else() {
    let mut world = World::ready();
    for ahead in [3_600_000, 86_400_000, 0] {
        world.pass_acked(60_000);
        let commands = clock(&mut world, ahead);
        assert_eq!(beats(&commands), 1, "{ahead}");
        world.acknowledge(&commands);
        world.pass_acked(60_000);
        assert_eq!(standing(&world), (Phase::Ready, None));
        assert_eq!(beats(&clock(&mut world, ahead + 2_000)), 0, "clocks are corrected a little all the time");
    }
}

#[test]
fn a_network_that_wants_its_users_to_sign_in_is_not_taken_for_the_relay() {
    for status in [200, 302, 511] {
        let mut world = World::new();
        let register = asks(&world.start(config(), None)).pop().unwrap();
        let answer = Answer::Reply { status, body: b"<html>Welcome to our hotel" };
        world.on(Event::Answered { id: register.id, answer });
        assert_eq!(standing(&world), (Phase::Waiting, Some(Why::RelayUnreachable)), "{status}");
        assert_eq!(asks(&world.pass(1_001)).len(), 1);
    }
}
