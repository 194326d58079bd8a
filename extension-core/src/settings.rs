//! The owner's settings: as the extension keeps them, and as a form shows and takes them.

mod form;
mod limits;
mod loading;
mod price;
mod servers;
mod times;

use serde_json::Value;

use crate::agent::{Config, Identity, Memory};
pub use form::{Checked, Form, kept};
pub use limits::LimitsForm;
pub use loading::LoadingForm;
pub use price::{PowerForm, PriceForm, Way, micros};
pub use servers::ServerForm;
pub use times::{DayForm, WhenForm};

/// What the extension keeps in `chrome.storage.local`. A key that is missing or broken counts as
/// its default, and a broken consent as none.
#[derive(Debug, Default)]
pub struct Stored {
    /// The settings, with consent, pause and the model in the browser filled in from their own keys.
    pub config: Config,
    /// Who the agent is, once registered.
    pub identity: Option<Identity>,
    /// What was counted and measured.
    pub memory: Memory,
}

impl Stored {
    /// Reads what `chrome.storage.local.get()` gave.
    pub fn read(mut stored: Value) -> Stored {
        let mut take = |key: &str| stored.get_mut(key).map_or(Value::Null, Value::take);
        let config: Option<Config> = serde_json::from_value(take("config")).ok();
        Stored {
            config: Config {
                consent: take("consent")["given"].as_bool().unwrap_or(false),
                paused: serde_json::from_value(take("paused")).unwrap_or_default(),
                browser: in_browser(&take("weights")),
                steering: take("steering") != Value::Bool(false),
                ..config.unwrap_or_default()
            },
            identity: serde_json::from_value(take("identity")).ok(),
            memory: serde_json::from_value(take("memory")).unwrap_or_default(),
        }
    }
}

/// Reads which model runs in the browser: one whose weights are all there and that the owner has not switched off.
fn in_browser(weights: &Value) -> Option<String> {
    let is_whole = weights["at"].as_u64().is_some_and(|at| Some(at) == weights["bytes"].as_u64());
    let is_on = weights["on"].as_bool() == Some(true);
    weights["name"].as_str().filter(|_| is_whole && is_on).map(str::to_owned)
}

/// Takes every secret out of what storage holds, however deep: the identity's, and servers' tokens.
#[must_use]
pub fn without_secrets(mut stored: Value) -> Value {
    match &mut stored {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "secret" && name != "token");
            fields.values_mut().for_each(|value| *value = without_secrets(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_secrets(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    stored
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{agent::ModelServer, choices::Pause};

    #[test]
    fn consent_counts_only_when_it_is_given_in_so_many_words() {
        for consent in [json!(null), json!(true), json!({}), json!({"given": "yes"}), json!({"given": false})]
        {
            let stored = json!({"consent": consent, "config": {"consent": true, "paused": true}});
            let config = Stored::read(stored).config;
            assert!(!config.consent && config.paused == Pause::Off);
        }
        assert!(Stored::read(json!({"consent": {"given": true}})).config.consent);
    }

    #[test]
    fn a_model_in_the_browser_counts_once_all_of_it_is_there_and_while_it_is_on() {
        for (weights, model) in [
            (json!(null), None),
            (json!({"name": "tiny", "bytes": 7, "on": true}), None),
            (json!({"name": "tiny", "bytes": 7, "at": 6, "on": true}), None),
            (json!({"name": "tiny", "bytes": 7, "at": 7, "on": false}), None),
            (json!({"name": "tiny", "bytes": 7, "at": 7, "on": true}), Some("tiny".to_owned())),
        ] {
            assert_eq!(Stored::read(json!({"weights": weights})).config.browser, model);
        }
    }

    #[test]
    fn broken_storage_counts_as_the_usual_settings() {
        let stored = Stored::read(json!({
            "config": {"slots": "many"}, "identity": 7, "paused": "no", "memory": {"tally": 1},
        }));
        assert_eq!(stored.config, Config::default());
        assert_eq!((stored.identity, stored.memory), (None, Memory::default()));
        assert_eq!(Stored::read(json!(null)).config, Config::default());
    }

    #[test]
    fn settings_of_before_are_still_read() {
        let config = Stored::read(json!({
            "paused": true,
            "config": {
                "servers": ["http://127.0.0.1:1"], "token": "t", "slots": 2,
                "price": {"input": 1, "output": 2}, "prices": {"tiny": {"input": 3, "output": 4}},
            },
        }))
        .config;
        assert_eq!(config.servers, [ModelServer::at("http://127.0.0.1:1")]);
        assert_eq!((config.token.as_deref(), config.paused), (Some("t"), Pause::On));
        assert_eq!(config.price, Some(rekursing_protocol::Price::new(1, 2).into()));
        assert!(config.models.offers("anything"));
    }

    #[test]
    fn an_export_without_secrets_holds_none() {
        let stored = json!({
            "identity": {"plugin": "plg_1", "secret": "hush"},
            "config": {"token": "hush", "servers": [{"address": "http://a", "token": "hush"}], "slots": 2},
            "paused": false,
        });
        assert_eq!(
            without_secrets(stored),
            json!({
                "identity": {"plugin": "plg_1"},
                "config": {"servers": [{"address": "http://a"}], "slots": 2},
                "paused": false,
            })
        );
    }
}
