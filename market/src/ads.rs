//! Advertising: which ad stands beside a free answer, and what it costs whom.
//!
//! - [`Campaign`] is one ad with its targets, its bid and its budget; [`Creative`] what readers see of it.
//! - [`Topic`] says what a question is about, or that no ad may stand beside its answer. [`topics`] says
//!   all that it is about, for owners who refuse some of it.
//! - [`Board`] holds the campaigns and the ads that are out. It chooses by relevance × bid, at the price of
//!   the next best one, and reserves that price, so that no budget is overspent however many answers are
//!   under way. An ad that was seen, or clicked, is paid once, by a transfer in the [`crate::Book`]; one
//!   that was not is forgotten after a while.
//!
//! Nothing of a question leaves this module but the name of a category or a keyword that the advertiser
//! chose himself. `docs/ads.md` describes it for readers.

mod auction;
mod board;
mod campaign;
mod caps;
mod choice;
mod creative;
mod rates;
mod spend;
mod terms;
mod text;
mod topic;
mod words;

pub use auction::{Prices, Why};
pub use board::Board;
pub use campaign::{
    BID_CLICK_MAX, BID_THOUSAND_MAX, BUDGET_MAX, BadCampaign, Bid, Budget, COUNTRIES_MAX, Campaign, Country,
    KEYWORDS_MAX, Keyword, PER_VISITOR_DAY_MAX, Targets,
};
pub use choice::{AdRefusal, Audience, BoardRefusal, Choice, Counted, Happening};
pub use creative::{BadCreative, Creative, LINK_BYTES_MAX, TEXT_CHARS_MAX, TITLE_CHARS_MAX};
pub use rekursing_protocol::topic::{BadCategory, Category, Subject};
pub use spend::{Shown, Spend};
pub use terms::AdTerms;
pub use topic::{Silence, TEXT_BYTES_MAX, Topic, topics};
