//! The golden frames: what one party wrote yesterday, the other reads tomorrow.
//!
//! Every kind of frame has one file in `golden/`, and `docs/protocol.md` shows the very same text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what it calls")]

use std::{collections::BTreeSet, fs, path::Path};

use rekursing_protocol::{
    FailCode, ToPlugin, ToRelay,
    device::{Purpose, Statement},
    frame::{Call, Hello},
};
use serde_json::Value;

#[test]
fn a_plugin_reads_every_frame_of_the_relay_and_writes_the_same_back() {
    for (kind, text) in files("to_plugin") {
        let frame: ToPlugin = serde_json::from_str(&text).unwrap();
        assert_eq!(kind_to_plugin(&frame), kind);
        assert_eq!(value(&serde_json::to_string(&frame).unwrap()), value(&text), "{kind}");
    }
}

#[test]
fn a_relay_reads_every_frame_of_a_plugin_and_writes_the_same_back() {
    for (kind, text) in files("to_relay") {
        let frame: ToRelay<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(kind_to_relay(&frame), kind);
        assert_eq!(value(&serde_json::to_string(&frame).unwrap()), value(&text), "{kind}");
    }
}

#[test]
fn every_kind_has_a_golden_frame() {
    let kinds = |direction| files(direction).into_iter().map(|(kind, _)| kind).collect::<BTreeSet<_>>();
    assert_eq!(kinds("to_plugin"), KINDS_TO_PLUGIN.map(str::to_owned).into());
    assert_eq!(kinds("to_relay"), KINDS_TO_RELAY.map(str::to_owned).into());
}

#[test]
fn the_documented_frames_are_the_golden_ones() {
    let page = fs::read_to_string(root().join("../docs/protocol.md")).unwrap();
    for direction in ["to_plugin", "to_relay"] {
        for (kind, text) in files(direction) {
            assert!(page.contains(&format!("```json\n{text}```")), "docs/protocol.md lacks {kind} as it is");
        }
    }
}

#[test]
fn a_plugin_overlooks_fields_that_a_later_relay_adds() {
    let text = r#"{"hello":{"version":1,"heartbeat_ms":20000,"frame_bytes_max":65536,"later":true}}"#;
    let ToPlugin::Hello(hello) = serde_json::from_str(text).unwrap() else { panic!("not a hello") };
    assert_eq!(
        hello,
        Hello { version: 1, heartbeat_ms: 20_000, frame_bytes_max: 65_536, resume_ms: 0, nonce: None }
    );
}

#[test]
fn a_new_session_says_nothing_of_an_older_one() {
    let ready = r#"{"ready":{"session":"ses_01KA5ZJ2M4P6R8T0V2X4Z6B8DF"}}"#;
    let frame: ToPlugin = serde_json::from_str(ready).unwrap();
    assert_eq!(serde_json::to_string(&frame).unwrap(), ready);
    let mut identify =
        value(&fs::read_to_string(root().join("tests/golden/to_relay.identify.json")).unwrap());
    identify["identify"].as_object_mut().unwrap().remove("resume").unwrap();
    let text = identify.to_string();
    let frame: ToRelay<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&frame).unwrap(), identify);
}

#[test]
fn a_plugin_shows_who_it_is_by_secret_or_signature_and_by_both_with_a_new_key() {
    let golden = value(&fs::read_to_string(root().join("tests/golden/to_relay.identify.json")).unwrap());
    for fields in [&["secret"] as &[&str], &["signature"], &["secret", "signature", "key"]] {
        let mut identify = golden.clone();
        identify["identify"].as_object_mut().unwrap().remove("signature").unwrap();
        for field in fields {
            identify["identify"][field] = "…".into();
        }
        let text = identify.to_string();
        let frame: ToRelay<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&frame).unwrap(), identify);
    }
}

#[test]
fn what_a_device_key_signs_is_the_documented_text() {
    let page = fs::read_to_string(root().join("../docs/protocol.md")).unwrap();
    let plugin = "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM".parse().unwrap();
    let nonce = "9a0364b9e99bb480dd25e1f0284c8555a0f1c7e24b6d90381e5f7a2c3b4d6e80";
    let statement = Statement { purpose: Purpose::Link, host: "rekursing.com", plugin, nonce };
    assert!(page.contains(&format!("```\n{statement}\n```")), "docs/protocol.md lacks {statement}");
}

#[test]
fn a_relay_refuses_fields_and_kinds_that_it_does_not_know() {
    for text in [
        r#"{"heartbeat":{"n":1,"jobs":0,"extra":1}}"#,
        r#"{"shutdown":{}}"#,
        r#"{"heartbeat":{"n":1,"jobs":0},"text":{}}"#,
        r#"{"heartbeat":{"n":-1,"jobs":0}}"#,
        r#"{"heartbeat":{"n":1,"jobs":65536}}"#,
        "[]",
        "",
    ] {
        assert!(serde_json::from_str::<ToRelay<'_>>(text).is_err(), "{text}");
    }
}

#[test]
fn the_codes_of_a_failure_keep_their_names() {
    for (code, text) in [
        (FailCode::Busy, "busy"),
        (FailCode::Paused, "paused"),
        (FailCode::ModelMissing, "model_missing"),
        (FailCode::ModelLoading, "model_loading"),
        (FailCode::ModelCrashed, "model_crashed"),
        (FailCode::ContextOverflow, "context_overflow"),
        (FailCode::BadRequest, "bad_request"),
        (FailCode::Unreachable, "unreachable"),
        (FailCode::Unauthorized, "unauthorized"),
        (FailCode::ServerError, "server_error"),
        (FailCode::Malformed, "malformed"),
        (FailCode::TooLarge, "too_large"),
        (FailCode::Cut, "cut"),
        (FailCode::Stalled, "stalled"),
        (FailCode::TimeUp, "time_up"),
        (FailCode::Empty, "empty"),
        (FailCode::Refused, "refused"),
        (FailCode::Cancelled, "cancelled"),
    ] {
        assert_eq!(serde_json::to_value(code).unwrap(), text);
    }
}

#[test]
fn the_calls_of_a_job_keep_their_names() {
    for (call, text) in
        [(Call::Chat, "chat"), (Call::Completion, "completion"), (Call::Embedding, "embedding")]
    {
        assert_eq!(serde_json::to_value(call).unwrap(), text);
    }
}

const KINDS_TO_PLUGIN: [&str; 9] =
    ["ack", "cancel", "credit", "drain", "hello", "ready", "settled", "start", "steer"];

const KINDS_TO_RELAY: [&str; 9] =
    ["body", "chunk", "done", "fail", "heartbeat", "identify", "inventory", "steered", "text"];

/// Names the kind; a new variant does not build until it is named here, and the name wants its file.
fn kind_to_plugin(frame: &ToPlugin) -> &'static str {
    match frame {
        ToPlugin::Ack(_) => "ack",
        ToPlugin::Cancel(_) => "cancel",
        ToPlugin::Credit(_) => "credit",
        ToPlugin::Drain(_) => "drain",
        ToPlugin::Steer(_) => "steer",
        ToPlugin::Hello(_) => "hello",
        ToPlugin::Ready(_) => "ready",
        ToPlugin::Settled(_) => "settled",
        ToPlugin::Start(_) => "start",
    }
}

/// Names the kind, as [`kind_to_plugin`] does.
fn kind_to_relay(frame: &ToRelay<'_>) -> &'static str {
    match frame {
        ToRelay::Body(_) => "body",
        ToRelay::Chunk(_) => "chunk",
        ToRelay::Done(_) => "done",
        ToRelay::Fail(_) => "fail",
        ToRelay::Steered(_) => "steered",
        ToRelay::Heartbeat(_) => "heartbeat",
        ToRelay::Identify(_) => "identify",
        ToRelay::Inventory(_) => "inventory",
        ToRelay::Text(_) => "text",
    }
}

/// Reads the golden files of one direction as pairs of kind and text.
fn files(direction: &str) -> Vec<(String, String)> {
    fs::read_dir(root().join("tests/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let kind = name.strip_prefix(direction)?.strip_prefix('.')?.strip_suffix(".json")?;
            Some((kind.to_owned(), fs::read_to_string(&path).unwrap()))
        })
        .collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
