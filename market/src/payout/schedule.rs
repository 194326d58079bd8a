//! When automatic payouts are due: at midnight UTC.

use std::{fmt, str::FromStr};

use rekursing_protocol::{Moment, Span};

/// How often an owner is paid without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schedule {
    /// Only when the owner asks.
    Manual,
    /// At each midnight UTC.
    Daily,
    /// When Monday begins, UTC.
    Weekly,
    /// When a month begins, UTC.
    Monthly,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a schedule is manual, daily, weekly or monthly")]
pub struct BadSchedule;

impl Schedule {
    /// Every schedule.
    pub const ALL: [Schedule; 4] = [Schedule::Manual, Schedule::Daily, Schedule::Weekly, Schedule::Monthly];

    /// Returns when the next payout behind `now` is due, if any ever is.
    pub fn next(self, now: Moment) -> Option<Moment> {
        let midnight = |day: u64| Moment(day * Span::DAY.0);
        match self {
            Schedule::Manual => None,
            Schedule::Daily => Some(midnight(now.day() + 1)),
            // The epoch was a Thursday, so Mondays are the days 4, 11, 18 …
            Schedule::Weekly => Some(midnight(now.day() + 7 - (now.day() + 3) % 7)),
            // No month is longer than 31 days, and none so short that 32 of them skip one.
            Schedule::Monthly => Some((now.month() + Span(32 * Span::DAY.0)).month()),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Schedule::Manual => "manual",
            Schedule::Daily => "daily",
            Schedule::Weekly => "weekly",
            Schedule::Monthly => "monthly",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Schedule, BadSchedule> {
        Schedule::ALL.into_iter().find(|schedule| schedule.name() == text).ok_or(BadSchedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_due_when_its_day_begins() {
        let noon = |day: u64| Moment(day * Span::DAY.0 + Span::DAY.0 / 2);
        // 2024-01-31 was a Wednesday and day 19,753; 2024-02-29 day 19,782; Monday 2024-02-05 day 19,758.
        for (schedule, now, due) in [
            (Schedule::Daily, noon(19_753), Some(19_754)),
            (Schedule::Weekly, noon(19_753), Some(19_758)),
            (Schedule::Weekly, noon(19_757), Some(19_758)),
            (Schedule::Weekly, Moment(19_758 * Span::DAY.0), Some(19_765)),
            (Schedule::Weekly, noon(0), Some(4)),
            (Schedule::Monthly, noon(19_753), Some(19_754)),
            (Schedule::Monthly, noon(19_754), Some(19_783)),
            (Schedule::Monthly, Moment(19_783 * Span::DAY.0), Some(19_814)),
            (Schedule::Manual, noon(19_753), None),
        ] {
            assert_eq!(schedule.next(now), due.map(|day| Moment(day * Span::DAY.0)), "{schedule} {now:?}");
        }
    }

    #[test]
    fn schedules_print_and_read_back() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        assert_eq!("hourly".parse::<Schedule>(), Err(BadSchedule));
    }
}
