//! The audit: the whole book read again, entry by entry, against every rule of the ledger.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rekursing_market::ledger::{EntryKind, Replay};

use super::{
    entries::{self, Chain},
    schema,
    sql::{Location, Sql, Value},
};

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Entries looked at.
    pub entries: u64,
    /// Holds that wait for their job.
    pub open_holds: usize,
    /// The first wrong row and the rule that it breaks; `None` when all is well.
    pub wrong: Option<String>,
}

/// Sums that are kept beside the entries, with the query of those that are not the entries'.
const SUMS: [(&str, &str); 3] = [
    (
        "the sums of what is earned are those of the entries",
        "SELECT owner FROM (
             SELECT owner, jobs, charge, fee FROM earned
             UNION ALL SELECT owner, -1, -charge, -fee FROM entry WHERE kind = 'settle') AS both_sides
         GROUP BY owner HAVING SUM(jobs) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
    (
        "the sums of what is spent are those of the entries",
        "SELECT account FROM (
             SELECT account, jobs, charge, fee FROM spent
             UNION ALL SELECT account, -1, -charge, -fee FROM entry WHERE kind = 'settle') AS both_sides
         GROUP BY account HAVING SUM(jobs) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
    (
        "the sums of what each key has spent are those of the entries",
        "SELECT api_key FROM (
             SELECT api_key, jobs, charge, fee FROM used
             UNION ALL SELECT api_key, -1, -charge, -fee FROM entry WHERE api_key IS NOT NULL) AS both_sides
         GROUP BY api_key HAVING SUM(jobs) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
];

/// Checks the whole book, in one view of it, also while a relay writes.
pub fn audit(location: &Location) -> Result<Audit> {
    let mut sql = Sql::connect(location)?;
    schema::migrate(&mut sql)?;
    sql.view(look)
}

/// Looks at everything and stops at the first wrong row.
pub(super) fn look(sql: &mut Sql) -> Result<Audit> {
    let mut book = Book::default();
    let mut wrong = None;
    let all = sql.each(
        concat!("SELECT ", entries::columns!(), ", seq, hash FROM entry ORDER BY seq"),
        &[] as &[Value],
        &mut |row| {
            if wrong.is_none() {
                wrong = book.take(row).err().map(|why| format!("entry {}: {why:#}", book.chain.seq + 1));
            }
            Ok(())
        },
    );
    all.context("could not read the ledger")?;
    if wrong.is_none() {
        wrong = book.compare(sql)?;
    }
    for (rule, query) in SUMS {
        if wrong.is_none() {
            wrong = sql.first(query, &[], |row| Ok(format!("{rule}: {}", row.text(0)?)))?;
        }
    }
    Ok(Audit { entries: book.chain.seq, open_holds: book.replay.open_holds(), wrong })
}

/// What was read so far.
#[derive(Default)]
struct Book {
    replay: Replay,
    chain: Chain,
}

impl Book {
    fn take(&mut self, row: &super::sql::Row) -> Result<()> {
        let entry = entries::read(row)?;
        let next = self.chain.with(&entry);
        let (seq, hash) = (row.count(25)?, row.hash(26)?);
        anyhow::ensure!(seq == next.seq, "{}: its number is {seq}, so one before it is missing", entry.id);
        anyhow::ensure!(hash == next.hash, "{}: its hash is not that of the chain", entry.id);
        self.replay.apply(&entry).with_context(|| entry.id.clone())?;
        if let EntryKind::Settle(settle) = &entry.kind {
            anyhow::ensure!(settle.lease > 0, "{}: it was paid under no lease", entry.id);
        }
        self.chain = next;
        Ok(())
    }

    /// Compares the balances with those that the view of postings sums to.
    fn compare(&self, sql: &mut Sql) -> Result<Option<String>> {
        let summed: HashMap<_, _> = entries::balances(sql)?.into_iter().collect();
        let wrong = self.replay.balances().find(|(account, balance)| summed.get(account) != Some(balance));
        Ok(wrong.map(|(account, _)| format!("the postings of {account} do not sum to its balance")))
    }
}
