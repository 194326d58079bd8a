//! A transfer as Stripe shows it.

use rekursing_protocol::Nanos;
use serde::Deserialize;

use crate::{Fate, NotKnown, Prepared, method::cents};

#[derive(Deserialize)]
pub(super) struct Transfer {
    pub(super) id: String,
    amount: i64,
    amount_reversed: i64,
    currency: String,
    destination: Option<String>,
    transfer_group: Option<String>,
    #[serde(default)]
    balance_transaction: serde_json::Value,
}

/// The transfers of a group.
#[derive(Deserialize)]
pub(super) struct Transfers {
    pub(super) data: Vec<Transfer>,
}

impl Transfer {
    /// Checks that the transfer is the one that was ordered.
    pub(super) fn check(&self, prepared: &Prepared) -> Result<(), NotKnown> {
        let ours = self.currency == "usd"
            && cents(self.amount) == Some(prepared.amount)
            && self.destination.as_ref() == Some(&prepared.destination)
            && self.transfer_group == Some(prepared.payout.to_string());
        if ours {
            return Ok(());
        }
        Err(NotKnown::Contradiction(format!("{} is not the transfer that was ordered", self.id)))
    }

    /// Returns what became of the order that made it.
    pub(super) fn fate(&self, prepared: &Prepared) -> Result<Fate, NotKnown> {
        self.check(prepared)?;
        if self.amount_reversed == self.amount {
            let reason = "The transfer was taken back".to_owned();
            return Ok(Fate::Returned { reason, cost: self.fee()? });
        }
        if self.amount_reversed != 0 {
            return Err(NotKnown::Contradiction(format!("{} was taken back in part", self.id)));
        }
        Ok(Fate::Confirmed { reference: self.id.clone(), cost: self.fee()? })
    }

    /// Returns what Stripe took for it, out of the entry in the operator's balance.
    fn fee(&self) -> Result<Nanos, NotKnown> {
        let fee = self.balance_transaction.get("fee").and_then(serde_json::Value::as_i64);
        let fee = fee.and_then(cents);
        fee.ok_or_else(|| NotKnown::Silent(format!("the fee of {} does not read", self.id)))
    }
}
