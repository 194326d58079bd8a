//! Problems: one code, one sentence and one status for everything that a caller can get wrong or
//! that can go wrong for him. `docs/http.md` has the table.

use std::borrow::Cow;

use axum::{
    Json,
    extract::rejection::{PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use rekursing_market::Refusal;
use rekursing_protocol::{FailCode, JobId, Price};
use serde_json::json;

use super::figures::dollars;
use crate::desk::Denial;

/// Why a call gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code that programs go by.
    pub code: &'static str,
    /// The sentence for a reader.
    pub message: String,
    /// The field at fault, where there is one.
    pub field: Option<Cow<'static, str>>,
    /// Seconds after which the same call may well succeed.
    pub retry_after: Option<u64>,
    /// What the call has made before, where it is refused as a repetition.
    pub id: Option<String>,
    /// Whether something was charged all the same, so that the call is not made again.
    pub charged: bool,
    /// Whether the job of which it tells was counted when it ended.
    pub counted: bool,
    /// The lowest price on offer, where everybody asks for more than is paid.
    pub price: Option<Box<Price>>,
}

/// Why a response is a refusal: left on it for whoever counts those.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause(pub(super) &'static str);

impl Problem {
    /// Makes a problem without a field.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            id: None,
            charged: false,
            counted: false,
            price: None,
        }
    }

    /// The request as a whole is wrong.
    pub fn bad_request(message: &str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// One field of the request is wrong.
    pub fn field(field: impl Into<Cow<'static, str>>, message: &str) -> Problem {
        let field = field.into();
        Problem { field: Some(field.clone()), ..Problem::bad_request(&marked(&field, message)) }
    }

    /// Too many calls.
    pub fn rate_limited(message: &str) -> Problem {
        Problem {
            retry_after: Some(60),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
        }
    }

    /// Something failed at our side; the log knows what.
    pub fn internal() -> Problem {
        let message = "something went wrong at our side";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The store could not be read.
    pub fn unread(error: anyhow::Error) -> Problem {
        tracing::error!(error = format!("{error:#}"), "could not read the store");
        Problem::internal()
    }

    /// The store could not keep this.
    pub fn unstored(what: &str) -> impl FnOnce(anyhow::Error) -> Problem {
        move |error| {
            tracing::error!(error = format!("{error:#}"), "could not store {what}");
            Problem::store_down()
        }
    }

    /// The store cannot keep what would come of it.
    pub fn book_wrong() -> Problem {
        let message = "an audit has found the ledger wrong, so no job is taken and no money moves until the \
                       operator has looked at it";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "book_wrong", message)
    }

    /// While the ledger cannot be written.
    pub fn store_down() -> Problem {
        let message = "the ledger cannot be written now, so no job is taken and no money moves";
        Problem {
            retry_after: Some(5),
            ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message)
        }
    }

    /// An answer that broke off, or could not begin, at the provider; or that was cancelled.
    pub fn failed(code: FailCode, detail: &str) -> Problem {
        if code == FailCode::Cancelled {
            let message = "the job was cancelled; what you received was charged";
            return Problem::new(StatusCode::CONFLICT, "cancelled", message);
        }
        let message = match (code, detail) {
            (FailCode::TimeUp, _) => "the answer took as long as one may; what you received was charged",
            (FailCode::Stalled, _) => "the provider fell silent; what you received was charged",
            (FailCode::BadRequest, detail) if !detail.is_empty() => detail,
            _ => "the answer broke off; what you received was charged",
        };
        Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", message)
    }

    /// An answer to embeddings that is longer than the relay keeps.
    pub fn answer_too_large(bytes_max: usize) -> Problem {
        let message = format!("the vectors take more than {bytes_max} bytes together; ask for fewer at once");
        Problem {
            field: Some("input".into()),
            ..Problem::new(StatusCode::BAD_REQUEST, "answer_too_large", message)
        }
    }

    /// A response that has more than is kept for its end.
    pub fn response_too_long() -> Problem {
        let message =
            "the answer has more text or calls more tools than a response may; a chat has no such limit";
        Problem { charged: true, ..Problem::new(StatusCode::BAD_REQUEST, "answer_too_large", message) }
    }

    /// In the words of `/v1`.
    pub fn openai(&self) -> serde_json::Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let mut body =
            json!({"error": {"message": self.message, "type": kind, "code": self.code, "param": self.field}});
        if let Some(id) = &self.id {
            body["error"]["id"] = id.as_str().into();
        }
        body
    }

    /// In the words of `/api`.
    pub fn own(&self) -> serde_json::Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(field) = &self.field {
            error["field"] = field.as_ref().into();
        }
        if let Some(id) = &self.id {
            error["id"] = id.as_str().into();
        }
        if let Some(price) = &self.price {
            error["price"] = json!({"input": dollars(price.input), "output": dollars(price.output)});
        }
        json!({"success": false, "error": error})
    }

    /// As a response in the words of `/v1`.
    pub fn into_openai(self) -> Response {
        self.respond(self.openai())
    }

    fn respond(&self, body: serde_json::Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        let job = self.id.as_ref().filter(|id| id.starts_with(JobId::PREFIX));
        if let Some(job) = job.and_then(|job| HeaderValue::from_str(job).ok()) {
            response.headers_mut().insert("x-rekursing-job", job);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if !self.counted {
            response.extensions_mut().insert(Cause(self.code));
        }
        response
    }
}

/// Puts the field's name, where a message begins with it, in marks: whoever shows a sentence begins it with a
/// capital, and a name has none of its own.
fn marked<'a>(field: &str, message: &'a str) -> Cow<'a, str> {
    let (name, rest) = message.split_once(' ').unwrap_or((message, ""));
    match name.strip_prefix(field) {
        Some(part) if part.is_empty() || part.starts_with('.') => Cow::Owned(format!("`{name}` {rest}")),
        Some(_) | None => Cow::Borrowed(message),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.respond(self.own())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Problem {
        Problem::bad_request("the path does not decode")
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Problem {
        Problem::bad_request("what stands behind the question mark does not hold")
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        match denial {
            Denial::Refused(refusal) => Problem::from(refusal),
            Denial::StoreDown => Problem::store_down(),
            Denial::BookWrong => Problem::book_wrong(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match &refusal {
            Refusal::FreeQuotaUsed { .. } | Refusal::FreeVisitorsFull => StatusCode::TOO_MANY_REQUESTS,
            Refusal::InsufficientFunds { .. }
            | Refusal::FreeBudgetEmpty { .. }
            | Refusal::FreeNotCovered { .. } => StatusCode::PAYMENT_REQUIRED,
            Refusal::KeyBudgetDay { .. } | Refusal::KeyBudgetTotal { .. } => StatusCode::PAYMENT_REQUIRED,
            Refusal::KeyModel { .. }
            | Refusal::KeyPrice { .. }
            | Refusal::CollectionDenied
            | Refusal::GroupOnly
            | Refusal::NotVerified
            | Refusal::TopicRefused { .. } => StatusCode::FORBIDDEN,
            Refusal::ModelNotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::DuplicateJob => StatusCode::CONFLICT,
            Refusal::WrongKind { .. }
            | Refusal::ContextTooLong { .. }
            | Refusal::VisionUnavailable
            | Refusal::PageMistake { .. } => StatusCode::BAD_REQUEST,
            Refusal::ProviderFailed { .. } => StatusCode::BAD_GATEWAY,
            Refusal::TierUnavailable { .. }
            | Refusal::PriceTooHigh { .. }
            | Refusal::PriceUnusual { .. }
            | Refusal::CostTooHigh { .. }
            | Refusal::TooLate { .. }
            | Refusal::TooSlow { .. }
            | Refusal::QuantizationUnavailable { .. }
            | Refusal::OnlyOwnProvider
            | Refusal::ProviderUntrusted
            | Refusal::Draining
            | Refusal::NoProvider
            | Refusal::ProviderUnavailable
            | Refusal::ProviderPaused
            | Refusal::QueueFull { .. }
            | Refusal::QueueTimeout { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let retry_after = refusal.is_temporary().then_some(5);
        let field = (refusal.code() == "answer_too_large").then_some("input".into());
        let lowest = if let Refusal::PriceTooHigh { lowest } | Refusal::PriceUnusual { lowest } = refusal {
            Some(lowest)
        } else {
            None
        };
        let price = lowest.map(Box::new);
        Problem { retry_after, field, price, ..Problem::new(status, refusal.code(), refusal.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_a_sentence_begins_with_stands_in_marks() {
        for (field, message, said) in [
            ("minTps", "minTps is a number", "`minTps` is a number"),
            ("provider", "provider.sort is price", "`provider.sort` is price"),
            ("name", "a name has at most 60 characters", "a name has at most 60 characters"),
            ("n", "nothing is there", "nothing is there"),
            ("title", "`title` is missing", "`title` is missing"),
        ] {
            assert_eq!(Problem::field(field, message).message, said);
        }
    }
}
