//! Outlook: what `GET /api/plugin/outlook/{pluginId}` answers: why jobs do not come, and what they would pay.

use serde::{Deserialize, Serialize};

use crate::{Moment, Price};

/// How a plugin's chances stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// What keeps jobs away, the weightiest first.
    pub obstacles: Vec<Obstacle>,
    /// The models that it offers.
    pub models: Vec<ModelOutlook>,
    /// The models on offer anywhere that were asked for most today, most first.
    pub wanted: Vec<Wanted>,
    /// What pages think of its answers; `None` where too few have said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// For how long requests and tokens were counted: since midnight UTC, or since the relay was started.
    pub counted_ms: u64,
}

/// What pages think of an owner's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// The figure, in thousandths: 1,000 where every answer of very many had a thumb up.
    pub permille: u64,
    /// How many have said something.
    pub voices: u64,
}

/// Something that keeps jobs away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Obstacle {
    /// The plugin has no session.
    NotConnected,
    /// It offers no model.
    NoModel,
    /// Its owner takes no new jobs.
    Paused,
    /// Failures in a row keep it from jobs for a while.
    Parked {
        /// Until then.
        until: Moment,
    },
    /// So many of its jobs failed of late that nothing is given to it.
    Untrusted {
        /// Its success rate, in thousandths.
        success_permille: u64,
        /// The lowest that is served.
        lowest_permille: u64,
    },
    /// Nobody has asked for anything today.
    NoDemand,
    /// Nobody has asked for this model today.
    NotWanted {
        /// The model.
        model: String,
        /// The model on offer that was asked for most.
        instead: Wanted,
    },
    /// It asks more than others do for this model.
    Dear {
        /// The model.
        model: String,
        /// How much more than the median a prompt and an answer of one length cost, in per cent.
        percent: u64,
        /// The median of what others ask.
        median: Price,
    },
    /// Requests of today were too long for the model's context.
    TooShort {
        /// The model.
        model: String,
        /// The model's context, in tokens.
        context: u32,
        /// How many of all requests of today, in thousandths.
        permille: u64,
    },
    /// It serves its group alone.
    GroupOnly {
        /// Accounts in the group; `None` when it is in no group.
        accounts: Option<u64>,
    },
    /// It serves verified accounts alone, and other accounts have asked.
    VerifiedOnly {
        /// How many of all requests of today, in thousandths.
        permille: u64,
    },
    /// It refuses what requests of today were about.
    TopicRefused {
        /// How many of all requests of today that were read for it, in thousandths.
        permille: u64,
    },
    /// Others who serve this model are ahead and have room.
    Outranked {
        /// The model.
        model: String,
        /// How many.
        by: u64,
    },
    /// It is new: the highest tier is closed to it, and a part of what it earns is held back.
    New {
        /// Jobs that have yet to be paid.
        jobs_left: u64,
        /// Accounts that have yet to pay for one.
        pages_left: u64,
        /// When it is known for long enough; `None` before its first paid job.
        known_at: Option<Moment>,
    },
}

/// One model and the market for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelOutlook {
    /// The model, as the plugin names it.
    pub model: String,
    /// What it asks, before the tier.
    pub ask: Price,
    /// Others who serve the same model.
    pub others: u64,
    /// The lowest and the highest that others ask on each side, and their median; `None` without others.
    pub market: Option<Range>,
    /// Requests for this model since midnight UTC, or since the relay was started.
    pub requests: u64,
    /// Prompt tokens that were paid for this model since then, at anybody's.
    pub prompt_tokens: u64,
    /// Answer tokens likewise.
    pub answer_tokens: u64,
}

/// What others ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The lowest on each side.
    pub lowest: Price,
    /// The median.
    pub median: Price,
    /// The highest on each side.
    pub highest: Price,
}

/// A model that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The model.
    pub model: String,
    /// Requests for it today.
    pub requests: u64,
}
