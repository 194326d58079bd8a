//! API keys: how they are told apart by those who may not know them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An API key's first characters, `rk_` and eight hex digits, by which it is named wherever the key
/// itself must not stand. No two keys of one relay begin alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

/// Why a text does not name a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is named by rk_ and eight hex digits")]
pub struct BadKeyId;

impl KeyId {
    /// What every API key begins with.
    pub const PREFIX: &'static str = "rk_";

    /// Takes the 32 bits that the digits stand for.
    pub const fn from_bits(bits: u32) -> KeyId {
        KeyId(bits)
    }

    /// Reads how a whole key begins.
    pub fn of(key: &str) -> Result<KeyId, BadKeyId> {
        key.get(..11).ok_or(BadKeyId)?.parse()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rk_{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = BadKeyId;

    fn from_str(text: &str) -> Result<KeyId, BadKeyId> {
        let digits = text.strip_prefix(KeyId::PREFIX).ok_or(BadKeyId)?;
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != 8 || !is_hex {
            return Err(BadKeyId);
        }
        u32::from_str_radix(digits, 16).map(KeyId).map_err(|_| BadKeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KeyId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_how_it_begins() {
        let id = KeyId::of("rk_00c0ffee0123456789").unwrap();
        assert_eq!(id, KeyId::from_bits(0x00c0_ffee));
        assert_eq!(id.to_string(), "rk_00c0ffee");
        assert_eq!(serde_json::from_str::<KeyId>("\"rk_00c0ffee\"").unwrap(), id);
        for bad in ["", "rk_", "rk_00c0ffe", "rk_00C0FFEE", "rk_+0c0ffee", "rps_00c0ffee", "rk_00c0ffee0"] {
            assert_eq!(bad.parse::<KeyId>(), Err(BadKeyId), "{bad}");
        }
        assert_eq!(KeyId::of("rk_00c0"), Err(BadKeyId));
    }
}
