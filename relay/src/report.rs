//! What a page is told about its job beside the answer itself.

use rekursing_protocol::{JobId, Moment, Nanos, earnings::Receipt};
use serde_json::{Value, json};

use crate::{ask::Dialect, continuation::Part, http::Problem, receipt::Tokens, stream::Finish};

/// The facts of one job, as they become known.
#[derive(Debug)]
pub struct Report {
    job: JobId,
    /// What makes the tokens of the receipts, for whoever asked without an account.
    receipts: Option<Tokens>,
    asked: Moment,
    streamed: bool,
    tier: &'static str,
    model: String,
    provider: Value,
    ad: Value,
    /// What was chosen for a page that left it to the market.
    choice: Option<Value>,
    /// How close what was asked is to what it had to be close to.
    rated: Option<Value>,
    /// The jobs that the answer was, beginning with the one by which the page knows it.
    jobs: Vec<JobId>,
    /// What the parts before the last have cost, and their tokens of prompt and answer.
    before: (Nanos, u64, u64),
    receipt: Option<Receipt>,
    first_token_ms: Option<u64>,
    tokens_per_second: Option<f64>,
}

impl Report {
    /// Begins with a job's id and when it was asked for.
    pub fn new(job: JobId, asked: Moment, streamed: bool) -> Report {
        Report {
            job,
            receipts: None,
            asked,
            streamed,
            tier: "",
            model: String::new(),
            provider: Value::Null,
            ad: Value::Null,
            choice: None,
            rated: None,
            jobs: vec![job],
            before: (Nanos::ZERO, 0, 0),
            receipt: None,
            first_token_ms: None,
            tokens_per_second: None,
        }
    }

    /// Lets whoever asked read the answer's receipts by their tokens.
    #[must_use]
    pub fn with_receipts(self, receipts: Tokens) -> Report {
        Report { receipts: Some(receipts), ..self }
    }

    /// Notes what was chosen for a page that left model and tier to the market.
    #[must_use]
    pub fn chosen(self, choice: Option<Value>) -> Report {
        Report { choice, ..self }
    }

    /// Notes how close what was asked is to what it had to be close to.
    #[must_use]
    pub fn rated(self, rated: Option<Value>) -> Report {
        Report { rated, ..self }
    }

    /// Notes who answers with what.
    pub fn named(&mut self, model: &str, tier: &'static str, provider: Value) {
        (self.model, self.tier, self.provider) = (model.to_owned(), tier, provider);
    }

    /// Notes the ad that stands beside the answer.
    pub fn sponsored(&mut self, ad: Value) {
        self.ad = ad;
    }

    /// Notes what a broken answer was charged.
    pub fn charged(&mut self, receipt: &Receipt) {
        self.receipt = Some(receipt.clone());
    }

    /// Notes that a part of the answer is over, and as which job it goes on.
    pub fn goes_on(&mut self, part: &Part) {
        let (cost, prompt, answer) = self.before;
        let Receipt { charge, prompt_tokens, answer_tokens, .. } = part.receipt;
        let cost = cost.checked_add(charge).unwrap_or(Nanos::MAX);
        self.before = (cost, prompt + prompt_tokens, answer + answer_tokens);
        self.jobs.push(part.next.job);
    }

    /// Tells whether parts of the answer are over.
    pub fn has_parts(&self) -> bool {
        self.jobs.len() > 1
    }

    /// Notes the end.
    pub fn finished(&mut self, finish: &Finish) {
        self.charged(&finish.receipt);
        self.tier = finish.tier.name();
        self.first_token_ms = self.streamed.then_some(finish.first_token.0);
        // A stream's speed is that of the tokens behind the first; a whole answer's that of all.
        let tokens = finish.receipt.answer_tokens;
        let (tokens, ms) = if self.streamed {
            (tokens.saturating_sub(1), finish.generation.0)
        } else {
            (tokens, finish.generation.0)
        };
        if tokens > 0 && ms > 0 {
            // Tokens and milliseconds of one answer stay far below 2⁵³.
            self.tokens_per_second = Some((tokens as f64 * 10_000.0 / ms as f64).round() / 10.0);
        }
    }

    /// Returns the answer's id in a route's words.
    pub fn id(&self, dialect: Dialect) -> String {
        let digits = self.digits();
        match dialect {
            Dialect::Inference => self.job.to_string(),
            Dialect::Chat | Dialect::Embedding => format!("chatcmpl-{digits}"),
            Dialect::Completion => format!("cmpl-{digits}"),
            Dialect::Responses => format!("resp_{digits}"),
        }
    }

    /// Returns the job's id without its prefix.
    pub fn digits(&self) -> String {
        self.job.to_string().replace(JobId::PREFIX, "")
    }

    /// Returns when the answer was asked for, in seconds since the Unix epoch.
    pub fn created(&self) -> u64 {
        self.asked.0 / 1_000
    }

    /// Returns the model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns what `/v1` adds to its last chunk.
    pub fn extension(&self) -> Value {
        self.with_jobs(json!({
            "jobId": self.job,
            "tier": self.tier,
            "provider": self.provider,
            "cost": self.cost(),
            "ad": self.ad,
            "tokensPerSecond": self.tokens_per_second,
            "firstTokenMs": self.first_token_ms,
        }))
    }

    /// Returns the usage in OpenAI's words.
    pub fn usage(&self) -> Value {
        let (prompt, answer) = self.tokens();
        json!({"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer})
    }

    /// Returns the event `start`.
    pub fn start(&self) -> Value {
        self.with_jobs(
            json!({"jobId": self.job, "model": self.model, "tier": self.tier, "provider": self.provider}),
        )
    }

    /// Returns the event `done`.
    pub fn done(&self, reason: &str) -> Value {
        self.with_jobs(json!({
            "jobId": self.job,
            "tier": self.tier,
            "usage": self.own_usage(),
            "cost": self.cost(),
            "tokensPerSecond": self.tokens_per_second,
            "firstTokenMs": self.first_token_ms,
            "finishReason": if reason.is_empty() { "stop" } else { reason },
        }))
    }

    /// Returns the event `error`.
    pub fn error(&self, problem: &Problem) -> Value {
        self.with_jobs(json!({
            "jobId": self.job,
            "code": problem.code,
            "message": problem.message,
            "usage": self.own_usage(),
            "cost": self.cost(),
        }))
    }

    /// Returns the whole answer of `/api/llm/inference`.
    pub fn whole(&self, text: &str, message: Value, reason: &str) -> Value {
        self.with_jobs(json!({
            "success": true,
            "jobId": self.job,
            "result": text,
            "message": message,
            "model": self.model,
            "tier": self.tier,
            "provider": self.provider,
            "usage": self.own_usage(),
            "cost": self.cost(),
            "ad": self.ad,
            "tokensPerSecond": self.tokens_per_second,
            "finishReason": if reason.is_empty() { "stop" } else { reason },
        }))
    }

    fn own_usage(&self) -> Value {
        let (prompt, answer) = self.tokens();
        json!({"promptTokens": prompt, "completionTokens": answer, "totalTokens": prompt + answer})
    }

    /// Adds what was chosen, the jobs of an answer that more than one provider has made, and the tokens of the
    /// receipts.
    fn with_jobs(&self, mut told: Value) -> Value {
        if let Some(choice) = &self.choice {
            told["choice"] = choice.clone();
        }
        if let Some(rated) = &self.rated {
            told["objectives"] = rated.clone();
        }
        if self.has_parts() {
            told["jobs"] = json!(self.jobs);
        }
        if let Some(receipts) = &self.receipts {
            told["receiptToken"] = receipts.token(self.job).into();
            if self.has_parts() {
                told["receiptTokens"] = self.jobs.iter().map(|job| receipts.token(*job)).collect();
            }
        }
        told
    }

    fn tokens(&self) -> (u64, u64) {
        let (_, prompt, answer) = self.before;
        let last = self.receipt.as_ref().map_or((0, 0), |last| (last.prompt_tokens, last.answer_tokens));
        (prompt + last.0, answer + last.1)
    }

    fn cost(&self) -> String {
        let last = self.receipt.as_ref().map(|receipt| receipt.charge).unwrap_or_default();
        self.before.0.checked_add(last).unwrap_or(Nanos::MAX).to_string()
    }
}
