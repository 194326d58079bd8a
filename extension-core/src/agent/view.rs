//! Shows how the agent stands.

use rekursing_protocol::{Moment, Offer, Pricing};

use super::{
    Agent, ClosedView, Connection, DoneView, JobView, ModelView, Phase, Reason, ServerView, State, Why,
    jobs::Job, watch::Place,
};
use crate::{
    bridge::server::{Kind, Model},
    choices::{Closed, Pause},
    permission,
    said::{Blank, Said},
};

impl Agent {
    /// Returns how the agent stands, for a reader. It holds no word of any prompt or answer.
    pub fn state(&self, now: Moment) -> State {
        let places = self.watch.places();
        let first = places.iter().find(|place| place.reason().is_none());
        let first = first.or_else(|| places.iter().find(|place| place.server.is_some()));
        let zone = self.gate.around().zone;
        let tally = &self.memory.tally;
        let wall = self.gate.wall(now);
        let paused = self.config.paused.closed(zone, wall);
        State {
            connection: self.connection(now),
            plugin: self.identity().map(|identity| identity.plugin),
            relay: self.config.relay.clone(),
            gpu: self.gpu.clone(),
            server: ServerView {
                reason: self.server_reason().map(|why| explain(why, self.watch.wanting())),
                ..first.map(|place| self.server(place)).unwrap_or_default()
            },
            servers: self.servers_seen(),
            browser: places.iter().find(|place| place.is_in_browser()).map(|place| self.browser_seen(place)),
            models: self.inventory().offers.into_iter().map(|offer| self.model(offer)).collect(),
            withheld: self.withheld(),
            jobs: self.jobs.iter().map(|job| view(job, now)).collect(),
            earnings: self.purse.seen().cloned(),
            outlook: self.hints(),
            trial: self.trial.seen().cloned(),
            slots: self.config.slots,
            paused: paused.is_some(),
            paused_until: match self.config.paused {
                Pause::Until(until) => Some(until).filter(|_| paused.is_some()),
                Pause::Off | Pause::On => None,
            },
            closed: self.gate.closed().cloned().map(|Closed { reason, until }| ClosedView { reason, until }),
            done: DoneView {
                hour_tokens: tally.hour(wall),
                day_tokens: tally.day(zone, wall),
                month_bytes: tally.month(zone, wall),
            },
            steered: self.steered(wall),
            steering: self.config.steering,
            consent: self.config.consent,
        }
    }

    /// Returns where the model servers are that were found, and of which kind: jobs go there and nowhere else.
    pub fn servers(&self) -> Vec<(String, Kind)> {
        self.watch.found()
    }

    fn connection(&self, now: Moment) -> Connection {
        if !self.config.consent {
            return Connection { phase: Phase::Off, reason: Some(Why::NoConsent.reason()) };
        }
        // With a wrong clock no certificate holds.
        let clock = || self.clock_wrong(now);
        let told =
            |why: Why| clock().filter(|_| why == Why::RelayUnreachable).unwrap_or_else(|| why.reason());
        let link = self.link.reason().map(told);
        let server = || self.server_reason().map(|why| explain(why, self.watch.wanting()));
        let closed = || self.gate.closed().map(|closed| closed.reason.clone());
        let reason = link.or_else(closed).or_else(server).or_else(clock);
        Connection { phase: self.link.phase(), reason }
    }

    fn server_reason(&self) -> Option<Why> {
        if !self.config.consent && !self.wants.is_looking() {
            return Some(Why::NoConsent);
        }
        let withheld = || {
            let offers = self.watch.offers();
            let chosen = offers.iter().any(|offer| self.config.models.offers(&offer.model));
            (!offers.is_empty() && !chosen).then_some(Why::NoneChosen)
        };
        self.watch.reason().or_else(withheld).or_else(|| self.kept_back())
    }

    fn browser_seen(&self, place: &Place) -> ServerView {
        let seen = self.server(place);
        let silent = !self.config.consent && !self.wants.is_looking();
        let model = place.models().first().map(|model| &model.offer);
        let slow = model.filter(|offer| !self.is_fast_enough(offer)).map(|offer| {
            let is_known = self.memory.speeds.contains_key(&offer.model);
            if is_known { Why::BrowserSlow } else { Why::BrowserUntried }
        });
        let reason = if silent { Some(Why::NoConsent) } else { place.reason().or(slow) };
        ServerView { reason: reason.map(Why::reason), ..seen }
    }

    fn servers_seen(&self) -> Vec<ServerView> {
        let mut servers: Vec<ServerView> = self
            .watch
            .places()
            .iter()
            .filter(|place| place.address().is_some() && !place.is_in_browser())
            .map(|place| self.server(place))
            .collect();
        if !self.config.consent && !self.wants.is_looking() {
            servers.iter_mut().for_each(|server| server.reason = Some(Why::NoConsent.reason()));
        }
        servers
    }

    fn withheld(&self) -> Vec<String> {
        let models = self.watch.offers().into_iter().map(|offer| offer.model);
        models.filter(|model| !self.config.models.offers(model)).collect()
    }

    fn model(&self, offer: Offer) -> ModelView {
        let record = self.records.of(&offer.model);
        let remembered = || self.memory.speeds.get(&offer.model).copied();
        let rate = record.and_then(|record| record.rate).or_else(remembered).map(|rate| rate / 1_000);
        let first = record.and_then(|record| record.first);
        let speed = self.memory.speeds.get(&offer.model).copied();
        let power = self.config.power;
        let is_above = |pricing| power.is_some_and(|power| power.is_above(pricing, speed));
        ModelView {
            kind: offer.kind,
            quantization: offer.quantization,
            context: offer.context,
            slots: offer.slots,
            price: offer.price.and_then(Pricing::fixed),
            pricing: offer.price,
            cost: power.zip(speed).and_then(|(power, speed)| power.million_tokens(speed)),
            below_cost: offer.price.is_some_and(is_above),
            market: self.market(&offer.model),
            proposal: self.proposal(&offer.model),
            loaded: offer.loaded,
            tokens_per_second: rate.and_then(|rate| u32::try_from(rate).ok()),
            first_token_ms: first.and_then(|first| u32::try_from(first).ok()),
            done: record.map_or(0, |record| record.done_in_all),
            model: offer.model,
        }
    }

    fn server(&self, place: &Place) -> ServerView {
        let names = |models: &[Model]| models.iter().map(|model| model.offer.model.clone()).collect();
        let address = place.address();
        let found = place.server.as_ref();
        ServerView {
            kind: found.map(|server| server.kind),
            address: address.cloned(),
            reason: place.reason().map(|why| explain(why, place.wanting())),
            origin: address
                .filter(|_| !place.is_in_browser())
                .and_then(|address| permission::pattern_of(address)),
            models: names(place.models()),
            asleep: names(place.asleep()),
            loads: found.is_some_and(|server| server.kind == Kind::LmStudio),
            moving: address.and_then(|address| self.loads.moving(address)).cloned(),
            unmoved: address.and_then(|address| self.loads.failed(address)).cloned(),
            running: address.map_or(0, |address| self.jobs.at(address)),
            slots: place
                .models()
                .iter()
                .map(|model| usize::from(model.offer.slots))
                .sum::<usize>()
                .min(self.config.slots.into()),
            waiting: place.queue,
            looked_at: place.looked_at,
            foreign: place.foreign,
        }
    }
}

/// Says why, and where a server is that wants a token: the owner has not said so.
fn explain(why: Why, wanting: Option<&String>) -> Reason {
    let Some(address) = wanting.filter(|_| why == Why::TokenWanted) else { return why.reason() };
    let text = format!("The model server at {address} wants an API token. If it is yours, enter its token.");
    Reason::new(why, Said::new("why_token_wanted_at", [Blank::Text(address.clone())], text))
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
