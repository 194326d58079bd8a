//! PayPal as far as payouts go. Shapes and words are those that PayPal documents and its sandbox sends.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::{Faults, serve};

/// The operator's application.
pub const CLIENT: &str = "the-client";
/// Another one, with the same secret.
pub const OTHER_CLIENT: &str = "other-client";
/// Its secret.
pub const SECRET: &str = "the-secret";

/// The status of what is not decided yet.
const PENDING: &str = "PENDING";

/// `the-client:the-secret`.
const BASIC: &str = "Basic dGhlLWNsaWVudDp0aGUtc2VjcmV0";
/// `other-client:the-secret`.
const OTHER_BASIC: &str = "Basic b3RoZXItY2xpZW50OnRoZS1zZWNyZXQ=";

/// A stand-in for PayPal.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// What goes wrong with payouts that are asked of it.
    pub faults: Faults,
    books: Books,
}

#[derive(Debug, Clone, Default)]
struct Books(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    funds_cents: u64,
    batches: Vec<Batch>,
    tokens: usize,
    token: Option<String>,
    links: bool,
    /// What becomes of a batch and its item at once.
    fate: (String, String),
}

#[derive(Debug)]
struct Batch {
    body: Value,
    status: String,
    item: String,
}

impl Default for Book {
    fn default() -> Book {
        Book {
            funds_cents: 1_000_000,
            batches: Vec::new(),
            tokens: 0,
            token: None,
            links: true,
            fate: (PENDING.into(), PENDING.into()),
        }
    }
}

impl Server {
    /// Starts one on which the operator has 10,000 USD.
    pub async fn start() -> Server {
        let (books, faults) = (Books::default(), Faults::default());
        let router = Router::new()
            .route("/v1/oauth2/token", post(token))
            .route("/v1/payments/payouts", post(create))
            .route("/v1/payments/payouts/{id}", get(show))
            .with_state((books.clone(), faults.clone()));
        Server { url: serve(router).await, faults, books }
    }

    /// Returns the payments that were made.
    pub fn paid(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let book = self.books.0.lock().unwrap();
        let items = book.batches.iter().map(|batch| &batch.body["items"][0]);
        items.map(|item| format!("{} {}", text(&item["receiver"]), text(&item["amount"]["value"]))).collect()
    }

    /// Lets every batch to come and its item have this status at once.
    pub fn pay_as(&self, batch: &str, item: &str) {
        self.books.0.lock().unwrap().fate = (batch.to_owned(), item.to_owned());
    }

    /// Brings every batch and its item to a status.
    pub fn finish(&self, batch: &str, item: &str) {
        for kept in &mut self.books.0.lock().unwrap().batches {
            (kept.status, kept.item) = (batch.to_owned(), item.to_owned());
        }
    }

    /// Gives the operator so many cents in place of what he has.
    pub fn set_funds(&self, cents: u64) {
        self.books.0.lock().unwrap().funds_cents = cents;
    }

    /// Returns how many tokens were given.
    pub fn tokens(&self) -> usize {
        self.books.0.lock().unwrap().tokens
    }

    /// Forgets the token that it gave.
    pub fn forget_tokens(&self) {
        self.books.0.lock().unwrap().token = None;
    }

    /// Leaves the links out of what is said of a repeated batch.
    pub fn hide_links(&self) {
        self.books.0.lock().unwrap().links = false;
    }
}

async fn token(State((books, _)): State<(Books, Faults)>, headers: HeaderMap, body: String) -> Response {
    if headers.get("authorization").is_none_or(|value| value != BASIC && value != OTHER_BASIC) {
        let body = json!({ "error": "invalid_client", "error_description": "Client Authentication failed" });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    assert_eq!(body, "grant_type=client_credentials");
    let mut book = books.0.lock().unwrap();
    book.tokens += 1;
    let token = format!("A{}", book.tokens);
    book.token = Some(token.clone());
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 32_400 })).into_response()
}

async fn create(
    State((books, faults)): State<(Books, Faults)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if let Some(refusal) = unauthorized(&books, &headers) {
        return refusal;
    }
    faults.around(async { books.create(body) }).await
}

async fn show(
    State((books, _)): State<(Books, Faults)>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    if let Some(refusal) = unauthorized(&books, &headers) {
        return refusal;
    }
    books.show(&id)
}

fn unauthorized(books: &Books, headers: &HeaderMap) -> Option<Response> {
    let token = books.0.lock().unwrap().token.clone().map(|token| format!("Bearer {token}"));
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    (token.is_none() || given != token.as_deref()).then(|| {
        let body =
            json!({ "error": "invalid_token", "error_description": "Token signature verification failed" });
        (StatusCode::UNAUTHORIZED, Json(body)).into_response()
    })
}

impl Books {
    fn create(&self, body: Value) -> Response {
        let mut book = self.0.lock().unwrap();
        let id = &body["sender_batch_header"]["sender_batch_id"];
        // A batch that was denied does not hold its id.
        let same = |batch: &Batch| {
            batch.status != "DENIED" && batch.body["sender_batch_header"]["sender_batch_id"] == *id
        };
        if let Some(place) = book.batches.iter().position(same) {
            let href = format!("https://api.sandbox.paypal.com/v1/payments/payouts/BATCH{place}");
            let link =
                json!([{ "href": href, "rel": "self", "method": "GET", "encType": "application/json" }]);
            return problem(
                400,
                "USER_BUSINESS_ERROR",
                "User business error.",
                &json!([{
                    "field": "SENDER_BATCH_ID",
                    "location": "body",
                    "issue": "Batch with given sender_batch_id already exists",
                    "link": if book.links { link } else { json!([]) },
                }]),
            );
        }
        let item = &body["items"][0];
        let receiver = item["receiver"].as_str().unwrap();
        if receiver.ends_with("@invalid.example") {
            return problem(
                400,
                "VALIDATION_ERROR",
                "Invalid request - see details",
                &json!([{
                    "field": "items[0].receiver",
                    "location": "body",
                    "issue": "Receiver is invalid or does not match with type",
                }]),
            );
        }
        let value = item["amount"]["value"].as_str().unwrap();
        let (dollars, cents) = value.split_once('.').unwrap();
        assert!(cents.len() == 2 && item["amount"]["currency"] == "USD" && item["recipient_type"] == "EMAIL");
        let cents = format!("{dollars}{cents}").parse::<u64>().unwrap();
        if cents > book.funds_cents {
            let words = "Sender does not have sufficient funds. Please add funds and retry.";
            return problem(422, "INSUFFICIENT_FUNDS", words, &json!([]));
        }
        book.funds_cents -= cents;
        let header = json!({
            "payout_batch_id": format!("BATCH{}", book.batches.len()),
            "batch_status": "PENDING",
            "sender_batch_header": body["sender_batch_header"],
        });
        let (status, item) = book.fate.clone();
        book.batches.push(Batch { body, status, item });
        (StatusCode::CREATED, Json(json!({ "batch_header": header, "links": [] }))).into_response()
    }

    fn show(&self, id: &str) -> Response {
        let book = self.0.lock().unwrap();
        let place = id.strip_prefix("BATCH").and_then(|place| place.parse::<usize>().ok());
        let Some((place, batch)) = place.and_then(|place| Some((place, book.batches.get(place)?))) else {
            let words = "The requested resource ID was not found";
            return problem(404, "INVALID_RESOURCE_ID", words, &json!([]));
        };
        let failed = !matches!(batch.item.as_str(), "SUCCESS" | "PENDING");
        let errors =
            json!({ "name": "RECEIVER_UNREGISTERED", "message": "No account.", "details": [], "links": {} });
        Json(json!({
            "total_items": 1,
            "total_pages": 1,
            "batch_header": {
                "payout_batch_id": id,
                "batch_status": batch.status,
                "time_created": "2026-01-27T10:17:00Z",
                "sender_batch_header": batch.body["sender_batch_header"],
                "amount": batch.body["items"][0]["amount"],
                "fees": { "currency": "USD", "value": "0.25" },
            },
            "items": [{
                "payout_item_id": format!("ITEM{}", place + 1),
                "transaction_id": format!("T{}", place + 1),
                "transaction_status": batch.item,
                "payout_item_fee": { "currency": "USD", "value": "0.25" },
                "payout_batch_id": id,
                "payout_item": batch.body["items"][0],
                "errors": if failed { errors } else { Value::Null },
                "links": [],
            }],
            "links": [],
        }))
        .into_response()
    }
}

fn problem(status: u16, name: &str, message: &str, details: &Value) -> Response {
    let body = json!({
        "name": name,
        "message": message,
        "debug_id": "f05063556a338",
        "information_link": "https://developer.paypal.com/docs/api/payments.payouts-batch/#errors",
        "details": details,
        "links": [],
    });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}
