//! The door in the fence through which weights for the model in the browser come: one address, for reading alone,
//! open while they are fetched.

use serde_json::{Value, json};

use crate::{
    address::{Address, BadAddress},
    permission,
    said::Said,
};

/// The rule's number, beyond those of the fence, which are put up anew meanwhile.
const RULE: u32 = 1_000;

/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2_000;

/// Where weights are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    host: Address,
    url: String,
}

impl Door {
    /// Reads an address as `URL.href` writes it: with a file behind the host, encrypted unless it is this computer's
    /// own, and without the signs that mean something in a rule.
    ///
    /// # Errors
    /// The sentence for the owner.
    pub fn parse(url: &str) -> Result<Door, Said> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| BadAddress::Scheme.said())?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = Address::parse(&format!("{scheme}://{authority}")).map_err(BadAddress::said)?;
        if !matches!(scheme, "http" | "https") || !(host.is_secure() || host.is_local()) {
            return Err(Said::plain("form_door_plain", "Begin the address with https://."));
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"*^|#".contains(&byte);
        if path.is_empty() || url.len() > URL_BYTES_MAX || !path.bytes().all(is_plain) {
            return Err(Said::plain("form_door_file", "Write the whole address of a GGUF file."));
        }
        Ok(Door { host, url: url.to_owned() })
    }

    /// Returns the rule for `chrome.declarativeNetRequest` by which this address can be read, and no other.
    pub fn rule(&self, extension: &str) -> Value {
        json!({
            "id": RULE,
            "priority": 2,
            "action": {"type": "allow"},
            "condition": {
                "initiatorDomains": [extension], "resourceTypes": ["xmlhttprequest"], "requestMethods": ["get"],
                "urlFilter": format!("|{}|", self.url), "isUrlFilterCaseSensitive": true,
            },
        })
    }

    /// Returns Chrome's pattern of the host, where the owner's permission is needed.
    pub fn origin(&self) -> Option<String> {
        permission::pattern(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_let_in_and_nothing_beside_it() {
        let door = Door::parse("https://models.example:8443/a/Tiny-Q4_0.gguf?x=1").unwrap();
        assert_eq!(door.origin().as_deref(), Some("https://models.example/*"));
        let rule = door.rule("abc");
        let condition = &rule["condition"];
        assert_eq!(condition["urlFilter"], "|https://models.example:8443/a/Tiny-Q4_0.gguf?x=1|");
        assert_eq!(condition["requestMethods"], json!(["get"]));
        assert_eq!(condition["initiatorDomains"], json!(["abc"]));
        assert_eq!(Door::parse("http://127.0.0.1:8080/tiny.gguf").unwrap().origin(), None);
    }

    #[test]
    fn what_is_not_the_encrypted_address_of_a_file_opens_nothing() {
        for (url, key) in [
            ("models.example/tiny.gguf", "form_address_scheme"),
            ("ftp://models.example/tiny.gguf", "form_address_scheme"),
            ("https://user@models.example/tiny.gguf", "form_address_host"),
            ("http://models.example/tiny.gguf", "form_door_plain"),
            ("wss://models.example/tiny.gguf", "form_door_plain"),
            ("https://models.example/", "form_door_file"),
            ("https://models.example", "form_door_file"),
            ("https://models.example/*", "form_door_file"),
            ("https://models.example/a|b", "form_door_file"),
            ("https://models.example/a^", "form_door_file"),
            ("https://models.example/a#b", "form_door_file"),
            ("https://models.example/a b", "form_door_file"),
        ] {
            let said = Door::parse(url).unwrap_err();
            assert_eq!(said.key, key, "{url}");
            said.reads_as_its_message();
        }
        let long = format!("https://models.example/{}", "a".repeat(2_000));
        assert_eq!(Door::parse(&long).unwrap_err().key, "form_door_file");
    }
}
