//! What is counted and measured for the owner's choices, and kept over a restart.

use rekursing_protocol::{Moment, Span};

use super::{Agent, Command};

/// How often it is kept at most.
const EVERY: Span = Span::secs(5);

/// How often it is kept at most while only data is counted, which the link has all the time.
const DATA_EVERY: Span = Span::secs(60);

/// How often it is kept at most while jobs run and none ends.
const RUNNING_EVERY: Span = Span::secs(60);

/// Most models whose speeds are remembered.
const SPEEDS_MAX: usize = 200;

/// When what has changed is kept.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// When it is due; `None` when nothing has changed.
    due: Option<Moment>,
}

impl Keeping {
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.due
    }
}

impl Agent {
    /// Counts the tokens that jobs came to.
    pub(super) fn count(&mut self, tokens: u64, now: Moment) {
        if tokens > 0 && self.config.allowance.counts() {
            self.memory.tally.count(tokens, self.gate.around().zone, self.gate.wall(now));
            self.keep_by(now + EVERY);
        }
    }

    /// Remembers how fast a model was. What runs in the browser is offered only while it is fast enough.
    pub(super) fn learn(&mut self, model: &str, rate: Option<u64>, now: Moment) {
        let is_browser = self.is_in_browser(model);
        if let Some(rate) = rate.filter(|_| self.config.power.is_some() || is_browser) {
            self.measured(model, rate);
            self.keep_by(now + EVERY);
            if is_browser {
                self.tell_inventory();
            }
        }
    }

    /// Has kept soon what a job that has begun comes to, so that it counts whatever becomes of the agent.
    pub(super) fn keep_soon(&mut self, now: Moment) {
        if self.config.allowance.counts() {
            self.keep_by(now + EVERY);
        }
    }

    fn keep_by(&mut self, due: Moment) {
        self.keeping.due = Some(self.keeping.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Counts bytes to or from the relay.
    pub(super) fn carry(&mut self, bytes: usize, now: Moment) {
        if bytes > 0 && self.config.allowance.month_bytes.is_some() {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.memory.tally.carry(bytes, self.gate.around().zone, self.gate.wall(now));
            self.keeping.due.get_or_insert(now + DATA_EVERY);
        }
    }

    /// Counts the bytes of what is about to leave.
    pub(super) fn carry_commands(&mut self, now: Moment) {
        let bytes = self.commands.iter().map(|command| match command {
            Command::Send(text) => text.len(),
            Command::OpenSocket { .. }
            | Command::CloseSocket(_)
            | Command::Ask(_)
            | Command::Errand(_)
            | Command::Tell { .. }
            | Command::Post(_)
            | Command::Pause(_)
            | Command::Resume(_)
            | Command::Abort(_)
            | Command::Save(_)
            | Command::Remember(_)
            | Command::Reload
            | Command::Sign(_)
            | Command::Configure(_)
            | Command::Rest(_)
            | Command::Changed => 0,
        });
        let bytes = bytes.sum();
        self.carry(bytes, now);
    }

    /// Notes what the self-test measured, at once: before consent nothing else is kept.
    pub(super) fn tested(&mut self, model: &str, rate: u64, now: Moment) {
        self.measured(model, rate);
        self.keep_now(now);
    }

    /// Has kept at once what has changed.
    pub(super) fn keep_now(&mut self, now: Moment) {
        self.keeping.due.get_or_insert(now);
        self.keep(now);
    }

    /// Follows the speed slowly, so that no price jumps with a single job.
    fn measured(&mut self, model: &str, rate: u64) {
        let speeds = &mut self.memory.speeds;
        if let Some(speed) = speeds.get_mut(model) {
            *speed = (*speed * 3).saturating_add(rate) / 4;
        } else if speeds.len() < SPEEDS_MAX {
            speeds.insert(model.to_owned(), rate);
        }
    }

    /// Has kept what is due.
    pub(super) fn advance_keeping(&mut self, now: Moment) {
        if self.keeping.due.is_some_and(|due| now >= due) {
            self.keep(now);
        }
    }

    /// Has kept what has changed, with what the jobs that run have come to: should the agent die, nobody would
    /// count it.
    pub(super) fn keep(&mut self, now: Moment) {
        if self.keeping.due.take().is_none() {
            return;
        }
        let mut memory = self.memory.clone();
        let running = self.jobs.spent(now);
        if running > 0 && self.config.allowance.counts() {
            memory.tally.count(running, self.gate.around().zone, self.gate.wall(now));
            self.keep_by(now + RUNNING_EVERY);
        }
        self.commands.push(Command::Remember(memory));
    }
}
