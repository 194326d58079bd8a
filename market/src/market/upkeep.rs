//! Upkeep: what is held back is released, and so is what ads bring too much.

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
            // Of what is due at one midnight a part may be released after the rest: a clock that was set
            // back lets that midnight come again.
            let id = format!("{owner}:{}:{}", release_at.0, now.0);
            match self.book.transfer(now, &id, transfer) {
                Ok(entry) => self.record(entry),
                // It is due again later.
                Err(_) => return self.held_back.add(release_at, owner, amount),
            }
        }
    }

    /// Gives the platform what ads have brought beyond what is kept for free answers, at midnight UTC.
    pub(super) fn release_surplus(&mut self, now: Moment) {
        let looked = self.free_kept_on.replace(now.day());
        // On the day of a start it may have been done before.
        let is_due = looked.is_some_and(|day| day < now.day());
        let Some(keep) = self.terms.free_keep_max.filter(|_| is_due) else { return };
        let amount = self.book.balance(Account::Free).checked_sub(keep).unwrap_or_default();
        if amount <= Nanos::ZERO {
            return;
        }
        let transfer = Transfer {
            cause: Cause::Surplus,
            from: Account::Free,
            to: Account::Platform,
            amount,
            note: String::new(),
        };
        // A clock that was set back lets a midnight come again.
        if let Ok(entry) = self.book.transfer(now, &now.0.to_string(), transfer) {
            self.record(entry);
        }
    }
}
