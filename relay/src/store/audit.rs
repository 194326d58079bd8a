//! The audit: the whole book read again, entry by entry, against every rule of the ledger, and what stands beside
//! it against the entries.

mod disputes;
mod payouts;

use std::{fmt, str::FromStr};

use anyhow::{Context, Result, bail};
use rekursing_market::ledger::{EntryKind, Replay};
use rekursing_protocol::{JobId, Moment, Span};

use super::{
    Opening,
    entries::{self, Chain},
    schema,
    sql::{Location, Sql},
};
use crate::chance;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Entries looked at.
    pub entries: u64,
    /// Holds that wait for their job.
    pub open_holds: usize,
    /// Since when each of them is open, oldest first.
    pub held_since: Vec<(Moment, JobId)>,
    /// The first wrong row and the rule that it breaks; `None` when all is well.
    pub wrong: Option<String>,
}

impl Audit {
    /// Returns the jobs whose holds have been open for longer than `most`, as of a moment.
    pub fn overdue(&self, now: Moment, most: Span) -> impl Iterator<Item = JobId> {
        let is_over = move |(since, _): &&(Moment, JobId)| now.since(*since) > most;
        self.held_since.iter().take_while(is_over).map(|(_, job)| *job)
    }
}

/// Where the ledger ends, or ended once: whoever keeps it elsewhere sees when what was before it is not the
/// same any more, though every hash of the chain fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The last entry's number; 0 when there is none.
    pub seq: u64,
    /// Its hash, which is made of all entries up to it; zeros when there is none.
    pub hash: [u8; 32],
}

/// Why a text is no end of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the end of a ledger is a number, a colon and 64 digits in hex")]
pub struct BadEnd;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, chance::hex(&self.hash))
    }
}

impl FromStr for End {
    type Err = BadEnd;

    fn from_str(text: &str) -> Result<End, BadEnd> {
        let (seq, hash) = text.trim().split_once(':').ok_or(BadEnd)?;
        let seq = seq.parse().map_err(|_| BadEnd)?;
        Ok(End { seq, hash: chance::unhex(hash).ok_or(BadEnd)? })
    }
}

/// Writes the query that compares a table of sums by day and model with the settlements, group by group.
macro_rules! sums_of_jobs {
    ($of:literal, $table:literal) => {
        concat!(
            "SELECT ",
            $of,
            " FROM (SELECT ",
            $of,
            ", day, model, jobs, prompt_tokens, answer_tokens, charge, fee FROM ",
            $table,
            " UNION ALL SELECT ",
            $of,
            ", at / 86400000, model, -1, -prompt_tokens, -answer_tokens, -charge, -fee FROM entry
                  WHERE kind = 'settle' AND ",
            $of,
            " IS NOT NULL) AS both_sides GROUP BY ",
            $of,
            ", day, model HAVING SUM(jobs) <> 0 OR SUM(prompt_tokens) <> 0 OR SUM(answer_tokens) <> 0
                  OR SUM(charge) <> 0 OR SUM(fee) <> 0 LIMIT 1"
        )
    };
}

/// Sums that are kept beside the entries, with the query of those that are not the entries'.
const SUMS: [(&str, &str); 9] = [
    ("the sums of what is earned are those of the entries", sums_of_jobs!("owner", "earned")),
    ("the sums of what is spent are those of the entries", sums_of_jobs!("account", "spent")),
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
             SELECT owner, day, amount, release_at FROM withheld
             UNION ALL SELECT owner, release_at / 86400000, -SUM(held_back), -MAX(release_at) FROM entry
                 WHERE kind = 'settle' AND held_back > 0 GROUP BY owner, release_at / 86400000) AS both_sides
         GROUP BY owner, day HAVING SUM(amount) <> 0 OR SUM(release_at) <> 0 LIMIT 1",
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
    ("the sums of what each key has spent are those of the entries", sums_of_jobs!("api_key", "used")),
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
    Ok(audit_to_end(location, None)?.0)
}

/// Checks the whole book like [`audit`], and that it is the one that ended so once. Returns where it ends.
pub fn audit_to_end(location: &Location, expected: Option<End>) -> Result<(Audit, End)> {
    let mut sql = Sql::connect(location)?;
    schema::migrate(&mut sql)?;
    sql.view(|sql| {
        let (book, mut wrong) = read(sql)?;
        if let Some(expected) = expected.filter(|_| wrong.is_none()) {
            wrong = differs(sql, expected)?;
        }
        let Chain { seq, hash } = book.chain;
        let (open_holds, held_since) = (book.replay.open_holds(), book.replay.held_since());
        Ok((Audit { entries: seq, open_holds, held_since, wrong }, End { seq, hash }))
    })
}

/// Says what is wrong when the ledger did not end so at that entry.
fn differs(sql: &mut Sql, End { seq, hash }: End) -> Result<Option<String>> {
    let known = sql.first("SELECT hash FROM entry WHERE seq = ?1", &[seq.into()], |row| row.hash(0))?;
    Ok(match known {
        Some(known) if known == hash => None,
        None if seq == 0 && hash == [0; 32] => None,
        Some(_) => Some(format!("entry {seq}: its hash is not the one that is expected")),
        None => Some(format!("entry {seq}: it is expected and missing")),
    })
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
    let (open_holds, held_since) = (book.replay.open_holds(), book.replay.held_since());
    Ok(Audit { entries: book.chain.seq, open_holds, held_since, wrong })
}

fn read(sql: &mut Sql) -> Result<(Book, Option<String>)> {
    let mut book = Book::default();
    let mut wrong = book.replay(sql).context("could not read the ledger")?;
    for (rule, query) in SUMS.into_iter().chain(payouts::PAYOUTS).chain(disputes::DISPUTES) {
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
        let (seq, hash) = (row.count(26)?, row.hash(27)?);
        anyhow::ensure!(seq == next.seq, "{}: its number is {seq}, so one before it is missing", entry.id);
        anyhow::ensure!(hash == next.hash, "{}: its hash is not that of the chain", entry.id);
        // The hash is made of what the entry says. What its kind does not use could say anything.
        let is_own = row.holds(&entries::row(next, &entry));
        anyhow::ensure!(is_own, "{}: a column holds what is not its own", entry.id);
        self.replay.apply(&entry).with_context(|| entry.id.clone())?;
        if let EntryKind::Settle(settle) = &entry.kind {
            anyhow::ensure!(settle.lease > 0, "{}: it was paid under no lease", entry.id);
        }
        self.chain = next;
        Ok(())
    }
}
