//! The program by which the guides ask first.

use anyhow::{Result, ensure};

use super::{apt_install, on_path};

/// Finds curl, or installs it where root runs Debian.
pub(crate) fn curl() -> Result<()> {
    let is_there = || on_path("curl").is_some();
    if !is_there() {
        apt_install(&["curl"]);
    }
    ensure!(is_there(), "there is no curl: install `curl` and try again");
    Ok(())
}
