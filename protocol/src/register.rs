//! Registration: the HTTP exchange that makes an installed extension a plugin.

use serde::{Deserialize, Serialize};

use crate::{Gpu, Offer, PluginId, object::object};

/// The body of `POST /api/plugin/register`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// A name that pages may see, at most 60 characters; empty for none.
    #[serde(default)]
    pub name: String,
    /// The GPU, as far as it is known.
    #[serde(default, deserialize_with = "object")]
    pub gpu: Gpu,
    /// What the owner is going to offer; the session says it again when it begins.
    #[serde(default)]
    pub models: Vec<Offer>,
    /// The public half of the plugin's device key, 64 hex digits. With it the plugin has no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The plugin's id.
    pub plugin_id: PluginId,
    /// The plugin's secret, shown this once; left out where its device key was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}
