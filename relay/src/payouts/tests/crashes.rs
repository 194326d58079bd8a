//! The relay dies at every point at which it can: whatever it was about, the rail is paid exactly once
//! and the book says the same.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

/// Works on something until it has waited `waits` times, and then drops it. `None` when it was dropped.
async fn cut<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let mut work = pin!(work);
    let mut left = waits;
    std::future::poll_fn(|context: &mut Context<'_>| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// What the rail does to the one payout of a case, and how it must end.
struct Story {
    submitting: Vec<Submission>,
    looking: Vec<Result<Fate, NotKnown>>,
    end: State,
}

/// Dies after so many waits, comes back and works to the end. Tells whether it died.
async fn died(story: &Story, waits: usize) -> bool {
    let mut case = Case::new().await;
    case.submitting(story.submitting.clone());
    case.looking(story.looking.clone());
    let whole = async {
        case.ask("12.34").await;
        case.work().await;
    };
    let died = cut(whole, waits).await.is_none();
    let mut case = case.restart();
    case.work().await;
    let rows = case.payouts.store().payouts_of(OWNER).await.unwrap();
    let (paid, count) = {
        let world = case.rail.world.lock();
        (world.paid(), world.paid.len())
    };
    let Some(row) = rows.first() else {
        assert!(died, "it was made");
        assert_eq!((case.balances(), paid), (["20", "0", "0", "0", "-20"].map(str::to_owned), 0));
        return died;
    };
    assert_eq!(rows.len(), 1);
    assert_eq!(row.state(), Some(story.end), "after {waits} waits");
    assert!(row.closed.is_some());
    if story.end == State::Confirmed {
        assert_eq!(case.balances(), ["7.66", "0", "0", "0", "-7.66"], "after {waits} waits");
        assert_eq!((paid, count), (usd("12.09").get(), 1), "after {waits} waits");
    } else {
        assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"], "after {waits} waits");
    }
    died
}

async fn dies_everywhere(story: Story) {
    let mut waits = 0;
    while died(&story, waits).await {
        waits += 1;
        assert!(waits < 1_000, "it never comes to an end");
    }
    assert!(waits > 10, "{waits} points are too few to be all of them");
}

#[tokio::test]
async fn a_payout_is_paid_once_wherever_the_relay_dies() {
    dies_everywhere(Story { submitting: vec![], looking: vec![], end: State::Confirmed }).await;
}

#[tokio::test]
async fn a_lost_reply_is_paid_once_wherever_the_relay_dies() {
    let submitting = vec![Submission::LostAfter];
    dies_everywhere(Story { submitting, looking: vec![], end: State::Confirmed }).await;
}

#[tokio::test]
async fn a_lost_request_is_paid_once_wherever_the_relay_dies() {
    let submitting = vec![Submission::LostBefore];
    dies_everywhere(Story { submitting, looking: vec![], end: State::Confirmed }).await;
}

#[tokio::test]
async fn a_refused_payout_is_paid_once_wherever_the_relay_dies() {
    let submitting = vec![Submission::Refused(Refusal::Insufficient("3 USD".to_owned()))];
    dies_everywhere(Story { submitting, looking: vec![], end: State::Confirmed }).await;
}

#[tokio::test]
async fn returned_money_comes_back_once_wherever_the_relay_dies() {
    let returned = || Ok(Fate::Returned { reason: "blocked".to_owned(), cost: Nanos::ZERO });
    // Once the rail has said so, it says so again.
    let looking = vec![returned(), returned(), returned()];
    dies_everywhere(Story { submitting: vec![], looking, end: State::Returned }).await;
}

#[test]
fn a_cut_comes_after_as_many_waits_as_it_was_told() {
    let mut context = Context::from_waker(Waker::noop());
    let mut never = pin!(cut(std::future::pending::<()>(), 2));
    assert!(never.as_mut().poll(&mut context).is_pending());
    assert!(never.as_mut().poll(&mut context).is_pending());
    assert!(matches!(never.as_mut().poll(&mut context), Poll::Ready(None)));
}
