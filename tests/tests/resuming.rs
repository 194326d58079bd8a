//! A socket that is lost costs no token: the answer goes on over the next one, or ends with an error, and is
//! charged once.

use std::time::Duration;

use anyhow::{Context, Result};
use rekursing_protocol::frame::close;
use rekursing_tests::{
    eventually,
    http::{Page, Stream},
    line::Line,
    link::{Knock, Link, Plugin, offer},
    node::Node,
    relay::{FREE, Relay},
    scene::{ask, hear, text},
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

/// How often the line is cut in the middle of one answer.
const CUTS: usize = 20;

/// Tokens of the answer between two cuts.
const TOKENS: usize = 6;

/// A relay, a line to it, an agent at its end before a scripted server, and a page with a key.
struct Scene {
    relay: Relay,
    line: Line,
    script: Script,
    page: Page,
    _node: Node,
}

impl Scene {
    async fn start(time: &str) -> Result<Scene> {
        let (relay, key) = Relay::funded(&format!("{FREE}[time]\n{time}\n"), "5.00").await?;
        let line = Line::to(relay.address()).await?;
        let script = Script::start(Dialect::LlamaCpp(4)).await?;
        let node = Node::at(&line.url("ws"), &script.url(), &["--slots", "4"]).await?;
        let page = relay.customer(&key);
        Ok(Scene { relay, line, script, page, _node: node })
    }

    async fn ask(&self) -> Result<Stream> {
        self.page.stream("/api/llm/inference", &ask("go")).await
    }

    /// Asks until an answer comes.
    async fn is_back(&self) -> Result<()> {
        let answered = || async {
            let answer = self.page.post("/api/llm/inference", &ask("go")).await?;
            Ok(String::from_utf8_lossy(&answer.body).contains("event: done").then_some(()))
        };
        eventually("the agent is back and answers", answered).await
    }
}

fn endless() -> Reply {
    let mut steps: Vec<Step> = ["one", " two"].iter().map(|token| Step::token(token)).collect();
    steps.push(Step::Hold);
    Reply::steps(steps)
}

#[tokio::test]
async fn an_answer_whose_line_is_cut_twenty_times_is_whole_and_charged_once() -> Result<()> {
    let scene = Scene::start("").await?;
    let words: Vec<String> = (0..CUTS * TOKENS).map(|number| format!(" word{number}")).collect();
    let tokens: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.script.next(Reply::text(&tokens));
    assert_eq!(text(&scene.ask().await?.events().await?), words.concat(), "undisturbed");

    let gate = Gate::default();
    scene.script.next(Reply::gated(&tokens, &gate));
    let mut stream = scene.ask().await?;
    for (round, said) in words.chunks(TOKENS).enumerate() {
        // At rest, before its words have left, in the middle of a frame, and with one end left open.
        match round % 4 {
            0 => gate.open(TOKENS),
            1 => {
                gate.open(TOKENS);
                scene.line.cut();
            }
            2 => {
                scene.line.cut_after(100 + 30 * round);
                gate.open(TOKENS);
            }
            _ => {
                gate.open(TOKENS);
                scene.line.sever();
            }
        }
        hear(&mut stream, &said.concat()).await.with_context(|| format!("round {round}"))?;
        if round % 4 == 0 {
            scene.line.cut();
        }
    }
    let done = stream.event("done").await?;
    assert_eq!(done["usage"]["completionTokens"].as_u64().map(|count| count > 0), Some(true), "{done}");
    let charges = scene.relay.resolved().await?.settlements()?;
    assert_eq!(charges.len(), 2, "each answer is charged once");
    assert_eq!(charges[0].answer_tokens, charges[1].answer_tokens);
    assert_eq!(charges[0].charge, charges[1].charge);
    assert_eq!(scene.script.jobs().len(), 2, "and made once");
    scene.relay.audit().await
}

#[tokio::test]
async fn a_long_answer_flows_on_through_cuts_with_the_credit_that_went_down_with_them() -> Result<()> {
    let scene = Scene::start("").await?;
    let words: Vec<String> = (0..400).map(|number| format!("{number:04}{}", "x".repeat(1_020))).collect();
    scene.script.next(Reply::text(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut stream = scene.ask().await?;
    let (mut heard, mut cuts) = (String::new(), 0);
    while let Some(event) = stream.next().await? {
        if event.name == "token" {
            heard += text(&[event]).as_str();
        }
        // Each time most of a window is under way.
        if heard.len() > 48 * 1_024 * (cuts + 1) && cuts < 5 {
            scene.line.cut();
            cuts += 1;
        }
    }
    assert_eq!(cuts, 5);
    assert!(heard == words.concat(), "{} bytes of {}", heard.len(), words.concat().len());
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    scene.relay.audit().await
}

#[tokio::test]
async fn an_answer_whose_line_stays_cut_ends_in_an_error_and_is_charged_for_what_came() -> Result<()> {
    let scene = Scene::start("resume_ms = 500").await?;
    scene.script.next(endless());
    let mut stream = scene.ask().await?;
    hear(&mut stream, "one two").await?;
    scene.line.take_down();
    let error = stream.event("error").await?;
    assert_eq!(error["code"], "provider_failed", "{error}");
    assert!(stream.next().await?.is_none());
    let charges = scene.relay.resolved().await?.settlements()?;
    assert_eq!(charges.len(), 1);
    assert!((1..=2).contains(&charges[0].answer_tokens), "{charges:?}");
    // Nor does the owner's machine work on for nobody.
    scene.script.job(0).await?.left(Duration::from_secs(5)).await?;
    scene.line.put_up();
    scene.is_back().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn an_answer_that_nobody_has_heard_of_yet_is_made_again() -> Result<()> {
    let scene = Scene::start("").await?;
    scene.script.next(Reply::silence());
    let (page, line) = (scene.page.clone(), &scene.line);
    let asking = async { page.stream("/api/llm/inference", &ask("go")).await?.events().await };
    let cutting = async {
        let job = scene.script.job(0).await?;
        line.cut();
        job.left(Duration::from_secs(10)).await
    };
    let (events, ()) = tokio::try_join!(asking, cutting)?;
    assert_eq!(text(&events), "one two three");
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_page_that_leaves_while_the_line_is_cut_stops_the_owners_machine() -> Result<()> {
    let scene = Scene::start("").await?;
    scene.script.next(endless());
    let mut stream = scene.ask().await?;
    hear(&mut stream, "one two").await?;
    scene.line.take_down();
    drop(stream);
    assert_eq!(scene.relay.resolved().await?.settlements()?.len(), 1);
    scene.line.put_up();
    scene.script.job(0).await?.left(Duration::from_secs(20)).await?;
    scene.is_back().await
}

#[tokio::test]
async fn a_relay_that_was_killed_is_found_again_and_its_jobs_are_let_go() -> Result<()> {
    let mut scene = Scene::start("").await?;
    scene.script.next(endless());
    let mut stream = scene.ask().await?;
    hear(&mut stream, "one two").await?;
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    scene.script.job(0).await?.left(Duration::from_secs(20)).await?;
    scene.is_back().await?;
    assert_eq!(scene.relay.stats().await?["plugins"], 1);
    assert_eq!(
        scene.relay.resolved().await?.settlements()?.len(),
        1,
        "the answer of before is charged to nobody"
    );
    scene.relay.audit().await
}

/// A plugin by hand whose answer has begun with `one`, and the page that hears it.
struct Begun {
    relay: Relay,
    plugin: Plugin,
    link: Link,
    ready: Value,
    start: Value,
    stream: Stream,
}

impl Begun {
    async fn start(time: &str) -> Result<Begun> {
        let relay = Relay::with(&format!("{FREE}[time]\n{time}\n")).await?;
        let plugin = Plugin::register(&relay).await?;
        let mut link = Link::open(&relay).await?;
        link.send("identify", &rekursing_tests::link::identify(&plugin, &offer(MODEL, 1))).await?;
        let ready = link.frame("ready").await?;
        let (page, question) = (relay.visitor(), ask("go"));
        let (mut stream, start) = tokio::try_join!(page.stream("/api/llm/inference", &question), async {
            let start = link.frame("start").await?;
            link.send("text", &piece(&start, 0, "one")).await?;
            Ok(start)
        })?;
        hear(&mut stream, "one").await?;
        Ok(Begun { relay, plugin, link, ready, start, stream })
    }

    /// Comes back with this many pieces of the job, all of which are kept.
    async fn resume(&self, ready: &Value, n: u32) -> Result<(Link, Value)> {
        let jobs = json!([{"job": self.start["job"], "lease": self.start["lease"], "from": 0, "n": n}]);
        Link::resume(&self.relay, &self.plugin, &offer(MODEL, 1), ready, &jobs).await
    }
}

fn piece(start: &Value, n: u32, text: &str) -> Value {
    json!({"job": start["job"], "lease": start["lease"], "n": n, "text": text})
}

fn done(start: &Value, n: u32) -> Value {
    json!({"job": start["job"], "lease": start["lease"], "n": n, "finish": "stop"})
}

#[tokio::test]
async fn a_session_goes_over_to_the_newer_of_two_connections() -> Result<()> {
    let mut begun = Begun::start("").await?;
    let (mut newer, ready) = begun.resume(&begun.ready, 2).await?;
    assert_eq!(begun.link.closed().await?, close::REPLACED);
    assert_eq!(ready["session"], begun.ready["session"]);
    assert_ne!(ready["token"], begun.ready["token"]);
    assert_eq!(
        (&ready["resumed"][0]["have"], ready["resumed"].as_array().map(Vec::len)),
        (&json!(1), Some(1))
    );
    assert_eq!(begun.relay.stats().await?["plugins"], 1);
    // What had come already is not heard twice.
    for (n, text) in [(0, "one"), (1, " two"), (2, " three")] {
        newer.send("text", &piece(&begun.start, n, text)).await?;
    }
    newer.send("done", &done(&begun.start, 3)).await?;
    hear(&mut begun.stream, " two three").await?;
    begun.stream.event("done").await?;
    newer.send("done", &done(&begun.start, 3)).await?;
    newer.frame("settled").await?;
    assert_eq!(begun.relay.resolved().await?.settlements()?.len(), 1);
    begun.relay.audit().await
}

#[tokio::test]
async fn a_gap_in_what_is_resumed_ends_the_session() -> Result<()> {
    let mut begun = Begun::start("").await?;
    let (mut newer, _) = begun.resume(&begun.ready, 2).await?;
    newer.send("text", &piece(&begun.start, 2, " three")).await?;
    assert_eq!(newer.closed().await?, close::BAD_FRAME);
    begun.stream.event("error").await?;
    begun.relay.audit().await
}

#[tokio::test]
async fn a_wrong_or_used_token_begins_a_new_session_and_ends_the_answer() -> Result<()> {
    let mut begun = Begun::start("").await?;
    let (first, second) = begun.resume(&begun.ready, 1).await?;
    drop(first);
    // Its `ready` may have been lost: nothing was heard behind it.
    let (mut again, third) = begun.resume(&begun.ready, 1).await?;
    assert!(second["resumed"].is_array() && third["resumed"].is_array());
    again.send("heartbeat", &json!({"n": 1, "jobs": 1})).await?;
    again.frame("ack").await?;
    let (_late, fresh) = begun.resume(&begun.ready, 1).await?;
    assert!(fresh["resumed"].is_null() && fresh["token"].is_string());
    assert_ne!(fresh["session"], begun.ready["session"]);
    assert_eq!(again.closed().await?, close::REPLACED);
    begun.stream.event("error").await?;
    let mut forged = fresh.clone();
    forged["token"] = json!("0".repeat(64));
    assert!(begun.resume(&forged, 1).await?.1["resumed"].is_null());
    begun.relay.audit().await
}

#[tokio::test]
async fn nobody_resumes_the_session_of_another() -> Result<()> {
    let mut begun = Begun::start("").await?;
    let thief = Plugin::register(&begun.relay).await?;
    let jobs = json!([{"job": begun.start["job"], "lease": 1, "from": 0, "n": 1}]);
    let (_link, ready) = Link::resume(&begun.relay, &thief, &offer("other", 1), &begun.ready, &jobs).await?;
    assert!(ready["resumed"].is_null());
    begun.link.send("done", &done(&begun.start, 1)).await?;
    begun.stream.event("done").await?;
    Ok(())
}

#[tokio::test]
async fn a_relay_may_resume_nothing() -> Result<()> {
    let mut begun = Begun::start("resume_ms = 0").await?;
    assert!(begun.ready["token"].is_null());
    drop(begun.link);
    begun.stream.event("error").await?;
    begun.relay.audit().await
}

#[tokio::test]
async fn a_relay_that_leaves_does_not_wait_for_whoever_is_lost() -> Result<()> {
    let Begun { mut relay, mut link, mut stream, .. } = Begun::start("").await?;
    let address = relay.address();
    let leaving = tokio::spawn(async move { relay.leave(Duration::from_secs(20)).await });
    link.frame("drain").await?;
    assert_eq!(Link::knock(address, Knock::default()).await?.err(), Some(503));
    drop(link);
    stream.event("error").await?;
    leaving.await?
}

#[tokio::test]
async fn a_plugin_that_says_goodbye_is_not_waited_for() -> Result<()> {
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    };
    let mut begun = Begun::start("").await?;
    let close = CloseFrame { code: CloseCode::Away, reason: "".into() };
    begun.link.send_message(Message::Close(Some(close))).await?;
    begun.stream.event("error").await?;
    begun.relay.audit().await
}
