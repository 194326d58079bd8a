//! A small model in the owner's own Chromium, without any model server: from the file that he picks to the page that is
//! answered, marked as what it is.

use anyhow::{Result, ensure};
use rekursing_tests::{browser::Tab, built, eventually, http::Page, owner::Owner, relay::Relay, scene::text};
use serde_json::{Value, json};

/// The name by which pages see the tiny model's file.
const MODEL: &str = "tiny-chat";

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
    page.shows("#sum", "ca5672059dea6c738eda7ea494e3a235fba9f5668959aa00e832533e11b4ea57").await?;
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
    page.click("#delete").await?;
    page.shows("#delete", "all the same").await?;
    page.click("#delete").await?;
    page.shows("#choose-title", "Choose a model").await?;
    let gone = "navigator.storage.getDirectory().then(root => root.getDirectoryHandle('weights'))\
                .then(() => false, error => error.name === 'NotFoundError')";
    page.until(gone).await?;
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
    page.click("#delete").await?;
    page.click("#delete").await?;
    page.shows("#choose-title", "Choose a model").await?;

    let whole = std::fs::read(built::model("tiny-chat.gguf"))?;
    page.choose("#file", &file("half.gguf", &whole[..whole.len() / 2])?).await?;
    page.shows("#state", "cannot be loaded here").await?;
    let popup = owner.agree().await?;
    popup.shows("#status", "cannot be loaded here").await?;
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
    page.shows("#sum", "ca5672059dea6c738eda7ea494e3a235fba9f5668959aa00e832533e11b4ea57").await
}
