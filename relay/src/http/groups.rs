//! Groups of friends: owners make, join and leave them, and pages join and leave.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
};
use rekursing_market::{Group, GroupRefusal, Groups, Left, Member, Terms};
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
    let code = house.codes.code(group.bits(), 0).digest();
    let make = |groups: &mut Groups, terms: &Terms| groups.create(terms, group, plugin, price);
    let keep = |()| house.desk.store().put_group(house.desk.now(), group, plugin, price, code);
    regroup(&house, group, make, keep).await?;
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
    let keep = |group| house.desk.store().price_group(group, plugin, price);
    regroup(&house, group_of(&house, plugin)?, |groups, _| groups.set_price(plugin, price), keep).await?;
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
    let (turn, code) = next_code(&house, group).await?;
    house.desk.store().turn_group(group, turn, code).await.map_err(unstored())?;
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
    let keep = |group| house.desk.store().agree_in_group(group, plugin, price);
    regroup(&house, group_of(&house, plugin)?, |groups, _| groups.agree(plugin, price), keep).await?;
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
    let group = group_of(&house, plugin)?;
    let out = match member {
        Member::Plugin(plugin) => plugin.to_string(),
        Member::Account(account) => account.to_string(),
    };
    // Whoever is put out knows the code.
    let (turn, code) = next_code(&house, group).await?;
    let keep = |group| house.desk.store().put_out_of_group(group, out, turn, code);
    regroup(&house, group, |groups, _| groups.put_out(plugin, member), keep).await?;
    view(&house, plugin).await
}

/// Returns the turn of a group's next code, with what is kept of it.
async fn next_code(house: &House, group: GroupId) -> Result<(u64, [u8; 32]), Problem> {
    let turn = house.desk.store().group_turn(group).await.map_err(Problem::unread)?.unwrap_or_default() + 1;
    Ok((turn, house.codes.code(group.bits(), turn).digest()))
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
    let join = |groups: &mut Groups, terms: &Terms| {
        groups.add_plugin(terms, group, plugin)?;
        groups.get(group).map(|group| group.price).ok_or(GroupRefusal::Unknown)
    };
    let keep = |price| house.desk.store().join_group(house.desk.now(), group, plugin.to_string(), price);
    regroup(&house, group, join, keep).await?;
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
    let keep = async |left| match left {
        Left::GoesOn(group) => store.leave_group(group, plugin.to_string()).await,
        Left::Closed(group) => store.close_group(group).await,
    };
    regroup(&house, group_of(&house, plugin)?, |groups, _| groups.remove_plugin(plugin), keep).await?;
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
    // What an account pays is its plugins' to agree to.
    let asks = Price::default();
    let keep = |()| house.desk.store().join_group(house.desk.now(), group, account.to_string(), asks);
    let join = |groups: &mut Groups, terms: &Terms| groups.add_account(terms, group, account);
    regroup(&house, group, join, keep).await?;
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
    let keep = |()| house.desk.store().leave_group(group, account.to_string());
    regroup(&house, group, |groups, _| groups.remove_account(account, group), keep).await?;
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

/// Returns the group that a plugin is in.
fn group_of(house: &House, plugin: PluginId) -> Result<GroupId, GroupRefusal> {
    house.desk.group_of(plugin).map(|(id, ..)| id).ok_or(GroupRefusal::NotInGroup)
}

/// Changes a group in the market, then in the store. What the store does not keep, the market forgets.
async fn regroup<T, K: Future<Output = anyhow::Result<()>>>(
    house: &House,
    id: GroupId,
    change: impl FnOnce(&mut Groups, &Terms) -> Result<T, GroupRefusal>,
    keep: impl FnOnce(T) -> K,
) -> Result<(), Problem> {
    let before = house.desk.group(id);
    let changed = house.desk.regroup(change)?;
    let Err(error) = keep(changed).await else { return Ok(()) };
    house.desk.regroup(|groups, _| {
        groups.put_back(id, before);
        Ok(())
    })?;
    Err(unstored()(error))
}

fn unstored() -> impl FnOnce(anyhow::Error) -> Problem {
    Problem::unstored("a group")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, relay};

    const ADA: PluginId = PluginId::from_bits(1);
    const BOB: PluginId = PluginId::from_bits(2);
    const EVE: PluginId = PluginId::from_bits(3);
    const ACCOUNT: AccountId = AccountId::from_bits(4);
    const GROUP: GroupId = GroupId::from_bits(5);
    const OTHER: GroupId = GroupId::from_bits(6);

    type Change = fn(&mut Groups, &Terms) -> Result<(), GroupRefusal>;

    #[tokio::test]
    async fn a_change_that_the_store_does_not_keep_is_none() {
        const CHANGES: [(GroupId, Change); 6] = [
            (OTHER, |groups, terms| groups.create(terms, OTHER, EVE, Price::default())),
            (GROUP, |groups, terms| groups.add_plugin(terms, GROUP, EVE)),
            (GROUP, |groups, _| groups.set_price(ADA, Price::new(1, 2)).map(drop)),
            (GROUP, |groups, _| groups.put_out(ADA, Member::Plugin(BOB)).map(drop)),
            (GROUP, |groups, _| groups.remove_account(ACCOUNT, GROUP)),
            (GROUP, |groups, _| groups.remove_plugin(ADA).map(drop)),
        ];
        let folder = tempfile::tempdir().unwrap();
        let house = relay::open(Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap()).unwrap();
        let made = house.desk.regroup(|groups, terms| {
            groups.create(terms, GROUP, ADA, Price::new(7, 8))?;
            groups.add_plugin(terms, GROUP, BOB)?;
            groups.add_account(terms, GROUP, ACCOUNT)
        });
        made.unwrap();
        let stands = || {
            let of_plugins = [ADA, BOB, EVE].map(|plugin| group_of(&house, plugin).ok());
            let of_account: Vec<GroupId> =
                house.desk.groups_of(ACCOUNT).iter().map(|friends| friends.id).collect();
            (house.desk.group(GROUP), house.desk.group(OTHER), of_plugins, of_account)
        };
        let before = stands();
        for (group, change) in CHANGES {
            let mut changed = None;
            let keep = |()| {
                changed = Some(stands());
                std::future::ready(Err(anyhow::anyhow!("the disk is full")))
            };
            let problem = regroup(&house, group, change, keep).await.unwrap_err();
            assert_eq!(problem.code, "store_unavailable");
            assert_ne!(changed.as_ref(), Some(&before), "it was a change");
            assert_eq!(stands(), before);
        }
        let store = house.desk.store().clone();
        tokio::task::spawn_blocking(move || store.stop()).await.unwrap();
    }
}
