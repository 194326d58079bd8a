//! A PostgreSQL of one's own: a private server of the distribution's package in a temporary folder, for
//! tests and measurements. It knows nothing of what is kept in it.
//!
//! The server ends with the process that started it, however that one ends, and leaves nothing behind: a
//! small script keeps it and waits for the end of its input.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, bail};

/// What to do where there is no PostgreSQL.
pub const MISSING: &str =
    "there is no PostgreSQL server: install `postgresql` (Debian: apt install postgresql) and try again";

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For tests: it survives every crash but the machine's.
    Quick,
    /// For measurements: it syncs every commit, as one in earnest does.
    Durable,
    /// For tests of TLS, on a port of this machine.
    Encrypted,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    keeper: Mutex<Keeper>,
    child: Child,
    folder: PathBuf,
    port: Option<u16>,
    databases: AtomicU32,
}

/// The script that keeps the server, by its two ends.
#[derive(Debug)]
struct Keeper {
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Returns the one quick server of this process, and starts it when it is first asked for.
    ///
    /// # Errors
    /// Fails when there is no PostgreSQL on this machine, with [`MISSING`], or it does not start.
    pub fn shared() -> Result<&'static Server> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Server::start(Kind::Quick).map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Starts a server.
    ///
    /// # Errors
    /// Fails when there is no PostgreSQL on this machine, with [`MISSING`], or it does not start.
    pub fn start(kind: Kind) -> Result<Server> {
        let programs = programs().context(MISSING)?;
        let port = if kind == Kind::Encrypted { Some(free_port()?) } else { None };
        let mut options = "-c max_connections=200".to_owned();
        match port {
            Some(port) => options += &format!(" -c listen_addresses=127.0.0.1 -p {port}"),
            None => options += " -c listen_addresses=",
        }
        if kind != Kind::Durable {
            options += " -c fsync=off";
        }
        let wire = if kind == Kind::Encrypted { "encrypted" } else { "plain" };
        // A session of its own, so that whatever ends this one's processes leaves the keeper to its work.
        let mut child = Command::new("setsid")
            .args(["sh", "-c", include_str!("keeper.sh"), "keeper"])
            .arg(programs)
            .args([options.as_str(), wire])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start PostgreSQL's keeper")?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a child without standard output")?);
        let mut keeper = Keeper { orders, answers };
        let folder = keeper.answer("READY ").context("PostgreSQL did not start")?;
        let (folder, databases) = (PathBuf::from(folder), AtomicU32::new(0));
        Ok(Server { keeper: Mutex::new(keeper), child, folder, port, databases })
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// Fails when the server does not run.
    pub fn database(&self) -> Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        query(&self.url("postgres"), &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Returns the file of the certificate that an encrypted server shows.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    /// Stops the server at once, as a crash would.
    ///
    /// # Errors
    /// Fails when it does not run.
    pub fn stop(&self) -> Result<()> {
        self.order("stop")
    }

    /// Starts the server again after [`Server::stop`].
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub fn resume(&self) -> Result<()> {
        self.order("start")
    }

    fn order(&self, order: &str) -> Result<()> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = keeper.orders.as_mut().context("the keeper has ended")?;
        writeln!(orders, "{order}").with_context(|| format!("could not {order} PostgreSQL"))?;
        keeper.answer("DONE").map(drop).with_context(|| format!("could not {order} PostgreSQL"))
    }

    fn url(&self, database: &str) -> String {
        match self.port {
            Some(port) => format!("postgres://postgres@127.0.0.1:{port}/{database}"),
            None => format!("postgres:///{database}?host={}&user=postgres", self.folder.display()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(keeper.orders.take());
        // What it would say it has said on standard error.
        let _ = self.child.wait();
    }
}

impl Keeper {
    /// Reads the next line, which begins so, and returns the rest.
    fn answer(&mut self, prefix: &str) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let rest = line.trim_end().strip_prefix(prefix);
        rest.map(str::to_owned).with_context(|| format!("it said {line:?} where {prefix:?} was expected"))
    }
}

/// Runs statements on a database from outside, and returns the last one's rows as texts.
///
/// # Errors
/// Fails with what the server says.
pub fn query(url: &str, sql: &str) -> Result<Vec<Vec<String>>> {
    let programs = programs().context(MISSING)?;
    let output = Command::new(programs.join("psql"))
        .env_clear()
        .args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .output()
        .context("could not run psql")?;
    if !output.status.success() {
        bail!("PostgreSQL refused {sql:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("rows that are no text")?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Tells whether this machine has a PostgreSQL server.
pub fn is_installed() -> bool {
    programs().is_some()
}

/// Finds the folder of PostgreSQL's programs: where Debian puts the newest, or on the path.
fn programs() -> Option<PathBuf> {
    let has_server = |folder: &PathBuf| folder.join("pg_ctl").is_file() && folder.join("initdb").is_file();
    let version = |folder: &Path| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    versions.into_iter().map(|folder| folder.join("bin")).chain(on_path).find(has_server)
}

/// Asks the system for a port that is free at this moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_serves_stops_resumes_and_leaves_nothing_behind() {
        let server = Server::start(Kind::Quick).unwrap();
        let (one, other) = (server.database().unwrap(), server.database().unwrap());
        query(&one, "CREATE TABLE t (n BIGINT)").unwrap();
        assert!(query(&other, "SELECT n FROM t").is_err(), "each database is alone");
        server.stop().unwrap();
        assert!(query(&one, "SELECT 1").is_err());
        server.resume().unwrap();
        assert_eq!(query(&one, "SELECT 1, 'two'").unwrap(), [["1", "two"]]);
        let folder = server.folder.clone();
        drop(server);
        assert!(!folder.exists());
    }
}
