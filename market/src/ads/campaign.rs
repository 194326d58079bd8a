//! Campaigns: whose ad it is, for which answers, what it bids and what it may spend.

use std::{fmt, str::FromStr, sync::Arc};

use rekursing_protocol::{AccountId, Moment, Nanos};

use super::{Category, Creative, text, topic};

/// Most keywords of a campaign.
pub const KEYWORDS_MAX: usize = 50;

/// Most countries of a campaign.
pub const COUNTRIES_MAX: usize = 250;

/// Highest bid per thousand impressions: 10,000 dollars.
pub const BID_THOUSAND_MAX: Nanos = Nanos::new(10_000_000_000_000);

/// Highest bid per click: 1,000 dollars.
pub const BID_CLICK_MAX: Nanos = Nanos::new(1_000_000_000_000);

/// Highest budget: a million dollars.
pub const BUDGET_MAX: Nanos = Nanos::new(1_000_000_000_000_000);

/// Most impressions per visitor and day that a campaign may ask for.
pub const PER_VISITOR_DAY_MAX: u32 = 100;

/// One ad with its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Whose balance pays: [`crate::Account::Advertiser`] with this id.
    pub account: AccountId,
    /// What readers see.
    pub creative: Arc<Creative>,
    /// Beside which answers.
    pub targets: Targets,
    /// What it offers to pay.
    pub bid: Bid,
    /// What it may spend.
    pub budget: Budget,
    /// When it begins.
    pub starts: Moment,
    /// When it is over.
    pub ends: Moment,
    /// Most impressions per visitor and UTC day.
    pub per_visitor_day: u32,
    /// Whether it is paused.
    pub paused: bool,
}

/// Beside which answers an ad may stand. Without categories and keywords it fits every topic, a little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Topics that fit.
    pub categories: Vec<Category>,
    /// Words, or two together, that a question holds; folded as questions are.
    pub keywords: Vec<Keyword>,
    /// Where the visitor is; none for everywhere.
    pub countries: Vec<Country>,
}

/// A word, or two together, folded as questions are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keyword(String);

/// A country by its two letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

/// What an advertiser offers to pay at most. What it does pay is set by the next best bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bid {
    /// For a thousand impressions.
    pub thousand: Nanos,
    /// For a click.
    pub click: Nanos,
}

/// What a campaign may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// In all.
    pub total: Nanos,
    /// Per UTC day.
    pub daily: Nanos,
}

/// Why a campaign is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCampaign {
    /// A keyword that is no word, or none that a question could hold.
    #[error("a keyword is one word or two, each of 2 to 32 letters or digits")]
    Keyword,
    /// A keyword on which no ad is shown.
    #[error("a keyword is about a sensitive subject, beside which no ad is shown")]
    SensitiveKeyword,
    /// Too many keywords or countries.
    #[error("a campaign has at most {KEYWORDS_MAX} keywords and {COUNTRIES_MAX} countries")]
    TooManyTargets,
    /// Not two letters.
    #[error("a country is two capital letters such as DE")]
    Country,
    /// A bid of nothing, below nothing or past the highest.
    #[error(
        "bid per thousand impressions (at most {BID_THOUSAND_MAX} USD), per click (at most {BID_CLICK_MAX} USD) or both"
    )]
    Bid,
    /// A budget of nothing, below nothing or past the highest, or a day's budget above the whole one.
    #[error("a budget is above 0 and at most {BUDGET_MAX} USD, and a day's is at most the whole")]
    Budget,
    /// It is over before it begins.
    #[error("a campaign ends after it starts")]
    Dates,
    /// None or too many.
    #[error("an ad is shown 1 to {PER_VISITOR_DAY_MAX} times a day to the same visitor")]
    PerVisitorDay,
}

impl Campaign {
    /// Checks whatever one field cannot know of another.
    pub fn check(&self) -> Result<(), BadCampaign> {
        if self.targets.keywords.len() > KEYWORDS_MAX || self.targets.countries.len() > COUNTRIES_MAX {
            return Err(BadCampaign::TooManyTargets);
        }
        let Bid { thousand, click } = self.bid;
        let within = |amount: Nanos, most: Nanos| !amount.is_negative() && amount <= most;
        if !within(thousand, BID_THOUSAND_MAX)
            || !within(click, BID_CLICK_MAX)
            || self.bid.whole() <= Nanos::ZERO
        {
            return Err(BadCampaign::Bid);
        }
        let Budget { total, daily } = self.budget;
        if daily <= Nanos::ZERO || daily > total || total > BUDGET_MAX {
            return Err(BadCampaign::Budget);
        }
        if self.ends <= self.starts {
            return Err(BadCampaign::Dates);
        }
        if !(1..=PER_VISITOR_DAY_MAX).contains(&self.per_visitor_day) {
            return Err(BadCampaign::PerVisitorDay);
        }
        Ok(())
    }
}

impl Bid {
    /// Returns the bid for one impression, rounded down to the nano-dollar.
    pub const fn impression(self) -> Nanos {
        Nanos::new(self.thousand.get() / 1_000)
    }

    /// Returns the most that one impression with its click can cost.
    pub(super) const fn whole(self) -> Nanos {
        // Both are far below 64 bits: see the highest bids.
        Nanos::new(self.impression().get().saturating_add(self.click.get()))
    }
}

impl FromStr for Keyword {
    type Err = BadCampaign;

    fn from_str(given: &str) -> Result<Keyword, BadCampaign> {
        let folded = text::folded(given);
        let words = folded.split(' ');
        if words.clone().count() > 2 || words.clone().any(|word| !(2..=32).contains(&word.len())) {
            return Err(BadCampaign::Keyword);
        }
        if topic::subject(&folded).is_some() {
            return Err(BadCampaign::SensitiveKeyword);
        }
        Ok(Keyword(folded))
    }
}

impl Keyword {
    /// Returns it as it is looked for.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Country {
    type Err = BadCampaign;

    fn from_str(text: &str) -> Result<Country, BadCampaign> {
        match text.as_bytes() {
            [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Country([*first, *second])),
            _ => Err(BadCampaign::Country),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.into_iter().try_for_each(|letter| write!(f, "{}", char::from(letter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_folded_and_sensitive_ones_refused() {
        for (given, read) in [
            ("Rust", Ok("rust")),
            ("  Électric   Car ", Ok("electric car")),
            ("", Err(BadCampaign::Keyword)),
            ("x", Err(BadCampaign::Keyword)),
            ("three words here", Err(BadCampaign::Keyword)),
            ("cancer", Err(BadCampaign::SensitiveKeyword)),
            ("travel plan", Ok("travel plan")),
            ("my debt", Err(BadCampaign::SensitiveKeyword)),
        ] {
            let keyword = given.parse::<Keyword>();
            assert_eq!(keyword.as_ref().map(Keyword::as_str), read.as_ref().map(|read| *read), "{given}");
        }
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!("DE".parse::<Country>().unwrap().to_string(), "DE");
        for text in ["", "D", "de", "DEU", "D\u{c9}"] {
            assert_eq!(text.parse::<Country>(), Err(BadCampaign::Country), "{text}");
        }
    }

    #[test]
    fn terms_that_contradict_each_other_are_refused() {
        let good = Campaign {
            account: AccountId::from_bits(1),
            creative: Arc::new(Creative::new("Title", "Text", "https://example.com").unwrap()),
            targets: Targets::default(),
            bid: Bid { thousand: Nanos::DOLLAR, click: Nanos::ZERO },
            budget: Budget { total: Nanos::new(10), daily: Nanos::new(5) },
            starts: Moment(1),
            ends: Moment(2),
            per_visitor_day: 3,
            paused: false,
        };
        assert_eq!(good.check(), Ok(()));
        let changed = |change: fn(&mut Campaign)| {
            let mut campaign = good.clone();
            change(&mut campaign);
            campaign.check().unwrap_err()
        };
        assert_eq!(changed(|c| c.bid = Bid::default()), BadCampaign::Bid);
        // Less than a nano-dollar for an impression is a bid of nothing.
        assert_eq!(changed(|c| c.bid.thousand = Nanos::new(999)), BadCampaign::Bid);
        assert_eq!(changed(|c| c.bid.click = Nanos::new(-1)), BadCampaign::Bid);
        assert_eq!(changed(|c| c.bid.thousand = Nanos::MAX), BadCampaign::Bid);
        assert_eq!(changed(|c| c.budget.daily = Nanos::ZERO), BadCampaign::Budget);
        assert_eq!(changed(|c| c.budget.daily = Nanos::new(11)), BadCampaign::Budget);
        assert_eq!(changed(|c| c.ends = c.starts), BadCampaign::Dates);
        assert_eq!(changed(|c| c.per_visitor_day = 0), BadCampaign::PerVisitorDay);
    }
}
