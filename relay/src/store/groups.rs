//! Groups of friends: who made each, its price, and who is in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use rekursing_market::Group;
use rekursing_protocol::{AccountId, GroupId, Moment, PluginId, Price};

use super::{Sql, Store};

impl Store {
    /// Stores a new group and its first member.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_group(
        &self,
        now: Moment,
        id: GroupId,
        creator: PluginId,
        price: Price,
        code: [u8; 32],
    ) -> Result<()> {
        self.make(move |sql| {
            sql.execute(
                "INSERT INTO friend_group (id, creator, input, output, turn, code, created)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
                &[
                    id.to_string().into(),
                    creator.to_string().into(),
                    price.input.into(),
                    price.output.into(),
                    code.as_slice().into(),
                    now.into(),
                ],
            )?;
            join(sql, now, id, creator.to_string(), price)
        })
        .await
    }

    /// Stores a group's price, to which whoever made it agrees.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn price_group(&self, id: GroupId, creator: PluginId, price: Price) -> Result<()> {
        self.make(move |sql| {
            let update = "UPDATE friend_group SET input = ?1, output = ?2 WHERE id = ?3";
            sql.execute(update, &[price.input.into(), price.output.into(), id.to_string().into()])?;
            agree(sql, id, creator, price)
        })
        .await
    }

    /// Stores that a plugin has agreed to a price of its group.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn agree_in_group(&self, id: GroupId, plugin: PluginId, price: Price) -> Result<()> {
        self.make(move |sql| agree(sql, id, plugin, price)).await
    }

    /// Stores that a group has another code; the one before lets nobody in any more.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn turn_group(&self, id: GroupId, turn: u64, code: [u8; 32]) -> Result<()> {
        self.make(move |sql| change_code(sql, id, turn, code)).await
    }

    /// Reads how often a group's code was changed.
    pub async fn group_turn(&self, id: GroupId) -> Result<Option<u64>> {
        let turn = "SELECT turn FROM friend_group WHERE id = ?1";
        self.read(move |sql| sql.first(turn, &[id.to_string().into()], |row| row.count(0))).await
    }

    /// Finds the group of a code, by its SHA-256.
    pub async fn group_with(&self, code: [u8; 32]) -> Result<Option<GroupId>> {
        let group = "SELECT id FROM friend_group WHERE code = ?1";
        self.read(move |sql| sql.first(group, &[code.as_slice().into()], |row| row.parsed(0))).await
    }

    /// Stores that a plugin or an account, by its id, is in a group, and the price to which it has agreed.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn join_group(&self, now: Moment, id: GroupId, member: String, price: Price) -> Result<()> {
        self.make(move |sql| join(sql, now, id, member, price)).await
    }

    /// Stores that a plugin or an account has left a group.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn leave_group(&self, id: GroupId, member: String) -> Result<()> {
        self.make(move |sql| leave(sql, id, member)).await
    }

    /// Stores that a plugin or an account was put out of a group, which has another code from then on.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_out_of_group(
        &self,
        id: GroupId,
        member: String,
        turn: u64,
        code: [u8; 32],
    ) -> Result<()> {
        self.make(move |sql| {
            leave(sql, id, member)?;
            change_code(sql, id, turn, code)
        })
        .await
    }

    /// Forgets a group.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn close_group(&self, id: GroupId) -> Result<()> {
        self.make(move |sql| {
            let id = id.to_string();
            sql.execute("DELETE FROM friend WHERE friend_group = ?1", &[id.as_str().into()])?;
            sql.execute("DELETE FROM friend_group WHERE id = ?1", &[id.into()]).map(drop)
        })
        .await
    }
}

fn join(sql: &mut Sql, now: Moment, id: GroupId, member: String, price: Price) -> Result<()> {
    let insert =
        "INSERT INTO friend (friend_group, member, joined, input, output) VALUES (?1, ?2, ?3, ?4, ?5)
                  ON CONFLICT (friend_group, member) DO NOTHING";
    let values = [id.to_string().into(), member.into(), now.into(), price.input.into(), price.output.into()];
    sql.execute(insert, &values).map(drop)
}

fn leave(sql: &mut Sql, id: GroupId, member: String) -> Result<()> {
    let delete = "DELETE FROM friend WHERE friend_group = ?1 AND member = ?2";
    sql.execute(delete, &[id.to_string().into(), member.into()]).map(drop)
}

fn change_code(sql: &mut Sql, id: GroupId, turn: u64, code: [u8; 32]) -> Result<()> {
    let update = "UPDATE friend_group SET turn = ?1, code = ?2 WHERE id = ?3";
    sql.execute(update, &[turn.into(), code.as_slice().into(), id.to_string().into()]).map(drop)
}

fn agree(sql: &mut Sql, id: GroupId, plugin: PluginId, price: Price) -> Result<()> {
    let update = "UPDATE friend SET input = ?1, output = ?2 WHERE friend_group = ?3 AND member = ?4";
    let (id, plugin) = (id.to_string(), plugin.to_string());
    sql.execute(update, &[price.input.into(), price.output.into(), id.into(), plugin.into()]).map(drop)
}

/// Reads every group.
pub(super) fn read(sql: &mut Sql) -> Result<Vec<(GroupId, Group)>> {
    let groups = sql.list("SELECT id, creator, input, output FROM friend_group", &[], |row| {
        let price = Price::new(row.count(2)?, row.count(3)?);
        let (plugins, accounts) = (BTreeMap::new(), BTreeSet::new());
        Ok((row.parsed(0)?, Group { creator: row.parsed(1)?, price, plugins, accounts }))
    })?;
    let mut groups: HashMap<GroupId, Group> = groups.into_iter().collect();
    let members = sql.list("SELECT friend_group, member, input, output FROM friend", &[], |row| {
        let agreed = Price::new(row.count(2)?, row.count(3)?);
        Ok((row.parsed::<GroupId>(0)?, row.text(1)?.to_owned(), agreed))
    })?;
    for (id, member, agreed) in members {
        let Some(group) = groups.get_mut(&id) else { continue };
        match (member.parse::<PluginId>(), member.parse::<AccountId>()) {
            (Ok(plugin), _) => drop(group.plugins.insert(plugin, agreed)),
            (Err(_), Ok(account)) => drop(group.accounts.insert(account)),
            (Err(_), Err(_)) => anyhow::bail!("a member of {id} is neither a plugin nor an account"),
        }
    }
    Ok(groups.into_iter().collect())
}
