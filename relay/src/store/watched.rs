//! What is seen from minute to minute: which channels are connected, which models are on offer, and what
//! became of plugins' jobs. It is kept by day or by hour, and forgotten when nobody is told of it any more.

use anyhow::Result;
use rekursing_market::Outcome;
use rekursing_protocol::{Day, Hour, Moment, PluginId};

use super::Store;

/// Hours for which it is known when a model was on offer: 30 days.
const HOURS_KEPT: u64 = 30 * 24;

/// Days for which it is known when a channel was connected.
const DAYS_KEPT: u64 = 400;

/// What was seen in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Channels that were connected.
    pub present: Vec<PluginId>,
    /// Models that could be asked for.
    pub models: Vec<String>,
    /// What became of plugins' jobs since the minute before.
    pub outcomes: Vec<(PluginId, Outcome)>,
}

/// How much of the time a model was on offer, since it was first seen within that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// The model.
    pub model: String,
    /// Thousandths of the last 24 hours.
    pub day_permille: u64,
    /// Thousandths of the last 30 days.
    pub month_permille: u64,
}

impl Store {
    /// Stores what was seen in the minute that is over.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn watched(&self, now: Moment, watched: Watched) -> Result<()> {
        self.make(move |sql| {
            let (day, hour) = (now.day(), Hour::of(now).0);
            let Watched { present, models, outcomes } = watched;
            let present: Vec<_> = present
                .iter()
                .map(|plugin| vec![plugin.to_string().into(), day.into(), 1_u32.into()])
                .collect();
            sql.insert(
                "presence (plugin, day, minutes)",
                "ON CONFLICT (plugin, day) DO UPDATE SET minutes = presence.minutes + excluded.minutes",
                &present,
            )?;
            let models: Vec<_> =
                models.into_iter().map(|model| vec![model.into(), hour.into(), 1_u32.into()]).collect();
            sql.insert(
                "availability (model, hour, minutes)",
                "ON CONFLICT (model, hour) DO UPDATE SET minutes = availability.minutes + excluded.minutes",
                &models,
            )?;
            let outcomes: Vec<_> = outcomes
                .iter()
                .map(|(plugin, Outcome { done, failed })| {
                    vec![plugin.to_string().into(), day.into(), (*done).into(), (*failed).into()]
                })
                .collect();
            sql.insert(
                "outcome (plugin, day, done, failed)",
                "ON CONFLICT (plugin, day) DO UPDATE SET done = outcome.done + excluded.done,
                    failed = outcome.failed + excluded.failed",
                &outcomes,
            )?;
            sql.execute(
                "DELETE FROM availability WHERE hour < ?1",
                &[hour.saturating_sub(HOURS_KEPT).into()],
            )?;
            sql.execute("DELETE FROM presence WHERE day < ?1", &[day.saturating_sub(DAYS_KEPT).into()])?;
            Ok(())
        })
        .await
    }

    /// Reads how much of the time each model was on offer. A part of the present hour counts as that part.
    pub async fn uptimes(&self, now: Moment) -> Result<Vec<Uptime>> {
        let hour = Hour::of(now).0;
        let month = (hour + 1).saturating_sub(HOURS_KEPT);
        let day = (hour + 1).saturating_sub(24);
        // Minutes of this hour that are over.
        let begun = now.0 / 60_000 % 60;
        let share = move |up: u64, from: u64, (first, at_first): (u64, u64)| {
            // In the hour in which it was first seen it was there from then on.
            let before = if first >= from { 60_u64.saturating_sub(at_first) } else { 0 };
            let minutes = ((hour - first.clamp(from, hour)) * 60 + begun).saturating_sub(before);
            (up * 1_000).checked_div(minutes).unwrap_or(1_000).min(1_000)
        };
        self.read(move |sql| {
            sql.list(UPTIMES, &[month.into(), day.into()], |row| {
                let first = (row.count(1)?, row.count(4)?);
                Ok(Uptime {
                    model: row.text(0)?.to_owned(),
                    day_permille: share(row.count(2)?, day, first),
                    month_permille: share(row.count(3)?, month, first),
                })
            })
        })
        .await
    }

    /// Reads what became of a plugin's jobs from a UTC day on.
    pub async fn outcome(&self, plugin: PluginId, from: Day) -> Result<Outcome> {
        let sums = "SELECT CAST(SUM(done) AS BIGINT), CAST(SUM(failed) AS BIGINT)
                    FROM outcome WHERE plugin = ?1 AND day >= ?2";
        let outcome = self
            .read(move |sql| {
                sql.first(sums, &[plugin.to_string().into(), from.0.into()], |row| {
                    let sum = |column| Ok::<_, anyhow::Error>(row.number_or_zero(column)?.unsigned_abs());
                    Ok(Outcome { done: sum(0)?, failed: sum(1)? })
                })
            })
            .await?;
        Ok(outcome.unwrap_or_default())
    }
}

const UPTIMES: &str = "
    SELECT one.model, one.first, one.day, one.month, availability.minutes FROM (
        SELECT model, MIN(hour) AS first, CAST(SUM(minutes) AS BIGINT) AS month,
            CAST(SUM(CASE WHEN hour >= ?2 THEN minutes ELSE 0 END) AS BIGINT) AS day
        FROM availability WHERE hour >= ?1 GROUP BY model) AS one
    JOIN availability ON availability.model = one.model AND availability.hour = one.first";
