//! Keeps an eye on the model server: where it is, what it has loaded, what waits there, or why
//! there is none.

use rekursing_protocol::{Moment, Span};

use super::{Agent, Answer, Ask, AskId, Command, Why};
use crate::{
    address::Address,
    bridge::{
        queue,
        server::{Kind, Model, Outcome, Probe, USUAL_ADDRESSES},
    },
};

/// How often a server that has models is looked at.
const WHILE_PRESENT: Span = Span::secs(15);

/// How often one that is not there, or has no model, is looked for.
const WHILE_ABSENT: Span = Span::secs(5);

/// How long one question may take. A server that is busy with a prompt answers late.
const PATIENCE: Span = Span::secs(2);

/// What is known of the model server.
#[derive(Debug, Default)]
pub(super) struct Watch {
    server: Option<Server>,
    /// Why no model can be offered; `None` when one can.
    reason: Option<Why>,
    /// Whether a round was ever finished.
    looked: bool,
    round: Option<Round>,
    /// How many requests wait at the server, when it has told.
    queue: Option<u16>,
    /// The server is asked how many requests wait.
    asking_queue: Option<AskId>,
    next: Moment,
}

/// A model server that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: String,
    pub(super) kind: Kind,
    pub(super) models: Vec<Model>,
}

/// One look at all addresses, until one has a model.
#[derive(Debug)]
struct Round {
    /// Addresses that are still to be looked at, the next one last.
    left: Vec<String>,
    address: String,
    probe: Probe,
    asking: AskId,
    /// A server that has no model loaded, unless a better one is found.
    spare: Option<Server>,
    token_wanted: bool,
}

impl Watch {
    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.round.as_ref().is_some_and(|round| round.asking == id)
    }

    pub(super) fn awaits_queue(&self, id: AskId) -> bool {
        self.asking_queue == Some(id)
    }

    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    pub(super) fn models(&self) -> &[Model] {
        self.server.as_ref().map_or(&[], |server| &server.models)
    }

    /// Returns why no model can be offered.
    pub(super) fn reason(&self) -> Option<Why> {
        if self.looked { self.reason } else { Some(Why::Looking) }
    }

    /// Tells whether it is known by now what there is.
    pub(super) fn has_looked(&self) -> bool {
        self.looked
    }

    /// Looks at once.
    pub(super) fn hurry(&mut self, now: Moment) {
        self.next = now;
    }

    /// Begins anew: the addresses or the token are others.
    pub(super) fn forget(&mut self, now: Moment) {
        *self = Watch { next: now, ..Watch::default() };
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        if self.round.is_some() { None } else { Some(self.next) }
    }
}

impl Agent {
    /// Begins a round when it is due.
    pub(super) fn advance_watch(&mut self, now: Moment) {
        if self.watch.wake_at().is_none_or(|at| now < at) {
            return;
        }
        let known = self.watch.server.as_ref();
        let known_address = known.map(|server| server.address.clone());
        let set = self.config.servers.iter().filter_map(|text| Some(Address::parse(text).ok()?.http()));
        let mut left: Vec<String> = if self.config.servers.is_empty() {
            USUAL_ADDRESSES.iter().map(|address| (*address).to_owned()).collect()
        } else {
            set.collect()
        };
        left.retain(|address| Some(address) != known_address.as_ref());
        left.reverse();
        let probe = Probe::new(known.map(|server| server.kind));
        match known_address.or_else(|| left.pop()) {
            Some(address) => {
                let asking = self.ask_server(&address, probe.path());
                self.watch.round =
                    Some(Round { left, address, probe, asking, spare: None, token_wanted: false });
            }
            None => self.conclude(None, Some(self.nobody()), now),
        }
    }

    /// Takes in one answer of the round.
    pub(super) fn watched(&mut self, answer: Answer<'_>, now: Moment) {
        let Some(mut round) = self.watch.round.take() else { return };
        let outcome = match answer {
            Answer::Failed => Some(Outcome::Nothing),
            Answer::Reply { status, body } => round.probe.answered(status, body),
        };
        match outcome {
            None => return self.ask_on(round),
            Some(Outcome::Found { kind, models }) => {
                let is_empty = models.is_empty();
                let server = Server { address: round.address.clone(), kind, models };
                if !is_empty {
                    return self.conclude(Some(server), None, now);
                }
                round.spare.get_or_insert(server);
            }
            // A server that is at work may be too busy to answer in time.
            Some(Outcome::Nothing) if !self.jobs.is_empty() && self.is_known(&round.address) => {
                let (known, reason) = (self.watch.server.take(), self.watch.reason);
                return self.conclude(known, reason, now);
            }
            Some(Outcome::TokenWanted) => round.token_wanted = true,
            Some(Outcome::Foreign | Outcome::Nothing) => {}
        }
        let Some(address) = round.left.pop() else {
            let why = match (&round.spare, round.token_wanted) {
                (Some(_), _) => Why::NoModel,
                (None, true) => Why::TokenWanted,
                (None, false) => self.nobody(),
            };
            return self.conclude(round.spare, Some(why), now);
        };
        (round.address, round.probe) = (address, Probe::new(None));
        self.ask_on(round);
    }

    /// Says that nobody serves models, in words that fit what the owner has set.
    fn nobody(&self) -> Why {
        if self.config.servers.is_empty() { Why::NoServer } else { Why::ServerSilent }
    }

    /// Asks the round's next question.
    fn ask_on(&mut self, mut round: Round) {
        round.asking = self.ask_server(&round.address, round.probe.path());
        self.watch.round = Some(round);
    }

    fn is_known(&self, address: &str) -> bool {
        self.watch.server.as_ref().is_some_and(|server| server.address == address)
    }

    /// Ends the round with what it found.
    fn conclude(&mut self, server: Option<Server>, reason: Option<Why>, now: Moment) {
        let every = if reason.is_none() { WHILE_PRESENT } else { WHILE_ABSENT };
        let watch = &mut self.watch;
        let is_new = watch.server != server;
        self.changed |= !watch.looked || is_new || watch.reason != reason;
        let queue = watch.queue.filter(|_| !is_new);
        let next = now + every;
        *watch = Watch { server, reason, looked: true, round: None, queue, asking_queue: None, next };
        self.ask_queue();
        self.tell_inventory();
    }

    /// Asks the server how many requests wait, if it is of a kind that may tell. The round does not
    /// wait for the answer, because no offer depends on it.
    fn ask_queue(&mut self) {
        let Some(server) = self.watch.server() else { return };
        let Some(path) = queue::path(server.kind) else { return };
        let address = server.address.clone();
        self.watch.asking_queue = Some(self.ask_server(&address, path));
    }

    /// Takes in how many requests wait at the server. A server that does not answer has not told.
    pub(super) fn queue_told(&mut self, answer: Answer<'_>) {
        self.watch.asking_queue = None;
        self.watch.queue = match answer {
            Answer::Failed => None,
            Answer::Reply { status, body } => queue::read(status, body),
        };
    }

    /// Returns how many requests wait at the server: what it told, or the agent's own jobs beyond
    /// what it takes at once.
    pub(super) fn queue(&self) -> u16 {
        self.watch.queue.unwrap_or_else(|| {
            let beyond = |model: &Model| {
                let running = self.jobs.of(&model.offer.model);
                running.saturating_sub(usize::from(model.offer.slots))
            };
            u16::try_from(self.watch.models().iter().map(beyond).sum::<usize>()).unwrap_or(u16::MAX)
        })
    }

    /// Asks the server for what it has under `path`.
    fn ask_server(&mut self, address: &str, path: &str) -> AskId {
        let id = AskId(self.fresh_id());
        self.commands.push(Command::Ask(Ask {
            id,
            url: format!("{address}{path}"),
            bearer: self.config.token.clone(),
            body: None,
            timeout: PATIENCE,
            answer_bytes_max: 4 << 20,
        }));
        id
    }
}
