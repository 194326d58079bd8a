//! What the extension may do and reach, beside what it was allowed before: a change of one of these lines
//! is a decision, and stands in docs/decisions/0001.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rekursing_extension_core::{agent::Config, bridge::server::Kind, door::Door, fence::Fence};
use rekursing_tests::built;
use serde_json::{Value, json};

/// The extension's id, by its key.
const EXTENSION: &str = "hcmaooakdekehmhhbjmbifiljdchnaeo";

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(built::root().join(path)).with_context(|| format!("no {path}"))
}

/// Returns the policies that stand in a page.
fn policies(html: &str) -> Vec<&str> {
    let metas = html.split("http-equiv=\"Content-Security-Policy\" content=\"").skip(1);
    metas.filter_map(|rest| rest.split('"').next()).collect()
}

/// Everything that says what the extension may do: of the manifest, of each page, and of the fence for the
/// usual settings before and after a server was found.
fn reach() -> Result<Value> {
    let manifest: Value = serde_json::from_str(&read("manifest.json")?)?;
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(built::root().join("extension"))? {
        let name = entry?.file_name().into_string().ok().context("a strange name")?;
        if name.ends_with(".html") {
            let html = read(&format!("extension/{name}"))?;
            pages.insert(name, json!(policies(&html)));
        }
    }
    let fence = Fence::new(&Config::default().relay, &[]);
    let found = [("http://127.0.0.1:1234".to_owned(), Kind::LmStudio)];
    let door = Door::parse("https://models.example/small.gguf").map_err(|said| anyhow::anyhow!(said.text))?;
    let named = |name: &str| manifest[name].clone();
    let all = manifest.as_object().context("a manifest without fields")?;
    let told = ["name", "version", "description", "icons", "key", "manifest_version", "default_locale"];
    let others: Vec<&String> = all.keys().filter(|name| !told.contains(&name.as_str())).collect();
    Ok(json!({
        "manifest has": others,
        "permissions": named("permissions"),
        "host permissions": named("host_permissions"),
        "optional host permissions": named("optional_host_permissions"),
        "web accessible": named("web_accessible_resources"),
        "connectable": named("externally_connectable"),
        "content scripts": named("content_scripts"),
        "policy of all pages": named("content_security_policy"),
        "least Chrome": named("minimum_chrome_version"),
        "policies of pages": pages,
        "policy of the agent": fence.policy(),
        "rules": by_number(&fence.rules(EXTENSION, &[])),
        "rules once a server is found": by_number(&fence.rules(EXTENSION, &found)),
        "rule while weights are fetched": door.rule(EXTENSION),
    }))
}

/// Rules by their number, so that a test names the one that changed.
fn by_number(rules: &Value) -> Value {
    let rules = rules.as_array().into_iter().flatten();
    rules
        .map(|rule| (format!("{:>2}", rule["id"].to_string()), rule.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Says what of `now` is not as it was.
fn changes(was: &Value, now: &Value, path: &str, found: &mut Vec<String>) {
    match (was, now) {
        (Value::Object(old), Value::Object(new)) => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let nothing = Value::Null;
                let (old, new) = (old.get(name).unwrap_or(&nothing), new.get(name).unwrap_or(&nothing));
                changes(old, new, &format!("{path} › {name}"), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            found.extend(
                new.iter().filter(|item| !old.contains(item)).map(|item| format!("{path}: {item} is new")),
            );
            found.extend(
                old.iter().filter(|item| !new.contains(item)).map(|item| format!("{path}: {item} is gone")),
            );
        }
        (was, now) if was == now => {}
        (was, now) => found.push(format!("{path} was {was} and is {now}")),
    }
}

#[test]
fn the_extension_may_do_and_reach_what_it_was_allowed_and_nothing_else() -> Result<()> {
    let path = built::root().join("tests/recorded/reach.json");
    let now = reach()?;
    if std::env::var_os("REKURSING_REACH").is_some_and(|wish| wish == "renew") {
        std::fs::write(&path, serde_json::to_string_pretty(&now)? + "\n")?;
    }
    let was: Value = serde_json::from_str(&read("tests/recorded/reach.json")?)?;
    let mut found = Vec::new();
    changes(&was, &now, "reach", &mut found);
    ensure!(
        found.is_empty(),
        "the extension may do something else than before. If that is wanted, write it into \
         docs/decisions/0001 and run this test with REKURSING_REACH=renew:\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn the_decision_names_every_permission_and_no_other() -> Result<()> {
    let manifest: Value = serde_json::from_str(&read("manifest.json")?)?;
    let decision = read("docs/decisions/0001-extension-identity-and-permissions.md")?;
    let table = decision.split("## Permissions").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = table.context("no table")?.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut written: Vec<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let lists = ["permissions", "host_permissions", "optional_host_permissions"];
    let mut held: Vec<&str> = lists
        .iter()
        .flat_map(|list| manifest[*list].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    written.sort_unstable();
    held.sort_unstable();
    ensure!(written == held, "docs/decisions/0001 names {written:?}, the manifest {held:?}");
    Ok(())
}

#[test]
fn a_change_is_named() {
    let mut found = Vec::new();
    let was = json!({"permissions": ["storage"], "policy": "none", "rules": {"1": {"action": "block"}}});
    let now =
        json!({"permissions": ["storage", "tabs"], "policy": "self", "rules": {"1": {"action": "allow"}}});
    changes(&was, &now, "reach", &mut found);
    assert_eq!(
        found,
        [
            "reach › permissions: \"tabs\" is new",
            "reach › policy was \"none\" and is \"self\"",
            "reach › rules › 1 › action was \"block\" and is \"allow\"",
        ]
    );
}
