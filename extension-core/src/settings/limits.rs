//! The limits of the form.

use rekursing_protocol::Nanos;
use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    choices::{Allowance, gigabytes},
    said::{Blank, Said},
};

/// Most tokens that any field takes: more than a machine does in a year.
const TOKENS_MAX: u64 = 1_000_000_000_000;

/// Smallest context and shortest answer that are worth offering.
const CONTEXT_MIN: u32 = 256;

/// Least and most bytes of a month: a megabyte, a hundred terabytes.
const MONTH_BYTES_MIN: u64 = 1_000_000;
const MONTH_BYTES_MAX: u64 = 100_000_000_000_000;

/// Largest context: no model has a longer one.
const CONTEXT_MAX: u32 = 100_000_000;

/// How much is done at most, as texts; an empty one is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsForm {
    /// Tokens in any sixty minutes.
    pub hour: String,
    /// Tokens of a day.
    pub day: String,
    /// Tokens of one answer.
    pub answer: String,
    /// Tokens of context.
    pub context: String,
    /// Gigabytes of a month.
    pub month: String,
}

impl LimitsForm {
    pub(super) fn show(allowance: &Allowance) -> LimitsForm {
        let wide = |tokens: Option<u64>| tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
        LimitsForm {
            hour: wide(allowance.hour_tokens),
            day: wide(allowance.day_tokens),
            answer: wide(allowance.answer_tokens.map(u64::from)),
            context: wide(allowance.context_tokens.map(u64::from)),
            month: allowance.month_bytes.map(gigabytes).unwrap_or_default(),
        }
    }

    pub(super) fn read(&self, errors: &mut Errors) -> Allowance {
        let month_bytes = note(errors, "month", bytes(&self.month)).flatten();
        let mut field = |name: &str, text: &str, least: u64, most: u64| {
            note(errors, name, number(text, least, most)).flatten()
        };
        let narrow = |tokens: Option<u64>| tokens.and_then(|tokens| u32::try_from(tokens).ok());
        let context_max = CONTEXT_MAX.into();
        Allowance {
            hour_tokens: field("hour", &self.hour, 1, TOKENS_MAX),
            day_tokens: field("day", &self.day, 1, TOKENS_MAX),
            answer_tokens: narrow(field("answer", &self.answer, 1, context_max)),
            context_tokens: narrow(field("context", &self.context, CONTEXT_MIN.into(), context_max)),
            month_bytes,
        }
    }
}

/// Reads gigabytes as bytes.
fn bytes(text: &str) -> Result<Option<u64>, Said> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // A gigabyte has as many bytes as a dollar nano-dollars.
    let amount: Option<Nanos> = text.parse().ok();
    let bytes = amount.and_then(|amount| u64::try_from(amount.get()).ok());
    let bytes = bytes.filter(|bytes| (MONTH_BYTES_MIN..=MONTH_BYTES_MAX).contains(bytes));
    let sentence = "Write gigabytes, such as 20 or 0.5, at most 100000, or nothing.";
    bytes.map(Some).ok_or_else(|| Said::plain("form_gigabytes", sentence))
}

fn number(text: &str, least: u64, most: u64) -> Result<Option<u64>, Said> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        let text = format!("Write a whole number of tokens, at least {least}, or nothing.");
        Said::new("form_tokens", [Blank::Number(least)], text)
    })
}
