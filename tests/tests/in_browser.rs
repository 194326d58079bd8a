//! A small model in the owner's own Chromium, without any model server: from the file that he picks to the page that is
//! answered, marked as what it is.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::Tab, built, eventually, files::Files, http::Page, owner::Owner, relay::Relay, scene::text,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The name by which pages see the tiny model's file.
const MODEL: &str = "tiny-chat";

/// The SHA-256 of that file.
const SUM: &str = "ca5672059dea6c738eda7ea494e3a235fba9f5668959aa00e832533e11b4ea57";

/// Addresses at which a model server could be: nobody listens at any.
const NOWHERE: &str = "--host-resolver-rules=MAP 127.0.0.1:1234 127.0.0.9:1, MAP 127.0.0.1:11434 127.0.0.9:1, \
                       MAP 127.0.0.1:8080 127.0.0.9:1, MAP 127.0.0.1:9931 127.0.0.9:1, \
                       MAP 127.0.0.1:8000 127.0.0.9:1, MAP 127.0.0.1:52415 127.0.0.9:1";

fn ask(prompt: &str, quality: &str) -> Value {
    json!({"prompt": prompt, "model": MODEL, "quality": quality, "stream": true, "temperature": 0})
}

/// An owner without a model server who has said yes to nothing, and the page of the model in the browser.
async fn owner_of(relay: &Relay) -> Result<(Owner, Tab)> {
    let owner = Owner::flagged(&[NOWHERE]).await?;
    owner.set(&relay.url("http"), "").await?;
    let page = owner.open("browser.html").await?;
    page.until("document.body.dataset.painted").await?;
    Ok((owner, page))
}

/// Waits until the model has passed its self-test.
async fn tried(page: &Tab) -> Result<()> {
    page.shows("#state", "fast enough").await?;
    page.shows("#speed", "Tokens a second").await
}

/// Asks until somebody answers, and returns the answer's events' text and its `start`.
async fn answered(page: &Page, prompt: &str) -> Result<(String, Value)> {
    let asked = || async {
        let Ok(mut stream) = page.stream("/api/llm/inference", &ask(prompt, "low")).await else {
            return Ok(None);
        };
        if stream.status != 200 {
            return Ok(None);
        }
        let start = stream.event("start").await?;
        Ok(Some((text(&stream.events().await?), start)))
    };
    eventually("the page is answered", asked).await
}

#[tokio::test]
async fn an_owner_without_a_model_server_serves_out_of_the_browser_in_the_lowest_tier_alone() -> Result<()> {
    let (relay, key) = Relay::funded("", "1.00").await?;
    let (owner, page) = owner_of(&relay).await?;
    page.choose("#file", &built::model("tiny-chat.gguf")).await?;
    page.shows("#sum", SUM).await?;
    tried(&page).await?;
    assert_eq!(relay.stats().await?["plugins"], 0, "nothing connects before the owner has said yes");

    let popup = owner.agree().await?;
    popup.shows("#title", "Ready for jobs").await?;
    let customer = relay.customer(&key);
    let (said, start) = answered(&customer, "Echo: blue river k7x2").await?;
    assert_eq!(said, "blue river k7x2");
    assert_eq!((&start["provider"]["browser"], &start["tier"]), (&json!(true), &json!("low")));

    let refused = customer.post("/api/llm/inference", &ask("Echo: blue", "standard")).await?;
    assert_eq!(refused.error_code()?, "tier_unavailable");
    let models = customer.get("/api/llm/models").await?.expect(200)?;
    assert_eq!((&models["models"][0]["id"], &models["models"][0]["browser"]), (&json!(MODEL), &json!(true)));
    assert_eq!(relay.stats().await?["sessions"][0]["models"][0]["browser"], true);

    let whole = json!({"prompt": "Count from 1 to 12.", "model": MODEL, "quality": "low", "temperature": 0});
    let whole = customer.post("/api/llm/inference", &whole).await?.expect(200)?;
    ensure!(whole["result"].as_str().is_some_and(|text| text.contains("11")), "{whole}");
    assert_eq!(whole["provider"]["browser"], true);
    let paid = || async { Ok(Some(owner.earnings().await?).filter(|earnings| earnings.jobs == 2)) };
    eventually("both jobs are paid", paid).await?;
    relay.audit().await
}

#[tokio::test]
async fn an_answer_in_the_browser_stops_when_its_page_leaves_and_the_model_stays_until_it_is_deleted()
-> Result<()> {
    let (relay, key) = Relay::funded("", "1.00").await?;
    let (owner, page) = owner_of(&relay).await?;
    page.choose("#file", &built::model("tiny-chat.gguf")).await?;
    tried(&page).await?;
    owner.agree().await?.shows("#title", "Ready for jobs").await?;
    let customer = relay.customer(&key);
    answered(&customer, "Echo: blue").await?;

    // It has one slot: whoever comes next is answered because the one before has left.
    let mut long = ask("Tell me a story.", "low");
    long["ignore_eos"] = json!(true);
    long["maxTokens"] = json!(3_000);
    let mut left = customer.stream("/api/llm/inference", &long).await?;
    left.event("token").await?;
    drop(left);
    let (said, _) = answered(&customer, "Echo: blue river k7x2").await?;
    assert_eq!(said, "blue river k7x2");

    // A restart keeps it.
    let owner = owner.again().await?;
    let (said, start) = answered(&customer, "Echo: river k7x2").await?;
    assert_eq!((said.as_str(), &start["provider"]["browser"]), ("river k7x2", &json!(true)));

    let page = owner.open("browser.html").await?;
    page.shows("#name", MODEL).await?;
    delete(&page).await?;
    let refused = || async {
        let answer = customer.post("/api/llm/inference", &ask("Echo: blue", "low")).await?;
        Ok((answer.status != 200).then_some(()))
    };
    eventually("nobody has the model any more", refused).await?;
    relay.audit().await
}

#[tokio::test]
async fn what_is_no_model_is_refused_and_what_cannot_be_loaded_leaves_the_link_alone() -> Result<()> {
    let relay = Relay::start().await?;
    let (owner, page) = owner_of(&relay).await?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str, bytes: &[u8]| -> Result<std::path::PathBuf> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    page.choose("#file", &file("a.gguf", b"PK\x03\x04 is no model")?).await?;
    page.shows("#fault", "no GGUF file").await?;
    delete(&page).await?;

    let whole = std::fs::read(built::model("tiny-chat.gguf"))?;
    page.choose("#file", &file("half.gguf", &whole[..whole.len() / 2])?).await?;
    page.shows("#state", "cannot run here").await?;
    let popup = owner.agree().await?;
    popup.shows("#status", "cannot run here").await?;
    let connected = || async { Ok((relay.stats().await?["plugins"] == 1).then_some(())) };
    eventually("the link is there all the same", connected).await
}

#[tokio::test]
async fn copying_goes_on_where_chrome_was_closed_and_takes_no_other_file_for_the_same() -> Result<()> {
    let relay = Relay::start().await?;
    let (owner, page) = owner_of(&relay).await?;
    let whole = built::model("tiny-chat.gguf");
    // As if Chrome had been closed in the middle: a part is there, and storage says how much.
    let begun = format!(
        "(async () => {{ const root = await navigator.storage.getDirectory(); \
         const folder = await root.getDirectoryHandle('weights', {{ create: true }}); \
         const file = await folder.getFileHandle('model.gguf', {{ create: true }}); \
         const out = await file.createWritable(); await out.write(new Uint8Array({part:?})); await out.close(); \
         await chrome.storage.local.set({{ weights: {{ name: 'tiny-chat', bytes: {bytes}, at: {at}, on: true, stamp: 1 }} }}); }})()",
        part = &std::fs::read(&whole)?[..10_000],
        bytes = std::fs::metadata(&whole)?.len(),
        at = 10_000,
    );
    page.eval(&begun).await?;
    let owner = owner.again().await?;
    let page = owner.open("browser.html").await?;
    page.shows("#how-far", "Paused. 10 KB of 1.8 MB is here.").await?;
    let folder = tempfile::tempdir()?;
    let other = folder.path().join("other.gguf");
    let mut bytes = std::fs::read(&whole)?;
    bytes[5_000] ^= 1;
    std::fs::write(&other, bytes)?;
    page.choose("#same", &other).await?;
    page.shows("#fault", "another file").await?;
    page.choose("#same", &whole).await?;
    page.shows("#sum", SUM).await
}

/// Chooses the weights at this address, which must come to this SHA-256 if one is given.
async fn fetch(page: &Tab, address: &str, sum: &str) -> Result<()> {
    page.fill("#address", address).await?;
    page.fill("#wanted", sum).await?;
    page.click("#fetch button").await
}

/// Deletes what is chosen, and waits until nothing of it is there.
async fn delete(page: &Tab) -> Result<()> {
    page.shows("#delete", "Delete").await?;
    page.click("#delete").await?;
    page.shows("#delete", "all the same").await?;
    page.click("#delete").await?;
    page.shows("#choose-title", "Choose a model").await?;
    let gone = "navigator.storage.getDirectory().then(root => root.getDirectoryHandle('weights'))\
                .then(() => false, error => error.name === 'NotFoundError')";
    page.until(gone).await
}

/// Tells which addresses the fence lets weights through from.
const DOORS: &str = "chrome.declarativeNetRequest.getSessionRules()\
                     .then(rules => rules.map(({ condition }) => condition.urlFilter))";

#[tokio::test]
async fn weights_of_an_address_go_on_where_it_broke_off_and_what_is_none_is_refused_in_words() -> Result<()> {
    let relay = Relay::start().await?;
    let files = Files::start(&built::model("tiny-chat.gguf")).await?;
    let (_owner, page) = owner_of(&relay).await?;
    for (name, words) in [
        ("moved.gguf", "sends on to another one"),
        ("page.gguf", "no GGUF file"),
        ("endless.gguf", "does not say how long it is"),
        ("huge.gguf", "too large"),
        ("nowhere.gguf", "gives no file"),
    ] {
        fetch(&page, &files.url(name), "").await?;
        page.shows("#fault", words).await?;
        assert_eq!(page.eval(DOORS).await?, json!([]), "{name}");
        delete(&page).await?;
    }
    ensure!(files.asked().iter().all(|asked| asked.path != "/whole.gguf"), "where to it was sent was asked");
    fetch(&page, "http://models.example/a.gguf", "").await?;
    page.shows("#address-error", "Begin the address with https://").await?;
    fetch(&page, &files.url("whole.gguf"), &"0".repeat(64)).await?;
    page.shows("#fault", "It was deleted").await?;
    page.shows("#choose-title", "Choose a model").await?;

    for (name, if_range) in
        [("broken.gguf", Some("\"one\"")), ("changed.gguf", Some("\"0\"")), ("plain.gguf", None)]
    {
        fetch(&page, &files.url(name), SUM).await?;
        page.until("document.querySelector('#progress').value > 0").await?;
        files.cut();
        page.shows("#fault", "The connection broke").await?;
        page.shows("#how-far", "Paused.").await?;
        let here = page.eval("chrome.storage.local.get('weights').then(({ weights }) => weights.at)").await?;
        ensure!(here.as_u64().is_some_and(|here| here > 0), "nothing is here: {here}");
        page.click("#go-on").await?;
        page.shows("#sum", SUM).await?;
        let asked = files.asked().pop().context("nobody asked")?;
        assert_eq!(asked.range, Some(format!("bytes={here}-")), "{name}");
        assert_eq!(asked.if_range.as_deref(), if_range, "{name}");
        assert_eq!(page.eval(DOORS).await?, json!([]), "{name}");
        delete(&page).await?;
    }
    Ok(())
}

#[tokio::test]
async fn fetching_can_be_paused_and_deleted_and_nothing_stays_open_when_its_page_is_closed() -> Result<()> {
    const HOST: &str = "https://127.0.0.1/*";
    let relay = Relay::start().await?;
    let files = Files::start(&built::model("tiny-chat.gguf")).await?;
    let (owner, page) = owner_of(&relay).await?;
    let address = files.url("held.gguf");
    fetch(&page, &address, "").await?;
    page.until("document.querySelector('#progress').value > 0").await?;
    page.shows("#how-far", "of 1.8 MB is here. Keep this page open").await?;
    assert_eq!(page.eval(DOORS).await?, json!([format!("|{address}|")]));
    // The server says no word more: it is paused all the same.
    page.click("#pause").await?;
    page.shows("#how-far", "Paused.").await?;
    assert_eq!(page.eval(DOORS).await?, json!([]));
    page.close().await?;
    let page = owner.open("browser.html").await?;
    page.click("#go-on").await?;
    page.shows("#sum", SUM).await?;
    ensure!(files.asked().last().is_some_and(|asked| asked.range.is_some()), "{:?}", files.asked());
    delete(&page).await?;
    fetch(&page, &address, "").await?;
    page.until("document.querySelector('#progress').value > 0").await?;
    delete(&page).await?;
    assert_eq!(page.eval(DOORS).await?, json!([]));

    // Whoever answers no greeting keeps a fetch waiting for as long as one likes.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("https://{}/tiny.gguf", silent.local_addr()?);
    page.eval("chrome.permissions.request = async (wish) => { globalThis.wish = wish; return false; }")
        .await?;
    fetch(&page, &address, "").await?;
    page.shows("#fault", "Without your permission").await?;
    assert_eq!(page.eval("globalThis.wish").await?, json!({"origins": [HOST]}));
    let popup = owner.popup().await?;
    let left = format!(
        "Promise.all([{DOORS}, chrome.permissions.contains({{ origins: ['{HOST}'] }})])\
         .then(([doors, allowed]) => doors.length === 0 && !allowed)"
    );
    owner.browser().grant(owner.extension(), HOST).await?;
    page.eval("chrome.permissions.request = async () => true").await?;
    fetch(&page, &address, "").await?;
    let (_greeting, _) = silent.accept().await?;
    assert_eq!(popup.eval(DOORS).await?, json!([format!("|{address}|")]));
    page.close().await?;
    popup.until(&left).await?;

    // Chrome was killed in the middle: its rules are gone, the permission is not.
    let page = owner.open("browser.html").await?;
    let again = format!("chrome.permissions.request({{ origins: ['{HOST}'] }})");
    assert_eq!(page.eval(&again).await?, true, "what was allowed once is allowed without a question");
    let look = format!("chrome.runtime.sendMessage({{ type: 'wake' }}).then(() => {left})");
    assert_eq!(popup.eval(&look).await?, false, "whoever has the page open may be about to fetch");
    page.close().await?;
    popup.until(&look).await
}

/// Keeps the workers of a document at hand in which llama.cpp runs.
const CATCH: &str = "globalThis.made = []; \
    globalThis.Worker = class extends Worker { constructor(...how) { super(...how); made.push(this); } }; 0";

/// Has the last of them say that the wasm has aborted, as it does when its memory ends, and no word more.
const CRASH: &str = "(({ onmessage }) => { made.at(-1).terminate(); \
    onmessage({ data: { verb: 'signal.abort', args: ['abort', 'Aborted(OOM)', '', null] } }); })(made.at(-1))";

/// Runs the model in a page of its own, as the agent's document does, with what a test wants to know of it.
const RUN: &str = "(async () => { \
    const [now, later] = [performance.now.bind(performance), setTimeout]; \
    globalThis.skipped = 0; \
    performance.now = () => now() + skipped; \
    globalThis.setTimeout = (work, span, ...more) => later(work, span === 20_000 ? 50 : span, ...more); \
    globalThis.model = await import('/model.js'); \
    globalThis.state = async () => (await model.answer('/model')).status; \
    globalThis.ready = async () => { while (await state() !== 200) await new Promise(done => later(done, 20)); }; \
    globalThis.ask = (more, signal = new AbortController().signal) => \
        model.answer('/v1/completions', JSON.stringify({ prompt: 'Echo: a', max_tokens: 4, ...more }), signal); \
    globalThis.stored = await chrome.storage.local.get(); \
    model.use(stored); await ready(); })()";

#[tokio::test]
async fn a_model_that_crashes_is_loaded_anew_and_left_alone_when_it_does_so_again_and_again() -> Result<()> {
    let (relay, key) = Relay::funded("", "1.00").await?;
    let (owner, page) = owner_of(&relay).await?;
    let agent = owner.agent().await?;
    agent.eval(CATCH).await?;
    page.choose("#file", &built::model("tiny-chat.gguf")).await?;
    tried(&page).await?;
    owner.agree().await?.shows("#title", "Ready for jobs").await?;
    let customer = relay.customer(&key);
    let mut long = ask("Tell me a story.", "low");
    (long["ignore_eos"], long["maxTokens"]) = (json!(true), json!(3_000));
    let mut cut = customer.stream("/api/llm/inference", &long).await?;
    cut.event("token").await?;
    agent.eval(CRASH).await?;
    cut.event("error").await?;
    let (said, _) = answered(&customer, "Echo: blue river k7x2").await?;
    assert_eq!(said, "blue river k7x2");
    assert_eq!(agent.eval("made.length").await?, 2);

    page.eval(CATCH).await?;
    page.eval(RUN).await?;
    // A job of before does not free the model of after.
    let taken = "(async () => { \
        const old = await ask({ stream: true, ignore_eos: true, max_tokens: 3_000 }); \
        model.use({}); model.use(stored); await ready(); \
        const next = await ask({ stream: true, ignore_eos: true, max_tokens: 3_000 }, (globalThis.leave = new AbortController()).signal); \
        const [said, busy] = [await old.text(), await ask({})]; \
        return [said.includes('crashed'), busy.status, next.status]; })()";
    assert_eq!(page.eval(taken).await?, json!([true, 503, 200]));
    // A worker that is dead says nothing: it is given up with whoever left.
    page.eval("made.at(-1).terminate(); leave.abort(); 0").await?;
    page.until("made.length === 3 || (state(), false)").await?;
    page.eval("ready()").await?;
    assert_eq!(page.eval("ask({}).then(({ status }) => status)").await?, 200);

    let again = format!(
        "(async () => {{ const asked = ask({{ ignore_eos: true, max_tokens: 3_000 }}); {CRASH}; \
         const seen = [(await asked).status, await state()]; skipped += 60_000; return seen; }})()"
    );
    for _ in 0..3 {
        assert_eq!(page.eval(&again).await?, json!([500, 503]));
        page.eval("ready()").await?;
    }
    assert_eq!(page.eval(&again).await?, json!([500, 500]), "it cannot run here");
    assert_eq!(page.eval("state()").await?, 500);
    page.eval("model.use({ weights: { ...stored.weights, tries: 1 } }); ready()").await?;
    relay.audit().await
}
