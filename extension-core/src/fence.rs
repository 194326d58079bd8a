//! The fence around the extension: what it may reach, and that everything else is blocked.
//!
//! The agent's document puts it up twice before its first request: as request rules that Chrome
//! applies to every request of the extension, and as a content security policy of the document.

use serde_json::{Value, json};

use crate::address::Address;

/// Where the extension may send requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    relay: Option<Address>,
    servers: Vec<Address>,
}

/// Every kind of request that Chrome tells apart, pages of the extension's own making included.
const KINDS: [&str; 15] = [
    "main_frame",
    "sub_frame",
    "stylesheet",
    "script",
    "image",
    "font",
    "object",
    "xmlhttprequest",
    "ping",
    "csp_report",
    "media",
    "websocket",
    "webtransport",
    "webbundle",
    "other",
];

impl Fence {
    /// Makes the fence for a relay and the places where a model server may be. An address that is none opens nothing.
    pub fn new(relay: &str, servers: &[String]) -> Fence {
        let servers = servers.iter().filter_map(|text| Address::parse(text).ok()).collect();
        Fence { relay: Address::parse(relay).ok(), servers }
    }

    /// Returns the rules for `chrome.declarativeNetRequest`, in its own form.
    pub fn rules(&self, extension: &str) -> Value {
        let mut rules = Rules { extension, list: Vec::new() };
        rules.add(1, json!({"type": "block"}), None, &KINDS);
        if let Some(relay) = &self.relay {
            rules.add(2, json!({"type": "allow"}), Some(relay.http()), &["xmlhttprequest"]);
            rules.add(2, json!({"type": "allow"}), Some(relay.socket()), &["websocket"]);
        }
        for server in &self.servers {
            rules.add(2, json!({"type": "allow"}), Some(server.http()), &["xmlhttprequest"]);
            // Ollama answers 403 to an `Origin` that it does not know. A change of headers counts
            // only above the rule that allows the request.
            let without_origin = json!({
                "type": "modifyHeaders",
                "requestHeaders": [{"header": "origin", "operation": "remove"}],
            });
            rules.add(3, without_origin, Some(server.http()), &["xmlhttprequest"]);
        }
        Value::Array(rules.list)
    }

    /// Returns the content security policy for the agent's document.
    pub fn policy(&self) -> String {
        let relay = self.relay.iter().flat_map(|relay| [relay.http(), relay.socket()]);
        let servers = self.servers.iter().map(Address::http);
        relay.chain(servers).fold("connect-src 'self'".to_owned(), |policy, origin| policy + " " + &origin)
    }
}

struct Rules<'a> {
    extension: &'a str,
    list: Vec<Value>,
}

impl Rules<'_> {
    fn add(&mut self, priority: u32, action: Value, origin: Option<String>, kinds: &[&str]) {
        let mut condition = json!({"initiatorDomains": [self.extension], "resourceTypes": kinds});
        if let Some(origin) = origin {
            // The slash ends the authority: without it `http://host:80` would allow `http://host:8080`.
            condition["urlFilter"] = json!(format!("|{origin}/"));
        }
        self.list.push(json!({
            "id": self.list.len() + 1,
            "priority": priority,
            "action": action,
            "condition": condition,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence() -> Fence {
        Fence::new("wss://relay.example", &["http://127.0.0.1:1234".to_owned(), "nonsense".to_owned()])
    }

    #[test]
    fn everything_is_blocked_but_the_relay_and_the_servers() {
        let rules = fence().rules("abc");
        let short: Vec<_> = rules
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| {
                let kinds = rule["condition"]["resourceTypes"].as_array().unwrap().len();
                assert_eq!(rule["condition"]["initiatorDomains"], json!(["abc"]));
                (
                    rule["priority"].as_u64().unwrap(),
                    rule["action"]["type"].as_str().unwrap(),
                    rule["condition"]["urlFilter"].as_str().unwrap_or("everything"),
                    kinds,
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                (1, "block", "everything", KINDS.len()),
                (2, "allow", "|https://relay.example/", 1),
                (2, "allow", "|wss://relay.example/", 1),
                (2, "allow", "|http://127.0.0.1:1234/", 1),
                (3, "modifyHeaders", "|http://127.0.0.1:1234/", 1),
            ]
        );
    }

    #[test]
    fn the_policy_names_the_same_addresses() {
        assert_eq!(
            fence().policy(),
            "connect-src 'self' https://relay.example wss://relay.example http://127.0.0.1:1234"
        );
    }

    #[test]
    fn an_address_that_is_none_opens_nothing() {
        let fence = Fence::new("*", &["http://*".to_owned()]);
        assert_eq!(fence.policy(), "connect-src 'self'");
        assert_eq!(fence.rules("abc").as_array().unwrap().len(), 1);
    }
}
