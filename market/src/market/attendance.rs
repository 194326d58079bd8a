//! Attendance: sessions that come, change, fall silent and go.

use std::collections::HashSet;

use rekursing_protocol::{
    AccountId, JobId, Moment, PluginId, Serves, SessionId, Span, Topics,
    frame::{Heartbeat, Inventory},
    offer::OFFERS_MAX,
};

use super::Market;
use crate::{
    effect::{CloseReason, Effect},
    refusal::Refusal,
    session::{Session, Stock},
    shelf::StockRef,
};

impl Market {
    /// A provider's session is there that is in no visitor's network: [`Market::join_from`] without one.
    pub fn join(&mut self, now: Moment, session: SessionId, plugin: PluginId, inventory: Inventory) {
        self.join_from(now, session, plugin, None, inventory);
    }

    /// A session is a server of the operator's own.
    pub fn own(&mut self, session: SessionId) {
        if let Some(&at) = self.by_session.get(&session) {
            self.session_mut(at).is_upstream = true;
        }
    }

    /// A plugin's session is there, in a network that is known by the number of its visitors: it gives them no
    /// free answers. An older one of the same plugin is closed; what it had goes on with
    /// this one or elsewhere, or is lost like on [`Market::leave`].
    pub fn join_from(
        &mut self,
        now: Moment,
        session: SessionId,
        plugin: PluginId,
        network: Option<u64>,
        inventory: Inventory,
    ) {
        if self.by_session.contains_key(&session) {
            self.restock(now, session, inventory);
            return;
        }
        let orphans = self.by_plugin.get(&plugin).copied().map(|older| {
            let older_session = self.session(older).id;
            self.effects.push(Effect::Close { session: older_session, reason: CloseReason::Replaced });
            self.remove(older)
        });
        let keepsake = self.departed.take(plugin);
        self.arrivals += 1;
        let at = self.places_free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            u32::try_from(self.sessions.len() - 1).expect("sessions stay below 2³²")
        });
        self.wakes.extend(keepsake.breaker.parked_until().map(|until| (until, at)));
        self.wakes.extend((keepsake.resting_until > now).then_some((keepsake.resting_until, at)));
        self.sessions[at as usize] = Some(Session {
            id: session,
            plugin,
            is_upstream: false,
            network,
            account: self.groups.owner_of(plugin),
            since: now,
            arrival: self.arrivals,
            alive: now,
            is_suspect: false,
            suspended_until: None,
            is_paused: false,
            paused_until: None,
            group: self.groups.of_plugin(plugin),
            group_ask: self.groups.ask_of(plugin),
            serves: Serves::default(),
            refuses: Topics::NONE,
            slots: 0,
            queue: 0,
            resting_until: keepsake.resting_until,
            breaker: keepsake.breaker.clone(),
            reliability: keepsake.reliability,
            standing: self.standings.of(plugin),
            stocks: Vec::new(),
            jobs: Vec::new(),
        });
        self.by_session.insert(session, at);
        self.by_plugin.insert(plugin, at);
        self.stock(at, inventory, |model| keepsake.speed(model));
        self.session_mut(at).breaker.wake(now);
        self.reindex(now, at);
        self.abandon(now, orphans.unwrap_or_default());
        self.serve(now, at);
    }

    /// What a session offers has changed. Jobs that run keep their terms.
    pub fn restock(&mut self, now: Moment, session: SessionId, inventory: Inventory) {
        let Some(at) = self.by_session.get(&session).copied() else { return };
        let before = self.clear(now, at);
        self.stock(at, inventory, |model| {
            let known = before.iter().find(|stock| stock.offer.model == model);
            known.map(|stock| stock.speed).unwrap_or_default()
        });
        self.note_life(now, at);
        self.serve_freed(now, Some(at));
    }

    /// A session lives, and says how many requests wait at its server.
    pub fn heartbeat(&mut self, now: Moment, session: SessionId, beat: &Heartbeat) {
        let Some(at) = self.by_session.get(&session).copied() else { return };
        self.session_mut(at).queue = beat.queue;
        self.note_life(now, at);
        self.serve_freed(now, Some(at));
    }

    /// A session is gone. Jobs whose answer has not begun go elsewhere; for the others an
    /// [`Effect::Lost`] asks the shell what was delivered.
    pub fn leave(&mut self, now: Moment, session: SessionId) {
        let Some(at) = self.by_session.get(&session).copied() else { return };
        let orphans = self.remove(at);
        self.abandon(now, orphans);
    }

    /// A plugin may not come any more. Its session is closed like on [`Market::leave`].
    pub fn expel(&mut self, now: Moment, plugin: PluginId) {
        let Some(at) = self.by_plugin.get(&plugin).copied() else { return };
        let session = self.session(at).id;
        self.effects.push(Effect::Close { session, reason: CloseReason::Revoked });
        self.leave(now, session);
    }

    /// The socket of a session is lost, and its plugin may be back soon. Until [`Market::resume`] it gets no
    /// job; those whose answer has begun wait for it, and the others go elsewhere, or to the queue where
    /// nobody else can have them. A session without a job leaves, and so does one for which there is no room.
    /// Returns whether it is suspended.
    pub fn suspend(&mut self, now: Moment, session: SessionId) -> bool {
        let Some(at) = self.by_session.get(&session).copied() else { return false };
        let may_wait = !self.is_draining
            && self.terms.resume_within > Span::ZERO
            && self.suspended < self.terms.suspended_max;
        if !may_wait || self.session(at).jobs.is_empty() {
            self.leave(now, session);
            return false;
        }
        self.suspended += 1;
        self.session_mut(at).suspended_until = Some(now + self.terms.resume_within);
        let jobs = self.session(at).jobs.iter().copied();
        let begun: HashSet<JobId> = jobs.filter(|job| self.has_begun(*job)).collect();
        let orphans = self.detach(at, |job, _| begun.contains(&job));
        self.reindex(now, at);
        self.abandon(now, orphans);
        true
    }

    /// A plugin is a page's own from now on, or nobody's: it serves its own page no more, since nobody is paid
    /// for answering himself. The page is in the plugin's group.
    pub fn pair(&mut self, plugin: PluginId, account: Option<AccountId>) {
        self.groups.pair(plugin, account);
        if let Some(at) = self.by_plugin.get(&plugin).copied() {
            self.session_mut(at).account = account;
        }
    }

    /// A session comes from another network than it did, see [`Market::join_from`].
    pub fn relocate(&mut self, session: SessionId, network: Option<u64>) {
        if let Some(at) = self.by_session.get(&session).copied() {
            self.session_mut(at).network = network;
        }
    }

    /// The plugin of a session is back on another socket. Jobs with which it goes on, told by job and lease,
    /// stay; the others go elsewhere or are lost like on [`Market::leave`]. Returns `false` when the session
    /// is gone.
    pub fn resume(
        &mut self,
        now: Moment,
        session: SessionId,
        inventory: Inventory,
        goes_on: impl FnMut(JobId, u32) -> bool,
    ) -> bool {
        let Some(at) = self.by_session.get(&session).copied() else { return false };
        if self.session_mut(at).suspended_until.take().is_some() {
            self.suspended -= 1;
        }
        let orphans = self.detach(at, goes_on);
        self.restock(now, session, inventory);
        self.abandon(now, orphans);
        true
    }

    /// Looks at what only time brings about: queue deadlines, silent sessions, parked ones whose time is
    /// over. Called about once a second, in time that grows with the number of sessions.
    pub fn tick(&mut self, now: Moment) {
        self.wake(now);
        self.release_due(now);
        self.renew_due(now);
        self.close_day(now);
        self.reprice(now);
        self.paces.forget(now);
        for at in 0..self.sessions.len() {
            let Some(session) = &self.sessions[at] else { continue };
            let at = u32::try_from(at).expect("sessions stay below 2³²");
            let id = session.id;
            if let Some(until) = session.suspended_until {
                if until <= now {
                    self.expire(now, id);
                }
            } else if now.since(session.alive) >= self.terms.dead_after {
                self.effects.push(Effect::Close { session: id, reason: CloseReason::TimedOut });
                self.leave(now, id);
            } else if session.is_silent(&self.terms, now) && !session.is_suspect {
                self.session_mut(at).is_suspect = true;
                self.reindex(now, at);
            }
        }
        while let Some((_, job)) = self.queue.first_key_value().map(|(number, job)| (*number, *job)) {
            let waiting = &self.jobs[&job];
            if waiting.deadline > now {
                break;
            }
            let waited = now.since(waiting.submitted);
            self.refuse_waiting(now, job, Refusal::QueueTimeout { waited });
        }
    }

    /// Waits no longer for any session that is suspended.
    pub(super) fn expire_all(&mut self, now: Moment) {
        let suspended = self.sessions.iter().flatten().filter(|session| session.is_suspended());
        let ids: Vec<SessionId> = suspended.map(|session| session.id).collect();
        for id in ids {
            self.expire(now, id);
        }
    }

    fn expire(&mut self, now: Moment, session: SessionId) {
        self.effects.push(Effect::Close { session, reason: CloseReason::Expired });
        self.leave(now, session);
    }

    /// Lets sessions whose parking or rest is over take jobs again.
    pub(super) fn wake(&mut self, now: Moment) {
        while let Some((until, at)) = self.wakes.first().copied() {
            if until > now {
                return;
            }
            self.wakes.pop_first();
            // The place may be another session's meanwhile, which looking at does not harm.
            if let Some(session) = &mut self.sessions[at as usize] {
                session.breaker.wake(now);
                self.serve_freed(now, Some(at));
            }
        }
    }

    /// Notes a sign of life.
    pub(super) fn note_life(&mut self, now: Moment, at: u32) {
        let session = self.session_mut(at);
        session.alive = session.alive.max(now);
        if session.is_suspect {
            session.is_suspect = false;
            self.serve_freed(now, Some(at));
        }
    }

    /// Puts a session's offers on the shelves. Of two of the same model the first counts.
    fn stock(&mut self, at: u32, inventory: Inventory, speed: impl Fn(&str) -> crate::record::Speed) {
        let mut seen = HashSet::new();
        let mut stocks = Vec::with_capacity(inventory.offers.len().min(OFFERS_MAX));
        for offer in inventory.offers.into_iter().take(OFFERS_MAX) {
            if !seen.insert(offer.model.clone()) {
                continue;
            }
            let shelves = self.shelves.shelves_of(&offer.model, offer.kind);
            let stock = u16::try_from(stocks.len()).expect("offers of a session are limited");
            for shelf in shelves.into_iter().flatten() {
                self.shelves.at_mut(shelf).members.insert(StockRef { session: at, stock });
            }
            let busy = self.running(at, &offer.model);
            let speed = speed(&offer.model);
            let ask = self.ask(offer.price, &speed, shelves);
            stocks.push(Stock { offer: self.catalog.share(offer), shelves, busy, speed, ask, open: None });
        }
        stocks.shrink_to_fit();
        let session = self.session_mut(at);
        session.stocks = stocks;
        session.slots = inventory.slots.max(1);
        session.is_paused = inventory.paused;
        session.paused_until = inventory.paused_until.filter(|_| inventory.paused);
        session.serves = inventory.serves;
        let before = std::mem::replace(&mut session.refuses, inventory.refuses);
        self.count_refusing(before, inventory.refuses);
    }

    /// Counts the sessions that refuse something.
    fn count_refusing(&mut self, before: Topics, after: Topics) {
        self.refusing += usize::from(!after.is_empty());
        self.refusing -= usize::from(!before.is_empty());
    }

    /// Returns how many jobs of a model run on a session.
    fn running(&self, at: u32, model: &str) -> u16 {
        let of_model = |job: &&JobId| self.offer_of(**job).is_some_and(|offer| offer.model == model);
        u16::try_from(self.session(at).jobs.iter().filter(of_model).count()).unwrap_or(u16::MAX)
    }

    /// Takes a session's offers off the shelves.
    fn clear(&mut self, now: Moment, at: u32) -> Vec<Stock> {
        self.session_mut(at).slots = 0;
        self.reindex(now, at);
        let stocks = std::mem::take(&mut self.session_mut(at).stocks);
        for (stock_at, stock) in stocks.iter().enumerate() {
            let stock_at = u16::try_from(stock_at).expect("offers of a session are limited");
            for shelf in stock.shelves.into_iter().flatten() {
                self.shelves.at_mut(shelf).members.remove(&StockRef { session: at, stock: stock_at });
                self.shelves.tidy(shelf);
            }
        }
        stocks
    }

    /// Takes those jobs from a session with which it does not go on, and returns them.
    fn detach(&mut self, at: u32, mut goes_on: impl FnMut(JobId, u32) -> bool) -> Vec<JobId> {
        let jobs = std::mem::take(&mut self.session_mut(at).jobs);
        let (kept, orphans): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| goes_on(*job, self.jobs[job].lease));
        let models: Vec<_> = orphans.iter().filter_map(|job| self.offer_of(*job)).collect();
        let session = self.session_mut(at);
        session.jobs = kept;
        for offer in models {
            if let Some(stock) = session.stock_mut(&offer.model) {
                stock.busy = stock.busy.saturating_sub(1);
            }
        }
        if !orphans.is_empty() {
            session.breaker.released();
            session.reliability.dropped();
        }
        orphans
    }

    /// Forgets a session and returns the jobs that it had.
    fn remove(&mut self, at: u32) -> Vec<JobId> {
        let stocks = self.clear(Moment::default(), at);
        let mut session = self.sessions[at as usize].take().expect("it was just cleared");
        self.places_free.push(at);
        self.by_session.remove(&session.id);
        self.by_plugin.remove(&session.plugin);
        self.suspended -= usize::from(session.is_suspended());
        self.count_refusing(session.refuses, Topics::NONE);
        let jobs = std::mem::take(&mut session.jobs);
        if !jobs.is_empty() {
            session.reliability.dropped();
        }
        session.stocks = stocks;
        self.departed.keep(&self.terms, session);
        jobs
    }
}
