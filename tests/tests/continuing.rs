//! An owner who leaves in the middle of an answer costs nobody the answer: another one goes on with it.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::{Page, Stream},
    link::{Link, Plugin, offer},
    model_server::{MODEL, ModelServer},
    node::Node,
    on_both,
    relay::{FREE, Relay},
    scene::{ask_tiny, hear, text},
};
use serde_json::{Value, json};

on_both! {
    another_owner_ends_what_one_has_begun_and_each_is_paid_for_his_part,
}

const PROMPT: &str = "Count from 1 to 20.";
const WHOLE: &str = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
const BEGUN: &str = "1 2 3 4 5 6 7";

/// An owner played by hand, who leaves as he likes, and the real one who has the same model.
struct Scene {
    relay: Relay,
    page: Page,
    leaver: Plugin,
    link: Link,
    server: ModelServer,
}

impl Scene {
    async fn start(engine: Engine) -> Result<Scene> {
        Scene::with(engine, "").await
    }

    /// Starts with these limits.
    async fn with(engine: Engine, limits: &str) -> Result<Scene> {
        let config = format!("{FREE}{limits}[time]\nresume_ms = 0\n");
        let (server, kept) = tokio::try_join!(ModelServer::start(), Relay::keeping(engine, &config, "1.00"))?;
        let (relay, key) = kept;
        let leaver = Plugin::register(&relay).await?;
        let link = Link::ready(&relay, &leaver, &of_any_quantization()).await?;
        let page = relay.customer(&key);
        Ok(Scene { relay, page, leaver, link, server })
    }

    /// Asks, and has the one who leaves say so much.
    async fn begin(&mut self, path: &str, body: &Value, said: &str) -> Result<(Stream, Value)> {
        let (page, path, body) = (self.page.clone(), path.to_owned(), body.clone());
        let asking = tokio::spawn(async move { page.stream(&path, &body).await });
        let start = self.link.frame("start").await?;
        self.say(&start, 0, said).await?;
        Ok((asking.await??, start))
    }

    async fn say(&mut self, start: &Value, n: u32, text: &str) -> Result<()> {
        let piece = json!({"job": start["job"], "lease": start["lease"], "n": n, "text": text});
        self.link.send("text", &piece).await
    }
}

fn of_any_quantization() -> Value {
    let mut offer = offer(MODEL, 1);
    offer["quantization"] = json!("");
    offer
}

async fn another_owner_ends_what_one_has_begun_and_each_is_paid_for_his_part(engine: Engine) -> Result<()> {
    let mut scene = Scene::start(engine).await?;
    let (mut stream, start) = scene.begin("/api/llm/inference", &ask_tiny(PROMPT), BEGUN).await?;
    let told = stream.event("start").await?;
    hear(&mut stream, BEGUN).await?;
    let second = Node::start(&scene.relay, scene.server.url()).await?;
    drop(scene.link);

    let events = stream.events().await?;
    assert_eq!(format!("{BEGUN}{}", text(&events)), WHOLE);
    let named = |name: &str| -> Result<Value> {
        let event = events.iter().find(|event| event.name == name).with_context(|| format!("no {name}"))?;
        Ok(serde_json::from_str(&event.data)?)
    };
    let (continued, done) = (named("continued")?, named("done")?);
    assert_eq!(continued["provider"]["id"], second.plugin());
    assert_eq!(done["jobId"], told["jobId"], "the page knows the answer by one name");
    assert_eq!(done["jobs"][0], start["job"]);
    assert_eq!(continued["jobs"], done["jobs"]);
    assert!(!events.iter().any(|event| event.name == "error"));

    let ledger = scene.relay.resolved().await?;
    let charges = ledger.settlements()?;
    let [left, ended] = charges.as_slice() else { anyhow::bail!("{charges:?}") };
    assert_eq!(left.prompt_tokens, 0, "the prompt is paid once, to the one who ends the answer");
    assert!(left.answer_tokens > 0 && ended.prompt_tokens > 0 && ended.answer_tokens > 0, "{charges:?}");
    let usage = &done["usage"];
    assert_eq!(usage["promptTokens"], ended.prompt_tokens);
    assert_eq!(usage["completionTokens"], left.answer_tokens + ended.answer_tokens);
    let spent = Nanos::DOLLAR.checked_sub(ledger.balance("page:")?).context("no balance")?;
    assert_eq!(done["cost"], spent.to_string());
    let earned = scene.leaver.earnings(&scene.relay).await?;
    assert!(earned.total > Nanos::ZERO, "what was read is paid");
    scene.relay.audit().await
}

#[tokio::test]
async fn openai_clients_see_one_answer() -> Result<()> {
    let mut scene = Scene::start(Engine::Sqlite).await?;
    let body = json!({
        "model": MODEL, "stream": true, "temperature": 0, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": PROMPT}],
    });
    let (stream, _) = scene.begin("/v1/chat/completions", &body, BEGUN).await?;
    let _second = Node::start(&scene.relay, scene.server.url()).await?;
    drop(scene.link);
    let mut stream = stream;
    let events = stream.events().await?;
    let (last, chunks) = events.split_last().context("an answer")?;
    assert_eq!(last.data, "[DONE]");
    let chunks: Vec<Value> =
        chunks.iter().map(|event| serde_json::from_str(&event.data)).collect::<Result<_, _>>()?;
    let content = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    assert_eq!(chunks.iter().filter_map(content).collect::<String>(), WHOLE);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["error"].is_null()));
    let last = chunks.last().context("a last chunk")?;
    assert_eq!(last["rekursing"]["jobs"].as_array().map(Vec::len), Some(2));
    assert!(last["usage"]["completion_tokens"].as_u64() > Some(7));
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn where_nobody_can_go_on_the_page_is_told_and_pays_for_what_it_read() -> Result<()> {
    let mut scene = Scene::start(Engine::Sqlite).await?;
    // The model is there, but whoever has it would begin anew.
    let other = Plugin::register(&scene.relay).await?;
    let (mut stream, _) = scene.begin("/api/llm/inference", &ask_tiny(PROMPT), BEGUN).await?;
    let _other = Link::ready(&scene.relay, &other, &of_any_quantization()).await?;
    drop(scene.link);
    hear_all(&mut stream).await?;
    let charges = scene.relay.resolved().await?.settlements()?;
    assert_eq!(charges.len(), 1, "{charges:?}");
    scene.relay.audit().await
}

#[tokio::test]
async fn without_room_to_keep_it_an_answer_ends_with_its_owner_and_the_next_is_as_good() -> Result<()> {
    // A request takes one of these two KiB, and what is kept of answers leaves one free.
    let mut scene = Scene::with(Engine::Sqlite, "requests_bytes = 2048\n").await?;
    for charges in 1..=2 {
        let (mut stream, _) = scene.begin("/api/llm/inference", &ask_tiny(PROMPT), BEGUN).await?;
        let other = Plugin::register(&scene.relay).await?;
        let mut offer = of_any_quantization();
        offer["continues"] = json!(true);
        let other_link = Link::ready(&scene.relay, &other, &offer).await?;
        drop(std::mem::replace(&mut scene.link, other_link));
        hear_all(&mut stream).await?;
        drop(stream);
        assert_eq!(scene.relay.resolved().await?.settlements()?.len(), charges);
    }
    scene.relay.audit().await
}

/// Reads to the error that ends a broken answer.
async fn hear_all(stream: &mut Stream) -> Result<()> {
    let events = stream.events().await?;
    assert_eq!(text(&events), BEGUN);
    let error: Value = serde_json::from_str(&events.last().context("an end")?.data)?;
    assert_eq!(error["code"], "provider_failed");
    assert_ne!(error["cost"], "0.000000000");
    assert!(error["jobs"].is_null());
    Ok(())
}

#[tokio::test]
async fn an_answer_that_has_gone_on_is_cancelled_by_the_name_that_the_page_knows() -> Result<()> {
    let mut scene = Scene::start(Engine::Sqlite).await?;
    let (mut stream, start) = scene.begin("/api/llm/inference", &ask_tiny(PROMPT), BEGUN).await?;
    stream.event("start").await?;
    hear(&mut stream, BEGUN).await?;
    let other = Plugin::register(&scene.relay).await?;
    let mut offer = of_any_quantization();
    offer["continues"] = json!(true);
    let mut link = Link::ready(&scene.relay, &other, &offer).await?;
    drop(scene.link);
    let second = link.frame("start").await?;
    assert_eq!(
        second["body"]["messages"],
        json!([{"role": "user", "content": PROMPT}, {"role": "assistant", "content": BEGUN}])
    );
    let path = format!("/api/llm/inference/{}", start["job"].as_str().context("an id")?);
    assert_eq!(scene.page.delete(&path).await?.status, 204);
    assert_eq!(link.frame("cancel").await?["job"], second["job"]);
    let events = stream.events().await?;
    assert!(events.last().is_some_and(|event| event.name == "error"), "{events:?}");
    let running = || async { Ok((scene.relay.resolved().await?.settlements()?.len() == 1).then_some(())) };
    eventually("only the first part is charged", running).await?;
    scene.relay.audit().await
}
