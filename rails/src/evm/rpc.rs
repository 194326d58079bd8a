//! JSON-RPC to a node.

use std::{fmt, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    BadSetup, Refusal,
    http::{Endpoint, Silence, ask, clip},
};

/// A node of the chain.
pub(super) struct Node(Endpoint);

/// Why a node gave no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It was not reached.
    Unreached(String),
    /// It may have been reached.
    Lost(String),
    /// It answered with an error.
    Refused {
        /// What it says.
        message: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    // A result may be `null`, which is not the same as none.
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default)]
    error: Option<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    message: String,
}

impl Node {
    pub(super) fn new(url: &str, patience: Duration) -> Result<Node, BadSetup> {
        Endpoint::new(url, patience).map(Node)
    }

    /// Calls a method and returns its result, which may be `null`.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.0.post("").header("content-type", "application/json").body(body.to_string());
        let reply = ask(request).await.map_err(|silence| match silence {
            Silence::Unreached(words) => Trouble::Unreached(words),
            Silence::Lost(words) => Trouble::Lost(words),
        })?;
        // Some nodes answer errors with a status of 4xx, and the error in the body.
        match reply.json::<Answer>() {
            Some(Answer { error: Some(complaint), .. }) if reply.status < 500 => {
                Err(Trouble::Refused { message: clip(&complaint.message) })
            }
            Some(Answer { result: Some(result), .. }) if reply.status == 200 => Ok(result),
            _ => Err(Trouble::Lost(reply.words())),
        }
    }
}

impl Trouble {
    /// Returns what happened.
    pub(super) fn words(self) -> String {
        match self {
            Trouble::Unreached(words) | Trouble::Lost(words) => words,
            Trouble::Refused { message } => message,
        }
    }

    /// Reads trouble with a question that comes before anything is sent.
    pub(super) fn before(self) -> Refusal {
        Refusal::Unavailable(self.words())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a quantity such as `0x1f`.
pub(super) fn quantity(value: &Value) -> Option<u128> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// Reads a quantity out of an object.
pub(super) fn quantity_of(object: &Value, field: &str) -> Option<u128> {
    object.get(field).and_then(quantity)
}

/// Reads the word that a contract answered with. What is past 128 bits counts as their largest number.
pub(super) fn word(value: &Value) -> Option<u128> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let plain = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (high, low) = digits.split_at_checked(32).filter(|_| plain)?;
    if high.bytes().any(|byte| byte != b'0') {
        return Some(u128::MAX);
    }
    u128::from_str_radix(low, 16).ok()
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_and_words_read_and_nothing_else_does() {
        assert_eq!(quantity(&json!("0x0")), Some(0));
        assert_eq!(quantity(&json!("0x7a69")), Some(31_337));
        for bad in [json!("0x"), json!("7a69"), json!("0x+1"), json!(1), json!(null)] {
            assert_eq!(quantity(&bad), None, "{bad}");
        }
        assert_eq!(word(&json!(format!("0x{:064x}", 6))), Some(6));
        assert_eq!(word(&json!(format!("0x1{:063x}", 6))), Some(u128::MAX));
        assert_eq!(word(&json!("0x6")), None);
    }
}
