//! The auction: who among the eligible ads wins, and what it pays.

use rekursing_protocol::{CampaignId, Nanos};

use super::{
    AdTerms,
    campaign::{Bid, Targets},
    topic::Topic,
};
use crate::ads::{Category, campaign::Keyword};

/// Clicks for a million impressions that stand for all of them.
pub(super) const MILLION: u64 = 1_000_000;

/// Why an ad fits a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The question holds a word that the advertiser chose.
    Keyword(Keyword),
    /// The question is about this.
    Category(Category),
    /// It is shown beside any answer.
    Anything,
}

/// An ad that may be shown, and what it is worth beside this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entrant {
    pub(super) campaign: CampaignId,
    pub(super) bid: Bid,
    /// Relevance in thousandths × what an impression brings, in nano-dollars × a million.
    pub(super) score: u128,
}

/// What a winner pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// Once the ad was seen.
    pub impression: Nanos,
    /// Once it was clicked.
    pub click: Nanos,
}

/// Tells how well an ad fits a question, in thousandths, and why; `None` when it does not.
pub(super) fn relevance(terms: &AdTerms, targets: &Targets, topic: &Topic) -> Option<(u64, Why)> {
    if let Some(keyword) = targets.keywords.iter().find(|keyword| topic.holds(keyword.as_str())) {
        return Some((1_000, Why::Keyword(keyword.clone())));
    }
    let best = targets.categories.iter().max_by_key(|category| topic.share(**category));
    match best {
        Some(category) if u64::from(topic.share(*category)) >= terms.relevance_permille_min => {
            Some((u64::from(topic.share(*category)), Why::Category(*category)))
        }
        None if targets.keywords.is_empty() => Some((terms.relevance_permille_untargeted, Why::Anything)),
        Some(_) | None => None,
    }
}

/// Returns the score of a bid: `clicks_ppm` clicks are expected of a million impressions.
pub(super) fn score(relevance_permille: u64, bid: Bid, clicks_ppm: u64) -> u128 {
    u128::from(relevance_permille) * millionfold(bid.impression(), bid.click, clicks_ppm)
}

/// Returns what an impression is expected to bring, clicks included, times a million.
pub(super) fn millionfold(impression: Nanos, click: Nanos, clicks_ppm: u64) -> u128 {
    let wide = |amount: Nanos| u128::from(amount.get().unsigned_abs());
    wide(impression) * u128::from(MILLION) + wide(click) * u128::from(clicks_ppm)
}

/// Returns what the winner pays: its own bid times the next best score over its own score, rounded up to
/// the nano-dollar, but no less than the floor and never more than its bid. With nobody behind it, it pays
/// the floor.
pub(super) fn prices(terms: &AdTerms, winner: &Entrant, next_score: u128) -> Prices {
    let second = |bid: Nanos, floor: Nanos| {
        let wide = u128::from(bid.get().unsigned_abs());
        let scaled = (wide * next_score).div_ceil(winner.score.max(1));
        let scaled = Nanos::new(i64::try_from(scaled).unwrap_or(i64::MAX));
        scaled.max(floor).min(bid)
    };
    Prices {
        impression: second(winner.bid.impression(), terms.floor.impression()),
        click: second(winner.bid.click, terms.floor.click),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(thousand: i64, click: i64) -> Bid {
        Bid { thousand: Nanos::new(thousand), click: Nanos::new(click) }
    }

    fn entrant(bid: Bid, relevance: u64) -> Entrant {
        Entrant { campaign: CampaignId::from_bits(1), bid, score: score(relevance, bid, 5_000) }
    }

    fn terms(thousand: i64, click: i64) -> AdTerms {
        AdTerms { floor: bid(thousand, click), ..AdTerms::default() }
    }

    #[test]
    fn a_winner_pays_what_it_takes_to_stay_ahead() {
        let terms = terms(100_000, 0);
        // 2,000 nano-dollars for an impression, against 1,500 at the same relevance.
        let winner = entrant(bid(2_000_000, 0), 1_000);
        let next = entrant(bid(1_500_000, 0), 1_000);
        assert_eq!(prices(&terms, &winner, next.score).impression, Nanos::new(1_500));
        // Half as relevant is half as strong.
        let next = entrant(bid(1_500_000, 0), 500);
        assert_eq!(prices(&terms, &winner, next.score).impression, Nanos::new(750));
        // An equal one costs the whole bid, and never more.
        assert_eq!(prices(&terms, &winner, winner.score).impression, Nanos::new(2_000));
        assert_eq!(prices(&terms, &winner, winner.score * 2).impression, Nanos::new(2_000));
    }

    #[test]
    fn a_winner_alone_pays_the_floor() {
        let terms = terms(100_000, 7_000);
        let both = entrant(bid(2_000_000, 50_000), 1_000);
        assert_eq!(
            prices(&terms, &both, 0),
            Prices { impression: Nanos::new(100), click: Nanos::new(7_000) }
        );
        let clicks = entrant(bid(0, 50_000), 1_000);
        assert_eq!(prices(&terms, &clicks, 0), Prices { impression: Nanos::ZERO, click: Nanos::new(7_000) });
    }

    #[test]
    fn a_price_is_rounded_up_to_the_nano_dollar() {
        let winner = entrant(bid(1_000_000, 0), 999);
        let next = entrant(bid(333_000, 0), 1_000);
        // 1,000 × (333 × 1,000) ÷ (1,000 × 999) = 333.3…
        assert_eq!(prices(&terms(1_000, 0), &winner, next.score).impression, Nanos::new(334));
    }

    #[test]
    fn keywords_fit_best_and_categories_by_their_share() {
        let terms = AdTerms::default();
        let topic = Topic::read("Which laptop and which hotel for a Rust developer?", "").unwrap();
        let targets = |categories: &[Category], keywords: &[&str]| Targets {
            categories: categories.to_vec(),
            keywords: keywords.iter().map(|keyword| keyword.parse().unwrap()).collect(),
            countries: Vec::new(),
        };
        let fits = |categories: &[Category], keywords: &[&str]| {
            relevance(&terms, &targets(categories, keywords), &topic)
        };
        assert_eq!(fits(&[Category::Technology], &[]), Some((750, Why::Category(Category::Technology))));
        assert_eq!(
            fits(&[Category::Food, Category::Travel], &[]),
            Some((250, Why::Category(Category::Travel)))
        );
        let rust: Keyword = "rust developer".parse().unwrap();
        assert_eq!(fits(&[Category::Travel], &["rust developer"]), Some((1_000, Why::Keyword(rust))));
        assert_eq!(fits(&[Category::Food], &[]), None);
        assert_eq!(fits(&[], &["espresso"]), None);
        assert_eq!(fits(&[], &[]), Some((terms.relevance_permille_untargeted, Why::Anything)));
    }
}
