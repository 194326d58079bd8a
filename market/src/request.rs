//! A request: what a page asks of the market.

use std::sync::Arc;

use rekursing_protocol::{AccountId, JobId, Nanos, OfferKind, PluginId, Price, Topics};

use crate::{ledger::Account, purse::Spender, routing::Routing, tier::Tier};

/// Which model the page wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The best there is.
    Any,
    /// A model by its name, see [`crate::model_name`].
    Named(String),
}

/// Who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// A page's account.
    Page(AccountId),
    /// The operator's free budget, within the visitor's daily quota.
    Free {
        /// Whatever tells one visitor from another, as a hash.
        visitor: u64,
    },
}

impl Payer {
    /// Returns the account that the hold is taken from.
    pub const fn account(self) -> Account {
        match self {
            Payer::Page(account) => Account::Page(account),
            Payer::Free { .. } => Account::Free,
        }
    }

    /// Returns the visitor whose answer is free.
    pub const fn visitor(self) -> Option<u64> {
        match self {
            Payer::Page(_) => None,
            Payer::Free { visitor } => Some(visitor),
        }
    }
}

/// What a page asks for and what it is ready to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The job that the answer will be; made by the shell, never seen before.
    pub job: JobId,
    /// Who pays.
    pub payer: Payer,
    /// The key that spends a page's money; `None` where nothing limits what is spent and nobody asks by
    /// which key.
    pub spender: Option<Arc<Spender>>,
    /// Text or embeddings.
    pub kind: OfferKind,
    /// The model.
    pub model: Wish,
    /// How good.
    pub tier: Tier,
    /// Prompt tokens by the relay's count, as far as it knows the model: what must fit the context.
    pub prompt_tokens: u64,
    /// Most prompt tokens that may be charged and are held for. More than the count where the model's
    /// vocabulary is known only once somebody has the job.
    pub prompt_tokens_max: u64,
    /// Most answer tokens; `None` when the page set no limit.
    pub answer_tokens_max: Option<u64>,
    /// Highest price after the tier, each side apart; `u64::MAX` on a side that is not limited.
    pub price_max: Option<Price>,
    /// Most that the job may cost in all.
    pub cost_max: Option<Nanos>,
    /// Slowest speed, in thousandths of a token per second; 0 for any.
    pub millitokens_per_second_min: u64,
    /// Quantisations that are welcome, see [`crate::quantization::is`]; empty for all.
    pub quantizations: Vec<String>,
    /// The page's own wishes about who answers; `None` where it leaves that to the market.
    pub routing: Option<Box<Routing>>,
    /// Whether the prompt holds images.
    pub needs_vision: bool,
    /// Whether the account is known: it has paid in, or the operator has said so.
    pub is_verified: bool,
    /// What the request is about; `None` where nobody has looked, because no owner refuses anything.
    pub topics: Option<Topics>,
    /// What the ad beside the answer can be expected to bring; nothing where no ad was chosen yet.
    pub ad_expected: Nanos,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The plugins that have left an answer with which this one goes on; empty for an answer of its own.
    pub left_by: Vec<PluginId>,
}

impl Request {
    /// Tells whether it goes on with an answer that was left.
    pub const fn is_continuation(&self) -> bool {
        !self.left_by.is_empty()
    }
}
