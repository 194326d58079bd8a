//! Passes: how a plugin with a device key gets what it shows on the owners' routes.

use serde::{Deserialize, Serialize};

use crate::PluginId;

/// The answer to `POST /api/plugin/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// What to sign: see [`crate::device::Statement`].
    pub nonce: String,
    /// Milliseconds for which it may be signed.
    pub holds_ms: u64,
}

/// The body of `POST /api/plugin/pass`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asking {
    /// Who asks.
    pub plugin_id: PluginId,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The signature by the plugin's device key, 128 hex digits.
    pub signature: String,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// What to send as `Authorization: Bearer …`.
    pub pass: String,
    /// Milliseconds for which it opens the plugin's routes.
    pub holds_ms: u64,
}
