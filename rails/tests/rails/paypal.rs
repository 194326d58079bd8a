//! PayPal Payouts against a server that keeps batches as PayPal documents them.

use rekursing_protocol::Nanos;
use rekursing_rails::{
    Attempt, BadDestination, Fate, Method, NotKnown, Paypal, PaypalSetup, Rail, Refusal, Secret, SubmitError,
};

use crate::{
    IMPATIENCE, NOW, PATIENCE, amount, days, is_pending, is_silent, nowhere, order, prepared, refused,
    submit_at_once,
};
use rekursing_tests_rails::{
    Fault,
    paypal::{self as server, Server},
};

fn paypal(url: &str, secret: &str, patience: std::time::Duration) -> Paypal {
    Paypal::new(PaypalSetup {
        url: url.to_owned(),
        client: server::CLIENT.to_owned(),
        secret: Secret::new(secret),
        patience,
        minimum: Method::Paypal.minimum(),
    })
    .unwrap()
}

fn rail(server: &Server) -> Paypal {
    paypal(&server.url, server::SECRET, PATIENCE)
}

#[tokio::test]
async fn pays_and_tells_the_reference_and_the_fee() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "12.34")).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    assert!(is_pending(&rail.look(&prepared, Some(&name), NOW).await.unwrap()));
    server.finish("SUCCESS", "SUCCESS");
    let fate = rail.look(&prepared, Some(&name), NOW).await.unwrap();
    assert_eq!(fate, Fate::Confirmed { reference: "T1".into(), cost: amount("0.25") });
    assert_eq!(server.paid(), ["ada@example.com 12.34"]);
}

#[tokio::test]
async fn a_lost_reply_is_made_good_by_submitting_again_and_nothing_is_paid_twice() {
    for fault in [Fault::LostReply, Fault::NoReply, Fault::FailedAfter] {
        let server = Server::start().await;
        let hasty = paypal(&server.url, server::SECRET, IMPATIENCE);
        let rail = rail(&server);
        let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
        server.faults.add(fault);
        assert!(is_silent(&hasty.submit(&prepared, Attempt::First, NOW).await), "{fault:?}");
        assert_eq!(rail.look(&prepared, None, NOW).await, Ok(Fate::Unknown));
        let name = rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
        assert!(is_pending(&rail.look(&prepared, Some(&name), NOW).await.unwrap()));
        assert_eq!(server.paid().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn what_may_have_left_is_not_sent_by_another_application() {
    let (server, elsewhere) = (Server::start().await, Server::start().await);
    let rail = rail(&server);
    let lost = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    server.faults.add(Fault::FailedAfter);
    assert!(is_silent(&rail.submit(&lost, Attempt::First, NOW).await));
    let changed = Paypal::new(PaypalSetup {
        url: elsewhere.url.clone(),
        client: server::OTHER_CLIENT.to_owned(),
        secret: Secret::new(server::SECRET),
        patience: PATIENCE,
        minimum: Method::Paypal.minimum(),
    })
    .unwrap();
    let again = changed.submit(&lost, Attempt::Again, NOW).await;
    assert!(matches!(again, Err(SubmitError::NotKnown(NotKnown::Contradiction(_)))), "{again:?}");
    let fate = changed.look(&lost, None, NOW).await;
    assert!(matches!(fate, Err(NotKnown::Contradiction(_))), "{fate:?}");
    let unsent = prepared(&rail, &order(&rail, 2, "ada@example.com", "5")).await;
    assert_eq!(refused(changed.submit(&unsent, Attempt::First, NOW).await), Refusal::Stale);
    let anew = prepared(&changed, &order(&changed, 2, "ada@example.com", "5")).await;
    changed.submit(&anew, Attempt::First, NOW).await.unwrap();
    assert_eq!([server.paid().len(), elsewhere.paid().len()], [1, 1]);
}

#[tokio::test]
async fn what_failed_before_it_was_done_is_done_by_submitting_again() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    server.faults.add(Fault::FailedBefore);
    assert!(is_silent(&rail.submit(&prepared, Attempt::First, NOW).await));
    assert_eq!(server.paid().len(), 0);
    rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn the_same_bytes_at_once_and_again_pay_once() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    let names = submit_at_once(&rail, &prepared).await;
    assert!(names.iter().all(|name| name.is_ok() && *name == names[0]), "{names:?}");
    assert_eq!(rail.submit(&prepared, Attempt::Again, NOW + days(28)).await, names[0]);
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn too_little_money_refuses_a_first_attempt_and_leaves_a_second_open() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    server.set_funds(499);
    let refusal = refused(rail.submit(&prepared, Attempt::First, NOW).await);
    assert!(matches!(refusal, Refusal::Insufficient(_)) && refusal.is_passing());
    assert!(is_silent(&rail.submit(&prepared, Attempt::Again, NOW).await));
    server.set_funds(500);
    rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    assert_eq!(server.paid().len(), 1);
}

#[tokio::test]
async fn an_address_that_paypal_does_not_take_is_refused() {
    let server = Server::start().await;
    let rail = rail(&server);
    assert_eq!(rail.destination("ada"), Err(BadDestination::Email));
    let prepared = prepared(&rail, &order(&rail, 1, "nobody@invalid.example", "5")).await;
    let refusal = refused(rail.submit(&prepared, Attempt::First, NOW).await);
    assert!(matches!(&refusal, Refusal::Destination(words) if words.contains("Receiver is invalid")));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn wrong_credentials_and_a_server_that_is_away_certainly_send_nothing() {
    let server = Server::start().await;
    let wrong = paypal(&server.url, "wrong", PATIENCE);
    let prepared = prepared(&wrong, &order(&wrong, 1, "ada@example.com", "5")).await;
    assert!(matches!(refused(wrong.submit(&prepared, Attempt::First, NOW).await), Refusal::Credentials(_)));
    assert!(is_silent(&wrong.submit(&prepared, Attempt::Again, NOW).await));
    let away = paypal(&nowhere().await, server::SECRET, PATIENCE);
    assert!(matches!(refused(away.submit(&prepared, Attempt::First, NOW).await), Refusal::Unavailable(_)));
    assert!(is_silent(&away.submit(&prepared, Attempt::Again, NOW).await));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn a_token_that_paypal_forgot_is_exchanged_and_a_good_one_is_used_again() {
    let server = Server::start().await;
    let rail = rail(&server);
    for number in 1..=3 {
        let prepared = prepared(&rail, &order(&rail, number, "ada@example.com", "5")).await;
        rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    }
    assert_eq!(server.tokens(), 1);
    server.forget_tokens();
    let fourth = prepared(&rail, &order(&rail, 4, "ada@example.com", "5")).await;
    rail.submit(&fourth, Attempt::First, NOW).await.unwrap();
    assert_eq!(server.tokens(), 2);
    let fifth = prepared(&rail, &order(&rail, 5, "ada@example.com", "5")).await;
    rail.submit(&fifth, Attempt::First, NOW + days(1)).await.unwrap();
    assert_eq!(server.tokens(), 3);
    assert_eq!(server.paid().len(), 5);
}

#[tokio::test]
async fn every_status_that_paypal_knows_has_its_fate() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "Ada@example.com", "5")).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    for (batch, item) in [
        ("PENDING", "PENDING"),
        ("PROCESSING", "PENDING"),
        ("SUCCESS", "PENDING"),
        ("SUCCESS", "ONHOLD"),
        ("SUCCESS", "UNCLAIMED"),
    ] {
        server.finish(batch, item);
        let fate = rail.look(&prepared, Some(&name), NOW).await.unwrap();
        assert!(is_pending(&fate), "{batch} {item}: {fate:?}");
    }
    for (batch, item) in [
        ("DENIED", "FAILED"),
        ("CANCELED", "FAILED"),
        ("SUCCESS", "FAILED"),
        ("SUCCESS", "BLOCKED"),
        ("SUCCESS", "RETURNED"),
        ("SUCCESS", "REFUNDED"),
        ("SUCCESS", "REVERSED"),
    ] {
        server.finish(batch, item);
        let fate = rail.look(&prepared, Some(&name), NOW + days(40)).await.unwrap();
        let returned =
            matches!(&fate, Fate::Returned { reason, cost } if !reason.is_empty() && *cost == Nanos::ZERO);
        assert!(returned, "{batch} {item}: {fate:?}");
    }
    server.finish("SUCCESS", "SOMETHING_NEW");
    assert!(matches!(rail.look(&prepared, Some(&name), NOW).await, Err(NotKnown::Silent(_))));
}

#[tokio::test]
async fn bytes_older_than_paypals_memory_are_not_sent() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    let late = NOW + days(30);
    assert_eq!(refused(rail.submit(&prepared, Attempt::First, late).await), Refusal::Stale);
    assert!(is_silent(&rail.submit(&prepared, Attempt::Again, late).await));
    assert!(matches!(rail.look(&prepared, None, late).await, Err(NotKnown::Contradiction(_))));
    assert_eq!(server.paid().len(), 0);
}

#[tokio::test]
async fn a_batch_that_is_not_the_order_needs_a_person() {
    let server = Server::start().await;
    let rail = rail(&server);
    let ours = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    let other = prepared(&rail, &order(&rail, 1, "ada@example.com", "6")).await;
    rail.submit(&other, Attempt::First, NOW).await.unwrap();
    let name = rail.submit(&ours, Attempt::First, NOW).await.unwrap();
    assert!(matches!(rail.look(&ours, Some(&name), NOW).await, Err(NotKnown::Contradiction(_))));
    server.hide_links();
    let outcome = rail.submit(&ours, Attempt::First, NOW).await;
    assert!(matches!(outcome, Err(SubmitError::NotKnown(NotKnown::Contradiction(_)))), "{outcome:?}");
}

#[tokio::test]
async fn nothing_secret_is_in_what_is_printed() {
    let server = Server::start().await;
    let rail = rail(&server);
    let prepared = prepared(&rail, &order(&rail, 1, "ada@example.com", "5")).await;
    rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    let printed = format!("{rail:?} {prepared:?}");
    for secret in [server::SECRET, server::CLIENT, "A1", "ada@"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
