//! What an owner does in the settings.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::browser::Tab;

/// Ticks or unticks a box and tells the page.
///
/// # Errors
/// Fails when there is no such box.
pub async fn tick(options: &Tab, selector: &str, on: bool) -> Result<()> {
    let change = format!(
        "(() => {{ const e = document.querySelector({}); if (e.checked !== {on}) e.click(); }})()",
        json!(selector)
    );
    options.eval(&change).await.map(|_| ())
}

/// Chooses how a model is priced; without a name, every other model.
///
/// # Errors
/// Fails when the model is not there.
pub async fn choose(options: &Tab, model: &str, way: &str) -> Result<()> {
    let change = format!(
        "(() => {{ const e = document.querySelector('[data-model=\"{model}\"] select'); e.value = '{way}'; \
         e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
    );
    options.eval(&change).await.map(|_| ())
}

/// Writes what is asked for a million tokens of a model, prompt and answer, or the least that is.
///
/// # Errors
/// Fails when there are no such fields.
pub async fn price(options: &Tab, model: &str, input: &str, output: &str) -> Result<()> {
    for (side, dollars) in [("input", input), ("output", output)] {
        options.fill(&format!("[data-model=\"{model}\"] [data-side={side}] input"), dollars).await?;
    }
    Ok(())
}

/// Saves, and waits until it is.
///
/// # Errors
/// Fails when the settings are refused.
pub async fn save(options: &Tab) -> Result<()> {
    options.eval("document.querySelector('#outcome').textContent = ''").await?;
    options.click("button[type=submit]").await?;
    options.until("document.querySelector('#outcome').textContent !== ''").await?;
    let said = "[document.querySelector('#outcome'), ...document.querySelectorAll('[data-error]')]\
                .map(place => place.textContent).filter(Boolean)";
    let said = options.eval(said).await?;
    ensure!(said == json!(["Saved."]), "it was not saved: {said}");
    Ok(())
}
