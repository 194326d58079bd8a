//! Builds the extension: wasm, bindings and static files into `dist/extension/`, which loads unpacked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use wasm_bindgen_cli_support::Bindgen;

use crate::{outfit, say};

/// What the compiler calls the browser.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Sources in `extension/` that the browser has no use for, files and folders.
const LEFT_OUT: [&str; 3] = ["icon.svg", "npm", "store"];

/// What the extension has of the library for a model in the browser: code, wasm and licence.
const LIBRARY: [(&str, &str); 3] =
    [("esm/index.js", "index.js"), ("esm/wasm/wllama.wasm", "wllama.wasm"), ("LICENCE", "LICENCE")];

/// Whether an extension has in it what comes from npm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// It has.
    Inside,
    /// It has not, and shows nothing of it.
    Missing,
}

/// Builds `dist/extension/` and returns its path, and whether what comes from npm is in it.
pub(crate) fn build() -> Result<(PathBuf, Library)> {
    let root = root();
    have_target()?;
    let wasm = compile(&root)?;
    let out = root.join("dist/extension");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("could not clear {}", out.display()))?;
    }
    copy(&root.join("extension"), &out)?;
    fs::copy(root.join("manifest.json"), out.join("manifest.json"))
        .context("could not copy manifest.json")?;
    bind(&wasm, &out.join("pkg"))?;
    let library = add_library(&out)?;
    report(&out)?;
    Ok((out, library))
}

/// Adds the library for a model in the browser, and tells the pages whether it is there.
fn add_library(out: &Path) -> Result<Library> {
    let library = match outfit::wllama() {
        Ok(package) => {
            let folder = out.join("wllama");
            fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
            for (from, to) in LIBRARY {
                fs::copy(package.join(from), folder.join(to))
                    .with_context(|| format!("could not copy {from} of the library"))?;
            }
            Library::Inside
        }
        Err(error) => {
            say(&format!("the extension is built without the model in the browser: {error:#}"));
            Library::Missing
        }
    };
    let text = format!(
        "// Made by `cargo xtask extension`.\n\n/** Whether this build can run a model in the browser. */\n\
         export const browser = {};\n",
        library == Library::Inside
    );
    fs::write(out.join("pkg/parts.js"), text).context("could not write parts.js")?;
    Ok(library)
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies inside the workspace").to_owned()
}

/// Makes sure that the compiler can build for the browser, by `rustup` where it cannot yet.
pub(crate) fn have_target() -> Result<()> {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().context("could not run rustc")?;
    let sysroot = String::from_utf8(rustc.stdout).context("rustc names a strange sysroot")?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => {
            bail!("the compiler lacks {TARGET}: run `rustup target add {TARGET}` and try again")
        }
    }
}

/// Compiles the agent and returns the path of its wasm.
fn compile(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target_dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--package", "rekursing-extension-core", "--lib", "--no-default-features"])
        .args(["--profile", "wasm", "--target", TARGET, "--config", &remapped()?, "--target-dir"])
        .arg(&target_dir)
        .status()
        .context("could not run cargo")?;
    if !status.success() {
        bail!("the agent does not compile for {TARGET}");
    }
    Ok(target_dir.join(TARGET).join("wasm/rekursing_extension_core.wasm"))
}

/// Returns the setting by which the wasm names no folder of the machine that it is built on, so that
/// the same sources make the same bytes everywhere.
fn remapped() -> Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let home = home.context("there is no home folder")?;
    let flag = format!("--remap-path-prefix={}=cargo", home.display());
    Ok(format!("target.{TARGET}.rustflags=[{}]", serde_json::json!(flag)))
}

/// Writes the wasm and its JavaScript bindings as `agent_bg.wasm` and `agent.js`.
fn bind(wasm: &Path, out: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("agent")
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .web(true)
        .and_then(|bindgen| bindgen.generate(out))
        .context("could not make the bindings of the agent")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("could not list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("could not copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a chore speaks on standard output")]
fn report(out: &Path) -> Result<()> {
    let names = ["pkg/agent_bg.wasm", "pkg/agent.js", "wllama/wllama.wasm", "wllama/index.js"];
    for name in names.into_iter().filter(|name| out.join(name).exists()) {
        let bytes = fs::read(out.join(name)).with_context(|| format!("could not read {name}"))?;
        println!("{name}: {} bytes, {} gzipped", bytes.len(), gzipped(&bytes)?);
    }
    println!("{}", out.display());
    Ok(())
}

pub(crate) fn gzipped(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).context("could not compress")?;
    Ok(encoder.finish().context("could not compress")?.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_permission_has_its_justification_and_no_other_is_asked_for() {
        let text = fs::read(root().join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let lists = ["permissions", "host_permissions", "optional_host_permissions", "optional_permissions"];
        let asked = lists.iter().flat_map(|list| manifest[list].as_array().into_iter().flatten());
        let asked: BTreeSet<&str> = asked.map(|permission| permission.as_str().unwrap()).collect();
        let words = fs::read_to_string(root().join("extension/store/permissions.md")).unwrap();
        let rows = words.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let justified: BTreeSet<&str> =
            rows.inspect(|(name, why)| assert!(why.len() > 20, "{name}")).map(|(name, _)| name).collect();
        assert_eq!(justified, asked);
    }

    #[test]
    fn every_language_has_a_store_entry_whose_summary_is_that_of_the_extension_and_fits_the_store() {
        let headings = |entry: &str| -> Vec<String> {
            entry.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect()
        };
        let store = root().join("extension/store");
        let english = headings(&fs::read_to_string(store.join("description.md")).unwrap());
        for folder in fs::read_dir(root().join("extension/_locales")).unwrap() {
            let folder = folder.unwrap();
            let language = folder.file_name().into_string().unwrap();
            let messages = fs::read(folder.path().join("messages.json")).unwrap();
            let messages: serde_json::Value = serde_json::from_slice(&messages).unwrap();
            let ending = if language == "en" { String::new() } else { format!(".{language}") };
            let entry = fs::read_to_string(store.join(format!("description{ending}.md"))).unwrap();
            let (_, rest) = entry.split_once("## Summary\n\n").unwrap();
            let summary = rest.lines().next().unwrap();
            assert_eq!(messages["extension_description"]["message"], summary, "{language}");
            assert!(summary.chars().count() <= 132, "{language}: {}", summary.len());
            assert!(headings(&entry).iter().all(|heading| english.contains(heading)), "{language}");
            let (_, rest) = entry.split_once("## Description\n\n").unwrap();
            let text = rest.split("\n## ").next().unwrap();
            assert!((500..16_000).contains(&text.chars().count()), "{language}");
            // The store shows no Markdown.
            assert!(!text.contains(['*', '`', '[']), "{language}");
        }
    }

    #[test]
    fn what_is_for_the_store_alone_is_not_in_the_extension() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in ["store", "icons"] {
            fs::create_dir(from.path().join(folder)).unwrap();
            fs::write(from.path().join(folder).join("a.txt"), "").unwrap();
        }
        copy(from.path(), to.path()).unwrap();
        assert!(to.path().join("icons/a.txt").exists());
        assert!(!to.path().join("store").exists());
    }
}
