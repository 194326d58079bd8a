//! Upkeep: what is held back is released.

use rekursing_protocol::{Moment, Nanos};

use super::Market;
use crate::ledger::{Account, Cause, Transfer};

impl Market {
    /// Gives owners what was held back for long enough.
    pub(super) fn release_due(&mut self, now: Moment) {
        while let Some((release_at, owner, amount)) = self.held_back.take_due(now) {
            // A correction may have taken part of it.
            let amount = amount.min(self.book.balance(Account::Held(owner)));
            if amount <= Nanos::ZERO {
                continue;
            }
            let transfer = Transfer {
                cause: Cause::Release,
                from: Account::Held(owner),
                to: Account::Owner(owner),
                amount,
                note: String::new(),
            };
            let id = format!("{owner}:{}", release_at.0);
            // It was released before where the store's answer to the first time was lost.
            if let Ok(entry) = self.book.transfer(now, &id, transfer) {
                self.record(entry);
            }
        }
    }
}
