//! Groups of friends at the desk.

use rekursing_market::{Group, GroupRefusal, Groups, Terms};
use rekursing_protocol::{AccountId, GroupId, PluginId};

use super::Desk;

/// A group, and what can be asked of it.
#[derive(Debug, Clone)]
pub struct Friends {
    /// Its id.
    pub id: GroupId,
    /// The group.
    pub group: Group,
    /// The models that its plugins offer at this moment, sorted.
    pub models: Vec<String>,
}

impl Desk {
    /// Changes groups. Nothing of it is stored here.
    ///
    /// # Errors
    /// When the market refuses. Nothing has changed.
    pub fn regroup<T>(
        &self,
        change: impl FnOnce(&mut Groups, &Terms) -> Result<T, GroupRefusal>,
    ) -> Result<T, GroupRefusal> {
        self.run(|market, now| market.regroup(now, change))
    }

    /// Returns the group that a plugin is in.
    pub fn group_of(&self, plugin: PluginId) -> Option<(GroupId, Group)> {
        let market = self.shared.market.lock();
        let id = market.groups().of_plugin(plugin)?;
        Some((id, market.groups().get(id)?.clone()))
    }

    /// Returns the groups that an account is in.
    pub fn groups_of(&self, account: AccountId) -> Vec<Friends> {
        let market = self.shared.market.lock();
        let ids = market.groups().of_account(account).iter().copied();
        let friends = ids.filter_map(|id| {
            let group = market.groups().get(id)?.clone();
            Some(Friends { id, group, models: market.models_of(id) })
        });
        friends.collect()
    }
}
