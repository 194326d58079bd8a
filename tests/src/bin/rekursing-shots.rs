//! The pictures for the store: the real extension in Chromium, with a real relay and a real model
//! server, 1280 pixels wide and 800 high.
//!
//! `cargo xtask shots` builds everything and starts this.

#![expect(clippy::print_stdout, reason = "a chore speaks on standard output")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rekursing_tests::{
    browser::{Tab, Window},
    eventually,
    model_server::ModelServer,
    owner::Owner,
    relay::{FREE, Relay},
};
use serde_json::json;

/// The languages of the store's entries, and the folder of each one's pictures.
const LANGUAGES: [(&str, &str); 2] = [("en", ""), ("de", "de")];

/// What is asked before the pictures are taken, so that there is something to see.
const QUESTIONS: [&str; 4] = [
    "Explain in one sentence why the sky is blue.",
    "Name three rivers.",
    "What is a tide?",
    "Why do leaves fall in autumn?",
];

/// Puts what is as narrow as the popup into the middle, and takes the scroll bar away.
const POSE: &str = "document.body.style.marginInline = 'auto', \
                    document.documentElement.style.scrollbarWidth = 'none', scrollTo(0, 0)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut given = std::env::args().skip(1);
    let (Some(model), Some(folder)) = (given.next(), given.next()) else {
        bail!("rekursing-shots MODEL FOLDER; you may want `cargo xtask shots`");
    };
    let (model, folder) = (PathBuf::from(model), PathBuf::from(folder));
    let name = model.file_stem().and_then(|stem| stem.to_str()).context("a model file without a name")?;
    let server = ModelServer::serving(&model, name).await?;
    for (language, place) in LANGUAGES {
        shots(language, name, &server, &folder.join(place)).await?;
    }
    Ok(())
}

/// Takes all pictures with Chromium in one language.
async fn shots(language: &str, name: &str, server: &ModelServer, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let owner = Owner::speaking(language, Window::Headless).await?;
    owner.set(&relay.url("http"), server.url()).await?;

    let welcome = owner.open("welcome.html").await?;
    welcome.click("#look").await?;
    welcome
        .until(&format!("document.querySelector('#models').textContent.includes({})", json!(name)))
        .await?;
    welcome.click("#try").await?;
    let tried = format!("document.querySelector('#tried').textContent.includes({})", json!(name));
    welcome.until(&format!("{tried} && !document.querySelector('#try').disabled")).await?;
    take(&welcome, folder, "1-welcome").await?;
    welcome.close().await?;

    owner.agree().await?.close().await?;
    work(&relay, &key, name, &owner).await?;
    let popup = owner.popup().await?;
    let total = json!(owner.earnings().await?.total.to_string());
    popup.until(&format!("document.querySelector('#earned-total').dataset.usd === {total}")).await?;
    take(&popup, folder, "2-popup").await?;
    popup.close().await?;
    let earnings = owner.open("earnings.html").await?;
    earnings.until("document.querySelector('#recent').children.length > 0").await?;
    take(&earnings, folder, "3-earnings").await?;
    earnings.close().await?;
    take(&owner.options().await?, folder, "4-options").await?;

    let chat = owner.browser().open(&relay.url("http")).await?;
    chat.until("document.querySelectorAll('#models [role=radio], #models input').length > 0").await?;
    chat.fill("#question", QUESTIONS[0]).await?;
    chat.eval("document.querySelector('#question').form.requestSubmit()").await?;
    chat.until("document.querySelector('#turns').innerText.includes('tokens')").await?;
    take(&chat, folder, "5-chat").await
}

/// Lets pages ask, one after the other, until every answer is paid.
async fn work(relay: &Relay, key: &str, model: &str, owner: &Owner) -> Result<()> {
    let page = relay.customer(key);
    for question in QUESTIONS {
        let body = json!({"prompt": question, "model": model, "maxTokens": 120, "temperature": 0});
        let answered =
            || async { Ok((page.post("/api/llm/inference", &body).await?.status == 200).then_some(())) };
        eventually("a page gets its answer", answered).await?;
    }
    let paid = || async { Ok((owner.earnings().await?.jobs >= 4).then_some(())) };
    eventually("every answer is paid", paid).await
}

/// Takes a picture of what is at the top of a page.
async fn take(tab: &Tab, folder: &Path, name: &str) -> Result<()> {
    tab.prefer("light").await?;
    tab.resize(1_280, 800).await?;
    tab.eval(POSE).await?;
    let bytes = tab.screenshot().await?;
    let file = folder.join(format!("{name}.png"));
    std::fs::write(&file, &bytes)?;
    let side = |at: usize| {
        bytes.get(at..at + 4).map(|side| u32::from_be_bytes([side[0], side[1], side[2], side[3]]))
    };
    ensure!((side(16), side(20)) == (Some(1_280), Some(800)), "{name} has another size");
    println!("{}: {} bytes", file.display(), bytes.len());
    Ok(())
}
