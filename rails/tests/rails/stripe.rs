//! Stripe transfers against a server that keeps idempotency keys as Stripe documents it.

use rekursing_protocol::{Nanos, Span};
use rekursing_rails::{
    Attempt, BadDestination, Fate, Method, NotKnown, Rail, Refusal, Secret, Stripe, StripeSetup, SubmitError,
};

use crate::{
    IMPATIENCE, NOW, PATIENCE, amount, days, is_silent, nowhere, order, prepared, refused, submit_at_once,
};
use rekursing_tests_rails::{
    Fault,
    stripe::{self as server, Server},
};

const OWNER: &str = "acct_1MTfjCQ9PRzxEwkZ";

fn stripe(url: &str, key: &str, patience: std::time::Duration) -> Stripe {
    let minimum = Method::Stripe.minimum();
    Stripe::new(StripeSetup { url: url.to_owned(), key: Secret::new(key), patience, minimum }).unwrap()
}

fn rail(server: &Server) -> Stripe {
    stripe(&server.url, server::KEY, PATIENCE)
}

#[tokio::test]
async fn pays_and_tells_the_reference_and_the_fee() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25.01")).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    let confirmed = Fate::Confirmed { reference: name.clone(), cost: amount("0.02") };
    assert_eq!(rail.look(&prepared, Some(&name), NOW).await, Ok(confirmed.clone()));
    assert_eq!(rail.look(&prepared, None, NOW).await, Ok(confirmed));
    assert_eq!(server.paid(), [format!("{OWNER} 2501")]);
}

#[tokio::test]
async fn a_lost_reply_is_found_by_looking_and_nothing_is_paid_twice() {
    for fault in [Fault::LostReply, Fault::NoReply, Fault::FailedAfter] {
        let server = Server::start().await;
        let hasty = stripe(&server.url, server::KEY, IMPATIENCE);
        let rail = rail(&server);
        let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
        server.faults.add(fault);
        assert!(is_silent(&hasty.submit(&prepared, Attempt::First, NOW).await), "{fault:?}");
        let fate = rail.look(&prepared, None, NOW).await.unwrap();
        assert!(matches!(fate, Fate::Confirmed { .. }), "{fate:?}");
        rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
        assert_eq!(server.paid().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn what_may_have_left_is_found_with_another_key_and_not_sent_by_another_account() {
    let (server, elsewhere) = (Server::start().await, Server::start().await);
    let rail = rail(&server);
    let lost = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    server.faults.add(Fault::FailedAfter);
    assert!(is_silent(&rail.submit(&lost, Attempt::First, NOW).await));
    let changed = stripe(&elsewhere.url, server::OTHER_KEY, PATIENCE);
    let again = changed.submit(&lost, Attempt::Again, NOW).await;
    assert!(matches!(again, Err(SubmitError::NotKnown(NotKnown::Contradiction(_)))), "{again:?}");
    for now in [NOW, NOW + days(3)] {
        let fate = changed.look(&lost, None, now).await;
        assert!(matches!(fate, Err(NotKnown::Contradiction(_))), "{fate:?}");
    }
    let same = stripe(&server.url, server::OTHER_KEY, PATIENCE);
    assert!(matches!(same.look(&lost, None, NOW).await, Ok(Fate::Confirmed { .. })));
    same.submit(&lost, Attempt::Again, NOW).await.unwrap();
    // What certainly has not left is prepared anew, for the account that is to send it.
    let unsent = prepared(&rail, &order(&rail, 2, OWNER, "25")).await;
    assert_eq!(refused(changed.submit(&unsent, Attempt::First, NOW).await), Refusal::Stale);
    assert_eq!([server.paid().len(), elsewhere.paid().len()], [1, 0]);
}

#[tokio::test]
async fn what_failed_before_it_was_done_is_unknown_and_is_done_by_submitting_again() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    server.faults.add(Fault::FailedBefore);
    assert!(is_silent(&rail.submit(&prepared, Attempt::First, NOW).await));
    assert_eq!(rail.look(&prepared, None, NOW).await, Ok(Fate::Unknown));
    rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn the_same_bytes_at_once_pay_once() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    let names = submit_at_once(&rail, &prepared).await;
    assert!(names.iter().all(|name| name.is_ok() && *name == names[0]), "{names:?}");
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn nothing_is_paid_twice_even_when_stripe_forgets_a_key_early() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    server.faults.add(Fault::LostReply);
    assert!(is_silent(&rail.submit(&prepared, Attempt::First, NOW).await));
    server.forget_keys();
    let name = rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
    assert!(matches!(rail.look(&prepared, Some(&name), NOW).await, Ok(Fate::Confirmed { .. })));
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn bytes_older_than_stripes_memory_are_not_sent_and_looking_tells_the_end() {
    let server = Server::start().await;
    let rail = rail(&server);
    let paid = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    let lost = prepared(&rail, &order(&rail, 2, OWNER, "25")).await;
    rail.submit(&paid, Attempt::First, NOW).await.unwrap();
    server.forget_keys();
    let late = NOW + days(1);
    for prepared in [&paid, &lost] {
        assert_eq!(refused(rail.submit(prepared, Attempt::First, late).await), Refusal::Stale);
        assert!(is_silent(&rail.submit(prepared, Attempt::Again, late).await));
    }
    assert_eq!(server.paid().len(), 1);
    assert!(matches!(rail.look(&lost, None, late).await, Err(NotKnown::Silent(_))));
    let later = late + Span::secs(2 * 60 * 60);
    assert!(matches!(rail.look(&paid, None, later).await, Ok(Fate::Confirmed { .. })));
    assert!(matches!(rail.look(&lost, None, later).await, Ok(Fate::Returned { cost: Nanos::ZERO, .. })));
}

#[tokio::test]
async fn too_little_money_refuses_a_first_attempt_and_leaves_a_second_open() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    server.set_funds(2_499);
    let refusal = refused(rail.submit(&prepared, Attempt::First, NOW).await);
    assert!(matches!(refusal, Refusal::Insufficient(_)));
    assert!(is_silent(&rail.submit(&prepared, Attempt::Again, NOW).await));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn an_account_that_is_not_connected_is_refused() {
    let server = Server::start().await;
    let rail = rail(&server);
    assert_eq!(rail.destination("ada@example.com"), Err(BadDestination::ConnectedAccount));
    let prepared = prepared(&rail, &order(&rail, 1, "acct_000000000000", "25")).await;
    let refusal = refused(rail.submit(&prepared, Attempt::First, NOW).await);
    assert!(matches!(&refusal, Refusal::Destination(words) if words.contains("No such destination")));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn wrong_credentials_and_a_server_that_is_away_certainly_send_nothing() {
    let server = Server::start().await;
    let wrong = stripe(&server.url, "sk_test_wrong", PATIENCE);
    let prepared = prepared(&wrong, &order(&wrong, 1, OWNER, "25")).await;
    assert!(matches!(refused(wrong.submit(&prepared, Attempt::First, NOW).await), Refusal::Credentials(_)));
    assert!(is_silent(&wrong.submit(&prepared, Attempt::Again, NOW).await));
    let away = stripe(&nowhere().await, "sk_test_wrong", PATIENCE);
    assert!(matches!(refused(away.submit(&prepared, Attempt::First, NOW).await), Refusal::Unavailable(_)));
    assert!(is_silent(&away.submit(&prepared, Attempt::Again, NOW).await));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn a_transfer_that_was_taken_back_is_returned_and_taking_it_back_twice_is_once() {
    let server = Server::start().await;
    let rail = rail(&server);
    let order = order(&rail, 1, OWNER, "25");
    let prepared = prepared(&rail, &order).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    server.faults.add(Fault::LostReply);
    assert!(matches!(rail.reverse(order.payout, &name).await, Err(SubmitError::NotKnown(_))));
    assert_eq!(rail.reverse(order.payout, &name).await, Ok(()));
    assert!(matches!(rail.look(&prepared, Some(&name), NOW).await, Ok(Fate::Returned { .. })));
    assert_eq!(server.reversals(), 1);
}

#[tokio::test]
async fn a_transfer_that_is_not_the_order_needs_a_person() {
    let server = Server::start().await;
    let rail = rail(&server);
    let ours = prepared(&rail, &order(&rail, 1, OWNER, "25")).await;
    let other = prepared(&rail, &order(&rail, 1, OWNER, "26")).await;
    rail.submit(&other, Attempt::First, NOW).await.unwrap();
    let outcome = rail.submit(&ours, Attempt::First, NOW).await;
    assert!(matches!(outcome, Err(SubmitError::NotKnown(NotKnown::Contradiction(_)))), "{outcome:?}");
    assert!(matches!(rail.look(&ours, None, NOW).await, Err(NotKnown::Contradiction(_))));
    assert_eq!(server.paid().len(), 1);
}
