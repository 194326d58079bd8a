//! The ledger as an auditor reads it: straight from the database, with sums of its own.

use std::path::Path;

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rusqlite::{Connection, OpenFlags};

/// A ledger, read only.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
}

/// One job that was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The job.
    pub job: String,
    /// What the page paid.
    pub charge: Nanos,
    /// The platform's part of it.
    pub fee: Nanos,
    /// Answer tokens charged.
    pub answer_tokens: u64,
}

impl Ledger {
    /// Opens the database in a relay's data folder.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn open(data: &Path) -> Result<Ledger> {
        let path = data.join("rekursing.sqlite");
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("could not open {}", path.display()))?;
        Ok(Ledger { connection })
    }

    /// Returns what all accounts that begin so have together: `page:`, `owner:`, `platform`, `free`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn balance(&self, accounts: &str) -> Result<Nanos> {
        let sum = self.connection.query_row(
            "SELECT (SELECT COALESCE(SUM(amount), 0) FROM posting WHERE credit LIKE ?1 || '%')
                  - (SELECT COALESCE(SUM(amount), 0) FROM posting WHERE debit LIKE ?1 || '%')",
            [accounts],
            |row| row.get(0),
        );
        Ok(Nanos::new(sum.context("could not sum the postings")?))
    }

    /// Returns all charges in order.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn settlements(&self) -> Result<Vec<Settlement>> {
        let sql = "SELECT job, charge, fee, answer_tokens FROM entry WHERE kind = 'settle' ORDER BY seq";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Settlement {
                job: row.get(0)?,
                charge: Nanos::new(row.get(1)?),
                fee: Nanos::new(row.get(2)?),
                answer_tokens: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?;
        rows.collect::<rusqlite::Result<_>>().context("could not read the charges")
    }

    /// Returns how many entries there are of this kind: `hold`, `settle`, `void`, `grant`.
    ///
    /// # Errors
    /// Fails when the database cannot be read.
    pub fn entries(&self, kind: &str) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM entry WHERE kind = ?";
        Ok(self.connection.query_row(sql, [kind], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }
}
