//! Node and the official OpenAI SDK for it, which the tests speak to `/v1` with.

use anyhow::{Context, Result};

use super::{apt_install, folder, on_path, quiet};
use crate::say;

const SDK: &str = "openai@6.49.0";

/// Finds Node and sets up the SDK.
pub(crate) fn node() -> Result<()> {
    let folder = folder()?.join("node");
    if on_path("node").is_none() || on_path("npm").is_none() {
        apt_install(&["nodejs", "npm"]);
    }
    let npm = on_path("npm").context("there is no Node: install `nodejs` and `npm` and try again")?;
    if folder.join("node_modules/openai/package.json").is_file() {
        return Ok(());
    }
    say(&format!("setting up {SDK} in {}", folder.display()));
    std::fs::create_dir_all(&folder)?;
    let prefix = folder.display().to_string();
    quiet(&npm, ["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--save-exact", SDK])
        .context("could not fetch the OpenAI SDK from the npm registry")?;
    Ok(())
}
