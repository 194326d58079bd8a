//! Whether the computer has slept, or its clock was set: the timer rings late, or the clock on the wall has
//! gone another way than the agent's own.

use rekursing_protocol::{Moment, Span};

use super::{Agent, Event, Notice};

/// How late the timer rings, or how far the clocks differ, on a computer that is merely busy.
const BUSY: Span = Span::secs(5);

impl Agent {
    /// Looks whether the relay is still there, when an event says that time has passed which nobody saw.
    pub(super) fn notice_sleep(&mut self, event: &Event<'_>, now: Moment) {
        let is_clocked = matches!(event, Event::Tick | Event::Noticed(Notice::Clock { .. }));
        let has_jumped = matches!(
            event,
            Event::Noticed(Notice::Clock { wall, .. }) if apart(self.gate.wall(now), *wall) > BUSY
        );
        let has_slept = has_jumped || is_clocked && self.is_late(now);
        if has_slept {
            self.look_at_network(now);
        }
    }

    fn is_late(&self, now: Moment) -> bool {
        self.wake_at().is_some_and(|due| now.since(due) > BUSY)
    }
}

fn apart(one: Moment, other: Moment) -> Span {
    one.since(other).max(other.since(one))
}
