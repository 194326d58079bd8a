//! Placing: from a job to a session, or to the queue, or to a refusal.

use rekursing_protocol::{JobId, Moment, Nanos};

use super::Market;
use crate::{
    effect::{Assignment, Effect},
    job::{Job, Run, State},
    ledger::Quote,
    matching::{self, Fit, Miss, Need},
    purse::Room,
    record::{rounded, whole},
    refusal::Refusal,
    request::{Payer, Request},
    routing::{Routing, Sort},
    session::{Session, Stock},
    shelf::{Place, ShelfId, StockRef},
};

/// Most jobs that are looked at when a session becomes free. Jobs in front that do not fit it could
/// otherwise make every sign of life cost as much as the whole queue.
const LOOKS_MAX: usize = 512;

/// The queue's part that one payer may fill: one in this many places.
const PAYER_SHARE: usize = 4;

/// Places in the queue that a payer may fill however short it is.
const PAYER_PLACES_MIN: usize = 16;

/// How many offers a hold may have to cover beside the chosen one.
const COVERED_MAX: usize = 8;

/// How much dearer than the chosen one an offer may be and still be covered by the hold.
const COVERED_TIMES: i64 = 4;

/// Where a job can go.
enum Placement {
    /// There.
    Open(StockRef, Fit),
    /// Somebody fits and is busy: wait for one of this shelf.
    Busy(ShelfId),
}

impl Market {
    /// Finds a session for a job, or lets it wait; or gives it back with the reason why neither can be.
    pub(super) fn place(&mut self, now: Moment, mut job: Job) -> Result<(), Box<(Job, Refusal)>> {
        match self.seek(now, &job) {
            Ok(Placement::Open(at, fit)) => {
                self.assign(now, job, at, fit);
                Ok(())
            }
            Ok(Placement::Busy(shelf)) => match self.may_wait(now, &job) {
                Ok(()) => {
                    job.state = State::Waiting { shelf };
                    self.shelves.at_mut(shelf).waiting.insert(job.number);
                    self.queue.insert(job.number, job.request.job);
                    self.jobs.insert(job.request.job, job);
                    Ok(())
                }
                Err(refusal) => Err(Box::new((job, refusal))),
            },
            Err(refusal) => Err(Box::new((job, refusal))),
        }
    }

    /// Finds a free session for a job, or gives it back.
    pub(super) fn place_at_once(&mut self, now: Moment, job: Job) -> Result<(), Box<Job>> {
        match self.seek(now, &job) {
            Ok(Placement::Open(at, fit)) => {
                self.assign(now, job, at, fit);
                Ok(())
            }
            Ok(Placement::Busy(_)) | Err(_) => Err(Box::new(job)),
        }
    }

    fn may_wait(&self, now: Moment, job: &Job) -> Result<(), Refusal> {
        if self.is_draining {
            return Err(Refusal::Draining);
        }
        if job.deadline <= now {
            return Err(Refusal::QueueTimeout { waited: now.since(job.submitted) });
        }
        // A job that had a session before goes back to its place in the queue, which is never a new one.
        if job.lease == 0 && self.queue.len() >= self.terms.queue_max {
            return Err(Refusal::QueueFull { waiting: self.queue.len() });
        }
        let share = (self.terms.queue_max / PAYER_SHARE).max(PAYER_PLACES_MIN);
        if job.lease == 0 && self.queue.len() >= share {
            let payer = job.request.payer;
            let waiting = self.queue.values().filter(|id| self.jobs[*id].request.payer == payer).count();
            if waiting >= share {
                return Err(Refusal::QueueFull { waiting });
            }
        }
        Ok(())
    }

    /// Returns what a job needs of an offer on a shelf.
    pub(super) fn need<'a>(&self, now: Moment, job: &'a Job, shelf: ShelfId) -> Need<'a> {
        let need = self.need_of(now, &job.request, shelf);
        let room = job.held.map_or(need.room, Room::of);
        Need { excluded: &job.excluded, room, ..need }
    }

    /// Returns what a request needs of an offer on a shelf, of which nothing is held yet and nobody has failed it.
    pub(super) fn need_of<'a>(&self, now: Moment, request: &'a Request, shelf: ShelfId) -> Need<'a> {
        let balance = self.book.balance(request.payer.account()).max(Nanos::ZERO);
        let room = self.purses.room(now, request.spender.as_deref(), balance);
        let free_tokens_expected = self.free_lengths.expected(&self.terms);
        let ceiling = self.ceiling(shelf);
        let groups = self.groups.of_payer(request.payer);
        Need { request, groups, excluded: &[], room, free_tokens_expected, ceiling }
    }

    pub(super) fn fits(&self, now: Moment, need: &Need<'_>, at: StockRef) -> Result<Fit, Miss> {
        let session = self.session(at.session);
        matching::fit(&self.terms, now, need, session, stock_of(session, at))
    }

    pub(super) fn stock_at(&self, at: StockRef) -> &Stock {
        stock_of(self.session(at.session), at)
    }

    fn seek(&mut self, now: Moment, job: &Job) -> Result<Placement, Refusal> {
        let request = &job.request;
        let Some(shelf) = self.shelves.find(&request.model, request.kind) else {
            return Err(matching::nothing_answers(&request.model));
        };
        self.look_at_asks(now, shelf);
        let need = self.need(now, job, shelf);
        let routing = request.routing.as_deref();
        let mut chosen = routing.and_then(|routing| self.favourite(now, &need, shelf, routing, usize::MAX));
        if chosen.is_none() {
            let best = self.drawn_from(now, &need, shelf, usize::MAX);
            chosen = self.draw(best);
        }
        if let Some((place, mut fit)) = chosen {
            if !routing.is_some_and(Routing::is_one_chance) {
                fit.bound = self.cover(now, &self.need(now, job, shelf), shelf, fit.bound);
            }
            return Ok(Placement::Open(place.at, fit));
        }
        let mut misses: Option<Miss> = None;
        for at in &self.shelves.at(shelf).members {
            match self.fits(now, &need, *at) {
                Ok(_) => return Ok(Placement::Busy(shelf)),
                Err(miss) => {
                    misses = Some(match misses {
                        Some(before) => before.or(miss),
                        None => miss,
                    });
                }
            }
        }
        Err(misses.map_or_else(|| matching::nothing_answers(&request.model), |miss| miss.refusal(&need)))
    }

    /// Returns the open offer that the page itself would choose: the first of its order that fits, or else what
    /// comes first by its sort. `None` where it has no wish, or where nobody whom it has named is open. By its sort
    /// so many are compared at most, the best by the market's own measure.
    pub(super) fn favourite(
        &self,
        now: Moment,
        need: &Need<'_>,
        shelf: ShelfId,
        routing: &Routing,
        looks_max: usize,
    ) -> Option<(Place, Fit)> {
        if !routing.is_particular() {
            return None;
        }
        let named = routing.order.iter().flat_map(|plugin| self.open_of(*plugin, shelf));
        let compared = if routing.sort.is_some() { looks_max } else { 0 };
        let open = named.chain(self.shelves.at(shelf).open.iter().copied().take(compared));
        let heard = open.filter(|place| !self.session(place.at.session).is_silent(&self.terms, now));
        let fitting = heard.filter_map(|place| Some((place, self.fits(now, need, place.at).ok()?)));
        let ranked = fitting.filter_map(|(place, fit)| {
            let session = self.session(place.at.session);
            let order = routing.place(session.plugin);
            let sort = routing.sort.map(|sort| match sort {
                Sort::Price => fit.price.sum(),
                Sort::Throughput => {
                    u64::MAX - millionths(stock_of(session, place.at).speed.tokens_per_second(&self.terms))
                }
                Sort::Latency => millionths(stock_of(session, place.at).speed.first_token(&self.terms)),
            });
            (order < routing.order.len() || sort.is_some()).then_some(((order, sort), place, fit))
        });
        ranked.min_by_key(|(rank, place, _)| (*rank, *place)).map(|(_, place, fit)| (place, fit))
    }

    /// Returns the best of these open offers that fit, best first: all loaded or all not, and none that scores
    /// far below the first.
    pub(super) fn best<'a>(
        &self,
        now: Moment,
        need: &Need<'_>,
        places: impl Iterator<Item = &'a Place>,
    ) -> Vec<(Place, Fit)> {
        let choices_max = self.terms.choices_max.max(1);
        let band = whole(self.terms.choices_band_permille) / 1_000.0;
        let mut best: Vec<(Place, Fit)> = Vec::with_capacity(choices_max);
        for place in places {
            if let Some((first, _)) = best.first() {
                let is_far = place.rank.score() < first.rank.score() * band;
                if is_far || place.rank.is_loaded() != first.rank.is_loaded() {
                    break;
                }
            }
            if self.session(place.at.session).is_silent(&self.terms, now) {
                continue;
            }
            if let Ok(fit) = self.fits(now, need, place.at) {
                best.push((*place, fit));
                if best.len() == choices_max {
                    break;
                }
            }
        }
        best
    }

    /// Returns what the hold must be so that another session can take over should this one fail: the
    /// most among the next best offers, unless they are much dearer.
    pub(super) fn cover(&self, now: Moment, need: &Need<'_>, shelf: ShelfId, bound: Quote) -> Quote {
        let request = need.request;
        let usual =
            self.terms.price_default.cost(request.prompt_tokens_max, self.terms.answer_tokens_default);
        let most =
            Nanos::new(bound.amount().get().saturating_mul(COVERED_TIMES)).max(usual.unwrap_or_default());
        let places = self.shelves.at(shelf).open.iter().take(COVERED_MAX);
        let bounds = places.filter_map(|place| Some(self.fits(now, need, place.at).ok()?.bound));
        let covered = bounds.filter(|other| other.amount() <= most);
        covered.fold(bound, |dearest, other| if other.amount() > dearest.amount() { other } else { dearest })
    }

    /// Draws two and takes the better, so that many jobs at once do not all run to the same session.
    fn draw(&mut self, mut best: Vec<(Place, Fit)>) -> Option<(Place, Fit)> {
        if best.len() < 2 {
            return best.pop();
        }
        let (one, other) = self.random.two_below(best.len());
        Some(best.swap_remove(one.min(other)))
    }

    fn assign(&mut self, now: Moment, mut job: Job, at: StockRef, fit: Fit) {
        let id = job.request.job;
        if job.held.is_none() {
            let payer = job.request.payer.account();
            let entry = self.book.hold(now, id, payer, fit.bound).expect("matching has seen to the funds");
            self.record(entry);
            self.purses.hold(now, job.request.spender.as_deref(), fit.bound.amount());
            job.held = Some(fit.bound.amount());
        }
        job.lease += 1;
        let session = self.session_mut(at.session);
        if let Some(routing) = job.request.routing.as_deref_mut().filter(|routing| routing.is_one_chance()) {
            routing.only = vec![session.plugin];
        }
        session.jobs.push(id);
        session.breaker.assigned();
        let stock = &mut session.stocks[usize::from(at.stock)];
        stock.busy += 1;
        let run = Run {
            at: Some(at.session),
            offer: std::sync::Arc::clone(&stock.offer),
            session: session.id,
            plugin: session.plugin,
            group: fit.group,
            ask: fit.ask,
            answer_tokens_max: fit.answer_tokens_max,
            since: now,
            began: false,
        };
        self.effects.push(Effect::Assign(Box::new(Assignment {
            job: id,
            lease: job.lease,
            session: run.session,
            plugin: run.plugin,
            offer: std::sync::Arc::clone(&run.offer),
            tier: job.request.tier,
            price: fit.price,
            answer_tokens_max: fit.answer_tokens_max,
        })));
        job.state = State::Running(run);
        self.jobs.insert(id, job);
        self.reindex(now, at.session);
    }

    /// Gives a session the jobs that waited for it, those of its group first and the oldest of each first.
    pub(super) fn serve(&mut self, now: Moment, at: u32) {
        if self.queue.is_empty() {
            return;
        }
        self.look_at_asks_of(now, at);
        while let Some((job, stock, fit)) = self.next_waiting(now, at) {
            let mut job = self.jobs.remove(&job).expect("the queue holds jobs that wait");
            if let State::Waiting { shelf } = std::mem::replace(&mut job.state, State::Unplaced) {
                self.unqueue(shelf, job.number);
            }
            self.assign(now, job, stock, fit);
        }
    }

    /// Reindexes and serves a session in which something may have become free.
    pub(super) fn serve_freed(&mut self, now: Moment, freed: Option<u32>) {
        if let Some(at) = freed {
            self.reindex(now, at);
            self.serve(now, at);
        }
    }

    fn next_waiting(&self, now: Moment, at: u32) -> Option<(JobId, StockRef, Fit)> {
        let session = self.session(at);
        if session.is_silent(&self.terms, now) {
            return None;
        }
        let fellows = session.group.and_then(|group| {
            self.oldest_waiting(now, at, |payer| self.groups.of_payer(payer).contains(&group))
        });
        fellows.or_else(|| self.oldest_waiting(now, at, |_| true))
    }

    fn oldest_waiting(
        &self,
        now: Moment,
        at: u32,
        counts: impl Fn(Payer) -> bool,
    ) -> Option<(JobId, StockRef, Fit)> {
        let mut oldest: Option<(u64, JobId, StockRef, Fit)> = None;
        let mut looks = 0;
        for (stock_at, stock) in self.session(at).stocks.iter().enumerate() {
            if stock.open.is_none() {
                continue;
            }
            let stock_at = u16::try_from(stock_at).expect("offers of a session are limited");
            let place = StockRef { session: at, stock: stock_at };
            for shelf in stock.shelves.iter().flatten() {
                for number in &self.shelves.at(*shelf).waiting {
                    if looks == LOOKS_MAX || oldest.as_ref().is_some_and(|(before, ..)| before <= number) {
                        break;
                    }
                    let id = self.queue[number];
                    if !counts(self.jobs[&id].request.payer) {
                        continue;
                    }
                    looks += 1;
                    if let Ok(fit) = self.fits(now, &self.need(now, &self.jobs[&id], *shelf), place) {
                        oldest = Some((*number, id, place, fit));
                        break;
                    }
                }
            }
        }
        oldest.map(|(_, job, at, fit)| (job, at, fit))
    }

    /// Takes a job out of the queue.
    pub(super) fn unqueue(&mut self, shelf: ShelfId, number: u64) {
        self.queue.remove(&number);
        self.shelves.at_mut(shelf).waiting.remove(&number);
        self.shelves.tidy(shelf);
    }

    /// Ends a job that waits.
    pub(super) fn refuse_waiting(&mut self, now: Moment, job: JobId, refusal: Refusal) {
        let Some(job) = self.jobs.remove(&job) else { return };
        if let State::Waiting { shelf } = job.state {
            self.unqueue(shelf, job.number);
        }
        self.refuse(now, &job, refusal);
    }

    /// Puts a session's offers where they belong: in the order of trying while they are open, and
    /// nowhere else.
    pub(super) fn reindex(&mut self, now: Moment, at: u32) {
        let session = self.session(at);
        let is_open = session.is_open(now);
        let arrival = session.arrival;
        for stock_at in 0..session.stocks.len() {
            let session = self.session(at);
            let stock = &session.stocks[stock_at];
            let open = (is_open && stock.busy < stock.offer.slots)
                .then(|| crate::shelf::Rank::new(stock.offer.loaded, session.score(&self.terms, now, stock)));
            let (before, shelves) = (stock.open, stock.shelves);
            if before == open {
                continue;
            }
            let stock = u16::try_from(stock_at).expect("offers of a session are limited");
            let place = |rank| Place { rank, arrival, at: StockRef { session: at, stock } };
            for shelf in shelves.into_iter().flatten() {
                let order = &mut self.shelves.at_mut(shelf).open;
                if let Some(rank) = before {
                    order.remove(&place(rank));
                }
                if let Some(rank) = open {
                    order.insert(place(rank));
                }
            }
            self.session_mut(at).stocks[stock_at].open = open;
        }
    }
}

/// Returns the offer at a place.
fn stock_of(session: &Session, at: StockRef) -> &Stock {
    &session.stocks[usize::from(at.stock)]
}

/// A measurement as a whole number, to be put in order.
fn millionths(measured: f64) -> u64 {
    rounded(measured * 1_000_000.0)
}
