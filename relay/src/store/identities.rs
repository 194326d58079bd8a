//! Plugins, API keys and upstreams: who may do what. Secrets are kept as SHA-256 alone.

use anyhow::{Context, Result};
use rekursing_market::ledger::{Account, Entry, EntryKind};
use rekursing_protocol::{
    AccountId, Gpu, JobId, Moment, Nanos, PluginId,
    earnings::{Earnings, ModelEarnings, Receipt},
};
use rusqlite::{Connection, params};

use super::{
    Store, Unstarted,
    entries::{self, int, parsed},
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
        self.change(move |connection| {
            let gpu = serde_json::to_string(&plugin.gpu).unwrap_or_default();
            let sql = "INSERT OR REPLACE INTO plugin VALUES (?, ?, ?, ?, ?)";
            connection.prepare_cached(sql)?.execute(params![
                plugin.id.to_string(),
                plugin.secret_hash,
                plugin.name,
                gpu,
                int(now.0)
            ])?;
            Ok(())
        })
        .await
    }

    /// Stores an upstream, in place of an older one with the same identity.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_upstream(&self, now: Moment, upstream: Upstream) -> Result<()> {
        self.change(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO upstream VALUES (?, ?, ?)",
                params![upstream.plugin.to_string(), upstream.body, int(now.0)],
            )?;
            Ok(())
        })
        .await
    }

    /// Reads a key by its hash.
    pub async fn key(&self, hash: [u8; 32]) -> Result<Option<Key>> {
        let keys =
            self.read(move |connection| keys_where(connection, "WHERE hash = ?", params![hash])).await?;
        Ok(keys.into_iter().next())
    }

    /// Reads what a plugin has earned.
    pub async fn earnings(&self, now: Moment, plugin: PluginId) -> Result<Earnings> {
        self.read(move |connection| earnings(connection, now, plugin)).await
    }
}

impl Unstarted {
    /// Reads every plugin.
    pub fn plugins(&self) -> Result<Vec<Plugin>> {
        let mut statement = self.connection.prepare("SELECT id, secret_hash, name, gpu FROM plugin")?;
        let rows = statement.query_map([], |row| {
            let gpu: String = row.get(3)?;
            let gpu = serde_json::from_str(&gpu).unwrap_or_default();
            Ok(Plugin { id: parsed(row, 0)?, secret_hash: row.get(1)?, name: row.get(2)?, gpu })
        })?;
        rows.collect::<rusqlite::Result<_>>().context("could not read the plugins")
    }

    /// Reads every upstream.
    pub fn upstreams(&self) -> Result<Vec<Upstream>> {
        let mut statement = self.connection.prepare("SELECT plugin, body FROM upstream")?;
        let rows =
            statement.query_map([], |row| Ok(Upstream { plugin: parsed(row, 0)?, body: row.get(1)? }))?;
        rows.collect::<rusqlite::Result<_>>().context("could not read the upstreams")
    }

    /// Stores a key and grants its account an opening balance, both or neither.
    pub fn create_key(&mut self, now: Moment, key: &Key, balance: Nanos) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO api_key VALUES (?, ?, ?, ?, ?, NULL)",
            params![key.hash, key.prefix, key.name, key.account.to_string(), int(now.0)],
        )?;
        if balance > Nanos::ZERO {
            let to = Account::Page(key.account);
            let id = format!("grant:{}:{}", key.account, now.0);
            entries::insert(
                &transaction,
                &Entry { id, at: now, kind: EntryKind::Grant { to, amount: balance } },
            )?;
        }
        transaction.commit().context("could not store the key")
    }

    /// Grants more to the account behind a key. Returns the key, or `None` when no key begins so.
    pub fn grant(&mut self, now: Moment, prefix: &str, amount: Nanos) -> Result<Option<Key>> {
        let Some(key) = self.keys()?.into_iter().find(|key| key.prefix == prefix) else { return Ok(None) };
        let kind = EntryKind::Grant { to: Account::Page(key.account), amount };
        let id = format!("grant:{}:{}", key.account, now.0);
        entries::insert(&self.connection, &Entry { id, at: now, kind })?;
        Ok(Some(key))
    }

    /// Reads every key.
    pub fn keys(&self) -> Result<Vec<Key>> {
        keys_where(&self.connection, "ORDER BY created", params![]).context("could not read the keys")
    }

    /// Revokes the key that begins with `prefix`. Tells whether there is one.
    pub fn revoke_key(&self, now: Moment, prefix: &str) -> Result<bool> {
        let sql = "UPDATE api_key SET revoked = ? WHERE prefix = ? AND revoked IS NULL";
        let changed = self.connection.execute(sql, params![int(now.0), prefix])?;
        Ok(changed > 0)
    }
}

fn keys_where(
    connection: &Connection,
    condition: &str,
    with: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Key>> {
    let sql = format!("SELECT hash, prefix, name, account, revoked IS NOT NULL FROM api_key {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(with, |row| {
        Ok(Key {
            hash: row.get(0)?,
            prefix: row.get(1)?,
            name: row.get(2)?,
            account: parsed(row, 3)?,
            revoked: row.get(4)?,
        })
    })?;
    rows.collect()
}

fn earnings(connection: &Connection, now: Moment, plugin: PluginId) -> rusqlite::Result<Earnings> {
    let owner = plugin.to_string();
    let since = |days: u64| -> rusqlite::Result<Nanos> {
        let first = int((now.day() + 1).saturating_sub(days));
        let sql = "SELECT COALESCE(SUM(charge - fee), 0) FROM daily WHERE owner = ? AND day >= ?";
        let sum = connection.prepare_cached(sql)?.query_row(params![owner, first], |row| row.get(0))?;
        Ok(Nanos::new(sum))
    };
    let models = by_model(connection, &owner)?;
    let total = since(now.day() + 1)?;
    Ok(Earnings {
        plugin_id: plugin,
        available: total,
        held: Nanos::ZERO,
        paid: Nanos::ZERO,
        today: since(1)?,
        last7_days: since(7)?,
        last30_days: since(30)?,
        total,
        jobs: models.iter().map(|model| model.jobs).sum(),
        models,
        recent: recent(connection, &owner)?,
    })
}

fn by_model(connection: &Connection, owner: &str) -> rusqlite::Result<Vec<ModelEarnings>> {
    let mut statement = connection.prepare_cached(
        "SELECT model, SUM(jobs), SUM(prompt_tokens), SUM(answer_tokens), SUM(charge - fee) AS earned
         FROM daily WHERE owner = ? GROUP BY model ORDER BY earned DESC, model",
    )?;
    let rows = statement.query_map([owner], |row| {
        Ok(ModelEarnings {
            model: row.get(0)?,
            jobs: count(row, 1)?,
            prompt_tokens: count(row, 2)?,
            answer_tokens: count(row, 3)?,
            earned: Nanos::new(row.get(4)?),
        })
    })?;
    rows.collect()
}

fn recent(connection: &Connection, owner: &str) -> rusqlite::Result<Vec<Receipt>> {
    let mut statement = connection.prepare_cached(
        "SELECT job, at, model, prompt_tokens, answer_tokens, charge, fee FROM entry
         WHERE owner = ? ORDER BY seq DESC LIMIT 50",
    )?;
    let rows = statement.query_map([owner], |row| {
        let (charge, fee): (i64, i64) = (row.get(5)?, row.get(6)?);
        Ok(Receipt {
            job_id: parsed::<JobId>(row, 0)?,
            at: Moment(count(row, 1)?),
            model: row.get(2)?,
            prompt_tokens: count(row, 3)?,
            answer_tokens: count(row, 4)?,
            charge: Nanos::new(charge),
            fee: Nanos::new(fee),
            earned: Nanos::new(charge - fee),
        })
    })?;
    rows.collect()
}

fn count(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(i64::unsigned_abs)
}
