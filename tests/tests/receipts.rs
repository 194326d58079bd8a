//! What a job cost and who earned it, as each of those who may know it is told.

use anyhow::{Context, Result};
use rekursing_protocol::{Nanos, receipt::SignedReceipt};
use rekursing_tests::{
    built,
    database::Engine,
    http::Page,
    node::Node,
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask},
    script::MODEL,
};
use serde_json::{Value, json};
use tokio::process::Command;

on_both! {
    a_receipt_is_for_whoever_paid_whoever_served_and_the_operator,
    a_receipt_is_checked_without_the_relay,
    a_visitor_reads_the_receipt_of_his_answer_by_the_token_that_came_with_it,
    a_receipt_tells_what_was_given_back_of_its_charge,
    statements_usage_and_revenue_show_the_same_money,
    anyone_may_read_what_was_served_in_hours_that_are_over,
}

/// The SHA-256 of `operator`.
const OPERATOR: &str =
    "operator_token_sha256 = \"06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23\"\n";

/// Asks for an answer and returns its job and its cost.
async fn paid(page: &Page) -> Result<(String, Nanos)> {
    let events = page.stream("/api/llm/inference", &ask("hello")).await?.events().await?;
    let done: Value = serde_json::from_str(&events.last().context("no events")?.data)?;
    let job = done["jobId"].as_str().context("a job without an id")?.to_owned();
    Ok((job, done["cost"].as_str().context("no cost")?.parse()?))
}

fn receipt(job: &str) -> String {
    format!("/api/jobs/{job}/receipt")
}

/// Lets the relay's program check a receipt against a public key; tells whether it holds.
async fn holds(json: &Value, key: &str) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("receipt.json");
    std::fs::write(&file, json.to_string())?;
    let mut command = Command::new(built::relay()?);
    command.args(["receipt", "verify", "--key", key]).arg(&file).current_dir(folder.path());
    Ok(command.output().await?.status.success())
}

/// The usual cast, with an operator and a page that has one dollar.
async fn scene(engine: Engine) -> Result<(Scripted, Page)> {
    let (relay, key) = Relay::keeping(engine, &format!("{OPERATOR}{FREE}"), "1.00").await?;
    Scripted::around(relay, &key).await
}

async fn a_receipt_is_for_whoever_paid_whoever_served_and_the_operator(engine: Engine) -> Result<()> {
    let (scene, page) = scene(engine).await?;
    let (job, cost) = paid(&page).await?;
    let json = page.get(&receipt(&job)).await?.expect(200)?;
    let read: SignedReceipt = serde_json::from_value(json.clone())?;
    assert_eq!((read.receipt.job_id.to_string(), read.receipt.charge), (job.clone(), cost));
    assert!(!json.to_string().contains("plg_") && !json.to_string().contains("acc_"), "{json}");

    let bearing = |token: &str| Page::bearing(scene.relay.address(), token);
    for token in [&scene.node.secret()?, "operator"] {
        assert_eq!(bearing(token).get(&receipt(&job)).await?.expect(200)?, json);
    }
    let other = Node::with(&scene.relay, &scene.script.url(), &[]).await?;
    for token in [other.secret()?, scene.relay.key("1.00").await?] {
        let answer = bearing(&token).get(&receipt(&job)).await?;
        assert_eq!((answer.status, answer.error_code()?.as_str()), (404, "job_not_found"));
    }
    let visitor = scene.relay.visitor().get(&receipt(&job)).await?;
    assert_eq!((visitor.status, visitor.error_code()?.as_str()), (401, "invalid_api_key"));
    assert_eq!(page.get(&receipt("job_00000000000000000000000000")).await?.status, 404);
    Ok(())
}

async fn a_receipt_is_checked_without_the_relay(engine: Engine) -> Result<()> {
    let (mut scene, page) = scene(engine).await?;
    let (job, _) = paid(&page).await?;
    let json = page.get(&receipt(&job)).await?.expect(200)?;
    let keys = scene.relay.visitor().get("/.well-known/rekursing-receipts").await?.expect(200)?;
    let public = keys["keys"][0]["key"].as_str().context("no key")?.to_owned();

    scene.relay.kill().await?;
    assert!(holds(&json, &public).await?);
    let mut forged = json.clone();
    forged["settlement"]["answerTokens"] = 1.into();
    assert!(!holds(&forged, &public).await?);

    scene.relay.restart().await?;
    let again = scene.relay.visitor().get("/.well-known/rekursing-receipts").await?.expect(200)?;
    assert_eq!(again, keys, "the key outlives a restart");
    Ok(())
}

async fn a_visitor_reads_the_receipt_of_his_answer_by_the_token_that_came_with_it(
    engine: Engine,
) -> Result<()> {
    let (mut scene, page) = scene(engine).await?;
    let whole = json!({"prompt": "hello", "model": MODEL});
    let answered = scene.relay.visitor().post("/api/llm/inference", &whole).await?;
    let header = answered.headers.get("x-rekursing-receipt").cloned();
    let answer = answered.expect(200)?;
    let (job, token) = (&answer["jobId"], answer["receiptToken"].as_str().context("no token")?.to_owned());
    assert_eq!(header.context("no header")?.to_str()?, token);
    let first = receipt(job.as_str().context("no job")?);
    let bearing = |scene: &Scripted, token: &str| Page::bearing(scene.relay.address(), token);
    let read = bearing(&scene, &token).get(&first).await?.expect(200)?;
    assert_eq!((&read["jobId"], &read["paidBy"], &read["charge"]), (job, &json!("free"), &answer["cost"]));
    assert_eq!(bearing(&scene, &scene.node.secret()?).get(&first).await?.expect(200)?, read);

    let events = scene.relay.visitor().stream("/api/llm/inference", &ask("hello")).await?.events().await?;
    let told = |name: &str| -> Result<Value> {
        let event = events.iter().find(|event| event.name == name).context("no such event")?;
        Ok(serde_json::from_str(&event.data)?)
    };
    let (start, done) = (told("start")?, told("done")?);
    assert_eq!(start["receiptToken"], done["receiptToken"]);
    let second = receipt(done["jobId"].as_str().context("no job")?);
    let seconds = done["receiptToken"].as_str().context("no token")?;
    bearing(&scene, seconds).get(&second).await?.expect(200)?;
    let (of_page, _) = paid(&page).await?;
    for (token, path) in [
        (token.as_str(), &second),
        (seconds, &first),
        (&token[..30], &first),
        (token.as_str(), &receipt(&of_page)),
    ] {
        let refused = bearing(&scene, token).get(path).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (404, "job_not_found"), "{path}");
    }
    assert_eq!(bearing(&scene, &token).get("/api/account").await?.status, 401, "it opens nothing else");
    let paid = page.post("/api/llm/inference", &whole).await?;
    assert!(!paid.headers.contains_key("x-rekursing-receipt"));
    assert_eq!(paid.expect(200)?["receiptToken"], Value::Null, "who pays has a key");

    scene.relay.kill().await?;
    scene.relay.restart().await?;
    assert_eq!(bearing(&scene, &token).get(&first).await?.expect(200)?, read);
    Ok(())
}

async fn a_receipt_tells_what_was_given_back_of_its_charge(engine: Engine) -> Result<()> {
    let (scene, page) = scene(engine).await?;
    let (job, cost) = paid(&page).await?;
    let keys = page.get("/.well-known/rekursing-receipts").await?.expect(200)?;
    let public = keys["keys"][0]["key"].as_str().context("no key")?.to_owned();
    let before = page.get(&receipt(&job)).await?.expect(200)?;
    assert_eq!(before["givenBack"], "0");
    let body = json!({"entry": format!("settle:{job}"), "reason": "it was empty"});
    let operator = Page::bearing(scene.relay.address(), "operator");
    operator.post("/api/operator/corrections", &body).await?.expect(201)?;
    let after = page.get(&receipt(&job)).await?.expect(200)?;
    assert_eq!(after["givenBack"], cost.to_string());
    for name in ["charge", "state", "endedAt", "settlement"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    for receipt in [&before, &after] {
        assert!(holds(receipt, &public).await?);
    }
    let mut forged = after.clone();
    forged["givenBack"] = json!("0");
    assert!(!holds(&forged, &public).await?);
    Ok(())
}

async fn statements_usage_and_revenue_show_the_same_money(engine: Engine) -> Result<()> {
    let (scene, page) = scene(engine).await?;
    let operator = Page::bearing(scene.relay.address(), "operator");
    let owner = Page::bearing(scene.relay.address(), &scene.node.secret()?);
    let (_, cost) = paid(&page).await?;
    let (free, free_cost) = paid(&scene.relay.visitor()).await?;
    assert_eq!(page.get(&receipt(&free)).await?.status, 404, "a free answer is nobody's account's");

    let used = page.get("/api/analytics/usage").await?.expect(200)?;
    assert_eq!((&used["jobs"], &used["charge"]), (&1.into(), &cost.to_string().into()));
    let revenue = operator.get("/api/analytics/revenue").await?.expect(200)?;
    assert_eq!((&revenue["jobs"], &revenue["freeJobs"]), (&2.into(), &1.into()));
    assert_eq!(revenue["freeCost"], free_cost.to_string());
    assert_eq!(revenue["fees"], scene.relay.ledger()?.balance("platform")?.to_string());
    assert_eq!(page.get("/api/analytics/revenue").await?.status, 401);
    assert_eq!(operator.get("/api/analytics/usage?from=2024-01-01").await?.status, 400);

    let month = revenue["to"].as_str().and_then(|day| day.get(..7)).context("no day")?.to_owned();
    let statement = page.get(&format!("/api/account/statements/{month}")).await?.expect(200)?;
    let closing = |of: &Value, at: usize| of["accounts"][at]["closing"].as_str().map(str::to_owned);
    assert_eq!(closing(&statement, 0), Some(Nanos::new(1_000_000_000 - cost.get()).to_string()));
    assert_eq!(closing(&statement, 1).as_deref(), Some("0"));
    let path = format!("/api/plugin/statements/{}/{month}", scene.node.plugin());
    let statement = owner.get(&path).await?.expect(200)?;
    let earned = scene.relay.ledger()?.balance("owner:")?;
    assert_eq!(closing(&statement, 0), Some(earned.to_string()));
    let csv = owner.get(&format!("{path}?format=csv")).await?;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    let text = String::from_utf8(csv.body.to_vec())?;
    assert!(text.contains(&format!("{month},available,closing,,,,{earned}\r\n")), "{text}");
    assert_eq!(page.get(&path).await?.status, 401);
    assert_eq!(page.get("/api/account/statements/9998-12").await?.status, 404);
    Ok(())
}

async fn anyone_may_read_what_was_served_in_hours_that_are_over(engine: Engine) -> Result<()> {
    let (scene, page) = scene(engine).await?;
    paid(&page).await?;
    let visitor = scene.relay.visitor();
    let hours = visitor.get("/api/public/jobs").await?.expect(200)?;
    assert_eq!(hours["hours"], Value::Array(Vec::new()), "this hour is not over");
    let live = scene.relay.stats().await?["sessions"][0].clone();
    assert_eq!((live["slots"].is_u64(), &live["jobs"]), (true, &Value::Null), "nor who is at work");
    let file = |hour: &str| format!("/api/public/jobs/{hour}.csv");
    let past = visitor.get(&file("2024-02-29T23")).await?;
    assert_eq!((past.status, past.body.split(|byte| *byte == b'\n').count()), (200, 2));
    let tag = past.headers["etag"].to_str()?.to_owned();
    let again = scene.relay.visitor().with("if-none-match", &tag).get(&file("2024-02-29T23")).await?;
    assert_eq!((again.status, again.body.len()), (304, 0));
    for hour in ["9998-01-01T00", "2024-02-30T00", "now"] {
        assert_eq!(visitor.get(&file(hour)).await?.status, 404, "{hour}");
    }
    Ok(())
}
