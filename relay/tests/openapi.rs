//! `openapi.json` against the program: the router's table, the codes of `docs/http.md`, the site's
//! files and the types that read and write the bodies.

use std::collections::BTreeSet;

use rekursing_market::Payer;
use rekursing_protocol::{
    AccountId, JobId, Moment,
    earnings::Earnings,
    receipt::{PublicKeys, SignedReceipt},
    register::{Registered, Registration},
};
use rekursing_relay::{
    ads::Spec as CampaignTerms,
    ask::{Ask, Dialect},
    upstream::Spec,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

const ROUTER: &str = include_str!("../src/http/router.rs");
const SITE: &str = include_str!("../src/http/site.rs");
const IN_WORDS: &str = include_str!("../../docs/http.md");

fn document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("the document is JSON")
}

/// Returns every method and path that the router's source names, as the document writes them.
fn routes() -> BTreeSet<(String, String)> {
    let routes = ROUTER.split(".route(\"").skip(1).map(|rest| {
        let (path, rest) = rest.split_once("\", ").expect("a path is followed by its handler");
        let (method, _) = rest.split_once('(').expect("a handler is inside its method");
        let path =
            path.replace("{*model}", "{model}").replace("{plugin}", "{pluginId}").replace("{job}", "{jobId}");
        let path = path
            .replace("{payout}", "{payoutId}")
            .replace("{member}", "{memberId}")
            .replace("{phone}", "{phoneId}");
        (method.to_owned(), path)
    });
    routes.collect()
}

/// Returns the examples of a route's request, by name.
fn requests(path: &str) -> Vec<String> {
    let document = document();
    let examples = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"];
    examples
        .as_object()
        .expect("the route has examples")
        .values()
        .map(|example| example["value"].to_string())
        .collect()
}

/// Reads the example of a route's answer and tells whether it is written the same again.
fn answer_holds<T: DeserializeOwned + serde::Serialize>(path: &str, method: &str, status: &str) {
    let document = document();
    let example =
        &document["paths"][path][method]["responses"][status]["content"]["application/json"]["example"];
    let read: T = serde_json::from_value(example.clone()).expect("the example is of its type");
    assert_eq!(&serde_json::to_value(read).expect("what was read can be written"), example);
}

/// Collects the targets of every `$ref`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                found.insert(target.clone());
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(rows) => rows.iter().for_each(|row| references(row, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((method.clone(), path.clone()));
        }
    }
    assert_eq!(described, routes());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// Returns the statuses with which every route of its kind may refuse: by its method, by what its path names, by
/// whether it takes a body, and by whose it is.
fn common(method: &str, path: &str, route: &Value) -> BTreeSet<&'static str> {
    let mut common = BTreeSet::new();
    // A part of a path may not decode.
    if path.contains('{') {
        common.insert("400");
    }
    // Pages of other sites change nothing.
    if method != "get" {
        common.insert("403");
    }
    if route.get("requestBody").is_some() {
        common.extend(["400", "408", "413", "415", "503"]);
    }
    let schemes: BTreeSet<&str> = route["security"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|scheme| scheme.keys().map(String::as_str))
        .collect();
    let is_optional = route["security"].as_array().is_some_and(|list| list.contains(&serde_json::json!({})));
    // Whoever tries keys is slowed down, and so is whoever asks about himself without end.
    if !schemes.is_empty() {
        common.insert("429");
    }
    if !schemes.is_empty() && !is_optional {
        common.insert("401");
    }
    // A key is looked up; agents' messages are answered with those of the routes behind them.
    if schemes.contains("apiKey") && path != "/mcp" {
        common.extend(["500", "503"]);
    }
    common
}

#[test]
fn every_route_has_the_refusals_of_its_kind_in_the_words_of_all() {
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            let responses = route["responses"].as_object().unwrap();
            for status in common(method, path, route) {
                assert!(responses.contains_key(status), "{method} {path} may be answered {status}");
            }
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let mut found = BTreeSet::new();
                references(&response["content"], &mut found);
                let named = found.iter().any(|target| target.ends_with("Error"));
                // How the relay is says the same whether it is well or not.
                assert!(named || path == "/healthz", "{method} {path} {status} has an error's body");
            }
        }
    }
}

/// Tells whether a row of a table names this path: as a whole, or as `…` with its end behind another path.
fn names(row: &str, path: &str) -> bool {
    let words: Vec<&str> = row.split(['`', ' ', ',', '(', ')', '[', ']']).collect();
    let ends = || words.iter().filter_map(|word| word.strip_prefix('…')).any(|end| path.ends_with(end));
    let begins = || words.iter().any(|word| word.starts_with("/api/") && path.starts_with(word));
    words.contains(&path) || (begins() && ends())
}

#[test]
fn every_route_stands_in_the_table_of_the_words() {
    let (table, _) = IN_WORDS.split_once("\n## ").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    for (_, path) in routes() {
        // Of the site's files the table names those that are pages.
        if !["/{file}", "/client/{file}"].contains(&path.as_str()) {
            assert!(rows.iter().any(|row| names(row, &path)), "{path}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name}");
    }
}

#[test]
fn the_codes_are_those_of_the_words() {
    let document = document();
    let listed = document["components"]["schemas"]["Code"]["enum"].as_array().unwrap();
    let listed: BTreeSet<&str> = listed.iter().map(|code| code.as_str().unwrap()).collect();
    let (_, table) = IN_WORDS.split_once("\n## Codes\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(listed, rows.collect());
}

#[test]
fn the_files_are_those_of_the_site() {
    let document = document();
    let named = |path: &str| -> Vec<String> {
        let files = document["paths"][path]["get"]["parameters"][0]["schema"]["enum"].as_array().unwrap();
        files.iter().map(|file| path.replace("{file}", file.as_str().unwrap())[1..].to_owned()).collect()
    };
    let mut files = [named("/{file}"), named("/client/{file}")].concat();
    files.sort();
    let embedded = SITE.split("file!(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(files, embedded.collect::<Vec<_>>());
}

#[test]
fn the_examples_of_requests_are_taken() {
    for (path, dialect) in [
        ("/api/llm/inference", Dialect::Inference),
        ("/v1/chat/completions", Dialect::Chat),
        ("/v1/completions", Dialect::Completion),
        ("/v1/embeddings", Dialect::Embedding),
        ("/v1/responses", Dialect::Responses),
    ] {
        for example in requests(path) {
            let (job, payer) = (JobId::from_bits(1), Payer::Free { visitor: 1 });
            Ask::read(dialect, &example, job, payer).expect(&example);
        }
    }
    for example in requests("/api/plugin/register") {
        let registration: Registration = serde_json::from_str(&example).unwrap();
        assert!(registration.models.iter().all(|offer| offer.check().is_ok()));
    }
    for example in requests("/api/ads/campaigns") {
        let mut spec: CampaignTerms = serde_json::from_str(&example).unwrap();
        spec.campaign(AccountId::from_bits(1), Moment(0)).expect(&example);
    }
    for example in requests("/api/gpu/register") {
        serde_json::from_str::<Spec>(&example).unwrap().check().expect(&example);
    }
}

#[test]
fn the_examples_of_answers_are_what_is_written() {
    answer_holds::<Registered>("/api/plugin/register", "post", "201");
    answer_holds::<Registered>("/api/gpu/register", "post", "201");
    answer_holds::<Earnings>("/api/plugin/earnings/{pluginId}", "get", "200");
    answer_holds::<SignedReceipt>("/api/jobs/{jobId}/receipt", "get", "200");
    answer_holds::<PublicKeys>("/.well-known/rekursing-receipts", "get", "200");
}
