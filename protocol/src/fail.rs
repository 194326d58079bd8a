//! Why a job failed at the owner's side: one stable code each.

use serde::{Deserialize, Serialize};

/// Why a plugin could not answer a job, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailCode {
    /// All slots are taken.
    Busy,
    /// The owner paused or set a limit.
    Paused,
    /// The model is not there.
    ModelMissing,
    /// The model is loading and does not answer yet (503).
    ModelLoading,
    /// The model crashed or ran out of memory.
    ModelCrashed,
    /// Prompt and answer do not fit the model's context.
    ContextOverflow,
    /// The server says that the request itself is wrong (400, 413, 422).
    BadRequest,
    /// Nothing listens at the server's address.
    Unreachable,
    /// The server wants a token that the owner has not set, or refuses the one that is set.
    Unauthorized,
    /// The server answered with an error of its own.
    ServerError,
    /// The server's answer is not what such a server says: wrong content type, malformed chunk, overlong line.
    Malformed,
    /// The answer is longer than the plugin takes in, which the page has chosen: so many vectors.
    TooLarge,
    /// The answer ended before its end.
    Cut,
    /// Nothing came for too long.
    Stalled,
    /// The answer took all the time that a job may take, and was not at its end.
    TimeUp,
    /// The answer held nothing.
    Empty,
    /// The job asks for something that the agent never does.
    Refused,
    /// The relay cancelled the job.
    Cancelled,
}

impl FailCode {
    /// Tells whether the page's own request is at fault, so that no other provider would do better
    /// and nobody's record suffers.
    pub fn is_pages_mistake(self) -> bool {
        matches!(
            self,
            FailCode::BadRequest | FailCode::ContextOverflow | FailCode::TooLarge | FailCode::Cancelled
        )
    }
}
