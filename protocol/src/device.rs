//! Device keys: the text that a plugin signs to show who it is.
//!
//! This module knows no key: whoever signs or checks does so, with Ed25519, over the bytes of [`Statement`]
//! as it prints.

use std::fmt;

use crate::{PluginId, VERSION};

/// The first line of what is signed.
const TITLE: &str = "rekursing-device-v1";

/// Bytes of a public key, written as twice as many hex digits.
pub const KEY_BYTES: usize = 32;

/// Bytes of a signature, written as twice as many hex digits.
pub const SIGNATURE_BYTES: usize = 64;

/// What a signature is for. One for one purpose is of no use for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be let in on the link: the nonce is that of `hello`.
    Link,
    /// To get a pass for the owner's routes: the nonce is that of `POST /api/plugin/challenge`.
    Pass,
}

/// What a plugin signs: for what, to whom, who it is, and the relay's nonce. So a signature that somebody
/// catches is worth nothing to another relay, for another plugin, for something else, or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// For what.
    pub purpose: Purpose,
    /// The relay, as [`host`] writes it.
    pub host: &'a str,
    /// Who signs.
    pub plugin: PluginId,
    /// What the relay has made up for this once.
    pub nonce: &'a str,
}

impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Link => "link",
            Purpose::Pass => "pass",
        };
        let Statement { host, plugin, nonce, .. } = self;
        write!(f, "{TITLE}\n{purpose}\n{VERSION}\n{host}\n{plugin}\n{nonce}")
    }
}

/// Writes a relay's host, with its port if it has one, as both sides sign it: in small letters, and without
/// the port of `http` and of `https`.
pub fn host(authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let bare = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80"));
    bare.map_or_else(|| authority.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_write_a_host_the_same() {
        for (authority, written) in [
            ("Rekursing.com", "rekursing.com"),
            ("rekursing.com:443", "rekursing.com"),
            ("relay:80", "relay"),
            ("127.0.0.1:3002", "127.0.0.1:3002"),
            ("relay:8443", "relay:8443"),
        ] {
            assert_eq!(host(authority), written);
        }
    }

    #[test]
    fn everything_that_a_statement_is_bound_to_changes_it() {
        let plugin = PluginId::from_bits(1);
        let one = Statement { purpose: Purpose::Link, host: "relay:3002", plugin, nonce: "00" };
        let others = [
            Statement { purpose: Purpose::Pass, ..one },
            Statement { host: "relay:3003", ..one },
            Statement { plugin: PluginId::from_bits(2), ..one },
            Statement { nonce: "01", ..one },
        ];
        for other in others {
            assert_ne!(one.to_string(), other.to_string());
        }
    }
}
