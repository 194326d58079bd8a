//! Whether this computer's clock is wrong, by what the relay's answers say of when they were written.

use rekursing_protocol::{Moment, Span};

use super::{Agent, AskId, Reason, Why};
use crate::said::{Blank, Said};

/// How far a clock may be off before anybody is told. Certificates, schedules and days bear that much.
const TOLERANCE: Span = Span::secs(300);

/// What the relay's clock showed.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// How far the relay is ahead of the agent's own clock, in milliseconds.
    relay_ahead: Option<i64>,
}

impl Agent {
    /// Takes in when an answer was written, if it is the relay's.
    pub(super) fn dated(&mut self, id: AskId, at: Moment, now: Moment) {
        let is_relays = self.link.awaits(id)
            || self.purse.inquiry.awaits(id)
            || self.prospects.inquiry.awaits(id)
            || self.wants.awaits(id);
        if is_relays {
            let before = self.clock_wrong(now);
            self.skew.relay_ahead = Some(at.0.cast_signed().saturating_sub(now.0.cast_signed()));
            self.changed |= self.clock_wrong(now) != before;
        }
    }

    /// Says how wrong the clock on the wall is, when it is.
    pub(super) fn clock_wrong(&self, now: Moment) -> Option<Reason> {
        let relay = Moment(now.0.saturating_add_signed(self.skew.relay_ahead?));
        let wall = self.gate.wall(now);
        let is_ahead = wall > relay;
        let off = if is_ahead { wall.since(relay) } else { relay.since(wall) };
        (off > TOLERANCE).then(|| said(is_ahead, off.0 / 60_000))
    }
}

/// Says how many minutes the clock is ahead or behind, in hours where it is many.
fn said(is_ahead: bool, minutes: u64) -> Reason {
    let is_long = minutes >= 120;
    let key = match (is_ahead, is_long) {
        (true, false) => "why_clock_ahead",
        (true, true) => "why_clock_ahead_hours",
        (false, false) => "why_clock_behind",
        (false, true) => "why_clock_behind_hours",
    };
    let (count, unit) = if is_long { (minutes / 60, "hours") } else { (minutes, "minutes") };
    let word = if is_ahead { "ahead" } else { "behind" };
    let text = format!("This computer's clock is {count} {unit} {word}. Set it.");
    Reason::new(Why::ClockWrong, Said::new(key, [Blank::Number(count)], text))
}
