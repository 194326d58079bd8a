//! The audit: the whole book read again, entry by entry, against every rule of the ledger.

use anyhow::{Context, Result, bail};
use rekursing_market::ledger::{EntryKind, Replay};

use super::{
    Opening,
    entries::{self, Chain},
    schema,
    sql::{Location, Sql},
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
const SUMS: [(&str, &str); 9] = [
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
        "the sums of postings are those of the entries",
        "SELECT account FROM (
             SELECT account, day, kind, postings, credit, debit FROM posted
                 WHERE account NOT IN ('page', 'advertiser', 'owner', 'held')
             UNION ALL SELECT credit, at / 86400000, kind, -1, -amount, 0 FROM posting WHERE amount > 0
             UNION ALL SELECT debit, at / 86400000, kind, -1, 0, -amount FROM posting WHERE amount > 0)
             AS both_sides
         GROUP BY account, day, kind
         HAVING SUM(postings) <> 0 OR SUM(credit) <> 0 OR SUM(debit) <> 0 LIMIT 1",
    ),
    (
        "the sums of a class of accounts are those of its accounts",
        "SELECT class FROM (
             SELECT account AS class, day, kind, postings, credit, debit FROM posted
                 WHERE account IN ('page', 'advertiser', 'owner', 'held')
             UNION ALL SELECT CASE WHEN account LIKE 'page:%' THEN 'page'
                     WHEN account LIKE 'advertiser:%' THEN 'advertiser'
                     WHEN account LIKE 'owner:%' THEN 'owner' ELSE 'held' END,
                 day, kind, -postings, -credit, -debit FROM posted
                 WHERE account LIKE 'page:%' OR account LIKE 'advertiser:%' OR account LIKE 'owner:%'
                     OR account LIKE 'held:%') AS both_sides
         GROUP BY class, day, kind
         HAVING SUM(postings) <> 0 OR SUM(credit) <> 0 OR SUM(debit) <> 0 LIMIT 1",
    ),
    (
        "the sums of what is held back are those of the entries",
        "SELECT owner FROM (
             SELECT owner, day, amount FROM withheld
             UNION ALL SELECT owner, release_at / 86400000, -held_back FROM entry
                 WHERE kind = 'settle' AND held_back > 0) AS both_sides
         GROUP BY owner, day HAVING SUM(amount) <> 0 LIMIT 1",
    ),
    (
        "the sums of what is sold are those of what is spent",
        "SELECT model FROM (
             SELECT day, model, free, jobs, prompt_tokens, answer_tokens, charge, fee FROM sold
             UNION ALL SELECT day, model, CASE WHEN account = 'free' THEN 1 ELSE 0 END, -jobs,
                 -prompt_tokens, -answer_tokens, -charge, -fee FROM spent) AS both_sides
         GROUP BY day, model, free HAVING SUM(jobs) <> 0 OR SUM(prompt_tokens) <> 0
             OR SUM(answer_tokens) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
    (
        "an hour's settlements are where the sums say",
        "SELECT CAST(hour AS TEXT) FROM (
             SELECT hour, jobs, first_seq, last_seq FROM served
             UNION ALL SELECT at / 3600000, -COUNT(*), -MIN(seq), -MAX(seq) FROM entry
                 WHERE kind = 'settle' GROUP BY at / 3600000) AS both_sides
         GROUP BY hour HAVING SUM(jobs) <> 0 OR SUM(first_seq) <> 0 OR SUM(last_seq) <> 0 LIMIT 1",
    ),
    (
        "the sums of what each key has spent are those of the entries",
        "SELECT api_key FROM (
             SELECT api_key, jobs, charge, fee FROM used
             UNION ALL SELECT api_key, -1, -charge, -fee FROM entry WHERE api_key IS NOT NULL) AS both_sides
         GROUP BY api_key HAVING SUM(jobs) <> 0 OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
    (
        "the sums of what was given back are those of the corrections",
        "SELECT account FROM (
             SELECT owner, account, api_key, day, model, charge, fee FROM given_back
             UNION ALL SELECT owner, account, api_key, day, model, -charge, -fee FROM correction)
             AS both_sides
         GROUP BY owner, account, api_key, day, model HAVING SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1",
    ),
];

/// Entries that are read at once, so that an audit's memory does not grow with the book.
const PAGE: u64 = 5_000;

/// Checks the whole book, in one view of it, also while a relay writes.
pub fn audit(location: &Location) -> Result<Audit> {
    let mut sql = Sql::connect(location)?;
    schema::migrate(&mut sql)?;
    sql.view(look)
}

/// Reads what the book starts from, out of an audit of all of it.
///
/// # Errors
/// When the book is wrong, with the first wrong row.
pub(super) fn open(sql: &mut Sql) -> Result<Opening> {
    let (book, wrong) = read(sql)?;
    if let Some(wrong) = wrong {
        bail!("the book is wrong, and nobody is served from it: {wrong}");
    }
    let Book { replay, chain } = book;
    Ok(Opening { last: chain.seq, balances: replay.balances().collect(), holds: replay.holds().collect() })
}

/// Looks at everything and stops at the first wrong row.
pub(super) fn look(sql: &mut Sql) -> Result<Audit> {
    let (book, wrong) = read(sql)?;
    Ok(Audit { entries: book.chain.seq, open_holds: book.replay.open_holds(), wrong })
}

fn read(sql: &mut Sql) -> Result<(Book, Option<String>)> {
    let mut book = Book::default();
    let mut wrong = book.replay(sql).context("could not read the ledger")?;
    for (rule, query) in SUMS {
        if wrong.is_none() {
            wrong = sql.first(query, &[], |row| Ok(format!("{rule}: {}", row.text(0)?)))?;
        }
    }
    Ok((book, wrong))
}

/// What was read so far.
#[derive(Default)]
struct Book {
    replay: Replay,
    chain: Chain,
}

impl Book {
    /// Reads entry after entry, and tells the first that is wrong.
    fn replay(&mut self, sql: &mut Sql) -> Result<Option<String>> {
        loop {
            let (mut rows, mut wrong) = (0, None);
            let page = concat!(
                "SELECT ",
                entries::columns!(),
                ", seq, hash FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2"
            );
            sql.each(page, &[self.chain.seq.into(), PAGE.into()], &mut |row| {
                rows += 1;
                if wrong.is_none() {
                    wrong = self.take(row).err().map(|why| format!("entry {}: {why:#}", self.chain.seq + 1));
                }
                Ok(())
            })?;
            if wrong.is_some() || rows < PAGE {
                return Ok(wrong);
            }
        }
    }

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
}
