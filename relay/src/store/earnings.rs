//! What an owner has earned, out of the sums that are kept beside the entries: however long the ledger
//! is, what is read is a few rows per day.

use anyhow::Result;
use rekursing_market::ledger::Account;
use rekursing_protocol::{
    Day, Moment, Nanos, PluginId,
    earnings::{DayEarnings, Earnings, ModelEarnings, RecentJob, Release},
};

use super::{Sql, Store, disputes, entries, receipts, sql::Row};

/// Days that are told one by one.
const DAYS: u64 = 90;

/// Most days on which something is due; what is held back is due within days, not years.
const RELEASES_MAX: u64 = 400;

impl Store {
    /// Reads what a plugin has earned.
    pub async fn earnings(&self, now: Moment, plugin: PluginId) -> Result<Earnings> {
        self.read(move |sql| sql.view(|sql| earnings(sql, now, plugin))).await
    }
}

fn earnings(sql: &mut Sql, now: Moment, plugin: PluginId) -> Result<Earnings> {
    let owner = plugin.to_string();
    let mut since = |days: u64| -> Result<Nanos> {
        let first = (now.day() + 1).saturating_sub(days);
        sql.number(SINCE, &[owner.as_str().into(), first.into()]).map(Nanos::new)
    };
    let (today, last7_days, last30_days) = (since(1)?, since(7)?, since(30)?);
    let total = since(now.day() + 1)?;
    let models = by_model(sql, &owner)?;
    let held = balance(sql, Account::Held(plugin))?;
    let payouts = payouts(sql, plugin)?;
    Ok(Earnings {
        plugin_id: plugin,
        available: balance(sql, Account::Owner(plugin))?,
        held,
        disputed: sql.number(DISPUTED, &[owner.as_str().into()]).map(Nanos::new)?,
        releases: releases(sql, &owner, held)?,
        in_payout: payouts.under_way,
        paid: payouts.paid,
        payout_costs: payouts.costs,
        payouts_held_until: payouts_held_until(sql, &owner, now)?,
        today,
        last7_days,
        last30_days,
        total,
        jobs: models.iter().map(|model| model.jobs).sum(),
        days: by_day(sql, &owner, now)?,
        models,
        recent: recent(sql, &owner)?,
    })
}

/// Returns an account's balance by the sums of its postings.
pub(super) fn balance(sql: &mut Sql, account: Account) -> Result<Nanos> {
    sql.number(BALANCE, &[account.to_string().into()]).map(Nanos::new)
}

/// Tells until when a new destination is not paid to.
fn payouts_held_until(sql: &mut Sql, owner: &str, now: Moment) -> Result<Option<Moment>> {
    let query =
        "SELECT held_until FROM payout_method WHERE owner = ?1 AND removed IS NULL AND held_until > ?2";
    sql.first(query, &[owner.into(), now.into()], |row| row.moment(0))
}

/// Tells when what is held is due. What was released or taken is what was due first, so that what is
/// left is due last.
pub(super) fn releases(sql: &mut Sql, owner: &str, held: Nanos) -> Result<Vec<Release>> {
    let latest = sql.list(RELEASES, &[owner.into(), RELEASES_MAX.into()], |row| {
        Ok(Release { at: row.moment(0)?, amount: row.nanos(1)? })
    })?;
    let (mut left, mut releases) = (held, Vec::new());
    for Release { at, amount } in latest {
        let amount = amount.min(left);
        if amount <= Nanos::ZERO {
            break;
        }
        left = Nanos::new(left.get() - amount.get());
        releases.push(Release { at, amount });
    }
    releases.reverse();
    Ok(releases)
}

/// What became of what an owner asked to be paid.
struct Payouts {
    under_way: Nanos,
    paid: Nanos,
    costs: Nanos,
}

/// Follows each payout of an owner by its id, which every step of it bears behind its cause.
fn payouts(sql: &mut Sql, plugin: PluginId) -> Result<Payouts> {
    let sums = sql.first(PAYOUTS, &[Account::Owner(plugin).to_string().into()], |row: &Row| {
        let mut sums = [0; 7];
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = row.number_or_zero(column)?;
        }
        Ok(sums)
    })?;
    // What had arrived and was taken back later comes from outside, and was not paid in the end.
    let [asked, arrived, costs, cancelled, returned, taken_back, unspent] = sums.unwrap_or_default();
    Ok(Payouts {
        under_way: Nanos::new(asked - arrived - costs - cancelled - returned - unspent),
        paid: Nanos::new(arrived - taken_back),
        costs: Nanos::new(costs),
    })
}

fn by_day(sql: &mut Sql, owner: &str, now: Moment) -> Result<Vec<DayEarnings>> {
    let first = (now.day() + 1).saturating_sub(DAYS);
    sql.list(BY_DAY, &[owner.into(), first.into()], |row| {
        Ok(DayEarnings {
            day: Day(row.count(0)?),
            jobs: row.count(1)?,
            prompt_tokens: row.count(2)?,
            answer_tokens: row.count(3)?,
            earned: row.nanos(4)?,
        })
    })
}

fn by_model(sql: &mut Sql, owner: &str) -> Result<Vec<ModelEarnings>> {
    sql.list(BY_MODEL, &[owner.into()], |row| {
        Ok(ModelEarnings {
            model: row.text(0)?.to_owned(),
            jobs: row.count(1)?,
            prompt_tokens: row.count(2)?,
            answer_tokens: row.count(3)?,
            earned: row.nanos(4)?,
        })
    })
}

fn recent(sql: &mut Sql, owner: &str) -> Result<Vec<RecentJob>> {
    let settles = sql.list(RECENT, &[owner.into()], entries::read)?;
    let mut jobs = Vec::with_capacity(settles.len());
    for settle in &settles {
        let Some(receipt) = settle.receipt() else { continue };
        let dispute = disputes::find(sql, receipt.job_id)?.map(|dispute| dispute.state);
        jobs.push(RecentJob { given_back: receipts::given_back(sql, settle)?, dispute, receipt });
    }
    Ok(jobs)
}

// Each of these finds its rows by a key or an index; a test asks the database.

pub(super) const SINCE: &str =
    "SELECT CAST(SUM(charge - fee) AS BIGINT) FROM net_earned WHERE owner = ?1 AND day >= ?2";

pub(super) const BALANCE: &str = "SELECT CAST(SUM(credit - debit) AS BIGINT) FROM posted WHERE account = ?1";

pub(super) const DISPUTED: &str =
    "SELECT CAST(SUM(available + held_back) AS BIGINT) FROM dispute WHERE owner = ?1 AND decided IS NULL";

pub(super) const RELEASES: &str =
    "SELECT release_at, amount FROM withheld WHERE owner = ?1 ORDER BY day DESC LIMIT ?2";

/// `payout_requested:` has 17 characters. The condition on the kinds is that of the index.
pub(super) const PAYOUTS: &str =
    "SELECT CAST(SUM(asked.amount) AS BIGINT), CAST(SUM(confirmed.amount) AS BIGINT),
             CAST(SUM(cost.amount) AS BIGINT), CAST(SUM(cancelled.amount) AS BIGINT),
             CAST(SUM(CASE WHEN returned.account = 'outside' THEN 0 ELSE returned.amount END) AS BIGINT),
             CAST(SUM(CASE WHEN returned.account = 'outside' THEN returned.amount ELSE 0 END) AS BIGINT),
             CAST(SUM(unspent.amount) AS BIGINT)
         FROM entry AS asked
             LEFT JOIN entry AS confirmed ON confirmed.id = 'payout_confirmed:' || substr(asked.id, 18)
             LEFT JOIN entry AS cost ON cost.id = 'payout_cost:' || substr(asked.id, 18)
             LEFT JOIN entry AS cancelled ON cancelled.id = 'payout_cancelled:' || substr(asked.id, 18)
             LEFT JOIN entry AS returned ON returned.id = 'payout_returned:' || substr(asked.id, 18)
             LEFT JOIN entry AS unspent
                 ON unspent.id = 'payout_returned:' || substr(asked.id, 18) || ':unspent'
         WHERE asked.account = ?1 AND asked.kind NOT IN ('hold', 'void') AND asked.kind = 'payout_requested'";

pub(super) const BY_DAY: &str = "SELECT day, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge - fee) AS BIGINT)
         FROM net_earned WHERE owner = ?1 AND day >= ?2 GROUP BY day ORDER BY day";

pub(super) const BY_MODEL: &str =
    "SELECT model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge - fee) AS BIGINT) AS earned
         FROM net_earned WHERE owner = ?1 GROUP BY model ORDER BY earned DESC, model";

pub(super) const RECENT: &str = concat!(
    "SELECT ",
    entries::columns!(),
    " FROM entry WHERE owner IS NOT NULL AND owner = ?1 ORDER BY seq DESC LIMIT 50"
);
