//! Whether new jobs are let in, by what the owner has chosen and what the shell notices.

use rekursing_protocol::{FailCode, Moment};

use super::{Agent, IDLE_AFTER, Notice};
use crate::{
    bridge::fault::Fault,
    choices::{Closed, Input, Surroundings},
};

/// How the owner's choices stand. They are ruled by the clock on the wall: every moment in here is
/// one of that clock.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// How far the wall is ahead of the agent's own clock, in milliseconds.
    ahead: i64,
    around: Surroundings,
    closed: Option<Closed>,
    /// When the choices have to be looked at again, with nothing else happening.
    next: Option<Moment>,
}

impl Gate {
    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    pub(super) fn around(&self) -> &Surroundings {
        &self.around
    }

    /// Returns what the wall shows at a moment of the agent's own clock.
    pub(super) fn wall(&self, own: Moment) -> Moment {
        Moment(own.0.saturating_add_signed(self.ahead))
    }

    /// Returns when the choices have to be looked at again, by the agent's own clock.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.next.map(|wall| Moment(wall.0.saturating_add_signed(-self.ahead)))
    }
}

impl Agent {
    /// Takes in what the shell notices.
    pub(super) fn noticed(&mut self, notice: Notice, now: Moment) {
        let own = now;
        if let Notice::Clock { wall, .. } = notice {
            self.gate.ahead = wall.0.cast_signed().saturating_sub(now.0.cast_signed());
        }
        let now = self.gate.wall(now);
        let around = &mut self.gate.around;
        let idle_since = |since| match around.input {
            Input::Used => Input::Idle(since),
            Input::Idle(earlier) => Input::Idle(earlier),
        };
        match notice {
            Notice::Clock { zone, .. } => around.zone = zone,
            Notice::Used => around.input = Input::Used,
            Notice::Idle => around.input = idle_since(now - IDLE_AFTER),
            Notice::Locked => around.input = idle_since(now),
            Notice::Battery(on_battery) => around.on_battery = on_battery,
            Notice::Network => self.look_at_network(own),
        }
    }

    /// Looks at the choices again, and tells the relay when they let in jobs or no more, or until when. Returns whether
    /// it was told.
    pub(super) fn advance_gate(&mut self, now: Moment) -> bool {
        let before = self.gate.closed.take();
        self.gate.around.own_use = self.watch.own_use().map(|own| self.gate.wall(own));
        let own = now;
        let now = self.gate.wall(own);
        let (around, choices) = (self.gate.around, &self.config);
        let when = choices.when.closed(&around, now);
        let ends_jobs = choices.when.give_back && when.is_some();
        let running = self.jobs.spent(own);
        let closed = choices
            .paused
            .closed(around.zone, now)
            .or(when)
            .or_else(|| self.update.closed())
            .or_else(|| choices.allowance.closed(&self.memory.tally, running, around.zone, now));
        let changes = choices.when.changes_at(&around, now);
        self.gate.next =
            [changes, closed.as_ref().and_then(|closed| closed.until)].into_iter().flatten().min();
        self.changed |= closed != before;
        let told = |closed: &Option<Closed>| closed.as_ref().map(Closed::paused_until);
        let turned = told(&closed) != told(&before);
        self.gate.closed = closed;
        if turned {
            self.tell_inventory();
        }
        if ends_jobs {
            self.give_back(own);
        }
        turned
    }

    /// Ends every job so that the relay can give it to somebody else.
    fn give_back(&mut self, now: Moment) {
        for fetch in self.jobs.fetches() {
            self.fail(fetch, Fault::of(FailCode::Paused), now);
        }
    }
}
