//! A local EVM chain, on which the tests pay out.

use anyhow::{Context, Result};

use super::{apt_install, folder, on_path, quiet};
use crate::say;

const CHAIN: &str = "@foundry-rs/anvil@1.7.1";

/// Sets the chain up. The package's own install script is not needed: the program of this machine's kind
/// is a package that the first one depends on.
pub(crate) fn anvil() -> Result<()> {
    let folder = folder()?.join("anvil");
    let stamp = folder.join("package.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|present| present == CHAIN) {
        return Ok(());
    }
    if on_path("npm").is_none() {
        apt_install(&["nodejs", "npm"]);
    }
    let npm = on_path("npm").context("there is no npm: install `npm` and try again")?;
    say(&format!("setting up {CHAIN} in {}", folder.display()));
    std::fs::create_dir_all(&folder)?;
    let prefix = folder.display().to_string();
    let flags =
        ["install", "--prefix", &prefix, "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
    quiet(&npm, flags.iter().chain(&[CHAIN])).context("could not fetch Anvil from the npm registry")?;
    std::fs::write(stamp, CHAIN)?;
    Ok(())
}
