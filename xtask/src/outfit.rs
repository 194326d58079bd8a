//! The outfit: what the project needs on a machine beside the compiler, found or set up once.
//!
//! Everything of ours lies in `.rekursing/` in the repository, which git ignores; removing the folder
//! is safe. Only Chromium, curl, iproute2, PostgreSQL and Node are installed in the system, and only by root on
//! Debian.

mod anvil;
mod chromium;
mod compat;
mod curl;
mod network;
mod node;
mod postgres;
mod python;
mod wllama;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};

use crate::{extension, say};

pub(crate) use anvil::anvil;
pub(crate) use chromium::chromium;
pub(crate) use compat::compat;
pub(crate) use curl::curl;
pub(crate) use network::network;
pub(crate) use node::node;
pub(crate) use postgres::postgres;
pub(crate) use python::{demo_model, python};
pub(crate) use wllama::wllama;

/// Finds or sets up everything that `cargo xtask test` needs.
pub(crate) fn all() -> Result<()> {
    extension::have_target()?;
    chromium()?;
    curl()?;
    network()?;
    postgres()?;
    python()?;
    node()?;
    wllama()?;
    anvil()
}

/// Returns the folder of the outfit and makes it when it is not there.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = extension::root().join(".rekursing");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder)
}

/// Returns where a program lies on the path.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Installs Debian packages when that is ours to do; tells whether it was done.
fn apt_install(packages: &[&str]) -> bool {
    let root = quiet(Path::new("id"), ["-u"]).is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !root || on_path("apt-get").is_none() {
        return false;
    }
    say(&format!("installing {} by apt-get", packages.join(" ")));
    let install = || {
        let arguments = ["install", "-y", "--no-install-recommends"];
        quiet(Path::new("apt-get"), arguments.iter().chain(packages))
    };
    install().is_ok() || (quiet(Path::new("apt-get"), ["update"]).is_ok() && install().is_ok())
}

/// Runs a program without showing what it says, unless it fails.
fn quiet<Argument: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = Argument>,
) -> Result<Output> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .with_context(|| format!("could not run {}", program.display()))?;
    if !output.status.success() {
        bail!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
