//! An owner: a Chromium with the extension, set up and agreed to by the same clicks that a person makes.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rekursing_protocol::earnings::Earnings;
use serde_json::Value;

use crate::{
    browser::{Browser, Tab, Window},
    built,
};

/// Has a page want the earnings as the earnings page does.
const WANT_EARNINGS: &str = "new Promise((resolve) => { \
    const port = chrome.runtime.connect({ name: 'state' }); \
    port.onMessage.addListener((message) => message.type === 'got' && resolve(message)); \
    port.onDisconnect.addListener(() => resolve({ status: 0 })); \
    port.postMessage({ type: 'want', id: 1, what: 'earnings' }); })";

/// An owner's browser.
#[derive(Debug)]
pub struct Owner {
    browser: Browser,
    extension: String,
}

impl Owner {
    /// Starts Chromium with the extension, which nobody has agreed to yet.
    ///
    /// # Errors
    /// Fails when Chromium or the extension is missing.
    pub async fn undecided(window: Window) -> Result<Owner> {
        Owner::speaking("en", window).await
    }

    /// Does what [`Owner::undecided`] does, with Chromium in another language.
    ///
    /// # Errors
    /// Fails when Chromium or the extension is missing.
    pub async fn speaking(language: &str, window: Window) -> Result<Owner> {
        Owner::with(language, window, &[]).await
    }

    /// Does what [`Owner::undecided`] does, with further flags of Chromium.
    ///
    /// # Errors
    /// Fails when Chromium or the extension is missing.
    pub async fn flagged(flags: &[&str]) -> Result<Owner> {
        Owner::with("en", Window::Headless, flags).await
    }

    async fn with(language: &str, window: Window, flags: &[&str]) -> Result<Owner> {
        Owner::of(&built::extension()?, language, window, flags).await
    }

    async fn of(folder: &Path, language: &str, window: Window, flags: &[&str]) -> Result<Owner> {
        let flags = [&["--enable-unsafe-extension-debugging"], flags].concat();
        let browser = Browser::speaking(language, window, &flags).await?;
        let extension = browser.load(folder).await?;
        Ok(Owner { browser, extension })
    }

    /// Takes a browser in which the extension was installed under this id by other means, and waits until
    /// it runs.
    ///
    /// # Errors
    /// Fails when it does not.
    pub async fn installed(browser: Browser, extension: &str) -> Result<Owner> {
        browser.target("background_page", &format!("chrome-extension://{extension}/agent.html")).await?;
        Ok(Owner { browser, extension: extension.to_owned() })
    }

    /// Returns the browser alone.
    pub fn into_browser(self) -> Browser {
        self.browser
    }

    /// Starts Chromium with the extension, set to this relay and server and agreed to, and waits until it
    /// is ready for jobs.
    ///
    /// # Errors
    /// Fails when it does not get ready, with what the popup says.
    pub async fn ready(relay: &str, server: &str) -> Result<Owner> {
        Owner::ready_in(Window::Headless, relay, server).await
    }

    /// Does what [`Owner::ready`] does, in a window if there is one.
    ///
    /// # Errors
    /// Fails when it does not get ready, with what the popup says.
    pub async fn ready_in(window: Window, relay: &str, server: &str) -> Result<Owner> {
        let owner = Owner::undecided(window).await?;
        owner.serve(relay, server).await?;
        Ok(owner)
    }

    /// Does what [`Owner::ready`] does, with the extension in this folder.
    ///
    /// # Errors
    /// Fails when it does not get ready, with what the popup says.
    pub async fn ready_with(folder: &Path, relay: &str, server: &str) -> Result<Owner> {
        let owner = Owner::of(folder, "en", Window::Headless, &[]).await?;
        owner.serve(relay, server).await?;
        Ok(owner)
    }

    /// Sets the extension to this relay and server, says yes, and waits until it is ready for jobs.
    ///
    /// # Errors
    /// Fails when it does not get ready, with what the popup says.
    pub async fn serve(&self, relay: &str, server: &str) -> Result<()> {
        self.set(relay, server).await?;
        let popup = self.agree().await?;
        let ready = popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await;
        if ready.is_err() {
            let status = popup.eval("document.querySelector('#status').innerText").await?;
            bail!("the extension is not ready; its popup says {status}");
        }
        popup.close().await
    }

    /// Returns the browser.
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Returns the browser.
    pub fn browser_mut(&mut self) -> &mut Browser {
        &mut self.browser
    }

    /// Returns the extension's id.
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Writes the addresses of relay and server into the settings and saves them. An empty server
    /// lets the extension look for one.
    ///
    /// # Errors
    /// Fails when the settings are refused.
    pub async fn set(&self, relay: &str, server: &str) -> Result<()> {
        let options = self.options().await?;
        options.fill("#relay", relay).await?;
        options.fill("#server", server).await?;
        options.click("button[type=submit]").await?;
        options.until("document.querySelector('#outcome').dataset.tone === 'good'").await?;
        options.close().await
    }

    /// Opens the settings and waits until they are shown.
    ///
    /// # Errors
    /// Fails when they are not.
    pub async fn options(&self) -> Result<Tab> {
        let options = self.open("options.html").await?;
        options.until("document.querySelector('#prices .price') !== null").await?;
        Ok(options)
    }

    /// Opens the popup and says yes.
    ///
    /// # Errors
    /// Fails when the popup does not show the question.
    pub async fn agree(&self) -> Result<Tab> {
        let popup = self.popup().await?;
        popup.click("#agree").await?;
        popup.until("!document.querySelector('#offered').hidden").await?;
        Ok(popup)
    }

    /// Opens the popup and waits until it is painted.
    ///
    /// # Errors
    /// Fails when it is not.
    pub async fn popup(&self) -> Result<Tab> {
        let popup = self.open("popup.html").await?;
        popup.until("document.body.dataset.painted").await?;
        Ok(popup)
    }

    /// Kills the extension's worker as Chrome itself would.
    ///
    /// # Errors
    /// Fails when there is none.
    pub async fn kill_worker(&self) -> Result<()> {
        let url = format!("chrome-extension://{}/", self.extension);
        let worker = self.browser.target("service_worker", &url).await?;
        self.browser.close(&worker).await
    }

    /// Attaches to the extension's worker.
    ///
    /// # Errors
    /// Fails when there is none.
    pub async fn worker(&self) -> Result<Tab> {
        let url = format!("chrome-extension://{}/background.js", self.extension);
        let worker = self.browser.target("service_worker", &url).await?;
        self.browser.attach(&worker).await
    }

    /// Attaches to the document that holds the agent.
    ///
    /// # Errors
    /// Fails when there is none.
    pub async fn agent(&self) -> Result<Tab> {
        let url = format!("chrome-extension://{}/agent.html", self.extension);
        let document = self.browser.target("background_page", &url).await?;
        self.browser.attach(&document).await
    }

    /// Asks the relay what this owner has earned, through the extension: nobody else has its key.
    ///
    /// # Errors
    /// Fails when the extension is not registered.
    pub async fn earnings(&self) -> Result<Earnings> {
        let popup = self.popup().await?;
        let answer = popup.eval(WANT_EARNINGS).await?;
        popup.close().await?;
        ensure!(answer["status"] == 200, "no earnings: {answer}");
        serde_json::from_str(answer["body"].as_str().context("no body")?).context("not earnings")
    }

    /// Returns who the extension is to its relay.
    ///
    /// # Errors
    /// Fails when the popup does not open.
    pub async fn identity(&self) -> Result<Value> {
        let popup = self.popup().await?;
        let identity = popup.eval("chrome.storage.local.get('identity').then(kept => kept.identity)").await?;
        popup.close().await?;
        Ok(identity)
    }

    /// Closes the browser and opens it again as the same person.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub async fn again(self) -> Result<Owner> {
        let browser = self.browser.again().await?;
        let extension = browser.load(&built::extension()?).await?;
        Ok(Owner { browser, extension })
    }

    /// Opens one of the extension's pages.
    ///
    /// # Errors
    /// Fails when it does not load.
    pub async fn open(&self, page: &str) -> Result<Tab> {
        self.browser.open(&format!("chrome-extension://{}/{page}", self.extension)).await
    }
}
