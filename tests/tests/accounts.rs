//! Accounts and their keys: made, limited, listed and revoked over real sockets.

use anyhow::{Context, Result};
use futures_util::future::join_all;
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    on_both,
    relay::Relay,
    scene::{Scripted, ask},
    script::{Gate, MODEL, Reply},
};
use serde_json::{Value, json};

on_both! {
    a_key_makes_keys_that_spend_the_accounts_money_within_their_limits,
    of_many_jobs_at_once_a_budget_lets_run_what_it_covers_and_holds_after_kill_9,
    a_revoked_key_opens_nothing_and_neither_do_those_that_it_made,
    a_limited_key_has_its_own_jobs_and_nothing_else_of_its_account,
}

const INFERENCE: &str = "/api/llm/inference";
const KEYS: &str = "/api/account/keys";

/// Makes a key with these limits, and returns its page and its first characters.
async fn made(relay: &Relay, maker: &Page, limits: Value) -> Result<(Page, String)> {
    let key = maker.post(KEYS, &limits).await?.expect(201)?;
    let page = relay.customer(key["key"].as_str().context("a key")?);
    Ok((page, key["prefix"].as_str().context("a prefix")?.to_owned()))
}

fn dollars(value: &Value) -> Nanos {
    value.as_str().unwrap_or_default().parse().unwrap_or(Nanos::new(-1))
}

/// A question whose answer is whole and has at most so many tokens.
fn short(tokens: u64) -> Value {
    json!({"prompt": "go", "model": MODEL, "maxTokens": tokens})
}

/// The same, streamed: it passes the script's gate token by token.
fn gated(tokens: u64) -> Value {
    json!({"prompt": "go", "model": MODEL, "maxTokens": tokens, "stream": true})
}

async fn a_key_makes_keys_that_spend_the_accounts_money_within_their_limits(engine: Engine) -> Result<()> {
    let (scene, root) = Scripted::keeping(engine, "1.00").await?;
    let relay = &scene.relay;
    let limits = json!({
        "name": "child", "budgetPerDay": "0.5", "models": [MODEL], "maxPrice": "50",
    });
    let (child, prefix) = made(relay, &root, limits).await?;
    let answer = child.post(INFERENCE, &short(10)).await?.expect(200)?;
    let cost = dollars(&answer["cost"]);
    assert!(cost > Nanos::ZERO);

    let account = root.get("/api/account").await?.expect(200)?;
    assert_eq!(dollars(&account["balance"]).checked_add(cost), Some(Nanos::DOLLAR));
    assert_eq!((dollars(&account["held"]), dollars(&account["spent"])), (Nanos::ZERO, cost));
    assert_eq!(account["usage"][0]["model"], MODEL);
    assert_eq!(account["usageByKey"][0]["key"], prefix.as_str());
    assert_eq!(dollars(&account["usageByKey"][0]["spent"]), cost);

    let keys = root.get(KEYS).await?.expect(200)?;
    let listed = keys["keys"].as_array().context("a list")?;
    let listed = listed.iter().find(|key| key["prefix"] == prefix.as_str()).context("the child")?;
    assert_eq!(listed["madeWith"], account["key"]["prefix"]);
    assert_eq!(listed["budgetPerDay"], "0.5");
    assert_eq!(dollars(&listed["leftToday"]).checked_add(cost), Some(Nanos::new(500_000_000)));
    assert!(listed["key"].is_null(), "a key is shown once");

    let own = child.get("/api/account").await?.expect(200)?;
    assert!(own["usage"].is_null() && own["spent"].is_null(), "the others' business is not its own: {own}");
    assert_eq!(child.get(KEYS).await?.expect(200)?["keys"].as_array().map(Vec::len), Some(1));
    relay.audit().await
}

#[tokio::test]
async fn each_limit_is_refused_with_a_code_of_its_own() -> Result<()> {
    let (scene, root) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let relay = &scene.relay;
    for (limits, status, code) in [
        (json!({"budgetPerDay": "0.000000001"}), 402, "key_budget_day"),
        (json!({"budgetTotal": "0.000000001"}), 402, "key_budget_total"),
        (json!({"models": ["another-7b"]}), 403, "key_model"),
        (json!({"maxPrice": {"output": "0.000001"}}), 403, "key_price"),
    ] {
        let (page, _) = made(relay, &root, limits).await?;
        let refused = page.post(INFERENCE, &short(10)).await?;
        assert_eq!((refused.status, refused.error_code()?), (status, code.to_owned()));
        let (grandchild, _) = made(relay, &page, json!({})).await?;
        assert_eq!(grandchild.post(INFERENCE, &short(10)).await?.error_code()?, code);
        let openai = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
        assert_eq!(page.post("/v1/chat/completions", &openai).await?.json()?["error"]["code"], code);
    }
    assert_eq!(relay.ledger()?.entries("hold")?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_gives_no_more_than_it_may_do_itself() -> Result<()> {
    let (scene, root) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let limits = json!({
        "budgetPerDay": "0.1", "budgetTotal": "0.5", "models": [MODEL], "maxPrice": "1",
        "expiresAt": 4_000_000_000_000_u64,
    });
    let (limited, _) = made(&scene.relay, &root, limits).await?;
    for (field, wider) in [
        ("budgetPerDay", json!("0.2")),
        ("budgetTotal", json!("0.6")),
        ("models", json!(["another-7b"])),
        ("maxPrice", json!({"input": "1", "output": "2"})),
        ("expiresAt", json!(4_000_000_000_001_u64)),
        ("budgetPerDay", json!("-1")),
        ("models", json!([])),
        ("expiresAt", json!(1)),
        ("name", json!("\u{202e}")),
    ] {
        let refused = limited.post(KEYS, &json!({field: wider})).await?;
        assert_eq!(refused.expect(400)?["error"]["field"], field, "{wider}");
    }
    let unknown = limited.post(KEYS, &json!({"budgetperday": "0.01"})).await?;
    assert_eq!(unknown.error_code()?, "bad_request", "a limit with a typing error is no key without it");
    assert_eq!(scene.relay.visitor().post(KEYS, &json!({})).await?.error_code()?, "invalid_api_key");
    Ok(())
}

async fn of_many_jobs_at_once_a_budget_lets_run_what_it_covers_and_holds_after_kill_9(
    engine: Engine,
) -> Result<()> {
    let (mut scene, root) = Scripted::keeping(engine, "10.00").await?;
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one"], &gate));
    // Every job may cost (tokens of the prompt and 1,000 more) at the default ask.
    let question = gated(1_000);
    let sole = root.post(INFERENCE, &question);
    let hold = async {
        let ledger = eventually("a hold", || async {
            let ledger = scene.relay.ledger()?;
            Ok((ledger.entries("hold")? == 1).then_some(ledger))
        });
        let escrow = ledger.await?.balance("escrow")?;
        gate.open(1);
        Ok::<_, anyhow::Error>(escrow)
    };
    let (answer, hold) = tokio::try_join!(sole, hold)?;
    assert_eq!(answer.status, 200);

    let budget = Nanos::new(hold.get() * 4 + 7);
    let limits = json!({"budgetTotal": budget, "budgetPerDay": budget});
    let (page, prefix) = made(&scene.relay, &root, limits).await?;
    let asking = join_all((0..64).map(|_| page.post(INFERENCE, &question)));
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one"], &gate));
    let open = async {
        eventually("four run", || async { Ok((scene.relay.ledger()?.entries("hold")? == 5).then_some(())) })
            .await?;
        gate.open(64);
        Ok::<_, anyhow::Error>(())
    };
    let (answers, opened) = tokio::join!(asking, open);
    opened?;
    let mut ran = 0;
    for answer in answers {
        let answer = answer?;
        ran += usize::from(answer.status == 200);
        assert!(answer.status == 200 || answer.error_code()? == "key_budget_day", "{answer:?}");
    }
    assert!((4..64).contains(&ran), "{ran} ran");

    let spent = |keys: &Value| {
        let keys = keys["keys"].as_array().cloned().unwrap_or_default();
        let key = keys.into_iter().find(|key| key["prefix"] == prefix.as_str()).unwrap_or_default();
        [dollars(&key["spent"]), dollars(&key["leftTotal"]), dollars(&key["leftToday"])]
    };
    let before = spent(&root.get(KEYS).await?.expect(200)?);
    assert_eq!(before[0].checked_add(before[1]), Some(budget));
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    assert_eq!(spent(&root.get(KEYS).await?.expect(200)?), before, "what was spent before counts");
    scene.relay.audit().await
}

async fn a_revoked_key_opens_nothing_and_neither_do_those_that_it_made(engine: Engine) -> Result<()> {
    let (scene, root) = Scripted::keeping(engine, "1.00").await?;
    let relay = &scene.relay;
    let (child, prefix) = made(relay, &root, json!({"budgetTotal": "0.5"})).await?;
    let (grandchild, second) = made(relay, &child, json!({})).await?;
    grandchild.post(INFERENCE, &ask("go")).await?;

    let root_prefix = root.get("/api/account").await?.expect(200)?["key"]["prefix"].clone();
    let path = format!("{KEYS}/{}", root_prefix.as_str().context("a prefix")?);
    assert_eq!(child.delete(&path).await?.error_code()?, "key_not_found", "it manages its own alone");

    let gone = child.delete(&format!("{KEYS}/{prefix}")).await?.expect(200)?;
    assert_eq!(gone["revoked"], json!([prefix, second]));
    for page in [&child, &grandchild] {
        assert_eq!(page.post(INFERENCE, &ask("go")).await?.error_code()?, "invalid_api_key");
    }
    assert_eq!(root.delete(&format!("{KEYS}/{prefix}")).await?.error_code()?, "key_not_found");

    let (kept, first) = made(relay, &root, json!({})).await?;
    let (heir, _) = made(relay, &kept, json!({})).await?;
    heir.delete(&format!("{KEYS}/{first}?made=keep")).await?.expect(200)?;
    assert_eq!(kept.get("/api/account").await?.status, 401);
    heir.get("/api/account").await?.expect(200)?;
    Ok(())
}

async fn a_limited_key_has_its_own_jobs_and_nothing_else_of_its_account(engine: Engine) -> Result<()> {
    let (scene, root) = Scripted::keeping(engine, "1.00").await?;
    let relay = &scene.relay;
    let (limited, _) = made(relay, &root, json!({"budgetTotal": "0.5"})).await?;
    let (heir, _) = made(relay, &limited, json!({})).await?;
    let campaigns = "/api/ads/campaigns";
    let terms = json!({
        "title": "Laptops", "text": "Laptops that last.", "link": "https://shop.example.com",
        "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    let made = root.post(campaigns, &terms).await?.expect(201)?;
    let campaign = format!("{campaigns}/{}", made["id"].as_str().context("an id")?);
    for key in [&limited, &heir] {
        for refused in [
            key.get(campaigns).await?,
            key.post(campaigns, &terms).await?,
            key.get(&campaign).await?,
            key.patch(&campaign, &json!({"link": "https://elsewhere.example.com"})).await?,
            key.get(&format!("{campaign}/report")).await?,
            key.get("/api/account/statements/2026-01").await?,
            key.post("/api/account/top-ups", &json!({"amount": "20"})).await?,
            key.put("/api/account/premium", &json!({"renews": true, "price": "5"})).await?,
        ] {
            assert_eq!((refused.status, refused.error_code()?), (403, "key_has_limits".to_owned()));
        }
    }
    assert_eq!(root.get(&campaign).await?.expect(200)?["link"], "https://shop.example.com");

    let [of_root, of_limited, of_heir] = {
        let job = async |page: &Page| -> Result<String> {
            let answer = page.post(INFERENCE, &short(10)).await?.expect(200)?;
            Ok(format!("/api/jobs/{}/receipt", answer["jobId"].as_str().context("a job")?))
        };
        [job(&root).await?, job(&limited).await?, job(&heir).await?]
    };
    for (page, jobs, seen, unseen) in [
        (&root, 3, vec![&of_root, &of_limited, &of_heir], vec![]),
        (&limited, 2, vec![&of_limited, &of_heir], vec![&of_root]),
        (&heir, 1, vec![&of_heir], vec![&of_root, &of_limited]),
    ] {
        for path in seen {
            page.get(path).await?.expect(200)?;
        }
        for path in unseen {
            assert_eq!(page.get(path).await?.error_code()?, "job_not_found");
        }
        let used = page.get("/api/analytics/usage").await?.expect(200)?;
        assert_eq!((&used["jobs"], &used["days"][0]["jobs"]), (&json!(jobs), &json!(jobs)));
        assert_eq!(used["models"][0]["jobs"], jobs);
    }
    relay.audit().await
}

#[tokio::test]
async fn a_limited_key_stops_its_own_jobs_and_no_others() -> Result<()> {
    let (scene, root) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let (limited, _) = made(&scene.relay, &root, json!({"budgetTotal": "0.5"})).await?;
    for (asker, stopped) in [(&root, 404), (&limited, 204)] {
        let gate = Gate::default();
        scene.script.next(Reply::gated(&["one", " two"], &gate));
        gate.open(1);
        let mut stream = asker.stream(INFERENCE, &gated(10)).await?;
        let start = stream.next().await?.context("a start")?;
        let start: Value = serde_json::from_str(&start.data)?;
        let path = format!("{INFERENCE}/{}", start["jobId"].as_str().context("a job")?);
        assert_eq!(limited.delete(&path).await?.status, stopped);
        assert_eq!(root.delete(&path).await?.status, if stopped == 204 { 404 } else { 204 });
    }
    Ok(())
}

#[tokio::test]
async fn the_operators_limits_are_those_of_the_pages_routes() -> Result<()> {
    let (scene, _) = Scripted::keeping(Engine::Sqlite, "0").await?;
    let relay = &scene.relay;
    let flags = "key create --name limited --balance 1 --budget-day 0.000000001 --budget-total 0.5 --models \
                 other,script --max-price-input 0.15 --expires 90d";
    let key = relay.operate(&flags.split_whitespace().collect::<Vec<_>>()).await?;
    let page = relay.customer(&key);
    let view = page.get("/api/account").await?.expect(200)?["key"].clone();
    assert_eq!(view["models"], json!(["other", "script"]));
    assert_eq!(view["maxPrice"], json!({"input": "0.15", "output": null}));
    assert_eq!((&view["budgetPerDay"], &view["budgetTotal"]), (&json!("0.000000001"), &json!("0.5")));
    assert_eq!(page.post(INFERENCE, &short(10)).await?.error_code()?, "key_model");

    let account = page.get("/api/account").await?.expect(200)?["account"].clone();
    let account = account.as_str().context("an account")?;
    let second = relay.operate(&["key", "create", "--name", "second", "--account", account]).await?;
    let second = relay.customer(&second);
    eventually("the account's one balance", || async {
        Ok((second.get("/api/account").await?.expect(200)?["balance"] == "1").then_some(()))
    })
    .await?;
    let list = relay.operate(&["key", "list"]).await?;
    assert!(
        list.contains("0.000000001 a day; 0.5 in all; other, script; price 0.15 / any; until 2"),
        "{list}"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_has_no_more_open_keys_than_it_may() -> Result<()> {
    let (relay, key) = Relay::funded("[limits]\nkeys_per_account = 3", "0").await?;
    let root = relay.customer(&key);
    let (_, prefix) = made(&relay, &root, json!({})).await?;
    made(&relay, &root, json!({})).await?;
    assert_eq!(root.post(KEYS, &json!({})).await?.error_code()?, "too_many_keys");
    root.delete(&format!("{KEYS}/{prefix}")).await?.expect(200)?;
    made(&relay, &root, json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn whoever_floods_his_account_with_one_key_slows_no_other_and_has_it_revoked() -> Result<()> {
    let (relay, key) = Relay::funded("[limits]\nown_calls_per_minute = 2", "0").await?;
    let root = relay.customer(&key);
    let (given, prefix) = made(&relay, &root, json!({})).await?;
    for _ in 0..2 {
        given.get("/api/account").await?.expect(200)?;
    }
    assert_eq!(given.get("/api/account").await?.error_code()?, "rate_limited");
    root.get("/api/account").await?.expect(200)?;
    assert_eq!(root.get("/api/account").await?.error_code()?, "rate_limited");
    root.delete(&format!("{KEYS}/{prefix}")).await?.expect(200)?;
    assert_eq!(given.get("/api/account").await?.status, 401);
    Ok(())
}
