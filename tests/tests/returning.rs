//! Pages that come back for the rest of an answer with `Last-Event-ID`, and those that said so and do not.

use std::time::Duration;

use anyhow::Result;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask, hear, text},
    script::{Dialect, Gate, Reply, Step},
};

on_both! {
    a_page_that_comes_back_hears_the_rest_as_it_comes_and_pays_once,
    a_page_that_does_not_come_back_pays_for_what_it_was_sent,
}

const INFERENCE: &str = "/api/llm/inference";

/// A page is gone from the owner's machine within this, also where the machine is busy: half of what an answer may say
/// nothing for.
const CANCEL: Duration = Duration::from_secs(10);

/// The same page, which has heard so much of the answer of this name.
fn behind(page: &Page, name: &str, event: &str) -> Page {
    page.clone().with("idempotency-key", name).with("last-event-id", event)
}

async fn a_page_that_comes_back_hears_the_rest_as_it_comes_and_pays_once(engine: Engine) -> Result<()> {
    let (scene, page) = Scripted::keeping(engine, "1.00").await?;
    let question = ask("go");
    // The connection broke, or the relay still takes it for open.
    for (name, open) in [("broken", false), ("open", true)] {
        let jobs = scene.script.jobs().len();
        let gate = Gate::default();
        scene.script.next(Reply::gated(&["one", " two", " three"], &gate));
        gate.open(1);
        let mut first = Some(behind(&page, name, "0").stream(INFERENCE, &question).await?);
        let stream = first.as_mut().expect("it is there");
        let job = stream.event("start").await?["jobId"].clone();
        hear(stream, "one").await?;
        first.take_if(|_| !open);

        // The start is the first event, the word the second.
        let mut second = behind(&page, name, "1").stream(INFERENCE, &question).await?;
        hear(&mut second, "one").await?;
        gate.open(1);
        hear(&mut second, " two").await?;
        if let Some(mut first) = first {
            assert_eq!(first.next().await?, None, "one reads at a time");
        }
        let mut third = behind(&page, name, "3").stream(INFERENCE, &question).await?;
        gate.open(1);
        hear(&mut third, " three").await?;
        assert_eq!(third.event("done").await?["jobId"], job);
        assert_eq!(third.next().await?, None);

        // Whoever comes later hears it too.
        let whole = behind(&page, name, "0").stream(INFERENCE, &question).await?.events().await?;
        assert_eq!((text(&whole), whole.len()), ("one two three".to_owned(), 5));
        for heard in 1..=5 {
            let rest = behind(&page, name, &heard.to_string());
            assert_eq!(rest.stream(INFERENCE, &question).await?.events().await?, whole[heard..], "{heard}");
        }
        assert_eq!(scene.script.jobs().len(), jobs + 1);
    }
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 2);
    scene.relay.audit().await
}

async fn a_page_that_does_not_come_back_pays_for_what_it_was_sent(engine: Engine) -> Result<()> {
    let config = format!("{FREE}[time]\nreturn_ms = 50\n");
    let (relay, key) = Relay::keeping(engine, &config, "1.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    scene.script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let mut stream = behind(&page, "k", "0").stream(INFERENCE, &ask("go")).await?;
    hear(&mut stream, "one").await?;
    drop(stream);
    scene.script.job(0).await?.left(CANCEL).await?;
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    let late = behind(&page, "k", "2").post(INFERENCE, &ask("go")).await?;
    assert_eq!((late.status, late.error_code()?), (409, "idempotency_answer_gone".to_owned()));
    assert_eq!(scene.script.jobs().len(), 1);
    scene.relay.audit().await
}

#[tokio::test]
async fn nothing_is_begun_for_whoever_has_heard_a_part() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    for page in [page, scene.relay.visitor()] {
        let jobs = scene.script.jobs().len();
        let lost = behind(&page, "k", "7").post(INFERENCE, &ask("go")).await?;
        assert_eq!((lost.status, lost.error_code()?), (409, "idempotency_answer_gone".to_owned()));
        for wrong in ["", "-1", "one", "18446744073709551616"] {
            let refused = behind(&page, "k", wrong).post(INFERENCE, &ask("go")).await?;
            assert_eq!(refused.error_code()?, "bad_request", "{wrong}");
        }
        assert_eq!(scene.script.jobs().len(), jobs);
        let mut answered = behind(&page, "k", "0").stream(INFERENCE, &ask("go")).await?;
        assert_eq!(text(&answered.events().await?), "one two three");
        let beyond = behind(&page, "k", "99").post(INFERENCE, &ask("go")).await?;
        assert_eq!(beyond.error_code()?, "bad_request");
        let other = behind(&page, "k", "1").post(INFERENCE, &ask("else")).await?;
        assert_eq!(other.error_code()?, "idempotency_key_reused");
        assert_eq!(scene.script.jobs().len(), jobs + 1);
    }
    // Whose answer it is, the name alone does not say.
    let stranger = scene.relay.customer(&scene.relay.key("1.00").await?);
    eventually("the other account has its money", || async {
        let answer = stranger.get("/api/account").await?;
        Ok((answer.status == 200 && answer.json()?["balance"] == "1").then_some(()))
    })
    .await?;
    let lost = behind(&stranger, "k", "1").post(INFERENCE, &ask("go")).await?;
    assert_eq!(lost.error_code()?, "idempotency_answer_gone");
    scene.relay.audit().await
}

#[tokio::test]
async fn whoever_would_come_back_and_leaves_before_the_first_word_wants_no_answer() -> Result<()> {
    let scene = Scripted::start().await?;
    scene.script.next(Reply::silence());
    let page = behind(&scene.relay.visitor(), "k", "0");
    let asking = tokio::spawn(async move { page.stream(INFERENCE, &ask("go")).await.map(drop) });
    let job = scene.script.job(0).await?;
    asking.abort();
    job.left(CANCEL).await?;
    let page = behind(&scene.relay.visitor(), "k", "0");
    let mut again = page.stream(INFERENCE, &ask("go")).await?;
    assert_eq!(text(&again.events().await?), "one two three");
    scene.relay.audit().await
}

#[tokio::test]
async fn an_answer_for_which_there_is_no_room_is_answered_and_not_kept() -> Result<()> {
    let config = format!("{FREE}replay_bytes = 0\n");
    let scene = Scripted::with(&config, Dialect::LlamaCpp(4)).await?;
    let page = behind(&scene.relay.visitor(), "k", "0");
    let mut whole = page.stream(INFERENCE, &ask("go")).await?;
    assert_eq!(text(&whole.events().await?), "one two three");
    scene.script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let mut stream = page.stream(INFERENCE, &ask("go")).await?;
    hear(&mut stream, "one").await?;
    drop(stream);
    scene.script.job(1).await?.left(CANCEL).await?;
    scene.relay.resolved().await?;
    scene.relay.audit().await
}
