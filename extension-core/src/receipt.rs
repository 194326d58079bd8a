//! Checks receipts: that the relay signed exactly these figures.

use ed25519_dalek::VerifyingKey;
use rekursing_protocol::receipt::{FullReceipt, PublicKey, PublicKeys, Signature};
use serde::Deserialize;

/// What a check of a receipt found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The relay signed exactly this.
    Holds,
    /// The relay did not sign this: something was changed.
    Broken,
    /// It is signed by a key that is not on the list.
    UnknownKey,
    /// It is no receipt, or the list is none.
    Unreadable,
}

/// The part of a receipt that is not signed. Reading it apart spares the browser half of the code.
#[derive(Deserialize)]
struct Seal {
    signature: Signature,
}

impl Verdict {
    /// Checks a receipt as `GET /api/jobs/{jobId}/receipt` answers it against the keys as
    /// `GET /.well-known/rekursing-receipts` does.
    pub fn of(receipt: &str, keys: &str) -> Verdict {
        let (Ok(figures), Ok(Seal { signature }), Ok(PublicKeys { keys })) = (
            serde_json::from_str::<FullReceipt>(receipt),
            serde_json::from_str(receipt),
            serde_json::from_str(keys),
        ) else {
            return Verdict::Unreadable;
        };
        let Some(key) = keys.iter().find(|key| key.id == signature.key).and_then(read) else {
            return Verdict::UnknownKey;
        };
        let Some(signature) = bytes(&signature.value) else { return Verdict::Broken };
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        match key.verify_strict(figures.canonical().as_bytes(), &signature) {
            Ok(()) => Verdict::Holds,
            Err(_) => Verdict::Broken,
        }
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Broken => "broken",
            Verdict::UnknownKey => "unknown_key",
            Verdict::Unreadable => "unreadable",
        }
    }
}

fn read(key: &PublicKey) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&bytes(&key.key)?).ok()
}

/// Reads so many bytes written in hex.
fn bytes<const COUNT: usize>(hex: &str) -> Option<[u8; COUNT]> {
    if hex.len() != 2 * COUNT {
        return None;
    }
    let mut bytes = [0; COUNT];
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receipt of the first version, signed with the same key.
    const FIRST: &str = include_str!("../../protocol/tests/receipt-v1.json");
    /// The example of docs/ledger.md.
    const LEDGER: &str = include_str!("../../docs/ledger.md");
    const KEY: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

    fn receipt() -> String {
        let from = LEDGER.find("{\n  \"jobId\"").unwrap();
        let rest = &LEDGER[from..];
        rest[..rest.find("```").unwrap()].to_owned()
    }

    /// The first digits of its signature.
    fn digits(receipt: &str) -> &str {
        let (_, value) = receipt.split_once("\"value\": \"").unwrap();
        &value[..6]
    }

    fn keys(id: &str) -> String {
        format!(r#"{{"keys":[{{"id":"{id}","algorithm":"Ed25519","key":"{KEY}","since":1}}]}}"#)
    }

    #[test]
    fn a_receipt_holds_until_a_single_figure_is_changed() {
        let (receipt, keys) = (receipt(), keys("fe812c12f3ab4ce6"));
        assert_eq!(Verdict::of(&receipt, &keys), Verdict::Holds);
        for (from, to) in [
            ("\"lease\": 1", "\"lease\": 2"),
            ("0.00032547", "0.00032548"),
            (digits(&receipt), "000000"),
            ("\"tier\": \"standard\"", "\"tier\": \"low\""),
        ] {
            assert!(receipt.contains(from));
            assert_eq!(Verdict::of(&receipt.replace(from, to), &keys), Verdict::Broken, "{from}");
        }
    }

    #[test]
    fn a_receipt_of_the_first_version_holds_and_what_was_given_back_is_part_of_the_second() {
        let keys = keys("fe812c12f3ab4ce6");
        assert_eq!(Verdict::of(FIRST, &keys), Verdict::Holds);
        let claimed = FIRST.replace("\"endedAt\"", "\"givenBack\": \"0\", \"endedAt\"");
        assert_eq!(Verdict::of(&claimed, &keys), Verdict::Broken);
        let receipt = receipt();
        assert!(receipt.contains("\"givenBack\": \"0\""));
        for other in ["\"givenBack\": \"0.000339174\"", "\"givenBack\": null"] {
            let changed = receipt.replace("\"givenBack\": \"0\"", other);
            assert_eq!(Verdict::of(&changed, &keys), Verdict::Broken, "{other}");
        }
    }

    #[test]
    fn a_receipt_of_an_unknown_key_or_of_no_shape_does_not_hold() {
        assert_eq!(Verdict::of(&receipt(), &keys("0000000000000000")), Verdict::UnknownKey);
        assert_eq!(Verdict::of(&receipt(), "{}"), Verdict::Unreadable);
        assert_eq!(Verdict::of("{}", &keys("fe812c12f3ab4ce6")), Verdict::Unreadable);
        let short = receipt().replace(digits(&receipt()), "");
        assert_eq!(Verdict::of(&short, &keys("fe812c12f3ab4ce6")), Verdict::Broken);
    }
}
