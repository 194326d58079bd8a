//! Disputes of jobs: where one stands.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has looked at it.
    Opened,
    /// The operator has.
    Reviewed,
    /// The charge was given back.
    Upheld,
    /// The charge stays.
    Rejected,
}

/// Why a text is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dispute is opened, reviewed, upheld or rejected")]
pub struct BadState;

impl State {
    /// Every state.
    pub const ALL: [State; 4] = [State::Opened, State::Reviewed, State::Upheld, State::Rejected];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Opened => "opened",
            State::Reviewed => "reviewed",
            State::Upheld => "upheld",
            State::Rejected => "rejected",
        }
    }

    /// Tells whether the operator has said what comes of it.
    pub const fn is_decided(self) -> bool {
        match self {
            State::Opened | State::Reviewed => false,
            State::Upheld | State::Rejected => true,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_print_and_read_back() {
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        assert_eq!("lost".parse::<State>(), Err(BadState));
    }
}
