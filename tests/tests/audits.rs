//! Audits that nobody asks for: at the relay's start, and while it serves.

use anyhow::{Context, Result, bail};
use rekursing_tests::{
    database::Engine,
    eventually, on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask},
};

on_both! {
    a_serving_relay_audits_its_book_and_tells_when_it_is_wrong,
    a_relay_does_not_serve_from_a_wrong_book,
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
    let (scene, page) = Scripted::around(relay, &key).await?;
    page.post("/api/llm/inference", &ask("go")).await?;
    let relay = &scene.relay;
    let grown = || async {
        let entries = figure(relay, "rekursing_audit_entries").await?;
        Ok((entries > 3.0 && figure(relay, "rekursing_audit_ok").await? == 1.0).then_some(()))
    };
    eventually("the audit sees what was added", grown).await?;
    relay.tamper("UPDATE spent SET charge = charge + 1")?;
    let told = || async { Ok((figure(relay, "rekursing_audit_ok").await? == 0.0).then_some(())) };
    eventually("the audit tells that a sum is wrong", told).await
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
