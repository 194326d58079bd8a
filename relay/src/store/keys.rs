//! API keys: whose account they open, within which limits, and what was spent with them. The keys
//! themselves are kept as SHA-256 alone.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result};
use rekursing_market::{Gate, Limits, Spender, Taken, ledger::Account};
use rekursing_protocol::{AccountId, KeyId, Moment, Nanos, Price};

use crate::chance;

use super::{Act, Deed, Row, Sql, Store, Unstarted, Value, audit, grants, operator_log, verified};

/// How many keys may have been made one with the other.
pub const LINE_MAX: usize = 8;

/// Most keys of an account that are listed: the open ones before the others, the latest first.
const LISTED_MAX: u64 = 1_000;

/// A key, `?1`, and those that were made with it, directly or through others, as `made (prefix)`.
macro_rules! made_with {
    () => {
        "WITH RECURSIVE made (prefix) AS (
             SELECT prefix FROM api_key WHERE prefix = ?1
             UNION SELECT api_key.prefix FROM made JOIN api_key ON api_key.maker = made.prefix) "
    };
}

/// The columns that [`read_key`] takes.
macro_rules! keys {
    () => {
        "SELECT hash, prefix, name, account, revoked, created, maker, budget_day, budget_total, models,
             price_input, price_output, expires, gate_project, gate_threshold, gate_method FROM api_key"
    };
}

/// Open keys, as [`put_key`] counts them at `?2`, before others, each the latest first, at most `?3`.
macro_rules! listed {
    () => {
        " ORDER BY CASE WHEN revoked IS NULL AND (expires IS NULL OR expires > ?2) THEN 0 ELSE 1 END,
             created DESC, prefix LIMIT ?3"
    };
}

/// An API key of a page's account.
#[derive(Debug, Clone)]
pub struct Key {
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// How it begins, to tell keys apart.
    pub id: KeyId,
    /// What its maker calls it.
    pub name: String,
    /// The purse behind it.
    pub account: AccountId,
    /// The key that it was made with; `None` for the operator's.
    pub maker: Option<KeyId>,
    /// What it may do with the account's money.
    pub limits: Limits,
    /// When it was made.
    pub created: Moment,
    /// Whether it no longer opens anything.
    pub revoked: bool,
}

impl Key {
    /// Makes what is kept of a new key.
    ///
    /// # Panics
    /// When the secret does not begin like a key; [`crate::chance::secret`] makes those that do.
    pub fn new(
        secret: &str,
        now: Moment,
        name: String,
        account: AccountId,
        maker: Option<KeyId>,
        limits: Limits,
    ) -> Key {
        let id = KeyId::of(secret).expect("a key begins with rk_ and hex digits");
        let hash = chance::digest(secret);
        Key { hash, id, name, account, maker, limits, created: now, revoked: false }
    }
}

/// A key and the money behind it.
#[derive(Debug, Clone)]
pub struct Purse {
    /// The key.
    pub key: Key,
    /// What its account can spend.
    pub balance: Nanos,
    /// What of the account is set aside for jobs that run.
    pub held: Nanos,
    /// What jobs have cost the account, less what was given back of it.
    pub spent: Nanos,
}

/// Who holds a key.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Whose money it spends.
    pub account: AccountId,
    /// Within which limits.
    pub spender: Arc<Spender>,
    /// Whether the account is known: it has paid in, or the operator has marked it.
    pub is_verified: bool,
}

/// What became of a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// It is there.
    Made,
    /// Another one begins alike.
    Taken,
    /// The account has as many open keys as it may have.
    TooMany,
    /// The key that it would be made with is revoked.
    MakerRevoked,
}

/// What was spent on a model on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// With which key; `None` for all of the account's together.
    pub key: Option<KeyId>,
    /// The UTC day, counted from the Unix epoch.
    pub day: u64,
    /// The model.
    pub model: String,
    /// Jobs that were charged.
    pub jobs: u64,
    /// Tokens of their prompts.
    pub prompt_tokens: u64,
    /// Tokens of their answers.
    pub answer_tokens: u64,
    /// What they cost, less what was given back of it.
    pub spent: Nanos,
}

impl Store {
    /// Reads who holds an open key, by its hash. An account is verified once it has paid in so much.
    pub async fn holder(&self, hash: [u8; 32], verified_from: Nanos) -> Result<Option<Holder>> {
        self.read(move |sql| sql.view(|sql| holder(sql, hash, verified_from))).await
    }

    /// Stores a key unless its account has `open_max` open ones.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_key(&self, key: Key, open_max: u64) -> Result<NewKey> {
        self.make(move |sql| put_key(sql, &key, open_max)).await
    }

    /// Reads the keys that somebody manages, in the order in which they were made. Of very many it tells the
    /// latest, and of others than open ones only where there is room left.
    pub async fn managed_keys(&self, now: Moment, manager: Manager) -> Result<Vec<Key>> {
        self.read(move |sql| {
            let mut keys = match manager {
                Manager::Account(account) => sql.list(
                    concat!(keys!(), " WHERE account = ?1", listed!()),
                    &[account.to_string().into(), now.into(), LISTED_MAX.into()],
                    read_key,
                ),
                Manager::Key(key) => sql.list(
                    concat!(made_with!(), keys!(), " WHERE prefix IN (SELECT prefix FROM made)", listed!()),
                    &[key.to_string().into(), now.into(), LISTED_MAX.into()],
                    read_key,
                ),
            }?;
            keys.sort_by_key(|key| (key.created, key.id));
            Ok(keys)
        })
        .await
    }

    /// Revokes a key for good, and with `made` every key that was made with it, directly or through others,
    /// however many there are. Returns those that were open; `None` when the manager has no such open key.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn revoke_managed(
        &self,
        now: Moment,
        manager: Manager,
        key: KeyId,
        made: Made,
    ) -> Result<Option<Vec<KeyId>>> {
        self.make(move |sql| {
            let open = match manager {
                Manager::Account(account) => sql.number(
                    "SELECT COUNT(*) FROM api_key WHERE prefix = ?1 AND account = ?2 AND revoked IS NULL",
                    &[key.to_string().into(), account.to_string().into()],
                ),
                Manager::Key(manager) => sql.number(
                    concat!(
                        made_with!(),
                        "SELECT COUNT(*) FROM api_key
                         WHERE prefix = ?2 AND revoked IS NULL AND prefix IN (SELECT prefix FROM made)"
                    ),
                    &[manager.to_string().into(), key.to_string().into()],
                ),
            }?;
            if open == 0 { Ok(None) } else { revoke_line(sql, now, key, made).map(Some) }
        })
        .await
    }

    /// Reads what an account has spent since a day, by day and model, and in all.
    pub async fn account_usage(&self, account: AccountId, since: u64) -> Result<(Vec<Usage>, Nanos)> {
        self.read(move |sql| {
            let account = Account::Page(account).to_string();
            let usage = sql.list(
                "SELECT NULL, day, model, CAST(SUM(jobs) AS BIGINT), CAST(SUM(prompt_tokens) AS BIGINT),
                     CAST(SUM(answer_tokens) AS BIGINT), CAST(SUM(charge) AS BIGINT) FROM net_spent
                 WHERE account = ?1 AND day >= ?2 GROUP BY day, model ORDER BY day DESC, model",
                &[account.as_str().into(), since.into()],
                read_usage,
            )?;
            let sum = "SELECT CAST(SUM(charge) AS BIGINT) FROM net_spent WHERE account = ?1";
            Ok((usage, Nanos::new(sql.number(sum, &[account.into()])?)))
        })
        .await
    }

    /// Reads what the keys of an account have spent since a day, by key, day and model, and what each of
    /// them has spent in all.
    pub async fn keys_usage(
        &self,
        account: AccountId,
        since: u64,
    ) -> Result<(Vec<Usage>, HashMap<KeyId, Nanos>)> {
        self.read(move |sql| {
            let account = account.to_string();
            let usage = sql.list(
                "SELECT used.api_key, day, model, CAST(SUM(jobs) AS BIGINT),
                     CAST(SUM(prompt_tokens) AS BIGINT), CAST(SUM(answer_tokens) AS BIGINT),
                     CAST(SUM(charge) AS BIGINT)
                 FROM api_key JOIN net_used AS used ON used.api_key = api_key.prefix
                 WHERE account = ?1 AND day >= ?2
                 GROUP BY used.api_key, day, model ORDER BY day DESC, model, used.api_key",
                &[account.as_str().into(), since.into()],
                read_usage,
            )?;
            let sums = sql.list(
                "SELECT used.api_key, CAST(SUM(charge) AS BIGINT)
                 FROM api_key JOIN net_used AS used ON used.api_key = api_key.prefix
                 WHERE account = ?1 GROUP BY used.api_key",
                &[account.into()],
                |row| Ok((row.parsed(0)?, row.nanos(1)?)),
            )?;
            Ok((usage, sums.into_iter().collect()))
        })
        .await
    }
}

impl Unstarted {
    /// Stores a key and grants its account an opening balance, both or neither, and who did so.
    pub fn create_key(&mut self, key: &Key, balance: Nanos, who: &str) -> Result<NewKey> {
        let stored = self.sql.write(|sql| {
            let made = put_key(sql, key, u64::MAX)?;
            if made == NewKey::Made {
                let note = format!("{}: {}", key.account, key.name);
                operator_log::insert(sql, key.created, &Act::of(who, Deed::KeyCreated, key.id, &note))?;
                grants::grant(sql, key.created, Account::Page(key.account), balance, who)?;
                sql.changed()?;
            }
            Ok(made)
        });
        stored.context("could not store the key")
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
                let spent = "SELECT account, CAST(SUM(charge) AS BIGINT) FROM net_spent GROUP BY account";
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

    /// Revokes a key, and with `made` every key that was made with it, directly or through others. Returns
    /// how many were open.
    pub fn revoke_key(&mut self, now: Moment, key: KeyId, made: Made, who: &str) -> Result<usize> {
        self.sql.write(|sql| {
            let revoked = revoke_line(sql, now, key, made)?;
            for key in &revoked {
                operator_log::insert(sql, now, &Act::of(who, Deed::KeyRevoked, *key, ""))?;
            }
            sql.changed()?;
            Ok(revoked.len())
        })
    }

    /// Reads what every key with a budget has spent, with what was spent by the keys that were made with it.
    pub fn taken(&mut self, now: Moment) -> Result<Vec<(KeyId, Taken)>> {
        let day = now.day();
        let taken = self.sql.list(
            "WITH RECURSIVE line (root, prefix) AS (
                 SELECT prefix, prefix FROM api_key
                     WHERE budget_day IS NOT NULL OR budget_total IS NOT NULL
                 UNION ALL SELECT line.root, api_key.prefix
                     FROM line JOIN api_key ON api_key.maker = line.prefix)
             SELECT line.root, CAST(SUM(charge) AS BIGINT),
                 CAST(SUM(CASE WHEN used.day = ?1 THEN charge ELSE 0 END) AS BIGINT)
             FROM line JOIN net_used AS used ON used.api_key = line.prefix GROUP BY line.root",
            &[day.into()],
            |row| {
                let (spent, spent_day) = (row.nanos(1)?, row.nanos(2)?);
                Ok((row.parsed(0)?, Taken { held: Nanos::ZERO, spent, day, spent_day }))
            },
        );
        taken.context("could not sum what was spent with the keys")
    }
}

/// What becomes of the keys that were made with one that is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// They stay open, within the same limits as before.
    Kept,
    /// They are revoked too: whoever had the key may have made them.
    RevokedToo,
}

/// Who manages keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Whoever stands for the account: all of its keys.
    Account(AccountId),
    /// A limited key: itself and those that were made with it.
    Key(KeyId),
}

impl Holder {
    /// Returns which keys the holder manages.
    pub fn manager(&self) -> Manager {
        if self.spender.is_unlimited() {
            Manager::Account(self.account)
        } else {
            Manager::Key(self.spender.key)
        }
    }
}

fn put_key(sql: &mut Sql, key: &Key, open_max: u64) -> Result<NewKey> {
    if let Some(maker) = key.maker {
        let open = "SELECT COUNT(*) FROM api_key WHERE prefix = ?1 AND revoked IS NULL";
        if sql.number(open, &[maker.to_string().into()])? == 0 {
            return Ok(NewKey::MakerRevoked);
        }
    }
    let open = sql.number(
        "SELECT COUNT(*) FROM api_key
         WHERE account = ?1 AND revoked IS NULL AND (expires IS NULL OR expires > ?2)",
        &[key.account.to_string().into(), key.created.into()],
    )?;
    if open.unsigned_abs() >= open_max {
        return Ok(NewKey::TooMany);
    }
    let side = |side: fn(Price) -> u64| key.limits.price_max.map(side).filter(|most| *most < u64::MAX);
    let models = (!key.limits.models.is_empty()).then(|| serde_json::to_string(&key.limits.models));
    let gate = key.limits.gate.as_ref();
    let inserted = sql.execute(
        "INSERT INTO api_key (hash, prefix, name, account, created, maker, budget_day, budget_total, models,
             price_input, price_output, expires, gate_project, gate_threshold, gate_method)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (prefix) DO NOTHING",
        &[
            key.hash.as_slice().into(),
            key.id.to_string().into(),
            key.name.as_str().into(),
            key.account.to_string().into(),
            key.created.into(),
            key.maker.map(|maker| maker.to_string()).into(),
            key.limits.budget_day.into(),
            key.limits.budget_total.into(),
            models.transpose()?.into(),
            side(|price| price.input).into(),
            side(|price| price.output).into(),
            key.limits.expires.into(),
            gate.map(|gate| gate.project.as_str()).into(),
            gate.map(|gate| u64::from(gate.threshold_permille)).into(),
            gate.map(|gate| gate.method.name()).into(),
        ],
    )?;
    Ok(if inserted == 1 { NewKey::Made } else { NewKey::Taken })
}

/// Revokes a key, and with `made` those that were made with it. Returns those that were open.
fn revoke_line(sql: &mut Sql, now: Moment, key: KeyId, made: Made) -> Result<Vec<KeyId>> {
    let key: [Value; 1] = [key.to_string().into()];
    let doomed: Vec<KeyId> = match made {
        Made::Kept => {
            sql.list("SELECT prefix FROM api_key WHERE prefix = ?1 AND revoked IS NULL", &key, |row| {
                row.parsed(0)
            })
        }
        Made::RevokedToo => sql.list(
            concat!(
                made_with!(),
                "SELECT prefix FROM api_key WHERE revoked IS NULL AND prefix IN (SELECT prefix FROM made)
                 ORDER BY created, prefix"
            ),
            &key,
            |row| row.parsed(0),
        ),
    }?;
    for key in &doomed {
        let revoke = "UPDATE api_key SET revoked = ?1 WHERE prefix = ?2 AND revoked IS NULL";
        sql.execute(revoke, &[now.into(), key.to_string().into()])?;
    }
    Ok(doomed)
}

fn read_key(row: &Row) -> Result<Key> {
    Ok(Key {
        hash: row.hash(0)?,
        id: row.parsed(1)?,
        name: row.text(2)?.to_owned(),
        account: row.parsed(3)?,
        revoked: !row.is_null(4)?,
        created: row.moment(5)?,
        maker: unless_null(row, 6, |row| row.parsed(6))?,
        limits: read_limits(row)?,
    })
}

fn read_limits(row: &Row) -> Result<Limits> {
    let side = |at: usize| unless_null(row, at, |row| row.count(at));
    let price_max = match (side(10)?, side(11)?) {
        (None, None) => None,
        (input, output) => Some(Price::new(input.unwrap_or(u64::MAX), output.unwrap_or(u64::MAX))),
    };
    Ok(Limits {
        budget_day: unless_null(row, 7, |row| row.nanos(7))?,
        budget_total: unless_null(row, 8, |row| row.nanos(8))?,
        models: unless_null(row, 9, |row| Ok(serde_json::from_str(row.text(9)?)?))?.unwrap_or_default(),
        price_max,
        expires: unless_null(row, 12, |row| row.moment(12))?,
        gate: unless_null(row, 13, read_gate)?,
    })
}

fn read_gate(row: &Row) -> Result<Gate> {
    Ok(Gate {
        project: row.text(13)?.to_owned(),
        threshold_permille: row.count(14)?.try_into().context("a threshold is at most 1000")?,
        method: row.parsed(15)?,
    })
}

fn unless_null<T>(row: &Row, at: usize, read: impl FnOnce(&Row) -> Result<T>) -> Result<Option<T>> {
    if row.is_null(at)? { Ok(None) } else { read(row).map(Some) }
}

fn read_usage(row: &Row) -> Result<Usage> {
    Ok(Usage {
        key: unless_null(row, 0, |row| row.parsed(0))?,
        day: row.count(1)?,
        model: row.text(2)?.to_owned(),
        jobs: row.count(3)?,
        prompt_tokens: row.count(4)?,
        answer_tokens: row.count(5)?,
        spent: row.nanos(6)?,
    })
}

/// Reads who holds an open key; the limits of those that it was made with stay, revoked or not.
fn holder(sql: &mut Sql, hash: [u8; 32], verified_from: Nanos) -> Result<Option<Holder>> {
    let by_hash: [Value; 1] = [hash.as_slice().into()];
    let key = sql.first(concat!(keys!(), " WHERE hash = ?1"), &by_hash, read_key)?;
    let Some(key) = key.filter(|key| !key.revoked) else { return Ok(None) };
    let account = key.account;
    let is_verified = verified::is_verified(sql, account, verified_from)?;
    Ok(line(sql, key)?.map(|spender| Holder { account, spender, is_verified }))
}

/// Reads who spent with a key, open or not.
pub(super) fn spender(sql: &mut Sql, key: KeyId) -> Result<Option<Arc<Spender>>> {
    let by_id: [Value; 1] = [key.to_string().into()];
    let key = sql.first(concat!(keys!(), " WHERE prefix = ?1"), &by_id, read_key)?;
    key.map_or(Ok(None), |key| line(sql, key))
}

/// Reads the keys that a key was made with, and makes it one that spends.
fn line(sql: &mut Sql, key: Key) -> Result<Option<Arc<Spender>>> {
    let mut line = vec![key];
    while let Some(maker) = line.last().and_then(|key| key.maker) {
        anyhow::ensure!(line.len() < LINE_MAX, "too many keys were made one with the other");
        let by_id: [Value; 1] = [maker.to_string().into()];
        let maker = sql.first(concat!(keys!(), " WHERE prefix = ?1"), &by_id, read_key)?;
        line.push(maker.context("the key that a key was made with is not there")?);
    }
    Ok(line
        .into_iter()
        .rev()
        .fold(None, |maker, key| Some(Arc::new(Spender { key: key.id, limits: key.limits, maker }))))
}
