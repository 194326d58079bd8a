//! Addresses that an owner sets: scheme, host and port, nothing else.

use std::fmt;

use crate::said::Said;

/// Where a relay or a model server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    secure: bool,
    host: String,
    /// `None` when it is the scheme's own.
    port: Option<u16>,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither `http` nor `https`, nor their WebSocket forms.
    #[error("Begin the address with http:// or https://.")]
    Scheme,
    /// No host, or one with characters that no name has.
    #[error("Write a host name or an IPv4 address after the two slashes, such as 192.168.1.20.")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("The port is a number from 1 to 65535.")]
    Port,
    /// Something follows the port.
    #[error("Leave out what follows the port.")]
    Path,
}

impl BadAddress {
    /// Says it to the owner.
    pub fn said(self) -> Said {
        let key = match self {
            BadAddress::Scheme => "form_address_scheme",
            BadAddress::Host => "form_address_host",
            BadAddress::Port => "form_address_port",
            BadAddress::Path => "form_address_path",
        };
        Said::new(key, [], self.to_string())
    }
}

impl Address {
    /// Reads `scheme://host[:port]`, with a trailing `/` or `/v1` forgiven.
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or(BadAddress::Scheme)?;
        let secure = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(BadAddress::Scheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !matches!(path, "" | "v1" | "v1/") {
            return Err(BadAddress::Path);
        }
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(number(port).ok_or(BadAddress::Port)?)),
            None => (authority, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) || host.starts_with('.') {
            return Err(BadAddress::Host);
        }
        let own = if secure { 443 } else { 80 };
        Ok(Address { secure, host: host.to_owned(), port: port.filter(|port| *port != own) })
    }

    /// Tells whether the address is this computer's own.
    pub fn is_local(&self) -> bool {
        matches!(self.host.as_str(), "127.0.0.1" | "localhost")
    }

    /// Tells whether the way there is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host alone.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns `http://host[:port]` or `https://host[:port]`.
    pub fn http(&self) -> String {
        self.with(if self.secure { "https" } else { "http" })
    }

    /// Returns `ws://host[:port]` or `wss://host[:port]`.
    pub fn socket(&self) -> String {
        self.with(if self.secure { "wss" } else { "ws" })
    }

    /// Returns `host[:port]`, as it stands in a request's `Host`.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    fn with(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.authority())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http())
    }
}

fn number(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| plain && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_form() {
        for (text, http, socket) in [
            ("http://127.0.0.1:1234", "http://127.0.0.1:1234", "ws://127.0.0.1:1234"),
            (" HTTP://LocalHost:80/ ", "http://localhost", "ws://localhost"),
            ("https://rekursing.com:443", "https://rekursing.com", "wss://rekursing.com"),
            ("wss://rekursing.com", "https://rekursing.com", "wss://rekursing.com"),
            ("http://192.168.1.20:1234/v1", "http://192.168.1.20:1234", "ws://192.168.1.20:1234"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.http().as_str(), address.socket().as_str()), (http, socket), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_more_or_less_than_an_address() {
        for (text, why) in [
            ("", BadAddress::Scheme),
            ("127.0.0.1:1234", BadAddress::Scheme),
            ("ftp://127.0.0.1", BadAddress::Scheme),
            ("http://", BadAddress::Host),
            ("http://me:secret@host", BadAddress::Port),
            ("http://me@host", BadAddress::Host),
            ("http://a|b*^", BadAddress::Host),
            ("http://a b", BadAddress::Host),
            ("http://[::1]:1234", BadAddress::Port),
            ("http://host:0", BadAddress::Port),
            ("http://host:65536", BadAddress::Port),
            ("http://host:+80", BadAddress::Port),
            ("http://host/path", BadAddress::Path),
            ("http://host/?q", BadAddress::Path),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text}");
        }
    }
}
