//! Usage by UTC day and model, of one account or of all, out of the sums that are kept beside the entries.

use anyhow::Result;
use rekursing_market::ledger::Account;
use rekursing_protocol::{AccountId, Day, Nanos};
use serde::Serialize;

use super::{Sql, Store, Value, sql::Row};

/// Most models that are told one by one.
pub(super) const MODELS_MAX: u64 = 1_000;

/// Days from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Days {
    /// The first.
    pub from: Day,
    /// The last.
    pub to: Day,
}

/// Jobs and what they came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Jobs {
    /// Jobs charged.
    pub jobs: u64,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What was paid, less what was given back of it.
    pub charge: Nanos,
}

/// What was asked for and what it cost, of one account or of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Which days.
    #[serde(flatten)]
    pub span: Days,
    /// All of it.
    #[serde(flatten)]
    pub total: Jobs,
    /// By day, oldest first; days without a job are left out.
    pub days: Vec<UsedDay>,
    /// By model, dearest first, at most 1,000.
    pub models: Vec<UsedModel>,
}

/// A day's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UsedDay {
    /// The day.
    pub day: Day,
    /// What was used.
    #[serde(flatten)]
    pub jobs: Jobs,
}

/// A model's usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsedModel {
    /// The model.
    pub model: String,
    /// What was used.
    #[serde(flatten)]
    pub jobs: Jobs,
}

impl Store {
    /// Reads what an account has used; without one, what all have.
    pub async fn used(&self, span: Days, account: Option<AccountId>) -> Result<Used> {
        self.read(move |sql| {
            sql.view(|sql| match account {
                Some(account) => used_by(sql, span, account),
                None => used_by_all(sql, span),
            })
        })
        .await
    }
}

fn used_by(sql: &mut Sql, span: Days, account: AccountId) -> Result<Used> {
    let account = Account::Page(account).to_string();
    let values: [Value; 3] = [account.into(), span.from.0.into(), span.to.0.into()];
    let days = sql.list(
        "SELECT day, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT)
         FROM net_spent WHERE account = ?1 AND day BETWEEN ?2 AND ?3 GROUP BY day ORDER BY day",
        &values,
        read_day,
    )?;
    let [account, from, to] = values;
    let models = sql.list(
        "SELECT model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT) AS paid
         FROM net_spent WHERE account = ?1 AND day BETWEEN ?2 AND ?3
         GROUP BY model ORDER BY paid DESC, model LIMIT ?4",
        &[account, from, to, MODELS_MAX.into()],
        read_model,
    )?;
    Ok(Used { span, total: total(&days), days, models })
}

fn used_by_all(sql: &mut Sql, span: Days) -> Result<Used> {
    let days = sql.list(
        "SELECT day, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT)
         FROM net_sold WHERE day BETWEEN ?1 AND ?2 GROUP BY day ORDER BY day",
        &[span.from.0.into(), span.to.0.into()],
        read_day,
    )?;
    let models = sql.list(
        "SELECT model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT) AS paid
         FROM net_sold WHERE day BETWEEN ?1 AND ?2 GROUP BY model ORDER BY paid DESC, model LIMIT ?3",
        &[span.from.0.into(), span.to.0.into(), MODELS_MAX.into()],
        read_model,
    )?;
    Ok(Used { span, total: total(&days), days, models })
}

fn total(days: &[UsedDay]) -> Jobs {
    days.iter().fold(Jobs::default(), |sum, UsedDay { jobs, .. }| Jobs {
        jobs: sum.jobs + jobs.jobs,
        prompt_tokens: sum.prompt_tokens + jobs.prompt_tokens,
        answer_tokens: sum.answer_tokens + jobs.answer_tokens,
        charge: plus(sum.charge, jobs.charge),
    })
}

fn read_day(row: &Row) -> Result<UsedDay> {
    Ok(UsedDay { day: Day(row.count(0)?), jobs: read_jobs(row)? })
}

fn read_model(row: &Row) -> Result<UsedModel> {
    Ok(UsedModel { model: row.text(0)?.to_owned(), jobs: read_jobs(row)? })
}

pub(super) fn read_jobs(row: &Row) -> Result<Jobs> {
    Ok(Jobs {
        jobs: row.count(1)?,
        prompt_tokens: row.count(2)?,
        answer_tokens: row.count(3)?,
        charge: row.nanos(4)?,
    })
}

/// Adds two sums out of one book, whose accounts together fit 64 bits.
pub(super) fn plus(one: Nanos, other: Nanos) -> Nanos {
    Nanos::new(one.get().saturating_add(other.get()))
}
