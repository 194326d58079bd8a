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
