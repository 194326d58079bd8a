//! The pages that show what there is: they are whole without a script, and follow what happens with one.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::Value;

use super::{
    Problem,
    channels::{self, Board},
    models,
    posted::{Named, Shared},
    site,
    written::{List, Written},
};
use crate::{house::House, switches::Feature};

/// Who leads, by what, and over which time: as the address has it, and as the page says it.
const SIDES: [(&str, &str); 2] = [("channels", "Computers"), ("teams", "Teams")];
const STANDARDS: [(&str, &str); 3] =
    [("tokens", "Tokens"), ("reliability", "Reliability"), ("earnings", "Earnings")];
const SPANS: [(&str, &str); 3] = [("day", "Today"), ("week", "7 days"), ("all", "All time")];

/// The pages that every page leads to.
const PAGES: [(&str, &str); 4] =
    [("/", "Chat"), ("/live", "Live"), ("/models", "Models"), ("/account.html", "Account")];

/// Where readers take part in another way than by asking.
const PARTS: [(&str, &str); 2] = [("/download", "Offer your GPU"), ("/advertise.html", "Advertise")];

/// `GET /live`
pub(super) async fn live(
    State(house): Shared,
    board: Result<Query<Board>, QueryRejection>,
) -> Result<Response, Problem> {
    let board = board?.0;
    let shows_leaders = house.switches.is_on(Feature::Channels);
    let leaders = if shows_leaders { channels::board(&house, &board).await? } else { Value::Null };
    let place =
        |of: &[(&str, &str)], name: &str| of.iter().position(|(one, _)| *one == name).unwrap_or(of.len());
    let list =
        List::LivePage(place(&SIDES, board.of()), place(&STANDARDS, board.by()), place(&SPANS, board.over()));
    let write =
        move |house: &Arc<House>| live_page(&house.channels.now(house), &board, shows_leaders, &leaders);
    Ok(as_page(Written::of(&house, list, write).await?))
}

fn live_page(now: &Value, board: &Board, shows_leaders: bool, leaders: &Value) -> String {
    let (of, by, over) = (board.of(), board.by(), board.over());
    let address = |of: &str, by: &str, over: &str| format!("/live?of={of}&by={by}&over={over}#leaders-title");
    let body = html! {
        section.card aria-labelledby="now-title" {
            h2 #now-title { "Now" }
            dl.facts #totals { (totals(&now["totals"])) }
            p.note #following role="status" {}
        }
        section.card aria-labelledby="providers-title" {
            h2 #providers-title { "Who is on" }
            @let providers = list(&now["providers"]);
            p.note #no-providers hidden[!providers.is_empty()] { "Nobody is on at this moment. Look again later, or " a href="/download" { "offer your GPU" } "." }
            ul.items #providers { @for one in providers { (provider(one)) } }
            p.note {
                "Whoever has a graphics card and leaves it on with the extension is here. What somebody does right \
                 now is shown of those alone who have opened their channel."
            }
        }
        section.card aria-labelledby="leaders-title" {
            h2 #leaders-title { "Leaders" }
            @if shows_leaders {
                div.choices {
                nav aria-label="Who" {
                    @for (name, title) in SIDES {
                        a href=(address(name, by, over)) aria-current=[(name == of).then_some("true")] { (title) }
                    }
                }
                nav aria-label="Compared by" {
                    @for (name, title) in STANDARDS {
                        a href=(address(of, name, over)) aria-current=[(name == by).then_some("true")] { (title) }
                    }
                }
                nav aria-label="Over" {
                    @for (name, title) in SPANS {
                        a href=(address(of, by, name)) aria-current=[(name == over).then_some("true")] { (title) }
                    }
                }
                }
                (board_of(by, leaders))
            } @else {
                p.note { "Channels and leaders are switched off at the moment." }
            }
        }
    };
    written("Live", "/live", "/live.js", &body)
}

/// `GET /live/{pluginId}`
pub(super) async fn channel(state: Shared, plugin: Named) -> Result<Response, Problem> {
    let axum::Json(channel) = channels::one(state, plugin).await?;
    let name = named(&channel);
    let days = list(&channel["days"]);
    let shows_earnings = days.first().is_some_and(|day| !day["earned"].is_null());
    let most = days.iter().map(|day| day["answerTokens"].as_u64().unwrap_or(0)).max().unwrap_or(0).max(1);
    let body = html! {
        section.card #channel data-plugin=(text(&channel["pluginId"])) aria-labelledby="channel-title" {
            div.row {
                h2 #channel-title { "Channel" }
                span.state #state data-tone=[(!channel["live"].is_null()).then_some("good")] {
                    @if channel["live"].is_null() { "Off" } @else { "On" }
                }
            }
            @if !text(&channel["about"]).is_empty() { p.told { (text(&channel["about"])) } }
            dl.facts {
                (fact("Followers", &number(&channel["followers"]), Some("followers")))
                (fact("Answers that succeed, 30 days", &share(&channel["successPermille"]), None))
                (fact("Thumbs up, 90 days", &share(&channel["quality"]["permille"]), None))
            }
            div.row {
                button #follow type="button" hidden { "Follow" }
                button #notify type="button" hidden { "Tell me when it is on" }
            }
            p.note #outcome role="status" {}
        }
        @if !channel["live"].is_null() {
            section.card aria-labelledby="now-title" {
                h2 #now-title { "Now" }
                div.item #(text(&channel["pluginId"])) { (doings(&channel["live"])) }
            }
        }
        section.card aria-labelledby="days-title" {
            h2 #days-title { "Day by day" }
            @if days.is_empty() {
                p.note { "Nothing yet." }
            } @else {
                div.scroll tabindex="0" role="group" aria-labelledby="days-title" {
                    // What is laid out as blocks stays a table to a screen reader.
                    table.blocks role="table" {
                        thead role="rowgroup" { tr role="row" {
                            th role="columnheader" scope="col" { "Day" }
                            @for name in ["Tokens", "Answers", "On for"].iter().chain(shows_earnings.then_some(&"Earned")) {
                                th.number role="columnheader" scope="col" { (name) }
                            }
                        } }
                        tbody role="rowgroup" { @for day in days.iter().rev() { tr role="row" {
                            th role="rowheader" scope="row" { (text(&day["day"])) }
                            (figure("Tokens", html! { span { (bar(day["answerTokens"].as_u64().unwrap_or(0), most)) (number(&day["answerTokens"])) } }))
                            (figure("Answers", html! { (number(&day["jobs"])) }))
                            (figure("On for", html! { (minutes(day["minutes"].as_u64().unwrap_or(0))) }))
                            @if shows_earnings { (figure("Earned", html! { (dollars(text(&day["earned"]))) })) }
                        } } }
                    }
                }
            }
        }
    };
    Ok(page(&name, "", "/channel.js", &body))
}

/// `GET /models`
pub(super) async fn models(State(house): Shared) -> Result<Response, Problem> {
    let write = |house: &Arc<House>| models_page(&models::views(house));
    Ok(as_page(Written::of(&house, List::ModelsPage, write).await?))
}

fn models_page(views: &[Value]) -> String {
    let body = html! {
        section.card aria-labelledby="models-title" {
            h2 #models-title { "What can be asked now" }
            @if views.is_empty() {
                p.note { "No GPU is connected right now. Look again later, or " a href="/download" { "offer yours" } "." }
            } @else {
                p.note { "Prices are dollars for a million tokens. Speeds are of the last 30 minutes: the first figure is what half of the answers reached, the second what 99 of 100 did." }
                ul.items { @for model in views { (model_card(model)) } }
            }
        }
    };
    written("Models", "/models", "/told.js", &body)
}

fn model_card(model: &Value) -> Markup {
    let (price, pace, uptime) = (&model["price"], &model["pace"], &model["uptime"]);
    let range = |side: &Value| {
        let (min, max) = (text(&side["min"]), text(&side["max"]));
        if min == max { dollars(min) } else { format!("{} to {}", dollars(min), dollars(max)) }
    };
    let two = |of: &Value, unit: &str| {
        if of.is_null() { "–".to_owned() } else { format!("{}{unit}, {}{unit}", of["p50"], of["p99"]) }
    };
    html! {
        li.item {
            div.row.head {
                h3 { (text(&model["id"])) }
                a href={ "/?model=" (encoded(text(&model["id"]))) } aria-label={ "Ask it: " (text(&model["id"])) } { "Ask it" }
            }
            dl.facts {
                (fact("Offers", &number(&model["providers"]), None))
                (fact("Price of questions", &range(&price["input"]), None))
                (fact("Price of answers", &range(&price["output"]), None))
                (fact("First token", &two(&pace["firstTokenMs"], " ms"), None))
                (fact("Tokens per second", &two(&pace["tokensPerSecond"], ""), None))
                (fact("Reachable, 5 minutes", &share(&uptime["fiveMinutes"]), None))
                (fact("Reachable, 1 day", &share(&uptime["day"]), None))
                (fact("Reachable, 30 days", &share(&uptime["thirtyDays"]), None))
                (fact("Context, in tokens", &number(&model["context"]), None))
                (fact("Quantisations", &joined(&model["quantizations"]), None))
            }
        }
    }
}

/// One provider. What moves is marked with what it is, so that a script finds it.
fn provider(one: &Value) -> Markup {
    let id = text(&one["pluginId"]);
    let name = named(one);
    html! {
        li.item #(id) {
            div.row.head {
                h3 { @if one["channel"].is_null() { (name) } @else { a href={ "/live/" (id) } { (name) } } }
                span.state data-now="state" data-tone=[(one["paused"] != true).then_some("good")] {
                    @if one["paused"] == true { "Paused" } @else { "On" }
                }
            }
            (doings(one))
        }
    }
}

/// With what a provider is on, what it does, and what it can be asked.
fn doings(one: &Value) -> Markup {
    let (id, name, gpu) = (text(&one["pluginId"]), named(one), text(&one["gpu"]));
    let channel = &one["channel"];
    html! {
        p.note {
            // Whoever has no name of it says so, which tells a reader nothing.
            @if gpu.is_empty() || gpu == "Unknown GPU" { "On since " } @else { (gpu) " · on since " }
            time datetime=(iso(&one["since"])) { (iso(&one["since"]).replace('T', " ").replace('Z', " UTC")) }
        }
        @if !channel.is_null() {
            dl.facts {
                (fact("Tokens per second now", &number(&channel["tokensPerSecondNow"]), Some("tokensPerSecondNow")))
                (fact("Answering", &number(&channel["jobsNow"]), Some("jobsNow")))
                (fact("Answers served", &number(&channel["jobs"]), Some("jobs")))
                (fact("Tokens served", &number(&channel["answerTokens"]), Some("answerTokens")))
            }
        }
        ul.plain {
            @for model in list(&one["models"]) {
                li.row {
                    span { strong { (text(&model["id"])) } " " (text(&model["quantization"])) @if model["browser"] == true { ", in a browser" } }
                    span.note {
                        (dollars(text(&model["price"]["input"]))) " in, " (dollars(text(&model["price"]["output"]))) " out per million tokens"
                        @if !model["tokensPerSecond"].is_null() { " · " (speed(&model["tokensPerSecond"])) " tokens/s" }
                    }
                    a hidden[one["paused"] == true] href={ "/?provider=" (id) "&model=" (encoded(text(&model["id"]))) } aria-label={ "Ask this one: " (name) ", " (text(&model["id"])) } { "Ask this one" }
                }
            }
        }
    }
}

fn board_of(by: &str, leaders: &Value) -> Markup {
    let rows = list(&leaders["leaders"]);
    let value = |row: &Value| match by {
        "reliability" => row["successPermille"].as_u64().unwrap_or(0),
        "earnings" => 0,
        _ => row["answerTokens"].as_u64().unwrap_or(0),
    };
    let most = rows.iter().map(value).max().unwrap_or(0).max(1);
    html! {
        @if rows.is_empty() {
            p.note { "Nobody yet. Whoever has opened a channel and answers is here." }
        } @else {
            ol.leaders role="list" {
                @for row in rows { li {
                    @if row["team"].is_null() { a href={ "/live/" (text(&row["pluginId"])) } { (named(row)) } }
                    @else { strong { (text(&row["name"])) } }
                    " "
                    @if by != "earnings" { (bar(value(row), most)) " " }
                    span.note {
                        @match by {
                            "reliability" => { (share(&row["successPermille"])) " of " (number(&row["jobs"])) " answers" },
                            "earnings" => { (dollars(text(&row["earned"]))) " with " (number(&row["jobs"])) " answers" },
                            _ => { (number(&row["answerTokens"])) " tokens in " (number(&row["jobs"])) " answers" },
                        }
                        @if !row["channels"].is_null() { ", " (number(&row["channels"])) " with a channel" }
                    }
                } }
            }
        }
    }
}

fn totals(totals: &Value) -> Markup {
    html! {
        (fact("Providers", &number(&totals["providers"]), Some("providers")))
        (fact("Being answered", &number(&totals["jobsRunning"]), Some("jobsRunning")))
        (fact("Waiting", &number(&totals["jobsWaiting"]), Some("jobsWaiting")))
        (fact("Answers at once", &number(&totals["slots"]), Some("slots")))
        (fact("Answers so far", &number(&totals["jobsCompleted"]), Some("jobsCompleted")))
    }
}

/// A figure of a table, with its column's name for narrow screens.
fn figure(column: &str, value: Markup) -> Markup {
    html! { td.number role="cell" data-label=(column) { (value) } }
}

fn fact(term: &str, value: &str, moves: Option<&str>) -> Markup {
    html! { div { dt { (term) } dd data-now=[moves] { (value) } } }
}

fn bar(value: u64, most: u64) -> Markup {
    let share = (value.min(most) * 100).checked_div(most).unwrap_or(0);
    html! {
        svg.meter viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.whole width="100" height="10" {}
            rect width=(share) height="10" {}
        }
    }
}

pub(super) fn page(title: &str, here: &str, script: &str, body: &Markup) -> Response {
    as_page(written(title, here, script, body).into())
}

fn written(title: &str, here: &str, script: &str, body: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="theme-color" content="#f4f2ea" media="(prefers-color-scheme: light)";
                meta name="theme-color" content="#111513" media="(prefers-color-scheme: dark)";
                title { (title) " – Rekursing" }
                link rel="icon" href="/favicon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/colours.css";
                link rel="stylesheet" href="/pages.css";
                script type="module" src=(script) {}
            }
            body {
                header.bar {
                    a href="/" aria-label="Rekursing" { (mark()) }
                    h1 { (title) }
                    nav aria-label="Pages" {
                        @for (path, name) in PAGES {
                            a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
                        }
                    }
                }
                main { div #inside { (body) } }
                footer.foot {
                    nav aria-label="Take part" {
                        @for (path, name) in PARTS { a href=(path) { (name) } }
                    }
                }
            }
        }
    };
    markup.into_string()
}

fn as_page(written: Bytes) -> Response {
    let mut response = written.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    site::guard(headers);
    response
}

/// The sign of the product.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.4" {
            rect x="2.2" y="2.2" width="27.6" height="27.6" rx="8" {}
            rect x="9" y="9" width="20.8" height="20.8" rx="6" {}
            rect x="15.8" y="15.8" width="14" height="14" rx="4" fill="currentColor" {}
        }
    }
}

fn named(one: &Value) -> String {
    match text(&one["name"]) {
        // Whoever has no name is known by the end of his id.
        "" => {
            let id = text(&one["pluginId"]);
            format!("Provider {}", &id[id.len().saturating_sub(6)..])
        }
        name => name.to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn joined(value: &Value) -> String {
    let texts: Vec<&str> = list(value).iter().map(text).collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join(", ") }
}

/// Writes a whole number with its thousands apart, and any other as it is.
fn number(value: &Value) -> String {
    let Some(whole) = value.as_u64() else {
        return value
            .as_f64()
            .filter(|number| *number > 0.0)
            .map_or_else(|| "0".to_owned(), |number| number.to_string());
    };
    let digits = whole.to_string();
    let mut written = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// Writes an amount of dollars with at least two decimals; its digits stay as they are.
fn dollars(amount: &str) -> String {
    let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
    format!("${whole}.{decimals:0<2}")
}

/// Writes a speed, whole where its decimals say nothing.
fn speed(value: &Value) -> String {
    let speed = value.as_f64().unwrap_or(0.0);
    if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") }
}

/// Writes thousandths as a share.
fn share(value: &Value) -> String {
    value.as_u64().map_or_else(|| "–".to_owned(), |permille| format!("{}.{} %", permille / 10, permille % 10))
}

fn minutes(minutes: u64) -> String {
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {} min", minutes / 60, minutes % 60) }
}

/// Writes a moment as ISO 8601 has it, to the minute.
fn iso(value: &Value) -> String {
    let moment = rekursing_protocol::Moment(value.as_u64().unwrap_or(0));
    let minute = moment.0 / 60_000 % 1_440;
    format!("{}T{:02}:{:02}Z", rekursing_protocol::Day(moment.day()), minute / 60, minute % 60)
}

/// Writes a text into the query of an address.
fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_write_becomes_no_markup_and_no_other_address() {
        let hostile = "\"><script>alert(1)</script>&model=x";
        let shown = provider(&json!({
            "pluginId": "plg_1", "name": hostile, "gpu": hostile, "since": 0, "paused": false,
            "channel": {"jobsNow": 1}, "models": [{"id": hostile, "quantization": hostile, "price": {}}],
        }));
        let shown = shown.into_string();
        assert!(!shown.contains("<script"), "{shown}");
        assert!(shown.contains("&amp;model=%22%3E%3Cscript%3E"), "{shown}");
    }

    #[test]
    fn whoever_has_paused_is_not_offered_to_be_asked() {
        for paused in [false, true] {
            let model = json!({"id": "tiny", "price": {"input": "0.1", "output": "0.4"}});
            let one = json!({"pluginId": "plg_1", "since": 0, "paused": paused, "models": [model]});
            let shown = provider(&one).into_string();
            assert_eq!(shown.contains("<a hidden href=\"/?provider=plg_1"), paused, "{shown}");
            assert!(shown.contains("$0.10 in, $0.40 out per million tokens"), "{shown}");
        }
    }

    #[test]
    fn figures_are_written_as_readers_write_them() {
        assert_eq!(number(&json!(1_234_567)), "1,234,567");
        assert_eq!(number(&json!(12.5)), "12.5");
        assert_eq!(share(&json!(995)), "99.5 %");
        assert_eq!(share(&Value::Null), "–");
        assert_eq!(iso(&json!(1_763_625_600_000_u64)), "2025-11-20T08:00Z");
        assert_eq!(minutes(61), "1 h 1 min");
        assert_eq!(["0.3", "1", "0.0125"].map(dollars), ["$0.30", "$1.00", "$0.0125"]);
        assert_eq!([json!(4.28), json!(41.6)].map(|speed| super::speed(&speed)), ["4.3", "42"]);
    }
}
