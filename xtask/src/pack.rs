//! Packs `dist/extension/` as the zip that the Chrome Web Store takes: same sources, same bytes.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::extension;

/// Builds the extension, writes `dist/rekursing-VERSION.zip` and returns its path.
#[expect(clippy::print_stdout, reason = "a chore speaks on standard output")]
pub(crate) fn pack() -> Result<PathBuf> {
    let folder = extension::build()?;
    let zip = extension::root().join(format!("dist/rekursing-{}.zip", version(&folder)?));
    write(&folder, File::create(&zip).with_context(|| format!("could not make {}", zip.display()))?)?;
    println!("{}: {} bytes", zip.display(), fs::metadata(&zip)?.len());
    Ok(zip)
}

fn version(folder: &Path) -> Result<String> {
    let text = fs::read(folder.join("manifest.json")).context("could not read manifest.json")?;
    let manifest: serde_json::Value = serde_json::from_slice(&text).context("manifest.json is not JSON")?;
    Ok(manifest["version"].as_str().context("manifest.json names no version")?.to_owned())
}

/// Writes every file of `folder` in the order of their names, with one fixed time and mode.
fn write(folder: &Path, zip: File) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(zip);
    for name in names(folder)? {
        let mut bytes = fs::read(folder.join(&name)).with_context(|| format!("could not read {name}"))?;
        if name == "manifest.json" {
            bytes = without_key(&bytes)?;
        }
        writer.start_file(&name, options).with_context(|| format!("could not pack {name}"))?;
        writer.write_all(&bytes).with_context(|| format!("could not pack {name}"))?;
    }
    writer.finish().context("could not finish the zip")?;
    Ok(())
}

/// Takes the key out of a manifest: the store refuses one that names it, because it has its own.
fn without_key(manifest: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).context("manifest.json is not UTF-8")?;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("\"key\":"));
    let kept: String = lines.flat_map(|line| [line, "\n"]).collect();
    serde_json::from_str::<serde_json::Value>(&kept)
        .context("manifest.json has its key on a line of its own")?;
    Ok(kept.into_bytes())
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

    #[test]
    fn the_store_gets_a_manifest_without_a_key() {
        let manifest =
            without_key(b"{\n  \"name\": \"x\",\n  \"key\": \"abc\",\n  \"version\": \"1\"\n}\n").unwrap();
        assert_eq!(manifest, b"{\n  \"name\": \"x\",\n  \"version\": \"1\"\n}\n");
        assert!(without_key(b"{\n  \"name\": \"x\",\n  \"key\": \"abc\"\n}").is_err());
    }

    #[test]
    fn the_same_files_pack_to_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("rekursing-pack-{}", std::process::id()));
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("b.txt"), "b").unwrap();
        fs::write(folder.join("a.txt"), "a").unwrap();
        fs::write(folder.join("sub/c.txt"), "c").unwrap();
        assert_eq!(names(&folder).unwrap(), ["a.txt", "b.txt", "sub/c.txt"]);
        let packed = |name: &str| {
            let zip = std::env::temp_dir().join(format!("rekursing-pack-{}-{name}", std::process::id()));
            write(&folder, File::create(&zip).unwrap()).unwrap();
            let bytes = fs::read(&zip).unwrap();
            fs::remove_file(zip).unwrap();
            bytes
        };
        assert_eq!(packed("first"), packed("second"));
        fs::remove_dir_all(folder).unwrap();
    }
}
