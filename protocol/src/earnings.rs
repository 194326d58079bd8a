//! Earnings: what `GET /api/plugin/earnings/{pluginId}` answers and the popup shows.

use serde::{Deserialize, Serialize};

use crate::{JobId, Moment, Nanos, PluginId};

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
    /// What has been paid out.
    pub paid: Nanos,
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
    /// What each model earned in all, most first.
    pub models: Vec<ModelEarnings>,
    /// The latest jobs, newest first, at most 50.
    pub recent: Vec<Receipt>,
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

/// One settled job, as its owner sees it.
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
}
