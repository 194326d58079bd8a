//! Reads a body of JSON, and says in plain words which of its fields is wrong and how.

use serde::Deserialize;
use serde_json::error::Category;

use crate::http::Problem;

/// Reads a body.
///
/// # Errors
/// A sentence that names the field, by its path, where one is at fault.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Problem> {
    serde_json::from_str(body).map_err(|error| wrong::<T>("", body, &error))
}

/// The same of bytes.
pub(crate) fn read_bytes<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let body = str::from_utf8(body).map_err(|_| Problem::bad_request("the body is no text in UTF-8"))?;
    read(body)
}

/// Reads what one field of a body holds.
///
/// # Errors
/// The same, with the field in front of the path.
pub(crate) fn read_within<'a, T: Deserialize<'a>>(field: &'static str, json: &'a str) -> Result<T, Problem> {
    serde_json::from_str(json).map_err(|error| wrong::<T>(field, json, &error))
}

/// Reads once more what does not read, for the path to what is wrong: only whoever is refused waits for that.
fn wrong<'a, T: Deserialize<'a>>(within: &str, json: &'a str, error: &serde_json::Error) -> Problem {
    if error.classify() != Category::Data {
        return Problem::bad_request(&format!("the body is no valid JSON: {error}"));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return Problem::bad_request("the body does not have the form that this route takes");
    };
    let path = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    let said = error.into_inner().to_string();
    let said = said.rfind(" at line ").map_or(said.as_str(), |end| &said[..end]);
    say(&joined(within, &path), said)
}

fn joined(path: &str, name: &str) -> String {
    match (path, name) {
        ("", only) | (only, "") => only.to_owned(),
        (path, name) if name.starts_with('[') => format!("{path}{name}"),
        (path, name) => format!("{path}.{name}"),
    }
}

/// Says what the reader has found at a path.
fn say(path: &str, said: &str) -> Problem {
    let named = |said: &str| said.strip_prefix('`').and_then(|rest| Some(rest.split_once('`')?.0.to_owned()));
    // The reader stands before a field that it does not know or has had, or at it.
    let at = |name: &str| {
        let is_there = path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        if is_there { path.to_owned() } else { joined(path, name) }
    };
    if let Some(name) = said.strip_prefix("missing field ").and_then(named) {
        let field = joined(path, &name);
        return at_fault(&field, "is missing");
    }
    if let Some(name) = said.strip_prefix("duplicate field ").and_then(named) {
        return at_fault(&at(&name), "is there twice");
    }
    if let Some(rest) = said.strip_prefix("unknown field ") {
        let known = rest.split_once(", expected ").map_or("none", |(_, known)| known);
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return at_fault(
            &at(&named(rest).unwrap_or_default()),
            &format!("is not known here; known: {known}"),
        );
    }
    if let Some((_, known)) =
        said.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        return at_fault(path, &format!("must be {known}"));
    }
    let (found, expected) = match said.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => (found, expected),
        Some(_) | None => return at_fault(path, &format!("does not hold: {said}")),
    };
    if found.starts_with("invalid value: integer") && expected.starts_with(['u', 'i']) {
        return at_fault(path, "is a whole number that is too small or too large");
    }
    at_fault(path, &format!("must be {}", plain(expected)))
}

/// Names what the reader has looked for.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "string" | "str" => "a text",
        "a boolean" | "bool" => "true or false",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "an object",
        "unit" => "null",
        struct_ if struct_.starts_with("struct ") => "an object",
        enum_ if enum_.starts_with("enum ") || enum_.contains("variant") => {
            "one of the names that are known here"
        }
        said => said,
    }
}

fn at_fault(path: &str, sentence: &str) -> Problem {
    if path.is_empty() {
        return Problem::bad_request(&format!("a field of the body {sentence}"));
    }
    Problem::field(path.to_owned(), &format!("`{path}` {sentence}"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use rekursing_protocol::Nanos;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Order<'a> {
        #[serde(borrow)]
        title: Cow<'a, str>,
        ends: Option<u64>,
        small: Option<u8>,
        share: Option<f64>,
        kind: Option<Kind>,
        price: Option<Nanos>,
        is_on: Option<bool>,
        lines: Option<Vec<Line>>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Kind {
        Text,
        Image,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is only read")]
    struct Line {
        count: u32,
    }

    #[test]
    fn each_wrong_field_is_named_in_plain_words_and_by_its_path() {
        for (body, field, sentence) in [
            ("{}", "title", "`title` is missing"),
            (r#"{"title":1}"#, "title", "`title` must be a text"),
            (r#"{"title":"x","ends":"soon"}"#, "ends", "`ends` must be a whole number"),
            (r#"{"title":"x","ends":1.5}"#, "ends", "`ends` must be a whole number"),
            (
                r#"{"title":"x","small":256}"#,
                "small",
                "`small` is a whole number that is too small or too large",
            ),
            (r#"{"title":"x","ends":-1}"#, "ends", "`ends` is a whole number that is too small or too large"),
            (r#"{"title":"x","share":"x"}"#, "share", "`share` must be a number"),
            (r#"{"title":"x","is_on":1}"#, "is_on", "`is_on` must be true or false"),
            (r#"{"title":"x","kind":"film"}"#, "kind", "`kind` must be `text` or `image`"),
            (r#"{"title":"x","lines":{}}"#, "lines", "`lines` must be a list"),
            (r#"{"title":"x","lines":[{"count":1},{}]}"#, "lines[1].count", "`lines[1].count` is missing"),
            (r#"{"title":"x","lines":[7]}"#, "lines[0]", "`lines[0]` must be an object"),
            (r#"{"title":"x","raw":{"a":[1]},"title":"y"}"#, "title", "`title` is there twice"),
        ] {
            let problem = read::<Order<'_>>(body).expect_err(body);
            assert_eq!((problem.field.as_deref(), &*problem.message), (Some(field), sentence), "{body}");
        }
        let problem = read::<Order<'_>>(r#"{"title":"x","colour":1}"#).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("colour"));
        assert!(
            problem.message.starts_with("`colour` is not known here; known: `title`, `ends`"),
            "{}",
            problem.message
        );
        let problem = read::<Order<'_>>(r#"{"title":"x","price":"dear"}"#).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("price"));
        assert!(!problem.message.contains(" at line "), "{}", problem.message);
        assert_eq!(
            read_within::<Order<'_>>("terms", "{}").unwrap_err().field.as_deref(),
            Some("terms.title")
        );
    }

    #[test]
    fn only_broken_json_is_told_by_line_and_column() {
        for body in ["{\"title\":\"x\"", "{\"title\" 1}", "{\"title\":\"x\"} more", ""] {
            let problem = read::<Order<'_>>(body).expect_err(body);
            assert!(problem.message.starts_with("the body is no valid JSON: "), "{}", problem.message);
            assert!(problem.message.contains(" at line 1 column "), "{}", problem.message);
            assert_eq!(problem.field, None);
        }
    }
}
