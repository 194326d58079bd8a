//! Gates: how close what is asked must be to a project's objectives, as pages say it in a request or of a key.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use rekursing_market::{Gate, relevance::Method};
use rekursing_protocol::{Moment, Span};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::http::Problem;

/// Longest task that is rated, in characters. Of what is asked behind a gate so much is looked at.
pub const TASK_CHARACTERS_MAX: usize = 8_000;

/// Longest name of a project, in characters.
const PROJECT_CHARACTERS_MAX: usize = 64;

/// Calls of which it is known at once that they have paid for their gates.
const PASSED_MAX: usize = 10_000;

/// What calls with an `Idempotency-Key` have paid for to be let through, so that one that is made again because it
/// came to nothing does not pay a second time.
#[derive(Debug)]
pub struct Passed {
    /// How long it is known.
    kept: Span,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    passed: HashMap<String, Vec<Value>>,
    /// Oldest first.
    order: VecDeque<(Moment, String)>,
}

impl Passed {
    /// Knows of none yet.
    pub fn new(kept: Span) -> Passed {
        Passed { kept, calls: Mutex::default() }
    }

    /// Returns what was told of the gates that a call has passed.
    pub fn of(&self, now: Moment, call: &str) -> Vec<Value> {
        let mut calls = self.calls.lock();
        calls.forget(|at, _| now.since(at) >= self.kept);
        calls.passed.get(call).cloned().unwrap_or_default()
    }

    /// Notes what a call has passed.
    pub fn note(&self, now: Moment, call: &str, told: Vec<Value>) {
        let mut calls = self.calls.lock();
        if calls.passed.insert(call.to_owned(), told).is_none() {
            calls.order.push_back((now, call.to_owned()));
        }
        calls.forget(|_, many| many > PASSED_MAX);
    }
}

impl Calls {
    /// Forgets the oldest, as long as they are due.
    fn forget(&mut self, is_due: impl Fn(Moment, usize) -> bool) {
        while let Some((at, call)) = self.order.front() {
            if !is_due(*at, self.order.len()) {
                break;
            }
            self.passed.remove(call);
            self.order.pop_front();
        }
    }
}

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
    fn what_a_call_has_passed_is_known_for_a_while_and_of_so_many_calls_alone() {
        let passed = Passed::new(Span(100));
        passed.note(Moment(0), "a", vec![json!(1)]);
        passed.note(Moment(50), "a", vec![json!(1), json!(2)]);
        assert_eq!(passed.of(Moment(99), "a"), [json!(1), json!(2)]);
        assert_eq!(passed.of(Moment(100), "a"), [Value::Null; 0]);
        for call in 0..=PASSED_MAX {
            passed.note(Moment(200), &call.to_string(), vec![json!(call)]);
        }
        assert_eq!(passed.of(Moment(200), "0"), [Value::Null; 0]);
        assert_eq!(passed.of(Moment(200), "1"), [json!(1)]);
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
            assert_eq!(read(wrong).expect_err(wrong).field.as_deref(), Some("objectives"), "{wrong}");
        }
    }
}
