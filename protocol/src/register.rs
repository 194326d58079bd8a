//! Registration: the HTTP exchange that makes an installed extension a plugin.

use serde::{Deserialize, Serialize};

use crate::{Gpu, Offer, PluginId};

/// The body of `POST /api/plugin/register`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// A name that pages may see, at most 60 characters; empty for none.
    #[serde(default)]
    pub name: String,
    /// The GPU, as far as it is known.
    #[serde(default)]
    pub gpu: Gpu,
    /// What the owner is going to offer; the session says it again when it begins.
    #[serde(default)]
    pub models: Vec<Offer>,
}

/// The answer to a registration. The secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The plugin's id.
    pub plugin_id: PluginId,
    /// The plugin's secret.
    pub secret: String,
}
