//! How often each visitor was given each ad today, and how many of his clicks counted, so that a restart begins
//! no caps anew. Who a visitor is, is not known here: a hash of his network with a key of the relay's.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rekursing_market::ads::Shown;
use rekursing_protocol::{CampaignId, Moment};

use super::{Sql, Store, Unstarted, Write};

/// The campaign of clicks, which count on all ads together.
const CLICKS: &str = "";

impl Store {
    /// Keeps what was counted of a visitor. Nobody waits for it: it is stored in one transaction with the
    /// entries that are queued with it.
    pub fn shown(&self, shown: Shown) {
        self.shared.queue.push(Write::Shown(shown), false);
    }
}

impl Unstarted {
    /// Reads what was counted of visitors today, of at most so many ads of visitors.
    pub fn shown(&mut self, now: Moment, most: usize) -> Result<Vec<Shown>> {
        let shown = self.sql.list(
            "SELECT visitor, campaign, times FROM ad_shown WHERE day = ?1 AND times > 0 LIMIT ?2",
            &[now.day().into(), (most as u64).into()],
            |row| {
                let visitor = row.bytes(0)?.try_into().context("a visitor is eight bytes")?;
                let of = if row.text(1)? == CLICKS { None } else { Some(row.parsed(1)?) };
                let times = u32::try_from(row.count(2)?).unwrap_or(u32::MAX);
                Ok(Shown { day: now.day(), visitor: u64::from_le_bytes(visitor), of, times })
            },
        );
        shown.context("could not read which ads visitors were given")
    }
}

/// Stores counts, the last of each visitor's, and forgets those of days before. Within [`Sql::write`].
pub(super) fn put(sql: &mut Sql, shown: &[Shown]) -> Result<()> {
    let Some(today) = shown.iter().map(|one| one.day).max() else { return Ok(()) };
    let latest: HashMap<_, _> = shown.iter().map(|one| ((one.day, one.visitor, one.of), one.times)).collect();
    let rows: Vec<_> = latest
        .into_iter()
        .map(|((day, visitor, of), times)| {
            let campaign = of.map_or_else(|| CLICKS.to_owned(), |of: CampaignId| of.to_string());
            vec![day.into(), visitor.to_le_bytes().as_slice().into(), campaign.into(), times.into()]
        })
        .collect();
    sql.insert(
        "ad_shown (day, visitor, campaign, times)",
        "ON CONFLICT (day, visitor, campaign) DO UPDATE SET times = excluded.times",
        &rows,
    )?;
    sql.execute("DELETE FROM ad_shown WHERE day < ?1", &[today.into()])?;
    Ok(())
}
