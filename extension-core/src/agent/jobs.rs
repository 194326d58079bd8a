//! The jobs that run: each is one `POST` to the model server, whose answer goes to the relay
//! piece by piece. While the relay is away the answer is kept, as far as credit reaches.

use std::{borrow::Cow, collections::BTreeMap};

use rekursing_protocol::{
    FailCode, JobId, Moment, Span, ToRelay,
    frame::{Body, Cancel, Chunk, Credit, Fail, Start, Text},
};

use super::{
    Agent, Command, FetchId, Post,
    journal::Entry,
    kept::Kept,
    limits::{Granted, REQUEST_BYTES_MAX},
    resume::{EndedJobs, Last, push},
    toll::Toll,
    watch::Having,
};
use crate::bridge::{
    fault::Fault,
    reply::{Ending, Piece, Reply, Step, Terms},
    request,
    server::Kind,
};

/// How long a body may go on after its answer is complete. Cutting it at once would cost the
/// connection, which the next job can use.
const LINGER: Span = Span::secs(2);

/// The jobs that run, by their fetches, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: BTreeMap<FetchId, Job>,
    /// Jobs whose replies have changed since the last flush.
    dirty: Vec<FetchId>,
    /// Fetches whose answers are complete and whose bodies have not ended.
    lingering: Vec<(FetchId, Moment)>,
    /// Jobs of whose end the relay may not have heard.
    pub(super) ended: EndedJobs,
}

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) lease: u32,
    pub(super) model: String,
    /// Where the server is that answers it.
    address: String,
    pub(super) reply: Reply,
    pub(super) toll: Toll,
    /// Whether its request has left.
    pub(super) is_sent: bool,
    /// The number of the next piece.
    pub(super) n: u32,
    /// What the relay may not have, where the session can be resumed.
    pub(super) kept: Option<Kept>,
    /// Whether the fetch has ended by itself.
    fetched: bool,
    dirty: bool,
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn is_running(&self, id: FetchId) -> bool {
        self.running.contains_key(&id)
    }

    /// Counts the jobs of a model at one server.
    pub(super) fn of(&self, address: &str, model: &str) -> usize {
        self.running.values().filter(|job| job.address == address && job.model == model).count()
    }

    /// Counts the jobs at one server.
    pub(super) fn at(&self, address: &str) -> usize {
        self.running.values().filter(|job| job.address == address).count()
    }

    /// Returns the tokens that all jobs have come to so far.
    pub(super) fn spent(&self, now: Moment) -> u64 {
        self.running.values().map(|job| job.spent(now)).fold(0, u64::saturating_add)
    }

    /// Notes that a job's request leaves.
    pub(super) fn sent(&mut self, id: FetchId) {
        if let Some(job) = self.running.get_mut(&id) {
            job.is_sent = true;
        }
    }

    /// Returns the fetches of all jobs.
    pub(super) fn fetches(&self) -> Vec<FetchId> {
        self.running.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.running.values()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (&FetchId, &Job)> {
        self.running.iter()
    }

    /// Takes what is kept of a job, to give it back.
    pub(super) fn take_kept(&mut self, id: FetchId) -> Option<Kept> {
        self.running.get_mut(&id)?.kept.take()
    }

    pub(super) fn put_kept(&mut self, id: FetchId, kept: Kept) {
        if let Some(job) = self.running.get_mut(&id) {
            job.kept = Some(kept);
        }
    }

    /// Changes one job's reply; what follows leaves with the next flush.
    pub(super) fn with(&mut self, id: FetchId, change: impl FnOnce(&mut Reply)) {
        let Some(job) = self.running.get_mut(&id) else { return };
        change(&mut job.reply);
        if !std::mem::replace(&mut job.dirty, true) {
            self.dirty.push(id);
        }
    }

    pub(super) fn fetch_ended(&mut self, id: FetchId, now: Moment) {
        self.lingering.retain(|(fetch, _)| *fetch != id);
        if let Some(job) = self.running.get_mut(&id) {
            job.fetched = true;
        }
        self.with(id, |reply| reply.end(now));
    }

    pub(super) fn fetch_broke(&mut self, id: FetchId) {
        self.lingering.retain(|(fetch, _)| *fetch != id);
        if let Some(job) = self.running.get_mut(&id) {
            job.fetched = true;
        }
        self.with(id, Reply::broke);
    }

    /// Fails every job whose deadline has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        let due = |job: &Job| job.reply.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<FetchId> = self.running.iter().filter(|(_, job)| due(job)).map(|(id, _)| *id).collect();
        for id in late {
            self.with(id, |reply| reply.tick(now));
        }
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        let deadlines = self.running.values().filter_map(|job| job.reply.deadline());
        deadlines.chain(self.lingering.iter().map(|(_, until)| *until)).min()
    }

    /// Cuts the bodies that go on for too long.
    pub(super) fn abort_lingering(&mut self, now: Moment, commands: &mut Vec<Command>) {
        self.lingering.retain(|(fetch, until)| {
            if now >= *until {
                commands.push(Command::Abort(*fetch));
            }
            now < *until
        });
    }

    /// Forgets all jobs and aborts their fetches.
    pub(super) fn abort_all(&mut self, commands: &mut Vec<Command>) {
        let running = std::mem::take(&mut self.running).into_iter();
        commands.extend(running.filter(|(_, job)| !job.fetched).map(|(id, _)| Command::Abort(id)));
        commands.extend(self.lingering.drain(..).map(|(id, _)| Command::Abort(id)));
        self.dirty.clear();
        self.ended.clear();
    }

    /// Forgets a job and aborts its fetch.
    pub(super) fn abort(&mut self, id: FetchId, commands: &mut Vec<Command>) -> Option<Job> {
        let job = self.running.remove(&id)?;
        if !job.fetched {
            commands.push(Command::Abort(id));
        }
        Some(job)
    }

    fn find(&self, id: JobId, lease: u32) -> Option<FetchId> {
        self.running.iter().find(|(_, job)| job.id == id && job.lease == lease).map(|(fetch, _)| *fetch)
    }
}

impl Agent {
    /// Begins a job, or says why not.
    pub(super) fn start(&mut self, start: &Start, piece_bytes_max: usize, now: Moment) {
        if self.jobs.find(start.job, start.lease).is_some() {
            return;
        }
        match self.begin(start, piece_bytes_max, now) {
            Ok(()) => {
                self.note(Entry::Began { model: start.model.clone() }, now);
                self.changed = true;
            }
            Err(fault) => self.send(&ToRelay::Fail(Fail {
                job: start.job,
                lease: start.lease,
                code: fault.code,
                detail: Cow::Owned(fault.detail),
            })),
        }
    }

    fn begin(&mut self, start: &Start, piece_bytes_max: usize, now: Moment) -> Result<(), Fault> {
        self.advance_gate(now);
        if self.gate.closed().is_some() {
            return Err(Fault::of(FailCode::Paused));
        }
        if self.jobs.len() >= usize::from(self.config.slots) {
            return Err(Fault::of(FailCode::Busy));
        }
        if self.watch.places().iter().all(|place| place.server.is_none()) {
            return Err(Fault::of(FailCode::Unreachable));
        }
        let having = self.watch.server_for(&start.model, &self.jobs);
        let having = having.filter(|_| self.config.models.offers(&start.model));
        let Having { server, model, token, free } =
            having.ok_or_else(|| Fault::of(FailCode::ModelMissing))?;
        if free == 0 {
            return Err(Fault::of(FailCode::Busy));
        }
        if start.body.get().len() > REQUEST_BYTES_MAX {
            return Err(Fault::of(FailCode::Refused));
        }
        let allowance = self.config.allowance;
        let longest = [allowance.answer_tokens, allowance.context_tokens].into_iter().flatten().min();
        let request = request::build_within(start.call, &model.id, start.stream, start.body.get(), longest)
            .map_err(|refusal| {
            let code = refusal.code();
            let detail = if code.is_pages_mistake() { refusal.to_string() } else { String::new() };
            Fault { code, detail }
        })?;
        let context = model.offer.context.min(allowance.context_tokens.unwrap_or(u32::MAX));
        let least = request.weight.tokens_at_least();
        if least > context.into() {
            return Err(Fault::of(FailCode::ContextOverflow));
        }
        if self.tokens_left(now).is_some_and(|left| least > left) {
            return Err(Fault::of(FailCode::Paused));
        }
        let toll = Toll::of(&request, context, self.rate(&start.model));
        let Granted { credit, first_token, idle, total } = Granted::of(start);
        let terms = Terms {
            call: start.call,
            stream: start.stream,
            server: server.kind,
            credit,
            piece_bytes_max,
            first_token,
            idle,
            total,
        };
        let is_asleep = !model.offer.loaded && server.kind == Kind::LmStudio;
        let (address, bearer) = (server.address.clone(), token.cloned());
        let url = format!("{address}{}", request.path);
        let id = FetchId(self.fresh_id());
        let post = Post { id, url, bearer, body: request.body };
        let job = Job {
            id: start.job,
            lease: start.lease,
            model: start.model.clone(),
            address,
            reply: Reply::new(terms, now),
            toll,
            is_sent: !is_asleep,
            n: 0,
            kept: self.link.ticket.as_ref().map(|_| Kept::new(credit)),
            fetched: false,
            dirty: false,
        };
        let running = self.jobs.at(&job.address) + 1;
        self.watch.note_jobs(&job.address, running);
        let address = job.address.clone();
        self.jobs.running.insert(id, job);
        if is_asleep {
            self.load_for(&address, &start.model, id, post);
        } else {
            self.commands.push(Command::Post(post));
        }
        self.keep_soon(now);
        Ok(())
    }

    /// Stops a job: nobody waits for it.
    pub(super) fn cancel(&mut self, cancel: &Cancel, now: Moment) {
        self.jobs.ended.forget(cancel.job);
        let Some(fetch) = self.jobs.find(cancel.job, cancel.lease) else { return };
        if let Some(job) = self.jobs.running.get_mut(&fetch) {
            job.kept = None;
        }
        self.fail(fetch, Fault::of(FailCode::Cancelled), now);
    }

    /// Ends a job with this fault.
    pub(super) fn fail(&mut self, fetch: FetchId, fault: Fault, now: Moment) {
        if let Some(mut job) = self.jobs.running.remove(&fetch) {
            self.close_failed(fetch, &mut job, fault, now);
        }
    }

    /// Allows a job to send more.
    pub(super) fn credit(&mut self, credit: &Credit, now: Moment) {
        let Some(fetch) = self.jobs.find(credit.job, credit.lease) else { return };
        if let Some(kept) = self.jobs.running.get_mut(&fetch).and_then(|job| job.kept.as_mut()) {
            kept.allow(credit.bytes.into());
        }
        self.jobs.with(fetch, |reply| reply.allow(credit.bytes.into(), now));
    }

    /// Sends what has come together since the last time.
    pub(super) fn flush_jobs(&mut self, now: Moment) {
        let mut dirty = std::mem::take(&mut self.jobs.dirty);
        for fetch in dirty.drain(..) {
            let Some(mut job) = self.jobs.running.remove(&fetch) else { continue };
            job.dirty = false;
            if self.flush(fetch, &mut job, now) {
                self.jobs.running.insert(fetch, job);
            }
        }
        // The list keeps its memory for the next time.
        self.jobs.dirty = dirty;
    }

    /// Takes a job's steps, and tells whether it goes on.
    fn flush(&mut self, fetch: FetchId, job: &mut Job, now: Moment) -> bool {
        while let Some(step) = job.reply.step() {
            match step {
                Step::Piece(piece) => self.send_piece(job, &piece),
                Step::Pause => self.commands.push(Command::Pause(fetch)),
                Step::Resume => self.commands.push(Command::Resume(fetch)),
                Step::Done(ending) => {
                    self.close_done(fetch, job, ending, now);
                    return false;
                }
                Step::Failed(fault) => {
                    self.suspect_origin(&job.reply, &job.address);
                    self.suspect(fault.code, now);
                    self.close_failed(fetch, job, fault, now);
                    return false;
                }
            }
        }
        true
    }

    fn send_piece(&mut self, job: &mut Job, piece: &Piece) {
        let (id, lease, n) = (job.id, job.lease, job.n);
        job.n += 1;
        if let Some(kept) = &mut job.kept {
            kept.push(piece);
        }
        self.send(&match piece {
            Piece::Text(text) => ToRelay::Text(Text { job: id, lease, n, text: Cow::Borrowed(text) }),
            Piece::Choices(choices) => ToRelay::Chunk(Chunk { job: id, lease, n, choices }),
            Piece::Part(part) => ToRelay::Body(Body { job: id, lease, n, part: Cow::Borrowed(part) }),
        });
    }

    fn close_done(&mut self, fetch: FetchId, job: &mut Job, ending: Ending, now: Moment) {
        let measure = job.reply.measure();
        let tokens = job.toll.done(&job.reply, &ending, now);
        self.records.count(&job.model, measure, None);
        self.note(Entry::Done { model: job.model.clone(), pieces: measure.pieces() }, now);
        self.count(tokens, now);
        self.learn(&job.model, measure.millitokens_per_second(), now);
        self.changed = true;
        if !job.fetched {
            self.jobs.lingering.push((fetch, now + LINGER));
        }
        self.close(job, Last::Done(ending));
    }

    fn close_failed(&mut self, fetch: FetchId, job: &mut Job, fault: Fault, now: Moment) {
        self.records.count(&job.model, job.reply.measure(), Some(fault.code));
        self.note(Entry::Failed { model: job.model.clone(), code: fault.code }, now);
        let tokens = if job.is_sent { job.toll.failed(&job.reply, fault.code, now) } else { 0 };
        self.count(tokens, now);
        self.changed = true;
        if !job.fetched {
            self.commands.push(Command::Abort(fetch));
        }
        self.close(job, Last::Failed(fault.code, fault.detail));
    }

    /// Tells the relay how a job ended, and keeps that until it is known to have heard.
    fn close(&mut self, job: &mut Job, last: Last) {
        self.send(&last.frame(job.id, job.lease, job.n));
        if let Some(kept) = job.kept.take() {
            let beats = self.link.beats();
            self.jobs.ended.push(job, kept, last, beats);
        }
    }

    /// Sends a frame, or drops it while the relay is away: what it must have is kept.
    pub(super) fn send(&mut self, frame: &ToRelay<'_>) {
        if self.link.is_ready() {
            push(&mut self.commands, frame);
        }
    }
}
