//! Plugins, API keys and upstreams: who may do what. Secrets are kept as SHA-256 alone.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rekursing_market::ledger::{Account, Entry, EntryKind};
use rekursing_protocol::{AccountId, Gpu, Moment, Nanos, PluginId};

use super::{
    Row, Sql, Store, Unstarted, audit,
    entries::{self, Chain},
};

/// A registered plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// The name that pages may see.
    pub name: String,
    /// The GPU as it was registered.
    pub gpu: Gpu,
}

/// An API key of a page's account.
#[derive(Debug, Clone)]
pub struct Key {
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// The key's first characters, to tell keys apart.
    pub prefix: String,
    /// What the operator calls it.
    pub name: String,
    /// The purse behind it.
    pub account: AccountId,
    /// Whether it no longer opens anything.
    pub revoked: bool,
}

/// A key and the money behind it.
#[derive(Debug, Clone)]
pub struct Purse {
    /// The key.
    pub key: Key,
    /// What can be spent.
    pub balance: Nanos,
    /// What is set aside for jobs that run.
    pub held: Nanos,
    /// What jobs have cost.
    pub spent: Nanos,
}

/// A direct provider that the operator registered.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The identity under which it earns.
    pub plugin: PluginId,
    /// The registration's JSON, with the upstream's token.
    pub body: String,
}

impl Store {
    /// Stores a plugin, in place of an older one with the same id.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_plugin(&self, now: Moment, plugin: Plugin) -> Result<()> {
        self.change(move |sql| {
            let gpu = serde_json::to_string(&plugin.gpu).unwrap_or_default();
            sql.execute(
                "INSERT INTO plugin VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
                     secret_hash = excluded.secret_hash, name = excluded.name, gpu = excluded.gpu",
                &[
                    plugin.id.to_string().into(),
                    plugin.secret_hash.as_slice().into(),
                    plugin.name.into(),
                    gpu.into(),
                    now.into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Stores an upstream, in place of an older one with the same identity.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_upstream(&self, now: Moment, upstream: Upstream) -> Result<()> {
        self.change(move |sql| {
            sql.execute(
                "INSERT INTO upstream VALUES (?1, ?2, ?3) ON CONFLICT (plugin) DO UPDATE SET body = excluded.body",
                &[upstream.plugin.to_string().into(), upstream.body.into(), now.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Reads a key by its hash.
    pub async fn key(&self, hash: [u8; 32]) -> Result<Option<Key>> {
        self.read(move |sql| {
            sql.first(concat!(keys!(), " WHERE hash = ?1"), &[hash.as_slice().into()], read_key)
        })
        .await
    }
}

impl Unstarted {
    /// Reads every plugin.
    pub fn plugins(&mut self) -> Result<Vec<Plugin>> {
        let read = |row: &Row| {
            let gpu = serde_json::from_str(row.text(3)?).unwrap_or_default();
            Ok(Plugin { id: row.parsed(0)?, secret_hash: row.hash(1)?, name: row.text(2)?.to_owned(), gpu })
        };
        let plugins = self.sql.list("SELECT id, secret_hash, name, gpu FROM plugin", &[], read);
        plugins.context("could not read the plugins")
    }

    /// Reads every upstream.
    pub fn upstreams(&mut self) -> Result<Vec<Upstream>> {
        let read = |row: &Row| Ok(Upstream { plugin: row.parsed(0)?, body: row.text(1)?.to_owned() });
        let upstreams = self.sql.list("SELECT plugin, body FROM upstream", &[], read);
        upstreams.context("could not read the upstreams")
    }

    /// Stores a key and grants its account an opening balance, both or neither.
    pub fn create_key(&mut self, now: Moment, key: &Key, balance: Nanos) -> Result<()> {
        let stored = self.sql.write(|sql| {
            sql.execute(
                "INSERT INTO api_key VALUES (?1, ?2, ?3, ?4, ?5, NULL)",
                &[
                    key.hash.as_slice().into(),
                    key.prefix.as_str().into(),
                    key.name.as_str().into(),
                    key.account.to_string().into(),
                    now.into(),
                ],
            )?;
            grant(sql, now, Account::Page(key.account), balance)?;
            sql.changed()
        });
        stored.context("could not store the key")
    }

    /// Grants more to the account behind a key, as a page or as an advertiser. Returns the key, or `None`
    /// when no key begins so.
    pub fn grant(
        &mut self,
        now: Moment,
        prefix: &str,
        purse: fn(AccountId) -> Account,
        amount: Nanos,
    ) -> Result<Option<Key>> {
        let Some(key) = self.keys()?.into_iter().find(|key| key.prefix == prefix) else { return Ok(None) };
        self.sql.write(|sql| {
            grant(sql, now, purse(key.account), amount)?;
            sql.changed()
        })?;
        Ok(Some(key))
    }

    /// Reads every key.
    pub fn keys(&mut self) -> Result<Vec<Key>> {
        let keys = self.sql.list(concat!(keys!(), " ORDER BY created, prefix"), &[], read_key);
        keys.context("could not read the keys")
    }

    /// Reads every key with the money behind it, all of one moment, in time that grows with the ledger.
    pub fn purses(&mut self) -> Result<Vec<Purse>> {
        self.sql
            .view(|sql| {
                let keys = sql.list(concat!(keys!(), " ORDER BY created, prefix"), &[], read_key)?;
                let opening = audit::open(sql)?;
                let balances: HashMap<Account, Nanos> = opening.balances.into_iter().collect();
                let mut held: HashMap<Account, Nanos> = HashMap::new();
                for (_, payer, amount) in opening.holds {
                    let sum = held.entry(payer).or_default();
                    *sum = sum.checked_add(amount).context("holds of more than there is")?;
                }
                let spent = "SELECT account, CAST(SUM(charge) AS BIGINT) FROM spent GROUP BY account";
                let spent = sql.list(spent, &[], |row| Ok((row.parsed(0)?, row.nanos(1)?)))?;
                let spent: HashMap<Account, Nanos> = spent.into_iter().collect();
                let purse = |key: Key| {
                    let account = Account::Page(key.account);
                    Purse {
                        balance: balances.get(&account).copied().unwrap_or_default(),
                        held: held.get(&account).copied().unwrap_or_default(),
                        spent: spent.get(&account).copied().unwrap_or_default(),
                        key,
                    }
                };
                Ok(keys.into_iter().map(purse).collect())
            })
            .context("could not sum the ledger")
    }

    /// Revokes the key that begins with `prefix`. Tells whether there is one.
    pub fn revoke_key(&mut self, now: Moment, prefix: &str) -> Result<bool> {
        self.sql.write(|sql| {
            let revoke = "UPDATE api_key SET revoked = ?1 WHERE prefix = ?2 AND revoked IS NULL";
            let changed = sql.execute(revoke, &[now.into(), prefix.into()])?;
            sql.changed()?;
            Ok(changed > 0)
        })
    }
}

/// Appends a grant to an account, unless it is of nothing.
fn grant(sql: &mut Sql, now: Moment, to: Account, amount: Nanos) -> Result<()> {
    if amount <= Nanos::ZERO {
        return Ok(());
    }
    let mut chain = Chain::end(sql)?;
    // The number of the entry tells two grants of one moment apart.
    let id = format!("grant:{to}:{}", chain.seq + 1);
    let kind: EntryKind = entries::grant(to, amount);
    entries::append(sql, &mut chain, &Entry { id, at: now, kind })?;
    Ok(())
}

/// The columns that [`read_key`] takes.
macro_rules! keys {
    () => {
        "SELECT hash, prefix, name, account, revoked FROM api_key"
    };
}
use keys;

fn read_key(row: &Row) -> Result<Key> {
    Ok(Key {
        hash: row.hash(0)?,
        prefix: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        account: row.parsed(3)?,
        revoked: !row.is_null(4)?,
    })
}
