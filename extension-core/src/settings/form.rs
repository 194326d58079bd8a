//! The settings as texts, as an owner reads and writes them.

use std::collections::BTreeMap;

use rekursing_protocol::{Serves, Topics, name};
use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::Value;

use super::{LimitsForm, LoadingForm, PowerForm, PriceForm, ServerForm, Way, WhenForm, servers};
use crate::{
    address::{Address, BadAddress},
    agent::Config,
    choices::Models,
    permission,
    said::{Blank, Said},
};

/// Most jobs at once that the form takes.
const SLOTS_MAX: u16 = 64;

/// Longest name that the relay takes, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The settings as texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Form {
    /// The relay's address; empty for the usual one.
    pub relay: String,
    /// The model servers; one without an address stands for a look in the usual places.
    pub servers: Vec<ServerForm>,
    /// A name that pages may see, or empty.
    pub name: String,
    /// Most jobs at once.
    pub slots: String,
    /// The price of every model without its own.
    pub price: PriceForm,
    /// Prices of single models.
    pub prices: BTreeMap<String, PriceForm>,
    /// What the power costs.
    pub power: PowerForm,
    /// When jobs are taken.
    pub when: WhenForm,
    /// How much is done at most.
    pub limits: LimitsForm,
    /// Which models are offered.
    pub models: Models,
    /// Whether they are loaded on demand.
    pub loading: LoadingForm,
    /// Whom the owner serves.
    pub serves: Serves,
    /// Of every topic by its name, whether the owner refuses it.
    pub refuses: BTreeMap<String, bool>,
}

/// What became of a form.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The settings to keep, when nothing is wrong; as JSON without those that have keys of their own.
    #[serde(serialize_with = "print")]
    pub config: Option<Config>,
    /// Chrome's patterns of the hosts that need the owner's permission.
    pub origins: Vec<String>,
    /// A sentence for each field that is wrong, by the field's name.
    pub errors: Errors,
}

/// Sentences for what is wrong, by field.
pub(super) type Errors = BTreeMap<String, Said>;

impl Form {
    /// Shows settings as a form.
    pub fn show(config: &Config) -> Form {
        Form {
            relay: config.relay.clone(),
            servers: servers::show(config),
            name: config.name.clone(),
            slots: config.slots.to_string(),
            price: config.price.map(PriceForm::show).unwrap_or_default(),
            prices: config
                .prices
                .iter()
                .map(|(model, price)| (model.clone(), PriceForm::show(*price)))
                .collect(),
            power: config.power.map(PowerForm::show).unwrap_or_default(),
            when: WhenForm::show(&config.when),
            limits: LimitsForm::show(&config.allowance),
            models: config.models.clone(),
            loading: LoadingForm::show(config.loading),
            serves: config.serves,
            refuses: Topics::each()
                .flat_map(|topic| topic.names().map(move |name| (name, topic)))
                .map(|(name, topic)| (name.to_owned(), config.refuses.touches(topic)))
                .collect(),
        }
    }

    /// Checks what an owner wrote.
    pub fn check(&self) -> Checked {
        let mut errors = BTreeMap::new();
        let relay = note(&mut errors, "relay", self.relay());
        let servers = servers::read(&self.servers, &mut errors);
        let name = note(&mut errors, "name", self.name());
        let slots = note(&mut errors, "slots", self.slots());
        let price = note(&mut errors, "price", self.price.read());
        let mut prices = BTreeMap::new();
        for (model, form) in &self.prices {
            if let Some(price) = note(&mut errors, &format!("price:{model}"), form.read()).flatten() {
                prices.insert(model.clone(), price);
            }
        }
        let power = self.power.read(&mut errors);
        if self.power.floor && self.price.way == Way::Unset {
            let text = "For a floor, set a price for every model or follow the market.";
            errors.insert("floor".to_owned(), Said::plain("form_floor_price", text));
        }
        let when = self.when.read(&mut errors);
        let allowance = self.limits.read(&mut errors);
        let loading = self.loading.read(&mut errors);
        let hosts = servers.iter().filter_map(|server| Address::parse(&server.address).ok());
        let origins =
            relay.iter().cloned().chain(hosts).filter_map(|address| permission::pattern(&address)).collect();
        let config = errors.is_empty().then(|| Config {
            relay: relay.map(|relay| relay.socket()).unwrap_or_default(),
            servers,
            name: name.unwrap_or_default(),
            slots: slots.unwrap_or(1),
            price: price.flatten(),
            prices,
            power,
            when,
            allowance,
            models: self.models.clone(),
            loading,
            serves: self.serves,
            refuses: self.refuses(),
            ..Config::default()
        });
        Checked { config, origins, errors }
    }

    fn relay(&self) -> Result<Address, Said> {
        if self.relay.trim().is_empty() {
            return Address::parse(&Config::default().relay).map_err(BadAddress::said);
        }
        let relay = Address::parse(&self.relay).map_err(BadAddress::said)?;
        if !relay.is_secure() && !relay.is_local() {
            let text = "A relay that is not on this computer needs https://.";
            return Err(Said::plain("form_relay_insecure", text));
        }
        Ok(relay)
    }

    fn name(&self) -> Result<String, Said> {
        if self.name.trim().chars().count() > NAME_CHARS_MAX {
            let text = format!("A name has at most {NAME_CHARS_MAX} characters.");
            return Err(Said::new("form_name_long", [Blank::Number(NAME_CHARS_MAX as u64)], text));
        }
        Ok(name::plain(&self.name, NAME_CHARS_MAX))
    }

    fn refuses(&self) -> Topics {
        let refused = self.refuses.iter().filter(|(_, refused)| **refused);
        refused.filter_map(|(name, _)| Topics::named(name).ok()).collect()
    }

    fn slots(&self) -> Result<u16, Said> {
        let slots = self.slots.trim().parse().ok().filter(|slots| (1..=SLOTS_MAX).contains(slots));
        slots.ok_or_else(|| {
            let text = format!("Jobs at once is a whole number from 1 to {SLOTS_MAX}.");
            Said::new("form_slots", [Blank::Number(SLOTS_MAX.into())], text)
        })
    }
}

fn print<S: Serializer>(config: &Option<Config>, serializer: S) -> Result<S::Ok, S::Error> {
    config.as_ref().map(kept).transpose().map_err(S::Error::custom)?.serialize(serializer)
}

/// Returns settings as they are kept: without those that have keys of their own.
///
/// # Errors
/// None: settings are made of what JSON can hold.
pub fn kept(config: &Config) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(config)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("consent");
        fields.remove("paused");
    }
    Ok(value)
}

/// Keeps what went well, and the sentence of what did not.
pub(super) fn note<T>(errors: &mut Errors, field: &str, read: Result<T, Said>) -> Option<T> {
    read.map_err(|said| errors.insert(field.to_owned(), said)).ok()
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{
        Nanos, Price, Pricing,
        topic::{Subject, TOPICS_MAX},
    };

    use super::*;
    use crate::{
        agent::ModelServer,
        choices::{Allowance, Currency, Hours, Loading, Power, Week, When, Which},
        settings::DayForm,
    };

    fn form() -> Form {
        Form { slots: "4".to_owned(), ..Form::default() }
    }

    fn whole() -> Config {
        let mut week = Week([None; 7]);
        week.0[6] = Some(Hours { from: 22 * 60 + 5, to: 6 * 60 });
        Config {
            relay: "ws://127.0.0.1:3002".to_owned(),
            servers: vec![
                ModelServer {
                    token: Some("secret".to_owned()),
                    ..ModelServer::at("http://192.168.1.20:1234")
                },
                ModelServer::at("http://127.0.0.1:8080"),
            ],
            name: "Attic".to_owned(),
            price: Some(Pricing::Market { floor: Price::new(0, 600_000) }),
            prices: BTreeMap::from([
                ("tiny".to_owned(), Price::new(1, 2_000_000).into()),
                ("big".to_owned(), Pricing::Hourly { per_hour: Nanos::new(250_000_000) }),
            ]),
            power: Some(Power {
                watts: 350,
                per_kwh: Nanos::new(310_000_000),
                currency: Currency { code: "EUR".parse().unwrap(), dollars: Nanos::new(1_080_000_000) },
                floor: true,
            }),
            loading: Loading { which: Which::OnDemand, unload_minutes: Some(20) },
            when: When {
                idle_minutes: Some(10),
                hours: Some(week),
                mains_only: true,
                own_use_first: true,
                give_back: true,
            },
            allowance: Allowance {
                hour_tokens: Some(1_000),
                day_tokens: Some(20_000),
                answer_tokens: Some(512),
                context_tokens: Some(8_192),
                month_bytes: Some(20_500_000_000),
            },
            models: Models { new: false, said: BTreeMap::from([("tiny".to_owned(), true)]) },
            serves: Serves::Verified,
            refuses: Topics::from(Subject::Politics) | Topics::UNREAD,
            slots: 2,
            ..Config::default()
        }
    }

    #[test]
    fn settings_come_back_from_the_form_unchanged() {
        let form = Form::show(&whole());
        assert_eq!(
            (form.prices["tiny"].input.as_str(), form.prices["big"].hour.as_str()),
            ("0.000001", "0.25")
        );
        assert_eq!(form.when.days[6].from, "22:05");
        assert_eq!((form.limits.month.as_str(), form.power.currency.as_str()), ("20.5", "EUR"));
        assert_eq!(
            (form.refuses.len(), form.refuses["politics"], form.refuses["grief"]),
            (TOPICS_MAX, true, false)
        );
        let checked = form.check();
        assert_eq!((&checked.errors, checked.config), (&BTreeMap::new(), Some(whole())));
        let json = serde_json::to_string(&whole()).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), whole());
    }

    #[test]
    fn an_empty_form_means_the_usual_settings() {
        let checked = form().check();
        assert_eq!(checked.config, Some(Config::default()));
        let printed = serde_json::to_value(&checked).unwrap();
        assert_eq!(printed["config"]["slots"], 4);
        assert_eq!((printed["config"].get("consent"), printed["config"].get("paused")), (None, None));
        assert!(checked.origins.is_empty());
        assert_eq!(Form::show(&Config::default()).check().config, Some(Config::default()));
    }

    #[test]
    fn a_token_wants_the_address_that_it_is_for() {
        let server =
            |address: &str, token: &str| ServerForm { address: address.to_owned(), token: token.to_owned() };
        for servers in [vec![server("", "t")], vec![server(" ", " t"), server("http://127.0.0.1:1", "")]] {
            let checked = Form { servers, ..form() }.check();
            assert_eq!(checked.errors.keys().collect::<Vec<_>>(), ["server:0"]);
            checked.errors.values().for_each(Said::reads_as_its_message);
        }
        let set = Form { servers: vec![server("http://127.0.0.1:1", "t"), server("", " ")], ..form() };
        let set = set.check().config.unwrap();
        let bound = ModelServer { token: Some("t".to_owned()), ..ModelServer::at("http://127.0.0.1:1") };
        assert_eq!((set.servers, set.token), (vec![bound], None));
    }

    #[test]
    fn a_token_of_before_waits_in_the_form_for_its_address() {
        let before = Config { token: Some("t".to_owned()), ..Config::default() };
        let form = Form::show(&before);
        let shown = ServerForm { address: String::new(), token: "t".to_owned() };
        assert_eq!(form.servers, [shown]);
        assert_eq!(form.check().config, None);
    }

    #[test]
    fn a_name_loses_what_cannot_be_seen() {
        let form = Form { name: " At\u{202e}tic\u{200b} ".to_owned(), ..form() };
        assert_eq!(form.check().config.map(|config| config.name).as_deref(), Some("Attic"));
    }

    #[test]
    fn hosts_that_the_manifest_does_not_cover_are_asked_for() {
        let server = |address: &str| ServerForm { address: address.to_owned(), token: String::new() };
        let form = Form {
            relay: "https://relay.example".to_owned(),
            servers: vec![server("http://192.168.1.20:1234"), server("http://127.0.0.1:1")],
            ..form()
        };
        assert_eq!(form.check().origins, ["https://relay.example/*", "http://192.168.1.20/*"]);
    }

    #[test]
    fn every_wrong_field_gets_its_sentence() {
        let price = |way, input: &str, output: &str| PriceForm {
            way,
            input: input.to_owned(),
            output: output.to_owned(),
            hour: output.to_owned(),
        };
        let server = |address: &str| ServerForm { address: address.to_owned(), token: String::new() };
        let text = |text: &str| text.to_owned();
        let mut days: Vec<DayForm> = vec![DayForm::default(); 7];
        days[2] = DayForm { on: true, from: text("25:00"), to: text("6") };
        let form = Form {
            relay: text("ws://192.168.1.2:3002"),
            servers: vec![server("http://127.0.0.1:1"), server("localhost"), server("http://127.0.0.1:1")],
            name: "x".repeat(61),
            slots: text("0"),
            price: price(Way::Fixed, "1", ""),
            prices: BTreeMap::from([
                (text("negative"), price(Way::Fixed, "-1", "1")),
                (text("fine"), price(Way::Market, "0.0000001", "1")),
                (text("dear"), price(Way::Fixed, "1", "10000.000001")),
                (text("word"), price(Way::Fixed, "free", "1")),
                (text("hour"), price(Way::Hour, "", "1000.1")),
            ]),
            power: PowerForm {
                watts: text("0.5"),
                per_kwh: text("-1"),
                currency: text("EUR"),
                dollars: text(""),
                floor: false,
            },
            loading: LoadingForm { on_demand: true, minutes: text("0") },
            when: WhenForm { idle: true, idle_minutes: text("0"), hours: true, days, ..WhenForm::default() },
            limits: LimitsForm {
                hour: text("-1"),
                day: text("many"),
                answer: text("0"),
                context: text("100"),
                month: text("0"),
            },
            ..Form::default()
        };
        let checked = form.check();
        let fields: Vec<_> = checked.errors.keys().map(String::as_str).collect();
        let expected = [
            "answer",
            "context",
            "day",
            "day:2",
            "dollars",
            "hour",
            "idle",
            "kwh",
            "month",
            "name",
            "price",
            "price:dear",
            "price:fine",
            "price:hour",
            "price:negative",
            "price:word",
            "relay",
            "server:1",
            "server:2",
            "slots",
            "unload",
            "watts",
        ];
        assert_eq!(fields, expected);
        checked.errors.values().for_each(Said::reads_as_its_message);
        assert_eq!(checked.config, None);
    }

    #[test]
    fn a_floor_needs_a_price_that_it_can_raise() {
        let text = |text: &str| text.to_owned();
        let power =
            PowerForm { watts: text("300"), per_kwh: text("0.3"), floor: true, ..PowerForm::default() };
        let errors = Form { power: power.clone(), ..form() }.check().errors;
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["floor"]);
        let price = PriceForm { way: Way::Market, ..PriceForm::default() };
        assert!(Form { power, price, ..form() }.check().errors.is_empty());
        let errors =
            Form { power: PowerForm { floor: true, ..PowerForm::default() }, ..form() }.check().errors;
        assert!(errors.contains_key("watts"), "{errors:?}");
    }

    #[test]
    fn a_schedule_without_a_day_is_refused() {
        let when = WhenForm { hours: true, ..WhenForm::default() };
        let errors = Form { when, ..form() }.check().errors;
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["hours"]);
    }
}
