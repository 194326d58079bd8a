//! Shows how the agent stands.

use rekursing_protocol::{Moment, Pricing};

use super::{Agent, Connection, JobView, ModelView, Phase, ServerView, State, Why, jobs::Job};

impl Agent {
    /// Returns how the agent stands, for a reader. It holds no word of any prompt or answer.
    pub fn state(&self, now: Moment) -> State {
        let server = self.watch.server();
        State {
            connection: self.connection(),
            plugin: self.identity().map(|identity| identity.plugin),
            relay: self.config.relay.clone(),
            gpu: self.gpu.clone(),
            server: ServerView {
                kind: server.map(|server| server.kind),
                address: server.map(|server| server.address.clone()),
                reason: self.server_reason().map(Why::reason),
            },
            models: self.models(),
            jobs: self.jobs.iter().map(|job| view(job, now)).collect(),
            earnings: self.purse.seen().cloned(),
            trial: self.trial.seen().cloned(),
            slots: self.config.slots,
            paused: self.config.paused,
            consent: self.config.consent,
        }
    }

    fn connection(&self) -> Connection {
        if !self.config.consent {
            return Connection { phase: Phase::Off, reason: Some(Why::NoConsent.reason()) };
        }
        let paused = self.config.paused.then_some(Why::Paused);
        let why = self.link.reason().or(paused).or(self.server_reason());
        Connection { phase: self.link.phase(), reason: why.map(Why::reason) }
    }

    fn server_reason(&self) -> Option<Why> {
        if self.config.consent || self.wants.is_looking() {
            self.watch.reason()
        } else {
            Some(Why::NoConsent)
        }
    }

    fn models(&self) -> Vec<ModelView> {
        let offers = self.inventory().offers.into_iter();
        let views = offers.map(|offer| {
            let record = self.records.of(&offer.model);
            let rate = record.and_then(|record| record.rate).map(|rate| rate / 1_000);
            let first = record.and_then(|record| record.first);
            ModelView {
                kind: offer.kind,
                quantization: offer.quantization,
                context: offer.context,
                slots: offer.slots,
                price: offer.price.and_then(Pricing::fixed),
                tokens_per_second: rate.and_then(|rate| u32::try_from(rate).ok()),
                first_token_ms: first.and_then(|first| u32::try_from(first).ok()),
                done: record.map_or(0, |record| record.done_in_all),
                model: offer.model,
            }
        });
        views.collect()
    }
}

fn view(job: &Job, now: Moment) -> JobView {
    let measure = job.reply.measure();
    let rate = measure.millitokens_per_second().unwrap_or_default() / 1_000;
    JobView {
        id: job.id,
        model: job.model.clone(),
        age_ms: now.since(measure.started()).0,
        tokens: measure.pieces(),
        tokens_per_second: u32::try_from(rate).unwrap_or(u32::MAX),
    }
}
