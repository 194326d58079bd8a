//! The owner's pages in every state: readable by everybody, at every width, in both colours.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::{Tab, Window},
    built,
    owner::Owner,
    recorded::Recorded,
};
use serde_json::{Value, json};

const NO_SERVER: &str = "No model server was found. Start LM Studio, Ollama or llama.cpp.";
const SILENT: &str =
    "Nothing answers at the model server's address. Start the server, or set another address.";
const TOKEN: &str = "The model server wants an API token. Set it in the options.";
const NO_MODEL: &str = "The model server has no model loaded. Load one.";
const UNREACHABLE: &str = "The relay cannot be reached. Trying again.";
const OLD: &str = "The relay speaks another version. Update to go on.";

/// The earnings page has everything.
const FULL: &str = "document.querySelector('#made').children.length > 0";

/// A state by its name, with what is done on the page before it is looked at.
struct Case {
    name: &'static str,
    recorded: Recorded,
    steps: &'static [&'static str],
}

fn case(name: &'static str, recorded: Recorded) -> Case {
    Case { name, recorded, steps: &[] }
}

/// Looks at each case of a page at 360 and 800 pixels, light and dark.
async fn look(page: &str, cases: Vec<Case>) -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    let axe = std::fs::read_to_string(built::node_modules()?.join("axe-core/axe.min.js"))?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder)?;
    let mut wrong = Vec::new();
    for Case { name, recorded, steps } in cases {
        let tab = recorded.show(owner.browser(), owner.extension(), &format!("{page}.html")).await?;
        for step in steps {
            tab.until(step).await?;
        }
        tab.eval(&axe).await?;
        for width in [360, 800] {
            for scheme in ["light", "dark"] {
                tab.prefer(scheme).await?;
                // The window becomes as high as what is in it.
                tab.resize(width, 4_000).await?;
                let height = tab.eval("document.documentElement.offsetHeight").await?;
                let height = height.as_u64().and_then(|height| height.try_into().ok());
                tab.resize(width, height.context("a page without a height")?).await?;
                let file = folder.join(format!("{page}-{name}-{width}-{scheme}.png"));
                tab.screenshot(&file).await?;
                for found in faults(&tab).await? {
                    wrong.push(format!("{name} at {width}, {scheme}: {found}"));
                }
            }
        }
        tab.close().await?;
    }
    ensure!(wrong.is_empty(), "pictures in {}:\n{}", folder.display(), wrong.join("\n"));
    Ok(())
}

/// Returns what axe finds wrong, and whether the page is wider than its window.
async fn faults(tab: &Tab) -> Result<Vec<String>> {
    let run = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.flatMap(rule => \
               rule.nodes.map(node => `${rule.id}: ${node.target} ${node.failureSummary}`)))";
    let found = tab.eval(run).await?;
    let mut faults: Vec<String> = found
        .as_array()
        .into_iter()
        .flatten()
        .map(|fault| fault.as_str().unwrap_or_default().to_owned())
        .collect();
    let over = tab.eval("document.documentElement.scrollWidth - innerWidth").await?;
    if over.as_i64().is_none_or(|over| over > 0) {
        faults.push(format!("the page is {over} pixels too wide"));
    }
    Ok(faults)
}

#[tokio::test]
async fn the_popup_can_be_read_by_everybody_in_every_state() -> Result<()> {
    let ready = Recorded::ready;
    let paused = json!({"phase": "ready", "reason": {"code": "paused", "text": "No new jobs are taken."}});
    let outlook = json!([
        {"code": "price", "text": "Your price is 40 % above the median for this model."},
        {"code": "demand", "text": "Nobody has asked for qwen2.5-7b-instruct today."},
    ]);
    look(
        "popup",
        vec![
            case("undecided", Recorded::undecided()),
            case("working", ready()),
            case("idle", ready().with("jobs", json!([])).with("outlook", outlook)),
            case("new", ready().with("jobs", json!([])).with("earnings", Value::Null)),
            case(
                "paused",
                ready()
                    .with("paused", json!(true))
                    .with("connection", paused.clone())
                    .with("jobs", json!([])),
            ),
            case(
                "paused-until",
                ready()
                    .with("paused", json!(true))
                    .with("connection", paused)
                    .with("jobs", json!([]))
                    .with("pausedUntil", json!(1_763_700_000_000_u64)),
            ),
            case(
                "connecting",
                ready()
                    .with("connection", json!({"phase": "connecting", "reason": null}))
                    .with("jobs", json!([])),
            ),
            case("no-server", ready().without_server("no_server", NO_SERVER)),
            case("no-relay", ready().without_link("waiting", "relay_unreachable", UNREACHABLE)),
            case("old", ready().without_link("off", "version", OLD)),
            Case {
                name: "notifications",
                recorded: ready(),
                steps: &["document.querySelector('#notices').open = true"],
            },
        ],
    )
    .await
}

#[tokio::test]
async fn the_welcome_page_can_be_read_by_everybody_in_every_state() -> Result<()> {
    let ready = || Recorded::ready().with("jobs", json!([]));
    let undecided = Recorded::undecided;
    let models = ready().state["models"].clone();
    let trial = json!({
        "model": "qwen2.5-7b-instruct", "running": false, "tokensPerSecond": 61, "firstTokenMs": 210,
        "failed": null,
    });
    let found = || undecided().with("server", ready().state["server"].clone());
    look(
        "welcome",
        vec![
            case("fresh", undecided()),
            case("no-server", undecided().without_server("no_server", NO_SERVER)),
            case("silent", undecided().without_server("server_silent", SILENT)),
            case("token", undecided().without_server("token_wanted", TOKEN)),
            case("no-model", undecided().without_server("no_model", NO_MODEL)),
            case("found", found().with("models", models.clone())),
            case("tested", found().with("models", models).with("trial", trial)),
            case("no-relay", ready().without_link("waiting", "relay_unreachable", UNREACHABLE)),
            case("old", ready().without_link("off", "version", OLD)),
            case("ready", ready()),
        ],
    )
    .await
}

#[tokio::test]
async fn the_earnings_page_can_be_read_by_everybody_in_every_state() -> Result<()> {
    let ready = Recorded::ready;
    let nothing = json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "0", "held": "0", "releases": [],
        "inPayout": "0", "paid": "0", "payoutCosts": "0", "today": "0", "last7Days": "0", "last30Days": "0",
        "total": "0", "jobs": 0, "days": [], "models": [], "recent": [],
    });
    let mut bare = ready().answers["payouts"][1].clone();
    bare["method"] = Value::Null;
    bare["payouts"] = json!([]);
    let asking = Recorded { answers: json!({}), ..ready() };
    let silent = json!({"error": {"code": "relay_unreachable", "message": "The relay cannot be reached."}});
    look(
        "earnings",
        vec![
            Case { name: "full", recorded: ready(), steps: &[FULL] },
            Case { name: "loading", recorded: asking, steps: &["!document.querySelector('#notice').hidden"] },
            Case {
                name: "quote",
                recorded: ready(),
                steps: &[
                    FULL,
                    "document.querySelector('#order button[type=submit]').click() || true",
                    "!document.querySelector('#quote').hidden",
                ],
            },
            Case {
                name: "receipt",
                recorded: ready(),
                steps: &[
                    FULL,
                    "document.querySelector('#recent button').click() || true",
                    "document.querySelector('#verdict').textContent.includes('The signature holds')",
                ],
            },
            Case {
                name: "table",
                recorded: ready(),
                steps: &[FULL, "document.querySelector('#chart details').open = true"],
            },
            Case {
                name: "empty",
                recorded: ready().answering("earnings", 200, &nothing).answering("payouts", 200, &bare),
                steps: &[
                    "!document.querySelector('#empty').hidden",
                    "document.querySelector('#way').options.length === 3",
                ],
            },
            Case {
                name: "unreachable",
                recorded: ready().answering("earnings", 0, &silent),
                steps: &["!document.querySelector('#retry').hidden"],
            },
            case("undecided", Recorded::undecided()),
        ],
    )
    .await
}
