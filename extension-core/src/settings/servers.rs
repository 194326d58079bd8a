//! The model servers of the form.

use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    address::{Address, BadAddress},
    agent::{Config, ModelServer},
    said::{Blank, Said},
};

/// Most model servers that the form takes: the fence has three rules for each, of a hundred.
const SERVERS_MAX: usize = 16;

/// One model server as texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerForm {
    /// Where it is.
    pub address: String,
    /// Its API token, or empty.
    pub token: String,
}

/// Shows the servers, or an empty line with the token of the one that is looked for.
pub(super) fn show(config: &Config) -> Vec<ServerForm> {
    let token = |own: Option<&String>| own.or(config.token.as_ref()).cloned().unwrap_or_default();
    if config.servers.is_empty() {
        return vec![ServerForm { address: String::new(), token: token(None) }];
    }
    let servers = config.servers.iter();
    servers
        .map(|server| ServerForm { address: server.address.clone(), token: token(server.token.as_ref()) })
        .collect()
}

/// Reads the servers, and the token of the one that is looked for when there are none.
pub(super) fn read(forms: &[ServerForm], errors: &mut Errors) -> (Vec<ModelServer>, Option<String>) {
    let mut servers: Vec<ModelServer> = Vec::new();
    for (at, form) in forms.iter().enumerate().filter(|(_, form)| !form.address.trim().is_empty()) {
        let field = format!("server:{at}");
        let address = Address::parse(&form.address).map_err(BadAddress::said);
        let Some(address) = note(errors, &field, address).map(|address| address.http()) else { continue };
        let is_twice = servers.iter().any(|server| server.address == address);
        let fault = match (is_twice, servers.len() == SERVERS_MAX) {
            (true, _) => Some(Said::plain("form_server_twice", "This server is in the list already.")),
            (false, true) => {
                let text = format!("At most {SERVERS_MAX} servers.");
                Some(Said::new("form_servers_many", [Blank::Number(SERVERS_MAX as u64)], text))
            }
            (false, false) => None,
        };
        match fault {
            Some(said) => drop(errors.insert(field, said)),
            None => servers.push(ModelServer { address, token: token(form) }),
        }
    }
    let found = forms.first().filter(|_| servers.is_empty()).and_then(token);
    (servers, found)
}

fn token(form: &ServerForm) -> Option<String> {
    Some(form.token.trim().to_owned()).filter(|token| !token.is_empty())
}
