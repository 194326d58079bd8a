//! Blame: whose fault it is that an answer failed.

use rekursing_protocol::FailCode;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The page's: no other session would do better, and nobody's record suffers.
    Page,
    /// Nobody's: the session cannot take it at this moment and is left alone for a while.
    NotNow,
    /// Nobody's, and another session may do better.
    Nobody,
    /// The owner's side if another session can answer the same job, else nobody's: a page can word a
    /// request so that every server fails on it, and must not be able to park providers with that.
    Unproven,
    /// The owner's side.
    Owner,
}

/// Tells whose fault it is that an attempt failed, before or after its first piece.
pub(crate) const fn blame(code: FailCode, began: bool) -> Blame {
    match code {
        FailCode::BadRequest | FailCode::ContextOverflow | FailCode::TooLarge => Blame::Page,
        FailCode::Busy | FailCode::Paused | FailCode::ModelLoading => Blame::NotNow,
        // The shell's own cancellations end by `cancel`: who says so unasked has dropped the job. And a page can ask
        // for more than fits into the time of a job.
        FailCode::Refused | FailCode::Cancelled | FailCode::TimeUp => Blame::Nobody,
        FailCode::ServerError | FailCode::Empty => Blame::Unproven,
        // A request can be made to end so before the first piece.
        FailCode::Malformed | FailCode::Cut | FailCode::Stalled if !began => Blame::Unproven,
        FailCode::ModelMissing
        | FailCode::ModelCrashed
        | FailCode::Unreachable
        | FailCode::Unauthorized
        | FailCode::Malformed
        | FailCode::Cut
        | FailCode::Stalled => Blame::Owner,
    }
}
