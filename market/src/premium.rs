//! Premium: an account that has paid for a period has no fee on its jobs. It never sees an ad, but that it
//! shares with everybody who pays for answers.

use std::collections::{BTreeSet, HashMap};

use rekursing_protocol::{AccountId, Moment, Nanos};

use crate::ledger::{Account, BookRefusal, Cause, Entry, EntryKind};

/// What a premium account has paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Premium {
    /// When it ends, unless it goes on.
    pub until: Moment,
    /// The most that is paid for the next period; `None` when it is to end.
    pub renews_for: Option<Nanos>,
}

/// Why an account is not made premium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PremiumRefusal {
    /// The operator sells none.
    #[error("this relay has no premium accounts")]
    NotOffered,
    /// It costs more than whoever asks has agreed to.
    #[error("premium costs {price} USD, which is more than was agreed to")]
    Dearer {
        /// What it costs.
        price: Nanos,
    },
    /// The account has less.
    #[error("premium costs {price} USD and {available} USD are available")]
    Insufficient {
        /// What it costs.
        price: Nanos,
        /// What the account has.
        available: Nanos,
    },
    /// The book's other reasons: a sum would leave 64 bits.
    #[error(transparent)]
    Refused(BookRefusal),
}

/// Every premium account, by when its period ends.
#[derive(Debug, Default)]
pub(crate) struct Premiums {
    by_account: HashMap<AccountId, Premium>,
    ends: BTreeSet<(Moment, AccountId)>,
}

impl Premiums {
    /// Puts an account's premium in place of what it had.
    pub(crate) fn put(&mut self, account: AccountId, premium: Premium) {
        self.remove(account);
        self.by_account.insert(account, premium);
        self.ends.insert((premium.until, account));
    }

    /// Forgets an account.
    pub(crate) fn remove(&mut self, account: AccountId) -> Option<Premium> {
        let premium = self.by_account.remove(&account)?;
        self.ends.remove(&(premium.until, account));
        Some(premium)
    }

    /// Returns an account's premium, also one that has ended and was not taken yet.
    pub(crate) fn known(&self, account: AccountId) -> Option<Premium> {
        self.by_account.get(&account).copied()
    }

    /// Returns an account's premium while it lasts.
    pub(crate) fn of(&self, now: Moment, account: AccountId) -> Option<Premium> {
        self.known(account).filter(|premium| premium.until > now)
    }

    /// Takes the first that has ended.
    pub(crate) fn take_ended(&mut self, now: Moment) -> Option<(AccountId, Premium)> {
        let (until, account) = *self.ends.first()?;
        if until > now {
            return None;
        }
        self.remove(account).map(|premium| (account, premium))
    }
}

/// Returns the id, behind the cause's name, of what pays until then. It says itself what it pays for, so
/// that a book of entries is all that a restart needs, and a period cannot be paid twice.
pub(crate) fn id(account: AccountId, until: Moment) -> String {
    format!("{account}:{}", until.0)
}

/// Reads what an entry pays for: which account, and until when. `None` for every other entry.
pub fn paid(entry: &Entry) -> Option<(AccountId, Moment)> {
    let EntryKind::Transfer(transfer) = &entry.kind else { return None };
    let (Cause::Premium, Account::Page(account)) = (transfer.cause, transfer.from) else { return None };
    let (_, until) = entry.id.rsplit_once(':')?;
    Some((account, Moment(until.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Span;

    use super::*;

    const ONE: AccountId = AccountId::from_bits(1);
    const OTHER: AccountId = AccountId::from_bits(2);

    fn until(until: u64) -> Premium {
        Premium { until: Moment(until), renews_for: None }
    }

    #[test]
    fn premium_lasts_to_its_end_and_is_then_taken_once() {
        let mut premiums = Premiums::default();
        premiums.put(ONE, until(20));
        premiums.put(OTHER, until(10));
        premiums.put(ONE, until(30));
        assert_eq!(premiums.of(Moment(29), ONE), Some(until(30)));
        assert_eq!(premiums.of(Moment(30), ONE), None);
        assert_eq!(premiums.take_ended(Moment(9)), None);
        assert_eq!(premiums.take_ended(Moment(29)), Some((OTHER, until(10))));
        assert_eq!(premiums.take_ended(Moment(29)), None);
        assert_eq!(premiums.take_ended(Moment(30)), Some((ONE, until(30))));
        assert_eq!(premiums.take_ended(Moment(30)), None);
    }

    #[test]
    fn an_entry_says_which_account_it_pays_for_and_until_when() {
        let mut book = crate::ledger::Book::default();
        let now = Moment(Span::DAY.0);
        let grant = book.grant(now, "x", Account::Page(ONE), Nanos::new(9)).unwrap();
        let transfer = crate::ledger::Transfer {
            cause: Cause::Premium,
            from: Account::Page(ONE),
            to: Account::Platform,
            amount: Nanos::new(5),
            note: String::new(),
        };
        let entry = book.transfer(now, &id(ONE, Moment(77)), transfer).unwrap();
        assert_eq!(paid(&entry), Some((ONE, Moment(77))));
        assert_eq!(paid(&grant), None);
    }
}
