//! Money that went back the way it came: what is reported of it, and what of that is in the book.
//!
//! A report can arrive before the payment that it is about. It is kept here until that is in the book.

use anyhow::Result;
use rekursing_market::ledger::{Entry, uncovered_id};
use rekursing_protocol::{Moment, Nanos};

use super::{
    Row, Sql, Store,
    entries::{self, columns},
};

/// Money that went back, as the payment service reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentBack {
    /// The payment service's name for the charge that was refunded, or for the dispute.
    pub id: String,
    /// Its name for the payment.
    pub payment: String,
    /// All that went back in this way until now.
    pub amount: Nanos,
    /// Why somebody disputed the payment; nothing when it was refunded.
    pub disputed: Option<String>,
    /// Whether the dispute was won, and the money is here again.
    pub won: bool,
}

/// A part of what went back that is not in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the ids of its entries end with.
    pub id: String,
    /// How much.
    pub amount: Nanos,
    /// What a reader of the book should know.
    pub note: String,
}

impl WentBack {
    /// Returns what the ids of its entries end with. A charge can be refunded in several parts.
    fn entry(&self) -> String {
        match self.disputed {
            Some(_) => self.id.clone(),
            None => format!("{}:{}", self.id, self.amount.get()),
        }
    }

    fn note(&self) -> String {
        self.disputed.as_ref().map_or("refunded by card".to_owned(), |reason| format!("disputed: {reason}"))
    }
}

impl Store {
    /// Keeps a report; of two about the same, what tells of more. A dispute that is won stays so: that it was
    /// lost before can be reported later.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn went_back(&self, now: Moment, report: WentBack) -> Result<()> {
        self.change(move |sql| {
            let WentBack { id, payment, amount, disputed, won } = report;
            sql.execute(
                "INSERT INTO went_back (id, payment, amount, disputed, won, booked, at)
                 VALUES (?1, ?2, ?3, ?4, 0, 0, ?5)
                 ON CONFLICT (id) DO UPDATE SET amount = excluded.amount
                 WHERE excluded.amount > went_back.amount",
                &[id.as_str().into(), payment.into(), amount.into(), disputed.into(), now.into()],
            )?;
            if won {
                sql.execute("UPDATE went_back SET won = 1 WHERE id = ?1", &[id.into()])?;
            }
            Ok(())
        })
        .await
    }

    /// Reads what of a payment went back and is not in the book.
    pub async fn missing(&self, payment: String) -> Result<Vec<Missing>> {
        self.flushed().await;
        self.read(move |sql| {
            let reports = sql.list(
                "SELECT id, payment, amount, disputed, won, booked FROM went_back
                 WHERE payment = ?1 AND amount > booked AND won = 0 ORDER BY at, id",
                &[payment.into()],
                |row| Ok((read(row)?, row.nanos(5)?)),
            )?;
            let mut missing = Vec::new();
            for (report, booked) in reports {
                let id = report.entry();
                // A crash can have come between the entries and the note that they are there.
                if !is_booked(sql, &id)? {
                    let amount = report.amount.checked_sub(booked).unwrap_or_default();
                    missing.push(Missing { id, amount, note: report.note() });
                }
            }
            Ok(missing)
        })
        .await
    }

    /// Reads the entries by which a payment's money went back and that are to be taken back themselves,
    /// because the dispute was won.
    pub async fn won(&self, payment: String) -> Result<Vec<Entry>> {
        self.flushed().await;
        self.read(move |sql| {
            sql.list(
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM entry JOIN (SELECT 'refund:' || id AS taken FROM went_back
                          WHERE payment = ?1 AND disputed IS NOT NULL AND won = 1) AS back
                      ON entry.id IN (taken, 'correction:' || taken, 'correction:' || taken || ':shortfall')
                      WHERE NOT EXISTS
                          (SELECT 1 FROM entry AS other WHERE other.id = 'correction:' || entry.id || ':0')
                      ORDER BY seq"
                ),
                &[payment.into()],
                entries::read,
            )
        })
        .await
    }

    /// Notes that all that is reported of a payment is in the book.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn booked(&self, payment: String) -> Result<()> {
        self.change(move |sql| {
            let booked = "UPDATE went_back SET booked = amount WHERE payment = ?1 AND amount > booked";
            sql.execute(booked, &[payment.into()])?;
            Ok(())
        })
        .await
    }
}

fn read(row: &Row) -> Result<WentBack> {
    Ok(WentBack {
        id: row.text(0)?.to_owned(),
        payment: row.text(1)?.to_owned(),
        amount: row.nanos(2)?,
        disputed: if row.is_null(3)? { None } else { Some(row.text(3)?.to_owned()) },
        won: row.number(4)? == 1,
    })
}

fn is_booked(sql: &mut Sql, id: &str) -> Result<bool> {
    for known in [format!("refund:{id}"), format!("correction:refund:{id}"), uncovered_id(id)] {
        if entries::is_known(sql, &known)? {
            return Ok(true);
        }
    }
    Ok(false)
}
