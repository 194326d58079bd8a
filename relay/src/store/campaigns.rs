//! Campaigns and what they brought: their terms as they were given, counts by day, and money out of the
//! entries alone.

use anyhow::{Context, Result};
use rekursing_market::ads::Spend;
use rekursing_protocol::{AccountId, CampaignId, Moment, Nanos, Span};

use super::{
    Act, Store, Unstarted, operator_log,
    sql::{Row, Sql},
};

/// A campaign as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its id.
    pub id: CampaignId,
    /// Whose it is.
    pub account: AccountId,
    /// Its terms, as JSON.
    pub body: String,
}

/// What to add to the counts of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdCount {
    /// Answers that could have had an ad; for no campaign.
    pub asked: u64,
    /// Ads that were sent.
    pub sent: u64,
    /// Impressions that cost nothing.
    pub impressions: u64,
    /// Clicks that cost nothing.
    pub clicks: u64,
}

/// What happened on a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdDay {
    /// The day, in days since the Unix epoch.
    pub day: u64,
    /// Answers that could have had an ad; for no campaign.
    pub asked: u64,
    /// Ads that were sent.
    pub sent: u64,
    /// Times that they were seen.
    pub impressions: u64,
    /// Times that they were clicked.
    pub clicks: u64,
    /// What was paid for that.
    pub spent: Nanos,
}

/// The campaign of what is counted for none.
const NONE: &str = "";

impl Store {
    /// Stores a campaign, in place of what it was before, and what the operator's log says of it where that
    /// was the operator's doing.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_campaign(&self, now: Moment, campaign: Placed, act: Option<Act>) -> Result<()> {
        self.change(move |sql| {
            sql.execute(
                "INSERT INTO campaign VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET
                     body = excluded.body, changed = excluded.changed",
                &[
                    campaign.id.to_string().into(),
                    campaign.account.to_string().into(),
                    campaign.body.into(),
                    now.into(),
                ],
            )?;
            act.map_or(Ok(()), |act| operator_log::insert(sql, now, &act))
        })
        .await
    }

    /// Adds to the counts of campaigns, and of answers that could have had an ad (`None`), by day.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn add_ad_counts(&self, counts: Vec<((Option<CampaignId>, u64), AdCount)>) -> Result<()> {
        self.change(move |sql| counts.iter().try_for_each(|(of, count)| add(sql, *of, count))).await
    }

    /// Reads what a campaign brought and cost on each day from `since`, oldest first.
    pub async fn campaign_days(&self, campaign: CampaignId, since: u64) -> Result<Vec<AdDay>> {
        self.read(move |sql| {
            sql.list(
                "SELECT day, 0, CAST(SUM(sent) AS BIGINT), CAST(SUM(impressions) AS BIGINT),
                     CAST(SUM(clicks) AS BIGINT), CAST(SUM(spent) AS BIGINT)
                 FROM (
                     SELECT day, sent, impressions, clicks, 0 AS spent FROM ad_day
                     WHERE campaign = ?1 AND day >= ?2
                     UNION ALL
                     SELECT at / 86400000, 0, CASE WHEN kind = 'impression' THEN 1 ELSE 0 END,
                         CASE WHEN kind = 'click' THEN 1 ELSE 0 END, amount
                     FROM entry WHERE kind IN ('impression', 'click') AND note = ?1 AND at >= ?3) AS part
                 GROUP BY day ORDER BY day",
                &[campaign.to_string().into(), since.into(), first_moment(since).into()],
                read_day,
            )
        })
        .await
    }

    /// Reads what all ads together brought on each day from `since`, oldest first.
    pub async fn ad_days(&self, since: u64) -> Result<Vec<AdDay>> {
        self.read(move |sql| {
            sql.list(
                "SELECT day, CAST(SUM(asked) AS BIGINT), CAST(SUM(sent) AS BIGINT),
                     CAST(SUM(impressions) AS BIGINT), CAST(SUM(clicks) AS BIGINT), CAST(SUM(spent) AS BIGINT)
                 FROM (
                     SELECT day, asked, sent, impressions, clicks, 0 AS spent FROM ad_day
                     WHERE day >= ?1
                     UNION ALL
                     SELECT at / 86400000, 0, 0, CASE WHEN kind = 'impression' THEN 1 ELSE 0 END,
                         CASE WHEN kind = 'click' THEN 1 ELSE 0 END, amount
                     FROM entry WHERE kind IN ('impression', 'click') AND at >= ?2) AS part
                 GROUP BY day ORDER BY day",
                &[since.into(), first_moment(since).into()],
                read_day,
            )
        })
        .await
    }
}

impl Unstarted {
    /// Reads every campaign with what it has spent: the sums of its entries, and the counts of what cost
    /// nothing.
    pub fn campaigns(&mut self, now: Moment) -> Result<Vec<(Placed, Spend)>> {
        let read = |row: &Row| {
            let placed =
                Placed { id: row.parsed(0)?, account: row.parsed(1)?, body: row.text(2)?.to_owned() };
            let spend = Spend {
                total: row.nanos(3)?,
                day: now.day(),
                on_day: row.nanos(4)?,
                reserved: Nanos::ZERO,
                impressions: row.count(5)?,
                clicks: row.count(6)?,
            };
            Ok((placed, spend))
        };
        let campaigns = self.sql.list(
            "SELECT campaign.id, account, body, CAST(COALESCE(SUM(part.spent), 0) AS BIGINT),
                 CAST(COALESCE(SUM(part.today), 0) AS BIGINT),
                 CAST(COALESCE(SUM(part.impressions), 0) AS BIGINT),
                 CAST(COALESCE(SUM(part.clicks), 0) AS BIGINT)
             FROM campaign LEFT JOIN (
                 SELECT campaign AS id, 0 AS spent, 0 AS today, impressions, clicks FROM ad_day
                 UNION ALL
                 SELECT note, amount, CASE WHEN at >= ?1 THEN amount ELSE 0 END,
                     CASE WHEN kind = 'impression' THEN 1 ELSE 0 END,
                     CASE WHEN kind = 'click' THEN 1 ELSE 0 END
                 FROM entry WHERE kind IN ('impression', 'click')) AS part ON part.id = campaign.id
             GROUP BY campaign.id, account, body ORDER BY campaign.id",
            &[first_moment(now.day()).into()],
            read,
        );
        campaigns.context("could not read the campaigns")
    }

    /// Returns the relay's key of this name, which is `fresh` if it had none.
    pub fn relay_key(&mut self, name: &'static str, fresh: [u8; 32]) -> Result<[u8; 32]> {
        let kept = self.sql.write(|sql| {
            sql.execute(
                "INSERT INTO relay_key VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
                &[name.into(), fresh.as_slice().into()],
            )?;
            sql.first("SELECT bytes FROM relay_key WHERE name = ?1", &[name.into()], |row| row.hash(0))
        });
        kept.and_then(|kept| kept.context("it is not there")).context("could not read the relay's key")
    }
}

/// Returns when a day begins.
fn first_moment(day: u64) -> Moment {
    Moment(day.saturating_mul(Span::DAY.0))
}

fn add(sql: &mut Sql, (campaign, day): (Option<CampaignId>, u64), count: &AdCount) -> Result<()> {
    let campaign = campaign.map_or_else(|| NONE.to_owned(), |campaign| campaign.to_string());
    sql.execute(
        "INSERT INTO ad_day VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (campaign, day) DO UPDATE SET
             asked = ad_day.asked + excluded.asked,
             sent = ad_day.sent + excluded.sent,
             impressions = ad_day.impressions + excluded.impressions,
             clicks = ad_day.clicks + excluded.clicks",
        &[
            campaign.into(),
            day.into(),
            count.asked.into(),
            count.sent.into(),
            count.impressions.into(),
            count.clicks.into(),
        ],
    )?;
    Ok(())
}

fn read_day(row: &Row) -> Result<AdDay> {
    Ok(AdDay {
        day: row.count(0)?,
        asked: row.count(1)?,
        sent: row.count(2)?,
        impressions: row.count(3)?,
        clicks: row.count(4)?,
        spent: row.nanos(5)?,
    })
}
