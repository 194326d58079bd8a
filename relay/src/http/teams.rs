//! Teams: accounts whose computers are counted together among the leaders. Whoever knows a team's code joins it; who is
//! in it for longest, its founder as long as he stays, changes that and puts others out.

use axum::{
    Json,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
};
use rekursing_protocol::{AccountId, name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller, groups,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    groups::Code,
    house::House,
    store::{Holder, Joined, Team},
    switches::Feature,
};

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
    let Holder { account, is_verified, .. } = caller::account(&house, &headers, peer).await?;
    house.switches.check(Feature::Channels)?;
    groups::slowly(&house, &headers, peer)?;
    let Wanted { name } = posted::read(&body)?;
    let shown = name::plain(&name, NAME_MAX);
    if shown.is_empty() || name.chars().count() > NAME_MAX {
        return Err(Problem::field("name", "a team's name has 1 to 40 visible characters"));
    }
    // Accounts cost nothing, and there are only so many teams.
    if !is_verified && !house.desk.store().has_earned(account).await.map_err(Problem::unread)? {
        let message = "a team is founded by a verified account, or once a computer of your own has earned \
                       something on a day after it was paired";
        return Err(Problem::new(StatusCode::FORBIDDEN, "team_not_earned", message));
    }
    let _alone = house.team_codes.changing.lock().await;
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
    let _alone = house.team_codes.changing.lock().await;
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
    let _alone = house.team_codes.changing.lock().await;
    house.desk.store().leave_team(account).await.map_err(Problem::unstored("a team"))?;
    house.channels.regrouped();
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/account/team/code`
pub(super) async fn turn(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    groups::slowly(&house, &headers, peer)?;
    let _alone = house.team_codes.changing.lock().await;
    let (team, code) = founded(&house, account).await?;
    let turned = house.desk.store().turn_team(team.id, team.turn + 1, code).await;
    turned.map_err(Problem::unstored("a team"))?;
    view(&house, account).await
}

/// `DELETE /api/account/team/members/{memberId}`
pub(super) async fn put_out(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    member: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller::origin(&house, &headers)?;
    let account = caller::account(&house, &headers, peer).await?.account;
    groups::slowly(&house, &headers, peer)?;
    let Path(member) = member?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "not_in_team", "this account is not in the team");
    let member = member.parse().ok().filter(|member| *member != account).ok_or_else(unknown)?;
    let _alone = house.team_codes.changing.lock().await;
    // Whoever is put out knows the code.
    let (team, code) = founded(&house, account).await?;
    let out = house.desk.store().put_out_of_team(team.id, member, team.turn + 1, code).await;
    if !out.map_err(Problem::unstored("a team"))? {
        return Err(unknown());
    }
    house.channels.regrouped();
    view(&house, account).await
}

/// Returns the team that an account has founded, with what is kept of its next code.
async fn founded(house: &House, account: AccountId) -> Result<(Team, [u8; 32]), Problem> {
    let team = house.desk.store().team_of(account).await.map_err(Problem::unread)?;
    let team = team.filter(|team| team.founder == account).ok_or_else(|| {
        let message = "only whoever is in the team for longest can do this";
        Problem::new(StatusCode::FORBIDDEN, "not_creator", message)
    })?;
    let code = house.team_codes.code(team.id.bits(), team.turn + 1).digest();
    Ok((team, code))
}

/// Shows an account's team; who else is in it, to its founder alone.
async fn view(house: &House, account: AccountId) -> Result<Json<Value>, Problem> {
    let store = house.desk.store();
    let Some(team) = store.team_of(account).await.map_err(Problem::unread)? else {
        return Ok(Json(json!({"team": null})));
    };
    let Team { id, name, members, turn, founder } = team;
    let code = house.team_codes.code(id.bits(), turn).shown();
    let mut view =
        json!({"id": id, "name": name, "members": members, "code": code, "own": founder == account});
    if founder == account {
        let others = store.team_members(id).await.map_err(Problem::unread)?.into_iter();
        let others = others.filter(|(other, _)| *other != account);
        view["others"] = others.map(|(account, since)| json!({"account": account, "since": since})).collect();
    }
    Ok(Json(json!({"team": view})))
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
    Problem { field: Some("code".into()), ..Problem::new(StatusCode::NOT_FOUND, "wrong_code", message) }
}
