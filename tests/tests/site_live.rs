//! The pages of who is on, in Chromium, with what real jobs have made: leaders, an answer that streams, and one
//! provider asked.

use anyhow::{Context, Result};
use rekursing_tests::{
    browser::{Browser, Tab},
    door::open,
    eventually,
    eventually::PATIENCE,
    http::Page,
    node::Node,
    relay::{FREE, Relay},
    scene::{ask, hear, text},
    script::{Dialect, Gate, MODEL, Reply, Script},
};
use serde_json::json;

const INFERENCE: &str = "/api/llm/inference";

/// Answers from which on it is known how reliable somebody is.
const KNOWN: usize = 20;

/// An owner with a channel, before a server of his own that says his name.
struct Owner {
    node: Node,
    script: Script,
}

impl Owner {
    async fn start(relay: &Relay, name: &str, shows_earnings: bool) -> Result<Owner> {
        let script = Script::start(Dialect::LlamaCpp(4)).await?;
        script.always(Reply::text(&[name]));
        let node = Node::with(relay, &script.url(), &["--name", name]).await?;
        let channel = json!({"about": "", "showsEarnings": shows_earnings});
        let page = relay.customer(&node.secret()?);
        page.put(&format!("/api/plugin/channel/{}", node.plugin()), &channel).await?.expect(200)?;
        Ok(Owner { node, script })
    }

    /// Has him asked so often; returns how often he failed.
    async fn asked(&self, page: &Page, times: usize) -> Result<usize> {
        let wish = json!({"prompt": "go", "model": MODEL, "provider": {"only": [self.node.plugin()]}});
        let mut failed = 0;
        for _ in 0..times {
            failed += usize::from(page.post(INFERENCE, &wish).await?.status != 200);
        }
        Ok(failed)
    }
}

/// Follows a link among the leaders' choices, and looks whether these rows are there then: who, and what is said of
/// him.
async fn leads(tab: &Tab, link: &str, wanted: &[&[String; 2]]) -> Result<()> {
    let chosen =
        format!("[...document.querySelectorAll('nav a')].find(link => link.textContent === '{link}')");
    tab.eval(&format!("{chosen}.id = 'wanted', globalThis.isOld = true, undefined")).await?;
    tab.click("#wanted").await?;
    tab.until(&format!(
        "globalThis.isOld === undefined && document.readyState === 'complete' && {chosen}.ariaCurrent === 'true'"
    ))
    .await?;
    let rows = "[...document.querySelectorAll('.leaders > li')].map(row => ['a, strong', '.note'].map(part => row.querySelector(part).textContent))";
    assert_eq!(tab.eval(rows).await?, json!(wanted), "{link}");
    Ok(())
}

fn row(name: &str, text: impl Into<String>) -> [String; 2] {
    [name.to_owned(), text.into()]
}

#[tokio::test]
async fn owners_lead_by_tokens_reliability_and_what_they_show_of_earnings_of_a_day_a_week_and_all()
-> Result<()> {
    let (mut relay, key) = Relay::funded(FREE, "5.00").await?;
    let page = relay.customer(&key);
    let (ada, bob) = (Owner::start(&relay, "ada", true).await?, Owner::start(&relay, "bob", false).await?);
    let cleo = Owner::start(&relay, "cleo", true).await?;
    assert_eq!(ada.asked(&page, KNOWN).await?, 0);
    bob.script.always(Reply::text(&[" bob"; 10]));
    assert_eq!(bob.asked(&page, KNOWN - 1).await?, 0);
    bob.script.always(Reply::json(500, &json!({"error": "out of memory"})));
    assert_eq!(bob.asked(&page, 1).await?, 1);
    assert_eq!(cleo.asked(&page, 2).await?, 0);
    let charged = relay.resolved().await?.settlements()?;
    let tokens =
        |who: std::ops::Range<usize>| -> u64 { charged[who].iter().map(|charge| charge.answer_tokens).sum() };
    let earned = async |owner: &Owner| {
        let channel = format!("/api/live/channels/{}", owner.node.plugin());
        let channel = relay.visitor().get(&channel).await?.expect(200)?;
        channel["days"][0]["earned"].as_str().map(str::to_owned).context("no earnings")
    };
    let (adas, cleos) = (earned(&ada).await?, earned(&cleo).await?);
    let (first, second) = (tokens(0..KNOWN), tokens(KNOWN..2 * KNOWN - 1));
    let third = tokens(2 * KNOWN - 1..charged.len());

    // What a restart ends counts as well. Then it is three days ago that Ada answered, and ten that Bob did.
    relay.leave(PATIENCE).await?;
    relay.restart().await?;
    for (owner, days) in [(&ada, 3), (&bob, 10)] {
        let of = owner.node.plugin();
        relay.tamper(&format!(
            "UPDATE earned SET day = day - {days} WHERE owner = '{of}';
             UPDATE outcome SET day = day - {days} WHERE plugin = '{of}'"
        ))?;
    }
    let browser = Browser::start().await?;
    let tab = open(&browser, &relay, "/live").await?;
    let many = |tokens: u64, jobs: usize| format!("{tokens} tokens in {jobs} answers");
    let ada_has = row("ada", many(first, KNOWN));
    let (bob_has, cleo_has) = (row("bob", many(second, KNOWN - 1)), row("cleo", many(third, 2)));
    assert!(second > first && first > third);
    leads(&tab, "7 days", &[&ada_has, &cleo_has]).await?;
    leads(&tab, "Today", &[&cleo_has]).await?;
    leads(&tab, "All time", &[&bob_has, &ada_has, &cleo_has]).await?;
    let reliable = |share: &str| format!("{share} of {KNOWN} answers");
    let (ada_is, bob_is) = (row("ada", reliable("100.0 %")), row("bob", reliable("95.0 %")));
    leads(&tab, "Reliability", &[&ada_is, &bob_is]).await?;
    leads(&tab, "7 days", &[&ada_is]).await?;
    // Of two answers nothing is known.
    leads(&tab, "Today", &[]).await?;
    // Bob shows nothing of it.
    let (ada_made, cleo_made) = (
        row("ada", format!("${adas} with {KNOWN} answers")),
        row("cleo", format!("${cleos} with 2 answers")),
    );
    leads(&tab, "Earnings", &[&cleo_made]).await?;
    leads(&tab, "7 days", &[&ada_made, &cleo_made]).await?;
    leads(&tab, "All time", &[&ada_made, &cleo_made]).await?;
    tab.click(".leaders a").await?;
    tab.shows("h1", "ada").await
}

#[tokio::test]
async fn an_answer_is_seen_as_it_streams_and_whoever_is_to_be_asked_alone_is_the_one_who_answers()
-> Result<()> {
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let page = relay.customer(&key);
    let ada = Owner::start(&relay, "ada", false).await?;
    let browser = Browser::start().await?;
    let live = open(&browser, &relay, "/live").await?;
    let channel = open(&browser, &relay, &format!("/live/{}", ada.node.plugin())).await?;
    let now = |figure: &str| {
        format!("Number(document.querySelector('.item [data-now={figure}]').textContent.replaceAll(',', ''))")
    };
    for tab in [&live, &channel] {
        tab.until(&format!("({}) === 0", now("tokensPerSecondNow"))).await?;
    }
    let gate = Gate::default();
    let words = [&["one", "two"][..], &[" more"; 40], &["end"]].concat();
    ada.script.next(Reply::gated(&words, &gate));
    // The head of an answer comes with its first word.
    gate.open(1);
    let mut answer = page.stream(INFERENCE, &ask("go")).await?;
    hear(&mut answer, "one").await?;
    for tab in [&live, &channel] {
        tab.until(&format!("({}) === 1", now("jobsNow"))).await?;
    }
    gate.open(1);
    hear(&mut answer, "two").await?;
    let mut before = Vec::new();
    for tab in [&live, &channel] {
        before.push(tab.until_some(&format!("({}) || null", now("tokensPerSecondNow"))).await?);
    }
    // It moves with what comes.
    gate.open(40);
    hear(&mut answer, &" more".repeat(40)).await?;
    for (tab, before) in [&live, &channel].into_iter().zip(before) {
        let now = now("tokensPerSecondNow");
        tab.until(&format!("({now}) > 0 && ({now}) !== {before}")).await?;
    }
    gate.open(1);
    assert_eq!(text(&answer.events().await?), "end");
    for tab in [&live, &channel] {
        tab.until(&format!("({}) === 0 && ({}) === 0", now("tokensPerSecondNow"), now("jobsNow"))).await?;
    }
    channel.close().await?;

    // Of two who have the model the one is asked whose link was clicked, also where he was asked before.
    let bob = Owner::start(&relay, "bob", false).await?;
    let ask_him = format!("a[href^='/?provider={}']", bob.node.plugin());
    live.until(&format!("document.querySelector({}) !== null", json!(ask_him))).await?;
    live.click(&ask_him).await?;
    live.until("document.querySelector('#models :checked') !== null").await?;
    for turn in 1..=2 {
        live.until("document.querySelector('#go-text').innerText === 'Ask'").await?;
        live.fill("#question", "Who are you?").await?;
        live.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
            .await?;
        live.click("#go").await?;
        live.until(&format!("document.querySelectorAll('.turn .tools').length === {turn}")).await?;
        live.shows(".turn:last-child .prose", "bob").await?;
    }
    assert_eq!((ada.script.jobs().len(), bob.script.jobs().len()), (1, 2));

    // That a model can be asked for is known from the first minute on.
    live.go(&format!("{}/models", relay.url("http"))).await?;
    let latest = "[...document.querySelectorAll('.facts > div')].find(fact => fact.textContent.startsWith('Reachable, 5 minutes')).lastChild.textContent";
    assert_eq!(live.eval(latest).await?, "100.0 %");
    eventually("the list says the same", || async {
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let model = &models["models"][0];
        Ok((model["uptime"]["fiveMinutes"] == 1_000 && model["providers"] == 2).then_some(()))
    })
    .await?;
    eventually("nothing runs any more", || async {
        let live = page.get("/api/live").await?.expect(200)?;
        Ok((live["totals"]["jobsRunning"] == 0).then_some(()))
    })
    .await
}
