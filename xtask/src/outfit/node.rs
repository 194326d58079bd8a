//! Node with the official OpenAI SDK, which the tests speak to `/v1` with, axe, which finds what keeps
//! people from using a page, and TypeScript, which checks the types of the client library.

use anyhow::{Context, Result};

use super::{apt_install, folder, on_path, quiet};
use crate::say;

/// What is fetched, and in which version.
const PACKAGES: [(&str, &str); 3] = [("openai", "6.49.0"), ("axe-core", "4.14.1"), ("typescript", "5.9.3")];

/// Finds Node and sets up the packages.
pub(crate) fn node() -> Result<()> {
    let folder = folder()?.join("node");
    if on_path("node").is_none() || on_path("npm").is_none() {
        apt_install(&["nodejs", "npm"]);
    }
    let npm = on_path("npm").context("there is no Node: install `nodejs` and `npm` and try again")?;
    let is_there = |name: &str| folder.join("node_modules").join(name).join("package.json").is_file();
    if PACKAGES.iter().all(|(name, _)| is_there(name)) {
        return Ok(());
    }
    let wanted = PACKAGES.map(|(name, version)| format!("{name}@{version}"));
    say(&format!("setting up {} in {}", wanted.join(", "), folder.display()));
    std::fs::create_dir_all(&folder)?;
    let prefix = folder.display().to_string();
    let install = ["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--save-exact"];
    quiet(&npm, install.into_iter().chain(wanted.iter().map(String::as_str)))
        .context("could not fetch the packages from the npm registry")?;
    Ok(())
}
