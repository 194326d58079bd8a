//! The operator's log: who did what, when, to whom and with how much money. Never a secret.

use anyhow::{Context, Result};
use rekursing_market::ledger::Account;
use rekursing_protocol::{Moment, Nanos};

use super::{Row, Sql, Store, Unstarted, Value, entries};

/// Something that the operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// From where: `http:` and an address, `cli:` and a user of the machine, `config`, `stripe`.
    pub who: String,
    /// What is done.
    pub deed: Deed,
    /// To what: an account, a key's first characters, an upstream, an entry, a campaign.
    pub about: String,
    /// The money that moves, where any does.
    pub amount: Option<Nanos>,
    /// Why, in the operator's words, or what else a reader should know.
    pub note: String,
}

/// What an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Gives credit.
    Grant,
    /// Makes an API key.
    KeyCreated,
    /// Revokes one.
    KeyRevoked,
    /// Registers an upstream, or changes its settings.
    UpstreamRegistered,
    /// Takes an entry of the ledger back.
    Correction,
    /// Marks an account as verified.
    AccountVerified,
    /// Takes that back.
    AccountUnverified,
    /// Lets a payout go.
    PayoutApproved,
    /// Gives a payout back to its owner.
    PayoutCancelled,
    /// Says what became of a payout that its rail cannot tell of.
    PayoutSettled,
    /// Is told of money that went back to a card and that nobody has any more.
    Uncovered,
    /// Looks at a dispute.
    DisputeReviewed,
    /// Gives the charge of a disputed job back.
    DisputeUpheld,
    /// Lets the charge of a disputed job stay.
    DisputeRejected,
    /// Makes a campaign of ads for an account.
    CampaignCreated,
    /// Changes one, or pauses it.
    CampaignChanged,
    /// Switches something off.
    SwitchedOff,
    /// Switches it on again.
    SwitchedOn,
}

impl Deed {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Deed::Grant => "grant",
            Deed::KeyCreated => "key_created",
            Deed::KeyRevoked => "key_revoked",
            Deed::UpstreamRegistered => "upstream_registered",
            Deed::Correction => "correction",
            Deed::AccountVerified => "account_verified",
            Deed::AccountUnverified => "account_unverified",
            Deed::PayoutApproved => "payout_approved",
            Deed::PayoutCancelled => "payout_cancelled",
            Deed::PayoutSettled => "payout_settled",
            Deed::Uncovered => "uncovered",
            Deed::DisputeReviewed => "dispute_reviewed",
            Deed::DisputeUpheld => "dispute_upheld",
            Deed::DisputeRejected => "dispute_rejected",
            Deed::CampaignCreated => "campaign_created",
            Deed::CampaignChanged => "campaign_changed",
            Deed::SwitchedOff => "switched_off",
            Deed::SwitchedOn => "switched_on",
        }
    }
}

impl Act {
    /// Says that credit was given.
    pub fn grant(who: &str, to: Account, amount: Nanos, note: &str) -> Act {
        let (who, note) = (who.to_owned(), note.to_owned());
        Act { who, deed: Deed::Grant, about: to.to_string(), amount: Some(amount), note }
    }

    /// Says that money went back that nobody has any more.
    pub fn uncovered(who: &str, from: Account, amount: Nanos, note: String) -> Act {
        let about = from.to_string();
        Act { who: who.to_owned(), deed: Deed::Uncovered, about, amount: Some(amount), note }
    }

    /// Says that something was done that moves no money.
    pub fn of(who: &str, deed: Deed, about: impl ToString, note: &str) -> Act {
        Act { who: who.to_owned(), deed, about: about.to_string(), amount: None, note: note.to_owned() }
    }
}

/// A line about an entry of the ledger that is stored together with it.
#[derive(Debug, Clone)]
pub struct Note {
    /// When.
    pub at: Moment,
    /// The entry: where the ledger has it, it has the line.
    pub entry: String,
    /// What is done.
    pub act: Act,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When.
    pub at: Moment,
    /// From where.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub about: String,
    /// The money that moved.
    pub amount: Option<Nanos>,
    /// Why.
    pub note: String,
}

impl Store {
    /// Reads the latest lines in front of line `before`, newest first.
    pub async fn operator_log(&self, before: u64, count: u64) -> Result<Vec<LogLine>> {
        self.read(move |sql| lines(sql, before, count)).await
    }
}

impl Unstarted {
    /// Reads the latest lines, newest first.
    pub fn operator_log(&mut self, count: u64) -> Result<Vec<LogLine>> {
        lines(&mut self.sql, u64::MAX, count).context("could not read the operator's log")
    }
}

/// Appends lines about entries that are about to be stored in the same transaction. Those whose entry is
/// there already were stored with it, by a commit whose answer was lost.
pub(super) fn put(sql: &mut Sql, notes: &[Note]) -> Result<()> {
    for Note { at, entry, act } in notes {
        if !entries::is_known(sql, entry)? {
            insert(sql, *at, act)?;
        }
    }
    Ok(())
}

/// Appends a line.
pub(super) fn insert(sql: &mut Sql, now: Moment, act: &Act) -> Result<()> {
    let last = sql.number("SELECT MAX(seq) FROM operator_log", &[])?;
    let values: [Value; 7] = [
        (last + 1).into(),
        now.into(),
        act.who.as_str().into(),
        act.deed.name().into(),
        act.about.as_str().into(),
        act.amount.into(),
        act.note.as_str().into(),
    ];
    sql.execute(
        "INSERT INTO operator_log (seq, at, who, what, about, amount, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &values,
    )?;
    Ok(())
}

fn lines(sql: &mut Sql, before: u64, count: u64) -> Result<Vec<LogLine>> {
    let read = |row: &Row| {
        Ok(LogLine {
            seq: row.count(0)?,
            at: row.moment(1)?,
            who: row.text(2)?.to_owned(),
            what: row.text(3)?.to_owned(),
            about: row.text(4)?.to_owned(),
            amount: if row.is_null(5)? { None } else { Some(row.nanos(5)?) },
            note: row.text(6)?.to_owned(),
        })
    };
    sql.list(
        "SELECT seq, at, who, what, about, amount, note FROM operator_log
         WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
        &[before.into(), count.into()],
        read,
    )
}
