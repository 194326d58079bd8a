//! Which kind of model server answers at an address, and what it offers.

use serde::{Deserialize, Serialize};

/// The kinds of model servers that the bridge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// LM Studio 0.4 and later: `/api/v1/models`.
    LmStudio,
    /// LM Studio before 0.4: `/api/v0/models`.
    LmStudioV0,
    /// Ollama.
    Ollama,
    /// llama.cpp's own server.
    LlamaCpp,
    /// Anything else that answers `/v1/models`.
    Generic,
}
