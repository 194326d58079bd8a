//! Volumes: what each account has turned over in this UTC month.

use std::collections::HashMap;

use rekursing_protocol::{Moment, Nanos};

use crate::ledger::Account;

/// Sums of charges by account, of owners and of pages, for one month.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    month: Moment,
    sums: HashMap<Account, Nanos>,
}

impl Volumes {
    /// Takes over what a store knows of the month.
    pub(crate) fn recall(&mut self, now: Moment, sums: impl IntoIterator<Item = (Account, Nanos)>) {
        self.turn(now);
        self.sums.extend(sums);
    }

    /// Returns what an account has turned over this month.
    pub(crate) fn of(&self, now: Moment, account: Account) -> Nanos {
        if self.month == now.month() {
            self.sums.get(&account).copied().unwrap_or_default()
        } else {
            Nanos::ZERO
        }
    }

    /// Adds a charge.
    pub(crate) fn add(&mut self, now: Moment, account: Account, charge: Nanos) {
        self.turn(now);
        let sum = self.sums.entry(account).or_default();
        *sum = sum.checked_add(charge).unwrap_or(Nanos::MAX);
    }

    /// Takes a part of a charge back that was made at `charged`; a month that is over stays as it was.
    pub(crate) fn take_back(&mut self, now: Moment, charged: Moment, account: Account, amount: Nanos) {
        self.turn(now);
        if charged.month() == self.month
            && let Some(sum) = self.sums.get_mut(&account)
        {
            *sum = sum.checked_sub(amount).unwrap_or_default().max(Nanos::ZERO);
        }
    }

    fn turn(&mut self, now: Moment) {
        if self.month != now.month() {
            self.month = now.month();
            self.sums.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Span;

    use super::*;

    #[test]
    fn a_month_begins_with_nothing() {
        let mut volumes = Volumes::default();
        let january = Moment(Span::DAY.0 * 30);
        volumes.recall(january, [(Account::Free, Nanos::new(5))]);
        volumes.add(january, Account::Free, Nanos::new(7));
        assert_eq!(volumes.of(january, Account::Free), Nanos::new(12));
        volumes.take_back(january, Moment(5), Account::Free, Nanos::new(2));
        assert_eq!(volumes.of(january, Account::Free), Nanos::new(10));
        let february = Moment(Span::DAY.0 * 31);
        assert_eq!(volumes.of(february, Account::Free), Nanos::ZERO);
        volumes.add(february, Account::Free, Nanos::new(1));
        volumes.take_back(february, january, Account::Free, Nanos::new(1));
        assert_eq!(volumes.of(february, Account::Free), Nanos::new(1), "it was charged in January");
    }
}
