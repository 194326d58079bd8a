//! A real Chromium with a fresh profile, driven over its debugging pipe.
//!
//! A debugger attached to the extension's worker keeps it alive, so this one attaches to pages alone,
//! and to the worker only where a test is about the worker itself.

mod cdp;
mod tab;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

pub use cdp::Cdp;
pub use tab::Tab;

use crate::{eventually, eventually::PATIENCE};

/// Whether there is a window to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// One on the display.
    Shown,
    /// None.
    Headless,
}

/// A running Chromium. Dropping it kills it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    cdp: Cdp,
    window: Window,
    flags: Vec<String>,
    profile: Option<TempDir>,
}

/// Tabs of these names are looked for on the path, in this order.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const FLAGS: [&str; 7] = [
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-quic",
    "--disable-component-update",
    "--disable-sync",
    "--password-store=basic",
];

/// What Chromium itself asks the network for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// Nothing.
    Nothing,
    /// Newer versions of extensions, and nothing beyond this computer.
    Updates,
}

impl Own {
    fn flag(self) -> &'static str {
        match self {
            Own::Nothing => "--disable-background-networking",
            Own::Updates => "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        }
    }
}

/// Returns the path of a Chromium on this machine.
///
/// # Errors
/// Fails when there is none.
pub fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file());
    found.context("no Chromium on the path: install `chromium`")
}

impl Browser {
    /// Starts Chromium without a window.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn start() -> Result<Browser> {
        Browser::with(Window::Headless, &[]).await
    }

    /// Starts Chromium with further flags.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn with(window: Window, flags: &[&str]) -> Result<Browser> {
        Browser::speaking("en", window, flags).await
    }

    /// Starts Chromium in a language, with further flags.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn speaking(language: &str, window: Window, flags: &[&str]) -> Result<Browser> {
        let profile = tempfile::tempdir().context("no folder for the browser's profile")?;
        let browser = Browser::launch(profile.path(), language, window, Own::Nothing, flags).await?;
        Ok(Browser { profile: Some(profile), ..browser })
    }

    /// Closes Chromium and starts it again, in English, with what its profile has kept.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn again(self) -> Result<Browser> {
        let Browser { mut child, cdp, window, flags, profile } = self;
        cdp.call("Browser.close", json!({})).await?;
        child.wait().await.context("could not wait for Chromium")?;
        let profile = profile.context("a profile that is somebody else's")?;
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let browser = Browser::launch(profile.path(), "en", window, Own::Nothing, &flags).await?;
        Ok(Browser { profile: Some(profile), ..browser })
    }

    /// Starts Chromium on a profile that is kept, as whoever opens it again the next day.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn at(profile: &Path) -> Result<Browser> {
        Browser::at_with(profile, &[]).await
    }

    /// Does what [`Browser::at`] does, with further flags.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn at_with(profile: &Path, flags: &[&str]) -> Result<Browser> {
        Browser::launch(profile, "en", Window::Headless, Own::Nothing, flags).await
    }

    /// Does what [`Browser::at`] does, with a Chromium that updates its extensions.
    ///
    /// # Errors
    /// Fails when it is missing or does not come up.
    pub async fn updating(profile: &Path) -> Result<Browser> {
        Browser::launch(profile, "en", Window::Headless, Own::Updates, &[]).await
    }

    async fn launch(
        profile: &Path,
        language: &str,
        window: Window,
        own: Own,
        flags: &[&str],
    ) -> Result<Browser> {
        // The pipe's ends are descriptors 3 and 4 of the browser; the shell moves them there.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program()?)
            .args(FLAGS)
            .arg(own.flag());
        if window == Window::Headless {
            command.arg("--headless=new");
        }
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        command.arg(format!("--user-data-dir={}", profile.display())).args(flags).arg("about:blank");
        // Chromium leaves folders behind in the place for temporary files when it is killed.
        command.env("TMPDIR", profile);
        command.env("LANGUAGE", language).arg(format!("--lang={language}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().context("could not start Chromium")?;
        let input = child.stdin.take().context("a browser without a pipe in")?;
        let output = child.stdout.take().context("a browser without a pipe out")?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let browser = Browser { child, cdp: Cdp::over(input, output), window, flags, profile: None };
        browser.cdp.call("Browser.getVersion", json!({})).await.context("Chromium does not answer")?;
        Ok(browser)
    }

    /// Loads an unpacked extension and returns its id.
    ///
    /// # Errors
    /// Fails when Chromium refuses it.
    pub async fn load(&self, folder: &Path) -> Result<String> {
        let loaded = self.cdp.call("Extensions.loadUnpacked", json!({"path": folder})).await?;
        loaded["id"].as_str().map(str::to_owned).context("a loaded extension without an id")
    }

    /// Opens a page.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn open(&self, url: &str) -> Result<Tab> {
        let made = self.cdp.call("Target.createTarget", json!({"url": url})).await?;
        let target = made["targetId"].as_str().context("a tab without an id")?;
        let tab = Tab::attach(&self.cdp, target).await?;
        tab.until("document.readyState === 'complete'")
            .await
            .with_context(|| format!("{url} did not load"))?;
        Ok(tab)
    }

    /// Returns all targets: pages, workers, offscreen documents.
    ///
    /// # Errors
    /// Fails when Chromium does not answer.
    pub async fn targets(&self) -> Result<Vec<Value>> {
        let found = self.cdp.call("Target.getTargets", json!({"filter": [{}]})).await?;
        Ok(found["targetInfos"].as_array().cloned().unwrap_or_default())
    }

    /// Waits for a target of this type whose URL begins so, and returns its id.
    ///
    /// # Errors
    /// Fails when none comes.
    pub async fn target(&self, kind: &str, url: &str) -> Result<String> {
        let look = || async {
            let targets = self.targets().await?;
            let fits = |target: &&Value| {
                target["type"] == kind && target["url"].as_str().is_some_and(|found| found.starts_with(url))
            };
            Ok(targets.iter().find(fits).and_then(|target| target["targetId"].as_str().map(str::to_owned)))
        };
        eventually(&format!("Chromium has a {kind} of {url}"), look).await
    }

    /// Attaches to a target that exists.
    ///
    /// # Errors
    /// Fails when it is gone.
    pub async fn attach(&self, target: &str) -> Result<Tab> {
        Tab::attach(&self.cdp, target).await
    }

    /// Closes a target; for a service worker that is how Chromium itself would kill it.
    ///
    /// # Errors
    /// Fails when it is gone already.
    pub async fn close(&self, target: &str) -> Result<()> {
        self.cdp.call("Target.closeTarget", json!({"targetId": target})).await.map(|_| ())
    }

    /// Grants an extension a host permission, as its owner does by a click that no test can make.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn grant(&self, extension: &str, hosts: &str) -> Result<()> {
        let tab = self.open("chrome://extensions").await?;
        tab.until("typeof chrome.developerPrivate?.addHostPermission === 'function'").await?;
        let call =
            format!("chrome.developerPrivate.addHostPermission({}, {})", json!(extension), json!(hosts));
        tab.eval(&call).await?;
        tab.close().await
    }

    /// Returns what `chrome://extensions` complains about: warnings and errors of an extension.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn complaints(&self, extension: &str) -> Result<Vec<String>> {
        let tab = self.open("chrome://extensions").await?;
        tab.until("typeof chrome.developerPrivate?.getExtensionInfo === 'function'").await?;
        let question = format!(
            "chrome.developerPrivate.getExtensionInfo({}).then(e => [...e.installWarnings ?? [], \
             ...(e.manifestErrors ?? []).map(x => x.message), ...(e.runtimeErrors ?? []).map(x => x.message)])",
            json!(extension)
        );
        let found = tab.eval(&question).await?;
        tab.close().await?;
        let Value::Array(found) = found else { bail!("no list of complaints: {found}") };
        Ok(found.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
    }

    /// Switches developer mode on: the profile keeps unpacked extensions then, as it keeps installed ones.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn keep_unpacked(&self) -> Result<()> {
        let tab = self.open("chrome://extensions").await?;
        tab.until("typeof chrome.developerPrivate?.updateProfileConfiguration === 'function'").await?;
        let call = "chrome.developerPrivate.updateProfileConfiguration({ inDeveloperMode: true })";
        tab.eval(call).await?;
        tab.close().await
    }

    /// Lets files that pages save land in this folder.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn save_to(&self, folder: &Path) -> Result<()> {
        let params = json!({"behavior": "allow", "downloadPath": folder});
        self.cdp.call("Browser.setDownloadBehavior", params).await.map(|_| ())
    }

    /// Closes the browser as whoever sits before it does, and waits until it has written everything.
    ///
    /// # Errors
    /// Fails when it does not close.
    pub async fn quit(mut self) -> Result<()> {
        self.cdp.call("Browser.close", json!({})).await?;
        timeout(PATIENCE, self.closed()).await.context("Chromium does not close")?
    }

    /// Kills the browser as a crash would.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("could not kill Chromium")
    }

    /// Stops all of the browser's processes, as a computer does that goes to sleep.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Has all of its processes go on.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut family = vec![self.child.id().context("the browser has ended")?];
        let mut at = 0;
        while let Some(parent) = family.get(at) {
            // One that has ended meanwhile has none.
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            family.extend(children.unwrap_or_default().split(' ').filter_map(|id| id.parse::<u32>().ok()));
            at += 1;
        }
        for id in family {
            let pid = Pid::from_raw(i32::try_from(id)?).context("a process id of zero")?;
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error).context("could not signal Chromium"),
            }
        }
        Ok(())
    }

    /// Waits until the browser is closed by whoever sits before it.
    ///
    /// # Errors
    /// Fails when the system refuses.
    pub async fn closed(&mut self) -> Result<()> {
        self.child.wait().await.map(|_| ()).context("could not wait for Chromium")
    }
}
