//! Where the built programs and fixtures lie.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

/// Set by `cargo xtask test`, which has built everything: nothing is built again.
pub const READY: &str = "REKURSING_TESTS_BUILT";

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Returns the folder that `cargo xtask` fills with what the project needs and does not contain.
pub fn outfit() -> PathBuf {
    root().join(".rekursing")
}

/// Returns the relay's program.
///
/// # Errors
/// Fails when it does not build.
pub fn relay() -> Result<PathBuf> {
    program("rekursing-relay")
}

/// Returns the native agent's program.
///
/// # Errors
/// Fails when it does not build.
pub fn node() -> Result<PathBuf> {
    program("rekursing-node")
}

/// Returns the program of the chores.
///
/// # Errors
/// Fails when it does not build.
pub fn xtask() -> Result<PathBuf> {
    program("xtask")
}

/// Returns the folder that loads as the extension.
///
/// # Errors
/// Fails when `cargo xtask extension` has not made it.
pub fn extension() -> Result<PathBuf> {
    let folder = root().join("dist/extension");
    if !folder.join("manifest.json").is_file() {
        bail!("{} is missing: run `cargo xtask extension`", folder.display());
    }
    Ok(folder)
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// Fails when something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("could not list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Returns the Python of the outfit, which has llama.cpp's server and the OpenAI SDK.
///
/// # Errors
/// Fails when `cargo xtask test` has not set it up.
pub fn python() -> Result<PathBuf> {
    present(outfit().join("venv/bin/python"))
}

/// Returns the folder of the packages for Node: the OpenAI SDK, axe and TypeScript.
///
/// # Errors
/// Fails when `cargo xtask test` has not set it up.
pub fn node_modules() -> Result<PathBuf> {
    present(outfit().join("node/node_modules"))
}

/// Returns the Python that has the other libraries that speak OpenAI's format.
///
/// # Errors
/// Fails when `cargo xtask compat` has not set it up.
pub fn compat_python() -> Result<PathBuf> {
    compat("venv/bin/python")
}

/// Returns the folder of their packages for Node.
///
/// # Errors
/// Fails when `cargo xtask compat` has not set it up.
pub fn compat_node_modules() -> Result<PathBuf> {
    compat("node/node_modules")
}

fn compat(name: &str) -> Result<PathBuf> {
    let path = outfit().join("compat").join(name);
    if !path.exists() {
        bail!("{} is missing: run `cargo xtask compat`", path.display());
    }
    Ok(path)
}

/// Returns a file of `tests/model/`.
pub fn model(name: &str) -> PathBuf {
    root().join("tests/model").join(name)
}

fn present(path: PathBuf) -> Result<PathBuf> {
    if !path.exists() {
        bail!("{} is missing: run `cargo xtask setup`", path.display());
    }
    Ok(path)
}

fn program(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    match built {
        Ok(folder) => present(folder.join(name)),
        Err(error) => bail!("{error}"),
    }
}

/// Builds relay, node and the chores into the target folder that this program itself came from, and returns
/// the folder of their programs.
fn build() -> Result<PathBuf> {
    let own = std::env::current_exe().context("could not find this program's own path")?;
    let folder = own
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "debug" || name == "release"))
        .context("this program does not lie in a target folder")?;
    if std::env::var_os(READY).is_some() {
        return Ok(folder.to_owned());
    }
    let target = folder.parent().context("a target folder without a parent")?;
    let status = Command::new(env!("CARGO"))
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target)
        .args([
            "build",
            "--quiet",
            "--bins",
            "-p",
            "rekursing-relay",
            "-p",
            "rekursing-extension-core",
            "-p",
            "xtask",
        ])
        .args(folder.ends_with("release").then_some("--release"))
        .status()
        .context("could not run cargo")?;
    if !status.success() {
        bail!("relay, node and chores do not build");
    }
    Ok(folder.to_owned())
}
