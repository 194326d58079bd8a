//! What the owner wishes from a phone: followed as if it had been set at the computer.

use rekursing_protocol::{
    Moment, Price, Pricing, Span, ToRelay,
    frame::{Rest, Steer, Steered, Unwilling, Wish},
};
use serde::{Deserialize, Serialize};

use super::{Agent, Command};
use crate::choices::Pause;

/// How long the owner is told at the computer what was changed from a phone.
const TOLD_FOR: Span = Span::DAY;

/// What was changed from a phone last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When, by the clock on the wall.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What can be changed from a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// No new jobs are taken.
    Paused,
    /// Jobs are taken again.
    Resumed,
    /// A model has a price of the owner's own.
    Priced,
}

impl Agent {
    /// Takes in a wish, and tells the relay what became of it, behind what is offered from then on.
    pub(super) fn steer(&mut self, steer: Steer, now: Moment) {
        let refused = self.follow(steer.wish, now).err();
        self.send(&ToRelay::Steered(Steered { n: steer.n, refused }));
    }

    /// Returns what was changed from a phone of late.
    pub(super) fn steered(&self, wall: Moment) -> Option<Change> {
        self.memory.steered.filter(|change| wall < change.at + TOLD_FOR)
    }

    fn follow(&mut self, wish: Wish, now: Moment) -> Result<(), Unwilling> {
        if !self.config.steering {
            return Err(Unwilling::Off);
        }
        let wall = self.gate.wall(now);
        let what = match wish {
            Wish::Rest(rest) => {
                self.config.paused = Pause::asked(rest, self.gate.around().zone, wall);
                self.commands.push(Command::Rest(self.config.paused));
                if rest == Rest::None { What::Resumed } else { What::Paused }
            }
            Wish::Price { model, ask } => {
                let is_offered = self.inventory().offers.iter().any(|offer| offer.model == model);
                if !is_offered || ask.input.max(ask.output) > Price::MAX {
                    return Err(Unwilling::Model);
                }
                self.config.prices.insert(model, Pricing::Fixed(ask));
                self.commands.push(Command::Configure(Box::new(self.config.clone())));
                What::Priced
            }
        };
        self.memory.steered = Some(Change { at: wall, what });
        self.keep_now(now);
        self.changed = true;
        // The relay takes only so many inventories in a second.
        if !self.advance_gate(now) {
            self.tell_inventory();
        }
        Ok(())
    }
}
