//! What the owner decides, and what the relay once gave.

use std::{collections::BTreeMap, fmt};

use rekursing_protocol::{PluginId, Price};
use serde::{Deserialize, Serialize};

/// The owner's settings. Every field has a default, so that a settings page may leave out any.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// The relay: `wss://…`, `ws://…`, `https://…` or `http://…`.
    pub relay: String,
    /// Addresses where a model server may be, tried in order; empty for the usual ones.
    pub servers: Vec<String>,
    /// The model server's API token. It is sent nowhere else.
    pub token: Option<String>,
    /// A name that pages may see; empty for none.
    pub name: String,
    /// Prices of single models by their names.
    pub prices: BTreeMap<String, Price>,
    /// The price of every other model; without one the relay's default ask holds.
    pub price: Option<Price>,
    /// Jobs at once over all models, from 1 to [`super::limits::JOBS_MAX`].
    pub slots: u16,
    /// No new jobs now.
    pub paused: bool,
    /// The owner has said yes. Without it the agent sends nothing to anybody.
    pub consent: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            relay: "wss://rekursing.com".to_owned(),
            servers: Vec::new(),
            token: None,
            name: String::new(),
            prices: BTreeMap::new(),
            price: None,
            slots: 4,
            paused: false,
            consent: false,
        }
    }
}

impl fmt::Debug for Config {
    /// Prints everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("relay", &self.relay)
            .field("servers", &self.servers)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("slots", &self.slots)
            .field("paused", &self.paused)
            .field("consent", &self.consent)
            .finish_non_exhaustive()
    }
}

/// Who the agent is to one relay.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The relay that gave it, as the settings named it then. No other relay is shown the secret.
    pub relay: String,
    /// The plugin's id.
    pub plugin: PluginId,
    /// The plugin's secret.
    pub secret: String,
}

impl fmt::Debug for Identity {
    /// Prints everything but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("relay", &self.relay)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}
