//! Tokens of receipts: what comes with a free answer. Whoever asked has no account, and reads by it the receipt of
//! that one job.

use hmac::{Hmac, Mac};
use rekursing_protocol::JobId;
use sha2::Sha256;

use crate::chance;

/// How a token begins.
pub const TOKEN_PREFIX: &str = "rct_";

/// Bytes of the signature behind that; 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// Makes and checks tokens with a key of the relay's.
#[derive(Clone)]
pub struct Tokens(Hmac<Sha256>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Takes the key.
    pub fn new(key: [u8; 32]) -> Tokens {
        Tokens(Hmac::new_from_slice(&key).expect("a key for HMAC may have any length"))
    }

    /// Makes a job's token.
    pub fn token(&self, job: JobId) -> String {
        let signature = self.sign(job).finalize().into_bytes();
        format!("{TOKEN_PREFIX}{}", chance::hex(&signature[..SIGNATURE_BYTES]))
    }

    /// Tells whether a token is this job's.
    pub fn opens(&self, job: JobId, token: &str) -> bool {
        let signature = token.strip_prefix(TOKEN_PREFIX).and_then(chance::unhex::<SIGNATURE_BYTES>);
        signature.is_some_and(|signature| self.sign(job).verify_truncated_left(&signature).is_ok())
    }

    fn sign(&self, job: JobId) -> Hmac<Sha256> {
        self.0.clone().chain_update(job.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_jobs_and_one_relays() {
        let (job, other) = (JobId::from_bits(1), JobId::from_bits(2));
        let tokens = Tokens::new([7; 32]);
        let token = tokens.token(job);
        assert!(tokens.opens(job, &token));
        assert!(!tokens.opens(other, &token));
        let strangers = Tokens::new([8; 32]).token(job);
        for wrong in ["", "rct_", &token[4..], &token[..token.len() - 2], &strangers] {
            assert!(!tokens.opens(job, wrong), "{wrong}");
        }
    }
}
