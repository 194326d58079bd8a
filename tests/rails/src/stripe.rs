//! Stripe as far as transfers and Checkout go. Shapes and words are those that Stripe documents.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::{Faults, serve};

/// The operator's secret key.
pub const KEY: &str = "sk_test_key";

/// Another key, which opens the account as well.
pub const OTHER_KEY: &str = "sk_test_other";

/// The fields of a form.
type Fields = HashMap<String, String>;

/// A stand-in for Stripe.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// What goes wrong with requests that change something.
    pub faults: Faults,
    books: Books,
}

#[derive(Debug, Clone, Default)]
struct Books(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    funds_cents: i64,
    transfers: Vec<Value>,
    reversals: usize,
    pages: Vec<Fields>,
    /// The first request under a key, and its answer.
    keys: HashMap<String, (String, Fields, StatusCode, Value)>,
}

impl Default for Book {
    fn default() -> Book {
        let (transfers, pages, keys) = (Vec::new(), Vec::new(), HashMap::new());
        Book { funds_cents: 1_000_000, transfers, reversals: 0, pages, keys }
    }
}

impl Server {
    /// Starts one on which the operator has 10,000 USD.
    pub async fn start() -> Server {
        let (books, faults) = (Books::default(), Faults::default());
        let router = Router::new()
            .route("/v1/transfers", get(list).post(create))
            .route("/v1/transfers/{id}", get(show))
            .route("/v1/transfers/{id}/reversals", post(reverse))
            .route("/v1/checkout/sessions", post(open))
            .layer(middleware::from_fn(authorize))
            .with_state((books.clone(), faults.clone()));
        Server { url: serve(router).await, faults, books }
    }

    /// Returns the transfers that were made.
    pub fn paid(&self) -> Vec<String> {
        let book = self.books.0.lock().unwrap();
        let text = |transfer: &Value| {
            format!("{} {}", transfer["destination"].as_str().unwrap(), transfer["amount"])
        };
        book.transfers.iter().map(text).collect()
    }

    /// Returns the transfers that were made as payouts with their cents, in order.
    pub fn payouts(&self) -> Vec<(String, i64)> {
        let book = self.books.0.lock().unwrap();
        let payout = |transfer: &Value| {
            let id = transfer["metadata"]["payout"].as_str().unwrap().to_owned();
            (id, transfer["amount"].as_i64().unwrap())
        };
        book.transfers.iter().map(payout).collect()
    }

    /// Returns the transfers as Stripe shows them.
    pub fn transfers(&self) -> Vec<Value> {
        self.books.0.lock().unwrap().transfers.clone()
    }

    /// Takes every transfer back.
    pub fn take_back(&self) {
        for transfer in &mut self.books.0.lock().unwrap().transfers {
            take_back(transfer);
        }
    }

    /// Returns how many transfers were taken back.
    pub fn reversals(&self) -> usize {
        self.books.0.lock().unwrap().reversals
    }

    /// Returns the forms of the pages that were opened.
    pub fn pages(&self) -> Vec<Fields> {
        self.books.0.lock().unwrap().pages.clone()
    }

    /// Gives the operator so many cents in place of what he has.
    pub fn set_funds(&self, cents: i64) {
        self.books.0.lock().unwrap().funds_cents = cents;
    }

    /// Forgets idempotency keys, as Stripe may after a day.
    pub fn forget_keys(&self) {
        self.books.0.lock().unwrap().keys.clear();
    }
}

async fn authorize(headers: HeaderMap, request: Request, next: Next) -> Response {
    let opens =
        |key: &str| headers.get("authorization").is_some_and(|given| given == &format!("Bearer {key}"));
    if !opens(KEY) && !opens(OTHER_KEY) {
        let (status, body) =
            error(401, "invalid_request_error", "", "", "Invalid API Key provided: sk_test_*rong");
        return (status, Json(body)).into_response();
    }
    assert!(headers.contains_key("stripe-version"));
    next.run(request).await
}

async fn create(
    State((books, faults)): State<(Books, Faults)>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Response {
    faults.around(async { books.once("transfers", &headers, form, Book::transfer) }).await
}

async fn reverse(
    State((books, faults)): State<(Books, Faults)>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<Fields>,
) -> Response {
    let work = async { books.once(&id, &headers, form, |book, _| book.reverse(&id)) };
    faults.around(work).await
}

async fn open(
    State((books, faults)): State<(Books, Faults)>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Response {
    faults.around(async { books.once("pages", &headers, form, Book::open) }).await
}

async fn show(State((books, _)): State<(Books, Faults)>, Path(id): Path<String>) -> Response {
    let book = books.0.lock().unwrap();
    match book.transfers.iter().find(|transfer| transfer["id"] == id) {
        Some(transfer) => Json(transfer.clone()).into_response(),
        None => {
            let (status, body) =
                error(404, "invalid_request_error", "resource_missing", "id", "No such transfer");
            (status, Json(body)).into_response()
        }
    }
}

async fn list(State((books, _)): State<(Books, Faults)>, Query(query): Query<Fields>) -> Response {
    assert_eq!(query["expand[]"], "data.balance_transaction");
    let book = books.0.lock().unwrap();
    let ours = book.transfers.iter().filter(|transfer| transfer["transfer_group"] == query["transfer_group"]);
    let data = ours.cloned().collect::<Vec<_>>();
    Json(json!({ "object": "list", "url": "/v1/transfers", "has_more": false, "data": data })).into_response()
}

impl Books {
    /// Does a request once under its key. What is refused before it is begun is not kept.
    fn once(
        &self,
        path: &str,
        headers: &HeaderMap,
        form: Fields,
        work: impl FnOnce(&mut Book, &Fields) -> (StatusCode, Value),
    ) -> Response {
        let mut book = self.0.lock().unwrap();
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        if let Some((kept_path, kept_form, status, body)) = book.keys.get(&key) {
            let same = kept_path == path && *kept_form == form;
            let words = "Keys for idempotent requests can only be used with the same parameters";
            let (status, body) =
                if same { (*status, body.clone()) } else { error(400, "idempotency_error", "", "", words) };
            return (status, Json(body)).into_response();
        }
        let (status, body) = work(&mut book, &form);
        if body["error"]["param"].is_null() {
            book.keys.insert(key, (path.to_owned(), form, status, body.clone()));
        }
        (status, Json(body)).into_response()
    }
}

impl Book {
    fn transfer(&mut self, form: &Fields) -> (StatusCode, Value) {
        let amount = form["amount"].parse::<i64>().unwrap();
        assert_eq!(form["currency"], "usd");
        if form["destination"] == "acct_000000000000" {
            let words = "No such destination: 'acct_000000000000'";
            return error(400, "invalid_request_error", "resource_missing", "destination", words);
        }
        if amount > self.funds_cents {
            let words = "You have insufficient available funds in your Stripe account.";
            return error(400, "invalid_request_error", "balance_insufficient", "", words);
        }
        self.funds_cents -= amount;
        let transfer = json!({
            "id": format!("tr_1MiN3gLkdIwHu7ix{}", self.transfers.len()),
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "balance_transaction": { "id": "txn_1MiN3gLkdIwHu7ix", "object": "balance_transaction", "fee": 2 },
            "created": 1_678_043_844,
            "currency": "usd",
            "destination": form["destination"],
            "metadata": { "payout": form["metadata[payout]"] },
            "reversed": false,
            "source_type": "card",
            "transfer_group": form["transfer_group"],
        });
        self.transfers.push(transfer.clone());
        (StatusCode::OK, transfer)
    }

    fn reverse(&mut self, id: &str) -> (StatusCode, Value) {
        self.reversals += 1;
        let transfer = self.transfers.iter_mut().find(|transfer| transfer["id"] == id).unwrap();
        take_back(transfer);
        (
            StatusCode::OK,
            json!({ "id": "trr_1", "object": "transfer_reversal", "amount": transfer["amount"] }),
        )
    }

    fn open(&mut self, form: &Fields) -> (StatusCode, Value) {
        self.pages.push(form.clone());
        let id = format!("cs_test_{}", self.pages.len());
        let url = format!("https://checkout.stripe.com/c/pay/{id}");
        (
            StatusCode::OK,
            json!({ "id": id, "object": "checkout.session", "url": url, "payment_status": "unpaid" }),
        )
    }
}

fn take_back(transfer: &mut Value) {
    transfer["amount_reversed"] = transfer["amount"].clone();
    transfer["reversed"] = json!(true);
}

fn error(status: u16, kind: &str, code: &str, param: &str, message: &str) -> (StatusCode, Value) {
    let mut error = json!({ "type": kind, "message": message });
    for (name, value) in [("code", code), ("param", param)] {
        if !value.is_empty() {
            error[name] = json!(value);
        }
    }
    (StatusCode::from_u16(status).unwrap(), json!({ "error": error }))
}
