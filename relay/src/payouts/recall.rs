//! Payouts that are taken back before they are sent, because something else takes the money or the right to it.

use rekursing_market::{Account, ledger::Settle, payout::State};
use rekursing_protocol::{Moment, Nanos, PluginId};
use tokio::sync::MutexGuard;

use super::{Denial, Payouts};
use crate::store::{Act, Deed, Ending};

/// Keeps every payout where it is: none is asked for, sent or taken back meanwhile.
#[derive(Debug)]
pub struct Standstill<'a> {
    _turn: MutexGuard<'a, ()>,
}

impl Payouts {
    /// Makes a plugin nobody's own. What its account has said of how it is paid ends with it, and what was to go
    /// where the account wanted it, and is not sent, is the plugin's again.
    ///
    /// # Errors
    /// When the store fails. Doing it again does what is left.
    pub async fn unpair(&self, owner: PluginId, now: Moment) -> Result<(), Denial> {
        let turn = self.turn.lock().await;
        self.store().unpair(owner, now, "the plugin was let go").await?;
        drop(turn);
        Ok(self.finish_decided(now).await?)
    }

    /// Revokes the key or secret of a plugin: what it has said itself of how it is paid ends with it, and what was to
    /// go where it wanted it, and is not sent, is its account's to have paid out.
    ///
    /// # Errors
    /// When the store fails. Doing it again does what is left.
    pub async fn revoke(&self, owner: PluginId, now: Moment) -> Result<(), Denial> {
        let turn = self.turn.lock().await;
        self.store().revoke_plugin(owner, now, "the plugin's key was revoked").await?;
        drop(turn);
        Ok(self.finish_decided(now).await?)
    }

    /// Makes sure that an owner does not keep what is to be given back of a charge by having asked to be paid: as
    /// many of his payouts as that takes beside what is set `aside` for a dispute of it, the latest first, are taken
    /// back if they were not sent, each with a line in the operator's log. Where even all of them do not make it
    /// possible to give the charge back, none is. No payout moves until the answer is dropped.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recall(
        &self,
        charge: &Settle,
        aside: Nanos,
        who: &str,
        reason: &str,
        now: Moment,
    ) -> Result<Standstill<'_>, Denial> {
        let still = Standstill { _turn: self.turn.lock().await };
        let owner = charge.owner;
        let has = |account| self.desk.balance(account).get();
        let there = has(Account::Owner(owner)) + has(Account::Held(owner)) + aside.get();
        let mut missing = charge.earned().get() - there;
        if missing <= 0 {
            return Ok(still);
        }
        let payouts = self.store().payouts_requested_of(owner).await?;
        let all: i64 = payouts.iter().map(|payout| payout.quote.amount.get()).sum();
        if missing - all > has(Account::Platform) {
            return Ok(still);
        }
        for payout in payouts {
            if missing <= 0 {
                break;
            }
            let amount: Nanos = payout.quote.amount;
            missing -= amount.get();
            let act = Act { amount: Some(amount), ..Act::of(who, Deed::PayoutCancelled, payout.id, reason) };
            let end = Ending { act: Some((now, act)), ..Ending::of(State::Cancelled, reason) };
            self.store().decide_payout(payout.id, end).await?;
            self.finish(payout.id, now).await?;
        }
        Ok(still)
    }
}
