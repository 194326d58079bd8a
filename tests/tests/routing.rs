//! A page's own wishes about who answers, in OpenRouter's words, from the socket to the owner's server.

use anyhow::{Context, Result};
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    node::Node,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

fn chat(model: &str, provider: &Value) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "go"}], "provider": provider})
}

/// Asks, and returns whose answer it was.
async fn who(page: &Page, model: &str, provider: Value) -> Result<String> {
    let answer = page.post("/v1/chat/completions", &chat(model, &provider)).await?.expect(200)?;
    let id = answer["rekursing"]["provider"]["id"].as_str().context("a provider")?;
    Ok(id.to_owned())
}

#[tokio::test]
async fn a_page_picks_its_providers_by_the_ids_that_answers_have() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "1.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    let other = Script::start(Dialect::LlamaCpp(8)).await?;
    let second = Node::with(&scene.relay, &other.url(), &["--slots", "8"]).await?;
    let (one, two) = (scene.node.plugin(), second.plugin());
    for _ in 0..5 {
        assert_eq!(who(&page, MODEL, json!({"only": [two]})).await?, two);
        assert_eq!(who(&page, MODEL, json!({"ignore": [two]})).await?, one);
        assert_eq!(who(&page, "auto", json!({"order": [two, one]})).await?, two);
    }
    let nobody = json!({"ignore": [one, two]});
    let refused = page.post("/v1/chat/completions", &chat(MODEL, &nobody)).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "provider_unavailable"));
    let strangers = json!({"data_collection": "deny"});
    let refused = page.post("/v1/chat/completions", &chat(MODEL, &strangers)).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "collection_denied"));
    scene.relay.audit().await
}

#[tokio::test]
async fn the_shortcuts_ask_whoever_is_cheapest_and_whoever_has_shown_to_be_fastest() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "1.00").await?;
    let page = relay.customer(&key);
    let script = Script::start(Dialect::LlamaCpp(8)).await?;
    script.always(Reply::text(&[" word"; 40]));
    let at = async |price: &str| {
        Node::with(&relay, &script.url(), &["--slots", "4", "--price-input", price, "--price-output", price])
            .await
    };
    let (cheap, fast) = (at("0.20").await?, at("0.40").await?);
    // Of the other one nothing is known, and it is not thought to be this fast.
    let only = json!({"prompt": "go", "model": MODEL, "stream": true, "provider": {"only": [fast.plugin()]}});
    page.stream("/api/llm/inference", &only).await?.events().await?;
    eventually("its speed is known", || async {
        let models = page.get("/api/llm/models").await?.expect(200)?;
        Ok(models["models"][0]["tokensPerSecond"].is_number().then_some(()))
    })
    .await?;
    for (suffix, asked) in [(":nitro", &fast), (":floor", &cheap)] {
        for _ in 0..5 {
            assert_eq!(who(&page, &format!("{MODEL}{suffix}"), json!({})).await?, asked.plugin(), "{suffix}");
        }
    }
    relay.audit().await
}

#[tokio::test]
async fn an_accounts_answer_that_is_to_be_free_costs_it_nothing_and_can_be_stopped_by_it() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "6.00").await?;
    let free = format!("{MODEL}:free");
    let answer = page.post("/v1/chat/completions", &chat(&free, &Value::Null)).await?.expect(200)?;
    assert!(answer["rekursing"]["receiptToken"].is_string(), "{answer}");
    let account = page.get("/api/account").await?.expect(200)?;
    assert_eq!((&account["balance"], &account["held"]), (&json!("6"), &json!("0")));

    scene.script.next(Reply::steps(vec![Step::token("here"), Step::Hold]));
    let ask = json!({"prompt": "go", "model": free, "stream": true});
    let mut stream = page.stream("/api/llm/inference", &ask).await?;
    let job = stream.event("start").await?["jobId"].as_str().context("a job")?.to_owned();
    assert_eq!(page.delete(&format!("/api/llm/inference/{job}")).await?.status, 204);
    assert_eq!(stream.event("error").await?["code"], "cancelled");

    // Who pays for never seeing an ad is not shown one by a word behind a model's name.
    page.put("/api/account/premium", &json!({"renews": true, "price": "5"})).await?.expect(200)?;
    let refused = page.post("/v1/chat/completions", &chat(&free, &Value::Null)).await?;
    assert_eq!((refused.status, refused.json()?["error"]["param"].as_str()), (400, Some("model")));
    scene.relay.audit().await
}

const CHAT: &str = "/v1/chat/completions";

/// Asks in the words of a route, and returns whose answer it was.
async fn answered(page: &Page, route: &str, provider: &Value) -> Result<String> {
    let question = match route {
        CHAT => chat(MODEL, provider),
        _ => json!({"model": MODEL, "input": "go", "provider": provider}),
    };
    let answer = page.post(route, &question).await?.expect(200)?;
    let id = answer["rekursing"]["provider"]["id"].as_str().with_context(|| format!("no id in {answer}"))?;
    Ok(id.to_owned())
}

#[tokio::test]
async fn without_fallbacks_what_fails_or_breaks_off_is_not_tried_with_anybody_else() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "1.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    let (two, helped) = (scene.node.plugin(), || scene.script.jobs().len());
    // Whoever has failed rests for a while, so that each time it is another one.
    let failing = async |reply: Reply| {
        let script = Script::start(Dialect::LlamaCpp(8)).await?;
        script.always(reply);
        let node = Node::start(&scene.relay, &script.url()).await?;
        anyhow::Ok((script, node))
    };
    let broken = || Reply::json(500, &json!({"error": "out of memory"}));

    // Somebody else makes good what one fails, unless he is not to.
    let (script, one) = failing(broken()).await?;
    assert_eq!(who(&page, MODEL, json!({"order": [one.plugin()]})).await?, two);
    assert_eq!((script.jobs().len(), helped()), (1, 1));
    let (script, one) = failing(broken()).await?;
    let alone = json!({"order": [one.plugin()], "allow_fallbacks": false});
    let failed = page.post(CHAT, &chat(MODEL, &alone)).await?;
    assert_eq!((failed.status, script.jobs().len(), helped()), (502, 1, 1), "{failed:?}");
    // Those of the order stand in for each other all the same.
    let (script, one) = failing(broken()).await?;
    let both = json!({"order": [one.plugin(), two], "allow_fallbacks": false});
    assert_eq!(who(&page, MODEL, both).await?, two);
    assert_eq!((script.jobs().len(), helped()), (1, 2));

    // Nor does anybody else go on where an answer breaks off.
    let (script, one) = failing(Reply::steps(vec![Step::token("one"), Step::Cut])).await?;
    let alone = json!({"order": [one.plugin()], "allow_fallbacks": false});
    let question = json!({"model": MODEL, "input": "go", "stream": true, "provider": alone});
    let events = page.stream("/v1/responses", &question).await?.events().await?;
    let last = events.last().context("no event")?;
    assert_eq!(last.name, "response.failed", "{events:?}");
    assert_eq!((script.jobs().len(), helped()), (1, 2));
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn a_page_names_quantisations_a_highest_price_and_what_is_best_on_both_routes() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, FREE, "1.00").await?;
    let page = relay.customer(&key);
    // One says what its quantisation is, the other one's server does not tell.
    let (known, untold) = (Script::start(Dialect::LlamaCpp(8)).await?, Script::start(Dialect::Plain).await?);
    let at = async |script: &Script, price: &str| {
        script.always(Reply::text(&[" word"; 40]));
        Node::with(&relay, &script.url(), &["--slots", "4", "--price-input", price, "--price-output", price])
            .await
    };
    let (cheap, fast) = (at(&untold, "0.20").await?, at(&known, "0.40").await?);
    let only = json!({"prompt": "go", "model": MODEL, "stream": true, "provider": {"only": [fast.plugin()]}});
    page.stream("/api/llm/inference", &only).await?.events().await?;
    eventually("its speed is known", || async {
        let models = page.get("/api/llm/models").await?.expect(200)?;
        Ok(models["models"][0]["tokensPerSecond"].is_number().then_some(()))
    })
    .await?;
    // Of the other one's speed nothing is known until it is asked.
    let measured = [
        (json!({"sort": "throughput"}), &fast),
        (json!({"sort": {"by": "throughput"}}), &fast),
        (json!({"sort": "latency"}), &fast),
    ];
    let told = [
        (json!({"quantizations": ["q4_k_m"]}), &fast),
        (json!({"quantizations": ["Q4_K_M", "Q8_0"], "sort": "price"}), &fast),
        (json!({"quantizations": ["unknown"]}), &cheap),
        (json!({"max_price": {"prompt": 0.3, "completion": "0.3"}}), &cheap),
        (json!({"max_price": {"completion": 0.2}, "sort": "throughput"}), &cheap),
        (json!({"sort": "price"}), &cheap),
    ];
    for wishes in [&measured[..], &told[..]] {
        for route in [CHAT, "/v1/responses"] {
            for (wishes, asked) in wishes {
                for _ in 0..3 {
                    assert_eq!(answered(&page, route, wishes).await?, asked.plugin(), "{route} {wishes}");
                }
            }
        }
    }
    for (wishes, status, code) in [
        (json!({"quantizations": ["Q8_0"]}), 503, "quantization_unavailable"),
        (json!({"max_price": {"prompt": 0.1}}), 503, "price_too_high"),
    ] {
        let refused = page.post(CHAT, &chat(MODEL, &wishes)).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (status, code), "{wishes}");
    }
    relay.audit().await
}
