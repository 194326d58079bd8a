//! SQLite.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use rusqlite::{
    Connection, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use super::{Row, Value};

pub(super) struct Sqlite {
    connection: Connection,
    /// The file whose lock makes this process the one relay of the database.
    lock_path: std::path::PathBuf,
    lock: Option<File>,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Sqlite> {
        let connection = Connection::open(path)
            .with_context(|| format!("could not open the database {}", path.display()))?;
        prepare(&connection).context("could not prepare the database")?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
                .context("could not close the database to others")?;
        }
        Ok(Sqlite { connection, lock_path: path.with_extension("lock"), lock: None })
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        Ok(statement.raw_execute()? as u64)
    }

    pub(super) fn insert(&mut self, into: &str, otherwise: &str, rows: &[Vec<Value>]) -> Result<u64> {
        let places: Vec<String> = (1..=rows.first().map_or(0, Vec::len)).map(|at| format!("?{at}")).collect();
        let sql = format!("INSERT INTO {into} VALUES ({}) {otherwise}", places.join(", "));
        rows.iter().map(|row| self.execute(&sql, row)).sum()
    }

    pub(super) fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        take: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|index| value(row.get_ref(index)?)).collect::<Result<_>>()?;
            take(&Row(values))?;
        }
        Ok(())
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        Ok(self.connection.execute_batch(sql)?)
    }

    pub(super) fn claim(&mut self) -> Result<bool> {
        let path = &self.lock_path;
        let file = File::create(path).with_context(|| format!("could not open {}", path.display()))?;
        let is_ours = file.try_lock().is_ok();
        self.lock = Some(file).filter(|_| is_ours);
        Ok(is_ours)
    }
}

/// Sets what every connection needs: a write-ahead log that is synced at each commit.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Result<()> {
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Number(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).context("a text that is none")?),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => anyhow::bail!("no column holds a fraction"),
    })
}
