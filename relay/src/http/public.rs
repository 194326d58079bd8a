//! Served jobs by the hour for anyone: no prompt, person or address, and providers under names of an hour, where
//! none of them stands out.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rekursing_market::model_name;
use rekursing_protocol::{Day, Hour, Moment, Price, Span};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Problem, caller,
    posted::{Named, Peer, Shared},
    tagged,
};
use crate::{
    chance,
    crowds::Crowd,
    csv::Csv,
    house::House,
    receipt::Seal,
    store::{ServedJob, Slice},
};

/// How long after its end an hour is shown: whatever belongs to it is in the ledger by then.
const SETTLED: Span = Span::secs(60);

/// How long what is queued for the ledger may take to be stored.
const PATIENCE: Duration = Duration::from_secs(5);

/// The list of hours.
#[derive(Debug, Serialize)]
pub(super) struct Hours {
    /// Latest first.
    hours: Vec<HourFile>,
}

/// An hour in which jobs were served.
#[derive(Debug, Serialize)]
struct HourFile {
    hour: Hour,
    jobs: u64,
    file: String,
}

/// Which hours are listed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Earlier {
    before: Option<String>,
}

/// Which part of an hour is wanted.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Part {
    after: Option<u64>,
}

/// `GET /api/public/jobs`
pub(super) async fn index(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    earlier: Result<Query<Earlier>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Hours>, Problem> {
    limited(&house, &headers, peer)?;
    let open = open(house.desk.now());
    let before = match earlier?.0.before {
        Some(text) => text
            .parse::<Hour>()
            .map_err(|_| Problem::field("before", "an hour is written as 2026-03-01T04"))?
            .min(open),
        None => open,
    };
    let hours = house.desk.store().served_hours(before).await.map_err(Problem::unread)?;
    let file = |(hour, jobs)| HourFile { hour, jobs, file: format!("/api/public/jobs/{hour}.csv") };
    Ok(Json(Hours { hours: hours.into_iter().map(file).collect() }))
}

/// `GET /api/public/jobs/{file}`
pub(super) async fn hour(
    State(house): Shared,
    ConnectInfo(peer): Peer,
    file: Named,
    part: Result<Query<Part>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    limited(&house, &headers, peer)?;
    let Path(file) = file?;
    let hour: Option<Hour> = file.strip_suffix(".csv").and_then(|hour| hour.parse().ok());
    let missing = |message| Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    let hour = hour.ok_or_else(|| missing("a file is named as 2026-03-01T04.csv"))?;
    if hour >= open(house.desk.now()) {
        return Err(missing("this hour is not over yet"));
    }
    let store = house.desk.store();
    if !store.is_healthy() || tokio::time::timeout(PATIENCE, store.flushed()).await.is_err() {
        let message = "the ledger cannot be written now, so the hour may not be complete";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message);
        return Err(Problem { retry_after: Some(60), ..problem });
    }
    let slice = store.served(hour, part?.0.after.unwrap_or(0)).await;
    let slice = slice.map_err(Problem::unread)?.unwrap_or_default();
    let crowd = house.crowds.of(store, hour).await.map_err(Problem::unread)?;
    Ok(respond(hour, &slice, &crowd, &house.seal, &headers))
}

/// Counts a call: what it makes the store read costs no key.
fn limited(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Problem> {
    if house.rates.free_request(caller::address(house, headers, peer)) {
        return Ok(());
    }
    Err(Problem::rate_limited("too many requests without an API key; wait a minute"))
}

/// Returns the first hour that is not shown yet.
fn open(now: Moment) -> Hour {
    Hour::of(now - SETTLED)
}

fn respond(hour: Hour, slice: &Slice, crowd: &Crowd, seal: &Seal, asked: &HeaderMap) -> Response {
    let body = csv(hour, &slice.jobs, crowd, seal);
    let tag = format!("\"{}\"", &chance::hex(&Sha256::digest(&body))[..32]);
    let is_known = HeaderValue::from_str(&tag).is_ok_and(|tag| tagged::has(asked, &tag));
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "text/csv; charset=utf-8");
    set(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    set(header::ETAG, &tag);
    if let Some(after) = slice.next {
        set(header::LINK, &format!("</api/public/jobs/{hour}.csv?after={after}>; rel=\"next\""));
    }
    response
}

fn csv(hour: Hour, jobs: &[ServedJob], crowd: &Crowd, seal: &Seal) -> String {
    let mut csv = Csv::new(&[
        "model",
        "provider",
        "tier",
        "prompt_tokens",
        "answer_tokens",
        "price_input",
        "price_output",
        "charge",
        "fee",
        "asked",
        "settled",
    ]);
    let period = hour.to_string();
    for job in jobs {
        let family = model_name::family(&job.model);
        let in_crowd = |told: String| if crowd.contains(&family) { told } else { String::new() };
        let time =
            |moment| if crowd.contains(&family) { minute(moment) } else { Hour::of(moment).to_string() };
        let Price { input, output } = job.price;
        csv.row(&[
            in_crowd(family.clone()),
            in_crowd(seal.pseudonym("public", &period, job.owner)),
            job.tier.clone(),
            job.prompt_tokens.to_string(),
            job.answer_tokens.to_string(),
            in_crowd(dollars(input)),
            in_crowd(dollars(output)),
            in_crowd(job.charge.to_string()),
            in_crowd(job.fee.to_string()),
            time(job.held_at),
            time(job.settled_at),
        ]);
    }
    csv.into_text()
}

/// Writes micro-dollars as dollars.
fn dollars(micros: u64) -> String {
    let nanos = micros.saturating_mul(1_000);
    rekursing_protocol::Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX)).to_string()
}

/// Writes a moment to the minute: a second would tell which plugin was seen at work in it.
fn minute(moment: Moment) -> String {
    let minutes = moment.0 / 60_000;
    format!("{}T{:02}:{:02}Z", Day(moment.day()), minutes / 60 % 24, minutes % 60)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rekursing_market::{
        Account, Book, Tier,
        ledger::{Entry, EntryKind, Quote, Settle, Settlement},
    };
    use rekursing_protocol::{AccountId, JobId, Nanos, PluginId, Span};

    use super::*;
    use crate::{
        config::Config,
        relay,
        store::{Location, ReceiptKey, Store},
    };

    fn seal() -> Seal {
        Seal::new(&[ReceiptKey { id: String::new(), seed: [7; 32], created: Moment(0) }]).unwrap()
    }

    fn job(model: &str) -> ServedJob {
        ServedJob {
            held_at: Moment(1_772_337_599_999),
            settled_at: Moment(1_772_337_601_001),
            owner: PluginId::from_bits(5),
            model: model.to_owned(),
            tier: "high".to_owned(),
            price: Price::new(750_000, 3_000_000),
            prompt_tokens: 10,
            answer_tokens: 20,
            charge: Nanos::new(67_500),
            fee: Nanos::new(3_375),
        }
    }

    #[test]
    fn a_row_tells_what_was_sold_and_neither_plugin_nor_page() {
        let (seal, hour) = (seal(), "2026-03-01T04".parse().unwrap());
        let name = seal.pseudonym("public", "2026-03-01T04", PluginId::from_bits(5));
        let crowd = Crowd::from(["=tiny".to_owned()]);
        let text = csv(hour, &[job("Ada/=Tiny-Q8_0.gguf")], &crowd, &seal);
        assert_eq!(
            text,
            format!(
                "model,provider,tier,prompt_tokens,answer_tokens,price_input,price_output,charge,fee,asked,settled\r\n\
                 '=tiny,{name},high,10,20,0.75,3,0.0000675,0.000003375,2026-03-01T03:59Z,2026-03-01T04:00Z\r\n"
            )
        );
        assert!(!text.contains("plg_") && !text.contains("job_") && !text.contains("acc_"), "{text}");
    }

    #[test]
    fn a_job_of_a_model_that_few_served_tells_neither_what_it_was_nor_what_it_earned() {
        let (seal, hour) = (seal(), "2026-03-01T04".parse().unwrap());
        let text = csv(hour, &[job("adas-own-model")], &Crowd::from(["tiny".to_owned()]), &seal);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(row, ",,high,10,20,,,,,2026-03-01T03,2026-03-01T04");
    }

    /// Jobs of an hour that is over, each of another owner, with this model and so many answer tokens.
    fn served(hour: Hour, jobs: &[(&str, u64)]) -> Vec<Entry> {
        let (page, price) = (Account::Page(AccountId::from_bits(1)), Price::new(750_000, 3_000_000));
        let at = hour.end() - Span::secs(90);
        let mut book = Book::default();
        let mut entries = vec![book.grant(at, "1", page, Nanos::DOLLAR).unwrap()];
        for (owner, (model, answer_tokens)) in (1..).zip(jobs) {
            let job = JobId::from_bits(owner);
            entries.push(book.hold(at, job, page, Quote::new(price, 10, 400).unwrap()).unwrap());
            let settlement = Settlement {
                job,
                lease: 1,
                owner: PluginId::from_bits(owner),
                api_key: None,
                model: (*model).to_owned(),
                tier_asked: Tier::High,
                tier: Tier::Standard,
                ask: price,
                price,
                prompt_tokens: 10,
                answer_tokens: *answer_tokens,
                tier_permille: 1_000,
                fee_permille: 50,
                discount_permille: 0,
                holdback_permille: 0,
                release_at: at,
            };
            entries.push(book.settle(at + Span::secs(60), settlement).unwrap());
        }
        entries
    }

    /// What the ledger has of a job, as a row of the list.
    fn row(settle: &Settle, model: &str, provider: &str, hour: Hour) -> String {
        let Settle { tier, prompt_tokens, answer_tokens, charge, fee, .. } = settle;
        let (tier, asked, settled) = (tier.name(), hour.end() - Span::secs(90), hour.end() - Span::secs(30));
        let tokens = format!("{prompt_tokens},{answer_tokens}");
        let (asked, settled) = (minute(asked), minute(settled));
        format!("{model},{provider},{tier},{tokens},0.75,3,{charge},{fee},{asked},{settled}")
    }

    #[tokio::test]
    async fn whoever_asks_for_an_hour_that_is_over_gets_the_ledgers_figures() {
        let hour: Hour = "2024-02-29T23".parse().unwrap();
        let entries = served(hour, &[("tiny", 100), ("Ada/Tiny-Q8_0.gguf", 200), ("tiny", 300), ("rare", 7)]);
        let folder = tempfile::tempdir().unwrap();
        let mut unstarted = Store::open(&Location::Folder(folder.path().to_owned())).unwrap();
        let last = unstarted.opening().unwrap().last;
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        store.append(entries.clone());
        store.stop();
        drop(store);

        let house = relay::open(Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap()).unwrap();
        let listener = relay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/api/public/jobs", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let running = tokio::spawn(relay::run(Arc::clone(&house), listener, None, stopped));
        // Refused where another test has set it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let get = async |path: String| reqwest::get(path).await.unwrap().text().await.unwrap();
        let hours: serde_json::Value = serde_json::from_str(&get(url.clone()).await).unwrap();
        let file = format!("/api/public/jobs/{hour}.csv");
        assert_eq!(hours["hours"], serde_json::json!([{"hour": hour, "jobs": 4, "file": file}]));
        let told = get(format!("{url}/{hour}.csv")).await;

        let settles = entries.iter().filter_map(|entry| {
            let EntryKind::Settle(settle) = &entry.kind else { return None };
            Some(settle)
        });
        let expected = settles.map(|settle| {
            if settle.model == "rare" {
                // Its plugin would be known by it.
                return format!(",,standard,10,7,,,,,{hour},{hour}");
            }
            let provider = house.seal.pseudonym("public", &hour.to_string(), settle.owner);
            row(settle, "tiny", &provider, hour)
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(told.lines().skip(1).collect::<Vec<_>>(), expected);
        let charged = |row: &&String| row.split(',').nth(7).unwrap().parse().unwrap_or(Nanos::ZERO).get();
        let sum: i64 = expected.iter().map(|row| charged(&row)).sum();
        assert_eq!(sum, 3 * 7_500 + 600 * 3_000, "three prompts and their answers, to the nano-dollar");
        stop.send(()).unwrap();
        running.await.unwrap();
    }

    #[test]
    fn a_provider_keeps_its_name_for_an_hour_and_no_longer() {
        let (seal, crowd) = (seal(), Crowd::from(["tiny".to_owned()]));
        let in_hour = |hour: &str, owner| {
            let job = ServedJob { owner: PluginId::from_bits(owner), ..job("tiny") };
            let text = csv(hour.parse().unwrap(), &[job], &crowd, &seal);
            text.lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned()
        };
        assert_eq!(in_hour("2026-03-01T04", 5), in_hour("2026-03-01T04", 5));
        assert_ne!(in_hour("2026-03-01T04", 5), in_hour("2026-03-01T05", 5));
        assert_ne!(in_hour("2026-03-01T04", 5), in_hour("2026-03-01T04", 6));
        let of_receipts = seal.pseudonym("receipt", "2026-03-01T04", PluginId::from_bits(5));
        assert_ne!(in_hour("2026-03-01T04", 5), of_receipts);
    }

    #[test]
    fn an_hour_is_shown_a_minute_after_its_end() {
        let hour: Hour = "2026-03-01T04".parse().unwrap();
        assert!(hour >= open(Moment(hour.end().0 + SETTLED.0 - 1)));
        assert!(hour < open(Moment(hour.end().0 + SETTLED.0)));
    }

    #[test]
    fn what_a_cache_has_is_not_sent_again() {
        let (seal, hour) = (seal(), "2026-03-01T04".parse().unwrap());
        let slice = Slice { jobs: vec![job("tiny")], next: Some(9) };
        let crowd = Crowd::new();
        let first = respond(hour, &slice, &crowd, &seal, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(
            first.headers()[header::LINK],
            "</api/public/jobs/2026-03-01T04.csv?after=9>; rel=\"next\""
        );
        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(respond(hour, &slice, &crowd, &seal, &known).status(), StatusCode::NOT_MODIFIED);
    }
}
