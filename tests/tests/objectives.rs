//! What projects are to reach: tasks are rated by it, and requests and keys are held to it.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    database::Engine,
    http::Page,
    mcp::Agent,
    model_server::{EMBEDDING_MODEL, ModelServer},
    node::Node,
    on_both,
    relay::{FREE, Relay},
    scene::Scripted,
    script::MODEL,
};
use serde_json::{Value, json};

const OBJECTIVES: &str = "/api/agents/objectives";

on_both! {
    what_can_be_no_name_names_no_project,
}

async fn shop(page: &Page) -> Result<()> {
    let objectives = ["Make the checkout faster", "Translate the manual into German"];
    let put = page.post(OBJECTIVES, &json!({"project": "shop", "objectives": objectives})).await?;
    assert_eq!(put.expect(200)?["objectives"], json!(objectives));
    Ok(())
}

#[tokio::test]
async fn a_task_is_rated_by_embeddings_that_its_key_pays_for() -> Result<()> {
    let (server, funded) = tokio::try_join!(ModelServer::embedding(), Relay::funded(FREE, "5.00"))?;
    let (relay, key) = funded;
    let _node = Node::start(&relay, server.url()).await?;
    let page = relay.customer(&key);
    shop(&page).await?;
    // However the caller's SDK would have its vectors written, the relay reads them here itself.
    let task =
        json!({"project": "shop", "task": "Translate the manual into German", "encoding_format": "base64"});
    let rated =
        page.clone().with("idempotency-key", "once").post("/api/agents/rate", &task).await?.expect(200)?;
    assert_eq!(
        (&rated["method"], &rated["fallback"], &rated["score"]),
        (&json!("embeddings"), &Value::Null, &json!(1.0))
    );
    assert_eq!(rated["reasons"][0]["objective"], "Translate the manual into German");
    ensure!(rated["reasons"][1]["score"].as_f64().context("a score")? < 1.0, "{rated}");
    assert_eq!(
        (&rated["embeddings"]["model"], &rated["embeddings"]["cost"]),
        (&json!(EMBEDDING_MODEL), &rated["cost"])
    );
    ensure!(rated["cost"] != "0", "{rated}");
    // The same call is paid once.
    let again =
        page.clone().with("idempotency-key", "once").post("/api/agents/rate", &task).await?.expect(200)?;
    assert_eq!(again, rated);
    let account = page.get("/api/account").await?.expect(200)?;
    assert_eq!((&account["spent"], &account["usage"][0]["jobs"]), (&rated["cost"], &json!(1)));

    // Whoever was let through pays for that once, though nobody could answer then.
    let gate = json!({"project": "shop", "threshold": 0.1, "method": "embeddings"});
    let gated = json!({"prompt": "Translate the manual", "model": "nobody-has-it", "objectives": gate});
    let named = page.clone().with("idempotency-key", "gated");
    for _ in 0..2 {
        assert_eq!(named.post("/api/llm/inference", &gated).await?.error_code()?, "model_not_found");
        let account = page.get("/api/account").await?.expect(200)?;
        assert_eq!(account["usage"][0]["jobs"], 2, "{account}");
    }

    let agent = Agent::open(&relay, Some(&key)).await?;
    let told = agent.call("rate_task", &task).await?;
    assert_eq!(told["structuredContent"]["score"], 1.0);
    let bounded = json!({"project": "shop", "task": "go", "maxCost": "0.000000001"});
    let refused = page.post("/api/agents/rate", &bounded).await?.expect(200)?;
    assert_eq!((&refused["method"], &refused["fallback"]), (&json!("lexical"), &json!("cost_too_high")));
    relay.audit().await
}

#[tokio::test]
async fn without_embeddings_words_are_compared_and_that_is_said() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    shop(&page).await?;
    let rate = async |task: &str, method: &str| {
        page.post("/api/agents/rate", &json!({"project": "shop", "task": task, "method": method})).await
    };
    let rated = rate("Why is the checkout slow?", "auto").await?.expect(200)?;
    assert_eq!((&rated["method"], &rated["fallback"]), (&json!("lexical"), &json!("no_provider")));
    assert_eq!(rated["reasons"][0]["words"], json!(["checkout"]));
    ensure!(rated["score"].as_f64().context("a score")? > 0.2 && rated["cost"] == "0", "{rated}");
    let rated = rate("Water the roses", "lexical").await?.expect(200)?;
    assert_eq!((&rated["score"], &rated["fallback"]), (&json!(0.0), &Value::Null));
    assert_eq!(rate("Water the roses", "embeddings").await?.error_code()?, "no_provider");
    ensure!(scene.script.jobs().is_empty(), "no owner heard of it");
    for (body, field) in [
        (json!({"project": "shop", "task": ""}), "task"),
        (json!({"project": "shop", "task": "x".repeat(8_001)}), "task"),
        (json!({"project": "shop", "task": "x", "method": "magic"}), "method"),
        (json!({"project": " ", "task": "x"}), "project"),
    ] {
        let refused = page.post("/api/agents/rate", &body).await?;
        assert_eq!((refused.status, &refused.json()?["error"]["field"]), (400, &json!(field)));
    }
    let unknown = page.post("/api/agents/rate", &json!({"project": "garden", "task": "x"})).await?;
    assert_eq!((unknown.status, unknown.error_code()?.as_str()), (404, "project_not_found"));
    let visitor =
        scene.relay.visitor().post("/api/agents/rate", &json!({"project": "shop", "task": "x"})).await?;
    assert_eq!(visitor.error_code()?, "invalid_api_key");
    scene.relay.audit().await
}

#[tokio::test]
async fn a_request_beside_the_point_is_refused_before_anything_is_set_aside() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    shop(&page).await?;
    let ask = |prompt: &str| {
        let gate = json!({"project": "shop", "threshold": 0.2, "method": "lexical"});
        json!({"prompt": prompt, "model": MODEL, "objectives": gate})
    };
    let refused = page.post("/api/llm/inference", &ask("Water the roses")).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "off_objective"));
    let message = refused.json()?["error"]["message"].clone();
    assert_eq!(
        message,
        "what is asked scores 0 by the objectives of `shop`, and 0.2 is the least that may be asked"
    );
    ensure!(scene.script.jobs().is_empty(), "no owner heard of it");
    assert_eq!(
        page.get("/api/account/entries").await?.expect(200)?["entries"].as_array().map(Vec::len),
        Some(1)
    );

    let answer =
        page.post("/api/llm/inference", &ask("Make the checkout faster, please")).await?.expect(200)?;
    let passed = &answer["objectives"][0];
    assert_eq!(
        (&passed["project"], &passed["threshold"], &passed["cost"]),
        (&json!("shop"), &json!(0.2), &json!("0"))
    );
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "The checkout"}, {"role": "assistant", "content": "?"},
        {"role": "user", "content": "Tell me of roses"}], "objectives": {"project": "shop", "threshold": 0.1, "method": "lexical"}});
    let refused = page.post("/v1/chat/completions", &chat).await?;
    assert_eq!(
        (refused.status, refused.error_code()?.as_str()),
        (403, "off_objective"),
        "what was asked last counts"
    );
    let visitor = scene.relay.visitor().post("/api/llm/inference", &ask("checkout")).await?;
    assert_eq!((visitor.status, &visitor.json()?["error"]["field"]), (400, &json!("objectives")));
    scene.relay.audit().await
}

#[tokio::test]
async fn a_key_is_held_to_its_project_and_can_neither_change_it_nor_make_a_freer_key() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    shop(&page).await?;
    page.post(OBJECTIVES, &json!({"project": "garden", "objectives": ["roses"]})).await?.expect(200)?;
    let gate = json!({"project": "shop", "threshold": 0.2, "method": "lexical"});
    let made =
        page.post("/api/account/keys", &json!({"name": "held", "objectives": gate})).await?.expect(201)?;
    assert_eq!(made["objectives"], gate);
    let key = made["key"].as_str().context("a key")?;
    let held = scene.relay.customer(key);
    let freer = held.post("/api/account/keys", &json!({"name": "freer"})).await?.expect(201)?;
    let freer = scene.relay.customer(freer["key"].as_str().context("a key")?);
    for page in [&held, &freer] {
        let ask = |prompt: &str| json!({"prompt": prompt, "model": MODEL});
        let refused = page.post("/api/llm/inference", &ask("Water the roses")).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "off_objective"));
        let answer = page.post("/api/llm/inference", &ask("The checkout is slow")).await?.expect(200)?;
        assert_eq!(answer["objectives"][0]["project"], "shop");
        let put = page.post(OBJECTIVES, &json!({"project": "shop", "objectives": ["roses"]})).await?;
        assert_eq!((put.status, put.error_code()?.as_str()), (403, "key_has_limits"));
        assert_eq!(page.delete(&format!("{OBJECTIVES}/shop")).await?.error_code()?, "key_has_limits");
        assert_eq!(page.get(&format!("{OBJECTIVES}/shop")).await?.expect(200)?["project"], "shop");
        // What else the account is about is no business of its.
        let listed = page.get(OBJECTIVES).await?.expect(200)?;
        assert_eq!(listed["projects"].as_array().map(Vec::len), Some(1), "{listed}");
        let other = json!({"project": "garden", "task": "Water the roses", "method": "lexical"});
        assert_eq!(page.get(&format!("{OBJECTIVES}/garden")).await?.error_code()?, "project_not_found");
        assert_eq!(page.post("/api/agents/rate", &other).await?.error_code()?, "project_not_found");
    }
    let agent = Agent::open(&scene.relay, Some(key)).await?;
    let refused = agent.call("ask", &json!({"prompt": "Water the roses", "model": MODEL})).await?;
    assert_eq!(
        (&refused["isError"], &refused["structuredContent"]["error"]["code"]),
        (&json!(true), &json!("off_objective"))
    );

    assert_eq!(page.delete(&format!("{OBJECTIVES}/shop")).await?.status, 204);
    let refused =
        held.post("/api/llm/inference", &json!({"prompt": "The checkout is slow", "model": MODEL})).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (404, "project_not_found"));
    scene.relay.audit().await
}

#[tokio::test]
async fn objectives_have_limits_and_are_nobody_elses() -> Result<()> {
    let config = format!("{FREE}projects_per_account = 2\n");
    let (relay, key) = Relay::keeping(Engine::Sqlite, &config, "1.00").await?;
    let other = relay.key("1.00").await?;
    let (page, other) = (relay.customer(&key), relay.customer(&other));
    let put = async |project: &str, objectives: Value| {
        page.post(OBJECTIVES, &json!({"project": project, "objectives": objectives})).await
    };
    for (project, objectives) in [
        ("", json!(["x"])),
        ("a\nb", json!(["x"])),
        (&*"x".repeat(65), json!(["x"])),
        ("a", json!([])),
        ("a", json!([" "])),
        ("a", json!(vec!["x"; 33])),
        ("a", json!(["x".repeat(1_001)])),
        ("a", json!("x")),
    ] {
        assert_eq!(put(project, objectives).await?.status, 400, "{project}");
    }
    for project in ["one", "zwei & drei", "one"] {
        put(project, json!(["x"])).await?.expect(200)?;
    }
    let third = put("third", json!(["x"])).await?;
    assert_eq!((third.status, third.error_code()?.as_str()), (409, "too_many_projects"));
    let listed = page.get(OBJECTIVES).await?.expect(200)?;
    let names: Vec<_> =
        listed["projects"].as_array().into_iter().flatten().map(|project| &project["project"]).collect();
    assert_eq!(names, ["one", "zwei & drei"]);
    assert_eq!(page.get(&format!("{OBJECTIVES}/zwei%20%26%20drei")).await?.status, 200);
    assert_eq!(other.get(&format!("{OBJECTIVES}/one")).await?.error_code()?, "project_not_found");
    assert_eq!(other.get(OBJECTIVES).await?.expect(200)?, json!({"projects": []}));
    assert_eq!(other.delete(&format!("{OBJECTIVES}/one")).await?.error_code()?, "project_not_found");
    Ok(())
}

async fn what_can_be_no_name_names_no_project(engine: Engine) -> Result<()> {
    let (relay, key) = Relay::keeping(engine, FREE, "0").await?;
    let page = relay.customer(&key);
    for name in ["a%00b", "%20a", &"a".repeat(65)] {
        let path = format!("{OBJECTIVES}/{name}");
        for answer in [page.get(&path).await?, page.delete(&path).await?] {
            assert_eq!((answer.status, answer.error_code()?.as_str()), (404, "project_not_found"), "{name}");
        }
    }
    assert_eq!(page.get(&format!("{OBJECTIVES}/%FF")).await?.error_code()?, "bad_request");
    Ok(())
}
