//! One step of one payout: what its row and the ledger say is to be done next.

use anyhow::{Context, Result, bail};
use rekursing_market::{
    Account,
    payout::{self, State, Step, TRIES_MAX},
};
use rekursing_protocol::{Moment, Nanos, PayoutId, Span};
use rekursing_rails::{Attempt, Fate, Method, NotKnown, Order, Prepared, Rail, Refusal, SubmitError};

use super::Payouts;
use crate::{
    store::{Ending, PayoutRow, Submitted},
    switches::Feature,
    telemetry,
};

/// When a payout is looked at again that is not sent because payouts are switched off.
const WITHHELD: Span = Span::secs(60);

/// What a look at a rail's payouts came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// One of them is a step further; there may be more to do.
    Made,
    /// There is nothing to do before then, if there is anything at all.
    Rest(Option<Moment>),
}

impl Payouts {
    /// Takes the payout of a rail that is first to do something about one step further. One at a time per
    /// rail: whoever calls waits for the end of one before the next.
    ///
    /// # Errors
    /// When the store fails. Doing it again does what is left.
    pub async fn step(&self, method: Method, now: Moment) -> Result<Progress> {
        let Some(rail) = self.rails.rail(method) else { return Ok(Progress::Rest(None)) };
        // Nobody settles by hand what is being sent.
        let _asking = self.asking(method).lock().await;
        let Some(payout) = self.store().payout_next(method).await? else { return Ok(Progress::Rest(None)) };
        if payout.due > now {
            return Ok(Progress::Rest(Some(payout.due)));
        }
        if self.is_withheld(&payout) {
            self.store().rest_payout(payout.id, payout.tries, now + WITHHELD, payout.reason.clone()).await?;
            return Ok(Progress::Made);
        }
        let (id, tries, reason) = (payout.id, payout.tries + 1, payout.reason.clone());
        if let Err(error) = self.advance(&**rail, payout, now).await {
            // Others do not wait for one that does not hold. Where the store fails, this does as well.
            let rested = self.store().rest_payout(id, tries, now + payout::pause(tries), reason).await;
            let error = error.context(format!("at payout {id}"));
            return Err(if rested.is_err() { error.context("the store does not take it") } else { error });
        }
        Ok(Progress::Made)
    }

    /// Tells whether the operator has switched payouts off and nothing of this one can have left.
    fn is_withheld(&self, payout: &PayoutRow) -> bool {
        let is_here = payout.outcome.is_none() && payout.submitted == Submitted::No;
        is_here && !self.switches.is_on(Feature::Payouts)
    }

    /// Does what is left of payouts of which it is decided how they end, also where their rail is gone: the
    /// relay died in the middle of it.
    ///
    /// # Errors
    /// When the store fails. Doing it again does what is left.
    pub async fn finish_decided(&self, now: Moment) -> Result<()> {
        for payout in self.store().payouts_decided().await? {
            let _turn = self.turn.lock().await;
            self.finish(payout.id, now).await?;
        }
        Ok(())
    }

    async fn advance(&self, rail: &dyn Rail, payout: PayoutRow, now: Moment) -> Result<()> {
        match (payout.outcome, payout.state()) {
            (Some(State::Confirmed), Some(State::Confirmed)) if !payout.by_hand => {
                self.watch(rail, &payout, now).await
            }
            (Some(_), _) => {
                let _turn = self.turn.lock().await;
                self.finish(payout.id, now).await
            }
            (None, Some(State::Requested | State::Sent)) => match (prepared(&payout)?, payout.submitted) {
                (None, _) => self.prepare(rail, &payout, now).await,
                (Some(_), _) if payout.state() == Some(State::Requested) => self.send(payout.id).await,
                (Some(bytes), Submitted::No) => self.submit(rail, &payout, &bytes, Attempt::First, now).await,
                (Some(bytes), Submitted::Perhaps | Submitted::Yes) => {
                    self.look(rail, &payout, &bytes, now).await
                }
            },
            (None, state) => bail!("its ledger says {state:?} and its row nothing"),
        }
    }

    /// Fixes what will be sent.
    async fn prepare(&self, rail: &dyn Rail, payout: &PayoutRow, now: Moment) -> Result<()> {
        let destination = match rail.destination(&payout.destination) {
            Ok(destination) => destination,
            Err(bad) => return self.refused(payout, &Refusal::Destination(bad.to_string()), now).await,
        };
        let order = Order { payout: payout.id, destination, amount: payout.quote.arrives() };
        let standing = self.store().payouts_standing(payout.method).await?;
        let standing: Result<Vec<_>, _> = standing.iter().map(|bytes| Prepared::from_bytes(bytes)).collect();
        match rail.prepare(&order, &standing?, now).await {
            Ok(prepared) => self.store().keep_prepared(payout.id, Some(prepared.to_bytes())).await,
            Err(refusal) => self.refused(payout, &refusal, now).await,
        }
    }

    /// Moves the money on its way, unless somebody has taken the payout back meanwhile.
    async fn send(&self, id: PayoutId) -> Result<()> {
        let _turn = self.turn.lock().await;
        let payout = self.store().payout(id).await?.context("it is gone")?;
        if payout.outcome.is_some() || payout.state() != Some(State::Requested) {
            return Ok(());
        }
        self.post(&payout.moves().sent()).await?;
        telemetry::payout(State::Sent);
        Ok(())
    }

    /// Hands stored bytes to the rail.
    async fn submit(
        &self,
        rail: &dyn Rail,
        payout: &PayoutRow,
        bytes: &Prepared,
        attempt: Attempt,
        now: Moment,
    ) -> Result<()> {
        let id = payout.id;
        if attempt == Attempt::First {
            self.store().note_submitted(id, Submitted::Perhaps, None).await?;
        }
        let submitted = rail.submit(bytes, attempt, now).await;
        let tries = payout.tries + 1;
        match (submitted, attempt) {
            (Ok(name), _) => {
                self.store().note_submitted(id, Submitted::Yes, Some(name)).await?;
                // Some rails know at once. One that the rail forgets again and again is tried at longer
                // and longer intervals.
                let (tries, due) = match attempt {
                    Attempt::First => (0, now),
                    Attempt::Again => (tries, now + payout::pause(tries)),
                };
                self.rest(payout, tries, due, None, now).await
            }
            (Err(SubmitError::Refused(refusal)), Attempt::First) => self.refused(payout, &refusal, now).await,
            (Err(SubmitError::Refused(refusal)), Attempt::Again) => {
                self.not_known(payout, &NotKnown::Contradiction(refusal.to_string()), now).await
            }
            (Err(SubmitError::NotKnown(not_known)), _) => self.not_known(payout, &not_known, now).await,
        }
    }

    /// Finds out what became of bytes that may have been sent.
    async fn look(&self, rail: &dyn Rail, payout: &PayoutRow, bytes: &Prepared, now: Moment) -> Result<()> {
        match rail.look(bytes, payout.name.as_deref(), now).await {
            Ok(Fate::Unknown) => self.submit(rail, payout, bytes, Attempt::Again, now).await,
            Ok(Fate::Pending { note }) => {
                let under_way = payout.reached(State::Sent).map_or(Span::ZERO, |sent| now.since(sent));
                self.rest(payout, 0, now + payout::look_after(under_way), Some(note), now).await
            }
            Ok(Fate::Confirmed { reference, cost }) => {
                let reference = Some(reference);
                let end = Ending { cost, reference, reason: None, ..Ending::of(State::Confirmed, "") };
                self.store().decide_payout(payout.id, end).await
            }
            Ok(Fate::Returned { reason, cost }) => {
                let end = Ending { cost, ..Ending::of(State::Returned, &reason) };
                self.store().decide_payout(payout.id, end).await
            }
            Err(not_known) => self.not_known(payout, &not_known, now).await,
        }
    }

    /// Looks whether a payout that arrived is still there.
    async fn watch(&self, rail: &dyn Rail, payout: &PayoutRow, now: Moment) -> Result<()> {
        let since = payout.reached(State::Confirmed).map_or(Span::ZERO, |confirmed| now.since(confirmed));
        let is_over = since >= self.rules.watch;
        let bytes = prepared(payout)?.context("it has nothing that was sent")?;
        let next = now + payout::watch_after(since);
        match rail.look(&bytes, payout.name.as_deref(), now).await {
            Ok(Fate::Confirmed { .. }) | Err(NotKnown::Silent(_)) if is_over => {
                self.store().close_payout(payout.id, now).await
            }
            Ok(Fate::Confirmed { .. }) => self.rest(payout, 0, next, None, now).await,
            Ok(Fate::Pending { note }) => self.rest(payout, 0, next, Some(note), now).await,
            Ok(Fate::Unknown) => {
                let again = rail.submit(&bytes, Attempt::Again, now).await;
                tracing::warn!(id = %payout.id, ok = again.is_ok(), "a payout had vanished and was sent again");
                let note = "the rail had lost it, and was sent the same again".to_owned();
                self.rest(payout, 0, now + payout::watch_after(Span::ZERO), Some(note), now).await
            }
            Ok(Fate::Returned { reason, .. }) => {
                let end = Ending { cost: payout.rail_cost, ..Ending::of(State::Returned, &reason) };
                self.store().decide_payout(payout.id, end).await
            }
            Err(not_known @ NotKnown::Silent(_)) => {
                self.rest(payout, payout.tries + 1, next, Some(not_known.to_string()), now).await
            }
            Err(not_known @ NotKnown::Contradiction(_)) => {
                let tries = payout::hopeless(payout.tries + 1);
                self.rest(payout, tries, next, Some(not_known.to_string()), now).await
            }
        }
    }

    /// Goes on after a refusal: nothing of it has left.
    async fn refused(&self, payout: &PayoutRow, refusal: &Refusal, now: Moment) -> Result<()> {
        let tries = payout.tries + 1;
        if matches!(refusal, Refusal::Standing | Refusal::Foreign) {
            // The fault is here and not the owner's.
            let tries = payout::hopeless(tries);
            return self
                .rest(payout, tries, now + payout::pause(tries), Some(refusal.to_string()), now)
                .await;
        }
        let is_passing = refusal.is_passing() || *refusal == Refusal::Stale;
        if is_passing && tries < TRIES_MAX {
            // It is prepared anew next time, and these bytes are never sent again.
            if payout.prepared.is_some() {
                self.store().keep_prepared(payout.id, None).await?;
            }
            return self
                .rest(payout, tries, now + payout::pause(tries), Some(refusal.to_string()), now)
                .await;
        }
        let _turn = self.turn.lock().await;
        let payout = self.store().payout(payout.id).await?.context("it is gone")?;
        let end = match (payout.outcome, payout.state()) {
            (None, Some(State::Requested)) => State::Cancelled,
            (None, Some(State::Sent)) => State::Returned,
            // Somebody was quicker.
            _ => return Ok(()),
        };
        self.store().decide_payout(payout.id, Ending::of(end, &refusal.to_string())).await?;
        self.finish(payout.id, now).await
    }

    /// Goes on while nobody can tell whether it has left: it is neither closed nor sent anew.
    async fn not_known(&self, payout: &PayoutRow, not_known: &NotKnown, now: Moment) -> Result<()> {
        let tries = match not_known {
            NotKnown::Silent(_) => payout.tries + 1,
            NotKnown::Contradiction(_) => payout::hopeless(payout.tries + 1),
        };
        self.rest(payout, tries, now + payout::pause(tries), Some(not_known.to_string()), now).await
    }

    async fn rest(
        &self,
        payout: &PayoutRow,
        tries: u32,
        due: Moment,
        reason: Option<String>,
        now: Moment,
    ) -> Result<()> {
        let sent = payout.reached(State::Sent).filter(|_| payout.outcome.is_none());
        if payout::is_stuck(tries, sent, now) {
            let (id, method) = (payout.id, payout.method);
            let reason = reason.as_deref().unwrap_or("it does not arrive");
            tracing::warn!(%id, %method, tries, reason, "a payout is stuck; look at its rail");
        }
        self.store().rest_payout(payout.id, tries, due, reason).await
    }

    /// Posts how a payout ended, as far as it is not posted yet. Within a turn.
    pub(super) async fn finish(&self, id: PayoutId, now: Moment) -> Result<()> {
        let payout = self.store().payout(id).await?.context("it is gone")?;
        let outcome = payout.outcome.context("nobody has decided how it ends")?;
        let (moves, reason) = (payout.moves(), payout.reason.as_deref().unwrap_or_default());
        let was_confirmed = payout.reached(State::Confirmed).is_some();
        let steps = match outcome {
            State::Confirmed => {
                moves.confirmed(payout.rail_cost, payout.reference.as_deref().unwrap_or_default())
            }
            State::Returned if was_confirmed => vec![moves.taken_back(reason)],
            State::Returned => moves.returned(payout.rail_cost, reason),
            State::Cancelled => vec![moves.cancelled(reason)],
            State::Requested | State::Sent => bail!("{outcome} is no end"),
        };
        for step in &steps {
            self.post(step).await?;
        }
        if payout.state() != Some(outcome) {
            telemetry::payout(outcome);
            tracing::info!(%id, method = %payout.method, state = %outcome, "a payout has ended");
        }
        // Of one that was settled by hand its rail knows nothing, and must not be sent it again.
        if outcome == State::Confirmed && self.rules.watch > Span::ZERO && !payout.by_hand {
            return self.store().rest_payout(id, 0, now + payout::watch_after(Span::ZERO), None).await;
        }
        self.store().close_payout(id, now).await
    }

    /// Posts a step, unless the ledger has it. Within a turn.
    async fn post(&self, step: &Step) -> Result<()> {
        // Of what was posted before the relay started only the store knows.
        if self.store().has_entry(step.entry_id()).await? {
            return Ok(());
        }
        if step.transfer.from == Account::Platform {
            return self.bear(step).await;
        }
        let posted = self.desk.transfer(&step.id, step.transfer.clone()).await;
        posted.with_context(|| format!("could not post {}", step.entry_id()))
    }

    /// Posts what a rail took beyond what the owner had accepted, unless the ledger has it. The rail has it in
    /// any case: what the platform's fees do not cover is missing.
    async fn bear(&self, step: &Step) -> Result<()> {
        if self.store().has_entry(format!("{}:shortfall", step.entry_id())).await? {
            return Ok(());
        }
        let missing = self.desk.bear(&step.id, step.transfer.clone()).await;
        let missing = missing.with_context(|| format!("could not post {}", step.entry_id()))?;
        if missing > Nanos::ZERO {
            tracing::error!(id = step.id, %missing, "the platform's fees do not cover what a rail took");
        }
        Ok(())
    }
}

fn prepared(payout: &PayoutRow) -> Result<Option<Prepared>> {
    payout.prepared.as_deref().map(Prepared::from_bytes).transpose().context("its bytes do not read")
}
