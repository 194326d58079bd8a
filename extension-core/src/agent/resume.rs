//! A session that outlives its socket: what the relay may not have is kept, and sent again on the next.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use rekursing_protocol::{
    FailCode, JobId, Moment, SessionId, Span, ToRelay,
    frame::{self, Done, Fail, RESUME_JOBS_MAX, Ready, Resumed},
};

use super::{Agent, Command, FetchId, jobs::Job, kept::Kept, limits::ENDED_MAX};
use crate::bridge::reply::Ending;

/// Bytes of a frame for each job in it, with as much again for the inventory.
const JOB_BYTES: usize = 256;

/// What resumes the session.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) session: SessionId,
    pub(super) token: String,
    /// For how long after its socket was lost.
    pub(super) within: Span,
    /// Until when, while it is lost.
    pub(super) until: Option<Moment>,
}

/// Jobs that have ended and of whose end the relay may not have heard, oldest first.
#[derive(Debug, Default)]
pub(super) struct EndedJobs(VecDeque<EndedJob>);

#[derive(Debug)]
struct EndedJob {
    id: JobId,
    lease: u32,
    /// How many pieces there are.
    n: u32,
    kept: Kept,
    last: Last,
    /// Heartbeats on this connection before the end was sent.
    beats: u64,
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum Last {
    Done(Ending),
    Failed(FailCode, String),
}

impl Last {
    /// Returns the frame that says so.
    pub(super) fn frame(&self, job: JobId, lease: u32, n: u32) -> ToRelay<'_> {
        match self {
            Last::Done(ending) => ToRelay::Done(Done {
                job,
                lease,
                n,
                finish: Cow::Borrowed(&ending.finish),
                prompt_tokens: ending.prompt_tokens,
                answer_tokens: ending.answer_tokens,
            }),
            Last::Failed(code, detail) => {
                ToRelay::Fail(Fail { job, lease, code: *code, detail: Cow::Borrowed(detail) })
            }
        }
    }
}

impl EndedJobs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps the end of a job.
    pub(super) fn push(&mut self, job: &Job, kept: Kept, last: Last, beats: u64) {
        if self.0.len() >= ENDED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(EndedJob { id: job.id, lease: job.lease, n: job.n, kept, last, beats });
    }

    /// Forgets a job of which the relay needs nothing more.
    pub(super) fn forget(&mut self, job: JobId) {
        self.0.retain(|ended| ended.id != job);
    }

    /// Forgets the jobs whose end was sent before this heartbeat, which has arrived.
    pub(super) fn acknowledge(&mut self, beat: u64) {
        self.0.retain(|ended| ended.beats >= beat);
    }
}

impl Agent {
    /// Returns what to say, in a frame of so many bytes, of the session that is to go on.
    pub(super) fn resumable(&self, frame_bytes_max: u32) -> Option<frame::Resume<'static>> {
        let ticket = self.link.ticket.as_ref()?;
        let running = self.jobs.iter().filter_map(|job| {
            let kept = job.kept.as_ref()?;
            Some(frame::Kept { job: job.id, lease: job.lease, from: kept.from(), n: job.n })
        });
        let ended = self.jobs.ended.0.iter().map(|job| frame::Kept {
            job: job.id,
            lease: job.lease,
            from: job.kept.from(),
            n: job.n,
        });
        let room = usize::try_from(frame_bytes_max).unwrap_or(usize::MAX) / JOB_BYTES;
        let jobs = running.chain(ended).take(RESUME_JOBS_MAX.min(room)).collect();
        Some(frame::Resume { session: ticket.session, token: Cow::Owned(ticket.token.clone()), jobs })
    }

    /// Goes on with the jobs that the relay still wants, and aborts the others.
    pub(super) fn resume(&mut self, ready: &Ready, now: Moment) {
        let Some(resumed) = &ready.resumed else { return self.abort_jobs(now) };
        let wanted: HashMap<(JobId, u32), &Resumed> =
            resumed.iter().map(|wanted| ((wanted.job, wanted.lease), wanted)).collect();
        let running: Vec<(FetchId, JobId, u32)> =
            self.jobs.running().map(|(fetch, job)| (*fetch, job.id, job.lease)).collect();
        for (fetch, job, lease) in running {
            if !wanted.get(&(job, lease)).is_some_and(|wanted| self.go_on(fetch, wanted, now)) {
                self.abort_job(fetch, now);
                self.changed = true;
            }
        }
        let mut ended = std::mem::take(&mut self.jobs.ended);
        ended.0.retain_mut(|job| {
            wanted.get(&(job.id, job.lease)).is_some_and(|wanted| self.end_again(job, wanted))
        });
        self.jobs.ended = ended;
    }

    /// Sends what the relay lacks of a job that runs. `false` when that is not to be had.
    fn go_on(&mut self, fetch: FetchId, wanted: &Resumed, now: Moment) -> bool {
        let Some(mut kept) = self.jobs.take_kept(fetch) else { return false };
        let Some(more) = kept.resume(wanted.have, wanted.credit.into()) else { return false };
        kept.frames(wanted.job, wanted.lease).for_each(|frame| push(&mut self.commands, &frame));
        self.jobs.put_kept(fetch, kept);
        self.jobs.with(fetch, |reply| reply.allow(more, now));
        true
    }

    /// Sends what the relay lacks of a job that has ended, and its end. `false` when that is not to be had.
    fn end_again(&mut self, job: &mut EndedJob, wanted: &Resumed) -> bool {
        if job.kept.resume(wanted.have, wanted.credit.into()).is_none() {
            return false;
        }
        job.beats = 0;
        job.kept.frames(job.id, job.lease).for_each(|frame| push(&mut self.commands, &frame));
        push(&mut self.commands, &job.last.frame(job.id, job.lease, job.n));
        true
    }

    /// Keeps the session and its jobs for the next socket, if there is something to keep.
    pub(super) fn keep_session(&mut self, now: Moment) {
        if self.jobs.is_empty() && self.jobs.ended.is_empty() {
            self.link.ticket = None;
        }
        match &mut self.link.ticket {
            Some(ticket) => ticket.until = ticket.until.or(Some(now + ticket.within)),
            None => self.abort_jobs(now),
        }
    }

    /// Gives the session up, and its jobs with it.
    pub(super) fn give_session_up(&mut self, now: Moment) {
        self.link.ticket = None;
        self.abort_jobs(now);
    }
}

/// Sends a frame. Every frame is made of values that JSON can hold.
pub(super) fn push(commands: &mut Vec<Command>, frame: &ToRelay<'_>) {
    if let Ok(text) = serde_json::to_string(frame) {
        commands.push(Command::Send(text));
    }
}
