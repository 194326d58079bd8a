//! Calls that must not be made twice, by the hash of their `Idempotency-Key`: which, and what each was
//! to make or has changed. Neither what was asked nor what was answered is kept.

use anyhow::Result;
use rekursing_protocol::Moment;

use super::{Sql, Store};
use crate::replay::Call;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It was never made, or came to nothing: it may be made.
    Fresh,
    /// It was made, and this came of it.
    Done(String),
    /// Another call was made with this key.
    Other,
}

impl Store {
    /// Notes a call before it is made, unless it was made before. `made` is the id of what it will make: a
    /// job, a key, or an entry.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn ask(&self, now: Moment, call: Call, made: String) -> Result<Asked> {
        let first = made.clone();
        if self.make(move |sql| insert(sql, now, call, &first)).await? {
            return Ok(Asked::Fresh);
        }
        // What the call before has come to may still wait to be stored.
        self.flushed().await;
        self.make(move |sql| repeat(sql, now, call, &made)).await
    }

    /// Tells whether a call was made that changes something, see [`Store::did`].
    pub async fn asked(&self, call: Call) -> Result<Asked> {
        self.read(move |sql| {
            Ok(match known(sql, call)? {
                None => Asked::Fresh,
                Some((body, thing)) if body == call.body => {
                    Asked::Done(thing.strip_prefix(CHANGED).unwrap_or(&thing).to_owned())
                }
                Some(_) => Asked::Other,
            })
        })
        .await
    }

    /// Notes a call behind what it has changed.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn did(&self, now: Moment, call: Call, thing: String) -> Result<()> {
        self.change(move |sql| insert(sql, now, call, &format!("{CHANGED}{thing}")).map(drop)).await
    }

    /// Forgets calls that were made before a moment. Nobody waits for it.
    pub fn forget_asked(&self, before: Moment) {
        self.soon("forget calls", move |sql| {
            sql.execute("DELETE FROM asked WHERE at < ?1", &[before.into()]).map(drop)
        });
    }
}

/// Stands in front of what a call has changed.
const CHANGED: &str = "changed:";

/// Reads the body's hash of a call that was noted, and what it was to make or has changed.
fn known(sql: &mut Sql, call: Call) -> Result<Option<([u8; 32], String)>> {
    sql.first("SELECT body, made FROM asked WHERE id = ?1", &[call.id.as_slice().into()], |row| {
        Ok((row.hash(0)?, row.text(1)?.to_owned()))
    })
}

fn insert(sql: &mut Sql, now: Moment, call: Call, made: &str) -> Result<bool> {
    let inserted = sql.execute(
        "INSERT INTO asked (id, body, made, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
        &[call.id.as_slice().into(), call.body.as_slice().into(), made.into(), now.into()],
    )?;
    Ok(inserted == 1)
}

/// Notes a call again unless something has come of it.
fn repeat(sql: &mut Sql, now: Moment, call: Call, made: &str) -> Result<Asked> {
    if let Some((body, before)) = known(sql, call)?
        && exists(sql, &before)?
    {
        return Ok(if body == call.body { Asked::Done(before) } else { Asked::Other });
    }
    sql.execute("DELETE FROM asked WHERE id = ?1", &[call.id.as_slice().into()])?;
    insert(sql, now, call, made)?;
    Ok(Asked::Fresh)
}

/// Tells whether what a call was to make is there. A job is there once it is charged.
fn exists(sql: &mut Sql, made: &str) -> Result<bool> {
    let count = match made.split_once('_') {
        Some(("job", _)) => "SELECT COUNT(*) FROM entry WHERE id = 'settle:' || ?1",
        Some(("rk", _)) => "SELECT COUNT(*) FROM api_key WHERE prefix = ?1",
        Some(("cmp", _)) => "SELECT COUNT(*) FROM campaign WHERE id = ?1",
        Some(_) | None => "SELECT COUNT(*) FROM entry WHERE id = ?1",
    };
    Ok(sql.number(count, &[made.into()])? > 0)
}
