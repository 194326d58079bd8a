//! Verified accounts: those that the operator has marked, and those that have paid in.

use anyhow::{Context, Result};
use rekursing_market::ledger::Account;
use rekursing_protocol::{AccountId, Moment, Nanos};

use super::{Act, Deed, Sql, Store, Unstarted, grants, operator_log};

/// What the operator says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is verified, whatever it has paid in.
    Verified,
    /// Nothing: it is verified if it has paid in.
    Unverified,
}

impl Standing {
    /// Returns what it is called in the operator's log.
    pub const fn deed(self) -> Deed {
        match self {
            Standing::Verified => Deed::AccountVerified,
            Standing::Unverified => Deed::AccountUnverified,
        }
    }
}

impl Store {
    /// Marks an account, or takes the mark back, and says so in the operator's log.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn mark(&self, now: Moment, account: AccountId, standing: Standing, act: Act) -> Result<()> {
        self.make(move |sql| mark(sql, now, account, standing, &act)).await
    }
}

impl Unstarted {
    /// Marks an account, or takes the mark back, and says so in the operator's log. `false` when no key
    /// opens it.
    pub fn mark(&mut self, now: Moment, account: AccountId, standing: Standing, act: &Act) -> Result<bool> {
        let marked = self.sql.write(|sql| {
            if !grants::has_account(sql, account)? {
                return Ok(false);
            }
            mark(sql, now, account, standing, act)?;
            sql.changed()?;
            Ok(true)
        });
        marked.context("could not mark the account")
    }
}

fn mark(sql: &mut Sql, now: Moment, account: AccountId, standing: Standing, act: &Act) -> Result<()> {
    let account = account.to_string();
    match standing {
        Standing::Verified => sql.execute(
            "INSERT INTO verified VALUES (?1, ?2) ON CONFLICT (account) DO NOTHING",
            &[account.into(), now.into()],
        )?,
        Standing::Unverified => sql.execute("DELETE FROM verified WHERE account = ?1", &[account.into()])?,
    };
    operator_log::insert(sql, now, act)
}

/// Tells whether an account is marked, or has paid in at least so much, for answers or for ads, that did not
/// go back.
pub(super) fn is_verified(sql: &mut Sql, account: AccountId, from: Nanos) -> Result<bool> {
    let purses = [Account::Page(account), Account::Advertiser(account)].map(|purse| purse.to_string().into());
    let marked = "SELECT COUNT(*) FROM verified WHERE account = ?1";
    if sql.number(marked, &[account.to_string().into()])? > 0 {
        return Ok(true);
    }
    let paid = "SELECT CAST(SUM(amount) AS BIGINT) FROM top_up
                WHERE account IN (?1, ?2) AND payment IS NOT NULL";
    let paid = sql.number(paid, &purses)?;
    let back = "SELECT CAST(SUM(CASE WHEN gone.amount > 0 THEN gone.amount ELSE 0 END) AS BIGINT)
                FROM top_up JOIN gone ON gone.payment = top_up.payment
                WHERE account IN (?1, ?2) AND top_up.payment IS NOT NULL";
    let back = sql.number(back, &purses)?;
    let kept = paid.saturating_sub(back);
    Ok(kept > 0 && kept >= from.get())
}
