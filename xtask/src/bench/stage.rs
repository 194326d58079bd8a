//! The processes that are measured, and the ways through them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use rekursing_tests_postgres::{Kind, Server};
use serde_json::Value;

use crate::extension;

/// A way from the page to whoever makes the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// The model server itself.
    Direct,
    /// The floor and 8 plugins that make the tokens.
    Floor,
    /// Relay and native agent before the model server.
    Node,
    /// The relay alone: 8 plugins make the tokens.
    Relay,
    /// The relay alone, with 1,000 plugins.
    Crowd,
    /// The relay alone, with its money on PostgreSQL.
    Postgres,
}

impl Way {
    /// Returns its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Way::Direct => "model server directly",
            Way::Floor => "floor",
            Way::Node => "relay and agent",
            Way::Relay => "relay alone",
            Way::Crowd => "relay alone, 1,000 sessions",
            Way::Postgres => "relay alone, on PostgreSQL",
        }
    }
}

/// No rate is limited, and the money does not run out.
const CONFIG: &str = "
[limits]
registrations_per_minute = 1000000
connects_per_minute = 1000000
sessions = 12000
queue = 10000
";

/// All processes of the bench. They die with it.
pub(crate) struct Stage {
    mock: Running,
    floor: Running,
    relays: Vec<(Way, Relay)>,
    _plugins: Vec<Running>,
    _postgres: Server,
}

/// A relay with a key that can pay.
struct Relay {
    process: Running,
    key: String,
    folder: Folder,
}

impl Stage {
    /// Starts every process.
    pub(crate) fn set() -> Result<Stage> {
        let mock = Running::start(Command::new(program("mock")), "LISTENING ")?;
        let floor = Running::start(Command::new(program("floor")), "LISTENING ")?;
        let mut plugins = vec![providers(&floor, 8, "floor")?];
        let mut relays = Vec::new();
        let postgres = Server::start(Kind::Durable)?;
        for way in [Way::Node, Way::Relay, Way::Crowd, Way::Postgres] {
            let database = if way == Way::Postgres { Some(postgres.database()?) } else { None };
            let relay = relay(database)?;
            match way {
                Way::Node => plugins.push(node(&relay, &mock)?),
                Way::Crowd => plugins.push(providers(&relay.process, 1_000, "link")?),
                Way::Relay | Way::Postgres | Way::Direct | Way::Floor => {
                    plugins.push(providers(&relay.process, 8, "link")?)
                }
            }
            relays.push((way, relay));
        }
        Ok(Stage { mock, floor, relays, _plugins: plugins, _postgres: postgres })
    }

    /// Sends one load over one way and returns what it measured.
    pub(crate) fn run(&self, way: Way, arguments: &[String]) -> Result<Value> {
        let (process, key) = self.end(way)?;
        let mut command = Command::new(program("load"));
        command.args(["--url", &process.says]).args(arguments);
        command.arg("--pid").arg(format!("relay={}", process.child.id()));
        if let Some(key) = key {
            command.args(["--key", key]);
        }
        let output = command.output().context("could not run the load")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Value = serde_json::from_str(&text)
            .with_context(|| format!("no figures: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
        if figures["requests"].as_u64().unwrap_or(0) == 0 {
            bail!("nothing was answered over {}: {}", way.name(), figures["errors"]);
        }
        Ok(figures)
    }

    /// Returns the model server's URL.
    pub(crate) fn model_server(&self) -> &str {
        &self.mock.says
    }

    /// Counts the relay's system calls per million tokens at full speed.
    pub(crate) fn system_calls(&self) -> Result<Option<f64>> {
        let (process, _) = self.end(Way::Node)?;
        let pid = process.child.id().to_string();
        let counting = Command::new("strace").args(["-f", "-c", "-p", &pid]).stderr(Stdio::piped()).spawn();
        let Ok(counting) = counting else { return Ok(None) };
        let figures =
            self.run(Way::Node, &["--pages=32", "--tokens=1000", "--requests=3"].map(str::to_owned))?;
        let strace = counting.id().to_string();
        Command::new("kill").args(["-INT", &strace]).status().context("could not stop strace")?;
        let output = counting.wait_with_output().context("could not wait for strace")?;
        let table = String::from_utf8_lossy(&output.stderr).into_owned();
        let calls = table.lines().rfind(|line| line.trim_end().ends_with("total"));
        let calls = calls.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
        let tokens = figures["tokens"].as_f64().unwrap_or(0.0);
        Ok(calls.filter(|_| tokens > 0.0).map(|calls| calls * 1e6 / tokens))
    }

    /// Returns the part of the relay's processor time in short requests that its store took.
    pub(crate) fn store_share(&self) -> Result<f64> {
        let (process, _) = self.end(Way::Crowd)?;
        let (mut store, mut all) = (0, 0);
        for thread in fs::read_dir(format!("/proc/{}/task", process.child.id()))? {
            let line = fs::read_to_string(thread?.path().join("stat"))?;
            let (name, rest) = line.rsplit_once(") ").context("a thread without a name")?;
            // After the name come the state and ten numbers, then the ticks as user and as system.
            let ticks: u32 =
                rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
            all += ticks;
            store += if name.ends_with("(store") { ticks } else { 0 };
        }
        Ok(f64::from(store) / f64::from(all.max(1)))
    }

    fn end(&self, way: Way) -> Result<(&Running, Option<&str>)> {
        match way {
            Way::Direct => Ok((&self.mock, None)),
            Way::Floor => Ok((&self.floor, None)),
            Way::Node | Way::Relay | Way::Crowd | Way::Postgres => {
                let found = self.relays.iter().find(|(other, _)| *other == way);
                let (_, relay) = found.context("every way through a relay has one")?;
                Ok((&relay.process, Some(&relay.key)))
            }
        }
    }
}

/// Measures the memory of 10,000 sessions with nothing to do.
pub(crate) fn idle_sessions() -> Result<Value> {
    let relay = relay(None)?;
    let mut command = Command::new(program("idle"));
    command.args(["--address", relay.process.address(), "--pid", &relay.process.child.id().to_string()]);
    let output = command.output().context("could not run the idle sessions")?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .with_context(|| format!("no figures: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Returns the path of a program of the release.
pub(crate) fn program(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| extension::root().join("target")).join("release").join(name)
}

/// Starts a relay with its money on this PostgreSQL, or else on SQLite.
fn relay(database: Option<String>) -> Result<Relay> {
    let folder = Folder::make()?;
    let config = folder.0.join("relay.toml");
    fs::write(&config, CONFIG)?;
    let mut create = Command::new(program("rekursing-relay"));
    create.args(["key", "create", "--name", "bench", "--balance", "1000000", "--data-dir"]).arg(&folder.0);
    create.envs(database.iter().map(|url| ("REKURSING_DATABASE", url)));
    let made = create.output().context("could not make a key")?;
    let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let mut serve = Command::new(program("rekursing-relay"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&folder.0);
    serve.arg("--config").arg(&config).env("REKURSING_LOG", "error");
    serve.envs(database.iter().map(|url| ("REKURSING_DATABASE", url)));
    let process = Running::start(serve, "LISTENING ")?;
    Ok(Relay { process, key, folder })
}

fn node(relay: &Relay, mock: &Running) -> Result<Running> {
    let mut command = Command::new(program("rekursing-node"));
    let link = format!("ws://{}", relay.process.address());
    command.env("REKURSING_LOG", "error");
    command.args(["--relay", &link, "--server", &mock.says, "--slots", "4096", "--state"]);
    command.arg(relay.folder.0.join("node.json")).args(["--price-input", "0.001", "--price-output", "0.001"]);
    Running::start(command, "READY ")
}

fn providers(relay: &Running, plugins: usize, speech: &str) -> Result<Running> {
    let mut command = Command::new(program("provider"));
    let plugins = plugins.to_string();
    command.args(["--address", relay.address(), "--plugins", &plugins, "--speech", speech]);
    command.args(["--slots", "512"]);
    Running::start(command, "READY ")
}

/// A process that has said it is ready. Dropping it kills it.
struct Running {
    child: Child,
    says: String,
    /// A closed pipe would end a process that writes to it.
    _output: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command, prefix: &str) -> Result<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("could not start {command:?}"))?;
        let mut output = BufReader::new(child.stdout.take().context("a child without standard output")?);
        loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                bail!("{command:?} ended without saying {prefix:?}");
            }
            if let Some(says) = line.strip_prefix(prefix) {
                let says = says.trim().to_owned();
                return Ok(Running { child, says, _output: output });
            }
        }
    }

    fn address(&self) -> &str {
        self.says.trim_start_matches("http://")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that goes with the bench.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rekursing-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("could not make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system clears its temporary folder itself where this fails.
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}
