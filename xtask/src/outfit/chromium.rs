//! The browser.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{apt_install, on_path};

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Finds Chromium, or installs it where root runs Debian.
pub(crate) fn chromium() -> Result<PathBuf> {
    let find = || PROGRAMS.iter().find_map(|name| on_path(name));
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_install(&["chromium"]);
    match find() {
        Some(installed) => Ok(installed),
        None => {
            bail!("there is no Chromium: install `chromium` (Debian: apt install chromium) and try again")
        }
    }
}
