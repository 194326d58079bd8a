//! Answers that are kept for callers who ask again.

use rekursing_protocol::Moment;

use super::{PAGE, grant, now, start};
use crate::{
    place::{Place, on_both},
    replay::Call,
    store::{Asked, KeptAnswer, Quota, Store},
};

on_both! {
    who_has_too_many_answers_kept_loses_his_own_oldest_and_nobody_elses,
    past_the_most_of_all_an_account_makes_room_with_its_own,
    answers_are_kept_in_the_order_in_which_they_come_within_a_moment_too,
    a_call_that_came_to_nothing_leaves_no_row_and_one_that_came_to_something_stays,
}

fn call(number: u8) -> Call {
    Call { id: [number; 32], body: [0; 32], whose: 0 }
}

fn quota(whose: &str, own_max: u64, all_max: u64) -> Quota {
    Quota { whose: whose.to_owned(), own_max, all_max }
}

/// Has a call at a moment change something, and its answer kept.
fn keep(store: &Store, at: u64, number: u8, quota: Quota) {
    let answer = KeptAnswer { status: 200, kind: String::new(), body: vec![number] };
    now(store.did(Moment(at), call(number), "thing".to_owned(), Some((answer, quota)))).unwrap();
}

/// Returns which of the calls are answered again; every one of them is known.
fn kept(store: &Store, numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let is_kept = |number: &u8| match now(store.asked(call(*number))).unwrap() {
        Asked::Done { made, answer } => {
            assert_eq!(made, "thing");
            answer.inspect(|answer| assert_eq!(answer.body, [*number])).is_some()
        }
        other @ (Asked::Fresh | Asked::Other) => panic!("{other:?}"),
    };
    numbers.into_iter().filter(is_kept).collect()
}

fn who_has_too_many_answers_kept_loses_his_own_oldest_and_nobody_elses(place: &Place) {
    let store = start(place);
    keep(&store, 1, 1, quota("acc_quiet", 3, 100));
    for number in 10..30 {
        keep(&store, number.into(), number, quota("acc_loud", 3, 100));
        assert_eq!(kept(&store, [1, number]), [1, number], "while it goes on, too");
    }
    assert_eq!(kept(&store, 10..30), [27, 28, 29]);
    keep(&store, 31, 31, quota("acc_loud", 1, 100));
    assert_eq!(kept(&store, (10..30).chain([31])), [31], "a quota that was lowered holds at once");
    keep(&store, 32, 32, quota("acc_loud", 0, 100));
    assert_eq!(kept(&store, [1, 31, 32]), [1, 31]);
    store.forget_asked(Moment(32));
    now(store.flushed());
    assert_eq!(now(store.asked(call(1))).unwrap(), Asked::Fresh);
    assert_eq!(kept(&store, [32]), [0; 0]);
    store.stop();
}

fn past_the_most_of_all_an_account_makes_room_with_its_own(place: &Place) {
    let store = start(place);
    for number in 1..=4 {
        keep(&store, number.into(), number, quota("acc_one", 10, 4));
    }
    keep(&store, 5, 5, quota("acc_other", 10, 4));
    assert_eq!(kept(&store, 1..=5), [1, 2, 3, 4], "there is no room, and nobody has to make any");
    keep(&store, 6, 6, quota("acc_one", 10, 4));
    assert_eq!(kept(&store, 1..=6), [2, 3, 4, 6]);
    store.stop();
}

fn answers_are_kept_in_the_order_in_which_they_come_within_a_moment_too(place: &Place) {
    let store = start(place);
    for number in [9, 8, 7] {
        keep(&store, 1, number, quota("acc_one", 2, 100));
        assert!(kept(&store, [number]) == [number], "the latest is kept");
    }
    assert_eq!(kept(&store, 7..=9).len(), 2);
    // A call that took long is noted under the moment at which it began.
    keep(&store, 0, 1, quota("acc_one", 1, 100));
    assert_eq!(kept(&store, [1, 7, 8, 9]), [1]);
    store.stop();
}

fn a_call_that_came_to_nothing_leaves_no_row_and_one_that_came_to_something_stays(place: &Place) {
    let store = start(place);
    let (nothing, something) = ("job_1".to_owned(), "grant:1".to_owned());
    assert_eq!(now(store.ask(Moment(1), call(1), nothing.clone())).unwrap(), Asked::Fresh);
    assert_eq!(now(store.ask(Moment(1), call(2), something.clone())).unwrap(), Asked::Fresh);
    // It is on its way to the store when the call is taken for one that came to nothing.
    store.append(vec![grant(&something, PAGE, 1)]);
    store.unask(call(1), nothing);
    store.unask(call(1), "job_2".to_owned());
    store.unask(call(2), something.clone());
    now(store.flushed());
    now(store.flushed());
    assert_eq!(now(store.asked(call(1))).unwrap(), Asked::Fresh);
    let again = now(store.ask(Moment(2), call(2), "grant:2".to_owned())).unwrap();
    assert_eq!(again, Asked::Done { made: something, answer: None });
    store.stop();
}
