use rekursing_protocol::{JobId, Moment};

use super::*;

/// Most bytes of an answer here.
const BYTES_MAX: usize = 64 * 1024;

fn answer() -> (Answer, Report) {
    let (_, echo) = crate::responses::chat(r#"{"input":"x","temperature":0.5}"#).unwrap();
    let mut report = Report::new(JobId::from_bits(1), Moment(1_700_000_000_000), true);
    report.named("tiny", "standard", Value::Null);
    (Answer::new(echo, BYTES_MAX, &report), report)
}

/// Returns the events' names, and checks that they are numbered one by one.
fn names(events: &[Value]) -> Vec<&str> {
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

#[test]
fn a_text_is_one_message_whose_pieces_are_its_text() {
    let (mut answer, report) = answer();
    let mut events = answer.begin(&report);
    events.extend(answer.text("Hello"));
    events.extend(answer.choices(r#"[{"index":0,"delta":{"content":" there"}}]"#));
    events.extend(answer.finish("stop", &report));
    assert_eq!(
        names(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[0]["response"]["temperature"], 0.5);
    assert_eq!((&events[2]["item"]["content"], &events[3]["part"]["text"]), (&json!([]), &json!("")));
    assert_eq!((&events[4]["delta"], &events[5]["delta"]), (&json!("Hello"), &json!(" there")));
    assert_eq!(events[6]["text"], "Hello there");
    let response = &events[9]["response"];
    assert_eq!((&response["status"], &response["output"][0]), (&json!("completed"), &events[8]["item"]));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello there");
    assert_eq!(response["id"], events[0]["response"]["id"]);
    assert_eq!(response["usage"]["output_tokens"], 0);
}

#[test]
fn thoughts_text_and_calls_are_items_in_their_order() {
    let (mut answer, report) = answer();
    let mut events = answer.begin(&report);
    for choices in [
        r#"[{"delta":{"role":"assistant","content":null,"reasoning_content":"Hm."}}]"#,
        r#"[{"delta":{"content":"Let me see."}}]"#,
        r#"[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"weather","arguments":""}}]}}]"#,
        r#"[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]"#,
        r#"[{"delta":{"tool_calls":[{"index":1,"id":"c2","function":{"name":"time","arguments":"{}"}}]}}]"#,
        r#"[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}}]"#,
        r#"[{"delta":{}}]"#,
        "nonsense",
    ] {
        events.extend(answer.choices(choices));
    }
    events.extend(answer.finish("tool_calls", &report));
    names(&events);
    let output = &events.last().unwrap()["response"]["output"];
    let kinds: Vec<&str> =
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!(output[0]["content"][0]["text"], "Hm.");
    assert_eq!(
        (&output[2]["call_id"], &output[2]["name"], &output[2]["arguments"]),
        (&json!("c1"), &json!("weather"), &json!("{\"city\":\"Paris\"}"))
    );
    assert_eq!((&output[3]["call_id"], &output[3]["arguments"]), (&json!("c2"), &json!("{}")));
    // Every item is told of once as begun and once as done, as it is in the end.
    for name in ["response.output_item.added", "response.output_item.done"] {
        let told: Vec<&Value> = events.iter().filter(|event| event["type"] == name).collect();
        assert_eq!(told.len(), 4, "{name}");
    }
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    for event in done {
        let at = usize::try_from(event["output_index"].as_u64().unwrap()).unwrap();
        assert_eq!(event["item"], output[at]);
    }
}

#[test]
fn an_answer_that_did_not_end_well_says_why() {
    for (reason, status, detail) in [
        ("length", "incomplete", json!({"reason": "max_output_tokens"})),
        ("content_filter", "incomplete", json!({"reason": "content_filter"})),
        ("stop", "completed", Value::Null),
    ] {
        let (mut answer, report) = answer();
        let events = answer.finish(reason, &report);
        let last = events.last().unwrap();
        assert_eq!(last["type"], format!("response.{status}"));
        assert_eq!(
            (&last["response"]["status"], &last["response"]["incomplete_details"]),
            (&json!(status), &detail)
        );
    }
    let (mut answer, report) = answer();
    answer.text("half");
    let events = answer.fail(&Problem::internal(), &report);
    let response = &events[0]["response"];
    assert_eq!((&response["status"], &response["error"]["code"]), (&json!("failed"), &json!("internal")));
    assert_eq!(response["output"][0]["content"][0]["text"], "half", "what came is there");
    assert_eq!(response["output"][0]["status"], "in_progress");
}

#[test]
fn of_an_answer_that_was_cut_off_the_last_item_is_incomplete() {
    let message = json!({"content": "Once upon", "reasoning_content": "Hm."});
    let told = |response: &Value| {
        let items = response["output"].as_array().unwrap().iter();
        items.map(|item| item["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (reason, statuses) in [
        ("length", ["completed", "incomplete"]),
        ("content_filter", ["completed", "incomplete"]),
        ("stop", ["completed", "completed"]),
    ] {
        let (answer, report) = answer();
        assert_eq!(told(&answer.whole(message.clone(), reason, &report).unwrap()), statuses, "{reason}");
        let (mut answer, report) = self::answer();
        answer.choices(&json!([{"delta": message}]).to_string());
        let events = answer.finish(reason, &report);
        let done = events.iter().rfind(|event| event["type"] == "response.output_item.done");
        assert_eq!(done.unwrap()["item"]["status"], statuses[1], "{reason}");
        assert_eq!(told(&events.last().unwrap()["response"]), statuses, "{reason}");
    }
}

#[test]
fn a_whole_message_is_the_same_items() {
    let (answer, report) = answer();
    let message = json!({"role": "assistant", "content": "Hello", "reasoning_content": "Hm.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}}]});
    let response = answer.whole(message, "tool_calls", &report).unwrap();
    let output = response["output"].as_array().unwrap();
    assert_eq!(output.len(), 4);
    assert!(output.iter().all(|item| item["status"] == "completed"), "{response}");
    assert_eq!((&output[1]["content"][0]["text"], &output[3]["name"]), (&json!("Hello"), &json!("time")));
}

#[test]
fn no_more_text_is_kept_than_a_response_may_have() {
    let (mut answer, _) = answer();
    assert_eq!(answer.text(&"x".repeat(BYTES_MAX - ITEM_BYTES)).len(), 3);
    assert!(!answer.is_too_long());
    assert!(answer.text("x").is_empty());
    assert!(answer.is_too_long());
}

/// The calls of these numbers, as a chunk's choices or as a whole message say them.
fn calls(numbers: impl Iterator<Item = usize>, name: &str) -> Value {
    let call = |number| json!({"index": number, "id": "c", "function": {"name": name, "arguments": "x"}});
    json!({"tool_calls": numbers.map(call).collect::<Vec<_>>()})
}

#[test]
fn an_answer_has_so_many_calls_and_each_takes_room_also_where_it_says_nothing() {
    let choices =
        |numbers: std::ops::Range<usize>, name: &str| json!([{"delta": calls(numbers, name)}]).to_string();
    let (mut answer, report) = answer();
    let said = answer.choices(&choices(0..CALLS_MAX, "f"));
    assert_eq!(said.len(), 2 * CALLS_MAX);
    assert_eq!(answer.choices(&choices(0..CALLS_MAX, "f")).len(), CALLS_MAX, "each goes on by its number");
    assert!(!answer.is_too_long());
    assert!(answer.choices(&choices(CALLS_MAX..CALLS_MAX + 1, "f")).is_empty());
    assert!(answer.is_too_long());
    assert_eq!(answer.items.len(), CALLS_MAX);

    let (mut answer, _) = self::answer();
    answer.choices(&choices(0..1, &"f".repeat(BYTES_MAX)));
    assert!(answer.is_too_long() && answer.items.is_empty(), "a name is kept too");

    let (mut answer, _) = self::answer();
    for _ in 0..BYTES_MAX / ITEM_BYTES {
        answer.choices(r#"[{"delta":{"content":"x","reasoning":"x"}}]"#);
    }
    assert!(answer.is_too_long() && answer.items.len() <= BYTES_MAX / ITEM_BYTES, "and so is an item");

    let (answer, _) = self::answer();
    let refused = answer.whole(calls(0..CALLS_MAX + 1, "f"), "tool_calls", &report).unwrap_err();
    assert_eq!((refused.code, refused.charged), ("answer_too_large", true));
}
