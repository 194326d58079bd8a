//! Discrepancies as rows: the latest of them, and no more.

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{Change, Store, Write, entries::int};
use crate::discrepancy::Discrepancy;

/// Most rows that are kept.
const ROWS_MAX: i64 = 10_000;

impl Store {
    /// Keeps a discrepancy, in place of the oldest where there are many. It is stored with whatever comes
    /// next; one that cannot be is logged and lost.
    pub fn note(&self, discrepancy: Discrepancy) {
        let make = move |connection: &Connection| {
            insert(connection, &discrepancy, ROWS_MAX)
                .inspect_err(|error| tracing::error!(%error, "could not store a discrepancy"))
        };
        // Nobody waits for it.
        let (made, _) = oneshot::channel();
        self.shared.queue.push(Write::Change(Change { make: Box::new(make), made }), false);
    }
}

pub(super) fn insert(
    connection: &Connection,
    discrepancy: &Discrepancy,
    rows_max: i64,
) -> rusqlite::Result<()> {
    let Discrepancy { at, job, plugin, model, counted, claimed } = discrepancy;
    connection
        .prepare_cached(
            "INSERT INTO discrepancy
                 (at, job, plugin, model, counted_prompt, counted_answer, claimed_prompt, claimed_answer)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            int(at.0),
            job.to_string(),
            plugin.to_string(),
            model,
            int(counted.0),
            int(counted.1),
            claimed.0.map(int),
            claimed.1.map(int),
        ])?;
    let oldest = connection.last_insert_rowid() - rows_max;
    connection.prepare_cached("DELETE FROM discrepancy WHERE seq <= ?")?.execute([oldest])?;
    Ok(())
}
