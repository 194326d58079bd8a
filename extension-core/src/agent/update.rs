//! A newer version of the extension: it takes over once the running jobs are done.

use rekursing_protocol::Moment;

use super::{Agent, Command, Why, limits::UPDATE_WAIT};
use crate::choices::Closed;

/// Whether a newer version waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Update {
    /// None.
    #[default]
    None,
    /// One does, and takes over then at the latest.
    Waits { until: Moment },
}

impl Update {
    pub(super) fn wake_at(self) -> Option<Moment> {
        match self {
            Update::None => None,
            Update::Waits { until } => Some(until),
        }
    }

    /// Tells why no new jobs are taken.
    pub(super) fn closed(self) -> Option<Closed> {
        match self {
            Update::None => None,
            Update::Waits { .. } => Some(Closed { reason: Why::Updating.reason(), until: None }),
        }
    }
}

impl Agent {
    /// Takes in that a newer version waits. Asked again, it goes on to wait as it did.
    pub(super) fn update_waits(&mut self, now: Moment) {
        if self.update == Update::None {
            self.update = Update::Waits { until: now + UPDATE_WAIT };
        }
    }

    /// Makes way for the newer version when no job runs and the relay has heard of
    /// each one's end, or one ran for too long.
    pub(super) fn advance_update(&mut self, now: Moment) {
        let Update::Waits { until } = self.update else { return };
        let is_busy = !self.jobs.is_empty() || !self.jobs.ended.is_empty();
        if self.is_active() && is_busy && now < until {
            return;
        }
        self.update = Update::None;
        self.shut(now);
        self.keep(now);
        self.up = false;
        self.commands.push(Command::Reload);
    }
}
