//! The program that lays the networks of tests.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{apt_install, on_path};

/// Where only root looks.
const SYSTEM: [&str; 2] = ["/usr/sbin/ip", "/sbin/ip"];

/// Finds `ip`, or installs it where root runs Debian.
pub(crate) fn network() -> Result<()> {
    let is_there = || on_path("ip").is_some() || SYSTEM.iter().any(|path| Path::new(path).is_file());
    if !is_there() {
        apt_install(&["iproute2"]);
    }
    ensure!(is_there(), "there is no `ip`: install iproute2 (Debian: apt install iproute2) and try again");
    Ok(())
}
