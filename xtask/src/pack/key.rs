//! The key that a CRX is signed with. Whoever has it can publish updates to everybody who installed
//! what it signed; the extension's id follows from it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use rsa::{
    Generate, PrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding},
    sha2::{Digest, Sha256},
};

/// An RSA key.
#[derive(Debug)]
pub(super) struct Key {
    private: PrivateKey,
    /// The public half in DER.
    public: Vec<u8>,
}

impl Key {
    /// Reads a key in PKCS#8 PEM.
    pub(super) fn read(file: &Path) -> Result<Key> {
        let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
        let private = PrivateKey::from_pkcs8_pem(&text)
            .with_context(|| format!("{} is no RSA key in PKCS#8 PEM", file.display()))?;
        Key::of(private)
    }

    /// Reads the key, or makes one there that only its owner can read.
    pub(super) fn read_or_make(file: &Path) -> Result<Key> {
        if file.exists() {
            return Key::read(file);
        }
        let private = PrivateKey::generate();
        let pem = private.to_pkcs8_pem(LineEnding::LF).context("could not write the key as PEM")?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut made = options.open(file).with_context(|| format!("could not make {}", file.display()))?;
        made.write_all(pem.as_bytes()).with_context(|| format!("could not write {}", file.display()))?;
        Key::of(private)
    }

    fn of(private: PrivateKey) -> Result<Key> {
        let public = private.to_public_key().to_public_key_der().context("could not write the public key")?;
        Ok(Key { private, public: public.into_vec() })
    }

    /// Returns the public half in DER.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Returns the public half as a manifest's `key` has it.
    pub(super) fn manifest(&self) -> String {
        STANDARD.encode(&self.public)
    }

    /// Signs by RSA with PKCS#1 v1.5 and SHA-256, which gives the same signature for the same bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.private.pkcs1v15_sign::<Sha256>(bytes).context("could not sign")
    }

    /// Returns the first 16 bytes of the public half's SHA-256.
    pub(super) fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(&self.public)[..16]);
        id
    }

    /// Returns the id as Chrome writes it: hex with the letters a to p.
    pub(super) fn extension(&self) -> String {
        let letter = |half: u8| char::from(b'a' + half);
        self.id().iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect()
    }
}
