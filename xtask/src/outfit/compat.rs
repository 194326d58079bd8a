//! The libraries and programs beside OpenAI's own that speak its format, for `cargo xtask compat`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{apt_install, folder, on_path, python, quiet};
use crate::say;

/// What is fetched for Python.
const PYTHON: [&str; 8] = [
    "langchain-core==1.8.3",
    "langchain-openai==1.7.4",
    "litellm==1.110.2",
    "llama-index-core==0.14.25",
    "llama-index-llms-openai-like==0.8.1",
    "llm==0.32.1",
    "mcp==2.3.0",
    "openai==2.54.0",
];

/// What is fetched for Node.
const NODE: [&str; 5] = [
    "ai@6.0.326",
    "@ai-sdk/openai-compatible@2.0.92",
    "@modelcontextprotocol/sdk@1.32.2",
    "deno@2.9.6",
    "zod@4.6.7",
];

/// Sets up both, each in a folder of its own, so that they share no version with the other tests.
pub(crate) fn compat() -> Result<()> {
    let folder = folder()?.join("compat");
    once(&folder.join("venv"), &PYTHON, |venv| {
        python::create(venv)?;
        let install = ["-m", "pip", "install", "--quiet"];
        quiet(&venv.join("bin/python"), install.iter().chain(&PYTHON))
            .context("could not fetch the packages from the Python package index")?;
        Ok(())
    })?;
    once(&folder.join("node"), &NODE, |target| {
        let prefix = target.display().to_string();
        let install = ["install", "--prefix", &prefix, "--no-audit", "--no-fund", "--save-exact"];
        quiet(&npm()?, install.iter().chain(&NODE))
            .context("could not fetch the packages from the npm registry")?;
        Ok(())
    })
}

/// Sets up a folder unless exactly these packages are in it.
fn once(folder: &Path, packages: &[&str], set_up: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let stamp = folder.join("packages.txt");
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    say(&format!("setting up {} in {}", packages.join(", "), folder.display()));
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    set_up(folder)?;
    fs::write(stamp, wanted).context("could not note what is there")
}

fn npm() -> Result<PathBuf> {
    if on_path("node").is_none() || on_path("npm").is_none() {
        apt_install(&["nodejs", "npm"]);
    }
    on_path("npm").context("there is no Node: install `nodejs` and `npm` and try again")
}
