//! The tests of the workspace, several programs of them at once.
//!
//! Most whole-product tests wait, for a browser that starts or for a clock that must pass, and
//! `cargo test` runs one program after the other.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{clock, extension, say, test};

/// How many programs run at once, each with as many tests at once as there are cores.
const AT_ONCE: usize = 2;

/// A program of tests.
#[derive(Debug)]
struct Suite {
    /// The crate and the name of the program, which two crates may share.
    name: String,
    program: PathBuf,
    /// The folder of its crate, in which it runs.
    home: PathBuf,
}

/// Builds all tests and runs them, those in the docs last.
///
/// # Errors
/// Fails when they do not build, or with the names of all that failed.
pub(crate) fn run() -> Result<()> {
    let logs = extension::root().join("target/suites");
    fs::create_dir_all(&logs).with_context(|| format!("could not make {}", logs.display()))?;
    let mut suites = built()?;
    ensure!(!suites.is_empty(), "there are no tests");
    suites.reverse();
    let (left, failed) = (Mutex::new(suites), Mutex::new(Vec::new()));
    let next = || left.lock().ok().and_then(|mut left| left.pop());
    thread::scope(|scope| -> Result<()> {
        let work = || -> Result<()> {
            while let Some(suite) = next() {
                if !suite.run(&logs)? {
                    failed.lock().map_err(|_| anyhow::anyhow!("a thread of tests fell"))?.push(suite.name);
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_| anyhow::anyhow!("a thread of tests fell")).flatten()
        })
    })?;
    let failed = failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    test::cargo(&["test", "--doc"], &[&test::WORKSPACE])
}

/// Has cargo build the tests and name their programs.
fn built() -> Result<Vec<Suite>> {
    let messages = test::output(&["test", "--no-run", "--message-format=json-render-diagnostics"])?;
    Ok(messages.lines().filter_map(|line| suite(&serde_json::from_str(line).ok()?)).collect())
}

/// Reads [one message of cargo's](https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages).
fn suite(message: &Value) -> Option<Suite> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let home = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let folder = home.strip_prefix(extension::root()).unwrap_or(&home).display();
    Some(Suite {
        name: format!("{folder}/{}", message["target"]["name"].as_str()?),
        program: message["executable"].as_str()?.into(),
        home,
    })
}

impl Suite {
    /// Runs it, shows what it wrote once it has ended, and returns whether all went well.
    ///
    /// What it writes goes through a file, as a process that it left behind would hold a pipe open.
    fn run(&self, logs: &Path) -> Result<bool> {
        say(&format!("{} begins", self.name));
        let begun = clock::now();
        let path = logs.join(self.name.replace('/', "-"));
        let log = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        let mut command = Command::new(&self.program);
        command.current_dir(&self.home).env("CARGO_MANIFEST_DIR", &self.home).env(test::BUILT, "1");
        let status = command.stdout(log.try_clone()?).stderr(log).status();
        let well = status.with_context(|| format!("could not run {}", self.program.display()))?.success();
        io::stdout().lock().write_all(&fs::read(&path)?)?;
        let end = if well { "ended" } else { "FAILED" };
        say(&format!("{} {end} after {:.1} s", self.name, begun.elapsed().as_secs_f64()));
        Ok(well)
    }
}
