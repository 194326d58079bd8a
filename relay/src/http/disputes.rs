//! The routes of disputes: whoever paid opens and sees his own, whoever answered sees those about him, and the
//! operator decides.

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{
    Payer,
    dispute::{Reason, Refusal, Step},
    ledger::EntryKind,
};
use rekursing_protocol::{JobId, name};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Problem,
    caller::{self, Caller},
    once, operator, plugins,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    chance,
    disputes::{Complaint, Denial},
    house::House,
    print,
    store::Dispute,
};

/// Longest words about a dispute, in characters.
const WORDS_MAX: usize = 500;

/// Most disputes of one account or plugin, and of each kind the operator's, that are told at once.
const TOLD_MAX: u64 = 100;

/// A dispute to be opened.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Opening<'a> {
    job_id: String,
    reason: String,
    #[serde(default)]
    words: String,
    #[serde(default)]
    consent: bool,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
    #[serde(default)]
    answer: Option<String>,
}

/// `POST /api/account/disputes`
pub(super) async fn open(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    let holder = caller::account(&house, &headers, peer).await?;
    if !house.rates.voice(caller::address(&house, &headers, peer)) {
        return Err(Problem::rate_limited("too many disputes from this address; wait a minute"));
    }
    let account = holder.account;
    let caller = Caller { payer: Payer::Page(account), holder: Some(holder) };
    let Opening { job_id, reason, words, consent, prompt, answer } = posted::read(&posted.body)?;
    let prompt = prompt.filter(|prompt| prompt.get() != "null");
    if !consent && (prompt.is_some() || answer.is_some()) {
        let message = "what is attached is read by the operator, so it is taken with your consent alone";
        return Err(Problem::field("consent", message));
    }
    let prompt = prompt.map(|prompt| print::parts(prompt.get()).collect());
    let job: JobId = job_id.parse().map_err(|_| Denial::NotFound)?;
    let reason: Reason = reason.parse().map_err(|_| {
        let reasons = Reason::ALL.map(Reason::name).join(", ");
        Problem::field("reason", &format!("a reason is one of {reasons}"))
    })?;
    check("words", &words)?;
    let named = once::named(&headers, &caller, "/api/account/disputes", &posted.body)?;
    let opened = async {
        let complaint = Complaint { job, reason, words, prompt, answer };
        let row = house.disputes.open(&house, account, complaint).await?;
        Ok((StatusCode::CREATED, Json(json!({"dispute": of_page(&row)}))).into_response())
    };
    once::change(&house, named, job, opened).await
}

/// `GET /api/account/disputes`
pub(super) async fn own(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let rows = house.desk.store().disputes_of(account, TOLD_MAX).await.map_err(Problem::unread)?;
    Ok(Json(json!({"disputes": rows.iter().map(of_page).collect::<Vec<_>>()})))
}

/// `GET /api/plugin/disputes/{pluginId}`
pub(super) async fn about(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let owner = plugins::owner(&house, &plugin, &headers, peer).await?;
    let rows = house.desk.store().disputes_about(owner, TOLD_MAX).await.map_err(Problem::unread)?;
    Ok(Json(json!({"disputes": rows.iter().map(of_owner).collect::<Vec<_>>()})))
}

/// `GET /api/operator/disputes`
pub(super) async fn list(State(house): Shared, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let (open, decided) = house.desk.store().disputes(TOLD_MAX).await.map_err(Problem::unread)?;
    Ok(Json(
        json!({"disputes": open.iter().chain(&decided).map(|row| listed(&house, row)).collect::<Vec<_>>()}),
    ))
}

/// `GET /api/operator/disputes/{jobId}`
pub(super) async fn one(
    State(house): Shared,
    job: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller::operator(&house, &headers)?;
    let Path(job) = job?;
    let job: JobId = job.parse().map_err(|_| Denial::NotDisputed)?;
    let row = house.desk.store().dispute(job).await.map_err(Problem::unread)?.ok_or(Denial::NotDisputed)?;
    Ok(Json(json!({"dispute": of_operator(&house, &row).await?})))
}

/// What the operator says of a step.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(default)]
    words: String,
}

/// `POST /api/operator/disputes/{jobId}/{step}`
pub(super) async fn step(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    caller::operator(&house, &headers)?;
    let Path((job, step)) = path?;
    let step: Step = step.parse().map_err(|_| {
        let message = "a dispute is reviewed, upheld or rejected";
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    })?;
    let job: JobId = job.parse().map_err(|_| Denial::NotDisputed)?;
    let Told { words } = posted::read(&posted.body)?;
    check("words", &words)?;
    if step != Step::Review && words.trim().is_empty() {
        return Err(Problem::field("words", "both sides are told why: say it in words"));
    }
    let about = once::about(format!("{job}/{}", step.name()), &posted.body);
    let named = once::named_by_operator(&headers, "/api/operator/disputes", &about)?;
    let who = operator::who(&house, &headers, peer);
    let taken = async {
        let row = house.disputes.step(&house, &who, job, step, &words).await?;
        Ok(Json(json!({"dispute": of_operator(&house, &row).await?})).into_response())
    };
    once::change(&house, named, job, taken).await
}

fn check(field: &'static str, words: &str) -> Result<(), Problem> {
    if words.chars().count() > WORDS_MAX || !name::is_plain(words) {
        return Err(Problem::field(field, "at most 500 characters, all of them visible"));
    }
    Ok(())
}

/// Shows what everybody who has to do with a dispute sees of it.
fn of_anybody(row: &Dispute) -> Value {
    json!({
        "jobId": row.job,
        "model": row.model,
        "charge": row.charge,
        "reason": row.reason.name(),
        "state": row.state,
        "told": row.told,
        "openedAt": row.opened,
        "reviewedAt": row.reviewed,
        "decidedAt": row.decided,
    })
}

fn of_page(row: &Dispute) -> Value {
    let mut view = of_anybody(row);
    view["words"] = json!(row.words);
    view["attached"] = json!(row.prompt.is_some() || row.answer.is_some());
    view
}

/// Shows a dispute to whoever has answered: neither who opened it nor a word of his.
fn of_owner(row: &Dispute) -> Value {
    let mut view = of_anybody(row);
    view["setAside"] = json!(row.aside.sum());
    view
}

/// Shows a dispute among others to the operator.
fn listed(house: &House, row: &Dispute) -> Value {
    let mut view = of_page(row);
    view["account"] = json!(row.account);
    view["pluginId"] = json!(row.owner);
    view["name"] = json!(&*house.plugins.name(row.owner));
    view["setAside"] = json!(row.aside.sum());
    view
}

async fn of_operator(house: &House, row: &Dispute) -> Result<Value, Problem> {
    let known =
        house.desk.store().correctable(format!("settle:{}", row.job)).await.map_err(Problem::unread)?;
    let settle = known.and_then(|known| match known.entry.kind {
        EntryKind::Settle(settle) => Some(settle),
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => None,
    });
    let mut view = listed(house, row);
    view["earned"] = json!(settle.map(|settle| settle.earned()));
    let prints = house.desk.store().prints(row.job).await.map_err(Problem::unread)?;
    let hex = |hash: Option<[u8; 32]>| hash.map(|hash| chance::hex(&hash));
    view["hashes"] = json!({
        "prompt": prints.and_then(|prints| hex(prints.prompt)),
        "answer": prints.and_then(|prints| hex(prints.answer)),
    });
    view["prompt"] = json!(row.prompt);
    view["answer"] = json!(row.answer);
    Ok(view)
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        let (status, code) = match &denial {
            Denial::NotFound => (StatusCode::NOT_FOUND, "job_not_found"),
            Denial::NotDisputed => (StatusCode::NOT_FOUND, "dispute_not_found"),
            Denial::NotEnded => (StatusCode::CONFLICT, "not_disputable"),
            Denial::Refused(refusal) => match refusal {
                Refusal::Free | Refusal::NotCharged | Refusal::GivenBack | Refusal::TooLate => {
                    (StatusCode::CONFLICT, "not_disputable")
                }
                Refusal::TooManyOpen { .. } | Refusal::LosesTooMany { .. } => {
                    (StatusCode::TOO_MANY_REQUESTS, "too_many_disputes")
                }
            },
            Denial::Differs(field) => return Problem::field(*field, &denial.to_string()),
            Denial::Before(_) => (StatusCode::CONFLICT, "disputed_before"),
            Denial::BadStep(_) => (StatusCode::CONFLICT, "dispute_state"),
            Denial::Correction(refusal) => return operator::refused(refusal),
            Denial::StoreDown => return Problem::store_down(),
            Denial::Book(_) | Denial::Payouts(_) | Denial::Store(_) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(denial)), "a dispute got stuck");
                return Problem::internal();
            }
        };
        Problem::new(status, code, denial.to_string())
    }
}
