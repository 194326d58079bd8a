//! What a job comes to in tokens, whatever way it ends: the owner's limits are about what the GPU does, and not
//! about what somebody has waited for.

use rekursing_protocol::{FailCode, Moment};

use super::{Agent, jobs::Job};
use crate::bridge::{
    reply::{Ending, Reply},
    request::Request,
};

/// Thousandths of tokens per second of a model that has not been measured: a fast one.
const USUAL_RATE: u64 = 100_000;

/// What is known of a job's cost before its server has counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Toll {
    /// Tokens of the prompt, about.
    prompt: u64,
    /// Most tokens of the answer.
    answer_max: u64,
    /// Thousandths of tokens per second at which the model answers.
    rate: u64,
}

impl Toll {
    /// Estimates what a request comes to, for a model of this context and speed.
    pub(super) fn of(request: &Request, context: u32, rate: Option<u64>) -> Toll {
        Toll {
            prompt: request.weight.tokens(),
            answer_max: request.answer_tokens_max.unwrap_or(context.into()),
            rate: rate.unwrap_or(USUAL_RATE),
        }
    }

    /// Returns what it has come to by now.
    pub(super) fn by(self, reply: &Reply, now: Moment) -> u64 {
        if reply.is_turned_away() {
            return 0;
        }
        self.prompt.saturating_add(self.made(reply, now))
    }

    /// Returns what it came to when it failed so.
    pub(super) fn failed(self, reply: &Reply, code: FailCode, now: Moment) -> u64 {
        let is_unheard = code == FailCode::Unreachable && !reply.has_head();
        if is_unheard { 0 } else { self.by(reply, now) }
    }

    /// Returns what it came to in the end, as the server has counted where it has.
    pub(super) fn done(self, reply: &Reply, ending: &Ending, now: Moment) -> u64 {
        let made = ending.answer_tokens.unwrap_or_else(|| self.made(reply, now));
        ending.prompt_tokens.unwrap_or(self.prompt).saturating_add(made)
    }

    /// Returns the tokens of the answer. Of a whole one nothing is seen before its end, so the time tells.
    fn made(self, reply: &Reply, now: Moment) -> u64 {
        let measure = reply.measure();
        if !reply.is_unseen() {
            return measure.made();
        }
        let millis = now.since(measure.started()).0;
        (millis.saturating_mul(self.rate) / 1_000_000).min(self.answer_max)
    }
}

impl Agent {
    /// Returns how fast a model answers here, in thousandths of tokens per second.
    pub(super) fn rate(&self, model: &str) -> Option<u64> {
        let remembered = || self.memory.speeds.get(model).copied();
        self.records.of(model).and_then(|record| record.rate).or_else(remembered)
    }

    /// Returns the tokens that the owner's limits leave beside what runs; `None` for no end of them.
    pub(super) fn tokens_left(&self, now: Moment) -> Option<u64> {
        let (tally, zone) = (&self.memory.tally, self.gate.around().zone);
        self.config.allowance.left(tally, self.jobs.spent(now), zone, self.gate.wall(now))
    }

    /// Forgets all jobs, aborts their fetches, and counts what they came to.
    pub(super) fn abort_jobs(&mut self, now: Moment) {
        let tokens = self.jobs.spent(now);
        self.jobs.abort_all(&mut self.commands);
        self.count(tokens, now);
    }

    /// Forgets a job, aborts its fetch, and counts what it came to.
    pub(super) fn abort_job(&mut self, fetch: super::FetchId, now: Moment) {
        let Some(job) = self.jobs.abort(fetch, &mut self.commands) else { return };
        self.count(job.spent(now), now);
    }
}

impl Job {
    /// Returns the tokens that it has come to. A job whose model is being loaded has none.
    pub(super) fn spent(&self, now: Moment) -> u64 {
        if self.is_sent { self.toll.by(&self.reply, now) } else { 0 }
    }
}
