//! Server-sent events: a stream's pieces in the words of each route.
//!
//! A piece is written once, into the bytes that go to the socket. Pieces that waited together leave
//! together, so a page that reads slowly gets fewer and larger writes, and one that keeps up gets
//! every token as it comes.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use rekursing_market::Assignment;
use serde_json::{Value, json};

use crate::{
    ads::Placing,
    ask::Dialect,
    continuation::Part,
    desk::Desk,
    http::{Problem, provider},
    report::Report,
    responses::Answer,
    stream::{Batch, Ending, Piece},
};

/// Writes one stream's events.
#[derive(Debug)]
pub struct Encoder {
    dialect: Dialect,
    include_usage: bool,
    id: String,
    /// Everything of a chunk before its `choices`.
    head: String,
    opened: bool,
    /// Whether somebody else goes on, of which the page has not been told.
    turned: bool,
    report: Report,
    ad: Placing,
    /// The number of the last event; `None` where events have none.
    number: Option<u64>,
    /// A response's items, on that route.
    response: Option<Box<Answer>>,
}

impl Encoder {
    /// Makes an encoder for a job.
    pub fn new(dialect: Dialect, include_usage: bool, report: Report) -> Encoder {
        let (id, ad) = (report.id(dialect), Placing::none());
        let (head, number, response) = (String::new(), None, None);
        Encoder {
            dialect,
            include_usage,
            id,
            head,
            opened: false,
            turned: false,
            report,
            ad,
            number,
            response,
        }
    }

    /// Writes a response and its items.
    #[must_use]
    pub fn responding(self, response: Option<Answer>) -> Encoder {
        Encoder { response: response.map(Box::new), ..self }
    }

    /// Tells whether it has said all that it will, though the answer goes on.
    pub fn is_over(&self) -> bool {
        self.response.as_ref().is_some_and(|response| response.is_too_long())
    }

    /// Gives every event a number, from 1 on, if that is wished.
    #[must_use]
    pub fn numbered(self, is_numbered: bool) -> Encoder {
        Encoder { number: is_numbered.then_some(0), ..self }
    }

    /// Takes an ad that is to stand beside the answer, once it is there.
    #[must_use]
    pub fn beside(self, ad: Placing) -> Encoder {
        Encoder { ad, ..self }
    }

    /// Notes who answers. The first piece is written in this provider's name.
    pub fn assigned(&mut self, assignment: &Assignment, desk: &Desk) {
        let model = &assignment.offer.model;
        self.report.named(model, assignment.tier.name(), provider::view(desk, assignment));
        self.begin(model);
    }

    /// Notes that a part of the answer is over and somebody else goes on. The next piece is written in that
    /// provider's name.
    pub fn goes_on(&mut self, part: &Part, desk: &Desk) {
        self.report.goes_on(part);
        self.assigned(&part.next, desk);
        self.turned = true;
    }

    /// Tells whether an earlier part of the answer was charged.
    pub fn is_charged(&self) -> bool {
        self.report.has_parts()
    }

    /// Writes everything of a chunk before its `choices`, once.
    fn begin(&mut self, model: &str) {
        let object =
            if self.dialect == Dialect::Completion { "text_completion" } else { "chat.completion.chunk" };
        self.head = format!(
            "data: {{\"id\":\"{}\",\"object\":\"{object}\",\"created\":{},\"model\":{},\"choices\":",
            self.id,
            self.report.created(),
            Value::from(model),
        );
    }

    /// Tells whether the provider is known.
    pub fn is_assigned(&self) -> bool {
        !self.head.is_empty()
    }

    /// Writes a batch.
    pub fn batch(&mut self, batch: Batch) -> Bytes {
        let mut out = BytesMut::with_capacity(256 * (batch.pieces.len() + 1));
        if std::mem::take(&mut self.turned) && self.dialect == Dialect::Inference {
            self.event(&mut out, "continued", &self.report.start());
        }
        if let Some(response) = self.response.take() {
            self.response = Some(self.respond(response, batch, &mut out));
            return out.freeze();
        }
        for piece in &batch.pieces {
            self.open(&mut out);
            match piece {
                Piece::Text(text) => self.text(&mut out, text),
                Piece::Choices(choices) => self.choices(&mut out, choices.get()),
            }
        }
        if self.dialect == Dialect::Inference && !batch.pieces.is_empty() {
            self.sponsor(&mut out);
        }
        if let Some(ending) = batch.ending {
            self.end(&mut out, ending);
        }
        out.freeze()
    }

    /// Writes a batch as a response's events.
    fn respond(&mut self, mut response: Box<Answer>, batch: Batch, out: &mut BytesMut) -> Box<Answer> {
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.opened, true) {
            events.extend(response.begin(&self.report));
        }
        for piece in &batch.pieces {
            events.extend(match piece {
                Piece::Text(text) => response.text(text),
                Piece::Choices(choices) => response.choices(choices.get()),
            });
        }
        let problem = match batch.ending {
            _ if response.is_too_long() => Some(Problem::response_too_long()),
            None => None,
            Some(Ending::Done(finish)) => {
                if let Some(ad) = self.ad.take() {
                    self.report.sponsored(ad);
                }
                self.report.finished(&finish);
                events.extend(response.finish(&finish.reason, &self.report));
                None
            }
            Some(ending) => Some(self.problem(ending)),
        };
        if let Some(problem) = problem {
            events.extend(response.fail(&problem, &self.report));
        }
        for event in events {
            out.put_slice(b"event: ");
            out.put_slice(event["type"].as_str().unwrap_or_default().as_bytes());
            out.put_slice(b"\n");
            data(out, &event);
        }
        response
    }

    /// Writes what precedes the first piece.
    fn open(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        match self.dialect {
            Dialect::Inference => self.event(out, "start", &self.report.start()),
            Dialect::Chat => self.choices(
                out,
                r#"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#,
            ),
            Dialect::Completion | Dialect::Embedding | Dialect::Responses => {}
        }
    }

    fn text(&mut self, out: &mut BytesMut, text: &str) {
        let (before, after): (&str, &str) = match self.dialect {
            Dialect::Inference => ("event: token\ndata: {\"text\":", "}\n\n"),
            Dialect::Chat => (r#"[{"index":0,"delta":{"content":"#, "},\"finish_reason\":null}]}\n\n"),
            Dialect::Completion | Dialect::Embedding | Dialect::Responses => {
                (r#"[{"index":0,"text":"#, ",\"logprobs\":null,\"finish_reason\":null}]}\n\n")
            }
        };
        if self.dialect == Dialect::Inference {
            self.number(out);
        } else {
            out.put_slice(self.head.as_bytes());
        }
        out.put_slice(before.as_bytes());
        string(out, text);
        out.put_slice(after.as_bytes());
    }

    fn choices(&mut self, out: &mut BytesMut, choices: &str) {
        if self.dialect == Dialect::Inference {
            self.number(out);
            out.put_slice(b"event: chunk\ndata: {\"choices\":");
        } else {
            out.put_slice(self.head.as_bytes());
        }
        out.put_slice(choices.as_bytes());
        out.put_slice(b"}\n\n");
    }

    /// Writes the ad, if there is one and it has been chosen: as an event of its own behind the first
    /// pieces, or into what `/v1` says last.
    fn sponsor(&mut self, out: &mut BytesMut) {
        let Some(ad) = self.ad.take() else { return };
        if self.dialect == Dialect::Inference {
            self.event(out, "ad", &ad);
        }
        self.report.sponsored(ad);
    }

    fn end(&mut self, out: &mut BytesMut, ending: Ending) {
        match ending {
            Ending::Done(finish) => {
                self.open(out);
                self.sponsor(out);
                self.report.finished(&finish);
                if self.dialect == Dialect::Inference {
                    self.event(out, "done", &self.report.done(&finish.reason));
                } else {
                    self.last_chunks(out, &finish.reason, None);
                }
            }
            ending @ (Ending::Refused(_) | Ending::TooLarge(_) | Ending::Failed { .. }) => {
                let problem = self.problem(ending);
                self.broke(out, &problem);
            }
        }
    }

    /// Returns why an answer did not end well, and notes what it was charged.
    fn problem(&mut self, ending: Ending) -> Problem {
        match ending {
            Ending::Done(_) => Problem::internal(),
            Ending::Refused(refusal) => Problem::from(refusal),
            Ending::TooLarge(bytes_max) => Problem::answer_too_large(bytes_max),
            Ending::Failed { code, detail, receipt } => {
                if let Some(receipt) = receipt {
                    self.report.charged(&receipt);
                }
                Problem::failed(code, &detail)
            }
        }
    }

    fn broke(&mut self, out: &mut BytesMut, problem: &Problem) {
        if self.dialect == Dialect::Inference {
            self.event(out, "error", &self.report.error(problem));
        } else {
            self.last_chunks(out, "error", Some(problem));
        }
    }

    fn event(&mut self, out: &mut BytesMut, name: &str, value: &Value) {
        self.number(out);
        out.put_slice(b"event: ");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\n");
        data(out, value);
    }

    /// Writes an event's number, where events have one.
    fn number(&mut self, out: &mut BytesMut) {
        if let Some(number) = &mut self.number {
            *number += 1;
            writeln!(out, "id: {number}").expect("memory takes every byte of a number");
        }
    }

    /// The chunk with the reason, the chunk with the usage if the page wants it, and the end mark.
    fn last_chunks(&self, out: &mut BytesMut, reason: &str, problem: Option<&Problem>) {
        let reason = if reason.is_empty() { "stop" } else { reason };
        let choice = if self.dialect == Dialect::Completion {
            json!([{"index": 0, "text": "", "logprobs": null, "finish_reason": reason}])
        } else {
            json!([{"index": 0, "delta": {}, "finish_reason": reason}])
        };
        let mut last = json!({
            "id": self.id,
            "object": if self.dialect == Dialect::Completion { "text_completion" } else { "chat.completion.chunk" },
            "created": self.report.created(),
            "model": self.report.model(),
            "choices": choice,
        });
        if let Some(problem) = problem {
            last["error"] = problem.openai()["error"].take();
        }
        if self.include_usage && problem.is_none() {
            data(out, &last);
            last["choices"] = json!([]);
            last["usage"] = self.report.usage();
        }
        last["rekursing"] = self.report.extension();
        data(out, &last);
        out.put_slice(b"data: [DONE]\n\n");
    }
}

fn data(out: &mut BytesMut, value: &Value) {
    out.put_slice(b"data: ");
    serde_json::to_writer(out.writer(), value).expect("memory takes every byte of a value");
    out.put_slice(b"\n\n");
}

fn string(out: &mut BytesMut, text: &str) {
    serde_json::to_writer(out.writer(), text).expect("memory takes every byte of a text");
}

#[cfg(test)]
mod tests;
