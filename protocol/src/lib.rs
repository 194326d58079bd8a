//! What the relay and an owner's plugin say to each other.
//!
//! Plain values and their JSON forms: ids, money, time, GPUs, offers and the frames of the link.
//! This crate knows no socket, no clock, no random source and no rule of the market.

pub mod date;
pub mod device;
pub mod dispute;
pub mod earnings;
pub mod fail;
pub mod frame;
pub mod gpu;
pub mod id;
pub mod key;
pub mod money;
pub mod name;
pub mod object;
pub mod offer;
pub mod outlook;
pub mod pass;
pub mod receipt;
pub mod register;
pub mod time;
pub mod topic;

pub use date::{Day, Hour, Month};
pub use fail::FailCode;
pub use frame::{ToPlugin, ToRelay};
pub use gpu::Gpu;
pub use id::{
    AccountId, CampaignId, GroupId, ImpressionId, JobId, PayoutId, PhoneId, PluginId, SessionId, TeamId,
};
pub use key::KeyId;
pub use money::{Nanos, Price, Pricing};
pub use offer::{Offer, OfferKind, Serves};
pub use time::{Moment, Span};
pub use topic::Topics;

/// Version of the link. A relay refuses every other one with close code 4010.
pub const VERSION: u32 = 1;

/// WebSocket subprotocol of the link.
pub const SUBPROTOCOL: &str = "rekursing.v1";
