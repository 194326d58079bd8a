//! Channels: what owners show of themselves, who follows them, and what they have served.

use anyhow::{Context, Result};
use rekursing_protocol::{AccountId, Day, Moment, Nanos, PluginId};

use super::{Sql, Store, Unstarted, sql::Row};

/// Days that a channel shows one by one.
const DAYS: u64 = 90;

/// What an owner shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The plugin.
    pub plugin: PluginId,
    /// The owner's own text.
    pub about: String,
    /// Whether what it earns is shown too.
    pub shows_earnings: bool,
    /// Since when it is open.
    pub opened: Moment,
}

/// What a channel has served in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServedInAll {
    /// Answers that were paid.
    pub jobs: u64,
    /// Their tokens.
    pub answer_tokens: u64,
}

/// What a channel served on a UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelDay {
    /// The day.
    pub day: Day,
    /// Answers that were paid.
    pub jobs: u64,
    /// Their tokens.
    pub answer_tokens: u64,
    /// What they earned.
    pub earned: Nanos,
    /// Minutes in which it was connected.
    pub minutes: u64,
}

/// By what channels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standard {
    /// Tokens of answers.
    Tokens,
    /// Answers that came to their end, in thousandths of these and the failures that were its own.
    Reliability,
    /// What was earned, in nano-dollars, of those who show it.
    Earnings,
}

/// One place of a leaderboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// The plugin.
    pub plugin: PluginId,
    /// What it is compared by.
    pub value: u64,
    /// Of how many answers that is known.
    pub jobs: u64,
}

impl Unstarted {
    /// Reads every channel.
    pub fn channels(&mut self) -> Result<Vec<Channel>> {
        let channels = self.sql.list("SELECT plugin, about, earnings, opened FROM channel", &[], |row| {
            Ok(Channel {
                plugin: row.parsed(0)?,
                about: row.text(1)?.to_owned(),
                shows_earnings: row.count(2)? != 0,
                opened: row.moment(3)?,
            })
        });
        channels.context("could not read the channels")
    }
}

impl Store {
    /// Stores a channel, in place of what it showed before.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_channel(&self, channel: Channel) -> Result<()> {
        self.make(move |sql| {
            let Channel { plugin, about, shows_earnings, opened } = channel;
            sql.execute(
                "INSERT INTO channel (plugin, about, earnings, opened) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (plugin) DO UPDATE SET about = excluded.about, earnings = excluded.earnings",
                &[plugin.to_string().into(), about.into(), u32::from(shows_earnings).into(), opened.into()],
            )
            .map(drop)
        })
        .await
    }

    /// Closes a channel, with everything that was kept for it alone.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn close_channel(&self, plugin: PluginId) -> Result<()> {
        self.make(move |sql| {
            let plugin = plugin.to_string();
            sql.execute("DELETE FROM channel WHERE plugin = ?1", &[plugin.as_str().into()])?;
            sql.execute("DELETE FROM presence WHERE plugin = ?1", &[plugin.as_str().into()])?;
            sql.execute("DELETE FROM follower WHERE plugin = ?1", &[plugin.into()]).map(drop)
        })
        .await
    }

    /// Stores that an account follows a channel, unless it follows as many as it may.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn follow(&self, now: Moment, plugin: PluginId, account: AccountId, most: u64) -> Result<()> {
        self.make(move |sql| {
            let account = account.to_string();
            sql.execute(
                "INSERT INTO follower (account, plugin, since) SELECT CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?3 AS BIGINT)
                 WHERE (SELECT COUNT(*) FROM follower WHERE account = ?1) < ?4
                 ON CONFLICT (account, plugin) DO NOTHING",
                &[account.into(), plugin.to_string().into(), now.into(), most.into()],
            )
            .map(drop)
        })
        .await
    }

    /// Stores that an account follows a channel no more.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn unfollow(&self, plugin: PluginId, account: AccountId) -> Result<()> {
        self.make(move |sql| {
            let delete = "DELETE FROM follower WHERE account = ?1 AND plugin = ?2";
            sql.execute(delete, &[account.to_string().into(), plugin.to_string().into()]).map(drop)
        })
        .await
    }

    /// Reads which channels an account follows, the latest first.
    pub async fn followed(&self, account: AccountId) -> Result<Vec<PluginId>> {
        let followed = "SELECT plugin FROM follower WHERE account = ?1 ORDER BY since DESC, plugin";
        self.read(move |sql| sql.list(followed, &[account.to_string().into()], |row| row.parsed(0))).await
    }

    /// Counts who follows a channel.
    pub async fn followers(&self, plugin: PluginId) -> Result<u64> {
        let count = "SELECT COUNT(*) FROM follower WHERE plugin = ?1";
        let followers = self.read(move |sql| sql.number(count, &[plugin.to_string().into()])).await?;
        Ok(followers.unsigned_abs())
    }

    /// Reads what each channel has served in all.
    pub async fn served_in_all(&self) -> Result<Vec<(PluginId, ServedInAll)>> {
        self.read(|sql| {
            sql.list(SERVED_IN_ALL, &[], |row| {
                Ok((row.parsed(0)?, ServedInAll { jobs: row.count(1)?, answer_tokens: row.count(2)? }))
            })
        })
        .await
    }

    /// Reads a channel's latest days on which anything was, oldest first.
    pub async fn channel_days(&self, today: Day, plugin: PluginId) -> Result<Vec<ChannelDay>> {
        let first = (today.0 + 1).saturating_sub(DAYS);
        self.read(move |sql| {
            sql.list(CHANNEL_DAYS, &[plugin.to_string().into(), first.into()], |row| {
                Ok(ChannelDay {
                    day: Day(row.count(0)?),
                    jobs: row.count(1)?,
                    answer_tokens: row.count(2)?,
                    earned: row.nanos(3)?,
                    minutes: row.count(4)?,
                })
            })
        })
        .await
    }

    /// Reads who leads among the channels from a UTC day on. Of fewer than `jobs_min` answers and failures
    /// no reliability is known.
    pub async fn leaders(
        &self,
        standard: Standard,
        from: Day,
        jobs_min: u64,
        most: u64,
    ) -> Result<Vec<Leader>> {
        self.read(move |sql| leaders(sql, standard, from, jobs_min, most)).await
    }
}

fn leaders(sql: &mut Sql, standard: Standard, from: Day, jobs_min: u64, most: u64) -> Result<Vec<Leader>> {
    let read = |row: &Row| Ok(Leader { plugin: row.parsed(0)?, value: row.count(1)?, jobs: row.count(2)? });
    let (from, most) = (from.0.into(), most.into());
    match standard {
        Standard::Tokens => sql.list(BY_TOKENS, &[from, most], read),
        Standard::Earnings => sql.list(BY_EARNINGS, &[from, most], read),
        Standard::Reliability => sql.list(BY_RELIABILITY, &[from, most, jobs_min.into()], read),
    }
}

const SERVED_IN_ALL: &str = "
    SELECT owner, CAST(SUM(jobs) AS BIGINT), CAST(SUM(answer_tokens) AS BIGINT)
    FROM earned JOIN channel ON channel.plugin = earned.owner GROUP BY owner";

const CHANNEL_DAYS: &str = "
    SELECT day, CAST(SUM(jobs) AS BIGINT), CAST(SUM(answer_tokens) AS BIGINT),
        CAST(SUM(earned) AS BIGINT), CAST(SUM(minutes) AS BIGINT)
    FROM (
        SELECT day, jobs, answer_tokens, charge - fee AS earned, 0 AS minutes
            FROM net_earned WHERE owner = ?1 AND day >= ?2
        UNION ALL SELECT day, 0, 0, 0, minutes FROM presence WHERE plugin = ?1 AND day >= ?2) AS one
    GROUP BY day ORDER BY day";

const BY_TOKENS: &str = "
    SELECT owner, CAST(SUM(answer_tokens) AS BIGINT) AS value, CAST(SUM(jobs) AS BIGINT)
    FROM earned JOIN channel ON channel.plugin = earned.owner
    WHERE day >= ?1 GROUP BY owner ORDER BY value DESC, owner LIMIT ?2";

const BY_EARNINGS: &str = "
    SELECT owner, CAST(SUM(charge - fee) AS BIGINT) AS value, CAST(SUM(jobs) AS BIGINT)
    FROM net_earned JOIN channel ON channel.plugin = net_earned.owner AND channel.earnings = 1
    WHERE day >= ?1 GROUP BY owner HAVING SUM(charge - fee) > 0 ORDER BY value DESC, owner LIMIT ?2";

const BY_RELIABILITY: &str = "
    SELECT outcome.plugin, CAST(SUM(done) AS BIGINT) * 1000 / CAST(SUM(done + failed) AS BIGINT) AS value,
        CAST(SUM(done + failed) AS BIGINT) AS jobs
    FROM outcome JOIN channel ON channel.plugin = outcome.plugin
    WHERE day >= ?1 GROUP BY outcome.plugin HAVING CAST(SUM(done + failed) AS BIGINT) >= ?3
    ORDER BY value DESC, jobs DESC, outcome.plugin LIMIT ?2";
