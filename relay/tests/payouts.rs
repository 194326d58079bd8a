//! Payouts over HTTP: what an owner and the operator can do, and what they are told.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod case;

use rekursing_market::Account;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use case::{Case, Engine, TOKEN, on_both};

on_both! {
    a_payout_that_is_asked_for_again_by_its_name_is_the_same_one,
    a_caller_who_hangs_up_and_asks_again_by_the_same_name_has_one_payout,
    a_plugin_changes_its_payouts_so_often_and_no_more,
    what_is_done_about_a_payout_by_its_name_is_done_once_and_answered_alike,
    a_changed_destination_is_not_paid_to_for_a_day_and_the_owner_is_told,
    a_first_destination_is_not_paid_to_for_a_day_where_something_was_earned_before_it,
    the_operator_settles_what_no_rail_tells_of_once_and_for_a_reason,
    an_owner_sets_a_method_sees_the_cost_accepts_it_and_takes_it_back,
    what_does_not_hold_is_refused_with_the_field_at_fault,
    nobody_else_sees_or_moves_an_owners_money,
    the_operator_approves_and_cancels_what_waits_for_him,
}

async fn a_payout_that_is_asked_for_again_by_its_name_is_the_same_one(engine: Engine) {
    let case = Case::new(engine, "").await;
    let wish = json!({"method": "paypal", "destination": "ada@example.com", "threshold": "10"});
    assert_eq!(case.own(Method::PUT, "/method", wish).await.0, StatusCode::OK);
    case.earn().await;
    let path = format!("/api/plugin/payouts/{}", case.plugin);
    let ask = async |body: Value| case.named(Method::POST, &path, &case.secret, body, Some("one")).await;
    let accepted = json!({"amount": "5", "accept": "0.25"});
    assert_eq!(ask(json!({"amount": "5"})).await.0, StatusCode::OK, "a quote makes nothing");
    let (status, first) = ask(accepted.clone()).await;
    assert_eq!((status, &first["payout"]["state"]), (StatusCode::CREATED, &json!("requested")));
    assert_eq!(ask(accepted).await, (StatusCode::CREATED, first));
    let (status, other) = ask(json!({"amount": "6", "accept": "0.25"})).await;
    assert_eq!((status, code(&other)), (StatusCode::CONFLICT, "idempotency_key_reused"));
    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    assert_eq!(all["payouts"].as_array().unwrap().len(), 1);
    case.end().await;
}

/// Sends a call and hangs up at once, without reading a word.
async fn hang_up(case: &Case, path: &str, name: &str, body: &Value) {
    use tokio::io::AsyncWriteExt;
    let address = case.url.strip_prefix("http://").unwrap();
    let (secret, body) = (&case.secret, body.to_string());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {secret}\r\ncontent-type: \
         application/json\r\nidempotency-key: {name}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
}

async fn a_caller_who_hangs_up_and_asks_again_by_the_same_name_has_one_payout(engine: Engine) {
    let case = Case::new(engine, "").await;
    let wish = json!({"method": "paypal", "destination": "ada@example.com", "threshold": "5"});
    assert_eq!(case.own(Method::PUT, "/method", wish).await.0, StatusCode::OK);
    case.earn().await;
    let path = format!("/api/plugin/payouts/{}", case.plugin);
    let body = json!({"amount": "5", "accept": "0.25"});
    for round in 1..=3 {
        let name = format!("round {round}");
        hang_up(&case, &path, &name, &body).await;
        let answer = loop {
            let call = case.named(Method::POST, &path, &case.secret, body.clone(), Some(&name));
            let (status, answer) = call.await;
            if code(&answer) != "idempotency_running" {
                assert_eq!(status, StatusCode::CREATED, "{answer}");
                break answer;
            }
        };
        let (_, listed) = case.own(Method::GET, "", Value::Null).await;
        let payouts = listed["payouts"].as_array().unwrap();
        assert_eq!(payouts.len(), round, "{listed}");
        assert!(payouts.iter().any(|payout| payout["id"] == answer["payout"]["id"]));
    }
    case.end().await;
}

async fn a_plugin_changes_its_payouts_so_often_and_no_more(engine: Engine) {
    let case = Case::new(engine, "").await;
    let mut changes = 0;
    while changes < 60 && code(&case.own(Method::DELETE, "/method", Value::Null).await.1) != "rate_limited" {
        changes += 1;
    }
    assert!((30..60).contains(&changes), "{changes}");
    assert_eq!(case.own(Method::GET, "", Value::Null).await.0, StatusCode::OK, "looking is free");
    case.end().await;
}

async fn what_is_done_about_a_payout_by_its_name_is_done_once_and_answered_alike(engine: Engine) {
    let case = Case::new(engine, "[payouts]\napproval = true\napproval_above = \"6\"").await;
    let wish = json!({"method": "paypal", "destination": "ada@example.com"});
    case.own(Method::PUT, "/method", wish).await;
    case.earn().await;
    let mut ids = Vec::new();
    for amount in ["7", "8"] {
        let (_, made) = case.own(Method::POST, "", json!({"amount": amount, "accept": "0.25"})).await;
        ids.push(made["payout"]["payoutId"].as_str().unwrap().to_owned());
    }
    let [first, second] = [0, 1].map(|at| format!("/api/operator/payouts/{}", ids[at]));
    let own = format!("/api/plugin/payouts/{}/{}", case.plugin, ids[0]);
    let why = json!({"reason": "under review"});
    for (method, path, bearer, body, other) in [
        (Method::POST, format!("{first}/approve"), TOKEN, json!({}), format!("{second}/approve")),
        (Method::POST, format!("{second}/cancel"), TOKEN, why, format!("{first}/cancel")),
        (Method::DELETE, own.clone(), case.secret.as_str(), Value::Null, own.replace(&ids[0], &ids[1])),
    ] {
        let call = async |path: &str| case.named(method.clone(), path, bearer, body.clone(), Some("k")).await;
        let done = call(&path).await;
        assert_eq!(done.0, StatusCode::OK, "{path} {done:?}");
        assert_eq!(call(&path).await, done, "{path}");
        let (status, refused) = call(&other).await;
        assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "idempotency_key_reused"), "{other}");
    }
    let (_, log) = case.call(Method::GET, "/api/operator/log", TOKEN, Value::Null).await;
    assert_eq!(log["log"].as_array().unwrap().len(), 2);
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["available"], "20");
    case.end().await;
}

async fn a_changed_destination_is_not_paid_to_for_a_day_and_the_owner_is_told(engine: Engine) {
    let case = Case::new(engine, "").await;
    let wish = |destination: &str| json!({"method": "paypal", "destination": destination});
    case.own(Method::PUT, "/method", wish("ada@example.com")).await;
    case.earn().await;
    let (_, changed) = case.own(Method::PUT, "/method", wish("eve@example.com")).await;
    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    assert!(changed["heldUntil"].is_u64(), "{changed}");
    assert_eq!(all["method"]["heldUntil"], changed["heldUntil"]);
    let (status, quoted) = case.own(Method::POST, "", json!({"amount": "5"})).await;
    assert_eq!((status, &quoted["quote"]["heldUntil"]), (StatusCode::OK, &changed["heldUntil"]));
    let (status, refused) = case.own(Method::POST, "", json!({"amount": "5", "accept": "0.25"})).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "payout_held"));
    assert!(refused["error"]["message"].as_str().unwrap().ends_with(" UTC"), "{refused}");
    case.end().await;
}

async fn a_first_destination_is_not_paid_to_for_a_day_where_something_was_earned_before_it(engine: Engine) {
    let case = Case::new(engine, "").await;
    case.earn().await;
    let (_, set) =
        case.own(Method::PUT, "/method", json!({"method": "paypal", "destination": "eve@example.com"})).await;
    assert!(set["heldUntil"].is_u64() && set["note"].is_string(), "{set}");
    let earnings = format!("/api/plugin/earnings/{}", case.plugin);
    let (_, told) = case.call(Method::GET, &earnings, &case.secret, Value::Null).await;
    assert_eq!(told["payoutsHeldUntil"], set["heldUntil"]);
    let (status, refused) = case.own(Method::POST, "", json!({"amount": "all", "accept": "0.25"})).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "payout_held"));
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["available"], "20");
    case.end().await;
}

async fn the_operator_settles_what_no_rail_tells_of_once_and_for_a_reason(engine: Engine) {
    let case = Case::new(engine, "").await;
    let wish = json!({"method": "paypal", "destination": "ada@example.com"});
    case.own(Method::PUT, "/method", wish).await;
    case.earn().await;
    let (_, made) = case.own(Method::POST, "", json!({"amount": "7", "accept": "0.25"})).await;
    let id = made["payout"]["payoutId"].as_str().unwrap();
    let path = format!("/api/operator/payouts/{id}/settle");
    let settle = async |body: Value| case.named(Method::POST, &path, TOKEN, body, Some("k")).await;
    let arrived = |cost: &str| json!({"outcome": "confirmed", "reference": "8AELMXH8UB2P8", "cost": cost, "reason": "PayPal's report"});
    let (status, refused) = settle(arrived("0")).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "payout_not_sent"));

    let payout = case.house.desk.store().payout(id.parse().unwrap()).await.unwrap().unwrap();
    let sent = payout.moves().sent();
    case.house.desk.transfer(&sent.id, sent.transfer).await.unwrap();
    for (body, field) in [
        (json!({"outcome": "confirmed", "reference": " ", "reason": "x"}), "reference"),
        (json!({"outcome": "returned", "reason": ""}), "reason"),
        (arrived("7.01"), "cost"),
    ] {
        let (status, refused) = settle(body).await;
        assert_eq!((status, &refused["error"]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
    for body in [
        json!({"outcome": "confirmed", "reason": "x"}),
        json!({"outcome": "returned", "reference": "TX", "reason": "x"}),
        json!({"outcome": "sent", "reason": "x"}),
    ] {
        assert_eq!(settle(body).await.0, StatusCode::BAD_REQUEST);
    }
    let first = settle(arrived("0.25")).await;
    assert_eq!((first.0, &first.1["payout"]["state"]), (StatusCode::OK, &json!("confirmed")), "{first:?}");
    assert_eq!(first.1["payout"]["reference"], "8AELMXH8UB2P8");
    assert_eq!(settle(arrived("0.25")).await, first);
    let (status, refused) = settle(json!({"outcome": "returned", "reason": "x"})).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "idempotency_key_reused"));
    let (status, refused) = case.call(Method::POST, &path, TOKEN, arrived("0.25")).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "payout_not_sent"));
    let (_, log) = case.call(Method::GET, "/api/operator/log", TOKEN, Value::Null).await;
    let line = &log["log"][0];
    assert_eq!(
        json!([line["what"], line["about"], line["amount"], line["note"]]),
        json!(["payout_settled", id, "7", "confirmed: PayPal's report"])
    );
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["available"], "13");

    // It was another payment that he had seen there.
    let returned = json!({"outcome": "returned", "reason": "it was another payment"});
    let back = async || case.named(Method::POST, &path, TOKEN, returned.clone(), Some("back")).await;
    let first = back().await;
    assert_eq!((first.0, &first.1["payout"]["state"]), (StatusCode::OK, &json!("returned")), "{first:?}");
    assert_eq!(back().await, first);
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["available"], "19.75", "its cost is spent");
    let (status, refused) = case.call(Method::POST, &path, TOKEN, returned.clone()).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "payout_not_sent"));
    let (_, log) = case.call(Method::GET, "/api/operator/log", TOKEN, Value::Null).await;
    assert_eq!(log["log"][0]["note"], "returned: it was another payment");
    case.end().await;
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

async fn an_owner_sets_a_method_sees_the_cost_accepts_it_and_takes_it_back(engine: Engine) {
    let case = Case::new(engine, "").await;
    let (status, answer) = case.own(Method::POST, "", json!({"amount": "all"})).await;
    assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "payout_method_missing"));
    let (status, answer) = case.own(Method::GET, "/method", Value::Null).await;
    assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "payout_method_missing"));

    let wish = json!({"method": "paypal", "destination": "ada@example.com", "threshold": "10", "schedule": "weekly"});
    let (status, method) = case.own(Method::PUT, "/method", wish).await;
    case.earn().await;
    assert_eq!(status, StatusCode::OK, "{method}");
    assert_eq!((&method["destination"], &method["ready"]), (&json!("ada@example.com"), &json!(false)));
    assert_eq!(case.own(Method::GET, "/method", Value::Null).await.1, method);

    for accept in [Value::Null, json!("0.3")] {
        let (status, quoted) = case.own(Method::POST, "", json!({"amount": "12.34", "accept": accept})).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            (&quoted["quote"]["cost"], &quoted["quote"]["arrives"]),
            (&json!("0.25"), &json!("12.09"))
        );
    }
    let (status, made) = case.own(Method::POST, "", json!({"amount": "12.34", "accept": "0.25"})).await;
    assert_eq!((status, &made["payout"]["state"]), (StatusCode::CREATED, &json!("requested")));
    let waits = "this relay's operator has not set up paypal; the payout waits until he does";
    assert_eq!(made["payout"]["reason"], waits);

    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    assert_eq!((&all["available"], &all["payouts"][0]), (&json!("7.66"), &made["payout"]));
    assert_eq!(all["methods"][1], json!({"method": "stripe", "ready": false, "minimum": "25", "cost": "0"}));

    let path = format!("/{}", made["payout"]["payoutId"].as_str().unwrap());
    let (status, cancelled) = case.own(Method::DELETE, &path, Value::Null).await;
    assert_eq!((status, &cancelled["payout"]["state"]), (StatusCode::OK, &json!("cancelled")));
    let (status, answer) = case.own(Method::DELETE, &path, Value::Null).await;
    assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "payout_under_way"));
    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    assert_eq!(all["available"], "20");
    assert_eq!(case.own(Method::DELETE, "/method", Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["method"], Value::Null);
    case.end().await;
}

async fn what_does_not_hold_is_refused_with_the_field_at_fault(engine: Engine) {
    let case = Case::new(engine, "").await;
    let paypal = |change: Value| {
        let mut wish = json!({"method": "paypal", "destination": "ada@example.com"});
        wish.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        wish
    };
    for (wish, field) in [
        (paypal(json!({"destination": "ada"})), "destination"),
        (paypal(json!({"destination": "a".repeat(300)})), "destination"),
        (paypal(json!({"threshold": "4.99"})), "threshold"),
        (paypal(json!({"schedule": "hourly"})), "schedule"),
    ] {
        let (status, answer) = case.own(Method::PUT, "/method", wish).await;
        assert_eq!((status, &answer["error"]["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{answer}");
    }
    for wish in [paypal(json!({"method": "cash"})), paypal(json!({"thresold": "5"})), json!([])] {
        assert_eq!(case.own(Method::PUT, "/method", wish).await.0, StatusCode::BAD_REQUEST);
    }
    case.own(Method::PUT, "/method", paypal(json!({}))).await;
    case.earn().await;
    for (amount, status) in [
        ("4.99", StatusCode::BAD_REQUEST),
        ("1e3", StatusCode::BAD_REQUEST),
        ("21", StatusCode::PAYMENT_REQUIRED),
    ] {
        assert_eq!(case.own(Method::POST, "", json!({"amount": amount})).await.0, status, "{amount}");
    }
    for payout in ["/pay_00000000000000000000000000", "/x"] {
        let (status, answer) = case.own(Method::DELETE, payout, Value::Null).await;
        assert_eq!((status, code(&answer)), (StatusCode::NOT_FOUND, "payout_not_found"));
    }
    case.end().await;
}

async fn nobody_else_sees_or_moves_an_owners_money(engine: Engine) {
    let case = Case::new(engine, "").await;
    let path = format!("/api/plugin/payouts/{}", case.plugin);
    let body = json!({"amount": "all"});
    for bearer in ["", "rps_0", TOKEN] {
        for (method, path, body) in [
            (Method::GET, path.clone(), Value::Null),
            (Method::POST, path.clone(), body.clone()),
            (Method::GET, format!("{path}/method"), Value::Null),
            (
                Method::PUT,
                format!("{path}/method"),
                json!({"method": "paypal", "destination": "e@example.com"}),
            ),
            (Method::DELETE, format!("{path}/method"), Value::Null),
            (Method::DELETE, format!("{path}/pay_00000000000000000000000000"), Value::Null),
        ] {
            let (status, _) = case.call(method.clone(), &path, bearer, body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    for (method, path) in [
        (Method::GET, "/api/operator/payouts"),
        (Method::POST, "/api/operator/payouts/pay_00000000000000000000000000/approve"),
        (Method::POST, "/api/operator/payouts/pay_00000000000000000000000000/cancel"),
        (Method::POST, "/api/operator/payouts/pay_00000000000000000000000000/settle"),
    ] {
        let body = if method == Method::GET { Value::Null } else { json!({}) };
        let (status, _) = case.call(method, path, &case.secret, body.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    case.end().await;
}

async fn the_operator_approves_and_cancels_what_waits_for_him(engine: Engine) {
    let case = Case::new(engine, "[payouts]\napproval = true\napproval_above = \"6\"").await;
    let wish = json!({"method": "paypal", "destination": "ada@example.com"});
    case.own(Method::PUT, "/method", wish).await;
    case.earn().await;
    let mut paths = Vec::new();
    for amount in ["7", "8"] {
        let (_, made) = case.own(Method::POST, "", json!({"amount": amount, "accept": "0.25"})).await;
        assert_eq!(made["payout"]["reason"], "it waits for the operator's approval");
        paths.push(format!("/api/operator/payouts/{}", made["payout"]["payoutId"].as_str().unwrap()));
    }
    let (_, all) = case.call(Method::GET, "/api/operator/payouts", TOKEN, Value::Null).await;
    assert_eq!(all["payouts"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&all["payouts"][0]["pluginId"], &all["payouts"][0]["approved"]),
        (&json!(case.plugin), &json!(false))
    );

    let (status, approved) =
        case.call(Method::POST, &format!("{}/approve", paths[0]), TOKEN, json!({})).await;
    assert_eq!((status, &approved["payout"]["approved"]), (StatusCode::OK, &json!(true)), "{approved}");
    let reason = json!({"reason": "the account is under review"});
    let (status, cancelled) = case.call(Method::POST, &format!("{}/cancel", paths[1]), TOKEN, reason).await;
    assert_eq!((status, &cancelled["payout"]["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(cancelled["payout"]["reason"], "the account is under review");
    let (status, answer) = case.call(Method::POST, &format!("{}/approve", paths[1]), TOKEN, json!({})).await;
    assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "payout_under_way"));
    assert_eq!(case.own(Method::GET, "", Value::Null).await.1["available"], "13");
    assert_eq!(case.house.desk.balance(Account::PayoutRequested).to_string(), "7");

    let (_, log) = case.call(Method::GET, "/api/operator/log", TOKEN, Value::Null).await;
    let mut deeds: Vec<Value> = log["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| json!([line["what"], line["about"], line["note"]]))
        .collect();
    deeds.sort_by_key(Value::to_string);
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let expected = [
        json!(["payout_approved", id(&paths[0]), ""]),
        json!(["payout_cancelled", id(&paths[1]), "the account is under review"]),
    ];
    assert_eq!(deeds, expected);
    case.end().await;
}
