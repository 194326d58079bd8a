//! Groups: friends who share their GPUs. A plugin is in one group at most, an account in a few, and in those
//! of the plugins that are its own.
//!
//! An account asks the plugins of its groups first, at the group's price and in front of everybody else.
//! Codes by which one joins are the shell's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rekursing_protocol::{AccountId, GroupId, PluginId, Price};

use crate::{request::Payer, terms::Terms};

/// Friends who share their GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Who made it, sets its price, can let others out and close it.
    pub creator: PluginId,
    /// What its plugins ask of its accounts, before the tier.
    pub price: Price,
    /// Its plugins, the creator among them, each with the price to which it has agreed.
    pub plugins: BTreeMap<PluginId, Price>,
    /// Its accounts that have joined by themselves.
    pub accounts: BTreeSet<AccountId>,
}

impl Group {
    /// Returns what a plugin asks of the group's accounts: the group's price, and nothing below the price to
    /// which it has agreed, so that nobody else can make it serve for less.
    pub fn price_of(&self, plugin: PluginId) -> Price {
        self.price.at_least(self.plugins.get(&plugin).copied().unwrap_or_default())
    }
}

/// Whoever is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A plugin.
    Plugin(PluginId),
    /// An account that has joined by itself.
    Account(AccountId),
}

/// Why a group is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupRefusal {
    /// There is no such group.
    #[error("there is no such group")]
    Unknown,
    /// It is in this group, or for a plugin in another one, already.
    #[error("you are in a group already; leave it first")]
    InGroup,
    /// It is in no group.
    #[error("you are not in this group")]
    NotInGroup,
    /// Only who made the group may do so.
    #[error("only who made the group can do this")]
    NotCreator,
    /// Another price was agreed to than the group has.
    #[error("the group has another price by now; look at it again")]
    PriceChanged,
    /// The group has as many members as it may have.
    #[error("the group has {most} members, which is as many as it may have")]
    Full {
        /// Plugins and accounts together.
        most: usize,
    },
    /// The account is in as many groups as it may be in.
    #[error("an account is in at most {most} groups")]
    TooManyOfAccount {
        /// Groups of one account.
        most: usize,
    },
    /// There are as many groups as there may be.
    #[error("there are as many groups as this relay takes")]
    TooMany,
}

impl GroupRefusal {
    /// Returns the stable code that programs go by.
    pub const fn code(self) -> &'static str {
        match self {
            GroupRefusal::Unknown => "group_not_found",
            GroupRefusal::InGroup => "in_group",
            GroupRefusal::NotInGroup => "not_in_group",
            GroupRefusal::NotCreator => "not_creator",
            GroupRefusal::PriceChanged => "group_price_changed",
            GroupRefusal::Full { .. } => "group_full",
            GroupRefusal::TooManyOfAccount { .. } | GroupRefusal::TooMany => "too_many_groups",
        }
    }
}

/// What becomes of a group when a plugin leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It goes on.
    GoesOn(GroupId),
    /// Its creator has left: nobody is in it any more.
    Closed(GroupId),
}

/// Every group.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    groups: HashMap<GroupId, Group>,
    by_plugin: HashMap<PluginId, GroupId>,
    /// Of accounts that have joined by themselves.
    by_account: HashMap<AccountId, Vec<GroupId>>,
    /// The account whose own a plugin is.
    owners: HashMap<PluginId, AccountId>,
    /// The same from the account's side.
    owned: HashMap<AccountId, BTreeSet<PluginId>>,
}

impl Groups {
    /// Takes a group over as a store knows it.
    pub fn restore(&mut self, id: GroupId, group: Group) {
        self.by_plugin.extend(group.plugins.keys().map(|plugin| (*plugin, id)));
        for account in &group.accounts {
            self.by_account.entry(*account).or_default().push(id);
        }
        self.groups.insert(id, group);
    }

    /// Makes a group again what it was before: nothing, where there was none.
    pub fn put_back(&mut self, id: GroupId, before: Option<Group>) {
        self.close(id);
        if let Some(group) = before {
            self.restore(id, group);
        }
    }

    /// Makes a group of one plugin.
    pub fn create(
        &mut self,
        terms: &Terms,
        id: GroupId,
        creator: PluginId,
        price: Price,
    ) -> Result<(), GroupRefusal> {
        if self.by_plugin.contains_key(&creator) {
            return Err(GroupRefusal::InGroup);
        }
        if self.groups.len() >= terms.groups_max || self.groups.contains_key(&id) {
            return Err(GroupRefusal::TooMany);
        }
        let plugins = BTreeMap::from([(creator, price)]);
        self.restore(id, Group { creator, price, plugins, accounts: BTreeSet::new() });
        Ok(())
    }

    /// Sets the price of the group that a plugin made. Jobs that run keep theirs. Others that serve in it follow a
    /// higher price at once and a lower one once they agree to it.
    pub fn set_price(&mut self, creator: PluginId, price: Price) -> Result<GroupId, GroupRefusal> {
        let id = self.made_by(creator)?;
        if let Some(group) = self.groups.get_mut(&id) {
            group.price = price;
            group.plugins.insert(creator, price);
        }
        Ok(id)
    }

    /// Lets a plugin agree to the price that its group has.
    pub fn agree(&mut self, plugin: PluginId, price: Price) -> Result<GroupId, GroupRefusal> {
        let id = self.of_plugin(plugin).ok_or(GroupRefusal::NotInGroup)?;
        let group = self.groups.get_mut(&id).ok_or(GroupRefusal::Unknown)?;
        if group.price != price {
            return Err(GroupRefusal::PriceChanged);
        }
        group.plugins.insert(plugin, price);
        Ok(id)
    }

    /// Lets whoever made a group put somebody else out of it.
    pub fn put_out(&mut self, creator: PluginId, member: Member) -> Result<GroupId, GroupRefusal> {
        let id = self.made_by(creator)?;
        match member {
            Member::Plugin(plugin) if plugin != creator && self.of_plugin(plugin) == Some(id) => {
                self.remove_plugin(plugin)?;
            }
            Member::Plugin(_) => return Err(GroupRefusal::NotInGroup),
            Member::Account(account) => self.remove_account(account, id)?,
        }
        Ok(id)
    }

    /// Returns the group that a plugin made.
    pub fn made_by(&self, creator: PluginId) -> Result<GroupId, GroupRefusal> {
        let id = self.of_plugin(creator).ok_or(GroupRefusal::NotInGroup)?;
        let is_own = self.groups.get(&id).is_some_and(|group| group.creator == creator);
        if is_own { Ok(id) } else { Err(GroupRefusal::NotCreator) }
    }

    /// Lets a plugin into a group. It agrees to the price that the group has.
    pub fn add_plugin(&mut self, terms: &Terms, id: GroupId, plugin: PluginId) -> Result<(), GroupRefusal> {
        if self.by_plugin.contains_key(&plugin) {
            return Err(GroupRefusal::InGroup);
        }
        let group = self.with_room(terms, id)?;
        group.plugins.insert(plugin, group.price);
        self.by_plugin.insert(plugin, id);
        Ok(())
    }

    /// Lets an account into a group.
    pub fn add_account(
        &mut self,
        terms: &Terms,
        id: GroupId,
        account: AccountId,
    ) -> Result<(), GroupRefusal> {
        let known = self.joined(account);
        if known.contains(&id) {
            return Err(GroupRefusal::InGroup);
        }
        if known.len() >= terms.account_groups_max {
            return Err(GroupRefusal::TooManyOfAccount { most: terms.account_groups_max });
        }
        self.with_room(terms, id)?.accounts.insert(account);
        self.by_account.entry(account).or_default().push(id);
        Ok(())
    }

    /// Lets a plugin leave its group. Its creator takes the whole group with it.
    pub fn remove_plugin(&mut self, plugin: PluginId) -> Result<Left, GroupRefusal> {
        let id = self.of_plugin(plugin).ok_or(GroupRefusal::NotInGroup)?;
        if self.made_by(plugin).is_ok() {
            self.close(id);
            return Ok(Left::Closed(id));
        }
        self.by_plugin.remove(&plugin);
        if let Some(group) = self.groups.get_mut(&id) {
            group.plugins.remove(&plugin);
        }
        Ok(Left::GoesOn(id))
    }

    /// Lets an account leave a group that it has joined by itself.
    pub fn remove_account(&mut self, account: AccountId, id: GroupId) -> Result<(), GroupRefusal> {
        if !self.joined(account).contains(&id) {
            return Err(GroupRefusal::NotInGroup);
        }
        if let Some(group) = self.groups.get_mut(&id) {
            group.accounts.remove(&account);
        }
        self.forget(account, id);
        Ok(())
    }

    /// Returns a group.
    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// Returns the group that a plugin is in.
    pub fn of_plugin(&self, plugin: PluginId) -> Option<GroupId> {
        self.by_plugin.get(&plugin).copied()
    }

    /// Returns what a plugin asks of its group's accounts; nothing where it is in none.
    pub(crate) fn ask_of(&self, plugin: PluginId) -> Price {
        let group = self.of_plugin(plugin).and_then(|group| self.get(group));
        group.map(|group| group.price_of(plugin)).unwrap_or_default()
    }

    /// Makes a plugin an account's own, or nobody's.
    pub(crate) fn pair(&mut self, plugin: PluginId, account: Option<AccountId>) {
        let before = match account {
            Some(account) => self.owners.insert(plugin, account),
            None => self.owners.remove(&plugin),
        };
        if let Some(before) = before
            && let Some(owned) = self.owned.get_mut(&before)
        {
            owned.remove(&plugin);
            if owned.is_empty() {
                self.owned.remove(&before);
            }
        }
        if let Some(account) = account {
            self.owned.entry(account).or_default().insert(plugin);
        }
    }

    /// Returns the account whose own a plugin is.
    pub(crate) fn owner_of(&self, plugin: PluginId) -> Option<AccountId> {
        self.owners.get(&plugin).copied()
    }

    /// Returns the groups that an account is in: those that it has joined, and behind them those of its own
    /// plugins.
    pub fn of_account(&self, account: AccountId) -> Vec<GroupId> {
        let mut groups = self.joined(account).to_vec();
        for group in self.owned(account).filter_map(|plugin| self.of_plugin(plugin)) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// Returns the first of an account's own plugins by which it is in a group that it has not joined by
    /// itself.
    pub fn through(&self, account: AccountId, id: GroupId) -> Option<PluginId> {
        let is_in = |plugin: &PluginId| self.of_plugin(*plugin) == Some(id);
        self.owned(account).find(is_in).filter(|_| !self.joined(account).contains(&id))
    }

    /// Returns how many accounts are in a group, by themselves or by a plugin of their own.
    pub fn accounts_in(&self, group: &Group) -> usize {
        let owners: BTreeSet<AccountId> =
            group.plugins.keys().filter_map(|plugin| self.owner_of(*plugin)).collect();
        group.accounts.union(&owners).count()
    }

    /// Returns the groups of whoever pays; visitors are in none.
    pub(crate) fn of_payer(&self, payer: Payer) -> Vec<GroupId> {
        match payer {
            Payer::Page(account) => self.of_account(account),
            Payer::Free { .. } => Vec::new(),
        }
    }

    /// Returns the groups that an account has joined by itself.
    fn joined(&self, account: AccountId) -> &[GroupId] {
        self.by_account.get(&account).map_or(&[], Vec::as_slice)
    }

    fn owned(&self, account: AccountId) -> impl Iterator<Item = PluginId> {
        self.owned.get(&account).into_iter().flatten().copied()
    }

    fn with_room(&mut self, terms: &Terms, id: GroupId) -> Result<&mut Group, GroupRefusal> {
        let group = self.groups.get_mut(&id).ok_or(GroupRefusal::Unknown)?;
        let most = terms.group_members_max;
        if group.plugins.len() + group.accounts.len() >= most {
            return Err(GroupRefusal::Full { most });
        }
        Ok(group)
    }

    fn close(&mut self, id: GroupId) {
        let Some(group) = self.groups.remove(&id) else { return };
        for plugin in group.plugins.into_keys() {
            self.by_plugin.remove(&plugin);
        }
        for account in group.accounts {
            self.forget(account, id);
        }
    }

    fn forget(&mut self, account: AccountId, id: GroupId) {
        if let Some(groups) = self.by_account.get_mut(&account) {
            groups.retain(|known| *known != id);
            if groups.is_empty() {
                self.by_account.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price::new(1, 2);

    fn group(number: u128) -> GroupId {
        GroupId::from_bits(number)
    }

    fn plugin(number: u128) -> PluginId {
        PluginId::from_bits(number)
    }

    fn account(number: u128) -> AccountId {
        AccountId::from_bits(number)
    }

    /// Group 1 of plugin 1.
    fn one(terms: &Terms) -> Groups {
        let mut groups = Groups::default();
        groups.create(terms, group(1), plugin(1), PRICE).unwrap();
        groups
    }

    #[test]
    fn a_plugin_is_in_one_group_and_an_account_in_a_few() {
        let terms = Terms { account_groups_max: 2, ..Terms::default() };
        let mut groups = one(&terms);
        assert_eq!(groups.create(&terms, group(2), plugin(1), PRICE), Err(GroupRefusal::InGroup));
        for number in [2, 3] {
            groups.create(&terms, group(number), plugin(number), PRICE).unwrap();
        }
        assert_eq!(groups.add_plugin(&terms, group(1), plugin(2)), Err(GroupRefusal::InGroup));
        groups.add_account(&terms, group(1), account(1)).unwrap();
        assert_eq!(groups.add_account(&terms, group(1), account(1)), Err(GroupRefusal::InGroup));
        groups.add_account(&terms, group(2), account(1)).unwrap();
        let refusal = GroupRefusal::TooManyOfAccount { most: 2 };
        assert_eq!(groups.add_account(&terms, group(3), account(1)), Err(refusal));
        assert_eq!(groups.of_account(account(1)), [group(1), group(2)]);
        groups.remove_account(account(1), group(1)).unwrap();
        assert_eq!(groups.remove_account(account(1), group(1)), Err(GroupRefusal::NotInGroup));
        groups.add_account(&terms, group(3), account(1)).unwrap();
    }

    #[test]
    fn a_lower_price_holds_for_a_member_once_he_agrees_and_a_higher_one_at_once() {
        let terms = Terms::default();
        let mut groups = one(&terms);
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        let asks =
            |groups: &Groups| [1, 2].map(|number| groups.get(group(1)).unwrap().price_of(plugin(number)));
        assert_eq!(asks(&groups), [PRICE, PRICE]);
        let mixed = Price::new(0, 9);
        groups.set_price(plugin(1), mixed).unwrap();
        assert_eq!(asks(&groups), [mixed, Price::new(1, 9)], "each side by itself");
        assert_eq!(groups.agree(plugin(2), PRICE), Err(GroupRefusal::PriceChanged));
        groups.agree(plugin(2), mixed).unwrap();
        assert_eq!(asks(&groups), [mixed, mixed]);
        assert_eq!(groups.agree(plugin(3), mixed), Err(GroupRefusal::NotInGroup));
        // Who comes later agrees to what there is, and not to what there was.
        let nothing = Price::new(0, 0);
        groups.set_price(plugin(1), nothing).unwrap();
        groups.add_plugin(&terms, group(1), plugin(3)).unwrap();
        assert_eq!(groups.get(group(1)).unwrap().price_of(plugin(3)), nothing);
        assert_eq!(asks(&groups), [nothing, mixed]);
    }

    #[test]
    fn who_made_a_group_puts_others_out_and_nobody_else_does() {
        let terms = Terms::default();
        let mut groups = one(&terms);
        groups.create(&terms, group(2), plugin(9), PRICE).unwrap();
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        groups.add_account(&terms, group(1), account(1)).unwrap();
        let members = [Member::Plugin(plugin(2)), Member::Account(account(1))];
        for member in members {
            assert_eq!(groups.put_out(plugin(2), member), Err(GroupRefusal::NotCreator));
        }
        for member in [Member::Plugin(plugin(1)), Member::Plugin(plugin(9)), Member::Account(account(2))] {
            assert_eq!(groups.put_out(plugin(1), member), Err(GroupRefusal::NotInGroup), "{member:?}");
        }
        for member in members {
            assert_eq!(groups.put_out(plugin(1), member), Ok(group(1)));
            assert_eq!(groups.put_out(plugin(1), member), Err(GroupRefusal::NotInGroup));
        }
        assert_eq!(groups.of_plugin(plugin(2)), None);
        assert!(groups.of_account(account(1)).is_empty());
    }

    #[test]
    fn an_account_is_in_the_groups_of_its_own_plugins_for_as_long_as_they_are() {
        let terms = Terms { account_groups_max: 1, group_members_max: 2, ..Terms::default() };
        let mut groups = one(&terms);
        groups.create(&terms, group(2), plugin(2), PRICE).unwrap();
        groups.pair(plugin(1), Some(account(1)));
        assert_eq!(groups.of_account(account(1)), [group(1)]);
        assert_eq!(groups.through(account(1), group(1)), Some(plugin(1)));
        assert_eq!(groups.accounts_in(groups.get(group(1)).unwrap()), 1);
        assert_eq!(groups.remove_account(account(1), group(1)), Err(GroupRefusal::NotInGroup));
        // It takes no place, neither of the account's nor of the group's.
        groups.add_account(&terms, group(2), account(1)).unwrap();
        assert_eq!(groups.of_account(account(1)), [group(2), group(1)]);
        groups.add_plugin(&terms, group(1), plugin(3)).unwrap();
        groups.pair(plugin(3), Some(account(1)));
        assert_eq!(groups.of_account(account(1)), [group(2), group(1)], "it is in it once");
        assert_eq!(groups.accounts_in(groups.get(group(1)).unwrap()), 1);

        groups.pair(plugin(1), Some(account(2)));
        assert_eq!(groups.of_account(account(2)), [group(1)]);
        assert_eq!(groups.of_account(account(1)), [group(2), group(1)], "plugin 3 is its own still");
        groups.remove_plugin(plugin(3)).unwrap();
        assert_eq!(groups.of_account(account(1)), [group(2)]);
        groups.remove_account(account(1), group(2)).unwrap();
        groups.pair(plugin(3), None);
        groups.pair(plugin(1), None);
        assert!(groups.of_account(account(2)).is_empty() && groups.of_account(account(1)).is_empty());
        assert!(groups.owners.is_empty() && groups.owned.is_empty());
    }

    #[test]
    fn who_has_joined_and_owns_a_plugin_that_has_stays_when_one_of_them_leaves() {
        let terms = Terms::default();
        let mut groups = one(&terms);
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        groups.pair(plugin(2), Some(account(1)));
        groups.add_account(&terms, group(1), account(1)).unwrap();
        assert_eq!(groups.through(account(1), group(1)), None, "it has joined by itself");
        groups.remove_plugin(plugin(2)).unwrap();
        assert_eq!(groups.of_account(account(1)), [group(1)]);
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        groups.remove_account(account(1), group(1)).unwrap();
        assert_eq!(groups.of_account(account(1)), [group(1)]);
    }

    #[test]
    fn members_and_groups_are_limited() {
        let terms = Terms { group_members_max: 3, groups_max: 1, ..Terms::default() };
        let mut groups = one(&terms);
        assert_eq!(groups.create(&terms, group(2), plugin(2), PRICE), Err(GroupRefusal::TooMany));
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        groups.add_account(&terms, group(1), account(1)).unwrap();
        let full = Err(GroupRefusal::Full { most: 3 });
        assert_eq!(groups.add_account(&terms, group(1), account(2)), full);
        assert_eq!(groups.add_plugin(&terms, group(1), plugin(3)), full);
        assert_eq!(groups.of_plugin(plugin(3)), None, "who is refused is in no group");
        assert_eq!(groups.add_account(&terms, group(9), account(2)), Err(GroupRefusal::Unknown));
    }

    #[test]
    fn only_who_made_a_group_sets_its_price_and_closes_it_by_leaving() {
        let terms = Terms::default();
        let mut groups = one(&terms);
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        groups.add_account(&terms, group(1), account(1)).unwrap();
        assert_eq!(groups.set_price(plugin(2), Price::new(0, 0)), Err(GroupRefusal::NotCreator));
        assert_eq!(groups.set_price(plugin(3), Price::new(0, 0)), Err(GroupRefusal::NotInGroup));
        assert_eq!(groups.set_price(plugin(1), Price::new(0, 0)), Ok(group(1)));
        assert_eq!(groups.get(group(1)).unwrap().price, Price::new(0, 0));
        assert_eq!(groups.remove_plugin(plugin(2)), Ok(Left::GoesOn(group(1))));
        assert_eq!(groups.remove_plugin(plugin(2)), Err(GroupRefusal::NotInGroup));
        groups.add_plugin(&terms, group(1), plugin(2)).unwrap();
        assert_eq!(groups.remove_plugin(plugin(1)), Ok(Left::Closed(group(1))));
        assert_eq!((groups.get(group(1)), groups.of_plugin(plugin(2))), (None, None));
        assert!(groups.of_account(account(1)).is_empty() && groups.by_account.is_empty());
    }
}
