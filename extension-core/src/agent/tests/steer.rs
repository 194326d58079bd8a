//! What the owner wishes from a phone.

use rekursing_protocol::{Moment, Price, Pricing, Span};
use serde_json::{Value, json};

use super::world::{World, config, sent};
use crate::{
    agent::{Command, Config, What},
    choices::Pause,
};

const MODEL: &str = "tiny-chat";

/// Sends a wish, and returns the commands and the frames that follow.
fn wish(world: &mut World, wish: &Value) -> (Vec<Command>, Vec<Value>) {
    let commands = world.frame(&json!({"steer": {"n": 5, "wish": wish}}));
    let frames = sent(&commands);
    (commands, frames)
}

#[test]
fn a_pause_from_a_phone_holds_as_if_it_had_been_set_at_the_computer() {
    let mut world = World::ready();
    let (commands, frames) = wish(&mut world, &json!({"rest": "said"}));
    assert_eq!(frames[0]["inventory"]["paused"], true);
    assert_eq!(frames[1], json!({"steered": {"n": 5}}), "behind what is offered from then on");
    assert!(commands.contains(&Command::Rest(Pause::On)));
    let state = world.state();
    assert_eq!((state.paused, state.steered.unwrap().what), (true, What::Paused));

    let (_, frames) = wish(&mut world, &json!({"rest": "hour"}));
    assert_eq!(frames.len(), 2, "what is offered is told once: {frames:?}");
    let until = world.state().paused_until.unwrap();
    assert_eq!(frames[0]["inventory"]["paused_until"], json!(until), "a pause that ends is told as another");

    let (commands, frames) = wish(&mut world, &json!({"rest": "none"}));
    let inventory = &frames[0]["inventory"];
    assert_eq!((&inventory["paused"], inventory.get("paused_until")), (&json!(false), None));
    assert!(commands.contains(&Command::Rest(Pause::Off)));
    assert_eq!(world.state().steered.unwrap().what, What::Resumed);
    world.pass(Span::DAY.0);
    assert_eq!(world.state().steered, None, "a day later nobody needs to be told");
}

#[test]
fn a_price_from_a_phone_is_the_owners_own_for_a_model_that_is_offered() {
    let mut world = World::ready();
    let ask = json!({"input": 50_000, "output": 200_000});
    let (commands, frames) = wish(&mut world, &json!({"price": {"model": MODEL, "ask": ask}}));
    assert_eq!(frames[0]["inventory"]["offers"][0]["price"], ask);
    assert_eq!(frames[1], json!({"steered": {"n": 5}}));
    let kept = commands.iter().find_map(|command| {
        let Command::Configure(config) = command else { return None };
        config.prices.get(MODEL).copied()
    });
    assert_eq!(kept, Some(Pricing::Fixed(Price::new(50_000, 200_000))));
    assert_eq!(
        world.state().steered.map(|change| (change.at > Moment(0), change.what)),
        Some((true, What::Priced))
    );

    let none = json!({"price": {"model": "another", "ask": ask}});
    assert_eq!(wish(&mut world, &none).1, [json!({"steered": {"n": 5, "refused": "model"}})]);
    let dear = json!({"price": {"model": MODEL, "ask": {"input": 0, "output": Price::MAX + 1}}});
    assert_eq!(wish(&mut world, &dear).1, [json!({"steered": {"n": 5, "refused": "model"}})]);
}

#[test]
fn nothing_is_changed_where_the_owner_has_switched_steering_off() {
    let mut world = World::ready_with(Config { steering: false, ..config() });
    let (_, frames) = wish(&mut world, &json!({"rest": "hour"}));
    assert_eq!(frames, [json!({"steered": {"n": 5, "refused": "off"}})]);
    assert!(!world.state().paused && world.state().steered.is_none());
}
