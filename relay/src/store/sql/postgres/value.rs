//! Values as PostgreSQL takes and gives them.

use std::error::Error;

use anyhow::{Result, bail};
use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::Value;

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

/// Reads a row's values.
pub(super) fn row(row: &postgres::Row) -> Result<Vec<Value>> {
    (0..row.len()).map(|index| value(row, index)).collect()
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
