//! One page of the browser: evaluate, click, look.

use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Cdp;
use crate::{
    eventually,
    eventually::{PATIENCE, within},
};

/// A page that is attached to.
#[derive(Debug, Clone)]
pub struct Tab {
    cdp: Cdp,
    target: String,
    session: String,
}

impl Tab {
    pub(super) async fn attach(cdp: &Cdp, target: &str) -> Result<Tab> {
        let attached =
            cdp.call("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await?;
        let session = attached["sessionId"].as_str().context("attached without a session")?;
        Ok(Tab { cdp: cdp.clone(), target: target.to_owned(), session: session.to_owned() })
    }

    /// Runs a script before those of each page that the tab is sent to from here on.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn before_all(&self, script: &str) -> Result<()> {
        self.cdp.call_in(&self.session, "Page.enable", json!({})).await?;
        let params = json!({"source": script});
        let method = "Page.addScriptToEvaluateOnNewDocument";
        self.cdp.call_in(&self.session, method, params).await.map(|_| ())
    }

    /// Sends the tab to another page and waits until that is there.
    ///
    /// # Errors
    /// Fails when it does not load.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.cdp.call_in(&self.session, "Page.navigate", json!({"url": url})).await?;
        let there = format!("location.href === {} && document.readyState === 'complete'", json!(url));
        self.until(&there).await
    }

    /// Evaluates an expression, waits for its promise if it is one, and returns its value.
    ///
    /// # Errors
    /// Fails when the expression throws.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let result = self.cdp.call_in(&self.session, "Runtime.evaluate", params).await?;
        let exception = &result["exceptionDetails"];
        if !exception.is_null() {
            bail!("{expression} threw {}", exception["exception"]["description"]);
        }
        Ok(result["result"]["value"].clone())
    }

    /// Returns what a promise of the page comes to, however long: one call of the browser ends sooner than that may
    /// take on a loaded machine.
    ///
    /// # Errors
    /// Fails when the promise does, or never comes to anything.
    pub async fn comes_to(&self, promise: &str) -> Result<Value> {
        let call = format!(
            "globalThis.outcome = null, void Promise.resolve({promise}).then(
                (told) => outcome = {{ told: told ?? null }}, (error) => outcome = {{ error: `${{error?.stack ?? error}}` }})",
        );
        self.eval(&call).await?;
        let outcome = within(4 * PATIENCE, "the page is through", || async {
            let outcome = self.eval("outcome").await?;
            Ok((!outcome.is_null()).then_some(outcome))
        });
        let mut outcome = outcome.await?;
        match outcome["error"].as_str() {
            Some(error) => bail!("{promise} failed: {error}"),
            None => Ok(outcome["told"].take()),
        }
    }

    /// Waits until an expression is true. While the page loads it may throw.
    ///
    /// # Errors
    /// Fails when it does not become true.
    pub async fn until(&self, expression: &str) -> Result<()> {
        self.until_some(&format!("({expression}) || null")).await.map(|_| ())
    }

    /// Waits until an expression gives something other than null, and returns it.
    ///
    /// # Errors
    /// Fails when it stays null.
    pub async fn until_some(&self, expression: &str) -> Result<Value> {
        let look = || async {
            let value = self.eval(expression).await.unwrap_or(Value::Null);
            Ok((!value.is_null()).then_some(value))
        };
        eventually(expression, look).await
    }

    /// Waits until an element is to be seen and shows these words.
    ///
    /// # Errors
    /// Fails when it does not, with what the page shows.
    pub async fn shows(&self, selector: &str, words: &str) -> Result<()> {
        let (place, wanted) = (json!(selector), json!(words));
        let seen = format!(
            "(e => e.checkVisibility() && e.innerText.includes({wanted}))(document.querySelector({place}))"
        );
        if self.until(&seen).await.is_err() {
            bail!("no {wanted} in {place} of this page: {}", self.eval("document.body.innerText").await?);
        }
        Ok(())
    }

    /// Clicks in the middle of an element as a mouse does, once the element stands still.
    ///
    /// # Errors
    /// Fails when there is no such element to see.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let selected = json!(selector);
        let middle = format!(
            "(async () => {{ const e = document.querySelector({selected}); if (!e) return null; \
             e.scrollIntoView({{block: 'center'}}); \
             const at = () => {{ const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }}; \
             const before = at(); await new Promise(done => setTimeout(done, 30)); const after = at(); \
             return e.offsetParent && String(before) === String(after) ? after : null; }})()"
        );
        let at = self.until_some(&middle).await.with_context(|| format!("no {selector} to click"))?;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.cdp.call_in(&self.session, "Input.dispatchMouseEvent", params).await?;
        }
        Ok(())
    }

    /// Puts a text into a field, as if typed.
    ///
    /// # Errors
    /// Fails when there is no such field.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let fill = format!(
            "(() => {{ const e = document.querySelector({}); e.focus(); e.value = ''; }})()",
            json!(selector)
        );
        self.eval(&fill).await.with_context(|| format!("no {selector} to fill"))?;
        self.enter(text).await?;
        let change = format!(
            "document.querySelector({}).dispatchEvent(new Event('change', {{bubbles: true}}))",
            json!(selector)
        );
        self.eval(&change).await.map(|_| ())
    }

    /// Chooses a file in a field for files, as if picked in Chrome's dialogue.
    ///
    /// # Errors
    /// Fails when there is no such field.
    pub async fn choose(&self, selector: &str, file: &Path) -> Result<()> {
        let document = self.cdp.call_in(&self.session, "DOM.getDocument", json!({})).await?;
        let found = json!({"nodeId": document["root"]["nodeId"], "selector": selector});
        let node = self.cdp.call_in(&self.session, "DOM.querySelector", found).await?["nodeId"].clone();
        let params = json!({"files": [file], "nodeId": node});
        self.cdp.call_in(&self.session, "DOM.setFileInputFiles", params).await.map(|_| ())
    }

    /// Presses a key, as who has no mouse does: `Tab`, `Enter`, `Escape` or `ArrowUp`.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn press(&self, key: &str) -> Result<()> {
        let (number, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowUp" => (38, ""),
            other => bail!("no key {other}"),
        };
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number});
            if kind == "keyDown" {
                params["text"] = json!(text);
            }
            self.cdp.call_in(&self.session, "Input.dispatchKeyEvent", params).await?;
        }
        Ok(())
    }

    /// Types a text where the keyboard is.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn enter(&self, text: &str) -> Result<()> {
        self.cdp.call_in(&self.session, "Input.insertText", json!({"text": text})).await.map(|_| ())
    }

    /// Has the tab fetch everything anew from here on, as whoever comes for the first time.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn fetch_anew(&self) -> Result<()> {
        self.cdp.call_in(&self.session, "Network.enable", json!({})).await?;
        let params = json!({"cacheDisabled": true});
        self.cdp.call_in(&self.session, "Network.setCacheDisabled", params).await.map(|_| ())
    }

    /// Returns the role of each control that has no name for who does not see the page.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn nameless(&self) -> Result<Vec<String>> {
        const CONTROLS: [&str; 9] =
            ["button", "link", "checkbox", "switch", "textbox", "combobox", "radio", "slider", "spinbutton"];
        let tree = self.cdp.call_in(&self.session, "Accessibility.getFullAXTree", json!({})).await?;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        anyhow::ensure!(nodes.len() > 1, "no accessibility tree");
        let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
        let is_nameless = |node: &&Value| {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            node["ignored"] != true && CONTROLS.contains(&role(node).as_str()) && name.trim().is_empty()
        };
        Ok(nodes.iter().filter(is_nameless).map(role).collect())
    }

    /// Returns why Chromium would not install the page as an app.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn installability(&self) -> Result<Value> {
        let found = self.cdp.call_in(&self.session, "Page.getInstallabilityErrors", json!({})).await?;
        Ok(found["installabilityErrors"].clone())
    }

    /// Makes the page so wide and high.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let method = "Emulation.setDeviceMetricsOverride";
        self.cdp.call_in(&self.session, method, params).await.map(|_| ())
    }

    /// Lets no page of the tab run a script from here on, as whoever has switched them off.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn without_scripts(&self) -> Result<()> {
        let method = "Emulation.setScriptExecutionDisabled";
        self.cdp.call_in(&self.session, method, json!({"value": true})).await.map(|_| ())
    }

    /// Puts the page into a time zone.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn zone(&self, zone: &str) -> Result<()> {
        let params = json!({"timezoneId": zone});
        self.cdp.call_in(&self.session, "Emulation.setTimezoneOverride", params).await.map(|_| ())
    }

    /// Lets the page see light or dark colours as preferred, and nothing that moves.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn prefer(&self, scheme: &str) -> Result<()> {
        let params = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp.call_in(&self.session, "Emulation.setEmulatedMedia", params).await.map(|_| ())
    }

    /// Puts the tab in front of the others, as whoever changes to it.
    ///
    /// # Errors
    /// Fails when Chromium refuses.
    pub async fn come_to_front(&self) -> Result<()> {
        self.cdp.call_in(&self.session, "Page.bringToFront", json!({})).await.map(|_| ())
    }

    /// Returns a picture of the page as a PNG file.
    ///
    /// # Errors
    /// Fails when there is no picture.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        // Chromium draws only the tab in front.
        self.come_to_front().await?;
        let shot =
            self.cdp.call_in(&self.session, "Page.captureScreenshot", json!({"format": "png"})).await?;
        Ok(STANDARD.decode(shot["data"].as_str().context("no picture")?)?)
    }

    /// Closes the page: its visitor has left.
    ///
    /// # Errors
    /// Fails when it is gone already.
    pub async fn close(self) -> Result<()> {
        self.cdp.call("Target.closeTarget", json!({"targetId": self.target})).await?;
        // Nobody is to find it who looks for another one of its address.
        let is_gone = || async {
            let found = self.cdp.call("Target.getTargets", json!({})).await?;
            let targets = found["targetInfos"].as_array().context("no targets")?;
            Ok(targets.iter().all(|target| target["targetId"] != *self.target).then_some(()))
        };
        eventually("the page is closed", is_gone).await
    }
}
