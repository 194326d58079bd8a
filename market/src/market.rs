//! The market itself.
use rekursing_protocol::{
    FailCode, JobId, Moment, PluginId, SessionId,
    frame::{Heartbeat, Inventory},
};

use crate::{
    effect::Effect,
    ledger::Book,
    meter::Usage,
    refusal::Refusal,
    request::Request,
    terms::Terms,
    view::{Counts, ModelView, SessionView},
};

/// Sessions, offers, jobs, the queue and the book.
#[derive(Debug)]
pub struct Market {
    book: Book,
    effects: Vec<Effect>,
}

impl Market {
    /// Makes an empty market over a restored book.
    pub fn new(_terms: Terms, book: Book, _seed: u64) -> Market {
        Market { book, effects: Vec::new() }
    }
    /// Voids the holds of jobs that died with an earlier process.
    pub fn recover(&mut self, _now: Moment) {}
    /// A session is there.
    pub fn join(&mut self, _now: Moment, _session: SessionId, _plugin: PluginId, _inventory: Inventory) {}
    /// A session offers something else.
    pub fn restock(&mut self, _now: Moment, _session: SessionId, _inventory: Inventory) {}
    /// A session lives.
    pub fn heartbeat(&mut self, _now: Moment, _session: SessionId, _beat: &Heartbeat) {}
    /// A session is gone.
    pub fn leave(&mut self, _now: Moment, _session: SessionId) {}
    /// No new jobs.
    pub fn drain(&mut self, _now: Moment) {}
    /// A page asks.
    pub fn submit(&mut self, _now: Moment, _request: Request) -> Result<(), Refusal> {
        Err(Refusal::NoProvider)
    }
    /// The first piece came; false when the lease is stale.
    pub fn began(&mut self, _now: Moment, _job: JobId, _lease: u32) -> bool {
        false
    }
    /// The answer is complete.
    pub fn finish(&mut self, _now: Moment, _job: JobId, _lease: u32, _usage: Usage) {}
    /// The attempt failed.
    pub fn fail(
        &mut self,
        _now: Moment,
        _job: JobId,
        _lease: u32,
        _code: FailCode,
        _detail: String,
        _usage: Usage,
    ) {
    }
    /// The page left.
    pub fn cancel(&mut self, _now: Moment, _job: JobId, _usage: Usage) {}
    /// Time passed.
    pub fn tick(&mut self, _now: Moment) {}
    /// Takes the effects.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }
    /// The book.
    pub fn book(&self) -> &Book {
        &self.book
    }
    /// The book, for grants.
    pub fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }
    /// The models.
    pub fn models(&self, _now: Moment) -> Vec<ModelView> {
        Vec::new()
    }
    /// The sessions.
    pub fn sessions(&self) -> Vec<SessionView> {
        Vec::new()
    }
    /// The counts.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }
}
