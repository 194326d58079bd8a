//! Which hosts need the owner's permission in Chrome, beyond those of the manifest.

use crate::{address::Address, agent::Config};

/// Returns Chrome's pattern of a host that the manifest does not cover.
pub fn pattern(address: &Address) -> Option<String> {
    let usual = Address::parse(&Config::default().relay).is_ok_and(|usual| usual == *address);
    let covered = usual || (address.is_local() && !address.is_secure());
    let scheme = if address.is_secure() { "https" } else { "http" };
    (!covered).then(|| format!("{scheme}://{}/*", address.host()))
}

/// Returns the pattern of an address as a text.
pub fn pattern_of(text: &str) -> Option<String> {
    Address::parse(text).ok().as_ref().and_then(pattern)
}
