//! Revenue by UTC day and model, out of the sums that are kept beside the entries.

use std::collections::BTreeMap;

use anyhow::Result;
use rekursing_market::ledger::Account;
use rekursing_protocol::{Day, Nanos};
use serde::Serialize;

use super::{
    Sql, Store,
    earnings::balance,
    usage::{Days, Jobs, MODELS_MAX, plus, read_jobs},
};

/// What came in for the platform, and what free answers cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revenue {
    /// Which days.
    #[serde(flatten)]
    pub span: Days,
    /// All of it.
    #[serde(flatten)]
    pub total: Sources,
    /// Paid impressions per thousand free answers; `None` where there was no free answer.
    pub fill_permille: Option<u64>,
    /// Paid clicks per thousand paid impressions; `None` where there was no paid impression.
    pub click_permille: Option<u64>,
    /// Revenue per thousand answers, rounded down; `None` where there was no answer.
    pub per_thousand_answers: Option<Nanos>,
    /// By day, oldest first; days on which nothing happened are left out.
    pub days: Vec<RevenueDay>,
    /// By model, most fees first, at most 1,000.
    pub models: Vec<RevenueModel>,
    /// Where the money is at present.
    pub cash: Cash,
}

/// Revenue by source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sources {
    /// Answers charged, free ones among them.
    pub jobs: u64,
    /// Free answers charged.
    pub free_jobs: u64,
    /// The platform's part of the charges.
    pub fees: Nanos,
    /// What advertisers paid.
    pub ads: Nanos,
    /// What premium accounts paid.
    pub premium: Nanos,
    /// All three.
    pub revenue: Nanos,
    /// What free answers cost, fees among it.
    pub free_cost: Nanos,
    /// Impressions that were paid for.
    #[serde(skip)]
    pub impressions: u64,
    /// Clicks that were paid for.
    #[serde(skip)]
    pub clicks: u64,
}

/// A day's revenue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RevenueDay {
    /// The day.
    pub day: Day,
    /// What came in.
    #[serde(flatten)]
    pub sources: Sources,
}

/// A model's revenue. Ads and premiums are no model's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevenueModel {
    /// The model.
    pub model: String,
    /// What was paid for its answers.
    #[serde(flatten)]
    pub jobs: Jobs,
    /// The platform's part of it.
    pub fees: Nanos,
    /// What its free answers cost.
    pub free_cost: Nanos,
}

/// Where the money is; together with `outside` it is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cash {
    /// The platform's own.
    pub platform: Nanos,
    /// What there is for free answers.
    pub free: Nanos,
    /// Set aside for jobs.
    pub escrow: Nanos,
    /// What owners can ask to be paid.
    pub owners: Nanos,
    /// What is held back of owners' earnings.
    pub owners_held: Nanos,
    /// What owners have asked for and nobody has sent.
    pub payouts_requested: Nanos,
    /// What is on its way to owners.
    pub payouts_sent: Nanos,
    /// What advertisers have left.
    pub advertisers: Nanos,
    /// What pages have left.
    pub pages: Nanos,
    /// What came from the world less what went to it, below zero.
    pub outside: Nanos,
}

impl Store {
    /// Reads what came in, and where the money is.
    pub async fn revenue(&self, span: Days) -> Result<Revenue> {
        self.read(move |sql| sql.view(|sql| revenue(sql, span))).await
    }
}

fn revenue(sql: &mut Sql, span: Days) -> Result<Revenue> {
    let days = revenue_days(sql, span)?;
    let total = days.iter().fold(Sources::default(), |sum, day| sum.with(&day.sources));
    let permille = |part: u64, whole: u64| part.saturating_mul(1_000).checked_div(whole);
    Ok(Revenue {
        span,
        fill_permille: permille(total.impressions, total.free_jobs),
        click_permille: permille(total.clicks, total.impressions),
        per_thousand_answers: total.revenue.checked_share(1_000, total.jobs),
        total,
        days,
        models: revenue_models(sql, span)?,
        cash: cash(sql)?,
    })
}

impl Sources {
    fn with(&self, other: &Sources) -> Sources {
        Sources {
            jobs: self.jobs + other.jobs,
            free_jobs: self.free_jobs + other.free_jobs,
            fees: plus(self.fees, other.fees),
            ads: plus(self.ads, other.ads),
            premium: plus(self.premium, other.premium),
            revenue: plus(self.revenue, other.revenue),
            free_cost: plus(self.free_cost, other.free_cost),
            impressions: self.impressions + other.impressions,
            clicks: self.clicks + other.clicks,
        }
    }
}

fn revenue_days(sql: &mut Sql, span: Days) -> Result<Vec<RevenueDay>> {
    let values = [span.from.0.into(), span.to.0.into()];
    let mut days: BTreeMap<u64, Sources> = BTreeMap::new();
    sql.each(
        "SELECT day, free, CAST(SUM(jobs) AS BIGINT), CAST(SUM(charge) AS BIGINT), CAST(SUM(fee) AS BIGINT)
         FROM net_sold WHERE day BETWEEN ?1 AND ?2 GROUP BY day, free",
        &values,
        &mut |row| {
            let (jobs, charge) = (row.count(2)?, row.nanos(3)?);
            let is_free = row.number(1)? == 1;
            let sold = Sources {
                jobs,
                free_jobs: if is_free { jobs } else { 0 },
                fees: row.nanos(4)?,
                revenue: row.nanos(4)?,
                free_cost: if is_free { charge } else { Nanos::ZERO },
                ..Sources::default()
            };
            let day = days.entry(row.count(0)?).or_default();
            *day = day.with(&sold);
            Ok(())
        },
    )?;
    // Advertisers pay into what there is for free answers, premium accounts to the platform.
    sql.each(
        "SELECT day, kind, postings, credit FROM posted
         WHERE ((account = 'free' AND kind IN ('impression', 'click'))
             OR (account = 'platform' AND kind = 'premium')) AND day BETWEEN ?1 AND ?2",
        &values,
        &mut |row| {
            let (kind, postings, amount) = (row.text(1)?, row.count(2)?, row.nanos(3)?);
            let count = |name| if kind == name { postings } else { 0 };
            let is_premium = kind == "premium";
            let paid = Sources {
                ads: if is_premium { Nanos::ZERO } else { amount },
                premium: if is_premium { amount } else { Nanos::ZERO },
                revenue: amount,
                impressions: count("impression"),
                clicks: count("click"),
                ..Sources::default()
            };
            let day = days.entry(row.count(0)?).or_default();
            *day = day.with(&paid);
            Ok(())
        },
    )?;
    Ok(days.into_iter().map(|(day, sources)| RevenueDay { day: Day(day), sources }).collect())
}

fn revenue_models(sql: &mut Sql, span: Days) -> Result<Vec<RevenueModel>> {
    sql.list(
        "SELECT model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT),
             CAST(SUM(fee) AS BIGINT) AS fees, CAST(SUM(charge * free) AS BIGINT)
         FROM net_sold WHERE day BETWEEN ?1 AND ?2 GROUP BY model ORDER BY fees DESC, model LIMIT ?3",
        &[span.from.0.into(), span.to.0.into(), MODELS_MAX.into()],
        |row| {
            Ok(RevenueModel {
                model: row.text(0)?.to_owned(),
                jobs: read_jobs(row)?,
                fees: row.nanos(5)?,
                free_cost: row.nanos(6)?,
            })
        },
    )
}

fn cash(sql: &mut Sql) -> Result<Cash> {
    let mut class = |name: &str| {
        let sum = "SELECT CAST(SUM(credit - debit) AS BIGINT) FROM posted WHERE account = ?1";
        sql.number(sum, &[name.into()]).map(Nanos::new)
    };
    let (owners, owners_held) = (class("owner")?, class("held")?);
    let (advertisers, pages) = (class("advertiser")?, class("page")?);
    Ok(Cash {
        platform: balance(sql, Account::Platform)?,
        free: balance(sql, Account::Free)?,
        escrow: balance(sql, Account::Escrow)?,
        owners,
        owners_held,
        payouts_requested: balance(sql, Account::PayoutRequested)?,
        payouts_sent: balance(sql, Account::PayoutSent)?,
        advertisers,
        pages,
        outside: balance(sql, Account::Outside)?,
    })
}
