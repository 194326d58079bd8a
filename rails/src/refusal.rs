//! Why an order did not leave, or why nobody can tell.

use rekursing_protocol::Nanos;

use crate::Attempt;

/// Why an order certainly did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The amount is not above zero, or not a whole number of the rail's units, or too large for it.
    #[error("{amount} USD is not a whole number of {unit} USD that this rail can send")]
    Amount {
        /// What was ordered.
        amount: Nanos,
        /// The rail's smallest unit.
        unit: Nanos,
    },
    /// Less than the rail's minimum.
    #[error("{amount} USD is less than {minimum} USD, the least on this rail")]
    BelowMinimum {
        /// What was ordered.
        amount: Nanos,
        /// The least.
        minimum: Nanos,
    },
    /// The payout is prepared already: submit those bytes.
    #[error("this payout is prepared already")]
    Standing,
    /// The destination or the bytes are another rail's.
    #[error("this belongs to another rail")]
    Foreign,
    /// The rail does not pay to this destination.
    #[error("the rail does not pay to this destination: {0}")]
    Destination(String),
    /// The operator has too little there.
    #[error("the operator has too little money on this rail: {0}")]
    Insufficient(String),
    /// The rail does not take the operator's credentials.
    #[error("the rail does not take the operator's credentials: {0}")]
    Credentials(String),
    /// The bytes are too old for the rail to notice a repetition, or of another account. Prepare the order anew.
    #[error("the order was prepared too long ago or for another account, and is prepared anew")]
    Stale,
    /// The rail could not be reached, or sending would cost too much at present.
    #[error("the rail is not available: {0}")]
    Unavailable(String),
    /// The rail said no for another reason.
    #[error("the rail refused: {0}")]
    Rejected(String),
}

impl Refusal {
    /// Tells whether the same bytes may well be taken at another time.
    pub fn is_passing(&self) -> bool {
        match self {
            Refusal::Insufficient(_) | Refusal::Credentials(_) | Refusal::Unavailable(_) => true,
            Refusal::Amount { .. }
            | Refusal::BelowMinimum { .. }
            | Refusal::Standing
            | Refusal::Foreign
            | Refusal::Destination(_)
            | Refusal::Stale
            | Refusal::Rejected(_) => false,
        }
    }
}

/// Why nobody can tell whether an order left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKnown {
    /// The rail did not answer, or not to the point. Ask again later.
    #[error("the rail does not tell: {0}")]
    Silent(String),
    /// What the rail says does not go together with what was sent. A person has to look.
    #[error("a person has to look at the rail: {0}")]
    Contradiction(String),
}

/// Why a submission did not end in a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The order certainly did not leave.
    #[error("the order was not sent")]
    Refused(#[source] Refusal),
    /// The order may have left.
    #[error("the order may have been sent")]
    NotKnown(#[source] NotKnown),
}

impl From<Refusal> for SubmitError {
    fn from(refusal: Refusal) -> SubmitError {
        SubmitError::Refused(refusal)
    }
}

impl From<NotKnown> for SubmitError {
    fn from(not_known: NotKnown) -> SubmitError {
        SubmitError::NotKnown(not_known)
    }
}

/// What may have been sent through one account of the operator's is neither sent through another nor looked for
/// there.
pub(crate) fn elsewhere() -> NotKnown {
    let words = "it may have been sent by another account than the one that is set up at present";
    NotKnown::Contradiction(words.to_owned())
}

/// A first attempt that is turned away did not leave; a later one says nothing of those before it.
pub(crate) fn turned_away(refusal: Refusal, attempt: Attempt) -> SubmitError {
    match attempt {
        Attempt::First => SubmitError::Refused(refusal),
        Attempt::Again => SubmitError::NotKnown(NotKnown::Silent(refusal.to_string())),
    }
}
