//! Groups of friends: owners make, join and leave them, and pages join and leave.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
};
use rekursing_market::{Group, GroupRefusal, Left, Member};
use rekursing_protocol::{AccountId, GroupId, Nanos, PluginId, Price};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Problem, caller,
    figures::dollars,
    plugins,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{desk::Friends, groups::Code, house::House};

/// What a group's plugins ask of its accounts, in USD per million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    input: Nanos,
    output: Nanos,
}

/// The code of a group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    code: String,
}

/// `GET /api/plugin/group/{pluginId}`
pub(super) async fn of_plugin(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let plugin = plugins::owner(&house, &id?.0, &headers, peer).await?;
    view(&house, plugin).await
}

/// `POST /api/plugin/group/{pluginId}`
pub(super) async fn create(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    posted: Posted,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let price = posted::read::<Asked>(&posted.body)?.price()?;
    let _alone = house.codes.changing.lock().await;
    let group = house.group_id();
    house.desk.regroup(|groups, terms| groups.create(terms, group, plugin, price))?;
    let code = house.codes.code(group.bits(), 0).digest();
    kept(house.desk.store().put_group(house.desk.now(), group, plugin, price, code).await)?;
    Ok((StatusCode::CREATED, view(&house, plugin).await?))
}

/// `PUT /api/plugin/group/{pluginId}`
pub(super) async fn set_price(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Json<Value>, Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let price = posted::read::<Asked>(&posted.body)?.price()?;
    let _alone = house.codes.changing.lock().await;
    let group = house.desk.regroup(|groups, _| groups.set_price(plugin, price))?;
    kept(house.desk.store().price_group(group, plugin, price).await)?;
    view(&house, plugin).await
}

/// `POST /api/plugin/group/{pluginId}/code`
pub(super) async fn turn(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    _: Posted,
) -> Result<Json<Value>, Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let _alone = house.codes.changing.lock().await;
    let group = house.desk.regroup(|groups, _| groups.made_by(plugin))?;
    give_another_code(&house, group).await?;
    view(&house, plugin).await
}

/// `POST /api/plugin/group/{pluginId}/agreed`
pub(super) async fn agree(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Json<Value>, Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let price = posted::read::<Asked>(&posted.body)?.price()?;
    let _alone = house.codes.changing.lock().await;
    let group = house.desk.regroup(|groups, _| groups.agree(plugin, price))?;
    kept(house.desk.store().agree_in_group(group, plugin, price).await)?;
    view(&house, plugin).await
}

/// `DELETE /api/plugin/group/{pluginId}/members/{memberId}`
pub(super) async fn put_out(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    caller::origin(&house, &headers)?;
    let Path((id, member)) = path?;
    let plugin = changing(&house, Ok(Path(id)), &headers, peer).await?;
    let member = match (member.parse(), member.parse()) {
        (Ok(plugin), _) => Member::Plugin(plugin),
        (Err(_), Ok(account)) => Member::Account(account),
        (Err(_), Err(_)) => return Err(GroupRefusal::NotInGroup.into()),
    };
    let _alone = house.codes.changing.lock().await;
    let group = house.desk.regroup(|groups, _| groups.put_out(plugin, member))?;
    let out = match member {
        Member::Plugin(plugin) => plugin.to_string(),
        Member::Account(account) => account.to_string(),
    };
    kept(house.desk.store().leave_group(group, out).await)?;
    // Whoever is put out knows the code.
    give_another_code(&house, group).await?;
    view(&house, plugin).await
}

async fn give_another_code(house: &House, group: GroupId) -> Result<(), Problem> {
    let turn = house.desk.store().group_turn(group).await.map_err(Problem::unread)?.unwrap_or_default() + 1;
    kept(house.desk.store().turn_group(group, turn, house.codes.code(group.bits(), turn).digest()).await)
}

/// `POST /api/plugin/group/{pluginId}/join`
pub(super) async fn join(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
    posted: Posted,
) -> Result<Json<Value>, Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let Joining { code } = posted::read(&posted.body)?;
    let _alone = house.codes.changing.lock().await;
    let group = with_code(&house, &code).await?;
    let price = house.desk.regroup(|groups, terms| {
        groups.add_plugin(terms, group, plugin)?;
        groups.get(group).map(|group| group.price).ok_or(GroupRefusal::Unknown)
    })?;
    kept(house.desk.store().join_group(house.desk.now(), group, plugin.to_string(), price).await)?;
    view(&house, plugin).await
}

/// `DELETE /api/plugin/group/{pluginId}`
pub(super) async fn leave(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    id: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let plugin = changing(&house, id, &headers, peer).await?;
    let _alone = house.codes.changing.lock().await;
    let store = house.desk.store();
    kept(match house.desk.regroup(|groups, _| groups.remove_plugin(plugin))? {
        Left::GoesOn(group) => store.leave_group(group, plugin.to_string()).await,
        Left::Closed(group) => store.close_group(group).await,
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/account/groups`
pub(super) async fn join_as_page(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    posted: Posted,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let account = caller::account(&house, &headers, peer).await?.account;
    slowly(&house, &headers, peer)?;
    let Joining { code } = posted::read(&posted.body)?;
    let _alone = house.codes.changing.lock().await;
    let group = with_code(&house, &code).await?;
    house.desk.regroup(|groups, terms| groups.add_account(terms, group, account))?;
    // What an account pays is its plugins' to agree to.
    let member = account.to_string();
    kept(house.desk.store().join_group(house.desk.now(), group, member, Price::default()).await)?;
    Ok((StatusCode::CREATED, Json(json!({"groups": of_account(&house, account)}))))
}

/// `DELETE /api/account/groups/{group}`
pub(super) async fn leave_as_page(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    group: Named,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let account = caller::account(&house, &headers, peer).await?.account;
    let group: GroupId = group?.0.parse().map_err(|_| Problem::from(GroupRefusal::Unknown))?;
    let _alone = house.codes.changing.lock().await;
    house.desk.regroup(|groups, _| groups.remove_account(account, group))?;
    kept(house.desk.store().leave_group(group, account.to_string()).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the groups that an account is in.
pub(super) fn of_account(house: &House, account: AccountId) -> Value {
    let friends = house.desk.groups_of(account).into_iter();
    let friends = friends.map(|Friends { id, group, accounts, through, models }| {
        let mut view = seen(id, &group, accounts);
        view["through"] = json!(through);
        view["models"] = json!(models);
        view
    });
    friends.collect()
}

/// Shows the group that a plugin is in; the code to whoever made it alone.
async fn view(house: &House, plugin: PluginId) -> Result<Json<Value>, Problem> {
    let Some((id, group, accounts)) = house.desk.group_of(plugin) else {
        return Ok(Json(json!({"group": null})));
    };
    let mut view = seen(id, &group, accounts);
    view["own"] = json!(group.creator == plugin);
    view["asked"] = priced(group.price_of(plugin));
    view["membersMax"] = json!(house.config.limits.group_members);
    if group.creator == plugin {
        let turn = house.desk.store().group_turn(id).await.map_err(Problem::unread)?;
        view["code"] = json!(turn.map(|turn| house.codes.code(id.bits(), turn).shown()));
        view["members"] = members(house, &group);
    }
    Ok(Json(json!({"group": view})))
}

/// Shows whom whoever made a group can put out of it.
fn members(house: &House, group: &Group) -> Value {
    let plugins = group.plugins.keys().filter(|plugin| **plugin != group.creator).map(|plugin| {
        let name = house.plugins.find(*plugin).map(|known| known.name);
        json!({"id": plugin, "name": name.as_deref(), "asked": priced(group.price_of(*plugin))})
    });
    let accounts = group.accounts.iter().map(|account| json!({"id": account, "name": null, "asked": null}));
    plugins.chain(accounts).collect()
}

fn priced(price: Price) -> Value {
    json!({"input": dollars(price.input), "output": dollars(price.output)})
}

fn seen(id: GroupId, group: &Group, accounts: usize) -> Value {
    json!({
        "id": id,
        "price": priced(group.price),
        "plugins": group.plugins.len(),
        "accounts": accounts,
    })
}

/// Checks the plugin's secret, and that groups are changed and codes tried slowly.
async fn changing(
    house: &House,
    id: Named,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<PluginId, Problem> {
    let plugin = plugins::owner(house, &id?.0, headers, peer).await?;
    slowly(house, headers, peer)?;
    Ok(plugin)
}

pub(super) fn slowly(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Problem> {
    if house.rates.group_try(caller::address(house, headers, peer)) {
        return Ok(());
    }
    Err(Problem::rate_limited(
        "groups or teams were changed or codes tried too often from this address; wait a minute",
    ))
}

async fn with_code(house: &House, text: &str) -> Result<GroupId, Problem> {
    let unknown = || {
        let message = "no group has this code; ask whoever made the group for its code";
        Problem { field: Some("code".into()), ..Problem::new(StatusCode::NOT_FOUND, "wrong_code", message) }
    };
    let code = Code::read(text).ok_or_else(unknown)?;
    let group = house.desk.store().group_with(code.digest()).await.map_err(Problem::unread)?;
    group.ok_or_else(unknown)
}

/// Tells of a change that the store has not kept.
fn kept(kept: anyhow::Result<()>) -> Result<(), Problem> {
    kept.map_err(Problem::unstored("a group"))
}

impl Asked {
    fn price(&self) -> Result<Price, Problem> {
        price_of(self.input, self.output)
    }
}

/// Reads a price of USD per million tokens, prompt and answer.
pub(super) fn price_of(input: Nanos, output: Nanos) -> Result<Price, Problem> {
    let side = |field, amount: Nanos| {
        let micros = amount.get().unsigned_abs() / 1_000;
        let is_price = !amount.is_negative() && amount.get() % 1_000 == 0 && micros <= Price::MAX;
        let wrong = "a price is from 0 to 10,000 USD per million tokens, with six decimals at most";
        if is_price { Ok(micros) } else { Err(Problem::field(field, wrong)) }
    };
    Ok(Price::new(side("input", input)?, side("output", output)?))
}

impl From<GroupRefusal> for Problem {
    fn from(refusal: GroupRefusal) -> Problem {
        let status = match refusal {
            GroupRefusal::Unknown | GroupRefusal::NotInGroup => StatusCode::NOT_FOUND,
            GroupRefusal::NotCreator => StatusCode::FORBIDDEN,
            GroupRefusal::InGroup
            | GroupRefusal::PriceChanged
            | GroupRefusal::Full { .. }
            | GroupRefusal::TooManyOfAccount { .. }
            | GroupRefusal::TooMany => StatusCode::CONFLICT,
        };
        Problem::new(status, refusal.code(), refusal.to_string())
    }
}
