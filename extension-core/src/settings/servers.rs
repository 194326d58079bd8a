//! The model servers of the form.

use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    address::{Address, BadAddress},
    agent::{Config, ModelServer},
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
        let address = Address::parse(&form.address).map_err(|bad: BadAddress| bad.to_string());
        let Some(address) = note(errors, &field, address).map(|address| address.http()) else { continue };
        let is_twice = servers.iter().any(|server| server.address == address);
        let fault = match (is_twice, servers.len() == SERVERS_MAX) {
            (true, _) => Some("This server is in the list already.".to_owned()),
            (false, true) => Some(format!("At most {SERVERS_MAX} servers.")),
            (false, false) => None,
        };
        match fault {
            Some(sentence) => drop(errors.insert(field, sentence)),
            None => servers.push(ModelServer { address, token: token(form) }),
        }
    }
    let found = forms.first().filter(|_| servers.is_empty()).and_then(token);
    (servers, found)
}

fn token(form: &ServerForm) -> Option<String> {
    Some(form.token.trim().to_owned()).filter(|token| !token.is_empty())
}
