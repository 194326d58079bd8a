//! What the operator has switched off.

use anyhow::{Context, Result};
use rekursing_protocol::Moment;

use super::{Act, Row, Store, Unstarted, operator_log};
use crate::switches::{Feature, Position};

impl Unstarted {
    /// Reads what is off. What another version knew and this one does not is passed over.
    pub fn switched_off(&mut self) -> Result<Vec<Feature>> {
        let read = |row: &Row| Ok(row.text(0)?.parse().ok());
        let features = self.sql.list("SELECT feature FROM switched_off", &[], read);
        Ok(features.context("could not read what is switched off")?.into_iter().flatten().collect())
    }
}

impl Store {
    /// Stores how a switch stands, with what the operator's log says of it.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn turn(&self, now: Moment, feature: Feature, position: Position, act: Act) -> Result<()> {
        self.change(move |sql| {
            operator_log::insert(sql, now, &act)?;
            let name = feature.name();
            match position {
                Position::On => sql.execute("DELETE FROM switched_off WHERE feature = ?1", &[name.into()]),
                Position::Off => sql.execute(
                    "INSERT INTO switched_off (feature, at) VALUES (?1, ?2) ON CONFLICT (feature) DO NOTHING",
                    &[name.into(), now.into()],
                ),
            }
            .map(drop)
        })
        .await
    }
}
