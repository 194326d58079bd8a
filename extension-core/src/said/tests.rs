use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::*;
use crate::agent::{Reason, Why};

fn messages(language: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension/_locales").join(language);
    serde_json::from_slice(&fs::read(path.join("messages.json")).unwrap()).unwrap()
}

impl Said {
    /// Fails unless the English message of the key reads as the sentence, with any text for a moment.
    pub(crate) fn reads_as_its_message(&self) {
        let counted = self.values.iter().find_map(|value| match value {
            Blank::Count(1) => Some("_one"),
            Blank::Count(_) => Some("_other"),
            Blank::Text(_) | Blank::Number(_) | Blank::At(_) => None,
        });
        let key = format!("{}{}", self.key, counted.unwrap_or_default());
        let messages = messages("en");
        let message = messages[&key]["message"].as_str().unwrap_or_else(|| panic!("no message {key}"));
        let mut rest = self.text.as_str();
        let mut pieces = message.split('$');
        rest = rest.strip_prefix(pieces.next().unwrap_or_default()).unwrap_or_else(|| panic!("{message}"));
        for piece in pieces {
            let (number, literal) = piece.split_at(1);
            let value = &self.values[number.parse::<usize>().unwrap() - 1];
            let value = match value {
                Blank::Text(text) => text.clone(),
                Blank::Number(number) | Blank::Count(number) => number.to_string(),
                Blank::At(_) => rest[..rest.rfind(literal).unwrap()].to_owned(),
            };
            rest = rest.strip_prefix(&value).unwrap_or_else(|| panic!("{message} and {}", self.text));
            rest = rest.strip_prefix(literal).unwrap_or_else(|| panic!("{message} and {}", self.text));
        }
        assert_eq!(rest, "", "{message} and {}", self.text);
    }
}

impl Reason {
    /// Fails unless the English message reads as the sentence.
    pub(crate) fn reads_as_its_message(&self) {
        let key = serde_json::to_value(self.code).unwrap();
        let key = self.key.clone().unwrap_or_else(|| format!("why_{}", key.as_str().unwrap()).into());
        Said { key, values: self.values.clone(), text: self.text.clone() }.reads_as_its_message();
    }
}

/// Returns every reason, as the derived reader lists them for whoever names another.
fn whys() -> Vec<Why> {
    let error = serde_json::from_str::<Why>("\"\"").unwrap_err().to_string();
    let names: Vec<&str> = error.split('`').skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 20, "{error}");
    names.iter().map(|name| serde_json::from_value((*name).into()).unwrap()).collect()
}

#[test]
fn every_reason_reads_as_its_message() {
    for why in whys() {
        why.reason().reads_as_its_message();
    }
}

/// Returns what stands in a table of `standing.js`: codes with the keys of their buttons.
fn buttons(table: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extension/standing.js");
    let text = fs::read_to_string(path).unwrap();
    let rows =
        text.split(&format!("const {table} = {{")).nth(1).and_then(|rest| rest.split("};").next()).unwrap();
    let row = |line: &str| {
        let (code, rest) = line.trim().split_once(": ['")?;
        Some((code.to_owned(), rest.split_once('\'')?.0.to_owned()))
    };
    rows.lines().filter_map(row).collect()
}

#[test]
fn the_guide_has_every_sentence_and_the_button_beside_it() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/owners.md");
    let guide = fs::read_to_string(guide).unwrap();
    let messages = messages("en");
    let label = |key: &str| messages[key]["message"].as_str().unwrap().to_owned();
    let remedies = buttons("REMEDIES");
    assert!(remedies.len() > 20, "{remedies:?}");
    for why in whys() {
        let line = guide.lines().find(|line| line.starts_with(&format!("| {} |", why.sentence())));
        let line = line.unwrap_or_else(|| panic!("no line for {}", why.sentence()));
        let code = serde_json::to_value(why).unwrap();
        let button = remedies.iter().find(|(known, _)| code == known.as_str()).map(|(_, key)| label(key));
        let cell = line.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert_eq!(cell, button.unwrap_or_default(), "{line}");
    }
    let hints = buttons("HINTS");
    assert!(hints.len() > 5, "{hints:?}");
    for (_, key) in hints {
        assert!(guide.contains(&format!("| {} |", label(&key))), "{key}");
    }
}

/// Returns the keys that stand in the sources of this crate.
fn written(folder: &Path, keys: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            written(&entry.path(), keys);
        } else if entry.file_name() != "tests.rs" {
            let text = fs::read_to_string(entry.path()).unwrap();
            let key = |text: &&str| {
                ["why_", "hint_", "trial_", "form_", "error_"].iter().any(|family| text.starts_with(family))
                    && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            };
            keys.extend(text.split('"').filter(key).map(str::to_owned));
        }
    }
}

#[test]
fn every_key_has_a_message_in_every_language_and_every_message_its_key() {
    let mut keys = BTreeSet::new();
    written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut keys);
    keys.retain(|key| !key.ends_with('_'));
    keys.extend(
        whys().iter().map(|why| format!("why_{}", serde_json::to_value(why).unwrap().as_str().unwrap())),
    );
    assert!(keys.len() > 60, "{keys:?}");
    for language in ["en", "de"] {
        let messages = messages(language);
        for key in &keys {
            let plural =
                || ["_one", "_other"].iter().all(|end| messages.get(format!("{key}{end}")).is_some());
            assert!(messages.get(key).is_some() || plural(), "{language} lacks {key}");
        }
        let families = ["why_", "hint_", "trial_", "form_"];
        for key in messages.as_object().unwrap().keys() {
            let stem = key.trim_end_matches("_one").trim_end_matches("_other");
            let is_ours = families.iter().any(|family| key.starts_with(family));
            assert!(!is_ours || keys.contains(stem) || keys.contains(key), "nobody says {key}");
        }
    }
}
