//! The tool `ask`: an answer, told as it comes to whoever wants to hear of it.

use axum::{
    Router,
    body::Body,
    http::{Method, header::CONTENT_TYPE, request::Parts},
    response::Response,
};
use http_body_util::BodyExt;
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use serde_json::{Map, Value, json};

use super::inner;
use crate::http::Problem;

pub(super) const ROUTE: &str = "/api/llm/inference";

/// Most calls of tools in one answer. A model that calls more at once has lost its way.
const CALLS_MAX: usize = 128;

/// What has come of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    calls: Vec<Call>,
    told: Map<String, Value>,
    error: Option<Value>,
    done: bool,
}

/// A call of a tool, as it has grown so far.
#[derive(Debug, Default)]
struct Call {
    /// By which the model server tells the calls of an answer apart.
    number: u64,
    id: String,
    name: String,
    arguments: String,
}

/// Whoever is told an answer as it comes; nobody where there is no token.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) token: Option<ProgressToken>,
    pub(super) peer: Peer<RoleServer>,
}

impl Listener {
    /// Tells what was said, and how many characters there are so far.
    async fn hear(&self, characters: usize, said: &str) {
        let Some(token) = &self.token else { return };
        // Characters of one answer stay far below 2⁵³.
        let progress = ProgressNotificationParam::new(token.clone(), characters as f64).with_message(said);
        // Who has left is noticed by the connection.
        let _ = self.peer.notify_progress(progress).await;
    }
}

/// Asks, and tells the listener each piece of text. Dropping this cancels the job.
pub(super) async fn ask(
    routes: &Router,
    caller: &Parts,
    mut body: Value,
    listener: &Listener,
) -> Result<Value, Value> {
    body["stream"] = true.into();
    let response = inner::call(routes, caller, Method::POST, ROUTE, &body).await;
    if !is_stream(&response) {
        return inner::whole(response).await;
    }
    let (mut answer, mut events) = (Answer::default(), response.into_body());
    let mut characters = 0;
    while let Some(written) = next(&mut events).await {
        let before = answer.text.len();
        answer.take(&written);
        let said = answer.text.get(before..).unwrap_or_default();
        if !said.is_empty() {
            characters += said.chars().count();
            listener.hear(characters, said).await;
        }
    }
    answer.end()
}

/// Reads what the stream has written at once, which is always whole events.
async fn next(events: &mut Body) -> Option<String> {
    loop {
        let frame = events.frame().await?.ok()?;
        if let Ok(bytes) = frame.into_data() {
            return String::from_utf8(bytes.into()).ok();
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

impl Answer {
    /// Takes events as the route writes them.
    fn take(&mut self, written: &str) {
        for event in written.split("\n\n") {
            let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            let (Some(name), Some(data)) = (line("event: "), line("data: ")) else { continue };
            let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
            match name {
                "token" => self.text.push_str(data["text"].as_str().unwrap_or_default()),
                "chunk" => {
                    let delta = &data["choices"][0]["delta"];
                    self.text.push_str(delta["content"].as_str().unwrap_or_default());
                    self.call(&delta["tool_calls"]);
                }
                "ad" => drop(self.told.insert("ad".to_owned(), data)),
                "error" => self.error = Some(data),
                // `start` and `continued` say who answers, and `done` what it was.
                _ => {
                    self.done |= name == "done";
                    if let Value::Object(fields) = data {
                        self.told.extend(fields);
                    }
                }
            }
        }
    }

    /// Takes pieces of calls.
    fn call(&mut self, pieces: &Value) {
        for (at, piece) in (0..).zip(pieces.as_array().into_iter().flatten()) {
            let number = piece["index"].as_u64().unwrap_or(at);
            let known = self.calls.iter().position(|call| call.number == number);
            if known.is_none() && self.calls.len() >= CALLS_MAX {
                self.error = Some(Problem::response_too_long().own()["error"].take());
                return;
            }
            let known = known.unwrap_or_else(|| {
                self.calls.push(Call { number, ..Call::default() });
                self.calls.len() - 1
            });
            let Call { id, name, arguments, .. } = &mut self.calls[known];
            let function = &piece["function"];
            for (told, piece) in [(id, &piece["id"]), (name, &function["name"])] {
                if told.is_empty() {
                    told.push_str(piece.as_str().unwrap_or_default());
                }
            }
            arguments.push_str(function["arguments"].as_str().unwrap_or_default());
        }
    }

    /// Returns the whole answer, or why it broke off, with what there is of it.
    fn end(mut self) -> Result<Value, Value> {
        let calls: Vec<Value> = self.calls.iter().map(Call::view).collect();
        match self.error.take() {
            Some(mut error) => {
                error["text"] = self.text.into();
                if !calls.is_empty() {
                    error["toolCalls"] = calls.into();
                }
                Err(error)
            }
            None if !self.done => Err(Problem::internal().own()["error"].take()),
            None => {
                self.told.insert("text".to_owned(), json!(self.text));
                if !calls.is_empty() {
                    self.told.insert("toolCalls".to_owned(), calls.into());
                }
                Ok(Value::Object(self.told))
            }
        }
    }
}

impl Call {
    /// Returns it as a chat's messages have it, in which it goes back with what the tool has found. Some model servers
    /// give no ids.
    fn view(&self) -> Value {
        let Call { number, id, name, arguments } = self;
        let id = if id.is_empty() { format!("call_{number}") } else { id.clone() };
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&str]) -> Result<Value, Value> {
        let mut answer = Answer::default();
        parts.iter().for_each(|part| answer.take(part));
        answer.end()
    }

    #[test]
    fn an_answer_is_its_text_with_all_that_was_told_of_it() {
        let start = "event: start\ndata: {\"jobId\":\"job_1\",\"model\":\"m\"}\n\n";
        let tokens = "event: token\ndata: {\"text\":\"blue \"}\n\n: still there\n\nevent: chunk\ndata: \
                      {\"choices\":[{\"delta\":{\"content\":\"river\"}}]}\n\n";
        let end = "event: ad\ndata: {\"label\":\"Sponsored\"}\n\nevent: done\ndata: {\"cost\":\"0.1\"}\n\n";
        assert_eq!(
            read(&[start, tokens, end]),
            Ok(json!({"jobId": "job_1", "model": "m", "text": "blue river", "cost": "0.1",
                      "ad": {"label": "Sponsored"}}))
        );
    }

    #[test]
    fn the_calls_of_an_answer_are_given_whole_and_there_are_so_many_at_most() {
        let chunk = |calls: Value| {
            let choices = json!({"choices": [{"delta": {"content": null, "tool_calls": calls}}]});
            format!("event: chunk\ndata: {choices}\n\n")
        };
        let call =
            |number: usize, name: &str| json!([{"index": number, "id": "c", "function": {"name": name}}]);
        let more = |number: usize, more: &str| json!([{"index": number, "function": {"arguments": more}}]);
        let done = "event: done\ndata: {}\n\n";
        let pieces = [call(0, "weather"), more(0, "{\"city\":"), call(1, "time"), more(0, "\"Paris\"}")];
        let told: String = pieces.into_iter().map(chunk).collect();
        let function = |name: &str, arguments: &str| json!({"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}});
        let calls = json!([function("weather", "{\"city\":\"Paris\"}"), function("time", "")]);
        assert_eq!(read(&[&told, done]), Ok(json!({"text": "", "toolCalls": calls})));
        let nameless = chunk(json!([{"function": {"name": "f", "arguments": "{}"}}]));
        assert_eq!(read(&[&nameless, done]).unwrap()["toolCalls"][0]["id"], "call_0");
        let many: String = (0..=CALLS_MAX).map(|number| chunk(call(number, "f"))).collect();
        let error = read(&[&many, done]).unwrap_err();
        assert_eq!(error["code"], "answer_too_large");
        assert_eq!(error["toolCalls"].as_array().map(Vec::len), Some(CALLS_MAX));
    }

    #[test]
    fn an_answer_that_broke_off_says_why_and_what_there_was() {
        let broke = "event: token\ndata: {\"text\":\"blue\"}\n\nevent: error\ndata: {\"code\":\"x\"}\n\n";
        assert_eq!(read(&[broke]), Err(json!({"code": "x", "text": "blue"})));
        let cut = read(&["event: token\ndata: {\"text\":\"blue\"}\n\n"]).unwrap_err();
        assert_eq!(cut["code"], "internal");
    }
}
