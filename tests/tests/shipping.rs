//! The extension as it is shipped: packed, signed, served by the relay, installed as a real CRX, and
//! updated from one version to the next.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::{Browser, Tab},
    built, eventually,
    eventually::{PATIENCE, within},
    http::raw,
    owner::Owner,
    relay::{FREE, Relay},
    scene::{ask, hear, text},
    script::{Dialect, Gate, Reply, Script},
};
use rsa::{
    Generate, PrivateKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// A folder for packing: sources, key, and a relay's downloads.
struct Works {
    folder: TempDir,
    id: String,
}

impl Works {
    fn open() -> Result<Works> {
        let works = Works { folder: tempfile::tempdir()?, id: String::new() };
        fs::create_dir(works.downloads())?;
        fs::write(works.key(), PrivateKey::generate().to_pkcs8_pem(LineEnding::LF)?.as_bytes())?;
        Ok(works)
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    fn crx(&self, version: &str) -> PathBuf {
        self.downloads().join(format!("rekursing-{version}.crx"))
    }

    /// Returns the built extension with another version in its manifest.
    fn sources(&self, version: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(version);
        built::copy(&built::extension()?, &folder)?;
        let file = folder.join("manifest.json");
        let manifest = fs::read_to_string(&file)?;
        let own = manifest.lines().find(|line| line.contains("\"version\":")).context("no version")?;
        fs::write(&file, manifest.replace(own, &format!("  \"version\": \"{version}\",")))?;
        Ok(folder)
    }

    /// Packs a version into a folder.
    async fn pack(&mut self, version: &str, relay: &str, into: &Path) -> Result<()> {
        let sources = self.sources(version)?;
        let mut pack = Command::new(built::xtask()?);
        pack.args(["pack", "--relay", relay, "--key"]).arg(self.key());
        let output = pack.arg("--from").arg(sources).arg("--into").arg(into).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout)?;
        let id = said.lines().find_map(|line| line.strip_prefix("the CRX's id: "));
        self.id = id.context("no id")?.to_owned();
        Ok(())
    }

    /// Has Chromium install a CRX when it starts on this profile.
    fn offer(&self, profile: &Path, crx: &Path, version: &str) -> Result<()> {
        let folder = profile.join("External Extensions");
        fs::create_dir_all(&folder)?;
        let external = json!({"external_crx": crx, "external_version": version});
        Ok(fs::write(folder.join(format!("{}.json", self.id)), external.to_string())?)
    }
}

/// Returns the names of the pictures in a folder, and fails where one has not the size that the store wants.
fn pictures(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "png") {
            let bytes = fs::read(&path)?;
            // A PNG begins with its signature and the head of its first part, then come width and height.
            let size = bytes.get(16..24).context("no PNG")?;
            ensure!(size == [1280_u32.to_be_bytes(), 800_u32.to_be_bytes()].concat(), "{}", path.display());
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    Ok(names)
}

#[test]
fn the_store_gets_its_texts_and_its_pictures_in_both_languages() -> Result<()> {
    let store = built::root().join("extension/store");
    for (file, parts) in [
        ("privacy.md", ["# Privacy policy", "## What stays in your browser"]),
        ("permissions.md", ["# Why each permission is asked for", "| permission | justification |"]),
        ("description.md", ["## Summary", "## Description"]),
        ("description.de.md", ["## Summary", "## Description"]),
    ] {
        let text = fs::read_to_string(store.join(file)).context(file)?;
        ensure!(parts.iter().all(|part| text.lines().any(|line| line == *part)), "{file} lacks a part");
        let summary = text.split("## Summary").nth(1).and_then(|rest| rest.split("\n##").next());
        // The store takes no longer one.
        ensure!(summary.is_none_or(|text| (1..=132).contains(&text.trim().chars().count())), "{file}");
    }
    let english = pictures(&store)?;
    ensure!((1..=5).contains(&english.len()), "the store takes one to five pictures: {english:?}");
    assert_eq!(english, pictures(&store.join("de"))?);
    Ok(())
}

/// What an update must not lose: what is kept in storage and as files, and that there is a device key.
const KEPT: &str = "(async () => { \
    const stored = await chrome.storage.local.get(['config', 'consent', 'identity', 'memory', 'notices', 'paused', 'weights']); \
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('weights'); \
    const file = await (await folder.getFileHandle('model.gguf')).getFile(); \
    const bases = (await indexedDB.databases()).map(({ name }) => name); \
    return { ...stored, file: await file.text(), bases }; })()";

/// Has a limit count what is done, and a part of a model's weights lie in the browser.
const FURNISH: &str = "(async () => { \
    const root = await navigator.storage.getDirectory(); \
    const folder = await root.getDirectoryHandle('weights', { create: true }); \
    const file = await folder.getFileHandle('model.gguf', { create: true }); \
    const out = await file.createWritable(); await out.write('GGUF and more'); await out.close(); \
    const { config } = await chrome.storage.local.get('config'); \
    config.allowance = { ...config.allowance, dayTokens: 1_000_000 }; \
    config.power = { watts: 100, perKwh: '0.30' }; \
    await chrome.storage.local.set({ config, notices: { paid: false }, weights: \
        { name: 'tiny', bytes: 20, at: 13, from: 'https://models.example/tiny.gguf', etag: '\"one\"', on: true, stamp: 1 } }); \
    })()";

/// Returns what an update must not lose.
async fn kept(owner: &Owner) -> Result<Value> {
    let popup = owner.popup().await?;
    let kept = popup.eval(KEPT).await?;
    popup.close().await?;
    Ok(kept)
}

/// Takes the tokens out that were counted today.
fn taken(kept: &mut Value) -> Result<u64> {
    let memory = kept.as_object_mut().and_then(|kept| kept.remove("memory")).context("no memory")?;
    memory["tally"]["today"].as_u64().context("nothing was counted")
}

/// Answers one question, and returns what is kept once that is counted and measured.
async fn worked(owner: &Owner, relay: &Relay) -> Result<Value> {
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    let counted = || async {
        let kept = kept(owner).await?;
        let memory = &kept["memory"];
        let is_counted = memory["tally"]["today"].as_u64().is_some_and(|today| today > 0);
        Ok((is_counted && memory["speeds"].as_object().is_some_and(|speeds| !speeds.is_empty()))
            .then_some(kept))
    };
    eventually("what was done is kept", counted).await
}

/// Returns the page on which Chromium lists its extensions.
async fn extensions(browser: &Browser) -> Result<Tab> {
    let tab = browser.open("chrome://extensions").await?;
    tab.until("typeof chrome.developerPrivate?.getExtensionsInfo === 'function'").await?;
    Ok(tab)
}

/// Returns the versions of installed extensions by their ids.
async fn versions(extensions: &Tab) -> Result<Value> {
    let all = "chrome.developerPrivate.getExtensionsInfo({ includeDisabled: true, includeTerminated: true })";
    let fields = "Object.fromEntries(all.map(({ id, version }) => [id, version]))";
    extensions.eval(&format!("{all}.then(all => ({fields}))")).await
}

/// Waits until this version is the one that runs.
async fn runs(extensions: &Tab, id: &str, version: &str) -> Result<()> {
    let runs = || async { Ok((versions(extensions).await?[id] == version).then_some(())) };
    eventually(&format!("version {version} runs"), runs).await
}

/// Looks at a page at 360 and 800 pixels, light and dark, with axe.
async fn look(page: &Tab, name: &str) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder)?;
    page.eval(&fs::read_to_string(built::node_modules()?.join("axe-core/axe.min.js"))?).await?;
    for width in [360, 800] {
        for scheme in ["light", "dark"] {
            page.prefer(scheme).await?;
            page.resize(width, 1_100).await?;
            let picture = folder.join(format!("{name}-{width}-{scheme}.png"));
            fs::write(picture, page.screenshot().await?)?;
            let run = "axe.run(document, {resultTypes: ['violations']}).then(({ violations }) => \
                       violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.target}`)))";
            assert_eq!(page.eval(run).await?, json!([]), "{width}, {scheme}");
            let over = page.eval("document.documentElement.scrollWidth - innerWidth").await?;
            assert!(over.as_i64().is_some_and(|over| over <= 0), "{over} pixels too wide at {width}");
        }
    }
    Ok(())
}

/// Waits until the relay has seen this version in its folder. It lets the extension's id connect then.
async fn served(relay: &Relay, version: &str) -> Result<()> {
    let wanted = format!("version=\"{version}\"/>");
    let seen = || async {
        let updates = relay.visitor().get("/download/updates.xml").await?;
        Ok(String::from_utf8_lossy(&updates.body).contains(&wanted).then_some(()))
    };
    eventually(&format!("the relay serves {version}"), seen).await
}

async fn answers_again(relay: &Relay) -> Result<()> {
    let answered = || async {
        let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
        Ok((text(&stream.events().await?) == "one two three").then_some(()))
    };
    eventually("it is back without a click", answered).await
}

#[tokio::test]
async fn the_same_sources_and_key_pack_to_the_same_bytes() -> Result<()> {
    let mut works = Works::open()?;
    let folders = [works.folder.path().join("once"), works.folder.path().join("again")];
    for folder in &folders {
        works.pack("0.1.0", "https://relay.example", folder).await?;
    }
    for file in ["rekursing-0.1.0.zip", "rekursing-0.1.0.crx"] {
        let [once, again] = folders.each_ref().map(|folder| fs::read(folder.join(file)));
        assert_eq!(once?, again?, "{file}");
    }
    Ok(())
}

#[tokio::test]
async fn the_relay_hands_out_what_lies_in_its_folder_and_nothing_else() -> Result<()> {
    let mut works = Works::open()?;
    let downloads = works.downloads();
    let relay = Relay::with(&format!("downloads = {}\n", json!(downloads))).await?;
    let page = relay.visitor();
    for path in ["/download", "/download/updates.xml", "/download/rekursing-0.1.1.crx"] {
        assert_eq!(page.get(path).await?.error_code()?, "not_found", "{path}");
    }
    let read = relay.visitor().with("accept", "text/html,*/*;q=0.8").get("/download").await?;
    assert_eq!((read.status, &read.headers["content-type"]), (404, &"text/html; charset=utf-8".parse()?));
    works.pack("0.1.1", &relay.url("http"), &downloads).await?;
    let found = || async {
        let answer = page.get("/download/updates.xml").await?;
        Ok((answer.status == 200).then_some(answer))
    };
    let updates = eventually("the relay sees the file without a restart", found).await?;
    let xml = String::from_utf8(updates.body.to_vec())?;
    let codebase = format!("codebase=\"{}/download/rekursing-0.1.1.crx\"", relay.url("http"));
    for part in [&format!("appid=\"{}\"", works.id), &codebase, "version=\"0.1.1\""] {
        assert!(xml.contains(part), "no {part} in {xml}");
    }
    let tag = updates.headers["etag"].to_str()?;
    let again = relay.visitor().with("if-none-match", tag).get("/download/updates.xml").await?;
    assert_eq!((again.status, again.body.len()), (304, 0));

    let crx = fs::read(works.crx("0.1.1"))?;
    let file = page.get("/download/rekursing-0.1.1.crx").await?;
    assert_eq!(file.headers["content-type"], "application/x-chrome-extension");
    assert_eq!(file.body, crx);
    let zip = page.get("/download/rekursing-0.1.1.zip").await?;
    assert!(zip.body.starts_with(b"PK") && crx.ends_with(&zip.body));
    let shown = page.get("/download").await?;
    assert!(String::from_utf8(shown.body.to_vec())?.contains(&works.id));

    let asked = b"GET /download/updates.xml HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let elsewhere = String::from_utf8(raw(relay.address(), asked, PATIENCE).await?)?;
    assert!(
        elsewhere.contains("https://rekursing.com/download/") && !elsewhere.contains("evil"),
        "{elsewhere}"
    );
    for path in [
        "/download/..%2fkey.pem",
        "/download/%2e%2e/key.pem",
        "/download/../key.pem",
        "/download/rekursing-..%2f..%2fkey.crx",
        "/download/rekursing-0.1.1.crx%00",
        "/download/rekursing-0.1.1",
        "/download/rekursing-00.1.1.crx",
        "/download/",
        "/download//etc/passwd",
    ] {
        assert_eq!(page.get(path).await?.status, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_download_page_is_readable_by_everybody() -> Result<()> {
    let mut works = Works::open()?;
    works.pack("0.1.1", "https://relay.example", &works.downloads()).await?;
    let relay = Relay::with(&format!("downloads = {}\n", json!(works.downloads()))).await?;
    let browser = Browser::start().await?;
    let page = browser.open(&relay.url("http")).await?;
    page.go(&format!("{}/download", relay.url("http"))).await?;
    page.until("document.querySelector('h1')?.textContent === 'Install Rekursing'").await?;
    look(&page, "download").await
}

#[tokio::test]
async fn a_real_crx_is_installed_works_and_is_updated_without_losing_anything() -> Result<()> {
    let mut works = Works::open()?;
    let downloads = works.downloads();
    let config = format!("downloads = {}\n{FREE}", json!(downloads));
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::with(&config).await?;
    works.pack("0.1.1", &relay.url("http"), &downloads).await?;
    let profile = tempfile::tempdir()?;
    works.offer(profile.path(), &works.crx("0.1.1"), "0.1.1")?;
    let browser = Browser::at(profile.path()).await?;
    let owner = Owner::installed(browser, &works.id).await?;
    served(&relay, "0.1.1").await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let popup = owner.agree().await?;
    popup.eval(FURNISH).await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    let before = worked(&owner, &relay).await?;
    assert_eq!((&before["consent"]["given"], &before["file"]), (&json!(true), &json!("GGUF and more")));
    owner.into_browser().quit().await?;

    works.pack("0.1.2", &relay.url("http"), &downloads).await?;
    works.offer(profile.path(), &works.crx("0.1.2"), "0.1.2")?;
    let browser = Browser::at(profile.path()).await?;
    let owner = Owner::installed(browser, &works.id).await?;
    runs(&extensions(owner.browser()).await?, &works.id, "0.1.2").await?;
    assert_eq!(kept(&owner).await?, before);
    answers_again(&relay).await?;
    relay.audit().await
}

#[tokio::test]
async fn an_update_from_the_relay_waits_for_the_running_job_and_loses_nothing() -> Result<()> {
    let mut works = Works::open()?;
    let downloads = works.downloads();
    let script = Script::start(Dialect::LmStudio(2)).await?;
    // Chrome unpacks an update when nothing else is to be done, and the job waits for that between two tokens.
    let patient = "time.idle_ms = 300000";
    let relay = Relay::with(&format!("downloads = {}\n{patient}\n{FREE}", json!(downloads))).await?;
    works.pack("0.1.1", &relay.url("http"), &downloads).await?;
    let profile = tempfile::tempdir()?;
    works.offer(profile.path(), &works.crx("0.1.1"), "0.1.1")?;
    let browser = Browser::updating(profile.path()).await?;
    let owner = Owner::installed(browser, &works.id).await?;
    served(&relay, "0.1.1").await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let popup = owner.agree().await?;
    popup.eval(FURNISH).await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    let mut before = worked(&owner, &relay).await?;
    let one = taken(&mut before)?;
    let gate = Gate::default();
    script.next(Reply::gated(&["one", " two", " three"], &gate));
    gate.open(1);
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    hear(&mut stream, "one").await?;

    works.pack("0.1.2", &relay.url("http"), &downloads).await?;
    served(&relay, "0.1.2").await?;
    let chrome = extensions(owner.browser()).await?;
    // What Chrome does by itself every few hours.
    let check = popup.eval("chrome.runtime.requestUpdateCheck()").await?;
    assert_eq!((&check["status"], &check["version"]), (&json!("update_available"), &json!("0.1.2")));
    let newer = "document.querySelector('#status').innerText.includes('A newer version starts')";
    let told = || async { Ok((popup.eval(newer).await? == true).then_some(())) };
    within(4 * PATIENCE, "the update waits", told).await?;
    assert_eq!(versions(&chrome).await?[&works.id], "0.1.1");
    let refused = relay.visitor().post("/api/llm/inference", &ask("go")).await?;
    assert_eq!(refused.error_code()?, "provider_paused");
    gate.open(2);
    hear(&mut stream, " two three").await?;
    stream.event("done").await?;
    runs(&chrome, &works.id, "0.1.2").await?;
    let mut after = kept(&owner).await?;
    assert_eq!(taken(&mut after)?, 2 * one, "what the last job took is counted too");
    assert_eq!(after, before);
    answers_again(&relay).await?;
    assert_eq!(relay.resolved().await?.settlements()?.len(), 3);
    relay.audit().await
}

#[tokio::test]
async fn a_crx_that_was_tampered_with_is_refused() -> Result<()> {
    let (mut works, mut sound) = (Works::open()?, Works::open()?);
    for works in [&mut works, &mut sound] {
        works.pack("0.1.1", "https://relay.example", &works.downloads()).await?;
    }
    let mut bytes = fs::read(works.crx("0.1.1"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(works.crx("0.1.1"), bytes)?;
    let profile = tempfile::tempdir()?;
    for works in [&works, &sound] {
        works.offer(profile.path(), &works.crx("0.1.1"), "0.1.1")?;
    }
    for start in 1..=2 {
        let browser = Browser::at(profile.path()).await?;
        let owner = Owner::installed(browser, &sound.id).await?;
        let found = versions(&extensions(owner.browser()).await?).await?;
        assert_eq!((&found[&sound.id], &found[&works.id]), (&json!("0.1.1"), &Value::Null), "start {start}");
        owner.into_browser().quit().await?;
    }
    Ok(())
}
