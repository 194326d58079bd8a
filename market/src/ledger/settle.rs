//! Settlements: what a job cost, who earned it, and how each figure follows from the others.

use std::{fmt, str::FromStr};

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
    /// What of the ask the page pays for the tier that it got, in thousandths; at most what it was told.
    pub tier_permille: u64,
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
    /// The rates by which all of it follows from ask and tokens; `None` in entries of a time before they were
    /// stored.
    pub rates: Option<Rates>,
}

/// The rates of a settlement, in thousandths, as they were at that moment. They print and read as
/// `tier/fee/discount/holdback`: `1500/50/5/500`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// What of the ask the price is.
    pub tier: u64,
    /// What of the cost the fee is, before the discount.
    pub fee: u64,
    /// What of the cost the discount is, before it ends where the fee does.
    pub discount: u64,
    /// What of the earning is held back.
    pub holdback: u64,
}

/// Why a text is no rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rates are four whole numbers with slashes between")]
pub struct BadRates;

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates { tier, fee, discount, holdback } = self;
        write!(f, "{tier}/{fee}/{discount}/{holdback}")
    }
}

impl FromStr for Rates {
    type Err = BadRates;

    fn from_str(text: &str) -> Result<Rates, BadRates> {
        let numbers: Result<Vec<u64>, _> = text.split('/').map(str::parse).collect();
        let [tier, fee, discount, holdback] =
            numbers.ok().and_then(|numbers| numbers.try_into().ok()).ok_or(BadRates)?;
        Ok(Rates { tier, fee, discount, holdback })
    }
}

/// What a cost is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// What the page is spared.
    pub discount: Nanos,
    /// What it pays.
    pub charge: Nanos,
    /// The platform's part.
    pub fee: Nanos,
    /// What of the earning is held back.
    pub held_back: Nanos,
}

impl Parts {
    /// Works it out: cost = price × tokens; discount ≤ full fee; charge = cost − discount;
    /// fee = full fee − discount; earned = charge − fee, which no discount touches. `None` when it leaves 64
    /// bits.
    pub fn of(price: Price, prompt_tokens: u64, answer_tokens: u64, rates: Rates) -> Option<Parts> {
        let share = |of: Nanos, permille: u64| of.checked_share(permille.min(1_000), 1_000);
        let cost = price.cost(prompt_tokens, answer_tokens)?;
        let full_fee = share(cost, rates.fee)?;
        let discount = share(cost, rates.discount)?.min(full_fee);
        let (charge, fee) = (less(cost, discount), less(full_fee, discount));
        Some(Parts { discount, charge, fee, held_back: share(less(charge, fee), rates.holdback)? })
    }
}

impl Settle {
    /// Works a settlement out, see [`Parts::of`].
    pub(super) fn of(settlement: Settlement, payer: Account, held: Nanos) -> Result<Settle, BookRefusal> {
        let Settlement { job, lease, owner, api_key, model, tier_asked, tier, ask, price, .. } = settlement;
        let Settlement { prompt_tokens, answer_tokens, .. } = settlement;
        let rates = Rates {
            tier: settlement.tier_permille,
            fee: settlement.fee_permille,
            discount: settlement.discount_permille,
            holdback: settlement.holdback_permille,
        };
        let parts = Parts::of(price, prompt_tokens, answer_tokens, rates).ok_or(BookRefusal::Overflow)?;
        let Parts { discount, charge, fee, held_back } = parts;
        if charge > held {
            return Err(BookRefusal::ChargeExceedsHold { charge, held });
        }
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
            rates: Some(rates),
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
