//! An answer all the way: page, relay, agent, model server and back, and paid.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Stream,
    link::{Link, Plugin, offer},
    model_server::{self, ModelServer},
    node::Node,
    on_both,
    relay::{FREE, Relay},
    scene::{Real, Scripted, ask, hear, text},
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

on_both! {
    the_owner_earns_what_the_page_pays_less_the_fee,
    a_key_made_while_the_relay_runs_can_pay,
    a_page_without_enough_money_is_refused_before_any_work,
}

fn dollars(value: &Value) -> Result<Nanos> {
    value.as_str().context("money is a text")?.parse().context("money is decimal")
}

#[tokio::test]
async fn a_page_is_answered_by_the_owners_model() -> Result<()> {
    let scene = Real::start().await?;
    let body = json!({"prompt": "Echo: blue river k7x2", "model": model_server::MODEL, "temperature": 0});
    let answer = scene.relay.visitor().post("/api/llm/inference", &body).await?.expect(200)?;
    assert_eq!(answer["success"], true);
    assert_eq!(answer["result"], "blue river k7x2");
    assert_eq!(answer["model"], model_server::MODEL);
    assert_eq!(answer["provider"]["id"], scene.node.plugin());
    assert!(answer["usage"]["completionTokens"].as_u64() > Some(0), "{answer}");
    assert!(dollars(&answer["cost"])? > Nanos::ZERO, "{answer}");
    Ok(())
}

#[tokio::test]
async fn an_openai_client_is_answered_streamed_and_whole() -> Result<()> {
    let scene = Real::start().await?;
    let mut body = json!({
        "model": model_server::MODEL, "temperature": 0,
        "messages": [{"role": "user", "content": "Echo: green lantern 42"}],
    });
    let page = scene.relay.visitor();
    let whole = page.post("/v1/chat/completions", &body).await?.expect(200)?;
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"]["content"], "green lantern 42");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");

    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let mut stream = page.stream("/v1/chat/completions", &body).await?;
    let chunks = chunks(&mut stream).await?;
    let said: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, "green lantern 42");
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "stop"));
    let usage = chunks.iter().find(|chunk| chunk["usage"].is_object()).context("no usage")?;
    assert_eq!(usage["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
    Ok(())
}

#[tokio::test]
async fn every_route_tells_the_tier_streamed_and_whole() -> Result<()> {
    let scene = Scripted::start().await?;
    scene.script.always(Reply::text(&["one"]));
    let page = scene.relay.visitor();
    let own = json!({"prompt": "go", "model": MODEL, "quality": "low"});
    let whole = page.post("/api/llm/inference", &own).await?.expect(200)?;
    assert_eq!(whole["tier"], "low", "{whole}");
    let streamed = json!({"prompt": "go", "model": MODEL, "quality": "low", "stream": true});
    let mut stream = page.stream("/api/llm/inference", &streamed).await?;
    assert_eq!(stream.event("done").await?["tier"], "low");

    let messages = json!([{"role": "user", "content": "go"}]);
    let mut chat = json!({"messages": messages, "model": MODEL, "quality": "low"});
    let whole = page.post("/v1/chat/completions", &chat).await?.expect(200)?;
    assert_eq!(whole["rekursing"]["tier"], "low", "{whole}");
    chat["stream"] = json!(true);
    let chunks = chunks(&mut page.stream("/v1/chat/completions", &chat).await?).await?;
    let last = chunks.last().context("no chunk")?;
    assert_eq!(last["rekursing"]["tier"], "low", "{last}");
    Ok(())
}

/// Reads a `/v1` stream to its `[DONE]`.
async fn chunks(stream: &mut Stream) -> Result<Vec<Value>> {
    let events = stream.events().await?;
    assert_eq!(events.last().map(|event| event.data.as_str()), Some("[DONE]"));
    let chunks = &events[..events.len() - 1];
    chunks.iter().map(|event| serde_json::from_str(&event.data).context("not a chunk")).collect()
}

#[tokio::test]
async fn a_completion_continues_its_prompt() -> Result<()> {
    let scene = Real::start().await?;
    let body = json!({"model": model_server::MODEL, "prompt": "Once upon a time", "max_tokens": 8});
    let answer = scene.relay.visitor().post("/v1/completions", &body).await?.expect(200)?;
    assert_eq!(answer["object"], "text_completion");
    assert!(answer["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    Ok(())
}

#[tokio::test]
async fn texts_become_vectors_and_are_paid_by_their_tokens() -> Result<()> {
    let (server, (relay, key)) =
        tokio::try_join!(ModelServer::embedding(), Relay::funded(rekursing_tests::relay::FREE, "5.00"))?;
    let _node = Node::start(&relay, server.url()).await?;
    let page = relay.customer(&key);
    let body = json!({"model": model_server::EMBEDDING_MODEL, "input": ["blue river", "green lantern"]});
    let answer = page.post("/v1/embeddings", &body).await?.expect(200)?;
    let rows = answer["data"].as_array().context("rows")?;
    assert_eq!(rows.len(), 2);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], index);
        assert_eq!(row["embedding"].as_array().map(Vec::len), Some(128), "as wide as the model");
    }
    assert_ne!(rows[0]["embedding"], rows[1]["embedding"]);
    assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(0), "{answer}");
    assert!(dollars(&answer["rekursing"]["cost"])? > Nanos::ZERO, "{answer}");

    let chat =
        json!({"model": model_server::EMBEDDING_MODEL, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(page.post("/v1/chat/completions", &chat).await?.error_code()?, "wrong_kind");
    relay.audit().await
}

#[tokio::test]
async fn vectors_are_written_as_they_were_asked_for_whatever_the_model_server_writes() -> Result<()> {
    const EMBEDDER: &str = "text-embed-script";
    const TEXT: &str = "AAAAPwAAAMAAAIA+";
    let relay = Relay::start().await?;
    let script = Script::start(Dialect::Plain).await?;
    script.set_names(&[EMBEDDER.to_owned()]);
    let _node = Node::start(&relay, &script.url()).await?;
    let page = relay.visitor();
    let numbers = json!([0.5, -2.0, 0.25]);
    let ask = |format: &str| json!({"model": EMBEDDER, "input": "red", "encoding_format": format});
    for written in [&numbers, &json!(TEXT)] {
        let rows = json!([{"object": "embedding", "index": 0, "embedding": written}]);
        let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
        script.always(Reply::json(200, &json!({"object": "list", "data": rows, "usage": usage})));
        for (format, told) in [("float", &numbers), ("base64", &json!(TEXT))] {
            let answer = page.post("/v1/embeddings", &ask(format)).await?.expect(200)?;
            assert_eq!(&answer["data"][0]["embedding"], told, "{written} as {format}");
        }
    }
    let none = json!({"object": "list", "data": [{"index": 0, "embedding": [[0.5]]}]});
    script.always(Reply::json(200, &none));
    let refused = page.post("/v1/embeddings", &ask("base64")).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (502, "provider_failed"));
    let refused = page.post("/v1/embeddings", &ask("int8")).await?;
    assert_eq!((refused.status, refused.json()?["error"]["param"].as_str()), (400, Some("encoding_format")));
    let jobs = script.jobs();
    assert_eq!(jobs.len(), 5);
    assert!(jobs.iter().all(|job| job.body.get("encoding_format").is_none()), "no server is told");
    relay.audit().await
}

#[tokio::test]
async fn every_token_arrives_before_the_next_is_made() -> Result<()> {
    let scene = Scripted::start().await?;
    let gate = Gate::default();
    let tokens = ["one", " two", " three", " four", " five"];
    scene.script.next(Reply::gated(&tokens, &gate));
    // The answer's head comes with the first token, which one opening lets through.
    gate.open(1);
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    for token in tokens {
        hear(&mut stream, token).await?;
        gate.open(1);
    }
    let done = stream.event("done").await?;
    assert_eq!(done["finishReason"], "stop");

    let gate = Gate::default();
    scene.script.next(Reply::gated(&tokens, &gate));
    gate.open(1);
    let body = json!({"model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    let mut stream = scene.relay.visitor().stream("/v1/chat/completions", &body).await?;
    for token in tokens {
        assert_eq!(spoken(&mut stream).await?, token);
        gate.open(1);
    }
    Ok(())
}

/// Waits for the next chunk with text in it.
async fn spoken(stream: &mut Stream) -> Result<String> {
    while let Some(event) = stream.next().await? {
        let chunk: Value = serde_json::from_str(&event.data)?;
        if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
            return Ok(text.to_owned());
        }
    }
    anyhow::bail!("the stream ended")
}

async fn the_owner_earns_what_the_page_pays_less_the_fee(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "5.00").await?;
    let mut stream = page.stream("/api/llm/inference", &ask("hello")).await?;
    assert_eq!(stream.status, 200);
    let events = stream.events().await?;
    assert_eq!(text(&events), "one two three", "{events:?}");
    let done: Value = serde_json::from_str(&events.last().context("no events")?.data)?;
    let cost = dollars(&done["cost"])?;
    assert!(cost > Nanos::ZERO);

    let look = || async {
        let earnings = scene.node.earnings(&scene.relay).await?;
        Ok((earnings.jobs == 1).then_some(earnings))
    };
    let earnings = eventually("the earnings show the job", look).await?;
    let receipt = &earnings.recent[0].receipt;
    assert_eq!(receipt.charge, cost);
    assert_eq!(receipt.fee, Nanos::new(cost.get() / 20), "five per cent, rounded down");
    assert_eq!(Some(receipt.earned), receipt.charge.checked_sub(receipt.fee));
    assert_eq!(earnings.total, receipt.earned);

    let ledger = scene.relay.ledger()?;
    assert_eq!(Some(ledger.balance("page:")?), Nanos::new(5_000_000_000).checked_sub(cost));
    // Nobody knows the owner yet, so half of it waits.
    assert_eq!(ledger.balance("owner:")?, earnings.available);
    assert_eq!(ledger.balance("held:")?, earnings.held);
    assert_eq!(earnings.held, Nanos::new(receipt.earned.get() / 2));
    assert_eq!(earnings.available.checked_add(earnings.held), Some(receipt.earned));
    assert_eq!(ledger.balance("platform")?, receipt.fee);
    assert_eq!(ledger.balance("escrow")?, Nanos::ZERO);
    scene.relay.audit().await
}

async fn a_key_made_while_the_relay_runs_can_pay(engine: Engine) -> Result<()> {
    let (scene, _) = Scripted::keeping(engine, "0").await?;
    let page = scene.relay.customer(&scene.relay.key("1.00").await?);
    let paid = || async {
        let answer = page.post("/api/llm/inference", &ask("hello")).await?;
        Ok((answer.status == 200).then_some(()))
    };
    eventually("the new key's money is there", paid).await
}

#[tokio::test]
async fn free_answers_are_refused_while_the_operator_gives_nothing() -> Result<()> {
    let scene = Scripted::with("", Dialect::LlamaCpp(1)).await?;
    let refused = scene.relay.visitor().post("/api/llm/inference", &ask("hello")).await?;
    assert_eq!(refused.error_code()?, "free_budget_empty");
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert!(scene.script.jobs().is_empty());
    Ok(())
}

async fn a_page_without_enough_money_is_refused_before_any_work(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "0.000000001").await?;
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]});
    let refused = page.post("/v1/chat/completions", &chat).await?;
    assert_eq!(refused.status, 402);
    assert_eq!(refused.error_code()?, "insufficient_funds");
    assert!(scene.script.jobs().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_the_server_can_do_survives_and_nothing_else_reaches_it() -> Result<()> {
    let scene = Scripted::start().await?;
    let call = json!([{"index": 0, "finish_reason": null, "delta": {"tool_calls": [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
    ]}}]);
    let thought = json!([{"index": 0, "finish_reason": null, "delta": {"reasoning_content": "hm"}}]);
    let odds = json!([{"index": 0, "finish_reason": null, "delta": {"content": "ok"},
                       "logprobs": {"content": [{"token": "ok", "logprob": -0.5, "bytes": [111, 107]}]}}]);
    scene.script.next(Reply::steps(vec![
        Step::choices(&thought),
        Step::choices(&odds),
        Step::choices(&call),
        Step::finish("tool_calls"),
        Step::done(),
    ]));
    let kept = json!({
        "messages": [{"role": "user", "content": "look"}], "temperature": 0.5, "top_p": 0.9, "seed": 7,
        "stop": ["x"], "logprobs": true, "top_logprobs": 2, "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    });
    let mut body = kept.clone();
    body["model"] = json!(MODEL);
    body["stream"] = json!(true);
    body["integrations"] = json!(["mcp/shell"]);
    body["user"] = json!("somebody@example.com");
    let mut stream = scene.relay.visitor().stream("/v1/chat/completions", &body).await?;
    let chunks = chunks(&mut stream).await?;
    let choices: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    assert!(choices.iter().any(|c| c["delta"]["tool_calls"] == call[0]["delta"]["tool_calls"]), "{chunks:?}");
    assert!(choices.iter().any(|c| c["delta"]["reasoning_content"] == "hm"), "{chunks:?}");
    assert!(choices.iter().any(|c| c["logprobs"] == odds[0]["logprobs"]), "{chunks:?}");
    assert!(choices.iter().any(|c| c["finish_reason"] == "tool_calls"), "{chunks:?}");

    let job = scene.script.job(0).await?;
    for (name, value) in kept.as_object().context("an object")? {
        assert_eq!(&job.body[name], value, "{name}");
    }
    assert!(job.body.get("integrations").is_none(), "{}", job.body);
    assert!(job.body.get("user").is_none(), "{}", job.body);
    assert!(!job.head.to_lowercase().contains("authorization"), "{}", job.head);
    Ok(())
}

#[tokio::test]
async fn what_is_offered_can_be_read_and_asked_for() -> Result<()> {
    for dialect in
        [Dialect::LlamaCpp(3), Dialect::LmStudio(3), Dialect::LmStudioV0, Dialect::Ollama, Dialect::Plain]
    {
        let scene = Scripted::with(rekursing_tests::relay::FREE, dialect).await?;
        let models = scene.relay.visitor().get("/v1/models").await?.expect(200)?;
        let ids: Vec<&str> =
            models["data"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
        assert_eq!(ids, [MODEL], "{dialect:?}: neither a sleeping nor a cloud model");
        let models = scene.relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let model = &models["models"][0];
        assert_eq!(model["providers"], 1, "{dialect:?}");
        if dialect != Dialect::Plain {
            assert_eq!(model["context"], 4096, "{dialect:?}");
        }
        let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
        assert_eq!(text(&stream.events().await?), "one two three", "{dialect:?}");
        assert_eq!(scene.script.job(0).await?.path, "/v1/chat/completions", "{dialect:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_operators_own_upstream_answers_too() -> Result<()> {
    let script = Script::start(Dialect::LlamaCpp(2)).await?;
    // The SHA-256 of `operator`.
    let config =
        "operator_token_sha256 = \"06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23\"\n";
    let relay = Relay::with(&format!("{config}{}", rekursing_tests::relay::FREE)).await?;
    let body = json!({
        "name": "rack", "url": script.url(), "gpuInfo": {"name": "NVIDIA H200", "memory": 141, "cores": 132},
        "capabilities": {"models": [MODEL], "maxConcurrentStreams": 2}, "pricing": {"perToken": 0.000_001},
    });
    let refused = relay.visitor().post("/api/gpu/register", &body).await?;
    assert_eq!(refused.status, 401);
    let operator = rekursing_tests::http::Page::bearing(relay.address(), "operator");
    let made = operator.post("/api/gpu/register", &body).await?;
    assert!((200..300).contains(&made.status), "{made:?}");
    let answered = || async {
        let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
        Ok((stream.status == 200).then_some(text(&stream.events().await?)))
    };
    assert_eq!(eventually("the upstream answers", answered).await?, "one two three");
    relay.audit().await
}

#[tokio::test]
async fn an_image_reaches_a_server_that_sees_unchanged_and_no_other() -> Result<()> {
    let scene = Scripted::with(FREE, Dialect::LlamaCppVision(2)).await?;
    let page = scene.relay.visitor();
    // Longer than any frame that a plugin may send, and with every character of base64.
    let url = format!("data:image/png;base64,{}==", "iVBORw0KGgo+/abc".repeat(20_000));
    let messages = json!([
        {"role": "system", "content": "Look closely."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        ]},
    ]);
    let body = json!({"model": MODEL, "messages": messages});
    for (number, route) in ["/v1/chat/completions", "/api/llm/inference"].into_iter().enumerate() {
        page.post(route, &body).await?.expect(200)?;
        let asked = scene.script.job(number).await?.body;
        assert!(asked["messages"] == messages, "{route} changed the messages");
    }

    let blind = Scripted::start().await?;
    let refused = blind.relay.visitor().post("/v1/chat/completions", &body).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (400, "vision_unavailable"));
    assert!(blind.script.jobs().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_prompt_for_any_model_is_charged_by_the_tokenizer_of_the_one_that_answered() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let page = relay.customer(&key);
    let mut offer = offer("qwen2.5-7b-instruct", 1);
    offer["context"] = json!(32_768);
    let plugin = Plugin::register(&relay).await?;
    let mut link = Link::ready(&relay, &plugin, &offer).await?;
    let words = "The quick brown fox jumps over 12345 lazy dogs, und 日本語 auch. ";
    for (length, repeats) in [("short", 3), ("long", 600)] {
        let mut counts = Vec::new();
        for model in ["qwen2.5-7b-instruct", "auto"] {
            let body = json!({"model": model, "prompt": words.repeat(repeats), "stream": true});
            let serve = async {
                let start = link.frame("start").await?;
                let (job, lease) = (&start["job"], &start["lease"]);
                link.send("text", &json!({"job": job, "lease": lease, "n": 0, "text": "fine"})).await?;
                link.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await
            };
            let (mut stream, ()) = tokio::try_join!(page.stream("/api/llm/inference", &body), serve)?;
            let usage = &stream.event("done").await?["usage"];
            counts.push(usage["promptTokens"].as_u64());
        }
        assert!(counts[0].is_some_and(|count| count > 0), "{length}: {counts:?}");
        assert_eq!(counts[0], counts[1], "{length}");
    }
    assert_eq!(relay.resolved().await?.balance("escrow")?, Nanos::ZERO);
    relay.audit().await
}
