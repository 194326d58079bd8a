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

/// What has come of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    told: Map<String, Value>,
    error: Option<Value>,
    done: bool,
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
                    let content = &data["choices"][0]["delta"]["content"];
                    self.text.push_str(content.as_str().unwrap_or_default());
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

    /// Returns the whole answer, or why it broke off, with what there is of it.
    fn end(mut self) -> Result<Value, Value> {
        match self.error.take() {
            Some(mut error) => {
                error["text"] = self.text.into();
                Err(error)
            }
            None if !self.done => Err(Problem::internal().own()["error"].take()),
            None => {
                self.told.insert("text".to_owned(), json!(self.text));
                Ok(Value::Object(self.told))
            }
        }
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
    fn an_answer_that_broke_off_says_why_and_what_there_was() {
        let broke = "event: token\ndata: {\"text\":\"blue\"}\n\nevent: error\ndata: {\"code\":\"x\"}\n\n";
        assert_eq!(read(&[broke]), Err(json!({"code": "x", "text": "blue"})));
        let cut = read(&["event: token\ndata: {\"text\":\"blue\"}\n\n"]).unwrap_err();
        assert_eq!(cut["code"], "internal");
    }
}
