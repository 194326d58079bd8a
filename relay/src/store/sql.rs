//! One set of SQL on two databases: SQLite in a folder, or PostgreSQL.
//!
//! Statements are written with numbered parameters (`?1`), integers of 64 bits, texts and bytes, and
//! with what both databases understand. What only one of them can do is asked for by name here.

mod postgres;
mod sqlite;
mod value;

use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result};

pub use value::{Row, Value};

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// SQLite in this folder.
    Folder(PathBuf),
    /// PostgreSQL at this URL, which may hold a password.
    Postgres(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(folder) => write!(f, "{}", folder.display()),
            Location::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

impl FromStr for Location {
    type Err = Infallible;

    /// Takes a URL as it is. One that is wrong is refused by [`Sql::connect`], which does not repeat it:
    /// whoever reads a command line or a config quotes what he refuses, and here that may be a password.
    fn from_str(url: &str) -> Result<Location, Infallible> {
        Ok(Location::Postgres(url.to_owned()))
    }
}

impl<'de> serde::Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        String::deserialize(deserializer).map(Location::Postgres)
    }
}

/// A connection to the database.
pub struct Sql {
    engine: Engine,
    /// Whether a transaction is open. What is done outside of one may be done again over another
    /// connection; what is done within stands and falls with its own.
    within: bool,
}

enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(Box<postgres::Postgres>),
}

impl Engine {
    fn each(
        &mut self,
        sql: &'static str,
        values: &[Value],
        take: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        match self {
            Engine::Sqlite(sqlite) => sqlite.each(sql, values, take),
            Engine::Postgres(postgres) => postgres.each(sql, values, take),
        }
    }

    /// Tells whether the connection is known to be gone.
    const fn is_lost(&self) -> bool {
        match self {
            Engine::Sqlite(_) => false,
            Engine::Postgres(postgres) => postgres.is_lost(),
        }
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sqlite() { "Sql(SQLite)" } else { "Sql(PostgreSQL)" })
    }
}

impl Sql {
    /// Connects. SQLite's file is made where there is none.
    pub fn connect(location: &Location) -> Result<Sql> {
        let engine = match location {
            Location::Folder(folder) => Engine::Sqlite(sqlite::Sqlite::open(&file(folder)?)?),
            Location::Postgres(url) => Engine::Postgres(Box::new(postgres::Postgres::connect(url)?)),
        };
        Ok(Sql { engine, within: false })
    }

    /// Tells whether it is SQLite.
    pub const fn is_sqlite(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// Runs one statement. Returns how many rows it changed.
    pub fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        match &mut self.engine {
            Engine::Sqlite(sqlite) => sqlite.execute(sql, values),
            Engine::Postgres(postgres) => postgres.execute(sql, values),
        }
    }

    /// Inserts rows at once. `into` names the table and its columns, and `otherwise` says what becomes of
    /// a row that is there already. Returns how many rows it changed.
    pub fn insert(
        &mut self,
        into: &'static str,
        otherwise: &'static str,
        rows: &[Vec<Value>],
    ) -> Result<u64> {
        match &mut self.engine {
            Engine::Sqlite(sqlite) => sqlite.insert(into, otherwise, rows),
            Engine::Postgres(postgres) => postgres.insert(into, otherwise, rows),
        }
    }

    /// Reads rows, one after the other, until `take` fails.
    pub fn each(
        &mut self,
        sql: &'static str,
        values: &[Value],
        take: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let mut began = false;
        let read = self.engine.each(sql, values, &mut |row| {
            began = true;
            take(row)
        });
        if read.is_ok() || began || self.within || !self.engine.is_lost() {
            return read;
        }
        self.mend()?;
        self.engine.each(sql, values, take)
    }

    /// Reads rows as values.
    pub fn list<T>(
        &mut self,
        sql: &'static str,
        values: &[Value],
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut list = Vec::new();
        self.each(sql, values, &mut |row| {
            list.push(read(row)?);
            Ok(())
        })?;
        Ok(list)
    }

    /// Reads the first row as a value, if there is one.
    pub fn first<T>(
        &mut self,
        sql: &'static str,
        values: &[Value],
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.list(sql, values, read)?.into_iter().next())
    }

    /// Reads one number; nothing and NULL are 0.
    pub fn number(&mut self, sql: &'static str, values: &[Value]) -> Result<i64> {
        Ok(self.first(sql, values, |row| row.number_or_zero(0))?.unwrap_or(0))
    }

    /// Runs statements without parameters.
    pub fn batch(&mut self, sql: &str) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(sqlite) => sqlite.batch(sql),
            Engine::Postgres(postgres) => postgres.batch(sql),
        }
    }

    /// Writes all or nothing. Nobody else writes meanwhile: what is read within stays true until the end.
    /// Within a transaction it is a part that can fail alone.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Sql) -> Result<T>) -> Result<T> {
        if self.within {
            return self.bracket(["SAVEPOINT part", "RELEASE part", "ROLLBACK TO part; RELEASE part"], work);
        }
        // Readers go on; a second writer waits.
        let begin = match &self.engine {
            Engine::Sqlite(_) => "BEGIN IMMEDIATE",
            Engine::Postgres(_) => "BEGIN; SELECT pg_advisory_xact_lock(7236411)",
        };
        self.transaction(begin, work)
    }

    /// Reads in one view of the database.
    pub fn view<T>(&mut self, work: impl FnOnce(&mut Sql) -> Result<T>) -> Result<T> {
        let begin = match &self.engine {
            Engine::Sqlite(_) => "BEGIN",
            Engine::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.transaction(begin, work)
    }

    fn transaction<T>(&mut self, begin: &str, work: impl FnOnce(&mut Sql) -> Result<T>) -> Result<T> {
        if let Err(error) = self.batch(begin) {
            if !self.engine.is_lost() {
                return Err(error);
            }
            // Nothing was done over the connection that is gone.
            self.mend()?;
            self.batch(begin)?;
        }
        self.within = true;
        let done = self.end(["COMMIT", "ROLLBACK"], work);
        self.within = false;
        done
    }

    fn bracket<T>(
        &mut self,
        [begin, commit, rollback]: [&str; 3],
        work: impl FnOnce(&mut Sql) -> Result<T>,
    ) -> Result<T> {
        self.batch(begin)?;
        self.end([commit, rollback], work)
    }

    fn end<T>(
        &mut self,
        [commit, rollback]: [&str; 2],
        work: impl FnOnce(&mut Sql) -> Result<T>,
    ) -> Result<T> {
        let done = work(self).and_then(|value| self.batch(commit).map(|()| value));
        if done.is_err() && self.batch(rollback).is_err() {
            // The connection is gone, and with it the transaction.
            tracing::debug!("a transaction ended with its connection");
        }
        done
    }

    /// Makes the connection anew if it is gone.
    pub fn mend(&mut self) -> Result<()> {
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(postgres) => postgres.mend(),
        }
    }

    /// Takes the right to be the one relay of this database, for as long as the connection lives; `false`
    /// when another has it.
    pub fn claim(&mut self) -> Result<bool> {
        match &mut self.engine {
            Engine::Sqlite(sqlite) => sqlite.claim(),
            Engine::Postgres(postgres) => postgres.claim(),
        }
    }

    /// Returns a number that changes whenever another connection has written.
    pub fn foreign_version(&mut self) -> Result<i64> {
        if self.is_sqlite() {
            return self.number("PRAGMA data_version", &[]);
        }
        self.number("SELECT n FROM revision", &[])
    }

    /// Tells other connections that something has changed; SQLite does so by itself.
    pub fn changed(&mut self) -> Result<()> {
        if !self.is_sqlite() {
            self.execute("UPDATE revision SET n = n + 1", &[])?;
        }
        Ok(())
    }
}

/// The database's name in its folder.
const FILE: &str = "rekursing.sqlite";

/// Returns the path of SQLite's file, and makes its folder.
fn file(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the data folder {}", folder.display()))?;
    Ok(folder.join(FILE))
}

/// Refuses a folder without a database, so that a typing error does not make one.
///
/// # Errors
/// When there is none.
pub fn must_exist(location: &Location) -> Result<()> {
    let Location::Folder(folder) = location else { return Ok(()) };
    anyhow::ensure!(
        folder.join(FILE).exists(),
        "there is no database in {}; name the relay's own folder with --data-dir",
        folder.display()
    );
    Ok(())
}
