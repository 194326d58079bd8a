//! Thumbs on answers, one of a job, and what they say of each owner.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rekursing_market::{
    dispute::State,
    quality::{Quality, REMEMBERED, Said, Voices},
};
use rekursing_protocol::{AccountId, JobId, Moment, PluginId};

use super::{Row, Sql, Store, Unstarted};

/// Whose voice a thumb is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// An account's that is verified.
    Verified(AccountId),
    /// Another account's.
    Unverified(AccountId),
    /// That of everybody who asked for a free answer.
    Free,
}

/// What came of a thumb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rated {
    /// It is kept, and this is said of its owner then.
    Kept(Option<Quality>),
    /// A dispute of the job was upheld, which is its thumb.
    Decided,
}

impl Store {
    /// Keeps a thumb on an answer, in the place of the one that its job had, unless a dispute has given it one.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn rate(
        &self,
        now: Moment,
        job: JobId,
        owner: PluginId,
        voice: Voice,
        is_up: bool,
    ) -> Result<Rated> {
        let is_kept = self.make(move |sql| {
            if sql.number(UPHELD, &[job.to_string().into(), State::Upheld.name().into()])? > 0 {
                return Ok(false);
            }
            put(sql, now, job, owner, voice, is_up).map(|()| true)
        });
        if !is_kept.await? {
            return Ok(Rated::Decided);
        }
        // Money waits for whoever writes, so it is not there that all voices are summed.
        Ok(Rated::Kept(self.quality(now, owner).await?))
    }

    /// Reads what is said of an owner.
    pub async fn quality(&self, now: Moment, owner: PluginId) -> Result<Option<Quality>> {
        self.read(move |sql| Ok(read(sql, now, Some(owner))?.remove(&owner))).await
    }

    /// Reads what is said of every owner of whom enough is.
    pub async fn qualities(&self, now: Moment) -> Result<HashMap<PluginId, Quality>> {
        self.read(move |sql| read(sql, now, None)).await
    }
}

impl Unstarted {
    /// Reads what is said of every owner of whom enough is.
    pub fn qualities(&mut self, now: Moment) -> Result<HashMap<PluginId, Quality>> {
        read(&mut self.sql, now, None).context("could not read what is said of answers")
    }
}

const UPHELD: &str = "SELECT COUNT(*) FROM dispute WHERE job = ?1 AND state = ?2";

/// Keeps a thumb.
pub(super) fn put(
    sql: &mut Sql,
    now: Moment,
    job: JobId,
    owner: PluginId,
    voice: Voice,
    is_up: bool,
) -> Result<()> {
    let (voice, is_verified) = match voice {
        Voice::Verified(account) => (account.to_string(), true),
        Voice::Unverified(account) => (account.to_string(), false),
        Voice::Free => (String::new(), false),
    };
    sql.execute(
        "INSERT INTO thumb (job, owner, voice, verified, up, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (job) DO UPDATE SET verified = excluded.verified, up = excluded.up, at = excluded.at",
        &[
            job.to_string().into(),
            owner.to_string().into(),
            voice.into(),
            u32::from(is_verified).into(),
            u32::from(is_up).into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// Reads what voices say, each of them the mean of its thumbs in thousandths.
fn read(sql: &mut Sql, now: Moment, owner: Option<PluginId>) -> Result<HashMap<PluginId, Quality>> {
    let mut said: HashMap<PluginId, Said> = HashMap::new();
    let mut take = |row: &Row| {
        let voices = Voices { count: row.count(2)?, permilles: row.count(3)? };
        let said = said.entry(row.parsed(0)?).or_default();
        match row.text(1)? {
            "free" => said.free = voices,
            "verified" => said.verified = voices,
            _ => said.unverified = voices,
        }
        Ok(())
    };
    let since = (now - REMEMBERED).into();
    match owner {
        Some(owner) => sql.each(OF_ONE, &[since, owner.to_string().into()], &mut take)?,
        None => sql.each(OF_ALL, &[since], &mut take)?,
    }
    Ok(said.into_iter().filter_map(|(owner, said)| Some((owner, said.quality()?))).collect())
}

/// Sums voices of each kind, of the thumbs of which something is true.
macro_rules! voices {
    ($which:literal) => {
        concat!(
            "SELECT owner, kind, COUNT(*), CAST(SUM(permille) AS BIGINT) FROM (
                 SELECT owner, CASE WHEN voice = '' THEN 'free' WHEN MAX(verified) = 1 THEN 'verified'
                     ELSE 'unverified' END AS kind, CAST(SUM(up) AS BIGINT) * 1000 / COUNT(*) AS permille
                 FROM thumb WHERE at >= ?1 ",
            $which,
            " GROUP BY owner, voice) AS voices GROUP BY owner, kind"
        )
    };
}

const OF_ONE: &str = voices!("AND owner = ?2");

const OF_ALL: &str = voices!("");
