//! Agents: what their projects are to reach, and how close a task is to that.
//!
//! Objectives are an account's own words. They are stored, told to nobody else and never logged; for embeddings
//! they go where the account's requests go. A key with limits reads them and rates by them, and cannot change
//! them: they may be what it is held to.

mod rating;

use std::sync::Arc;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rekursing_market::{Payer, relevance::Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Problem,
    caller::{self, Caller},
    once,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    gate::{self, TASK_CHARACTERS_MAX},
    store::{Holder, Objectives},
    switches::Feature,
};
pub(super) use rating::{Rater, pass};

/// Most objectives of a project.
const OBJECTIVES_MAX: usize = 32;

/// Longest objective, in characters.
const OBJECTIVE_CHARACTERS_MAX: usize = 1_000;

/// A project's objectives, to be put.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    project: String,
    objectives: Vec<String>,
}

/// `POST /api/agents/objectives`
pub(super) async fn put(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    let Wanted { project, objectives } = posted::read(&posted.body)?;
    let project = gate::project(&project)?;
    let is_fair = |text: &String| {
        !text.trim().is_empty() && text.chars().count() <= OBJECTIVE_CHARACTERS_MAX && !text.contains('\0')
    };
    if !(1..=OBJECTIVES_MAX).contains(&objectives.len()) || !objectives.iter().all(is_fair) {
        let message = "objectives are 1 to 32 texts, each of 1 to 1000 characters";
        return Err(Problem::field("objectives", message));
    }
    let put = Objectives { project, objectives, at: house.desk.now() };
    let most = house.config.limits.projects_per_account;
    let stored = house.desk.store().put_objectives(account, put.clone(), most).await;
    if stored.map_err(unstored())? {
        return Ok(Json(view(&put)));
    }
    let message = format!("the account has {most} projects, which is as many as it may have");
    Err(Problem::new(StatusCode::CONFLICT, "too_many_projects", message))
}

/// `GET /api/agents/objectives`
pub(super) async fn list(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Holder { account, spender, .. } = caller::holder(&house, &headers, peer).await?;
    let projects = house.desk.store().projects(account).await.map_err(Problem::unread)?;
    let known = projects.iter().filter(|found| spender.knows(&found.project));
    let projects: Vec<Value> = known.map(view).collect();
    Ok(Json(json!({"projects": projects})))
}

/// `GET /api/agents/objectives/{project}`
pub(super) async fn one(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    project: Named,
) -> Result<Json<Value>, Problem> {
    let Holder { account, spender, .. } = caller::holder(&house, &headers, peer).await?;
    let project = named(project)?;
    let found = house.desk.store().objectives(account, project).await.map_err(Problem::unread)?;
    let known = found.filter(|found| spender.knows(&found.project));
    known.map(|found| Json(view(&found))).ok_or_else(unknown)
}

/// `DELETE /api/agents/objectives/{project}`
pub(super) async fn remove(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    project: Named,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let account = caller::account(&house, &headers, peer).await?.account;
    let project = named(project)?;
    let removed = house.desk.store().remove_objectives(account, project).await.map_err(unstored())?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// A task to be rated. What stands beside these fields is said of the embeddings.
#[derive(Deserialize)]
struct Asked {
    project: String,
    task: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(flatten)]
    embeddings: Map<String, Value>,
}

/// `POST /api/agents/rate`
pub(super) async fn rate(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Response, Problem> {
    house.switches.check(Feature::Agents)?;
    let holder = caller::holder(&house, &headers, peer).await?;
    if !house.rates.rating(holder.account) {
        return Err(Problem::rate_limited("too many tasks to be rated for this account; wait a minute"));
    }
    let caller = Caller { payer: Payer::Page(holder.account), holder: Some(holder) };
    let Asked { project, task, method, embeddings } = posted::read(&posted.body)?;
    let project = gate::project(&project)?;
    let method = gate::method(method.as_deref())?;
    if task.trim().is_empty() || task.chars().count() > TASK_CHARACTERS_MAX {
        return Err(Problem::field("task", "task is a text of 1 to 8000 characters"));
    }
    let named = once::named(&headers, &caller, "/api/agents/rate", &posted.body)?;
    let named = if method == Method::Lexical { named.map(once::Named::unnoted) } else { named };
    let job = house.job_id();
    let rater = Rater { house: Arc::clone(&house), caller, headers, peer, embeddings };
    let rated = async move {
        let rating = rater.rate(job, project, &task, method).await?;
        Ok(Json(rating.view()).into_response())
    };
    once::unstored(house, named, job.to_string(), rated).await
}

fn view(objectives: &Objectives) -> Value {
    json!({"project": objectives.project, "objectives": objectives.objectives, "at": objectives.at})
}

/// Reads the project that a path names. Under what is no name there is none.
fn named(project: Named) -> Result<String, Problem> {
    let Path(project) = project?;
    gate::project(&project).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "project_not_found", "the account has no project of this name")
}

fn unstored() -> impl FnOnce(anyhow::Error) -> Problem {
    Problem::unstored("objectives")
}
