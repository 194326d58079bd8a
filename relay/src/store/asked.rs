//! Calls that must not be made twice, by the hash of their `Idempotency-Key`: which, and what each was
//! to make or has changed. What was asked is not kept; of what was answered, what is small and no secret.
//! Each account has room of its own for that, so that nobody pushes out what another may ask for again.

use std::sync::Arc;

use anyhow::{Context, Result};
use rekursing_protocol::Moment;

use super::{Sql, Store, Write};
use crate::replay::Call;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It was never made, or came to nothing: it may be made.
    Fresh,
    /// It was made, and this came of it.
    Done {
        /// What it has made or changed.
        made: String,
        /// What was answered, if that is kept.
        answer: Option<KeptAnswer>,
    },
    /// Another call was made with this key.
    Other,
}

/// A small answer that is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// What its body is, as in `Content-Type`; empty where there is no body.
    pub kind: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// For how many answers of an account there is room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The account: a page's, a plugin or the operator.
    pub whose: String,
    /// The most of its own; past it its oldest go.
    pub own_max: u64,
    /// The most of all accounts together; past it its oldest goes too, and so the new one where it has no other.
    pub all_max: u64,
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

    /// Forgets a call that has come to nothing, unless something came of it all the same. Nobody waits for it.
    pub fn unask(&self, call: Call, made: String) {
        let store = Arc::downgrade(&self.shared);
        // Of what comes together changes are made first, and this one is to see every entry before it.
        let then = move || {
            let Some(shared) = store.upgrade() else { return };
            Store { shared }.soon("forget a call", move |sql| {
                if !exists(sql, &made)? {
                    let row = [call.id.as_slice().into(), made.as_str().into()];
                    sql.execute("DELETE FROM asked WHERE id = ?1 AND made = ?2", &row)?;
                }
                Ok(())
            });
        };
        self.shared.queue.push(Write::Then(Box::new(then)), false);
    }

    /// Tells whether a call was made that changes something, see [`Store::did`].
    pub async fn asked(&self, call: Call) -> Result<Asked> {
        self.read(move |sql| {
            Ok(match known(sql, call)? {
                None => Asked::Fresh,
                Some(Known { body, .. }) if body != call.body => Asked::Other,
                Some(Known { made, answer, .. }) => {
                    let made = made.strip_prefix(CHANGED).unwrap_or(&made).to_owned();
                    Asked::Done { made, answer }
                }
            })
        })
        .await
    }

    /// Notes a call behind what it has changed, with what is answered if that may be kept.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn did(
        &self,
        now: Moment,
        call: Call,
        thing: String,
        answer: Option<(KeptAnswer, Quota)>,
    ) -> Result<()> {
        self.change(move |sql| {
            insert(sql, now, call, &format!("{CHANGED}{thing}"))?;
            answer.map_or(Ok(()), |(answer, quota)| keep(sql, call, answer, quota))
        })
        .await
    }

    /// Keeps what is answered to a call that was noted.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn answered(&self, call: Call, answer: KeptAnswer, quota: Quota) -> Result<()> {
        self.change(move |sql| keep(sql, call, answer, quota)).await
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

/// What stands in front of the name of a page to pay on. Opened again, it is the same page.
const PAGE: &str = "page:";

/// What is noted of a call.
struct Known {
    body: [u8; 32],
    made: String,
    answer: Option<KeptAnswer>,
}

fn known(sql: &mut Sql, call: Call) -> Result<Option<Known>> {
    let known = "SELECT body, made, status, type, answer FROM asked WHERE id = ?1";
    sql.first(known, &[call.id.as_slice().into()], |row| {
        let answer = if row.is_null(4)? {
            None
        } else {
            let status = u16::try_from(row.number(2)?).context("an answer without a status")?;
            Some(KeptAnswer { status, kind: row.text(3)?.to_owned(), body: row.bytes(4)?.to_vec() })
        };
        Ok(Known { body: row.hash(0)?, made: row.text(1)?.to_owned(), answer })
    })
}

/// Keeps an answer, and drops as many of the same account's as there is no room for.
fn keep(sql: &mut Sql, call: Call, answer: KeptAnswer, quota: Quota) -> Result<()> {
    let Quota { whose, own_max, all_max } = quota;
    if own_max == 0 {
        return Ok(());
    }
    let KeptAnswer { status, kind, body } = answer;
    sql.execute(
        "UPDATE asked SET status = ?3, type = ?4, answer = ?5, whose = ?6 WHERE id = ?1 AND body = ?2",
        &[
            call.id.as_slice().into(),
            call.body.as_slice().into(),
            u64::from(status).into(),
            kind.into(),
            body.as_slice().into(),
            whose.as_str().into(),
        ],
    )?;
    // What is kept at this moment is the latest, also where the call began before others.
    sql.execute(
        "UPDATE asked SET status = NULL, type = NULL, answer = NULL WHERE id IN
             (SELECT id FROM asked WHERE whose = ?1 AND answer IS NOT NULL AND id <> ?2
              ORDER BY at DESC, id DESC LIMIT ?3 OFFSET ?4)",
        &[whose.as_str().into(), call.id.as_slice().into(), u64::MAX.into(), (own_max - 1).into()],
    )?;
    let all = sql.number("SELECT COUNT(*) FROM asked WHERE answer IS NOT NULL", &[])?;
    if all.unsigned_abs() > all_max {
        sql.execute(
            "UPDATE asked SET status = NULL, type = NULL, answer = NULL WHERE id =
                 (SELECT id FROM asked WHERE whose = ?1 AND answer IS NOT NULL
                  ORDER BY CASE WHEN id = ?2 THEN 1 ELSE 0 END, at, id LIMIT 1)",
            &[whose.into(), call.id.as_slice().into()],
        )?;
    }
    Ok(())
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
    if let Some(Known { body, made: before, answer }) = known(sql, call)?
        && exists(sql, &before)?
    {
        return Ok(match answer {
            _ if body != call.body => Asked::Other,
            None if before.starts_with(PAGE) => Asked::Fresh,
            answer => Asked::Done { made: before, answer },
        });
    }
    sql.execute("DELETE FROM asked WHERE id = ?1", &[call.id.as_slice().into()])?;
    insert(sql, now, call, made)?;
    Ok(Asked::Fresh)
}

/// Tells whether what a call was to make is there. A job is there once it is charged.
fn exists(sql: &mut Sql, made: &str) -> Result<bool> {
    if made.starts_with(PAGE) {
        let opened = "SELECT COUNT(*) FROM top_up WHERE made = ?1";
        return Ok(sql.number(opened, &[made.into()])? > 0);
    }
    let count = match made.split_once('_') {
        Some(("job", _)) => "SELECT COUNT(*) FROM entry WHERE id = 'settle:' || ?1",
        Some(("rk", _)) => "SELECT COUNT(*) FROM api_key WHERE prefix = ?1",
        Some(("cmp", _)) => "SELECT COUNT(*) FROM campaign WHERE id = ?1",
        Some(_) | None => "SELECT COUNT(*) FROM entry WHERE id = ?1",
    };
    Ok(sql.number(count, &[made.into()])? > 0)
}
