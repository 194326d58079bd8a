//! PostgreSQL, on private servers of which the tests run.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use rekursing_tests_postgres::{MISSING, is_installed};

use super::apt_install;

/// Where Debian's package looks whether to set up a server of the system's own.
const SETTINGS: &str = "/etc/postgresql-common/createcluster.conf";

/// Finds PostgreSQL, or installs it where root runs Debian: its programs alone, and no server that starts
/// with the system.
pub(crate) fn postgres() -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    let settings = Path::new(SETTINGS);
    if apt_install(&["postgresql-common"]) && settings.parent().is_some_and(Path::exists) {
        let before = fs::read_to_string(settings).unwrap_or_default();
        let kept = before.lines().filter(|line| !line.trim_start().starts_with("create_main_cluster"));
        let after: String =
            kept.chain(["create_main_cluster = false"]).map(|line| format!("{line}\n")).collect();
        fs::write(settings, after).with_context(|| format!("could not write {SETTINGS}"))?;
        apt_install(&["postgresql"]);
    }
    if is_installed() { Ok(()) } else { bail!(MISSING) }
}
