//! Groups in the market: which plugins an account asks first, and what follows when that changes.

use std::collections::BTreeSet;

use rekursing_protocol::{Moment, PluginId};

use super::Market;
use crate::{
    groups::{GroupRefusal, Groups},
    matching::{Fit, Need},
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

    /// Returns the open offers among which a job is drawn, best first: those of the payer's groups, else of all.
    /// `looks_max` is how many of all are looked at.
    pub(super) fn drawn_from(
        &self,
        now: Moment,
        need: &Need<'_>,
        shelf: ShelfId,
        looks_max: usize,
    ) -> Vec<(Place, Fit)> {
        let everybody = || self.best(now, need, self.shelves.at(shelf).open.iter().take(looks_max));
        let mut fellows = self.fellows(need, shelf);
        if need.request.price_max.is_none() && fellows.iter().any(|place| self.is_raised(place.at)) {
            // Friends have agreed to the group's price. Who asks more comes first only if nobody else is cheaper.
            let strangers = everybody().into_iter().filter(|(_, fit)| fit.group.is_none());
            if let Some(least) = strangers.map(|(_, fit)| fit.ask.sum()).min() {
                fellows.retain(|place| {
                    let session = self.session(place.at.session);
                    !self.is_raised(place.at)
                        || session.ask_of_friends(self.stock_at(place.at)).sum() <= least
                });
            }
        }
        let best = self.best(now, need, fellows.iter());
        if best.is_empty() { everybody() } else { best }
    }

    /// Returns the open offers on a shelf of plugins in the payer's groups, best first.
    fn fellows(&self, need: &Need<'_>, shelf: ShelfId) -> BTreeSet<Place> {
        let groups = need.groups.iter().filter_map(|group| self.groups.get(*group));
        groups
            .flat_map(|group| group.plugins.keys())
            .flat_map(|plugin| self.open_of(*plugin, shelf))
            .collect()
    }

    /// Returns a plugin's open offers on a shelf.
    pub(super) fn open_of(&self, plugin: PluginId, shelf: ShelfId) -> impl Iterator<Item = Place> {
        let session = self.by_plugin.get(&plugin).map(|at| (*at, self.session(*at)));
        session.into_iter().flat_map(move |(at, session)| {
            session.stocks.iter().enumerate().filter_map(move |(number, stock)| {
                let rank = stock.open.filter(|_| stock.shelves.contains(&Some(shelf)))?;
                let stock = u16::try_from(number).expect("offers of a session are limited");
                Some(Place { rank, arrival: session.arrival, at: StockRef { session: at, stock } })
            })
        })
    }

    /// Tells whether friends are asked more than their group's price.
    fn is_raised(&self, at: StockRef) -> bool {
        let session = self.session(at.session);
        session.ask_of_friends(self.stock_at(at)) != session.group_ask
    }
}
