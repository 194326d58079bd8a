//! The clocks of the native shell.

use std::time::{Duration, Instant, SystemTime};

use rekursing_protocol::Moment;

/// Wall time at the start, carried on by a clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    epoch: Duration,
}

impl Clock {
    /// Reads the wall clock, this once.
    #[expect(clippy::disallowed_methods, reason = "this module is the shell's clock")]
    pub(super) fn start() -> Clock {
        let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Clock { started: Instant::now(), epoch }
    }

    /// Returns the present moment.
    pub(super) fn now(&self) -> Moment {
        let millis = (self.epoch + self.started.elapsed()).as_millis();
        Moment(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns what the clock on the wall shows.
    pub(super) fn wall() -> Moment {
        let millis = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        Moment(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns the timer's form of a moment.
    pub(super) fn instant(&self, at: Moment) -> tokio::time::Instant {
        let since_start = Duration::from_millis(at.0).saturating_sub(self.epoch);
        // A timer that fires within the millisecond before would find nothing due.
        (self.started + since_start + Duration::from_millis(1)).into()
    }
}
