//! What is true of a market between any two calls.

use std::collections::{BTreeMap, BTreeSet};

use rekursing_protocol::Moment;

use super::fixture::PAGE;
use crate::{
    Market, Payer, Tier,
    job::State,
    matching::{Need, fit},
    shelf::{Place, StockRef},
};

impl Market {
    /// Panics when something is not as it always is.
    pub(super) fn check_invariants(&self, now: Moment) {
        self.book.audit().unwrap();
        self.check_holds();
        self.check_jobs_of_sessions();
        self.check_suspended();
        self.check_groups();
        self.check_queue();
        self.check_shelves(now);
        self.check_nobody_waits_beside_a_free_slot(now);
    }

    /// Every hold belongs to one live job, and every job that a session has is covered by one.
    fn check_holds(&self) {
        for (job, _, amount) in self.book.open_holds() {
            assert_eq!(self.jobs[&job].held, Some(amount), "{job}");
        }
        for (id, job) in &self.jobs {
            assert_eq!(job.held, self.book.held(*id), "{id}");
            assert!(!matches!(job.state, State::Unplaced), "{id} is nowhere");
            assert!(
                job.held.is_some() || matches!(job.state, State::Waiting { .. }),
                "{id} runs for nothing"
            );
        }
    }

    /// A job that a session has is counted there once, under its model.
    fn check_jobs_of_sessions(&self) {
        let mut counted = BTreeSet::new();
        for (at, session) in self.sessions.iter().enumerate() {
            let Some(session) = session else { continue };
            let mut busy: BTreeMap<&str, u16> = BTreeMap::new();
            for id in &session.jobs {
                assert!(counted.insert(*id), "{id} is in two places");
                let State::Running(run) = &self.jobs[id].state else { panic!("{id} does not run") };
                assert_eq!(run.at, Some(u32::try_from(at).unwrap()));
                *busy.entry(&run.offer.model).or_default() += 1;
            }
            for stock in &session.stocks {
                assert_eq!(stock.busy, busy.get(stock.offer.model.as_str()).copied().unwrap_or(0));
            }
            assert_eq!(self.by_session[&session.id] as usize, at);
            assert_eq!(self.by_plugin[&session.plugin] as usize, at);
        }
        let running =
            self.jobs.iter().filter(|(_, job)| matches!(&job.state, State::Running(run) if run.at.is_some()));
        assert_eq!(running.count(), counted.len());
        let sessions = self.sessions.iter().flatten().count();
        assert_eq!((self.by_session.len(), self.by_plugin.len()), (sessions, sessions));
    }

    /// No more sessions are suspended than may be, and each only for answers that have begun.
    fn check_suspended(&self) {
        let suspended: Vec<_> = self.sessions.iter().flatten().filter(|one| one.is_suspended()).collect();
        assert_eq!(self.suspended, suspended.len());
        assert!(suspended.len() <= self.terms.suspended_max);
        for id in suspended.iter().flat_map(|session| &session.jobs) {
            assert!(self.has_begun(*id), "{id} could go elsewhere");
        }
    }

    /// Every session knows its group, and those that refuse something are counted.
    fn check_groups(&self) {
        for session in self.sessions.iter().flatten() {
            assert_eq!(session.group, self.groups.of_plugin(session.plugin));
        }
        let refusing = self.sessions.iter().flatten().filter(|session| !session.refuses.is_empty());
        assert_eq!(self.refusing, refusing.count());
    }

    /// A job waits in the queue and on its shelf, or in neither.
    fn check_queue(&self) {
        let waiting: Vec<_> = self
            .jobs
            .iter()
            .filter_map(|(id, job)| match job.state {
                State::Waiting { shelf } => Some((*id, job.number, shelf)),
                State::Running(_) | State::Unplaced => None,
            })
            .collect();
        assert_eq!(waiting.len(), self.queue.len());
        for (id, number, shelf) in waiting {
            assert_eq!(self.queue[&number], id);
            assert!(self.shelves.at(shelf).waiting.contains(&number));
        }
    }

    /// An offer stands on its shelves, in the order of trying exactly while it is open.
    fn check_shelves(&self, now: Moment) {
        let mut members = 0;
        let mut open = 0;
        for (at, session) in self.sessions.iter().enumerate() {
            let Some(session) = session else { continue };
            for (stock_at, stock) in session.stocks.iter().enumerate() {
                let may_serve = session.is_open(now) && stock.busy < stock.offer.slots;
                assert_eq!(stock.open.is_some(), may_serve, "{} of {}", stock.offer.model, session.id);
                let place =
                    StockRef { session: u32::try_from(at).unwrap(), stock: u16::try_from(stock_at).unwrap() };
                for shelf in stock.shelves.into_iter().flatten() {
                    assert!(self.shelves.at(shelf).members.contains(&place));
                    members += 1;
                    if let Some(rank) = stock.open {
                        let place = Place { rank, arrival: session.arrival, at: place };
                        assert!(self.shelves.at(shelf).open.contains(&place));
                        open += 1;
                    }
                }
            }
        }
        assert_eq!(self.shelves.sizes(), (members, open), "nothing is left of what is gone");
    }

    /// No job waits while an open session fits it. Those whose fit depends on time or on a small purse
    /// are looked at again when their session next shows life.
    fn check_nobody_waits_beside_a_free_slot(&self, now: Moment) {
        for job in self.queue.values().map(|id| &self.jobs[id]) {
            let State::Waiting { shelf } = job.state else { continue };
            if job.request.payer != Payer::Page(PAGE) || job.request.tier > Tier::Standard {
                continue;
            }
            // Which other asks are usual depends on time too.
            let need = Need { ceiling: self.usual_everywhere(), ..self.need(now, job, shelf) };
            for place in &self.shelves.at(shelf).open {
                let session = self.session(place.at.session);
                let stock = &session.stocks[usize::from(place.at.stock)];
                let fits = fit(&self.terms, now, &need, session, stock).is_ok();
                assert!(
                    !fits || session.is_silent(&self.terms, now),
                    "{} waits for nothing",
                    job.request.job
                );
            }
        }
    }
}
