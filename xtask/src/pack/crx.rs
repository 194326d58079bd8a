//! CRX3, the form in which Chrome takes an extension from elsewhere than its store: a zip behind a
//! header with a public key and its signature.
//!
//! The header is a protobuf message, `CrxFileHeader` of Chromium's `components/crx_file/crx3.proto`.
//! Its few fields are all byte strings, so that one function writes them.

use anyhow::{Context, Result};

use super::key::Key;

const MAGIC: &[u8] = b"Cr24";
const VERSION: u32 = 3;

/// What stands before the signed bytes, so that no signature for another purpose fits.
const CONTEXT: &[u8] = b"CRX3 SignedData\0";

/// Fields of `CrxFileHeader`.
const SHA256_WITH_RSA: u32 = 2;
const SIGNED_HEADER_DATA: u32 = 10_000;

/// Fields of `AsymmetricKeyProof`.
const PUBLIC_KEY: u32 = 1;
const SIGNATURE: u32 = 2;

/// The one field of `SignedData`.
const CRX_ID: u32 = 1;

/// Wraps a zip.
pub(super) fn crx(zip: &[u8], key: &Key) -> Result<Vec<u8>> {
    let signed_data = field(CRX_ID, &key.id());
    let signed = [CONTEXT, &length(&signed_data)?, &signed_data, zip].concat();
    let proof = [field(PUBLIC_KEY, key.public()), field(SIGNATURE, &key.sign(&signed)?)].concat();
    let header = [field(SHA256_WITH_RSA, &proof), field(SIGNED_HEADER_DATA, &signed_data)].concat();
    Ok([MAGIC, &VERSION.to_le_bytes(), &length(&header)?, &header, zip].concat())
}

fn length(bytes: &[u8]) -> Result<[u8; 4]> {
    Ok(u32::try_from(bytes.len()).context("a header beyond all measure")?.to_le_bytes())
}

/// Writes a field that holds bytes: its number with the wire type 2, the length, the bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut written = varint(u64::from(number) << 3 | 2);
    written.extend(varint(bytes.len() as u64));
    written.extend(bytes);
    written
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_number_its_length_and_its_bytes() {
        assert_eq!(field(1, b"ab"), [0x0a, 2, b'a', b'b']);
        assert_eq!(field(SIGNED_HEADER_DATA, b"")[..], [0x82, 0xf1, 0x04, 0]);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn the_same_zip_and_key_make_the_same_crx_whose_id_follows_from_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let key = Key::read_or_make(&file).unwrap();
        let again = Key::read_or_make(&file).unwrap();
        assert_eq!(key.extension(), again.extension());
        assert!(key.extension().bytes().all(|letter| (b'a'..=b'p').contains(&letter)));
        let wrapped = crx(b"zip", &key).unwrap();
        assert_eq!(wrapped, crx(b"zip", &again).unwrap());
        assert!(wrapped.starts_with(b"Cr24\x03\0\0\0") && wrapped.ends_with(b"zip"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
