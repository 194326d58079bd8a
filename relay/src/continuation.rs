//! A continuation: the page's side of an answer whose owner leaves in its middle.
//!
//! The market says whether and on what terms the answer goes on. Here what the page has read is put behind the
//! request's messages, the rest is asked for as a job of its own, and the page reads on.

use std::sync::Arc;

use rekursing_market::{Assignment, BrokenOff, Refusal, Request, continuation};
use rekursing_protocol::{FailCode, earnings::Receipt};

use crate::{
    chance,
    desk::Desk,
    stream::{Ending, Finish, Said, Stream, Told},
    telemetry,
    work::{self, Work},
};

/// A part of an answer whose owner has left, and who goes on.
#[derive(Debug)]
pub struct Part {
    /// What it was charged.
    pub receipt: Receipt,
    /// Who has the next part.
    pub next: Assignment,
}

/// An answer that can go on with another provider.
#[derive(Debug)]
pub struct Continuation {
    desk: Desk,
    /// What was asked for last.
    request: Request,
    /// The first part, by whose id the page knows the answer, and which has what the page has sent.
    first: Arc<Stream>,
    /// What earlier parts have said.
    said: Option<Said>,
    /// How the latest part ended, until the next one has begun.
    before: Option<Broken>,
}

/// A part that broke off.
#[derive(Debug)]
struct Broken {
    stream: Arc<Stream>,
    code: FailCode,
    detail: String,
    receipt: Receipt,
}

impl Continuation {
    /// Keeps what it takes to go on with an answer; `None` where that cannot be.
    pub fn of(desk: &Desk, request: &Request, stream: &Arc<Stream>) -> Option<Box<Continuation>> {
        stream.may_go_on().then(|| {
            desk.follow(stream.job, stream.job, request.payer);
            let (desk, request, first) = (desk.clone(), request.clone(), Arc::clone(stream));
            Box::new(Continuation { desk, request, first, said: None, before: None })
        })
    }

    /// Asks for the rest of an answer of which this part broke off. Returns the stream with the rest, or the
    /// ending where nobody goes on.
    pub fn go_on(&mut self, broken: &Arc<Stream>, ending: Ending) -> Result<Arc<Stream>, Box<Ending>> {
        let Ending::Failed { code, detail, receipt: Some(receipt) } = ending else {
            return Err(Box::new(ending));
        };
        let broken = Broken { stream: Arc::clone(broken), code, detail, receipt };
        let Some(stream) = self.rest(&broken) else {
            return Err(Box::new(broken.ending()));
        };
        telemetry::gone_on(code);
        self.before = Some(broken);
        Ok(stream)
    }

    /// Notes that the next part has begun. Returns the part before it, once.
    pub fn begun(&mut self, stream: &Stream) -> Option<Part> {
        let next = stream.assignment()?;
        let Broken { receipt, .. } = self.before.take()?;
        Some(Part { receipt, next })
    }

    /// Returns how the answer ends when nobody has gone on with it: as it broke off, or, where the model had
    /// nothing to add, well.
    pub fn ended(&mut self, refusal: &Refusal) -> Option<Ending> {
        let broken = self.before.take()?;
        let assignment = broken.stream.assignment();
        match (refusal, assignment) {
            (Refusal::ProviderFailed { code: FailCode::Empty }, Some(assignment)) => {
                let usage = broken.stream.usage();
                Some(Ending::Done(Box::new(Finish {
                    receipt: broken.receipt,
                    tier: assignment.tier,
                    reason: "stop".to_owned(),
                    body: String::new(),
                    first_token: usage.first_token,
                    generation: usage.generation,
                })))
            }
            _ => Some(broken.ending()),
        }
    }

    fn rest(&mut self, broken: &Broken) -> Option<Arc<Stream>> {
        let desk = self.desk.clone();
        let Told { said, assignment, prompt_tokens, tokenizer, answer_tokens } = broken.stream.told()?;
        let job = chance::job_id(desk.now());
        let left = BrokenOff {
            code: broken.code,
            plugin: assignment.plugin,
            offer: &assignment.offer,
            prompt_tokens,
            answer_tokens_max: assignment.answer_tokens_max,
            answer_tokens,
            charge: broken.receipt.charge,
        };
        let request = continuation(desk.terms(), &self.request, &left, job)?;
        let first = &self.first.work;
        let before = match self.said.take() {
            None => said,
            Some(mut before) => before.push(said.text()).then_some(before)?,
        };
        let fields = first.fields_behind(before.text())?;
        let room = first.room.spare(fields.len())?;
        self.said = Some(before);
        let is_last = request.left_by.len() >= desk.terms().continuations_max;
        let work = Work {
            call: first.call,
            streamed: true,
            fields,
            prompt_tokens,
            tokenizer,
            prompt_print: None,
            payer: first.payer,
            part: if is_last { work::Part::Last } else { work::Part::Later },
            room,
        };
        let stream = Stream::new(job, work, self.first.window());
        if desk.is_stopped(self.first.job) {
            return None;
        }
        desk.submit(request.clone(), &stream).ok()?;
        if !desk.follow(self.first.job, job, request.payer) {
            desk.cancel(&stream);
            return None;
        }
        self.request = request;
        Some(stream)
    }
}

impl Drop for Continuation {
    fn drop(&mut self) {
        self.desk.unfollow(self.first.job);
    }
}

impl Broken {
    fn ending(self) -> Ending {
        Ending::Failed { code: self.code, detail: self.detail, receipt: Some(self.receipt) }
    }
}
