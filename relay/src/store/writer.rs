//! The writer: one thread, one transaction per batch of whatever has queued meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rekursing_market::ledger::{Entry, EntryKind};
use rekursing_protocol::PluginId;
use rusqlite::Connection;

use super::{Change, OnForeign, Write, entries, queue::Queue};

/// How long an entry that nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(100);

/// How often the writer looks for entries of other processes, and how long it waits after a failed commit.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    healthy: Arc<AtomicBool>,
    on_foreign: OnForeign,
    /// SQLite's counter of commits by other connections, as last seen.
    foreign_version: i64,
    /// The last entry that was looked at for grants of other processes.
    seen: i64,
}

/// Sums of one transaction, by owner, day and model.
type Daily = HashMap<(PluginId, u64, String), Sums>;

#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) jobs: u64,
    pub(super) prompt_tokens: u64,
    pub(super) answer_tokens: u64,
    pub(super) charge: i64,
    pub(super) fee: i64,
}

/// What is left of a batch once its rows are in the transaction.
enum Rest {
    Then(Box<dyn FnOnce() + Send>),
    Stop,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        queue: &Arc<Queue>,
        seen: i64,
        healthy: &Arc<AtomicBool>,
        on_foreign: OnForeign,
    ) -> Writer {
        let (queue, healthy) = (Arc::clone(queue), Arc::clone(healthy));
        // No version is below zero, so the first look finds what came since the book was opened.
        Writer { connection, queue, healthy, on_foreign, foreign_version: -1, seen }
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
        if rows.entries.is_empty() && rows.changes.is_empty() {
            return;
        }
        change(&mut self.connection, rows.changes);
        while let Err(error) = insert(&mut self.connection, &rows.entries) {
            self.healthy.store(false, Ordering::Relaxed);
            tracing::error!(%error, "could not store ledger entries; trying again");
            std::thread::sleep(PAUSE);
        }
        self.healthy.store(true, Ordering::Relaxed);
    }

    /// Tells of what other processes have changed, and of the grants among it.
    fn look_around(&mut self) {
        let Ok(version) = data_version(&self.connection) else { return };
        if version == self.foreign_version {
            return;
        }
        match entries::grants_after(&self.connection, self.seen) {
            Ok((grants, last)) => {
                if (self.on_foreign)(&grants) {
                    (self.foreign_version, self.seen) = (version, last);
                }
            }
            Err(error) => tracing::warn!(%error, "could not look for changes of other processes"),
        }
    }
}

#[derive(Default)]
struct Rows {
    entries: Vec<Entry>,
    changes: Vec<Change>,
}

fn split(writes: Vec<Write>) -> (Rows, Vec<Rest>) {
    let mut rows = Rows::default();
    let mut rest = Vec::new();
    for write in writes {
        match write {
            Write::Entry(entry) => rows.entries.push(*entry),
            Write::Change(change) => rows.changes.push(change),
            Write::Then(then) => rest.push(Rest::Then(then)),
            Write::Stop => rest.push(Rest::Stop),
        }
    }
    (rows, rest)
}

/// Makes changes in one transaction. One that fails leaves the others alone; whoever waits for it hears
/// of it, and of a commit that failed.
fn change(connection: &mut Connection, changes: Vec<Change>) {
    if changes.is_empty() {
        return;
    }
    let mut made = Vec::with_capacity(changes.len());
    let all = || -> rusqlite::Result<()> {
        let mut transaction = connection.transaction()?;
        for change in changes {
            let savepoint = transaction.savepoint()?;
            let result = (change.make)(&savepoint);
            if result.is_ok() {
                savepoint.commit()?;
            }
            made.push((change.made, result));
        }
        transaction.commit()
    };
    let committed = all();
    if let Err(error) = &committed {
        tracing::error!(%error, "could not store changes");
    }
    for (waiting, result) in made {
        // Whoever hears nothing, because the commit failed or he left, takes it for a failure.
        if committed.is_ok() {
            let _ = waiting.send(result);
        }
    }
}

fn insert(connection: &mut Connection, rows: &[Entry]) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    let mut daily = Daily::new();
    for entry in rows {
        if entries::insert(&transaction, entry)? {
            sum(&mut daily, entry);
        } else {
            tracing::error!(id = %entry.id, "a ledger entry with this id exists");
        }
    }
    for ((owner, day, model), sums) in &daily {
        entries::add_to_day(&transaction, *owner, *day, model, sums)?;
    }
    transaction.commit()
}

fn sum(daily: &mut Daily, entry: &Entry) {
    let EntryKind::Settle { owner, model, prompt_tokens, answer_tokens, charge, fee, .. } = &entry.kind
    else {
        return;
    };
    let sums = daily.entry((*owner, entry.at.day(), model.to_string())).or_default();
    sums.jobs += 1;
    sums.prompt_tokens += prompt_tokens;
    sums.answer_tokens += answer_tokens;
    sums.charge += charge.get();
    sums.fee += fee.get();
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}
