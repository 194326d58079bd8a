//! The frames of an identified session: what each does, and when it breaks a rule.

use std::{collections::BTreeMap, sync::Arc};

use rekursing_protocol::{
    JobId, SessionId, ToPlugin, ToRelay,
    frame::{Ack, Body, Chunk, Done, Fail, Resumed, Start, Text, close},
};

use super::{Closing, Rate, identify};
use crate::{
    delivery::{self, Delivery},
    house::House,
    outbox::Order,
    stream::{Fault, Stream},
};

/// The state of a session between two frames.
pub(super) struct Frames {
    house: Arc<House>,
    session: SessionId,
    /// The jobs that this session has.
    jobs: BTreeMap<JobId, Held>,
    /// Whether the plugin has not yet shown that it knows of the session's new token.
    unconfirmed: bool,
    control: Rate,
    stale: Rate,
}

/// A job that a session has.
struct Held {
    stream: Arc<Stream>,
    /// The lease under which it has it.
    lease: u32,
    /// Pieces that had come when the session was resumed.
    have: u32,
}

/// What a frame came to: a reply, or the session's end.
type Step = Result<Option<ToPlugin>, Closing>;

impl Frames {
    pub(super) fn new(house: Arc<House>, session: SessionId) -> Frames {
        let (control, stale) = (Rate::default(), Rate::default());
        Frames { house, session, jobs: BTreeMap::new(), unconfirmed: false, control, stale }
    }

    /// Goes on with a session and its open jobs.
    pub(super) fn resumed(
        house: Arc<House>,
        session: SessionId,
        open: Vec<(Arc<Stream>, Resumed)>,
    ) -> Frames {
        let held = |(stream, Resumed { job, lease, have, .. })| (job, Held { stream, lease, have });
        let jobs = open.into_iter().map(held).collect();
        Frames { jobs, unconfirmed: true, ..Frames::new(house, session) }
    }

    /// Turns an order into a frame's text. A job that has gone elsewhere meanwhile gives none.
    pub(super) fn order(&mut self, order: Order) -> Option<String> {
        let frame = match order {
            Order::Start(stream, lease) => ToPlugin::Start(Box::new(self.start(stream, lease)?)),
            Order::Cancel(cancel) => {
                self.jobs.remove(&cancel.job);
                ToPlugin::Cancel(cancel)
            }
            Order::Credit(credit) => ToPlugin::Credit(credit),
            Order::Settled(settled) => ToPlugin::Settled(*settled),
            Order::Drain(drain) => ToPlugin::Drain(drain),
            Order::Steer(steer) => ToPlugin::Steer(*steer),
            Order::Close(_) => return None,
        };
        Some(serde_json::to_string(&frame).expect("a frame is plain data"))
    }

    /// Handles a frame. Returns the reply, if there is one.
    pub(super) fn take(&mut self, text: &str) -> Step {
        let bad = |why| Closing { code: close::BAD_FRAME, why };
        if std::mem::take(&mut self.unconfirmed) {
            self.house.desk.confirm(self.session);
        }
        match serde_json::from_str(text).map_err(|_| bad("a frame does not parse"))? {
            ToRelay::Text(frame) => self.text(&frame),
            ToRelay::Chunk(frame) => self.chunk(&frame),
            ToRelay::Body(frame) => self.body(&frame),
            ToRelay::Done(frame) => self.done(&frame),
            ToRelay::Fail(frame) => self.fail(&frame),
            ToRelay::Heartbeat(beat) => {
                self.controlled()?;
                self.house.desk.heartbeat(self.session, &beat);
                Ok(Some(ToPlugin::Ack(Ack { n: beat.n })))
            }
            ToRelay::Inventory(inventory) => {
                self.controlled()?;
                identify::check(&inventory).map_err(bad)?;
                self.house.desk.restock(self.session, inventory);
                Ok(None)
            }
            ToRelay::Steered(steered) => {
                self.controlled()?;
                self.house.phones.steered(self.session, &steered);
                Ok(None)
            }
            ToRelay::Identify(_) => Err(bad("a second `identify`")),
        }
    }

    fn start(&mut self, stream: Arc<Stream>, lease: u32) -> Option<Start> {
        let (model, limit) = stream.with_assignment(lease, |assignment| {
            (assignment.offer.model.clone(), assignment.answer_tokens_max)
        })?;
        let time = &self.house.config.time;
        let ms = |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX);
        let start = Start {
            job: stream.job,
            lease,
            call: stream.work.call,
            model,
            stream: stream.work.streamed,
            body: stream.work.body(limit),
            credit: stream.window(),
            first_token_ms: ms(time.first_token_ms),
            idle_ms: ms(time.idle_ms),
            total_ms: ms(time.total_ms),
        };
        delivery::begin(&self.house, &stream, lease);
        self.jobs.insert(stream.job, Held { stream, lease, have: 0 });
        Some(start)
    }

    fn text(&mut self, frame: &Text<'_>) -> Step {
        let delivery = self.delivery(frame.job, frame.lease, Some(frame.n))?;
        let delivered = delivery.map(|delivery| delivery.text(frame.n, &frame.text));
        self.delivered(frame.job, delivered)
    }

    fn chunk(&mut self, frame: &Chunk<'_>) -> Step {
        let delivery = self.delivery(frame.job, frame.lease, Some(frame.n))?;
        let delivered = delivery.map(|delivery| delivery.choices(frame.n, frame.choices));
        self.delivered(frame.job, delivered)
    }

    fn body(&mut self, frame: &Body<'_>) -> Step {
        let delivery = self.delivery(frame.job, frame.lease, Some(frame.n))?;
        let delivered = delivery.map(|delivery| delivery.body(frame.n, &frame.part));
        self.delivered(frame.job, delivered)
    }

    fn done(&mut self, frame: &Done<'_>) -> Step {
        let claimed = (frame.prompt_tokens, frame.answer_tokens);
        let delivery = self.delivery(frame.job, frame.lease, None)?;
        let delivered = delivery.map(|delivery| delivery.done(frame.n, &frame.finish, claimed));
        let ended = matches!(delivered, Some(Ok(())));
        let step = self.delivered(frame.job, delivered);
        if ended {
            self.jobs.remove(&frame.job);
        }
        step
    }

    fn fail(&mut self, frame: &Fail<'_>) -> Step {
        let detail = rekursing_protocol::name::plain(&frame.detail, 500);
        if let Some(delivery) = self.delivery(frame.job, frame.lease, None)? {
            delivery.fail(frame.code, detail);
            self.jobs.remove(&frame.job);
        }
        Ok(None)
    }

    /// Finds the job of a frame; `None` when it is not this session's, or not under this lease, or when the
    /// frame is a piece that had come before the session was resumed.
    fn delivery(&mut self, job: JobId, lease: u32, n: Option<u32>) -> Result<Option<Delivery<'_>>, Closing> {
        let mine = |held: &&Held| held.lease == lease && n.is_none_or(|n| n >= held.have);
        if self.jobs.get(&job).filter(mine).is_none() {
            self.strayed()?;
        }
        let house = &self.house;
        Ok(self.jobs.get(&job).filter(mine).map(|held| Delivery { house, stream: &held.stream, lease }))
    }

    /// A stale frame is dropped: it crossed a cancel on its way. Any other fault ends the session.
    fn delivered(&mut self, job: JobId, delivered: Option<Result<(), Fault>>) -> Step {
        let why = match delivered {
            None | Some(Ok(())) => return Ok(None),
            Some(Err(Fault::Stale)) => {
                self.jobs.remove(&job);
                return self.strayed().map(|()| None);
            }
            Some(Err(Fault::OutOfOrder)) => "a piece out of order",
            Some(Err(Fault::OverCredit)) => "more bytes than were allowed",
            Some(Err(Fault::Empty)) => "too many pieces without anything in them",
            Some(Err(Fault::WrongKind)) => "a piece of the wrong kind",
            Some(Err(Fault::TooSmall)) => "a piece that holds next to nothing",
        };
        Err(Closing { code: close::BAD_FRAME, why })
    }

    /// Counts a heartbeat or an inventory, at each of which the market looks for work.
    fn controlled(&mut self) -> Result<(), Closing> {
        let per_second = self.house.config.limits.control_frames_per_second;
        counted(self.control.allow(self.house.desk.now(), per_second))
    }

    /// Counts a frame about a job that is not this session's. What crosses a cancel is at most a window
    /// of pieces; so many are let through.
    fn strayed(&mut self) -> Result<(), Closing> {
        let per_second = self.house.config.limits.credit_bytes / 64;
        counted(self.stale.allow(self.house.desk.now(), per_second))
    }
}

fn counted(is_allowed: bool) -> Result<(), Closing> {
    if is_allowed {
        return Ok(());
    }
    Err(Closing { code: close::RATE_LIMITED, why: "too many frames" })
}
