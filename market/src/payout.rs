//! Payouts: what one costs, when one is due, which state may follow which, and what each of them moves.
//!
//! An owner's balance goes to `payout:requested`, from there to `payout:sent` before anything is sent,
//! and out when the rail says that it arrived. Every step is an entry of the ledger, and a state is
//! nothing but the last of them. What a rail is, and how it is spoken to, is not known here.

mod moves;
mod schedule;
mod tariff;

use std::{fmt, str::FromStr};

use rekursing_protocol::{Moment, Span};

pub use moves::{Moves, Step};
pub use schedule::{BadSchedule, Schedule};
pub use tariff::{Quote, QuoteRefusal, Tariff};

use crate::ledger::Cause;

/// How long nothing is paid out to another destination than before, or to a first one of an owner who has
/// something already: the owner's time to notice that somebody else set it.
pub const CHANGE_WAIT: Span = Span::DAY;

/// Attempts in a row after which a payout that certainly was not sent goes back to its owner: about four
/// days.
pub const TRIES_MAX: u32 = 100;

/// Attempts in a row after which a person should look: about three hours.
const STUCK_TRIES: u32 = 12;

/// How long a payout may be on its way before a person should look.
const SENT_LONG: Span = Span(3 * Span::DAY.0);

/// The first pause after an attempt that came to nothing; each further one is twice as long.
const PAUSE: Span = Span::secs(10);

/// The longest pause.
const PAUSE_MAX: Span = Span::secs(60 * 60);

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The owner's balance has gone down, and nothing was sent.
    Requested,
    /// It is with the rail, or about to be.
    Sent,
    /// It arrived.
    Confirmed,
    /// It came back, and the owner has it again.
    Returned,
    /// It was not sent, and the owner has it again.
    Cancelled,
}

/// Why a text is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payout is requested, sent, confirmed, returned or cancelled")]
pub struct BadState;

impl State {
    /// Every state.
    pub const ALL: [State; 5] =
        [State::Requested, State::Sent, State::Confirmed, State::Returned, State::Cancelled];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Sent => "sent",
            State::Confirmed => "confirmed",
            State::Returned => "returned",
            State::Cancelled => "cancelled",
        }
    }

    /// Returns the cause of the entry that a payout in this state has.
    pub const fn cause(self) -> Cause {
        match self {
            State::Requested => Cause::PayoutRequested,
            State::Sent => Cause::PayoutSent,
            State::Confirmed => Cause::PayoutConfirmed,
            State::Returned => Cause::PayoutReturned,
            State::Cancelled => Cause::PayoutCancelled,
        }
    }

    /// Tells whether a payout may go from here to there. A rail can take back what had arrived.
    pub const fn may_become(self, next: State) -> bool {
        match self {
            State::Requested => matches!(next, State::Sent | State::Cancelled),
            State::Sent => matches!(next, State::Confirmed | State::Returned),
            State::Confirmed => matches!(next, State::Returned),
            State::Returned | State::Cancelled => false,
        }
    }

    /// Returns the state of a payout that the ledger has entries of these states for.
    pub fn of(entries: impl IntoIterator<Item = State>) -> Option<State> {
        // What may come last is last in the order of the states.
        entries.into_iter().max()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = BadState;

    fn from_str(text: &str) -> Result<State, BadState> {
        State::ALL.into_iter().find(|state| state.name() == text).ok_or(BadState)
    }
}

/// Returns how long to wait after so many attempts in a row that came to nothing.
pub fn pause(tries: u32) -> Span {
    let doubled = PAUSE.0.saturating_mul(1 << tries.saturating_sub(1).min(20));
    Span(doubled.min(PAUSE_MAX.0))
}

/// Returns how long to wait before looking again at a payout that was on its way for so long.
pub fn look_after(under_way: Span) -> Span {
    Span(under_way.0.clamp(PAUSE.0, PAUSE_MAX.0))
}

/// Returns how long to wait before looking again at one that arrived so long ago: a rail may still take
/// it back, soonest at first.
pub fn watch_after(confirmed_since: Span) -> Span {
    Span(confirmed_since.0.clamp(Span::secs(60).0, Span::DAY.0))
}

/// Tells whether a person should look at a payout: it was tried so often in vain, or it was sent so long
/// ago without arriving.
pub fn is_stuck(tries: u32, sent: Option<Moment>, now: Moment) -> bool {
    tries >= STUCK_TRIES || sent.is_some_and(|sent| now.since(sent) >= SENT_LONG)
}

/// Returns how many attempts stand for one after which only a person can help.
pub const fn hopeless(tries: u32) -> u32 {
    if tries < STUCK_TRIES { STUCK_TRIES } else { tries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_only_from_the_one_before_it() {
        let allowed: Vec<_> = State::ALL
            .into_iter()
            .flat_map(|from| State::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .collect();
        assert_eq!(
            allowed,
            [
                (State::Requested, State::Sent),
                (State::Requested, State::Cancelled),
                (State::Sent, State::Confirmed),
                (State::Sent, State::Returned),
                (State::Confirmed, State::Returned),
            ]
        );
    }

    #[test]
    fn the_state_is_the_last_entry_whatever_their_order() {
        for (entries, state) in [
            (vec![], None),
            (vec![State::Requested], Some(State::Requested)),
            (vec![State::Sent, State::Requested], Some(State::Sent)),
            (vec![State::Requested, State::Confirmed, State::Sent], Some(State::Confirmed)),
            (vec![State::Requested, State::Sent, State::Confirmed, State::Returned], Some(State::Returned)),
            (vec![State::Requested, State::Cancelled], Some(State::Cancelled)),
        ] {
            assert_eq!(State::of(entries), state);
        }
    }

    #[test]
    fn states_print_and_read_back() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(state.cause().name(), format!("payout_{state}"));
        }
        assert_eq!("paid".parse::<State>(), Err(BadState));
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds: Vec<u64> = (1..=11).map(|tries| pause(tries).0 / 1_000).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
        assert_eq!(pause(0), pause(1));
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
        let given_up: u64 = (1..=TRIES_MAX).map(|tries| pause(tries).0).sum();
        assert_eq!(given_up / Span::DAY.0, 3);
    }

    #[test]
    fn one_that_is_tried_in_vain_or_long_on_its_way_is_stuck() {
        let now = Moment(100 * Span::DAY.0);
        assert!(!is_stuck(11, Some(now - Span::DAY), now));
        assert!(is_stuck(12, None, now));
        assert!(is_stuck(0, Some(now - SENT_LONG), now));
        assert!(is_stuck(hopeless(0), None, now));
        assert_eq!(hopeless(40), 40);
    }
}
