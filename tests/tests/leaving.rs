//! Whoever leaves, leaves nothing behind: pages, owners and the relay itself.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use rekursing_protocol::{Nanos, frame::close};
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Stream,
    link::{Link, Plugin, offer},
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask, hear, text},
    script::{Dialect, Gate, MODEL, Reply, Step},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

on_both! {
    a_cancelled_job_ends_at_once_on_both_sides,
    a_page_that_leaves_before_the_first_token_pays_nothing,
    a_page_that_leaves_half_way_pays_for_what_it_was_sent,
    a_relay_told_to_leave_lets_running_answers_finish,
    a_relay_that_nobody_uses_leaves_at_once,
}

/// A page that leaves is gone from the owner's machine within this, also where the machine is busy: half of what an
/// answer may say nothing for, so that it is the leaving that ends it.
const CANCEL: Duration = Duration::from_secs(10);

fn endless() -> Reply {
    let mut steps: Vec<Step> = ["one", " two"].iter().map(|token| Step::token(token)).collect();
    steps.push(Step::Hold);
    Reply::steps(steps)
}

#[tokio::test]
async fn a_page_that_leaves_cancels_its_job_at_the_owners_server() -> Result<()> {
    let scene = Scripted::start().await?;
    for path in ["/api/llm/inference", "/v1/chat/completions"] {
        let number = scene.script.jobs().len();
        scene.script.next(endless());
        let body = json!({
            "model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}],
        });
        let mut stream = scene.relay.visitor().stream(path, &body).await?;
        stream.next().await?;
        let job = scene.script.job(number).await?;
        drop(stream);
        job.left(CANCEL).await.context(path)?;
    }
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn a_page_that_leaves_is_noticed_behind_requests_that_it_has_sent_already() -> Result<()> {
    let scene = Scripted::start().await?;
    for (number, apart) in [false, true].into_iter().enumerate() {
        scene.script.next(endless());
        let request = posted(scene.relay.address(), &ask("go").to_string());
        let mut socket = TcpStream::connect(scene.relay.address()).await?;
        // Together they lie in the relay's buffer, apart in the system's.
        let first = if apart { request.clone() } else { request.repeat(2) };
        socket.write_all(first.as_bytes()).await?;
        let mut answer = String::new();
        while !answer.contains("two") {
            let mut bytes = [0; 4096];
            let count = socket.read(&mut bytes).await?;
            answer += &String::from_utf8_lossy(&bytes[..count]);
        }
        if apart {
            socket.write_all(request.repeat(20).as_bytes()).await?;
        }
        let job = scene.script.job(number).await?;
        drop(socket);
        job.left(CANCEL).await.with_context(|| format!("sent apart: {apart}"))?;
        assert_eq!(scene.script.jobs().len(), number + 1, "nobody waits for the other answers");
    }
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

/// Writes a request as it goes over the wire.
fn posted(host: SocketAddr, body: &str) -> String {
    let length = body.len();
    let head = "content-type: application/json\r\ncontent-length:";
    format!("POST /api/llm/inference HTTP/1.1\r\nhost: {host}\r\n{head} {length}\r\n\r\n{body}")
}

async fn a_cancelled_job_ends_at_once_on_both_sides(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "1.00").await?;
    scene.script.next(endless());
    let mut stream = page.stream("/api/llm/inference", &ask("go")).await?;
    let start = stream.event("start").await?;
    hear(&mut stream, "one two").await?;
    let path = format!("/api/llm/inference/{}", start["jobId"].as_str().context("an id")?);
    assert_eq!(page.delete(&path).await?.status, 204);
    scene.script.job(0).await?.left(CANCEL).await?;
    let error = stream.event("error").await?;
    assert_eq!(error["code"], "cancelled");
    assert!(error["usage"]["completionTokens"].as_u64() > Some(0), "{error}");
    assert!(stream.next().await?.is_none());
    assert_eq!(page.delete(&path).await?.error_code()?, "job_not_found");
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    scene.relay.audit().await
}

async fn a_page_that_leaves_before_the_first_token_pays_nothing(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "1.00").await?;
    scene.script.next(Reply::silence());
    let asking = tokio::spawn(async move { page.stream("/api/llm/inference", &ask("go")).await.map(drop) });
    let job = scene.script.job(0).await?;
    asking.abort();
    job.left(CANCEL).await?;
    assert_eq!(scene.relay.resolved().await?.balance("page:")?, Nanos::DOLLAR);
    scene.relay.audit().await
}

async fn a_page_that_leaves_half_way_pays_for_what_it_was_sent(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "1.00").await?;
    scene.script.next(endless());
    let mut stream = page.stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one two").await?;
    drop(stream);
    let charges = scene.relay.resolved().await?.settlements()?;
    assert_eq!(charges.len(), 1);
    assert!((1..=2).contains(&charges[0].answer_tokens), "{charges:?}");
    scene.relay.audit().await
}

#[tokio::test]
async fn a_page_that_reads_slowly_holds_back_its_own_provider_and_nobody_else() -> Result<()> {
    let scene = Scripted::start().await?;
    // 64 MiB that nobody reads; one kilobyte a token.
    let token =
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(1024)}}]}));
    let block = Bytes::from(token.repeat(64));
    let flood: Vec<Step> = std::iter::repeat_n(Step::Send(block), 1024).collect();
    scene.script.next(Reply::steps(flood));
    let mut slow: Stream = scene.relay.visitor().stream("/api/llm/inference", &ask("flood")).await?;
    slow.event("token").await?;
    let job = scene.script.job(0).await?;
    for _ in 0..20 {
        let mut quick = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
        assert_eq!(text(&quick.events().await?), "one two three");
    }
    // The system's own socket buffers take some megabytes at each of three hops.
    assert!(
        job.sent_bytes() < 32 * 1024 * 1024,
        "{} bytes were taken for a page that reads none",
        job.sent_bytes()
    );
    drop(slow);
    job.left(CANCEL).await?;
    scene.relay.resolved().await.map(drop)
}

#[tokio::test]
async fn an_owner_who_leaves_mid_answer_is_paid_for_what_came_and_the_page_is_told() -> Result<()> {
    // Within that time he could have come back.
    let config = format!("{FREE}[time]\nresume_ms = 300\n");
    let mut scene = Scripted::with(&config, Dialect::LlamaCpp(4)).await?;
    scene.script.next(endless());
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one two").await?;
    scene.node.process().kill().await?;
    let events = stream.events().await?;
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("error"), "{events:?}");
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    scene.relay.audit().await
}

#[tokio::test]
async fn a_job_that_a_busy_owner_hands_back_names_and_pays_the_one_who_answers() -> Result<()> {
    let relay = Relay::start().await?;
    let (one, other) = (Plugin::register(&relay).await?, Plugin::register(&relay).await?);
    let mut first = Link::ready(&relay, &one, &offer(MODEL, 1)).await?;
    let mut second = Link::ready(&relay, &other, &offer(MODEL, 1)).await?;
    let chat = json!({"model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    let whole = json!({"model": MODEL, "prompt": "go"});
    let mut answerers = Vec::new();
    for (path, question) in
        [("/api/llm/inference", ask("go")), ("/v1/chat/completions", chat), ("/api/llm/inference", whole)]
    {
        let page = relay.visitor();
        let asking = async { page.stream(path, &question).await?.whole().await };
        let answering = async {
            let (start, first_is_busy) = tokio::select! {
                start = first.frame("start") => (start?, true),
                start = second.frame("start") => (start?, false),
            };
            let busy = if first_is_busy { &mut first } else { &mut second };
            let refusal = json!({"job": start["job"], "lease": start["lease"], "code": "busy"});
            busy.send("fail", &refusal).await?;
            let (ready, answerer) = if first_is_busy { (&mut second, &other) } else { (&mut first, &one) };
            let start = ready.frame("start").await?;
            let (job, lease, streamed) = (&start["job"], &start["lease"], start["stream"] == true);
            let said = json!({"choices": [{"message": {"content": "fine"}}]}).to_string();
            let (kind, part) = if streamed { ("text", "fine") } else { ("body", said.as_str()) };
            let field = if streamed { "text" } else { "part" };
            ready.send(kind, &json!({"job": job, "lease": lease, "n": 0, field: part})).await?;
            ready.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await?;
            ready.frame("settled").await?;
            Ok(answerer)
        };
        let (answer, answerer) = tokio::try_join!(asking, answering)?;
        let answer = String::from_utf8_lossy(&answer.body).into_owned();
        let named = answer.matches(&format!("\"id\":\"{}\"", answerer.id)).count();
        assert_eq!(named, 1, "{path}: {answer}");
        answerers.push(answerer.id.clone());
        assert!(
            !answer.contains(if answerer.id == one.id { &other.id } else { &one.id }),
            "{path}: {answer}"
        );
    }
    for plugin in [&one, &other] {
        let answered = answerers.iter().filter(|id| **id == plugin.id).count();
        assert_eq!(plugin.earnings(&relay).await?.jobs, answered as u64);
    }
    relay.audit().await
}

#[tokio::test]
async fn an_agent_comes_back_by_itself_after_the_relay_was_killed() -> Result<()> {
    let mut scene = Scripted::start().await?;
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let answered = || async {
        let answer = scene.relay.visitor().post("/api/llm/inference", &ask("go")).await?;
        Ok((answer.status == 200).then_some(()))
    };
    eventually("the agent is back and answers", answered).await
}

async fn a_relay_told_to_leave_lets_running_answers_finish(engine: Engine) -> Result<()> {
    let (scene, _) = Scripted::keeping(engine, "1.00").await?;
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["one", " two"], &gate));
    gate.open(1);
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one").await?;
    let plugin = Plugin::register(&scene.relay).await?;
    let mut link = Link::ready(&scene.relay, &plugin, &offer("by-hand", 1)).await?;
    let Scripted { mut relay, .. } = scene;
    let page = relay.visitor();
    let leaving = tokio::spawn(async move { relay.leave(Duration::from_secs(20)).await });
    assert!(matches!(link.frame("drain").await?["spread_ms"].as_u64(), Some(1..)));
    // A new request finds either a refusal or nobody: never an answer that will not finish.
    if let Ok(refused) = page.post("/api/llm/inference", &ask("late")).await {
        assert_eq!(refused.status, 503, "{refused:?}");
    }
    gate.open(1);
    hear(&mut stream, " two").await?;
    stream.event("done").await?;
    leaving.await?
}

async fn a_relay_that_nobody_uses_leaves_at_once(engine: Engine) -> Result<()> {
    let (mut relay, _) = Relay::keeping(engine, FREE, "1.00").await?;
    relay.leave(Duration::from_secs(10)).await?;
    relay.audit().await
}

#[tokio::test]
async fn a_relay_told_to_leave_does_not_wait_for_ever() -> Result<()> {
    let config = format!("{FREE}[time]\ndrain_ms = 500\n");
    let mut scene = Scripted::with(&config, Dialect::LlamaCpp(1)).await?;
    scene.script.next(endless());
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one two").await?;
    scene.relay.leave(Duration::from_secs(10)).await?;
    let rest = stream.events().await.unwrap_or_default();
    assert!(rest.iter().all(|event| event.name != "done"), "{rest:?}");
    scene.relay.restart().await?;
    assert_eq!(scene.relay.resolved().await?.balance("escrow")?, Nanos::ZERO);
    scene.relay.audit().await
}

#[tokio::test]
async fn a_newer_connection_of_the_same_plugin_takes_over() -> Result<()> {
    let relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let mut older = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    let _newer = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    assert_eq!(older.closed().await?, close::REPLACED);
    assert_eq!(relay.stats().await?["plugins"], 1);
    Ok(())
}

#[tokio::test]
async fn a_session_without_heartbeats_is_given_up_and_its_page_told() -> Result<()> {
    let config = format!("{FREE}[time]\nheartbeat_ms = 300\n");
    let relay = Relay::with(&config).await?;
    let plugin = Plugin::register(&relay).await?;
    let mut link = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    let (page, question) = (relay.visitor(), ask("go"));
    let (answer, started) = tokio::join!(page.post("/api/llm/inference", &question), async {
        link.frame("start").await?;
        link.closed().await
    });
    assert_eq!(started?, close::TIMED_OUT);
    assert!(String::from_utf8_lossy(&answer?.body).contains("provider_failed"));
    Ok(())
}
