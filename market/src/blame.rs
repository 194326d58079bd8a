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
    /// The owner's side, which has left an answer in its middle: another one may go on with it.
    Left,
    /// The owner's side.
    Owner,
}

/// Tells whose fault it is that an attempt failed, before its first piece.
pub(crate) const fn blame(code: FailCode) -> Blame {
    match code {
        FailCode::BadRequest | FailCode::ContextOverflow | FailCode::TooLarge => Blame::Page,
        FailCode::Busy | FailCode::Paused | FailCode::ModelLoading => Blame::NotNow,
        // The shell's own cancellations end by `cancel`: who says so unasked has dropped the job. And a page can ask
        // for more than fits into the time of a job.
        FailCode::Refused | FailCode::Cancelled | FailCode::TimeUp => Blame::Nobody,
        // A request can be made to end so.
        FailCode::ServerError | FailCode::Empty | FailCode::Malformed | FailCode::Cut | FailCode::Stalled => {
            Blame::Unproven
        }
        FailCode::ModelMissing | FailCode::ModelCrashed | FailCode::Unreachable | FailCode::Unauthorized => {
            Blame::Owner
        }
    }
}

/// Tells whose fault it is that an answer ended in its middle. What a plugin says of it is a word and no proof,
/// and for none of these words is it paid more than for another; that the time was up has been seen to.
pub(crate) const fn blame_begun(code: FailCode) -> Blame {
    match code {
        FailCode::TimeUp => Blame::Nobody,
        FailCode::BadRequest | FailCode::ContextOverflow | FailCode::TooLarge => Blame::Page,
        FailCode::ServerError | FailCode::Empty => Blame::Unproven,
        FailCode::Busy
        | FailCode::Paused
        | FailCode::ModelLoading
        | FailCode::Refused
        | FailCode::Cancelled => Blame::Left,
        FailCode::ModelMissing
        | FailCode::ModelCrashed
        | FailCode::Unreachable
        | FailCode::Unauthorized
        | FailCode::Malformed
        | FailCode::Cut
        | FailCode::Stalled => Blame::Owner,
    }
}
