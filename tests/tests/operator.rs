//! The operator: credit, corrections and the log of what he did.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    door::{SHA256, TOKEN},
    eventually,
    http::{Answer, Page},
    link::Plugin,
    node::Node,
    on_both,
    relay::Relay,
    scene::Scripted,
    script::{Dialect, MODEL, Reply, Script},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

on_both! {
    the_operator_gives_credit_once_and_it_can_be_spent_at_once,
    a_correction_gives_a_charge_back_once_and_never_takes_what_is_not_there,
    a_correction_takes_back_a_payout_that_was_asked_for_and_not_sent,
    what_is_taken_back_of_a_charge_is_the_keys_to_spend_again_also_after_kill_9,
    everything_that_the_operator_does_stands_in_the_log_without_secrets,
    the_operators_routes_are_his_alone_and_on_his_own_listener_if_he_has_one,
    who_guesses_the_operators_token_is_not_answered_any_more_even_when_it_is_right,
    what_the_operator_switches_off_is_refused_in_words_until_he_switches_it_on_also_after_a_restart,
}

const GRANTS: &str = "/api/operator/grants";
const CORRECTIONS: &str = "/api/operator/corrections";
const LOG: &str = "/api/operator/log";

/// A relay, a page of it without money, and its operator.
async fn relay(engine: Engine) -> Result<(Relay, Page, Page)> {
    let (relay, key) = Relay::keeping(engine, SHA256, "0").await?;
    let (page, operator) = (relay.customer(&key), relay.customer(TOKEN));
    Ok((relay, page, operator))
}

async fn account(page: &Page) -> Result<Value> {
    page.get("/api/account").await?.expect(200)
}

#[tokio::test]
async fn who_hangs_up_leaves_nothing_half_done() -> Result<()> {
    let (relay, key) = Relay::funded(SHA256, "0").await?;
    let page = relay.customer(&key);
    let id = account(&page).await?["account"].clone();
    let made = page.post("/api/account/keys", &json!({})).await?.expect(201)?;
    let child = relay.customer(made["key"].as_str().context("a key")?);
    account(&child).await?;
    let revoked = format!("/api/account/keys/{}", made["prefix"].as_str().context("a prefix")?);
    let (operator, plugin) = (relay.customer(TOKEN), Plugin::register(&relay).await?);
    let owner = Page::bearing(relay.address(), &plugin.secret);
    let phones = format!("/api/plugin/phones/{}", plugin.id);
    let code = owner.post(&format!("{phones}/code"), &json!({})).await?.expect(201)?["code"].clone();
    // The relay has looked for changes of other processes, and finds no more of them below.
    let id_text = id.as_str().context("an account")?;
    relay.operate(&["key", "create", "--name", "other", "--account", id_text, "--balance", "1"]).await?;
    eventually("what another process gave", || async {
        Ok((account(&page).await?["balance"] == "1").then_some(()))
    })
    .await?;
    // All these calls are in the middle when their callers leave.
    let blocked = relay.block()?;
    let call = async |head: &str, token: &str, body: &str| -> Result<TcpStream> {
        let mut socket = TcpStream::connect(relay.address()).await?;
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).await?;
        Ok(socket)
    };
    let grant = json!({"account": id, "amount": "7"}).to_string();
    let phone = json!({"code": code, "name": "pocket"}).to_string();
    let calls = [
        call("POST /api/operator/grants", TOKEN, &grant).await?,
        call(&format!("DELETE {revoked}"), &key, "").await?,
        call("PUT /api/operator/switches/ads", TOKEN, "{\"on\":false}").await?,
        call("POST /api/phone", "", &phone).await?,
    ];
    eventually("all wait for the store", || async {
        let metrics = relay.visitor().get("/metrics").await?;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        let waiting = metrics.lines().find_map(|line| line.strip_prefix("rekursing_store_waiting "));
        // The relay's own upkeep may wait with them.
        Ok((waiting.context("no such figure")?.parse::<u64>()? >= 4).then_some(()))
    })
    .await?;
    drop(calls);
    // Long enough for the relay to see that they have left.
    for _ in 0..50 {
        relay.visitor().get("/healthz").await?.expect(200)?;
    }
    drop(blocked);
    eventually("the credit can be spent", || async {
        Ok((account(&page).await?["balance"] == "8").then_some(()))
    })
    .await?;
    eventually("the key opens nothing", || async {
        Ok((child.get("/api/account").await?.status == 401).then_some(()))
    })
    .await?;
    eventually("the switch is off", || async {
        let switches = operator.get("/api/operator/switches").await?.expect(200)?["switches"].clone();
        let off = json!({"name": "ads", "on": false});
        Ok(switches.as_array().is_some_and(|switches| switches.contains(&off)).then_some(()))
    })
    .await?;
    eventually("the phone is there", || async {
        Ok((owner.get(&phones).await?.expect(200)?["phones"][0]["name"] == "pocket").then_some(()))
    })
    .await?;
    relay.audit().await
}

#[tokio::test]
async fn every_refusal_of_a_request_for_an_answer_is_counted_once_by_its_cause() -> Result<()> {
    const OWN: &str = "/api/llm/inference";
    const CHAT: &str = "/v1/chat/completions";
    const RATE: &str = "/api/agents/rate";
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "0").await?;
    let visitor = scene.relay.visitor();
    let stranger = scene.relay.visitor().with("origin", "https://evil.example");
    let nobody = scene.relay.customer("rk_wrong");
    scene.script.always(Reply::json(400, &json!({"error": {"message": "no"}})));
    let own = |model: &str| json!({"prompt": "go", "model": model});
    let chat = |model: &str| json!({"messages": [{"role": "user", "content": "go"}], "model": model, "stream": true});
    let cheap = json!({"prompt": "go", "model": MODEL, "maxPrice": "0.000001"});
    let named = page.clone().with("idempotency-key", "k");
    let mut counts = BTreeMap::<String, u64>::new();
    for (page, path, body, code) in [
        (&visitor, OWN, own("nobody-has-it"), "model_not_found"),
        (&visitor, CHAT, chat("nobody-has-it"), "model_not_found"),
        (&visitor, OWN, cheap, "price_too_high"),
        (&page, OWN, own(MODEL), "insufficient_funds"),
        (&named, OWN, own(MODEL), "insufficient_funds"),
        (&visitor, OWN, json!({"prompt": 7}), "bad_request"),
        // The market says so once its owner's server has.
        (&visitor, OWN, own(MODEL), "bad_request"),
        (&visitor, CHAT, chat(MODEL), "bad_request"),
        (&nobody, CHAT, chat(MODEL), "invalid_api_key"),
        (&stranger, OWN, own(MODEL), "origin_not_allowed"),
        (&page, RATE, json!({"project": "none", "task": "go"}), "project_not_found"),
    ] {
        assert_eq!(page.post(path, &body).await?.error_code()?, code, "{path} {body}");
        *counts.entry(format!("rekursing_jobs_refused_total{{code=\"{code}\"}}")).or_default() += 1;
    }
    let metrics = visitor.get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let refused: BTreeMap<String, u64> = metrics
        .lines()
        .filter(|line| line.starts_with("rekursing_jobs_refused_total"))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(cause, count)| Some((cause.to_owned(), count.parse().ok()?)))
        .collect();
    assert_eq!(refused, counts);
    Ok(())
}

async fn the_operator_gives_credit_once_and_it_can_be_spent_at_once(engine: Engine) -> Result<()> {
    let (mut relay, page, operator) = relay(engine).await?;
    let id = account(&page).await?["account"].clone();
    let grant = json!({"account": id, "amount": "2.5", "note": "welcome"});
    let named = operator.clone().with("idempotency-key", "k");
    let given = named.post(GRANTS, &grant).await?.expect(201)?;
    assert_eq!(given["balance"], "2.5");
    assert_eq!(account(&page).await?["balance"], "2.5");
    named.post(GRANTS, &grant).await?.expect(201)?;
    relay.kill().await?;
    relay.restart().await?;
    assert_eq!(named.post(GRANTS, &grant).await?.expect(201)?, given, "the same answer");
    let other = json!({"account": id, "amount": "2.5"});
    assert_eq!(named.post(GRANTS, &other).await?.error_code()?, "idempotency_key_reused");
    assert_eq!(account(&page).await?["balance"], "2.5", "once, whatever happens between");

    let unknown = "acc_00000000000000000000000000";
    for (body, status, code) in [
        (json!({"account": unknown, "amount": "1"}), 404, "account_not_found"),
        (json!({"account": format!("advertiser:{unknown}"), "amount": "1"}), 404, "account_not_found"),
        (json!({"account": "owner:plg_00000000000000000000000000", "amount": "1"}), 400, "bad_request"),
        (json!({"account": id, "amount": "0"}), 400, "bad_request"),
        (json!({"account": id, "amount": "1000000.000000001"}), 400, "bad_request"),
        (json!({"account": id, "amount": "1", "note": "\u{202e}"}), 400, "bad_request"),
        (json!({"account": id, "amount": "1", "unknown": 1}), 400, "bad_request"),
    ] {
        let refused = operator.post(GRANTS, &body).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (status, code), "{body}");
    }
    operator.post(GRANTS, &json!({"account": "free", "amount": "1"})).await?.expect(201)?;
    assert_eq!(relay.ledger()?.balance("free")?, Nanos::DOLLAR);
    relay.audit().await
}

#[tokio::test]
async fn a_correction_that_waits_for_the_database_stands_in_the_log_as_well() -> Result<()> {
    let (relay, key) = Relay::funded(SHA256, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let (page, operator) = (scene.relay.customer(&key), scene.relay.customer(TOKEN));
    let answer =
        page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    let entry = format!("settle:{}", answer["jobId"].as_str().context("a job")?);
    let body = json!({"entry": entry, "reason": "it was empty"});
    let blocked = scene.relay.block()?;
    let correcting = {
        let (operator, body) = (operator.clone(), body.clone());
        tokio::spawn(async move { operator.post(CORRECTIONS, &body).await })
    };
    // It waits longer than the database is waited for at once: the relay then takes no job.
    eventually("the relay says that it cannot write", || async {
        Ok((scene.relay.visitor().get("/healthz").await?.status == 503).then_some(()))
    })
    .await?;
    let refused = operator.post(CORRECTIONS, &json!({"entry": entry, "reason": "again"})).await?;
    assert!([409, 503].contains(&refused.status), "{refused:?}");
    assert_eq!(scene.relay.ledger()?.entries("correction")?, 0);
    drop(blocked);
    correcting.await??.expect(201)?;
    let log = operator.get(LOG).await?.expect(200)?["log"].clone();
    let lines = log.as_array().context("lines")?.iter().filter(|line| line["about"] == entry.as_str());
    assert_eq!(lines.count(), 1);
    assert_eq!(account(&page).await?["balance"], "1");
    scene.relay.audit().await
}

async fn a_correction_gives_a_charge_back_once_and_never_takes_what_is_not_there(
    engine: Engine,
) -> Result<()> {
    let (relay, key) = Relay::keeping(engine, SHA256, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let (page, operator) = (scene.relay.customer(&key), scene.relay.customer(TOKEN));
    let answer =
        page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    let entry = format!("settle:{}", answer["jobId"].as_str().context("a job")?);
    let body = json!({"entry": entry, "reason": "it was in the wrong language"});
    let made = operator.post(CORRECTIONS, &body).await?.expect(201)?;
    assert_eq!(made["entry"], format!("correction:{entry}:0"));
    assert_eq!(made["amount"], answer["cost"]);
    assert_eq!(account(&page).await?["balance"], "1");
    let ledger = scene.relay.ledger()?;
    assert_eq!([ledger.balance("owner:")?, ledger.balance("platform")?], [Nanos::ZERO; 2]);
    assert_eq!(operator.post(CORRECTIONS, &body).await?.error_code()?, "corrected_before");

    let grant = scene.relay.customer(TOKEN).get(LOG).await?.expect(200)?;
    assert_eq!(grant["log"][0]["what"], "correction");
    let grant = format!("grant:page:{}:1", account(&page).await?["account"].as_str().context("an account")?);
    page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    let hold = format!("hold:{}", answer["jobId"].as_str().context("a job")?);
    for (entry, reason, status, code) in [
        (grant.as_str(), "a typing error", 409, "correction_uncovered"),
        (hold.as_str(), "x", 409, "not_correctable"),
        ("settle:job_00000000000000000000000000", "x", 404, "entry_not_found"),
        (grant.as_str(), " ", 400, "bad_request"),
    ] {
        let refused = operator.post(CORRECTIONS, &json!({"entry": entry, "reason": reason})).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (status, code), "{entry}");
    }
    scene.relay.audit().await
}

async fn a_correction_takes_back_a_payout_that_was_asked_for_and_not_sent(engine: Engine) -> Result<()> {
    let config = format!("{SHA256}[money]\nholdback_permille = 0\n");
    let (mut relay, key) = Relay::keeping(engine, &config, "30.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    // At the highest price there is, 600 tokens are 6 USD: enough for a payout.
    script.always(Reply::text(&[" word"; 600]));
    let dear = ["--price-input", "0", "--price-output", "10000"];
    let node = Node::with(&relay, &script.url(), &dear).await?;
    let (page, owner) = (relay.customer(&key), relay.customer(&node.secret()?));
    let path = format!("/api/plugin/payouts/{}", node.plugin());
    let method = json!({"method": "paypal", "destination": "ada@example.com"});
    owner.put(&format!("{path}/method"), &method).await?.expect(200)?;
    let question = json!({"prompt": "go", "model": MODEL, "maxPrice": "10000", "max_tokens": 1_000});
    let answer = page.post("/api/llm/inference", &question).await?.expect(200)?;
    // A second charge stays the owner's.
    page.post("/api/llm/inference", &question).await?.expect(200)?;
    let (settled, view) = (answer["cost"].clone(), owner.get(&path).await?.expect(200)?);
    let earned: Nanos = serde_json::from_value(view["available"].clone())?;
    let all = json!({"amount": "all", "accept": "0.25"});
    let made = owner.post(&path, &all).await?.expect(201)?;
    assert_eq!(made["payout"]["state"], "requested", "no rail is there to take it");

    let entry = format!("settle:{}", answer["jobId"].as_str().context("a job")?);
    let body = json!({"entry": entry, "reason": "the card was stolen"});
    let operator = relay.customer(TOKEN);
    assert_eq!(operator.post(CORRECTIONS, &body).await?.expect(201)?["amount"], settled);
    let told = format!("{entry} was taken back: the card was stolen");
    for restart in [false, true] {
        if restart {
            relay.kill().await?;
            relay.restart().await?;
        }
        let view = owner.get(&path).await?.expect(200)?;
        let payout = &view["payouts"][0];
        assert_eq!((&payout["state"], &payout["reason"]), (&json!("cancelled"), &json!(told)));
        assert_eq!(view["payouts"].as_array().map(Vec::len), Some(1));
        let left: Nanos = serde_json::from_value(view["available"].clone())?;
        assert_eq!(left.get() * 2, earned.get(), "half of it was the other charge's");
        let known = account(&page).await?;
        assert_eq!(known["spent"], settled, "the other one");
        let log = operator.get(LOG).await?.expect(200)?["log"].clone();
        let deeds = [&log[0], &log[1]].map(|line| line["what"].clone());
        assert_eq!(deeds, ["correction", "payout_cancelled"].map(Value::from));
        assert_eq!((&log[1]["about"], &log[1]["note"]), (&payout["payoutId"], &json!(told)));
    }
    assert_eq!(operator.post(CORRECTIONS, &body).await?.error_code()?, "corrected_before");
    // What is left can be asked for, and is not called back again.
    assert_eq!(owner.post(&path, &all).await?.expect(201)?["payout"]["state"], "requested");
    drop((node, script));
    relay.audit().await
}

async fn what_is_taken_back_of_a_charge_is_the_keys_to_spend_again_also_after_kill_9(
    engine: Engine,
) -> Result<()> {
    let (relay, key) = Relay::keeping(engine, SHA256, "1.00").await?;
    let mut scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let (page, operator) = (scene.relay.customer(&key), scene.relay.customer(TOKEN));
    let limited = json!({"name": "limited", "budgetPerDay": "0.5", "budgetTotal": "0.7"});
    let limited = page.post("/api/account/keys", &limited).await?.expect(201)?;
    let limited = scene.relay.customer(limited["key"].as_str().context("a key")?);
    let question = json!({"prompt": "go", "model": MODEL});
    let answer = limited.post("/api/llm/inference", &question).await?.expect(200)?;
    let left = |account: &Value| {
        let key = &account["key"];
        json!([key["spent"], key["leftToday"], key["leftTotal"], account["usageByKey"][0]["spent"]])
    };
    let whole = json!(["0", "0.5", "0.7", "0"]);
    assert_ne!(left(&account(&limited).await?), whole);
    let entry = format!("settle:{}", answer["jobId"].as_str().context("a job")?);
    operator.post(CORRECTIONS, &json!({"entry": entry, "reason": "it was empty"})).await?.expect(201)?;
    assert_eq!(left(&account(&limited).await?), whole);
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    assert_eq!(left(&account(&limited).await?), whole);
    let all = account(&page).await?;
    assert_eq!(
        [&all["balance"], &all["spent"], &all["usage"][0]["jobs"]],
        [&json!("1"), &json!("0"), &json!(1)]
    );
    scene.relay.audit().await
}

async fn everything_that_the_operator_does_stands_in_the_log_without_secrets(engine: Engine) -> Result<()> {
    let (relay, page, operator) = relay(engine).await?;
    let view = account(&page).await?;
    let (id, prefix) = (view["account"].clone(), view["key"]["prefix"].as_str().context("a key")?);
    operator.post(GRANTS, &json!({"account": id, "amount": "2", "note": "welcome"})).await?.expect(201)?;
    let upstream = json!({"name": "Rack 1", "url": "http://127.0.0.1:9", "token": "sk-secret"});
    operator.post("/api/gpu/register", &upstream).await?.expect(201)?;
    let grant = operator.get(LOG).await?.expect(200)?["log"].as_array().cloned().unwrap_or_default();
    assert_eq!(grant.len(), 3);
    relay.operate(&["key", "grant", prefix, "--amount", "3"]).await?;
    relay.operate(&["key", "revoke", prefix]).await?;

    let log = operator.get(LOG).await?.expect(200)?["log"].clone();
    let told: Vec<_> = (0..5).map(|at| log[at]["what"].as_str().unwrap_or_default()).collect();
    assert_eq!(told, ["key_revoked", "grant", "upstream_registered", "grant", "key_created"]);
    // With the user of the machine, where there is one.
    let is_cli = |who: &str| who.strip_prefix("cli").is_some_and(|user| user.is_empty() || user.len() > 1);
    assert!(log[0]["who"].as_str().is_some_and(is_cli), "{log}");
    let page_account = format!("page:{}", id.as_str().context("an account")?);
    assert_eq!(log[3]["about"], page_account);
    assert_eq!(
        (&log[3]["who"], &log[3]["amount"], &log[3]["note"]),
        (&json!("http:127.0.0.1"), &json!("2"), &json!("welcome"))
    );
    assert!(!log.to_string().contains("secret"), "{log}");
    let older = operator.get(&format!("{LOG}?before=3&limit=1")).await?.expect(200)?;
    assert_eq!(older["log"], json!([log[3]]));
    let printed = relay.operate(&["log"]).await?;
    assert_eq!(printed.lines().count(), 5);
    assert!(printed.contains("http:127.0.0.1 grant page:acc_"), "{printed}");
    let printed: Value = serde_json::from_str(&relay.operate(&["log", "--json"]).await?)?;
    assert_eq!(printed, log);
    Ok(())
}

async fn the_operators_routes_are_his_alone_and_on_his_own_listener_if_he_has_one(
    engine: Engine,
) -> Result<()> {
    let (relay, page, operator) = relay(engine).await?;
    for path in [GRANTS, CORRECTIONS] {
        assert_eq!(page.post(path, &json!({})).await?.error_code()?, "operator_only");
        assert_eq!(operator.post(path, &json!({})).await?.error_code()?, "bad_request");
    }
    assert_eq!(relay.visitor().get(LOG).await?.error_code()?, "operator_only");

    let config = format!("operator_listen = \"127.0.0.1:0\"\n{SHA256}");
    let (mut apart, _) = Relay::keeping(engine, &config, "0").await?;
    let address = apart.process().line("OPERATOR http://").await?.parse()?;
    let operator = Page::bearing(address, TOKEN);
    operator.get(LOG).await?.expect(200)?;
    assert_eq!(operator.get("/api/llm/models").await?.status, 404);
    let elsewhere = apart.customer(TOKEN);
    for path in [LOG, GRANTS] {
        assert_eq!(elsewhere.get(path).await?.error_code()?, "not_found");
    }
    assert_eq!(elsewhere.post("/api/gpu/register", &json!({})).await?.error_code()?, "not_found");
    let unknown = "/api/jobs/job_00000000000000000000000000/receipt";
    let wrong = apart.customer("a wrong token");
    for (path, status) in [("/api/analytics/usage", 200), ("/api/ads/campaigns", 200), (unknown, 404)] {
        assert_eq!(operator.get(path).await?.status, status, "{path}");
        let [right, wrong] = [elsewhere.get(path).await?, wrong.get(path).await?];
        assert_eq!((right.status, &right.body), (401, &wrong.body), "{path} knows no token elsewhere");
    }
    Ok(())
}

async fn who_guesses_the_operators_token_is_not_answered_any_more_even_when_it_is_right(
    engine: Engine,
) -> Result<()> {
    for path in [LOG, "/api/analytics/usage", "/api/ads/campaigns"] {
        let (relay, page, operator) = relay(engine).await?;
        operator.get(path).await?.expect(200)?;
        // The word of those who have no key is no guess.
        for _ in 0..=10 {
            relay.customer("free").get("/api/analytics/usage").await?;
        }
        operator.get(path).await?.expect(200)?;
        let guess = relay.customer("a guess");
        let mut guesses = 0;
        while guesses < 20 && guess.get(path).await?.error_code()? != "rate_limited" {
            guesses += 1;
        }
        assert!((10..20).contains(&guesses), "{guesses}");
        assert_eq!(operator.get(path).await?.error_code()?, "rate_limited", "{path}");
        page.get("/api/analytics/usage").await?.expect(200)?;
        page.get("/api/ads/campaigns").await?.expect(200)?;
    }
    Ok(())
}

/// Asks for each thing that can be switched off, and returns its name with what was answered.
async fn tried(
    relay: &Relay,
    page: &Page,
    owner: &Page,
    plugin: &str,
) -> Result<Vec<(&'static str, Answer)>> {
    let visitor = relay.visitor();
    let payout = format!("/api/plugin/payouts/{plugin}");
    let question = json!({"prompt": "go", "model": "nobody-has-it"});
    let auto = json!({"prompt": "go", "quality": "auto"});
    let channel = format!("/api/live/channels/{plugin}");
    Ok(vec![
        ("free_answers", visitor.post("/api/llm/inference", &question).await?),
        ("ads", page.post("/api/ads/campaigns", &json!({})).await?),
        ("payouts", owner.post(&payout, &json!({"amount": "all"})).await?),
        ("top_ups", page.post("/api/account/top-ups", &json!({"amount": "5.00"})).await?),
        ("registrations", visitor.post("/api/plugin/register", &json!({"name": "new"})).await?),
        ("registrations", page.post("/api/account/pairings", &json!({})).await?),
        ("agents", page.post("/api/llm/inference", &auto).await?),
        ("agents", page.post("/mcp", &json!({})).await?),
        ("agents", page.get("/mcp").await?),
        ("channels", visitor.get("/api/live/leaders").await?),
        ("channels", visitor.get(&channel).await?),
    ])
}

async fn what_the_operator_switches_off_is_refused_in_words_until_he_switches_it_on_also_after_a_restart(
    engine: Engine,
) -> Result<()> {
    const SWITCHES: &str = "/api/operator/switches";
    let (mut relay, key) = Relay::keeping(engine, SHA256, "0").await?;
    let (page, operator) = (relay.customer(&key), relay.customer(TOKEN));
    let plugin = Plugin::register(&relay).await?;
    let owner = Page::bearing(relay.address(), &plugin.secret);
    let off = |answer: &Answer| answer.error_code().is_ok_and(|code| code == "switched_off");
    for (what, answer) in tried(&relay, &page, &owner, &plugin.id).await? {
        assert!(!off(&answer), "{what} is on");
    }
    let switches = operator.get(SWITCHES).await?.expect(200)?["switches"].clone();
    let names: Vec<&str> =
        switches.as_array().into_iter().flatten().filter_map(|switch| switch["name"].as_str()).collect();
    assert_eq!(names, ["free_answers", "ads", "payouts", "top_ups", "registrations", "agents", "channels"]);
    let turn = async |operator: &Page, name: &str, on: bool| {
        operator.put(&format!("{SWITCHES}/{name}"), &json!({"on": on, "note": "for a while"})).await
    };
    assert_eq!(turn(&page, "ads", false).await?.error_code()?, "operator_only");
    assert_eq!(turn(&operator, "everything", false).await?.error_code()?, "not_found");
    for name in &names {
        // To say it twice is to say it once.
        for _ in 0..2 {
            turn(&operator, name, false).await?.expect(200)?;
        }
        for (what, answer) in tried(&relay, &page, &owner, &plugin.id).await? {
            assert_eq!(off(&answer), what == *name, "{what} with {name} off: {}", answer.status);
            if what == *name {
                assert_eq!(answer.status, 503);
                let message = answer.json()?["error"]["message"].clone();
                assert!(
                    message.as_str().is_some_and(|told| told.contains("switched off at the moment")),
                    "{message}"
                );
            }
        }
        turn(&operator, name, true).await?.expect(200)?;
    }
    turn(&operator, "top_ups", false).await?.expect(200)?;
    relay.kill().await?;
    relay.restart().await?;
    let (page, operator) = (relay.customer(&key), relay.customer(TOKEN));
    let wanted = json!({"amount": "5.00"});
    assert_eq!(page.post("/api/account/top-ups", &wanted).await?.error_code()?, "switched_off");
    turn(&operator, "top_ups", true).await?.expect(200)?;
    assert_ne!(page.post("/api/account/top-ups", &wanted).await?.error_code()?, "switched_off");
    let log = operator.get(LOG).await?.expect(200)?["log"].clone();
    assert_eq!((&log[0]["what"], &log[0]["about"]), (&json!("switched_on"), &json!("top_ups")));
    assert_eq!((&log[1]["what"], &log[1]["note"]), (&json!("switched_off"), &json!("for a while")));
    assert_eq!(log.as_array().map(Vec::len), Some(1 + 2 * (names.len() + 1)), "{log}");
    Ok(())
}
