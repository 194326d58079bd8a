//! What is built of a job's fields, and what is not.

use serde_json::{Value, json};

use super::*;

fn built(call: Call, stream: bool, fields: &Value) -> Result<Value, Refusal> {
    let request = build(call, "tiny", stream, &fields.to_string())?;
    assert_eq!(request.path, path(call));
    Ok(serde_json::from_str(&request.body).unwrap())
}

fn message(content: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

#[test]
fn a_chat_keeps_what_is_known_and_drops_the_rest() {
    let known = json!({
        "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2, "top_p": 1, "top_k": 40,
        "min_p": 0.05, "max_tokens": 7, "max_completion_tokens": 7, "stop": ["a"], "seed": -1,
        "presence_penalty": -0.5, "frequency_penalty": 0.5, "repeat_penalty": 1.1, "logit_bias": {"5": -100},
        "logprobs": true, "top_logprobs": 3, "ignore_eos": true, "tool_choice": "auto",
        "parallel_tool_calls": false, "response_format": {"type": "json_object"}, "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    });
    let mut given = known.clone();
    for unknown in [
        "integrations",
        "cache_prompt",
        "id_slot",
        "lora",
        "mcp",
        "previous_response_id",
        "n",
        "user",
        "ttl",
        "draft_model",
        "grammar",
        "model",
        "stream",
        "stream_options",
        "prompt",
        "input",
        "store",
        "chat_template_kwargs",
        "Temperature",
    ] {
        given[unknown] = json!({"server_url": "http://10.0.0.1"});
    }
    given["top_p"] = json!(null);
    let mut expected = known;
    expected.as_object_mut().unwrap().remove("top_p");
    expected["model"] = json!("tiny");
    expected["stream"] = json!(true);
    expected["stream_options"] = json!({"include_usage": true});
    assert_eq!(built(Call::Chat, true, &given), Ok(expected));
}

#[test]
fn what_a_developer_says_is_told_to_the_model_server_as_the_systems() {
    let roles = r#"{"messages":[{"role":"developer","content":"a"},{"role":"d\u0065veloper","content":"b"},{"role":"user","content":"c"}]}"#;
    let request = build(Call::Chat, "m", false, roles).unwrap();
    let expected = r#""messages":[{"role":"system","content":"a"},{"role":"system","content":"b"},{"role":"user","content":"c"}]"#;
    assert!(request.body.contains(expected), "{}", request.body);
}

#[test]
fn completions_and_embeddings_have_their_own_lists() {
    assert_eq!(
        built(
            Call::Completion,
            false,
            &json!({"prompt": "a", "suffix": "b", "echo": true, "logprobs": 2, "tools": []})
        ),
        Ok(
            json!({"model": "tiny", "stream": false, "prompt": "a", "suffix": "b", "echo": true, "logprobs": 2})
        )
    );
    assert_eq!(
        built(
            Call::Embedding,
            false,
            &json!({"input": ["a"], "dimensions": 8, "encoding_format": "base64", "temperature": 1})
        ),
        Ok(json!({"model": "tiny", "input": ["a"], "dimensions": 8}))
    );
}

#[test]
fn a_completion_is_one_prompt_and_embeddings_have_a_bound() {
    let prompt = |prompt: Value| built(Call::Completion, true, &json!({"prompt": prompt}));
    assert!(prompt(json!(["a"])).is_ok());
    for several in [json!([]), json!(["a", "b"]), json!([["a"]]), json!([1, 2]), json!([[1], [2]]), json!({})]
    {
        assert_eq!(prompt(several.clone()), Err(Refusal::Field("prompt")), "{several}");
    }
    let input = |count: usize| built(Call::Embedding, false, &json!({"input": vec!["a"; count]}));
    assert!(input(INPUTS_MAX).is_ok());
    assert_eq!(input(INPUTS_MAX + 1), Err(Refusal::Field("input")));
}

#[test]
fn a_request_weighs_what_its_model_has_to_read() {
    let weight = |fields: &Value| build(Call::Chat, "tiny", true, &fields.to_string()).unwrap().weight;
    let long = "word ".repeat(1_000);
    let text = weight(&message(&json!(long)));
    assert!((1_250..1_300).contains(&text.tokens()) && text.tokens_at_least() > 400, "{text:?}");
    let image = format!("data:image/png;base64,{}", "QUJD".repeat(50_000));
    let parts = json!([{"type": "image_url", "image_url": {"url": image}}]);
    assert!(weight(&message(&parts)).tokens() < 1_100);
    // A text that only looks like an image is read as a text.
    let tools = json!([{"type": "function", "function": {"name": "f", "image_url": {"url": image}}}]);
    let mut tooled = message(&json!("hi"));
    tooled["tools"] = tools;
    assert!(weight(&tooled).tokens_at_least() > 19_000);
    assert!(weight(&message(&json!(image))).tokens_at_least() > 19_000);
}

#[test]
fn a_schema_keeps_the_order_of_its_properties() {
    let schema = r#"{"type":"json_schema","json_schema":{"schema":{"properties":{"z":{},"a":{}}}}}"#;
    let fields = format!(r#"{{"messages":[],"response_format":{schema}}}"#);
    let request = build(Call::Chat, "m\"1", false, &fields).unwrap();
    let expected = format!(r#"{{"model":"m\"1","stream":false,"messages":[],"response_format":{schema}}}"#);
    assert_eq!(request.body, expected);
}

#[test]
fn parts_inside_the_request_are_written_anew() {
    let parts = json!([
        {"type": "text", "text": "look", "cache_control": {}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low", "path": "/etc"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav", "url": "http://10.0.0.1"}},
    ]);
    let expected = json!([
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]);
    let body = built(Call::Chat, false, &message(&parts)).unwrap();
    assert_eq!(body["messages"][0]["content"], expected);
}

#[test]
fn nothing_outside_the_request_is_ever_named() {
    for part in [
        json!({"type": "image_url", "image_url": {"url": "http://192.168.0.1/admin"}}),
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
        json!({"type": "image_url", "image_url": {"url": "data:text/html,hi"}}),
        json!({"type": "image_url", "image_url": {"url": " data:image/png;base64,AA=="}}),
        json!({"type": "image_url", "image_url": {"url": ["data:image/png;base64,AA=="]}}),
        json!({"type": "image_url", "image_url": "http://192.168.0.1"}),
        json!({"type": "image_url"}),
        json!({"type": "input_audio", "input_audio": {"data": "http://192.168.0.1/a", "format": "wav"}}),
        json!({"type": "file", "file": {"file_id": "x"}}),
        json!({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}),
        json!({"type": "input_image", "image_url": "http://192.168.0.1"}),
    ] {
        let refusal = built(Call::Chat, false, &message(&json!([part]))).unwrap_err();
        assert_eq!(refusal, Refusal::Foreign, "{part}");
        assert_eq!(refusal.code(), FailCode::Refused);
    }
    for tool in [
        json!({"type": "mcp", "server_url": "http://192.168.0.1"}),
        json!({"type": "web_search"}),
        json!({"type": "function", "function": "f"}),
    ] {
        let fields = json!({"messages": [], "tools": [tool]});
        assert_eq!(built(Call::Chat, false, &fields), Err(Refusal::Foreign), "{fields}");
    }
}

#[test]
fn a_field_said_twice_or_in_escapes_hides_nothing() {
    let twice = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","url":"http://a"}}]}]}"#;
    assert_eq!(build(Call::Chat, "m", false, twice), Err(Refusal::Foreign));
    assert_eq!(build(Call::Chat, "m", false, r#"{"messages":[],"messages":[]}"#), Err(Refusal::NotAnObject));
    let escaped = r#"{"messages":[{"role":"user","content":[{"type":"image\u005furl","image_url":{"u\u0072l":"\u0068ttp://a"}}]}]}"#;
    assert_eq!(build(Call::Chat, "m", false, escaped), Err(Refusal::Foreign));
}

#[test]
fn values_that_cannot_be_are_refused() {
    for (field, value) in [
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(1.5)),
        ("max_tokens", json!(1_000_000_000_000u64)),
        ("max_tokens", json!("7")),
        ("temperature", json!("hot")),
        ("temperature", json!(1e300)),
        ("top_logprobs", json!(-3)),
        ("ignore_eos", json!(1)),
        ("logit_bias", json!([])),
        ("stop", json!(7)),
        ("tool_choice", json!(7)),
        ("reasoning_effort", json!({})),
        ("response_format", json!("json")),
        ("tools", json!({})),
        ("messages", json!("hi")),
        ("messages", json!([7])),
    ] {
        let mut fields = json!({"messages": []});
        fields[field] = value.clone();
        assert_eq!(built(Call::Chat, false, &fields), Err(Refusal::Field(field)), "{field}: {value}");
    }
    assert_eq!(built(Call::Chat, false, &json!({})), Err(Refusal::Missing("messages")));
    assert_eq!(built(Call::Completion, false, &json!({"prompt": null})), Err(Refusal::Missing("prompt")));
    assert_eq!(built(Call::Chat, false, &json!([])), Err(Refusal::NotAnObject));
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    let deep = format!(r#"{{"messages":[],"logit_bias":{}{}}}"#, "{\"a\":".repeat(60), "}".repeat(60));
    assert_eq!(build(Call::Chat, "m", false, &deep), Err(Refusal::TooDeep));
    let brackets = json!({"messages": [{"role": "user", "content": "[[{{\\\"[".repeat(100)}]});
    assert!(built(Call::Chat, false, &brackets).is_ok());
    let large = format!(r#"{{"messages":[],"x":"{}"}}"#, "a".repeat(BODY_BYTES_MAX));
    assert_eq!(build(Call::Chat, "m", false, &large), Err(Refusal::TooLarge));
}
