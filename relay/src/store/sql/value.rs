//! What goes into a statement and comes out of a row.

use anyhow::{Context, Result, bail};
use rekursing_protocol::{Moment, Nanos};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<u64> for Value {
    /// Databases' integers are signed; times, counts and prices never come near their end.
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(i64::from(number))
    }
}

impl From<Nanos> for Value {
    fn from(amount: Nanos) -> Value {
        Value::Number(amount.get())
    }
}

impl From<Moment> for Value {
    fn from(moment: Moment) -> Value {
        Value::from(moment.0)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// A row of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    fn at(&self, index: usize) -> Result<&Value> {
        self.0.get(index).with_context(|| format!("a row without column {index}"))
    }

    /// Tells whether it has these values and no others.
    pub fn holds(&self, values: &[Value]) -> bool {
        self.0 == values
    }

    /// Reads a number.
    pub fn number(&self, index: usize) -> Result<i64> {
        match self.at(index)? {
            Value::Number(number) => Ok(*number),
            other @ (Value::Null | Value::Text(_) | Value::Bytes(_)) => bail!("no number: {other:?}"),
        }
    }

    /// Reads a number; NULL is 0.
    pub fn number_or_zero(&self, index: usize) -> Result<i64> {
        if self.is_null(index)? { Ok(0) } else { self.number(index) }
    }

    /// Reads a number that is never below zero.
    pub fn count(&self, index: usize) -> Result<u64> {
        u64::try_from(self.number(index)?).context("a count below zero")
    }

    /// Reads an amount of money.
    pub fn nanos(&self, index: usize) -> Result<Nanos> {
        self.number(index).map(Nanos::new)
    }

    /// Reads a moment.
    pub fn moment(&self, index: usize) -> Result<Moment> {
        self.count(index).map(Moment)
    }

    /// Reads a text.
    pub fn text(&self, index: usize) -> Result<&str> {
        match self.at(index)? {
            Value::Text(text) => Ok(text),
            other @ (Value::Null | Value::Number(_) | Value::Bytes(_)) => bail!("no text: {other:?}"),
        }
    }

    /// Reads bytes.
    pub fn bytes(&self, index: usize) -> Result<&[u8]> {
        match self.at(index)? {
            Value::Bytes(bytes) => Ok(bytes),
            other @ (Value::Null | Value::Number(_) | Value::Text(_)) => bail!("no bytes: {other:?}"),
        }
    }

    /// Reads a hash of 32 bytes.
    pub fn hash(&self, index: usize) -> Result<[u8; 32]> {
        self.bytes(index)?.try_into().context("a hash has 32 bytes")
    }

    /// Reads a text that prints a value.
    pub fn parsed<T>(&self, index: usize) -> Result<T>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let text = self.text(index)?;
        text.parse().with_context(|| format!("column {index} holds {text:?}"))
    }

    /// Tells whether there is nothing.
    pub fn is_null(&self, index: usize) -> Result<bool> {
        Ok(*self.at(index)? == Value::Null)
    }
}
