//! Reads an answer that came whole: whether it is one, and what the server counted.

use rekursing_protocol::{FailCode, frame::Call};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::BTreeMap;

use crate::bridge::{
    chunk::{ErrorBody, Usage, Weight},
    fault::Fault,
};

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(default, borrow)]
    error: Option<ErrorBody<'a>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    data: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    message: Option<BTreeMap<&'a str, Weight>>,
    #[serde(default)]
    text: Option<Weight>,
}

impl Choice<'_> {
    fn says_something(&self) -> bool {
        let message = self
            .message
            .as_ref()
            .is_some_and(|fields| fields.iter().any(|(name, weight)| *name != "role" && weight.something));
        message || self.text.as_ref().is_some_and(|weight| weight.something)
    }
}

/// Returns the answer as text, with the server's counts.
pub(super) fn read(call: Call, body: Vec<u8>) -> Result<(String, Usage), Fault> {
    let text = String::from_utf8(body).map_err(|_| Fault::of(FailCode::Malformed))?;
    let whole: Whole<'_> = serde_json::from_str(&text).map_err(|_| Fault::of(FailCode::Malformed))?;
    if let Some(ErrorBody(error)) = whole.error {
        return Err(Fault::of_error(&error));
    }
    let something = match call {
        Call::Chat | Call::Completion => whole.choices.map(|rows| rows.iter().any(Choice::says_something)),
        Call::Embedding => whole.data.map(|rows| !rows.is_empty()),
    };
    match something {
        None => Err(Fault::of(FailCode::Malformed)),
        Some(false) => Err(Fault::of(FailCode::Empty)),
        Some(true) => {
            let usage = whole.usage.unwrap_or_default();
            Ok((text, usage))
        }
    }
}

/// Tells whether a body says that something went wrong.
pub(super) fn is_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(rename = "error", borrow)]
        _error: ErrorBody<'a>,
    }
    serde_json::from_slice::<Body<'_>>(body).is_ok()
}
