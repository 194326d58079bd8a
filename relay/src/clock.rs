//! The one clock of the relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use rekursing_protocol::Moment;

/// How far the wall clock may be from the relay's without a word in the log, in milliseconds.
const DRIFT_TOLD: i64 = 1_000;

/// The wall clock without its jumps backwards; clones share it.
///
/// Between two looks at the wall clock it is carried on by a clock that never jumps. When the wall clock
/// has gone ahead, because the machine slept or was set right, so does this one. When the wall clock was
/// set back, this one goes at half its pace until the two meet: deadlines and days never run backwards.
#[derive(Debug, Clone)]
pub struct Clock {
    started: Instant,
    course: Arc<Course>,
}

/// How the wall clock follows from the time since the start, both in milliseconds.
#[derive(Debug)]
struct Course {
    /// The wall clock's time at the start, as far as this clock believes it.
    offset: AtomicI64,
    /// The latest moment that was told.
    told: AtomicU64,
    /// Time since the start when the wall clock was last looked at.
    looked: AtomicI64,
}

impl Clock {
    /// Reads the wall clock.
    #[expect(clippy::disallowed_methods, reason = "this module is the shell's clock")]
    pub fn start() -> Clock {
        let course =
            Course { offset: AtomicI64::new(wall()), told: AtomicU64::new(0), looked: AtomicI64::new(0) };
        Clock { started: Instant::now(), course: Arc::new(course) }
    }

    /// Returns the present moment, never an earlier one than before.
    pub fn now(&self) -> Moment {
        self.course.now(self.steady())
    }

    /// Returns the wall clock's moment, which may be an earlier one than before: to compare with what
    /// somebody else has written down.
    pub fn wall(&self) -> Moment {
        Moment(wall().unsigned_abs())
    }

    /// Looks at the wall clock and follows it. Called again and again, from one place.
    pub fn follow(&self) {
        let drift = self.course.follow(self.steady(), wall());
        if drift.abs() >= DRIFT_TOLD {
            tracing::warn!(ms = drift, "the wall clock was set, or the machine slept; following it");
        }
    }

    fn steady(&self) -> i64 {
        millis(self.started.elapsed())
    }
}

impl Course {
    fn now(&self, steady: i64) -> Moment {
        let moment = u64::try_from(self.offset.load(Ordering::Relaxed) + steady).unwrap_or_default();
        // Most calls come within a millisecond of another one, and then nobody writes.
        let told = self.told.load(Ordering::Relaxed);
        if moment <= told {
            return Moment(told);
        }
        Moment(self.told.fetch_max(moment, Ordering::Relaxed).max(moment))
    }

    /// Follows the wall clock; returns how far that was from this one.
    fn follow(&self, steady: i64, wall: i64) -> i64 {
        let passed = steady - self.looked.swap(steady, Ordering::Relaxed);
        let drift = wall - (self.offset.load(Ordering::Relaxed) + steady);
        self.offset.fetch_add(drift.max(-passed / 2), Ordering::Relaxed);
        drift
    }
}

/// Reads the wall clock, in milliseconds since the Unix epoch; 0 before it.
fn wall() -> i64 {
    millis(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        Course { offset: AtomicI64::new(1_000_000), told: AtomicU64::new(0), looked: AtomicI64::new(0) }
    }

    #[test]
    fn a_wall_clock_that_was_set_ahead_is_followed_at_once() {
        let course = course();
        assert_eq!(course.now(10), Moment(1_000_010));
        // Set right by a year, then carried on.
        assert_eq!(course.follow(20, 32_000_000_020), 31_999_000_000);
        assert_eq!(course.now(30), Moment(32_000_000_030));
        assert_eq!(course.follow(40, 32_000_000_040), 0);
    }

    #[test]
    fn a_wall_clock_that_was_set_back_is_met_at_half_the_pace_and_no_moment_comes_before_another() {
        let course = course();
        let (mut last, mut steady) = (course.now(0), 0);
        // Set back by ten seconds, looked at every 250 ms.
        for _ in 0..80 {
            steady += 250;
            for early in [200, 100, 0] {
                let now = course.now(steady - early);
                assert!(now >= last, "{now:?} comes behind {last:?}");
                last = now;
            }
            course.follow(steady, 990_000 + steady);
        }
        assert_eq!(steady, 20_000);
        assert_eq!(course.now(steady + 250), Moment(1_010_250), "the two have met");
        assert_eq!(course.follow(steady + 250, 1_010_250), 0);
    }

    #[test]
    fn a_small_drift_is_followed_both_ways() {
        let course = course();
        assert_eq!(course.follow(250, 1_000_253), 3);
        assert_eq!(course.follow(500, 1_000_500), -3);
        assert_eq!(course.now(750), Moment(1_000_750));
    }
}
