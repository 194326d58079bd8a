//! A request of `/v1/responses` as a chat.

use serde_json::{Map, Value, json};

use super::{Echo, distinct::Distinct};
use crate::{body, http::Problem};

/// Fields that a chat has under the same name.
const SAME: [&str; 23] = [
    "model",
    "stream",
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "quality",
    "objective",
    "deadline",
    "objectives",
    "maxPrice",
    "max_price",
    "maxCost",
    "max_cost",
    "minTps",
    "min_tps",
    "quantizations",
    "provider",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
];

/// Fields that would need something kept, or something that no chat has.
const IMPOSSIBLE: [(&str, &str); 4] = [
    ("previous_response_id", "this relay keeps no answers: send the whole conversation in `input`"),
    ("conversation", "this relay keeps no conversations: send the whole one in `input`"),
    ("prompt", "this relay keeps no prompts: send the text in `instructions` and `input`"),
    ("background", "an answer is made while somebody waits for it"),
];

/// Rewrites a request as that of a chat, and returns what its response says again of it.
///
/// # Errors
/// A sentence for whoever asks for what a chat cannot say.
pub fn chat(body: &str) -> Result<(String, Box<Echo>), Problem> {
    let Distinct(asked) = body::read(body)?;
    let Value::Object(mut asked) = asked else {
        return Err(Problem::bad_request("the body must be a JSON object"));
    };
    asked.retain(|_, value| !value.is_null());
    for (field, sentence) in IMPOSSIBLE {
        if asked.get(field).is_some_and(|value| *value != false) {
            return Err(Problem::field(field, sentence));
        }
    }
    for field in ["metadata", "reasoning", "text"] {
        if asked.get(field).is_some_and(|value| !value.is_object()) {
            return Err(Problem::field(field, &format!("`{field}` must be an object")));
        }
    }
    // Nothing is ever left out of a conversation: one that is too long for whoever answers is refused.
    if asked
        .get("truncation")
        .is_some_and(|wish| !["auto", "disabled"].contains(&wish.as_str().unwrap_or_default()))
    {
        return Err(Problem::field("truncation", "truncation is auto or disabled"));
    }
    let mut chat = Map::new();
    let mut messages = Vec::new();
    match asked.get("instructions") {
        None => {}
        Some(Value::String(text)) => messages.push(json!({"role": "system", "content": text})),
        Some(_) => return Err(Problem::field("instructions", "instructions are a text")),
    }
    input(asked.remove("input"), &mut messages)?;
    chat.insert("messages".to_owned(), messages.into());
    for field in SAME {
        if let Some(value) = asked.get(field) {
            chat.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(limit) = asked.get("max_output_tokens") {
        chat.insert("max_completion_tokens".to_owned(), limit.clone());
    }
    if let Some(effort) = asked.get("reasoning").and_then(|reasoning| reasoning.get("effort")) {
        chat.insert("reasoning_effort".to_owned(), effort.clone());
    }
    if let Some(tools) = asked.get("tools") {
        let tools = self::tools(tools)?;
        if !tools.is_empty() {
            chat.insert("tools".to_owned(), tools.into());
        }
    }
    if let Some(choice) = asked.get("tool_choice") {
        chat.insert("tool_choice".to_owned(), tool_choice(choice)?);
    }
    if let Some(format) = asked.get("text").and_then(|text| text.get("format")) {
        chat.insert("response_format".to_owned(), response_format(format)?);
    }
    Ok((Value::from(chat).to_string(), Box::new(echo(asked))))
}

/// Returns what a response says again, with what is left out as it is.
fn echo(mut asked: Map<String, Value>) -> Echo {
    let mut take = |field: &str, default: Value| (field.to_owned(), asked.remove(field).unwrap_or(default));
    Echo::from_iter([
        take("instructions", Value::Null),
        take("max_output_tokens", Value::Null),
        take("metadata", json!({})),
        take("parallel_tool_calls", json!(true)),
        take("reasoning", json!({"effort": null, "summary": null})),
        take("temperature", Value::Null),
        take("text", json!({"format": {"type": "text"}})),
        take("tool_choice", json!("auto")),
        take("tools", json!([])),
        take("top_p", Value::Null),
    ])
}

fn wrong_input(sentence: &str) -> Problem {
    Problem::field("input", sentence)
}

/// Reads `input` as messages.
fn input(input: Option<Value>, messages: &mut Vec<Value>) -> Result<(), Problem> {
    match input {
        Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => {
            for item in items {
                let Value::Object(item) = item else {
                    return Err(wrong_input("input is a text, or a list of objects"));
                };
                self::item(item, messages)?;
            }
        }
        Some(_) | None => return Err(wrong_input("input is a text, or a list of objects")),
    }
    Ok(())
}

fn item(mut item: Map<String, Value>, messages: &mut Vec<Value>) -> Result<(), Problem> {
    match item_type(&item).as_deref() {
        None | Some("message") => {
            let role = item.remove("role").unwrap_or_default();
            let role = role.as_str().unwrap_or_default();
            if !["user", "assistant", "system", "developer"].contains(&role) {
                return Err(wrong_input("a message's role is user, assistant, system or developer"));
            }
            let content = content(item.remove("content").unwrap_or_default())?;
            messages.push(json!({"role": role, "content": content}));
        }
        Some("function_call") => {
            let (id, name) = (text(&mut item, "call_id")?, text(&mut item, "name")?);
            let arguments = text(&mut item, "arguments")?;
            let call =
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            // What one turn has called is one message.
            match messages.last_mut().filter(|message| message["role"] == "assistant") {
                Some(message) => match message.get_mut("tool_calls").and_then(Value::as_array_mut) {
                    Some(calls) => calls.push(call),
                    None => message["tool_calls"] = json!([call]),
                },
                None => messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            }
        }
        Some("function_call_output") => {
            let id = text(&mut item, "call_id")?;
            let output = content(item.remove("output").unwrap_or_default())?;
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": output}));
        }
        // What a model thought is no part of what it is told in the next turn.
        Some("reasoning") => {}
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            let sentence = format!(
                "an item is a message, a function_call, a function_call_output or a reasoning, and not `{other}`"
            );
            return Err(wrong_input(&sentence));
        }
    }
    Ok(())
}

/// Takes a text out of an item.
fn text(item: &mut Map<String, Value>, field: &str) -> Result<String, Problem> {
    match item.remove(field) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(wrong_input(&format!("an item of this type has a text as `{field}`"))),
    }
}

fn item_type(item: &Map<String, Value>) -> Option<String> {
    item.get("type").filter(|kind| !kind.is_null()).map(|kind| kind.as_str().unwrap_or("?").to_owned())
}

/// Reads a content, a text or a list of parts, in a chat's words.
fn content(content: Value) -> Result<Value, Problem> {
    let wrong = || wrong_input("a content is a text, or a list of input_text, output_text and input_image");
    match content {
        Value::String(_) => Ok(content),
        Value::Array(parts) => {
            let parts: Result<Vec<Value>, Problem> = parts
                .into_iter()
                .map(|part| match part["type"].as_str() {
                    Some("input_text" | "output_text" | "text") if part["text"].is_string() => {
                        Ok(json!({"type": "text", "text": part["text"]}))
                    }
                    Some("refusal") if part["refusal"].is_string() => {
                        Ok(json!({"type": "text", "text": part["refusal"]}))
                    }
                    Some("input_image") if part["image_url"].is_string() => {
                        let mut image = json!({"url": part["image_url"]});
                        if part["detail"].is_string() {
                            image["detail"] = part["detail"].clone();
                        }
                        Ok(json!({"type": "image_url", "image_url": image}))
                    }
                    _ => Err(wrong()),
                })
                .collect();
            let parts = parts?;
            // Many model servers take nothing but a text where a text will do.
            match parts.as_slice() {
                [only] if only["type"] == "text" => Ok(only["text"].clone()),
                _ => Ok(parts.into()),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(wrong()),
    }
}

fn tools(tools: &Value) -> Result<Vec<Value>, Problem> {
    let wrong = || Problem::field("tools", "tools is a list of functions: no other tool runs at a relay");
    let tool = |tool: &Value| {
        if tool["type"] != "function" || !tool["name"].is_string() {
            return Err(wrong());
        }
        let mut function = json!({"name": tool["name"]});
        for field in ["description", "parameters", "strict"] {
            if !tool[field].is_null() {
                function[field] = tool[field].clone();
            }
        }
        Ok(json!({"type": "function", "function": function}))
    };
    tools.as_array().ok_or_else(wrong)?.iter().map(tool).collect()
}

fn tool_choice(choice: &Value) -> Result<Value, Problem> {
    match choice.as_str() {
        Some("auto" | "none" | "required") => Ok(choice.clone()),
        None if choice["type"] == "function" && choice["name"].is_string() => {
            Ok(json!({"type": "function", "function": {"name": choice["name"]}}))
        }
        _ => {
            let sentence = "tool_choice is auto, none, required, or a function by its name";
            Err(Problem::field("tool_choice", sentence))
        }
    }
}

fn response_format(format: &Value) -> Result<Value, Problem> {
    match format["type"].as_str() {
        Some("text" | "json_object") => Ok(json!({"type": format["type"]})),
        Some("json_schema") => {
            let mut schema = json!({});
            for field in ["name", "description", "schema", "strict"] {
                if !format[field].is_null() {
                    schema[field] = format[field].clone();
                }
            }
            Ok(json!({"type": "json_schema", "json_schema": schema}))
        }
        _ => Err(Problem::field("text", "text.format is text, json_object or json_schema")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: Value) -> Value {
        serde_json::from_str(&chat(&body.to_string()).unwrap().0).unwrap()
    }

    #[test]
    fn a_text_with_instructions_is_a_chat_of_two_messages() {
        assert_eq!(
            asked(json!({"model": "m", "instructions": "Be brief.", "input": "Hi", "max_output_tokens": 5,
                "reasoning": {"effort": "low"}, "store": true, "quality": "high", "top_p": null})),
            json!({"model": "m", "max_completion_tokens": 5, "reasoning_effort": "low", "quality": "high",
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
        );
    }

    #[test]
    fn a_turn_with_tools_is_told_as_a_chat_tells_it() {
        let input = json!([
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "noon"}]}
        ]);
        let chat = asked(json!({"input": input, "tools": [{"type": "function", "name": "weather",
            "parameters": {"type": "object"}, "strict": true}],
            "tool_choice": {"type": "function", "name": "weather"},
            "text": {"format": {"type": "json_schema", "name": "w", "schema": {}, "strict": true}}}));
        assert_eq!(
            chat["messages"],
            json!([
                {"role": "user", "content": [{"type": "text", "text": "Weather?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}]},
                {"role": "assistant", "content": "Let me see.", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                    {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "rain"},
                {"role": "tool", "tool_call_id": "c2", "content": "noon"}
            ])
        );
        let function = json!({"name": "weather", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(chat["tools"], json!([{"type": "function", "function": function}]));
        assert_eq!(chat["tool_choice"], json!({"type": "function", "function": {"name": "weather"}}));
        assert_eq!(
            chat["response_format"],
            json!({"type": "json_schema", "json_schema": {"name": "w", "schema": {}, "strict": true}})
        );
    }

    #[test]
    fn what_a_relay_cannot_do_is_refused_with_the_field_and_a_sentence() {
        for (field, body) in [
            ("previous_response_id", json!({"input": "x", "previous_response_id": "resp_1"})),
            ("conversation", json!({"input": "x", "conversation": "conv_1"})),
            ("background", json!({"input": "x", "background": true})),
            ("prompt", json!({"input": "x", "prompt": {"id": "p"}})),
            ("instructions", json!({"input": "x", "instructions": []})),
            ("input", json!({})),
            ("input", json!({"input": 7})),
            ("input", json!({"input": ["x"]})),
            ("input", json!({"input": [{"type": "item_reference", "id": "msg_1"}]})),
            ("input", json!({"input": [{"role": "tool", "content": "x"}]})),
            ("input", json!({"input": [{"role": "user", "content": [{"type": "input_file"}]}]})),
            ("input", json!({"input": [{"type": "function_call", "call_id": "c"}]})),
            ("tools", json!({"input": "x", "tools": [{"type": "web_search"}]})),
            ("tools", json!({"input": "x", "tools": {}})),
            ("tool_choice", json!({"input": "x", "tool_choice": {"type": "mcp"}})),
            ("text", json!({"input": "x", "text": {"format": {"type": "yaml"}}})),
            ("truncation", json!({"input": "x", "truncation": "always"})),
        ] {
            let problem = chat(&body.to_string()).expect_err(field);
            assert_eq!(problem.field.as_deref(), Some(field), "{body}: {problem:?}");
        }
        let twice = chat(r#"{"input":"x","model":"a","mod\u0065l":"b"}"#).unwrap_err();
        assert_eq!(twice.code, "bad_request");
        for taken in [r#""background":false,"previous_response_id":null"#, r#""truncation":"auto""#] {
            assert!(chat(&format!(r#"{{"input":"x",{taken}}}"#)).is_ok(), "{taken}");
        }
    }

    #[test]
    fn a_response_says_again_what_it_was_asked_with() {
        let (_, echo) = chat(r#"{"input":"x","temperature":0.5,"metadata":{"a":"b"}}"#).unwrap();
        let echo = Value::from(*echo);
        assert_eq!((&echo["temperature"], &echo["metadata"]), (&json!(0.5), &json!({"a": "b"})));
        assert_eq!((&echo["tools"], &echo["tool_choice"]), (&json!([]), &json!("auto")));
        assert!(echo.get("input").is_none());
    }
}
