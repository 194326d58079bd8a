//! Premium accounts: until when they have paid, by the ledger, and whether they go on.

use std::collections::BTreeMap;

use anyhow::Result;
use rekursing_market::{Premium, premium};
use rekursing_protocol::{AccountId, Moment, Nanos};

use super::{
    Sql, Store,
    entries::{self, columns},
};

impl Store {
    /// Stores what an account pays at most for its next period; `None` when its premium is to
    /// end. Nobody waits for it.
    pub fn renew(&self, account: AccountId, renews_for: Option<Nanos>) {
        self.soon("store whether a premium goes on", move |sql| put(sql, account, renews_for));
    }
}

fn put(sql: &mut Sql, account: AccountId, renews_for: Option<Nanos>) -> Result<()> {
    let account = account.to_string();
    match renews_for {
        Some(renews_for) => sql.execute(
            "INSERT INTO renewal VALUES (?1, ?2)
             ON CONFLICT (account) DO UPDATE SET renews_for = excluded.renews_for",
            &[account.into(), renews_for.into()],
        ),
        None => sql.execute("DELETE FROM renewal WHERE account = ?1", &[account.into()]),
    }
    .map(drop)
}

/// Reads the accounts that have paid, until the latest moment that was not taken back, and those that go on.
pub(super) fn read(sql: &mut Sql, now: Moment) -> Result<Vec<(AccountId, Premium)>> {
    let renewals: BTreeMap<AccountId, Nanos> = sql
        .list("SELECT account, renews_for FROM renewal", &[], |row| Ok((row.parsed(0)?, row.nanos(1)?)))?
        .into_iter()
        .collect();
    // A correction's id ends so, see `correction_id`.
    let paid = concat!(
        "SELECT ",
        columns!(),
        " FROM entry WHERE kind = 'premium' AND NOT EXISTS
             (SELECT 1 FROM entry AS other WHERE other.id = 'correction:' || entry.id || ':0')"
    );
    let paid = sql.list(paid, &[], entries::read)?;
    let mut until: BTreeMap<AccountId, Moment> = BTreeMap::new();
    for (account, end) in paid.iter().filter_map(premium::paid) {
        let latest = until.entry(account).or_default();
        *latest = end.max(*latest);
    }
    let premiums = until
        .into_iter()
        .map(|(account, until)| (account, Premium { until, renews_for: renewals.get(&account).copied() }));
    Ok(premiums.filter(|(_, premium)| premium.until > now || premium.renews_for.is_some()).collect())
}
