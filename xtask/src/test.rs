//! `cargo xtask test`: everything that must hold, in one command, quickest first.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{clock, extension, outfit, say, suites};

/// The native agent is behind a feature, so that the extension's wasm carries none of it. Every step
/// names the same packages and features: whatever is compiled once serves the others.
pub(crate) const WORKSPACE: [&str; 3] = ["--workspace", "--features", "rekursing-extension-core/native"];

/// Tells the tests that the programs are built.
pub(crate) const BUILT: &str = "REKURSING_TESTS_BUILT";

/// Runs every check and stops at the first that fails.
pub(crate) fn test() -> Result<()> {
    let begun = clock::now();
    let mut times = Vec::new();
    let mut step = |name: &'static str, work: &dyn Fn() -> Result<()>| -> Result<()> {
        say(name);
        let begun = clock::now();
        work().with_context(|| format!("failed: {name}"))?;
        times.push((name, begun.elapsed()));
        Ok(())
    };
    step("outfit", &outfit::all)?;
    step("formatting", &|| cargo(&["fmt", "--all", "--check"], &[]))?;
    step("lints", &|| cargo(&["clippy", "--all-targets"], &[&WORKSPACE, &["--", "-D", "warnings"]]))?;
    step("lints of the browser's half", &|| {
        let wasm =
            ["clippy", "--package", "rekursing-extension-core", "--lib", "--target", extension::TARGET];
        cargo(&wasm, &[&["--", "-D", "warnings"]])
    })?;
    step("extension", &|| extension::build().map(drop))?;
    step("programs", &|| cargo(&["build", "--all-targets"], &[&WORKSPACE]))?;
    step("documentation", &|| cargo(&["doc", "--no-deps"], &[&WORKSPACE]))?;
    step("tests", &suites::run)?;
    report(&times, begun.elapsed());
    Ok(())
}

/// Builds the programs that the demo runs.
pub(crate) fn build() -> Result<()> {
    cargo(&["build", "--bins"], &[&WORKSPACE])
}

/// Runs cargo in the workspace.
pub(crate) fn cargo(arguments: &[&str], more: &[&[&str]]) -> Result<()> {
    if !command(arguments, more).status().context("could not run cargo")?.success() {
        bail!("cargo {} {}", arguments.join(" "), more.concat().join(" "));
    }
    Ok(())
}

/// Runs cargo in the whole workspace and returns what it writes to standard output.
pub(crate) fn output(arguments: &[&str]) -> Result<String> {
    let mut cargo = command(arguments, &[&WORKSPACE]);
    let output = cargo.stderr(Stdio::inherit()).output().context("could not run cargo")?;
    if !output.status.success() {
        bail!("cargo {}", arguments.join(" "));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn command(arguments: &[&str], more: &[&[&str]]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(extension::root()).args(arguments).args(more.concat());
    command.env(BUILT, "1").env("RUSTDOCFLAGS", "-D warnings");
    // What helps to build a second time takes time the first time, and there is no second one.
    if std::env::var_os("CI").is_some() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

fn report(times: &[(&str, Duration)], whole: Duration) {
    for (name, time) in times {
        say(&format!("{name}: {:.1} s", time.as_secs_f64()));
    }
    say(&format!("all is well after {:.0} s", whole.as_secs_f64()));
}
