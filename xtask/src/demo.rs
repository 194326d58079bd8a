//! `cargo xtask demo`: the whole product at work on this machine.
//!
//! Here everything is built and fetched; what happens then is `tests/src/bin/rekursing-demo.rs`,
//! which drives the same programs as the tests do.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{extension, outfit, say, test};

/// Builds everything and runs the demo.
pub(crate) fn demo(headless: bool) -> Result<()> {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !headless && !display {
        bail!("there is no display for a window: try `cargo xtask demo --headless`");
    }
    outfit::chromium()?;
    extension::build()?;
    test::build()?;
    let mut command = Command::new(programs().join("rekursing-demo"));
    command.env(test::BUILT, "1").current_dir(extension::root());
    if headless {
        command.arg("--headless");
    }
    command.args(model_arguments());
    if !command.status().context("could not run the demo")?.success() {
        bail!("the demo did not come to its end");
    }
    Ok(())
}

/// Builds everything and takes the pictures for the store.
pub(crate) fn shots() -> Result<()> {
    outfit::chromium()?;
    let model = outfit::demo_model()?;
    extension::build()?;
    test::build()?;
    let mut command = Command::new(programs().join("rekursing-shots"));
    command.env(test::BUILT, "1").current_dir(extension::root());
    command.arg(model).arg(extension::root().join("extension/store"));
    if !command.status().context("could not run the pictures")?.success() {
        bail!("not every picture was taken");
    }
    Ok(())
}

/// Names the model to serve when no model server runs yet: SmolLM2, or the tests' tiny model when
/// the network is away.
fn model_arguments() -> Vec<OsString> {
    let model = outfit::demo_model().unwrap_or_else(|error| {
        say(&format!("{error:#}; the tests' tiny model stands in"));
        extension::root().join("tests/model/tiny-chat.gguf")
    });
    vec!["--model".into(), model.into_os_string()]
}

fn programs() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| extension::root().join("target")).join("debug")
}
