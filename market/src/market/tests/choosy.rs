//! Owners who choose: whom they serve, and what they refuse.

use rekursing_protocol::{
    Serves, Topics,
    frame::Inventory,
    outlook::Obstacle,
    topic::{Category, Subject},
};

use super::fixture::*;
use crate::{Market, Payer, Refusal, Request};

fn choosy(serves: Serves, refuses: Topics) -> Inventory {
    Inventory { serves, refuses, ..inventory(vec![offer(MODEL)]) }
}

/// A market with one session.
fn of_one(serves: Serves, refuses: Topics) -> Market {
    let mut market = market(terms());
    market.join(NOW, session(1), plugin(1), choosy(serves, refuses));
    market
}

fn politics() -> Topics {
    Subject::Politics.into()
}

#[test]
fn each_choice_turns_away_what_it_says_and_tells_why() {
    let topics = |topics| Request { topics, is_verified: true, ..request(1) };
    let grief = Topics::from(Subject::Grief) | Category::Travel.into();
    let visitor = Request { payer: Payer::Free { visitor: 1 }, ..request(1) };
    for (serves, refuses, request, refusal) in [
        (Serves::Everyone, Topics::NONE, topics(Some(politics())), None),
        (Serves::Everyone, politics(), topics(Some(grief)), None),
        (Serves::Everyone, politics(), topics(Some(politics() | grief)), Some(politics())),
        (Serves::Everyone, politics() | grief, topics(Some(grief)), Some(grief)),
        (Serves::Everyone, politics(), topics(Some(Topics::UNREAD)), None),
        (Serves::Everyone, politics() | Topics::UNREAD, topics(Some(Topics::UNREAD)), Some(Topics::UNREAD)),
        (Serves::Verified, Topics::NONE, topics(None), None),
        // Where nobody has looked, it may be about anything.
        (Serves::Everyone, politics(), topics(None), Some(politics())),
    ] {
        let mut market = of_one(serves, refuses);
        match refusal {
            None => assert_eq!(assigned(&mut market, request).plugin, plugin(1)),
            Some(topics) => assert_eq!(refused(&mut market, request), Refusal::TopicRefused { topics }),
        }
    }
    for (serves, refusal, code) in [
        (Serves::Verified, Refusal::NotVerified, "not_verified"),
        (Serves::Group, Refusal::GroupOnly, "group_only"),
    ] {
        for stranger in [request(1), visitor.clone()] {
            assert_eq!(refused(&mut of_one(serves, Topics::NONE), stranger), refusal);
        }
        assert_eq!(refusal.code(), code);
    }
    let told = Refusal::TopicRefused { topics: politics() | Topics::UNREAD };
    assert_eq!(told.code(), "topic_refused");
    assert!(told.to_string().ends_with(": politics, unread"), "{told}");
}

#[test]
fn a_refused_request_goes_to_another_plugin_and_waits_for_no_one_that_refuses_it() {
    let mut market = of_one(Serves::Everyone, politics());
    market.join(NOW, session(2), plugin(2), choosy(Serves::Everyone, Topics::NONE));
    let about = |number, topics| Request { topics: Some(topics), ..request(number) };
    for number in [1, 3] {
        let assignment = assigned(&mut market, about(number, politics()));
        assert_eq!(assignment.plugin, plugin(2));
        answer(&mut market, NOW, &assignment, 10);
        effects(&mut market);
    }
    assert_eq!(assigned(&mut market, about(4, politics())).plugin, plugin(2));
    market.submit(NOW, about(5, politics())).unwrap();
    assert_eq!(names(&effects(&mut market)), [""; 0], "it waits beside a free plugin that refuses it");
    market.restock(NOW, session(1), choosy(Serves::Everyone, Topics::NONE));
    assert_eq!(only_assignment(&mut market).plugin, plugin(1), "and is served once that one takes it");
}

#[test]
fn what_no_stranger_can_ask_is_neither_listed_nor_in_the_market() {
    let mut market = of_one(Serves::Group, Topics::NONE);
    assert_eq!(market.models(NOW, 9), []);
    market.restock(NOW, session(1), choosy(Serves::Verified, politics()));
    assert_eq!(market.models(NOW, 9).len(), 1);
}

#[test]
fn topics_matter_only_while_some_session_refuses_any() {
    let mut market = of_one(Serves::Verified, Topics::NONE);
    assert!(!market.is_choosy());
    market.join(NOW, session(2), plugin(2), choosy(Serves::Everyone, politics()));
    assert!(market.is_choosy());
    market.restock(NOW, session(2), choosy(Serves::Everyone, Topics::NONE));
    assert!(!market.is_choosy());
    market.restock(NOW, session(2), choosy(Serves::Everyone, politics()));
    market.leave(NOW, session(2));
    assert!(!market.is_choosy());
}

#[test]
fn the_outlook_names_choices_that_keep_jobs_away() {
    let mut market = of_one(Serves::Verified, politics());
    market.join(NOW, session(2), plugin(2), choosy(Serves::Group, Topics::NONE));
    for (number, topics) in [(1, politics()), (2, Topics::NONE)] {
        let _ =
            market.submit(NOW, Request { topics: Some(topics), is_verified: number == 2, ..request(number) });
    }
    let obstacles = market.outlook(NOW, plugin(1)).obstacles;
    let expected = [Obstacle::VerifiedOnly { permille: 500 }, Obstacle::TopicRefused { permille: 500 }];
    assert!(expected.iter().all(|obstacle| obstacles.contains(obstacle)), "{obstacles:?}");
    assert_eq!(market.outlook(NOW, plugin(2)).obstacles[0], Obstacle::GroupOnly { accounts: None });
}
