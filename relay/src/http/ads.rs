//! The routes of ads: campaigns for whoever pays for them, impressions and clicks for whoever sees them.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use rekursing_market::{Payer, ads::BoardRefusal};
use rekursing_protocol::{AccountId, CampaignId, Moment, Nanos, Span};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Problem,
    caller::{self, Advertiser, Caller},
    once, operator,
    posted::{self, Named, Peer, Posted, Shared},
};
use crate::{
    ads::{Listed, NotCounted, NotTaken, Spec, Wrong},
    house::House,
    store::{Act, AdDay, Deed},
    switches::Feature,
};

/// Days of a report, when it does not say how many, and at most.
const DAYS_DEFAULT: u64 = 30;
const DAYS_MAX: u64 = 366;

/// `GET /api/ads/campaigns`
pub(super) async fn list(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let whose = match caller::advertiser(&house, &headers, peer).await? {
        Advertiser::Operator => None,
        Advertiser::Account(account) => Some(account),
    };
    let now = house.desk.now();
    let campaigns: Vec<_> = house.ads.campaigns(whose).iter().map(|listed| view(listed, now)).collect();
    Ok(Json(json!({"campaigns": campaigns})))
}

/// `POST /api/ads/campaigns`
pub(super) async fn create(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let advertiser = caller::advertiser(&house, &headers, peer).await?;
    house.switches.check(Feature::Ads)?;
    let spec: Spec = posted::read(&body)?;
    let account = payer(advertiser, spec.account)?;
    let id = house.campaign_id();
    let act = act(&house, advertiser, &headers, peer, Deed::CampaignCreated, id, &format!("for {account}"));
    let named = once::named_by_advertiser(&headers, advertiser, "/api/ads/campaigns", &body)?;
    let made = async {
        let campaign = put(&house, id, account, spec, act).await?;
        Ok((StatusCode::CREATED, campaign).into_response())
    };
    once::once(&house, named, id.to_string(), made).await
}

/// `GET /api/ads/campaigns/{id}`
pub(super) async fn one(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    id: Named,
) -> Result<Json<Value>, Problem> {
    let listed = find(&house, caller::advertiser(&house, &headers, peer).await?, id)?;
    Ok(Json(view(&listed, house.desk.now())))
}

/// `PATCH /api/ads/campaigns/{id}`
pub(super) async fn change(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    id: Named,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let advertiser = caller::advertiser(&house, &headers, peer).await?;
    let listed = find(&house, advertiser, id)?;
    let about = once::about(listed.id, &body);
    let named = once::named_by_advertiser(&headers, advertiser, "/api/ads/campaigns/change", &about)?;
    let changes: Map<String, Value> = posted::read(&body)?;
    let fields: Vec<String> = changes.iter().map(|(field, value)| told(field, value)).collect();
    let (deed, fields) = (Deed::CampaignChanged, fields.join(", "));
    let act = act(&house, advertiser, &headers, peer, deed, listed.id, &fields);
    let mut terms = serde_json::to_value(&listed.spec).map_err(|_| Problem::internal())?;
    if let Value::Object(terms) = &mut terms {
        terms.extend(changes);
    }
    let spec: Spec = posted::read(terms.to_string().as_bytes())?;
    if spec.account != Some(listed.account) {
        return Err(Problem::field("account", "a campaign stays with its account"));
    }
    let changed = async { Ok(put(&house, listed.id, listed.account, spec, act).await?.into_response()) };
    once::change(&house, named, listed.id, changed).await
}

/// How far back a report goes.
#[derive(Debug, Deserialize)]
pub(super) struct Days {
    days: Option<u64>,
}

/// `GET /api/ads/campaigns/{id}/report`
pub(super) async fn report(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    id: Named,
    days: Result<Query<Days>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let listed = find(&house, caller::advertiser(&house, &headers, peer).await?, id)?;
    let days = days.ok().map(|Query(days)| days.days.unwrap_or(DAYS_DEFAULT));
    let days = days.filter(|days| (1..=DAYS_MAX).contains(days));
    let days = days.ok_or_else(|| Problem::field("days", "days is a whole number from 1 to 366"))?;
    // What happened before the call is in the report.
    house.ads.flush().await;
    house.desk.store().flushed().await;
    let since = (house.desk.now().day() + 1).saturating_sub(days);
    let rows = house.desk.store().campaign_days(listed.id, since).await.map_err(Problem::unread)?;
    let total = rows.iter().fold(AdDay::default(), |sum, row| AdDay {
        day: 0,
        asked: 0,
        sent: sum.sent + row.sent,
        impressions: sum.impressions + row.impressions,
        clicks: sum.clicks + row.clicks,
        spent: sum.spent.checked_add(row.spent).unwrap_or(Nanos::MAX),
    });
    let days: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut day = figures(row);
            day["day"] = json!(Moment(row.day * Span::DAY.0));
            day
        })
        .collect();
    Ok(Json(json!({"id": listed.id, "total": figures(&total), "days": days})))
}

/// What a page says of an ad that it has shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    token: String,
}

/// `POST /api/ads/impressions`
pub(super) async fn seen(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    Posted { body, .. }: Posted,
) -> Result<Response, Problem> {
    let Seen { token } = posted::read(&body)?;
    let visitor = caller::visitor(&house, &headers, peer);
    let caller = Caller { payer: Payer::Free { visitor }, holder: None };
    let named = once::named(&headers, &caller, "/api/ads/impressions", &body)?;
    let counted = async {
        let counted = house.ads.seen(&token, visitor).await.map_err(not_counted)?;
        let answer = Json(json!({"counted": counted})).into_response();
        Ok(if counted { answer } else { once::fruitless(answer) })
    };
    // The token counts once whatever is kept, so what this would have made is not looked for.
    once::once(&house, named, String::new(), counted).await
}

fn not_counted(refusal: NotCounted) -> Problem {
    match refusal {
        NotCounted::Token => Problem::field("token", "this relay has not made this token"),
        NotCounted::Over | NotCounted::ClicksUsed => {
            let message = "the ad was sent too long ago to count, or cannot be paid any more";
            Problem::new(StatusCode::GONE, "ad_over", message)
        }
        NotCounted::OtherVisitor => {
            let message = "the ad was sent to somebody else; who asked for the answer confirms it";
            Problem::new(StatusCode::FORBIDDEN, "other_visitor", message)
        }
        NotCounted::TooSoon { wait } => {
            let message =
                format!("an ad counts once it was visible for a second; tell it again in {} ms", wait.0);
            let retry_after = Some(wait.0.div_ceil(1_000).max(1));
            Problem { retry_after, ..Problem::new(StatusCode::CONFLICT, "ad_too_soon", message) }
        }
    }
}

/// `GET /ad/click/{token}`
pub(super) async fn click(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    method: Method,
    headers: HeaderMap,
    token: Named,
) -> Result<Response, Problem> {
    let Path(token) = token?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such ad");
    let link = house.ads.destination(&token).ok_or_else(unknown)?;
    // Whoever looks ahead has not clicked.
    let looks_ahead = headers.contains_key("sec-purpose") || headers.contains_key("purpose");
    if method == Method::GET && !looks_ahead {
        // It leads there whether it counts or not.
        let counted = house.ads.clicked(&token, caller::visitor(&house, &headers, peer)).await;
        tracing::debug!(?counted, "an ad was clicked");
    }
    let mut response = StatusCode::FOUND.into_response();
    let location = HeaderValue::from_str(&link).map_err(|_| Problem::internal())?;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Finds a campaign that the caller may see.
fn find(house: &House, advertiser: Advertiser, id: Named) -> Result<Listed, Problem> {
    let Path(id) = id?;
    let listed = id.parse::<CampaignId>().ok().and_then(|id| house.ads.campaign(id));
    let own = listed.filter(|listed| match advertiser {
        Advertiser::Operator => true,
        Advertiser::Account(account) => account == listed.account,
    });
    own.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "campaign_not_found", "there is no such campaign of yours")
    })
}

/// Returns the account that pays: the advertiser's own, or the one that the operator names.
fn payer(advertiser: Advertiser, named: Option<AccountId>) -> Result<AccountId, Problem> {
    match (advertiser, named) {
        (Advertiser::Operator, Some(account)) => Ok(account),
        (Advertiser::Operator, None) => {
            Err(Problem::field("account", "the operator names the account that pays"))
        }
        (Advertiser::Account(own), Some(account)) if own != account => {
            Err(Problem::field("account", "the account is the API key's own, or left out"))
        }
        (Advertiser::Account(own), _) => Ok(own),
    }
}

/// Says in the operator's log what the operator does with a campaign; what an advertiser does stands nowhere.
fn act(
    house: &House,
    advertiser: Advertiser,
    headers: &HeaderMap,
    peer: SocketAddr,
    deed: Deed,
    campaign: CampaignId,
    note: &str,
) -> Option<Act> {
    match advertiser {
        Advertiser::Operator => Some(Act::of(&operator::who(house, headers, peer), deed, campaign, note)),
        Advertiser::Account(_) => None,
    }
}

/// Names a field that is changed; whether a campaign is paused is told with it.
fn told(field: &str, value: &Value) -> String {
    match value {
        Value::Bool(value) => format!("{field}: {value}"),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            field.to_owned()
        }
    }
}

async fn put(
    house: &House,
    id: CampaignId,
    account: AccountId,
    mut spec: Spec,
    act: Option<Act>,
) -> Result<Json<Value>, Problem> {
    let campaign = spec
        .campaign(account, house.desk.now())
        .map_err(|Wrong { field, message }| Problem::field(field, &message))?;
    house.ads.put(id, campaign, spec, act).await.map_err(|refusal| match refusal {
        NotTaken::Refused(refusal) => {
            let code = match refusal {
                BoardRefusal::Spent(_) => "budget_spent",
                BoardRefusal::BelowFloor(_) => "bid_below_floor",
                BoardRefusal::Full | BoardRefusal::AccountFull | BoardRefusal::Account => {
                    "too_many_campaigns"
                }
            };
            Problem::new(StatusCode::CONFLICT, code, refusal.to_string())
        }
        NotTaken::Store(error) => {
            tracing::error!(error = format!("{error:#}"), "could not store a campaign");
            Problem::internal()
        }
    })?;
    let listed = house.ads.campaign(id).ok_or_else(Problem::internal)?;
    Ok(Json(view(&listed, house.desk.now())))
}

/// A campaign as its advertiser sees it: its terms, its state and what it has spent.
fn view(listed: &Listed, now: Moment) -> Value {
    let Listed { id, spec, spend, is_enough, is_funded, .. } = listed;
    let state = match spec {
        _ if now >= spec.ends => "over",
        _ if spec.paused => "paused",
        _ if spec.starts.is_some_and(|starts| now < starts) => "waiting",
        _ if !is_enough => "below_floor",
        _ if !is_funded => "unfunded",
        _ => "running",
    };
    let mut view = serde_json::to_value(spec).unwrap_or_default();
    view["id"] = json!(id);
    view["state"] = state.into();
    view["spent"] = json!(spend.total);
    view["spentToday"] = json!(spend.today(now));
    view["reserved"] = json!(spend.reserved);
    view["impressions"] = spend.impressions.into();
    view["clicks"] = spend.clicks.into();
    view
}

/// Figures of a day, or of all: how many of the ads that were sent were seen is the fill.
fn figures(row: &AdDay) -> Value {
    // Counts of ads stay far below 2⁵³.
    let fill = (row.sent > 0).then(|| (row.impressions as f64 * 1_000.0 / row.sent as f64).round() / 1_000.0);
    json!({
        "sent": row.sent,
        "impressions": row.impressions,
        "clicks": row.clicks,
        "spent": row.spent,
        "fill": fill,
    })
}
