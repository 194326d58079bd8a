//! Money that went back the way it came: what is reported of it, and what of that is in the book.
//!
//! A report says how much of a payment has gone by one refunded charge or one dispute as of a moment; that goes up
//! and down. What is in the book is read from the ledger each time, by the ids of the entries: so a crash between a
//! report and its entries, or between the entries and whatever follows, leaves nothing to guess. A report can
//! arrive before the payment that it is about; it waits here until that is in the book.

use anyhow::Result;
use rekursing_market::{
    Account,
    ledger::{Borne, correction_id, repaid_id, returned_id, uncovered_id},
};
use rekursing_protocol::{Moment, Nanos};

use super::{Row, Sql, Store, entries};

/// Money that went back, as the payment service reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentBack {
    /// The payment service's name for the charge that was refunded, or for the dispute.
    pub id: String,
    /// Its name for the payment.
    pub payment: String,
    /// All that is gone in this way as of `told`; nothing when a dispute was won.
    pub amount: Nanos,
    /// Why somebody disputed the payment; nothing when it was refunded.
    pub disputed: Option<String>,
    /// When the payment service saw it so.
    pub told: Moment,
}

/// A refund that did not reach the card: what it took is here again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFailed {
    /// The payment service's name for the refund.
    pub id: String,
    /// Its name for the charge that was refunded.
    pub charge: String,
    /// Its name for the payment.
    pub payment: String,
    /// How much it was.
    pub amount: Nanos,
    /// When the payment service saw it so.
    pub told: Moment,
}

/// What the book lacks of what is reported of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// This much more is gone.
    Gone {
        /// What the ids of its entries end with.
        id: String,
        /// How much.
        amount: Nanos,
        /// What a reader of the book should know.
        note: String,
    },
    /// This much is here again.
    Back {
        /// What the ids of its entries hold.
        id: String,
        /// How much.
        amount: Nanos,
        /// Who has borne what of it.
        borne: Borne,
        /// What a reader of the book should know.
        note: String,
    },
}

/// What others have borne for a payment to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debt {
    /// What the ids of the entries hold that pay it again.
    pub id: String,
    /// Who has borne what.
    pub borne: Borne,
    /// What a reader of the book should know.
    pub note: String,
}

/// A report with what the ledger has of it.
struct Report {
    id: String,
    amount: Nanos,
    disputed: Option<String>,
    /// What its entries' ids end with.
    bases: Vec<String>,
    borne: Borne,
    /// What of it the operator has taken back by hand.
    by_hand: Nanos,
}

impl Store {
    /// Keeps a report; of two about the same, the later one. Of two of the same second the one that tells of
    /// more, but that a dispute is won comes after that it was lost.
    ///
    /// # Errors
    /// When it could not be made durable; so with every change here.
    pub async fn went_back(&self, now: Moment, report: WentBack) -> Result<()> {
        self.change(move |sql| {
            let WentBack { id, payment, amount, disputed, told } = report;
            sql.execute(
                "INSERT INTO went_back (id, payment, amount, disputed, told, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, told = excluded.told
                 WHERE excluded.told > went_back.told OR (excluded.told = went_back.told
                     AND (went_back.disputed IS NULL OR went_back.amount > 0)
                     AND (excluded.amount > went_back.amount
                         OR (went_back.disputed IS NOT NULL AND excluded.amount = 0)))",
                &[id.into(), payment.into(), amount.into(), disputed.into(), told.into(), now.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps that a refund failed. What is told later of its charge has it in its sum.
    pub async fn refund_failed(&self, now: Moment, failed: RefundFailed) -> Result<()> {
        self.change(move |sql| {
            let RefundFailed { id, charge, payment, amount, told } = failed;
            sql.execute(
                "INSERT INTO went_back (id, payment, amount, part_of, told, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO NOTHING",
                &[id.into(), payment.into(), amount.into(), charge.into(), told.into(), now.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Reads what the book lacks of what is reported of a payment to an account, under ids that are kept: what is
    /// posted under them is found again.
    pub async fn missing(&self, payment: String, to: Account) -> Result<Vec<Missing>> {
        self.flushed().await;
        self.make(move |sql| {
            // What the operator has taken back of the payment itself is gone with any refund.
            let mut taken = taken_back(sql, &payment)?;
            let mut missing = Vec::new();
            for report in reports(sql, &payment, to)? {
                let gone = less(report.amount, taken);
                taken = less(taken, report.amount);
                let (gone, booked) = (less(gone, report.by_hand), report.borne.sum());
                if gone == booked {
                    continue;
                }
                let (id, note, borne) = (report.next(sql)?, report.note(), report.borne);
                missing.push(if gone > booked {
                    Missing::Gone { id, amount: less(gone, booked), note }
                } else {
                    let note = format!("here again, {note}");
                    Missing::Back { id, amount: less(booked, gone), borne, note }
                });
            }
            Ok(missing)
        })
        .await
    }

    /// Reads what others have borne for payments to an account, under ids that are kept. Where there is nothing,
    /// nothing is written.
    pub async fn debts(&self, account: Account) -> Result<Vec<Debt>> {
        self.flushed().await;
        if self.read(move |sql| owed(sql, account)).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.make(move |sql| {
            let owed = owed(sql, account)?;
            let debt = |report: Report| {
                let (id, note) = (report.next(sql)?, format!("paid again, {}", report.note()));
                Ok(Debt { id, borne: report.borne, note })
            };
            owed.into_iter().map(debt).collect()
        })
        .await
    }

    /// Tells whether anything of the payment of a Checkout Session has gone back.
    pub async fn has_gone_back(&self, session: String) -> Result<bool> {
        self.flushed().await;
        self.read(move |sql| {
            let paid = "SELECT payment, account FROM top_up WHERE session = ?1 AND payment IS NOT NULL";
            let paid =
                sql.first(paid, &[session.into()], |row| Ok((row.text(0)?.to_owned(), row.parsed(1)?)))?;
            let Some((payment, to)) = paid else { return Ok(false) };
            Ok(reports(sql, &payment, to)?.iter().any(|report| report.borne.sum() != Nanos::ZERO))
        })
        .await
    }
}

impl Report {
    fn note(&self) -> String {
        self.disputed.as_ref().map_or("refunded by card".to_owned(), |reason| format!("disputed: {reason}"))
    }

    /// Returns what the ids of its next entries end with, and keeps it. A charge can be refunded in several
    /// parts, and each part can come again.
    fn next(&self, sql: &mut Sql) -> Result<String> {
        let mut base = match self.disputed {
            Some(_) => self.id.clone(),
            None => format!("{}:{}", self.id, self.amount.get()),
        };
        if self.bases.contains(&base) {
            base = format!("{base}:{}", self.bases.len());
        }
        let keep = "INSERT INTO went_back_entry (report, base) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        sql.execute(keep, &[self.id.as_str().into(), base.as_str().into()])?;
        Ok(base)
    }
}

/// Reads what is reported of a payment, the oldest first.
fn reports(sql: &mut Sql, payment: &str, to: Account) -> Result<Vec<Report>> {
    let mut reports = sql.list(
        "SELECT id, amount, disputed FROM gone WHERE payment = ?1 ORDER BY at, id",
        &[payment.into()],
        read,
    )?;
    for report in &mut reports {
        let bases = "SELECT base FROM went_back_entry WHERE report = ?1 ORDER BY base";
        report.bases = sql.list(bases, &[report.id.as_str().into()], |row| Ok(row.text(0)?.to_owned()))?;
        for base in &report.bases {
            for id in [format!("refund:{base}"), format!("correction:refund:{base}"), uncovered_id(base)] {
                if let Some(entry) = entries::by_id(sql, &id)? {
                    report.borne.count(to, &entry);
                }
                if let Some(entry) = entries::by_id(sql, &correction_id(&id, 0))? {
                    let before = report.borne.sum();
                    report.borne.count(to, &entry);
                    let back = less(before, report.borne.sum());
                    report.by_hand = Nanos::new(report.by_hand.get() + back.get());
                }
            }
            let again = (0..3).map(|n| returned_id(base, n)).chain((0..2).map(|n| repaid_id(base, n)));
            for id in again {
                if let Some(entry) = entries::by_id(sql, &id)? {
                    report.borne.count(to, &entry);
                }
            }
        }
    }
    Ok(reports)
}

/// Reads those reports of payments to an account for which others have borne something, in the order of their payments.
fn owed(sql: &mut Sql, account: Account) -> Result<Vec<Report>> {
    let payments = sql.list(
        "SELECT DISTINCT payment FROM top_up WHERE account = ?1 AND payment IN
             (SELECT payment FROM went_back) ORDER BY payment",
        &[account.to_string().into()],
        |row| Ok(row.text(0)?.to_owned()),
    )?;
    let mut owed = Vec::new();
    for payment in payments {
        owed.extend(reports(sql, &payment, account)?.into_iter().filter(|report| {
            let Borne { platform, shortfall, .. } = report.borne;
            platform > Nanos::ZERO || shortfall > Nanos::ZERO
        }));
    }
    Ok(owed)
}

/// Reads what of a payment the operator has taken back by a correction of its top-up.
fn taken_back(sql: &mut Sql, payment: &str) -> Result<Nanos> {
    let taken = "SELECT CAST(SUM(entry.amount) AS BIGINT) FROM top_up
                 JOIN entry ON entry.id = 'correction:top_up:' || top_up.session || ':0'
                 WHERE top_up.payment = ?1";
    sql.number(taken, &[payment.into()]).map(Nanos::new)
}

fn read(row: &Row) -> Result<Report> {
    Ok(Report {
        id: row.text(0)?.to_owned(),
        amount: row.nanos(1)?.max(Nanos::ZERO),
        disputed: if row.is_null(2)? { None } else { Some(row.text(2)?.to_owned()) },
        bases: Vec::new(),
        borne: Borne::default(),
        by_hand: Nanos::ZERO,
    })
}

/// Takes a part off, and ends at nothing.
fn less(whole: Nanos, part: Nanos) -> Nanos {
    whole.checked_sub(part).unwrap_or_default().max(Nanos::ZERO)
}
