//! Time as a value: nothing here reads a clock.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

/// A length of time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Moment {
    /// Returns how long ago `earlier` was, or nothing at all when it lies ahead.
    pub fn since(self, earlier: Moment) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Returns the first moment of the UTC month that this is in.
    ///
    /// By Howard Hinnant's `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>:
    /// within eras of 400 years that begin on the first of March, the day of the month follows from the
    /// day of the era without any table.
    pub fn month(self) -> Moment {
        let days = self.day() + 719_468;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month + 2) / 5;
        Moment((self.day() - day_of_month) * Span::DAY.0)
    }

    /// Returns the number of whole UTC days since the Unix epoch.
    pub fn day(self) -> u64 {
        self.0 / Span::DAY.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// Twenty-four hours.
    pub const DAY: Span = Span::secs(24 * 60 * 60);

    /// Makes a span of whole seconds.
    pub const fn secs(secs: u64) -> Span {
        Span(secs * 1_000)
    }

    /// Makes a span of milliseconds.
    pub const fn millis(millis: u64) -> Span {
        Span(millis)
    }
}

impl Add<Span> for Moment {
    type Output = Moment;

    fn add(self, span: Span) -> Moment {
        Moment(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Moment {
    type Output = Moment;

    fn sub(self, span: Span) -> Moment {
        Moment(self.0.saturating_sub(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_their_first_day() {
        // Days since the epoch of the moment and of the first of its month: 1970-01-31, 2024-02-29,
        // 2024-03-01, 2026-11-20, 2000-12-31, 2100-02-28.
        for (day, first) in [
            (30, 0),
            (19_782, 19_754),
            (19_783, 19_783),
            (20_777, 20_758),
            (11_322, 11_292),
            (47_540, 47_513),
        ] {
            let late = Moment(day * Span::DAY.0 + Span::DAY.0 - 1);
            assert_eq!(late.month(), Moment(first * Span::DAY.0), "{day}");
        }
    }
}
