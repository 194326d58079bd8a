//! Rating: a task beside a project's objectives, by embeddings that the asking key pays for, or by words.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::to_bytes,
    http::{HeaderMap, StatusCode},
};
use rekursing_market::{
    Gate,
    relevance::{self, Method, Shared},
};
use rekursing_protocol::{JobId, Nanos};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::unknown;
use crate::{
    ask::{Ask, Dialect},
    conversation,
    gate::TASK_CHARACTERS_MAX,
    house::House,
    http::{
        Problem, answers,
        caller::{self, Caller},
    },
};

/// Most shared words that a reason names.
const WORDS_MAX: usize = 12;

/// Whoever has something rated.
#[derive(Debug)]
pub(in crate::http) struct Rater {
    pub(in crate::http) house: Arc<House>,
    pub(in crate::http) caller: Caller,
    pub(in crate::http) headers: HeaderMap,
    pub(in crate::http) peer: SocketAddr,
    /// What is said of the embeddings: which model, at what price, by whom.
    pub(in crate::http) embeddings: Map<String, Value>,
}

/// How close a task is to a project's objectives.
#[derive(Debug)]
pub(in crate::http) struct Rating {
    project: String,
    /// From 0 to 1: that of the closest objective.
    score: f64,
    reasons: Vec<Reason>,
    method: Method,
    /// What the embeddings were and cost.
    embeddings: Option<Value>,
    /// Why there are none, where there might have been.
    fallback: Option<&'static str>,
}

/// How close a task is to one objective.
#[derive(Debug)]
struct Reason {
    objective: String,
    score: f64,
    /// Words that both have, where words were compared.
    words: Option<Vec<String>>,
}

/// What came of asking for vectors.
struct Embedded {
    /// How close each objective is; `None` where the provider's vectors cannot be compared.
    scores: Option<Vec<f64>>,
    /// What they were and cost.
    told: Value,
}

/// Rates what is asked by everything that it must be close to. Returns what is told of it beside the answer,
/// `None` where there is no gate, or refuses it. What the named `call` has paid for before it does not pay again.
pub(in crate::http) async fn pass(
    rater: &Rater,
    gates: &[Gate],
    fields: &str,
    call: Option<&str>,
) -> Result<Option<Value>, Problem> {
    if gates.is_empty() {
        return Ok(None);
    }
    let question = conversation::read(fields).map(|said| said.question).unwrap_or_default();
    let task: String = question.chars().take(TASK_CHARACTERS_MAX).collect();
    let Rater { house, .. } = rater;
    let mut told = call.map(|call| house.passed.of(house.desk.now(), call)).unwrap_or_default();
    for gate in gates.iter().skip(told.len()) {
        let job = house.job_id();
        let rating = rater.rate(job, gate.project.clone(), &task, gate.method).await?;
        let threshold = f64::from(gate.threshold_permille) / 1_000.0;
        if rating.score < threshold {
            return Err(rating.refusal(threshold));
        }
        told.push(rating.passed(threshold));
        if let Some(call) = call
            && told.iter().any(|passed| passed["cost"] != json!(Nanos::ZERO))
        {
            house.passed.note(house.desk.now(), call, told.clone());
        }
    }
    Ok(Some(Value::Array(told)))
}

impl Rater {
    /// Rates a task. Its embeddings are made as this job.
    pub(in crate::http) async fn rate(
        &self,
        job: JobId,
        project: String,
        task: &str,
        method: Method,
    ) -> Result<Rating, Problem> {
        let holder = self.caller.holder.as_ref().ok_or_else(unknown)?;
        if !holder.spender.knows(&project) {
            return Err(unknown());
        }
        let account = holder.account;
        let stored = self.house.desk.store().objectives(account, project.clone()).await;
        let objectives = stored.map_err(Problem::unread)?.ok_or_else(unknown)?.objectives;
        let (mut embeddings, mut fallback) = (None, None);
        if method != Method::Lexical {
            match self.embed(job, task, &objectives).await {
                Ok(Embedded { scores: Some(scores), told }) => {
                    let reason = |(objective, score)| Reason { objective, score, words: None };
                    let reasons = objectives.into_iter().zip(scores).map(reason).collect();
                    return Ok(Rating::new(project, Method::Embeddings, reasons, Some(told), None));
                }
                Ok(Embedded { scores: None, .. }) if method == Method::Embeddings => return Err(unreadable()),
                Ok(Embedded { scores: None, told }) => {
                    (embeddings, fallback) = (Some(told), Some("provider_failed"));
                }
                Err(problem) if method == Method::Auto && is_nobody(&problem) => {
                    fallback = Some(problem.code);
                }
                Err(problem) => return Err(problem),
            }
        }
        // To compare words takes long enough to keep streams waiting.
        let task = task.to_owned();
        let compare = move || (relevance::lexical(&task, &objectives), objectives);
        let compared = self.house.aside(compare).await;
        let (shared, objectives) = compared.ok_or_else(Problem::internal)?;
        let reason = |(objective, Shared { score, mut words }): (String, Shared)| {
            words.truncate(WORDS_MAX);
            Reason { objective, score, words: Some(words) }
        };
        let reasons = objectives.into_iter().zip(shared).map(reason).collect();
        Ok(Rating::new(project, Method::Lexical, reasons, embeddings, fallback))
    }

    /// Has task and objectives made into vectors, and returns how close they are and what that cost.
    async fn embed(&self, job: JobId, task: &str, objectives: &[String]) -> Result<Embedded, Problem> {
        let mut body = self.embeddings.clone();
        // They are read here, as lists.
        body.remove("encoding_format");
        let texts: Vec<&str> = std::iter::once(task).chain(objectives.iter().map(String::as_str)).collect();
        body.insert("input".to_owned(), json!(texts));
        let body = Value::Object(body).to_string();
        let address = caller::address(&self.house, &self.headers, self.peer);
        let mut reading = self.house.memory.reading(address).ok_or_else(overloaded)?;
        if !reading.grow(body.len()) {
            return Err(overloaded());
        }
        let mut ask = Ask::read(Dialect::Embedding, &body, job, self.caller.payer)?;
        answers::pays(&self.house, &mut ask, self.caller.clone(), &self.headers, self.peer)?;
        let country = caller::country(&self.house, &self.headers);
        let answer =
            answers::answer(&self.house, Dialect::Embedding, ask, country, reading.read(), None).await?;
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.map_err(|_| Problem::internal())?;
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| Problem::internal())?;
        let own = |name: &str| answer["rekursing"][name].clone();
        let told = json!({
            "jobId": job,
            "model": answer["model"],
            "provider": own("provider"),
            "cost": own("cost"),
        });
        Ok(Embedded { scores: scores(&answer["data"], objectives.len()), told })
    }
}

impl Rating {
    fn new(
        project: String,
        method: Method,
        mut reasons: Vec<Reason>,
        embeddings: Option<Value>,
        fallback: Option<&'static str>,
    ) -> Rating {
        reasons.sort_by(|one, other| other.score.total_cmp(&one.score));
        let score = reasons.first().map_or(0.0, |closest| closest.score);
        Rating { project, score, reasons, method, embeddings, fallback }
    }

    /// Returns all that is told of it.
    pub(in crate::http) fn view(&self) -> Value {
        let reasons: Vec<Value> = self.reasons.iter().map(Reason::view).collect();
        json!({
            "project": self.project,
            "score": rounded(self.score),
            "method": self.method.name(),
            "reasons": reasons,
            "cost": self.cost(),
            "embeddings": self.embeddings,
            "fallback": self.fallback,
        })
    }

    /// Returns what is told of it beside an answer.
    fn passed(&self, threshold: f64) -> Value {
        json!({
            "project": self.project,
            "score": rounded(self.score),
            "threshold": threshold,
            "method": self.method.name(),
            "cost": self.cost(),
        })
    }

    fn refusal(&self, threshold: f64) -> Problem {
        let cost = match self.cost() {
            cost if cost == Nanos::ZERO.to_string().as_str() => String::new(),
            cost => format!("; to find that out has cost {} USD", cost.as_str().unwrap_or_default()),
        };
        let message = format!(
            "what is asked scores {} by the objectives of `{}`, and {threshold} is the least that may be asked{cost}",
            rounded(self.score),
            self.project
        );
        // What finding out has cost is not paid a second time by asking again.
        let charged = self.cost() != json!(Nanos::ZERO);
        Problem { charged, ..Problem::new(StatusCode::FORBIDDEN, "off_objective", message) }
    }

    fn cost(&self) -> Value {
        let cost = self.embeddings.as_ref().map(|embeddings| embeddings["cost"].clone());
        cost.unwrap_or_else(|| json!(Nanos::ZERO))
    }
}

impl Reason {
    fn view(&self) -> Value {
        let mut view = json!({"objective": self.objective, "score": rounded(self.score)});
        if let Some(words) = &self.words {
            view["words"] = json!(words);
        }
        view
    }
}

/// Compares the first vector of an answer with each of the others, of which there must be so many.
fn scores(data: &Value, others: usize) -> Option<Vec<f64>> {
    #[derive(Deserialize)]
    struct Vector {
        index: usize,
        embedding: Vec<f64>,
    }
    let mut vectors = Vec::<Vector>::deserialize(data).ok()?;
    vectors.sort_by_key(|vector| vector.index);
    let (task, vectors) = vectors.split_first().filter(|(_, rest)| rest.len() == others)?;
    vectors.iter().map(|vector| relevance::cosine(&task.embedding, &vector.embedding)).collect()
}

/// Tells whether nobody is there who makes vectors for this account, which is no fault of the request's.
fn is_nobody(problem: &Problem) -> bool {
    let code = problem.code;
    matches!(problem.status.as_u16(), 404 | 502 | 503)
        || matches!(
            code,
            "wrong_kind" | "collection_denied" | "group_only" | "not_verified" | "topic_refused"
        )
}

fn unreadable() -> Problem {
    let message = "the provider's vectors cannot be compared";
    Problem { charged: true, ..Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", message) }
}

fn overloaded() -> Problem {
    let message = "too many large requests are under way";
    Problem { retry_after: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message) }
}

/// Three decimals are more than a score has.
fn rounded(score: f64) -> f64 {
    (score * 1_000.0).round() / 1_000.0
}
