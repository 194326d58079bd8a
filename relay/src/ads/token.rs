//! Tokens: what a page shows to prove that an ad was its own to see or to click. Signed, so that nobody
//! makes one up; once, because the board counts each showing once.

use hmac::{Hmac, Mac};
use rekursing_protocol::{CampaignId, ImpressionId};
use sha2::Sha256;

use crate::chance;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To confirm that the ad was seen.
    Seen,
    /// To follow its link.
    Clicked,
}

/// Makes and reads tokens with the relay's key.
pub(super) struct Tokens(Hmac<Sha256>);

/// Bytes of the signature; 128 bits cannot be guessed.
const SIGNATURE_BYTES: usize = 16;

/// Characters of an id without its prefix.
const ID_CHARS: usize = 26;

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Use {
    const fn letter(self) -> char {
        match self {
            Use::Seen => 's',
            Use::Clicked => 'c',
        }
    }
}

impl Tokens {
    /// Takes the key.
    pub(super) fn new(key: [u8; 32]) -> Tokens {
        Tokens(Hmac::new_from_slice(&key).expect("a key for HMAC may have any length"))
    }

    /// Makes a token: a letter for its use, both ids without their prefixes, and the signature in hex.
    pub(super) fn make(&self, to: Use, impression: ImpressionId, campaign: CampaignId) -> String {
        let (impression, campaign) = (impression.to_string(), campaign.to_string());
        let bare = |id: &str, prefix: &str| id[prefix.len()..].to_owned();
        let named = format!(
            "{}{}{}",
            to.letter(),
            bare(&impression, ImpressionId::PREFIX),
            bare(&campaign, CampaignId::PREFIX)
        );
        let signature = self.sign(&named).finalize().into_bytes();
        named + &chance::hex(&signature[..SIGNATURE_BYTES])
    }

    /// Reads a token that this relay has made for this use.
    pub(super) fn read(&self, to: Use, token: &str) -> Option<(ImpressionId, CampaignId)> {
        let is_whole = token.is_ascii() && token.len() == 1 + 2 * ID_CHARS + 2 * SIGNATURE_BYTES;
        if !is_whole || !token.starts_with(to.letter()) {
            return None;
        }
        let (named, signature) = token.split_at(1 + 2 * ID_CHARS);
        let signature = bytes(signature)?;
        self.sign(named).verify_truncated_left(&signature).ok()?;
        let (impression, campaign) = named[1..].split_at(ID_CHARS);
        let impression = format!("{}{impression}", ImpressionId::PREFIX).parse().ok()?;
        Some((impression, format!("{}{campaign}", CampaignId::PREFIX).parse().ok()?))
    }

    fn sign(&self, named: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(named)
    }
}

/// Reads hex digits as bytes.
fn bytes(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPRESSION: ImpressionId = ImpressionId::from_bits(7);
    const CAMPAIGN: CampaignId = CampaignId::from_bits(8);

    #[test]
    fn a_token_reads_back_for_its_own_use_and_key_alone() {
        let tokens = Tokens::new([1; 32]);
        let token = tokens.make(Use::Seen, IMPRESSION, CAMPAIGN);
        assert_eq!(tokens.read(Use::Seen, &token), Some((IMPRESSION, CAMPAIGN)));
        assert_eq!(tokens.read(Use::Clicked, &token), None);
        assert_eq!(Tokens::new([2; 32]).read(Use::Seen, &token), None);
        assert_ne!(token, tokens.make(Use::Clicked, IMPRESSION, CAMPAIGN));
    }

    #[test]
    fn a_token_with_any_other_character_is_refused() {
        let tokens = Tokens::new([1; 32]);
        let token = tokens.make(Use::Clicked, IMPRESSION, CAMPAIGN);
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'1' { b'2' } else { b'1' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(tokens.read(Use::Clicked, &other), None, "{at}");
        }
        for odd in ["", "c", &token[1..], &format!("{token}0"), &token.replace('c', "ç"), &"é".repeat(43)] {
            assert_eq!(tokens.read(Use::Clicked, odd), None, "{odd}");
        }
    }
}
