//! Upkeep: what is held back is released, and so is what ads bring too much; what is missing is brought.

use rekursing_protocol::{Moment, Nanos};

use super::Market;
use crate::ledger::{Account, Cause, Transfer};

impl Market {
    /// Gives owners what was held back for long enough.
    pub(super) fn release_due(&mut self, now: Moment) {
        while let Some((release_at, owner, amount)) = self.held_back.take_due(now - self.lag) {
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

    /// Does what is done once a day, at midnight UTC.
    pub(super) fn close_day(&mut self, now: Moment) {
        let looked = self.closed_on.replace(now.day());
        // On the day of a start it may have been done before.
        if looked.is_some_and(|day| day < now.day()) {
            self.release_surplus(now);
            self.cover_shortfall(now);
        }
    }

    /// Brings what had left and nobody had, as far as the platform has it by now. What it has brought and
    /// came back after all is its own again.
    fn cover_shortfall(&mut self, now: Moment) {
        let [missing, has] =
            [Account::Shortfall, Account::Platform].map(|account| self.book.balance(account).get());
        let (from, to, amount) = if missing < 0 {
            (Account::Platform, Account::Shortfall, has.min(-missing))
        } else {
            (Account::Shortfall, Account::Platform, missing)
        };
        if amount <= 0 {
            return;
        }
        let (cause, amount, note) = (Cause::Cover, Nanos::new(amount), String::new());
        // A clock that was set back lets a midnight come again.
        let cover = Transfer { cause, from, to, amount, note };
        if let Ok(entry) = self.book.transfer(now, &now.0.to_string(), cover) {
            self.record(entry);
        }
    }

    /// Gives the platform what ads have brought beyond what is kept for free answers.
    fn release_surplus(&mut self, now: Moment) {
        let Some(keep) = self.terms.free_keep_max else { return };
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
