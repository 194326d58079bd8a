//! A newer version that waits, and the jobs that it waits for.

use serde_json::json;

use super::world::{STREAM, World, config, identity, job_id, posts, sent, start};
use crate::agent::{Command, Config, Event, Why};

fn reloads(commands: &[Command]) -> bool {
    commands.contains(&Command::Reload)
}

#[test]
fn a_newer_version_takes_over_when_the_running_jobs_are_done_and_settled() {
    let mut world = World::ready();
    let post = world.job(1);
    world.head(post.id);
    let commands = world.on(Event::UpdateWaits);
    assert!(!reloads(&commands));
    assert!(sent(&commands).iter().any(|frame| frame["inventory"]["paused"] == json!(true)));
    assert_eq!(world.state().closed.unwrap().reason.code, Why::Updating);
    let refused = sent(&world.frame(&start(2)));
    assert_eq!(refused[0]["fail"]["code"], "paused");

    let commands = world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() });
    assert!(sent(&commands).iter().any(|frame| frame.get("done").is_some()));
    assert!(!reloads(&commands), "the answer is on its way");
    let settled = json!({"settled": {
        "job": job_id(1), "earned": "0.1", "prompt_tokens": 1, "answer_tokens": 9, "at": 1,
    }});
    let commands = world.frame(&settled);
    assert!(reloads(&commands));
    let closes = commands.iter().position(|command| matches!(command, Command::CloseSocket(_)));
    let reloads_at = commands.iter().position(|command| *command == Command::Reload);
    assert!(closes.is_some() && closes < reloads_at, "{commands:?}");
    assert!(!reloads(&world.pass(3_600_000)), "once is enough");
}

#[test]
fn a_job_that_goes_on_for_too_long_does_not_keep_the_newer_version_away() {
    let mut world = World::ready();
    let mut long = start(1);
    long["start"]["total_ms"] = json!(3_600_000);
    let post = posts(&world.frame(&long)).remove(0);
    world.head(post.id);
    assert!(!reloads(&world.on(Event::UpdateWaits)));
    let token = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
    for second in 1..600 {
        // Told again, it does not begin to wait anew.
        assert!(!reloads(&world.on(Event::UpdateWaits)), "after {second} s");
        world.on(Event::FetchBytes { id: post.id, bytes: token });
        assert!(!reloads(&world.pass_acked(1_000)), "after {second} s");
    }
    assert!(reloads(&world.pass_acked(1_000)));
}

#[test]
fn nobody_waits_where_nothing_runs() {
    assert!(reloads(&World::ready().on(Event::UpdateWaits)));
    let mut undecided = World::new();
    undecided.start(Config { consent: false, ..config() }, Some(identity()));
    assert!(reloads(&undecided.on(Event::UpdateWaits)));
}
