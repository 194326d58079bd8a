//! Plugins and upstreams: who serves, and what they have earned. Secrets are kept as SHA-256 alone.

use anyhow::{Context, Result};
use rekursing_market::ledger::Entry;
use rekursing_protocol::{
    Gpu, Moment, Nanos, PluginId,
    earnings::{Earnings, ModelEarnings, Receipt},
};

use super::{Act, Row, Sql, Store, Unstarted, Value, entries, operator_log};

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

    /// Reads what a plugin has earned.
    pub async fn earnings(&self, now: Moment, plugin: PluginId) -> Result<Earnings> {
        self.read(move |sql| sql.view(|sql| earnings(sql, now, plugin))).await
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
}

fn earnings(sql: &mut Sql, now: Moment, plugin: PluginId) -> Result<Earnings> {
    let owner = plugin.to_string();
    let mut since = |days: u64| -> Result<Nanos> {
        let first = (now.day() + 1).saturating_sub(days);
        let sum = "SELECT CAST(SUM(charge - fee) AS BIGINT) FROM earned WHERE owner = ?1 AND day >= ?2";
        sql.number(sum, &[owner.as_str().into(), first.into()]).map(Nanos::new)
    };
    let (today, last7_days, last30_days) = (since(1)?, since(7)?, since(30)?);
    let total = since(now.day() + 1)?;
    let models = by_model(sql, &owner)?;
    Ok(Earnings {
        plugin_id: plugin,
        available: balance(sql, &format!("owner:{owner}"))?,
        held: balance(sql, &format!("held:{owner}"))?,
        paid: Nanos::ZERO,
        today,
        last7_days,
        last30_days,
        total,
        jobs: models.iter().map(|model| model.jobs).sum(),
        models,
        recent: recent(sql, &owner)?,
    })
}

/// Sums what an owner has, available or held: what was earned and what moved since.
fn balance(sql: &mut Sql, account: &str) -> Result<Nanos> {
    let whose: [Value; 1] = [account.into()];
    let credits = "SELECT CAST(SUM(amount) AS BIGINT) FROM entry WHERE counter IS NOT NULL AND counter = ?1";
    let debits = "SELECT CAST(SUM(amount) AS BIGINT) FROM entry
                  WHERE account = ?1 AND kind NOT IN ('hold', 'void', 'settle')";
    let moved = sql.number(credits, &whose)? - sql.number(debits, &whose)?;
    let earned = match account.split_once(':') {
        Some(("held", owner)) => sql.number(
            "SELECT CAST(SUM(held_back) AS BIGINT) FROM entry WHERE owner IS NOT NULL AND owner = ?1",
            &[owner.into()],
        )?,
        Some((_, owner)) => sql.number(
            "SELECT CAST(SUM(charge - fee - held_back) AS BIGINT) FROM entry
             WHERE owner IS NOT NULL AND owner = ?1",
            &[owner.into()],
        )?,
        None => 0,
    };
    Ok(Nanos::new(earned + moved))
}

fn by_model(sql: &mut Sql, owner: &str) -> Result<Vec<ModelEarnings>> {
    sql.list(
        "SELECT model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
             CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge - fee) AS BIGINT) AS earned
         FROM earned WHERE owner = ?1 GROUP BY model ORDER BY earned DESC, model",
        &[owner.into()],
        |row| {
            Ok(ModelEarnings {
                model: row.text(0)?.to_owned(),
                jobs: row.count(1)?,
                prompt_tokens: row.count(2)?,
                answer_tokens: row.count(3)?,
                earned: row.nanos(4)?,
            })
        },
    )
}

fn recent(sql: &mut Sql, owner: &str) -> Result<Vec<Receipt>> {
    let settles = sql.list(
        concat!(
            "SELECT ",
            entries::columns!(),
            " FROM entry WHERE owner IS NOT NULL AND owner = ?1 ORDER BY seq DESC LIMIT 50"
        ),
        &[owner.into()],
        entries::read,
    )?;
    Ok(settles.iter().filter_map(Entry::receipt).collect())
}
