//! Discrepancies as rows: the latest of them, and no more.

use anyhow::Result;

use super::{Sql, Store};
use crate::discrepancy::Discrepancy;

/// Most rows that are kept.
const ROWS_MAX: u64 = 10_000;

impl Store {
    /// Keeps a discrepancy, in place of the oldest where there are many. It is stored with whatever comes
    /// next; one that cannot be is logged and lost.
    pub fn note(&self, discrepancy: Discrepancy) {
        self.soon("store a discrepancy", move |sql| insert(sql, &discrepancy, ROWS_MAX));
    }
}

pub(super) fn insert(sql: &mut Sql, discrepancy: &Discrepancy, rows_max: u64) -> Result<()> {
    let Discrepancy { at, job, plugin, model, counted, claimed } = discrepancy;
    let last = sql.number("SELECT MAX(seq) FROM discrepancy", &[])?.unsigned_abs();
    sql.execute(
        "INSERT INTO discrepancy
             (seq, at, job, plugin, model, counted_prompt, counted_answer, claimed_prompt, claimed_answer)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &[
            (last + 1).into(),
            (*at).into(),
            job.to_string().into(),
            plugin.to_string().into(),
            model.as_str().into(),
            counted.0.into(),
            counted.1.into(),
            claimed.0.into(),
            claimed.1.into(),
        ],
    )?;
    sql.execute("DELETE FROM discrepancy WHERE seq <= ?1", &[(last + 1).saturating_sub(rows_max).into()])?;
    Ok(())
}
