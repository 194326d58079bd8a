//! The words of the extension: the same in every language, all of them used, and none outside the messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use rekursing_tests::built;
use serde_json::Value;

/// Messages that are asked for by a code: a reason of the agent, an obstacle, a failure, a fault of a form,
/// a word of a receipt.
const BY_CODE: [&str; 7] = ["why_", "hint_", "trial_", "form_", "error_", "receipt_is_", "tier_"];

/// Names that are the same in every language.
const NAMES: [&str; 9] =
    ["Rekursing", "PayPal", "Stripe", "USDC", "LM Studio", "Ollama", "llama.cpp", "vLLM", "CSV"];

type Messages = BTreeMap<String, String>;

fn folder() -> PathBuf {
    built::root().join("extension")
}

fn messages(language: &str) -> Result<Messages> {
    let text = std::fs::read_to_string(folder().join("_locales").join(language).join("messages.json"))?;
    let all: BTreeMap<String, Value> = serde_json::from_str(&text)?;
    // A key that stands twice is lost when it is read.
    ensure!(text.matches("\"message\":").count() == all.len(), "a key stands twice in {language}");
    let text = |message: &Value| message["message"].as_str().map(str::to_owned);
    all.iter()
        .map(|(key, message)| Ok((key.clone(), text(message).with_context(|| format!("no message {key}"))?)))
        .collect()
}

/// Returns the files of the extension that end so, by name.
fn files(end: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder())? {
        let name = entry?.file_name().into_string().ok().context("a strange name")?;
        if name.ends_with(end) {
            files.insert(name.clone(), std::fs::read_to_string(folder().join(name))?);
        }
    }
    Ok(files)
}

/// Returns the numbers of the values in a message.
fn blanks(message: &str) -> BTreeSet<char> {
    message.split('$').skip(1).filter_map(|rest| rest.chars().next()).collect()
}

#[test]
fn every_language_has_the_same_messages_with_the_same_values_in_them() -> Result<()> {
    let english = messages("en")?;
    let mut languages = 0;
    for entry in std::fs::read_dir(folder().join("_locales"))? {
        let language = entry?.file_name().into_string().ok().context("a strange name")?;
        let theirs = messages(&language)?;
        languages += 1;
        let keys = |messages: &Messages| messages.keys().cloned().collect::<BTreeSet<_>>();
        let odd: Vec<_> = keys(&english).symmetric_difference(&keys(&theirs)).cloned().collect();
        ensure!(odd.is_empty(), "{language} and en differ in {odd:?}");
        ensure!(theirs["language"] == language, "{language} calls itself {}", theirs["language"]);
        for (key, message) in &theirs {
            ensure!(blanks(message) == blanks(&english[key]), "{key} of {language} has other values");
            let marks = |text: &str| text.matches('*').count();
            ensure!(marks(message) == marks(&english[key]), "{key} of {language} has other elements");
            ensure!(!message.trim().is_empty() && !message.contains('!'), "{key} of {language}: {message}");
            ensure!(!key.ends_with("_one") || theirs.contains_key(&key.replace("_one", "_other")), "{key}");
        }
    }
    ensure!(languages >= 2, "only one language");
    Ok(())
}

/// One element of a page: what is in it, with the words of inner elements between asterisks.
fn inner(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push('*');
        rest = rest[at..].split_once('>').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the value of an attribute in a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value)
}

#[test]
fn every_text_of_the_pages_is_the_english_message_of_its_key() -> Result<()> {
    let english = messages("en")?;
    let mut seen = 0;
    for (name, mut html) in files(".html")? {
        let has_words = |text: &str| text.chars().filter(|letter| letter.is_alphabetic()).count() > 1;
        // What has a key is taken out; what is left may have no words.
        while let Some(at) = html.find(" data-msg=\"") {
            let begin = html[..at].rfind('<').context("a key outside a tag")?;
            let open = html[begin..].split_once('>').context("a tag without an end")?.0.to_owned();
            let tag = open[1..].split_whitespace().next().unwrap_or_default();
            let key = attribute(&open, "data-msg").unwrap_or_default();
            let body = begin + open.len() + 1;
            let end = body + html[body..].find(&format!("</{tag}>")).context("an element without an end")?;
            let message = english.get(key).with_context(|| format!("{name} wants {key}"))?;
            let text = inner(&html[body..end]);
            ensure!(text == *message, "{key} in {name} is {text:?} and {message:?}");
            html.replace_range(body..end, "");
            html = html.replacen(&format!(" data-msg=\"{key}\""), "", 1);
            seen += 1;
        }
        for tag in html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default()) {
            for name in ["title", "aria-label", "placeholder", "alt"] {
                let Some(text) = attribute(tag, name).filter(|text| has_words(text)) else { continue };
                let key = attribute(tag, &format!("data-msg-{name}"));
                let is_address = text.starts_with("http");
                ensure!(
                    is_address
                        || key.is_some_and(|key| english.get(key).is_some_and(|message| message == text)),
                    "{text:?} has no key in <{tag}>"
                );
                seen += 1;
            }
        }
        let bare = html.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(_, text)| text);
        for text in bare.filter(|text| has_words(text)) {
            ensure!(NAMES.contains(&text.trim()) || text.trim() == "Rekursing agent", "{name} says {text:?}");
        }
    }
    ensure!(seen > 150, "only {seen} texts were found");
    Ok(())
}

/// Returns the texts of a script: what stands between quotation marks, without what is put in.
fn literals(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('*'))
    {
        let line = if line.starts_with("/*") { "" } else { line };
        let mut quote = None;
        let mut text = String::new();
        for letter in line.split(" // ").next().unwrap_or_default().chars() {
            match quote {
                None if matches!(letter, '\'' | '"' | '`') => quote = Some(letter),
                Some(mark) if letter == mark => {
                    found.push(std::mem::take(&mut text));
                    quote = None;
                }
                Some(_) => text.push(letter),
                None => {}
            }
        }
    }
    found
}

/// Tells whether a text reads like a sentence: two words of letters beside each other that are no
/// code, or one with a capital.
fn is_prose(text: &str) -> bool {
    let text = NAMES.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
    // Selectors, classes, media types, paths and keys have marks that no word has.
    let is_word = |word: &&str| {
        word.len() > 1
            && word
                .trim_end_matches(['.', ',', ':'])
                .chars()
                .all(|letter| letter.is_alphabetic() || letter == '’')
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let prose: Vec<&str> = words.iter().copied().filter(is_word).collect();
    let is_capital = |word: &&str| {
        word.chars().next().is_some_and(char::is_uppercase) && word.chars().any(char::is_lowercase)
    };
    (prose.len() > 1 && prose.len() * 2 > words.len()) || prose.iter().any(is_capital)
}

#[test]
fn no_sentence_stands_in_a_script() -> Result<()> {
    // What Chrome and the platform are told in their own words.
    let told = [
        "Holds the connection to the relay and the streams of the model server.",
        "Content-Security-Policy",
        "detail quiet",
        "bar today",
        "bar chosen",
        "USD",
        "UTC",
        "NotFoundError",
        "RuntimeError",
        "Content-Type",
    ];
    for (name, script) in files(".js")? {
        for text in literals(&script) {
            ensure!(told.contains(&text.as_str()) || !is_prose(&text), "{name} says {text:?}");
        }
    }
    ensure!(is_prose("Nothing was saved") && is_prose("Saved.") && is_prose("of the day"));
    Ok(())
}

#[test]
fn every_message_is_used_and_every_key_that_is_used_has_one() -> Result<()> {
    let english = messages("en")?;
    let manifest = std::fs::read_to_string(built::root().join("manifest.json"))?;
    let mut sources: Vec<String> = files(".html")?.into_values().chain(files(".js")?.into_values()).collect();
    sources.push(manifest.replace("__MSG_", "\"").replace("__", "\""));
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for source in &sources {
        used.extend(source.split(['"', '\'', '`']));
    }
    for key in english.keys() {
        let stem = key.trim_end_matches("_one").trim_end_matches("_other");
        let by_code = BY_CODE.iter().any(|family| key.starts_with(family));
        ensure!(by_code || used.contains(key.as_str()) || used.contains(stem), "nobody says {key}");
    }
    for script in files(".js")?.into_values() {
        for call in ["say(", "sayMany("] {
            for rest in script.split(call).skip(1) {
                // The key stands first, or after the marks of a choice.
                let argument = rest.split([',', '\n']).next().unwrap_or_default();
                let parts: Vec<&str> = argument.split('\'').collect();
                let is_key =
                    |before: &str| before.is_empty() || before.ends_with("? ") || before.ends_with(" : ");
                for [before, key] in parts.chunks_exact(2).map(|pair| [pair[0], pair[1]]) {
                    if !is_key(before) || key.is_empty() {
                        continue;
                    }
                    let many = call == "sayMany(" && english.contains_key(&format!("{key}_other"));
                    ensure!(many || english.contains_key(key), "there is no message {key}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn no_style_knows_left_and_right() -> Result<()> {
    let physical =
        ["margin-left", "margin-right", "padding-left", "padding-right", "border-left", "border-right"];
    for (name, style) in files(".css")? {
        for line in style.lines().map(str::trim) {
            let property = line.split(':').next().unwrap_or_default();
            let sides = ["left", "right"];
            ensure!(
                !physical.iter().any(|bad| property.starts_with(bad)) && !sides.contains(&property),
                "{name}: {line}"
            );
            let value = line.split_once(':').map_or("", |(_, value)| value).trim_end_matches(';').trim();
            ensure!(property != "text-align" || !sides.contains(&value), "{name}: {line}");
            let parts: Vec<&str> = value.split_whitespace().collect();
            let uneven = ["margin", "padding", "inset"].contains(&property)
                && parts.len() == 4
                && parts[1] != parts[3];
            ensure!(!uneven, "{name}: {line}");
        }
    }
    Ok(())
}
