//! The one place of the chores that reads a clock.

use std::time::Instant;

/// Returns the present moment.
#[expect(clippy::disallowed_methods, reason = "chores tell how long they took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
