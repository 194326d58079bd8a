//! Top-ups: what was shown to whoever opened a page to pay on, and whose payment is whose.

use anyhow::Result;
use rekursing_market::ledger::Account;
use rekursing_protocol::{Moment, Nanos};

use super::Store;

/// A page to pay on that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedTopUp {
    /// The payment service's name for it.
    pub session: String,
    /// Whose balance grows: a page's or an advertiser's.
    pub to: Account,
    /// What is to be paid.
    pub amount: Nanos,
    /// What of it the payment costs, as it was shown.
    pub cost: Nanos,
    /// What the call that opened it was to make, see [`Store::ask`].
    pub made: String,
}

/// A top-up that waits to be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTopUp {
    /// Whose balance grows.
    pub to: Account,
    /// What of the payment the payment itself costs, as it was shown.
    pub cost: Nanos,
}

impl Store {
    /// Keeps what was shown to whoever opened a page.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn opened(&self, now: Moment, opened: OpenedTopUp) -> Result<()> {
        self.make(move |sql| {
            let OpenedTopUp { session, to, amount, cost, made } = opened;
            sql.execute(
                "INSERT INTO top_up (session, account, amount, cost, at, made) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (session) DO NOTHING",
                &[
                    session.into(),
                    to.to_string().into(),
                    amount.into(),
                    cost.into(),
                    now.into(),
                    made.into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes which payment a top-up is. Returns it unless it is in the book already; of one that nobody
    /// knows, because the relay died while it was opened, with the account and the cost that are given.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn paid(
        &self,
        session: String,
        to: Account,
        amount: Nanos,
        cost: Nanos,
        payment: Option<String>,
    ) -> Result<Option<OpenTopUp>> {
        self.make(move |sql| {
            let session = session.as_str();
            let entry = "SELECT COUNT(*) FROM entry WHERE id = 'top_up:' || ?1";
            if sql.number(entry, &[session.into()])? > 0 {
                return Ok(None);
            }
            let shown = "SELECT account, cost FROM top_up WHERE session = ?1 AND amount = ?2";
            let shown = sql.first(shown, &[session.into(), amount.into()], |row| {
                Ok(OpenTopUp { to: row.parsed(0)?, cost: row.nanos(1)? })
            })?;
            let OpenTopUp { to, cost } = shown.unwrap_or(OpenTopUp { to, cost });
            let values = [
                session.into(),
                to.to_string().into(),
                amount.into(),
                cost.into(),
                payment.as_deref().into(),
            ];
            sql.execute(
                "INSERT INTO top_up (session, account, amount, cost, payment, at) VALUES (?1, ?2, ?3, ?4, ?5, 0)
                 ON CONFLICT (session) DO UPDATE SET payment = excluded.payment",
                &values,
            )?;
            Ok(Some(OpenTopUp { to, cost }))
        })
        .await
    }

    /// Reads whose balance a payment has made grow, once that is in the book.
    pub async fn credited(&self, payment: String) -> Result<Option<Account>> {
        self.flushed().await;
        self.read(move |sql| {
            let account = "SELECT account FROM top_up WHERE payment IS NOT NULL AND payment = ?1
                           AND EXISTS (SELECT 1 FROM entry WHERE id = 'top_up:' || session)";
            sql.first(account, &[payment.into()], |row| row.parsed(0))
        })
        .await
    }
}
