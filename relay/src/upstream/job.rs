//! One job at an upstream: one request, its answer read by the agent's bridge.

use std::sync::Arc;

use rekursing_extension_core::bridge::{
    reply::{Piece, Reply, Step, Terms},
    request,
    server::Kind,
};
use rekursing_protocol::{FailCode, Span};
use tokio::{sync::mpsc, task::AbortHandle};

use super::Spec;
use crate::{
    delivery::Delivery,
    house::House,
    stream::{Fault, Stream},
};

/// A running job. Dropping it stops the work.
pub(super) struct Job {
    task: AbortHandle,
    credit: mpsc::UnboundedSender<u32>,
}

impl Job {
    /// Starts a job at the server that has the model, or fails it when none has.
    pub(super) fn start(
        house: Arc<House>,
        client: &reqwest::Client,
        spec: &Spec,
        server: Option<(Kind, String)>,
        stream: Arc<Stream>,
        lease: u32,
    ) -> Job {
        let (credit, allowed) = mpsc::unbounded_channel();
        let request = |path: &str| spec.authorize(client.post(format!("{}{path}", spec.url)));
        let prepared = server.map(|(kind, model)| {
            let limit = stream.with_assignment(lease, |assignment| assignment.answer_tokens_max);
            let body = stream.work.body(limit.unwrap_or_default());
            let built = request::build(stream.work.call, &model, stream.work.streamed, body.get());
            built.map(|built| (kind, request(built.path), built.body))
        });
        let task = tokio::spawn(async move {
            let delivery = Delivery { house: &house, stream: &stream, lease };
            match prepared {
                None => delivery.fail(FailCode::ModelMissing, String::new()),
                Some(Err(refusal)) => delivery.fail(refusal.code(), refusal.to_string()),
                Some(Ok((kind, request, body))) => {
                    let request = request.header("content-type", "application/json").body(body);
                    Run::new(delivery, kind, allowed).run(request).await;
                }
            }
        });
        Job { task: task.abort_handle(), credit }
    }

    /// Allows so many more bytes.
    pub(super) fn allow(&self, bytes: u32) {
        // A job that has just ended needs none.
        let _ = self.credit.send(bytes);
    }

    /// Tells whether the job has not ended.
    pub(super) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Run<'a> {
    delivery: Delivery<'a>,
    reply: Reply,
    allowed: mpsc::UnboundedReceiver<u32>,
    pieces: u32,
    reading: bool,
}

/// The job is over for this provider.
struct Over;

impl<'a> Run<'a> {
    fn new(delivery: Delivery<'a>, kind: Kind, allowed: mpsc::UnboundedReceiver<u32>) -> Run<'a> {
        let house = delivery.house;
        let time = &house.config.time;
        let terms = Terms {
            call: delivery.stream.work.call,
            stream: delivery.stream.work.streamed,
            server: kind,
            credit: u64::from(delivery.stream.window()),
            piece_bytes_max: house.config.limits.frame_bytes,
            first_token: Span::millis(time.first_token_ms),
            idle: Span::millis(time.idle_ms),
            total: Span::millis(time.total_ms),
        };
        let reply = Reply::new(terms, house.desk.now());
        Run { delivery, reply, allowed, pieces: 0, reading: true }
    }

    async fn run(mut self, request: reqwest::RequestBuilder) {
        let mut response = tokio::select! {
            sent = request.send() => match sent {
                Ok(response) => response,
                Err(_) => {
                    self.reply.broke();
                    let _ = self.steps();
                    return;
                }
            },
            () = self.late() => return,
        };
        let kind =
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        self.reply.head(response.status().as_u16(), kind, self.delivery.house.desk.now());
        while self.steps().is_ok() {
            let now = self.delivery.house.desk.now();
            let wait = self.reply.deadline().map_or(Span::ZERO, |deadline| deadline.since(now));
            tokio::select! {
                chunk = response.chunk(), if self.reading => {
                    let now = self.delivery.house.desk.now();
                    match chunk {
                        Ok(Some(bytes)) => self.reply.feed(&bytes, now),
                        Ok(None) => {
                            self.reading = false;
                            self.reply.end(now);
                        }
                        Err(_) => {
                            self.reading = false;
                            self.reply.broke();
                        }
                    }
                }
                Some(bytes) = self.allowed.recv() => {
                    self.reply.allow(u64::from(bytes), self.delivery.house.desk.now());
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(wait.0)) => {
                    self.reply.tick(self.delivery.house.desk.now());
                }
            }
        }
    }

    /// Completes when the server has not even begun to answer in time, and says so.
    async fn late(&mut self) {
        loop {
            let now = self.delivery.house.desk.now();
            let Some(deadline) = self.reply.deadline() else { return };
            tokio::time::sleep(std::time::Duration::from_millis(deadline.since(now).0)).await;
            self.reply.tick(self.delivery.house.desk.now());
            if self.steps().is_err() {
                return;
            }
        }
    }

    /// Takes every step that can be taken now.
    fn steps(&mut self) -> Result<(), Over> {
        while let Some(step) = self.reply.step() {
            match step {
                Step::Piece(piece) => self.piece(&piece)?,
                Step::Pause => self.reading = false,
                Step::Resume => self.reading = true,
                Step::Done(ending) => {
                    let claimed = (ending.prompt_tokens, ending.answer_tokens);
                    // A stale ending has nobody to go to.
                    let _ = self.delivery.done(self.pieces, &ending.finish, claimed);
                    return Err(Over);
                }
                Step::Failed(fault) => {
                    self.delivery.fail(fault.code, fault.detail);
                    return Err(Over);
                }
            }
        }
        Ok(())
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), Over> {
        let n = self.pieces;
        self.pieces += 1;
        let delivered = match piece {
            Piece::Text(text) => self.delivery.text(n, text),
            Piece::Choices(choices) => self.delivery.choices(n, choices),
            Piece::Part(part) => self.delivery.body(n, part),
        };
        delivered.map_err(|fault| {
            if fault != Fault::Stale {
                tracing::error!(?fault, "an upstream's piece was refused");
                self.delivery.fail(FailCode::Malformed, String::new());
            }
            Over
        })
    }
}
