//! More than a thousand hostile texts where pages of the site and programs read what others wrote: in answers, in
//! the names of computers, models, keys, teams and conversations, and in ads. Each is refused with a code or seen as
//! what it is; none does anything, and none becomes an event.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use rekursing_protocol::{frame::close, name};
use rekursing_tests::{
    browser::{Browser, Tab},
    database::Engine,
    door::{SHA256, TOKEN, sign_in},
    http::Page,
    link::{Link, Plugin, Received, identify, offer},
    node::Node,
    payloads::{MANY, TRAPS, payloads},
    relay::{FREE, Relay},
    script::{Dialect, Gate, MODEL, Reply, Script},
    sse::Event,
};
use serde_json::{Value, json};

/// What would be an event, a command to a terminal, a picture or a link, where a text is taken for one.
const OTHERS: [&str; 24] = [
    "\n\nevent: done\ndata: {\"cost\":\"0\"}\n\n",
    "\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
    "\r\revent: token\rdata: {\"text\":\"x\"}\r\r",
    "data: [DONE]\n\n",
    "\n\n: a comment\n\n",
    "id: 7\nretry: 1\n\n",
    "event: live data: {}",
    "\\n\\nevent: changes\\ndata: {}\\n\\n",
    "\u{2028}event: done\u{2029}data: {}",
    "\u{85}\u{85}event: response.failed\u{85}data: {}",
    "\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://127.0.0.2/T\u{7}x\u{1b}]8;;\u{7}",
    "\u{9b}31mred\u{9b}0m\u{8}\u{8}\u{7f}",
    "\\u001b[2J\\x1b[31mred\\033[0m",
    "[2J[31mred[0m",
    "![x](http://127.0.0.2/T.png)",
    "![x](//127.0.0.2/T.png \"title\")",
    "![x][y]\n\n[y]: http://127.0.0.2/T.png",
    "[![x](http://127.0.0.2/T.png)](http://127.0.0.2/T)",
    "![x](data:image/svg+xml,<svg onload=trace(1)>)",
    "[x](javascript:trace(1))",
    "<http://127.0.0.2/T>",
    "<rekursing-ad></rekursing-ad>",
    "<!-- <![CDATA[ ?> --> &lt;![x](http://127.0.0.2/T.png)&gt;",
];

/// All of them.
fn texts() -> Vec<String> {
    let others = OTHERS.iter().map(|text| (*text).to_owned());
    others.chain(payloads()).collect()
}

/// Returns one of each kind.
fn kinds() -> Vec<String> {
    let others = OTHERS.iter().map(|text| (*text).to_owned());
    // Twenty ways of one stand side by side, and the two that write every letter as a number after each fifth.
    others.chain(payloads().into_iter().step_by(19)).collect()
}

/// Of a relay that takes as many keys, teams and campaigns as there are texts.
const ROOM: &str = "keys_per_account = 5000\nkeys_per_minute = 100000\ngroup_tries_per_minute = 100000\n\
                    own_calls_per_minute = 100000\n\
                    [ads]\ncampaigns = 5000\ncampaigns_per_account = 5000\n\
                    [time]\nheartbeat_ms = 600000\n";

fn config() -> String {
    format!("{SHA256}{FREE}{ROOM}")
}

/// How many calls are made side by side.
const SIDE_BY_SIDE: usize = 16;

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
    trapped_with(browser, url, "").await
}

/// Does what [`trapped`] does, with a script more before those of the page.
async fn trapped_with(browser: &Browser, url: &str, script: &str) -> Result<Tab> {
    let tab = browser.open("about:blank").await?;
    tab.before_all(&format!("{TRAPS}{script}")).await?;
    tab.go(url).await?;
    Ok(tab)
}

/// Fails unless nothing has happened, and there is nothing that could.
async fn stays_calm(tab: &Tab) -> Result<()> {
    // Whatever was set off has had its turn.
    tab.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))").await?;
    let foreign = "document.querySelectorAll('img, image, iframe, object, embed, video, audio, b, marquee, math, \
                   base, body script, body style, body link, body meta, [onload], [onerror], [onfocus], [srcdoc], \
                   [action], [formaction], rekursing-ad rekursing-ad').length";
    let away = "[...document.links].filter(link => link.origin !== location.origin).map(link => link.href)";
    let seen = tab.eval(&format!("({{traces, loaded: loaded(), foreign: {foreign}, away: {away}}})")).await?;
    ensure!(
        seen["traces"] == json!([])
            && seen["loaded"] == ""
            && seen["foreign"] == 0
            && seen["away"] == json!([]),
        "something ran, came or leads away: {seen}"
    );
    Ok(())
}

/// Fails unless every text is on the page to the letter: in a text, a field, a choice or a name.
async fn sees(tab: &Tab, texts: &[String]) -> Result<()> {
    let missing = "(texts => { const shown = [document.body.textContent, ...[...document.querySelectorAll('*')]\
                   .flatMap(e => [e.value, e.getAttribute('aria-label')])].join(' | '); \
                   return texts.filter(text => !shown.includes(text)); })";
    let missing = tab.eval(&format!("{missing}({})", json!(texts))).await?;
    ensure!(missing == json!([]), "not seen as they are: {missing}");
    Ok(())
}

#[tokio::test]
async fn a_thousand_payloads_in_an_answer_forge_no_event_on_any_route() -> Result<()> {
    ensure!(texts().len() > MANY, "{}", texts().len());
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let _node =
        Node::with(&relay, &script.url(), &["--name", "x event: done data: {} ![x](//127.0.0.2)"]).await?;
    let page = relay.customer(&key);
    for texts in answers() {
        let said = say(&script, &texts);
        let told =
            [inference(&page).await?, chat(&page).await?, completion(&page).await?, response(&page).await?];
        for (told, route) in told.iter().zip(["inference", "chat", "completions", "responses"]) {
            ensure!(*told == said, "{route} tells other than was said: {told:?}");
        }
    }
    Ok(())
}

async fn events(page: &Page, path: &str, question: &Value) -> Result<Vec<Event>> {
    page.stream(path, question).await?.events().await
}

/// Asks, and returns what was said; fails where an event comes that the relay has not sent.
async fn inference(page: &Page) -> Result<String> {
    let question = json!({"prompt": "go", "model": MODEL, "stream": true});
    let events = events(page, "/api/llm/inference", &question).await?;
    let (mut heard, mut names) = (String::new(), Vec::new());
    for event in &events {
        let data: Value = serde_json::from_str(&event.data)?;
        match event.name.as_str() {
            "token" => heard += data["text"].as_str().context("a text")?,
            other => names.push(other),
        }
    }
    ensure!(names == ["start", "done"], "events that nobody sent: {names:?}");
    Ok(heard)
}

/// The same in OpenAI's format.
async fn chat(page: &Page) -> Result<String> {
    let question = json!({"model": MODEL, "stream": true, "messages": [{"role": "user", "content": "go"}]});
    chunks(&events(page, "/v1/chat/completions", &question).await?, "/delta/content")
}

/// The same as a completion.
async fn completion(page: &Page) -> Result<String> {
    let question = json!({"model": MODEL, "stream": true, "prompt": "go"});
    chunks(&events(page, "/v1/completions", &question).await?, "/text")
}

/// Joins the texts at this place of the chunks' choices. One chunk ends the answer, and nothing comes behind `[DONE]`.
fn chunks(events: &[Event], place: &str) -> Result<String> {
    let (last, chunks) = events.split_last().context("no chunk")?;
    ensure!(last.data == "[DONE]", "the last is {}", last.data);
    let (mut heard, mut ends) = (String::new(), 0);
    for event in chunks {
        ensure!(event.name == "message", "an event {} that nobody sent", event.name);
        let chunk: Value = serde_json::from_str(&event.data)?;
        ensure!(chunk["error"].is_null(), "an error that nobody sent: {chunk}");
        ends += usize::from(chunk["choices"][0]["finish_reason"].is_string());
        heard += chunk["choices"][0].pointer(place).and_then(Value::as_str).unwrap_or_default();
    }
    ensure!(ends == 1, "{ends} ends");
    Ok(heard)
}

/// The same as a response, whose events are numbered and tell the text piece by piece and whole.
async fn response(page: &Page) -> Result<String> {
    let question = json!({"model": MODEL, "stream": true, "input": "go"});
    let events = events(page, "/v1/responses", &question).await?;
    let (mut heard, mut whole, mut names) = (String::new(), String::new(), Vec::new());
    for (at, event) in events.iter().enumerate() {
        let data: Value = serde_json::from_str(&event.data).with_context(|| event.data.clone())?;
        ensure!(data["type"] == event.name && data["sequence_number"] == at, "event {at} is {data}");
        match event.name.as_str() {
            "response.output_text.delta" => heard += data["delta"].as_str().context("a text")?,
            "response.output_text.done" => data["text"].as_str().context("a text")?.clone_into(&mut whole),
            other => names.push(other),
        }
    }
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    ensure!(names == expected && whole == heard, "events that nobody sent: {names:?}");
    Ok(heard)
}

#[tokio::test]
async fn a_thousand_payloads_in_an_answer_run_nothing_in_the_chat_and_are_kept_as_they_are() -> Result<()> {
    let relay = Relay::start().await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let _node = Node::with(&relay, &script.url(), &["--name", "<img src=x onerror=trace(1)>"]).await?;
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/", relay.url("http"))).await?;
    tab.until("document.querySelector('#models').children.length > 0").await?;
    let set = |text: &str| {
        format!(
            "(field => {{ field.value = {}; field.dispatchEvent(new Event('input', {{bubbles: true}})); }})\
             (document.querySelector('#question'))",
            json!(text)
        )
    };
    for texts in answers() {
        let said = say(&script, &texts);
        // Whoever has copied the question from somewhere runs nothing by that.
        let question = texts.concat().chars().take(1_000).collect::<String>();
        tab.eval(&set(&question)).await?;
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

/// How many conversations a browser keeps.
const CONVERSATIONS: usize = 50;

#[tokio::test]
async fn a_thousand_payloads_as_names_of_conversations_and_in_receipts_run_nothing_in_the_chat() -> Result<()>
{
    let relay = Relay::start().await?;
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/", relay.url("http"))).await?;
    for texts in texts().chunks(CONVERSATIONS) {
        let turns: Vec<_> = texts
            .iter()
            .map(|text| json!({"question": text, "text": "x", "model": text, "job": text, "receipt": [["GPU", text], [text, "1"]]}))
            .collect();
        let kept: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| json!({"id": format!("{at}"), "at": 1, "title": text, "turns": turns, "provider": {"id": text, "name": text}}))
            .collect();
        let keep = format!(
            "(localStorage.setItem('conversations', JSON.stringify({})), traces.length = 0, globalThis.isOld = true, \
             location.reload(), undefined)",
            json!(kept)
        );
        tab.eval(&keep).await?;
        let listed =
            "globalThis.isOld === undefined && document.querySelectorAll('#conversations li').length";
        tab.until(&format!("{listed} === {}", texts.len())).await?;
        sees(&tab, texts).await?;
        tab.eval("document.querySelector('#conversations button').click()").await?;
        tab.until(&format!("document.querySelectorAll('#turns .receipt').length === {}", texts.len()))
            .await?;
        stays_calm(&tab).await?;
    }
    Ok(())
}

/// How many computers are on at once.
const AT_ONCE: usize = 350;

/// A computer whose every name is one hostile text, as far as that is let in.
struct Computer {
    _link: Link,
    /// Its names as they are to be seen.
    shown: Vec<String>,
    /// How often it was refused.
    refused: usize,
}

/// Connects a computer of these names. What is refused is so with a code, and then said in the way that is taken.
async fn computer(relay: &Relay, text: &str) -> Result<Computer> {
    let mut refused = 0;
    let gpu = json!({"vendor": text, "model": text, "raw": text});
    let registering = |name: &str| json!({"name": name, "gpu": gpu});
    let mut made = relay.visitor().post("/api/plugin/register", &registering(text)).await?;
    let mut named = text.to_owned();
    if made.status != 201 {
        ensure!(
            made.error_code()? == "bad_request" && text.chars().count() > 60,
            "{}: {text:?}",
            made.status
        );
        refused += 1;
        named = text.chars().take(60).collect();
        made = relay.visitor().post("/api/plugin/register", &registering(&named)).await?;
    }
    let made = made.expect(201)?;
    let told = |field: &str| made[field].as_str().map(str::to_owned).context("no id and no secret");
    let plugin = Plugin { id: told("pluginId")?, secret: told("secret")? };
    let short = |text: &str, bytes: usize| {
        let mut short = text.to_owned();
        while short.len() > bytes {
            short.pop();
        }
        short
    };
    // What is hidden in a name by which something is found is not left out: the whole name is refused.
    let mut ways = vec![text.to_owned()];
    ways.push(short(&name::plain(text, 200), 200));
    for model in ways {
        let mut offer = offer(&model, 1);
        for label in ["quantization", "architecture", "parameters"] {
            offer[label] = json!(short(&model, 64));
        }
        let mut identify = identify(&plugin, &offer);
        identify["gpu"] = gpu.clone();
        let mut link = Link::open(relay).await?;
        link.send("identify", &identify).await?;
        match link.next().await? {
            Received::Frame(kind, _) if kind == "ready" => {
                let shown = vec![name::plain(&named, 60), name::plain(text, 40), model];
                return Ok(Computer { _link: link, shown, refused });
            }
            Received::Closed(close::BAD_FRAME) => refused += 1,
            other @ (Received::Frame(..) | Received::Closed(_)) => bail!("{other:?} to a model {model:?}"),
        }
    }
    bail!("even without what is hidden it is refused: {text:?}")
}

#[tokio::test]
async fn a_thousand_payloads_as_names_of_computers_and_models_are_refused_or_run_nothing_where_they_are_shown()
-> Result<()> {
    let relay = Relay::with(&config()).await?;
    let browser = Browser::start().await?;
    let (mut let_in, mut refused) = (0, 0);
    for texts in texts().chunks(AT_ONCE) {
        let relay = &relay;
        let joined = stream::iter(texts).map(|text| computer(relay, text)).buffered(SIDE_BY_SIDE);
        let computers: Vec<Computer> = joined.try_collect().await?;
        let_in += computers.len();
        refused += computers.iter().map(|computer| computer.refused).sum::<usize>();
        let names: Vec<String> = computers.iter().flat_map(|computer| computer.shown.clone()).collect();
        // Under one name stand all that are called alike but for their maker, their form and what is large.
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let models: Vec<String> = models["models"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|model| model["id"].as_str().map(str::to_owned))
            .collect();
        ensure!(models.len() > texts.len() / 4, "only {} models", models.len());
        watched(relay, computers.len()).await?;
        for (path, ready, shown) in [
            ("/live", "document.querySelectorAll('#providers > li').length", &names),
            ("/models", "document.querySelectorAll('main li').length", &models),
            ("/", "document.querySelectorAll('#models > label').length", &models),
        ] {
            let tab = trapped(&browser, &format!("{}{path}", relay.url("http"))).await?;
            tab.until(&format!("{ready} > 100")).await?;
            sees(&tab, shown).await.with_context(|| path.to_owned())?;
            stays_calm(&tab).await.with_context(|| path.to_owned())?;
            tab.close().await?;
        }
        let tab = trapped(&browser, &format!("{}/operator.html", relay.url("http"))).await?;
        sign_in(&tab, TOKEN).await?;
        tab.until("document.querySelectorAll('#providers tr').length > 100").await?;
        sees(&tab, &names).await?;
        stays_calm(&tab).await?;
        tab.close().await?;
    }
    ensure!(let_in > MANY && refused > 0, "{let_in} were let in, {refused} refused");
    Ok(())
}

/// Follows who is on: one event tells all, and no name in it makes another.
async fn watched(relay: &Relay, many: usize) -> Result<()> {
    let visitor = relay.visitor().with("accept", "text/event-stream");
    let mut live = visitor.stream_of(Method::GET, "/api/live", Bytes::new()).await?;
    let first = live.next().await?.context("no event")?;
    ensure!(first.name == "live", "the first event is {}", first.name);
    let told: Value = serde_json::from_str(&first.data)?;
    let told = told["providers"].as_array().map_or(0, Vec::len);
    ensure!(told >= many, "{told} of {many} are told of");
    // Whoever comes now is told of next. What comes until then are whole events too: who reads slowly is told everything.
    let next = computer(relay, "event: live data: {}").await?;
    loop {
        let event = live.next().await?.context("the stream ended")?;
        let told: Value = serde_json::from_str(&event.data)?;
        let is_whole = event.name == "live" && told["totals"].is_object();
        ensure!(is_whole || event.name == "changes", "an event {} that nobody sent: {told}", event.name);
        if told["providers"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == next.shown[0]))
        {
            return Ok(());
        }
    }
}

/// Most characters of an owner's text.
const ABOUT_MAX: usize = 500;

/// How many owners' texts are looked at as a page each; the others are as what the browser makes of their page.
const LOOK_EACH: usize = 10;

/// Packs texts into owners' texts.
fn abouts(texts: Vec<String>) -> Vec<String> {
    let mut abouts = vec![String::new()];
    for text in texts {
        let last = abouts.last_mut().expect("there is one");
        if last.chars().count() + text.chars().count() > ABOUT_MAX {
            abouts.push(text);
        } else {
            *last += &text;
        }
    }
    abouts
}

#[tokio::test]
async fn a_thousand_payloads_as_owners_texts_are_refused_or_run_nothing_on_their_channels() -> Result<()> {
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let relay = Relay::with(&format!("{FREE}channel_changes_per_minute = 100000\n")).await?;
    let hostile = "\"><img src=x onerror=trace(1)><script>trace(2)</script>";
    let node = Node::with(&relay, &script.url(), &["--name", hostile]).await?;
    let owner = relay.customer(&node.secret()?);
    let channel = format!("/api/plugin/channel/{}", node.plugin());
    owner.put(&channel, &json!({})).await?.expect(200)?;
    let abouts = abouts(texts());
    for pair in abouts.chunks_exact(2) {
        let refused = owner.put(&channel, &json!({"about": pair.concat()})).await?;
        ensure!(
            refused.error_code()? == "bad_request" || pair.concat().chars().count() <= ABOUT_MAX,
            "{pair:?}"
        );
    }
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/live/{}", relay.url("http"), node.plugin())).await?;
    let made = "fetch(location.href, {cache: 'no-store'}).then(response => response.text()).then(text => {
        const page = new DOMParser().parseFromString(text, 'text/html');
        const names = [...page.querySelectorAll('main *')].flatMap(e => [e.localName, ...e.getAttributeNames()]);
        return {names: [...new Set(names)].sort().join(' '), about: page.querySelector('#channel > p').textContent};
    })";
    let mut plain = None;
    for (at, about) in abouts.iter().enumerate() {
        owner.put(&channel, &json!({"about": about})).await?.expect(200)?;
        // Lines in which something is to be seen stay lines.
        let spaced = about.replace('\t', " ");
        let lines: Vec<_> = spaced.lines().map(|line| name::plain(line, ABOUT_MAX)).collect();
        let shown = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let seen = tab.eval(made).await?;
        let plain = plain.get_or_insert_with(|| seen["names"].clone());
        ensure!(seen["about"] == shown && seen["names"] == *plain, "{seen} where {shown:?} is told");
        if at % LOOK_EACH == 0 {
            tab.eval("globalThis.isOld = true, location.reload(), undefined").await?;
            tab.until("globalThis.isOld === undefined && document.querySelector('#channel') !== null")
                .await?;
            sees(&tab, &[shown, hostile.to_owned()]).await?;
            stays_calm(&tab).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_payloads_as_names_of_keys_and_teams_are_refused_or_run_nothing() -> Result<()> {
    let (relay, key) = Relay::funded(&config(), "5.00").await?;
    let page = relay.customer(&key);
    let all = texts();
    let made = stream::iter(&all).map(|text| {
        let page = &page;
        async move {
            let made = page.post("/api/account/keys", &json!({"name": text})).await?;
            let is_name = text.chars().count() <= 60 && name::is_plain(text);
            ensure!(made.status == if is_name { 201 } else { 400 }, "{}: {text:?}", made.status);
            ensure!(is_name || made.error_code()? == "bad_request", "{text:?}");
            anyhow::Ok(is_name.then(|| text.clone()))
        }
    });
    let names: Vec<Option<String>> = made.buffered(SIDE_BY_SIDE).try_collect().await?;
    let names: Vec<String> = names.into_iter().flatten().collect();
    ensure!((200..MANY).contains(&names.len()), "{} keys were made", names.len());

    relay.verify(&key).await?;
    let mut teams = HashSet::new();
    for text in kinds() {
        let founded = page.post("/api/account/team", &json!({"name": text})).await?;
        let shown = name::plain(&text, 40);
        if shown.is_empty() || text.chars().count() > 40 {
            ensure!(founded.error_code()? == "bad_request", "{}: {text:?}", founded.status);
            continue;
        }
        ensure!(founded.expect(201)?["team"]["name"] == shown, "{shown:?}");
        teams.insert(shown);
        ensure!(page.delete("/api/account/team").await?.status == 204, "it is left");
    }
    ensure!(teams.len() > 20, "{} teams were founded", teams.len());

    // The one that is left leads among the teams by what the account's computer has answered.
    let team = "<img src=x onerror=trace(1)>![x](//a.b/)";
    page.post("/api/account/team", &json!({"name": team})).await?.expect(201)?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let node = Node::start(&relay, &script.url()).await?;
    let owner = relay.customer(&node.secret()?);
    let pairing = page.post("/api/account/pairings", &json!({})).await?.expect(201)?;
    let typed = json!({"code": pairing["code"]});
    owner.post(&format!("/api/plugin/pairing/{}", node.plugin()), &typed).await?.expect(200)?;
    owner.put(&format!("/api/plugin/channel/{}", node.plugin()), &json!({})).await?.expect(200)?;
    relay
        .visitor()
        .post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL}))
        .await?
        .expect(200)?;

    let browser = Browser::start().await?;
    let account = trapped(&browser, &format!("{}/account.html", relay.url("http"))).await?;
    sign_in(&account, &key).await?;
    account.shows("#team-name", team).await?;
    sees(&account, &names).await?;
    stays_calm(&account).await?;
    let live = trapped(&browser, &format!("{}/live?of=teams", relay.url("http"))).await?;
    live.shows("main", team).await?;
    stays_calm(&live).await
}

/// What an advertiser writes, with this in one place.
fn campaign(field: &str, text: &str) -> Value {
    let mut terms = json!({
        "title": "Laptops", "text": "They last.", "link": "https://shop.example.com", "bidPerThousand": "2",
        "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    terms[field] = json!(text);
    terms
}

/// Makes a campaign of each text in this place, and returns those that were taken.
async fn taken(page: &Page, field: &str, texts: &[String]) -> Result<Vec<String>> {
    let made = stream::iter(texts).map(|text| async move {
        let made = page.post("/api/ads/campaigns", &campaign(field, text)).await?;
        let is_taken = made.status == 201;
        ensure!(is_taken || made.error_code()? == "bad_request", "{}: {text:?}", made.status);
        anyhow::Ok(is_taken.then(|| text.clone()))
    });
    let taken: Vec<Option<String>> = made.buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(taken.into_iter().flatten().collect())
}

/// Asks for a free answer whose end comes once there was time to choose an ad.
async fn beside_ad(relay: &Relay, script: &Script, path: &str, question: &Value) -> Result<Vec<Event>> {
    let gate = Gate::default();
    script.always(Reply::gated(&["one", " two"], &gate));
    let mut answer = relay.visitor().stream(path, question).await?;
    gate.open(1);
    let mut events = Vec::new();
    while let Some(event) = answer.next().await? {
        if event.data.contains("one") {
            gate.open(1);
        }
        events.push(event);
    }
    Ok(events)
}

#[tokio::test]
async fn a_thousand_payloads_as_ads_are_refused_or_run_nothing_and_forge_no_event() -> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, &config(), "1.00", "3.00").await?;
    let page = relay.customer(&key);
    let all = texts();
    let titles = taken(&page, "title", &all).await?;
    let lines = taken(&page, "text", &all).await?;
    // Nothing but an address of the web leads anywhere.
    let links = taken(&page, "link", &all).await?;
    let hostile: Vec<_> = all.iter().map(|text| format!("https://shop.example.com/{text}")).collect();
    let paths = taken(&page, "link", &hostile).await?;
    ensure!(links.is_empty(), "links that were taken: {links:?}");
    for (taken, of) in [(&titles, "titles"), (&lines, "texts"), (&paths, "links")] {
        ensure!((50..MANY).contains(&taken.len()), "{} {of} were taken", taken.len());
    }

    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let _node = Node::start(&relay, &script.url()).await?;
    let question = json!({"prompt": "Which laptop should I buy?", "model": MODEL, "stream": true});
    for _ in 0..5 {
        let events = beside_ad(&relay, &script, "/api/llm/inference", &question).await?;
        let names: Vec<_> =
            events.iter().map(|event| event.name.as_str()).filter(|name| *name != "token").collect();
        ensure!(names == ["start", "ad", "done"], "events that nobody sent: {names:?}");
    }
    let messages = json!([{"role": "user", "content": "Which laptop should I buy?"}]);
    let question = json!({"model": MODEL, "stream": true, "messages": messages});
    let told = beside_ad(&relay, &script, "/v1/chat/completions", &question).await?;
    ensure!(chunks(&told, "/delta/content")? == "one two", "the ad is in the text");
    ensure!(told.iter().any(|event| event.data.contains("impressionToken")), "no ad beside it");

    let browser = Browser::start().await?;
    let chat = trapped(&browser, &format!("{}/", relay.url("http"))).await?;
    chat.until("document.querySelector('#models').children.length > 0").await?;
    chat.fill("#question", "Which laptop should I buy?").await?;
    chat.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    let gate = Gate::default();
    script.always(Reply::gated(&["one", " two"], &gate));
    gate.open(1);
    chat.click("#go").await?;
    chat.shows(".turn .prose", "one").await?;
    gate.open(1);
    chat.until("document.querySelector('rekursing-ad')?.ad?.title !== undefined").await?;
    stays_calm(&chat).await?;
    for (path, secret) in [("/advertise.html", key.as_str()), ("/operator.html", TOKEN)] {
        let tab = trapped(&browser, &format!("{}{path}", relay.url("http"))).await?;
        sign_in(&tab, secret).await?;
        tab.until(&format!("document.querySelectorAll('#campaigns tr').length >= {}", titles.len())).await?;
        sees(&tab, &titles).await.with_context(|| path.to_owned())?;
        stays_calm(&tab).await.with_context(|| path.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_thousand_payloads_in_the_preview_of_an_ad_run_nothing_and_lead_nowhere_but_to_the_web()
-> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "1.00", "1.00").await?;
    let browser = Browser::start().await?;
    let tab = trapped(&browser, &format!("{}/advertise.html", relay.url("http"))).await?;
    sign_in(&tab, &key).await?;
    let shown = "((texts, field, front) => texts.filter(text => {
        const form = document.querySelector('#make');
        const written = { title: 'Laptops', text: 'They last.', link: 'https://shop.example.com', [field]: front + text };
        for (const name in written) form.elements[name].value = written[name];
        form.dispatchEvent(new Event('input'));
        const link = document.querySelector('#preview').shadowRoot.querySelector('a');
        if (link && !/^https?:$/.test(link.protocol)) trace(link.href);
        return link !== null;
    }).length)";
    let texts = json!(texts());
    for (field, front, at_least) in
        [("title", "", 900), ("text", "", 900), ("link", "", 0), ("link", "https://shop.example.com/", 900)]
    {
        let shown = tab.eval(&format!("{shown}({texts}, {}, {})", json!(field), json!(front))).await?;
        ensure!(shown.as_u64() >= Some(at_least), "only {shown} were shown with it as {field}");
        stays_calm(&tab).await?;
    }
    Ok(())
}

/// Has a page believe that the relay's answers hold these texts wherever somebody else's may be in them, and that every
/// list that is not empty is long.
const FALSIFY: &str = "
globalThis.given = [];
((texts, long) => {
  const counts = {};
  const THEIRS = ['name', 'gpu', 'model', 'models', 'about', 'destination', 'words', 'told', 'prompt', 'answer', 'note',
    'title', 'text', 'who', 'through', 'key', 'prefix', 'message'];
  const take = (value, field) => {
    if (typeof value === 'string' || (value === null && ['prompt', 'answer', 'told'].includes(field))) {
      if (!THEIRS.includes(field)) return value;
      counts[field] = (counts[field] ?? 0) + 1;
      given.push(texts[counts[field] % texts.length]);
      return given.at(-1);
    }
    if (Array.isArray(value)) {
      const all = value.length === 0 ? [] : Array.from({ length: Math.max(long, value.length) }, (_, at) => value[at % value.length]);
      return all.map((item) => take(item, field));
    }
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, take(of, name === 'id' && field === 'models' ? 'model' : name)]));
  };
  const real = globalThis.fetch;
  globalThis.fetch = async (...call) => {
    const response = await real(...call);
    if (!response.headers.get('content-type')?.startsWith('application/json')) return response;
    return new Response(JSON.stringify(take(await response.json(), '')), response);
  };
})";

/// Fails unless a page that was lied to has shown most of what it was given, and stays calm.
async fn has_shown(tab: &Tab, least: usize) -> Result<()> {
    let shown = "(() => { const shown = [document.body.textContent, ...[...document.querySelectorAll('*')]\
                 .flatMap(e => [e.value, e.getAttribute('aria-label')])].join(' | '); \
                 return new Set(given.filter(text => shown.includes(text))).size; })()";
    let shown = tab.eval(shown).await?;
    ensure!(shown.as_u64() >= Some(least as u64), "only {shown} were shown");
    stays_calm(tab).await
}

#[tokio::test]
async fn a_thousand_payloads_from_a_relay_that_lets_everything_in_run_nothing_on_the_pages_that_sign_in()
-> Result<()> {
    let config = format!("{}[money]\nholdback_permille = 0\n[payouts]\napproval = true\n", config());
    let (relay, key) = Relay::advertised(Engine::Sqlite, &config, "30.00", "1.00").await?;
    let (page, operator) = (relay.customer(&key), relay.customer(TOKEN));
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    // At the highest price there is, 600 tokens are 6 USD: enough for a payout.
    script.always(Reply::text(&[" word"; 600]));
    let node = Node::with(&relay, &script.url(), &["--price-input", "0", "--price-output", "10000"]).await?;
    let owner = relay.customer(&node.secret()?);
    let plugin = node.plugin();
    let method = json!({"method": "paypal", "destination": "ada@example.com"});
    owner.put(&format!("/api/plugin/payouts/{plugin}/method"), &method).await?.expect(200)?;
    let question = json!({"prompt": "go", "model": MODEL, "maxPrice": "10000", "max_tokens": 1_000});
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(page.post("/api/llm/inference", &question).await?.expect(200)?["jobId"].clone());
    }
    owner
        .post(&format!("/api/plugin/payouts/{plugin}"), &json!({"amount": "5.50", "accept": "0.25"}))
        .await?
        .expect(201)?;
    for job in &jobs[..2] {
        let complaint = json!({"jobId": job, "reason": "other", "words": "It is wrong."});
        page.post("/api/account/disputes", &complaint).await?.expect(201)?;
    }
    let disputed = jobs[0].as_str().context("a job")?;
    for (step, words) in [("review", ""), ("uphold", "It was wrong.")] {
        operator
            .post(&format!("/api/operator/disputes/{disputed}/{step}"), &json!({"words": words}))
            .await?
            .expect(200)?;
    }
    let code = owner.post(&format!("/api/plugin/phones/{plugin}/code"), &json!({})).await?.expect(201)?;
    let pairing = page.post("/api/account/pairings", &json!({})).await?.expect(201)?;
    owner
        .post(&format!("/api/plugin/pairing/{plugin}"), &json!({"code": pairing["code"]}))
        .await?
        .expect(200)?;
    relay.verify(&key).await?;
    page.post("/api/account/team", &json!({"name": "Blue river"})).await?.expect(201)?;
    page.post("/api/ads/campaigns", &campaign("title", "Laptops")).await?.expect(201)?;

    let browser = Browser::start().await?;
    let lie = |long: usize| format!("{FALSIFY}({}, {long});", json!(texts()));
    let many = texts().len();
    for (path, secret, long, rows) in [
        ("/account.html", key.as_str(), many / 4, "#entries tr"),
        ("/operator.html", TOKEN, many / 4, "#log tr"),
        ("/advertise.html", key.as_str(), many, "#campaigns tr"),
    ] {
        let tab = trapped_with(&browser, &format!("{}{path}", relay.url("http")), &lie(long)).await?;
        sign_in(&tab, secret).await?;
        tab.until(&format!("document.querySelectorAll('{rows}').length >= {long}")).await?;
        has_shown(&tab, many / 4).await.with_context(|| path.to_owned())?;
        tab.close().await?;
    }
    let code = code["code"].as_str().context("no code")?;
    let url = format!("{}/phone.html#{code}", relay.url("http"));
    let tab = browser.open("about:blank").await?;
    tab.before_all(&format!("{TRAPS}{}", lie(many))).await?;
    // The code is taken out of the address at once.
    tab.eval(&format!("location.href = {}, undefined", json!(url))).await?;
    tab.until("document.querySelector('#pair')?.checkVisibility()").await?;
    tab.click("#pair button").await?;
    tab.until("document.querySelectorAll('#prices > li').length > 1000").await?;
    has_shown(&tab, MANY).await
}
