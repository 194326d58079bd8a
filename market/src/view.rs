//! Views: what the market shows to readers, for lists, statistics and metrics.

use std::sync::Arc;

use rekursing_protocol::{Moment, Offer, OfferKind, PluginId, Price, Serves, SessionId};

use crate::{pace::Pace, tier::Tier};

/// One model and what is to be had of it at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelView {
    /// The name to ask for.
    pub id: String,
    /// Text or embeddings.
    pub kind: OfferKind,
    /// Plugins that serve it.
    pub providers: usize,
    /// Lowest price on each side, in the standard tier.
    pub price_min: Price,
    /// Highest price on each side, in the standard tier.
    pub price_max: Price,
    /// Highest measured speed, in thousandths of a token per second; 0 when none was measured.
    pub millitokens_per_second: u64,
    /// Largest context, in tokens.
    pub context: u32,
    /// Quantisations on offer, sorted.
    pub quantizations: Vec<String>,
    /// Whether somebody's understands images.
    pub vision: bool,
    /// Whether somebody's was trained to call tools.
    pub tools: bool,
    /// Whether all who serve it run it in a browser, so that it is to be had in the lowest tier alone.
    pub browser: bool,
    /// Jobs that could begin at once.
    pub slots_free: usize,
    /// How fast its answers were in the last half hour; nothing where none was measured.
    pub pace: Option<Pace>,
    /// The tiers in which it is to be had, lowest first.
    pub tiers: Vec<TierView>,
}

/// What of a model is to be had in one tier at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierView {
    /// The tier.
    pub tier: Tier,
    /// Plugins that have shown what it asks for.
    pub providers: usize,
    /// Lowest price on each side.
    pub price_min: Price,
    /// Highest price on each side.
    pub price_max: Price,
    /// Highest measured speed of those plugins, in thousandths of a token per second; 0 when none was measured.
    pub millitokens_per_second: u64,
}

/// One session and how it fares.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionView {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub plugin: PluginId,
    /// When it joined.
    pub since: Moment,
    /// Jobs at once over all models.
    pub slots: u16,
    /// Whether the owner takes no new jobs.
    pub paused: bool,
    /// When his pause ends, as the plugin says.
    pub paused_until: Option<Moment>,
    /// Whom the owner serves.
    pub serves: Serves,
    /// Whether no heartbeat has come for long.
    pub suspect: bool,
    /// Whether failures keep it from new jobs.
    pub parked: bool,
    /// Success rate as of its last job, in thousandths.
    pub success_permille: u64,
    /// What it offers.
    pub offers: Vec<OfferView>,
}

/// One model of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferView {
    /// The offer.
    pub offer: Arc<Offer>,
    /// What the owner asks, before the tier.
    pub ask: Price,
    /// The measured speed in thousandths of a token per second; 0 when none was measured.
    pub millitokens_per_second: u64,
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sessions whose socket is there.
    pub sessions: usize,
    /// Sessions whose socket is lost and that may be resumed; no other figure of sessions counts them.
    pub suspended: usize,
    /// Sessions without a sign of life for long.
    pub suspects: usize,
    /// Sessions that failures keep from new jobs.
    pub parked: usize,
    /// Offers of all sessions.
    pub offers: usize,
    /// Slots of all sessions.
    pub slots: usize,
    /// Jobs that a session has.
    pub running: usize,
    /// Jobs that wait for a slot.
    pub waiting: usize,
    /// Jobs whose answer was complete, since the start.
    pub completed: u64,
    /// Jobs that broke off after their first piece, since the start.
    pub failed: u64,
    /// Jobs that were refused, at once or later, since the start.
    pub refused: u64,
    /// Jobs that the page cancelled, since the start.
    pub cancelled: u64,
    /// Attempts that failed before the first piece and were made again elsewhere, since the start.
    pub retries: u64,
    /// Holds that are neither settled nor void.
    pub open_holds: usize,
}
