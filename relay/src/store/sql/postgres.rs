//! PostgreSQL.

mod url;
mod value;

use std::{collections::HashMap, error::Error, io, time::Duration};

use anyhow::{Context, Result, bail};
use postgres::{Client, Config, Statement, fallible_iterator::FallibleIterator, types::ToSql};

use super::{Row, Value};
use url::Wire;

/// How long a connection may take to come about, and how long what was sent may stay unacknowledged.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock of the one relay that serves from a database.
const RELAY_LOCK: i64 = 7_236_412;

/// Most rows of one statement, so that no message to the server grows without a limit.
const ROWS_MAX: usize = 5_000;

pub(super) struct Postgres {
    config: Config,
    wire: Wire,
    client: Client,
    statements: HashMap<String, Statement>,
    /// Whether the connection was seen to be gone.
    lost: bool,
    /// Whether this connection is to hold the relay's lock.
    claims: bool,
}

impl Postgres {
    pub(super) fn connect(url: &str) -> Result<Postgres> {
        let (mut config, wire) = url::read(url)?;
        config.connect_timeout(PATIENCE).tcp_user_timeout(PATIENCE).keepalives_idle(PATIENCE);
        config.application_name("rekursing-relay");
        let client = wire.connect(&config).context("could not connect to PostgreSQL")?;
        Ok(Postgres { config, wire, client, statements: HashMap::new(), lost: false, claims: false })
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let statement = self.prepared(&numbered(sql))?;
        let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let changed = self.client.execute(&statement, &values);
        self.heed(changed)
    }

    /// Hands rows over as one array per column: one statement and one round trip, however many they are.
    pub(super) fn insert(&mut self, into: &str, otherwise: &str, rows: &[Vec<Value>]) -> Result<u64> {
        let Some(width) = rows.first().map(Vec::len) else { return Ok(0) };
        let places: Vec<String> = (1..=width).map(|at| format!("${at}")).collect();
        // Of the table, the server knows each column's type.
        let one = self.prepared(&format!("INSERT INTO {into} VALUES ({})", places.join(", ")))?;
        let arrays = places.iter().zip(one.params()).map(|(place, kind)| format!("{place}::{kind}[]"));
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let all = self.prepared(&format!("INSERT INTO {into} SELECT * FROM unnest({arrays}) {otherwise}"))?;
        let mut changed = 0;
        for rows in rows.chunks(ROWS_MAX) {
            let columns: Vec<Vec<&Value>> =
                (0..width).map(|column| rows.iter().map(|row| &row[column]).collect()).collect();
            let columns: Vec<_> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
            let done = self.client.execute(&all, &columns);
            changed += self.heed(done)?;
        }
        Ok(changed)
    }

    pub(super) fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let statement = self.prepared(&numbered(sql))?;
        let mut lost = false;
        let mut note = |error: postgres::Error| {
            lost = is_end(&error);
            error
        };
        let mut read = || -> Result<()> {
            let values = values.iter().map(|value| value as &dyn ToSql);
            let mut rows = self.client.query_raw(&statement, values).map_err(&mut note)?;
            while let Some(row) = rows.next().map_err(&mut note)? {
                take(&Row(value::row(&row)?))?;
            }
            Ok(())
        };
        let done = read();
        self.lost |= lost;
        done
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        let done = self.client.batch_execute(sql);
        self.heed(done)
    }

    pub(super) const fn is_lost(&self) -> bool {
        self.lost
    }

    pub(super) fn mend(&mut self) -> Result<()> {
        if !self.lost {
            return Ok(());
        }
        self.statements.clear();
        self.client = self.wire.connect(&self.config).context("could not connect to PostgreSQL again")?;
        self.lost = false;
        if self.claims && !self.claim()? {
            // Without the lock this connection must write nothing; the next mending asks for it again.
            self.lost = true;
            bail!("another relay serves from this database");
        }
        Ok(())
    }

    pub(super) fn claim(&mut self) -> Result<bool> {
        self.claims = true;
        let row = self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&RELAY_LOCK]);
        Ok(self.heed(row)?.try_get(0)?)
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql);
        let statement = self.heed(statement)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Hands a result on, and notes when it tells that the connection is gone.
    fn heed<T>(&mut self, result: Result<T, postgres::Error>) -> Result<T> {
        self.lost |= result.as_ref().is_err_and(is_end);
        Ok(result?)
    }
}

/// Tells whether an error is the end of its connection.
fn is_end(error: &postgres::Error) -> bool {
    let is_fatal = error.as_db_error().is_some_and(|refused| matches!(refused.severity(), "FATAL" | "PANIC"));
    is_fatal || error.is_closed() || error.source().is_some_and(|source| source.is::<io::Error>())
}

/// Writes parameters as PostgreSQL does: `$1` for `?1`. No statement has a question mark elsewhere.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
