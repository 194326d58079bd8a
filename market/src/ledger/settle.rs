//! Settlements: what a job cost, who earned it, and how each figure follows from the others.

use rekursing_protocol::{JobId, KeyId, Moment, Nanos, PluginId, Price};

use super::{Account, BookRefusal};
use crate::tier::Tier;

/// What a hold is settled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The job.
    pub job: JobId,
    /// The attempt that is paid.
    pub lease: u32,
    /// Who earns.
    pub owner: PluginId,
    /// The page's key that spends.
    pub api_key: Option<KeyId>,
    /// The model.
    pub model: String,
    /// The tier that the page asked for.
    pub tier_asked: Tier,
    /// The tier that it got.
    pub tier: Tier,
    /// What the owner asks, before the tier.
    pub ask: Price,
    /// What the page pays, after the tier that it got.
    pub price: Price,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// The platform's part of the cost, in thousandths, rounded down.
    pub fee_permille: u64,
    /// The page's bulk discount, in thousandths of the cost, rounded down. It is taken from the fee and
    /// never from the owner.
    pub discount_permille: u64,
    /// The part of the earning that is held back, in thousandths, rounded down.
    pub holdback_permille: u64,
    /// When what is held back is due.
    pub release_at: Moment,
}

/// A job that was charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The job.
    pub job: JobId,
    /// The attempt that was paid.
    pub lease: u32,
    /// Who paid.
    pub payer: Account,
    /// Who earned.
    pub owner: PluginId,
    /// The page's key that spent.
    pub api_key: Option<KeyId>,
    /// The model.
    pub model: String,
    /// The tier that the page asked for.
    pub tier_asked: Tier,
    /// The tier that it got.
    pub tier: Tier,
    /// What the owner asked, before the tier.
    pub ask: Price,
    /// What the page paid, after the tier that it got.
    pub price: Price,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What was set aside.
    pub held: Nanos,
    /// What the page was spared of the cost of the tokens.
    pub discount: Nanos,
    /// What the page paid: the cost of the tokens less the discount, at most what was set aside.
    pub charge: Nanos,
    /// The platform's part of the charge.
    pub fee: Nanos,
    /// The part of the earning that is held back.
    pub held_back: Nanos,
    /// When what is held back is due; zero when nothing is.
    pub release_at: Moment,
}

impl Settle {
    /// Works a settlement out: cost = price × tokens; discount ≤ full fee; charge = cost − discount;
    /// fee = full fee − discount; earned = charge − fee, which no discount touches.
    pub(super) fn of(settlement: Settlement, payer: Account, held: Nanos) -> Result<Settle, BookRefusal> {
        let Settlement { job, lease, owner, api_key, model, tier_asked, tier, ask, price, .. } = settlement;
        let Settlement { prompt_tokens, answer_tokens, .. } = settlement;
        let share = |of: Nanos, permille: u64| {
            of.checked_share(permille.min(1_000), 1_000).ok_or(BookRefusal::Overflow)
        };
        let cost = price.cost(prompt_tokens, answer_tokens).ok_or(BookRefusal::Overflow)?;
        let full_fee = share(cost, settlement.fee_permille)?;
        let discount = share(cost, settlement.discount_permille)?.min(full_fee);
        let charge = less(cost, discount);
        if charge > held {
            return Err(BookRefusal::ChargeExceedsHold { charge, held });
        }
        let fee = less(full_fee, discount);
        let held_back = share(less(charge, fee), settlement.holdback_permille)?;
        let release_at = if held_back > Nanos::ZERO { settlement.release_at } else { Moment(0) };
        Ok(Settle {
            job,
            lease,
            payer,
            owner,
            api_key,
            model,
            tier_asked,
            tier,
            ask,
            price,
            prompt_tokens,
            answer_tokens,
            held,
            discount,
            charge,
            fee,
            held_back,
            release_at,
        })
    }

    /// Returns what the owner earned, with what is held back.
    pub fn earned(&self) -> Nanos {
        less(self.charge, self.fee)
    }

    /// Returns when what is held back is due; `None` when nothing is.
    pub fn release_at(&self) -> Option<Moment> {
        Some(self.release_at).filter(|_| self.held_back > Nanos::ZERO)
    }
}

/// Subtracts a part from the whole that it was taken from.
pub(super) fn less(whole: Nanos, part: Nanos) -> Nanos {
    whole.checked_sub(part).expect("two amounts of an entry are at least zero, so their difference fits")
}
