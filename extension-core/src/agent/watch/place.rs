//! One place where a model server may be, and what is known of it.

use std::collections::BTreeMap;

use rekursing_protocol::Moment;

use super::super::{AskId, Why};
use crate::{
    bridge::server::{IN_BROWSER, Kind, Model, Probe, Shelf, Unready},
    choices::Which,
};

/// One place to look at.
#[derive(Debug)]
pub(in crate::agent) struct Place {
    /// Where to look, in order, until a server has a model.
    pub(super) addresses: Vec<String>,
    /// The API token of whoever answers there.
    pub(in crate::agent) token: Option<String>,
    /// Whether the owner has set it.
    is_set: bool,
    pub(in crate::agent) server: Option<Server>,
    /// Why no model can be offered; `None` when one can.
    pub(super) reason: Option<Why>,
    /// At which usual address a server wants an API token, while that is the reason.
    pub(super) wanting: Option<String>,
    /// When a round was finished last.
    pub(in crate::agent) looked_at: Option<Moment>,
    pub(super) round: Option<Round>,
    /// How many requests wait at the server, when it has told.
    pub(in crate::agent) queue: Option<u16>,
    /// The server is asked how many requests wait.
    pub(super) asking_queue: Option<AskId>,
    /// Requests of others that the server works on, when it has told.
    pub(in crate::agent) foreign: Option<u16>,
    /// When it was last seen at work for others.
    pub(super) foreign_at: Option<Moment>,
    /// The server is asked what it works on.
    pub(super) asking_load: Option<AskId>,
    load_next: Option<Moment>,
    pub(super) own: Own,
    /// When Ollama will forget each of its models, as it said last: it moves with each use.
    expiries: Option<BTreeMap<String, String>>,
    /// The server refuses requests because of where they come from.
    is_refused: bool,
    next: Moment,
    /// Somebody waits to hear what the next round finds, news or not.
    is_awaited: bool,
}

/// A model server that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) struct Server {
    pub(in crate::agent) address: String,
    pub(in crate::agent) kind: Kind,
    pub(in crate::agent) shelf: Shelf,
}

/// One look at all addresses, until one has a model.
#[derive(Debug)]
pub(super) struct Round {
    /// Addresses that are still to be looked at, the next one last.
    pub(super) left: Vec<String>,
    pub(super) address: String,
    pub(super) probe: Probe,
    pub(super) asking: AskId,
    /// A server that has no model to offer, unless a better one is found.
    pub(super) spare: Option<Server>,
    /// What else answered that is nearly a model server.
    pub(super) nearest: Option<Why>,
    /// The first that wants an API token.
    pub(super) wanting: Option<String>,
}

/// The most of the agent's own jobs that a server can have been working on when it told: since the
/// question before the last one, because a server notices late that a job was dropped.
#[derive(Debug, Default)]
pub(super) struct Own {
    earlier: usize,
    since: usize,
}

impl Own {
    /// Notes how many run.
    pub(super) fn note(&mut self, running: usize) {
        self.since = self.since.max(running);
    }

    /// Begins to count anew: a question is asked.
    fn turn(&mut self, running: usize) {
        (self.earlier, self.since) = (self.since, running);
    }

    fn most(&self) -> u16 {
        u16::try_from(self.earlier.max(self.since)).unwrap_or(u16::MAX)
    }
}

impl Server {
    /// Tells whether it has anything to offer.
    pub(super) fn offers(&self, which: Which) -> bool {
        !self.shelf.models.is_empty() || which == Which::OnDemand && !self.shelf.asleep.is_empty()
    }
}

impl Place {
    pub(super) fn new(addresses: Vec<String>, token: Option<String>, is_set: bool, now: Moment) -> Place {
        Place {
            addresses,
            token,
            is_set,
            server: None,
            reason: None,
            wanting: None,
            looked_at: None,
            round: None,
            queue: None,
            asking_queue: None,
            foreign: None,
            foreign_at: None,
            asking_load: None,
            load_next: None,
            own: Own::default(),
            expiries: None,
            is_refused: false,
            next: now,
            is_awaited: false,
        }
    }

    pub(super) fn is_of(&self, addresses: &[String], token: Option<&String>, is_set: bool) -> bool {
        self.addresses == addresses && self.token.as_ref() == token && self.is_set == is_set
    }

    /// Returns where the server is: where it was found, where the owner says it is, or where one wants a token.
    pub(in crate::agent) fn address(&self) -> Option<&String> {
        let found = self.server.as_ref().map(|server| &server.address);
        found.or_else(|| self.addresses.first().filter(|_| self.is_set)).or(self.wanting.as_ref())
    }

    /// Notes at which usual address a server wants a token; tells whether that is news.
    pub(super) fn note_wanting(&mut self, wanting: Option<String>) -> bool {
        let wanting = wanting.filter(|_| !self.is_set);
        let is_news = self.wanting != wanting;
        self.wanting = wanting;
        is_news
    }

    /// Returns at which usual address a server wants a token.
    pub(in crate::agent) fn wanting(&self) -> Option<&String> {
        self.wanting.as_ref()
    }

    /// Tells whether it is that of the model in the browser.
    pub(in crate::agent) fn is_in_browser(&self) -> bool {
        self.addresses.iter().any(|address| address == IN_BROWSER)
    }

    pub(super) fn found(&self) -> Option<(String, Kind)> {
        self.server.as_ref().map(|server| (server.address.clone(), server.kind))
    }

    /// Returns what it has loaded.
    pub(in crate::agent) fn models(&self) -> &[Model] {
        self.server.as_ref().filter(|_| !self.is_refused).map_or(&[], |server| &server.shelf.models)
    }

    /// Returns what it has and would have to load.
    pub(in crate::agent) fn asleep(&self) -> &[Model] {
        self.server.as_ref().filter(|_| !self.is_refused).map_or(&[], |server| &server.shelf.asleep)
    }

    /// Returns why it is of no use.
    pub(in crate::agent) fn reason(&self) -> Option<Why> {
        match self.has_looked() {
            false => Some(Why::Looking),
            true if self.is_refused => Some(Why::OriginRefused),
            true => self.reason,
        }
    }

    /// Notes that the server refuses requests because of where they come from; tells whether that is news.
    pub(super) fn refuse(&mut self) -> bool {
        !std::mem::replace(&mut self.is_refused, true)
    }

    /// Tries again what was refused.
    pub(super) fn forgive(&mut self) {
        self.is_refused = false;
    }

    pub(super) fn has_looked(&self) -> bool {
        self.looked_at.is_some()
    }

    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.round.as_ref().is_some_and(|round| round.asking == id)
    }

    pub(super) fn hurry(&mut self, now: Moment) {
        self.next = now;
    }

    /// Looks at once, and has what is found told, news or not.
    pub(super) fn probe(&mut self, now: Moment) {
        self.is_awaited = true;
        self.hurry(now);
    }

    pub(super) fn is_round_due(&self, now: Moment) -> bool {
        self.round.is_none() && now >= self.next
    }

    pub(super) fn is_load_due(&self, now: Moment) -> bool {
        self.asking_load.is_none() && self.load_next.is_some_and(|at| now >= at)
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        let round = self.round.is_none().then_some(self.next);
        let load = self.load_next.filter(|_| self.asking_load.is_none());
        round.into_iter().chain(load).min()
    }

    /// Says what is the matter here when a round has found no model.
    pub(super) fn verdict(&self, round: &Round) -> Why {
        let unready = round.spare.as_ref().and_then(|server| server.shelf.unready);
        match (&round.spare, round.nearest) {
            _ if unready == Some(Unready::Loading) => Why::BrowserLoading,
            _ if unready == Some(Unready::Unfit) || self.is_in_browser() => Why::BrowserUnfit,
            (Some(server), _) if server.shelf.has_cloud && server.shelf.asleep.is_empty() => Why::OnlyCloud,
            (Some(_), _) => Why::NoModel,
            (None, Some(why @ (Why::TokenWanted | Why::OriginRefused))) => why,
            // At a usual address anything may answer.
            (None, Some(why)) if self.is_set => why,
            (None, _) if self.is_set => Why::ServerSilent,
            (None, _) => Why::NoServer,
        }
    }

    /// Ends a round, and tells whether somebody should hear of it.
    pub(super) fn conclude(
        &mut self,
        server: Option<Server>,
        reason: Option<Why>,
        now: Moment,
        next: Moment,
    ) -> bool {
        let is_new = self.server != server;
        let is_awaited = std::mem::take(&mut self.is_awaited);
        let changed = is_awaited || is_new || !self.has_looked() || self.reason != reason;
        if is_new {
            (self.queue, self.foreign) = (None, None);
        }
        if reason != Some(Why::TokenWanted) {
            self.wanting = None;
        }
        if server.is_none() {
            (self.is_refused, self.expiries) = (false, None);
        }
        (self.server, self.reason) = (server, reason);
        (self.looked_at, self.round, self.asking_queue, self.next) = (Some(now), None, None, next);
        changed
    }

    /// Begins to ask what the server works on, unless that has begun.
    pub(super) fn begin_load(&mut self, now: Moment) {
        self.load_next.get_or_insert(now);
    }

    /// Asks again then; `running` of the agent's own jobs run at the server.
    pub(super) fn load_asked(&mut self, asking: AskId, running: usize, next: Moment) {
        self.own.turn(running);
        (self.asking_load, self.load_next) = (Some(asking), Some(next));
    }

    /// Asks no more what the server works on.
    pub(super) fn leave_load(&mut self) {
        (self.load_next, self.foreign, self.foreign_at, self.expiries) = (None, None, None, None);
    }

    /// Takes in when the server will forget its models. One whose time has moved was used since; who has used it
    /// is not told, so it was somebody else only where none of the agent's own jobs ran.
    pub(super) fn expires(&mut self, expiries: Option<BTreeMap<String, String>>, now: Moment) {
        let Some(expiries) = expiries else { return self.foreign = None };
        let before = self.expiries.replace(expiries);
        let after = self.expiries.iter().flatten();
        let was_used =
            before.is_some_and(|before| after.into_iter().any(|(name, at)| before.get(name) != Some(at)));
        let is_foreign = was_used && self.own.most() == 0;
        self.foreign = Some(u16::from(is_foreign));
        if is_foreign {
            self.foreign_at = Some(now);
        }
    }

    /// Takes in how many requests the server works on.
    pub(super) fn loaded(&mut self, running: Option<u16>, now: Moment) {
        self.foreign = running.map(|running| running.saturating_sub(self.own.most()));
        if self.foreign.is_some_and(|foreign| foreign > 0) {
            self.foreign_at = Some(now);
        }
    }
}
