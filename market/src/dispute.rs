//! Disputes: who may open one about which job, which state may follow which, and for what reasons.
//!
//! What a dispute moves is the ledger's to say: see [`Book::dispute`](crate::Book::dispute).

use std::str::FromStr;

pub use rekursing_protocol::dispute::State;
use rekursing_protocol::{Moment, Nanos, Span};

use crate::ledger::{Account, Settle};

/// For how long after its end a job can be disputed.
pub const WITHIN: Span = Span(7 * Span::DAY.0);

/// Disputes of one account that may be undecided at once.
pub const OPEN_MAX: u64 = 5;

/// For how long decided disputes speak for or against whoever opened them.
pub const REMEMBERED: Span = Span(30 * Span::DAY.0);

/// From how many decided disputes on they do so.
pub const DECIDED_MIN: u64 = 5;

/// How many of a thousand of them may have been rejected.
pub const LOST_PERMILLE_MAX: u64 = 800;

/// What the operator does about a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looks at it.
    Review,
    /// Gives the charge back.
    Uphold,
    /// Lets the charge stay.
    Reject,
}

/// Why a step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dispute is {0}: it is reviewed first, and decided once")]
pub struct BadStep(pub State);

/// What is wrong with an answer, by the word of whoever paid for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Another model answered.
    WrongModel,
    /// It makes no sense.
    Nonsense,
    /// It ends in the middle.
    Truncated,
    /// It insults.
    Offensive,
    /// Something else.
    Other,
}

/// Why a text is no name of a step or a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such word")]
pub struct BadWord;

/// How the disputes of an account stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// Those that are undecided.
    pub open: u64,
    /// Those that were decided within [`REMEMBERED`].
    pub decided: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
}

/// Why a job is not disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was free.
    #[error("a free answer cost you nothing; tell by a thumb down what it was like")]
    Free,
    /// It was charged nothing.
    #[error("nothing was charged for this job")]
    NotCharged,
    /// The charge has gone back already.
    #[error("the charge of this job was given back already")]
    GivenBack,
    /// It ended too long ago.
    #[error("a job is disputed within 7 days of its end")]
    TooLate,
    /// The account has as many open as it may have.
    #[error("{most} of your disputes are undecided, which is as many as may be")]
    TooManyOpen {
        /// How many that are.
        most: u64,
    },
    /// Too many of its disputes were rejected.
    #[error("{rejected} of your {decided} disputes of the latest 30 days were rejected; open others later")]
    LosesTooMany {
        /// How many were rejected.
        rejected: u64,
        /// Of how many.
        decided: u64,
    },
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 3] = [Step::Review, Step::Uphold, Step::Reject];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Review => "review",
            Step::Uphold => "uphold",
            Step::Reject => "reject",
        }
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 5] =
        [Reason::WrongModel, Reason::Nonsense, Reason::Truncated, Reason::Offensive, Reason::Other];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::WrongModel => "wrong_model",
            Reason::Nonsense => "nonsense",
            Reason::Truncated => "truncated",
            Reason::Offensive => "offensive",
            Reason::Other => "other",
        }
    }
}

/// Returns the state behind a step. The step by which a state was reached leads to it again.
///
/// # Errors
/// When the step does not follow.
pub const fn after(state: State, step: Step) -> Result<State, BadStep> {
    match (state, step) {
        (State::Opened | State::Reviewed, Step::Review) => Ok(State::Reviewed),
        (State::Reviewed | State::Upheld, Step::Uphold) => Ok(State::Upheld),
        (State::Reviewed | State::Rejected, Step::Reject) => Ok(State::Rejected),
        (State::Opened, Step::Uphold | Step::Reject)
        | (State::Upheld, Step::Review | Step::Reject)
        | (State::Rejected, Step::Review | Step::Uphold) => Err(BadStep(state)),
    }
}

/// Tells whether whoever paid for a job may dispute it.
///
/// # Errors
/// When not, with the first reason of those that apply.
pub fn may_open(
    now: Moment,
    ended: Moment,
    settle: &Settle,
    given_back: Nanos,
    record: Record,
) -> Result<(), Refusal> {
    let Record { open, decided, rejected } = record;
    if settle.payer == Account::Free {
        return Err(Refusal::Free);
    }
    if settle.charge <= Nanos::ZERO {
        return Err(Refusal::NotCharged);
    }
    if given_back > Nanos::ZERO {
        return Err(Refusal::GivenBack);
    }
    if now.since(ended) >= WITHIN {
        return Err(Refusal::TooLate);
    }
    if open >= OPEN_MAX {
        return Err(Refusal::TooManyOpen { most: OPEN_MAX });
    }
    if decided >= DECIDED_MIN && rejected * 1_000 > decided * LOST_PERMILLE_MAX {
        return Err(Refusal::LosesTooMany { rejected, decided });
    }
    Ok(())
}

impl FromStr for Step {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Step, BadWord> {
        Step::ALL.into_iter().find(|step| step.name() == text).ok_or(BadWord)
    }
}

impl FromStr for Reason {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Reason, BadWord> {
        Reason::ALL.into_iter().find(|reason| reason.name() == text).ok_or(BadWord)
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, JobId, PluginId, Price};

    use super::*;
    use crate::tier::Tier;

    fn settle(payer: Account, charge: i64) -> Settle {
        Settle {
            job: JobId::from_bits(1),
            lease: 1,
            payer,
            owner: PluginId::from_bits(2),
            api_key: None,
            model: "m".to_owned(),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: Price::new(0, 1),
            price: Price::new(0, 1),
            prompt_tokens: 0,
            answer_tokens: 1,
            held: Nanos::new(charge),
            discount: Nanos::ZERO,
            charge: Nanos::new(charge),
            fee: Nanos::ZERO,
            held_back: Nanos::ZERO,
            release_at: Moment(0),
            rates: None,
        }
    }

    #[test]
    fn words_print_and_read_back() {
        assert!(Step::ALL.iter().all(|step| step.name().parse() == Ok(*step)));
        assert!(Reason::ALL.iter().all(|reason| reason.name().parse() == Ok(*reason)));
        assert_eq!("boring".parse::<Reason>(), Err(BadWord));
    }

    #[test]
    fn a_dispute_is_reviewed_first_and_decided_once() {
        for first in Step::ALL {
            for second in Step::ALL {
                for third in Step::ALL {
                    let mut state = State::Opened;
                    let mut decided = Vec::new();
                    for step in [first, second, third] {
                        let Ok(next) = after(state, step) else { continue };
                        if next.is_decided() && next != state {
                            assert_eq!(state, State::Reviewed);
                            decided.push(next);
                        }
                        assert_eq!(after(next, step), Ok(next), "to do it again changes nothing");
                        state = next;
                    }
                    assert!(decided.len() <= 1, "{first:?} {second:?} {third:?}");
                }
            }
        }
    }

    #[test]
    fn whoever_paid_may_dispute_within_seven_days_what_was_charged_and_not_without_end() {
        let (page, ended) = (Account::Page(AccountId::from_bits(1)), Moment(1_000));
        let last = ended + WITHIN - Span::millis(1);
        let told = |now, payer, charge, back, [open, decided, rejected]: [u64; 3]| {
            let record = Record { open, decided, rejected };
            may_open(now, ended, &settle(payer, charge), Nanos::new(back), record)
        };
        let none = [0; 3];
        for (now, payer, charge, back, record, expected) in [
            (ended, page, 1, 0, none, Ok(())),
            (last, page, 1, 0, none, Ok(())),
            (ended + WITHIN, page, 1, 0, none, Err(Refusal::TooLate)),
            (ended, Account::Free, 1, 0, none, Err(Refusal::Free)),
            (ended, page, 0, 0, none, Err(Refusal::NotCharged)),
            (ended, page, 1, 1, none, Err(Refusal::GivenBack)),
            (ended, page, 1, 0, [4, 0, 0], Ok(())),
            (ended, page, 1, 0, [5, 0, 0], Err(Refusal::TooManyOpen { most: 5 })),
            (ended, page, 1, 0, [0, 4, 4], Ok(())),
            (ended, page, 1, 0, [0, 5, 4], Ok(())),
            (ended, page, 1, 0, [0, 5, 5], Err(Refusal::LosesTooMany { rejected: 5, decided: 5 })),
        ] {
            assert_eq!(told(now, payer, charge, back, record), expected, "{now:?} {record:?}");
        }
    }
}
