//! The key that signs payouts.

use k256::{
    SecretKey,
    ecdsa::{RecoveryId, Signature, SigningKey},
};

use super::Address;
use crate::{Secret, hex};

/// The key that signs payouts, with its address. It is wiped when it is dropped.
pub(super) struct Key {
    key: SigningKey,
    address: Address,
}

impl Key {
    /// Reads 32 bytes of hex, with or without `0x`; `None` when they make no key.
    pub(super) fn read(secret: &Secret) -> Option<Key> {
        let text = secret.show();
        // A key that lost a digit or two would still be some key.
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).filter(|bytes| bytes.len() == 32)?;
        let key = SigningKey::from(SecretKey::from_slice(&bytes).ok()?);
        let point = key.verifying_key().to_sec1_point(false);
        let address = Address::of_point(&point.as_bytes()[1..]);
        Some(Key { key, address })
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    /// Signs a hash. The same hash has the same signature always (RFC 6979).
    pub(super) fn sign(&self, hash: &[u8; 32]) -> (Signature, RecoveryId) {
        self.key.sign_prehash_recoverable(hash)
    }
}
