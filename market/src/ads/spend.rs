//! Spending: what a campaign has brought and cost, and what is set aside for an ad that is out.

use rekursing_protocol::{AccountId, CampaignId, Moment, Nanos, Span};

use super::{AdRefusal, Prices};

/// What a campaign has brought and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// Paid in all.
    pub total: Nanos,
    /// The UTC day of [`Spend::on_day`].
    pub day: u64,
    /// Paid on that day.
    pub on_day: Nanos,
    /// Set aside for ads that are out.
    pub reserved: Nanos,
    /// Times that the ad was seen.
    pub impressions: u64,
    /// Times that it was clicked.
    pub clicks: u64,
}

impl Spend {
    /// Returns what was paid on the day of `now`.
    pub fn today(&self, now: Moment) -> Nanos {
        if self.day == now.day() { self.on_day } else { Nanos::ZERO }
    }

    pub(super) fn pay(&mut self, now: Moment, amount: Nanos) {
        self.on_day = plus(self.today(now), amount);
        self.day = now.day();
        self.total = plus(self.total, amount);
    }
}

/// How often a visitor was given an ad on a day, or how many of his clicks counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The UTC day, counted from the Unix epoch.
    pub day: u64,
    /// The visitor, as the shell tells one from another on that day.
    pub visitor: u64,
    /// Whose ad he was given; `None` for his clicks, on all ads together.
    pub of: Option<CampaignId>,
    /// How often.
    pub times: u32,
}

/// An ad that is out.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) campaign: CampaignId,
    pub(super) account: AccountId,
    pub(super) visitor: u64,
    pub(super) day: u64,
    /// When it was chosen, sent or seen, whichever came last.
    pub(super) since: Moment,
    pub(super) deadline: Moment,
    pub(super) prices: Prices,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Chosen,
    Seen,
    Clicked,
}

impl Open {
    /// Refuses what comes sooner than this after the step before.
    pub(super) fn has_stood(&self, now: Moment, least: Span) -> Result<(), AdRefusal> {
        let stood = now.since(self.since);
        if stood >= least { Ok(()) } else { Err(AdRefusal::TooSoon { wait: Span(least.0 - stood.0) }) }
    }

    /// Returns what is still set aside for it.
    pub(super) const fn reserved(&self) -> Nanos {
        match self.stage {
            Stage::Chosen => plus(self.prices.impression, self.prices.click),
            Stage::Seen => self.prices.click,
            Stage::Clicked => Nanos::ZERO,
        }
    }
}

/// Adds amounts of which every sum is within a budget or a balance.
pub(super) const fn plus(one: Nanos, other: Nanos) -> Nanos {
    one.checked_add(other).expect("budgets and bids are far below 64 bits")
}
