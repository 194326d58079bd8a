//! Stripe Connect: one transfer to the owner's connected account for each payout.
//!
//! The payout's id is the `Idempotency-Key` and the `transfer_group`. Stripe answers a repeated key with
//! its first answer for at least a day. After that, and before anything is sent again, the list of the
//! group's transfers says whether there is one. From the connected account, Stripe pays out to the owner's bank.

mod api;
mod transfer;

use std::time::Duration;

use rekursing_protocol::{Moment, Nanos, PayoutId, Span};

use crate::{
    Attempt, BadDestination, BadSetup, Destination, Fate, Later, Method, NotKnown, Order, Prepared, Rail,
    Refusal, Secret, SubmitError,
    http::{Reply, Silence, clip},
    prepared,
    refusal::{elsewhere, turned_away},
};
pub(crate) use api::{Api, form};
use api::{Complaint, is_name};
use transfer::{Transfer, Transfers};

/// How long bytes may be submitted: an hour less than Stripe remembers a key.
const MEMORY: Span = Span::secs(23 * 60 * 60);

/// When no request of that time can still be on its way.
const OVER: Span = Span::secs(25 * 60 * 60);

/// How Stripe is reached.
#[derive(Debug, Clone)]
pub struct StripeSetup {
    /// `https://api.stripe.com`.
    pub url: String,
    /// The operator's secret key, `sk_…` or `rk_…`.
    pub key: Secret,
    /// How long one request may take.
    pub patience: Duration,
    /// The least amount of a payout.
    pub minimum: Nanos,
}

/// Payouts by Stripe Connect.
#[derive(Debug)]
pub struct Stripe {
    api: Api,
    /// The account, by its key: a new key may well be another account's.
    account: String,
    minimum: Nanos,
}

impl Stripe {
    /// Sets Stripe up. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address is not one to send money through.
    pub fn new(setup: StripeSetup) -> Result<Stripe, BadSetup> {
        let account = prepared::account(setup.key.show());
        let api = Api::new(&setup.url, setup.key, setup.patience)?;
        Ok(Stripe { api, account, minimum: setup.minimum })
    }

    /// Takes a transfer back in full, by the name that [`Rail::submit`] returned. Doing it twice has the
    /// effect of once; looking then says that the order was returned.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] when nothing was taken back, [`SubmitError::NotKnown`] when it may have been.
    pub async fn reverse(&self, payout: PayoutId, name: &str) -> Result<(), SubmitError> {
        if !is_name(name) {
            return Err(Refusal::Foreign.into());
        }
        let path = format!("/v1/transfers/{name}/reversals");
        let key = format!("{payout}-reversal");
        match self.api.post(&path, String::new(), &key).await {
            Ok(reply) if reply.status == 200 => Ok(()),
            Ok(reply) => Err(complaint(&reply)),
            Err(Silence::Unreached(words)) => Err(Refusal::Unavailable(words).into()),
            Err(Silence::Lost(words)) => Err(NotKnown::Silent(words).into()),
        }
    }

    fn prepare_now(&self, order: &Order, standing: &[Prepared], now: Moment) -> Result<Prepared, Refusal> {
        let cents = order.check(Method::Stripe, self.minimum, standing)?.to_string();
        let id = order.payout.to_string();
        let body = form(&[
            ("amount", &cents),
            ("currency", "usd"),
            ("destination", order.destination.text()),
            ("description", "Earnings from Rekursing"),
            ("transfer_group", &id),
            ("metadata[payout]", &id),
        ]);
        Ok(Prepared::new(order, body, None, now).by(&self.account))
    }

    async fn send(&self, prepared: &Prepared, attempt: Attempt, now: Moment) -> Result<String, SubmitError> {
        prepared.of(Method::Stripe)?;
        if !prepared.is_remembered(MEMORY, now) {
            return Err(turned_away(Refusal::Stale, attempt));
        }
        if attempt == Attempt::Again
            && let Some(transfer) = self.of_group(prepared).await?
        {
            return Ok(transfer.id);
        }
        if !prepared.is_by(&self.account) {
            return Err(match attempt {
                Attempt::First => Refusal::Stale.into(),
                Attempt::Again => elsewhere().into(),
            });
        }
        let key = prepared.payout.to_string();
        let reply = match self.api.post("/v1/transfers", prepared.body.clone(), &key).await {
            Ok(reply) => reply,
            Err(Silence::Unreached(words)) => {
                return Err(turned_away(Refusal::Unavailable(words), attempt));
            }
            Err(Silence::Lost(words)) => return Err(NotKnown::Silent(words).into()),
        };
        if reply.status != 200 {
            return Err(match complaint(&reply) {
                SubmitError::Refused(refusal) => turned_away(refusal, attempt),
                SubmitError::NotKnown(not_known) => not_known.into(),
            });
        }
        let transfer = reply.json::<Transfer>().filter(|transfer| is_name(&transfer.id));
        let transfer = transfer.ok_or_else(|| NotKnown::Silent("the answer is no transfer".to_owned()))?;
        transfer.check(prepared)?;
        Ok(transfer.id)
    }

    async fn find(&self, prepared: &Prepared, name: Option<&str>, now: Moment) -> Result<Fate, NotKnown> {
        if prepared.of(Method::Stripe).is_err() {
            return Err(NotKnown::Contradiction(Refusal::Foreign.to_string()));
        }
        if let Some(name) = name.filter(|name| is_name(name)) {
            let path = format!("/v1/transfers/{name}?expand[]=balance_transaction");
            return self.read::<Transfer>(&path).await?.fate(prepared);
        }
        match self.of_group(prepared).await? {
            Some(transfer) => transfer.fate(prepared),
            None if !prepared.is_by(&self.account) => Err(elsewhere()),
            None if prepared.is_older_than(OVER, now) => Ok(Fate::Returned {
                reason: "The transfer never arrived at Stripe".to_owned(),
                cost: Nanos::ZERO,
            }),
            None if !prepared.is_remembered(MEMORY, now) => {
                Err(NotKnown::Silent("too late to send again and too early to be sure".to_owned()))
            }
            None => Ok(Fate::Unknown),
        }
    }

    /// Finds the transfer of a payout without its name.
    async fn of_group(&self, prepared: &Prepared) -> Result<Option<Transfer>, NotKnown> {
        let group = prepared.payout;
        let path = format!("/v1/transfers?transfer_group={group}&limit=2&expand[]=data.balance_transaction");
        let mut transfers = self.read::<Transfers>(&path).await?.data.into_iter();
        let transfer = transfers.next();
        if let Some(transfer) = &transfer {
            transfer.check(prepared)?;
        }
        if transfers.next().is_some() {
            return Err(NotKnown::Contradiction("there is more than one transfer of this payout".to_owned()));
        }
        Ok(transfer)
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, NotKnown> {
        let reply = self.api.get(path).await.map_err(|silence| NotKnown::Silent(silence.words()))?;
        let read = reply.json::<T>().filter(|_| reply.status == 200);
        read.ok_or_else(|| NotKnown::Silent(reply.words()))
    }
}

impl Rail for Stripe {
    fn method(&self) -> Method {
        Method::Stripe
    }

    fn minimum(&self) -> Nanos {
        self.minimum
    }

    fn destination(&self, text: &str) -> Result<Destination, BadDestination> {
        Destination::stripe(text)
    }

    fn prepare<'a>(
        &'a self,
        order: &'a Order,
        standing: &'a [Prepared],
        now: Moment,
    ) -> Later<'a, Result<Prepared, Refusal>> {
        Box::pin(std::future::ready(self.prepare_now(order, standing, now)))
    }

    fn submit<'a>(
        &'a self,
        prepared: &'a Prepared,
        attempt: Attempt,
        now: Moment,
    ) -> Later<'a, Result<String, SubmitError>> {
        Box::pin(self.send(prepared, attempt, now))
    }

    fn look<'a>(
        &'a self,
        prepared: &'a Prepared,
        name: Option<&'a str>,
        now: Moment,
    ) -> Later<'a, Result<Fate, NotKnown>> {
        Box::pin(self.find(prepared, name, now))
    }
}

/// Reads why Stripe did not do something.
pub(crate) fn complaint(reply: &Reply) -> SubmitError {
    let error = reply.json::<Complaint>().unwrap_or_default().error;
    let words = format!("{}, {}", reply.words(), clip(&error.words()));
    if error.kind == "idempotency_error" {
        return NotKnown::Contradiction(words).into();
    }
    match reply.status {
        401 | 403 => Refusal::Credentials(words).into(),
        400 | 402 | 404 if matches!(error.code.as_str(), "balance_insufficient" | "insufficient_funds") => {
            Refusal::Insufficient(words).into()
        }
        400 | 402 | 404 if error.param == "destination" || error.code == "account_invalid" => {
            Refusal::Destination(words).into()
        }
        400 | 402 | 404 => Refusal::Rejected(words).into(),
        _ => NotKnown::Silent(words).into(),
    }
}
