use std::collections::VecDeque;

use rekursing_market::Refusal;
use rekursing_protocol::{FailCode, JobId, Moment, Nanos, Span, earnings::Receipt};
use serde_json::value::RawValue;

use super::*;
use crate::{ads::tests as ads, place::Place, stream::Finish};

fn encoder(dialect: Dialect, include_usage: bool) -> Encoder {
    let mut report = Report::new(JobId::from_bits(1), Moment(7_000), true);
    report.named("tiny", "standard", json!({"gpu": "GPU"}));
    let mut encoder = Encoder::new(dialect, include_usage, report);
    encoder.begin("tiny");
    encoder
}

fn receipt() -> Receipt {
    Receipt {
        job_id: JobId::from_bits(1),
        at: Moment(1),
        model: "tiny".to_owned(),
        prompt_tokens: 3,
        answer_tokens: 2,
        charge: Nanos::new(1_500),
        fee: Nanos::ZERO,
        earned: Nanos::new(1_500),
        held_back: Nanos::ZERO,
        release_at: None,
    }
}

fn done() -> Ending {
    Ending::Done(Box::new(Finish {
        receipt: receipt(),
        tier: rekursing_market::Tier::Low,
        reason: "stop".to_owned(),
        body: String::new(),
        first_token: Span(10),
        generation: Span(100),
    }))
}

/// The events of a batch: name, and data that must be JSON or the end mark.
fn events(bytes: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\n\n"));
    let event = |block: &str| {
        let mut name = String::new();
        let mut data = Value::Null;
        for line in block.lines() {
            match line.split_once(": ").unwrap() {
                ("event", value) => name = value.to_owned(),
                ("data", "[DONE]") => data = "[DONE]".into(),
                ("data", value) => data = serde_json::from_str(value).unwrap(),
                _ => panic!("{line}"),
            }
        }
        (name, data)
    };
    text.trim_end().split("\n\n").map(event).collect()
}

fn batch(pieces: Vec<Piece>, ending: Option<Ending>) -> Batch {
    Batch { pieces: VecDeque::from(pieces), ending }
}

#[test]
fn a_chat_is_role_text_reason_usage_and_end_mark() {
    let mut encoder = encoder(Dialect::Chat, true);
    let text = "line\n\u{2028}data: [DONE]\n\n\"quoted\"";
    let events = events(&encoder.batch(batch(vec![Piece::Text(text.to_owned())], Some(done()))));
    let data: Vec<&Value> = events.iter().map(|(_, data)| data).collect();
    assert_eq!(data[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(data[1]["choices"][0]["delta"]["content"], text);
    assert_eq!(data[1]["object"], "chat.completion.chunk");
    assert_eq!(data[2]["choices"][0]["finish_reason"], "stop");
    assert!(data[2].get("rekursing").is_none());
    assert_eq!(data[3]["choices"], json!([]));
    assert_eq!(data[3]["usage"]["total_tokens"], 5);
    assert_eq!(data[3]["rekursing"]["cost"], "0.0000015");
    assert_eq!(data[3]["rekursing"]["tokensPerSecond"], 10.0);
    assert_eq!(*data[4], "[DONE]");
    assert_eq!(data.len(), 5);
    assert!(data[..4].iter().all(|chunk| chunk["id"] == data[0]["id"] && chunk["created"] == 7));
}

#[test]
fn choices_pass_unchanged() {
    let raw = r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]}}]"#;
    let piece = || Piece::Choices(RawValue::from_string(raw.to_owned()).unwrap());
    for (dialect, at) in [(Dialect::Chat, 1), (Dialect::Inference, 1)] {
        let events = events(&encoder(dialect, false).batch(batch(vec![piece()], None)));
        assert_eq!(events[at].1["choices"], serde_json::from_str::<Value>(raw).unwrap());
    }
}

#[test]
fn our_own_route_speaks_in_named_events() {
    let mut encoder = encoder(Dialect::Inference, false);
    let first = events(&encoder.batch(batch(vec![Piece::Text("a".to_owned())], None)));
    assert_eq!(first[0].0, "start");
    assert_eq!(first[0].1["provider"]["gpu"], "GPU");
    assert_eq!(first[1], ("token".to_owned(), json!({"text": "a"})));
    let last = events(&encoder.batch(batch(vec![], Some(done()))));
    assert_eq!(last[0].0, "done");
    assert_eq!(last[0].1["usage"]["completionTokens"], 2);
    assert_eq!(last.len(), 1);
}

#[test]
fn the_end_of_a_stream_tells_the_tier_that_the_page_got() {
    let mut own = encoder(Dialect::Inference, false);
    let first = events(&own.batch(batch(vec![Piece::Text("a".to_owned())], None)));
    assert_eq!(
        (first[0].0.as_str(), &first[0].1["tier"]),
        ("start", &json!("standard")),
        "the one asked for"
    );
    let last = events(&own.batch(batch(vec![], Some(done()))));
    assert_eq!((last[0].0.as_str(), &last[0].1["tier"]), ("done", &json!("low")));
    for include_usage in [false, true] {
        let mut chat = encoder(Dialect::Chat, include_usage);
        let events = events(&chat.batch(batch(vec![Piece::Text("a".to_owned())], Some(done()))));
        let (_, last) = &events[events.len() - 2];
        assert_eq!(last["rekursing"]["tier"], "low", "{last}");
    }
}

#[test]
fn a_whole_answer_tells_the_tier_that_the_page_got() {
    let mut report = Report::new(JobId::from_bits(1), Moment(7_000), false);
    report.named("tiny", "standard", Value::Null);
    let Ending::Done(finish) = done() else { panic!() };
    report.finished(&finish);
    assert_eq!(report.whole("a", Value::Null, "stop")["tier"], "low");
    assert_eq!(report.extension()["tier"], "low", "as on /v1");
}

#[test]
fn a_failure_is_one_explicit_error_with_what_was_charged() {
    let failed = || Ending::Failed { code: FailCode::Cut, detail: String::new(), receipt: Some(receipt()) };
    let chat = events(&encoder(Dialect::Chat, true).batch(batch(vec![], Some(failed()))));
    assert_eq!(chat[0].1["choices"][0]["finish_reason"], "error");
    assert_eq!(chat[0].1["error"]["code"], "provider_failed");
    assert_eq!(chat[0].1["rekursing"]["cost"], "0.0000015");
    assert_eq!(chat[1].1, "[DONE]");
    let own = events(&encoder(Dialect::Inference, false).batch(batch(vec![], Some(failed()))));
    assert_eq!((own[0].0.as_str(), &own[0].1["code"]), ("error", &json!("provider_failed")));
    let refused = Ending::Refused(Refusal::NoProvider);
    let own = events(&encoder(Dialect::Inference, false).batch(batch(vec![], Some(refused))));
    assert_eq!((own[0].0.as_str(), &own[0].1["code"]), ("error", &json!("no_provider")));
    assert_eq!(own[0].1["cost"], "0");
}

#[test]
fn completions_have_their_own_words() {
    let mut encoder = encoder(Dialect::Completion, false);
    let events = events(&encoder.batch(batch(vec![Piece::Text("a".to_owned())], Some(done()))));
    assert_eq!(events[0].1["object"], "text_completion");
    assert_eq!(events[0].1["choices"][0]["text"], "a");
    assert_eq!(events[1].1["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[2].1, "[DONE]");
}

#[tokio::test]
async fn an_ad_is_an_event_of_its_own_behind_the_first_pieces_and_no_word_of_the_answer() {
    let place = Place::sqlite();
    let (ads, ad) = ads::ready(&place).await;
    let mut encoder = encoder(Dialect::Inference, false).beside(ad);
    let first = events(&encoder.batch(batch(vec![Piece::Text("a".to_owned())], None)));
    let names: Vec<_> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["start", "token", "ad"]);
    assert_eq!(first[1].1, json!({"text": "a"}));
    assert_eq!((&first[2].1["title"], &first[2].1["label"]), (&json!("Laptops"), &json!("Sponsored")));
    let rest = events(&encoder.batch(batch(vec![Piece::Text("b".to_owned())], Some(done()))));
    assert!(rest.iter().all(|(name, _)| name != "ad"), "{rest:?}");
    ads::close(&ads);
}

#[tokio::test]
async fn on_v1_an_ad_rides_on_the_last_chunk_of_an_answer_that_is_complete() {
    let failed = Ending::Failed { code: FailCode::Cut, detail: String::new(), receipt: None };
    for (ending, title) in [(done(), json!("Laptops")), (failed, Value::Null)] {
        let place = Place::sqlite();
        let (ads, ad) = ads::ready(&place).await;
        let mut chat = encoder(Dialect::Chat, false).beside(ad);
        let first = chat.batch(batch(vec![Piece::Text("a".to_owned())], None));
        assert!(!std::str::from_utf8(&first).unwrap().contains("Laptops"));
        let last = events(&chat.batch(batch(vec![], Some(ending))));
        assert_eq!(last[0].1["rekursing"]["ad"]["title"], title);
        ads::close(&ads);
    }
}

#[test]
fn events_of_a_named_stream_have_numbers_and_no_others() {
    let batch = |ending| Batch {
        pieces: VecDeque::from([
            Piece::Text("one\nid: 9\n".to_owned()),
            Piece::Choices(RawValue::from_string("[{}]".to_owned()).unwrap()),
        ]),
        ending,
    };
    let mut encoder = encoder(Dialect::Inference, false).numbered(true);
    let text = [encoder.batch(batch(None)), encoder.batch(batch(Some(done())))].concat();
    let text = String::from_utf8(text).unwrap();
    let ids: Vec<&str> = text.lines().filter(|line| line.starts_with("id: ")).collect();
    assert_eq!(ids, ["id: 1", "id: 2", "id: 3", "id: 4", "id: 5", "id: 6"]);
    assert!(text.starts_with("id: 1\nevent: start\n"), "{text}");
    assert_eq!(text.split_terminator("\n\n").count(), 6);
    let plain = self::encoder(Dialect::Inference, false).numbered(false).batch(batch(Some(done())));
    assert!(!String::from_utf8_lossy(&plain).contains("\nid: "));
}
