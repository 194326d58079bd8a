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
    /// Impressions per thousand free answers that could have had an ad; `None` where there was none.
    pub fill_permille: Option<u64>,
    /// Clicks per thousand impressions; `None` where there was none.
    pub click_permille: Option<u64>,
    /// What advertisers paid per thousand free answers, rounded down; `None` where there was none.
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
    /// What of the fees is free answers': it comes out of what advertisers paid and the operator gave.
    pub free_fees: Nanos,
    /// What advertisers paid.
    pub ads: Nanos,
    /// What premium accounts paid, less what of it was given back.
    pub premium: Nanos,
    /// What came in from others: fees but for those of free answers, ads and premium.
    pub revenue: Nanos,
    /// What free answers cost, fees among it.
    pub free_cost: Nanos,
    /// Free answers that could have had an ad.
    pub asked: u64,
    /// Ads that were seen, whatever an impression costs.
    pub impressions: u64,
    /// Ads that were clicked, whatever a click costs.
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
    /// What is set aside of owners' earnings for disputes.
    pub owners_disputed: Nanos,
    /// What owners have asked for and nobody has sent.
    pub payouts_requested: Nanos,
    /// What is on its way to owners.
    pub payouts_sent: Nanos,
    /// What advertisers have left.
    pub advertisers: Nanos,
    /// What pages have left.
    pub pages: Nanos,
    /// What has left and nobody had, below zero: the operator has to bring it, or later fees will.
    pub shortfall: Nanos,
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
        fill_permille: permille(total.impressions, total.asked),
        click_permille: permille(total.clicks, total.impressions),
        per_thousand_answers: total.ads.checked_share(1_000, total.free_jobs),
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
            free_fees: plus(self.free_fees, other.free_fees),
            ads: plus(self.ads, other.ads),
            premium: plus(self.premium, other.premium),
            revenue: plus(self.revenue, other.revenue),
            free_cost: plus(self.free_cost, other.free_cost),
            asked: self.asked + other.asked,
            impressions: self.impressions + other.impressions,
            clicks: self.clicks + other.clicks,
        }
    }
}

fn revenue_days(sql: &mut Sql, span: Days) -> Result<Vec<RevenueDay>> {
    let mut days: BTreeMap<u64, Sources> = BTreeMap::new();
    for read in [read_sold, read_paid, read_given_back, read_counted] {
        read(sql, span, &mut |day, sources| {
            let sum = days.entry(day).or_default();
            *sum = sum.with(&sources);
        })?;
    }
    Ok(days.into_iter().map(|(day, sources)| RevenueDay { day: Day(day), sources }).collect())
}

/// Reads what charges brought.
fn read_sold(sql: &mut Sql, span: Days, add: &mut dyn FnMut(u64, Sources)) -> Result<()> {
    sql.each(
        "SELECT day, free, CAST(SUM(jobs) AS BIGINT), CAST(SUM(charge) AS BIGINT), CAST(SUM(fee) AS BIGINT)
         FROM net_sold WHERE day BETWEEN ?1 AND ?2 GROUP BY day, free",
        &[span.from.0.into(), span.to.0.into()],
        &mut |row| {
            let (jobs, charge, fees) = (row.count(2)?, row.nanos(3)?, row.nanos(4)?);
            let sold = if row.number(1)? == 1 {
                let (free_jobs, free_fees, free_cost) = (jobs, fees, charge);
                Sources { jobs, free_jobs, fees, free_fees, free_cost, ..Sources::default() }
            } else {
                Sources { jobs, fees, revenue: fees, ..Sources::default() }
            };
            add(row.count(0)?, sold);
            Ok(())
        },
    )
}

/// Reads what advertisers paid into what there is for free answers, and premium accounts to the platform.
fn read_paid(sql: &mut Sql, span: Days, add: &mut dyn FnMut(u64, Sources)) -> Result<()> {
    sql.each(
        "SELECT day, kind, postings, credit FROM posted
         WHERE ((account = 'free' AND kind IN ('impression', 'click'))
             OR (account = 'platform' AND kind = 'premium')) AND day BETWEEN ?1 AND ?2",
        &[span.from.0.into(), span.to.0.into()],
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
            add(row.count(0)?, paid);
            Ok(())
        },
    )
}

/// Reads what of premium was given back, under the day on which it was paid.
fn read_given_back(sql: &mut Sql, span: Days, add: &mut dyn FnMut(u64, Sources)) -> Result<()> {
    sql.each(
        "SELECT paid.at / 86400000, CAST(SUM(taken.amount) AS BIGINT)
         FROM entry AS paid JOIN entry AS taken ON taken.id = 'correction:' || paid.id || ':0'
         WHERE paid.kind = 'premium' AND paid.at >= ?1 AND paid.at < ?2 GROUP BY paid.at / 86400000",
        &[span.from.begin().into(), Day(span.to.0 + 1).begin().into()],
        &mut |row| {
            let back = Nanos::new(-row.nanos(1)?.get());
            add(row.count(0)?, Sources { premium: back, revenue: back, ..Sources::default() });
            Ok(())
        },
    )
}

/// Reads what was counted of ads and cost nothing.
fn read_counted(sql: &mut Sql, span: Days, add: &mut dyn FnMut(u64, Sources)) -> Result<()> {
    sql.each(
        "SELECT day, CAST(SUM(asked) AS BIGINT), CAST(SUM(impressions) AS BIGINT),
             CAST(SUM(clicks) AS BIGINT)
         FROM ad_day WHERE day BETWEEN ?1 AND ?2 GROUP BY day",
        &[span.from.0.into(), span.to.0.into()],
        &mut |row| {
            let (asked, impressions, clicks) = (row.count(1)?, row.count(2)?, row.count(3)?);
            add(row.count(0)?, Sources { asked, impressions, clicks, ..Sources::default() });
            Ok(())
        },
    )
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
        owners_disputed: balance(sql, Account::Disputed)?,
        payouts_requested: balance(sql, Account::PayoutRequested)?,
        payouts_sent: balance(sql, Account::PayoutSent)?,
        advertisers,
        pages,
        shortfall: balance(sql, Account::Shortfall)?,
        outside: balance(sql, Account::Outside)?,
    })
}
