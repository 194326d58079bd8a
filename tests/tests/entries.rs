//! A dollar followed through the ledger by whoever it belongs to, and by the operator.

use anyhow::{Context, Result};
use rekursing_tests::{
    database::Engine,
    http::Page,
    on_both,
    relay::{FREE, Relay},
    scene::Scripted,
    script::MODEL,
};
use serde_json::{Value, json};

on_both! {
    whoever_has_the_money_sees_what_moved_it_and_by_which_job,
}

const TOKEN: &str = "op_0123456789abcdef";
const TOKEN_SHA256: &str = "40b0eb4ca4b1c4af2f44cb724b559d82b72151c5ea9c557499a6130576ecb04b";

async fn entries(page: &Page, path: &str) -> Result<Vec<Value>> {
    let list = page.get(path).await?.expect(200)?;
    Ok(list["entries"].as_array().context("no entries")?.clone())
}

async fn whoever_has_the_money_sees_what_moved_it_and_by_which_job(engine: Engine) -> Result<()> {
    let config = format!("operator_token_sha256 = \"{TOKEN_SHA256}\"\n{FREE}");
    let (relay, key) = Relay::keeping(engine, &config, "5.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    let ask = json!({"prompt": "go", "model": MODEL});
    let answer = page.post("/api/llm/inference", &ask).await?.expect(200)?;
    let job = answer["jobId"].as_str().context("a job")?;

    let own = entries(&page, "/api/account/entries").await?;
    let [settled, granted] = own.as_slice() else { anyhow::bail!("{own:?}") };
    assert_eq!(
        (&settled["jobId"], &settled["out"], &settled["in"]),
        (&json!(job), &answer["cost"], &json!("0"))
    );
    assert_eq!((&granted["kind"], &granted["in"]), (&json!("grant"), &json!("5")));
    page.get(&format!("/api/jobs/{job}/receipt")).await?.expect(200)?;
    let before = format!("/api/account/entries?limit=1&before={}", settled["seq"]);
    assert_eq!(entries(&page, &before).await?, std::slice::from_ref(granted));
    assert_eq!(entries(&page, "/api/account/entries?of=ads").await?, Vec::<Value>::new());

    let operator = Page::bearing(scene.relay.address(), TOKEN);
    let owner = format!("/api/operator/entries?account=owner:{}", scene.node.plugin());
    let earned = entries(&operator, &owner).await?;
    assert_eq!((&earned[0]["jobId"], earned.len()), (&json!(job), 1));
    // The ids are those that a correction names.
    let correction = json!({"entry": granted["id"], "reason": "a test"});
    let taken = operator.post("/api/operator/corrections", &correction).await?;
    assert_eq!(taken.error_code()?, "correction_uncovered", "a part of it was spent");

    for (page, path, status) in [
        (&scene.relay.visitor(), "/api/account/entries", 401),
        (&page, "/api/account/entries?of=mine", 400),
        (&page, &owner, 401),
        (&operator, "/api/operator/entries?account=nobody", 400),
        (&operator, "/api/operator/entries", 400),
    ] {
        assert_eq!(page.get(path).await?.status, status, "{path}");
    }
    scene.relay.audit().await
}
