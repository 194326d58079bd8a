//! The real extension in a real Chromium.

use std::time::Duration;

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    browser::{Browser, Window},
    eventually,
    line::Line,
    model_server,
    model_server::ModelServer,
    owner::Owner,
    relay::{FREE, Relay},
    scene::{ask, ask_tiny, hear, text},
    script::{Dialect, Gate, Reply, Script, Step},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_extension_answers_pages_by_the_owners_model_and_shows_what_it_earned() -> Result<()> {
    let (server, relay) = tokio::try_join!(ModelServer::start(), Relay::start())?;
    let owner = Owner::ready(&relay.url("http"), server.url()).await?;
    let page = relay.visitor();

    let mut stream = page.stream("/api/llm/inference", &ask_tiny("Echo: blue river k7x2")).await?;
    let events = stream.events().await?;
    assert_eq!(text(&events), "blue river k7x2");
    assert_eq!(events.first().map(|event| event.name.as_str()), Some("start"));
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("done"));

    let mut chat = json!({
        "model": model_server::MODEL, "temperature": 0,
        "messages": [{"role": "user", "content": "Echo: green lantern 42"}],
    });
    let whole = page.post("/v1/chat/completions", &chat).await?.expect(200)?;
    assert_eq!(whole["choices"][0]["message"]["content"], "green lantern 42");
    chat["stream"] = json!(true);
    let mut stream = page.stream("/v1/chat/completions", &chat).await?;
    let chunks = stream.events().await?;
    let said: String = chunks
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(&event.data).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, "green lantern 42");

    let paid = || async {
        let earnings = owner.earnings().await?;
        Ok((earnings.jobs == 3).then_some(earnings))
    };
    let earnings = eventually("three jobs are paid", paid).await?;
    let ledger = relay.ledger()?;
    let owners = ledger.balance("owner:")?.checked_add(ledger.balance("held:")?);
    assert_eq!(owners, Some(earnings.total));
    let popup = owner.popup().await?;
    for (field, amount) in [("#earned-total", earnings.total), ("#earned-today", earnings.today)] {
        let shown = format!("document.querySelector('{field}').textContent === '${amount}'");
        popup.until(&shown).await?;
    }
    let machine = popup.eval("document.querySelector('#gpu').textContent").await?;
    assert!(machine.as_str().is_some_and(|gpu| gpu.contains("software")), "{machine}");
    let models = popup.eval("document.querySelector('#models').textContent").await?;
    assert!(models.as_str().is_some_and(|models| models.contains(model_server::MODEL)), "{models}");
    assert_eq!(owner.browser().complaints(owner.extension()).await?, Vec::<String>::new());
    relay.audit().await
}

#[tokio::test]
async fn nothing_is_offered_before_the_owner_said_yes_nor_while_paused() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let popup = owner.popup().await?;
    popup.until("document.querySelector('#title').textContent === 'Off'").await?;
    assert!(script.jobs().is_empty());
    assert_eq!(relay.stats().await?["plugins"], 0);

    let popup = owner.agree().await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    let page = relay.visitor();
    let mut stream = page.stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    popup.click("#taking").await?;
    popup.until("document.querySelector('#title').textContent === 'Paused'").await?;
    let refused = || async {
        let answer = page.post("/api/llm/inference", &ask("go")).await?;
        Ok((answer.status == 503).then_some(answer.error_code()?))
    };
    assert_eq!(eventually("a paused owner gets no jobs", refused).await?, "provider_paused");
    Ok(())
}

#[tokio::test]
async fn the_settings_call_a_price_by_the_models_that_it_is_for() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    let names = "[...document.querySelectorAll('#prices .price')].map(row => row.ariaLabel).join()";
    options.until(&format!("{names} === 'Every model'")).await?;
    owner.agree().await?;
    options.until(&format!("{names} === 'Every other model,script-7b'")).await?;
    Ok(())
}

#[tokio::test]
async fn tokens_pass_the_extension_one_by_one_even_when_chrome_kills_its_worker() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let gate = Gate::default();
    script.next(Reply::gated(&["one", " two", " three"], &gate));
    gate.open(1);
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one").await?;
    owner.kill_worker().await?;
    for token in [" two", " three"] {
        gate.open(1);
        hear(&mut stream, token).await?;
    }
    stream.event("done").await?;
    assert_eq!(relay.resolved().await?.settlements()?.len(), 1);

    // A page that leaves is felt on the owner's machine through the extension too.
    script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one").await?;
    drop(stream);
    script.job(1).await?.left(Duration::from_secs(10)).await?;
    relay.audit().await
}

#[tokio::test]
async fn the_extension_goes_on_with_an_answer_whose_line_was_cut() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let line = Line::to(relay.address()).await?;
    let _owner = Owner::ready(&line.url("http"), &script.url()).await?;
    let gate = Gate::default();
    let words: Vec<String> = (0..12).map(|number| format!(" word{number}")).collect();
    script.next(Reply::gated(&words.iter().map(String::as_str).collect::<Vec<_>>(), &gate));
    gate.open(1);
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, &words[0]).await?;
    for pair in words[1..11].chunks(2) {
        gate.open(2);
        line.cut();
        hear(&mut stream, &pair.concat()).await?;
    }
    gate.open(1);
    hear(&mut stream, &words[11]).await?;
    stream.event("done").await?;
    assert_eq!(relay.resolved().await?.settlements()?.len(), 1);
    relay.audit().await
}

#[tokio::test]
async fn a_killed_browser_costs_the_page_only_what_came() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    // Within that time it could have come back.
    let relay = Relay::with(&format!("{FREE}[time]\nresume_ms = 300\n")).await?;
    let mut owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    script.next(Reply::steps(vec![Step::token("one"), Step::token(" two"), Step::Hold]));
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one two").await?;
    owner.browser_mut().kill().await?;
    let rest = stream.events().await?;
    assert_eq!(rest.last().map(|event| event.name.as_str()), Some("error"), "{rest:?}");
    let charges = relay.resolved().await?.settlements()?;
    assert_eq!(charges.len(), 1);
    assert!((1..=2).contains(&charges[0].answer_tokens), "{charges:?}");
    assert_eq!(relay.resolved().await?.balance("escrow")?, Nanos::ZERO);
    relay.audit().await
}

#[tokio::test]
async fn the_extension_recovers_by_itself_and_says_what_is_the_matter() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let server = script.url();
    let mut relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &server).await?;
    let popup = owner.popup().await?;
    let title = |title: &str| format!("document.querySelector('#title').textContent === '{title}'");

    relay.kill().await?;
    popup.until(&title("Not connected")).await?;
    let why = popup.eval("document.querySelector('#remedy').textContent").await?;
    assert!(why.as_str().is_some_and(|why| !why.is_empty()), "{why}");
    relay.restart().await?;
    popup.until(&title("Ready for jobs")).await?;

    script.set_loaded(false);
    popup.until(&title("No models to offer")).await?;
    let why = popup.eval("document.querySelector('#remedy').textContent").await?;
    assert!(why.as_str().is_some_and(|why| why.contains("no model loaded")), "{why}");
    script.set_loaded(true);
    popup.until(&title("Ready for jobs")).await?;

    let port = script.end();
    popup.until(&title("No models to offer")).await?;
    let _again = Script::on(&port.address().to_string(), Dialect::LmStudio(2)).await?;
    popup.until(&title("Ready for jobs")).await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    Ok(())
}

#[tokio::test]
async fn the_agents_document_reaches_the_relay_and_the_one_server_and_nothing_else() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let canary = TcpListener::bind("127.0.0.1:0").await?;
    let forbidden = canary.local_addr()?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let agent = owner.agent().await?;
    let attempts = [
        format!("fetch('http://{forbidden}/').then(() => 'reached', () => 'stopped')"),
        format!(
            "fetch('http://{forbidden}/', {{method: 'POST', mode: 'no-cors', body: 'x'}}).then(() => 'reached', () => 'stopped')"
        ),
        format!(
            "new Promise(done => {{ const s = new WebSocket('ws://{forbidden}/'); s.onopen = () => done('reached'); s.onerror = () => done('stopped'); }}).catch(() => 'stopped')"
        ),
        format!(
            "new Promise(done => {{ const i = new Image(); i.onload = () => done('reached'); i.onerror = () => done('stopped'); i.src = 'http://{forbidden}/x.png'; }})"
        ),
        format!("navigator.sendBeacon('http://{forbidden}/', 'x') && 'stopped'"),
        format!(
            "new Promise(done => {{ const code = \"fetch('http://{forbidden}/').then(() => postMessage('reached'), () => postMessage('stopped'))\"; const w = new Worker(URL.createObjectURL(new Blob([code]))); w.onmessage = e => done(e.data); w.onerror = () => done('stopped'); }}).catch(() => 'stopped')"
        ),
        // The one server that may be asked sends the asker elsewhere.
        format!(
            "fetch('{}/v1/chat/completions', {{method: 'POST', body: '{{}}'}}).then(() => 'reached', () => 'stopped')",
            script.url()
        ),
    ];
    let elsewhere = format!("text/plain\r\nlocation: http://{forbidden}/");
    script.always(Reply::exact(307, elsewhere.leak(), Vec::new()));
    for attempt in attempts {
        let outcome = agent.eval(&attempt).await.unwrap_or_else(|_| json!("stopped"));
        assert_eq!(outcome, "stopped", "{attempt}");
    }
    let allowed = format!("fetch('{}/api/v1/models').then(answer => answer.status)", script.url());
    assert_eq!(agent.eval(&allowed).await?, 200);
    assert_eq!(script.jobs().len(), 1, "the redirect came from the server that may be asked");
    let knocked = tokio::time::timeout(Duration::from_millis(300), canary.accept()).await;
    assert!(knocked.is_err(), "somebody reached a port that is nobody's business");
    Ok(())
}

#[tokio::test]
async fn the_worker_reaches_nothing_but_the_relay_and_opens_no_socket_at_all() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let canary = TcpListener::bind("127.0.0.1:0").await?;
    let forbidden = canary.local_addr()?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    // Request rules do not hold a worker's WebSocket, so it has to have none, after each start of it.
    for start in 1..=2 {
        let worker = owner.worker().await?;
        worker.until("typeof WebSocket === 'undefined'").await?;
        for attempt in [
            format!("new WebSocket('ws://{forbidden}/')"),
            format!("new WebSocketStream('ws://{forbidden}/').opened"),
            format!("fetch('http://{forbidden}/')"),
            format!("fetch('http://{forbidden}/', {{method: 'POST', mode: 'no-cors', body: 'x'}})"),
            format!("new EventSource('http://{forbidden}/')"),
            format!("import('http://{forbidden}/x.js')"),
            format!("importScripts('http://{forbidden}/x.js')"),
        ] {
            // An `EventSource` says only later that it failed, and the canary hears what it did.
            let outcome = worker.eval(&format!("(async () => {attempt})()")).await;
            assert!(outcome.is_err() || attempt.contains("EventSource"), "start {start}: {attempt}");
        }
        let allowed = format!("fetch('{}/healthz').then(answer => answer.status)", relay.url("http"));
        assert_eq!(worker.eval(&allowed).await?, 200);
        owner.kill_worker().await?;
        owner.popup().await?;
    }
    let knocked = tokio::time::timeout(Duration::from_millis(300), canary.accept()).await;
    assert!(knocked.is_err(), "the worker reached a port that is nobody's business");
    Ok(())
}

#[tokio::test]
async fn the_chat_page_draws_what_models_write_and_none_of_their_markup() -> Result<()> {
    let relay = Relay::start().await?;
    let browser = Browser::start().await?;
    let page = browser.open(&relay.url("http")).await?;
    page.until("document.querySelector('#turns')").await?;
    for (text, drawn) in [
        ("a **b** `c`\nd", "<p>a <strong>b</strong> <code>c</code>\nd</p>"),
        ("2. x\n3. y", "<ol start=\"2\"><li>x</li><li>y</li></ol>"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
        (
            "| a | **b** |\n|---|:-:|\n| <i> | 2 |",
            "<div class=\"table\" tabindex=\"0\"><table><tr><th scope=\"col\">a</th><th scope=\"col\"><strong>b</strong></th></tr>\
             <tr><td>&lt;i&gt;</td><td>2</td></tr></table></div>",
        ),
        ("| half a table", "<p>| half a table</p>"),
        // The page's own headings are above all of these, and no step down is left out.
        (
            "## a\n#### `b`\n### c\n# d\n## <i>",
            "<h3>a</h3><h4><code>b</code></h4><h4>c</h4><h3>d</h3><h4>&lt;i&gt;</h4>",
        ),
        ("# a\n## b\n### c\n#### d\n##### e", "<h3>a</h3><h4>b</h4><h5>c</h5><h6>d</h6><h6>e</h6>"),
    ] {
        let paint = format!(
            "import('/prose.js').then(({{ paint }}) => {{ const place = document.createElement('div'); \
             paint(place, {}); return place.innerHTML; }})",
            json!(text)
        );
        assert_eq!(page.eval(&paint).await?, json!(drawn), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_chat_page_streams_an_answer_and_shows_what_it_cost() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let gate = Gate::default();
    script.next(Reply::gated(&["Hello", " world"], &gate));
    let page = owner.browser().open(&relay.url("http")).await?;
    page.until("document.querySelector('#models').children.length > 0").await?;
    page.fill("#question", "Say hello").await?;
    page.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    page.until("!document.querySelector('#go').disabled").await?;
    page.click("#go").await?;
    gate.open(1);
    page.until("document.querySelector('#turns').textContent.includes('Hello')").await?;
    let early = page.eval("document.querySelector('#turns').textContent").await?;
    assert!(early.as_str().is_some_and(|text| !text.contains("world")), "{early}");
    gate.open(1);
    page.until("document.querySelector('#turns').textContent.includes('Hello world')").await?;
    page.until("/\\$0\\.\\d/.test(document.querySelector('#turns').textContent)").await?;

    script.next(Reply::steps(vec![Step::token("Endless"), Step::token(" words"), Step::Hold]));
    page.fill("#question", "Go on").await?;
    page.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    page.until("!document.querySelector('#go').disabled").await?;
    page.click("#go").await?;
    page.until("document.querySelector('#turns').textContent.includes('Endless words')").await?;
    page.click("#go").await?;
    let stopped = "document.querySelector('#turns .turn:last-child').textContent";
    page.until(&format!("{stopped}.includes('because you stopped it')")).await?;
    page.until(&format!("/\\$0\\.\\d/.test({stopped})")).await?;
    script.job(1).await?.left(Duration::from_secs(10)).await?;

    page.resize(360, 740).await?;
    let overflow = page.eval("document.documentElement.scrollWidth - innerWidth").await?;
    assert!(overflow.as_i64().context("a width")? <= 0, "the page is {overflow} pixels too wide at 360");
    Ok(())
}
