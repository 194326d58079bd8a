//! Models that a server is asked to load or to unload: by the owner's click, or because he lets jobs load them.
//!
//! Only LM Studio is asked. Ollama and llama.cpp's router load what a job names by themselves, and forget it as
//! they are set. Nothing that a page sends gets here but the name of a model that the server itself has listed.

use rekursing_protocol::{FailCode, Moment, Span};
use serde::Deserialize;
use serde_json::json;

use super::{Agent, Answer, Ask, AskId, Command, FetchId, Move, Post};
use crate::{
    bridge::{fault::Fault, server::Kind},
    choices::Which,
    said::Said,
};

/// How long a server may take to load a model from a slow disk.
const PATIENCE: Span = Span::secs(300);

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Most models that are moved at once.
const MOVING_MAX: usize = 8;

/// What is being loaded and unloaded, and what was loaded for jobs.
#[derive(Debug, Default)]
pub(super) struct Loads {
    moving: Vec<Moving>,
    lent: Vec<Lent>,
    /// Why the last one at a server was not moved.
    failed: Option<(String, Said)>,
}

#[derive(Debug)]
struct Moving {
    asking: AskId,
    address: String,
    model: String,
    way: Move,
    /// The jobs' fetches that wait for it.
    waiting: Vec<Waiting>,
}

/// A job that waits for its model.
#[derive(Debug)]
struct Waiting {
    fetch: FetchId,
    post: Post,
}

/// A model that was loaded for a job.
#[derive(Debug)]
struct Lent {
    address: String,
    /// Its name at the server.
    instance: String,
    /// The name by which jobs ask for it.
    model: String,
    idle_since: Moment,
}

impl Loads {
    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.moving.iter().any(|moving| moving.asking == id)
    }

    /// Returns the model that is on its way at a server.
    pub(super) fn moving(&self, address: &str) -> Option<&String> {
        self.moving.iter().find(|moving| moving.address == address).map(|moving| &moving.model)
    }

    pub(super) fn failed(&self, address: &str) -> Option<&Said> {
        self.failed.as_ref().filter(|(at, _)| at == address).map(|(_, said)| said)
    }
}

impl Agent {
    /// Loads a model or unloads it, because the owner says so.
    pub(super) fn move_model(&mut self, address: &str, model: &str, way: Move) {
        let Some(place) = self.watch.place_at(address) else { return };
        let Some(server) = place.server.as_ref().filter(|server| server.kind == Kind::LmStudio) else {
            return;
        };
        let list = match way {
            Move::In => &server.shelf.asleep,
            Move::Out => &server.shelf.models,
        };
        if let Some(found) = list.iter().find(|known| known.offer.model == model) {
            let id = found.id.clone();
            self.ask_to_move(address, model, &id, way);
        }
    }

    /// Has a model loaded for a job whose request waits for it, where the server is one that is asked.
    pub(super) fn load_for(&mut self, address: &str, model: &str, fetch: FetchId, post: Post) {
        let waiting = Waiting { fetch, post };
        let known = |moving: &&mut Moving| moving.address == address && moving.model == model;
        if let Some(moving) = self.loads.moving.iter_mut().find(known) {
            return moving.waiting.push(waiting);
        }
        self.ask_to_move(address, model, model, Move::In);
        match self.loads.moving.iter_mut().find(known) {
            Some(moving) => moving.waiting.push(waiting),
            None => {
                self.jobs.sent(fetch);
                self.commands.push(Command::Post(waiting.post));
            }
        }
    }

    fn ask_to_move(&mut self, address: &str, model: &str, name: &str, way: Move) {
        let is_moving =
            self.loads.moving.iter().any(|moving| moving.address == address && moving.model == model);
        if is_moving || self.loads.moving.len() >= MOVING_MAX {
            return;
        }
        let context = self.config.allowance.context_tokens;
        let (path, body) = match way {
            Move::In => match context {
                Some(tokens) => ("load", json!({"model": name, "context_length": tokens})),
                None => ("load", json!({"model": name})),
            },
            Move::Out => ("unload", json!({"instance_id": name})),
        };
        let asking = AskId(self.fresh_id());
        self.commands.push(Command::Ask(Ask {
            id: asking,
            url: format!("{address}/api/v1/models/{path}"),
            bearer: self.watch.place_at(address).and_then(|place| place.token.clone()),
            body: Some(body.to_string()),
            timeout: PATIENCE,
            answer_bytes_max: ANSWER_BYTES_MAX,
        }));
        let (address, model) = (address.to_owned(), model.to_owned());
        self.loads.moving.push(Moving { asking, address, model, way, waiting: Vec::new() });
        self.loads.failed = None;
        self.changed = true;
    }

    /// Takes in whether a model was loaded or unloaded.
    pub(super) fn moved(&mut self, id: AskId, answer: Answer<'_>, now: Moment) {
        #[derive(Deserialize)]
        struct Loaded {
            instance_id: String,
        }
        let Some(at) = self.loads.moving.iter().position(|moving| moving.asking == id) else { return };
        let Moving { address, model, way, waiting, .. } = self.loads.moving.remove(at);
        self.changed = true;
        self.watch.hurry(now);
        let instance = match answer {
            Answer::Reply { status: 200, body } => serde_json::from_slice::<Loaded>(body).ok(),
            Answer::Reply { .. } | Answer::Failed => None,
        };
        let Some(Loaded { instance_id: instance }) = instance else {
            self.loads.failed = Some((address, sentence(way)));
            waiting.iter().for_each(|job| self.fail(job.fetch, Fault::of(FailCode::ModelLoading), now));
            return;
        };
        if way == Move::Out {
            return self.loads.lent.retain(|lent| lent.address != address || lent.instance != instance);
        }
        if waiting.is_empty() {
            return;
        }
        // The server knows a loaded model by the name under which it was asked to load it.
        for job in waiting.into_iter().filter(|job| self.jobs.is_running(job.fetch)).collect::<Vec<_>>() {
            self.jobs.sent(job.fetch);
            self.commands.push(Command::Post(job.post));
        }
        self.loads.lent.push(Lent { address, instance, model, idle_since: now });
    }

    /// Returns when a model that was loaded for a job is to be unloaded.
    pub(super) fn loads_wake_at(&self) -> Option<Moment> {
        let idle = self.idle_limit()?;
        self.loads.lent.iter().map(|lent| lent.idle_since + idle).min()
    }

    /// Has unloaded what was loaded for a job and has had none for long.
    pub(super) fn advance_loads(&mut self, now: Moment) {
        let Some(idle) = self.idle_limit() else { return };
        let mut lent = std::mem::take(&mut self.loads.lent);
        lent.retain_mut(|lent| {
            let names = [lent.model.as_str(), lent.instance.as_str()];
            if names.iter().any(|name| self.jobs.of(&lent.address, name) > 0) {
                lent.idle_since = now;
            }
            let is_due = now >= lent.idle_since + idle;
            if is_due {
                self.ask_to_move(&lent.address, &lent.instance, &lent.instance, Move::Out);
            }
            !is_due
        });
        self.loads.lent = lent;
    }

    fn idle_limit(&self) -> Option<Span> {
        let minutes =
            self.config.loading.unload_minutes.filter(|_| self.config.loading.which == Which::OnDemand)?;
        Some(Span::secs(u64::from(minutes) * 60))
    }
}

/// Says to the owner that a model was not moved.
fn sentence(way: Move) -> Said {
    match way {
        Move::In => Said::plain(
            "why_not_loaded",
            "The model server did not load the model. There may be too little memory for it.",
        ),
        Move::Out => Said::plain("why_not_unloaded", "The model server did not unload the model."),
    }
}
