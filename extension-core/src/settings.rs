//! The owner's settings: as the extension keeps them, and as a form shows and takes them.

use std::collections::BTreeMap;

use rekursing_protocol::{Nanos, Price, name};
use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::Value;

use crate::{
    address::{Address, BadAddress},
    agent::{Config, Identity},
};

/// Most jobs at once that the form takes.
const SLOTS_MAX: u16 = 64;

/// Longest name that the relay takes, in characters.
const NAME_CHARS_MAX: usize = 60;

/// What the extension keeps in `chrome.storage.local`. A key that is missing or broken counts as
/// its default, and a broken consent as none.
#[derive(Debug, Default)]
pub struct Stored {
    /// The settings, with consent and pause filled in from their own keys.
    pub config: Config,
    /// Who the agent is, once registered.
    pub identity: Option<Identity>,
}

impl Stored {
    /// Reads what `chrome.storage.local.get()` gave.
    pub fn read(mut stored: Value) -> Stored {
        let mut take = |key: &str| stored.get_mut(key).map_or(Value::Null, Value::take);
        let config: Option<Config> = serde_json::from_value(take("config")).ok();
        Stored {
            config: Config {
                consent: take("consent")["given"].as_bool().unwrap_or(false),
                paused: take("paused").as_bool().unwrap_or(false),
                ..config.unwrap_or_default()
            },
            identity: serde_json::from_value(take("identity")).ok(),
        }
    }
}

/// The settings as texts, as an owner reads and writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Form {
    /// The relay's address; empty for the usual one.
    pub relay: String,
    /// The model server's address; empty to look in the usual places.
    pub server: String,
    /// The model server's API token, or empty.
    pub token: String,
    /// A name that pages may see, or empty.
    pub name: String,
    /// Most jobs at once.
    pub slots: String,
    /// The price of every model without its own.
    pub price: PriceForm,
    /// Prices of single models.
    pub prices: BTreeMap<String, PriceForm>,
}

/// A price in dollars per million tokens. Both empty: the relay's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceForm {
    /// For prompts.
    pub input: String,
    /// For answers.
    pub output: String,
}

/// What became of a form.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The settings to keep, when nothing is wrong; as JSON without those that have keys of their own.
    #[serde(serialize_with = "print")]
    pub config: Option<Config>,
    /// Chrome's patterns of the hosts that need the owner's permission.
    pub origins: Vec<String>,
    /// A sentence for each field that is wrong: `relay`, `server`, `name`, `slots`, `price`,
    /// `price:MODEL`.
    pub errors: BTreeMap<String, String>,
}

impl Form {
    /// Shows settings as a form.
    pub fn show(config: &Config) -> Form {
        Form {
            relay: config.relay.clone(),
            server: config.servers.first().cloned().unwrap_or_default(),
            token: config.token.clone().unwrap_or_default(),
            name: config.name.clone(),
            slots: config.slots.to_string(),
            price: config.price.map(PriceForm::show).unwrap_or_default(),
            prices: config
                .prices
                .iter()
                .map(|(model, price)| (model.clone(), PriceForm::show(*price)))
                .collect(),
        }
    }

    /// Checks what an owner wrote.
    pub fn check(&self) -> Checked {
        let mut errors = BTreeMap::new();
        let relay = note(&mut errors, "relay", self.relay());
        let server = note(&mut errors, "server", self.server());
        let name = note(&mut errors, "name", self.name());
        let slots = note(&mut errors, "slots", self.slots());
        let price = note(&mut errors, "price", self.price.read());
        let mut prices = BTreeMap::new();
        for (model, form) in &self.prices {
            if let Some(price) = note(&mut errors, &format!("price:{model}"), form.read()).flatten() {
                prices.insert(model.clone(), price);
            }
        }
        let addresses = [relay.clone(), server.clone().flatten()];
        let origins = addresses.iter().flatten().filter_map(origin).collect();
        let config = errors.is_empty().then(|| Config {
            relay: relay.map(|relay| relay.socket()).unwrap_or_default(),
            servers: server.flatten().iter().map(Address::http).collect(),
            token: Some(self.token.trim().to_owned()).filter(|token| !token.is_empty()),
            name: name.unwrap_or_default(),
            slots: slots.unwrap_or(1),
            price: price.flatten(),
            prices,
            ..Config::default()
        });
        Checked { config, origins, errors }
    }

    fn relay(&self) -> Result<Address, String> {
        if self.relay.trim().is_empty() {
            return Address::parse(&Config::default().relay).map_err(|bad| bad.to_string());
        }
        let relay = Address::parse(&self.relay).map_err(|bad| bad.to_string())?;
        if !relay.is_secure() && !relay.is_local() {
            return Err("A relay that is not on this computer needs https://.".to_owned());
        }
        Ok(relay)
    }

    fn server(&self) -> Result<Option<Address>, String> {
        if self.server.trim().is_empty() {
            return Ok(None);
        }
        Address::parse(&self.server).map(Some).map_err(|bad: BadAddress| bad.to_string())
    }

    fn name(&self) -> Result<String, String> {
        if self.name.trim().chars().count() > NAME_CHARS_MAX {
            return Err(format!("A name has at most {NAME_CHARS_MAX} characters."));
        }
        Ok(name::plain(&self.name, NAME_CHARS_MAX))
    }

    fn slots(&self) -> Result<u16, String> {
        let slots = self.slots.trim().parse().ok().filter(|slots| (1..=SLOTS_MAX).contains(slots));
        slots.ok_or_else(|| format!("Jobs at once is a whole number from 1 to {SLOTS_MAX}."))
    }
}

impl PriceForm {
    fn show(price: Price) -> PriceForm {
        PriceForm { input: dollars(price.input), output: dollars(price.output) }
    }

    fn read(&self) -> Result<Option<Price>, String> {
        let (input, output) = (self.input.trim(), self.output.trim());
        match (input.is_empty(), output.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(Price::new(micros(input)?, micros(output)?))),
            (true, false) | (false, true) => {
                Err("Set a price for prompts and one for answers, or leave both empty.".to_owned())
            }
        }
    }
}

fn print<S: Serializer>(config: &Option<Config>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(config).map_err(S::Error::custom)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("consent");
        fields.remove("paused");
    }
    value.serialize(serializer)
}

/// Keeps what went well, and the sentence of what did not.
fn note<T>(errors: &mut BTreeMap<String, String>, field: &str, read: Result<T, String>) -> Option<T> {
    read.map_err(|sentence| errors.insert(field.to_owned(), sentence)).ok()
}

/// Returns the pattern of a host that the manifest does not cover.
fn origin(address: &Address) -> Option<String> {
    let usual = Address::parse(&Config::default().relay).is_ok_and(|usual| usual == *address);
    let covered = usual || (address.is_local() && !address.is_secure());
    let scheme = if address.is_secure() { "https" } else { "http" };
    (!covered).then(|| format!("{scheme}://{}/*", address.host()))
}

/// Prints micro-dollars as dollars.
fn dollars(micros: u64) -> String {
    let nanos = i64::try_from(micros).ok().and_then(|micros| micros.checked_mul(1_000));
    Nanos::new(nanos.unwrap_or(i64::MAX)).to_string()
}

/// Reads dollars as micro-dollars, exactly.
///
/// # Errors
/// The sentence for the owner when it is no price.
pub fn micros(text: &str) -> Result<u64, String> {
    let amount: Nanos =
        text.parse().map_err(|_| "A price is a decimal number of dollars, such as 0.25.".to_owned())?;
    let nanos = u64::try_from(amount.get()).map_err(|_| "A price is not negative.".to_owned())?;
    if nanos % 1_000 != 0 {
        return Err("A price has at most six decimals.".to_owned());
    }
    if nanos / 1_000 > Price::MAX {
        return Err("A price is at most 10000 dollars per million tokens.".to_owned());
    }
    Ok(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        Form { slots: "4".to_owned(), ..Form::default() }
    }

    #[test]
    fn settings_come_back_from_the_form_unchanged() {
        let config = Config {
            relay: "ws://127.0.0.1:3002".to_owned(),
            servers: vec!["http://192.168.1.20:1234".to_owned()],
            token: Some("secret".to_owned()),
            name: "Attic".to_owned(),
            price: Some(Price::new(150_000, 600_000)),
            prices: BTreeMap::from([("tiny".to_owned(), Price::new(1, 2_000_000))]),
            slots: 2,
            ..Config::default()
        };
        let form = Form::show(&config);
        assert_eq!(form.prices["tiny"], PriceForm { input: "0.000001".to_owned(), output: "2".to_owned() });
        assert_eq!(form.check().config, Some(config));
    }

    #[test]
    fn an_empty_form_means_the_usual_settings() {
        let checked = form().check();
        assert_eq!(checked.config, Some(Config::default()));
        let printed = serde_json::to_value(&checked).unwrap();
        assert_eq!(printed["config"]["slots"], 4);
        assert_eq!((printed["config"].get("consent"), printed["config"].get("paused")), (None, None));
        assert!(checked.origins.is_empty());
    }

    #[test]
    fn a_name_loses_what_cannot_be_seen() {
        let form = Form { name: " At\u{202e}tic\u{200b} ".to_owned(), ..form() };
        assert_eq!(form.check().config.map(|config| config.name).as_deref(), Some("Attic"));
    }

    #[test]
    fn hosts_that_the_manifest_does_not_cover_are_asked_for() {
        let form = Form {
            relay: "https://relay.example".to_owned(),
            server: "http://192.168.1.20:1234".to_owned(),
            ..form()
        };
        assert_eq!(form.check().origins, ["https://relay.example/*", "http://192.168.1.20/*"]);
    }

    #[test]
    fn every_wrong_field_gets_its_sentence() {
        let price =
            |input: &str, output: &str| PriceForm { input: input.to_owned(), output: output.to_owned() };
        let form = Form {
            relay: "ws://192.168.1.2:3002".to_owned(),
            server: "localhost".to_owned(),
            name: "x".repeat(61),
            slots: "0".to_owned(),
            price: price("1", ""),
            prices: BTreeMap::from([
                ("negative".to_owned(), price("-1", "1")),
                ("fine".to_owned(), price("0.0000001", "1")),
                ("dear".to_owned(), price("1", "10000.000001")),
                ("word".to_owned(), price("free", "1")),
            ]),
            ..Form::default()
        };
        let checked = form.check();
        let fields: Vec<_> = checked.errors.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "name",
                "price",
                "price:dear",
                "price:fine",
                "price:negative",
                "price:word",
                "relay",
                "server",
                "slots"
            ]
        );
        assert_eq!(checked.config, None);
    }

    #[test]
    fn consent_counts_only_when_it_is_given_in_so_many_words() {
        for consent in [json!(null), json!(true), json!({}), json!({"given": "yes"}), json!({"given": false})]
        {
            let stored = json!({"consent": consent, "config": {"consent": true, "paused": true}});
            let config = Stored::read(stored).config;
            assert!(!config.consent && !config.paused);
        }
        assert!(Stored::read(json!({"consent": {"given": true}})).config.consent);
    }

    #[test]
    fn broken_storage_counts_as_the_usual_settings() {
        let stored = Stored::read(json!({"config": {"slots": "many"}, "identity": 7, "paused": "no"}));
        assert_eq!(stored.config, Config::default());
        assert_eq!(stored.identity, None);
        assert_eq!(Stored::read(json!(null)).config, Config::default());
    }
}
