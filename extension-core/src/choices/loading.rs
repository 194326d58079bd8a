//! Whether models are loaded when a job asks for them, and how long they stay.

use serde::{Deserialize, Serialize};

/// Which models are offered beside those that are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// None.
    #[default]
    Loaded,
    /// All that a server loads when they are asked for.
    OnDemand,
}

/// How models come into a server's memory, and when they leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Loading {
    /// What is offered.
    pub which: Which,
    /// Minutes without a job after which a model is unloaded that was loaded for one; `None` for never. Only
    /// LM Studio can be asked to.
    pub unload_minutes: Option<u16>,
}
