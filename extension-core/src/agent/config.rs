//! What the owner decides, and what the relay once gave.

use std::{collections::BTreeMap, fmt};

use rekursing_protocol::{PluginId, Pricing, Serves, Topics};
use serde::{Deserialize, Deserializer, Serialize};

use super::steer::Change;
use crate::choices::{Allowance, Loading, Models, Pause, Power, Tally, When};

/// The owner's settings. Every field has a default, so that a settings page may leave out any.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// The relay: `wss://…`, `ws://…`, `https://…` or `http://…`.
    pub relay: String,
    /// The owner's model servers; empty for one that is looked for at the usual addresses.
    pub servers: Vec<ModelServer>,
    /// The API token of each of `servers` without its own. It is sent nowhere else: without an address it is
    /// for nobody.
    pub token: Option<String>,
    /// A name that pages may see; empty for none.
    pub name: String,
    /// Prices of single models by their names.
    pub prices: BTreeMap<String, Pricing>,
    /// The price of every other model; without one the relay's default ask holds.
    pub price: Option<Pricing>,
    /// Jobs at once over all models, from 1 to [`super::limits::JOBS_MAX`].
    pub slots: u16,
    /// How much is done at most.
    pub allowance: Allowance,
    /// When jobs are taken.
    pub when: When,
    /// Which models are offered.
    pub models: Models,
    /// Whether they are loaded on demand.
    pub loading: Loading,
    /// Whom the owner serves.
    pub serves: Serves,
    /// What the owner refuses to answer.
    pub refuses: Topics,
    /// The model in the browser, by the name of its file, where the owner has chosen one. Kept apart from the other
    /// settings, beside the weights themselves.
    #[serde(skip)]
    pub browser: Option<String>,
    /// What the power costs, where the owner has said.
    pub power: Option<Power>,
    /// No new jobs now.
    pub paused: Pause,
    /// Whether the owner's phones may change anything. Kept apart from the other settings.
    #[serde(skip)]
    pub steering: bool,
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
            allowance: Allowance::default(),
            when: When::default(),
            models: Models::default(),
            loading: Loading::default(),
            serves: Serves::Everyone,
            refuses: Topics::NONE,
            browser: None,
            power: None,
            paused: Pause::Off,
            steering: true,
            consent: false,
        }
    }
}

/// One of the owner's model servers. In JSON an object, or its address alone.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ModelServer {
    /// Where it is: `http://…` or `https://…`.
    pub address: String,
    /// Its API token. It is sent nowhere else.
    pub token: Option<String>,
}

impl ModelServer {
    /// Makes one without a token of its own.
    pub fn at(address: &str) -> ModelServer {
        ModelServer { address: address.to_owned(), token: None }
    }
}

impl<'de> Deserialize<'de> for ModelServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelServer, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Address(String),
            Whole { address: String, token: Option<String> },
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Address(address) => ModelServer { address, token: None },
            Form::Whole { address, token } => ModelServer { address, token },
        })
    }
}

impl fmt::Debug for ModelServer {
    /// Prints the address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
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

/// What the agent remembers over a restart: what it counted and measured, and who it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Tokens that were done.
    pub tally: Tally,
    /// Thousandths of tokens per second, by model.
    pub speeds: BTreeMap<String, u64>,
    /// Who it is to other relays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Identity>,
    /// Who it was to relays that knew it no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Identity>,
    /// What was changed from a phone last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steered: Option<Change>,
}

/// Who the agent is to one relay. Without a secret it shows who it is by the device key that its shell keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The relay that gave it, as the settings named it then. No other relay is shown the secret.
    pub relay: String,
    /// The plugin's id.
    pub plugin: PluginId,
    /// The plugin's secret, of one that has a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
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
