//! Device keys on the relay's side: nonces to sign, signatures, and the passes that are got with them.
//!
//! Nothing is kept of a nonce or a pass: each says itself until when it holds, under a code that only the
//! relay can make. So whoever asks for a million of them fills no memory.

use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use rekursing_protocol::{
    Moment, PluginId, Span,
    device::{KEY_BYTES, SIGNATURE_BYTES, Statement},
};
use sha2::Sha256;

use crate::chance;

/// What a pass begins with.
pub const PASS_PREFIX: &str = "rpp_";

/// How long a nonce may be signed.
pub const NONCE_FOR: Span = Span::secs(60);

/// How long a pass opens its plugin's routes.
pub const PASS_FOR: Span = Span::secs(600);

/// Bytes of the code under a nonce or a pass.
const CODE_BYTES: usize = 16;

/// A public key of a device.
pub type Key = [u8; KEY_BYTES];

/// Makes nonces and passes, and knows its own again.
pub struct Devices {
    /// Made anew with each start, so that no signature outlives the process that asked for it.
    nonces: [u8; 32],
    /// Kept over restarts, so that no owner has to sign anew because of one.
    passes: [u8; 32],
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Devices")
    }
}

impl Devices {
    /// Sets it up with the key of passes that the database keeps.
    pub fn new(passes: [u8; 32]) -> Devices {
        Devices { nonces: chance::bytes(), passes }
    }

    /// Makes a nonce.
    pub fn nonce(&self, now: Moment) -> String {
        let said = [now.0.to_be_bytes().as_slice(), &chance::bytes::<16>()].concat();
        let code = code(&self.nonces, &said);
        chance::hex(&[said.as_slice(), &code].concat())
    }

    /// Tells when a nonce was made, if it is one of ours that may still be signed.
    pub fn asked_at(&self, now: Moment, nonce: &str) -> Option<Moment> {
        let bytes: [u8; 8 + 16 + CODE_BYTES] = chance::unhex(nonce)?;
        let (said, code) = bytes.split_at(8 + 16);
        let (at, _) = said.split_first_chunk()?;
        let at = Moment(u64::from_be_bytes(*at));
        (is_coded(&self.nonces, said, code) && now.since(at) < NONCE_FOR).then_some(at)
    }

    /// Makes a pass for a plugin.
    pub fn pass(&self, now: Moment, plugin: PluginId) -> String {
        let until = now + PASS_FOR;
        let said = [plugin.bits().to_be_bytes().as_slice(), &until.0.to_be_bytes()].concat();
        let code = code(&self.passes, &said);
        format!("{PASS_PREFIX}{}", chance::hex(&[said.as_slice(), &code].concat()))
    }

    /// Tells whose pass it is, if it is one of ours that still holds.
    pub fn bearer(&self, now: Moment, pass: &str) -> Option<PluginId> {
        let bytes: [u8; 16 + 8 + CODE_BYTES] = chance::unhex(pass.strip_prefix(PASS_PREFIX)?)?;
        let (said, code) = bytes.split_at(16 + 8);
        let (plugin, rest) = said.split_first_chunk()?;
        let (until, _) = rest.split_first_chunk()?;
        let holds = is_coded(&self.passes, said, code) && now < Moment(u64::from_be_bytes(*until));
        holds.then(|| PluginId::from_bits(u128::from_be_bytes(*plugin)))
    }
}

/// Reads a public key with which something can be proved.
pub fn key(hex: &str) -> Option<Key> {
    let bytes = chance::unhex(hex)?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).map(|_| bytes)
}

/// Tells whether the device with this key has signed.
pub fn has_signed(key: &Key, statement: &Statement<'_>, signature: &str) -> bool {
    let (Ok(key), Some(bytes)) = (VerifyingKey::from_bytes(key), chance::unhex::<SIGNATURE_BYTES>(signature))
    else {
        return false;
    };
    key.verify_strict(statement.to_string().as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
}

fn mac(key: &[u8; 32], said: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(said)
}

fn code(key: &[u8; 32], said: &[u8]) -> [u8; CODE_BYTES] {
    let whole: [u8; 32] = mac(key, said).finalize().into_bytes().into();
    *whole.first_chunk().expect("a hash is longer than a code")
}

fn is_coded(key: &[u8; 32], said: &[u8], code: &[u8]) -> bool {
    mac(key, said).verify_truncated_left(code).is_ok()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use rekursing_protocol::device::Purpose;

    use super::*;

    const NOW: Moment = Moment(1_000_000);

    #[test]
    fn a_nonce_is_known_again_for_a_minute_and_nobody_else_makes_one() {
        let devices = Devices::new([1; 32]);
        let nonce = devices.nonce(NOW);
        assert_ne!(nonce, devices.nonce(NOW));
        assert_eq!(devices.asked_at(NOW + Span::secs(59), &nonce), Some(NOW));
        assert_eq!(devices.asked_at(NOW + NONCE_FOR, &nonce), None);
        assert_eq!(Devices::new([1; 32]).asked_at(NOW, &nonce), None, "another process has another key");
        let mut forged = nonce.into_bytes();
        forged[20] = if forged[20] == b'0' { b'1' } else { b'0' };
        assert_eq!(devices.asked_at(NOW, &String::from_utf8(forged).unwrap()), None);
        assert_eq!(devices.asked_at(NOW, "00"), None);
    }

    #[test]
    fn a_pass_is_its_plugins_for_ten_minutes_also_after_a_restart() {
        let (devices, plugin) = (Devices::new([1; 32]), PluginId::from_bits(7));
        let pass = devices.pass(NOW, plugin);
        assert_eq!(devices.bearer(NOW, &pass), Some(plugin));
        assert_eq!(Devices::new([1; 32]).bearer(NOW, &pass), Some(plugin));
        assert_eq!(Devices::new([2; 32]).bearer(NOW, &pass), None);
        assert_eq!(devices.bearer(NOW + PASS_FOR, &pass), None);
        let other = pass.replacen("07", "08", 1);
        assert_eq!(devices.bearer(NOW, &other), None, "{other}");
        assert_eq!(devices.bearer(NOW, &devices.nonce(NOW)), None, "a nonce is no pass");
    }

    #[test]
    fn only_the_devices_own_signature_of_this_very_statement_counts() {
        let device = SigningKey::from_bytes(&[3; 32]);
        let public = key(&chance::hex(device.verifying_key().as_bytes())).unwrap();
        let plugin = PluginId::from_bits(7);
        let statement = Statement { purpose: Purpose::Link, host: "relay", plugin, nonce: "n" };
        let sign =
            |statement: Statement<'_>| chance::hex(&device.sign(statement.to_string().as_bytes()).to_bytes());
        assert!(has_signed(&public, &statement, &sign(statement)));
        for other in [
            Statement { purpose: Purpose::Pass, ..statement },
            Statement { host: "other", ..statement },
            Statement { plugin: PluginId::from_bits(8), ..statement },
            Statement { nonce: "m", ..statement },
        ] {
            assert!(!has_signed(&public, &statement, &sign(other)));
        }
        assert!(!has_signed(&public, &statement, ""));
        assert_eq!(key(&"00".repeat(32)), None, "a key that signs anything");
        assert_eq!(key("zz"), None);
    }
}
