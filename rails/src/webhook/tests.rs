//! Reports as Stripe sends them.

use serde_json::json;

use super::*;

const SECRET: &str = "whsec_test";

const NOW: Moment = Moment(1_780_000_000_000);

const PAID: &str = r#"{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{"object":{"id":"cs_1","object":"checkout.session","amount_total":2005,"currency":"usd","metadata":{"account":"acc_00000000000000000000000007"},"payment_intent":"pi_1","payment_status":"paid"}}}"#;

/// Computed by `hmac.new(b"whsec_test", b"1780000000." + body, "sha256")` in Python.
const SIGNATURE: &str = "e2bfedf3fefc5767eb4b74e09364a823b7ca4e042a1e55212ae8d4207326a1df";

fn check(signature: &str, now: Moment) -> Result<(), BadReport> {
    verify(PAID.as_bytes(), signature, &Secret::new(SECRET), now)
}

fn signed(body: &str) -> Result<Report, BadReport> {
    let mut mac = mac(&Secret::new(SECRET));
    mac.update(format!("1780000000.{body}").as_bytes());
    let hex = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    read(body.as_bytes(), &format!("t=1780000000,v1={hex}"), &Secret::new(SECRET), NOW)
}

fn event_of(kind: &str, object: Value) -> Event {
    signed(
        &json!({ "id": "evt_1", "type": kind, "created": 1_779_999_999, "data": { "object": object } })
            .to_string(),
    )
    .unwrap()
    .event
}

fn session(status: &str) -> Value {
    json!({
        "id": "cs_1",
        "amount_total": 2_005,
        "currency": "usd",
        "metadata": { "account": AccountId::from_bits(7).to_string() },
        "payment_intent": "pi_1",
        "payment_status": status,
    })
}

fn payment() -> Payment {
    let amount = "20.05".parse().unwrap();
    Payment {
        session: "cs_1".into(),
        payment: Some("pi_1".into()),
        account: AccountId::from_bits(7),
        purpose: Purpose::Answers,
        amount,
    }
}

#[test]
fn a_report_with_stripes_signature_is_read() {
    let header = format!("t=1780000000,v1={SIGNATURE},v0=ignored");
    let report = read(PAID.as_bytes(), &header, &Secret::new(SECRET), NOW).unwrap();
    assert_eq!(report, Report { id: "evt_1".into(), event: Event::Paid(payment()) });
}

#[test]
fn any_of_several_signatures_will_do_while_a_secret_is_exchanged() {
    let other = "0".repeat(64);
    assert_eq!(check(&format!("t=1780000000,v1={other},v1={SIGNATURE}"), NOW), Ok(()));
}

#[test]
fn a_changed_body_time_secret_or_signature_is_not_believed() {
    let header = format!("t=1780000000,v1={SIGNATURE}");
    let changed = PAID.replace("2005", "9005");
    let secret = Secret::new(SECRET);
    assert_eq!(verify(changed.as_bytes(), &header, &secret, NOW), Err(BadReport::Signature));
    assert_eq!(verify(PAID.as_bytes(), &header, &Secret::new("whsec_other"), NOW), Err(BadReport::Signature));
    assert_eq!(check(&format!("t=1780000001,v1={SIGNATURE}"), NOW), Err(BadReport::Signature));
    assert_eq!(check(&format!("t=1780000000,v1={}", &SIGNATURE[2..]), NOW), Err(BadReport::Signature));
    assert_eq!(check(&format!("t=1780000000,v0={SIGNATURE}"), NOW), Err(BadReport::Header));
    for header in ["", "t=,v1=00", "t=-5,v1=00", "t=99999999999999999999,v1=00", "v1=00", "t=1780000000"] {
        assert_eq!(check(header, NOW), Err(BadReport::Header), "{header}");
    }
}

#[test]
fn a_report_of_five_minutes_ago_is_believed_and_an_older_or_later_one_is_not() {
    let header = format!("t=1780000000,v1={SIGNATURE}");
    assert_eq!(check(&header, NOW + TOLERANCE), Ok(()));
    assert_eq!(check(&header, NOW - TOLERANCE), Ok(()));
    assert_eq!(check(&header, NOW + TOLERANCE + Span(1)), Err(BadReport::Time));
    assert_eq!(check(&header, NOW - TOLERANCE - Span(1)), Err(BadReport::Time));
}

#[test]
fn a_session_says_whether_the_money_came() {
    let completed = "checkout.session.completed";
    assert_eq!(event_of(completed, session("paid")), Event::Paid(payment()));
    assert_eq!(event_of(completed, session("unpaid")), Event::Awaited(payment()));
    assert_eq!(event_of(completed, session("no_payment_required")), Event::Other);
    let later = |end: &str| format!("checkout.session.async_payment_{end}");
    assert_eq!(event_of(&later("succeeded"), session("paid")), Event::Paid(payment()));
    assert_eq!(event_of(&later("failed"), session("unpaid")), Event::Failed(payment()));
}

#[test]
fn refunds_and_disputes_name_the_charge_and_the_amount() {
    let account = AccountId::from_bits(7);
    let charge = json!({
        "id": "ch_1",
        "amount": 2_005,
        "amount_refunded": 1_000,
        "currency": "usd",
        "metadata": { "account": account.to_string() },
        "payment_intent": "pi_1",
        "refunded": false,
    });
    let (payment, amount) = ("pi_1".to_owned(), "10".parse().unwrap());
    let told = Moment(1_779_999_999_000);
    let refunded = Event::Refunded { charge: "ch_1".into(), payment: payment.clone(), amount, told };
    assert_eq!(event_of("charge.refunded", charge), refunded);
    let dispute = json!({
        "id": "dp_1",
        "amount": 1_000,
        "charge": "ch_1",
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
    });
    let mut refund = json!({
        "id": "re_1",
        "amount": 1_000,
        "charge": "ch_1",
        "currency": "usd",
        "payment_intent": "pi_1",
        "status": "failed",
    });
    let (charge, refund_id) = ("ch_1".to_owned(), "re_1".to_owned());
    let failed = Event::RefundFailed { refund: refund_id, charge, payment: payment.clone(), amount, told };
    for kind in ["refund.failed", "refund.updated", "charge.refund.updated"] {
        assert_eq!(event_of(kind, refund.clone()), failed, "{kind}");
    }
    refund["status"] = json!("succeeded");
    assert_eq!(event_of("refund.updated", refund), Event::Other);
    let disputed = Dispute { id: "dp_1".into(), payment, amount, reason: "fraudulent".into(), told };
    let event = |end: &str| event_of(&format!("charge.dispute.{end}"), dispute.clone());
    assert_eq!(event("funds_withdrawn"), Event::Withdrawn(disputed.clone()));
    assert_eq!(event("funds_reinstated"), Event::Reinstated(disputed));
    for end in ["created", "updated", "closed"] {
        assert_eq!(event(end), Event::Other, "{end}: no money moves");
    }
}

#[test]
fn what_is_no_top_up_is_passed_over() {
    let foreign = |field: &str, value: Value| {
        let mut session = session("paid");
        session[field] = value;
        event_of("checkout.session.completed", session)
    };
    assert_eq!(foreign("metadata", json!({})), Event::Other);
    assert_eq!(foreign("metadata", json!({ "account": "another shop's" })), Event::Other);
    assert_eq!(foreign("currency", json!("eur")), Event::Other);
    assert_eq!(foreign("amount_total", json!(null)), Event::Other);
    assert_eq!(foreign("amount_total", json!(100_000_000)), Event::Other, "no card is charged a million");
    assert_eq!(foreign("amount_total", json!(i64::MAX / 10_000_000)), Event::Other);
    assert_eq!(event_of("invoice.paid", json!({})), Event::Other);
}

#[test]
fn a_signed_report_of_an_unknown_form_is_an_error_so_that_it_comes_again() {
    for body in ["", "[]", r#"{"id":"evt_1","type":"charge.refunded","data":{"object":{}}}"#] {
        assert_eq!(signed(body), Err(BadReport::Event), "{body}");
    }
}
