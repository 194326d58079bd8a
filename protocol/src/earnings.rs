//! Earnings: what `GET /api/plugin/earnings/{pluginId}` answers and the popup shows.

use serde::{Deserialize, Serialize};

use crate::{Day, JobId, Moment, Nanos, PluginId, dispute::State};

/// What a plugin has earned, by the relay's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earnings {
    /// The plugin.
    pub plugin_id: PluginId,
    /// What can be paid out.
    pub available: Nanos,
    /// What is held back until trusted.
    pub held: Nanos,
    /// What is set aside of it while a job is disputed.
    #[serde(default)]
    pub disputed: Nanos,
    /// When what is held back is due, soonest first; together they are what is held.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// What was asked to be paid out and has neither arrived nor come back.
    #[serde(default)]
    pub in_payout: Nanos,
    /// What has been paid out.
    pub paid: Nanos,
    /// What the ways of paying took of it.
    #[serde(default)]
    pub payout_costs: Nanos,
    /// Until when nothing is paid out because the destination is new; nothing when it is not, or there is none.
    #[serde(default)]
    pub payouts_held_until: Option<Moment>,
    /// Earned since midnight UTC.
    pub today: Nanos,
    /// Earned today and in the six days before.
    pub last7_days: Nanos,
    /// Earned today and in the 29 days before.
    pub last30_days: Nanos,
    /// Earned in all.
    pub total: Nanos,
    /// Jobs paid in all.
    pub jobs: u64,
    /// What each day of the last 90 earned, oldest first; days without a job are left out.
    #[serde(default)]
    pub days: Vec<DayEarnings>,
    /// What each model earned in all, most first.
    pub models: Vec<ModelEarnings>,
    /// The latest jobs, newest first, at most 50.
    pub recent: Vec<RecentJob>,
}

/// One of an owner's latest jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentJob {
    /// What was charged and earned when it ended.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// What of the charge was given back to whoever paid it since: nothing, or all of it.
    #[serde(default)]
    pub given_back: Nanos,
    /// Where its dispute stands, if whoever paid has opened one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<State>,
}

/// A part of what is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// When all of it is due at the latest.
    pub at: Moment,
    /// How much.
    pub amount: Nanos,
}

/// What one UTC day earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayEarnings {
    /// The day.
    pub day: Day,
    /// Jobs paid.
    pub jobs: u64,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What the owner earned.
    pub earned: Nanos,
}

/// What one model earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelEarnings {
    /// The model.
    pub model: String,
    /// Jobs paid.
    pub jobs: u64,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What the owner earned.
    pub earned: Nanos,
}

/// One settled job, in short. [`receipt::FullReceipt`](crate::receipt::FullReceipt) tells all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The job.
    pub job_id: JobId,
    /// When it was settled.
    pub at: Moment,
    /// The model.
    pub model: String,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What the page paid.
    pub charge: Nanos,
    /// The platform's fee, a part of the charge.
    pub fee: Nanos,
    /// What the owner earned: charge less fee.
    pub earned: Nanos,
    /// The part of it that is held back.
    #[serde(default)]
    pub held_back: Nanos,
    /// When that is due; `None` when nothing is held back.
    #[serde(default)]
    pub release_at: Option<Moment>,
}
