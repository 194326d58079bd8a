//! Counts that no ledger entry tells, gathered in memory and stored every few seconds.

use std::collections::HashMap;

use rekursing_protocol::{CampaignId, Moment};

use crate::store::AdCount;

/// Whose count it is, and on which day. What is asked is counted for no campaign.
type Of = (Option<CampaignId>, u64);

/// What has been counted since it was last stored. There are at most as many rows as campaigns, twice over
/// at midnight.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<Of, AdCount>);

impl Tally {
    /// Counts an answer that could have an ad.
    pub(super) fn asked(&mut self, now: Moment) {
        self.of(None, now).asked += 1;
    }

    /// Counts an ad that was sent.
    pub(super) fn sent(&mut self, now: Moment, campaign: CampaignId) {
        self.of(Some(campaign), now).sent += 1;
    }

    /// Counts an impression that cost nothing.
    pub(super) fn seen(&mut self, now: Moment, campaign: CampaignId) {
        self.of(Some(campaign), now).impressions += 1;
    }

    /// Counts a click that cost nothing.
    pub(super) fn clicked(&mut self, now: Moment, campaign: CampaignId) {
        self.of(Some(campaign), now).clicks += 1;
    }

    /// Takes everything.
    pub(super) fn take(&mut self) -> Vec<(Of, AdCount)> {
        self.0.drain().collect()
    }

    /// Puts back what could not be stored.
    pub(super) fn put_back(&mut self, counts: Vec<(Of, AdCount)>) {
        for (of, count) in counts {
            let known = self.0.entry(of).or_default();
            known.asked += count.asked;
            known.sent += count.sent;
            known.impressions += count.impressions;
            known.clicks += count.clicks;
        }
    }

    fn of(&mut self, campaign: Option<CampaignId>, now: Moment) -> &mut AdCount {
        self.0.entry((campaign, now.day())).or_default()
    }
}
