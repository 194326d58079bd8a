//! What a relay that means ill cannot make the agent do.

use rekursing_protocol::frame::close;
use serde_json::json;

use super::world::{World, job_id, posts, sent, start};
use crate::agent::{Command, Event, Phase, Why, limits};

#[test]
fn no_deadline_of_the_relay_keeps_a_job_for_ever() {
    let mut world = World::ready();
    let mut endless = start(1);
    for deadline in ["first_token_ms", "idle_ms", "total_ms"] {
        endless["start"][deadline] = json!(u32::MAX);
    }
    let post = posts(&world.frame(&endless)).pop().unwrap();
    assert!(!world.pass_acked(1_799_999).contains(&Command::Abort(post.id)));
    assert!(world.pass_acked(1).contains(&Command::Abort(post.id)));

    endless["start"]["job"] = json!(job_id(2));
    let post = posts(&world.frame(&endless)).pop().unwrap();
    world.head(post.id);
    for _ in 0..15 {
        let bytes = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        world.on(Event::FetchBytes { id: post.id, bytes });
        assert!(!world.pass_acked(239_999).contains(&Command::Abort(post.id)));
    }
    assert!(world.pass_acked(15).contains(&Command::Abort(post.id)));
    assert!(world.state().jobs.is_empty());
}

#[test]
fn no_credit_of_the_relay_lets_a_job_send_without_end() {
    let mut world = World::ready();
    let mut lavish = start(1);
    lavish["start"]["credit"] = json!(u32::MAX);
    let post = posts(&world.frame(&lavish)).pop().unwrap();
    world.head(post.id);
    let more = json!({"credit": {"job": job_id(1), "lease": 1, "bytes": u32::MAX}});
    assert_eq!(world.frame(&more), []);
    let text = "a".repeat(512 << 10);
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let mut feed = || world.on(Event::FetchBytes { id: post.id, bytes: event.as_bytes() });
    for _ in 0..32 {
        assert!(!feed().contains(&Command::Pause(post.id)));
    }
    assert_eq!(feed(), [Command::Pause(post.id)]);
}

#[test]
fn a_request_that_is_too_long_never_reaches_the_server() {
    let mut world = World::ready();
    let mut long = start(1);
    long["start"]["body"]["messages"][0]["content"] = json!("a".repeat(16 << 20));
    let commands = world.frame(&long);
    assert_eq!(posts(&commands), []);
    assert_eq!(sent(&commands)[0]["fail"]["code"], json!("refused"));
}

#[test]
fn a_message_that_is_too_long_ends_the_session_unread() {
    let mut world = World::ready();
    let long = " ".repeat(limits::MESSAGE_BYTES_MAX + 1);
    assert_eq!(world.on(Event::Frame(&long)), [Command::CloseSocket(close::TOO_LARGE), Command::Changed]);
}

#[test]
fn no_relay_can_ask_to_be_missed_late() {
    let mut world = World::new();
    world.start(super::world::config(), Some(super::world::identity()));
    world.on(Event::SocketOpen);
    world.frame(&json!({"hello": {"version": 1, "heartbeat_ms": u32::MAX, "frame_bytes_max": 65_536}}));
    world.frame(&json!({"ready": {"session": "ses_00000000000000000000000001"}}));
    assert!(world.pass(120_000).contains(&Command::CloseSocket(4900)));
}

#[test]
fn a_relay_that_does_not_read_is_left() {
    let mut world = World::ready();
    let post = world.job(1);
    let commands = world.on(Event::SocketStuck);
    assert_eq!(commands, [Command::Abort(post.id), Command::CloseSocket(4901), Command::Changed]);
    let connection = world.state().connection;
    assert_eq!((connection.phase, connection.reason.unwrap().code), (Phase::Waiting, Why::RelayStuck));
    assert_eq!(world.on(Event::SocketStuck), []);
}

#[test]
fn no_settings_allow_more_jobs_than_the_agent_can_hold() {
    let many = crate::agent::Config { slots: u16::MAX, ..super::world::config() };
    assert_eq!(World::ready_with(many).state().slots, limits::JOBS_MAX);
}
