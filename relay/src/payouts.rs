//! Payouts: owners' money on its way out.
//!
//! A payout is a row, which has what is sent and where to, and entries of the ledger, which have where it
//! stands. Whatever happens is stored in this order: what is about to be done, in the row; what it moves,
//! in the ledger; then it is done. So a relay that dies anywhere finds out where it was, and a rail is
//! asked again for what it may have done, with the same bytes, and never for the same twice.
//!
//! `step.rs` takes one payout one step further, `work.rs` does so for as long as the relay runs,
//! `by_hand.rs` ends one of which no rail can tell, `recall.rs` takes back what was not sent, and `rails.rs` sets
//! up the rails. What a payout costs
//! and moves is `rekursing_market::payout`'s to say.

mod by_hand;
mod rails;
mod recall;
mod step;
mod view;
mod work;

use std::sync::Arc;

use rekursing_market::{
    Account,
    payout::{CHANGE_WAIT, Quote, QuoteRefusal, Schedule, State, Step, Tariff},
};
use rekursing_protocol::{AccountId, Day, Moment, Nanos, PayoutId, PluginId, Span};
use rekursing_rails::{BadDestination, Destination, Method};
use tokio::sync::{Mutex, Notify};

use crate::{
    chance,
    config::Config,
    desk::Desk,
    store::{Act, Ending, PayoutMethod, PayoutRow, Store, Submitted},
    switches::{Feature, Switches},
    telemetry,
};

pub use rails::Rails;
pub use recall::Standstill;
pub use step::Progress;
pub use work::work;

/// Over how long what goes to an owner without the operator's word is added up.
const APPROVAL_SPAN: Span = Span(7 * Span::DAY.0);

/// Owners' payouts.
#[derive(Debug)]
pub struct Payouts {
    desk: Desk,
    rails: Rails,
    rules: Rules,
    switches: Arc<Switches>,
    /// Held while a state is read, decided on and posted: two who decide at once could both be right.
    turn: Mutex<()>,
    /// Held while something is asked of a method's rail, in the order of [`Method::ALL`]; taken before the
    /// turn.
    asking: [Mutex<()>; 3],
    /// Wakes the workers.
    wake: Notify,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What each method takes, in the order of [`Method::ALL`].
    tariffs: [Tariff; 3],
    /// The amount above which the operator has to agree to what an owner is paid within [`APPROVAL_SPAN`]; `None`
    /// when he need not.
    approval_above: Option<Nanos>,
    /// For how long a payout that arrived is watched.
    watch: Span,
    /// Payouts of one owner under way at once.
    under_way_max: u64,
}

/// How an owner wants to be paid from now on.
#[derive(Debug, Clone)]
pub struct Wish {
    /// By which way.
    pub method: Method,
    /// Where to, as the owner wrote it.
    pub destination: String,
    /// The balance from which automatic payouts are made; left out, the method's least.
    pub threshold: Option<Nanos>,
    /// How often.
    pub schedule: Schedule,
    /// The account that wishes it for a plugin of its own; nothing when the plugin does.
    pub account: Option<AccountId>,
}

/// Who takes a payout back.
#[derive(Debug)]
pub enum By {
    /// An owner, who may do so with his own alone.
    Owner(PluginId),
    /// The operator, with what his log says of it.
    Operator(Act),
}

/// What asking for a payout came to.
#[derive(Debug)]
pub enum Asked {
    /// Nothing happened: this is what it would cost.
    Quoted(PayoutMethod, Quote),
    /// It is on its way.
    Made(Box<PayoutRow>),
}

/// Why something about payouts is not done.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// The operator has switched payouts off.
    #[error("{}", Feature::Payouts.refusal())]
    SwitchedOff,
    /// The owner has named no method.
    #[error("set a method of payout first")]
    NoMethod,
    /// The account has let the plugin go.
    #[error("the plugin is not the account's own any more")]
    LetGo,
    /// The account has revoked the plugin's key.
    #[error("the account has revoked the plugin's key")]
    Revoked,
    /// The destination is none.
    #[error(transparent)]
    Destination(#[from] BadDestination),
    /// The threshold is below the method's least.
    #[error("a threshold is at least {minimum} USD, the least for this method")]
    Threshold {
        /// The least.
        minimum: Nanos,
    },
    /// The amount does not hold.
    #[error(transparent)]
    Quote(#[from] QuoteRefusal),
    /// The destination was set a moment ago, perhaps by somebody else than the owner.
    #[error("the destination is new: nothing is paid out to it before {} UTC", minute(*until))]
    Held {
        /// Until when.
        until: Moment,
        /// How long that is.
        left: Span,
    },
    /// The owner has as many under way as he may.
    #[error("{most} payouts are under way already; wait until one of them has ended")]
    TooMany {
        /// How many he may have.
        most: u64,
    },
    /// There is no such payout.
    #[error("there is no such payout")]
    NotFound,
    /// It is past the state in which this can be done.
    #[error("the payout is {state} already")]
    Late {
        /// Where it stands.
        state: State,
    },
    /// It is not under way at its rail.
    #[error(
        "the payout is {state}: only one that is sent can be settled by hand, and one that is confirmed only as \
         returned"
    )]
    NotSent {
        /// Where it stands.
        state: State,
    },
    /// The rail knows better.
    #[error("the payout's rail says otherwise: {told}")]
    RailDiffers {
        /// What it says.
        told: String,
    },
    /// More is said to have gone as cost than there is.
    #[error("the rail can have taken at most {most} USD of this payout")]
    Cost {
        /// The payout; nothing of one that had arrived.
        most: Nanos,
    },
    /// The store failed.
    #[error("the store does not do it")]
    Store(#[from] anyhow::Error),
}

impl Rules {
    /// Returns the rules of a config.
    pub fn of(config: &Config) -> Rules {
        let payouts = &config.payouts;
        Rules {
            tariffs: Method::ALL.map(|method| payouts.tariff(method)),
            approval_above: payouts.approval_above(),
            watch: Span(payouts.watch_days.min(3_650) * Span::DAY.0),
            under_way_max: payouts.under_way,
        }
    }

    /// Returns what a method takes.
    pub fn tariff(&self, method: Method) -> Tariff {
        match method {
            Method::Paypal => self.tariffs[0],
            Method::Stripe => self.tariffs[1],
            Method::Usdc => self.tariffs[2],
        }
    }
}

impl Payouts {
    /// Sets payouts up over a desk whose store has forgotten what the ledger never had.
    pub fn new(desk: Desk, rails: Rails, rules: Rules) -> Payouts {
        let (switches, turn, asking) = Default::default();
        Payouts { desk, rails, rules, switches, turn, asking, wake: Notify::new() }
    }

    /// Lets these switches say whether anything is paid out.
    #[must_use]
    pub fn under(self, switches: Arc<Switches>) -> Payouts {
        Payouts { switches, ..self }
    }

    /// Returns how an owner wants to be paid, if he has said so.
    pub async fn method(&self, owner: PluginId) -> Result<Option<PayoutMethod>, Denial> {
        Ok(self.store().payout_method(owner).await?.filter(|method| !method.removed))
    }

    /// Sets how an owner wants to be paid. Another destination than before makes payouts wait, and so does a
    /// first one where something was earned before it.
    pub async fn set_method(&self, owner: PluginId, wish: Wish, now: Moment) -> Result<PayoutMethod, Denial> {
        let Wish { method, destination, threshold, schedule, account } = wish;
        let destination = match self.rails.rail(method) {
            Some(rail) => rail.destination(&destination)?,
            None => Destination::read(method, &destination)?,
        };
        let minimum = self.rules.tariff(method).minimum;
        let threshold = threshold.unwrap_or(minimum);
        if threshold < minimum {
            return Err(Denial::Threshold { minimum });
        }
        let _turn = self.turn.lock().await;
        // The caller may speak for it no more since he was asked who he is.
        match account {
            Some(account) if !self.store().is_paired(owner, account).await? => return Err(Denial::LetGo),
            None if self.store().is_revoked(owner).await? => return Err(Denial::Revoked),
            Some(_) | None => {}
        }
        let before = self.store().payout_method(owner).await?;
        let held_until = match before {
            None if !self.has_earned(owner) => Moment(0),
            Some(same) if same.method == method && same.destination == destination.text() => same.held_until,
            None | Some(_) => now + CHANGE_WAIT,
        };
        let set = PayoutMethod {
            owner,
            method,
            destination: destination.text().to_owned(),
            threshold,
            schedule,
            held_until,
            due: schedule.next(now),
            removed: false,
            account,
        };
        self.store().put_payout_method(set.clone()).await?;
        Ok(set)
    }

    /// Forgets how an owner wants to be paid. What he has asked for goes where it was to go.
    pub async fn remove_method(&self, owner: PluginId, now: Moment) -> Result<(), Denial> {
        let _turn = self.turn.lock().await;
        Ok(self.store().remove_payout_method(owner, now).await?)
    }

    /// Asks for a payout of an amount, or of everything. Nothing happens unless the cost that was
    /// `accepted` is what it costs, and the destination is not a new one.
    pub async fn ask(
        &self,
        id: PayoutId,
        owner: PluginId,
        amount: Option<Nanos>,
        accepted: Option<Nanos>,
        now: Moment,
    ) -> Result<Asked, Denial> {
        if !self.switches.is_on(Feature::Payouts) {
            return Err(Denial::SwitchedOff);
        }
        let _turn = self.turn.lock().await;
        let method = self.method(owner).await?.ok_or(Denial::NoMethod)?;
        let quote = self.rules.tariff(method.method).quote(amount, self.available(owner))?;
        if accepted != Some(quote.cost) {
            return Ok(Asked::Quoted(method, quote));
        }
        let (until, lag) = (method.held_until, self.desk.lag());
        if until > now - lag {
            return Err(Denial::Held { until: until + lag, left: until.since(now - lag) });
        }
        let most = self.rules.under_way_max;
        if self.store().payouts_under_way_of(owner).await? >= most {
            return Err(Denial::TooMany { most });
        }
        let payout = PayoutRow { id, ..self.new_row(&method, quote, now).await? };
        Ok(Asked::Made(Box::new(self.make(payout, None).await?)))
    }

    /// Makes the automatic payouts that are due.
    pub async fn run_due(&self, now: Moment) -> Result<(), Denial> {
        if !self.switches.is_on(Feature::Payouts) {
            return Ok(());
        }
        let believed = now - self.desk.lag();
        for due in self.store().payout_methods_due(believed).await? {
            let _turn = self.turn.lock().await;
            let Some(method) = self.method(due.owner).await? else { continue };
            // The owner may have changed it meanwhile.
            if method.held_until > believed || method.due.is_none_or(|due| due > believed) {
                continue;
            }
            let (owner, next) = (method.owner, method.schedule.next(now));
            let available = self.available(owner);
            let quote = self.rules.tariff(method.method).quote(None, available).ok();
            let has_room = self.store().payouts_under_way_of(owner).await? < self.rules.under_way_max;
            match quote.filter(|_| has_room && available >= method.threshold) {
                Some(quote) => {
                    let row = PayoutRow { automatic: true, ..self.new_row(&method, quote, now).await? };
                    self.make(row, next).await?;
                }
                None => self.store().postpone_payout_method(owner, next).await?,
            }
        }
        Ok(())
    }

    /// Gives a payout that was not sent back to its owner.
    pub async fn cancel(&self, id: PayoutId, by: By, reason: &str, now: Moment) -> Result<PayoutRow, Denial> {
        let _turn = self.turn.lock().await;
        let payout = self.known(id).await?;
        let act = match by {
            By::Owner(owner) if owner != payout.owner => return Err(Denial::NotFound),
            By::Owner(_) => None,
            By::Operator(act) => Some((now, act)),
        };
        requested_only(&payout)?;
        let end = Ending { act, ..Ending::of(State::Cancelled, reason) };
        self.store().decide_payout(id, end).await?;
        self.finish(id, now).await?;
        self.known(id).await
    }

    /// Lets a payout go that waits for the operator, with what his log says of it.
    pub async fn approve(&self, id: PayoutId, act: Act, now: Moment) -> Result<PayoutRow, Denial> {
        let _turn = self.turn.lock().await;
        requested_only(&self.known(id).await?)?;
        self.store().approve_payout(id, now, act).await?;
        self.wake.notify_waiters();
        self.known(id).await
    }

    fn asking(&self, method: Method) -> &Mutex<()> {
        &self.asking[method as usize]
    }

    fn store(&self) -> &Store {
        self.desk.store()
    }

    fn available(&self, owner: PluginId) -> Nanos {
        self.desk.balance(Account::Owner(owner))
    }

    /// Tells whether an owner has something, available or held back.
    fn has_earned(&self, owner: PluginId) -> bool {
        [Account::Owner(owner), Account::Held(owner)]
            .iter()
            .any(|account| self.desk.balance(*account) > Nanos::ZERO)
    }

    async fn known(&self, id: PayoutId) -> Result<PayoutRow, Denial> {
        self.store().payout(id).await?.ok_or(Denial::NotFound)
    }

    /// Writes a new payout, within a turn. It waits for the operator where what goes to its owner without his word
    /// would be more than he has set.
    async fn new_row(&self, method: &PayoutMethod, quote: Quote, now: Moment) -> Result<PayoutRow, Denial> {
        let needs_approval = match self.rules.approval_above {
            None => false,
            Some(above) => {
                let before = self.store().payouts_unasked_of(method.owner, now - APPROVAL_SPAN).await?;
                before.checked_add(quote.amount).is_none_or(|all| all > above)
            }
        };
        Ok(PayoutRow {
            id: new_id(now),
            owner: method.owner,
            method: method.method,
            destination: method.destination.clone(),
            quote,
            automatic: false,
            created: now,
            approved: (!needs_approval).then_some(now),
            prepared: None,
            submitted: Submitted::No,
            name: None,
            outcome: None,
            rail_cost: Nanos::ZERO,
            reference: None,
            reason: None,
            tries: 0,
            due: now,
            closed: None,
            by_hand: false,
            account: method.account,
            reached: [None; 5],
        })
    }

    /// Stores a payout and moves its money, within a turn.
    async fn make(&self, payout: PayoutRow, next: Option<Moment>) -> Result<PayoutRow, Denial> {
        let (id, amount) = (payout.id, payout.quote.amount);
        let (owner, Step { id: own, transfer }) = (payout.owner, payout.moves().requested());
        self.store().add_payout(payout, next).await?;
        if let Err(refusal) = self.desk.transfer(&own, transfer).await {
            tracing::warn!(%id, %refusal, "a payout's money is not there");
            self.store().drop_payout(id).await?;
            let available = self.available(owner);
            return Err(QuoteRefusal::Insufficient { amount, available }.into());
        }
        telemetry::payout(State::Requested);
        self.wake.notify_waiters();
        self.known(id).await
    }
}

fn requested_only(payout: &PayoutRow) -> Result<(), Denial> {
    match payout.outcome.or(payout.state()) {
        Some(State::Requested) => Ok(()),
        Some(state) => Err(Denial::Late { state }),
        None => Err(Denial::NotFound),
    }
}

/// Writes the minute in which something will have happened.
fn minute(at: Moment) -> String {
    let minutes = at.0.div_ceil(60_000);
    format!("{} {:02}:{:02}", Day(minutes / 1_440), minutes / 60 % 24, minutes % 60)
}

/// Makes an id for a payout.
pub fn new_id(now: Moment) -> PayoutId {
    let (ms, random) = chance::id(now);
    PayoutId::new(ms, random)
}

#[cfg(test)]
mod tests;
