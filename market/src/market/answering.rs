//! Answering: what becomes of a job once a session has it.

use std::sync::Arc;

use rekursing_protocol::{FailCode, JobId, Moment, Nanos, Offer, OfferKind, Span};

use super::Market;
use crate::{
    blame::{Blame, blame, blame_begun},
    effect::{Effect, End},
    holdback::{Patronage, release_at},
    job::{Job, Run, State},
    ledger::{Account, EntryKind, Settlement},
    meter::{Metered, Usage, metered},
    pricing::tier_got,
    refusal::Refusal,
    request::Payer,
    session::rest_until,
};

impl Market {
    /// The first piece of the answer came, so no other session can take over. Returns false when the
    /// lease is stale: the piece belongs to nobody and is dropped.
    pub fn began(&mut self, now: Moment, job: JobId, lease: u32) -> bool {
        let Some(run) = self.run_mut(job, lease) else { return false };
        let Some(at) = run.at else { return false };
        run.began = true;
        self.note_life(now, at);
        true
    }

    /// The answer is complete and is charged. An answer of nothing is a failure of the session.
    /// Nothing happens when the lease is stale.
    pub fn finish(&mut self, now: Moment, job: JobId, lease: u32, usage: Usage) {
        let Some(run) = self.run_mut(job, lease).map(|run| run.clone()) else { return };
        if self.charged(&self.jobs[&job], &run, &usage, true).is_none() {
            self.fail(now, job, lease, FailCode::Empty, String::new(), usage);
            return;
        }
        let Some(mut job) = self.jobs.remove(&job) else { return };
        job.state = State::Unplaced;
        let freed = self.release(&job, &run);
        if let Some(at) = freed {
            let terms = &self.terms;
            let session = self.sessions[at as usize].as_mut().expect("it was just released");
            session.breaker.succeeded();
            if run.group.is_none() {
                session.reliability.succeeded(terms, now);
                self.outcomes.succeeded(run.plugin);
                self.measure(now, at, &run, &usage);
            }
            self.note_life(now, at);
        }
        self.tally.completed += 1;
        let suspects = std::mem::take(&mut job.suspects);
        // A friend's word tells nothing against strangers.
        for plugin in suspects.into_iter().filter(|_| run.group.is_none()) {
            if let Some(&at) = self.by_plugin.get(&plugin) {
                self.hold_against(now, at);
                self.reindex(now, at);
            }
        }
        self.charge_or_forgive(now, &job, &run, &usage, true);
        self.serve_freed(now, freed);
    }

    /// The attempt failed. Before the first piece another session takes over inside the same hold, unless
    /// the page is at fault or retries are used up; after it, what was delivered is charged and the job
    /// ends. Nothing happens when the lease is stale.
    pub fn fail(
        &mut self,
        now: Moment,
        job: JobId,
        lease: u32,
        code: FailCode,
        detail: String,
        usage: Usage,
    ) {
        if self.run_mut(job, lease).is_none() {
            return;
        }
        let Some(mut job) = self.jobs.remove(&job) else { return };
        let State::Running(run) = std::mem::replace(&mut job.state, State::Unplaced) else { return };
        let freed = self.release(&job, &run);
        let code = self.heard(now, code, &run);
        if let Some(at) = freed {
            self.judge(now, at, code, &run);
        }
        if run.began {
            self.break_off(now, &job, &run, code, detail, &usage);
        } else {
            self.try_again(now, job, &run, code, detail);
        }
        self.serve_freed(now, freed);
    }

    /// Returns what is believed of how an attempt failed: no time was up before it was.
    fn heard(&self, now: Moment, code: FailCode, run: &Run) -> FailCode {
        let time = Span(self.terms.answer_time_max.0 / 10 * 9);
        if code == FailCode::TimeUp && now.since(run.since) < time { FailCode::Cut } else { code }
    }

    /// Holds a failure against a session, or not.
    fn judge(&mut self, now: Moment, at: u32, code: FailCode, run: &Run) {
        let terms = &self.terms;
        let session = self.sessions[at as usize].as_mut().expect("it was just released");
        let blame = if run.began { blame_begun(code) } else { blame(code) };
        if run.began && run.group.is_none() && matches!(blame, Blame::Left | Blame::Page | Blame::Unproven) {
            session.reliability.dropped();
        }
        match blame {
            Blame::Page | Blame::Nobody | Blame::Unproven => session.breaker.released(),
            Blame::NotNow | Blame::Left => {
                session.breaker.released();
                session.resting_until = rest_until(terms, now);
                self.wakes.insert((session.resting_until, at));
            }
            Blame::Owner if run.group.is_some() => self.trip(now, at),
            Blame::Owner => self.hold_against(now, at),
        }
        self.note_life(now, at);
    }

    /// Holds a failure against a session.
    fn hold_against(&mut self, now: Moment, at: u32) {
        let terms = &self.terms;
        let session = self.sessions[at as usize].as_mut().expect("an index of a session that is there");
        session.reliability.failed(terms, now);
        self.outcomes.failed(session.plugin);
        self.trip(now, at);
    }

    /// Counts a failure of a session, after three of which within a minute it rests.
    fn trip(&mut self, now: Moment, at: u32) {
        let terms = &self.terms;
        let session = self.sessions[at as usize].as_mut().expect("an index of a session that is there");
        session.breaker.failed(terms, now);
        self.wakes.extend(session.breaker.parked_until().map(|until| (until, at)));
    }

    fn break_off(
        &mut self,
        now: Moment,
        job: &Job,
        run: &Run,
        code: FailCode,
        detail: String,
        usage: &Usage,
    ) {
        self.tally.failed += 1;
        let mut usage = *usage;
        // Whoever leaves an answer in its middle is paid for what the page can read of it, whatever the reason that
        // is told. The prompt is paid to the one who ends it. A relay that goes away has the owner leave.
        if blame_begun(code) != Blame::Nobody && !self.is_draining && job.request.stream {
            (usage.prompt_tokens, usage.claimed_prompt) = (0, None);
        }
        self.charge_or_forgive(now, job, run, &usage, false);
        self.effects.push(Effect::Ended { job: job.request.job, end: End::Failed { code, detail } });
    }

    fn try_again(&mut self, now: Moment, mut job: Job, run: &Run, code: FailCode, detail: String) {
        match blame(code) {
            Blame::Page => return self.ask_another(now, job, run, code, detail),
            // The queue's deadline bounds how often a session may say so.
            Blame::NotNow => {}
            Blame::Nobody | Blame::Unproven | Blame::Left | Blame::Owner => {
                if blame(code) == Blame::Unproven {
                    job.suspects.push(run.plugin);
                }
                if job.retries >= self.terms.retries_max {
                    return self.refuse(now, &job, Refusal::ProviderFailed { code });
                }
                job.retries += 1;
                // A session that is gone cannot be asked again; its plugin may be back with another.
                if run.at.is_some() {
                    job.excluded.push(run.plugin);
                }
            }
        }
        match self.place(now, job) {
            Ok(()) => self.tally.retries += 1,
            Err(unplaced) => {
                let (job, refusal) = *unplaced;
                // Why nobody else fits is of less use than why the last one failed.
                let timed_out = matches!(refusal, Refusal::QueueTimeout { .. });
                let refusal = if timed_out { refusal } else { Refusal::ProviderFailed { code } };
                self.refuse(now, &job, refusal);
            }
        }
    }

    /// A session says that the page's request is wrong. Another one that is free is asked once whether it
    /// thinks so too: on one word alone anybody could turn away a model's pages.
    fn ask_another(&mut self, now: Moment, mut job: Job, run: &Run, code: FailCode, detail: String) {
        let mistake = Refusal::PageMistake { code, detail };
        if job.doubted {
            return self.refuse(now, &job, mistake);
        }
        job.doubted = true;
        job.suspects.push(run.plugin);
        job.excluded.push(run.plugin);
        match self.place_at_once(now, job) {
            Ok(()) => self.tally.retries += 1,
            Err(job) => self.refuse(now, &job, mistake),
        }
    }

    /// The session of these jobs is gone. Those whose answer has begun are lost and wait for the shell's
    /// report; the others go elsewhere.
    pub(super) fn abandon(&mut self, now: Moment, jobs: Vec<JobId>) {
        for id in jobs {
            let Some(State::Running(run)) = self.jobs.get_mut(&id).map(|job| &mut job.state) else {
                continue;
            };
            run.at = None;
            if run.began {
                let lease = self.jobs[&id].lease;
                self.effects.push(Effect::Lost { job: id, lease });
            } else if let Some(mut job) = self.jobs.remove(&id)
                && let State::Running(run) = std::mem::replace(&mut job.state, State::Unplaced)
            {
                self.try_again(now, job, &run, FailCode::Unreachable, String::new());
            }
        }
    }

    /// Returns the offer with which a job runs.
    pub(super) fn offer_of(&self, job: JobId) -> Option<Arc<Offer>> {
        self.run(job).map(|run| Arc::clone(&run.offer))
    }

    /// Tells whether the first piece of an answer has come.
    pub(super) fn has_begun(&self, job: JobId) -> bool {
        self.run(job).is_some_and(|run| run.began)
    }

    fn run(&self, job: JobId) -> Option<&Run> {
        match &self.jobs.get(&job)?.state {
            State::Running(run) => Some(run),
            State::Waiting { .. } | State::Unplaced => None,
        }
    }

    /// Returns the attempt that a lease belongs to, if it is the current one.
    fn run_mut(&mut self, job: JobId, lease: u32) -> Option<&mut Run> {
        let job = self.jobs.get_mut(&job)?;
        match &mut job.state {
            State::Running(run) if job.lease == lease => Some(run),
            State::Running(_) | State::Waiting { .. } | State::Unplaced => None,
        }
    }

    /// Returns what an answer is charged for, or nothing when it came to nothing: no answer token of a
    /// text, or vectors that are not complete.
    fn charged(&self, job: &Job, run: &Run, usage: &Usage, complete: bool) -> Option<Metered> {
        let metered = metered(&self.terms, usage, job.request.prompt_tokens_max, run.answer_tokens_max);
        let is_something = match job.request.kind {
            OfferKind::Text => metered.answer_tokens > 0 && (complete || run.began),
            OfferKind::Embedding => complete,
        };
        is_something.then_some(metered)
    }

    /// Settles a job for what was delivered, or gives its hold back.
    pub(super) fn charge_or_forgive(
        &mut self,
        now: Moment,
        job: &Job,
        run: &Run,
        usage: &Usage,
        complete: bool,
    ) {
        let Some(charged) = self.charged(job, run, usage, complete) else {
            self.forgive(now, job);
            return;
        };
        let terms = &self.terms;
        let (payer, owner) = (job.request.payer.account(), Account::Owner(run.plugin));
        let tier = tier_got(terms, job.request.tier, usage);
        // The page never pays more than it was told.
        let permille = |tier| terms.tiers.of(tier).price_permille;
        let tier_permille = permille(tier).min(permille(job.request.tier));
        let is_trusted = self.standings.of(run.plugin).is_trusted(terms, now);
        let settlement = Settlement {
            job: job.request.job,
            lease: job.lease,
            owner: run.plugin,
            api_key: job.request.spender.as_deref().map(|spender| spender.key),
            model: run.offer.model.clone(),
            tier_asked: job.request.tier,
            tier,
            ask: run.ask,
            price: run.ask.scaled(tier_permille),
            prompt_tokens: charged.prompt_tokens,
            answer_tokens: charged.answer_tokens,
            tier_permille,
            fee_permille: terms.fee.at(self.volumes.of(now, owner)),
            discount_permille: match job.request.payer {
                Payer::Page(account) if self.premiums.of(now, account).is_some() => 1_000,
                Payer::Page(_) => terms.discount.at(self.volumes.of(now, payer)),
                Payer::Free { .. } => 0,
            },
            holdback_permille: if is_trusted { 0 } else { terms.holdback_permille },
            release_at: release_at(terms, now),
        };
        let entry = self.book.settle(now, settlement).expect("tokens within the hold's cost no more than it");
        let receipt = entry.receipt().expect("a settlement has a receipt");
        if let EntryKind::Settle(settle) = &entry.kind {
            self.held_back.add(settle.release_at, settle.owner, settle.held_back);
        }
        if job.request.kind == OfferKind::Text {
            self.lengths.note(&self.terms, charged.answer_tokens);
            if let Payer::Free { .. } = job.request.payer {
                self.free_lengths.note(&self.terms, charged.answer_tokens);
            }
        }
        if run.group.is_none() {
            self.demand.paid(now, &run.offer.model, charged.prompt_tokens, charged.answer_tokens);
        }
        self.volumes.add(now, owner, receipt.charge);
        self.volumes.add(now, payer, receipt.charge);
        if let Payer::Page(page) = job.request.payer
            && receipt.charge >= terms.trusted_charge_min.max(Nanos::new(1))
        {
            self.standings.add(terms, Patronage { owner: run.plugin, page, since: now, jobs: 1 });
        }
        let standing = self.standings.of(run.plugin);
        if let Some(at) = run.at {
            self.session_mut(at).standing = standing;
        }
        self.record(entry);
        let held = job.held.expect("what is settled was held");
        self.purses.resolve(now, job.request.spender.as_deref(), held, receipt.charge);
        self.effects.push(Effect::Settled {
            job: job.request.job,
            receipt,
            tier,
            session: run.at.map(|_| run.session),
            complete,
            discrepancy: charged.discrepancy,
        });
    }
}
