//! What the relay has known of the time last, see [`crate::clock`].

use anyhow::{Context, Result};
use rekursing_protocol::Span;

use super::{Store, Unstarted};
use crate::clock::Lived;

impl Store {
    /// Keeps what is known of the time, soon.
    pub fn lived(&self, lived: Lived) {
        self.soon("keep the time", move |sql| {
            let Lived { believed, lag, doubted } = lived;
            sql.execute(
                "INSERT INTO lived VALUES (1, ?1, ?2, ?3) ON CONFLICT (one) DO UPDATE SET
                     believed = excluded.believed, lag = excluded.lag, doubted = excluded.doubted",
                &[believed.into(), lag.0.into(), doubted.0.into()],
            )
            .map(drop)
        });
    }
}

impl Unstarted {
    /// Reads what was known of the time last; nothing before the first relay.
    pub fn lived(&mut self) -> Result<Option<Lived>> {
        let query = "SELECT believed, lag, doubted FROM lived";
        let read = self.sql.first(query, &[], |row| {
            Ok(Lived { believed: row.moment(0)?, lag: Span(row.count(1)?), doubted: Span(row.count(2)?) })
        });
        read.context("could not read what was known of the time")
    }
}
