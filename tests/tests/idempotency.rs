//! Calls with an `Idempotency-Key`: made once, whatever happens between the first time and the next.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::{Answer, Page},
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask, hear},
    script::{Dialect, Gate, MODEL, Reply, Step},
};
use serde_json::{Value, json};

on_both! {
    after_kill_9_what_was_charged_is_not_charged_again,
    after_kill_9_in_the_middle_the_call_may_be_made_again_and_is_charged_once,
    an_answer_that_its_page_left_is_made_to_its_end_and_had_by_asking_again,
    a_campaign_is_made_and_changed_once_by_its_name_also_after_kill_9,
    who_asks_for_much_to_be_kept_pushes_out_his_own_answers_alone,
}

const INFERENCE: &str = "/api/llm/inference";
const KEYS: &str = "/api/account/keys";

fn keyed(page: &Page, key: &str) -> Page {
    page.clone().with("idempotency-key", key)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).and_then(|value| value.to_str().ok())
}

fn whole(prompt: &str) -> Value {
    json!({"prompt": prompt, "model": MODEL})
}

#[tokio::test]
async fn the_same_call_gets_the_same_answer_and_costs_once() -> Result<()> {
    let (scene, customer) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let visitor = scene.relay.visitor();
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}], "stream": true});
    let mut jobs = 0;
    for page in [&customer, &visitor] {
        for (path, body) in
            [(INFERENCE, whole("go")), (INFERENCE, ask("go")), ("/v1/chat/completions", chat.clone())]
        {
            let page = keyed(page, &format!("order {jobs}"));
            let first = page.post(path, &body).await?;
            assert_eq!((first.status, header(&first, "idempotent-replayed")), (200, None));
            for _ in 0..3 {
                let again = page.post(path, &body).await?;
                assert_eq!((again.status, &again.body), (200, &first.body), "{path} {body}");
                assert_eq!(header(&again, "idempotent-replayed"), Some("true"));
                for name in ["content-type", "x-rekursing-job", "x-request-id"] {
                    assert_eq!(header(&again, name), header(&first, name), "{path}");
                }
            }
            jobs += 1;
            assert_eq!(scene.script.jobs().len(), jobs);
        }
    }
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), jobs);
    scene.relay.audit().await
}

#[tokio::test]
async fn a_key_is_one_callers_for_one_route_and_one_body() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let other = scene.relay.customer(&scene.relay.key("1.00").await?);
    let named = keyed(&page, "k");
    named.post(INFERENCE, &whole("one")).await?.expect(200)?;
    let refused = named.post(INFERENCE, &whole("another")).await?;
    assert_eq!((refused.status, refused.error_code()?), (409, "idempotency_key_reused".to_owned()));
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "go"}]});
    named.post("/v1/chat/completions", &chat).await?.expect(200)?;
    eventually("the other account has its money", || async {
        let answer = keyed(&other, "k").post(INFERENCE, &whole("another")).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    assert_eq!(scene.script.jobs().len(), 3);
    for bad in [String::new(), "x".repeat(256), "\u{e9}".to_owned()] {
        assert_eq!(keyed(&page, &bad).post(INFERENCE, &whole("x")).await?.error_code()?, "bad_request");
    }
    keyed(&page, &"x".repeat(255)).post(INFERENCE, &whole("x")).await?.expect(200)?;
    let twice = keyed(&named, "l").post(INFERENCE, &whole("x")).await?;
    assert_eq!(twice.error_code()?, "bad_request");
    Ok(())
}

#[tokio::test]
async fn while_the_first_call_runs_the_next_one_is_told_to_wait() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let page = keyed(&page, "k");
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["one", " two"], &gate));
    let question = ask("go");
    gate.open(1);
    let mut first = page.stream(INFERENCE, &question).await?;
    hear(&mut first, "one").await?;
    let second = page.post(INFERENCE, &question).await?;
    assert_eq!((second.status, second.error_code()?), (409, "idempotency_running".to_owned()));
    assert!(header(&second, "retry-after").is_some());
    assert_eq!(page.post(INFERENCE, &ask("else")).await?.error_code()?, "idempotency_key_reused");
    gate.open(9);
    hear(&mut first, " two").await?;
    first.event("done").await?;
    drop(first);
    assert_eq!(page.post(INFERENCE, &question).await?.status, 200);
    assert_eq!(scene.script.jobs().len(), 1);
    Ok(())
}

async fn a_campaign_is_made_and_changed_once_by_its_name_also_after_kill_9(engine: Engine) -> Result<()> {
    let (mut relay, key) = Relay::keeping(engine, FREE, "1.00").await?;
    let page = relay.customer(&key);
    let named = keyed(&page, "k");
    let terms = |title: &str| {
        json!({
            "title": title, "text": "Five years of spare parts.", "link": "https://shop.example.com/",
            "categories": ["technology"], "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
        })
    };
    let campaigns = "/api/ads/campaigns";
    let made = named.post(campaigns, &terms("One")).await?.expect(201)?;
    assert_eq!(named.post(campaigns, &terms("One")).await?.expect(201)?, made);
    assert_eq!(named.post(campaigns, &terms("Two")).await?.error_code()?, "idempotency_key_reused");
    let path = format!("{campaigns}/{}", made["id"].as_str().context("an id")?);
    let paused = named.patch(&path, &json!({"paused": true})).await?.expect(200)?;
    assert_eq!(paused["paused"], true);
    page.patch(&path, &json!({"paused": false})).await?.expect(200)?;
    assert_eq!(named.patch(&path, &json!({"paused": true})).await?.expect(200)?, paused);
    let other = named.patch(&path, &json!({"paused": false})).await?;
    assert_eq!(other.error_code()?, "idempotency_key_reused");

    relay.kill().await?;
    relay.restart().await?;
    for (again, before) in [
        (named.post(campaigns, &terms("One")).await?, (201, &made)),
        (named.patch(&path, &json!({"paused": true})).await?, (200, &paused)),
    ] {
        assert_eq!((again.status, &again.json()?), before, "the same answer");
        assert_eq!(header(&again, "idempotent-replayed"), Some("true"));
        assert_eq!(header(&again, "content-type"), Some("application/json"));
    }
    assert_eq!(named.post(campaigns, &terms("Two")).await?.error_code()?, "idempotency_key_reused");
    assert_eq!(named.patch(&path, &json!({"paused": false})).await?.error_code()?, "idempotency_key_reused");
    assert_eq!(page.get(&path).await?.expect(200)?["paused"], false, "what came between stays");
    let all = page.get(campaigns).await?.expect(200)?;
    assert_eq!(all["campaigns"].as_array().map(Vec::len), Some(1));
    Ok(())
}

async fn who_asks_for_much_to_be_kept_pushes_out_his_own_answers_alone(engine: Engine) -> Result<()> {
    let config = "[time]\nreplay_ms = 0\n[limits]\nkept_answers_per_account = 3\nkept_answers = 7";
    let (relay, key) = Relay::keeping(engine, config, "1.00").await?;
    let (quiet, loud) = (relay.customer(&key), relay.customer(&relay.key("1.00").await?));
    let terms = json!({
        "title": "One", "text": "Five years of spare parts.", "link": "https://shop.example.com/",
        "categories": ["technology"], "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    let campaigns = "/api/ads/campaigns";
    let made = keyed(&quiet, "made").post(campaigns, &terms).await?.expect(201)?;
    let theirs = eventually("the other account is known", || async {
        let answer = loud.post(campaigns, &terms).await?;
        Ok((answer.status == 201).then_some(answer.json()?))
    })
    .await?;
    let id = theirs["id"].as_str().context("an id")?;
    let pause = async |number: u32| {
        keyed(&loud, &number.to_string()).patch(&format!("{campaigns}/{id}"), &json!({})).await
    };
    for number in 0..20 {
        assert_eq!(header(&pause(number).await?, "idempotent-replayed"), None);
        let again = keyed(&quiet, "made").post(campaigns, &terms).await?;
        assert_eq!((again.status, header(&again, "idempotent-replayed")), (201, Some("true")), "{number}");
        assert_eq!(again.json()?, made);
    }
    for number in 0..17 {
        is_gone(&pause(number).await?, id)?;
    }
    for number in 17..20 {
        assert_eq!(header(&pause(number).await?, "idempotent-replayed"), Some("true"), "{number}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_stopped_by_its_name_is_told_so_again() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let gate = Gate::default();
    for (page, key) in [(page, "of a page"), (scene.relay.visitor(), "of a visitor")] {
        scene.script.next(Reply::gated(&["one", " two"], &gate));
        gate.open(1);
        let mut stream = page.stream(INFERENCE, &ask("go")).await?;
        let job = stream.event("start").await?["jobId"].clone();
        hear(&mut stream, "one").await?;
        let path = format!("{INFERENCE}/{}", job.as_str().context("a job")?);
        let named = keyed(&page, key);
        for _ in 0..2 {
            assert_eq!(named.delete(&path).await?.status, 204);
        }
        assert_eq!(page.delete(&path).await?.error_code()?, "job_not_found");
    }
    Ok(())
}

/// Refused as made before, in the name of this job.
fn is_gone(answer: &Answer, id: &str) -> Result<()> {
    let error = answer.expect(409)?["error"].clone();
    assert_eq!((&error["code"], &error["id"]), (&json!("idempotency_answer_gone"), &json!(id)), "{error}");
    Ok(())
}

async fn after_kill_9_what_was_charged_is_not_charged_again(engine: Engine) -> Result<()> {
    let (mut scene, page) = Scripted::keeping(engine, "1.00").await?;
    let page = keyed(&page, "k");
    let first = page.post(INFERENCE, &whole("go")).await?;
    let job = header(&first, "x-rekursing-job").context("a job")?.to_owned();
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let again = page.post(INFERENCE, &whole("go")).await?;
    is_gone(&again, &job)?;
    assert_eq!(header(&again, "x-rekursing-job"), Some(job.as_str()));
    assert!(again.json()?["error"]["message"].to_string().contains("charged before"), "{again:?}");
    page.get(&format!("/api/jobs/{job}/receipt")).await?.expect(200)?;
    assert_eq!(page.post(INFERENCE, &whole("other")).await?.error_code()?, "idempotency_key_reused");
    let charges = scene.relay.ledger()?.settlements()?;
    assert_eq!(charges.iter().map(|charge| charge.job.as_str()).collect::<Vec<_>>(), [job]);
    scene.relay.audit().await
}

async fn after_kill_9_in_the_middle_the_call_may_be_made_again_and_is_charged_once(
    engine: Engine,
) -> Result<()> {
    let (mut scene, page) = Scripted::keeping(engine, "1.00").await?;
    let page = keyed(&page, "k");
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["one", " two"], &gate));
    gate.open(1);
    let mut first = page.stream(INFERENCE, &ask("go")).await?;
    hear(&mut first, "one").await?;
    scene.relay.kill().await?;
    drop(first);
    scene.relay.restart().await?;
    let again = eventually("the owner is back", || async {
        let answer = page.post(INFERENCE, &ask("go")).await?;
        Ok((answer.status == 200).then_some(answer))
    })
    .await?;
    assert!(String::from_utf8_lossy(&again.body).contains("event: done"));
    assert_eq!(page.post(INFERENCE, &ask("go")).await?.body, again.body);
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    scene.relay.audit().await
}

async fn an_answer_that_its_page_left_is_made_to_its_end_and_had_by_asking_again(
    engine: Engine,
) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "1.00").await?;
    for (key, question) in [("streamed", ask("go")), ("whole", whole("go"))] {
        let page = keyed(&page, key);
        let gate = Gate::default();
        scene.script.next(Reply::gated(&["one", " two"], &gate));
        let asked = scene.script.jobs().len();
        // A whole answer passes the gate as one.
        if key == "streamed" {
            gate.open(1);
            let mut first = page.stream(INFERENCE, &question).await?;
            hear(&mut first, "one").await?;
            drop(first);
        } else {
            let first = page.post(INFERENCE, &question);
            let reached = eventually("the server is asked", || async {
                Ok((scene.script.jobs().len() > asked).then_some(()))
            });
            tokio::select! {
                answer = first => anyhow::bail!("{answer:?} before there was one"),
                reached = reached => reached?,
            }
        }
        assert_eq!(page.post(INFERENCE, &question).await?.error_code()?, "idempotency_running", "{key}");
        gate.open(9);
        let again = eventually("the answer is there", || async {
            let again = page.post(INFERENCE, &question).await?;
            Ok((again.status == 200).then_some(again))
        })
        .await?;
        assert_eq!(header(&again, "idempotent-replayed"), Some("true"));
        let text = String::from_utf8_lossy(&again.body).into_owned();
        assert!(text.contains("one") && text.contains(" two"), "{text}");
        assert_eq!(scene.script.jobs().len(), asked + 1, "{key}");
    }
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 2);
    scene.relay.audit().await
}

#[tokio::test]
async fn an_answer_that_its_page_left_can_still_be_stopped_and_is_told_as_charged() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let named = keyed(&page, "k");
    scene.script.next(Reply::steps(vec![Step::token("one"), Step::token(" two"), Step::Hold]));
    let mut first = named.stream(INFERENCE, &ask("go")).await?;
    let job = first.event("start").await?["jobId"].as_str().context("a job")?.to_owned();
    hear(&mut first, "one two").await?;
    drop(first);
    assert_eq!(page.delete(&format!("{INFERENCE}/{job}")).await?.status, 204);
    let again = eventually("the job is over", || async {
        let again = named.post(INFERENCE, &ask("go")).await?;
        Ok((again.error_code().ok().as_deref() != Some("idempotency_running")).then_some(again))
    })
    .await?;
    assert!(String::from_utf8_lossy(&again.body).contains("cancelled"), "{again:?}");
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_call_that_came_to_nothing_may_be_made_again() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let page = keyed(&page, "k");
    let unknown = json!({"prompt": "go", "model": "no-such-model"});
    assert_eq!(page.post(INFERENCE, &unknown).await?.error_code()?, "model_not_found");
    let dear = json!({"prompt": "go", "model": MODEL, "maxCost": "0.000000001"});
    assert_eq!(page.post(INFERENCE, &dear).await?.error_code()?, "cost_too_high");
    page.post(INFERENCE, &whole("go")).await?.expect(200)?;
    assert_eq!(page.post(INFERENCE, &dear).await?.error_code()?, "idempotency_key_reused");
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_kept_no_longer_is_not_made_again() -> Result<()> {
    for config in ["[time]\nreplay_ms = 0", "[limits]\nreplay_bytes = 0"] {
        let (relay, key) = Relay::funded(config, "1.00").await?;
        let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
        let page = keyed(&scene.relay.customer(&key), "k");
        let first = page.post(INFERENCE, &whole("go")).await?;
        let job = header(&first, "x-rekursing-job").context("a job")?;
        is_gone(&page.post(INFERENCE, &whole("go")).await?, job)?;
        assert_eq!(scene.script.jobs().len(), 1, "{config}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_is_made_once_and_shown_again_while_that_is_remembered() -> Result<()> {
    let (mut relay, key) = Relay::funded(FREE, "1.00").await?;
    let page = keyed(&relay.customer(&key), "k");
    let first = page.post(KEYS, &json!({"name": "one"})).await?;
    let made = first.expect(201)?;
    let again = page.post(KEYS, &json!({"name": "one"})).await?;
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(page.post(KEYS, &json!({"name": "two"})).await?.error_code()?, "idempotency_key_reused");
    relay.kill().await?;
    relay.restart().await?;
    is_gone(&page.post(KEYS, &json!({"name": "one"})).await?, made["prefix"].as_str().context("a key")?)?;
    let keys = page.get(KEYS).await?.expect(200)?;
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_is_made() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let page = keyed(&page, "k");
    let question = whole("go");
    let asking = futures_util::future::join_all((0..32).map(|_| page.post(INFERENCE, &question)));
    let mut answers = Vec::new();
    for answer in asking.await {
        let answer = answer?;
        if answer.status == 200 {
            answers.push(answer.body);
        } else {
            assert_eq!(answer.error_code()?, "idempotency_running");
        }
    }
    answers.dedup();
    assert_eq!((answers.len(), scene.script.jobs().len()), (1, 1));
    let ledger = scene.relay.resolved().await?;
    assert_eq!((ledger.entries("hold")?, ledger.settlements()?.len()), (1, 1));
    assert!(ledger.balance("page:")? < Nanos::DOLLAR);
    Ok(())
}
