//! What is counted and measured for the owner's choices, and kept over a restart.

use rekursing_protocol::{Moment, Span};

use super::{Agent, Command};

/// How often it is kept at most.
const EVERY: Span = Span::secs(5);

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
    /// Counts what a job came to, and how fast it was.
    pub(super) fn count(&mut self, model: &str, tokens: u64, rate: Option<u64>, now: Moment) {
        let is_limited = self.config.allowance.counts();
        if is_limited {
            self.memory.tally.count(tokens, self.gate.around().zone, self.gate.wall(now));
        }
        let rate = rate.filter(|_| self.config.power.is_some());
        if let Some(rate) = rate {
            self.measured(model, rate);
        }
        if is_limited || rate.is_some() {
            self.keeping.due.get_or_insert(now + EVERY);
        }
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
            self.keep();
        }
    }

    /// Has kept what has changed.
    pub(super) fn keep(&mut self) {
        if self.keeping.due.take().is_some() {
            self.commands.push(Command::Remember(self.memory.clone()));
        }
    }
}
