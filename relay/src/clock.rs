//! The one clock of the relay.

use std::time::{Duration, Instant, SystemTime};

use rekursing_protocol::Moment;

/// Wall time at the start, carried on by a clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    epoch: Duration,
}

impl Clock {
    /// Reads the wall clock, this once.
    #[expect(clippy::disallowed_methods, reason = "this module is the shell's clock")]
    pub fn start() -> Clock {
        let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Clock { started: Instant::now(), epoch }
    }

    /// Returns the present moment.
    pub fn now(&self) -> Moment {
        let millis = (self.epoch + self.started.elapsed()).as_millis();
        Moment(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
