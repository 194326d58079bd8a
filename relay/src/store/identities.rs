//! Plugins and upstreams: who serves, and what they have earned. Secrets are kept as SHA-256 alone.

use anyhow::{Context, Result};
use rekursing_protocol::{AccountId, Gpu, Moment, Nanos, PluginId};

use crate::devices::Key;

use super::{Act, Row, Store, Unstarted, earnings, operator_log};

/// What stands in the place of a secret's hash where there is a device key.
const NO_SECRET: &[u8] = &[];

/// A registered plugin.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its id.
    pub id: PluginId,
    /// SHA-256 of its secret, of one that has a secret.
    pub secret_hash: Option<[u8; 32]>,
    /// Its device key, of one that has a key.
    pub key: Option<Key>,
    /// Whose own it is, if anybody's.
    pub pairing: Option<Pairing>,
    /// When its account has revoked its key or secret, if it has.
    pub revoked: Option<Moment>,
    /// The name that pages may see.
    pub name: String,
    /// The GPU as it was registered.
    pub gpu: Gpu,
}

/// That a plugin is a page's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairing {
    /// The page's account.
    pub account: AccountId,
    /// Since when.
    pub at: Moment,
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
                "INSERT INTO plugin (id, secret_hash, name, gpu, created, device_key)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET
                     secret_hash = excluded.secret_hash, name = excluded.name, gpu = excluded.gpu",
                &[
                    plugin.id.to_string().into(),
                    plugin.secret_hash.as_ref().map_or(NO_SECRET, <[u8; 32]>::as_slice).into(),
                    plugin.name.into(),
                    gpu.into(),
                    now.into(),
                    plugin.key.as_ref().map(<[u8; 32]>::as_slice).into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Lets a device key take the place of a plugin's secret.
    ///
    /// # Errors
    /// When it could not be made durable, or is another plugin's.
    pub async fn rekey_plugin(&self, plugin: PluginId, key: Key) -> Result<()> {
        self.change(move |sql| {
            sql.execute(
                "UPDATE plugin SET secret_hash = ?2, device_key = ?3 WHERE id = ?1",
                &[plugin.to_string().into(), NO_SECRET.into(), key.as_slice().into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Stores whose own a plugin is.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn pair_plugin(&self, plugin: PluginId, pairing: Pairing) -> Result<()> {
        self.change(move |sql| {
            sql.execute(
                "UPDATE plugin SET account = ?2, paired = ?3 WHERE id = ?1",
                &[plugin.to_string().into(), pairing.account.to_string().into(), pairing.at.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Stores another name of a plugin.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn rename_plugin(&self, plugin: PluginId, name: String) -> Result<()> {
        self.change(move |sql| {
            let values = [plugin.to_string().into(), name.into()];
            sql.execute("UPDATE plugin SET name = ?2 WHERE id = ?1", &values)?;
            Ok(())
        })
        .await
    }

    /// Reads an account's own plugins in the order in which they were paired, and what each has earned in all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_plugins(&self, account: AccountId) -> Result<Vec<(Plugin, Nanos)>> {
        self.read(move |sql| {
            sql.view(|sql| {
                let plugins = sql.list(OF_ACCOUNT, &[account.to_string().into()], read)?;
                let earned = |plugin: Plugin| {
                    let values = [plugin.id.to_string().into(), 0_u64.into()];
                    let total = sql.first(earnings::SINCE, &values, |row| row.number_or_zero(0))?;
                    Ok((plugin, Nanos::new(total.unwrap_or_default())))
                };
                plugins.into_iter().map(earned).collect()
            })
        })
        .await
    }

    /// Stores an upstream, in place of an older one with the same identity, and who registered it.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_upstream(&self, now: Moment, upstream: Upstream, act: Act) -> Result<()> {
        self.change(move |sql| {
            operator_log::insert(sql, now, &act)?;
            sql.execute(
                "INSERT INTO upstream VALUES (?1, ?2, ?3) ON CONFLICT (plugin) DO UPDATE SET body = excluded.body",
                &[upstream.plugin.to_string().into(), upstream.body.into(), now.into()],
            )?;
            Ok(())
        })
        .await
    }
}

impl Unstarted {
    /// Reads every plugin.
    pub fn plugins(&mut self) -> Result<Vec<Plugin>> {
        self.sql.list(ALL, &[], read).context("could not read the plugins")
    }

    /// Reads every upstream.
    pub fn upstreams(&mut self) -> Result<Vec<Upstream>> {
        let read = |row: &Row| Ok(Upstream { plugin: row.parsed(0)?, body: row.text(1)?.to_owned() });
        let upstreams = self.sql.list("SELECT plugin, body FROM upstream", &[], read);
        upstreams.context("could not read the upstreams")
    }
}

macro_rules! columns {
    () => {
        "id, secret_hash, name, gpu, device_key, account, paired, revoked"
    };
}

const ALL: &str = concat!("SELECT ", columns!(), " FROM plugin");

/// The condition is that of the index.
const OF_ACCOUNT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM plugin WHERE account IS NOT NULL AND account = ?1 ORDER BY paired, id"
);

fn read(row: &Row) -> Result<Plugin> {
    let pairing =
        if row.is_null(5)? { None } else { Some(Pairing { account: row.parsed(5)?, at: row.moment(6)? }) };
    Ok(Plugin {
        id: row.parsed(0)?,
        secret_hash: if row.bytes(1)? == NO_SECRET { None } else { Some(row.hash(1)?) },
        key: if row.is_null(4)? { None } else { Some(row.hash(4)?) },
        pairing,
        revoked: if row.is_null(7)? { None } else { Some(row.moment(7)?) },
        name: row.text(2)?.to_owned(),
        gpu: serde_json::from_str(row.text(3)?).unwrap_or_default(),
    })
}
