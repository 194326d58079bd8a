//! A signed extension as it lies in the folder: its version by its file's name, its id by its header.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::chance;

const MAGIC: &[u8] = b"Cr24\x03\0\0\0";

/// Longest header: a key and a signature are far shorter.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Field numbers of Chromium's `CrxFileHeader` and `SignedData`, whose fields are all bytes.
const SIGNED_HEADER_DATA: u64 = 10_000;
const CRX_ID: u64 = 1;

/// A version as Chrome has it: one to four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u16; 4],
    count: usize,
}

/// A text that is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no version")]
pub struct NoVersion;

/// A CRX that can be served.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its version.
    pub version: Version,
    /// The extension's id.
    pub id: String,
    /// The whole file.
    pub crx: Bytes,
    /// The zip in it.
    pub zip: Bytes,
    /// The start of its SHA-256 in hex.
    pub hash: String,
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Version, NoVersion> {
        let mut version = Version { numbers: [0; 4], count: 0 };
        for part in text.split('.') {
            let number: u16 = part.parse().map_err(|_| NoVersion)?;
            let slot = version.numbers.get_mut(version.count).ok_or(NoVersion)?;
            (*slot, version.count) = (number, version.count + 1);
        }
        // Only the one way to write it names the file.
        if version.to_string() == text { Ok(version) } else { Err(NoVersion) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.numbers.iter().take(self.count);
        if let Some(first) = numbers.next() {
            write!(f, "{first}")?;
        }
        numbers.try_for_each(|number| write!(f, ".{number}"))
    }
}

impl Version {
    /// Reads the version out of a file's name, `rekursing-VERSION` and this ending.
    pub fn of_file(name: &str, ending: &str) -> Option<Version> {
        name.strip_prefix("rekursing-")?.strip_suffix(ending)?.parse().ok()
    }
}

impl Package {
    /// Reads a CRX3 as far as its id; its signature is Chrome's to check. `None` when it is none.
    pub fn read(version: Version, crx: Bytes) -> Option<Package> {
        let rest = crx.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let header = rest.get(..length).filter(|_| length <= HEADER_BYTES_MAX)?;
        let id = field(field(header, SIGNED_HEADER_DATA)?, CRX_ID).filter(|id| id.len() == 16)?;
        let letter = |half: u8| char::from(b'a' + half);
        let id = id.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect();
        let zip = crx.slice(MAGIC.len() + 4 + length..);
        let hash = chance::hex(&Sha256::digest(&crx))[..32].to_owned();
        Some(Package { version, id, crx, zip, hash })
    }
}

/// Finds a field of bytes in a protobuf message whose fields are all bytes.
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        let (length, rest) = varint(rest).filter(|_| tag & 7 == 2)?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        if tag >> 3 == wanted {
            return Some(bytes);
        }
        message = rest;
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// Makes a CRX that nothing but its header tells from a signed one.
#[cfg(test)]
pub(super) fn sample(id: [u8; 16], zip: &[u8]) -> Vec<u8> {
    let signed = [&[0x0a, 16][..], &id].concat();
    // A proof stands before the signed data, as in a real one.
    let header = [&[0x12, 3, 1, 2, 3, 0x82, 0xf1, 0x04, 18][..], &signed].concat();
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [MAGIC, &length, &header, zip].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_by_their_numbers() {
        let version = |text: &str| text.parse::<Version>();
        let order = ["0.1", "0.1.0", "0.1.9", "0.1.10", "0.2.0", "1.0.0.0"];
        let read: Vec<Version> = order.iter().map(|text| version(text).unwrap()).collect();
        assert!(read.is_sorted());
        assert_eq!(read.iter().map(Version::to_string).collect::<Vec<_>>(), order);
        for text in ["", ".", "1.", "1.2.3.4.5", "01", "+1", "70000", "1.x", "../1", "1\0"] {
            assert_eq!(version(text), Err(NoVersion), "{text}");
        }
        assert_eq!(Version::of_file("rekursing-0.1.0.crx", ".crx"), version("0.1.0").ok());
        assert_eq!(Version::of_file("other-0.1.0.crx", ".crx"), None);
        assert_eq!(Version::of_file("rekursing-0.1.0.zip", ".crx"), None);
    }

    #[test]
    fn a_crx_tells_its_id_and_holds_its_zip() {
        let version = "0.1.0".parse().unwrap();
        let crx = Bytes::from(sample([0x0f; 16], b"PK"));
        let package = Package::read(version, crx.clone()).unwrap();
        assert_eq!(package.id, "ap".repeat(16));
        assert_eq!(package.zip, "PK");
        for end in 0..crx.len() - 2 {
            assert!(Package::read(version, crx.slice(..end)).is_none(), "cut after {end} bytes");
        }
        let mut long = crx.to_vec();
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Package::read(version, long.into()).is_none());
        assert!(Package::read(version, Bytes::from_static(b"PK\x03\x04")).is_none());
    }
}
