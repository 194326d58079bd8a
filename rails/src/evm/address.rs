//! Addresses of an EVM chain, with their checksum (EIP-55).

use std::{fmt, str::FromStr};

use sha3::{Digest, Keccak256};

use crate::{BadDestination, hex};

/// An address. Prints and reads with its checksum: the case of each letter is a bit of a hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// The address that nobody has the key of.
    pub const ZERO: Address = Address([0; 20]);

    /// Makes the address of a public key, an uncompressed point without its leading byte.
    pub(super) fn of_point(point: &[u8]) -> Address {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&keccak(point)[12..]);
        Address(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the address as a word of a contract's data or log.
    pub(super) fn word(&self) -> [u8; 32] {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        word
    }
}

/// Ethereum's hash.
pub(super) fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(&self.0);
        let hash = hex::encode(&keccak(digits.as_bytes()));
        f.write_str("0x")?;
        for (digit, nibble) in digits.chars().zip(hash.chars()) {
            let upper = nibble.to_digit(16).is_some_and(|nibble| nibble >= 8);
            write!(f, "{}", if upper { digit.to_ascii_uppercase() } else { digit })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Address, BadDestination> {
        let bytes = text.strip_prefix("0x").and_then(hex::decode);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(BadDestination::Address)?;
        let address = Address(bytes);
        if address.to_string() != text {
            return Err(BadDestination::Checksum);
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of EIP-55.
    const EXAMPLES: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn addresses_with_their_checksum_read_and_print_back() {
        for text in EXAMPLES {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn an_address_without_its_checksum_or_with_another_is_refused() {
        for text in [
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee",
        ] {
            assert_eq!(text.parse::<Address>(), Err(BadDestination::Checksum), "{text}");
        }
        for text in [
            "",
            "0x",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA",
            "vitalik.eth",
        ] {
            assert_eq!(text.parse::<Address>(), Err(BadDestination::Address), "{text}");
        }
    }
}
