//! Transfers: every movement of money that is not a job's.

use std::{fmt, str::FromStr};

use rekursing_protocol::Nanos;

use super::Account;

/// Money that went from one account to another for a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Why.
    pub cause: Cause,
    /// The account that it left.
    pub from: Account,
    /// The account that it reached.
    pub to: Account,
    /// How much, more than nothing.
    pub amount: Nanos,
    /// What a reader of the book should know: the reason of a correction, a rail's reference. May be empty.
    pub note: String,
}

/// Why money moves. Each cause joins only the accounts that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The operator gave.
    Grant,
    /// A page or an advertiser paid in.
    TopUp,
    /// What paying in cost, passed on to whoever paid in.
    TopUpCost,
    /// Money paid in went back.
    Refund,
    /// A premium account was paid for.
    Premium,
    /// A new owner's earnings are no longer held back.
    Release,
    /// What was earned with a job that is disputed is set aside until that is decided.
    Dispute,
    /// It was decided.
    DisputeEnded,
    /// An owner asked to be paid.
    PayoutRequested,
    /// A payout that was not sent went back to its owner.
    PayoutCancelled,
    /// A payout was handed to its rail.
    PayoutSent,
    /// The owner has it.
    PayoutConfirmed,
    /// What the rail took of it.
    PayoutCost,
    /// The rail gave it back.
    PayoutReturned,
    /// An ad was seen.
    Impression,
    /// An ad was clicked.
    Click,
    /// Ads brought more than free answers need.
    Surplus,
    /// The platform brings what had left and nobody had, or gets back what it brought too much.
    Cover,
    /// Something was put right. The note says what and why.
    Correction,
}

/// Why a text is no cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("money does not move for this")]
pub struct BadCause;

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 19] = [
        Cause::Grant,
        Cause::TopUp,
        Cause::TopUpCost,
        Cause::Refund,
        Cause::Premium,
        Cause::Release,
        Cause::Dispute,
        Cause::DisputeEnded,
        Cause::PayoutRequested,
        Cause::PayoutCancelled,
        Cause::PayoutSent,
        Cause::PayoutConfirmed,
        Cause::PayoutCost,
        Cause::PayoutReturned,
        Cause::Impression,
        Cause::Click,
        Cause::Surplus,
        Cause::Cover,
        Cause::Correction,
    ];

    /// Returns its name, with which the ids of its entries begin.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Grant => "grant",
            Cause::TopUp => "top_up",
            Cause::TopUpCost => "top_up_cost",
            Cause::Refund => "refund",
            Cause::Premium => "premium",
            Cause::Release => "release",
            Cause::Dispute => "dispute",
            Cause::DisputeEnded => "dispute_ended",
            Cause::PayoutRequested => "payout_requested",
            Cause::PayoutCancelled => "payout_cancelled",
            Cause::PayoutSent => "payout_sent",
            Cause::PayoutConfirmed => "payout_confirmed",
            Cause::PayoutCost => "payout_cost",
            Cause::PayoutReturned => "payout_returned",
            Cause::Impression => "impression",
            Cause::Click => "click",
            Cause::Surplus => "surplus",
            Cause::Cover => "cover",
            Cause::Correction => "correction",
        }
    }

    /// Tells whether a transfer for this cause may be taken back: nothing else is known by it.
    pub(crate) const fn is_correctable(self) -> bool {
        match self {
            Cause::Grant | Cause::TopUp | Cause::TopUpCost | Cause::Refund | Cause::Premium => true,
            Cause::Release
            | Cause::Dispute
            | Cause::DisputeEnded
            | Cause::PayoutRequested
            | Cause::PayoutCancelled
            | Cause::PayoutSent
            | Cause::PayoutConfirmed
            | Cause::PayoutCost
            | Cause::PayoutReturned
            | Cause::Impression
            | Cause::Click
            | Cause::Surplus
            | Cause::Cover
            | Cause::Correction => false,
        }
    }

    /// Tells whether money may go this way for this cause.
    pub fn joins(self, from: Account, to: Account) -> bool {
        use Account::{
            Advertiser, Disputed, Escrow, Free, Held, Outside, Owner, Page, PayoutRequested, PayoutSent,
            Platform, Shortfall,
        };
        match self {
            Cause::Grant => from == Outside && matches!(to, Page(_) | Advertiser(_) | Free | Shortfall),
            Cause::TopUp => from == Outside && matches!(to, Page(_) | Advertiser(_)),
            Cause::TopUpCost | Cause::Refund => matches!(from, Page(_) | Advertiser(_)) && to == Outside,
            Cause::Premium => matches!(from, Page(_)) && to == Platform,
            Cause::Release => matches!((from, to), (Held(held), Owner(owner)) if held == owner),
            Cause::Dispute => matches!(from, Owner(_) | Held(_)) && to == Disputed,
            Cause::DisputeEnded => from == Disputed && matches!(to, Owner(_) | Held(_)),
            Cause::PayoutRequested => matches!(from, Owner(_)) && to == PayoutRequested,
            Cause::PayoutCancelled => from == PayoutRequested && matches!(to, Owner(_)),
            Cause::PayoutSent => from == PayoutRequested && to == PayoutSent,
            Cause::PayoutConfirmed => from == PayoutSent && to == Outside,
            // What a rail takes beyond what the owner was told is the platform's, or whoever brings what
            // the platform does not have.
            Cause::PayoutCost => matches!(from, PayoutSent | Platform | Shortfall) && to == Outside,
            // A rail can take back what had arrived.
            Cause::PayoutReturned => matches!(from, PayoutSent | Outside) && matches!(to, Owner(_)),
            Cause::Impression | Cause::Click => matches!(from, Advertiser(_)) && to == Free,
            Cause::Surplus => from == Free && to == Platform,
            Cause::Cover => matches!((from, to), (Platform, Shortfall) | (Shortfall, Platform)),
            // What is set aside is for its jobs alone: a hold is resolved by its job, a dispute by its decision.
            Cause::Correction => from != to && ![from, to].iter().any(|one| matches!(one, Escrow | Disputed)),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cause {
    type Err = BadCause;

    fn from_str(text: &str) -> Result<Cause, BadCause> {
        Cause::ALL.into_iter().find(|cause| cause.name() == text).ok_or(BadCause)
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, PluginId};

    use super::*;

    #[test]
    fn causes_print_and_read_back() {
        for cause in Cause::ALL {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert_eq!("hold".parse::<Cause>(), Err(BadCause));
    }

    #[test]
    fn money_moves_only_between_the_accounts_that_a_cause_is_about() {
        let (page, advertiser) =
            (Account::Page(AccountId::from_bits(1)), Account::Advertiser(AccountId::from_bits(2)));
        let (one, other) = (PluginId::from_bits(3), PluginId::from_bits(4));
        let (owner, held) = (Account::Owner(one), Account::Held(one));
        for (cause, from, to, joins) in [
            (Cause::Grant, Account::Outside, page, true),
            (Cause::Grant, Account::Outside, Account::Free, true),
            (Cause::Grant, Account::Outside, owner, false),
            (Cause::Grant, page, Account::Free, false),
            (Cause::TopUp, Account::Outside, advertiser, true),
            (Cause::TopUp, Account::Outside, Account::Free, false),
            (Cause::Refund, page, Account::Outside, true),
            (Cause::Refund, owner, Account::Outside, false),
            (Cause::Release, held, owner, true),
            (Cause::Release, held, Account::Owner(other), false),
            (Cause::Dispute, owner, Account::Disputed, true),
            (Cause::Dispute, held, Account::Disputed, true),
            (Cause::Dispute, page, Account::Disputed, false),
            (Cause::DisputeEnded, Account::Disputed, owner, true),
            (Cause::DisputeEnded, Account::Disputed, page, false),
            (Cause::PayoutRequested, owner, Account::PayoutRequested, true),
            (Cause::PayoutRequested, held, Account::PayoutRequested, false),
            (Cause::PayoutSent, Account::PayoutRequested, Account::PayoutSent, true),
            (Cause::PayoutConfirmed, Account::PayoutSent, Account::Outside, true),
            (Cause::PayoutConfirmed, Account::PayoutRequested, Account::Outside, false),
            (Cause::PayoutCost, Account::PayoutSent, Account::Outside, true),
            (Cause::PayoutCost, Account::Platform, Account::Outside, true),
            (Cause::PayoutCost, Account::Shortfall, Account::Outside, true),
            (Cause::PayoutCost, owner, Account::Outside, false),
            (Cause::PayoutReturned, Account::PayoutSent, owner, true),
            (Cause::PayoutReturned, Account::Outside, owner, true),
            (Cause::PayoutReturned, Account::PayoutRequested, owner, false),
            (Cause::Impression, advertiser, Account::Free, true),
            (Cause::Impression, advertiser, Account::Platform, false),
            (Cause::Surplus, Account::Free, Account::Platform, true),
            (Cause::Surplus, Account::Platform, Account::Free, false),
            (Cause::Cover, Account::Platform, Account::Shortfall, true),
            (Cause::Cover, Account::Free, Account::Shortfall, false),
            (Cause::Correction, owner, page, true),
            (Cause::Correction, Account::Escrow, page, false),
            (Cause::Correction, Account::Disputed, page, false),
            (Cause::Correction, page, page, false),
        ] {
            assert_eq!(cause.joins(from, to), joins, "{cause}: {from} → {to}");
        }
    }
}
