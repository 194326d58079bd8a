//! The writer: one thread, one transaction per batch of whatever has queued meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rekursing_market::{Visit, ads::Shown, ledger::Entry};
use rekursing_protocol::Moment;

use super::{
    Change, Disputed, Note, OnForeign, Prints, Sql, Write, disputes,
    entries::{self, Chain, Stored},
    operator_log, prints,
    queue::Queue,
    shown, visits,
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
    /// What was looked at for money that other processes took in.
    seen: Seen,
    /// Whether the ledger has another entry under an id of this process. What the desk has in memory is
    /// then not what the ledger has, and only a restart makes it so.
    torn: bool,
}

/// Which entries need not be looked at for money that other processes took in.
#[derive(Debug, Default)]
struct Seen {
    /// All up to this one.
    upto: u64,
    /// Runs of this process's own behind it, first and last, in order. There are no more of them than
    /// there were commits of other processes since the last look.
    own: Vec<(u64, u64)>,
}

impl Seen {
    /// Notes a run of entries that this process has stored; nothing where `last` is before `first`.
    fn note(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        match self.own.last_mut() {
            Some(latest) if latest.1 + 1 == first => latest.1 = last,
            None if self.upto + 1 == first => self.upto = last,
            Some(_) | None => self.own.push((first, last)),
        }
    }

    fn is_own(&self, seq: u64) -> bool {
        self.own.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
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
        let seen = Seen { upto: seen, own: Vec::new() };
        Writer { sql, queue, healthy, on_foreign, foreign_version: -1, seen, torn: false }
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
    fn commit(&mut self, mut rows: Rows) {
        if rows.is_empty() {
            return;
        }
        self.mend();
        if let Some((first, last)) = change(&mut self.sql, std::mem::take(&mut rows.changes)) {
            self.seen.note(first, last);
        }
        let mut failures = 0;
        loop {
            match insert(&mut self.sql, &rows) {
                Ok(inserted) => {
                    self.torn |= inserted.are_torn;
                    inserted.runs.into_iter().for_each(|(first, last)| self.seen.note(first, last));
                    break self.healthy.store(!self.torn, Ordering::Relaxed);
                }
                Err(error) => {
                    self.healthy.store(false, Ordering::Relaxed);
                    let error = format!("{error:#}");
                    tracing::error!(error, "could not store ledger entries; trying again");
                }
            }
            // A connection that was lost is made anew at once; whatever else it is takes its time.
            if failures > 0 {
                std::thread::sleep(PAUSE);
            }
            failures += 1;
            self.mend();
        }
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
        let upto = self.seen.upto;
        let (transfers, last) = self.sql.view(|sql| {
            let last = Chain::end(sql)?.seq;
            Ok((entries::transfers_between(sql, upto, last)?, last))
        })?;
        let foreign = transfers.into_iter().filter(|(seq, _)| !self.seen.is_own(*seq));
        let foreign: Vec<Entry> = foreign.map(|(_, entry)| entry).collect();
        if (self.on_foreign)(&foreign) {
            self.foreign_version = version;
            self.seen = Seen { upto: last, own: Vec::new() };
        }
        Ok(())
    }
}

#[derive(Default)]
struct Rows {
    entries: Vec<Entry>,
    /// What the operator's log says of the entries.
    notes: Vec<Note>,
    disputes: Vec<Disputed>,
    prints: Vec<(Moment, Prints)>,
    visits: Vec<Visit>,
    shown: Vec<Shown>,
    changes: Vec<Change>,
}

impl Rows {
    fn is_empty(&self) -> bool {
        let Rows { entries, changes, .. } = self;
        entries.is_empty() && changes.is_empty() && self.is_bare()
    }

    /// Tells whether nothing stands beside the entries.
    fn is_bare(&self) -> bool {
        let Rows { entries: _, notes, disputes, prints, visits, shown, changes: _ } = self;
        let is_bare = notes.is_empty() && disputes.is_empty() && prints.is_empty();
        is_bare && visits.is_empty() && shown.is_empty()
    }
}

fn split(writes: Vec<Write>) -> (Rows, Vec<Rest>) {
    let mut rows = Rows::default();
    let mut rest = Vec::new();
    for write in writes {
        match write {
            Write::Entries(entries, notes) => {
                rows.entries.extend(entries);
                rows.notes.extend(notes);
            }
            Write::Disputed(entries, disputed) => {
                rows.entries.extend(entries);
                rows.disputes.push(*disputed);
            }
            Write::Prints(at, prints) => rows.prints.push((at, prints)),
            Write::Visit(visit) => rows.visits.push(visit),
            Write::Shown(shown) => rows.shown.push(shown),
            Write::Change(change) => rows.changes.push(change),
            Write::Then(then) => rest.push(Rest::Then(then)),
            Write::Stop => rest.push(Rest::Stop),
        }
    }
    (rows, rest)
}

/// Makes changes in one transaction. One that fails leaves the others alone; whoever waits for it hears
/// of it, and of a commit that failed. Returns the first and the last of the entries that they made.
fn change(sql: &mut Sql, changes: Vec<Change>) -> Option<(u64, u64)> {
    if changes.is_empty() {
        return None;
    }
    let mut made = Vec::with_capacity(changes.len());
    let committed = sql.write(|sql| {
        let before = Chain::end(sql)?.seq;
        for change in changes {
            made.push((change.made, sql.write(change.make)));
        }
        Ok((before + 1, Chain::end(sql)?.seq))
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
    committed.ok()
}

/// What became of a batch of entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inserted {
    /// Where they are in the ledger: runs, first and last.
    pub(super) runs: Vec<(u64, u64)>,
    /// Whether another entry has the id of one of them.
    pub(super) are_torn: bool,
}

/// Stores entries with everything that stands beside them, all of it or none.
fn insert(sql: &mut Sql, rows: &Rows) -> Result<Inserted> {
    let Rows { entries, notes, disputes, prints, visits, shown, changes: _ } = rows;
    if rows.is_bare() {
        return append(sql, entries);
    }
    sql.write(|sql| {
        visits::put(sql, visits)?;
        shown::put(sql, shown)?;
        operator_log::put(sql, notes)?;
        disputes::put(sql, disputes)?;
        prints::put(sql, prints)?;
        append(sql, entries)
    })
}

/// Stores entries, all in one statement; one by one when some are there already, as after a commit whose
/// answer was lost.
pub(super) fn append(sql: &mut Sql, entries: &[Entry]) -> Result<Inserted> {
    if entries.is_empty() {
        return Ok(Inserted::default());
    }
    let mut known = None;
    let stored = sql.write(|sql| {
        known = entries::append_all(sql, entries)?;
        known.context("some entries are there already")
    });
    match (stored, known) {
        (Err(_), None) => sql.write(|sql| insert_new(sql, entries)),
        (stored, _) => Ok(Inserted { runs: vec![stored?], are_torn: false }),
    }
}

/// Stores those entries that are not there yet.
fn insert_new(sql: &mut Sql, entries: &[Entry]) -> Result<Inserted> {
    let mut chain = Chain::end(sql)?;
    let mut inserted = Inserted::default();
    for entry in entries {
        match entries::append(sql, &mut chain, entry)? {
            Stored::New => inserted.runs.push((chain.seq, chain.seq)),
            Stored::Exists(seq) => {
                tracing::warn!(id = %entry.id, "a ledger entry was stored before");
                inserted.runs.push((seq, seq));
            }
            Stored::Different => {
                tracing::error!(
                    id = %entry.id,
                    "the ledger has another entry with this id, which stays; no money moves until a restart"
                );
                inserted.are_torn = true;
            }
        }
    }
    Ok(inserted)
}
