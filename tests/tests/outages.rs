//! A database that cannot be written: no paid job is taken, what was promised waits, reads go on, and all is
//! well again by itself.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    eventually::PATIENCE,
    http::{Answer, Page},
    link::Plugin,
    node::Node,
    process::Echo,
    relay::{FREE, Program, Relay},
    scene::ask,
    script::{Dialect, Script},
};
use rekursing_tests_postgres::{Kind, Server, query};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, timeout},
};

/// Names the small disk, in a test that runs on one.
const SMALL_DISK: &str = "REKURSING_SMALL_DISK";

/// Mounts a small disk on the folder and becomes the program, which keeps its files there.
const MOUNT: &str =
    "mount -t tmpfs -o \"size=$0\" tmpfs \"$TMPDIR\" && chmod 1777 \"$TMPDIR\" && exec \"$@\"";

/// Becomes the relay, which is told by an error, and not killed, when it writes more than it may.
const TOLD: [&str; 3] = ["sh", "-c", "trap '' XFSZ && exec \"$@\""];

/// Makes the folder of the database read-only, for the relay alone, and becomes the relay.
const READ_ONLY_DISK: [&str; 6] = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"",
];

/// How soon an answer ends that nothing stands in the way of.
const SOON: Duration = Duration::from_millis(300);

/// Runs a relay behind a script, which is told the folder of its data first.
fn behind(program: Program, script: &[&str]) -> Result<Program> {
    std::fs::create_dir_all(program.data())?;
    let data = program.data().display().to_string();
    Ok(program.behind(script.iter().copied().chain([data.as_str()]).map(str::to_owned).collect()))
}

/// A page, a provider and a plugin that has nothing to do with either.
struct Cast {
    page: Page,
    plugin: Plugin,
    _node: Node,
    _script: Script,
}

impl Cast {
    async fn meet(relay: &Relay, key: &str) -> Result<Cast> {
        let script = Script::start(Dialect::LlamaCpp(64)).await?;
        let node = Node::with(relay, &script.url(), &["--slots", "64"]).await?;
        let (page, plugin) = (relay.customer(key), Plugin::register(relay).await?);
        whole(&page.post("/api/llm/inference", &ask("go")).await?)?;
        Ok(Cast { page, plugin, _node: node, _script: script })
    }

    /// Asks until the relay takes no more, and returns those who wait for the end of their answer.
    async fn turned_away(&self, relay: &Relay) -> Result<JoinSet<Result<Answer>>> {
        let (mut asking, deadline) = (JoinSet::new(), Instant::now() + PATIENCE);
        while relay.visitor().get("/healthz").await?.status != 503 {
            anyhow::ensure!(Instant::now() < deadline, "the relay notices nothing");
            let page = self.page.clone();
            asking.spawn(async move { page.post("/api/llm/inference", &ask("go")).await });
            // Whoever is answered is answered soon; whoever waits for his charge waits on.
            if let Ok(Some(ended)) = timeout(SOON, asking.join_next()).await {
                whole_or_turned_away(&ended??)?;
            }
        }
        let refused = self.page.post("/api/llm/inference", &ask("go")).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "store_unavailable"));
        assert!(refused.headers.contains_key("retry-after"));
        Ok(asking)
    }

    /// Sees to it that whoever only asks how things stand is answered.
    async fn reads_go_on(&self, relay: &Relay) -> Result<()> {
        assert_eq!(self.plugin.earnings(relay).await?.jobs, 0);
        self.page.get("/api/account").await?.expect(200)?;
        relay.visitor().get("/api/llm/models").await?.expect(200)?;
        Ok(())
    }

    /// Sees to it that all is well again: whoever waited is answered, pages are, and the book is right.
    async fn well_again(&self, relay: &Relay, mut waiting: JoinSet<Result<Answer>>) -> Result<()> {
        let mut promised = 0;
        while let Some(ended) = waiting.join_next().await {
            promised += u32::from(whole_or_turned_away(&ended??)?);
        }
        assert!(promised > 0, "somebody was promised an end");
        let is_well = || async { Ok((relay.visitor().get("/healthz").await?.status == 200).then_some(())) };
        eventually("the relay takes jobs again", is_well).await?;
        whole(&self.page.post("/api/llm/inference", &ask("go")).await?)?;
        assert_eq!(relay.resolved().await?.balance("escrow")?, Nanos::ZERO);
        relay.audit().await
    }
}

/// Asserts that an answer came to its end.
fn whole(answer: &Answer) -> Result<()> {
    let text = String::from_utf8_lossy(&answer.body);
    anyhow::ensure!(text.contains("event: done"), "{}: {text}", answer.status);
    Ok(())
}

/// Asserts that an answer came to its end, unless it was refused before it began: the relay may notice between
/// a look at how it is and a question. Tells which.
fn whole_or_turned_away(answer: &Answer) -> Result<bool> {
    if answer.status == 503 {
        assert_eq!(answer.error_code()?, "store_unavailable");
        return Ok(false);
    }
    whole(answer)?;
    Ok(true)
}

/// Runs a test of this program once more, with a small disk of its own for all of its files. That needs no
/// rights but those that a user has in a namespace of his own. Whoever is root stays so, because PostgreSQL
/// is then run as another user, and everybody else stays himself, because it does not run as root.
async fn once_more_on_a_small_disk(test: &str, size: &str) -> Result<()> {
    let disk = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--map-current-user", "--keep-caps"]);
    }
    command.args(["--mount", "sh", "-c", MOUNT, size]).arg(std::env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]);
    command.env("TMPDIR", disk.path()).env(SMALL_DISK, disk.path());
    let output = command.output().await.context("could not run unshare")?;
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{erred}");
    anyhow::ensure!(output.status.success() && said.contains("1 passed"), "on a small disk: {said}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_stops_paid_jobs_and_nothing_else() -> Result<()> {
    let Some(disk) = std::env::var_os(SMALL_DISK) else {
        return once_more_on_a_small_disk("a_full_disk_stops_paid_jobs_and_nothing_else", "16m").await;
    };
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    full(&relay, &key, Path::new(&disk)).await
}

#[tokio::test]
async fn a_full_disk_of_postgresql_stops_paid_jobs_and_nothing_else() -> Result<()> {
    let Some(disk) = std::env::var_os(SMALL_DISK) else {
        let test = "a_full_disk_of_postgresql_stops_paid_jobs_and_nothing_else";
        return once_more_on_a_small_disk(test, "160m").await;
    };
    let (relay, key) = Relay::keeping(Engine::Postgres, FREE, "5.00").await?;
    full(&relay, &key, Path::new(&disk)).await
}

/// Fills the disk on which the money is, and makes room again.
async fn full(relay: &Relay, key: &str, disk: &Path) -> Result<()> {
    let cast = Cast::meet(relay, key).await?;
    let filler = fill(disk)?;
    let waiting = cast.turned_away(relay).await?;
    cast.reads_go_on(relay).await?;
    std::fs::remove_file(filler)?;
    cast.well_again(relay, waiting).await
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_any_more_stops_paid_jobs_and_nothing_else() -> Result<()> {
    let program = behind(Program::new(Engine::Sqlite, FREE)?, &TOLD)?;
    let key = program.key("5.00").await?;
    let mut relay = Relay::serving(program).await?;
    let cast = Cast::meet(&relay, &key).await?;
    // Files that are open for writing keep a disk from being made read-only; no file may be written all the
    // same, and SQLite is told of either with the same word.
    let pid = i32::try_from(relay.process().pid()?).ok().and_then(Pid::from_raw).context("a process")?;
    let limit = |bytes: Option<u64>| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum })
    };
    limit(Some(0))?;
    let waiting = cast.turned_away(&relay).await?;
    cast.reads_go_on(&relay).await?;
    limit(None)?;
    cast.well_again(&relay, waiting).await
}

/// Fills a file system to its last block, and returns the file that does.
fn fill(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("filler");
    let mut file = File::create(&path)?;
    while file.write_all(&[0; 64 * 1024]).is_ok() {}
    while file.write_all(&[0; 512]).is_ok() {}
    Ok(path)
}

#[tokio::test]
async fn a_relay_on_a_disk_that_is_read_only_says_so_and_serves_nobody() -> Result<()> {
    let program = Program::new(Engine::Sqlite, FREE)?;
    program.key("5.00").await?;
    let refused = Relay::of(behind(program, &READ_ONLY_DISK)?, "127.0.0.1:0", Echo::Aloud).await.unwrap_err();
    assert!(format!("{refused:#}").contains("ended without saying"), "{refused:#}");
    Ok(())
}

#[tokio::test]
async fn a_database_that_turns_read_only_stops_paid_jobs_and_nothing_else() -> Result<()> {
    let server = Server::start(Kind::Quick)?;
    let url = server.database()?;
    let program = Program::new(Engine::Sqlite, FREE)?.on(url.clone());
    let key = program.key("5.00").await?;
    let relay = Relay::of(program, "127.0.0.1:0", Echo::Aloud).await?;
    let cast = Cast::meet(&relay, &key).await?;
    let turn = |mode: &str| -> Result<()> {
        query(&url, &format!("ALTER SYSTEM SET default_transaction_read_only = {mode}"))?;
        query(&url, "SELECT pg_reload_conf()").map(drop)
    };
    turn("on")?;
    let waiting = cast.turned_away(&relay).await?;
    cast.reads_go_on(&relay).await?;
    turn("off")?;
    cast.well_again(&relay, waiting).await
}

#[tokio::test]
async fn a_database_that_goes_away_is_found_again() -> Result<()> {
    let server = Server::start(Kind::Quick)?;
    let program = Program::new(Engine::Sqlite, FREE)?.on(server.database()?);
    let (key, unused) = (program.key("5.00").await?, program.key("5.00").await?);
    let relay = Relay::of(program, "127.0.0.1:0", Echo::Aloud).await?;
    let cast = Cast::meet(&relay, &key).await?;
    server.stop()?;
    let waiting = cast.turned_away(&relay).await?;
    let unknown = relay.customer(&unused).post("/api/llm/inference", &ask("go")).await?;
    assert_eq!((unknown.status, unknown.error_code()?.as_str()), (503, "store_unavailable"));
    relay.visitor().get("/api/llm/models").await?.expect(200)?;
    server.resume()?;
    cast.well_again(&relay, waiting).await
}
