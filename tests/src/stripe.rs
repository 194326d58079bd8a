//! Stripe as far as a page that pays in needs it: Checkout Sessions, and reports signed as Stripe signs
//! them. Shapes and words are those that Stripe documents.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    http::{Answer, Page},
    relay::operator_file,
    script::{header, read_request, whole},
};

/// The operator's secret key.
pub const KEY: &str = "sk_test_operator";

/// The secret of the webhook's endpoint.
pub const WEBHOOK_SECRET: &str = "whsec_test";

/// A stand-in for Stripe.
#[derive(Debug)]
pub struct Stripe {
    url: String,
    book: Arc<Mutex<Book>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Book {
    /// The answer to each form, by its idempotency key.
    sessions: HashMap<String, (String, Value)>,
    is_down: bool,
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Stripe {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// Fails when there is no port.
    pub async fn start() -> Result<Stripe> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let book: Arc<Mutex<Book>> = Arc::default();
        let shared = Arc::clone(&book);
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let book = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A broken connection is an ordinary event.
                    let _ = exchange(socket, &book).await;
                });
            }
        });
        Ok(Stripe { url, book, serving })
    }

    /// Returns what a relay's config file says to pay in here, with its secrets, and the folder that has them: the
    /// relay reads them at every start.
    ///
    /// # Errors
    /// Fails when they cannot be written.
    pub fn set_up(&self) -> Result<(String, TempDir)> {
        let folder = tempfile::tempdir().context("no folder for Stripe's secrets")?;
        let mut config = format!("[top_ups]\nurl = \"{}\"\ncost = \"0.30\"\ncost_permille = 29\n", self.url);
        for (field, secret) in [("key_file", KEY), ("webhook_secret_file", WEBHOOK_SECRET)] {
            let file = operator_file(folder.path(), field, secret)?;
            config += &format!("{field} = \"{}\"\n", file.display());
        }
        Ok((config, folder))
    }

    /// Lets it answer nothing but errors, or no longer.
    pub fn set_down(&self, is_down: bool) {
        self.book().is_down = is_down;
    }

    /// Returns how many pages were opened.
    pub fn pages(&self) -> usize {
        self.book().sessions.len()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one request; the connection ends with the answer.
async fn exchange(socket: TcpStream, book: &Mutex<Book>) -> Result<()> {
    let (mut input, mut output) = socket.into_split();
    let (head, body) = read_request(&mut input).await?;
    let (status, json) = answer(&head, &String::from_utf8(body)?, book)?;
    whole(&mut output, status, "application/json", json.to_string().as_bytes()).await
}

fn answer(head: &str, form: &str, book: &Mutex<Book>) -> Result<(u16, Value)> {
    let error = |kind: &str, message: &str| json!({"error": {"type": kind, "message": message}});
    if header(head, "authorization") != Some(&format!("Bearer {KEY}")) {
        return Ok((401, error("invalid_request_error", "Invalid API Key provided")));
    }
    anyhow::ensure!(head.starts_with("POST /v1/checkout/sessions "), "{head}");
    let key = header(head, "idempotency-key").context("no idempotency key")?.to_owned();
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    if book.is_down {
        return Ok((500, error("api_error", "Something went wrong on Stripe's end.")));
    }
    if let Some((before, session)) = book.sessions.get(&key) {
        let message = "Keys for idempotent requests can only be used with the same parameters";
        let is_same = before == form;
        return Ok(if is_same { (200, session.clone()) } else { (400, error("idempotency_error", message)) });
    }
    let id = format!("cs_test_{}", book.sessions.len() + 1);
    let url = format!("https://checkout.stripe.com/c/pay/{id}");
    let session = json!({"id": id, "object": "checkout.session", "url": url, "payment_status": "unpaid"});
    book.sessions.insert(key, (form.to_owned(), session.clone()));
    Ok((200, session))
}

/// Reports an event to a relay as Stripe does, signed at the present with this secret. All of them are of one
/// and the same second.
///
/// # Errors
/// Fails when the relay does not answer.
pub async fn report(relay: &Page, secret: &str, kind: &str, object: &Value) -> Result<Answer> {
    report_of(relay, secret, kind, object, 1_760_000_000).await
}

/// Reports an event of this second since 1970, signed at the present all the same: it may come late, and in
/// any order.
///
/// # Errors
/// Fails when the relay does not answer.
#[expect(
    clippy::disallowed_methods,
    reason = "a signature holds the present, and this is a program of its own"
)]
pub async fn report_of(
    relay: &Page,
    secret: &str,
    kind: &str,
    object: &Value,
    created: u64,
) -> Result<Answer> {
    let event = json!({
        "id": "evt_1", "object": "event", "type": kind, "created": created, "data": {"object": object},
    });
    let event = event.to_string();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("any key will do")?;
    mac.update(format!("{now}.{event}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let signed = relay.clone().with("stripe-signature", &format!("t={now},v1={hex}"));
    signed.post_bytes("/api/stripe/webhook", event).await
}

/// Returns a Checkout Session that was paid by `payment`.
pub fn paid(session: &str, account: &str, cents: u64, payment: &str) -> Value {
    json!({
        "id": session, "object": "checkout.session", "payment_intent": payment, "payment_status": "paid",
        "amount_total": cents, "currency": "usd", "metadata": {"account": account},
    })
}

/// Returns a charge of which so much went back in all.
pub fn refunded(charge: &str, account: &str, cents: u64, payment: &str) -> Value {
    json!({
        "id": charge, "object": "charge", "payment_intent": payment, "amount_refunded": cents,
        "currency": "usd", "metadata": {"account": account},
    })
}

/// Returns a refund that did not reach its card.
pub fn failed(refund: &str, charge: &str, cents: u64, payment: &str) -> Value {
    json!({
        "id": refund, "object": "refund", "charge": charge, "payment_intent": payment, "amount": cents,
        "currency": "usd", "status": "failed",
    })
}

/// Returns a dispute over so much of a payment.
pub fn dispute(id: &str, cents: u64, payment: &str) -> Value {
    json!({
        "id": id, "object": "dispute", "charge": "ch_disputed", "payment_intent": payment, "amount": cents,
        "currency": "usd", "reason": "fraudulent",
    })
}
