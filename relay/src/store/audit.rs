//! The audit: every rule of the ledger, asked of the database itself.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::Connection;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Entries looked at.
    pub entries: u64,
    /// Holds that wait for their job.
    pub open_holds: u64,
    /// Every broken rule with the first row that breaks it; empty when all is well.
    pub wrong: Vec<String>,
}

/// Each rule with a query whose first row breaks it.
const RULES: &[(&str, &str)] = &[
    (
        "no account but the outside world is ever below zero",
        "SELECT account FROM
             (SELECT credit AS account, amount FROM posting UNION ALL SELECT debit, -amount FROM posting)
         WHERE account <> 'outside' GROUP BY account HAVING SUM(amount) < 0 LIMIT 1",
    ),
    (
        "the escrow holds exactly what open holds set aside",
        "SELECT 'escrow' WHERE
             (SELECT COALESCE(SUM(amount), 0) FROM posting WHERE credit = 'escrow')
           - (SELECT COALESCE(SUM(amount), 0) FROM posting WHERE debit = 'escrow')
          <> (SELECT COALESCE(SUM(amount), 0) FROM entry AS hold WHERE kind = 'hold'
                AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'settle:' || hold.job)
                AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'void:' || hold.job))",
    ),
    (
        "a job is held, settled and voided under its own id",
        "SELECT id FROM entry WHERE kind <> 'grant' AND id <> kind || ':' || job LIMIT 1",
    ),
    (
        "what is settled or voided was held, to the same amount and by the same account",
        "SELECT done.id FROM entry AS done LEFT JOIN entry AS hold ON hold.id = 'hold:' || done.job
         WHERE done.kind IN ('settle', 'void')
           AND (hold.seq IS NULL OR hold.seq > done.seq OR hold.amount <> done.amount
                OR hold.account <> done.account) LIMIT 1",
    ),
    (
        "a hold is resolved once",
        "SELECT settle.id FROM entry AS settle JOIN entry AS void ON void.id = 'void:' || settle.job
         WHERE settle.kind = 'settle' LIMIT 1",
    ),
    (
        "a charge follows from its tokens and its price",
        "SELECT id FROM entry WHERE kind = 'settle'
           AND charge <> (price_input * prompt_tokens + price_output * answer_tokens) / 1000 LIMIT 1",
    ),
    (
        "the days' sums are those of the entries",
        "SELECT owner FROM (
             SELECT owner, jobs, charge, fee FROM daily
             UNION ALL SELECT owner, -1, -charge, -fee FROM entry WHERE kind = 'settle')
         GROUP BY owner HAVING SUM(jobs) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
];

/// Checks the whole book in `folder`, in one view of it, also while a relay writes.
pub fn audit(folder: &Path) -> Result<Audit> {
    let mut connection = super::connect(&super::file(folder)?)?;
    super::schema::migrate(&connection)?;
    let view = connection.transaction().context("could not look at the book")?;
    let count = |sql: &str| -> rusqlite::Result<u64> {
        view.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    let mut wrong = Vec::new();
    for (rule, query) in RULES {
        if let Some(row) = first(&view, query).with_context(|| format!("could not check that {rule}"))? {
            wrong.push(format!("{rule}: {row}"));
        }
    }
    Ok(Audit {
        entries: count("SELECT COUNT(*) FROM entry")?,
        open_holds: u64::try_from(super::entries::open_holds(&view)?.len()).unwrap_or(u64::MAX),
        wrong,
    })
}

fn first(connection: &Connection, query: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}
