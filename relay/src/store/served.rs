//! Served jobs by the hour, for lists that anyone may read: no prompt, payer or address is among what is
//! read here.

use anyhow::Result;
use rekursing_protocol::{Hour, Moment, Nanos, PluginId, Price};

use super::{Sql, Store, sql::Row};

/// Entries of the ledger that one slice looks at; at most half of them are settlements.
const SLICE_ENTRIES: u64 = 20_000;

/// Hours that are listed at once: those of 31 days.
pub const HOURS_MAX: u64 = 31 * 24;

/// A served job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedJob {
    /// When money was set aside for it.
    pub held_at: Moment,
    /// When it was settled.
    pub settled_at: Moment,
    /// Who served it.
    pub owner: PluginId,
    /// The model.
    pub model: String,
    /// The tier that the page got.
    pub tier: String,
    /// The price, in micro-dollars per million tokens.
    pub price: Price,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What was paid.
    pub charge: Nanos,
    /// The platform's part of it.
    pub fee: Nanos,
}

/// A part of an hour's jobs, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// The jobs.
    pub jobs: Vec<ServedJob>,
    /// Where the next part begins; `None` behind the last.
    pub next: Option<u64>,
}

impl Store {
    /// Lists hours that ended before `before` and in which jobs were served, with how many, latest first.
    pub async fn served_hours(&self, before: Hour) -> Result<Vec<(Hour, u64)>> {
        self.read(move |sql| {
            sql.list(HOURS, &[before.0.into(), HOURS_MAX.into()], |row| {
                Ok((Hour(row.count(0)?), row.count(1)?))
            })
        })
        .await
    }

    /// Lists who served which model in an hour.
    pub async fn served_by(&self, hour: Hour) -> Result<Vec<(String, PluginId)>> {
        self.read(move |sql| {
            sql.view(|sql| {
                let Some((first, last)) = bounds(sql, hour)? else { return Ok(Vec::new()) };
                sql.list(OWNERS, &[first.into(), last.into(), hour.0.into()], |row| {
                    Ok((row.text(0)?.to_owned(), row.parsed(1)?))
                })
            })
        })
        .await
    }

    /// Reads the jobs of an hour behind `after`, the `next` of the part before; 0 begins. `None` when the
    /// hour had no job.
    pub async fn served(&self, hour: Hour, after: u64) -> Result<Option<Slice>> {
        self.read(move |sql| sql.view(|sql| slice(sql, hour, after))).await
    }
}

/// Returns the numbers of the first and the last settlement of an hour.
fn bounds(sql: &mut Sql, hour: Hour) -> Result<Option<(u64, u64)>> {
    sql.first("SELECT first_seq, last_seq FROM served WHERE hour = ?1", &[hour.0.into()], |row| {
        Ok((row.count(0)?, row.count(1)?))
    })
}

fn slice(sql: &mut Sql, hour: Hour, after: u64) -> Result<Option<Slice>> {
    let Some((first, last)) = bounds(sql, hour)? else { return Ok(None) };
    let begin = first.max(after.saturating_add(1));
    let end = last.min(begin.saturating_add(SLICE_ENTRIES - 1));
    let jobs = sql.list(SLICE, &[begin.into(), end.into(), hour.0.into()], read)?;
    Ok(Some(Slice { jobs, next: Some(end).filter(|end| *end < last) }))
}

fn read(row: &Row) -> Result<ServedJob> {
    let settled_at = row.moment(0)?;
    Ok(ServedJob {
        held_at: if row.is_null(1)? { settled_at } else { row.moment(1)? },
        settled_at,
        owner: row.parsed(2)?,
        model: row.text(3)?.to_owned(),
        tier: row.text(4)?.to_owned(),
        price: Price::new(row.count(5)?, row.count(6)?),
        prompt_tokens: row.count(7)?,
        answer_tokens: row.count(8)?,
        charge: row.nanos(9)?,
        fee: row.nanos(10)?,
    })
}

/// Hours before one, latest first.
pub(super) const HOURS: &str = "SELECT hour, jobs FROM served WHERE hour < ?1 ORDER BY hour DESC LIMIT ?2";

/// Who served which model, between two numbers of the ledger.
pub(super) const OWNERS: &str = "SELECT DISTINCT model, owner FROM entry
     WHERE seq BETWEEN ?1 AND ?2 AND kind = 'settle' AND at / 3600000 = ?3";

/// Settlements between two numbers of the ledger.
pub(super) const SLICE: &str =
    "SELECT settle.at, hold.at, settle.owner, settle.model, settle.tier, settle.price_input,
             settle.price_output, settle.prompt_tokens, settle.answer_tokens, settle.charge, settle.fee
         FROM entry AS settle LEFT JOIN entry AS hold ON hold.id = 'hold:' || settle.job
         WHERE settle.seq BETWEEN ?1 AND ?2 AND settle.kind = 'settle' AND settle.at / 3600000 = ?3
         ORDER BY settle.seq";
