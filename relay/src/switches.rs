//! Switches: what the operator has switched off. It is stored, so that a restart changes nothing about it.

use std::{
    str::FromStr,
    sync::atomic::{AtomicU8, Ordering},
};

use axum::http::StatusCode;

use crate::http::Problem;

/// Something that the operator can switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Answers that the budget for free answers pays.
    FreeAnswers,
    /// Ads beside them, and campaigns.
    Ads,
    /// Payouts: asking for them, and sending those that were asked for.
    Payouts,
    /// Payments of accounts.
    TopUps,
    /// Plugins that register anew, and pairings with accounts.
    Registrations,
    /// What is for agents alone: the tools, the choice of model and tier, and rating.
    Agents,
    /// Channels, whoever follows them, and leaders.
    Channels,
}

/// How a switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// As if there were none.
    On,
    /// Whoever asks for it is refused.
    Off,
}

/// How all switches stand.
#[derive(Debug, Default)]
pub struct Switches {
    /// They are turned one after the other, so that the store has them in this order too.
    pub turning: tokio::sync::Mutex<()>,
    /// A bit for each feature that is off.
    off: AtomicU8,
}

impl Feature {
    /// Every one.
    pub const ALL: [Feature; 7] = [
        Feature::FreeAnswers,
        Feature::Ads,
        Feature::Payouts,
        Feature::TopUps,
        Feature::Registrations,
        Feature::Agents,
        Feature::Channels,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::FreeAnswers => "free_answers",
            Feature::Ads => "ads",
            Feature::Payouts => "payouts",
            Feature::TopUps => "top_ups",
            Feature::Registrations => "registrations",
            Feature::Agents => "agents",
            Feature::Channels => "channels",
        }
    }

    /// Returns what is said to whoever asks for it while it is off.
    pub const fn refusal(self) -> &'static str {
        match self {
            Feature::FreeAnswers => "free answers are switched off at the moment; ask with an API key",
            Feature::Ads => "ads are switched off at the moment",
            Feature::Payouts => "payouts are switched off at the moment; what you have earned stays yours",
            Feature::TopUps => "payments are switched off at the moment",
            Feature::Registrations => "new computers and pairings are switched off at the moment",
            Feature::Agents => {
                "what is for agents is switched off at the moment; ask a model by its name and tier"
            }
            Feature::Channels => "channels are switched off at the moment",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Feature {
    type Err = ();

    fn from_str(name: &str) -> Result<Feature, ()> {
        Feature::ALL.into_iter().find(|feature| feature.name() == name).ok_or(())
    }
}

impl Switches {
    /// Switches off what was off before.
    pub fn of(off: impl IntoIterator<Item = Feature>) -> Switches {
        let switches = Switches::default();
        off.into_iter().for_each(|feature| switches.turn(feature, Position::Off));
        switches
    }

    /// Tells whether something is on.
    pub fn is_on(&self, feature: Feature) -> bool {
        self.off.load(Ordering::Relaxed) & feature.bit() == 0
    }

    /// Turns a switch.
    pub fn turn(&self, feature: Feature, position: Position) {
        match position {
            Position::On => self.off.fetch_and(!feature.bit(), Ordering::Relaxed),
            Position::Off => self.off.fetch_or(feature.bit(), Ordering::Relaxed),
        };
    }

    /// Refuses what is off.
    pub fn check(&self, feature: Feature) -> Result<(), Problem> {
        if self.is_on(feature) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "switched_off", feature.refusal()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_turns_one_thing_off_and_on_again() {
        for feature in Feature::ALL {
            assert_eq!(feature.name().parse(), Ok(feature));
            let switches = Switches::of([feature]);
            for other in Feature::ALL {
                assert_eq!(switches.is_on(other), other != feature, "{feature:?} {other:?}");
            }
            assert_eq!(switches.check(feature).unwrap_err().code, "switched_off");
            switches.turn(feature, Position::On);
            assert_eq!(switches.check(feature), Ok(()));
        }
        assert_eq!("everything".parse::<Feature>(), Err(()));
    }
}
