//! Top-ups: what was shown to whoever opened a page to pay on, and whose payment is whose.

use anyhow::Result;
use rekursing_protocol::{AccountId, Moment, Nanos};

use super::Store;

/// A top-up that waits to be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTopUp {
    /// What of the payment the payment itself costs, as it was shown.
    pub cost: Nanos,
}

impl Store {
    /// Keeps what was shown to whoever opened a page.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn opened(
        &self,
        now: Moment,
        session: String,
        account: AccountId,
        amount: Nanos,
        cost: Nanos,
    ) -> Result<()> {
        self.make(move |sql| {
            let values = [session.into(), account.to_string().into(), amount.into(), cost.into(), now.into()];
            sql.execute(
                "INSERT INTO top_up (session, account, amount, cost, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (session) DO NOTHING",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// Notes which payment a top-up is. Returns it unless it is in the book already; of one that nobody
    /// knows, because the relay died while it was opened, with the cost that is given.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn paid(
        &self,
        session: String,
        account: AccountId,
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
            let shown = "SELECT cost FROM top_up WHERE session = ?1 AND amount = ?2";
            let shown = sql.first(shown, &[session.into(), amount.into()], |row| row.nanos(0))?;
            let cost = shown.unwrap_or(cost);
            let values = [
                session.into(),
                account.to_string().into(),
                amount.into(),
                cost.into(),
                payment.as_deref().into(),
            ];
            sql.execute(
                "INSERT INTO top_up (session, account, amount, cost, payment, at) VALUES (?1, ?2, ?3, ?4, ?5, 0)
                 ON CONFLICT (session) DO UPDATE SET payment = excluded.payment",
                &values,
            )?;
            Ok(Some(OpenTopUp { cost }))
        })
        .await
    }

    /// Reads whose top-up a payment is, once that is in the book.
    pub async fn credited(&self, payment: String) -> Result<Option<AccountId>> {
        self.flushed().await;
        self.read(move |sql| {
            let account = "SELECT account FROM top_up WHERE payment IS NOT NULL AND payment = ?1
                           AND EXISTS (SELECT 1 FROM entry WHERE id = 'top_up:' || session)";
            sql.first(account, &[payment.into()], |row| row.parsed(0))
        })
        .await
    }
}
