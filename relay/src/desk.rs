//! The desk: the one place that owns the market and executes its effects, in order.
//!
//! It is a lock and not a task, because nothing that happens under it waits: the market is pure
//! arithmetic, orders go into outboxes, ledger entries into the store's queue. So a job goes from its
//! page to its session without a switch of tasks. The desk is asked a fixed number of times per job,
//! never per token.

mod attendance;
mod disputes;
mod friends;
mod money;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub use friends::Friends;
pub use money::PaidIn;

use dashmap::DashMap;
use parking_lot::Mutex;
use rekursing_market::{
    Assignment, Auto, Choice, CloseReason, Counts, Effect, End, Entry, Estimate, Market, ModelView, Outcome,
    Payer, Refusal, Request, SessionView, Spender, Terms, Tier, Usage,
};
use rekursing_protocol::{
    FailCode, Gpu, JobId, Moment, Nanos, PluginId, SessionId, Span,
    earnings::Receipt,
    frame::{Cancel, Drain, Settled, Steer, close},
    outlook::Outlook,
};

use crate::{
    clock::{Clock, Lived},
    discrepancy::Discrepancy,
    outbox::{Order, Outbox},
    store::{Note, Store},
    stream::{Patience, Stream, Stuck},
    telemetry,
};
use attendance::Seat;

/// How long a list of models is fresh.
const MODELS_FRESH: Span = Span::millis(500);

/// Most models in it.
const MODELS_MAX: usize = 1_000;

/// The desk; clones share it.
#[derive(Debug, Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    market: Mutex<Market>,
    terms: Terms,
    streams: DashMap<JobId, Arc<Stream>>,
    /// The answers that may go on as another job, by the job as which their pages know them.
    followers: DashMap<JobId, Follower>,
    sessions: DashMap<SessionId, Seat>,
    store: Store,
    clock: Clock,
    store_queue_max: usize,
    listed: Mutex<Option<(Moment, Arc<Vec<ModelView>>)>>,
    /// Makes visitors' hashes unguessable.
    visitors_key: [u8; 32],
    /// Whether some session refuses something, as of the latest change.
    is_choosy: AtomicBool,
}

/// An answer that may go on as another job.
#[derive(Debug)]
struct Follower {
    /// As which job it is under way.
    job: JobId,
    payer: Payer,
    /// Whether its page has stopped it between two jobs.
    is_stopped: bool,
}

/// A session as others see it.
#[derive(Debug, Clone)]
pub struct Face {
    /// Where orders go.
    pub outbox: Outbox,
    /// The plugin's name for pages, or empty.
    pub name: Arc<str>,
    /// Its GPU.
    pub gpu: Arc<Gpu>,
}

impl Desk {
    /// Sets up the desk over a market whose book is restored, and voids what died with the process before.
    /// Nobody is the same visitor again after a restart.
    pub fn new(market: Market, store: Store, clock: Clock, store_queue_max: usize) -> Desk {
        Desk::with_key(market, store, clock, store_queue_max, crate::chance::bytes())
    }

    /// The same with the key by which visitors are told from each other, also after a restart.
    pub fn with_key(
        market: Market,
        store: Store,
        clock: Clock,
        store_queue_max: usize,
        visitors_key: [u8; 32],
    ) -> Desk {
        let shared = Shared {
            terms: market.terms().clone(),
            market: Mutex::new(market),
            streams: DashMap::new(),
            followers: DashMap::new(),
            sessions: DashMap::new(),
            store,
            clock,
            store_queue_max,
            listed: Mutex::default(),
            visitors_key,
            is_choosy: AtomicBool::new(false),
        };
        let desk = Desk { shared: Arc::new(shared) };
        desk.run(|market, now| market.recover(now));
        desk
    }

    /// Returns the present moment.
    pub fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// Returns by how much the present moment is to be doubted in what is about money, see [`Clock::lag`].
    pub fn lag(&self) -> Span {
        self.shared.clock.lag()
    }

    /// Returns what the next relay has to know of the time.
    pub fn lived(&self) -> Lived {
        self.shared.clock.lived()
    }

    /// Returns the wall clock's moment, see [`Clock::wall`].
    pub fn wall(&self) -> Moment {
        self.shared.clock.wall()
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Returns the market's terms.
    pub fn terms(&self) -> &Terms {
        &self.shared.terms
    }

    /// Asks for an answer. What comes of it arrives through the stream.
    pub fn submit(&self, request: Request, stream: &Arc<Stream>) -> Result<(), Denial> {
        if self.shared.store.is_wrong() {
            return Err(Denial::BookWrong);
        }
        if !self.shared.store.is_healthy() || self.shared.store.waiting() > self.shared.store_queue_max {
            return Err(Denial::StoreDown);
        }
        let job = stream.job;
        self.shared.streams.insert(job, Arc::clone(stream));
        self.run(|market, now| market.submit(now, request)).map_err(|refusal| {
            self.shared.streams.remove(&job);
            Denial::Refused(refusal)
        })
    }

    /// Returns what a request's answer can be expected to cost and to take. Nothing is asked of anybody.
    pub fn estimate(&self, request: &Request) -> Result<Estimate, Refusal> {
        self.run(|market, now| market.estimate(now, request))
    }

    /// Returns the model and the tier that suit a request best which leaves them to the market.
    pub fn choose(&self, request: &Request, auto: &Auto) -> Result<Choice, Refusal> {
        self.run(|market, now| market.choose(now, request, auto))
    }

    /// Notes the first piece. `false` when the job has gone to somebody else.
    pub fn began(&self, job: JobId, lease: u32) -> bool {
        self.run(|market, now| market.began(now, job, lease))
    }

    /// Notes the end of a complete answer.
    pub fn finish(&self, job: JobId, lease: u32, usage: Usage) {
        self.run(|market, now| market.finish(now, job, lease, usage));
    }

    /// Notes that an attempt failed.
    pub fn fail(&self, job: JobId, lease: u32, code: FailCode, detail: String, usage: Usage) {
        self.run(|market, now| market.fail(now, job, lease, code, detail, usage));
    }

    /// Notes that the page has left.
    pub fn cancel(&self, stream: &Stream) {
        let usage = stream.usage();
        self.run(|market, now| market.cancel(now, stream.job, usage));
        self.shared.streams.remove(&stream.job);
    }

    /// Cancels a job at the word of whoever pays for it. Its stream ends with `cancelled`, behind the
    /// charge for what was delivered. A limited key has the jobs that were asked with it and with those made
    /// with it. `false` when the payer has no such job.
    pub fn cancel_by_id(&self, job: JobId, payer: Payer, spender: Option<&Spender>) -> bool {
        let limited = spender.filter(|spender| !spender.is_unlimited());
        let current = self.shared.followers.get(&job).map_or(job, |follower| follower.job);
        let Some(stream) = self.stream(current).filter(|stream| stream.work.payer == payer) else {
            return limited.is_none() && self.stop_following(job, payer);
        };
        if limited.is_some_and(|own| !self.shared.market.lock().is_asked_with(current, own.key)) {
            return false;
        }
        self.call_off(stream);
        // What was stopped goes on no more, and is no job any longer though its page has not yet read the end.
        self.unfollow(job);
        true
    }

    /// Cancels a job and ends its stream with `cancelled`, behind the charge for what was delivered.
    fn call_off(&self, stream: Arc<Stream>) {
        self.cancel(&stream);
        self.shared.store.then(move || stream.failed(FailCode::Cancelled, String::new()));
    }

    /// Notes as which job an answer is under way that its page knows by the job `first`. `false` when the page
    /// has stopped it between two jobs.
    pub fn follow(&self, first: JobId, job: JobId, payer: Payer) -> bool {
        let mut follower =
            self.shared.followers.entry(first).or_insert(Follower { job, payer, is_stopped: false });
        follower.job = job;
        !follower.is_stopped
    }

    /// Tells whether a page has stopped an answer between two jobs.
    pub fn is_stopped(&self, first: JobId) -> bool {
        self.shared.followers.get(&first).is_some_and(|follower| follower.is_stopped)
    }

    /// Notes that nobody reads an answer any more that may have gone on.
    pub fn unfollow(&self, first: JobId) {
        self.shared.followers.remove(&first);
    }

    /// Stops an answer of which a part has ended and the next has not begun. `false` when there is none.
    fn stop_following(&self, first: JobId, payer: Payer) -> bool {
        let follower = self.shared.followers.get_mut(&first).filter(|follower| follower.payer == payer);
        follower.map(|mut follower| follower.is_stopped = true).is_some()
    }

    /// Ends a job whose vectors are longer than so many bytes. That is nobody's failure, and not charged.
    pub fn too_large(&self, stream: &Arc<Stream>, bytes_max: usize) {
        self.cancel(stream);
        let stream = Arc::clone(stream);
        self.shared.store.then(move || stream.too_large(bytes_max));
    }

    /// Lets time pass: deadlines of the queue, of sessions and of running jobs.
    pub fn tick(&self, patience: &Patience) {
        self.shared.clock.follow();
        let lag = self.lag();
        self.run(|market, now| {
            market.doubt(lag);
            market.tick(now);
        });
        let now = self.now();
        let stuck: Vec<_> = self
            .shared
            .streams
            .iter()
            .filter_map(|stream| stream.stuck(now, patience).map(|stuck| (Arc::clone(&stream), stuck)))
            .collect();
        for (stream, stuck) in stuck {
            match stuck {
                // Whoever reads on later, or in the page's place, is told that it is over.
                Stuck::Page => self.call_off(stream),
                Stuck::Plugin(lease) => self.give_up(&stream, lease, FailCode::Stalled),
                Stuck::Job(lease) => self.give_up(&stream, lease, FailCode::TimeUp),
            }
        }
    }

    fn give_up(&self, stream: &Stream, lease: u32, code: FailCode) {
        self.stop(stream, lease);
        self.fail(stream.job, lease, code, String::new(), stream.usage());
    }

    /// Tells whoever has the job under this lease to stop it.
    pub fn stop(&self, stream: &Stream, lease: u32) {
        if let Some(session) = stream.with_assignment(lease, |assignment| assignment.session) {
            self.order(session, Order::Cancel(Cancel { job: stream.job, lease }));
        }
    }

    /// Takes no new jobs, and tells every session that the relay goes away.
    pub fn drain(&self, notice: &Drain) {
        self.run(|market, now| market.drain(now));
        for seat in &self.shared.sessions {
            seat.face.outbox.push(Order::Drain(notice.clone()));
        }
    }

    /// Cuts every answer that is under way; what was delivered is charged.
    pub fn cut_all(&self) {
        let streams: Vec<_> = self.shared.streams.iter().map(|stream| Arc::clone(&stream)).collect();
        for stream in streams {
            match stream.assignment() {
                Some(assignment) => {
                    self.stop(&stream, assignment.lease);
                    self.fail(stream.job, assignment.lease, FailCode::Cut, String::new(), stream.usage());
                }
                None => self.cancel(&stream),
            }
        }
    }

    /// Closes every session.
    pub fn close_all(&self, code: u16) {
        for seat in &self.shared.sessions {
            seat.face.outbox.push(Order::Close(code));
        }
    }

    /// Tells how many answers are under way.
    pub fn streams(&self) -> usize {
        self.shared.streams.len()
    }

    /// Returns a live session.
    pub fn face(&self, session: SessionId) -> Option<Face> {
        self.shared.sessions.get(&session).map(|seat| seat.face.clone())
    }

    /// Returns the models that can be asked for, as of a second ago at most, those that most offer: to list them
    /// takes a look at each of their offers.
    pub fn models(&self) -> Arc<Vec<ModelView>> {
        let now = self.now();
        let mut listed = self.shared.listed.lock();
        if listed.as_ref().is_none_or(|(at, _)| now.since(*at) >= MODELS_FRESH) {
            *listed = Some((now, Arc::new(self.shared.market.lock().models(now, MODELS_MAX))));
        }
        listed.as_ref().map(|(_, models)| Arc::clone(models)).unwrap_or_default()
    }

    /// Returns the model that can be asked for by exactly this name.
    pub fn model(&self, name: &str) -> Option<ModelView> {
        let now = self.now();
        self.shared.market.lock().model(now, name)
    }

    /// Returns the live sessions.
    pub fn sessions(&self) -> Vec<SessionView> {
        self.shared.market.lock().sessions()
    }

    /// Returns the session of a plugin, if it has one whose socket is there.
    pub fn session_of(&self, plugin: PluginId) -> Option<SessionView> {
        self.shared.market.lock().session_of(plugin)
    }

    /// Tells a session what its owner wishes. Returns whether there is such a session.
    pub fn steer(&self, session: SessionId, steer: Steer) -> bool {
        let face = self.face(session);
        face.map(|face| face.outbox.push(Order::Steer(Box::new(steer)))).is_some()
    }

    /// Returns who is at work on a streamed answer at this moment, and how fast each comes, in thousandths of a
    /// token per second: one for each job.
    pub fn paces(&self) -> Vec<(PluginId, u64)> {
        self.shared.streams.iter().filter_map(|stream| stream.pace()).collect()
    }

    /// Takes what became of plugins' jobs since the last call.
    pub fn take_outcomes(&self) -> Vec<(PluginId, Outcome)> {
        self.shared.market.lock().take_outcomes()
    }

    /// Tells whether a plugin has a session.
    pub fn is_live(&self, plugin: PluginId) -> bool {
        self.shared.market.lock().is_live(plugin)
    }

    /// Returns why jobs do not come to a plugin.
    pub fn outlook(&self, plugin: PluginId) -> Outlook {
        let now = self.now();
        self.shared.market.lock().outlook(now, plugin)
    }

    /// Returns how much of everything there is.
    pub fn counts(&self) -> Counts {
        self.shared.market.lock().counts()
    }

    /// Tells whether what requests are about has to be known, because some session refuses something.
    pub fn is_choosy(&self) -> bool {
        self.shared.is_choosy.load(Ordering::Relaxed)
    }

    /// Tells one visitor from another, without keeping the address.
    pub fn visitor(&self, address: IpAddr) -> u64 {
        use sha2::{Digest, Sha256};
        let network = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let hash = Sha256::new().chain_update(self.shared.visitors_key).chain_update(network).finalize();
        u64::from_le_bytes(std::array::from_fn(|at| hash[at]))
    }

    /// Changes the market and executes what follows, all under one lock.
    fn run<T>(&self, change: impl FnOnce(&mut Market, Moment) -> T) -> T {
        self.run_noted(|market, now, _| change(market, now))
    }

    /// The same with what the operator's log says of the first entries that follow; each is stored together
    /// with them.
    fn run_noted<T>(&self, change: impl FnOnce(&mut Market, Moment, &mut Vec<Note>) -> T) -> T {
        let mut market = self.shared.market.lock();
        let now = self.now();
        let mut notes = Vec::new();
        let changed = change(&mut market, now, &mut notes);
        loop {
            let effects: Vec<Effect> = market.drain_effects().collect();
            if effects.is_empty() {
                self.shared.is_choosy.store(market.is_choosy(), Ordering::Relaxed);
                return changed;
            }
            // Entries that follow each other belong together.
            let mut entries = Vec::new();
            for effect in effects {
                if !matches!(effect, Effect::Record(_)) {
                    self.store_noted(&mut entries, &mut notes);
                }
                self.execute(effect, &mut entries, &mut market, now);
            }
            self.store_noted(&mut entries, &mut notes);
        }
    }

    fn store_noted(&self, entries: &mut Vec<Entry>, notes: &mut Vec<Note>) {
        if !entries.is_empty() {
            self.shared.store.append_noted(std::mem::take(entries), std::mem::take(notes));
        }
    }

    fn execute(&self, effect: Effect, entries: &mut Vec<Entry>, market: &mut Market, now: Moment) {
        match effect {
            Effect::Assign(assignment) => self.assign(*assignment, now),
            Effect::Cancel { job, lease, session } => {
                self.order(session, Order::Cancel(Cancel { job, lease }));
            }
            Effect::Lost { job, lease } => {
                let usage = self.stream(job).map(|stream| stream.usage()).unwrap_or_default();
                market.fail(now, job, lease, FailCode::Cut, String::new(), usage);
            }
            Effect::Record(entry) => entries.push(entry),
            Effect::Visited(visit) => self.shared.store.visited(visit),
            Effect::Settled { job, receipt, tier, session, complete, discrepancy } => {
                self.settled(job, receipt, tier, session, complete, discrepancy);
            }
            Effect::Ended { job, end } => self.ended(job, end),
            Effect::Renewal { account, renews_for } => self.shared.store.renew(account, renews_for),
            Effect::Close { session, reason } => {
                // Who is suspended has no socket to hear of it.
                let code = match reason {
                    CloseReason::Replaced => close::REPLACED,
                    CloseReason::Revoked => close::REVOKED,
                    CloseReason::TimedOut | CloseReason::Expired => close::TIMED_OUT,
                };
                self.order(session, Order::Close(code));
                self.shared.sessions.remove(&session);
            }
        }
    }

    fn assign(&self, assignment: Assignment, now: Moment) {
        // A session or stream that is gone is about to tell the market so itself.
        let Some(stream) = self.stream(assignment.job) else { return };
        let Some(face) = self.face(assignment.session) else { return };
        let lease = assignment.lease;
        stream.assign(assignment, face.outbox.clone(), now);
        face.outbox.push(Order::Start(stream, lease));
    }

    /// Tells page and owner of a charge, once it is durable.
    fn settled(
        &self,
        job: JobId,
        receipt: Receipt,
        tier: Tier,
        session: Option<SessionId>,
        complete: bool,
        discrepancy: bool,
    ) {
        telemetry::settled(&receipt, complete, discrepancy);
        let stream = self.stream(job);
        if discrepancy && let Some(found) = stream.as_ref().and_then(|s| Discrepancy::of(s, receipt.at)) {
            telemetry::disagreed(&found);
            self.shared.store.note(found);
        }
        if complete {
            self.shared.streams.remove(&job);
        }
        if let Some(stream) = &stream
            && let (Payer::Page(_), true) = (stream.work.payer, receipt.charge > Nanos::ZERO)
        {
            self.shared.store.keep_prints(receipt.at, stream.prints());
        }
        let outbox = session.and_then(|session| self.face(session)).map(|face| face.outbox);
        self.shared.store.then(move || {
            if let Some(outbox) = outbox {
                outbox.push(Order::Settled(Box::new(Settled {
                    job,
                    earned: receipt.earned,
                    prompt_tokens: receipt.prompt_tokens,
                    answer_tokens: receipt.answer_tokens,
                    at: receipt.at,
                })));
            }
            if let Some(stream) = stream {
                stream.settled(receipt, tier, complete);
            }
        });
    }

    fn ended(&self, job: JobId, end: End) {
        let Some((_, stream)) = self.shared.streams.remove(&job) else { return };
        match end {
            End::Refused(refusal) => {
                telemetry::refused(refusal.code());
                stream.refused(refusal);
            }
            // Behind the charge for what was delivered.
            End::Failed { code, detail } => {
                telemetry::failed(code);
                self.shared.store.then(move || stream.failed(code, detail));
            }
        }
    }

    fn stream(&self, job: JobId) -> Option<Arc<Stream>> {
        self.shared.streams.get(&job).map(|stream| Arc::clone(&stream))
    }

    fn order(&self, session: SessionId, order: Order) {
        if let Some(face) = self.face(session) {
            face.outbox.push(order);
        }
    }
}

/// Why the desk takes no job.
#[derive(Debug)]
pub enum Denial {
    /// The market's reason.
    Refused(Refusal),
    /// The store cannot keep money safe now.
    StoreDown,
    /// An audit has found the book wrong.
    BookWrong,
}
