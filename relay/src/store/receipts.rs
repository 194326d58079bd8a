//! What a receipt is made of: the entries of one job, and the keys that sign.

use anyhow::{Context, Result};
use rekursing_market::ledger::Entry;
use rekursing_protocol::{JobId, Moment};

use super::{Row, Sql, Store, Unstarted, entries};

/// The entries of one job.
#[derive(Debug, Clone)]
pub struct Job {
    /// What was set aside.
    pub hold: Entry,
    /// How that was resolved: its settlement or its void. `None` while it is open.
    pub end: Option<Entry>,
}

/// A key that signs receipts.
#[derive(Clone)]
pub struct ReceiptKey {
    /// The public half's id.
    pub id: String,
    /// The private half: the seed of Ed25519.
    pub seed: [u8; 32],
    /// Since when it signs.
    pub created: Moment,
}

impl std::fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiptKey({})", self.id)
    }
}

impl Store {
    /// Reads the entries of a job; `None` when there is no such job.
    pub async fn job(&self, job: JobId) -> Result<Option<Job>> {
        self.read(move |sql| sql.view(|sql| find(sql, job))).await
    }
}

impl Unstarted {
    /// Reads every key that signs receipts, the one that signs last. Where there is none, `fresh` becomes
    /// the first.
    pub fn receipt_keys(&mut self, fresh: ReceiptKey) -> Result<Vec<ReceiptKey>> {
        self.sql
            .write(|sql| {
                let known = known_keys(sql)?;
                if !known.is_empty() {
                    return Ok(known);
                }
                sql.execute(
                    "INSERT INTO receipt_key VALUES (?1, ?2, ?3)",
                    &[fresh.id.as_str().into(), fresh.seed.as_slice().into(), fresh.created.into()],
                )?;
                Ok(vec![fresh])
            })
            .context("could not read the keys of receipts")
    }

    /// Reads every key that signs receipts.
    pub fn known_receipt_keys(&mut self) -> Result<Vec<ReceiptKey>> {
        known_keys(&mut self.sql).context("could not read the keys of receipts")
    }
}

fn known_keys(sql: &mut Sql) -> Result<Vec<ReceiptKey>> {
    let read = |row: &Row| {
        Ok(ReceiptKey { id: row.text(0)?.to_owned(), seed: row.hash(1)?, created: row.moment(2)? })
    };
    sql.list("SELECT id, seed, created FROM receipt_key ORDER BY created, id", &[], read)
}

fn find(sql: &mut Sql, job: JobId) -> Result<Option<Job>> {
    let mut entry = |id: String| {
        sql.first(
            concat!("SELECT ", entries::columns!(), " FROM entry WHERE id = ?1"),
            &[id.into()],
            entries::read,
        )
    };
    let Some(hold) = entry(format!("hold:{job}"))? else { return Ok(None) };
    let end = match entry(format!("settle:{job}"))? {
        Some(settle) => Some(settle),
        None => entry(format!("void:{job}"))?,
    };
    Ok(Some(Job { hold, end }))
}
