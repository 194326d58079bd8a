//! Whoever has a keyboard alone: every control of a page is reached, seen and named.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use crate::browser::Tab;

/// What the tabulator is to reach. Of a group of radio buttons that is the one that is chosen.
const CONTROLS: &str = "[...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex=\"0\"]')]\
                        .filter(e => !e.disabled && e.checkVisibility({visibilityProperty: true}) && \
                        !e.closest('dialog:not([open])') && (e.type !== 'radio' || e.checked))";

/// Where the keyboard is: the number of the control, whether that is to be seen, and its HTML.
const HERE: &str = "(() => { const e = document.activeElement; \
    const seen = [e, e.closest('label')].filter(Boolean).map(e => getComputedStyle(e)); \
    return [e.dataset?.walk ?? '', seen.some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0), \
    e.outerHTML.slice(0, 120)]; })()";

/// Goes through a page by the tabulator alone, until it has been everywhere.
///
/// # Errors
/// Fails with what was not reached, what shows no focus and what has no name.
pub async fn walk(tab: &Tab) -> Result<()> {
    tab.eval("document.activeElement.blur()").await?;
    tab.eval(&format!("{CONTROLS}.forEach((e, at) => e.dataset.walk = at)")).await?;
    let count = tab.eval(&format!("{CONTROLS}.length")).await?.as_u64().context("no number")?;
    ensure!(count > 3, "{count} controls");
    let mut missed: BTreeSet<u64> = (0..count).collect();
    for _ in 0..count * 4 {
        if missed.is_empty() {
            break;
        }
        tab.press("Tab").await?;
        let here = tab.eval(HERE).await?;
        let Some(number) = here[0].as_str().and_then(|number| number.parse::<u64>().ok()) else { continue };
        ensure!(here[1] == true, "no focus is seen on {}", here[2]);
        missed.remove(&number);
    }
    if let Some(first) = missed.first() {
        let html = tab.eval(&format!("document.querySelector('[data-walk=\"{first}\"]').outerHTML")).await?;
        bail!("the keyboard does not reach {missed:?}, the first being {html}");
    }
    let nameless = tab.nameless().await?;
    ensure!(nameless.is_empty(), "controls without a name: {nameless:?}");
    Ok(())
}
