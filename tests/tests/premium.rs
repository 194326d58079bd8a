//! Premium accounts: paid for once a period, no fee, no ad, and the same after a restart.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    on_both,
    relay::{FREE, Relay},
    scene::Scripted,
    script::MODEL,
};
use serde_json::{Value, json};

on_both! {
    a_premium_account_is_paid_for_once_and_its_jobs_have_no_fee_and_no_ad,
}

const PREMIUM: &str = "/api/account/premium";

async fn account(page: &Page) -> Result<Value> {
    page.get("/api/account").await?.expect(200)
}

/// Asks a question beside whose answer an ad would stand, were it free.
async fn asked(page: &Page) -> Result<Value> {
    let ask = json!({"prompt": "Which laptop should I buy?", "model": MODEL, "maxTokens": 10});
    page.post("/api/llm/inference", &ask).await?.expect(200)
}

/// Puts up a campaign of another account, and waits until a visitor is shown its ad.
async fn advertise(relay: &Relay) -> Result<()> {
    let key = relay.key("0").await?;
    relay.operate(&["key", "grant", &key[..11], "--ads", "--amount", "1.00"]).await?;
    let terms = json!({
        "title": "Laptops that last", "text": "Five years of spare parts.", "link": "https://example.com/",
        "categories": ["technology"], "bidPerThousand": "2", "perVisitorDay": 100, "budget": "1",
        "ends": 9_000_000_000_000_u64,
    });
    relay.customer(&key).post("/api/ads/campaigns", &terms).await?.expect(201)?;
    eventually("a visitor is shown the ad", || async {
        Ok((asked(&relay.visitor()).await?["ad"]["title"] == "Laptops that last").then_some(()))
    })
    .await
}

/// Asks, and returns the job's receipt.
async fn receipt(page: &Page) -> Result<Value> {
    let answer = asked(page).await?;
    assert!(answer["ad"].is_null(), "{answer}");
    let job = answer["jobId"].as_str().context("a job")?;
    Ok(page.get(&format!("/api/jobs/{job}/receipt")).await?.expect(200)?["settlement"].clone())
}

fn dollars(value: &Value) -> Result<Nanos> {
    Ok(value.as_str().with_context(|| format!("{value} is no amount"))?.parse()?)
}

async fn a_premium_account_is_paid_for_once_and_its_jobs_have_no_fee_and_no_ad(engine: Engine) -> Result<()> {
    let (relay, key) = Relay::keeping(engine, FREE, "6.00").await?;
    let (mut scene, page) = Scripted::around(relay, &key).await?;
    advertise(&scene.relay).await?;
    let plain = receipt(&page).await?;
    assert!(dollars(&plain["fee"])? > Nanos::ZERO);
    let offer = account(&page).await?["premium"].clone();
    assert_eq!(
        (&offer["price"], &offer["until"], &offer["renews"]),
        (&json!("5"), &Value::Null, &json!(false))
    );

    let named = page.clone().with("idempotency-key", "k");
    let made = named.put(PREMIUM, &json!({"renews": true, "price": "5"})).await?.expect(200)?;
    assert_eq!((&made["renews"], &made["renewsFor"], &made["days"]), (&json!(true), &json!("5"), &json!(30)));
    named.put(PREMIUM, &json!({"renews": true, "price": "5"})).await?.expect(200)?;
    assert_eq!(
        named.put(PREMIUM, &json!({"renews": false})).await?.status,
        409,
        "the name is another call's"
    );

    let paid = receipt(&page).await?;
    assert_eq!((&paid["fee"], &paid["earned"]), (&json!("0"), &plain["earned"]));
    assert_eq!(paid["discount"], plain["fee"]);
    let free = asked(&scene.relay.visitor()).await?;
    assert_eq!(
        free["ad"]["title"], "Laptops that last",
        "a visitor is still shown it beside the same question"
    );

    scene.relay.kill().await?;
    scene.relay.restart().await?;
    assert_eq!(account(&page).await?["premium"], made);
    let ended = page.put(PREMIUM, &json!({"renews": false})).await?.expect(200)?;
    assert_eq!((&ended["until"], &ended["renews"]), (&made["until"], &json!(false)));
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    assert_eq!(account(&page).await?["premium"], ended);
    page.put(PREMIUM, &json!({"renews": true, "price": "7.5"})).await?.expect(200)?;
    assert_eq!(scene.relay.ledger()?.entries("premium")?, 1);
    scene.relay.audit().await
}

#[tokio::test]
async fn premium_is_refused_in_plain_words_and_nothing_moves() -> Result<()> {
    let (relay, key) = Relay::funded("", "5.00").await?;
    let page = relay.customer(&key);
    let limited = page.post("/api/account/keys", &json!({"budgetTotal": "9"})).await?.expect(201)?;
    let limited = relay.customer(limited["key"].as_str().context("a key")?);
    let poor = relay.customer(&relay.key("4.99").await?);
    let agreed = json!({"renews": true, "price": "5"});
    for (page, body, status, code) in [
        (&page, json!({"renews": true}), 400, "bad_request"),
        (&page, json!({"renews": true, "price": 5}), 400, "bad_request"),
        (&page, json!({"renews": true, "price": "4.999999999"}), 409, "premium_costs_more"),
        (&poor, agreed.clone(), 402, "insufficient_funds"),
        (&limited, agreed.clone(), 403, "key_has_limits"),
        (&relay.visitor(), agreed, 401, "invalid_api_key"),
    ] {
        let refused = page.put(PREMIUM, &body).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (status, code), "{body}");
    }
    assert_eq!(account(&page).await?["balance"], "5");
    assert_eq!(relay.ledger()?.entries("premium")?, 0);
    Ok(())
}

#[tokio::test]
async fn a_relay_that_sells_no_premium_says_so() -> Result<()> {
    let (relay, key) = Relay::funded("[money]\npremium_price = \"0\"\n", "5.00").await?;
    let page = relay.customer(&key);
    assert_eq!(account(&page).await?["premium"], Value::Null);
    let refused = page.put(PREMIUM, &json!({"renews": true, "price": "5"})).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (404, "premium_not_offered"));
    Ok(())
}
