//! The library that runs a model in the browser: llama.cpp as wasm, in the version and with the checksum of
//! `extension/npm/package-lock.json`. It is put into the extension, because no extension may fetch code.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use super::{folder, on_path, quiet};
use crate::{extension, say};

/// Finds the package or fetches it, and returns its folder.
pub(crate) fn wllama() -> Result<PathBuf> {
    let sources = extension::root().join("extension/npm");
    let folder = folder()?.join("wllama");
    let package = folder.join("node_modules/@wllama/wllama");
    let lock = fs::read(sources.join("package-lock.json")).context("could not read package-lock.json")?;
    let stamp = folder.join("fetched.json");
    if fs::read(&stamp).is_ok_and(|fetched| fetched == lock) {
        return Ok(package);
    }
    let npm = on_path("npm").context("there is no npm: install `nodejs` and `npm`, and build again")?;
    say(&format!("fetching the library for a model in the browser into {}", folder.display()));
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(sources.join(name), folder.join(name)).with_context(|| format!("could not copy {name}"))?;
    }
    let prefix = folder.display().to_string();
    quiet(&npm, ["ci", "--prefix", &prefix, "--ignore-scripts", "--no-audit", "--no-fund"])
        .context("could not fetch it from the npm registry")?;
    fs::write(&stamp, lock).context("could not note what was fetched")?;
    Ok(package)
}
