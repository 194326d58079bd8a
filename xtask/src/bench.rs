//! `cargo xtask bench`: what the relay adds, in one run, beside the model server reached directly and
//! the floor, which is a relay without any rule.
//!
//! All ways are measured in turn, round after round, so that the machine's drift meets them alike; every
//! figure is the median of the rounds.

mod aim;
mod load;
mod report;
mod stage;

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{extension, outfit, say, test};
use load::LOADS;
use report::Report;
use stage::{Stage, Way};

/// Medians by load and way.
pub(crate) type Figures = BTreeMap<(&'static str, Way), Value>;

/// Measures everything and prints the report; writes it to `docs/performance.md` when told to.
pub(crate) fn bench(rounds: usize, write: bool) -> Result<()> {
    build()?;
    let stage = Stage::set()?;
    let mut runs: BTreeMap<(&'static str, Way), Vec<Value>> = BTreeMap::new();
    for round in 1..=rounds {
        for load in LOADS {
            for way in load.ways {
                say(&format!("round {round} of {rounds}: {}, {}", load.name, way.name()));
                runs.entry((load.name, *way)).or_default().push(stage.run(*way, &load.arguments())?);
            }
        }
    }
    let figures = runs.into_iter().map(|(at, values)| (at, median(&values))).collect();
    let calls = stage.system_calls()?;
    let store_share = stage.store_share()?;
    say("the extension in Chromium");
    let browser = browser(stage.model_server())?;
    drop(stage);
    say("10,000 idle sessions");
    let idle = stage::idle_sessions()?;
    let report = Report { figures, calls, store_share, idle, browser, rounds };
    let text = report.print()?;
    eprintln!("\n{text}");
    if write {
        let path = extension::root().join("docs/performance.md");
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

fn build() -> Result<()> {
    extension::build()?;
    outfit::chromium()?;
    outfit::postgres()?;
    let packages = ["rekursing-relay", "rekursing-extension-core", "rekursing-bench", "rekursing-tests"];
    let named: Vec<&str> = packages.iter().flat_map(|package| ["--package", package]).collect();
    test::cargo(
        &["build", "--release", "--bins"],
        &[&named, &["--features", "rekursing-extension-core/native"]],
    )
}

/// Measures the extension in a real Chromium.
fn browser(model_server: &str) -> Result<Value> {
    let output = Command::new(stage::program("rekursing-bench-browser"))
        .args([model_server, "mock"])
        .env(test::BUILT, "1")
        .output()
        .context("could not run the browser's bench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .with_context(|| format!("no figures: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Returns the median of every number in values of one shape.
fn median(values: &[Value]) -> Value {
    match values.first() {
        Some(Value::Number(_)) => {
            let mut numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
            numbers.sort_by(f64::total_cmp);
            numbers.get(numbers.len() / 2).copied().into()
        }
        Some(Value::Object(fields)) => {
            let field = |name: &String| {
                let inner: Vec<Value> = values.iter().map(|value| value[name].clone()).collect();
                (name.clone(), median(&inner))
            };
            Value::Object(fields.keys().map(field).collect())
        }
        Some(first) => first.clone(),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_median_keeps_the_shape() {
        let runs = [1.0, 9.0, 2.0].map(|p50| json!({"first_us": {"p50": p50}, "errors": {}}));
        assert_eq!(median(&runs), json!({"first_us": {"p50": 2.0}, "errors": {}}));
    }
}
