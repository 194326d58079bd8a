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
    /// How many accounts are in it, by themselves or by a plugin of their own.
    pub accounts: usize,
    /// The plugin by which the account is in it, where it has not joined by itself.
    pub through: Option<PluginId>,
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

    /// Returns a group.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.shared.market.lock().groups().get(id).cloned()
    }

    /// Returns the group that a plugin is in, and how many accounts are.
    pub fn group_of(&self, plugin: PluginId) -> Option<(GroupId, Group, usize)> {
        let market = self.shared.market.lock();
        let id = market.groups().of_plugin(plugin)?;
        let group = market.groups().get(id)?;
        Some((id, group.clone(), market.groups().accounts_in(group)))
    }

    /// Returns the groups that an account is in.
    pub fn groups_of(&self, account: AccountId) -> Vec<Friends> {
        let market = self.shared.market.lock();
        let groups = market.groups();
        let friends = groups.of_account(account).into_iter().filter_map(|id| {
            let group = groups.get(id)?.clone();
            let (accounts, through) = (groups.accounts_in(&group), groups.through(account, id));
            Some(Friends { id, group, accounts, through, models: market.models_of(id) })
        });
        friends.collect()
    }
}
