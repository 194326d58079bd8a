//! Top-ups: pages and advertisers pay in by Stripe Checkout, and what Stripe reports of it goes into the book.
//!
//! Opening a page to pay on moves no money. What Stripe reports moves it once, whatever is reported twice
//! or out of order: the ids of the entries are made of Stripe's own, and what went back before its payment
//! arrived is kept until then.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rekursing_market::{Account, ledger::PaymentCost};
use rekursing_protocol::{AccountId, Nanos};
use rekursing_rails::{
    Secret,
    checkout::{Checkout, CheckoutError, Page, Purpose, TopUp},
    webhook::{Dispute, Event, Payment},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    config,
    desk::{Desk, PaidIn},
    store::{OpenTopUp, RefundFailed, WentBack},
};

/// Stripe, and what paying in costs.
#[derive(Debug)]
pub struct TopUps {
    checkout: Checkout,
    webhook_secret: Secret,
    terms: config::TopUps,
    /// Held from the look at what was booked before until the next is durable: two reports of one charge
    /// would each see the other's part as missing.
    booking: Mutex<()>,
}

/// What somebody is about to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// What the card is charged.
    pub amount: Nanos,
    /// What of it the payment costs.
    pub cost: Nanos,
    /// What the account gets.
    pub credit: Nanos,
}

impl TopUps {
    /// Sets Stripe up as the config says. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When a secret is missing or the address is none to send money through.
    pub fn of(terms: &config::TopUps) -> Result<TopUps> {
        let key = secret("key_file", terms.key_file.as_deref(), "REKURSING_STRIPE_KEY")?;
        let file = terms.webhook_secret_file.as_deref();
        let webhook_secret = secret("webhook_secret_file", file, "REKURSING_STRIPE_WEBHOOK_SECRET")?;
        let checkout = Checkout::new(&terms.url, key, Duration::from_millis(terms.request_ms))?;
        Ok(TopUps { checkout, webhook_secret, terms: terms.clone(), booking: Mutex::default() })
    }

    /// Returns the secret with which Stripe signs its reports.
    pub fn webhook_secret(&self) -> &Secret {
        &self.webhook_secret
    }

    /// Returns the least and the most that is paid in at once.
    pub fn bounds(&self) -> [Nanos; 2] {
        [self.terms.minimum, self.terms.maximum]
    }

    /// Says what a payment costs and what is left of it.
    pub fn quote(&self, amount: Nanos) -> Quote {
        let cost = PaymentCost { fixed: self.terms.cost, permille: self.terms.cost_permille }.of(amount);
        Quote { amount, cost, credit: amount.checked_sub(cost).unwrap_or_default() }
    }

    /// Opens a page to pay on. The same key is the same page.
    ///
    /// # Errors
    /// When Stripe refuses or does not answer.
    pub async fn open(
        &self,
        account: AccountId,
        purpose: Purpose,
        amount: Nanos,
        key: &str,
    ) -> Result<Page, CheckoutError> {
        let top_up = TopUp {
            account,
            purpose,
            amount,
            success_url: self.terms.success_url.clone(),
            cancel_url: self.terms.cancel_url.clone(),
            key: key.to_owned(),
        };
        self.checkout.open(&top_up).await
    }

    /// Books what Stripe reports; done when it is durable.
    ///
    /// # Errors
    /// When the store cannot be read or written: then Stripe has to report it again.
    pub async fn book(&self, desk: &Desk, event: Event) -> Result<()> {
        let _alone = self.booking().await;
        match event {
            Event::Paid(payment) => self.paid(desk, payment).await,
            Event::Refunded { charge, payment, amount, told } => {
                went_back(desk, WentBack { id: charge, payment, amount, disputed: None, told }).await
            }
            Event::RefundFailed { refund, charge, payment, amount, told } => {
                let failed = RefundFailed { id: refund, charge, payment: payment.clone(), amount, told };
                desk.store().refund_failed(desk.now(), failed).await?;
                even_out(desk, &payment).await.map(drop)
            }
            Event::Withdrawn(Dispute { id, payment, amount, reason, told }) => {
                went_back(desk, WentBack { id, payment, amount, disputed: Some(reason), told }).await
            }
            Event::Reinstated(Dispute { id, payment, reason, told, .. }) => {
                let (amount, disputed) = (Nanos::ZERO, Some(reason));
                went_back(desk, WentBack { id, payment, amount, disputed, told }).await
            }
            Event::Awaited(_) | Event::Failed(_) | Event::Other => Ok(()),
        }
    }

    /// Waits until nothing else is booked of payments, and keeps it so.
    pub async fn booking(&self) -> MutexGuard<'_, ()> {
        self.booking.lock().await
    }

    async fn paid(&self, desk: &Desk, payment: Payment) -> Result<()> {
        let Payment { session, payment, account, purpose, amount } = payment;
        // A code that takes everything off leaves nothing to book.
        if amount == Nanos::ZERO {
            return Ok(());
        }
        let store = desk.store();
        // What was shown when the page was opened counts, and not what the config says since.
        let to = purse(account, purpose);
        let opened = store.paid(session.clone(), to, amount, self.quote(amount).cost, payment.clone());
        let opened = opened.await?;
        let payment = payment.unwrap_or_default();
        if let Some(OpenTopUp { to, cost }) = opened {
            let paid = PaidIn { id: &session, to, amount, cost, note: &payment };
            desk.pay_in(&paid, &store.missing(payment.clone(), to).await?)?;
        }
        even_out(desk, &payment).await.map(drop)
    }
}

/// Returns which account of the ledger grows by what is paid in for this.
pub fn purse(account: AccountId, purpose: Purpose) -> Account {
    match purpose {
        Purpose::Answers => Account::Page(account),
        Purpose::Ads => Account::Advertiser(account),
    }
}

/// Keeps what is reported to have gone back, and books it if its payment is in the book; otherwise the
/// payment, when it comes, brings less.
async fn went_back(desk: &Desk, report: WentBack) -> Result<()> {
    let (id, payment) = (report.id.clone(), report.payment.clone());
    desk.store().went_back(desk.now(), report).await?;
    if !even_out(desk, &payment).await? {
        // The operator may sell other things through the same account of Stripe.
        tracing::info!(id, payment, "money went back of a payment that is not in the book");
    }
    Ok(())
}

/// Makes the book follow what is reported of a payment; done when that is durable. `false` when the payment
/// itself is not there.
async fn even_out(desk: &Desk, payment: &str) -> Result<bool> {
    let store = desk.store();
    let Some(account) = store.credited(payment.to_owned()).await? else { return Ok(false) };
    desk.even_out(account, &store.missing(payment.to_owned(), account).await?)?;
    store.flushed().await;
    Ok(true)
}

/// Reads a secret from the file that the config names, or from the environment.
fn secret(field: &str, file: Option<&Path>, variable: &str) -> Result<Secret> {
    match file {
        Some(file) => Secret::read(file).with_context(|| format!("{field} {}", file.display())),
        None => match std::env::var(variable) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
            Ok(_) | Err(_) => bail!("`{field}` names no file and {variable} is not set"),
        },
    }
}
