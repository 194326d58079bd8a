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

/// Returns a message as the guide writes it: with `…` for each value.
fn blanked(message: &str) -> String {
    let mut pieces = message.split('$');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| format!("{text}…{}", &piece[1..]))
}

/// Returns the key of the button for a sentence: that of the longest code with which its key begins.
fn button_of<'a>(key: &str, table: &'a [(String, String)]) -> Option<&'a str> {
    // How far the clock is wrong is said in the place of that it is.
    let key = if key.starts_with("clock_") { "clock_wrong" } else { key };
    let fits =
        |code: &str| key.strip_prefix(code).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    let fitting = table.iter().filter(|(code, _)| fits(code));
    fitting.max_by_key(|(code, _)| code.len()).map(|(_, button)| button.as_str())
}

#[test]
fn the_guide_has_every_sentence_and_the_button_beside_it() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/owners.md");
    let guide = fs::read_to_string(guide).unwrap();
    let messages = messages("en");
    let label = |key: &str| messages[key]["message"].as_str().unwrap().to_owned();
    let (remedies, hints) = (buttons("REMEDIES"), buttons("HINTS"));
    assert!(remedies.len() > 20 && hints.len() > 5, "{remedies:?} {hints:?}");
    let mut rows = 0;
    // Of a sentence with a number of things the guide has the one for several.
    for key in messages.as_object().unwrap().keys().filter(|key| !key.ends_with("_one")) {
        let Some((family, code)) = key.split_once('_') else { continue };
        let button = match family {
            "why" => button_of(code, &remedies),
            "hint" => Some(button_of(code, &hints).unwrap_or_else(|| panic!("no button for {key}"))),
            "trial" => None,
            _ => continue,
        };
        let sentence = format!("| {} |", blanked(&label(key)));
        let row = guide.lines().find(|line| line.starts_with(&sentence));
        let row = row.unwrap_or_else(|| panic!("no row {sentence}"));
        rows += 1;
        if family != "trial" {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
            assert_eq!(cell, button.map(label).unwrap_or_default(), "{row}");
        }
    }
    assert!(rows > 70, "{rows} rows");
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
