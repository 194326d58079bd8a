//! What the bench's programs share: one clock for all processes, the job's spec inside the prompt, the
//! mark on every token, the link to a relay, timers finer than tokio's, and what the system says of a process.

pub mod link;
pub mod mark;
pub mod process;
pub mod spec;
pub mod timer;

use rustix::time::{ClockId, clock_gettime};

/// Reads the monotonic clock in nanoseconds; it is the same for every process of this machine.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
