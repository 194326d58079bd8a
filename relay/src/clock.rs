//! The one clock of the relay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use rekursing_protocol::{Moment, Span};

/// How far the wall clock may be from the relay's without a word in the log, in milliseconds.
const DRIFT_TOLD: i64 = 1_000;

/// How far the wall clock may go ahead at once and still be believed in what is about money, in milliseconds.
const LEAP: i64 = 60_000;

/// For how long it has to stay there to be believed then too, in milliseconds: somebody has the time to see it.
const DOUBT: i64 = 24 * 60 * 60 * 1_000;

/// The wall clock without its jumps backwards; clones share it.
///
/// Between two looks at the wall clock it is carried on by a clock that never jumps, and that goes on while the
/// machine sleeps. When the wall clock has gone ahead of that, because it was set, so does this one. When the wall
/// clock was set back, this one goes at half its pace until the two meet: deadlines and days never run backwards.
///
/// What a leap ahead brings about is not believed at once in what is about money: [`Clock::lag`] says by how much
/// the moment is to be doubted.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Of [`running`].
    started: Duration,
    course: Arc<Course>,
}

/// How the wall clock follows from the time since the start, both in milliseconds.
#[derive(Debug)]
struct Course {
    /// The wall clock's time at the start, as far as this clock follows it.
    offset: AtomicI64,
    /// The latest moment that was told.
    told: AtomicU64,
    /// Time since the start when the wall clock was last looked at.
    looked: AtomicI64,
    /// By how much the moment is to be doubted.
    lag: AtomicU64,
    belief: Mutex<Belief>,
}

/// What of the wall clock is believed also in what is about money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Belief {
    /// The wall clock's time at the start, as far as it is believed.
    offset: i64,
    /// The same by the last look, believed or not.
    seen: i64,
    /// The time since the start from which on the two differ, if they do.
    since: Option<i64>,
}

/// What a relay has known of the time, kept for the next one over the same money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lived {
    /// The moment that was believed.
    pub believed: Moment,
    /// How far the clock was ahead of it.
    pub lag: Span,
    /// For how long it had been.
    pub doubted: Span,
}

impl Clock {
    /// Reads the wall clock, and believes it.
    pub fn start() -> Clock {
        Clock::after(None)
    }

    /// Reads the wall clock, and believes what follows on what an earlier relay has known. Whether the relay was away
    /// since or the clock was set, nobody can tell.
    pub fn after(lived: Option<Lived>) -> Clock {
        let clock = Clock { started: running(), course: Arc::new(Course::begun(wall(), lived)) };
        let lag = clock.lag();
        if lag > Span::ZERO {
            tracing::warn!(
                ms = lag.0,
                "the relay was away, or the clock was set: what is held back waits as much longer, for a day"
            );
        }
        clock
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

    /// Returns by how much the present moment is to be doubted in what is about money: what leapt ahead within the
    /// last day.
    pub fn lag(&self) -> Span {
        Span(self.course.lag.load(Ordering::Relaxed))
    }

    /// Returns what the next relay has to know of the time.
    pub fn lived(&self) -> Lived {
        self.course.lived(self.steady())
    }

    /// Looks at the wall clock and follows it. Called again and again, from one place.
    pub fn follow(&self) {
        let before = self.lag().0;
        let drift = self.course.follow(self.steady(), wall());
        if drift.abs() >= DRIFT_TOLD {
            tracing::warn!(ms = drift, "the wall clock was set; following it");
        }
        if self.lag().0 >= before + LEAP.unsigned_abs() {
            tracing::warn!(
                ms = self.lag().0,
                "the wall clock leapt ahead: what is held back waits as much longer, for a day"
            );
        }
    }

    fn steady(&self) -> i64 {
        millis(running().saturating_sub(self.started))
    }
}

impl Course {
    fn begun(wall: i64, lived: Option<Lived>) -> Course {
        let belief = Belief::begun(wall, lived);
        let course = Course {
            offset: AtomicI64::new(wall),
            told: AtomicU64::new(0),
            looked: AtomicI64::new(0),
            lag: AtomicU64::new(0),
            belief: Mutex::new(belief),
        };
        course.doubt(&belief);
        course
    }

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
        let mut belief = self.belief.lock();
        belief.look(steady, wall - steady);
        self.doubt(&belief);
        drift
    }

    fn doubt(&self, belief: &Belief) {
        let lag = self.offset.load(Ordering::Relaxed) - belief.offset;
        self.lag.store(u64::try_from(lag).unwrap_or_default(), Ordering::Relaxed);
    }

    fn lived(&self, steady: i64) -> Lived {
        let belief = self.belief.lock();
        let doubted = belief.since.map_or(0, |since| steady - since);
        Lived {
            believed: Moment(u64::try_from(belief.offset + steady).unwrap_or_default()),
            lag: Span(u64::try_from(belief.seen - belief.offset).unwrap_or_default()),
            doubted: Span(u64::try_from(doubted).unwrap_or_default()),
        }
    }
}

impl Belief {
    fn begun(wall: i64, lived: Option<Lived>) -> Belief {
        let all = Belief { offset: wall, seen: wall, since: None };
        let Some(Lived { believed, lag, doubted }) = lived else { return all };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let ahead = wall.saturating_sub(signed(believed.0));
        let unseen = ahead.saturating_sub(signed(lag.0));
        match ahead {
            ..=LEAP => all,
            // The doubt of before goes on.
            _ if lag > Span::ZERO && unseen <= LEAP => {
                Belief { offset: wall - signed(lag.0).min(ahead), since: Some(-signed(doubted.0)), ..all }
            }
            _ => Belief { offset: wall - ahead, since: Some(0), ..all },
        }
    }

    /// Takes in where the wall clock would have been at the start.
    fn look(&mut self, steady: i64, offset: i64) {
        if offset - self.offset <= LEAP {
            *self = Belief { offset, seen: offset, since: None };
            return;
        }
        let is_another = offset - self.seen > LEAP;
        self.seen = offset;
        let since = if is_another { steady } else { self.since.unwrap_or(steady) };
        self.since = Some(since);
        if steady - since >= DOUBT {
            *self = Belief { offset, seen: offset, since: None };
        }
    }
}

/// Reads the wall clock, in milliseconds since the Unix epoch; 0 before it.
#[expect(clippy::disallowed_methods, reason = "this module is the shell's clock")]
fn wall() -> i64 {
    millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Reads a clock that never jumps and that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
fn running() -> Duration {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(at).unwrap_or_default()
}

/// Reads a clock that never jumps. Whether it goes on while the machine sleeps is the system's to say.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this module is the shell's clock")]
fn running() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        Course::begun(1_000_000, None)
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

    const HOUR: i64 = 3_600_000;

    /// Looks at a wall clock that is so far ahead of where it would have been, and tells by how much it is doubted.
    fn doubt(course: &Course, steady: i64, ahead: i64) -> u64 {
        course.follow(steady, 1_000_000 + steady + ahead);
        course.lag.load(Ordering::Relaxed)
    }

    #[test]
    fn a_leap_ahead_is_doubted_for_a_day_and_a_drift_is_not() {
        let course = course();
        assert_eq!([doubt(&course, 250, 30), doubt(&course, 500, LEAP)], [0, 0]);
        let leap = LEAP + 9 * DOUBT;
        assert_eq!(doubt(&course, 750, leap), (9 * DOUBT).unsigned_abs());
        assert_eq!(course.now(750), Moment((1_000_750 + leap).unsigned_abs()), "it is followed all the same");
        assert_eq!(doubt(&course, DOUBT + 749, leap + 20), (9 * DOUBT + 20).unsigned_abs());
        assert_eq!(doubt(&course, DOUBT + 750, leap + 20), 0, "whoever had to see it has had a day");
        // Another one is doubted anew.
        assert!(doubt(&course, DOUBT + 1_000, leap + 2 * LEAP) > 0);
    }

    #[test]
    fn a_leap_that_is_set_right_again_has_brought_nothing_about() {
        let course = course();
        let wrong = 400 * DOUBT;
        assert_eq!(doubt(&course, 250, wrong), wrong.unsigned_abs());
        // This clock goes on ahead of the right time, and what is believed is the right time.
        let lag = doubt(&course, HOUR, 0);
        assert_eq!(course.now(HOUR).0 - lag, (1_000_000 + HOUR).unsigned_abs());
        let lag = doubt(&course, 2 * DOUBT, 0);
        assert_eq!(course.now(2 * DOUBT).0 - lag, (1_000_000 + 2 * DOUBT).unsigned_abs());
    }

    #[test]
    fn a_second_leap_within_the_day_begins_the_day_anew() {
        let course = course();
        doubt(&course, 0, HOUR);
        doubt(&course, DOUBT / 2, 9 * HOUR);
        assert_eq!(doubt(&course, DOUBT, 9 * HOUR), (9 * HOUR).unsigned_abs());
        assert_eq!(doubt(&course, DOUBT / 2 + DOUBT, 9 * HOUR), 0);
    }

    #[test]
    fn what_was_doubted_is_doubted_over_a_restart_and_no_longer_than_a_day_in_all() {
        let lag = |course: &Course| course.lag.load(Ordering::Relaxed);
        let begun = |ahead: i64, lived| Course::begun(1_000_000 + ahead, Some(lived));
        let right = Lived { believed: Moment(1_000_000), ..Lived::default() };
        assert_eq!(lag(&begun(LEAP, right)), 0, "a restart takes no longer");
        assert_eq!(lag(&begun(-HOUR, right)), 0, "what is believed is what the clock says");
        assert_eq!(lag(&begun(HOUR, right)), HOUR.unsigned_abs(), "it was away, or the clock was set");

        let course = course();
        doubt(&course, 1_000, 9 * HOUR);
        let lived = course.lived(1_000 + DOUBT / 2);
        assert_eq!(lived.doubted, Span((DOUBT / 2).unsigned_abs()));
        let next = Course::begun(1_000_000 + 1_000 + DOUBT / 2 + 9 * HOUR + 5_000, Some(lived));
        assert_eq!(lag(&next), (9 * HOUR).unsigned_abs(), "less the five seconds that nobody has seen");
        let follow = |steady: i64| next.follow(steady, 1_006_000 + DOUBT / 2 + 9 * HOUR + steady);
        follow(DOUBT / 2 - 1);
        assert_eq!(lag(&next), (9 * HOUR).unsigned_abs());
        follow(DOUBT / 2);
        assert_eq!(lag(&next), 0);
        // Set ahead further while nobody looked, it is doubted for a day of its own.
        let further = Course::begun(1_000_000 + DOUBT + 20 * HOUR, Some(lived));
        assert_eq!(further.belief.lock().since, Some(0));
    }
}
