//! The terms of advertising: every limit and number, with its unit.

use rekursing_protocol::{Nanos, Span};

use super::campaign::Bid;

/// Every limit and number of advertising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdTerms {
    /// The least that is paid for a thousand impressions and for a click.
    pub floor: Bid,
    /// Campaigns that there may be in all.
    pub campaigns_max: usize,
    /// Campaigns that one account may have.
    pub campaigns_per_account_max: usize,
    /// Ads that may wait to be seen or clicked; beyond it no ad is chosen.
    pub open_max: usize,
    /// Pairs of a campaign and a visitor that are counted per UTC day; beyond it a new pair gets no ad. As many
    /// visitors' clicks are counted.
    pub pairs_max: usize,
    /// Clicks of one visitor that count per UTC day, on all ads together.
    pub clicks_per_visitor_day: u32,
    /// How long after it was sent an ad counts as seen, at the earliest.
    pub impression_after: Span,
    /// How long after it was seen a click counts, at the earliest.
    pub click_after: Span,
    /// How long after its choice an ad may be seen. Then what was reserved for it is free again.
    pub impression_within: Span,
    /// How long after it was seen an ad may be clicked.
    pub click_within: Span,
    /// Least share of a category in a question, in thousandths, from which an ad fits.
    pub relevance_permille_min: u64,
    /// Relevance of an ad that is for any topic, in thousandths.
    pub relevance_permille_untargeted: u64,
    /// Impressions that are taken to have been seen before the first one, of which
    /// [`AdTerms::clicks_prior`] were clicked.
    pub impressions_prior: u64,
    /// Clicks on them.
    pub clicks_prior: u64,
    /// Chosen ads that are taken to have been before the first one, half of which were seen.
    pub chosen_prior: u64,
    /// Chosen ads after which older ones count half, so that the share that is seen follows its time.
    pub chosen_window: u64,
}

impl Default for AdTerms {
    fn default() -> AdTerms {
        AdTerms {
            floor: Bid { thousand: Nanos::new(100_000_000), click: Nanos::new(10_000_000) },
            campaigns_max: 2_000,
            campaigns_per_account_max: 100,
            open_max: 100_000,
            pairs_max: 200_000,
            clicks_per_visitor_day: 5,
            // A second, less what two clocks may differ by.
            impression_after: Span::millis(900),
            click_after: Span::millis(900),
            impression_within: Span::secs(15 * 60),
            click_within: Span::secs(60 * 60),
            relevance_permille_min: 100,
            relevance_permille_untargeted: 100,
            impressions_prior: 200,
            clicks_prior: 1,
            chosen_prior: 20,
            chosen_window: 20_000,
        }
    }
}
