//! The operator says what became of a payout: it ends as he says, it is never sent again, and whatever its
//! rail still tells has to agree.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use super::{
    crashes::{cut, stride},
    *,
};

const WATCHED: &str = "[payouts]\nwatch_days = 30";

on_both_waiting! {
    a_payout_settled_as_arrived_ends_with_its_reference_and_is_never_sent_again,
    a_payout_settled_as_returned_is_the_owners_again_and_is_never_sent_again,
    only_what_is_sent_is_settled_by_hand_and_only_once,
    one_that_was_wrongly_confirmed_is_returned_by_hand_and_only_once,
    what_its_rail_still_tells_of_a_payout_has_to_agree,
    what_was_settled_by_hand_when_the_relay_died_is_done_without_asking_the_rail,
    what_is_being_sent_is_not_settled_before_that_has_an_end,
    what_is_settled_by_hand_ends_once_wherever_the_relay_dies,
}

fn end(outcome: State, cost: &str) -> Ending {
    let reference = (outcome == State::Confirmed).then(|| "TX-BY-HAND".to_owned());
    let act = Act::of("http:127.0.0.1", Deed::PayoutSettled, "", "found out");
    let act = Some((Moment(7), act));
    Ending { cost: usd(cost), reference, act, ..Ending::of(outcome, "the account is closed") }
}

/// A payout of 12.34 USD whose reply was lost and of which the rail says nothing.
async fn lost(case: &mut Case) -> PayoutRow {
    let payout = case.ask("12.34").await;
    case.submitting([Submission::LostBefore]);
    case.looking(vec![Err(NotKnown::Silent("the account is closed".to_owned())); 1_000]);
    case.now = case.work_until_rest().await.unwrap();
    assert_eq!(case.state(&payout).await, State::Sent);
    payout
}

/// Checks that the rail hears nothing of the payout from here on, whatever the relay does.
async fn is_left_alone(case: Case, payout: &PayoutRow) {
    let submissions = case.rail.world.lock().submissions.len();
    case.rail.world.lock().looking.clear();
    let mut case = case.restart();
    case.payouts.finish_decided(case.now).await.unwrap();
    for _ in 0..3 {
        case.work().await;
        case.now = case.now + Span::DAY;
    }
    assert!(case.row(payout).await.closed.is_some());
    assert_eq!(case.rail.world.lock().submissions.len(), submissions);
    assert_eq!(case.rail.world.lock().paid(), 0);
}

async fn a_payout_settled_as_arrived_ends_with_its_reference_and_is_never_sent_again(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    let settled = case.payouts.settle(payout.id, end(State::Confirmed, "0.04"), case.now).await.unwrap();
    assert_eq!(settled.state(), Some(State::Confirmed));
    assert_eq!(settled.reference.as_deref(), Some("TX-BY-HAND"));
    assert_eq!(case.balances(), ["7.87", "0", "0", "0", "-7.87"]);
    let log = case.payouts.store().operator_log(u64::MAX, 10).await.unwrap();
    let [line] = log.as_slice() else { panic!("{log:?}") };
    assert_eq!((line.what.as_str(), line.amount), ("payout_settled", Some(usd("12.34"))));
    is_left_alone(case, &payout).await;
}

async fn a_payout_settled_as_returned_is_the_owners_again_and_is_never_sent_again(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    let settled = case.payouts.settle(payout.id, end(State::Returned, "0"), case.now).await.unwrap();
    assert_eq!(settled.state(), Some(State::Returned));
    assert_eq!(settled.reason.as_deref(), Some("the account is closed"));
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    is_left_alone(case, &payout).await;
}

async fn only_what_is_sent_is_settled_by_hand_and_only_once(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let returned = || end(State::Returned, "0");
    let refused = async |case: &Case, payout: &PayoutRow, state| {
        for outcome in [State::Confirmed, State::Returned] {
            let denied = case.payouts.settle(payout.id, end(outcome, "0"), case.now).await.unwrap_err();
            assert!(matches!(denied, Denial::NotSent { state: told } if told == state), "{denied:?}");
        }
    };
    let cancelled = case.ask("5").await;
    refused(&case, &cancelled, State::Requested).await;
    case.payouts.cancel(cancelled.id, operator(), "no", case.now).await.unwrap();
    refused(&case, &cancelled, State::Cancelled).await;
    let unknown = case.payouts.settle(new_id(case.now), returned(), case.now).await.unwrap_err();
    assert!(matches!(unknown, Denial::NotFound), "{unknown:?}");

    let payout = lost(&mut case).await;
    for cost in ["-0.01", "12.35"] {
        let denied = case.payouts.settle(payout.id, end(State::Confirmed, cost), case.now).await.unwrap_err();
        assert!(matches!(denied, Denial::Cost { most } if most == usd("12.34")), "{denied:?}");
    }
    case.payouts.settle(payout.id, returned(), case.now).await.unwrap();
    refused(&case, &payout, State::Returned).await;
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);

    case.rail.world.lock().looking.clear();
    let confirmed = case.ask("12.34").await;
    while case.state(&confirmed).await != State::Confirmed {
        case.now = case.work_until_rest().await.unwrap();
    }
    // Its rail says that it has arrived, and nobody else's word counts against that.
    let denied = case.payouts.settle(confirmed.id, returned(), case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::RailDiffers { .. }), "{denied:?}");
    let denied = case.payouts.settle(confirmed.id, end(State::Confirmed, "0"), case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::NotSent { state: State::Confirmed }), "{denied:?}");
}

async fn one_that_was_wrongly_confirmed_is_returned_by_hand_and_only_once(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    let settle = async |case: &Case, end| case.payouts.settle(payout.id, end, case.now).await;
    settle(&case, end(State::Confirmed, "0.04")).await.unwrap();
    assert_eq!(case.balances(), ["7.87", "0", "0", "0", "-7.87"]);
    let denied = settle(&case, end(State::Returned, "0.01")).await.unwrap_err();
    assert!(matches!(denied, Denial::Cost { most: Nanos::ZERO }), "{denied:?}");
    let case = case.restart();
    let returned = settle(&case, end(State::Returned, "0")).await.unwrap();
    assert_eq!(returned.state(), Some(State::Returned));
    assert_eq!(returned.reason.as_deref(), Some("the account is closed"));
    assert_eq!(case.balances(), ["19.96", "0", "0", "0", "-19.96"], "what it cost is spent");
    for outcome in [State::Returned, State::Confirmed] {
        let denied = settle(&case, end(outcome, "0")).await.unwrap_err();
        assert!(matches!(denied, Denial::NotSent { state: State::Returned }), "{denied:?}");
    }
    let log = case.payouts.store().operator_log(u64::MAX, 10).await.unwrap();
    assert_eq!(log.iter().filter(|line| line.what == "payout_settled").count(), 2);
    is_left_alone(case, &payout).await;
}

async fn what_its_rail_still_tells_of_a_payout_has_to_agree(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    let arrived = || Fate::Confirmed { reference: "TX1".to_owned(), cost: Nanos::ZERO };
    let came_back = || Fate::Returned { reason: "blocked".to_owned(), cost: Nanos::ZERO };
    for (fate, outcome) in [
        (arrived(), State::Returned),
        (Fate::Pending { note: "not claimed yet".to_owned() }, State::Returned),
        (came_back(), State::Confirmed),
    ] {
        case.looking([Ok(fate)]);
        let denied = case.payouts.settle(payout.id, end(outcome, "0"), case.now).await.unwrap_err();
        assert!(matches!(denied, Denial::RailDiffers { .. }), "{denied:?}");
        assert_eq!(case.balances(), ["7.66", "0", "12.34", "0", "-20"]);
    }
    case.looking([Ok(came_back())]);
    case.payouts.settle(payout.id, end(State::Returned, "0"), case.now).await.unwrap();
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
}

async fn what_was_settled_by_hand_when_the_relay_died_is_done_without_asking_the_rail(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    let end = Ending { by_hand: true, ..end(State::Confirmed, "0.25") };
    case.payouts.store().decide_payout(payout.id, end).await.unwrap();
    for step in payout.moves().confirmed(usd("0.25"), "TX-BY-HAND") {
        case.payouts.desk.transfer(&step.id, step.transfer).await.unwrap();
    }
    assert_eq!(case.row(&payout).await.closed, None, "it died before it was closed");
    is_left_alone(case, &payout).await;
}

async fn what_is_being_sent_is_not_settled_before_that_has_an_end(place: Place) {
    let mut case = Case::with(place, WATCHED).await;
    let payout = case.ask("12.34").await;
    case.payouts.step(Method::Paypal, case.now).await.unwrap();
    case.payouts.step(Method::Paypal, case.now).await.unwrap();
    assert_eq!(case.state(&payout).await, State::Sent);
    {
        let mut step = pin!(case.payouts.step(Method::Paypal, case.now));
        let mut settling = pin!(case.payouts.settle(payout.id, end(State::Returned, "0"), case.now));
        let mut context = Context::from_waker(Waker::noop());
        while case.rail.world.lock().submissions.is_empty() {
            assert!(step.as_mut().poll(&mut context).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert!(settling.as_mut().poll(&mut context).is_pending(), "the rail has not answered");
            tokio::task::yield_now().await;
        }
        step.await.unwrap();
        let denied = settling.await.unwrap_err();
        assert!(matches!(denied, Denial::RailDiffers { .. }), "{denied:?}");
    }
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Confirmed);
    assert_eq!(case.rail.world.lock().paid(), usd("12.09").get());
    assert_eq!(case.balances(), ["7.66", "0", "0", "0", "-7.66"]);
}

/// The relay dies after so many waits of a settlement, perhaps of a payout that was confirmed by hand before at a
/// cost. Tells whether it did.
async fn died(
    place: Place,
    confirmed_at: Option<&str>,
    (outcome, cost): (State, &str),
    expected: [&str; 5],
    waits: usize,
) -> bool {
    let mut case = Case::with(place, WATCHED).await;
    let payout = lost(&mut case).await;
    if let Some(cost) = confirmed_at {
        case.payouts.settle(payout.id, end(State::Confirmed, cost), case.now).await.unwrap();
    }
    let died = cut(case.payouts.settle(payout.id, end(outcome, cost), case.now), waits).await.is_none();
    let case = case.restart();
    case.payouts.finish_decided(case.now).await.unwrap();
    if case.row(&payout).await.outcome != Some(outcome) {
        // The operator heard nothing of it and says so again.
        case.payouts.settle(payout.id, end(outcome, cost), case.now).await.unwrap();
    }
    assert_eq!(case.state(&payout).await, outcome, "after {waits} waits");
    assert_eq!(case.balances(), expected.map(str::to_owned), "after {waits} waits");
    let lines = 1 + usize::from(confirmed_at.is_some());
    assert_eq!(case.payouts.store().operator_log(u64::MAX, 10).await.unwrap().len(), lines);
    is_left_alone(case, &payout).await;
    died
}

async fn what_is_settled_by_hand_ends_once_wherever_the_relay_dies(place: Place) {
    for (confirmed_at, end, expected) in [
        (None, (State::Confirmed, "0.04"), ["7.87", "0", "0", "0", "-7.87"]),
        (None, (State::Returned, "0.04"), ["19.96", "0", "0", "0", "-19.96"]),
        (Some("0.04"), (State::Returned, "0"), ["19.96", "0", "0", "0", "-19.96"]),
    ] {
        let (mut waits, stride) = (0, stride(&place));
        while died(another(&place), confirmed_at, end, expected, waits).await {
            waits += stride;
        }
        assert!(waits > 1, "{waits} points are too few to be all of them");
    }
}
