//! Whoever means harm gets a clear refusal, and nobody else notices.

use std::time::Duration;

use anyhow::{Context, Result};
use rekursing_protocol::{VERSION, frame::close};
use rekursing_tests::{
    eventually,
    http::raw,
    link::{Knock, Link, Plugin, identify, offer},
    relay::{FREE, Relay},
    scene::{Scripted, ask, text},
    script::{Dialect, MODEL},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

/// How long a connection may take to be closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asserts that pages are still answered.
async fn undisturbed(scene: &Scripted) -> Result<()> {
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    Ok(())
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_a_code() -> Result<()> {
    let scene = Scripted::start().await?;
    let page = scene.relay.visitor();
    let chat = |fields: Value| {
        let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    let deep = format!("{{\"model\":\"{MODEL}\",\"messages\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("not JSON", "{".to_owned(), &[400]),
        ("not an object", "[]".to_owned(), &[400, 422]),
        ("nothing", String::new(), &[400, 422]),
        ("deep", deep, &[400, 422]),
        ("no messages", json!({"model": MODEL}).to_string(), &[400, 422]),
        ("empty messages", chat(json!({"messages": []})), &[400, 422]),
        ("messages of another type", chat(json!({"messages": "hello"})), &[400, 422]),
        ("an unknown model", chat(json!({"model": "nobody-has-this"})), &[404]),
        ("a model that is a number", chat(json!({"model": 7})), &[400, 422]),
        ("negative tokens", chat(json!({"max_tokens": -5})), &[400, 422]),
        ("huge tokens", chat(json!({"max_tokens": 1e300})), &[400, 422]),
        ("tokens past every context", chat(json!({"max_tokens": 4_000_000_000_u64})), &[400, 422]),
        ("many choices", chat(json!({"n": 3})), &[400, 422]),
        (
            "a remote image",
            chat(json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "http://192.168.0.1/admin"}}]}]})),
            &[400, 422],
        ),
        (
            "a local file",
            chat(json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]})),
            &[400, 422],
        ),
    ];
    for (case, body, statuses) in cases {
        let answer = page.post_bytes("/v1/chat/completions", body).await.context(case)?;
        assert!(statuses.contains(&answer.status), "{case}: {answer:?}");
        let error = &answer.json().context(case)?["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{case}: {error}");
        assert!(error["code"].is_string(), "{case}: {error}");
    }
    assert!(scene.script.jobs().is_empty(), "{:?}", scene.script.jobs());
    undisturbed(&scene).await
}

#[tokio::test]
async fn a_body_too_large_is_refused() -> Result<()> {
    let scene = Scripted::with(&format!("{FREE}request_bytes = 65536\n"), Dialect::LlamaCpp(4)).await?;
    let large = json!({"prompt": "x".repeat(200_000), "model": MODEL}).to_string();
    for path in ["/api/llm/inference", "/v1/chat/completions", "/api/plugin/register"] {
        let answer = scene.relay.visitor().post_bytes(path, large.clone()).await?;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
        assert!(!answer.error_code()?.is_empty());
    }
    undisturbed(&scene).await
}

#[tokio::test]
async fn slow_and_broken_connections_are_closed() -> Result<()> {
    let scene =
        Scripted::with(&format!("{FREE}[time]\nheader_ms = 1500\nbody_ms = 1500\n"), Dialect::LlamaCpp(4))
            .await?;
    let address = scene.relay.address();
    let long = Duration::from_secs(10);
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    for (case, bytes) in [
        ("silence", b"".as_slice()),
        ("half a head", b"GET / HT"),
        ("half a body", b"POST /api/llm/inference HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"),
        ("nonsense", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("a huge head", head.as_bytes()),
    ] {
        let closed = tokio::time::timeout(long, raw(address, bytes, long * 2)).await;
        assert!(closed.is_ok(), "{case}: still open after {long:?}");
        let answer = String::from_utf8_lossy(&closed??).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{case}: {answer}");
    }
    undisturbed(&scene).await
}

#[tokio::test]
async fn whoever_announces_much_and_sends_nothing_keeps_nobody_out() -> Result<()> {
    let scene = Scripted::start().await?;
    let mut silent = Vec::new();
    for _ in 0..200 {
        let mut socket = TcpStream::connect(scene.relay.address()).await?;
        let head = b"POST /api/llm/inference HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
            content-length: 8000000\r\n\r\n{";
        socket.write_all(head).await?;
        silent.push(socket);
    }
    undisturbed(&scene).await
}

#[tokio::test]
async fn an_idle_connection_may_wait_longer_than_a_request_for_its_headers() -> Result<()> {
    let relay = Relay::with(&format!("{FREE}[time]\nheader_ms = 1500\nkeep_alive_ms = 60000\n")).await?;
    let mut idle = Idle::connect(&relay).await?;
    let mut half = Idle::connect(&relay).await?;
    half.0.write_all(b"GET /healthz HTT").await?;
    // Opened behind both, so its deadline is over behind theirs.
    let silent = raw(relay.address(), b"", Duration::from_secs(10)).await?;
    assert!(silent.is_empty(), "{silent:?}");
    half.closed().await.context("half a head on a connection that was idle")?;
    idle.ask().await.context("the idle connection")?;

    let relay = Relay::with(&format!("{FREE}[time]\nkeep_alive_ms = 300\n")).await?;
    Idle::connect(&relay).await?.closed().await.context("idle for too long")
}

/// A connection on which one request was answered.
struct Idle(TcpStream);

impl Idle {
    async fn connect(relay: &Relay) -> Result<Idle> {
        let mut idle = Idle(TcpStream::connect(relay.address()).await?);
        idle.ask().await?;
        Ok(idle)
    }

    async fn ask(&mut self) -> Result<()> {
        self.0.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut answer = String::new();
        while !answer.ends_with('}') {
            let mut bytes = [0; 4096];
            let count = self.0.read(&mut bytes).await?;
            anyhow::ensure!(count > 0, "closed after {answer:?}");
            answer += &String::from_utf8_lossy(&bytes[..count]);
        }
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }

    async fn closed(mut self) -> Result<()> {
        let mut rest = Vec::new();
        // Whether it is closed or reset is all the same.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_foreign_origin_can_neither_connect_nor_read() -> Result<()> {
    let relay = Relay::start().await?;
    let knock = |origin| Knock { origin, ..Knock::default() };
    for origin in ["https://evil.example", "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "null"] {
        let refused = Link::knock(relay.address(), knock(Some(origin))).await?;
        assert_eq!(refused.err(), Some(403), "{origin}");
        let answer = relay.visitor().with("origin", origin).get("/api/llm/models").await?;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}: {answer:?}");
    }
    let ours = "chrome-extension://hcmaooakdekehmhhbjmbifiljdchnaeo";
    assert!(Link::knock(relay.address(), knock(Some(ours))).await?.is_ok());
    let answer = relay.visitor().with("origin", "https://rekursing.com").get("/api/llm/models").await?;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://rekursing.com");
    let refused = Link::knock(relay.address(), Knock { subprotocol: None, ..Knock::default() }).await?;
    assert!(refused.is_err(), "a link without the subprotocol");
    Ok(())
}

#[tokio::test]
async fn pages_of_all_origins_may_ask_where_the_operator_lets_them_and_do_nothing_else() -> Result<()> {
    const PAGE: &str = "https://a-page.example";
    let config = format!("origins = [\"*\"]\n{FREE}");
    let scene = Scripted::with(&config, Dialect::LlamaCpp(4)).await?;
    let relay = &scene.relay;
    let page = relay.visitor().with("origin", PAGE);
    for path in ["/api/llm/inference", "/v1/chat/completions"] {
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
        let answer = page.post(path, &body).await?;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE, "{path}");
    }
    assert_eq!(page.get("/api/llm/models").await?.headers["access-control-allow-origin"], PAGE);
    for path in ["/api/plugin/register", "/api/account/keys", "/mcp"] {
        let answer = page.post(path, &json!({})).await?;
        assert_eq!((answer.status, answer.error_code()?.as_str()), (403, "origin_not_allowed"), "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let knock = Knock { origin: Some(PAGE), ..Knock::default() };
    assert_eq!(Link::knock(relay.address(), knock).await?.err(), Some(403), "no page connects as a plugin");
    relay.audit().await
}

#[tokio::test]
async fn a_name_that_stands_for_the_relays_address_is_no_page_of_its_own() -> Result<()> {
    let relay = Relay::with(&format!("origins = [\"https://chat.example\"]\n{FREE}")).await?;
    let port = relay.address().port();
    let posted = async |host: &str, origin: &str| {
        let head = format!("host: {host}\r\norigin: {origin}\r\nconnection: close");
        let head = format!("POST /api/plugin/register HTTP/1.1\r\n{head}\r\ncontent-length: 2");
        let request = format!("{head}\r\ncontent-type: application/json\r\n\r\n{{}}");
        let answer = raw(relay.address(), request.as_bytes(), Duration::from_secs(10)).await?;
        anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    for (host, origin, status) in [
        (format!("evil.example:{port}"), format!("http://evil.example:{port}"), "403"),
        (format!("127.0.0.1:{port}"), format!("http://evil.example:{port}"), "403"),
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"), "201"),
        (format!("localhost:{port}"), format!("http://localhost:{port}"), "201"),
        ("chat.example".to_owned(), "https://chat.example".to_owned(), "201"),
    ] {
        let answer = posted(&host, &origin).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{origin} at {host}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stranger_on_the_link_is_closed_with_the_reason() -> Result<()> {
    let config = format!("{FREE}[time]\nidentify_ms = 3000\n");
    let scene = Scripted::with(&config, Dialect::LlamaCpp(4)).await?;
    let relay = &scene.relay;
    let plugin = Plugin::register(relay).await?;

    let mut silent = Link::open(relay).await?;
    assert_eq!(silent.closed().await?, close::NOT_IDENTIFIED);

    let mut liar = plugin.clone();
    "not-the-secret".clone_into(&mut liar.secret);
    let mut link = Link::open(relay).await?;
    link.send("identify", &identify(&liar, &offer(MODEL, 1))).await?;
    assert_eq!(link.closed().await?, close::UNAUTHORIZED);

    let mut old = identify(&plugin, &offer(MODEL, 1));
    old["version"] = json!(VERSION + 1);
    let mut link = Link::open(relay).await?;
    link.send("identify", &old).await?;
    assert_eq!(link.closed().await?, close::VERSION);

    let mut link = Link::open(relay).await?;
    link.send("heartbeat", &json!({"n": 1, "jobs": 0})).await?;
    let code = link.closed().await?;
    assert!([close::BAD_FRAME, close::NOT_IDENTIFIED].contains(&code), "{code}");
    undisturbed(&scene).await
}

#[tokio::test]
async fn an_address_holds_no_more_links_than_it_may_hold_connections() -> Result<()> {
    let relay = Relay::with(&format!("{FREE}connections_per_address = 2\n")).await?;
    let (first, _second) = tokio::try_join!(Link::open(&relay), Link::open(&relay))?;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = || async { raw(relay.address(), request, Duration::from_secs(10)).await };
    assert_eq!(answer().await?, b"", "a third connection");
    drop(first);
    let look = || async { Ok((!answer().await?.is_empty()).then_some(())) };
    eventually("a link that ends makes room", look).await
}

#[tokio::test]
async fn a_malformed_frame_ends_its_own_session_alone() -> Result<()> {
    let scene = Scripted::start().await?;
    let greedy = json!({"model": "greedy", "context": 0, "slots": 0, "loaded": true});
    let cases: Vec<(&str, Message, &[u16])> = vec![
        ("not JSON", Message::text("{"), &[close::BAD_FRAME]),
        ("an unknown kind", Message::text(r#"{"rob":{}}"#), &[close::BAD_FRAME]),
        ("an unknown field", Message::text(r#"{"heartbeat":{"n":1,"jobs":0,"x":1}}"#), &[close::BAD_FRAME]),
        ("a huge number", Message::text(r#"{"heartbeat":{"n":1e99,"jobs":0}}"#), &[close::BAD_FRAME]),
        ("a negative number", Message::text(r#"{"heartbeat":{"n":-1,"jobs":0}}"#), &[close::BAD_FRAME]),
        ("bytes", Message::binary(vec![0_u8; 16]), &[close::BAD_FRAME]),
        (
            "an impossible offer",
            Message::text(json!({"inventory": {"offers": [greedy], "slots": 1}}).to_string()),
            &[close::BAD_FRAME],
        ),
        (
            "a frame of 1 MB",
            Message::text("x".repeat(1 << 20)),
            &[close::TOO_LARGE, close::BAD_FRAME, 1009, 1006],
        ),
    ];
    for (case, message, codes) in cases {
        let plugin = Plugin::register(&scene.relay).await?;
        let mut link = Link::ready(&scene.relay, &plugin, &offer("by-hand", 1)).await?;
        // The other side may close before all of it is written.
        let _ = link.send_message(message).await;
        let code = link.closed().await.context(case)?;
        assert!(codes.contains(&code), "{case}: closed with {code}");
        undisturbed(&scene).await.context(case)?;
    }
    Ok(())
}

#[tokio::test]
async fn frames_about_someone_elses_job_change_nothing() -> Result<()> {
    let relay = Relay::start().await?;
    let (honest, thief) = (Plugin::register(&relay).await?, Plugin::register(&relay).await?);
    let mut worker = Link::ready(&relay, &honest, &offer(MODEL, 1)).await?;
    let mut other = Link::ready(&relay, &thief, &offer("something-else", 1)).await?;
    let page = relay.visitor();
    let question = ask("go");
    let asking = page.stream("/api/llm/inference", &question);
    let answering = async {
        let start = worker.frame("start").await.context("the job")?;
        let (job, lease) = (start["job"].clone(), start["lease"].clone());
        other.send("text", &json!({"job": job, "lease": lease, "n": 0, "text": "stolen"})).await?;
        other.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await?;
        // A round trip on the same socket: what was sent before has been read.
        other.send("heartbeat", &json!({"n": 1, "jobs": 0})).await?;
        other.frame("ack").await.context("the thief's heartbeat")?;
        worker.send("text", &json!({"job": job, "lease": 99, "n": 0, "text": "of another lease"})).await?;
        worker.send("text", &json!({"job": job, "lease": lease, "n": 0, "text": "honest"})).await?;
        worker.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await?;
        worker.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await?;
        worker.frame("settled").await
    };
    let (mut stream, _settled) = tokio::try_join!(asking, answering)?;
    let events = stream.events().await?;
    assert_eq!(text(&events), "honest", "{events:?}");
    assert_eq!(relay.resolved().await?.settlements()?.len(), 1, "a second `done` earns nothing");
    assert_eq!(thief.earnings(&relay).await?.jobs, 0);
    assert_eq!(honest.earnings(&relay).await?.jobs, 1);
    relay.audit().await
}

#[tokio::test]
async fn pieces_out_of_order_or_past_the_credit_are_not_delivered() -> Result<()> {
    let relay = Relay::start().await?;
    for (case, frames) in [
        ("a gap", vec![json!({"n": 0, "text": "a"}), json!({"n": 2, "text": "c"})]),
        ("a repeat", vec![json!({"n": 0, "text": "a"}), json!({"n": 0, "text": "a"})]),
        ("past the credit", (0..20).map(|n| json!({"n": n, "text": "x".repeat(100_000)})).collect()),
    ] {
        let plugin = Plugin::register(&relay).await?;
        let mut link = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
        let (page, question) = (relay.visitor(), ask("go"));
        let (answer, ()) = tokio::try_join!(page.post("/api/llm/inference", &question), async {
            let start = link.frame("start").await?;
            for mut frame in frames {
                frame["job"] = start["job"].clone();
                frame["lease"] = start["lease"].clone();
                if link.send("text", &frame).await.is_err() {
                    break;
                }
            }
            anyhow::Ok(())
        })
        .context(case)?;
        let whole = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(whole.contains("provider_failed"), "{case}: {whole}");
        assert!(!whole.contains("\"c\"") && !whole.contains("event: done"), "{case}: {whole}");
        drop(link);
    }
    relay.audit().await
}

/// Answers the next job of a link with these parts of a whole answer, and says that it is done.
async fn answer_whole(link: &mut Link, parts: &[&str]) -> Result<()> {
    let start = link.frame("start").await?;
    let (job, lease) = (&start["job"], &start["lease"]);
    for (n, part) in parts.iter().enumerate() {
        link.send("body", &json!({"job": job, "lease": lease, "n": n, "part": part})).await?;
    }
    link.send("done", &json!({"job": job, "lease": lease, "n": parts.len()})).await
}

#[tokio::test]
async fn a_long_whole_answer_is_counted_and_charged_like_a_short_one() -> Result<()> {
    let relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let mut link = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    let page = relay.visitor();
    let question = json!({"prompt": "go", "model": MODEL, "maxTokens": 1000});
    for (said, tokens) in [("four".to_owned(), 1), ("four".repeat(900), 900)] {
        // What a page did not ask for is long too: here an answer's log probabilities.
        let beside = "x".repeat(said.len() * 10);
        let choice = json!({"message": {"role": "assistant", "content": said}, "logprobs": beside});
        let body = json!({"choices": [choice]}).to_string();
        let (front, back) = body.split_at(body.len() / 2);
        let parts = [front, back];
        let answering = answer_whole(&mut link, &parts);
        let (answer, ()) = tokio::try_join!(page.post("/api/llm/inference", &question), answering)?;
        let answer = answer.expect(200)?;
        assert_eq!(answer["result"], said);
        assert_eq!(answer["message"]["content"], said);
        assert_eq!(answer["usage"]["completionTokens"], tokens);
    }
    let no_answer = "x".repeat(40_000);
    let parts = [no_answer.as_str()];
    let answering = answer_whole(&mut link, &parts);
    let (answer, ()) = tokio::try_join!(page.post("/api/llm/inference", &question), answering)?;
    assert_eq!(answer.error_code()?, "provider_failed");
    relay.audit().await
}

#[tokio::test]
async fn vectors_past_the_limit_are_refused_with_what_would_fit() -> Result<()> {
    let relay = Relay::with(&format!("{FREE}answer_bytes = 1000\n")).await?;
    let plugin = Plugin::register(&relay).await?;
    let mut embeds = offer(MODEL, 1);
    embeds["kind"] = json!("embedding");
    let mut link = Link::ready(&relay, &plugin, &embeds).await?;
    let (page, question) = (relay.visitor(), json!({"input": ["a", "b"], "model": MODEL}));
    let large = "0.1,".repeat(200);
    let parts = [large.as_str(), large.as_str()];
    let answering = answer_whole(&mut link, &parts);
    let (answer, ()) = tokio::try_join!(page.post("/v1/embeddings", &question), answering)?;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error_code()?, "answer_too_large");
    let error = &answer.json()?["error"];
    assert_eq!(error["param"], "input");
    assert!(error["message"].as_str().is_some_and(|said| said.contains("1000 bytes")), "{error}");
    assert_eq!(relay.resolved().await?.settlements()?.len(), 0, "nothing is charged");
    relay.audit().await
}

#[tokio::test]
async fn vectors_that_a_provider_cannot_take_in_are_refused_in_a_sentence() -> Result<()> {
    let relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let mut embeds = offer(MODEL, 1);
    embeds["kind"] = json!("embedding");
    let mut link = Link::ready(&relay, &plugin, &embeds).await?;
    let (page, question) = (relay.visitor(), json!({"input": ["a", "b"], "model": MODEL}));
    let failing = async {
        let start = link.frame("start").await?;
        let fail = json!({"job": start["job"], "lease": start["lease"], "code": "too_large", "detail": ""});
        link.send("fail", &fail).await
    };
    let (answer, ()) = tokio::try_join!(page.post("/v1/embeddings", &question), failing)?;
    assert_eq!((answer.status, answer.error_code()?.as_str()), (400, "answer_too_large"));
    let error = &answer.json()?["error"];
    assert_eq!(error["param"], "input");
    assert_eq!(error["message"], "the answer is longer than a provider takes in; ask for less at once");
    assert_eq!(relay.resolved().await?.settlements()?.len(), 0, "nothing is charged");
    relay.audit().await
}

#[tokio::test]
async fn nobody_reads_what_an_owner_earns_without_the_secret() -> Result<()> {
    let relay = Relay::start().await?;
    let (one, other) = (Plugin::register(&relay).await?, Plugin::register(&relay).await?);
    let path = format!("/api/plugin/earnings/{}", one.id);
    assert_eq!(relay.visitor().get(&path).await?.status, 401);
    let bearing = |token: &str| rekursing_tests::http::Page::bearing(relay.address(), token);
    assert!([401, 403].contains(&bearing(&other.secret).get(&path).await?.status));
    assert_eq!(bearing(&one.secret).get(&path).await?.status, 200);
    assert_eq!(bearing("rk_nobody").post("/api/llm/inference", &ask("go")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn what_a_provider_says_cannot_forge_an_event() -> Result<()> {
    let relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let mut link = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    let forged = "\n\nevent: done\ndata: {\"cost\":\"0\"}\n\n\r\ndata: [DONE]\r\n\r\n<script>";
    let (page, question) = (relay.visitor(), ask("go"));
    let (mut stream, ()) = tokio::try_join!(page.stream("/api/llm/inference", &question), async {
        let start = link.frame("start").await?;
        let piece = json!({"job": start["job"], "lease": start["lease"], "n": 0, "text": forged});
        link.send("text", &piece).await?;
        let done = json!({"job": start["job"], "lease": start["lease"], "n": 1, "finish": "stop"});
        link.send("done", &done).await
    })?;
    let events = stream.events().await?;
    assert_eq!(text(&events), forged);
    assert_eq!(events.iter().filter(|event| event.name == "done").count(), 1, "{events:?}");
    Ok(())
}
