//! What a receipt is made of: the entries of one job, the ad beside its answer, and the keys that sign.

use anyhow::{Context, Result};
use rekursing_market::ledger::{Entry, EntryKind, correction_id};
use rekursing_protocol::{JobId, Moment, Nanos, receipt::Ad};
use tokio::sync::oneshot;

use super::{Change, Row, Sql, Store, Unstarted, Write, entries};

/// The entries of one job.
#[derive(Debug, Clone)]
pub struct Job {
    /// What was set aside.
    pub hold: Entry,
    /// How that was resolved: its settlement or its void. `None` while it is open.
    pub end: Option<Entry>,
    /// The ad that was sent with the answer.
    pub ad: Option<Ad>,
    /// What of its charge was given back since.
    pub given_back: Nanos,
}

/// A key that signs receipts.
#[derive(Clone)]
pub struct ReceiptKey {
    /// The public half's id.
    pub id: String,
    /// The private half: the seed of Ed25519.
    pub seed: [u8; 32],
    /// Since when it signs.
    pub created: Moment,
}

impl std::fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReceiptKey({})", self.id)
    }
}

impl Store {
    /// Keeps which ad was sent with an answer. Nobody waits for it; one that cannot be stored is logged and
    /// lost.
    pub fn keep_ad(&self, job: JobId, ad: Ad) {
        let make = move |sql: &mut Sql| {
            insert_ad(sql, job, ad).inspect_err(|error| {
                tracing::error!(error = format!("{error:#}"), "could not store the ad of an answer");
            })
        };
        let (made, _) = oneshot::channel();
        self.push(Write::Change(Change { make: Box::new(make), made }));
    }

    /// Reads the entries of a job; `None` when there is no such job.
    pub async fn job(&self, job: JobId) -> Result<Option<Job>> {
        self.read(move |sql| sql.view(|sql| find(sql, job))).await
    }
}

impl Unstarted {
    /// Reads every key that signs receipts, the one that signs last. Where there is none, `fresh` becomes
    /// the first.
    pub fn receipt_keys(&mut self, fresh: ReceiptKey) -> Result<Vec<ReceiptKey>> {
        self.sql
            .write(|sql| {
                let known = known_keys(sql)?;
                if !known.is_empty() {
                    return Ok(known);
                }
                sql.execute(
                    "INSERT INTO receipt_key VALUES (?1, ?2, ?3)",
                    &[fresh.id.as_str().into(), fresh.seed.as_slice().into(), fresh.created.into()],
                )?;
                Ok(vec![fresh])
            })
            .context("could not read the keys of receipts")
    }

    /// Reads every key that signs receipts.
    pub fn known_receipt_keys(&mut self) -> Result<Vec<ReceiptKey>> {
        known_keys(&mut self.sql).context("could not read the keys of receipts")
    }
}

fn known_keys(sql: &mut Sql) -> Result<Vec<ReceiptKey>> {
    let read = |row: &Row| {
        Ok(ReceiptKey { id: row.text(0)?.to_owned(), seed: row.hash(1)?, created: row.moment(2)? })
    };
    sql.list("SELECT id, seed, created FROM receipt_key ORDER BY created, id", &[], read)
}

pub(super) fn insert_ad(sql: &mut Sql, job: JobId, ad: Ad) -> Result<()> {
    sql.execute(
        "INSERT INTO job_ad (job, impression, campaign, seen, clicked) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (job) DO NOTHING",
        &[
            job.to_string().into(),
            ad.impression.to_string().into(),
            ad.campaign.to_string().into(),
            ad.per_impression.get().into(),
            ad.per_click.get().into(),
        ],
    )?;
    Ok(())
}

fn ad_of(sql: &mut Sql, job: JobId) -> Result<Option<Ad>> {
    sql.first(
        "SELECT impression, campaign, seen, clicked FROM job_ad WHERE job = ?1",
        &[job.to_string().into()],
        |row| {
            Ok(Ad {
                impression: row.parsed(0)?,
                campaign: row.parsed(1)?,
                per_impression: row.nanos(2)?,
                per_click: row.nanos(3)?,
            })
        },
    )
}

pub(super) fn find(sql: &mut Sql, job: JobId) -> Result<Option<Job>> {
    let Some(hold) = entry(sql, format!("hold:{job}"))? else { return Ok(None) };
    let end = match entry(sql, format!("settle:{job}"))? {
        Some(settle) => Some(settle),
        None => entry(sql, format!("void:{job}"))?,
    };
    let given_back = end.as_ref().map_or(Ok(Nanos::ZERO), |end| given_back(sql, end))?;
    Ok(Some(Job { hold, end, ad: ad_of(sql, job)?, given_back }))
}

fn entry(sql: &mut Sql, id: String) -> Result<Option<Entry>> {
    let find = concat!("SELECT ", entries::columns!(), " FROM entry WHERE id = ?1");
    sql.first(find, &[id.into()], entries::read)
}

/// Sums what the entries that take a charge back gave to whoever had paid it. They are numbered from 0 and are
/// stored together, so that a reader finds all of them or none.
pub(super) fn given_back(sql: &mut Sql, end: &Entry) -> Result<Nanos> {
    let EntryKind::Settle(settle) = &end.kind else { return Ok(Nanos::ZERO) };
    let mut sum = Nanos::ZERO;
    for number in 0.. {
        let Some(back) = entry(sql, correction_id(&end.id, number))? else { break };
        for posting in back.postings().filter(|posting| posting.credit == settle.payer) {
            sum = sum.checked_add(posting.amount).context("more was given back than there is")?;
        }
    }
    Ok(sum)
}
