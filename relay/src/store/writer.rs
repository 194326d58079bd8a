//! The writer: one thread, one transaction per batch of whatever has queued meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use rekursing_market::{Visit, ledger::Entry};

use super::{
    Change, OnForeign, Sql, Write,
    entries::{self, Chain, Stored},
    queue::Queue,
    visits,
};

/// How long an entry that nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(100);

/// How often the writer looks for entries of other processes, and how long it waits after a failed commit.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    sql: Sql,
    queue: Arc<Queue>,
    healthy: Arc<AtomicBool>,
    on_foreign: OnForeign,
    /// The database's counter of commits by other connections, as last seen.
    foreign_version: i64,
    /// The last entry that was looked at for money that other processes took in.
    seen: u64,
}

/// What is left of a batch once its rows are in the transaction.
enum Rest {
    Then(Box<dyn FnOnce() + Send>),
    Stop,
}

impl Writer {
    pub(super) fn new(
        sql: Sql,
        queue: &Arc<Queue>,
        seen: u64,
        healthy: &Arc<AtomicBool>,
        on_foreign: OnForeign,
    ) -> Writer {
        let (queue, healthy) = (Arc::clone(queue), Arc::clone(healthy));
        // No version is below zero, so the first look finds what came since the book was opened.
        Writer { sql, queue, healthy, on_foreign, foreign_version: -1, seen }
    }

    /// Runs until told to stop.
    #[expect(clippy::disallowed_methods, reason = "the thread paces its own looks at the database")]
    pub(super) fn run(mut self) {
        let mut looked = Instant::now();
        loop {
            let writes = self.queue.take(LINGER);
            if !writes.is_empty() && self.batch(writes) {
                return;
            }
            if looked.elapsed() > PAUSE {
                looked = Instant::now();
                self.look_around();
            }
        }
    }

    /// Commits a batch. Tells whether to stop.
    fn batch(&mut self, writes: Vec<Write>) -> bool {
        let count = writes.len();
        let (rows, rest) = split(writes);
        self.commit(rows);
        self.queue.done(count);
        let mut stop = false;
        for rest in rest {
            match rest {
                Rest::Then(then) => then(),
                Rest::Stop => stop = true,
            }
        }
        stop
    }

    /// Commits the rows, again and again until it succeeds: money that was promised is not dropped.
    /// Meanwhile the store is unhealthy and the relay takes no job.
    fn commit(&mut self, rows: Rows) {
        if rows.entries.is_empty() && rows.changes.is_empty() && rows.visits.is_empty() {
            return;
        }
        self.mend();
        change(&mut self.sql, rows.changes);
        let mut failures = 0;
        while let Err(error) = insert(&mut self.sql, &rows.entries, &rows.visits) {
            self.healthy.store(false, Ordering::Relaxed);
            tracing::error!(error = format!("{error:#}"), "could not store ledger entries; trying again");
            // A connection that was lost is made anew at once; whatever else it is takes its time.
            if failures > 0 {
                std::thread::sleep(PAUSE);
            }
            failures += 1;
            self.mend();
        }
        self.healthy.store(true, Ordering::Relaxed);
    }

    fn mend(&mut self) {
        if let Err(error) = self.sql.mend() {
            tracing::error!(error = format!("{error:#}"), "could not reach the database");
        }
    }

    /// Tells of what other processes have changed, and of money from outside among it.
    fn look_around(&mut self) {
        if let Err(error) = self.hear() {
            let error = format!("{error:#}");
            tracing::warn!(error, "could not look for changes of other processes");
        }
    }

    fn hear(&mut self) -> Result<()> {
        self.sql.mend()?;
        let version = self.sql.foreign_version()?;
        if version == self.foreign_version {
            return Ok(());
        }
        let seen = self.seen;
        let (transfers, last) = self.sql.view(|sql| {
            let last = Chain::end(sql)?.seq;
            Ok((entries::transfers_between(sql, seen, last)?, last))
        })?;
        if (self.on_foreign)(&transfers) {
            (self.foreign_version, self.seen) = (version, last);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Rows {
    entries: Vec<Entry>,
    visits: Vec<Visit>,
    changes: Vec<Change>,
}

fn split(writes: Vec<Write>) -> (Rows, Vec<Rest>) {
    let mut rows = Rows::default();
    let mut rest = Vec::new();
    for write in writes {
        match write {
            Write::Entry(entry) => rows.entries.push(*entry),
            Write::Visit(visit) => rows.visits.push(visit),
            Write::Change(change) => rows.changes.push(change),
            Write::Then(then) => rest.push(Rest::Then(then)),
            Write::Stop => rest.push(Rest::Stop),
        }
    }
    (rows, rest)
}

/// Makes changes in one transaction. One that fails leaves the others alone; whoever waits for it hears
/// of it, and of a commit that failed.
fn change(sql: &mut Sql, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let mut made = Vec::with_capacity(changes.len());
    let committed = sql.write(|sql| {
        for change in changes {
            made.push((change.made, sql.write(change.make)));
        }
        Ok(())
    });
    if let Err(error) = &committed {
        tracing::error!(error = format!("{error:#}"), "could not store changes");
    }
    for (waiting, result) in made {
        // Whoever hears nothing, because the commit failed or he left, takes it for a failure.
        if committed.is_ok() {
            let _ = waiting.send(result);
        }
    }
}

/// Stores entries and visits, all of them or none.
fn insert(sql: &mut Sql, entries: &[Entry], visits: &[Visit]) -> Result<()> {
    if visits.is_empty() {
        return append(sql, entries);
    }
    sql.write(|sql| {
        visits::put(sql, visits)?;
        append(sql, entries)
    })
}

/// Stores entries, all in one statement; one by one when some are there already, as after a commit whose
/// answer was lost.
pub(super) fn append(sql: &mut Sql, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut are_new = true;
    let stored = sql.write(|sql| {
        are_new = entries::append_all(sql, entries)?;
        anyhow::ensure!(are_new, "some entries are there already");
        Ok(())
    });
    if are_new { stored } else { sql.write(|sql| insert_new(sql, entries)) }
}

/// Stores those entries that are not there yet.
fn insert_new(sql: &mut Sql, entries: &[Entry]) -> Result<()> {
    let mut chain = Chain::end(sql)?;
    for entry in entries {
        match entries::append(sql, &mut chain, entry)? {
            Stored::New => {}
            Stored::Exists => tracing::warn!(id = %entry.id, "a ledger entry was stored before"),
            Stored::Different => {
                tracing::error!(id = %entry.id, "another ledger entry with this id exists, and stays");
            }
        }
    }
    Ok(())
}
