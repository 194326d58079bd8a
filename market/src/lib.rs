//! The market: who serves a job, what it costs and who is paid.
//!
//! A synchronous state machine. The shell calls [`Market`] with values and the present moment, then
//! executes the [`Effect`]s in the order in which they come. Nothing here knows a socket, a clock, a
//! random source, JSON or HTTP; randomness is a seed that the shell passes in.

pub mod ads;
pub mod auto;
mod blame;
mod breaker;
mod continuation;
mod demand;
pub mod dispute;
pub mod effect;
#[cfg(test)]
mod effort;
pub mod free;
pub mod groups;
mod holdback;
mod job;
pub mod ledger;
pub mod market;
mod matching;
pub mod meter;
pub mod model_name;
mod outcome;
mod pace;
pub mod payout;
pub mod premium;
mod pricing;
pub mod purse;
pub mod quality;
pub mod quantization;
mod random;
mod record;
pub mod refusal;
pub mod relevance;
pub mod request;
pub mod routing;
mod seen;
mod session;
mod shelf;
mod size;
pub mod steps;
pub mod terms;
pub mod tier;
pub mod view;
mod visitors;
mod volume;

pub use auto::{Auto, Choice, Estimate, Objective};
pub use continuation::{BrokenOff, continuation};
pub use effect::{Assignment, CloseReason, Effect, End};
pub use groups::{Group, GroupRefusal, Groups, Left, Member};
pub use holdback::Patronage;
pub use ledger::{Account, Book, Entry, EntryKind};
pub use market::{History, Market};
pub use meter::Usage;
pub use outcome::Outcome;
pub use pace::{Pace, Quantiles};
pub use premium::{Premium, PremiumRefusal};
pub use purse::{Charged, Limits, Spender, Taken};
pub use refusal::Refusal;
pub use relevance::Gate;
pub use request::{Payer, Request, Wish};
pub use routing::{Routing, Sort};
pub use seen::Seen;
pub use steps::Steps;
pub use terms::Terms;
pub use tier::Tier;
pub use view::{Counts, ModelView, OfferView, SessionView, TierView};
pub use visitors::Visit;
