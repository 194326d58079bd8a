//! PayPal Payouts: one batch with one item for each payout.
//!
//! The payout's id is the batch's `sender_batch_id`. PayPal refuses a second batch under the same id for
//! 30 days, unless it denied the first, and its refusal links to the first: a lost reply is made good by
//! submitting again; with the application that it was prepared with, because another account would pay it anew. A batch cannot be found by that id in another way, so looking needs the name that
//! submitting returned.

mod shapes;
mod token;

use std::time::Duration;

use rekursing_protocol::{Moment, Nanos, Span};
use serde_json::json;

use crate::{
    Attempt, BadDestination, BadSetup, Destination, Fate, Later, Method, NotKnown, Order, Prepared, Rail,
    Refusal, Secret, SubmitError,
    http::{Endpoint, Reply, ask, clip},
    method::dollars,
    prepared,
    refusal::{elsewhere, turned_away},
};
use shapes::{Batch, Created, Item, Problem};
use token::{NoToken, Tokens};

/// How long bytes may be submitted: a day less than PayPal remembers a `sender_batch_id`.
const MEMORY: Span = Span::secs(29 * 24 * 60 * 60);

/// How PayPal is reached.
#[derive(Debug, Clone)]
pub struct PaypalSetup {
    /// `https://api-m.paypal.com`, or the sandbox's `https://api-m.sandbox.paypal.com`.
    pub url: String,
    /// The client id of the operator's application.
    pub client: String,
    /// Its secret.
    pub secret: Secret,
    /// How long one request may take.
    pub patience: Duration,
    /// The least amount of a payout.
    pub minimum: Nanos,
}

/// Payouts by PayPal.
#[derive(Debug)]
pub struct Paypal {
    endpoint: Endpoint,
    tokens: Tokens,
    /// The account, by its application.
    account: String,
    minimum: Nanos,
}

impl Paypal {
    /// Sets PayPal up. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address is not one to send money through.
    pub fn new(setup: PaypalSetup) -> Result<Paypal, BadSetup> {
        let endpoint = Endpoint::new(&setup.url, setup.patience)?;
        let account = prepared::account(&setup.client);
        let tokens = Tokens::new(setup.client, setup.secret);
        Ok(Paypal { endpoint, tokens, account, minimum: setup.minimum })
    }

    fn prepare_now(&self, order: &Order, standing: &[Prepared], now: Moment) -> Result<Prepared, Refusal> {
        let cents = order.check(Method::Paypal, self.minimum, standing)?;
        let id = order.payout.to_string();
        let body = json!({
            "sender_batch_header": {
                "sender_batch_id": id,
                "email_subject": "Your earnings from Rekursing",
            },
            "items": [{
                "recipient_type": "EMAIL",
                "amount": { "value": dollars(cents), "currency": "USD" },
                "receiver": order.destination.text(),
                "sender_item_id": id,
            }],
        });
        Ok(Prepared::new(order, body.to_string(), None, now).by(&self.account))
    }

    async fn send(&self, prepared: &Prepared, attempt: Attempt, now: Moment) -> Result<String, SubmitError> {
        prepared.of(Method::Paypal)?;
        if !prepared.is_remembered(MEMORY, now) {
            return Err(turned_away(Refusal::Stale, attempt));
        }
        if !prepared.is_by(&self.account) {
            return Err(match attempt {
                Attempt::First => Refusal::Stale.into(),
                Attempt::Again => elsewhere().into(),
            });
        }
        let reply = self.authorized(now, || {
            let request = self.endpoint.post("/v1/payments/payouts");
            request.header("content-type", "application/json").body(prepared.body.clone())
        });
        match reply.await {
            Ok(reply) => created(&reply).map_err(|error| match error {
                SubmitError::Refused(refusal) => turned_away(refusal, attempt),
                SubmitError::NotKnown(_) => error,
            }),
            Err(NoToken::Refused(words)) => Err(turned_away(Refusal::Credentials(words), attempt)),
            Err(NoToken::Unreached(words)) => Err(turned_away(Refusal::Unavailable(words), attempt)),
            Err(NoToken::Lost(words)) => Err(NotKnown::Silent(words).into()),
        }
    }

    async fn find(&self, prepared: &Prepared, name: Option<&str>, now: Moment) -> Result<Fate, NotKnown> {
        if prepared.of(Method::Paypal).is_err() {
            return Err(NotKnown::Contradiction(Refusal::Foreign.to_string()));
        }
        let Some(name) = name.filter(|name| is_name(name)) else {
            if !prepared.is_by(&self.account) {
                return Err(elsewhere());
            }
            if !prepared.is_remembered(MEMORY, now) {
                let words = "no reply to this payout ever came, and PayPal finds no batch after 30 days";
                return Err(NotKnown::Contradiction(words.to_owned()));
            }
            return Ok(Fate::Unknown);
        };
        let path = format!("/v1/payments/payouts/{name}?page_size=2&page=1");
        let reply = self.authorized(now, || self.endpoint.get(&path)).await;
        let reply = reply.map_err(|error| NotKnown::Silent(error.words()))?;
        let batch = reply.json::<Batch>().filter(|_| reply.status == 200);
        fate(prepared, &batch.ok_or_else(|| NotKnown::Silent(reply.words()))?)
    }

    /// Sends a request with a token, and once more with a new one when PayPal does not take the first.
    async fn authorized(
        &self,
        now: Moment,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Reply, NoToken> {
        let token = self.tokens.token(&self.endpoint, now).await?;
        let reply = ask(request().bearer_auth(token.show())).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        self.tokens.forget(&token);
        let token = self.tokens.token(&self.endpoint, now).await?;
        Ok(ask(request().bearer_auth(token.show())).await?)
    }
}

impl Rail for Paypal {
    fn method(&self) -> Method {
        Method::Paypal
    }

    fn minimum(&self) -> Nanos {
        self.minimum
    }

    fn destination(&self, text: &str) -> Result<Destination, BadDestination> {
        Destination::paypal(text)
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

/// Reads the answer to a new batch: its name, or why there is none.
fn created(reply: &Reply) -> Result<String, SubmitError> {
    if matches!(reply.status, 200 | 201) {
        let created = reply.json::<Created>().map(|created| created.batch_header.payout_batch_id);
        let name = created.filter(|name| is_name(name));
        return name.ok_or_else(|| NotKnown::Silent("the answer names no batch".to_owned()).into());
    }
    let problem = reply.json::<Problem>().unwrap_or_default();
    if let Some(name) = problem.original() {
        return Ok(name);
    }
    let words = format!("{}, {}", reply.words(), clip(&problem.words()));
    if problem.is_repetition() {
        return Err(NotKnown::Contradiction(words).into());
    }
    Err(match reply.status {
        401 | 403 => Refusal::Credentials(words).into(),
        422 if problem.name == "INSUFFICIENT_FUNDS" => Refusal::Insufficient(words).into(),
        400 if problem.is_about_receiver() => Refusal::Destination(words).into(),
        400 | 404 | 415 | 422 => Refusal::Rejected(words).into(),
        _ => NotKnown::Silent(words).into(),
    })
}

/// PayPal's names go into paths.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What a batch says of the payout in it.
fn fate(prepared: &Prepared, batch: &Batch) -> Result<Fate, NotKnown> {
    let contradiction = |words: &str| Err(NotKnown::Contradiction(words.to_owned()));
    let header = &batch.batch_header;
    if header.sender_batch_header.sender_batch_id != prepared.payout.to_string() {
        return contradiction("the batch is another payout's");
    }
    let item = match batch.items.as_slice() {
        [] => None,
        [item] => Some(item),
        _ => return contradiction("the batch has more than one item"),
    };
    if item.is_some_and(|item| !is_ours(item, prepared)) {
        return contradiction("the batch pays something else than was ordered");
    }
    let reason = || item.and_then(Item::reason);
    match header.batch_status.as_str() {
        "DENIED" | "CANCELED" => Ok(returned(reason(), "PayPal did not process the payout")),
        "NEW" | "ACKNOWLEDGED" | "PENDING" | "PROCESSING" => Ok(pending("PayPal is processing the payout")),
        "SUCCESS" => match item {
            Some(item) => item_fate(item),
            None => contradiction("the batch is processed and has no item"),
        },
        other => Err(NotKnown::Silent(format!("batch status {}", clip(other)))),
    }
}

fn is_ours(item: &Item, prepared: &Prepared) -> bool {
    let amount = &item.payout_item.amount;
    amount.currency == "USD"
        && amount.value.parse() == Ok(prepared.amount)
        && item.payout_item.receiver.eq_ignore_ascii_case(&prepared.destination)
}

fn item_fate(item: &Item) -> Result<Fate, NotKnown> {
    match item.transaction_status.as_str() {
        "SUCCESS" => {
            let fee = item.fee().ok_or_else(|| NotKnown::Silent("the fee does not read".to_owned()))?;
            let reference = item.transaction_id.clone().unwrap_or_else(|| item.payout_item_id.clone());
            Ok(Fate::Confirmed { reference, cost: fee })
        }
        "PENDING" => Ok(pending("PayPal is processing the payout")),
        "ONHOLD" => Ok(pending("PayPal is reviewing the payout")),
        "UNCLAIMED" => Ok(pending(
            "The recipient has no PayPal account for this address yet, or has not accepted the money; it \
             comes back after 30 days",
        )),
        "FAILED" => Ok(returned(item.reason(), "The payout failed")),
        "BLOCKED" => Ok(returned(item.reason(), "PayPal blocked the payout")),
        "RETURNED" => Ok(returned(item.reason(), "The payout was not claimed and came back")),
        "REFUNDED" => Ok(returned(item.reason(), "The recipient sent the money back")),
        "REVERSED" => Ok(returned(item.reason(), "PayPal took the payment back")),
        other => Err(NotKnown::Silent(format!("item status {}", clip(other)))),
    }
}

fn pending(note: &str) -> Fate {
    Fate::Pending { note: note.to_owned() }
}

/// The fee that PayPal lists for an item that came back counts as nothing here: what it keeps of it shows
/// in the operator's statement alone.
fn returned(reason: Option<String>, otherwise: &str) -> Fate {
    Fate::Returned { reason: reason.unwrap_or_else(|| otherwise.to_owned()), cost: Nanos::ZERO }
}
