//! Teams: accounts whose computers are counted together among the leaders. Whoever knows a team's code joins it.

use axum::{
    Json,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::{AccountId, name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, groups,
    posted::{self, Peer, Posted, Shared},
};
use crate::{groups::Code, house::House, store::Joined, switches::Feature};

/// Longest name of a team, in characters.
const NAME_MAX: usize = 40;

/// Most teams.
const TEAMS_MAX: u64 = 10_000;

/// Most accounts in a team.
const MEMBERS_MAX: u64 = 200;

/// A team to be founded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
}

/// The code of a team.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    code: String,
}

/// `GET /api/account/team`
pub(super) async fn own(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    view(&house, account).await
}

/// `POST /api/account/team`
pub(super) async fn found(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    house.switches.check(Feature::Channels)?;
    groups::slowly(&house, &headers, peer)?;
    let Wanted { name } = posted::read(&body)?;
    let shown = name::plain(&name, NAME_MAX);
    if shown.is_empty() || name.chars().count() > NAME_MAX {
        return Err(Problem::field("name", "a team's name has 1 to 40 visible characters"));
    }
    let id = house.team_id();
    let code = house.team_codes.code(id.bits(), 0).digest();
    let founded = house.desk.store().found_team(house.desk.now(), id, shown, code, account, TEAMS_MAX).await;
    joined(founded.map_err(Problem::unstored("a team"))?)?;
    house.channels.regrouped();
    Ok((StatusCode::CREATED, view(&house, account).await?))
}

/// `PUT /api/account/team`
pub(super) async fn join(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    house.switches.check(Feature::Channels)?;
    groups::slowly(&house, &headers, peer)?;
    let Joining { code } = posted::read(&body)?;
    let code = Code::read(&code).ok_or_else(wrong_code)?.digest();
    let entered = house.desk.store().join_team(house.desk.now(), code, account, MEMBERS_MAX).await;
    joined(entered.map_err(Problem::unstored("a team"))?)?;
    house.channels.regrouped();
    view(&house, account).await
}

/// `DELETE /api/account/team`
pub(super) async fn leave(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let account = caller::account(&house, &headers, peer).await?.account;
    house.desk.store().leave_team(account).await.map_err(Problem::unstored("a team"))?;
    house.channels.regrouped();
    Ok(StatusCode::NO_CONTENT)
}

async fn view(house: &House, account: AccountId) -> Result<Json<Value>, Problem> {
    let team = house.desk.store().team_of(account).await.map_err(Problem::unread)?;
    let team = team.map(|team| {
        let code = house.team_codes.code(team.id.bits(), 0).shown();
        json!({"id": team.id, "name": team.name, "members": team.members, "code": code})
    });
    Ok(Json(json!({"team": team})))
}

fn joined(joined: Joined) -> Result<(), Problem> {
    let conflict = |code, message| Err(Problem::new(StatusCode::CONFLICT, code, message));
    match joined {
        Joined::Yes => Ok(()),
        Joined::InOne => conflict("in_team", "the account is in a team already; leave that one first"),
        Joined::NameTaken => conflict("team_name_taken", "another team has this name"),
        Joined::Full => {
            conflict("team_full", "there are as many teams, or members of this one, as there may be")
        }
        Joined::WrongCode => Err(wrong_code()),
    }
}

fn wrong_code() -> Problem {
    let message = "no team has this code; ask somebody who is in the team for it";
    Problem { field: Some("code"), ..Problem::new(StatusCode::NOT_FOUND, "wrong_code", message) }
}
