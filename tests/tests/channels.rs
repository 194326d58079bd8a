//! Who is on: what everybody is told, what owners show of their own will, and who follows them.

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    on_both,
    relay::Relay,
    scene::{Scripted, ask, hear, text},
    script::{Gate, MODEL, Reply},
};
use serde_json::{Value, json};

on_both! {
    a_channel_is_shown_followed_and_closed_by_its_owner_and_outlives_kill_9,
}

const LIVE: &str = "/api/live";

async fn followed(page: &Page) -> Result<rekursing_tests::http::Stream> {
    page.clone().with("accept", "text/event-stream").stream_of(Method::GET, LIVE, Bytes::new()).await
}

#[tokio::test]
async fn whoever_watches_sees_who_comes_works_and_goes_and_work_only_of_open_channels() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let (relay, visitor) = (&scene.relay, scene.relay.visitor());
    let mut live = followed(&visitor).await?;
    let first = live.event("live").await?;
    let id = scene.node.plugin().to_owned();
    assert_eq!(first["providers"][0]["pluginId"], *id);
    assert_eq!(first["providers"][0]["channel"], Value::Null);
    assert_eq!(first["providers"][0]["models"][0]["id"], MODEL);
    assert!(first["providers"][0]["models"][0]["price"]["output"].is_string());

    // Without a channel nobody is told that he is at work.
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", "two", "three"], &gate));
    let mut answer = page.stream("/api/llm/inference", &ask("go")).await?;
    gate.open(1);
    hear(&mut answer, "one").await?;
    let now = visitor.get(LIVE).await?.expect(200)?;
    assert_eq!(now["totals"]["jobsRunning"], 1);
    assert_eq!(now["providers"][0]["channel"], Value::Null);

    let owner = relay.customer(&scene.node.secret()?);
    let own = format!("/api/plugin/channel/{id}");
    owner.put(&own, &json!({"about": "On most evenings."})).await?.expect(200)?;
    let at_work = async {
        loop {
            let event = live.next().await?.context("the stream ended")?;
            let news: Value = serde_json::from_str(&event.data)?;
            if news["providers"][0]["channel"]["jobsNow"] == 1 {
                return Ok::<_, anyhow::Error>(event.name);
            }
        }
    };
    at_work.await?;
    gate.open(2);
    assert_eq!(text(&answer.events().await?), "twothree");
    drop(scene.node);
    loop {
        let event = live.next().await?.context("the stream ended")?;
        let news: Value = serde_json::from_str(&event.data)?;
        if news["gone"].as_array().is_some_and(|gone| gone.iter().any(|gone| *gone == *id)) {
            return Ok(());
        }
    }
}

async fn a_channel_is_shown_followed_and_closed_by_its_owner_and_outlives_kill_9(
    engine: Engine,
) -> Result<()> {
    let (mut scene, page) = Scripted::keeping(engine, "1.00").await?;
    let id = scene.node.plugin().to_owned();
    let owner = scene.relay.customer(&scene.node.secret()?);
    let (own, shown) = (format!("/api/plugin/channel/{id}"), format!("/api/live/channels/{id}"));
    let follower = format!("{shown}/follower");
    let visitor = scene.relay.visitor();
    assert_eq!(visitor.get(&shown).await?.error_code()?, "channel_not_found");
    assert_eq!(owner.get(&own).await?.expect(200)?["channel"], Value::Null);
    assert_eq!(page.put(&own, &json!({})).await?.status, 401, "somebody else's");
    assert_eq!(owner.put(&own, &json!({"about": "x".repeat(501)})).await?.error_code()?, "bad_request");
    assert_eq!(owner.put(&own, &json!({"abuot": "x"})).await?.error_code()?, "bad_request");
    let text = "On most\u{202e} evenings <b>";
    owner.put(&own, &json!({"about": text, "showsEarnings": true})).await?.expect(200)?;
    assert_eq!(page.put(&follower, &json!({})).await?.status, 204);
    assert_eq!(page.put(&follower, &json!({})).await?.status, 204);
    assert_eq!(visitor.put(&follower, &json!({})).await?.status, 401);
    page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;

    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let (visitor, page) = (scene.relay.visitor(), &page);
    let channel = visitor.get(&shown).await?.expect(200)?;
    assert_eq!(channel["about"], "On most evenings <b>", "what cannot be seen is taken out");
    assert_eq!(channel["followers"], 1);
    assert_eq!(channel["days"][0]["jobs"], 1);
    assert!(channel["days"][0]["earned"].is_string());
    assert_eq!(page.get("/api/live/followed").await?.expect(200)?["followed"], json!([id]));
    for (by, figure) in [("tokens", "answerTokens"), ("earnings", "earned")] {
        let board = format!("/api/live/leaders?by={by}&over=day");
        let leaders = visitor.get(&board).await?.expect(200)?;
        assert_eq!(leaders["leaders"][0]["pluginId"], id.as_str(), "{leaders}");
        assert!(!leaders["leaders"][0][figure].is_null());
    }
    assert_eq!(visitor.get("/api/live/leaders?by=fame").await?.error_code()?, "bad_request");
    let page_of = visitor.get(&format!("/live/{id}")).await?;
    let html = String::from_utf8_lossy(&page_of.body).into_owned();
    assert!(page_of.status == 200 && html.contains("On most evenings &lt;b&gt;"), "{html}");

    let owner = scene.relay.customer(&scene.node.secret()?);
    assert_eq!(owner.delete(&own).await?.status, 204);
    assert_eq!(visitor.get(&shown).await?.error_code()?, "channel_not_found");
    let leaders = visitor.get("/api/live/leaders?by=tokens&over=day").await?.expect(200)?;
    assert_eq!(leaders["leaders"], json!([]));
    Ok(())
}

#[tokio::test]
async fn models_tell_how_their_latest_answers_came_and_how_often_they_could_be_asked() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let words: Vec<String> = (0..40).map(|word| format!("w{word} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.script.always(Reply::text(&words));
    let mut stream = page.stream("/api/llm/inference", &ask("go")).await?;
    stream.events().await?;
    let model = || async {
        let models = scene.relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let model = models["models"][0].clone();
        Ok((model["pace"]["answers"] == 1).then_some(model))
    };
    let model = eventually("an answer is measured", model).await?;
    assert!(model["pace"]["firstTokenMs"]["p50"].as_u64() > Some(0), "{model}");
    assert_eq!(model["pace"]["tokensPerSecond"]["p50"], model["pace"]["tokensPerSecond"]["p99"]);
    let page = scene.relay.visitor().get("/models").await?;
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(html.contains(MODEL) && !html.contains("<script"), "it is whole without a script: {html}");
    Ok(())
}

#[tokio::test]
async fn as_many_watch_as_may_and_the_next_is_told_so() -> Result<()> {
    let relay = Relay::with("[limits]\nwatchers = 1\n").await?;
    let visitor = relay.visitor();
    let first = followed(&visitor).await?;
    let refused = followed(&visitor).await?.whole().await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "overloaded"));
    drop(first);
    let again = || async {
        let stream = followed(&visitor).await?;
        Ok((stream.status == 200).then_some(()))
    };
    eventually("there is room again", again).await
}
