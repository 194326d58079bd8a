//! The self-test: one short job of the owner's own, which shows how fast the model answers here.
//!
//! It goes to the model server and nowhere else, and the relay hears nothing of it.

use rekursing_protocol::{FailCode, Moment, Offer, OfferKind, Span, frame::Call};
use serde_json::json;

use super::{Agent, Command, FetchId, Post, TrialView, watch::Having};
use crate::{
    bridge::{
        fault::Fault,
        reply::{CREDIT_BYTES_MAX, Reply, Step, Terms},
        request,
    },
    said::Said,
};

/// What is asked: every model knows how to go on.
const QUESTION: &str = "Count from one to one hundred in words.";

/// Longest answer in tokens: a few seconds of a slow model.
const ANSWER_TOKENS_MAX: u32 = 100;

/// A model that is loaded on demand may take so long for its first token.
const FIRST_TOKEN: Span = Span::secs(120);
const IDLE: Span = Span::secs(30);
const TOTAL: Span = Span::secs(180);

/// Longest piece of the answer, whose words are thrown away.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// The self-test that runs, and what the last one showed.
#[derive(Debug, Default)]
pub(super) struct Trial {
    running: Option<Running>,
    seen: Option<TrialView>,
}

/// The self-test that runs.
#[derive(Debug)]
struct Running {
    fetch: FetchId,
    /// Where the server is.
    address: String,
    reply: Reply,
}

impl Trial {
    pub(super) fn seen(&self) -> Option<&TrialView> {
        self.seen.as_ref()
    }

    /// Forgets what a self-test of a model showed.
    pub(super) fn forget(&mut self, model: &str) {
        self.seen.take_if(|seen| seen.model == model && !seen.running);
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.running.as_ref().and_then(|running| running.reply.deadline())
    }

    /// Changes the reply of the self-test, if this is its fetch; tells whether it was.
    pub(super) fn with(&mut self, id: FetchId, change: impl FnOnce(&mut Reply)) -> bool {
        let Some(running) = self.running.as_mut().filter(|running| running.fetch == id) else { return false };
        change(&mut running.reply);
        true
    }
}

impl Agent {
    /// Begins a self-test of the first model that writes text, of those at an address if there is one, unless one runs.
    pub(super) fn try_out(&mut self, address: Option<&str>, now: Moment) {
        let models = match address {
            Some(address) => self.watch.place_at(address).map(|place| place.models().to_vec()),
            None => None,
        };
        let offers = match models {
            Some(models) => models.into_iter().map(|model| model.offer).collect(),
            None => self.watch.offers(),
        };
        if let Some(offer) = offers.into_iter().find(|offer| offer.kind == OfferKind::Text) {
            self.try_model(offer, now);
        }
    }

    fn try_model(&mut self, offer: Offer, now: Moment) {
        if self.trial.running.is_some() {
            return;
        }
        let Some(Having { server, model, token, .. }) = self.watch.server_for(&offer.model, &self.jobs)
        else {
            return;
        };
        let fields = json!({
            "messages": [{"role": "user", "content": QUESTION}], "max_tokens": ANSWER_TOKENS_MAX, "temperature": 0,
        });
        let Ok(request) = request::build(Call::Chat, &model.id, true, &fields.to_string()) else { return };
        let terms = Terms {
            call: Call::Chat,
            stream: true,
            server: server.kind,
            credit: CREDIT_BYTES_MAX,
            piece_bytes_max: PIECE_BYTES_MAX,
            first_token: FIRST_TOKEN,
            idle: IDLE,
            total: TOTAL,
        };
        let (address, bearer) = (server.address.clone(), token.cloned());
        let url = format!("{address}{}", request.path);
        let id = FetchId(self.fresh_id());
        self.commands.push(Command::Post(Post { id, url, bearer, body: request.body }));
        self.trial.running = Some(Running { fetch: id, address, reply: Reply::new(terms, now) });
        self.trial.seen = Some(TrialView {
            model: offer.model,
            running: true,
            tokens_per_second: None,
            first_token_ms: None,
            failed: None,
        });
        self.changed = true;
    }

    /// Takes the steps of the self-test's reply.
    pub(super) fn advance_trial(&mut self, now: Moment) {
        if self.trial.running.is_none()
            && let Some(offer) = self.untried()
        {
            self.try_model(offer, now);
        }
        let Some(Running { fetch, address, mut reply }) = self.trial.running.take() else { return };
        reply.tick(now);
        while let Some(step) = reply.step() {
            match step {
                Step::Piece(_) => {}
                Step::Pause => self.commands.push(Command::Pause(fetch)),
                Step::Resume => self.commands.push(Command::Resume(fetch)),
                Step::Done(_) => return self.end_trial(fetch, &reply, None, now),
                Step::Failed(fault) => {
                    self.suspect_origin(&reply, &address);
                    return self.end_trial(fetch, &reply, Some(&fault), now);
                }
            }
        }
        self.trial.running = Some(Running { fetch, address, reply });
    }

    fn end_trial(&mut self, fetch: FetchId, reply: &Reply, fault: Option<&Fault>, now: Moment) {
        // A body that has ended is not known to the shell any more, and an abort of it does nothing.
        self.commands.push(Command::Abort(fetch));
        let measured = reply.measure().millitokens_per_second().filter(|_| fault.is_none());
        let model = self.trial.seen.as_ref().map(|seen| seen.model.clone());
        // What ran out of time is slower than whatever is fast enough.
        let ran_out = fault.is_some_and(|fault| matches!(fault.code, FailCode::Stalled | FailCode::TimeUp));
        let is_browser = model.as_ref().is_some_and(|model| self.is_in_browser(model));
        let shown = measured.or((ran_out && is_browser).then_some(0));
        if let Some((model, rate)) = model.zip(shown) {
            if is_browser {
                // Whether it is offered hangs on this test, and not on those before.
                self.memory.speeds.remove(&model);
            }
            self.tested(&model, rate, now);
            self.tell_inventory();
        }
        let rate = measured.map(|rate| rate / 1_000);
        let first = reply.measure().first_token().map(|first| first.0);
        if let Some(seen) = &mut self.trial.seen {
            seen.running = false;
            seen.tokens_per_second = rate.and_then(|rate| u32::try_from(rate).ok());
            seen.first_token_ms = first.and_then(|first| u32::try_from(first).ok());
            seen.failed = fault.map(|fault| sentence(fault.code));
        }
        self.changed = true;
    }

    /// Breaks a self-test off.
    pub(super) fn stop_trial(&mut self) {
        let running = std::mem::take(&mut self.trial).running;
        self.commands.extend(running.map(|running| Command::Abort(running.fetch)));
    }
}

/// Says to the owner why the self-test failed.
fn sentence(code: FailCode) -> Said {
    let (key, text) = match code {
        FailCode::Busy | FailCode::Paused => {
            ("trial_busy", "The model server is busy. Try again in a moment.")
        }
        FailCode::ModelMissing => {
            ("trial_model_missing", "The model server does not know this model any more.")
        }
        FailCode::ModelLoading => {
            ("trial_model_loading", "The model is being loaded. Try again in a moment.")
        }
        FailCode::ModelCrashed => {
            ("trial_model_crashed", "The model crashed. Load it again in your model server.")
        }
        FailCode::Unreachable => ("trial_unreachable", "The model server does not answer."),
        FailCode::Unauthorized => ("trial_unauthorized", "The model server wants an API token."),
        FailCode::Stalled | FailCode::TimeUp => {
            ("trial_stalled", "The model took too long. A smaller one may fit your GPU better.")
        }
        FailCode::Empty => ("trial_empty", "The model answered nothing. Try another one."),
        FailCode::ContextOverflow
        | FailCode::BadRequest
        | FailCode::ServerError
        | FailCode::Malformed
        | FailCode::Cut
        | FailCode::Refused
        | FailCode::TooLarge
        | FailCode::Cancelled => ("trial_failed", "The model server failed. Its own log may say why."),
    };
    Said::plain(key, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_reads_as_its_message() {
        let error = serde_json::from_str::<FailCode>("\"\"").unwrap_err().to_string();
        let codes: Vec<FailCode> = error
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|name| serde_json::from_value(name.into()).ok())
            .collect();
        assert!(codes.len() > 10, "{error}");
        codes.into_iter().for_each(|code| sentence(code).reads_as_its_message());
    }
}
