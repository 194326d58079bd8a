//! The market itself: sessions, jobs, the queue and the book, and every call that changes them.
//!
//! The shell calls from one place at a time, passes the present moment, which never runs backwards, and
//! after each call takes the [`Effect`]s and executes them in their order.

mod answering;
mod asks;
mod attendance;
mod disputes;
mod estimates;
mod grouping;
mod outlook;
mod placing;
mod premium;
mod upkeep;
mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rekursing_protocol::{
    AccountId, GroupId, JobId, KeyId, Moment, Nanos, PluginId, Price, Pricing, SessionId, Span,
    outlook::Wanted,
};

use crate::{
    demand::Demand,
    effect::{Effect, End},
    free::Lengths,
    groups::{Group, Groups},
    holdback::{HeldBack, Patronage, Standings},
    job::{Job, Run, State},
    ledger::{
        Account, Book, BookRefusal, Borne, CorrectionRefusal, Entry, EntryKind, Posting, Reclaimed, Settle,
    },
    meter::Usage,
    outcome::Outcomes,
    pace::Paces,
    premium::{Premium, Premiums},
    pricing,
    purse::{Charged, Purses, Taken},
    random::Random,
    refusal::Refusal,
    request::{Payer, Request},
    session::{Catalog, Departed, Session},
    shelf::{ShelfId, Shelves},
    terms::Terms,
    visitors::{Visit, Visitors},
    volume::Volumes,
};

/// Sessions, offers, jobs, the queue and the book.
#[derive(Debug)]
pub struct Market {
    terms: Terms,
    book: Book,
    purses: Purses,
    random: Random,
    effects: Vec<Effect>,
    is_draining: bool,
    /// How far the moments that are told may be ahead of the time.
    lag: Span,

    /// Sessions by their place, which is free again when one leaves.
    sessions: Vec<Option<Session>>,
    places_free: Vec<u32>,
    by_session: HashMap<SessionId, u32>,
    by_plugin: HashMap<PluginId, u32>,
    /// How many sessions are suspended.
    suspended: usize,
    /// How many sessions refuse something.
    refusing: usize,
    arrivals: u64,
    shelves: Shelves,
    catalog: Catalog,
    departed: Departed,
    /// When parked and resting sessions are to be looked at again.
    wakes: BTreeSet<(Moment, u32)>,

    jobs: HashMap<JobId, Job>,
    numbers: u64,
    /// Waiting jobs by their number, so oldest first.
    queue: BTreeMap<u64, JobId>,
    visitors: Visitors,
    free_lengths: Lengths,
    lengths: Lengths,
    /// The UTC day in which what is done once a day was looked at last.
    closed_on: Option<u64>,
    volumes: Volumes,
    standings: Standings,
    held_back: HeldBack,
    /// Jobs whose disputes are undecided.
    disputed: HashSet<JobId>,
    premiums: Premiums,
    groups: Groups,
    demand: Demand,
    paces: Paces,
    outcomes: Outcomes,
    /// The models on offer that were asked for most, as of the last look at the medians.
    wanted: Vec<Wanted>,
    /// What is asked for models of each class that somebody follows, and as of when.
    medians: HashMap<ShelfId, Price>,
    priced_at: Moment,
    /// The families among which a model is chosen, and as of when.
    widest: Option<(Moment, Vec<ShelfId>)>,
    tally: Tally,
}

/// What prices, fees and holding back depend on, as a store knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Charges of this UTC month, by owner who earned them and by page that paid them.
    pub volumes: Vec<(Account, Nanos)>,
    /// What pages have paid owners, as far as it counts for trust.
    pub patronage: Vec<Patronage>,
    /// What is held back of whom, and until when.
    pub held_back: Vec<(PluginId, Moment, Nanos)>,
    /// Jobs whose disputes are undecided.
    pub disputed: Vec<JobId>,
    /// Accounts whose premium lasts or has just ended.
    pub premiums: Vec<(AccountId, Premium)>,
    /// Groups of friends.
    pub groups: Vec<(GroupId, Group)>,
}

/// What happened since the start.
#[derive(Debug, Default)]
struct Tally {
    completed: u64,
    failed: u64,
    refused: u64,
    cancelled: u64,
    retries: u64,
}

impl Market {
    /// Makes a market without sessions over a restored book. Equal seeds and equal calls give equal
    /// effects.
    pub fn new(terms: Terms, book: Book, seed: u64) -> Market {
        Market {
            terms,
            book,
            purses: Purses::default(),
            random: Random::new(seed),
            effects: Vec::new(),
            is_draining: false,
            lag: Span::ZERO,
            sessions: Vec::new(),
            places_free: Vec::new(),
            by_session: HashMap::new(),
            by_plugin: HashMap::new(),
            suspended: 0,
            refusing: 0,
            arrivals: 0,
            shelves: Shelves::default(),
            catalog: Catalog::default(),
            departed: Departed::default(),
            wakes: BTreeSet::new(),
            jobs: HashMap::new(),
            numbers: 0,
            queue: BTreeMap::new(),
            visitors: Visitors::default(),
            free_lengths: Lengths::default(),
            lengths: Lengths::default(),
            closed_on: None,
            volumes: Volumes::default(),
            standings: Standings::default(),
            held_back: HeldBack::default(),
            disputed: HashSet::new(),
            premiums: Premiums::default(),
            groups: Groups::default(),
            demand: Demand::default(),
            paces: Paces::default(),
            outcomes: Outcomes::default(),
            wanted: Vec::new(),
            medians: HashMap::new(),
            priced_at: Moment(0),
            widest: None,
            tally: Tally::default(),
        }
    }

    /// Takes over what a store knows of the time before. Called once, before anything else.
    pub fn recall(&mut self, now: Moment, history: History) {
        self.volumes.recall(now, history.volumes);
        for paid in history.patronage {
            self.standings.add(&self.terms, paid);
        }
        for (owner, release_at, amount) in history.held_back {
            self.held_back.add(release_at, owner, amount);
        }
        self.disputed.extend(history.disputed);
        for (account, premium) in history.premiums {
            self.premiums.put(account, premium);
        }
        for (id, group) in history.groups {
            self.groups.restore(id, group);
        }
    }

    /// Voids the holds of jobs that died with an earlier process. Running it again changes nothing.
    pub fn recover(&mut self, now: Moment) {
        let mut orphans: Vec<JobId> = self
            .book
            .open_holds()
            .map(|(job, _, _)| job)
            .filter(|job| !self.jobs.contains_key(job))
            .collect();
        orphans.sort_unstable();
        for job in orphans {
            self.void(now, job);
        }
    }

    /// Notes what a key with a budget, and those made with it, had spent before the start.
    pub fn restore_key(&mut self, key: KeyId, taken: Taken) {
        self.purses.restore(key, taken);
    }

    /// Notes how many free answers a visitor had before the start.
    pub fn restore_visit(&mut self, now: Moment, visit: Visit) {
        self.visitors.restore(&self.terms, now, visit);
    }

    /// Takes a page's request. When it is accepted, the job is assigned ([`Effect::Assign`]) or waits,
    /// and ends exactly once: by [`Effect::Settled`], [`Effect::Ended`], both in this order when the
    /// answer broke off, or by [`Market::cancel`].
    pub fn submit(&mut self, now: Moment, request: Request) -> Result<(), Refusal> {
        self.wake(now);
        let admitted = self.admit(now, request);
        if admitted.is_err() {
            self.tally.refused += 1;
        }
        admitted
    }

    fn admit(&mut self, now: Moment, request: Request) -> Result<(), Refusal> {
        if self.is_draining {
            return Err(Refusal::Draining);
        }
        if self.jobs.contains_key(&request.job) || self.book.knows(request.job) {
            return Err(Refusal::DuplicateJob);
        }
        let visit = match request.payer {
            Payer::Page(_) => None,
            // It is a part of an answer that counts already.
            Payer::Free { .. } if request.is_continuation() => None,
            Payer::Free { visitor } => Some(self.visitors.take(&self.terms, now, visitor)?),
        };
        // What friends ask of each other is no demand of the market's, and may cost them nothing.
        if !request.is_continuation() && self.groups.of_payer(request.payer).is_empty() {
            self.demand.asked(now, &request);
        }
        self.numbers += 1;
        let job = Job {
            number: self.numbers,
            submitted: now,
            deadline: now + self.terms.queue_wait,
            quota_day: visit.map(|visit| visit.day),
            held: None,
            lease: 0,
            retries: 0,
            excluded: request.left_by.clone(),
            suspects: Vec::new(),
            doubted: false,
            state: State::Unplaced,
            request,
        };
        match self.place(now, job) {
            Ok(()) => {
                self.effects.extend(visit.map(Effect::Visited));
                Ok(())
            }
            Err(unplaced) => {
                let (_, refusal) = *unplaced;
                // Nothing was kept of it.
                visit.map(|Visit { day, visitor, .. }| self.visitors.give_back(day, visitor));
                Err(refusal)
            }
        }
    }

    /// The page is gone: the session is told to stop, what was delivered is charged, and a hold for
    /// nothing is given back. The job ends with this call. A free job that a session has counts against
    /// its visitor's quota even when nothing was delivered: the prompt may have been processed, and who
    /// leaves again and again must not have that for ever.
    pub fn cancel(&mut self, now: Moment, job: JobId, usage: Usage) {
        let Some(mut job) = self.jobs.remove(&job) else { return };
        self.tally.cancelled += 1;
        match std::mem::replace(&mut job.state, State::Unplaced) {
            State::Unplaced => {}
            State::Waiting { shelf } => {
                self.unqueue(shelf, job.number);
                self.forgive(now, &job);
            }
            State::Running(run) => {
                if run.at.is_some() {
                    let (job, lease, session) = (job.request.job, job.lease, run.session);
                    self.effects.push(Effect::Cancel { job, lease, session });
                }
                let freed = self.release(&job, &run);
                if let Some(at) = freed {
                    self.session_mut(at).breaker.released();
                    if run.group.is_none() {
                        self.measure(now, at, &run, &usage);
                    }
                }
                if run.at.is_some() {
                    job.quota_day = None;
                }
                self.charge_or_forgive(now, &job, &run, &usage, false);
                self.serve_freed(now, freed);
            }
        }
    }

    /// The moments that are told may be so far ahead of the time, because a clock has leapt: until that is over,
    /// what is held back waits as much longer.
    pub fn doubt(&mut self, lag: Span) {
        self.lag = lag;
    }

    /// Takes no new jobs and refuses those that wait. What runs may end; nobody waits for sessions that are
    /// suspended.
    pub fn drain(&mut self, now: Moment) {
        self.is_draining = true;
        self.expire_all(now);
        let waiting: Vec<JobId> = self.queue.values().copied().collect();
        for job in waiting {
            self.refuse_waiting(now, job, Refusal::Draining);
        }
    }

    /// Credits a payment, see [`Book::pay_in`]: each entry that does so is to be stored.
    pub fn pay_in(
        &mut self,
        now: Moment,
        id: &str,
        to: Account,
        amount: Nanos,
        cost: Nanos,
        note: &str,
    ) -> Result<(), BookRefusal> {
        let made = self.book.pay_in(now, id, to, amount, cost, note)?;
        made.into_iter().for_each(|entry| self.record(entry));
        Ok(())
    }

    /// Gives a payment back, see [`Book::pay_back`]: each entry that does so is to be stored. Returns what
    /// nobody had.
    pub fn pay_back(
        &mut self,
        now: Moment,
        id: &str,
        from: Account,
        amount: Nanos,
        note: &str,
    ) -> Result<Nanos, BookRefusal> {
        let Reclaimed { entries, uncovered } = self.book.pay_back(now, id, from, amount, note)?;
        entries.into_iter().for_each(|entry| self.record(entry));
        Ok(uncovered)
    }

    /// Takes over that a payment is here again, see [`Book::bring_back`]: each entry that does so is to be stored.
    pub fn bring_back(
        &mut self,
        now: Moment,
        id: &str,
        to: Account,
        amount: Nanos,
        borne: Borne,
        note: &str,
    ) -> Result<(), BookRefusal> {
        let made = self.book.bring_back(now, id, to, amount, borne, note)?;
        made.into_iter().for_each(|entry| self.record(entry));
        Ok(())
    }

    /// Lets an account pay again what others have borne for it, see [`Book::repay`]: each entry that does so is
    /// to be stored. Returns how much it was.
    pub fn repay(
        &mut self,
        now: Moment,
        id: &str,
        from: Account,
        most: Nanos,
        borne: Borne,
        note: &str,
    ) -> Result<Nanos, BookRefusal> {
        let made = self.book.repay(now, id, from, most, borne, note)?;
        let repaid = Nanos::new(-moved_to(from, &made).get());
        made.into_iter().for_each(|entry| self.record(entry));
        Ok(repaid)
    }

    /// Takes an entry back, see [`Book::correct`]: each entry that does so is to be stored. What goes back of
    /// a charge goes back to the budgets of the key that paid it, and counts neither for the month's volumes
    /// nor for trust any more; what a premium had paid for ends. Returns what whoever paid a charge has again.
    pub fn correct(
        &mut self,
        now: Moment,
        entry: &Entry,
        charged: Option<&Charged>,
        reason: &str,
    ) -> Result<Nanos, CorrectionRefusal> {
        if let EntryKind::Settle(settle) = &entry.kind
            && self.disputed.contains(&settle.job)
        {
            return Err(CorrectionRefusal::Disputed);
        }
        let made = self.book.correct(now, entry, reason)?;
        Ok(self.corrected(now, entry, charged, made))
    }

    /// Takes over what took an entry back.
    fn corrected(
        &mut self,
        now: Moment,
        entry: &Entry,
        charged: Option<&Charged>,
        made: Vec<Entry>,
    ) -> Nanos {
        let mut given = Nanos::ZERO;
        if let EntryKind::Settle(settle) = &entry.kind {
            self.forget_charge(now, entry.at, settle, &made);
            given = moved_to(settle.payer, &made);
        }
        if let Some(charged) = charged {
            self.purses.give_back(now, charged, moved_to(charged.payer, &made));
        }
        made.into_iter().for_each(|entry| self.record(entry));
        self.end_premium_of(entry);
        given
    }

    /// Lets a charge that was given back count for nothing any more.
    fn forget_charge(&mut self, now: Moment, charged: Moment, settle: &Settle, made: &[Entry]) {
        let given = moved_to(settle.payer, made);
        for account in [Account::Owner(settle.owner), settle.payer] {
            self.volumes.take_back(now, charged, account, given);
        }
        let withheld = moved_to(Account::Held(settle.owner), made);
        self.held_back.take(settle.owner, Nanos::new(-withheld.get()));
        if let Account::Page(page) = settle.payer
            && settle.charge >= self.terms.trusted_charge_min.max(Nanos::new(1))
        {
            self.standings.take_back(settle.owner, page);
            let standing = self.standings.of(settle.owner);
            if let Some(at) = self.by_plugin.get(&settle.owner).copied() {
                self.session_mut(at).standing = standing;
            }
        }
    }

    /// Takes the effects since the last time, in their order.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Returns the book.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Returns the book, for grants. Holds are the market's own to make and to resolve.
    pub const fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// Returns the terms.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    fn session(&self, at: u32) -> &Session {
        self.sessions[at as usize].as_ref().expect("places of sessions are forgotten when they leave")
    }

    fn session_mut(&mut self, at: u32) -> &mut Session {
        self.sessions[at as usize].as_mut().expect("places of sessions are forgotten when they leave")
    }

    fn record(&mut self, entry: Entry) {
        self.effects.push(Effect::Record(entry));
    }

    /// Ends a job of which nothing was delivered.
    fn refuse(&mut self, now: Moment, job: &Job, refusal: Refusal) {
        self.tally.refused += 1;
        self.forgive(now, job);
        self.effects.push(Effect::Ended { job: job.request.job, end: End::Refused(refusal) });
    }

    /// Gives back what a job took: its hold and its part of the free quota.
    fn forgive(&mut self, now: Moment, job: &Job) {
        if let Some(held) = job.held {
            self.void(now, job.request.job);
            self.purses.resolve(now, job.request.spender.as_deref(), held, Nanos::ZERO);
        }
        self.give_quota_back(job);
    }

    fn void(&mut self, now: Moment, job: JobId) {
        let entry = self.book.void(now, job).expect("a hold is open until its job ends, which is once");
        self.record(entry);
    }

    fn give_quota_back(&mut self, job: &Job) {
        if let (Some(day), Payer::Free { visitor }) = (job.quota_day, job.request.payer) {
            self.effects.extend(self.visitors.give_back(day, visitor).map(Effect::Visited));
        }
    }

    /// Takes a job from its session, and returns the session's place if it is still there.
    fn release(&mut self, job: &Job, run: &Run) -> Option<u32> {
        let at = run.at?;
        let session = self.session_mut(at);
        session.jobs.retain(|other| *other != job.request.job);
        if let Some(stock) = session.stock_mut(&run.offer.model) {
            stock.busy = stock.busy.saturating_sub(1);
        }
        Some(at)
    }

    /// Measures how fast an answer came.
    fn measure(&mut self, now: Moment, at: u32, run: &Run, usage: &Usage) {
        let session = self.sessions[at as usize].as_mut();
        if let Some(stock) = session.and_then(|session| session.stock_mut(&run.offer.model)) {
            stock.speed.measure(&self.terms, usage);
            self.paces.measure(&self.terms, now, &stock.offer.model, usage);
            if let Some(hourly @ Pricing::Hourly { .. }) = stock.offer.price {
                stock.ask = pricing::ask(&self.terms, Some(hourly), &stock.speed, None);
            }
        }
    }
}

/// Returns what entries have brought an account, less what they have taken from it.
fn moved_to(account: Account, entries: &[Entry]) -> Nanos {
    let moved = entries.iter().flat_map(Entry::postings).map(|Posting { debit, credit, amount }| {
        let amount = amount.get();
        i64::from(credit == account) * amount - i64::from(debit == account) * amount
    });
    Nanos::new(moved.sum())
}

#[cfg(test)]
pub(crate) mod tests;
