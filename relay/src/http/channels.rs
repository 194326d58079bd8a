//! Channels: who serves at this moment, followed as it goes, what each owner shows, and who leads.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use rekursing_protocol::{AccountId, Day, Nanos, PluginId, name};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::{
    Problem, caller, events, plugins,
    posted::{self, Named, Peer, Posted, Shared},
    written::{List, Written},
};
use crate::{
    channels::{Aired, Over},
    house::House,
    seats::Seat,
    store::{Channel, LeadingTeam, Standard},
    switches::Feature,
};

/// Most characters of an owner's text.
const ABOUT_MAX: usize = 500;

/// Most channels that an account follows.
const FOLLOWED_MAX: u64 = 200;

/// How long nothing may come before a comment does, so that no proxy takes the stream for dead.
const QUIET: Duration = Duration::from_secs(15);

/// `GET /api/live`: as it is now, or followed where events are asked for.
pub(super) async fn live(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/event-stream") {
        return Ok(Written::as_json(now(&house).await?));
    }
    let address = caller::network(caller::address(&house, &headers, peer));
    let watching = Watching::begin(house, address)?;
    Ok(events::respond(Body::from_stream(stream::unfold(watching, Watching::next))))
}

/// Returns everything as it is at this moment, as JSON.
async fn now(house: &Arc<House>) -> Result<Bytes, Problem> {
    Written::of(house, List::Live, |house: &Arc<House>| house.channels.now(house).to_string()).await
}

/// Somebody who watches.
struct Watching {
    house: Arc<House>,
    seat: Seat,
    aired: watch::Receiver<Aired>,
    /// The number of the message that was told last; nothing before the first.
    told: Option<u64>,
}

impl Watching {
    fn begin(house: Arc<House>, address: IpAddr) -> Result<Watching, Problem> {
        let Some(seat) = house.channels.seat(address, house.config.limits.watchers) else {
            let message = "too many watch at this moment";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
            return Err(Problem { retry_after: Some(10), ..problem });
        };
        Ok(Watching { aired: house.channels.watch(), house, seat, told: None })
    }

    /// Tells what comes next; ends when the relay is about to stop, or somebody else has the seat.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Watching)> {
        let Some(told) = self.told else {
            // What was aired last may be from before anybody watched.
            let number = self.aired.borrow_and_update().number;
            self.told = Some(number);
            let now = now(&self.house).await.ok()?;
            let event = [b"event: live\ndata: ".as_slice(), &now, b"\n\n"].concat();
            return Some((Ok(event.into()), self));
        };
        let quiet = Instant::now() + QUIET;
        loop {
            if self.house.is_draining() {
                return None;
            }
            let news = tokio::time::timeout_at(quiet, self.aired.changed());
            let news = tokio::select! {
                () = self.seat.lost() => return None,
                news = news => news,
            };
            match news {
                Err(_) => return Some((Ok(Bytes::from_static(b": quiet\n\n")), self)),
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {}
            }
            let aired = self.aired.borrow_and_update().clone();
            if aired.number == told {
                continue;
            }
            // Who reads slowly, or has just come, has missed some and is told everything.
            let text = if aired.number == told + 1 && told > 0 { aired.changes } else { aired.whole };
            self.told = Some(aired.number);
            return Some((Ok(text), self));
        }
    }
}

/// `GET /api/live/channels/{pluginId}`
pub(super) async fn one(State(house): Shared, plugin: Named) -> Result<Json<Value>, Problem> {
    house.switches.check(Feature::Channels)?;
    let Path(plugin) = plugin?;
    let id: PluginId = plugin.parse().map_err(|_| unknown())?;
    house.channels.find(id).ok_or_else(unknown)?;
    let told = house.channels.page(house.desk.now(), id, page(&house, id)).await?;
    Ok(Json(Value::clone(&told)))
}

/// Looks up what is told of a channel.
async fn page(house: &House, id: PluginId) -> Result<Value, Problem> {
    let channel = house.channels.find(id).ok_or_else(unknown)?;
    let store = house.desk.store();
    let today = Day(house.desk.now().day());
    let days = store.channel_days(today, id).await.map_err(Problem::unread)?;
    let followers = store.followers(id).await.map_err(Problem::unread)?;
    let outcome = store.outcome(id, Day(today.0.saturating_sub(29))).await.map_err(Problem::unread)?;
    let judged = outcome.done + outcome.failed;
    let days: Vec<Value> = days
        .iter()
        .map(|day| {
            let mut told = json!({
                "day": day.day, "jobs": day.jobs, "answerTokens": day.answer_tokens, "minutes": day.minutes,
            });
            if channel.shows_earnings {
                told["earned"] = json!(day.earned);
            }
            told
        })
        .collect();
    Ok(json!({
        "pluginId": id,
        "name": &*house.plugins.name(id),
        "about": channel.about,
        "opened": channel.opened,
        "followers": followers,
        "successPermille": (judged > 0).then(|| outcome.done * 1_000 / judged),
        "quality": house.qualities.of(id),
        "live": house.channels.now_of(house, id),
        "days": days,
    }))
}

/// `GET /api/live/followed`
pub(super) async fn followed(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    house.switches.check(Feature::Channels)?;
    let account = caller::account(&house, &headers, peer).await?.account;
    let followed = house.desk.store().followed(account).await.map_err(Problem::unread)?;
    Ok(Json(json!({"followed": followed})))
}

/// `PUT /api/live/channels/{pluginId}/follower`
pub(super) async fn follow(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (account, id) = follower(&house, peer, plugin, &headers).await?;
    house.channels.find(id).ok_or_else(unknown)?;
    let store = house.desk.store();
    if store.followed(account).await.map_err(Problem::unread)?.len() as u64 >= FOLLOWED_MAX {
        let message = format!("an account follows at most {FOLLOWED_MAX} channels");
        return Err(Problem::new(StatusCode::CONFLICT, "follows_too_many", &message));
    }
    store.follow(house.desk.now(), id, account, FOLLOWED_MAX).await.map_err(unstored())?;
    house.channels.followed(id);
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/live/channels/{pluginId}/follower`
pub(super) async fn unfollow(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (account, id) = follower(&house, peer, plugin, &headers).await?;
    house.desk.store().unfollow(id, account).await.map_err(unstored())?;
    house.channels.followed(id);
    Ok(StatusCode::NO_CONTENT)
}

/// Finds out which account follows which channel, or does no more.
async fn follower(
    house: &House,
    peer: SocketAddr,
    plugin: Named,
    headers: &HeaderMap,
) -> Result<(AccountId, PluginId), Problem> {
    house.switches.check(Feature::Channels)?;
    caller::origin(house, headers)?;
    let account = caller::account(house, headers, peer).await?.account;
    let Path(plugin) = plugin?;
    Ok((account, plugin.parse().map_err(|_| unknown())?))
}

/// Which leaderboard is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Board {
    of: Option<String>,
    by: Option<String>,
    over: Option<String>,
}

impl Board {
    /// Who is compared.
    pub(super) fn of(&self) -> &str {
        self.of.as_deref().unwrap_or("channels")
    }

    /// By what leaders are compared.
    pub(super) fn by(&self) -> &str {
        self.by.as_deref().unwrap_or("tokens")
    }

    /// Over which time.
    pub(super) fn over(&self) -> &str {
        self.over.as_deref().unwrap_or("week")
    }
}

/// `GET /api/live/leaders`
pub(super) async fn leaders(
    State(house): Shared,
    board: Result<Query<Board>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(self::board(&house, &board?.0).await?))
}

/// Returns who leads.
pub(super) async fn board(house: &House, board: &Board) -> Result<Value, Problem> {
    house.switches.check(Feature::Channels)?;
    let standard = match board.by() {
        "tokens" => Standard::Tokens,
        "reliability" => Standard::Reliability,
        "earnings" => Standard::Earnings,
        _ => return Err(Problem::field("by", "leaders are by tokens, reliability or earnings")),
    };
    let over = match board.over() {
        "day" => Over::Day,
        "week" => Over::Week,
        "all" => Over::All,
        _ => return Err(Problem::field("over", "leaders are over a day, a week or all")),
    };
    match board.of() {
        "channels" => {}
        "teams" => return teams(house, standard, over).await,
        _ => return Err(Problem::field("of", "leaders are of channels or teams")),
    }
    let leaders = house.channels.leaders(house, standard, over).await.map_err(Problem::unread)?;
    let rows: Vec<Value> = leaders
        .iter()
        // One may have closed its channel a moment ago.
        .filter(|leader| house.channels.find(leader.plugin).is_some())
        .map(|leader| {
            let mut row = json!({
                "pluginId": leader.plugin, "name": &*house.plugins.name(leader.plugin), "jobs": leader.jobs,
            });
            compare(&mut row, standard, leader.value);
            row
        })
        .collect();
    Ok(json!({"leaders": rows}))
}

/// Returns which teams lead.
async fn teams(house: &House, standard: Standard, over: Over) -> Result<Value, Problem> {
    let leaders = house.channels.leading_teams(house, standard, over).await.map_err(Problem::unread)?;
    let row = |team: &LeadingTeam| {
        let LeadingTeam { id, name, value, jobs, plugins } = team;
        let mut row = json!({"team": id, "name": name, "channels": plugins, "jobs": jobs});
        compare(&mut row, standard, *value);
        row
    };
    let rows: Vec<Value> = leaders.iter().map(row).collect();
    Ok(json!({"leaders": rows}))
}

/// Writes by what a leader is compared.
fn compare(row: &mut Value, standard: Standard, value: u64) {
    match standard {
        Standard::Tokens => row["answerTokens"] = json!(value),
        Standard::Reliability => row["successPermille"] = json!(value),
        Standard::Earnings => row["earned"] = json!(Nanos::new(i64::try_from(value).unwrap_or(i64::MAX))),
    }
}

/// `GET /api/plugin/channel/{pluginId}`
pub(super) async fn own(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    Ok(Json(json!({"channel": house.channels.find(id).as_ref().map(view)})))
}

/// What an owner shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shown {
    #[serde(default)]
    about: String,
    #[serde(default)]
    shows_earnings: bool,
}

/// Returns the lines of a text that have something to be seen.
fn lines(text: &str) -> String {
    let text = text.replace('\t', " ");
    let lines = text.lines().map(|line| name::plain(line, ABOUT_MAX)).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// `PUT /api/plugin/channel/{pluginId}`
pub(super) async fn open(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Json<Value>, Problem> {
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    house.switches.check(Feature::Channels)?;
    rated(&house, id)?;
    let Shown { about, shows_earnings } = posted::read(&body)?;
    if about.chars().count() > ABOUT_MAX {
        return Err(Problem::field("about", "an owner's text has at most 500 characters"));
    }
    let about = lines(&about);
    let _alone = house.channels.changing.lock().await;
    let opened = house.channels.find(id).map_or_else(|| house.desk.now(), |channel| channel.opened);
    let channel = Channel { plugin: id, about, shows_earnings, opened };
    house.desk.store().put_channel(channel.clone()).await.map_err(unstored())?;
    let told = view(&channel);
    house.channels.put(channel);
    Ok(Json(json!({"channel": told})))
}

/// `DELETE /api/plugin/channel/{pluginId}`
pub(super) async fn close(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    plugin: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller::origin(&house, &headers)?;
    let Path(plugin) = plugin?;
    let id = plugins::owner(&house, &plugin, &headers, peer).await?;
    rated(&house, id)?;
    let _alone = house.channels.changing.lock().await;
    house.desk.store().close_channel(id).await.map_err(unstored())?;
    house.channels.close(id);
    Ok(StatusCode::NO_CONTENT)
}

fn rated(house: &House, plugin: PluginId) -> Result<(), Problem> {
    if house.rates.channel(plugin) {
        return Ok(());
    }
    Err(Problem::rate_limited("this plugin has changed its channel too often; wait a minute"))
}

fn view(channel: &Channel) -> Value {
    let Channel { about, shows_earnings, opened, .. } = channel;
    json!({"about": about, "showsEarnings": shows_earnings, "opened": opened})
}

fn unstored() -> impl FnOnce(anyhow::Error) -> Problem {
    Problem::unstored("a channel")
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "channel_not_found", "there is no such channel")
}
