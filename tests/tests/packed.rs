//! The client library as a package: what npm packs of it, how large that is, its types, and its use by its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use rekursing_tests::{
    built, program,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL},
};
use tempfile::TempDir;
use tokio::process::Command;

/// Most bytes of all its scripts together, with their comments, in gzip.
const BYTES_MAX: usize = 6 * 1_024;

/// What is in the package.
const FILES: [&str; 10] = [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "ad.js",
    "events.js",
    "index.d.ts",
    "index.js",
    "package.json",
    "receipt.js",
    "relay.js",
];

/// A folder with nothing but the library, installed without a network from what npm packs of it.
struct Installed {
    folder: TempDir,
}

impl Installed {
    async fn new() -> Result<Installed> {
        let installed = Installed { folder: tempfile::tempdir()? };
        let pack = ["pack", "--pack-destination", installed.path()];
        installed.npm(&built::root().join("site/client"), &pack).await?;
        let packed = fs::read_dir(installed.path())?.filter_map(|entry| Some(entry.ok()?.path()));
        let packed: Vec<PathBuf> =
            packed.filter(|path| path.extension().is_some_and(|end| end == "tgz")).collect();
        let [package] = packed.as_slice() else { anyhow::bail!("npm packed {packed:?}") };
        fs::write(installed.folder.path().join("package.json"), r#"{"type":"module"}"#)?;
        let package = package.display().to_string();
        installed.npm(installed.folder.path(), &["install", "--no-audit", "--no-fund", &package]).await?;
        Ok(installed)
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap_or_default()
    }

    /// Runs npm in a folder; what it keeps is kept here.
    async fn npm(&self, folder: &Path, arguments: &[&str]) -> Result<()> {
        let mut npm = Command::new("npm");
        npm.current_dir(folder).args(arguments).args(["--offline", "--no-update-notifier", "--cache"]);
        succeed(npm.arg(self.folder.path().join("cache"))).await.map(drop)
    }

    /// Returns the files of the package by their names.
    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        fs::read_dir(self.folder.path().join("node_modules/rekursing"))?
            .map(|entry| {
                let path = entry?.path();
                let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
                Ok((name, fs::read(&path)?))
            })
            .collect()
    }

    /// Compiles a program strictly, which may import the library by its name.
    async fn compile(&self, name: &str) -> Result<PathBuf> {
        fs::copy(program::path(name), self.folder.path().join(name))?;
        let mut tsc = Command::new("node");
        tsc.current_dir(self.folder.path()).arg(built::node_modules()?.join("typescript/bin/tsc")).args([
            "--strict",
            "--exactOptionalPropertyTypes",
            "--target",
            "es2022",
            "--module",
            "nodenext",
            "--lib",
            "es2023,dom",
            name,
        ]);
        succeed(&mut tsc).await?;
        Ok(self.folder.path().join(name).with_extension("js"))
    }
}

async fn succeed(command: &mut Command) -> Result<String> {
    let output = command.kill_on_drop(true).output().await?;
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    ensure!(output.status.success(), "{out}{err}");
    Ok(out)
}

#[tokio::test]
async fn what_npm_packs_is_what_a_relay_serves_and_takes_six_kilobytes() -> Result<()> {
    let (installed, relay) = tokio::try_join!(Installed::new(), Relay::with(FREE))?;
    let files = installed.files()?;
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), FILES);
    let mut whole = GzEncoder::new(Vec::new(), Compression::best());
    for (name, packed) in files.iter().filter(|(name, _)| name.ends_with(".js")) {
        let served = relay.visitor().get(&format!("/client/{name}")).await?;
        ensure!(served.status == 200 && served.body == *packed, "{name} is served otherwise");
        whole.write_all(&served.body)?;
    }
    let bytes = whole.finish()?.len();
    println!("the client library: {bytes} bytes of at most {BYTES_MAX}");
    ensure!(bytes <= BYTES_MAX, "{bytes} bytes where {BYTES_MAX} may be");
    Ok(())
}

#[tokio::test]
async fn whoever_installs_it_imports_it_by_its_name_and_asks_a_relay() -> Result<()> {
    let installed = Installed::new().await?;
    let script = installed.compile("client-packed.ts").await?;
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(8)).await?;
    let mut node = Command::new("node");
    let said = succeed(node.arg(script).args([&scene.relay.url("http"), &key, MODEL])).await?;
    assert_eq!(said, "ok\n");
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn its_types_are_those_of_its_shape_and_know_every_code() -> Result<()> {
    let installed = Installed::new().await?;
    installed.compile("client-types.ts").await?;
    let types = String::from_utf8(installed.files()?.remove("index.d.ts").context("no types")?)?;
    let http = fs::read_to_string(built::root().join("docs/http.md"))?;
    let (_, table) = http.split_once("\n## Codes\n").context("no table of codes")?;
    let told: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code)
        .collect();
    let (_, union) = types.split_once("export type RelayCode =").context("no codes")?;
    let (union, _) = union.split_once(';').context("no end of the codes")?;
    let typed: BTreeSet<&str> = union.split('\'').skip(1).step_by(2).collect();
    assert_eq!(typed, told);
    Ok(())
}
