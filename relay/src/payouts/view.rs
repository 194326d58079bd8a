//! Payouts and methods as owners and the operator read them.

use rekursing_market::payout::{self, Quote, State};
use rekursing_protocol::{Moment, PluginId};
use rekursing_rails::Method;
use serde_json::{Value, json};

use super::{Denial, Payouts};
use crate::{
    roll::Roll,
    store::{PayoutMethod, PayoutRow, Submitted},
};

impl Payouts {
    /// Returns everything that an owner can know of his payouts.
    pub async fn view(&self, owner: PluginId, now: Moment) -> Result<Value, Denial> {
        let method = self.method(owner).await?;
        let payouts = self.store().payouts_of(owner).await?;
        let payouts: Vec<Value> = payouts.iter().map(|payout| self.payout_view(payout)).collect();
        let methods: Vec<Value> = Method::ALL.into_iter().map(|method| self.tariff_view(method)).collect();
        Ok(json!({
            "pluginId": owner,
            "available": self.available(owner),
            "method": method.map(|method| self.method_view(&method, now)),
            "methods": methods,
            "payouts": payouts,
        }))
    }

    /// Returns the payouts that have not ended, for the operator, who knows a plugin by its name.
    pub async fn under_way_view(&self, roll: &Roll, now: Moment) -> Result<Value, Denial> {
        let payouts = self.store().payouts_under_way().await?;
        let payouts = payouts.iter().map(|payout| self.operator_view(payout, roll, now));
        Ok(json!({ "payouts": payouts.collect::<Vec<_>>() }))
    }

    /// Returns one payout as the operator sees it.
    pub fn operator_view(&self, payout: &PayoutRow, roll: &Roll, now: Moment) -> Value {
        let mut view = self.payout_view(payout);
        view["pluginId"] = json!(payout.owner);
        view["name"] = json!(&*roll.name(payout.owner));
        view["approved"] = json!(payout.approved.is_some());
        view["tries"] = json!(payout.tries);
        // The ledger has it as sent before the rail is asked, so that nothing is sent that it does not have.
        let is_under_way = payout.outcome.is_none();
        let is_sent = payout.state() == Some(State::Sent);
        view["sending"] = json!(is_under_way && is_sent && payout.submitted != Submitted::Yes);
        view["nextTryAt"] = json!((is_under_way && payout.tries > 0).then_some(payout.due));
        view["stuck"] = json!(payout::is_stuck(payout.tries, payout.reached(State::Sent), now));
        view
    }

    /// Returns one payout.
    pub fn payout_view(&self, payout: &PayoutRow) -> Value {
        json!({
            "payoutId": payout.id,
            "method": payout.method,
            "destination": payout.destination,
            "amount": payout.quote.amount,
            "cost": payout.quote.cost,
            "arrives": payout.quote.arrives(),
            "automatic": payout.automatic,
            "state": payout.state().map(State::name),
            "requestedAt": payout.reached(State::Requested),
            "sentAt": payout.reached(State::Sent),
            "confirmedAt": payout.reached(State::Confirmed),
            "returnedAt": payout.reached(State::Returned),
            "cancelledAt": payout.reached(State::Cancelled),
            "reference": payout.reference,
            "reason": self.reason(payout),
        })
    }

    /// Returns how an owner is paid.
    pub fn method_view(&self, method: &PayoutMethod, now: Moment) -> Value {
        let held = Some(method.held_until).filter(|until| *until > now);
        let due = method.due.map(|due| due.max(method.held_until));
        json!({
            "method": method.method,
            "destination": method.destination,
            "threshold": method.threshold,
            "schedule": method.schedule.to_string(),
            "nextAt": due,
            "heldUntil": held,
            "note": held.map(|_| {
                "The destination is new: nothing is paid out to it for 24 hours. If it was not you who set \
                 it, remove it and tell the relay's operator."
            }),
            "cost": self.rules.tariff(method.method).cost_of(method.threshold),
            "ready": self.rails.rail(method.method).is_some(),
        })
    }

    /// Returns what a payout would cost.
    pub fn quote_view(&self, method: &PayoutMethod, quote: Quote, now: Moment) -> Value {
        json!({
            "method": method.method,
            "destination": method.destination,
            "amount": quote.amount,
            "cost": quote.cost,
            "arrives": quote.arrives(),
            "heldUntil": Some(method.held_until).filter(|until| *until > now),
            "ready": self.rails.rail(method.method).is_some(),
        })
    }

    fn tariff_view(&self, method: Method) -> Value {
        let tariff = self.rules.tariff(method);
        json!({
            "method": method,
            "ready": self.rails.rail(method).is_some(),
            "minimum": tariff.minimum,
            "cost": tariff.cost_of(tariff.minimum),
        })
    }

    /// Returns what a payout waits for, or why it ended as it did.
    fn reason(&self, payout: &PayoutRow) -> Option<String> {
        if payout.outcome.is_none() && payout.state() == Some(State::Requested) {
            if payout.approved.is_none() {
                return Some("it waits for the operator's approval".to_owned());
            }
            if self.rails.rail(payout.method).is_none() {
                let method = payout.method;
                return Some(format!(
                    "this relay's operator has not set up {method}; the payout waits until he does"
                ));
            }
        }
        payout.reason.clone()
    }
}
