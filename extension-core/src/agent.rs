//! The owner's agent as one state machine: events and `now` go in, commands come out.
//!
//! It knows no socket, clock, random source or browser. A shell owns those: it hands in what
//! happened, executes every command of [`Agent::commands`], and calls again with [`Event::Tick`]
//! at [`Agent::wake_at`]. Prompts and answers pass through and are kept nowhere.

mod browser;
mod command;
mod config;
mod event;
mod former;
mod gate;
mod inquiry;
mod jobs;
mod journal;
mod kept;
pub mod limits;
mod link;
mod loading;
mod memory;
mod outlook;
mod pass;
mod proposal;
mod purse;
mod random;
mod record;
mod resume;
mod session;
mod skew;
mod sleep;
mod state;
mod steer;
mod toll;
mod trial;
mod tries;
mod update;
mod view;
mod wants;
mod watch;

use rekursing_protocol::{FailCode, Gpu, Moment, Price, Pricing, frame::Inventory};

use crate::{address::Address, bridge::reply::Reply, choices::Closed};
pub use command::{Ask, AskId, Command, Errand, FetchId, Method, Post, Sign};
pub use config::{Config, Identity, Memory, ModelServer};
pub use event::{Answer, Event, IDLE_AFTER, Move, Notice, Proof};
use gate::Gate;
use jobs::Jobs;
use journal::Journal;
use link::Link;
use loading::Loads;
use memory::Keeping;
use outlook::Prospects;
use pass::Passes;
use purse::Purse;
use random::Random;
use record::Records;
use skew::Skew;
pub use state::{
    Basis, ClosedView, Connection, DoneView, EarningsView, Hint, JobView, MarketView, ModelView, Phase,
    Proposal, Reason, ServerView, State, TrialView, Why,
};
pub use steer::{Change, What};
use trial::Trial;
use update::Update;
use wants::Wants;
use watch::Watch;

/// The owner's agent.
#[derive(Debug)]
pub struct Agent {
    name: String,
    random: Random,
    /// The last id that was given to an [`Ask`] or a [`Post`].
    ids: u64,
    /// Whether the shell is up; nothing happens before, nor after it went away.
    up: bool,
    config: Config,
    relay: Option<Address>,
    identity: Option<Identity>,
    passes: Passes,
    gpu: Gpu,
    link: Link,
    gate: Gate,
    /// Patterns of hosts for which Chrome lacks the owner's permission.
    forbidden: Vec<String>,
    watch: Watch,
    loads: Loads,
    jobs: Jobs,
    records: Records,
    memory: Memory,
    keeping: Keeping,
    journal: Journal,
    purse: Purse,
    prospects: Prospects,
    skew: Skew,
    wants: Wants,
    trial: Trial,
    update: Update,
    commands: Vec<Command>,
    changed: bool,
}

impl Agent {
    /// Makes an agent that does nothing before [`Event::Started`]. `name` is what it tells the
    /// relay it is (`extension/0.1.0`); `seed` feeds its jitter and should differ between agents.
    pub fn new(name: &str, seed: u64) -> Agent {
        Agent {
            name: name.to_owned(),
            random: Random::new(seed),
            ids: 0,
            up: false,
            config: Config::default(),
            relay: None,
            identity: None,
            passes: Passes::default(),
            gpu: Gpu::default(),
            link: Link::default(),
            gate: Gate::default(),
            forbidden: Vec::new(),
            watch: Watch::default(),
            loads: Loads::default(),
            jobs: Jobs::default(),
            records: Records::default(),
            memory: Memory::default(),
            keeping: Keeping::default(),
            journal: Journal::default(),
            purse: Purse::default(),
            prospects: Prospects::default(),
            skew: Skew::default(),
            wants: Wants::default(),
            trial: Trial::default(),
            update: Update::default(),
            commands: Vec::new(),
            changed: false,
        }
    }

    /// Takes in what happened at `now`. Commands that follow wait for [`Agent::commands`].
    pub fn handle(&mut self, event: Event<'_>, now: Moment) {
        self.notice_sleep(&event, now);
        match event {
            Event::Started { config, identity, memory, gpu } => {
                (self.up, self.identity, self.memory, self.gpu) = (true, identity, *memory, gpu);
                self.configure(config, now);
            }
            Event::Configured(config) => self.configure(config, now),
            Event::Noticed(notice) => self.noticed(notice, now),
            Event::Retry => self.retry(now),
            Event::Renew => self.renew(now),
            Event::Look => self.look(now),
            Event::TryOut { address } => self.try_out(address, now),
            Event::Wanted { page, text } => self.wanted(page, text, now),
            Event::UpdateWaits => self.update_waits(now),
            Event::Probe => self.watch.probe(now),
            Event::Priced { model } => self.take_price(model),
            Event::Moved { address, model, way } => self.move_model(address, model, way),
            Event::Forbidden(patterns) => self.forbid(patterns, now),
            Event::Tick => self.jobs.tick(now),
            Event::SocketOpen => self.socket_open(now),
            Event::Frame(text) => {
                self.carry(text.len(), now);
                self.frame(text, now);
            }
            Event::SocketStuck => self.socket_stuck(now),
            Event::SocketClosed { code } => self.socket_closed(code, now),
            Event::Dated { id, at } => self.dated(id, at, now),
            Event::Answered { id, answer } => self.answered(id, answer, now),
            Event::Signed { id, proof } => self.signed(id, proof, now),
            // The answers of jobs are what happens most; nothing else depends on them.
            Event::FetchHead { id, status, content_type } => {
                if !self.trial.with(id, |reply| reply.head(status, content_type, now)) {
                    return self.jobs.with(id, |reply| reply.head(status, content_type, now));
                }
            }
            Event::FetchBytes { id, bytes } => {
                if !self.trial.with(id, |reply| reply.feed(bytes, now)) {
                    return self.jobs.with(id, |reply| reply.feed(bytes, now));
                }
            }
            Event::FetchEnd { id } => {
                if !self.trial.with(id, |reply| reply.end(now)) {
                    self.jobs.fetch_ended(id, now);
                }
            }
            Event::FetchFailed { id } => {
                if !self.trial.with(id, Reply::broke) {
                    self.jobs.fetch_broke(id);
                }
            }
            Event::Stopped => {
                self.shut(now);
                self.keep(now);
                self.up = false;
            }
        }
        self.advance(now);
        if self.changed {
            self.note_standing(now);
        }
    }

    /// Hands out the commands to execute, in order. A shell under load calls [`Agent::handle`]
    /// for all that is ready before it asks for them, and texts that came together leave together.
    pub fn commands(&mut self, now: Moment) -> std::vec::Drain<'_, Command> {
        self.flush_jobs(now);
        self.carry_commands(now);
        if std::mem::take(&mut self.changed) {
            self.commands.push(Command::Changed);
        }
        self.commands.drain(..)
    }

    /// Returns when [`Event::Tick`] is due, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Moment> {
        if !self.is_active() {
            let own = [self.look_wakes_at(), self.trial.wake_at(), self.passes.wake_at()];
            return own.into_iter().flatten().min();
        }
        let link = self.link.wake_at(self.jobs.is_empty());
        let asks = [self.purse.inquiry.wake_at(), self.prospects.inquiry.wake_at()];
        let may_ask = self.link.is_ready() && !self.passes.is_busy();
        let asks = asks.into_iter().flatten().min().filter(|_| may_ask);
        let own = [self.gate.wake_at(), self.keeping.wake_at(), self.watch.wake_at(), self.jobs.wake_at()];
        let others = [link, asks, self.trial.wake_at(), self.update.wake_at(), self.passes.wake_at()];
        own.into_iter().chain(others).chain([self.loads_wake_at()]).flatten().min()
    }

    /// Does what is due.
    fn advance(&mut self, now: Moment) {
        self.advance_trial(now);
        self.advance_update(now);
        self.advance_passes(now);
        if !self.is_active() {
            return self.advance_look(now);
        }
        self.advance_watch(now);
        self.advance_loads(now);
        self.advance_gate(now);
        self.advance_keeping(now);
        self.advance_link(now);
        self.advance_purse(now);
        self.advance_prospects(now);
        self.jobs.abort_lingering(now, &mut self.commands);
    }

    /// Tells whether anything may be done at all: the owner has said yes, and the shell is there.
    fn is_active(&self) -> bool {
        self.up && self.config.consent
    }

    /// Takes over the owner's settings.
    fn configure(&mut self, config: Config, now: Moment) {
        let old = std::mem::replace(&mut self.config, config);
        self.config.slots = self.config.slots.clamp(1, limits::JOBS_MAX);
        self.relay = Address::parse(&self.config.relay).ok();
        self.changed = true;
        if old.consent && !self.config.consent {
            return self.shut(now);
        }
        if self.config.consent {
            self.wants.stop_looking();
        }
        if old.relay != self.config.relay {
            self.leave_relay(now);
            self.lose_pass();
        }
        if old.browser != self.config.browser {
            self.forget_browser(old.browser.as_deref());
        }
        self.watch.set(&self.config, now);
        self.advance_gate(now);
        self.tell_inventory();
    }

    /// Tries again now whatever waits or has stopped.
    fn retry(&mut self, now: Moment) {
        self.link.retry();
        // The relay's answer shows whether the clock is right by now.
        self.purse.inquiry.ask_by(now);
        self.watch.forgive();
        self.watch.hurry(now);
        self.changed = true;
    }

    /// Closes everything in good order.
    fn shut(&mut self, now: Moment) {
        self.leave_relay(now);
        self.watch = Watch::default();
        self.loads = Loads::default();
        self.wants.stop_looking();
        self.stop_trial();
        self.changed = true;
    }

    /// Takes in how a short exchange ended, if anybody still waits for it.
    fn answered(&mut self, id: AskId, answer: Answer<'_>, now: Moment) {
        if self.watched(id, answer, now) {
            return;
        }
        if self.loads.awaits(id) {
            return self.moved(id, answer, now);
        }
        if self.passes.awaits(id) {
            return self.passed(answer, now);
        }
        if matches!(answer, Answer::Reply { status: 401, .. }) {
            self.passes.forget();
        }
        if self.link.awaits(id) {
            self.registered(answer, now);
        } else if self.purse.inquiry.awaits(id) {
            self.purse_filled(answer, now);
        } else if self.prospects.inquiry.awaits(id) {
            self.prospects_told(answer, now);
        } else if self.wants.awaits(id) {
            self.want_answered(id, answer);
        }
    }

    /// Takes in what the device key has signed, or that it cannot.
    fn signed(&mut self, id: AskId, proof: Option<Proof>, now: Moment) {
        if self.link.awaits(id) {
            self.link_signed(proof, now);
        } else if self.passes.awaits(id) {
            self.pass_signed(proof, now);
        }
    }

    /// Gives an id that was never given before.
    fn fresh_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Returns the identity, if it is one of the relay that is set.
    fn identity(&self) -> Option<&Identity> {
        let relay = self.relay.as_ref()?;
        self.identity.as_ref().filter(|identity| identity.relay == relay.http())
    }

    /// Returns what is offered at this moment.
    fn inventory(&self) -> Inventory {
        let mut offers = self.watch.offers();
        offers.retain(|offer| self.config.models.offers(&offer.model) && self.is_fast_enough(offer));
        for offer in &mut offers {
            offer.slots = offer.slots.min(self.config.slots);
            offer.context =
                offer.context.min(self.config.allowance.context_tokens.unwrap_or(u32::MAX)).max(1);
            offer.price = self.asked(&offer.model);
            offer.least = self.least(&offer.model);
        }
        Inventory {
            offers,
            slots: self.config.slots,
            paused: self.gate.closed().is_some(),
            paused_until: self.gate.closed().and_then(Closed::paused_until),
            serves: self.config.serves,
            refuses: self.config.refuses,
        }
    }

    /// Returns what the owner asks for a model, not below the cost of power where the owner wants that.
    fn asked(&self, model: &str) -> Option<Pricing> {
        let set = self.config.prices.get(model).copied().or(self.config.price)?;
        let speed = self.memory.speeds.get(model).copied();
        Some(self.config.power.map_or(set, |power| power.raise(set, speed)))
    }

    /// Returns what the owner never asks less than for a model, also of friends.
    fn least(&self, model: &str) -> Option<Price> {
        self.config.power?.least(self.memory.speeds.get(model).copied()?)
    }

    /// Offers nothing more of a server that refuses requests because of where they come from.
    fn suspect_origin(&mut self, reply: &Reply, address: &str) {
        if reply.is_origin_refused() && self.watch.refuse(address) {
            self.changed = true;
            self.tell_inventory();
        }
    }

    /// Looks at the model server again at once when a job's failure says that it has changed.
    fn suspect(&mut self, code: FailCode, now: Moment) {
        let changed = [
            FailCode::Unreachable,
            FailCode::Unauthorized,
            FailCode::ModelMissing,
            FailCode::ModelCrashed,
            FailCode::ModelLoading,
        ];
        if changed.contains(&code) {
            self.watch.hurry(now);
        }
    }
}

#[cfg(test)]
mod tests;
