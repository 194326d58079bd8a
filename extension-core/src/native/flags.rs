//! The flags of `rekursing-node`.

use std::path::PathBuf;

use rekursing_protocol::{Price, Serves, Topics};

use crate::{
    agent::{Config, ModelServer},
    choices::Allowance,
    settings::micros,
};

/// Offers the models of a local model server on rekursing.com. Starting it is the owner's consent.
#[derive(Clone, clap::Parser)]
#[command(name = "rekursing-node", version)]
pub struct Flags {
    /// The relay's address.
    #[arg(long, env = "REKURSING_RELAY", default_value = "wss://rekursing.com")]
    pub relay: String,

    /// The model server's address; may be given several times. Without it the usual ones on this
    /// computer are tried: LM Studio, Ollama, llama.cpp, vLLM, exo.
    #[arg(long, env = "REKURSING_SERVER", value_delimiter = ',')]
    pub server: Vec<String>,

    /// The API token of the servers whose addresses are given. It is sent nowhere else.
    #[arg(long, env = "REKURSING_SERVER_TOKEN", hide_env_values = true, requires = "server")]
    pub server_token: Option<String>,

    /// Where to keep the identity that earns, readable by its owner alone. Without it every start
    /// is a new identity.
    #[arg(long, env = "REKURSING_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Jobs at once over all models.
    #[arg(long, env = "REKURSING_SLOTS", default_value_t = 4)]
    pub slots: u16,

    /// The price of prompts in US dollars per million tokens, such as 0.05; without it the relay's
    /// default ask.
    #[arg(long, env = "REKURSING_PRICE_INPUT", value_name = "DOLLARS", value_parser = micros, requires = "price_output")]
    pub price_input: Option<u64>,

    /// The price of answers in US dollars per million tokens.
    #[arg(long, env = "REKURSING_PRICE_OUTPUT", value_name = "DOLLARS", value_parser = micros, requires = "price_input")]
    pub price_output: Option<u64>,

    /// Tokens of the longest answer; a longer one ends there.
    #[arg(long, env = "REKURSING_ANSWER_TOKENS", value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub answer_tokens: Option<u32>,

    /// Tokens of the largest context to offer a model with.
    #[arg(long, env = "REKURSING_CONTEXT_TOKENS", value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    pub context_tokens: Option<u32>,

    /// Whom to serve: everyone, verified (accounts that have paid in), or group (friends alone).
    #[arg(long, env = "REKURSING_SERVES", value_name = "WHOM", default_value = "everyone", value_parser = serves)]
    pub serves: Serves,

    /// What not to answer: categories and sensitive subjects as docs/ads.md names them, and `unread` for what
    /// nobody can tell; parted by commas.
    #[arg(long, env = "REKURSING_REFUSES", value_name = "TOPICS", value_delimiter = ',', value_parser = Topics::named)]
    pub refuses: Vec<Topics>,

    /// A name that pages may see, at most 60 characters.
    #[arg(long, env = "REKURSING_NAME", default_value = "")]
    pub name: String,

    /// So many agents, each with an identity of its own that is not kept; for load tests.
    #[arg(long, default_value_t = 1)]
    pub sessions: usize,
}

impl std::fmt::Debug for Flags {
    /// Prints everything but the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flags")
            .field("relay", &self.relay)
            .field("server", &self.server)
            .field("state", &self.state)
            .field("slots", &self.slots)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Config {
        let price = flags.price_input.zip(flags.price_output);
        Config {
            relay: flags.relay,
            servers: flags.server.iter().map(|address| ModelServer::at(address)).collect(),
            token: flags.server_token,
            name: flags.name,
            price: price.map(|(input, output)| Price { input, output }.into()),
            slots: flags.slots,
            serves: flags.serves,
            refuses: flags.refuses.into_iter().collect(),
            allowance: Allowance {
                answer_tokens: flags.answer_tokens,
                context_tokens: flags.context_tokens,
                ..Allowance::default()
            },
            consent: true,
            ..Config::default()
        }
    }
}

fn serves(text: &str) -> Result<Serves, &'static str> {
    match text {
        "everyone" => Ok(Serves::Everyone),
        "verified" => Ok(Serves::Verified),
        "group" => Ok(Serves::Group),
        _ => Err("everyone, verified or group"),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_flags_are_well_formed() {
        Flags::command().debug_assert();
    }

    #[test]
    fn flags_become_settings_with_consent() {
        let line = "rekursing-node --relay ws://127.0.0.1:1 --server http://127.0.0.1:2 --slots 7 \
                    --price-input 0.05 --price-output 2 --server-token t --answer-tokens 512 --context-tokens 8192 \
                    --serves group --refuses politics,unread";
        let config = Config::from(Flags::try_parse_from(line.split_whitespace()).unwrap());
        assert_eq!((config.relay.as_str(), config.slots, config.consent), ("ws://127.0.0.1:1", 7, true));
        assert_eq!(
            (config.servers, config.token),
            (vec![ModelServer::at("http://127.0.0.1:2")], Some("t".to_owned()))
        );
        assert_eq!(config.price, Some(Price { input: 50_000, output: 2_000_000 }.into()));
        assert_eq!(
            (config.allowance.answer_tokens, config.allowance.context_tokens, config.allowance.counts()),
            (Some(512), Some(8_192), false)
        );
        assert_eq!(
            (config.serves, serde_json::to_string(&config.refuses).unwrap().as_str()),
            (Serves::Group, r#"["politics","unread"]"#)
        );
        for wrong in [
            ["--refuses", "weather"],
            ["--serves", "nobody"],
            ["--price-input", "5"],
            ["--answer-tokens", "0"],
            ["--context-tokens", "0"],
            // Without an address the token would be for whoever listens on a usual port.
            ["--server-token", "t"],
        ] {
            assert!(Flags::try_parse_from([&["rekursing-node"][..], &wrong].concat()).is_err());
        }
    }

    #[test]
    fn a_price_is_read_exactly_or_not_at_all() {
        let parse = |price| Flags::try_parse_from(["n", "--price-input", price, "--price-output", "0"]);
        for (price, micros) in [("0", 0), ("0.000001", 1), ("0.1", 100_000), ("10000", 10_000_000_000)] {
            assert_eq!(parse(price).unwrap().price_input, Some(micros), "{price}");
        }
        for wrong in ["", "free", "1e-3", "0.0000001", "10000.000001", "$1", "0,05"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("A price "), "{wrong}: {error}");
        }
    }

    #[test]
    fn no_debug_output_holds_the_token() {
        let flags =
            Flags::try_parse_from(["rekursing-node", "--server", "http://a", "--server-token", "sk-secret"])
                .unwrap();
        assert!(!format!("{flags:?} {:?}", Config::from(flags.clone())).contains("sk-secret"));
    }
}
