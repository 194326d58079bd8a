//! The parts of a request that could name something outside it: messages and tools, written anew
//! from what is known.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Fields, Object, Refusal, separate};

/// What a message may hold beside its content.
const MESSAGE: [&str; 7] =
    ["role", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning", "refusal"];

/// Writes the field `messages`.
pub(super) fn messages(value: &str, object: &mut Object) -> Result<(), Refusal> {
    object.name("messages");
    object.json.push('[');
    for message in rows(value, "messages")? {
        let Fields(fields) = serde_json::from_str(message.get()).map_err(|_| Refusal::Field("messages"))?;
        separate(&mut object.json);
        object.json.push('{');
        for (key, value) in fields {
            if key == "content" {
                object.name("content");
                content(value.get(), object)?;
            } else if key == "role" && words(value.get()).is_ok_and(|role| role == "developer") {
                // Model servers and their templates know it by its older name alone.
                object.raw("role", "\"system\"");
            } else if let Some(known) = MESSAGE.iter().find(|known| **known == key) {
                object.raw(known, value.get());
            }
        }
        object.json.push('}');
    }
    object.json.push(']');
    Ok(())
}

/// Writes a message's content: a text, null, or a list of parts.
fn content(value: &str, object: &mut Object) -> Result<(), Refusal> {
    if value.starts_with('"') || value == "null" {
        object.json.push_str(value);
        return Ok(());
    }
    object.json.push('[');
    for row in rows(value, "messages")? {
        separate(&mut object.json);
        if row.get().starts_with('"') {
            object.json.push_str(row.get());
            continue;
        }
        let Fields(fields) = serde_json::from_str(row.get()).map_err(|_| Refusal::Field("messages"))?;
        part(&fields, object)?;
    }
    object.json.push(']');
    Ok(())
}

type Row<'a> = [(Cow<'a, str>, &'a RawValue)];

/// Writes one part of a content. Kinds that are not known are refused and not dropped, because an
/// answer without them would be to another question.
fn part(fields: &Row<'_>, object: &mut Object) -> Result<(), Refusal> {
    let kind = words(find(fields, "type").ok_or(Refusal::Field("messages"))?)?;
    match kind.as_ref() {
        "text" => {
            let text = find(fields, "text").filter(|text| text.starts_with('"'));
            object.json.push_str(r#"{"type":"text","text":"#);
            object.json.push_str(text.ok_or(Refusal::Field("messages"))?);
            object.json.push('}');
        }
        "image_url" => {
            let image = find(fields, "image_url").ok_or(Refusal::Foreign)?;
            let Fields(image) = serde_json::from_str(image).map_err(|_| Refusal::Foreign)?;
            let url = find(&image, "url").ok_or(Refusal::Foreign)?;
            if !words(url)?.starts_with("data:image/") {
                return Err(Refusal::Foreign);
            }
            object.json.push_str(r#"{"type":"image_url","image_url":{"url":"#);
            object.medium(url);
            if let Some(detail) = find(&image, "detail").filter(|detail| detail.starts_with('"')) {
                object.raw("detail", detail);
            }
            object.json.push_str("}}");
        }
        "input_audio" => {
            let audio = find(fields, "input_audio").ok_or(Refusal::Foreign)?;
            let Fields(audio) = serde_json::from_str(audio).map_err(|_| Refusal::Foreign)?;
            let data = find(&audio, "data").ok_or(Refusal::Foreign)?;
            let format = find(&audio, "format").ok_or(Refusal::Foreign)?;
            // Base64 holds no colon; every URL does.
            if words(data)?.contains(':') || words(data)?.is_empty() || words(format)?.len() > 16 {
                return Err(Refusal::Foreign);
            }
            object.json.push_str(r#"{"type":"input_audio","input_audio":{"data":"#);
            object.medium(data);
            object.raw("format", format);
            object.json.push_str("}}");
        }
        _ => return Err(Refusal::Foreign),
    }
    Ok(())
}

/// Writes the field `tools`: functions, which the page itself carries out.
pub(super) fn tools(value: &str, object: &mut Object) -> Result<(), Refusal> {
    object.name("tools");
    let json = &mut object.json;
    json.push('[');
    for tool in rows(value, "tools")? {
        let Fields(fields) = serde_json::from_str(tool.get()).map_err(|_| Refusal::Field("tools"))?;
        let kind = words(find(&fields, "type").ok_or(Refusal::Field("tools"))?)?;
        let function = find(&fields, "function").filter(|function| function.starts_with('{'));
        let (Some(function), "function") = (function, kind.as_ref()) else { return Err(Refusal::Foreign) };
        let Fields(named) = serde_json::from_str(function).map_err(|_| Refusal::Field("tools"))?;
        // llama.cpp answers a function without a name with an error of its own.
        if !find(&named, "name").is_some_and(|name| name.starts_with('"')) {
            return Err(Refusal::Field("tools"));
        }
        separate(json);
        json.push_str(r#"{"type":"function","function":"#);
        json.push_str(function);
        json.push('}');
    }
    json.push(']');
    Ok(())
}

fn rows<'a>(value: &'a str, field: &'static str) -> Result<Vec<&'a RawValue>, Refusal> {
    serde_json::from_str(value).map_err(|_| Refusal::Field(field))
}

fn find<'a>(fields: &Row<'a>, name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())
}

/// Reads a JSON text, escapes resolved, so that none hides what it says.
fn words(value: &str) -> Result<Cow<'_, str>, Refusal> {
    if let Ok(plain) = serde_json::from_str::<&str>(value) {
        return Ok(Cow::Borrowed(plain));
    }
    serde_json::from_str::<String>(value).map(Cow::Owned).map_err(|_| Refusal::Foreign)
}
