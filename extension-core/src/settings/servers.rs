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

/// Shows the servers, or an empty line, with a token of before that no address belonged to.
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

/// Reads the servers. A token is for one address, because whoever listens there is told it.
pub(super) fn read(forms: &[ServerForm], errors: &mut Errors) -> Vec<ModelServer> {
    let mut servers: Vec<ModelServer> = Vec::new();
    for (at, form) in forms.iter().enumerate() {
        let field = format!("server:{at}");
        if form.address.trim().is_empty() {
            if token(form).is_some() {
                let text = "Write the address of the server that this token is for. It is sent nowhere else.";
                errors.insert(field, Said::plain("form_token_address", text));
            }
            continue;
        }
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
    servers
}

fn token(form: &ServerForm) -> Option<String> {
    Some(form.token.trim().to_owned()).filter(|token| !token.is_empty())
}
