//! The signed extensions that the operator has laid into a folder, for whoever wants to install one.
//!
//! They are read when somebody asks, at most every other second, and kept in memory: the newest, and
//! the one before it for whoever was told of that and has yet to fetch it.

mod package;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use parking_lot::RwLock;
use rekursing_protocol::{Moment, Span};
use tokio::sync::Mutex;

pub use package::{NoVersion, Package, Version};

/// How long what was seen in the folder is taken for what is there.
const FRESH: Span = Span::secs(2);

/// Names in the folder that are looked at.
const NAMES_MAX: usize = 1_000;

/// Versions that are kept.
const KEPT: usize = 2;

/// The folder and what was seen in it.
#[derive(Debug)]
pub struct Downloads {
    folder: Option<PathBuf>,
    bytes_max: u64,
    shelf: RwLock<Shelf>,
    /// When the folder was looked at; whoever looks holds it.
    looked: Mutex<Option<Moment>>,
}

/// What is kept, newest first.
type Shelf = Arc<[Shelved]>;

#[derive(Debug, Clone)]
struct Shelved {
    package: Arc<Package>,
    mark: Mark,
}

/// By what a file that was changed is told from what was read.
type Mark = (u64, Option<SystemTime>);

impl Downloads {
    /// Looks into the folder for the first time. Files longer than `bytes_max` are left out.
    pub fn of(folder: Option<PathBuf>, bytes_max: u64) -> Downloads {
        let shelf = folder.as_deref().map(|folder| look(folder, bytes_max, &[])).unwrap_or_default();
        Downloads { folder, bytes_max, shelf: RwLock::new(shelf), looked: Mutex::default() }
    }

    /// Looks again if it was long ago.
    pub async fn refresh(&self, now: Moment) {
        let Some(folder) = self.folder.clone() else { return };
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| now.since(at) < FRESH) {
            return;
        }
        let (known, bytes_max) = (self.shelf(), self.bytes_max);
        let seen = tokio::task::spawn_blocking(move || look(&folder, bytes_max, &known)).await;
        // Looking that panicked leaves what was seen before.
        if let Ok(seen) = seen {
            *self.shelf.write() = seen;
        }
        *looked = Some(now);
    }

    /// Returns the newest version.
    pub fn newest(&self) -> Option<Arc<Package>> {
        self.shelf().first().map(|shelved| Arc::clone(&shelved.package))
    }

    /// Returns one that is kept.
    pub fn find(&self, version: Version) -> Option<Arc<Package>> {
        let shelf = self.shelf();
        let found = shelf.iter().find(|shelved| shelved.package.version == version);
        found.map(|shelved| Arc::clone(&shelved.package))
    }

    /// Tells whether an extension with this id is served here, and so may connect here.
    pub fn offers(&self, id: &str) -> bool {
        self.shelf.read().iter().any(|shelved| shelved.package.id == id)
    }

    fn shelf(&self) -> Shelf {
        Arc::clone(&self.shelf.read())
    }
}

/// Reads the newest files of the folder that can be served, those that have not changed excepted.
fn look(folder: &Path, bytes_max: u64, known: &[Shelved]) -> Shelf {
    let mut versions = match versions(folder) {
        Ok(versions) => versions,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the folder of downloads cannot be read");
            return Shelf::default();
        }
    };
    versions.sort_unstable_by(|one, other| other.cmp(one));
    let mut shelf = Vec::with_capacity(KEPT);
    for version in versions {
        if shelf.len() == KEPT {
            break;
        }
        let file = folder.join(format!("rekursing-{version}.crx"));
        match shelve(&file, version, bytes_max, known) {
            Ok(shelved) => shelf.push(shelved),
            Err(error) => tracing::warn!(error = format!("{error:#}"), %version, "a download is left out"),
        }
    }
    shelf.into()
}

fn versions(folder: &Path) -> Result<Vec<Version>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))?;
    let names = entries.take(NAMES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| Version::of_file(&name, ".crx")).collect())
}

fn shelve(file: &Path, version: Version, bytes_max: u64, known: &[Shelved]) -> Result<Shelved> {
    let metadata = fs::metadata(file).context("could not look at the file")?;
    let mark = (metadata.len(), metadata.modified().ok());
    let same = |shelved: &&Shelved| shelved.package.version == version && shelved.mark == mark;
    if let Some(shelved) = known.iter().find(same) {
        return Ok(shelved.clone());
    }
    ensure!(metadata.is_file() && metadata.len() <= bytes_max, "it is longer than `limits.download_bytes`");
    let bytes = fs::read(file).context("could not read the file")?;
    let package = Package::read(version, bytes.into()).context("it is no CRX3")?;
    Ok(Shelved { package: Arc::new(package), mark })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(folder: &Path, name: &str, bytes: &[u8]) {
        fs::write(folder.join(name), bytes).unwrap();
    }

    #[tokio::test]
    async fn the_two_newest_are_served_and_what_is_none_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let crx = |letter: u8| package::sample([letter; 16], b"PK");
        for (name, letter) in [("0.1.9", 0x11), ("0.1.10", 0x22), ("0.1.2", 0x33)] {
            lay(folder.path(), &format!("rekursing-{name}.crx"), &crx(letter));
        }
        lay(folder.path(), "rekursing-0.2.0.crx", b"half a fi");
        lay(folder.path(), "rekursing-0.3.0.crx", &[0; 2_000]);
        lay(folder.path(), "rekursing-0.4.crx.part", &crx(0x44));
        lay(folder.path(), "notes.txt", b"");
        let downloads = Downloads::of(Some(folder.path().to_owned()), 1_000);
        assert_eq!(downloads.newest().unwrap().version.to_string(), "0.1.10");
        assert!(downloads.find("0.1.9".parse().unwrap()).is_some());
        assert!(downloads.find("0.1.2".parse().unwrap()).is_none());
        assert!(downloads.offers(&"cc".repeat(16)));
        assert!(!downloads.offers(&"dd".repeat(16)));

        // A file that is complete takes the place of the one that was not.
        lay(folder.path(), "rekursing-0.2.0.crx", &crx(0x55));
        downloads.refresh(Moment(10_000)).await;
        assert_eq!(downloads.newest().unwrap().version.to_string(), "0.2.0");
        fs::remove_file(folder.path().join("rekursing-0.2.0.crx")).unwrap();
        downloads.refresh(Moment(11_999)).await;
        assert_eq!(downloads.newest().unwrap().version.to_string(), "0.2.0", "it has just looked");
        downloads.refresh(Moment(12_000)).await;
        assert_eq!(downloads.newest().unwrap().version.to_string(), "0.1.10");
    }

    #[tokio::test]
    async fn without_a_folder_there_is_nothing() {
        let none = Downloads::of(None, 1_000);
        none.refresh(Moment(0)).await;
        assert!(none.newest().is_none());
        let missing = Downloads::of(Some(PathBuf::from("/nowhere/at/all")), 1_000);
        missing.refresh(Moment(0)).await;
        assert!(missing.newest().is_none());
    }
}
