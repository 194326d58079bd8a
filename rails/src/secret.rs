//! Texts that nobody else may read.

use std::{fmt, fs::File, io::Read, path::Path};

/// Most bytes of a file with a secret.
const BYTES_MAX: u64 = 16 << 10;

/// A text that nobody else may read. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a file gives no secret.
#[derive(Debug, thiserror::Error)]
pub enum BadSecret {
    /// It does not open or read.
    #[error("the file of the secret does not read")]
    Unreadable(#[source] std::io::Error),
    /// Others than its owner may read it.
    #[error("others than its owner may read the file of the secret: chmod 600 it")]
    Open,
    /// It has more than 16 KiB or no text.
    #[error("the file of the secret holds no single short text")]
    NotText,
}

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Reads a file that only its owner can read, without the white space around its text.
    ///
    /// # Errors
    /// When it does not read, when others can read it (on Unix), or when it holds no short text.
    pub fn read(path: &Path) -> Result<Secret, BadSecret> {
        let file = File::open(path).map_err(BadSecret::Unreadable)?;
        // The mode of the file that is open: nobody can put another in its place in between.
        let meta = file.metadata().map_err(BadSecret::Unreadable)?;
        if is_open(&meta) {
            return Err(BadSecret::Open);
        }
        let mut text = String::new();
        match file.take(BYTES_MAX + 1).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(BadSecret::NotText),
            Err(error) => return Err(BadSecret::Unreadable(error)),
        }
        let trimmed = text.trim();
        let fits = u64::try_from(text.len()).is_ok_and(|bytes| bytes <= BYTES_MAX);
        if trimmed.is_empty() || !fits {
            return Err(BadSecret::NotText);
        }
        Ok(Secret(trimmed.to_owned()))
    }

    /// Shows the text to what has to send or use it.
    pub(crate) fn show(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(unix)]
fn is_open(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open(_meta: &std::fs::Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "sk_test_abc\n").unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o660, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match Secret::read(&path) {
                Ok(secret) => assert!(!open && secret.show() == "sk_test_abc", "{mode:o}"),
                Err(BadSecret::Open) => assert!(open, "{mode:o}"),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_empty_an_endless_and_a_missing_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(matches!(Secret::read(&path), Err(BadSecret::Unreadable(_))));
        for bytes in [b" \n".to_vec(), vec![b'a'; 20_000], vec![0xff, 0xfe]] {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(Secret::read(&path), Err(BadSecret::NotText)));
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("sk_live_1")), "Secret(…)");
    }
}
