//! Gates: how close what is asked must be to a project's objectives, as pages say it in a request or of a key.

use rekursing_market::{Gate, relevance::Method};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::http::Problem;

/// Longest task that is rated, in characters. Of what is asked behind a gate so much is looked at.
pub const TASK_CHARACTERS_MAX: usize = 8_000;

/// Longest name of a project, in characters.
const PROJECT_CHARACTERS_MAX: usize = 64;

/// Reads a gate.
pub fn read(raw: &RawValue) -> Result<Gate, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        project: String,
        threshold: f64,
        #[serde(default)]
        method: Option<String>,
    }
    let wrong = || {
        let message = "objectives are {\"project\": a name, \"threshold\": a number from 0 to 1}, with method \
                       auto, embeddings or lexical if you like";
        Problem::field("objectives", message)
    };
    if !raw.get().starts_with('{') {
        return Err(wrong());
    }
    let Asked { project, threshold, method } = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let threshold_permille = match threshold {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded in the pattern")]
        threshold @ 0.0..=1.0 => (threshold * 1_000.0).round() as u16,
        _ => return Err(wrong()),
    };
    let method = self::method(method.as_deref()).map_err(|_| wrong())?;
    Ok(Gate { project: self::project(&project).map_err(|_| wrong())?, threshold_permille, method })
}

/// Checks a project's name.
pub fn project(name: &str) -> Result<String, Problem> {
    let is_name = (1..=PROJECT_CHARACTERS_MAX).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && name.trim() == name;
    let message = "a project's name is a printable text of 1 to 64 characters";
    if is_name { Ok(name.to_owned()) } else { Err(Problem::field("project", message)) }
}

/// Reads a method; `auto` if it is left out.
pub fn method(name: Option<&str>) -> Result<Method, Problem> {
    let read = name.map_or(Ok(Method::default()), str::parse);
    read.map_err(|_| Problem::field("method", "method is auto, embeddings or lexical"))
}

/// Returns a gate as pages read it.
pub fn view(gate: &Gate) -> Value {
    let threshold = f64::from(gate.threshold_permille) / 1_000.0;
    json!({"project": gate.project, "threshold": threshold, "method": gate.method.name()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Gate, Problem> {
        super::read(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn a_gate_reads_as_it_is_shown_and_whatever_else_is_refused() {
        let gate = read(r#"{"project":"shop","threshold":0.25}"#).unwrap();
        assert_eq!(gate, Gate { project: "shop".to_owned(), threshold_permille: 250, method: Method::Auto });
        assert_eq!(read(&view(&gate).to_string()), Ok(gate));
        for wrong in [
            "7",
            "[\"shop\",0.5]",
            "{}",
            r#"{"project":"shop"}"#,
            r#"{"project":"","threshold":0.5}"#,
            r#"{"project":" shop","threshold":0.5}"#,
            r#"{"project":"a\nb","threshold":0.5}"#,
            r#"{"project":"shop","threshold":1.1}"#,
            r#"{"project":"shop","threshold":-0.1}"#,
            r#"{"project":"shop","threshold":0.5,"method":"magic"}"#,
            r#"{"project":"shop","threshold":0.5,"more":1}"#,
        ] {
            assert_eq!(read(wrong).expect_err(wrong).field, Some("objectives"), "{wrong}");
        }
    }
}
