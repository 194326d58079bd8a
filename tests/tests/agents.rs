//! Agents: the relay's tools over MCP, estimates, and `quality: "auto"`, before real model servers.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    caller::{self, Caller},
    database::Engine,
    eventually::{PATIENCE, eventually},
    mcp::{self, Agent},
    model_server::MODEL as TINY,
    node::Node,
    relay::{FREE, Relay},
    scene::{Real, Scripted},
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

const ECHO: &str = "Echo: blue river k7x2";

fn nanos(dollars: &Value) -> Result<i64> {
    let dollars: rekursing_protocol::Nanos = dollars.as_str().context("an amount is a text")?.parse()?;
    Ok(dollars.get())
}

#[tokio::test]
async fn an_agent_finds_a_model_estimates_asks_and_sees_what_it_spent() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    let agent = Agent::open(&scene.relay, Some(&key)).await?;
    let listed = agent.request("tools/list", &json!({})).await?;
    let tools = listed["tools"].as_array().context("no tools")?;
    let names: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["list_models", "ask", "estimate_cost", "usage", "rate_task"]);
    let models = agent.call("list_models", &json!({})).await?;
    assert_eq!(models["structuredContent"]["models"][0]["id"], TINY);

    let question = json!({"prompt": ECHO, "model": TINY, "temperature": 0, "maxTokens": 40});
    let estimate = &agent.call("estimate_cost", &question).await?["structuredContent"];
    let (expected, most) = (nanos(&estimate["expectedCost"])?, nanos(&estimate["mostCost"])?);
    let answer = agent.call("ask", &question).await?;
    assert_eq!(answer["content"], json!([{"type": "text", "text": "blue river k7x2"}]));
    assert_eq!(answer["isError"], false);
    let told = &answer["structuredContent"];
    let cost = nanos(&told["cost"])?;
    ensure!(0 < cost && cost <= most && expected <= most, "{cost} of {estimate}");
    assert_eq!(told["usage"]["promptTokens"], estimate["promptTokens"]);
    assert_eq!(
        (&told["text"], &told["provider"]["id"]),
        (&json!("blue river k7x2"), &json!(scene.node.plugin()))
    );

    let usage = &agent.call("usage", &json!({})).await?["structuredContent"];
    assert_eq!((&usage["spent"], &usage["usage"][0]["jobs"]), (&told["cost"], &json!(1)));
    let job = told["jobId"].as_str().context("a job")?;
    assert_eq!(scene.relay.customer(&key).get(&format!("/api/jobs/{job}/receipt")).await?.status, 200);
    assert_eq!(agent.end().await?, 204);
    scene.relay.audit().await
}

#[tokio::test]
async fn an_answer_is_told_as_it_comes_to_whoever_gives_a_token() -> Result<()> {
    let (scene, key) = Real::funded("5.00").await?;
    let agent = Agent::open(&scene.relay, Some(&key)).await?;
    let arguments = json!({"prompt": "Count from 1 to 20.", "model": TINY, "temperature": 0});
    let params = json!({"name": "ask", "arguments": arguments, "_meta": {"progressToken": "here"}});
    let mut stream = agent.begin(9, "tools/call", &params).await?;
    let (mut told, mut last) = (String::new(), 0.0);
    let answer = loop {
        let message = mcp::message(&mut stream).await?;
        if message["id"] == 9 {
            break message;
        }
        assert_eq!(
            (&message["method"], &message["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("here"))
        );
        let progress = message["params"]["progress"].as_f64().context("a number")?;
        ensure!(progress > last, "{message} behind {last}");
        last = progress;
        told += message["params"]["message"].as_str().unwrap_or_default();
    };
    ensure!(told.starts_with("1, 2, 3") || told.starts_with("1 2 3"), "{told:?}");
    assert_eq!(answer["result"]["structuredContent"]["text"], told);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_gives_tools_is_told_what_the_model_calls() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let caller = Caller::start(&relay, 0).await?;
    caller.script.next(caller::streamed());
    let agent = Agent::open(&relay, Some(&key)).await?;
    let tools =
        json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let arguments = json!({"prompt": "What is the weather in Paris?", "model": MODEL, "tools": tools});
    let called = agent.call("ask", &arguments).await?;
    let told = &called["structuredContent"];
    let function = json!({"name": "weather", "arguments": "{\"city\": \"Paris\"}"});
    let calls = json!([{"id": "call_1", "type": "function", "function": function}]);
    assert_eq!((&told["text"], &told["toolCalls"]), (&json!(""), &calls));
    assert_eq!(told["finishReason"], "tool_calls");
    assert_eq!(called["content"][1]["text"], calls.to_string(), "also for whoever reads the texts alone");
    relay.audit().await
}

#[tokio::test]
async fn an_agent_without_a_key_is_told_the_ad_as_a_text_of_its_own() -> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "1.00", "1.00").await?;
    let (scene, advertiser) = Scripted::around(relay, &key).await?;
    let terms = json!({
        "title": "Laptops", "text": "They last.", "link": "https://shop.example.com",
        "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    let made = advertiser.post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let campaign = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", " two"], &gate));
    let agent = Agent::open(&scene.relay, None).await?;
    let question = json!({"prompt": "Which laptop should I buy?", "model": MODEL});
    let chosen = async {
        eventually("an ad is chosen", || async {
            Ok((advertiser.get(&campaign).await?.expect(200)?["reserved"] != "0").then_some(()))
        })
        .await?;
        gate.open(2);
        anyhow::Ok(())
    };
    let (answer, ()) = tokio::try_join!(agent.call("ask", &question), chosen)?;
    assert_eq!(answer["content"][0]["text"], "one two");
    let ad = answer["content"][1]["text"].as_str().context("a text of the ad")?;
    ensure!(ad.starts_with("Sponsored:") && ad.contains("They last."), "{ad}");
    assert_eq!(answer["structuredContent"]["ad"]["title"], "Laptops");
    scene.relay.audit().await
}

#[tokio::test]
async fn a_call_that_is_cancelled_stops_the_owners_server_and_pays_for_what_came() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "1.00").await?;
    let (scene, _) = Scripted::around(relay, &key).await?;
    let agent = Agent::open(&scene.relay, Some(&key)).await?;
    scene.script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let params =
        json!({"name": "ask", "arguments": {"prompt": "go", "model": MODEL}, "_meta": {"progressToken": 1}});
    let mut stream = agent.begin(5, "tools/call", &params).await?;
    let told = mcp::message(&mut stream).await?;
    assert_eq!(told["params"]["message"], "one", "{told}");
    agent.notify("notifications/cancelled", &json!({"requestId": 5, "reason": "enough"})).await?;
    scene.script.job(0).await?.left(PATIENCE).await?;
    let paid = scene.relay.resolved().await?.settlements()?;
    assert_eq!(paid.len(), 1, "{paid:?}");

    // Without a session there is nobody to cancel it: who leaves has cancelled.
    let page = scene.relay.customer(&key).with("accept", "application/json, text/event-stream");
    let page = page
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", "tools/call")
        .with("mcp-name", "ask");
    scene.script.next(Reply::steps(vec![Step::token("two"), Step::Hold]));
    let meta = json!({
        "progressToken": 2,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": "ask", "arguments": {"prompt": "go", "model": MODEL}, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut stream = page.stream("/mcp", &message).await?;
    let told = mcp::message(&mut stream).await?;
    assert_eq!(told["params"]["message"], "two", "{told}");
    drop(stream);
    scene.script.job(1).await?.left(PATIENCE).await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn of_two_requests_of_a_session_with_one_id_the_second_is_refused_while_the_first_runs() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let [agent, other] = [Agent::of(page.clone()).await?, Agent::of(page).await?];
    scene.script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let arguments = json!({"prompt": "go", "model": MODEL});
    let params = json!({"name": "ask", "arguments": arguments, "_meta": {"progressToken": 1}});
    let mut first = agent.begin(5, "tools/call", &params).await?;
    mcp::message(&mut first).await?;
    let refused = async || match agent.begin(5, "tools/list", &json!({})).await {
        Ok(_) => String::new(),
        Err(refused) => refused.to_string(),
    };
    assert_eq!(refused().await, "tools/list was answered 400");
    other.begin(5, "tools/list", &json!({})).await?;
    agent.begin(6, "tools/list", &json!({})).await?;
    // It runs on though nobody reads any more.
    drop(first);
    assert_eq!(refused().await, "tools/list was answered 400");
    agent.notify("notifications/cancelled", &json!({"requestId": 5, "reason": "enough"})).await?;
    eventually("its id is free", || async { Ok(refused().await.is_empty().then_some(())) }).await
}

#[tokio::test]
async fn tools_refuse_with_the_relays_codes_and_a_keys_budget_holds() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let made = page.post("/api/account/keys", &json!({"name": "agent", "budgetTotal": "0.000001"})).await?;
    let poor = made.expect(201)?["key"].as_str().context("a key")?.to_owned();
    let agent = Agent::open(&scene.relay, Some(&poor)).await?;
    let code =
        |result: &Value| (result["isError"].clone(), result["structuredContent"]["error"]["code"].clone());
    let refused = |code: &str| (json!(true), json!(code));
    let question = json!({"prompt": "go", "model": MODEL, "maxTokens": 1_000});
    for tool in ["ask", "estimate_cost"] {
        let result = agent.call(tool, &question).await?;
        assert_eq!(code(&result), refused("key_budget_total"), "{tool}: {result}");
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        ensure!(text.starts_with("key_budget_total: the answer may cost up to"), "{text}");
    }
    for (arguments, expected) in [
        (json!({"prompt": "go", "model": "nobody-has-this"}), "model_not_found"),
        (json!({"prompt": "go", "quality": "best"}), "bad_request"),
        (json!({"prompt": "go", "objective": "speed"}), "bad_request"),
        (json!({}), "bad_request"),
    ] {
        assert_eq!(code(&agent.call("ask", &arguments).await?), refused(expected), "{arguments}");
    }
    let wrong = Agent::open(&scene.relay, Some("rk_wrong")).await?;
    assert_eq!(code(&wrong.call("usage", &json!({})).await?), refused("invalid_api_key"));
    assert_eq!(code(&wrong.call("ask", &question).await?), refused("invalid_api_key"));
    let unknown = agent.call("rm", &json!({})).await;
    ensure!(unknown.is_err(), "{unknown:?}");
    ensure!(scene.script.jobs().is_empty(), "nothing of it came to the owner");
    scene.relay.audit().await
}

#[tokio::test]
async fn pages_of_strangers_open_no_session_and_sessions_are_limited() -> Result<()> {
    let relay = Relay::with(&format!("{FREE}mcp_sessions_per_address = 2\n")).await?;
    let accepting = relay.visitor().with("accept", "application/json, text/event-stream");
    let stranger = accepting.clone().with("origin", "https://evil.example");
    for answer in [
        stranger.post("/mcp", &mcp::initialize()).await?,
        stranger.get("/mcp").await?,
        stranger.delete("/mcp").await?,
    ] {
        assert_eq!((answer.status, answer.error_code()?.as_str()), (403, "origin_not_allowed"));
    }
    // A name that an attacker lets stand for the relay's address is a stranger's too.
    let rebound = accepting.clone().with("host", "evil.example").with("origin", "http://evil.example");
    assert_eq!(rebound.post("/mcp", &mcp::initialize()).await?.status, 403);

    let first = Agent::open(&relay, None).await?;
    let _second = Agent::open(&relay, None).await?;
    let third = accepting.post("/mcp", &mcp::initialize()).await?;
    assert_eq!((third.status, third.error_code()?.as_str()), (503, "overloaded"));
    first.end().await?;
    Agent::open(&relay, None).await?;
    Ok(())
}

#[tokio::test]
async fn agents_send_so_many_messages_and_an_account_has_so_many_estimates_in_a_minute() -> Result<()> {
    let limits = "mcp_messages_per_minute = 3\nestimates_per_minute = 3\n";
    let (relay, key) = Relay::funded(&format!("{FREE}{limits}"), "1.00").await?;
    let page = relay.customer(&key);
    let accepting = relay.visitor().with("accept", "application/json, text/event-stream");
    for (sender, path, body) in
        [(&accepting, "/mcp", mcp::initialize()), (&page, "/api/llm/estimate", json!({"prompt": "Hello"}))]
    {
        for _ in 0..3 {
            assert_ne!(sender.post(path, &body).await?.status, 429, "{path}");
        }
        let fourth = sender.post(path, &body).await?;
        assert_eq!((fourth.status, fourth.error_code()?.as_str()), (429, "rate_limited"), "{path}");
    }
    // What listens is counted too, and so is who leaves model and tier to the market.
    assert_eq!(accepting.get("/mcp").await?.error_code()?, "rate_limited");
    let auto = json!({"prompt": "Hello", "quality": "auto"});
    assert_eq!(page.post("/api/llm/inference", &auto).await?.error_code()?, "rate_limited");
    Ok(())
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_the_words_of_every_route() -> Result<()> {
    let relay = Relay::with(FREE).await?;
    let accepting = relay.visitor().with("accept", "application/json, text/event-stream");
    for (answer, status, code) in [
        (accepting.post("/mcp", &json!({})).await?, 400, "bad_request"),
        (relay.visitor().post("/mcp", &mcp::initialize()).await?, 406, "bad_request"),
        (accepting.with("mcp-session-id", "none").get("/mcp").await?, 404, "not_found"),
    ] {
        assert_eq!((answer.status, answer.error_code()?.as_str()), (status, code));
    }
    Ok(())
}

/// A second owner, with a model of this name at this price for a million answer tokens.
async fn other(relay: &Relay, model: &str, price: &str) -> Result<(Node, Script)> {
    let script = Script::start(Dialect::Plain).await?;
    script.set_names(&[model.to_owned()]);
    let node =
        Node::with(relay, &script.url(), &["--slots", "8", "--price-input", price, "--price-output", price])
            .await?;
    Ok((node, script))
}

#[tokio::test]
async fn auto_takes_the_best_value_within_the_bounds_and_says_why_on_every_route() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "5.00").await?;
    let _dear = other(&relay, "dear-3b", "0.40").await?;
    let _fair = other(&relay, "fair-3b", "0.20").await?;
    let page = relay.customer(&key);
    let ask = json!({"prompt": "go", "quality": "auto", "maxTokens": 100});
    let estimate = page.post("/api/llm/estimate", &ask).await?.expect(200)?;
    assert_eq!(
        (&estimate["choice"]["model"], &estimate["choice"]["tier"]),
        (&json!("fair-3b"), &json!("low"))
    );
    let answer = page.post("/api/llm/inference", &ask).await?.expect(200)?;
    assert_eq!((&answer["model"], &answer["tier"]), (&json!("fair-3b"), &json!("low")));
    assert_eq!(answer["choice"]["expectedCost"], estimate["expectedCost"]);
    let reasons = answer["choice"]["reasons"].as_array().context("reasons")?;
    assert_eq!(reasons[0], "4 combinations of model and tier could answer");

    let chat = json!({"messages": [{"role": "user", "content": "go"}], "quality": "auto", "objective": {"quality": 1},
        "max_tokens": 100, "model": "dear-3b"});
    let answer = page.post("/v1/chat/completions", &chat).await?.expect(200)?;
    assert_eq!(
        (&answer["model"], &answer["rekursing"]["choice"]["tier"]),
        (&json!("dear-3b"), &json!("low"))
    );
    let mut stream = page
        .stream("/api/llm/inference", &json!({"prompt": "go", "quality": "auto", "stream": true}))
        .await?;
    assert_eq!(stream.event("start").await?["choice"]["model"], "fair-3b");
    let agent = Agent::open(&relay, Some(&key)).await?;
    let asked = agent.call("ask", &json!({"prompt": "go", "quality": "auto", "objective": "cost"})).await?;
    assert_eq!(asked["structuredContent"]["choice"]["model"], "fair-3b");

    let refused = async |more: Value| -> Result<(String, String)> {
        let mut ask = ask.clone();
        ask.as_object_mut().context("an object")?.extend(more.as_object().cloned().unwrap_or_default());
        let answer = page.post("/api/llm/inference", &ask).await?;
        Ok((answer.error_code()?, answer.json()?["error"]["message"].as_str().unwrap_or_default().to_owned()))
    };
    let (code, message) = refused(json!({"maxCost": "0.000001"})).await?;
    ensure!(code == "cost_too_high" && message.contains("may cost up to 0.0000"), "{code}: {message}");
    let (code, message) = refused(json!({"deadline": 1})).await?;
    ensure!(code == "too_late" && message.contains("the soonest is expected within"), "{code}: {message}");
    for wrong in [json!({"deadline": 0}), json!({"objective": "best"}), json!({"objective": {"speed": 11}})] {
        assert_eq!(refused(wrong.clone()).await?.0, "bad_request", "{wrong}");
    }
    relay.audit().await
}

#[tokio::test]
async fn a_stranger_takes_a_session_of_whoever_has_most_but_none_that_is_being_answered() -> Result<()> {
    let relay = Relay::with(&format!("behind_proxy = true\n{FREE}mcp_sessions = 3\n")).await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let from = |address: &str| Agent::of(scene.relay.visitor().with("x-forwarded-for", address));
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", " two"], &gate));
    let many = "203.0.113.1";
    let (busy, oldest, other) = (from(many).await?, from(many).await?, from(many).await?);
    let arguments = json!({"prompt": "go", "model": MODEL});
    let params = json!({"name": "ask", "arguments": arguments, "_meta": {"progressToken": 1}});
    gate.open(1);
    let mut asked = busy.begin(5, "tools/call", &params).await?;
    mcp::message(&mut asked).await?;

    from("203.0.113.2").await?.request("tools/list", &json!({})).await?;
    let ended = oldest.request("tools/list", &json!({})).await.err().context("the session is open")?;
    assert_eq!(ended.to_string(), "tools/list was answered 404");
    other.request("tools/list", &json!({})).await?;
    assert!(from("203.0.113.3").await.is_err(), "nobody has two more");
    gate.open(1);
    let answer = mcp::answer(&mut asked, &json!(5)).await?;
    assert_eq!(answer["result"]["content"][0]["text"], "one two");
    Ok(())
}
