//! Days, months and hours of UTC as values, and how they are written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Moment, Span};

/// A day of UTC: whole days since the Unix epoch. Prints and reads as `2026-03-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Day(pub u64);

/// A month of UTC. Prints and reads as `2026-03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u64,
    month: u64,
}

/// An hour of UTC: whole hours since the Unix epoch. Prints and reads as `2026-03-01T04`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub u64);

/// Why a text is no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a date of UTC since 1970 is written as {0}")]
pub struct BadDate(&'static str);

/// The last year that can be named.
const YEAR_MAX: u64 = 9_999;

impl Day {
    /// Returns the day's first moment.
    pub const fn begin(self) -> Moment {
        Moment(self.0.saturating_mul(Span::DAY.0))
    }

    /// Returns the month that the day is in.
    pub const fn month(self) -> Month {
        let (year, month, _) = civil(self.0);
        Month { year, month }
    }
}

impl Month {
    /// Returns the month's first day.
    pub const fn first(self) -> Day {
        Day(days(self.year, self.month, 1))
    }

    /// Returns the month behind it.
    #[must_use]
    pub const fn next(self) -> Month {
        match self.month {
            12 => Month { year: self.year + 1, month: 1 },
            month => Month { year: self.year, month: month + 1 },
        }
    }
}

impl Hour {
    /// How long it is.
    pub const LENGTH: Span = Span::secs(60 * 60);

    /// Returns the hour that a moment is in.
    pub const fn of(moment: Moment) -> Hour {
        Hour(moment.0 / Hour::LENGTH.0)
    }

    /// Returns the first moment behind the hour.
    pub const fn end(self) -> Moment {
        Moment(self.0.saturating_add(1).saturating_mul(Hour::LENGTH.0))
    }

    /// Returns the day that the hour is in.
    pub const fn day(self) -> Day {
        Day(self.0 / 24)
    }
}

/// Returns year, month and day of the month of so many days since the Unix epoch, by the Gregorian
/// calendar. The year is counted from March, so that a leap day is its last.
const fn civil(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is day 719,468 behind 0000-03-01; 146,097 days are 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Returns the days since the Unix epoch; the inverse of [`civil`].
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Reads exactly so many digits.
fn digits(text: &str, count: usize) -> Option<u64> {
    let is_plain = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Day, BadDate> {
        let bad = BadDate("2026-03-01");
        let (month, day) = text.rsplit_once('-').ok_or(bad)?;
        let month: Month = month.parse().map_err(|_| bad)?;
        let day = digits(day, 2).filter(|day| *day > 0).ok_or(bad)?;
        let found = Day(month.first().0 + day - 1);
        if found < month.next().first() { Ok(found) } else { Err(bad) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Month, BadDate> {
        let bad = BadDate("2026-03");
        let (year, month) = text.split_once('-').ok_or(bad)?;
        let year = digits(year, 4).filter(|year| (1970..=YEAR_MAX).contains(year)).ok_or(bad)?;
        let month = digits(month, 2).filter(|month| (1..=12).contains(month)).ok_or(bad)?;
        Ok(Month { year, month })
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}", self.day(), self.0 % 24)
    }
}

impl FromStr for Hour {
    type Err = BadDate;

    fn from_str(text: &str) -> Result<Hour, BadDate> {
        let bad = BadDate("2026-03-01T04");
        let (day, hour) = text.split_once('T').ok_or(bad)?;
        let day: Day = day.parse().map_err(|_| bad)?;
        let hour = digits(hour, 2).filter(|hour| *hour < 24).ok_or(bad)?;
        Ok(Hour(day.0 * 24 + hour))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

as_text!(Day);
as_text!(Month);
as_text!(Hour);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_and_read_back() {
        for (day, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (10_957, "2000-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_454, "2026-01-01"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(Day(day).to_string(), text);
            assert_eq!(text.parse(), Ok(Day(day)));
        }
        for day in 0..60_000 {
            assert_eq!(Day(day).to_string().parse(), Ok(Day(day)));
        }
    }

    #[test]
    fn months_follow_each_other_without_a_gap() {
        let mut month = Day(0).month();
        for _ in 0..2_000 {
            let next = month.next();
            assert_eq!(Day(next.first().0 - 1).month(), month);
            assert_eq!(next.first().month(), next);
            assert_eq!(month.to_string().parse(), Ok(month));
            month = next;
        }
    }

    #[test]
    fn hours_know_their_day_and_their_end() {
        let hour: Hour = "2026-01-01T23".parse().unwrap();
        assert_eq!(hour, Hour(20_454 * 24 + 23));
        assert_eq!(hour.end(), Day(20_455).begin());
        assert_eq!(Hour::of(Moment(hour.end().0 - 1)), hour);
        assert_eq!(hour.to_string(), "2026-01-01T23");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in
            ["", "2026", "2026-1", "2026-13", "2026-00", "1969-12", "+026-01", "2026-01-01", "12026-01"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        for text in ["", "2026-01", "2026-02-29", "2026-01-00", "2026-01-32", "2026-1-1", "2026-01-1é"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        for text in ["2026-01-01", "2026-01-01T24", "2026-01-01T4", "2026-01-01 04", "2026-01-01T+1"] {
            assert!(text.parse::<Hour>().is_err(), "{text}");
        }
    }
}
