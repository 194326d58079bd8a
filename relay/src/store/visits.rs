//! How many free answers each visitor has had today, so that a restart does not give everybody another
//! day's. Who a visitor is, is not known here: a hash of his network with a key of the relay's.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rekursing_market::Visit;
use rekursing_protocol::Moment;

use super::{Sql, Store, Unstarted, Write};

impl Store {
    /// Keeps how many free answers a visitor has had. Nobody waits for it: it is stored in one transaction
    /// with the entries that are queued with it.
    pub fn visited(&self, visit: Visit) {
        self.shared.queue.push(Write::Visit(visit), false);
    }
}

impl Unstarted {
    /// Reads what visitors have had today, of at most so many.
    pub fn visits(&mut self, now: Moment, most: usize) -> Result<Vec<Visit>> {
        let visits = self.sql.list(
            "SELECT visitor, jobs FROM visit WHERE day = ?1 AND jobs > 0 LIMIT ?2",
            &[now.day().into(), (most as u64).into()],
            |row| {
                let visitor = row.bytes(0)?.try_into().context("a visitor is eight bytes")?;
                let jobs = u32::try_from(row.count(1)?).unwrap_or(u32::MAX);
                Ok(Visit { day: now.day(), visitor: u64::from_le_bytes(visitor), jobs })
            },
        );
        visits.context("could not read what visitors have had")
    }
}

/// Stores visits, the last of each visitor's, and forgets those of days before. Within [`Sql::write`].
pub(super) fn put(sql: &mut Sql, visits: &[Visit]) -> Result<()> {
    let Some(today) = visits.iter().map(|visit| visit.day).max() else { return Ok(()) };
    let latest: HashMap<_, _> = visits.iter().map(|visit| ((visit.day, visit.visitor), visit.jobs)).collect();
    let rows: Vec<_> = latest
        .into_iter()
        .map(|((day, visitor), jobs)| vec![day.into(), visitor.to_le_bytes().as_slice().into(), jobs.into()])
        .collect();
    sql.insert(
        "visit (day, visitor, jobs)",
        "ON CONFLICT (day, visitor) DO UPDATE SET jobs = excluded.jobs",
        &rows,
    )?;
    sql.execute("DELETE FROM visit WHERE day < ?1", &[today.into()])?;
    Ok(())
}
