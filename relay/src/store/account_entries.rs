//! The entries of one account, newest first: what moved its money, and by which job, payment or payout.

use anyhow::Result;
use rekursing_market::ledger::{Account, Entry, EntryKind};
use rekursing_protocol::{JobId, Moment, Nanos};
use serde::Serialize;

use super::{
    Sql, Store,
    entries::{self, columns},
};

/// An entry as it touches one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountEntry {
    /// Its number in the ledger.
    pub seq: u64,
    /// Its id, which names its cause.
    pub id: String,
    /// When.
    pub at: Moment,
    /// `settle`, or the cause of a transfer.
    pub kind: &'static str,
    /// The job that was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// What was noted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What came in.
    #[serde(rename = "in")]
    pub credit: Nanos,
    /// What went out; of whoever paid a job, its charge.
    #[serde(rename = "out")]
    pub debit: Nanos,
}

impl Store {
    /// Reads the latest `limit` entries of an account in front of the entry `before`, without what was only set
    /// aside for jobs. Of `platform` and `escrow`, which every job touches, the transfers alone.
    pub async fn entries_of(&self, account: Account, before: u64, limit: u64) -> Result<Vec<AccountEntry>> {
        self.read(move |sql| sql.view(|sql| read(sql, account, before, limit))).await
    }
}

fn read(sql: &mut Sql, account: Account, before: u64, limit: u64) -> Result<Vec<AccountEntry>> {
    // The database counts in 63 bits.
    let before = before.min(i64::MAX.unsigned_abs());
    let name = account.to_string();
    let mut found = Vec::new();
    let served = if let Account::Owner(plugin) | Account::Held(plugin) = account {
        Some(plugin.to_string())
    } else {
        None
    };
    for (query, whose) in [(FROM, Some(name.clone())), (TO, Some(name)), (SERVED, served)] {
        let Some(whose) = whose else { continue };
        let values = [whose.into(), before.into(), limit.into()];
        found.extend(sql.list(query, &values, |row| Ok((row.count(26)?, entries::read(row)?)))?);
    }
    found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    found.dedup_by_key(|(seq, _)| *seq);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found.into_iter().map(|(seq, entry)| as_seen_by(account, seq, entry)).collect())
}

fn as_seen_by(account: Account, seq: u64, entry: Entry) -> AccountEntry {
    let (mut credit, mut debit) = (0, 0);
    if let EntryKind::Settle(settle) = &entry.kind
        && settle.payer == account
    {
        // What it had set aside and got back is left out, as the hold is.
        debit = settle.charge.get();
    } else {
        for posting in entry.postings() {
            let part = |side: Account| if side == account { posting.amount.get() } else { 0 };
            (credit, debit) = (credit + part(posting.credit), debit + part(posting.debit));
        }
    }
    let note = match &entry.kind {
        EntryKind::Transfer(transfer) => transfer.note.clone(),
        EntryKind::Hold { .. } | EntryKind::Settle(_) | EntryKind::Void { .. } => String::new(),
    };
    AccountEntry {
        seq,
        at: entry.at,
        kind: entry.kind_name(),
        job_id: entry.job(),
        note,
        credit: Nanos::new(credit),
        debit: Nanos::new(debit),
        id: entry.id,
    }
}

// Each of these finds its rows by an index, whose condition it repeats; a test asks the database.

pub(super) const FROM: &str = concat!(
    "SELECT ",
    columns!(),
    ", seq FROM entry WHERE account = ?1 AND kind NOT IN ('hold', 'void') AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);

pub(super) const TO: &str = concat!(
    "SELECT ",
    columns!(),
    ", seq FROM entry WHERE counter = ?1 AND counter IS NOT NULL AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);

pub(super) const SERVED: &str = concat!(
    "SELECT ",
    columns!(),
    ", seq FROM entry WHERE owner = ?1 AND owner IS NOT NULL AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
);
