//! The harness does what its users rely on.

use std::time::Duration;

use anyhow::Result;
use rekursing_tests::{
    browser::Browser,
    http::{Page, raw},
    model_server::{MODEL, ModelServer},
    script::{Dialect, Gate, Reply, Script, Step},
};
use serde_json::json;

/// A page that speaks to a model server without a relay between.
fn direct(url: &str) -> Result<Page> {
    Ok(Page::visitor(url.trim_start_matches("http://").parse()?))
}

#[tokio::test]
async fn a_scripted_server_lets_tokens_through_one_by_one() -> Result<()> {
    let script = Script::start(Dialect::Plain).await?;
    let gate = Gate::default();
    script.next(Reply::gated(&["a", "b"], &gate));
    let page = direct(&script.url())?;
    let mut stream = page.stream("/v1/chat/completions", &json!({"stream": true})).await?;
    stream.next().await?;
    gate.open(1);
    let first = stream.next().await?.map(|event| event.data).unwrap_or_default();
    assert!(first.contains(r#""content":"a""#), "{first}");
    let job = script.job(0).await?;
    assert!(!job.was_left());
    drop(stream);
    job.left(Duration::from_secs(10)).await
}

#[tokio::test]
async fn a_scripted_server_cuts_stalls_and_refuses() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let page = direct(&script.url())?;
    script.next(Reply::steps(vec![Step::token("half"), Step::Cut]));
    let mut cut = page.stream("/v1/chat/completions", &json!({"stream": true})).await?;
    assert!(cut.next().await?.is_some());
    assert!(cut.next().await.is_err(), "a cut is seen as one");
    script.next(Reply::json(503, &json!({"error": {"code": 503}})));
    assert_eq!(page.post("/v1/chat/completions", &json!({})).await?.status, 503);
    let models = page.get("/api/v1/models").await?.expect(200)?;
    assert_eq!(models["models"][0]["loaded_instances"][0]["config"]["parallel"], 2);
    let address = script.url().trim_start_matches("http://").parse()?;
    script.next(Reply::silence());
    let request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
    assert!(raw(address, request, Duration::from_millis(50)).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_tiny_model_echoes_its_own_prompt() -> Result<()> {
    let server = ModelServer::start().await?;
    let body = json!({
        "model": MODEL, "temperature": 0, "messages": [{"role": "user", "content": "Echo: blue river k7x2"}],
    });
    let answer = direct(server.url())?.post("/v1/chat/completions", &body).await?.expect(200)?;
    assert_eq!(answer["choices"][0]["message"]["content"], "blue river k7x2");
    Ok(())
}

#[tokio::test]
async fn the_browser_opens_a_page_and_clicks() -> Result<()> {
    let browser = Browser::start().await?;
    let tab = browser.open("data:text/html,<button onclick='document.title=1'>x</button>").await?;
    tab.click("button").await?;
    tab.until("document.title === '1'").await?;
    assert!(tab.screenshot().await?.starts_with(b"\x89PNG"));
    tab.close().await
}
