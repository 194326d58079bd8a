//! The owner's agent as one state machine: events and `now` go in, commands come out.
//!
//! It knows no socket, clock, random source or browser. A shell owns those: it hands in what
//! happened, executes every command of [`Agent::commands`], and calls again with [`Event::Tick`]
//! at [`Agent::wake_at`]. Prompts and answers pass through and are kept nowhere.

mod command;
mod config;
mod event;
mod state;

use rekursing_protocol::{Gpu, Moment};

pub use command::{Ask, AskId, Command, FetchId, Post};
pub use config::{Config, Identity};
pub use event::{Answer, Event};
pub use state::{Connection, EarningsView, JobView, ModelView, Phase, Reason, ServerView, State, Why};

/// The owner's agent.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    identity: Option<Identity>,
    gpu: Gpu,
    commands: Vec<Command>,
}

impl Agent {
    /// Makes an agent that does nothing before [`Event::Started`]. `name` is what it tells the
    /// relay it is (`extension/0.1.0`); `seed` feeds its jitter and should differ between agents.
    pub fn new(name: &str, seed: u64) -> Agent {
        let _ = (name, seed);
        Agent { config: Config::default(), identity: None, gpu: Gpu::default(), commands: Vec::new() }
    }

    /// Takes in what happened at `now`. Commands that follow wait for [`Agent::commands`].
    pub fn handle(&mut self, event: Event<'_>, now: Moment) {
        let _ = now;
        if let Event::Started { config, identity, gpu } = event {
            (self.config, self.identity, self.gpu) = (config, identity, gpu);
        }
    }

    /// Hands out the commands to execute, in order. A shell under load calls [`Agent::handle`]
    /// for all that is ready before it asks for them, and texts that came together leave together.
    pub fn commands(&mut self, now: Moment) -> std::vec::Drain<'_, Command> {
        let _ = now;
        self.commands.drain(..)
    }

    /// Returns when [`Event::Tick`] is due, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Moment> {
        None
    }

    /// Returns how the agent stands, for a reader. It holds no word of any prompt or answer.
    pub fn state(&self, now: Moment) -> State {
        let _ = now;
        State {
            connection: Connection { phase: Phase::Off, reason: None },
            plugin: None,
            relay: self.config.relay.clone(),
            gpu: self.gpu.clone(),
            server: ServerView::default(),
            models: Vec::new(),
            jobs: Vec::new(),
            earnings: None,
            slots: self.config.slots,
            paused: self.config.paused,
            consent: self.config.consent,
        }
    }
}
