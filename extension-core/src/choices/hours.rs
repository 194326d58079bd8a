//! A schedule by weekday, in local time.

use rekursing_protocol::{Moment, Span};
use serde::{Deserialize, Serialize};

use super::Zone;

/// Minutes of a day.
const DAY: u64 = 24 * 60;

/// From when to when jobs are taken on one weekday, in minutes since local midnight, each below
/// 1440. When `to` is not after `from`, the time goes on over midnight to `to` of the next day;
/// when both are the same, it is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// When it begins.
    pub from: u16,
    /// When it ends.
    pub to: u16,
}

/// The hours of each weekday, Monday first; a day without hours begins none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Week(pub [Option<Hours>; 7]);

impl Week {
    /// Tells whether jobs are taken at this moment.
    pub fn is_open(&self, zone: Zone, at: Moment) -> bool {
        let at = zone.local(at);
        self.windows(at).any(|(from, to)| from <= at && at < to)
    }

    /// Returns when that changes next; `None` when it never does.
    pub fn changes_at(&self, zone: Zone, at: Moment) -> Option<Moment> {
        let open = self.is_open(zone, at);
        let local = zone.local(at);
        let mut edges: Vec<Moment> = self.windows(local).flat_map(|(from, to)| [from, to]).collect();
        edges.sort_unstable();
        // Where the hours of two days meet, an edge changes nothing.
        edges
            .into_iter()
            .filter(|edge| *edge > local)
            .map(|edge| zone.utc(edge))
            .find(|edge| self.is_open(zone, *edge) != open)
    }

    /// Returns the times from yesterday's to those of today in a week, in local time.
    fn windows(&self, local: Moment) -> impl Iterator<Item = (Moment, Moment)> {
        let today = local.day();
        (today.saturating_sub(1)..=today + 7).filter_map(|day| {
            // 1 January 1970 was a Thursday.
            let weekday = usize::try_from((day + 3) % 7).unwrap_or_default();
            let hours = self.0.get(weekday).copied().flatten()?;
            let (from, to) = (u64::from(hours.from) % DAY, u64::from(hours.to) % DAY);
            let length = if to > from { to - from } else { to + DAY - from };
            let begin = Moment((day * DAY + from) * 60_000);
            Some((begin, begin + Span::secs(length * 60)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02 00:00 UTC, a Monday.
    const MONDAY: u64 = 1_772_409_600_000;

    fn at(day: u64, hour: u64, minute: u64) -> Moment {
        Moment(MONDAY + ((day * 24 + hour) * 60 + minute) * 60_000)
    }

    fn hours(from: u16, to: u16) -> Option<Hours> {
        Some(Hours { from: from * 60, to: to * 60 })
    }

    #[test]
    fn hours_go_over_midnight_into_the_next_day() {
        // Monday 22 to Tuesday 6, Saturday all day.
        let mut week = Week([None; 7]);
        week.0[0] = hours(22, 6);
        week.0[5] = hours(0, 0);
        let utc = Zone::default();
        for (moment, open, next) in [
            (at(0, 5, 0), false, at(0, 22, 0)),
            (at(0, 21, 59), false, at(0, 22, 0)),
            (at(0, 22, 0), true, at(1, 6, 0)),
            (at(1, 5, 59), true, at(1, 6, 0)),
            (at(1, 6, 0), false, at(5, 0, 0)),
            (at(5, 12, 0), true, at(6, 0, 0)),
            (at(6, 0, 0), false, at(7, 22, 0)),
        ] {
            assert_eq!(week.is_open(utc, moment), open, "{moment:?}");
            assert_eq!(week.changes_at(utc, moment), Some(next), "{moment:?}");
        }
    }

    #[test]
    fn hours_are_those_of_the_local_clock() {
        let week = Week([hours(22, 6); 7]);
        let zone = Zone::ahead(-300);
        assert!(!week.is_open(zone, at(0, 22, 0)));
        assert!(week.is_open(zone, at(1, 3, 0)));
        assert_eq!(week.changes_at(zone, at(1, 3, 0)), Some(at(1, 11, 0)));
    }

    #[test]
    fn hours_that_meet_are_one_time_and_no_hours_are_never() {
        let utc = Zone::default();
        let always = Week([hours(0, 0); 7]);
        assert!(always.is_open(utc, at(3, 0, 0)));
        assert_eq!(always.changes_at(utc, at(3, 12, 0)), None);
        let never = Week([None; 7]);
        assert!(!never.is_open(utc, at(3, 0, 0)));
        assert_eq!(never.changes_at(utc, at(3, 0, 0)), None);
    }
}
