//! Which of the models that a server has loaded are offered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which models are offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Models {
    /// Whether a model is offered about which nothing was said.
    pub new: bool,
    /// What was said, by the models' names.
    pub said: BTreeMap<String, bool>,
}

impl Default for Models {
    fn default() -> Models {
        Models { new: true, said: BTreeMap::new() }
    }
}

impl Models {
    /// Tells whether a model is offered.
    pub fn offers(&self, model: &str) -> bool {
        self.said.get(model).copied().unwrap_or(self.new)
    }
}
