//! The one source of randomness of the relay: the operating system's.

use rekursing_protocol::{JobId, Moment};
use sha2::{Digest, Sha256};

/// Fills an array with random bytes.
///
/// # Panics
/// When the system has no randomness to give; nothing safe could be done without.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Returns random bits and the moment, as the constructors of ids want them.
pub fn id(now: Moment) -> (u64, u128) {
    (now.0, u128::from_le_bytes(bytes()))
}

/// Makes an id for a job.
pub fn job_id(now: Moment) -> JobId {
    let (ms, random) = id(now);
    JobId::new(ms, random)
}

/// Makes a secret of 32 random bytes that prints as `prefix` and 64 hex digits.
pub fn secret(prefix: &str) -> String {
    format!("{prefix}{}", hex(&bytes::<32>()))
}

/// Returns what is kept of a secret: its SHA-256. A secret of 256 random bits needs no slow hash.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Prints bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads bytes from hex; `None` unless there are exactly so many.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
