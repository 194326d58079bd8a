//! Keeps the identity in a file that nobody else can read.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::agent::Identity;

/// Where the identity is kept, if anywhere.
#[derive(Debug)]
pub(super) struct Keep(Option<PathBuf>);

impl Keep {
    pub(super) fn new(path: Option<PathBuf>) -> Keep {
        Keep(path)
    }

    /// Reads what was kept; nothing when there is no file yet. A file that cannot be read is an
    /// error, because going on would overwrite an identity that may still be owed money.
    pub(super) fn read(&self) -> anyhow::Result<Option<Identity>> {
        let Some(path) = &self.0 else { return Ok(None) };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
        };
        let identity = serde_json::from_slice(&text);
        identity.with_context(|| format!("{} holds no identity", path.display())).map(Some)
    }

    /// Writes the identity, whole or not at all. One of another plugin is kept beside it under the plugin's
    /// name, because it may still be owed money.
    pub(super) fn write(&self, identity: &Identity) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        if let Some(before) = self.read()?.filter(|before| before.plugin != identity.plugin) {
            let beside = path.with_extension(before.plugin.to_string());
            fs::rename(path, &beside).with_context(|| format!("could not write {}", beside.display()))?;
        }
        let text = serde_json::to_vec_pretty(identity).context("could not write the identity as JSON")?;
        let beside = path.with_extension("new");
        write_privately(&beside, &text)
            .and_then(|()| fs::rename(&beside, path))
            .with_context(|| format!("could not write {}", path.display()))
    }
}

fn write_privately(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::PluginId;

    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.json");
        let keep = Keep::new(Some(path.clone()));
        assert_eq!(keep.read().unwrap(), None);
        let identity = Identity {
            relay: "http://r".to_owned(),
            plugin: PluginId::from_bits(7),
            secret: Some("s".to_owned()),
        };
        keep.write(&identity).unwrap();
        keep.write(&identity).unwrap();
        assert_eq!(keep.read().unwrap(), Some(identity.clone()));
        let other = Identity { plugin: PluginId::from_bits(8), ..identity.clone() };
        keep.write(&other).unwrap();
        assert_eq!(keep.read().unwrap(), Some(other));
        let before = Keep::new(Some(path.with_extension(identity.plugin.to_string())));
        assert_eq!(before.read().unwrap(), Some(identity));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_file_is_not_overwritten_silently() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.json");
        fs::write(&path, "{").unwrap();
        assert!(Keep::new(Some(path)).read().is_err());
    }
}
