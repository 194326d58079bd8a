//! Grants: credit that the operator gives.

use anyhow::Result;
use rekursing_market::ledger::{Account, Cause, Entry, EntryKind, Transfer};
use rekursing_protocol::{AccountId, KeyId, Moment, Nanos};

use super::{
    Act, Key, Sql, Store, Unstarted,
    entries::{self, Chain},
    operator_log,
};

/// The most that is granted at once: a million dollars. All grants together must fit 64 bits.
pub const GRANT_MAX: Nanos = Nanos::new(1_000_000_000_000_000);

impl Store {
    /// Stores a grant and who gave it, both or neither. The desk has to be told of it.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn grant(&self, entry: Entry, act: Act) -> Result<()> {
        self.make(move |sql| {
            let mut chain = Chain::end(sql)?;
            entries::append(sql, &mut chain, &entry)?;
            operator_log::insert(sql, entry.at, &act)
        })
        .await
    }

    /// Tells whether some key opens an account.
    pub async fn has_account(&self, account: AccountId) -> Result<bool> {
        self.read(move |sql| has_account(sql, account)).await
    }
}

impl Unstarted {
    /// Grants more to the account behind a key, as a page or as an advertiser. Returns the key, or `None`
    /// when no key begins so.
    pub fn grant(
        &mut self,
        now: Moment,
        key: KeyId,
        purse: fn(AccountId) -> Account,
        amount: Nanos,
        who: &str,
    ) -> Result<Option<Key>> {
        let Some(key) = self.keys()?.into_iter().find(|known| known.id == key) else { return Ok(None) };
        self.sql.write(|sql| {
            grant(sql, now, purse(key.account), amount, who)?;
            sql.changed()
        })?;
        Ok(Some(key))
    }

    /// Tells whether some key opens an account.
    pub fn has_account(&mut self, account: AccountId) -> Result<bool> {
        has_account(&mut self.sql, account)
    }
}

/// Returns what a grant is, with what a reader should know of it.
pub fn grant_of(to: Account, amount: Nanos, note: String) -> EntryKind {
    EntryKind::Transfer(Transfer { cause: Cause::Grant, from: Account::Outside, to, amount, note })
}

/// Appends a grant to an account, unless it is of nothing, and logs who gave it.
pub(super) fn grant(sql: &mut Sql, now: Moment, to: Account, amount: Nanos, who: &str) -> Result<()> {
    if amount <= Nanos::ZERO {
        return Ok(());
    }
    let mut chain = Chain::end(sql)?;
    // The number of the entry tells two grants of one moment apart.
    let id = format!("grant:{to}:{}", chain.seq + 1);
    let kind = grant_of(to, amount, String::new());
    entries::append(sql, &mut chain, &Entry { id, at: now, kind })?;
    operator_log::insert(sql, now, &Act::grant(who, to, amount, ""))
}

pub(super) fn has_account(sql: &mut Sql, account: AccountId) -> Result<bool> {
    let count = "SELECT COUNT(*) FROM api_key WHERE account = ?1";
    Ok(sql.number(count, &[account.to_string().into()])? > 0)
}
