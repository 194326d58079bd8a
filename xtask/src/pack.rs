//! Packs the extension: as the zip that the Chrome Web Store takes, and as the signed CRX that a relay
//! serves at `/download`. Same sources, same bytes.

mod crx;
mod key;

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::{
    extension::{self, Library},
    outfit,
};
use key::Key;

/// What is packed, and how.
#[derive(Debug, Args)]
pub(crate) struct Packing {
    /// The key that signs the CRX, RSA in PKCS#8 PEM. Without it one is made in `.rekursing/`.
    #[arg(long)]
    key: Option<PathBuf>,
    /// The relay from which the CRX updates itself.
    #[arg(long, default_value = "https://rekursing.com")]
    relay: String,
    /// A folder with a built extension, in the place of building it.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Where the files are written; `dist/` without it.
    #[arg(long)]
    into: Option<PathBuf>,
}

/// Writes `rekursing-VERSION.zip` and `rekursing-VERSION.crx`.
#[expect(clippy::print_stdout, reason = "a chore speaks on standard output")]
pub(crate) fn pack(packing: &Packing) -> Result<()> {
    let folder = match &packing.from {
        Some(folder) => folder.clone(),
        None => {
            let (folder, library) = extension::build()?;
            // Same sources, same bytes: what lacks a part is not the same.
            ensure!(library == Library::Inside, "what is packed has the model in the browser in it");
            folder
        }
    };
    let into = packing.into.clone().unwrap_or_else(|| extension::root().join("dist"));
    let key = match &packing.key {
        Some(file) => Key::read(file)?,
        None => Key::read_or_make(&outfit::folder()?.join("crx.pem"))?,
    };
    let version = version(&folder)?;
    let update_url = format!("{}/download/updates.xml", packing.relay.trim_end_matches('/'));
    let store = zip(&folder, &[])?;
    let own = [("key", key.manifest()), ("update_url", update_url)];
    let signed = crx::crx(&zip(&folder, &own)?, &key)?;
    fs::create_dir_all(&into).with_context(|| format!("could not make {}", into.display()))?;
    for (ending, bytes) in [("zip", store), ("crx", signed)] {
        let file = into.join(format!("rekursing-{version}.{ending}"));
        fs::write(&file, &bytes).with_context(|| format!("could not write {}", file.display()))?;
        println!("{}: {} bytes", file.display(), bytes.len());
    }
    println!("the CRX's id: {}", key.extension());
    Ok(())
}

/// Reads the version of the manifest: one to four numbers with dots between.
fn version(folder: &Path) -> Result<String> {
    let text = fs::read(folder.join("manifest.json")).context("could not read manifest.json")?;
    let manifest: serde_json::Value = serde_json::from_slice(&text).context("manifest.json is not JSON")?;
    let version = manifest["version"].as_str().context("manifest.json names no version")?;
    let is_number = |part: &str| part.parse::<u16>().is_ok_and(|number| number.to_string() == part);
    ensure!(version.split('.').all(is_number), "`{version}` is no version that Chrome takes");
    Ok(version.to_owned())
}

/// Packs every file of `folder` in the order of their names, with one fixed time and mode, and with
/// these lines of the manifest in the place of its key.
fn zip(folder: &Path, lines: &[(&str, String)]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in names(folder)? {
        let mut bytes = fs::read(folder.join(&name)).with_context(|| format!("could not read {name}"))?;
        if name == "manifest.json" {
            bytes = with_lines(&bytes, lines)?;
        }
        writer.start_file(&name, options).with_context(|| format!("could not pack {name}"))?;
        writer.write_all(&bytes).with_context(|| format!("could not pack {name}"))?;
    }
    Ok(writer.finish().context("could not finish the zip")?.into_inner())
}

/// Puts lines in the place of a manifest's key. The store refuses a key, because it has its own, and an
/// address for updates.
fn with_lines(manifest: &[u8], lines: &[(&str, String)]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).context("manifest.json is not UTF-8")?;
    let mut changed = String::with_capacity(text.len());
    for line in text.lines() {
        if line.trim_start().starts_with("\"key\":") {
            for (name, value) in lines {
                changed += &format!("  {}: {},\n", serde_json::json!(name), serde_json::json!(value));
            }
        } else {
            changed += line;
            changed.push('\n');
        }
    }
    let read: serde_json::Value =
        serde_json::from_str(&changed).context("manifest.json has its key on a line of its own")?;
    for name in ["key", "update_url"] {
        let wanted = lines.iter().find(|(line, _)| *line == name).map(|(_, value)| value.as_str());
        ensure!(read[name].as_str() == wanted, "manifest.json has no line of its own for its key");
    }
    Ok(changed.into_bytes())
}

/// Lists the files below `folder` by their relative names, sorted, with `/` on every system.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a file has an unprintable name")?;
        if entry.file_type()?.is_dir() {
            names.extend(self::names(&entry.path())?.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &[u8] = b"{\n  \"name\": \"x\",\n  \"key\": \"abc\",\n  \"version\": \"1\"\n}\n";

    #[test]
    fn the_store_gets_a_manifest_without_a_key_and_a_crx_one_with_its_own() {
        let stores = with_lines(MANIFEST, &[]).unwrap();
        assert_eq!(stores, b"{\n  \"name\": \"x\",\n  \"version\": \"1\"\n}\n");
        let lines = [("key", "k".to_owned()), ("update_url", "https://r.example/u".to_owned())];
        let own: serde_json::Value = serde_json::from_slice(&with_lines(MANIFEST, &lines).unwrap()).unwrap();
        assert_eq!(
            (own["key"].as_str(), own["update_url"].as_str()),
            (Some("k"), Some("https://r.example/u"))
        );
        assert!(with_lines(b"{\n  \"name\": \"x\",\n  \"key\": \"abc\"\n}", &[]).is_err());
        assert!(with_lines(b"{\"key\": \"abc\"}", &[]).is_err());
        assert!(with_lines(b"{\n  \"name\": \"x\"\n}", &lines).is_err());
    }

    #[test]
    fn the_same_files_pack_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        write("b.txt", b"b");
        write("a.txt", b"a");
        write("sub/c.txt", b"c");
        assert_eq!(names(folder.path()).unwrap(), ["a.txt", "b.txt", "sub/c.txt"]);
        let packed = zip(folder.path(), &[]).unwrap();
        // When the files were written is in no byte.
        write("a.txt", b"a");
        assert_eq!(zip(folder.path(), &[]).unwrap(), packed);
    }

    #[test]
    fn a_version_is_what_chrome_takes() {
        let folder = tempfile::tempdir().unwrap();
        for (version, holds) in [
            ("0.1.0", true),
            ("1", true),
            ("1.02", false),
            ("1.2-x", false),
            ("../1", false),
            ("70000", false),
        ] {
            let manifest = serde_json::json!({"version": version}).to_string();
            fs::write(folder.path().join("manifest.json"), manifest).unwrap();
            assert_eq!(super::version(folder.path()).is_ok(), holds, "{version}");
        }
    }
}
