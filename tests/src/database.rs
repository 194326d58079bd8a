//! The ledger as an auditor reads it: straight from the database, with sums of its own.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

/// A ledger, read only.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Opens the database in a relay's data folder.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn open(data: &Path) -> Result<Ledger> {
        let path = std::fs::read_dir(data)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite"))
            .context("no database in the relay's data folder")?;
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Ledger { connection })
    }

    /// Returns the connection, to ask what no other question covers.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}
