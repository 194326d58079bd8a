//! What all pages measured together.

use std::collections::BTreeMap;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Sums and distributions over all requests.
pub(crate) struct Tally {
    /// Request sent to first token read.
    first: Histogram<u64>,
    /// Request sent to first token made.
    up: Histogram<u64>,
    /// Token made to token read.
    token: Histogram<u64>,
    /// Token read to next token read.
    gap: Histogram<u64>,
    /// Request sent to answer read.
    total: Histogram<u64>,
    requests: u64,
    tokens: u64,
    /// Tokens that never came or came out of order.
    pub(crate) lost: u64,
    errors: BTreeMap<String, u64>,
    begin_ns: u64,
    end_ns: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Tally> {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000_000, 3);
        Ok(Tally {
            first: histogram()?,
            up: histogram()?,
            token: histogram()?,
            gap: histogram()?,
            total: histogram()?,
            requests: 0,
            tokens: 0,
            lost: 0,
            errors: BTreeMap::new(),
            begin_ns: u64::MAX,
            end_ns: 0,
        })
    }

    pub(crate) fn token(&mut self, sequence: u32, sent: u64, made: u64, previous: u64, read: u64) {
        self.tokens += 1;
        self.token.saturating_record(read.saturating_sub(made));
        if sequence == 0 {
            self.first.saturating_record(read.saturating_sub(sent));
            self.up.saturating_record(made.saturating_sub(sent));
        } else {
            self.gap.saturating_record(read.saturating_sub(previous));
        }
    }

    pub(crate) fn request(&mut self, sent_ns: u64, read_ns: u64) {
        self.requests += 1;
        self.total.saturating_record(read_ns.saturating_sub(sent_ns));
        self.begin_ns = self.begin_ns.min(sent_ns);
        self.end_ns = self.end_ns.max(read_ns);
    }

    pub(crate) fn error(&mut self, what: &str) {
        *self.errors.entry(what.chars().take(200).collect()).or_default() += 1;
    }

    /// Returns so many of something per million tokens.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn per_million(&self, amount: f64) -> f64 {
        if self.tokens == 0 { 0.0 } else { amount * 1e6 / self.tokens as f64 }
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn report(&self) -> Value {
        let seconds = self.end_ns.saturating_sub(self.begin_ns) as f64 / 1e9;
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        json!({
            "requests": self.requests, "tokens": self.tokens, "lost": self.lost, "errors": self.errors,
            "tokens_per_s": rate(self.tokens), "requests_per_s": rate(self.requests),
            "first_us": distribution(&self.first), "up_us": distribution(&self.up),
            "token_us": distribution(&self.token), "gap_us": distribution(&self.gap),
            "total_us": distribution(&self.total),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn distribution(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    json!({"p50": at(0.5), "p99": at(0.99), "max": at(1.0)})
}
