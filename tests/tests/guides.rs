//! The programs in the guides for whoever asks run as they stand there, once relay and key are put in.

use std::{ffi::OsStr, process::Output};

use anyhow::{Context, Result, bail, ensure};
use rekursing_tests::{
    browser::{Browser, Tab},
    built, guide,
    http::Page,
    library,
    mcp::Agent,
    relay::FREE,
    scene::Real,
    site::Site,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A relay, and a page of another site.
struct Reader {
    scene: Real,
    key: String,
    site: Site,
    _browser: Browser,
    tab: Tab,
}

impl Reader {
    async fn start() -> Result<Reader> {
        let site = Site::start().await?;
        let (scene, key) = Real::with(&format!("origins = [{:?}]\n{FREE}", site.url()), "5.00").await?;
        site.put("/", "text/html", "<!doctype html><html lang=en><title>A page</title><body>");
        let browser = Browser::start().await?;
        let tab = browser.open(site.url()).await?;
        Ok(Reader { scene, key, site, _browser: browser, tab })
    }

    /// Runs every program of a guide, or of a part of it. Each writes what is given for it.
    async fn run(&self, name: &str, part: Option<&str>, said: &[&str]) -> Result<()> {
        let programs = guide::programs(name, part)?;
        ensure!(programs.len() == said.len(), "{} programs are in {name}", programs.len());
        for (program, said) in programs.iter().zip(said) {
            // `cargo xtask compat` runs those.
            if program.is_heavy() {
                continue;
            }
            let code = program.with(&self.scene.relay.url("http"), &self.key)?;
            let ran = match program.language.as_str() {
                "sh" => written("sh", ["-euc", &code]).await,
                "python" => written(built::python()?, ["-c", &code]).await,
                "json" => self.configured(&code).await,
                "js" if code.contains("process.") => self.in_node(&code).await,
                "js" => self.in_page(&code).await,
                other => bail!("who runs {other}?"),
            };
            let written = ran.with_context(|| format!("this of {name} does not run:\n{code}"))?;
            let fine = !written.trim().is_empty() && written.contains(said) && !written.contains("\"error\"");
            ensure!(fine, "this of {name} wrote {written:?}:\n{code}");
        }
        Ok(())
    }

    /// Node imports from a file what a page imports from its relay.
    async fn in_node(&self, code: &str) -> Result<String> {
        let served = format!("{}/client/index.js", self.scene.relay.url("http"));
        ensure!(code.contains(&served), "it imports something else");
        let code = code.replace(&served, &library::index().display().to_string());
        written("node", ["--input-type=module", "-e", &code]).await
    }

    /// A page has loaded the library before; an ad that it was given is `ad`.
    async fn in_page(&self, code: &str) -> Result<String> {
        let relay = self.scene.relay.url("http");
        let ad = json!({
            "title": "Laptops", "text": "They last.", "link": format!("{relay}/ad/click/c1"),
            "site": "shop.example.com", "label": "Sponsored", "why": "It is about laptops.",
        });
        self.site.put("/program.js", "text/javascript", code);
        self.tab.go(&format!("{}/", self.site.url())).await?;
        let call = format!(
            "(globalThis.ad = {ad}, import('{relay}/client/index.js').then(() => import('/program.js'))
                .then(() => document.querySelector('rekursing-ad')?.shadowRoot.textContent ?? 'ran'))"
        );
        Ok(self.tab.comes_to(&call).await?.as_str().unwrap_or_default().to_owned())
    }

    /// An agent takes its server from a file.
    async fn configured(&self, code: &str) -> Result<String> {
        let config: Value = serde_json::from_str(code)?;
        let server = &config["mcpServers"]["rekursing"];
        let url = format!("{}/mcp", self.scene.relay.url("http"));
        assert_eq!((&server["type"], &server["url"]), (&json!("http"), &json!(url)));
        let mut page = Page::visitor(self.scene.relay.address());
        for (name, value) in server["headers"].as_object().context("no headers")? {
            page = page.with(name, value.as_str().context("a header that is no text")?);
        }
        Ok(Agent::of(page).await?.call("usage", &json!({})).await?.to_string())
    }
}

async fn written<Argument: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = Argument>,
) -> Result<String> {
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).kill_on_drop(true).output().await?;
    ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?)
}

#[tokio::test]
async fn those_for_page_authors_run() -> Result<()> {
    let reader = Reader::start().await?;
    let said = ["event: done", "", "ran", "\"budgetPerDay\":\"0.5"];
    reader.run("README.md", Some("Ask a model"), &said).await?;
    let paid = reader.scene.relay.resolved().await?.settlements()?;
    assert_eq!(paid.len(), 3, "by curl, in Python and in a page: {paid:?}");
    reader.scene.relay.audit().await
}

#[tokio::test]
async fn those_of_the_client_library_run() -> Result<()> {
    let reader = Reader::start().await?;
    reader.run("site/client/README.md", None, &["", "Sponsored"]).await?;
    let paid = reader.scene.relay.resolved().await?.settlements()?;
    assert_eq!(paid.len(), 2, "whole and as it is made: {paid:?}");
    reader.scene.relay.audit().await
}

#[tokio::test]
async fn those_for_agents_run() -> Result<()> {
    let reader = Reader::start().await?;
    let said = ["\"key\":\"rk_", "\"balance\":", "reasons", "cost", "\"score\":"];
    reader.run("docs/agents.md", None, &said).await
}
