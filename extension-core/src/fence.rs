//! The fence around the extension: what it may reach, and that everything else is blocked.
//!
//! The agent's document puts it up twice before its first request: as request rules that Chrome
//! applies to every request of the extension, and as a content security policy of the document.

use serde_json::{Value, json};

use rekursing_protocol::frame::Call;

use crate::{
    address::Address,
    bridge::{
        request,
        server::{Kind, USUAL_ADDRESSES},
    },
};

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

/// Headers of an answer by which Chrome itself would do something elsewhere or later: open a connection, send a
/// report, keep a cookie, clear what the extension has stored. No answer of a relay or a model server needs them.
const STRIPPED: [&str; 8] = [
    "alt-svc",
    "clear-site-data",
    "link",
    "nel",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "set-cookie",
];

impl Fence {
    /// Makes the fence for a relay and the places where a model server may be; without any, the
    /// usual ones. An address that is none opens nothing.
    pub fn new(relay: &str, servers: &[String]) -> Fence {
        let parse = |text: &str| Address::parse(text).ok();
        let servers = match servers {
            [] => USUAL_ADDRESSES.into_iter().filter_map(parse).collect(),
            set => set.iter().filter_map(|text| parse(text)).collect(),
        };
        Fence { relay: parse(relay), servers }
    }

    /// Returns the rules for `chrome.declarativeNetRequest`, in its own form. All places may be
    /// looked at by `GET`; jobs go to the servers that were found there, or to the only place there is,
    /// and to no other path than those of jobs. LM Studio may also be asked to load and unload models.
    pub fn rules(&self, extension: &str, found: &[(String, Kind)]) -> Value {
        let mut rules = Rules { extension, list: Vec::new() };
        rules.add(1, json!({"type": "block"}), None, &KINDS, &[]);
        if let Some(relay) = &self.relay {
            let methods = ["get", "post", "put", "delete"];
            rules.add(2, json!({"type": "allow"}), Some(relay.http()), &["xmlhttprequest"], &methods);
            rules.add(2, json!({"type": "allow"}), Some(relay.socket()), &["websocket"], &[]);
        }
        for server in &self.servers {
            rules.add(2, json!({"type": "allow"}), Some(server.http()), &["xmlhttprequest"], &["get"]);
        }
        // Chrome opens a connection to wherever a `Link` of an answer says (`rel=preconnect`), or asks for its
        // name, without any rule or policy being asked; and so with others.
        // Chrome opens a socket with the cookies that there are for its host, those of the relay's website too.
        let headers = STRIPPED.map(|header| json!({"header": header, "operation": "remove"}));
        let stripped = json!({
            "type": "modifyHeaders",
            "requestHeaders": [{"header": "cookie", "operation": "remove"}],
            "responseHeaders": headers,
        });
        rules.add(3, stripped, None, &["xmlhttprequest", "websocket"], &[]);
        for (server, kind) in self.chosen(found) {
            rules.add_paths(2, &server.http(), &paths(kind));
            // Ollama answers 403 to an `Origin` that it does not know, and only a `POST` carries one.
            // A change of headers counts only above the rule that allows the request.
            let without_origin = json!({
                "type": "modifyHeaders",
                "requestHeaders": [{"header": "origin", "operation": "remove"}],
            });
            rules.add(3, without_origin, Some(server.http()), &["xmlhttprequest"], &["post"]);
        }
        Value::Array(rules.list)
    }

    fn chosen(&self, found: &[(String, Kind)]) -> Vec<(&Address, Option<Kind>)> {
        let found: Vec<(Address, Kind)> =
            found.iter().filter_map(|(text, kind)| Some((Address::parse(text).ok()?, *kind))).collect();
        let kind = |server: &Address| found.iter().find(|(known, _)| known == server).map(|(_, kind)| *kind);
        let is_only = self.servers.len() == 1;
        let servers = self.servers.iter().map(|server| (server, kind(server)));
        servers.filter(|(_, kind)| is_only || kind.is_some()).collect()
    }

    /// Returns the content security policy for the agent's document.
    pub fn policy(&self) -> String {
        let relay = self.relay.iter().flat_map(|relay| [relay.http(), relay.socket()]);
        let servers = self.servers.iter().map(Address::http);
        relay.chain(servers).fold("connect-src 'self'".to_owned(), |policy, origin| policy + " " + &origin)
    }
}

/// Returns the paths that a server of this kind may be sent something at.
fn paths(kind: Option<Kind>) -> Vec<&'static str> {
    let jobs = [Call::Chat, Call::Completion, Call::Embedding].map(request::path);
    let moves: &[&str] = match kind {
        Some(Kind::LmStudio) => &["/api/v1/models/load", "/api/v1/models/unload"],
        Some(Kind::LmStudioV0 | Kind::Ollama | Kind::LlamaCpp | Kind::Generic | Kind::Browser) | None => &[],
    };
    jobs.iter().chain(moves).copied().collect()
}

struct Rules<'a> {
    extension: &'a str,
    list: Vec<Value>,
}

impl Rules<'_> {
    /// Allows a `POST` to exactly these paths of an origin, whose only special sign is the dot.
    fn add_paths(&mut self, priority: u32, origin: &str, paths: &[&str]) {
        let regex = format!("^{}({})$", origin.replace('.', "\\."), paths.join("|"));
        self.list.push(json!({
            "id": self.list.len() + 1,
            "priority": priority,
            "action": {"type": "allow"},
            "condition": {
                "initiatorDomains": [self.extension], "resourceTypes": ["xmlhttprequest"],
                "requestMethods": ["post"], "regexFilter": regex, "isUrlFilterCaseSensitive": true,
            },
        }));
    }

    /// Adds a rule for an origin, or for everything, of these kinds and with these methods, or any.
    fn add(
        &mut self,
        priority: u32,
        action: Value,
        origin: Option<String>,
        kinds: &[&str],
        methods: &[&str],
    ) {
        let mut condition = json!({"initiatorDomains": [self.extension], "resourceTypes": kinds});
        if let Some(origin) = origin {
            // The slash ends the authority: without it `http://host:80` would allow `http://host:8080`.
            condition["urlFilter"] = json!(format!("|{origin}/"));
        }
        if !methods.is_empty() {
            condition["requestMethods"] = json!(methods);
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

    const LM_STUDIO: &str = "http://127.0.0.1:1234";
    const OLLAMA: &str = "http://127.0.0.1:11434";

    fn fence(servers: &[&str]) -> Fence {
        let servers: Vec<_> = servers.iter().map(|text| (*text).to_owned()).collect();
        Fence::new("wss://relay.example", &servers)
    }

    /// Writes each rule as `priority action methods origin`.
    fn short(rules: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("everything").to_owned();
        let line = |rule: &Value| {
            let condition = &rule["condition"];
            assert_eq!(condition["initiatorDomains"], json!(["abc"]));
            let kinds = condition["resourceTypes"].as_array().unwrap().len();
            let is_for_all = condition["urlFilter"].is_null() && condition["regexFilter"].is_null();
            let all = if rule["priority"] == 1 { KINDS.len() } else { 2 };
            assert_eq!(kinds, if is_for_all { all } else { 1 });
            let methods = condition["requestMethods"].as_array().into_iter().flatten();
            let methods = methods.map(text).collect::<Vec<_>>().join("+");
            format!(
                "{} {} {methods} {}",
                rule["priority"],
                text(&rule["action"]["type"]),
                condition["urlFilter"]
                    .as_str()
                    .map_or_else(|| text(&condition["regexFilter"]), str::to_owned)
            )
        };
        rules.as_array().unwrap().iter().map(line).collect()
    }

    #[test]
    fn everything_is_blocked_but_the_relay_and_the_one_server() {
        assert_eq!(
            short(&fence(&[LM_STUDIO, "nonsense"]).rules("abc", &[])),
            [
                "1 block  everything",
                "2 allow get+post+put+delete |https://relay.example/",
                "2 allow  |wss://relay.example/",
                "2 allow get |http://127.0.0.1:1234/",
                "3 modifyHeaders  everything",
                r"2 allow post ^http://127\.0\.0\.1:1234(/v1/chat/completions|/v1/completions|/v1/embeddings)$",
                "3 modifyHeaders post |http://127.0.0.1:1234/",
            ]
        );
    }

    #[test]
    fn no_answer_has_chrome_do_something_elsewhere_or_later() {
        let rules = fence(&[LM_STUDIO]).rules("abc", &[]);
        let rules = rules.as_array().unwrap();
        let stripped = rules.iter().find(|rule| rule["action"]["responseHeaders"].is_array()).unwrap();
        assert_eq!(stripped["condition"].get("urlFilter"), None, "of whomever");
        let headers = stripped["action"]["responseHeaders"].as_array().unwrap();
        let removed = |name: &str| headers.contains(&json!({"header": name, "operation": "remove"}));
        assert!(STRIPPED.into_iter().all(removed));
    }

    #[test]
    fn jobs_go_only_to_servers_that_were_found() {
        let posts = |found: &[&str]| {
            let found: Vec<_> = found.iter().map(|address| ((*address).to_owned(), Kind::Ollama)).collect();
            let rules = short(&fence(&[LM_STUDIO, OLLAMA]).rules("abc", &found));
            rules.into_iter().filter(|rule| rule.starts_with("2 allow post")).collect::<Vec<_>>()
        };
        let jobs = "(/v1/chat/completions|/v1/completions|/v1/embeddings)$";
        let [lm_studio, ollama] =
            [LM_STUDIO, OLLAMA].map(|address| format!("2 allow post ^{}{jobs}", address.replace('.', r"\.")));
        assert!(posts(&[]).is_empty());
        assert_eq!(posts(&[OLLAMA]), [ollama.as_str()]);
        assert_eq!(posts(&[OLLAMA, LM_STUDIO]), [lm_studio, ollama]);
        assert!(posts(&["http://127.0.0.1:22"]).is_empty());
    }

    #[test]
    fn only_lm_studio_may_be_asked_to_load_and_unload() {
        let moves = |kind| {
            let rules = short(&fence(&[LM_STUDIO]).rules("abc", &[(LM_STUDIO.to_owned(), kind)]));
            rules.iter().any(|rule| rule.ends_with("|/api/v1/models/load|/api/v1/models/unload)$"))
        };
        assert!(moves(Kind::LmStudio));
        let others = [Kind::LmStudioV0, Kind::Ollama, Kind::LlamaCpp, Kind::Generic];
        assert!(others.into_iter().all(|kind| !moves(kind)));
    }

    #[test]
    fn without_an_address_the_usual_places_are_looked_at() {
        let rules = short(&fence(&[]).rules("abc", &[]));
        let looked_at = rules.iter().filter(|rule| rule.starts_with("2 allow get |")).count();
        assert_eq!(looked_at, USUAL_ADDRESSES.len());
    }

    #[test]
    fn the_policy_names_the_same_addresses() {
        assert_eq!(
            fence(&[LM_STUDIO]).policy(),
            "connect-src 'self' https://relay.example wss://relay.example http://127.0.0.1:1234"
        );
    }

    #[test]
    fn an_address_that_is_none_opens_nothing() {
        let fence = Fence::new("*", &["http://*".to_owned()]);
        assert_eq!(fence.policy(), "connect-src 'self'");
        assert_eq!(
            short(&fence.rules("abc", &[("http://*".to_owned(), Kind::LmStudio)])),
            ["1 block  everything", "3 modifyHeaders  everything"]
        );
    }
}
