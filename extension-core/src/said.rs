//! What is said to an owner: the key of a message with the values in it, and the sentence in English
//! for where there are no messages.
//!
//! The extension's pages have the messages, in `extension/_locales`; the English one of a key reads as
//! the sentence does.

use std::{borrow::Cow, fmt};

use rekursing_protocol::Moment;
use serde::{Deserialize, Serialize};

/// A sentence for an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The key of its message.
    pub key: Cow<'static, str>,
    /// The values in it, in the order of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Blank>,
    /// The sentence in English.
    pub text: String,
}

/// A value in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blank {
    /// A name, as it is.
    Text(String),
    /// A number.
    Number(u64),
    /// A number of things: the key ends in `_one` or `_other` by it. A sentence has one of them at most.
    Count(u64),
    /// A moment to come.
    At(Moment),
}

impl Said {
    /// Says something with values in it.
    pub fn new(key: &'static str, values: impl IntoIterator<Item = Blank>, text: impl Into<String>) -> Said {
        Said { key: key.into(), values: values.into_iter().collect(), text: text.into() }
    }

    /// Says something that has no values in it.
    pub fn plain(key: &'static str, text: &'static str) -> Said {
        Said::new(key, [], text)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Said {}

#[cfg(test)]
mod tests;
