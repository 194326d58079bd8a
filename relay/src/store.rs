//! The store: SQLite in one folder or PostgreSQL, written by one thread in group commits.
//!
//! Money is true once it is here. The desk hands over ledger entries in order and, behind them,
//! closures that run when everything before them is durable. Reads go through a connection of their
//! own and never wait for the writer. The store knows no rule of the market.

mod account_entries;
mod asked;
mod audit;
mod campaigns;
mod channels;
mod daily;
mod discrepancies;
mod disputes;
mod earnings;
mod entries;
mod grants;
mod groups;
mod history;
mod identities;
mod keys;
mod lived;
mod objectives;
mod operator_log;
mod payout_methods;
mod payouts;
mod phones;
mod premiums;
mod prints;
mod queue;
mod receipts;
mod revenue;
mod schema;
mod served;
mod shown;
mod sql;
mod statements;
mod switches;
mod teams;
mod thumbs;
mod top_ups;
mod usage;
mod verified;
mod visits;
mod watched;
mod went_back;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rekursing_market::{
    History, Visit,
    ads::Shown,
    ledger::{Account, Entry},
};
use rekursing_protocol::{JobId, Moment, Nanos};
use tokio::sync::{Semaphore, oneshot};

pub use account_entries::AccountEntry;
pub use asked::{Asked, KeptAnswer, Quota};
pub use audit::{Audit, BadEnd, End, audit, audit_to_end};
pub use campaigns::{AdCount, AdDay, Placed};
pub use channels::{Channel, ChannelDay, Leader, ServedInAll, Standard};
pub use disputes::{Dispute, Disputed};
pub use entries::Correctable;
pub use grants::{GRANT_MAX, grant_of};
pub use identities::{Pairing, Plugin, Upstream};
pub use keys::{Holder, Key, LINE_MAX, Made, Manager, NewKey, Purse, Usage};
pub use objectives::Objectives;
pub use operator_log::{Act, Deed, LogLine, Note};
pub use payout_methods::PayoutMethod;
pub use payouts::{Ending, PayoutRow, Submitted};
pub use phones::Phone;
pub use prints::{KEPT as PRINTS_KEPT, Prints};
use queue::Queue;
pub use receipts::{Job, ReceiptKey};
pub use revenue::{Cash, Revenue, RevenueDay, RevenueModel, Sources};
pub use served::{HOURS_MAX, ServedJob, Slice};
pub use sql::{Location, Row, Sql, Value, must_exist};
pub use statements::{Line, Sheet, Statement};
pub use teams::{Joined, LeadingTeam, Team};
pub use thumbs::{Rated, Voice};
pub use top_ups::{OpenTopUp, OpenedTopUp};
pub use usage::{Days, Jobs, Used, UsedDay, UsedModel, Whose};
pub use verified::Standing;
pub use watched::{Uptime, Watched};
pub use went_back::{Debt, Missing, RefundFailed, WentBack};

/// How often a database that another relay holds is asked for.
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// What the writer is handed, in order.
enum Write {
    /// Ledger entries, and what the operator's log says of them, all of it in one transaction.
    Entries(Vec<Entry>, Vec<Note>),
    /// A dispute as it is from now on and the entries of that, all of it in one transaction.
    Disputed(Vec<Entry>, Box<Disputed>),
    /// What a visitor has had, in the same transaction as the entries.
    Visit(Visit),
    /// The prints of a job, in the same transaction as the entries.
    Prints(Moment, Prints),
    /// Which ads a visitor was given, in the same transaction as the entries.
    Shown(Shown),
    /// A change of identities, in the same transaction as its neighbours.
    Change(Change),
    /// Runs once everything before it is durable.
    Then(Box<dyn FnOnce() + Send>),
    /// Ends the writer once everything before it is durable.
    Stop,
}

/// What a change does, within a transaction.
type Make = Box<dyn FnOnce(&mut Sql) -> Result<()> + Send>;

/// A change of identities, and who waits for it.
struct Change {
    make: Make,
    made: oneshot::Sender<Result<()>>,
}

/// The handle of the store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    location: Location,
    queue: Arc<Queue>,
    healthy: Arc<AtomicBool>,
    /// Whether an audit has found the book wrong. Only a restart, which audits all of it, makes it right.
    wrong: AtomicBool,
    /// Gone once the store has stopped: a connection to PostgreSQL cannot end on a thread that serves sockets.
    reader: Mutex<Option<Sql>>,
    /// The turn to read with it.
    turns: Arc<Semaphore>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Write::Entries(..) => "Entries",
            Write::Disputed(..) => "Disputed",
            Write::Visit(_) => "Visit",
            Write::Prints(..) => "Prints",
            Write::Shown(_) => "Shown",
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
    pub last: u64,
    /// Every account's balance, by the sum of its postings.
    pub balances: Vec<(Account, Nanos)>,
    /// Holds that nothing has resolved.
    pub holds: Vec<(JobId, Account, Nanos)>,
}

/// Called when another process has changed the database, with the transfers from outside that it has
/// stored; `false` when it must be told again.
pub type OnForeign = Box<dyn Fn(&[Entry]) -> bool + Send>;

impl Store {
    /// Opens or makes the database. Group commits begin with [`Unstarted::start`]. Not on a thread that
    /// serves sockets: it waits for the database.
    pub fn open(location: &Location) -> Result<Unstarted> {
        let mut sql = Sql::connect(location)?;
        schema::migrate(&mut sql)?;
        Ok(Unstarted { location: location.clone(), sql })
    }

    /// Queues ledger entries that are stored together or not at all. They are written with whatever comes
    /// next that somebody waits for, or a moment later: what nobody waits for wakes no thread.
    pub fn append(&self, entries: Vec<Entry>) {
        self.append_noted(entries, Vec::new());
    }

    /// The same together with what the operator's log says of them: as little lost, and stored or not with
    /// them.
    pub fn append_noted(&self, entries: Vec<Entry>, notes: Vec<Note>) {
        if !entries.is_empty() {
            self.shared.queue.push(Write::Entries(entries, notes), false);
        }
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

    /// Tells whether the last commit went well, and no audit has found the book wrong.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed) && !self.is_wrong()
    }

    /// Tells whether an audit has found the book wrong.
    pub fn is_wrong(&self) -> bool {
        self.shared.wrong.load(Ordering::Relaxed)
    }

    /// Reads, off the threads that serve sockets. One reads at a time, and whoever waits for that takes no thread.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let turn = Arc::clone(&shared.turns).acquire_owned().await.context("the store has ended")?;
        let done = tokio::task::spawn_blocking(move || {
            // It goes on also when nobody waits for it any more.
            let _turn = turn;
            let mut reader = shared.reader.lock();
            let sql = reader.as_mut().context("the store has ended")?;
            sql.mend()?;
            read(sql)
        });
        done.await.context("the read was abandoned")?.context("could not read the store")
    }

    /// Audits the whole book over a connection of its own, so that neither the writer nor a reader waits. From
    /// a book that is wrong no money moves any more until a restart.
    pub async fn audit(&self) -> Result<Audit> {
        let shared = Arc::clone(&self.shared);
        let audit = move || {
            let audit = Sql::connect(&shared.location)?.view(audit::look)?;
            if audit.wrong.is_some() {
                shared.wrong.store(true, Ordering::Relaxed);
            }
            Ok(audit)
        };
        tokio::task::spawn_blocking(audit).await.context("the audit was abandoned")?
    }

    /// Writes what is queued and ends the writer and the reader. Not on a thread that serves sockets.
    pub fn stop(&self) {
        self.push(Write::Stop);
        if let Some(writer) = self.shared.writer.lock().take() {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
        self.shared.reader.lock().take();
    }

    /// Makes a change and waits until it is durable.
    async fn change(&self, make: impl FnOnce(&mut Sql) -> Result<()> + Send + 'static) -> Result<()> {
        let (made, wait) = oneshot::channel();
        self.push(Write::Change(Change { make: Box::new(make), made }));
        wait.await.context("the store has ended")?.context("could not store a change")
    }

    /// Makes a change that nobody waits for, with whatever comes next. One that fails is logged and lost.
    fn soon(&self, what: &'static str, make: impl FnOnce(&mut Sql) -> Result<()> + Send + 'static) {
        let (made, _) = oneshot::channel();
        let make = Box::new(move |sql: &mut Sql| {
            make(sql).inspect_err(|error| tracing::error!(error = format!("{error:#}"), "could not {what}"))
        });
        self.shared.queue.push(Write::Change(Change { make, made }), false);
    }

    /// Makes a change that tells something, and waits until it is durable.
    async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce(&mut Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, hear) = oneshot::channel();
        let change = self.change(move |sql| {
            // Whoever waited may have gone.
            let _ = tell.send(make(sql)?);
            Ok(())
        });
        change.await?;
        hear.await.context("the change told nothing")
    }

    fn push(&self, write: Write) {
        self.shared.queue.push(write, true);
    }
}

/// An opened store whose writer does not run yet.
#[derive(Debug)]
pub struct Unstarted {
    location: Location,
    sql: Sql,
}

impl Unstarted {
    /// Makes this process the one relay of the database. A relay that has just ended may hold it for a
    /// moment, so this waits for as long as `patience` says.
    ///
    /// # Errors
    /// When another relay serves from it: two would each keep balances of their own.
    pub fn claim(&mut self, patience: Duration) -> Result<()> {
        let mut looks = patience.as_millis() / CLAIM_PAUSE.as_millis();
        while !self.sql.claim()? {
            anyhow::ensure!(looks > 0, "another relay serves from this database");
            looks -= 1;
            std::thread::sleep(CLAIM_PAUSE);
        }
        Ok(())
    }

    /// Raises what the operator has given for free answers to `budget` in all, once, and says so in the
    /// operator's log. Returns what was added.
    pub fn fund_free(&mut self, now: Moment, budget: Nanos) -> Result<Nanos> {
        self.sql.write(|sql| entries::fund_free(sql, now, budget)).context("could not fund free answers")
    }

    /// Audits the whole book and returns what it amounts to, in one view of the database.
    ///
    /// # Errors
    /// When the book is wrong, with the first wrong row.
    pub fn opening(&mut self) -> Result<Opening> {
        self.sql.view(audit::open)
    }

    /// Reads what prices, fees and holding back depend on. Jobs that were charged less than
    /// `trusted_charge_min` count for no trust.
    pub fn history(&mut self, now: Moment, trusted_charge_min: Nanos) -> Result<History> {
        self.sql.view(|sql| history::read(sql, now, trusted_charge_min)).context("could not read the history")
    }

    /// Starts the writer. `on_foreign` hears of what other processes change, and of money from outside
    /// that they store behind entry `last`.
    pub fn start(self, last: u64, on_foreign: OnForeign) -> Result<Store> {
        let reader = Sql::connect(&self.location)?;
        let queue = Arc::new(Queue::default());
        let healthy = Arc::new(AtomicBool::new(true));
        let writer = writer::Writer::new(self.sql, &queue, last, &healthy, on_foreign);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .context("could not start the store's thread")?;
        let writer = Mutex::new(Some(thread));
        let reader = Mutex::new(Some(reader));
        let (location, wrong) = (self.location, AtomicBool::new(false));
        let turns = Arc::new(Semaphore::new(1));
        Ok(Store { shared: Arc::new(Shared { location, queue, healthy, wrong, reader, turns, writer }) })
    }
}

#[cfg(test)]
mod tests;
