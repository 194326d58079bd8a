use super::world::{STREAM, World, config, posts, sent};
use crate::agent::{Command, Config, Event, FetchId, Post, TrialView};

/// A world in which a server was found before consent, and the fetch of its self-test.
fn tried() -> (World, Post) {
    let mut world = World::new();
    world.start(Config { consent: false, ..config() }, None);
    world.on(Event::Look);
    let post = posts(&world.on(Event::TryOut { address: None })).pop().unwrap();
    (world, post)
}

fn seen(world: &World) -> TrialView {
    world.state().trial.unwrap()
}

fn head(world: &mut World, id: FetchId) {
    world.on(Event::FetchHead { id, status: 200, content_type: "text/event-stream" });
}

#[test]
fn a_self_test_measures_the_model_and_tells_nobody() {
    let (mut world, post) = tried();
    assert_eq!(post.url, "http://127.0.0.1:8080/v1/chat/completions");
    assert!(seen(&world).running);
    assert_eq!(posts(&world.on(Event::TryOut { address: None })), [], "one at a time");
    world.now.0 += 200;
    head(&mut world, post.id);
    let mut commands = world.on(Event::FetchBytes { id: post.id, bytes: STREAM.as_bytes() });
    commands.extend(world.on(Event::FetchEnd { id: post.id }));
    assert_eq!(sent(&commands), Vec::<serde_json::Value>::new());
    let seen = seen(&world);
    assert_eq!((seen.running, seen.failed, seen.first_token_ms), (false, None, Some(200)));
    assert_eq!(world.state().models[0].done, 0, "it counts as no job");
    assert_eq!(posts(&world.on(Event::TryOut { address: None })).len(), 1, "and can be had again");
}

#[test]
fn a_self_test_that_fails_says_why() {
    let (mut world, post) = tried();
    world.on(Event::FetchFailed { id: post.id });
    assert_eq!(seen(&world).failed.unwrap().key, "trial_unreachable");

    let (mut world, post) = tried();
    world.on(Event::Look);
    head(&mut world, post.id);
    let commands = world.pass(200_000);
    assert!(commands.contains(&Command::Abort(post.id)), "{commands:?}");
}

#[test]
fn a_self_test_beside_jobs_leaves_them_alone() {
    let mut world = World::ready();
    let job = world.job(1);
    let post = posts(&world.on(Event::TryOut { address: None })).pop().unwrap();
    head(&mut world, post.id);
    world.on(Event::FetchFailed { id: post.id });
    assert!(seen(&world).failed.is_some());
    world.head(job.id);
    let commands = world.on(Event::FetchBytes { id: job.id, bytes: STREAM.as_bytes() });
    assert!(!sent(&commands).is_empty(), "the job's answer goes to the relay");
}

#[test]
fn withdrawing_the_consent_breaks_a_self_test_off() {
    let mut world = World::ready();
    let post = posts(&world.on(Event::TryOut { address: None })).pop().unwrap();
    let commands = world.on(Event::Configured(Config { consent: false, ..config() }));
    assert!(commands.contains(&Command::Abort(post.id)));
    assert_eq!(world.state().trial, None);
}
