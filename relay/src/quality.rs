//! What pages think of each owner's answers, as it is told: the store knows it, and this remembers it.

use std::collections::HashMap;

use dashmap::DashMap;
use rekursing_market::quality::Quality;
use rekursing_protocol::{Moment, PluginId};

use crate::store::Store;

/// The figure of every owner of whom enough is said.
#[derive(Debug, Default)]
pub struct Qualities(DashMap<PluginId, Quality>);

impl Qualities {
    /// Takes what is known at the start.
    pub fn new(known: HashMap<PluginId, Quality>) -> Qualities {
        Qualities(known.into_iter().collect())
    }

    /// Returns an owner's figure.
    pub fn of(&self, owner: PluginId) -> Option<Quality> {
        self.0.get(&owner).map(|quality| *quality)
    }

    /// Takes an owner's figure over.
    pub fn put(&self, owner: PluginId, quality: Option<Quality>) {
        match quality {
            Some(quality) => self.0.insert(owner, quality),
            None => self.0.remove(&owner).map(|(_, quality)| quality),
        };
    }

    /// Looks everybody up again: thumbs that are too old count no more. One that is given meanwhile may show with
    /// the next look.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn look(&self, store: &Store, now: Moment) -> anyhow::Result<()> {
        let known = store.qualities(now).await?;
        self.0.retain(|owner, _| known.contains_key(owner));
        known.into_iter().for_each(|(owner, quality)| self.put(owner, Some(quality)));
        Ok(())
    }
}
