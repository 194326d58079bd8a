//! A thousand hostile texts where pages of the site and programs read what others wrote: in answers, in owners'
//! names and texts, and in ads. All are seen as what they are, none does anything, and none becomes an event.

use anyhow::{Context, Result, bail, ensure};
use rekursing_tests::{
    browser::{Browser, Tab},
    database::Engine,
    http::Page,
    node::Node,
    payloads::{MANY, TRAPS, payloads},
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL, Reply, Script},
};
use serde_json::{Value, json};

/// What would be an event, a command to a terminal, a picture or a link, where a text is taken for one.
const OTHERS: [&str; 10] = [
    "\n\nevent: done\ndata: {\"cost\":\"0\"}\n\n",
    "\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
    "data: [DONE]\n\n",
    "\n\n: a comment\n\n",
    "id: 7\nretry: 1\n\n",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}",
    "![x](http://127.0.0.2/T.png)",
    "[x](javascript:trace(1))",
    "<rekursing-ad></rekursing-ad>",
    "\u{2028}event: done\u{2029}data: {}",
];

/// All of them.
fn texts() -> Vec<String> {
    let others = OTHERS.iter().map(|text| (*text).to_owned());
    others.chain(payloads()).collect()
}

/// Most bytes of one answer: the scripted model has a context of 4,096 tokens.
const ANSWER_BYTES_MAX: usize = 8_000;

/// All of them, as many together as fit in one answer.
fn answers() -> Vec<Vec<String>> {
    let mut answers: Vec<Vec<String>> = vec![Vec::new()];
    let mut bytes = 0;
    for text in texts() {
        bytes += text.len();
        if bytes > ANSWER_BYTES_MAX {
            bytes = text.len();
            answers.push(Vec::new());
        }
        answers.last_mut().expect("there is one").push(text);
    }
    answers
}

/// Has the server answer with these, a piece each, and returns the whole.
fn say(script: &Script, texts: &[String]) -> String {
    script.always(Reply::text(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
    texts.concat()
}

/// A tab with traps at this page.
async fn trapped(browser: &Browser, url: &str) -> Result<Tab> {
    let tab = browser.open("about:blank").await?;
    tab.before_all(TRAPS).await?;
    tab.go(url).await?;
    Ok(tab)
}

/// Fails unless nothing has happened, and there is nothing that could.
async fn stays_calm(tab: &Tab) -> Result<()> {
    let foreign = "document.querySelectorAll('img, image, iframe, object, embed, video, audio, b, marquee, math, \
                   base, body script, body style, body link, [onload], [onerror], [onfocus], [srcdoc]').length";
    let seen = tab.eval(&format!("({{traces, loaded: loaded(), foreign: {foreign}}})")).await?;
    ensure!(
        seen["traces"] == json!([]) && seen["loaded"] == "" && seen["foreign"] == 0,
        "something ran or came: {seen}"
    );
    Ok(())
}

#[tokio::test]
async fn a_thousand_payloads_in_an_answer_forge_no_event_on_any_route() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "5.00").await?;
    for texts in answers() {
        let said = say(&scene.script, &texts);
        ensure!(inference(&page).await? == said, "other than it was said: {said}");
        ensure!(chat(&page).await? == said, "other than it was said, in OpenAI's format: {said}");
    }
    Ok(())
}

/// Asks, and returns what was said; fails where an event comes that the relay has not sent.
async fn inference(page: &Page) -> Result<String> {
    let question = json!({"prompt": "go", "model": MODEL, "stream": true});
    let events = page.stream("/api/llm/inference", &question).await?.events().await?;
    let (mut heard, mut ends) = (String::new(), 0);
    for event in &events {
        let data: Value = serde_json::from_str(&event.data)?;
        match event.name.as_str() {
            "start" => {}
            "token" => heard += data["text"].as_str().context("a text")?,
            "done" => ends += 1,
            other => bail!("an event {other} that nobody sent: {data}"),
        }
    }
    ensure!(ends == 1, "{ends} ends");
    Ok(heard)
}

/// The same in OpenAI's format.
async fn chat(page: &Page) -> Result<String> {
    let question = json!({"model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    let chunks = page.stream("/v1/chat/completions", &question).await?.events().await?;
    let (last, chunks) = chunks.split_last().context("no chunk")?;
    ensure!(last.data == "[DONE]", "the last is {}", last.data);
    let mut heard = String::new();
    for chunk in chunks {
        let data: Value = serde_json::from_str(&chunk.data)?;
        heard += data["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    Ok(heard)
}

#[tokio::test]
async fn a_thousand_payloads_in_an_answer_run_nothing_in_the_chat_and_are_kept_as_they_are() -> Result<()> {
    let scene = Scripted::start().await?;
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/", scene.relay.url("http"))).await?;
    tab.until("document.querySelector('#models').children.length > 0").await?;
    for texts in answers() {
        let said = say(&scene.script, &texts);
        tab.fill("#question", "go").await?;
        tab.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
            .await?;
        tab.until("!document.querySelector('#go').disabled").await?;
        tab.click("#go").await?;
        tab.until("document.querySelector('.tools') !== null").await?;
        let kept = "JSON.parse(localStorage.getItem('conversations'))[0].turns[0].text";
        ensure!(tab.eval(kept).await? == json!(said), "the answer is kept as it came");
        stays_calm(&tab).await?;
        tab.click("#fresh").await?;
        // Opened again, it is as harmless.
        tab.eval("document.querySelector('#conversations button').click()").await?;
        tab.until("document.querySelector('.tools') !== null").await?;
        stays_calm(&tab).await?;
        tab.click("#fresh").await?;
        tab.until("document.querySelector('.tools') === null").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_payloads_as_owners_names_and_texts_run_nothing_on_the_pages_of_who_is_on() -> Result<()> {
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let relay = Relay::with(FREE).await?;
    let name = "\"><img src=x onerror=trace(1)><script>trace(2)</script>";
    let node = Node::with(&relay, &script.url(), &["--name", name]).await?;
    let owner = relay.customer(&node.secret()?);
    let browser = Browser::start().await?;
    let channel = format!("/api/plugin/channel/{}", node.plugin());
    owner.put(&channel, &json!({})).await?.expect(200)?;
    let live = trapped(&browser, &format!("{}/live", relay.url("http"))).await?;
    live.until("document.querySelector('#providers').innerText.includes('<img src=x')").await?;
    let tab = trapped(&browser, &format!("{}/live/{}", relay.url("http"), node.plugin())).await?;
    let mut shown = 0;
    let mut texts = payloads().into_iter().peekable();
    while texts.peek().is_some() {
        let mut about = String::new();
        while let Some(text) = texts.next_if(|text| about.chars().count() + text.chars().count() <= 500) {
            about += &text;
            shown += 1;
        }
        // One that is too long by itself is shown by its beginning.
        if about.is_empty() {
            about = texts.next().map(|text| text.chars().take(500).collect()).unwrap_or_default();
            shown += 1;
        }
        owner.put(&channel, &json!({"about": about})).await?.expect(200)?;
        tab.eval("globalThis.isOld = true, location.reload(), undefined").await?;
        tab.until("globalThis.isOld === undefined && document.querySelector('#channel') !== null").await?;
        stays_calm(&tab).await?;
    }
    ensure!(shown == MANY, "{shown} were shown");
    stays_calm(&live).await
}

#[tokio::test]
async fn a_thousand_payloads_as_ads_are_refused_or_run_nothing() -> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "1.00", "1.00").await?;
    let page = relay.customer(&key);
    for text in payloads().iter().step_by(20) {
        let terms = json!({
            "title": text, "text": text, "link": "https://shop.example.com", "bidPerThousand": "2", "budget": "1",
            "ends": 9_000_000_000_000_u64,
        });
        let made = page.post("/api/ads/campaigns", &terms).await?;
        ensure!(made.status == 201 || made.error_code()? == "bad_request", "{}: {text}", made.status);
    }
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/advertise.html", relay.url("http"))).await?;
    tab.until("!document.querySelector('#enter [type=submit]').disabled").await?;
    tab.fill("#key", &key).await?;
    tab.click("#enter [type=submit]").await?;
    tab.until("!document.querySelector('#inside').hidden").await?;
    let shown = "(texts => texts.filter(text => {
        for (const name of ['title', 'text']) document.querySelector(`[name=${name}]`).value = text;
        document.querySelector('[name=link]').value = 'https://shop.example.com';
        document.querySelector('#make').dispatchEvent(new Event('input'));
        return document.querySelector('#preview').shadowRoot.querySelector('a') !== null;
    }).length)";
    let shown = tab.eval(&format!("{shown}({})", json!(payloads()))).await?;
    ensure!(shown.as_u64() > Some(900), "only {shown} were shown");
    tab.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))").await?;
    stays_calm(&tab).await
}
