//! Whether a page can be read by everybody: axe, at several widths and in both colours, with pictures.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{browser::Tab, built};

/// Returns axe itself, to be evaluated once in each page.
///
/// # Errors
/// Fails when it is not there.
pub fn source() -> Result<String> {
    let path = built::node_modules()?.join("axe-core/axe.min.js");
    std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
}

/// Returns the folder of the pictures.
///
/// # Errors
/// Fails when it cannot be made.
pub fn pictures() -> Result<PathBuf> {
    let folder = built::root().join("target/tmp/pages");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Looks at a page in which axe was evaluated, and takes a picture each time. Returns what is wrong.
///
/// # Errors
/// Fails when the page cannot be looked at.
pub async fn look(tab: &Tab, name: &str, widths: &[u32]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for width in widths {
        for scheme in ["light", "dark"] {
            tab.prefer(scheme).await?;
            // The window becomes as high as what is in it.
            tab.resize(*width, 4_000).await?;
            let height = tab.eval("document.documentElement.offsetHeight").await?;
            let height = height.as_u64().and_then(|height| height.try_into().ok());
            tab.resize(*width, height.context("a page without a height")?).await?;
            wrong.extend(picture(tab, &format!("{name}-{width}-{scheme}")).await?);
        }
    }
    Ok(wrong)
}

/// Does what [`look`] does at a page that is as high as its window, of each of these widths and heights.
///
/// # Errors
/// Fails when the page cannot be looked at.
pub async fn look_in(tab: &Tab, name: &str, windows: &[(u32, u32)]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (width, height) in windows {
        for scheme in ["light", "dark"] {
            tab.prefer(scheme).await?;
            tab.resize(*width, *height).await?;
            wrong.extend(picture(tab, &format!("{name}-{width}-{scheme}")).await?);
        }
    }
    Ok(wrong)
}

/// Takes a picture of this name, and returns what is wrong.
async fn picture(tab: &Tab, name: &str) -> Result<Vec<String>> {
    std::fs::write(pictures()?.join(format!("{name}.png")), tab.screenshot().await?)?;
    let found = faults(tab).await?;
    Ok(found.into_iter().map(|found| format!("{name}: {found}")).collect())
}

/// Returns what axe finds wrong, and whether the page is wider than its window.
///
/// # Errors
/// Fails when the page cannot be looked at.
pub async fn faults(tab: &Tab) -> Result<Vec<String>> {
    let run = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.flatMap(rule => \
               rule.nodes.map(node => `${rule.id}: ${node.target} ${node.failureSummary}`)))";
    let found = tab.eval(run).await?;
    let mut faults: Vec<String> = found
        .as_array()
        .into_iter()
        .flatten()
        .map(|fault| fault.as_str().unwrap_or_default().to_owned())
        .collect();
    faults.extend(too_wide(tab).await?);
    Ok(faults)
}

/// Returns by how much the page is wider than its window, if it is.
///
/// # Errors
/// Fails when the page cannot be looked at.
pub async fn too_wide(tab: &Tab) -> Result<Option<String>> {
    let over = tab.eval("document.documentElement.scrollWidth - innerWidth").await?;
    let fits = over.as_i64().is_some_and(|over| over <= 0);
    Ok((!fits).then(|| format!("the page is {over} pixels too wide")))
}
