//! Groups in the market: which plugins an account asks first, and what follows when that changes.

use std::collections::BTreeSet;

use rekursing_protocol::Moment;

use super::Market;
use crate::{
    groups::{GroupRefusal, Groups},
    matching::Need,
    shelf::{Place, ShelfId, StockRef},
    terms::Terms,
};

impl Market {
    /// Returns every group.
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Changes groups. Jobs that run keep their terms; those that wait are looked at anew.
    pub fn regroup<T>(
        &mut self,
        now: Moment,
        change: impl FnOnce(&mut Groups, &Terms) -> Result<T, GroupRefusal>,
    ) -> Result<T, GroupRefusal> {
        let changed = change(&mut self.groups, &self.terms)?;
        for at in 0..self.sessions.len() {
            let Some(session) = &mut self.sessions[at] else { continue };
            let group = self.groups.of_plugin(session.plugin);
            let before = std::mem::replace(&mut session.group, group);
            session.group_ask = self.groups.ask_of(session.plugin);
            if before.or(group).is_some() {
                let at = u32::try_from(at).expect("sessions stay below 2³²");
                self.serve(now, at);
            }
        }
        Ok(changed)
    }

    /// Returns the open offers on a shelf of plugins in the payer's groups, best first.
    pub(super) fn fellows(&self, need: &Need<'_>, shelf: ShelfId) -> BTreeSet<Place> {
        let groups = need.groups.iter().filter_map(|group| self.groups.get(*group));
        let sessions =
            groups.flat_map(|group| group.plugins.keys()).filter_map(|plugin| self.by_plugin.get(plugin));
        let mut places = BTreeSet::new();
        for at in sessions {
            let session = self.session(*at);
            for (number, stock) in session.stocks.iter().enumerate() {
                if let Some(rank) = stock.open.filter(|_| stock.shelves.contains(&Some(shelf))) {
                    let stock = u16::try_from(number).expect("offers of a session are limited");
                    let at = StockRef { session: *at, stock };
                    places.insert(Place { rank, arrival: session.arrival, at });
                }
            }
        }
        places
    }
}
