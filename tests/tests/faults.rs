//! A model server that misbehaves: every fault is a clear refusal or a clear end, never a silent one,
//! and nobody pays for what was not delivered.

use anyhow::{Context, Result};
use bytes::Bytes;
use rekursing_protocol::Nanos;
use rekursing_tests::{
    eventually,
    http::Answer,
    node::Node,
    relay::FREE,
    scene::{Scripted, ask, text},
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Deadlines short enough to wait for.
const HASTY: &str = "[time]\nfirst_token_ms = 1500\nidle_ms = 1000\nqueue_ms = 3000\n";

fn hasty() -> String {
    format!("{FREE}{HASTY}")
}

fn words() -> Vec<Step> {
    vec![Step::token("half"), Step::token(" an"), Step::token(" answer")]
}

fn with(last: Step) -> Vec<Step> {
    words().into_iter().chain([last]).collect()
}

/// Asserts that nothing is held or owed.
async fn unpaid(scene: &Scripted) -> Result<()> {
    let ledger = scene.relay.resolved().await?;
    assert_eq!(ledger.balance("escrow")?, Nanos::ZERO);
    assert_eq!(ledger.balance("owner:")?, Nanos::ZERO);
    scene.relay.audit().await
}

#[tokio::test]
async fn what_fails_before_the_first_token_is_refused_and_costs_nothing() -> Result<()> {
    let loading = json!({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}});
    let role = json!([{"index": 0, "delta": {"role": "assistant", "content": null}, "finish_reason": null}]);
    let long = Bytes::from(vec![b'x'; 10 * 1024 * 1024]);
    let html = vec![Step::Send("<html>".into())];
    let faults: Vec<(&str, Reply)> = vec![
        ("it is loading", Reply::json(503, &loading)),
        ("it has an error of its own", Reply::json(500, &json!({"error": {"message": "CUDA error"}}))),
        ("it refuses the token", Reply::json(401, &json!({"error": {"code": "invalid_api_key"}}))),
        ("it says nothing", Reply::silence()),
        ("it holds back the first token", Reply::steps(vec![Step::choices(&role), Step::Hold])),
        ("it closes at once", Reply::steps(vec![Step::Cut])),
        ("it ends with nothing said", Reply::steps(vec![Step::done()])),
        ("it speaks of another type", Reply::exact(200, "text/html", html)),
        ("it speaks nonsense", Reply::steps(vec![Step::Send("data: {nonsense\n\n".into()), Step::Hold])),
        ("a line of 10 MB", Reply::steps(vec![Step::Send("data: ".into()), Step::Send(long), Step::Hold])),
        ("an error in the stream", Reply::steps(vec![Step::event(&json!({"error": {"message": "oom"}}))])),
    ];
    for (fault, reply) in faults {
        let scene = Scripted::with(&hasty(), Dialect::LlamaCpp(1)).await?;
        scene.script.always(reply);
        let answer = scene.relay.visitor().post("/api/llm/inference", &ask("go")).await?;
        let whole = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!whole.contains("event: done"), "{fault}: {whole}");
        assert!(answer.status >= 500 || whole.contains("event: error"), "{fault}: {answer:?}");
        // While a model loads its provider may yet become free: the job waits in the queue.
        let code = if fault == "it is loading" { "queue_timeout" } else { "provider_failed" };
        assert!(whole.contains(code), "{fault}: {whole}");
        unpaid(&scene).await.context(fault)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_fails_after_the_first_token_ends_in_one_error_and_costs_what_was_delivered() -> Result<()> {
    let nonsense = Step::Send("data: {\"choices\": [{\"delta\": \n\n".into());
    let faults: Vec<(&str, Reply)> = vec![
        ("it cuts", Reply::steps(with(Step::Cut))),
        ("it stalls", Reply::steps(with(Step::Hold))),
        ("it speaks nonsense", Reply::steps(with(nonsense))),
        ("it reports an error", Reply::steps(with(Step::event(&json!({"error": {"message": "crash"}}))))),
    ];
    for (fault, reply) in faults {
        let scene = Scripted::with(&hasty(), Dialect::LlamaCpp(1)).await?;
        scene.script.always(reply);
        let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
        let events = stream.events().await?;
        assert_eq!(text(&events), "half an answer", "{fault}");
        let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| **name == "error").count(), 1, "{fault}: {events:?}");
        assert_eq!(names.last(), Some(&"error"), "{fault}: {events:?}");
        let charges = scene.relay.resolved().await?.settlements()?;
        assert_eq!(charges.len(), 1, "{fault}");
        assert!((1..=6).contains(&charges[0].answer_tokens), "{fault}: {charges:?}");
        scene.relay.audit().await.context(fault)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_openai_stream_that_breaks_says_so() -> Result<()> {
    let scene = Scripted::with(&hasty(), Dialect::LlamaCpp(1)).await?;
    scene.script.always(Reply::steps(with(Step::Cut)));
    let body = json!({"model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    let mut stream = scene.relay.visitor().stream("/v1/chat/completions", &body).await?;
    let events = stream.events().await?;
    let broken = events.iter().filter_map(|event| serde_json::from_str::<Value>(&event.data).ok());
    let errors: Vec<Value> = broken.filter(|chunk| chunk["error"].is_object()).collect();
    assert_eq!(errors.len(), 1, "{events:?}");
    Ok(())
}

#[tokio::test]
async fn a_prompt_too_long_for_the_server_is_the_pages_mistake() -> Result<()> {
    let scene = Scripted::with(&hasty(), Dialect::LmStudio(1)).await?;
    let n_ctx = json!({"error": {"code": 400, "type": "exceed_context_size_error",
        "message": "the request exceeds the available context size", "n_prompt_tokens": 9000, "n_ctx": 4096}});
    scene.script.next(Reply::json(400, &n_ctx));
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
    let refused = scene.relay.visitor().post("/v1/chat/completions", &chat).await?;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.error_code()?, "context_too_long");
    // LM Studio answers 200 with an empty stream: nothing delivered, nothing paid.
    scene.script.next(Reply::steps(vec![]));
    let empty = scene.relay.visitor().post("/api/llm/inference", &ask("go")).await?;
    let whole = String::from_utf8_lossy(&empty.body).into_owned();
    assert!(whole.contains("\"code\""), "{whole}");
    assert!(!whole.contains("event: done"), "{whole}");
    unpaid(&scene).await
}

#[tokio::test]
async fn an_answer_in_pieces_of_one_byte_arrives_whole() -> Result<()> {
    let scene = Scripted::start().await?;
    let stream = [
        r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"content":"naïve "},"finish_reason":null}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{"content":"日本 🦀"},"finish_reason":null}]}"#,
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "data: [DONE]",
    ];
    let wire = format!("{}\n\n", stream.join("\n\n"));
    let steps = wire.bytes().map(|byte| Step::Send(Bytes::copy_from_slice(&[byte]))).collect();
    scene.script.next(Reply::steps(steps));
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "naïve 日本 🦀");
    Ok(())
}

#[tokio::test]
async fn a_server_that_comes_back_is_offered_again() -> Result<()> {
    let mut scene = Scripted::start().await?;
    let other = Script::start(Dialect::Plain).await?;
    let port = std::mem::replace(&mut scene.script, other).end();
    let offered = || async {
        let models = scene.relay.visitor().get("/api/llm/models").await?.expect(200)?;
        anyhow::Ok(models["models"].as_array().map_or(0, Vec::len))
    };
    let gone = || async { Ok((offered().await? == 0).then_some(())) };
    eventually("the models of a stopped server are gone", gone).await?;
    let _again = Script::on(&port.address().to_string(), Dialect::LlamaCpp(1)).await?;
    let back = || async { Ok((offered().await? == 1).then_some(())) };
    eventually("the models are back", back).await
}

/// Asks in the background: the answer's head comes with its first token only.
fn asked(scene: &Scripted, prompt: &str) -> JoinHandle<Result<Answer>> {
    let (page, question) = (scene.relay.visitor(), ask(prompt));
    tokio::spawn(async move { page.post("/api/llm/inference", &question).await })
}

#[tokio::test]
async fn another_provider_answers_when_the_first_fails_before_its_first_token() -> Result<()> {
    for (fault, reply) in [
        ("refuses", Reply::json(503, &json!({"error": {"message": "Loading model"}}))),
        ("cuts", Reply::steps(vec![Step::Cut])),
        ("is empty", Reply::steps(vec![Step::done()])),
        ("says nothing", Reply::silence()),
    ] {
        // Whoever keeps nobody waiting has time.
        let config = if fault == "says nothing" { hasty() } else { FREE.to_owned() };
        let scene = Scripted::with(&config, Dialect::LlamaCpp(1)).await?;
        let other = Script::start(Dialect::LlamaCpp(1)).await?;
        let _node = Node::start(&scene.relay, &other.url()).await?;
        let gate = Gate::default();
        scene.script.always(Reply::gated(&["fine"], &gate));
        other.always(Reply::gated(&["fine"], &gate));
        // The first job keeps one provider busy, so that the second must go to the other one.
        let first = asked(&scene, "a");
        let taken = || async { Ok((scene.script.jobs().len() + other.jobs().len() == 1).then_some(())) };
        eventually("the first job is at a provider", taken).await?;
        let (busy, free) =
            if other.jobs().is_empty() { (&scene.script, &other) } else { (&other, &scene.script) };
        free.next(reply);
        let second = asked(&scene, "b");
        free.job(0).await?;
        gate.open(3);
        for answer in [first.await??, second.await??] {
            let whole = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(whole.contains("fine") && whole.contains("event: done"), "{fault}: {whole}");
            assert!(!whole.contains("event: error"), "{fault}: {whole}");
        }
        assert_eq!(busy.jobs().len() + free.jobs().len(), 3, "{fault}: one job each, and one again");
        assert_eq!(
            scene.relay.resolved().await?.settlements()?.len(),
            2,
            "{fault}: each job is charged once"
        );
        scene.relay.audit().await.context(fault)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_provider_makes_pages_wait_and_then_answers_them() -> Result<()> {
    let scene = Scripted::with(FREE, Dialect::LlamaCpp(1)).await?;
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["first"], &gate));
    let first = asked(&scene, "a");
    scene.script.job(0).await?;
    let second = asked(&scene, "b");
    gate.open(1);
    for (answer, said) in [(first.await??, "first"), (second.await??, "three")] {
        let whole = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(whole.contains(said) && whole.contains("event: done"), "{whole}");
    }
    Ok(())
}
