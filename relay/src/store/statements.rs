//! Monthly statements: what an account had, what came and went by kind of entry, and what it had then.

use anyhow::Result;
use rekursing_market::ledger::Account;
use rekursing_protocol::{AccountId, Month, Nanos, PluginId};
use serde::Serialize;

use super::{Sql, Store, Value};

/// A month of an owner, of a page or of an advertiser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The month, of UTC.
    pub month: Month,
    /// Its accounts, one after the other.
    pub accounts: Vec<Sheet>,
}

/// A month of one account: the opening balance, what came in and went out, the closing balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sheet {
    /// Which account: `available`, `held`, `setAside` or `ads`.
    pub account: &'static str,
    /// What it had when the month began.
    pub opening: Nanos,
    /// What moved, by kind of entry, in the order of their names.
    pub lines: Vec<Line>,
    /// What it had when the month ended: the opening balance and what came in less what went out.
    pub closing: Nanos,
}

/// What one kind of entry moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The kind: `hold`, `settle`, `void` or the cause of a transfer.
    pub kind: String,
    /// How many postings.
    pub postings: u64,
    /// What came in.
    #[serde(rename = "in")]
    pub credit: Nanos,
    /// What went out.
    #[serde(rename = "out")]
    pub debit: Nanos,
}

impl Store {
    /// Reads an owner's month: what can be paid out, and what is held back.
    pub async fn owner_statement(&self, plugin: PluginId, month: Month) -> Result<Statement> {
        self.read(move |sql| {
            sql.view(|sql| {
                let available = sheet(sql, "available", Account::Owner(plugin), month)?;
                let held = sheet(sql, "held", Account::Held(plugin), month)?;
                Ok(Statement { month, accounts: vec![available, held] })
            })
        })
        .await
    }

    /// Reads a page's month: what can be spent, and what is set aside for its jobs.
    pub async fn page_statement(&self, account: AccountId, month: Month) -> Result<Statement> {
        self.read(move |sql| {
            sql.view(|sql| {
                let available = sheet(sql, "available", Account::Page(account), month)?;
                let set_aside = set_aside(sql, &available, Account::Page(account), month)?;
                Ok(Statement { month, accounts: vec![available, set_aside] })
            })
        })
        .await
    }

    /// Reads an advertiser's month: what can be spent on ads.
    pub async fn advertiser_statement(&self, account: AccountId, month: Month) -> Result<Statement> {
        self.read(move |sql| {
            sql.view(|sql| {
                let ads = sheet(sql, "ads", Account::Advertiser(account), month)?;
                Ok(Statement { month, accounts: vec![ads] })
            })
        })
        .await
    }
}

fn sheet(sql: &mut Sql, name: &'static str, account: Account, month: Month) -> Result<Sheet> {
    let (first, next) = (month.first().0, month.next().first().0);
    let account: Value = account.to_string().into();
    let opening = sql.number(
        "SELECT CAST(SUM(credit - debit) AS BIGINT) FROM posted WHERE account = ?1 AND day < ?2",
        &[account.clone(), first.into()],
    )?;
    let lines = sql.list(
        "SELECT kind, CAST(SUM(postings) AS BIGINT), CAST(SUM(credit) AS BIGINT), CAST(SUM(debit) AS BIGINT)
         FROM posted WHERE account = ?1 AND day >= ?2 AND day < ?3 GROUP BY kind ORDER BY kind",
        &[account, first.into(), next.into()],
        |row| {
            Ok(Line {
                kind: row.text(0)?.to_owned(),
                postings: row.count(1)?,
                credit: row.nanos(2)?,
                debit: row.nanos(3)?,
            })
        },
    )?;
    Ok(Sheet::of(name, Nanos::new(opening), lines))
}

/// Reads what is set aside for an account's jobs: its part of escrow, of which the ledger keeps one sum for
/// all. A hold brings what it takes from the account; a void gives it back; a settlement gives a part back
/// and pays the charge with the rest.
fn set_aside(sql: &mut Sql, available: &Sheet, account: Account, month: Month) -> Result<Sheet> {
    let (first, next) = (month.first().0, month.next().first().0);
    let account: Value = account.to_string().into();
    let moved = sql.number(
        "SELECT CAST(SUM(debit - credit) AS BIGINT) FROM posted
         WHERE account = ?1 AND day < ?2 AND kind IN ('hold', 'settle', 'void')",
        &[account.clone(), first.into()],
    )?;
    let charged = "SELECT CAST(SUM(charge) AS BIGINT) FROM spent WHERE account = ?1 AND day < ?2";
    let opening = moved - sql.number(charged, &[account.clone(), first.into()])?;
    let (jobs, charge) = sql
        .first(
            "SELECT CAST(SUM(jobs) AS BIGINT), CAST(SUM(charge) AS BIGINT) FROM spent
             WHERE account = ?1 AND day >= ?2 AND day < ?3",
            &[account, first.into(), next.into()],
            |row| Ok((row.number_or_zero(0)?.unsigned_abs(), row.number_or_zero(1)?)),
        )?
        .unwrap_or_default();
    let of = |kind: &str| available.lines.iter().find(|line| line.kind == kind);
    let settled = Line {
        kind: "settle".to_owned(),
        postings: jobs,
        credit: Nanos::ZERO,
        debit: Nanos::new(charge + of("settle").map_or(0, |line| line.credit.get())),
    };
    let turned = |kind| of(kind).map(|line| Line { credit: line.debit, debit: line.credit, ..line.clone() });
    let lines = [turned("hold"), Some(settled).filter(|settled| settled.postings > 0), turned("void")];
    Ok(Sheet::of("setAside", Nanos::new(opening), lines.into_iter().flatten().collect()))
}

impl Sheet {
    fn of(account: &'static str, opening: Nanos, lines: Vec<Line>) -> Sheet {
        let moved: i64 = lines.iter().map(|line| line.credit.get() - line.debit.get()).sum();
        Sheet { account, opening, lines, closing: Nanos::new(opening.get() + moved) }
    }
}
