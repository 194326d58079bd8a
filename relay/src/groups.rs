//! Codes by which one joins a group of friends, or a team. A code follows from a key of the relay's, the group and
//! how often its code was changed: so it can be shown again, and none is stored but as its SHA-256.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::chance;

/// What codes are made of: Crockford's digits and letters, none of which is taken for another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code: 60 bits, which nobody tries out at a few tries per minute.
const CHARS: usize = 12;

/// Characters that stand together.
const TOGETHER: usize = 4;

/// Makes codes of one kind.
pub struct Codes {
    key: Hmac<Sha256>,
    /// Changes of those that they are of, one after the other, so that the store has them in the market's order.
    pub changing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codes")
    }
}

/// A code by which one joins a group.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Codes {
    /// Takes the key.
    pub fn new(key: [u8; 32]) -> Codes {
        let key = Hmac::new_from_slice(&key).expect("a key for HMAC may have any length");
        Codes { key, changing: tokio::sync::Mutex::default() }
    }

    /// Returns the code of what has this id's bits and was changed so often.
    pub fn code(&self, id: u128, turn: u64) -> Code {
        let mut mac = self.key.clone();
        mac.update(&id.to_be_bytes());
        mac.update(&turn.to_be_bytes());
        let bytes = mac.finalize().into_bytes();
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte & 31)]);
        Code(bytes.iter().take(CHARS).map(letter).collect())
    }
}

impl Code {
    /// Reads what somebody has typed: case, spaces and hyphens make no difference, nor does it which of
    /// `O` and `0`, and of `I`, `L` and `1`. `None` when it is no code.
    pub fn read(text: &str) -> Option<Code> {
        let letter = |letter: char| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        };
        let is_between = |letter: &char| *letter == '-' || letter.is_whitespace();
        let code: String =
            text.chars().take(4 * CHARS).filter(|letter| !is_between(letter)).map(letter).collect();
        let is_code = code.len() == CHARS && code.bytes().all(|letter| ALPHABET.contains(&letter));
        is_code.then_some(Code(code))
    }

    /// Returns the code as it is shown.
    pub fn shown(&self) -> String {
        let parts: Vec<&str> =
            (0..CHARS / TOGETHER).map(|part| &self.0[part * TOGETHER..(part + 1) * TOGETHER]).collect();
        parts.join("-")
    }

    /// Returns what is kept of it.
    pub fn digest(&self) -> [u8; 32] {
        chance::digest(&self.0)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_until_it_is_changed_and_every_groups_is_another() {
        let codes = Codes::new([7; 32]);
        let (one, other) = (1, 2);
        let code = codes.code(one, 0);
        assert_eq!(code, codes.code(one, 0));
        for another in [codes.code(one, 1), codes.code(other, 0), Codes::new([8; 32]).code(one, 0)] {
            assert_ne!(code, another);
        }
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = Codes::new([7; 32]).code(1, 0);
        let shown = code.shown();
        assert_eq!(shown.len(), 14);
        let typed = [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', " "),
            format!("  {} ", shown.replace('-', "")),
            shown.replace('0', "o").replace('1', "l"),
        ];
        for typed in typed {
            assert_eq!(Code::read(&typed), Some(code.clone()), "{typed}");
        }
        for wrong in ["", "ABCD-EFGH", "ABCD-EFGH-JKM!", "ABCD-EFGH-JKMU", &"A".repeat(1_000), "ÄÄÄÄÄÄ"]
        {
            assert_eq!(Code::read(wrong), None, "{wrong}");
        }
        assert!(!format!("{code:?}").contains(&code.0));
    }
}
