//! PostgreSQL.

use std::{collections::HashMap, error::Error, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use postgres::{
    Client, Config, NoTls, Statement,
    fallible_iterator::FallibleIterator,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use super::{Row, Value};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock of the one relay that serves from a database.
const RELAY_LOCK: i64 = 7_236_412;

pub(super) struct Postgres {
    config: Config,
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Whether this connection is to hold the relay's lock.
    claims: bool,
}

impl Postgres {
    pub(super) fn connect(url: &str) -> Result<Postgres> {
        // The error would print the URL, which may hold a password.
        let mut config: Config = url.parse().ok().context("the database's URL is not one of PostgreSQL's")?;
        config.connect_timeout(PATIENCE).application_name("rekursing-relay");
        let client = config.connect(NoTls).context("could not connect to PostgreSQL")?;
        Ok(Postgres { config, client, statements: HashMap::new(), claims: false })
    }

    fn prepared(&mut self, sql: &'static str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&numbered(sql))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    pub(super) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        let statement = self.prepared(sql)?;
        Ok(self.client.execute(&statement, &parameters(values))?)
    }

    pub(super) fn each(
        &mut self,
        sql: &'static str,
        values: &[Value],
        take: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        let statement = self.prepared(sql)?;
        let mut rows = self.client.query_raw(&statement, values.iter().map(|value| value as &dyn ToSql))?;
        while let Some(row) = rows.next()? {
            let values = (0..row.len()).map(|index| value(&row, index)).collect::<Result<_>>()?;
            take(&Row(values))?;
        }
        Ok(())
    }

    pub(super) fn batch(&mut self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql)?)
    }

    pub(super) fn mend(&mut self) -> Result<()> {
        if !self.client.is_closed() {
            return Ok(());
        }
        self.statements.clear();
        self.client = self.config.connect(NoTls).context("could not connect to PostgreSQL again")?;
        if self.claims && !self.claim()? {
            bail!("another relay serves from this database");
        }
        Ok(())
    }

    pub(super) fn claim(&mut self) -> Result<bool> {
        self.claims = true;
        let row = self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&RELAY_LOCK])?;
        Ok(row.try_get(0)?)
    }
}

/// Writes parameters as PostgreSQL does: `$1` for `?1`. No statement has a question mark elsewhere.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Number(number) if *kind == Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
            Value::Number(number) if *kind == Type::INT8 => number.to_sql(kind, out),
            Value::Text(text) if <&str as ToSql>::accepts(kind) => text.to_sql(kind, out),
            Value::Bytes(bytes) if *kind == Type::BYTEA => bytes.to_sql(kind, out),
            other @ (Value::Number(_) | Value::Text(_) | Value::Bytes(_)) => {
                Err(format!("{other:?} is given where {kind} is expected").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn value(row: &postgres::Row, index: usize) -> Result<Value> {
    let column = &row.columns()[index];
    let value = match *column.type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(index)?.map(Value::Number),
        Type::INT4 => row.try_get::<_, Option<i32>>(index)?.map(|number| Value::Number(number.into())),
        Type::BOOL => row.try_get::<_, Option<bool>>(index)?.map(|is| Value::Number(is.into())),
        Type::TEXT | Type::VARCHAR => row.try_get::<_, Option<String>>(index)?.map(Value::Text),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index)?.map(Value::Bytes),
        ref other => bail!("column {} is of type {other}", column.name()),
    };
    Ok(value.unwrap_or(Value::Null))
}
