//! Payouts that the operator ends by hand, because their rail cannot tell any more what became of them, or because
//! what was believed to have arrived has not.
//!
//! What keeps this from paying twice: nothing is asked of the rail meanwhile, what the rail can still tell
//! has to agree, and from then on the payout is neither looked at nor sent again.

use rekursing_market::payout::State;
use rekursing_protocol::{Moment, Nanos, PayoutId};
use rekursing_rails::{Fate, Prepared};

use super::{Denial, Payouts};
use crate::store::{Act, Ending, PayoutRow, Submitted};

impl Payouts {
    /// Ends a payout of which its rail does not tell what became, as the operator has found out: confirmed
    /// or returned. One that is confirmed can still be returned, because that was a mistake or the money came
    /// back after all. It is never looked at nor sent again. Where its rail still tells something, that has to
    /// agree.
    ///
    /// # Errors
    /// When it is not in a state from which it may end so, or its rail says otherwise; and as with every change.
    pub async fn settle(&self, id: PayoutId, end: Ending, now: Moment) -> Result<PayoutRow, Denial> {
        let method = self.known(id).await?.method;
        // The worker may be about to send it, or to read what became of it.
        let _asking = self.asking(method).lock().await;
        let payout = self.open(id, end.outcome).await?;
        let whole = payout.quote.amount;
        // What it cost to arrive is spent, and nothing more is taken of what comes back.
        let was_confirmed = payout.state() == Some(State::Confirmed);
        let most = if was_confirmed { Nanos::ZERO } else { whole };
        if end.cost.is_negative() || end.cost > most {
            return Err(Denial::Cost { most });
        }
        self.agreed(&payout, end.outcome, now).await?;
        let _turn = self.turn.lock().await;
        self.open(id, end.outcome).await?;
        let act = end.act.map(|(at, act)| (at, Act { amount: Some(whole), ..act }));
        let cost = if was_confirmed { payout.rail_cost } else { end.cost };
        self.store().decide_payout(id, Ending { act, cost, by_hand: true, ..end }).await?;
        self.finish(id, now).await?;
        self.known(id).await
    }

    /// Checks that a payout's rail, if there is one, does not say that it ended otherwise.
    async fn agreed(&self, payout: &PayoutRow, outcome: State, now: Moment) -> Result<(), Denial> {
        let bytes = payout.prepared.as_deref().filter(|_| payout.submitted != Submitted::No);
        let (Some(bytes), Some(rail)) = (bytes, self.rails.rail(payout.method)) else { return Ok(()) };
        let Ok(bytes) = Prepared::from_bytes(bytes) else { return Ok(()) };
        let told = match (rail.look(&bytes, payout.name.as_deref(), now).await, outcome) {
            (Ok(Fate::Confirmed { reference, .. }), State::Returned) => {
                format!("it has arrived, as {reference}")
            }
            (Ok(Fate::Pending { note }), State::Returned) => format!("it is on its way: {note}"),
            (Ok(Fate::Returned { reason, .. }), State::Confirmed) => format!("it came back: {reason}"),
            _ => return Ok(()),
        };
        Err(Denial::RailDiffers { told })
    }

    /// Reads a payout that may still end so: one that is sent and of which nobody has decided how it ends, or one
    /// that is confirmed and is to be returned.
    async fn open(&self, id: PayoutId, outcome: State) -> Result<PayoutRow, Denial> {
        let payout = self.known(id).await?;
        let Some(state) = payout.state() else { return Err(Denial::NotFound) };
        let ends = payout.outcome.unwrap_or(state);
        let may = match ends {
            State::Sent => true,
            State::Confirmed => state == State::Confirmed && outcome == State::Returned,
            State::Requested | State::Returned | State::Cancelled => false,
        };
        if may { Ok(payout) } else { Err(Denial::NotSent { state: ends }) }
    }
}
