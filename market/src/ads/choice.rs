//! Choices: an ad for an answer, what becomes of it, and why it may come to nothing.

use std::sync::Arc;

use rekursing_protocol::{CampaignId, ImpressionId, Nanos, Span};

use super::{Bid, Country, Creative, Prices, Topic, Why};
use crate::ledger::{BookRefusal, Cause, Entry};

/// Who is going to see an ad.
#[derive(Debug, Clone)]
pub struct Audience {
    /// What the question is about.
    pub topic: Topic,
    /// The visitor, by a number that tells nothing of him.
    pub visitor: u64,
    /// Where he is, if that is known.
    pub country: Option<Country>,
}

/// A chosen ad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// This one showing of it.
    pub impression: ImpressionId,
    /// Whose ad it is.
    pub campaign: CampaignId,
    /// What readers see.
    pub creative: Arc<Creative>,
    /// Why this one.
    pub why: Why,
    /// What it costs the advertiser.
    pub prices: Prices,
    /// What it can be expected to bring: its prices times how often ads are seen and clicked, rounded down.
    pub expected: Nanos,
}

/// What became of a word that an ad was seen or clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// It counts. The shell stores the entries, in this order.
    New(Vec<Happening>),
    /// It counted before.
    Again,
}

/// An impression or a click that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// [`Cause::Impression`] or [`Cause::Click`].
    pub cause: Cause,
    /// Whose ad it was.
    pub campaign: CampaignId,
    /// What it cost; `None` for nothing.
    pub entry: Option<Entry>,
}

/// Why an impression or a click does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdRefusal {
    /// There is no such ad out: it was never chosen, or too long ago.
    #[error("this ad is not out")]
    NotOut,
    /// It is another visitor's.
    #[error("this ad was shown to somebody else")]
    OtherVisitor,
    /// Nobody can have seen it, or read it, in so short a time.
    #[error("this ad has not been there long enough")]
    TooSoon {
        /// How much longer it takes.
        wait: Span,
    },
    /// As many of the visitor's clicks as may count today have counted.
    #[error("no more clicks of this visitor count today")]
    ClicksUsed,
    /// The ledger moves no money for it.
    #[error("the ledger refuses the ad's price")]
    Book(#[source] BookRefusal),
}

/// Why a campaign is not put on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoardRefusal {
    /// Another account's.
    #[error("a campaign stays with its account")]
    Account,
    /// A bid below the floor, which is never shown.
    #[error(
        "a bid is at least {} USD per thousand impressions and {} USD per click, for each of the two that it has",
        .0.thousand, .0.click
    )]
    BelowFloor(Bid),
    /// A budget below what is spent and reserved.
    #[error("the budget is below the {0} USD that are spent or set aside for ads that are out")]
    Spent(Nanos),
    /// Too many of them in all.
    #[error("there are too many campaigns")]
    Full,
    /// Too many of them of one account.
    #[error("the account has too many campaigns; change one that is over")]
    AccountFull,
}
