//! The most that a relay can make an agent hold or wait for.
//!
//! A relay with usual settings stays far below each of these; they are for one that means ill or is
//! broken. A job that asks for longer deadlines or more credit gets these and runs; what is too large
//! to be kept is refused.

use rekursing_protocol::{Span, frame::Start};

use crate::bridge::reply::CREDIT_BYTES_MAX;

/// Most jobs at once, whatever the settings say.
pub const JOBS_MAX: u16 = 4_096;

/// Past so many bytes that wait to leave on the socket, a shell reads no more of the servers' answers.
pub const UNSENT_BYTES_PAUSE: usize = 1 << 20;

/// Past so many bytes that wait to leave on the socket, a shell says [`super::Event::SocketStuck`].
/// What was read before the pause fits below it, unless the relay hands out credit and reads nothing.
pub const UNSENT_BYTES_MAX: usize = 16 << 20;

/// Longest message from the relay: a job with images in it. Twice what a job's request may have,
/// for its other fields.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Longest request of one job.
pub(super) const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Bytes that are kept of one answer to be sent again on another socket. A relay with usual settings
/// allows far fewer to be under way.
pub(super) const KEPT_BYTES_MAX: usize = 256 << 10;

/// Most jobs whose ends are kept until the relay has heard of them.
pub(super) const ENDED_MAX: usize = 256;

/// Longest that a newer version waits for running jobs.
pub(super) const UPDATE_WAIT: Span = Span::secs(600);

/// Longest time for which a session is resumed.
const RESUME_MAX: Span = Span::secs(300);

/// Longest wait for a first token: a long prompt on a slow machine.
const FIRST_TOKEN_MAX: Span = Span::secs(1_800);

/// Longest wait between tokens.
const IDLE_MAX: Span = Span::secs(300);

/// Longest that a job may keep a slot.
const TOTAL_MAX: Span = Span::secs(3_600);

/// Shortest and longest time between heartbeats. A relay that could make it longer could be gone for
/// as long without anybody noticing.
const HEARTBEAT_MIN: Span = Span::millis(100);
const HEARTBEAT_MAX: Span = Span::secs(60);

/// Longest time for which the device key may take to sign; the relay waits for a few seconds itself.
pub(super) const SIGNING_MAX: Span = Span::secs(3);

/// Longest time for which a pass is shown.
const PASS_MAX: Span = Span::secs(3_600);

/// Returns for how long a pass is taken to hold.
pub(super) fn pass(holds_ms: u64) -> Span {
    Span::millis(holds_ms).min(PASS_MAX)
}

/// What a job gets of what its `start` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) credit: u64,
    pub(super) first_token: Span,
    pub(super) idle: Span,
    pub(super) total: Span,
}

impl Granted {
    pub(super) fn of(start: &Start) -> Granted {
        let within = |millis: u32, most: Span| Span::millis(millis.into()).min(most);
        Granted {
            credit: u64::from(start.credit).min(CREDIT_BYTES_MAX),
            first_token: within(start.first_token_ms, FIRST_TOKEN_MAX),
            idle: within(start.idle_ms, IDLE_MAX),
            total: within(start.total_ms, TOTAL_MAX),
        }
    }
}

/// Returns for how long a session is resumed of what the relay offers.
pub(super) fn resume(millis: u32) -> Span {
    Span::millis(millis.into()).min(RESUME_MAX)
}

/// Returns the time between heartbeats for the one that the relay asks for.
pub(super) fn heartbeat(millis: u32) -> Span {
    Span::millis(millis.into()).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX)
}
