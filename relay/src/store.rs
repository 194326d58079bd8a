//! The store: SQLite in one folder, written by one thread in group commits.
//!
//! Money is true once it is here. The desk hands over ledger entries in order and, behind them,
//! closures that run when everything before them is durable. Reads go through a connection of their
//! own and never wait for the writer. The store knows no rule of the market.

mod audit;
mod discrepancies;
mod entries;
mod identities;
mod queue;
mod schema;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rekursing_market::ledger::{Account, Entry};
use rekursing_protocol::{JobId, Moment, Nanos};
use rusqlite::Connection;
use tokio::sync::oneshot;

pub use audit::{Audit, audit};
pub use identities::{Key, Plugin, Upstream};
use queue::Queue;

/// What the writer is handed, in order.
enum Write {
    /// A ledger entry.
    Entry(Box<Entry>),
    /// A change of identities, in the same transaction as its neighbours.
    Change(Change),
    /// Runs once everything before it is durable.
    Then(Box<dyn FnOnce() + Send>),
    /// Ends the writer once everything before it is durable.
    Stop,
}

/// What a change does, within a transaction.
type Make = Box<dyn FnOnce(&Connection) -> rusqlite::Result<()> + Send>;

/// A change of identities, and who waits for it.
struct Change {
    make: Make,
    made: oneshot::Sender<rusqlite::Result<()>>,
}

/// The handle of the store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    healthy: Arc<AtomicBool>,
    reader: Mutex<Connection>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Write::Entry(_) => "Entry",
            Write::Change(_) => "Change",
            Write::Then(_) => "Then",
            Write::Stop => "Stop",
        })
    }
}

/// What the book starts from.
#[derive(Debug, Default)]
pub struct Opening {
    /// The last entry that is in the sums.
    pub last: i64,
    /// Every account's balance, by the sum of its postings.
    pub balances: Vec<(Account, Nanos)>,
    /// Holds that nothing has resolved.
    pub holds: Vec<(JobId, Account, Nanos)>,
}

/// Called when another process has changed the database, with the grants it has stored; `false` when
/// it must be told again.
pub type OnForeign = Box<dyn Fn(&[Entry]) -> bool + Send>;

impl Store {
    /// Opens or makes the database in `folder`. Group commits begin with [`Unstarted::start`].
    pub fn open(folder: &Path) -> Result<Unstarted> {
        let path = file(folder)?;
        let connection = connect(&path)?;
        schema::migrate(&connection)?;
        Ok(Unstarted { path, connection })
    }

    /// Queues a ledger entry. It is written with whatever comes next that somebody waits for, or a
    /// moment later: what nobody waits for wakes no thread.
    pub fn append(&self, entry: Entry) {
        self.shared.queue.push(Write::Entry(Box::new(entry)), false);
    }

    /// Runs `then` once everything queued before is durable. It runs on the writer's thread and
    /// must not block.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) {
        self.push(Write::Then(Box::new(then)));
    }

    /// Waits until everything queued before is durable.
    pub async fn flushed(&self) {
        let (done, wait) = oneshot::channel();
        self.then(move || {
            // Whoever waited may have gone.
            let _ = done.send(());
        });
        // An error means that the writer has ended, and then it has flushed.
        let _ = wait.await;
    }

    /// Tells how many writes wait.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Tells whether the last commit went well.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// Reads, off the threads that serve sockets.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || read(&shared.reader.lock()));
        done.await.context("the read was abandoned")?.context("could not read the store")
    }

    /// Writes what is queued and ends the writer.
    pub fn stop(&self) {
        self.push(Write::Stop);
        if let Some(writer) = self.shared.writer.lock().take() {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }

    /// Makes a change and waits until it is durable.
    async fn change(
        &self,
        make: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<()> {
        let (made, wait) = oneshot::channel();
        self.push(Write::Change(Change { make: Box::new(make), made }));
        wait.await.context("the store has ended")?.context("could not store a change")
    }

    fn push(&self, write: Write) {
        self.shared.queue.push(write, true);
    }
}

/// An opened store whose writer does not run yet.
#[derive(Debug)]
pub struct Unstarted {
    path: PathBuf,
    connection: Connection,
}

impl Unstarted {
    /// Raises what the operator has given for free answers to `budget` in all, once.
    /// Returns what was added.
    pub fn fund_free(&self, now: Moment, budget: Nanos) -> Result<Nanos> {
        entries::fund_free(&self.connection, now, budget).context("could not fund free answers")
    }

    /// Reads what the book starts from, in one view of the database.
    pub fn opening(&mut self) -> Result<Opening> {
        let view = self.connection.transaction()?;
        Ok(Opening {
            last: entries::last(&view)?,
            balances: entries::balances(&view).context("could not sum the ledger")?,
            holds: entries::open_holds(&view).context("could not read open holds")?,
        })
    }

    /// Starts the writer. `on_foreign` hears of what other processes change, and of grants that they
    /// store behind entry `last`.
    pub fn start(self, last: i64, on_foreign: OnForeign) -> Result<Store> {
        let reader = connect(&self.path)?;
        let queue = Arc::new(Queue::default());
        let healthy = Arc::new(AtomicBool::new(true));
        let writer = writer::Writer::new(self.connection, &queue, last, &healthy, on_foreign);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .context("could not start the store's thread")?;
        let writer = Mutex::new(Some(thread));
        let reader = Mutex::new(reader);
        Ok(Store { shared: Arc::new(Shared { queue, healthy, reader, writer }) })
    }
}

/// Refuses a folder without a database, so that a typing error does not make one.
///
/// # Errors
/// When there is none.
pub fn must_exist(folder: &Path) -> Result<()> {
    anyhow::ensure!(
        folder.join(FILE).exists(),
        "there is no database in {}; name the relay's own folder with --data-dir",
        folder.display()
    );
    Ok(())
}

/// The database's name in its folder.
const FILE: &str = "rekursing.sqlite";

fn file(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the data folder {}", folder.display()))?;
    Ok(folder.join(FILE))
}

fn connect(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open(path).with_context(|| format!("could not open the database {}", path.display()))?;
    schema::prepare(&connection).context("could not prepare the database")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .context("could not close the database to others")?;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests;
