//! Local time, as far as the rules need it. The shell says how far it is ahead of UTC.

use rekursing_protocol::{Moment, Span, date::Day};

/// How far local clocks are ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zone {
    minutes: i16,
}

impl Zone {
    /// Makes the zone whose clocks are so many minutes ahead of UTC; behind it when negative.
    pub fn ahead(minutes: i16) -> Zone {
        Zone { minutes }
    }

    /// Returns the local day, counted from 1 January 1970.
    pub fn day(self, at: Moment) -> u64 {
        self.local(at).day()
    }

    /// Returns the next local midnight.
    pub fn midnight_after(self, at: Moment) -> Moment {
        self.utc(Moment((self.day(at) + 1) * Span::DAY.0))
    }

    /// Returns the first day of the local month, counted from 1 January 1970.
    pub fn month(self, at: Moment) -> u64 {
        Day(self.day(at)).month().first().0
    }

    /// Returns when the next local month begins.
    pub fn month_after(self, at: Moment) -> Moment {
        self.utc(Day(self.day(at)).month().next().first().begin())
    }

    /// Writes the local time of day as `22:05`.
    pub fn clock(self, at: Moment) -> String {
        let minute = self.local(at).0 % Span::DAY.0 / 60_000;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    }

    /// Returns what a UTC clock would have to show for the local time to be read off it.
    pub(super) fn local(self, at: Moment) -> Moment {
        Moment(at.0.saturating_add_signed(i64::from(self.minutes) * 60_000))
    }

    /// Undoes [`Zone::local`].
    pub(super) fn utc(self, local: Moment) -> Moment {
        Moment(local.0.saturating_add_signed(-i64::from(self.minutes) * 60_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_and_clock_are_those_of_the_zone() {
        // 2026-03-01 22:30 UTC.
        let now = Moment(1_772_404_200_000);
        for (minutes, clock, midnight) in [
            (0, "22:30", 1_772_409_600_000_u64),
            (120, "00:30", 1_772_488_800_000),
            (-300, "17:30", 1_772_427_600_000),
            (345, "04:15", 1_772_475_300_000),
        ] {
            let zone = Zone::ahead(minutes);
            assert_eq!(zone.clock(now), clock);
            assert_eq!(zone.midnight_after(now), Moment(midnight), "{minutes}");
            assert_eq!(zone.clock(zone.midnight_after(now)), "00:00");
        }
    }
}
