//! How many tokens were done, by the minute for an hour and in all for the local day, and how many bytes went
//! to and fro in the local month.

use rekursing_protocol::{Moment, Span};
use serde::{Deserialize, Serialize};

use super::Zone;

const MINUTE: Span = Span::secs(60);
const HOUR_MINUTES: u64 = 60;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Minutes since the Unix epoch in which tokens were counted, oldest first, at most 60.
    minutes: Vec<(u64, u64)>,
    /// The local day that was counted last.
    day: u64,
    /// Tokens of that day.
    today: u64,
    /// The first day of the local month whose bytes were counted last.
    month: u64,
    /// Bytes of that month.
    carried: u64,
}

impl Tally {
    /// Counts tokens at `now`.
    pub fn count(&mut self, tokens: u64, zone: Zone, now: Moment) {
        let (minute, day) = (now.0 / MINUTE.0, zone.day(now));
        self.minutes.retain(|(then, _)| is_recent(*then, minute));
        match self.minutes.last_mut().filter(|(then, _)| *then == minute) {
            Some((_, sum)) => *sum = sum.saturating_add(tokens),
            None => self.minutes.push((minute, tokens)),
        }
        if self.day != day {
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(tokens);
    }

    /// Counts bytes to or from the relay at `now`.
    pub fn carry(&mut self, bytes: u64, zone: Zone, now: Moment) {
        let month = zone.month(now);
        if self.month != month {
            (self.month, self.carried) = (month, 0);
        }
        self.carried = self.carried.saturating_add(bytes);
    }

    /// Returns the bytes of the local month.
    pub fn month(&self, zone: Zone, now: Moment) -> u64 {
        if self.month == zone.month(now) { self.carried } else { 0 }
    }

    /// Returns the tokens of the last sixty minutes.
    pub fn hour(&self, now: Moment) -> u64 {
        self.recent(now).map(|(_, tokens)| tokens).fold(0, u64::saturating_add)
    }

    /// Returns the tokens of the local day.
    pub fn day(&self, zone: Zone, now: Moment) -> u64 {
        if self.day == zone.day(now) { self.today } else { 0 }
    }

    /// Returns when the tokens of the last sixty minutes are fewer than `most`; `None` for never.
    pub(super) fn below_at(&self, most: u64, now: Moment) -> Option<Moment> {
        let mut sum = self.hour(now);
        if most == 0 || sum < most {
            return None;
        }
        let fits = |(minute, tokens): (u64, u64)| {
            sum = sum.saturating_sub(tokens);
            (sum < most).then_some(Moment((minute + HOUR_MINUTES) * MINUTE.0))
        };
        self.recent(now).find_map(fits)
    }

    fn recent(&self, now: Moment) -> impl Iterator<Item = (u64, u64)> {
        let minute = now.0 / MINUTE.0;
        self.minutes.iter().copied().filter(move |(then, _)| is_recent(*then, minute))
    }
}

/// Tells whether a minute lies within the hour that ends with another. One that lies ahead does
/// not: the clock was set back.
fn is_recent(then: u64, minute: u64) -> bool {
    then <= minute && minute - then < HOUR_MINUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_rolls_and_a_day_ends_at_midnight() {
        let zone = Zone::default();
        let at = |minutes: u64| Moment(Span::DAY.0 * 20_000 + minutes * MINUTE.0);
        let mut tally = Tally::default();
        for minute in 0..90 {
            tally.count(1, zone, at(minute));
            tally.count(1, zone, at(minute));
        }
        assert_eq!((tally.hour(at(89)), tally.day(zone, at(89))), (120, 180));
        assert_eq!(tally.minutes.len(), 60);
        assert_eq!(tally.hour(at(119)), 60);
        assert_eq!(tally.below_at(100, at(89)), Some(at(100)));
        assert_eq!((tally.hour(at(24 * 60)), tally.day(zone, at(24 * 60))), (0, 0));
        // A clock that was set back does not keep jobs away for a day.
        assert_eq!(tally.hour(at(0)), 0);
        let json = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), tally);
    }
}
