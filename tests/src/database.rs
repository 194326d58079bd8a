//! The ledger as an auditor reads it: straight from the database, with sums of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rekursing_protocol::Nanos;
use rekursing_tests_postgres::{Server, query};
use rusqlite::{Connection, OpenFlags, types::ValueRef};

/// On which database a relay keeps its money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite in the relay's data folder.
    Sqlite,
    /// PostgreSQL, on this process's own server.
    Postgres,
}

/// Makes two tests of each promise, which is a function of an [`Engine`]: one on SQLite, one on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($promise:ident,)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() -> anyhow::Result<()> {
                super::$promise($crate::database::Engine::Sqlite).await
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $promise() -> anyhow::Result<()> {
                super::$promise($crate::database::Engine::Postgres).await
            })*
        }
    };
}

/// Where a relay's database is.
#[derive(Debug, Clone)]
pub enum Database {
    /// SQLite's file.
    File(PathBuf),
    /// PostgreSQL's URL.
    Postgres(String),
}

impl Database {
    /// Names the database of a relay with this data folder, and makes it where it needs a server.
    ///
    /// # Errors
    /// Fails when there is no PostgreSQL.
    pub fn of(engine: Engine, data: &Path) -> Result<Database> {
        Ok(match engine {
            Engine::Sqlite => Database::File(data.join("rekursing.sqlite")),
            Engine::Postgres => Database::Postgres(Server::shared()?.database()?),
        })
    }

    /// Changes it, as nobody should.
    ///
    /// # Errors
    /// Fails when it refuses.
    pub fn change(&self, sql: &str) -> Result<()> {
        match self {
            Database::File(path) => Ok(Connection::open(path)?.execute_batch(sql)?),
            Database::Postgres(url) => query(url, sql).map(drop),
        }
    }

    /// Keeps everybody from writing to SQLite until what is returned is dropped.
    ///
    /// # Errors
    /// Fails when somebody writes to it for long, and on PostgreSQL.
    pub fn block(&self) -> Result<impl Sized + use<>> {
        let Database::File(path) = self else { bail!("only SQLite has one writer at a time") };
        let connection = Connection::open(path)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(connection)
    }
}

/// A ledger, read only.
#[derive(Debug)]
pub struct Ledger {
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Sqlite(Connection),
    Postgres(String),
}

/// One job that was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The job.
    pub job: String,
    /// Who paid: `page:acc_…` or `free`.
    pub payer: String,
    /// What the page paid.
    pub charge: Nanos,
    /// The platform's part of it.
    pub fee: Nanos,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
}

/// One movement of money that is not a job's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What is its own in the entry's id: what stands behind the cause.
    pub id: String,
    /// The account that it leaves.
    pub from: String,
    /// How much it is.
    pub amount: Nanos,
}

impl Ledger {
    /// Opens a relay's database.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn open(database: &Database) -> Result<Ledger> {
        let reader = match database {
            Database::File(path) => {
                let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
                Reader::Sqlite(connection.with_context(|| format!("could not open {}", path.display()))?)
            }
            Database::Postgres(url) => Reader::Postgres(url.clone()),
        };
        Ok(Ledger { reader })
    }

    /// Returns what all accounts that begin so have together: `page:`, `owner:`, `platform`, `free`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn balance(&self, accounts: &str) -> Result<Nanos> {
        let sum = self.number(&format!(
            "SELECT (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM posting WHERE credit LIKE '{accounts}%')
                  - (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM posting WHERE debit LIKE '{accounts}%')"
        ));
        sum.map(Nanos::new).context("could not sum the postings")
    }

    /// Returns all charges in order.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn settlements(&self) -> Result<Vec<Settlement>> {
        let sql = "SELECT job, account, charge, fee, prompt_tokens, answer_tokens FROM entry \
                   WHERE kind = 'settle' ORDER BY seq";
        let settlement = |row: Vec<String>| -> Result<Settlement> {
            let [job, payer, charge, fee, prompt_tokens, answer_tokens]: [String; 6] =
                row.try_into().ok().context("six columns")?;
            let (charge, fee) = (Nanos::new(charge.parse()?), Nanos::new(fee.parse()?));
            let (prompt_tokens, answer_tokens) = (prompt_tokens.parse()?, answer_tokens.parse()?);
            Ok(Settlement { job, payer, charge, fee, prompt_tokens, answer_tokens })
        };
        self.rows(sql)?.into_iter().map(settlement).collect()
    }

    /// Returns all movements of this cause in order: `grant`, `premium`, `impression`, `payout_sent`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn transfers(&self, cause: &str) -> Result<Vec<Transfer>> {
        let sql = format!("SELECT id, account, amount FROM entry WHERE kind = '{cause}' ORDER BY seq");
        let transfer = |row: Vec<String>| -> Result<Transfer> {
            let [id, from, amount]: [String; 3] = row.try_into().ok().context("three columns")?;
            let id = id.split_once(':').context("an id without its cause")?.1.to_owned();
            Ok(Transfer { id, from, amount: Nanos::new(amount.parse()?) })
        };
        self.rows(&sql)?.into_iter().map(transfer).collect()
    }

    /// Returns how many accounts that begin so were ever given something.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn accounts(&self, accounts: &str) -> Result<i64> {
        self.number(&format!("SELECT COUNT(DISTINCT counter) FROM entry WHERE counter LIKE '{accounts}%'"))
    }

    /// Returns the jobs of all entries of this kind: `hold`, `settle`, `void`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn jobs(&self, kind: &str) -> Result<Vec<String>> {
        let rows = self.rows(&format!("SELECT job FROM entry WHERE kind = '{kind}' ORDER BY seq"))?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Returns how many entries there are of this kind: `hold`, `settle`, `void`, `grant`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn entries(&self, kind: &str) -> Result<u64> {
        Ok(self.number(&format!("SELECT COUNT(*) FROM entry WHERE kind = '{kind}'"))?.unsigned_abs())
    }

    /// Returns how long, in milliseconds, the hold was open that was open longest of those that are resolved.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn longest_hold_ms(&self) -> Result<u64> {
        let longest = self.number(
            "SELECT CAST(COALESCE(MAX(ended.at - hold.at), 0) AS BIGINT) FROM entry AS hold
                 JOIN entry AS ended ON ended.job = hold.job AND ended.kind IN ('settle', 'void')
             WHERE hold.kind = 'hold'",
        )?;
        u64::try_from(longest).context("a hold that ended before it began")
    }

    fn number(&self, sql: &str) -> Result<i64> {
        let rows = self.rows(sql)?;
        let number = rows.first().and_then(|row| row.first()).context("no row")?;
        number.parse().context("no number")
    }

    fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        match &self.reader {
            Reader::Sqlite(connection) => {
                let mut statement = connection.prepare(sql)?;
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| {
                    (0..columns).map(|column| row.get_ref(column).map(printed)).collect()
                })?;
                rows.collect::<rusqlite::Result<_>>().context("could not read the database")
            }
            Reader::Postgres(url) => query(url, sql),
        }
    }
}

fn printed(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}
