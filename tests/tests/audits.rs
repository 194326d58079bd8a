//! Audits that nobody asks for: at the relay's start, and while it serves.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually, on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask},
    script::Reply,
};
use tokio::task::JoinSet;

on_both! {
    a_serving_relay_audits_its_book_and_tells_when_it_is_wrong,
    a_relay_does_not_serve_from_a_wrong_book,
    no_money_is_set_aside_for_longer_than_its_jobs_deadlines,
}

/// Reads one of the relay's figures.
async fn figure(relay: &Relay, name: &str) -> Result<f64> {
    let answer = relay.visitor().get("/metrics").await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.context("no such figure")?.parse().context("no number")
}

async fn a_serving_relay_audits_its_book_and_tells_when_it_is_wrong(engine: Engine) -> Result<()> {
    let config = format!("{FREE}[time]\naudit_ms = 100\n");
    let (relay, key) = Relay::keeping(engine, &config, "1.00").await?;
    let entries = figure(&relay, "rekursing_audit_entries").await?;
    assert_eq!(entries, 2.0, "the book was audited before anybody was served");
    let (mut scene, page) = Scripted::around(relay, &key).await?;
    page.post("/api/llm/inference", &ask("go")).await?;
    let relay = &scene.relay;
    let grown = || async {
        let entries = figure(relay, "rekursing_audit_entries").await?;
        Ok((entries > 3.0 && figure(relay, "rekursing_audit_ok").await? == 1.0).then_some(()))
    };
    eventually("the audit sees what was added", grown).await?;
    relay.tamper("UPDATE spent SET charge = charge + 1")?;
    let told = || async { Ok((figure(relay, "rekursing_audit_ok").await? == 0.0).then_some(())) };
    eventually("the audit tells that a sum is wrong", told).await?;
    let refused = page.post("/api/llm/inference", &ask("go")).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "book_wrong"));
    let health = relay.visitor().get("/healthz").await?;
    assert_eq!((health.status, &health.json()?["status"]), (503, &"book_wrong".into()));
    assert_eq!(figure(relay, "rekursing_store_healthy").await?, 0.0);
    page.get("/api/account").await?.expect(200)?;
    relay.tamper("UPDATE spent SET charge = charge - 1")?;
    let well = || async { Ok((figure(relay, "rekursing_audit_ok").await? == 1.0).then_some(())) };
    eventually("the audit finds the sum right", well).await?;
    assert_eq!(page.post("/api/llm/inference", &ask("go")).await?.status, 503, "only a start serves again");
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let page = scene.relay.customer(&key);
    eventually("the owner is back", || async {
        Ok((page.post("/api/llm/inference", &ask("go")).await?.status == 200).then_some(()))
    })
    .await
}

async fn a_relay_does_not_serve_from_a_wrong_book(engine: Engine) -> Result<()> {
    let (mut relay, _) = Relay::keeping(engine, FREE, "1.00").await?;
    relay.kill().await?;
    relay.tamper("INSERT INTO spent VALUES ('page:nobody', 1, 'm', 1, 1, 1, 1, 1)")?;
    let Err(refused) = relay.restart().await else { bail!("it serves") };
    assert!(refused.to_string().contains("ended without saying"), "{refused:#}");
    assert!(relay.audit().await.is_err());
    Ok(())
}

/// Providers that say nothing, one that breaks off, pages that leave and jobs for which no slot is free.
async fn no_money_is_set_aside_for_longer_than_its_jobs_deadlines(engine: Engine) -> Result<()> {
    const TIME: &str = "[time]
first_token_ms = 400
idle_ms = 400
total_ms = 800
queue_ms = 600
resume_ms = 400
heartbeat_ms = 400
audit_ms = 100
";
    let (relay, key) = Relay::keeping(engine, &format!("{FREE}{TIME}"), "1.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    scene.script.always(Reply::silence());
    let mut asking = JoinSet::new();
    for number in 0..16 {
        let page = page.clone();
        asking.spawn(async move {
            let question = ask("go");
            let asked = page.post("/api/llm/inference", &question);
            // Every fourth page leaves before it has an answer.
            let patience = Duration::from_millis(if number % 4 == 0 { 100 } else { 30_000 });
            tokio::time::timeout(patience, asked).await.ok().transpose()
        });
    }
    eventually("money is set aside", || async {
        Ok((scene.relay.ledger()?.entries("hold")? > 0).then_some(()))
    })
    .await?;
    drop(scene.node);
    while let Some(asked) = asking.join_next().await {
        if let Some(answer) = asked?? {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!text.contains("event: done"), "{text}");
        }
    }
    let ledger = scene.relay.resolved().await?;
    assert_eq!((ledger.balance("escrow")?, ledger.entries("settle")?), (Nanos::ZERO, 0));
    // The queue, and four attempts with their time, a session that is away and one that is taken for gone.
    let most = 600 + 4 * (800 + 200 + 400 + 900);
    assert!(ledger.longest_hold_ms()? <= most, "{}", ledger.longest_hold_ms()?);
    eventually("an audit finds nothing overdue", || async {
        Ok((figure(&scene.relay, "rekursing_holds_overdue").await? == 0.0).then_some(()))
    })
    .await?;
    scene.relay.audit().await
}
