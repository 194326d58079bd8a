//! The relay dies at every point at which it can: whatever it was about, the rail is paid exactly once
//! and the book says the same.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

on_both_waiting! {
    a_payout_is_paid_once_wherever_the_relay_dies,
    a_lost_reply_is_paid_once_wherever_the_relay_dies,
    a_lost_request_is_paid_once_wherever_the_relay_dies,
    a_refused_payout_is_paid_once_wherever_the_relay_dies,
    returned_money_comes_back_once_wherever_the_relay_dies,
    money_that_is_taken_back_comes_back_once_wherever_the_relay_dies,
    a_cancelled_payout_comes_back_once_wherever_the_relay_dies,
}

/// Works on something until it has waited `waits` times, and then drops it. `None` when it was dropped.
pub(super) async fn cut<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
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

/// Returns which of the points are tried: all of them, and on PostgreSQL, where each needs a database to be
/// made, every seventh.
pub(super) fn stride(place: &Place) -> usize {
    if place.is_sqlite() { 1 } else { 7 }
}

/// What happens to the one payout of a case, and how it must end.
#[derive(Default)]
struct Story {
    config: &'static str,
    submitting: Vec<Submission>,
    looking: Vec<Result<Fate, NotKnown>>,
    /// How long from the start the rail takes back what had arrived.
    takes_back: Option<Span>,
    /// Whether the owner takes it back before anything is done.
    cancels: bool,
}

/// How it must end: its state, the balances, and what the rail has paid.
struct End(State, [&'static str; 5], &'static str);

const PAID: End = End(State::Confirmed, ["7.66", "0", "0", "0", "-7.66"], "12.09");
const NOT_WATCHED: &str = "[payouts]\nwatch_days = 0";

/// Dies after so many waits, comes back and works to the end. Tells whether it died.
async fn died(place: Place, story: &Story, end: &End, waits: usize) -> bool {
    let mut case = Case::with(place, story.config).await;
    case.submitting(story.submitting.clone());
    case.looking(story.looking.clone());
    case.rail.world.lock().takes_back = story.takes_back.map(|span| case.now + span);
    let whole = async {
        let payout = case.ask("12.34").await;
        if story.cancels {
            case.payouts.cancel(payout.id, By::Owner(OWNER), "no", case.now).await.unwrap();
        }
        case.work().await;
    };
    let died = cut(whole, waits).await.is_none();
    let mut case = case.restart();
    let made = case.payouts.store().payouts_of(OWNER).await.unwrap();
    if let (true, [payout]) = (story.cancels, made.as_slice())
        && payout.outcome.is_none()
    {
        // The owner heard nothing of it and says so again.
        case.payouts.cancel(payout.id, By::Owner(OWNER), "no", case.now).await.unwrap();
    }
    case.work().await;
    let rows = case.payouts.store().payouts_of(OWNER).await.unwrap();
    let paid = Nanos::new(case.rail.world.lock().paid());
    let Some(row) = rows.first() else {
        assert!(died, "it was made");
        assert_eq!((case.balances(), paid), (["20", "0", "0", "0", "-20"].map(str::to_owned), Nanos::ZERO));
        return died;
    };
    let End(state, balances, moved) = end;
    assert_eq!((rows.len(), row.state()), (1, Some(*state)), "after {waits} waits");
    assert!(row.closed.is_some());
    assert_eq!(case.balances(), balances.map(str::to_owned), "after {waits} waits");
    assert_eq!(paid, usd(moved), "after {waits} waits");
    died
}

async fn dies_everywhere(place: Place, story: Story, end: End) {
    let (mut waits, stride) = (0, stride(&place));
    while died(another(&place), &story, &end, waits).await {
        waits += stride;
        assert!(waits < 1_000, "it never comes to an end");
    }
    // What is done before anybody looks is no point at which to die, so their number varies.
    assert!(waits > 2, "{waits} points are too few to be all of them");
}

async fn a_payout_is_paid_once_wherever_the_relay_dies(place: Place) {
    dies_everywhere(place, Story { config: NOT_WATCHED, ..Story::default() }, PAID).await;
}

async fn a_lost_reply_is_paid_once_wherever_the_relay_dies(place: Place) {
    let submitting = vec![Submission::LostAfter];
    dies_everywhere(place, Story { config: NOT_WATCHED, submitting, ..Story::default() }, PAID).await;
}

async fn a_lost_request_is_paid_once_wherever_the_relay_dies(place: Place) {
    let submitting = vec![Submission::LostBefore];
    dies_everywhere(place, Story { config: NOT_WATCHED, submitting, ..Story::default() }, PAID).await;
}

async fn a_refused_payout_is_paid_once_wherever_the_relay_dies(place: Place) {
    let submitting = vec![Submission::Refused(Refusal::Insufficient("3 USD".to_owned()))];
    dies_everywhere(place, Story { config: NOT_WATCHED, submitting, ..Story::default() }, PAID).await;
}

async fn returned_money_comes_back_once_wherever_the_relay_dies(place: Place) {
    let returned = || Ok(Fate::Returned { reason: "blocked".to_owned(), cost: usd("0.05") });
    // Once the rail has said so, it says so again.
    let looking = vec![returned(), returned(), returned()];
    let submitting = vec![Submission::LostBefore];
    let end = End(State::Returned, ["19.95", "0", "0", "0", "-19.95"], "0");
    dies_everywhere(place, Story { config: NOT_WATCHED, submitting, looking, ..Story::default() }, end).await;
}

async fn money_that_is_taken_back_comes_back_once_wherever_the_relay_dies(place: Place) {
    let takes_back = Some(Span::secs(60 * 60));
    let end = End(State::Returned, ["19.75", "0", "0", "0", "-19.75"], "12.09");
    dies_everywhere(place, Story { takes_back, ..Story::default() }, end).await;
}

async fn a_cancelled_payout_comes_back_once_wherever_the_relay_dies(place: Place) {
    let end = End(State::Cancelled, ["20", "0", "0", "0", "-20"], "0");
    dies_everywhere(place, Story { cancels: true, ..Story::default() }, end).await;
}

#[test]
fn a_cut_comes_after_as_many_waits_as_it_was_told() {
    let mut context = Context::from_waker(Waker::noop());
    let mut never = pin!(cut(std::future::pending::<()>(), 2));
    assert!(never.as_mut().poll(&mut context).is_pending());
    assert!(never.as_mut().poll(&mut context).is_pending());
    assert!(matches!(never.as_mut().poll(&mut context), Poll::Ready(None)));
}
