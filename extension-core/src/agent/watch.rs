//! Keeps an eye on the model servers: where they are, what they have loaded, what waits and works
//! there, or why there is none.

mod offers;
mod place;

use rekursing_protocol::{Moment, Span};

use super::{Agent, Answer, Ask, AskId, Command, Config, Why};
use crate::{
    address::Address,
    bridge::{
        load, queue,
        server::{IN_BROWSER, Kind, Outcome, Probe, USUAL_ADDRESSES},
    },
    choices::Which,
    permission,
};
pub(super) use offers::Having;
use place::Round;
pub(super) use place::{Place, Server};

/// How often a server that has models is looked at.
const WHILE_PRESENT: Span = Span::secs(15);

/// How often one that is not there, or has no model, is looked for.
const WHILE_ABSENT: Span = Span::secs(5);

/// How often a server is asked what it works on, while the owner's own use comes first.
const LOAD_EVERY: Span = Span::secs(3);

/// How long one question may take. A server that is busy with a prompt answers late.
const PATIENCE: Span = Span::secs(2);

/// What is known of the model servers: a place for each that the owner has set, or the one place
/// that stands for all the usual addresses, until one of them has a model; and behind them one for the model
/// in the browser, where the owner has chosen one.
#[derive(Debug, Default)]
pub(super) struct Watch {
    places: Vec<Place>,
    /// Whether models are offered that are not loaded.
    which: Which,
}

impl Watch {
    /// Returns where to look by the settings. A place that was there before stays as it is.
    pub(super) fn set(&mut self, config: &Config, now: Moment) {
        if self.which != config.loading.which {
            self.which = config.loading.which;
            self.hurry(now);
        }
        let mut before = std::mem::take(&mut self.places);
        let mut add = |addresses: Vec<String>, token: Option<String>, is_set| {
            let known = before.iter().position(|place| place.is_of(&addresses, token.as_ref(), is_set));
            self.places.push(match known {
                Some(at) => before.swap_remove(at),
                None => Place::new(addresses, token, is_set, now),
            });
        };
        if config.servers.is_empty() {
            let usual = USUAL_ADDRESSES.iter().map(|address| (*address).to_owned()).collect();
            // Whatever listens on a usual port would be told it, and would have to do no more than ask for it.
            add(usual, None, false);
        }
        for server in &config.servers {
            let token = server.token.clone().or_else(|| config.token.clone());
            let address = Address::parse(&server.address).ok().map(|address| address.http());
            add(address.into_iter().collect(), token, true);
        }
        if config.browser.is_some() {
            add(vec![IN_BROWSER.to_owned()], None, true);
        }
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Returns the place of the server that was found at an address.
    pub(super) fn place_at(&self, address: &str) -> Option<&Place> {
        let is_there = |place: &&Place| place.server.as_ref().is_some_and(|server| server.address == address);
        self.places.iter().find(is_there)
    }

    /// Notes that a server refuses requests because of where they come from; tells whether that is news.
    pub(super) fn refuse(&mut self, address: &str) -> bool {
        let is_there =
            |place: &&mut Place| place.server.as_ref().is_some_and(|server| server.address == address);
        let mut is_news = false;
        for place in self.places.iter_mut().filter(is_there) {
            is_news |= place.refuse();
        }
        is_news
    }

    /// Tries again what was refused.
    pub(super) fn forgive(&mut self) {
        self.places.iter_mut().for_each(Place::forgive);
    }

    /// Returns why no model can be offered.
    pub(super) fn reason(&self) -> Option<Why> {
        if self.places.iter().any(|place| place.reason().is_none()) {
            return None;
        }
        if !self.has_looked() {
            return Some(Why::Looking);
        }
        // What is nearest to serving comes first.
        let reasons = || self.places.iter().filter_map(Place::reason);
        let nearest = [
            Why::NoModel,
            Why::OnlyCloud,
            Why::OriginRefused,
            Why::TokenWanted,
            Why::NotAllowed,
            Why::NotAServer,
            Why::BrowserLoading,
            Why::BrowserUnfit,
        ];
        nearest.into_iter().find(|why| reasons().any(|reason| reason == *why)).or_else(|| reasons().next())
    }

    /// Returns at which usual address a server wants an API token.
    pub(super) fn wanting(&self) -> Option<&String> {
        self.places.iter().find_map(|place| place.wanting())
    }

    /// Returns where the servers are that were found, and of which kind.
    pub(super) fn found(&self) -> Vec<(String, Kind)> {
        self.places.iter().filter_map(Place::found).collect()
    }

    /// Tells whether it is known by now what there is.
    pub(super) fn has_looked(&self) -> bool {
        self.places.iter().all(Place::has_looked)
    }

    /// Looks everywhere at once.
    pub(super) fn hurry(&mut self, now: Moment) {
        self.places.iter_mut().for_each(|place| place.hurry(now));
    }

    /// Looks everywhere at once, for somebody who waits for what is found.
    pub(super) fn probe(&mut self, now: Moment) {
        self.places.iter_mut().for_each(|place| place.probe(now));
    }

    /// Returns when a server was last seen at work for somebody else.
    pub(super) fn own_use(&self) -> Option<Moment> {
        self.places.iter().filter_map(|place| place.foreign_at).max()
    }

    /// Notes how many of the agent's jobs run at a server.
    pub(super) fn note_jobs(&mut self, address: &str, running: usize) {
        let here = self
            .places
            .iter_mut()
            .filter(|place| place.server.as_ref().is_some_and(|server| server.address == address));
        here.for_each(|place| place.own.note(running));
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.places.iter().filter_map(Place::wake_at).min()
    }
}

impl Agent {
    /// Takes in for which hosts Chrome lacks the owner's permission.
    pub(super) fn forbid(&mut self, patterns: &[String], now: Moment) {
        if self.forbidden != patterns {
            self.forbidden = patterns.to_vec();
            self.watch.hurry(now);
            self.changed = true;
        }
    }

    /// Begins what is due at every place.
    pub(super) fn advance_watch(&mut self, now: Moment) {
        for at in 0..self.watch.places.len() {
            if self.watch.places[at].is_round_due(now) {
                self.begin_round(at, now);
            }
            if self.watch.places[at].is_load_due(now) {
                self.ask_load(at, now);
            }
        }
    }

    /// Takes in an answer that a place waits for, and tells whether one did.
    pub(super) fn watched(&mut self, id: AskId, answer: Answer<'_>, now: Moment) -> bool {
        let places = &self.watch.places;
        if let Some(at) = places.iter().position(|place| place.awaits(id)) {
            self.probed(at, answer, now);
        } else if let Some(at) = places.iter().position(|place| place.asking_queue == Some(id)) {
            let place = &mut self.watch.places[at];
            place.asking_queue = None;
            // A server that does not answer has not told.
            let queue = told(answer, queue::read);
            self.changed |= place.queue != queue;
            place.queue = queue;
        } else if let Some(at) = places.iter().position(|place| place.asking_load == Some(id)) {
            let place = &mut self.watch.places[at];
            place.asking_load = None;
            match place.server.as_ref().map(|server| server.kind) {
                Some(Kind::Ollama) => place.expires(told(answer, load::expiries), now),
                Some(_) | None => place.loaded(told(answer, load::read), now),
            }
        } else {
            return false;
        }
        true
    }

    fn begin_round(&mut self, at: usize, now: Moment) {
        let place = &self.watch.places[at];
        let pattern = place.address().and_then(|address| permission::pattern_of(address));
        if pattern.is_some_and(|pattern| self.forbidden.contains(&pattern)) {
            return self.conclude(at, None, Some(Why::NotAllowed), now);
        }
        let known = place.server.as_ref();
        let known_address = known.map(|server| server.address.clone());
        let mut left = place.addresses.clone();
        left.retain(|address| Some(address) != known_address.as_ref());
        left.reverse();
        let kind = known.map(|server| server.kind);
        match known_address.or_else(|| left.pop()) {
            Some(address) => {
                let probe = kind.map_or_else(|| Probe::at(&address), |kind| Probe::new(Some(kind)));
                let asking = self.ask_server(at, &address, probe.path());
                self.watch.places[at].round =
                    Some(Round { left, address, probe, asking, spare: None, nearest: None, wanting: None });
            }
            None => self.conclude(at, None, Some(Why::ServerSilent), now),
        }
    }

    /// Takes in one answer of a round.
    fn probed(&mut self, at: usize, answer: Answer<'_>, now: Moment) {
        let Some(mut round) = self.watch.places[at].round.take() else { return };
        let outcome = match answer {
            Answer::Failed => Some(Outcome::Nothing),
            Answer::Reply { status, body } => round.probe.answered(status, body),
        };
        match outcome {
            None => return self.ask_on(at, round),
            Some(Outcome::Found { kind, shelf }) => {
                let server = Server { address: round.address.clone(), kind, shelf };
                if server.offers(self.watch.which) {
                    return self.conclude(at, Some(server), None, now);
                }
                round.spare.get_or_insert(server);
            }
            // A server that is at work may be too busy to answer in time.
            Some(Outcome::Nothing) if self.is_at_work(at, &round.address) => {
                let place = &mut self.watch.places[at];
                let (known, reason) = (place.server.take(), place.reason);
                return self.conclude(at, known, reason, now);
            }
            Some(Outcome::TokenWanted) => {
                round.nearest = Some(Why::TokenWanted);
                round.wanting.get_or_insert_with(|| round.address.clone());
            }
            Some(Outcome::OriginRefused) => round.nearest = Some(Why::OriginRefused),
            Some(Outcome::Foreign) => round.nearest = round.nearest.or(Some(Why::NotAServer)),
            Some(Outcome::Nothing) => {}
        }
        let Some(address) = round.left.pop() else {
            let place = &mut self.watch.places[at];
            let why = place.verdict(&round);
            self.changed |= place.note_wanting(round.wanting.take().filter(|_| why == Why::TokenWanted));
            return self.conclude(at, round.spare, Some(why), now);
        };
        (round.address, round.probe) = (address, Probe::new(None));
        self.ask_on(at, round);
    }

    /// Asks the round's next question.
    fn ask_on(&mut self, at: usize, mut round: Round) {
        round.asking = self.ask_server(at, &round.address, round.probe.path());
        self.watch.places[at].round = Some(round);
    }

    fn is_at_work(&self, at: usize, address: &str) -> bool {
        let known = self.watch.places[at].server.as_ref();
        known.is_some_and(|server| server.address == address) && self.jobs.at(address) > 0
    }

    /// Ends a place's round with what it found.
    fn conclude(&mut self, at: usize, server: Option<Server>, reason: Option<Why>, now: Moment) {
        let every = if reason.is_none() { WHILE_PRESENT } else { WHILE_ABSENT };
        self.changed |= self.watch.places[at].conclude(server, reason, now, now + every);
        self.ask_queue(at);
        if self.config.when.own_use_first {
            self.watch.places[at].begin_load(now);
        }
        self.tell_inventory();
    }

    /// Asks the server how many requests wait, if it is of a kind that may tell. The round does not
    /// wait for the answer, because no offer depends on it.
    fn ask_queue(&mut self, at: usize) {
        let Some((address, kind)) = self.watch.places[at].found() else { return };
        let Some(path) = queue::path(kind) else { return };
        self.watch.places[at].asking_queue = Some(self.ask_server(at, &address, path));
    }

    /// Asks the server what it works on, if it is of a kind that may tell.
    fn ask_load(&mut self, at: usize, now: Moment) {
        let found = self.watch.places[at].found().filter(|_| self.config.when.own_use_first);
        let asked = found.and_then(|(address, kind)| Some((address, load::path(kind)?)));
        let Some((address, path)) = asked else { return self.watch.places[at].leave_load() };
        let asking = self.ask_server(at, &address, path);
        self.watch.places[at].load_asked(asking, self.jobs.at(&address), now + LOAD_EVERY);
    }

    /// Asks the server for what it has under `path`.
    fn ask_server(&mut self, at: usize, address: &str, path: &str) -> AskId {
        let id = AskId(self.fresh_id());
        self.commands.push(Command::Ask(Ask {
            id,
            url: format!("{address}{path}"),
            bearer: self.watch.places[at].token.clone(),
            body: None,
            timeout: PATIENCE,
            answer_bytes_max: 4 << 20,
        }));
        id
    }
}

/// Reads an answer, if there is one.
fn told<T>(answer: Answer<'_>, read: impl FnOnce(u16, &[u8]) -> Option<T>) -> Option<T> {
    match answer {
        Answer::Failed => None,
        Answer::Reply { status, body } => read(status, body),
    }
}
