//! Campaigns as JSON: what an advertiser sends, and what is stored.

use std::sync::Arc;

use rekursing_market::ads::{
    BadCampaign, BadCreative, Bid, Budget, Campaign, Category, Country, Creative, Keyword, Targets,
};
use rekursing_protocol::{AccountId, Moment, Nanos};
use serde::{Deserialize, Serialize};

/// A campaign's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The account that pays; an advertiser's own when it is left out.
    #[serde(default)]
    pub account: Option<AccountId>,
    /// The ad's title.
    pub title: String,
    /// The ad's text.
    pub text: String,
    /// Where a click leads.
    pub link: String,
    /// Topics that fit.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Words that a question holds.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Countries by two letters; none for everywhere.
    #[serde(default)]
    pub countries: Vec<String>,
    /// The most that is paid for a thousand impressions, in USD.
    #[serde(default)]
    pub bid_per_thousand: Nanos,
    /// The most that is paid for a click, in USD.
    #[serde(default)]
    pub bid_per_click: Nanos,
    /// The most that is spent in all, in USD.
    pub budget: Nanos,
    /// The most that is spent per UTC day, in USD; the whole budget when it is left out.
    #[serde(default)]
    pub daily_budget: Option<Nanos>,
    /// When it begins; at once when it is left out.
    #[serde(default)]
    pub starts: Option<Moment>,
    /// When it is over.
    pub ends: Moment,
    /// Most impressions per visitor and UTC day.
    #[serde(default = "per_visitor_day")]
    pub per_visitor_day: u32,
    /// Whether it is paused.
    #[serde(default)]
    pub paused: bool,
}

const fn per_visitor_day() -> u32 {
    3
}

/// Which field of a campaign is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The field.
    pub field: &'static str,
    /// The sentence for a reader.
    pub message: String,
}

impl Spec {
    /// Checks the terms and makes them a campaign of `account`. What was left out is filled in here, so
    /// that what is stored says it.
    pub fn campaign(&mut self, account: AccountId, now: Moment) -> Result<Campaign, Wrong> {
        self.account = Some(account);
        let daily = *self.daily_budget.get_or_insert(self.budget);
        let starts = *self.starts.get_or_insert(now);
        let creative =
            Creative::new(&self.title, &self.text, &self.link).map_err(|refusal| of_creative(&refusal))?;
        let campaign = Campaign {
            account,
            creative: Arc::new(creative),
            targets: self.targets()?,
            bid: Bid { thousand: self.bid_per_thousand, click: self.bid_per_click },
            budget: Budget { total: self.budget, daily },
            starts,
            ends: self.ends,
            per_visitor_day: self.per_visitor_day,
            paused: self.paused,
        };
        campaign.check().map_err(|refusal| of_campaign(&refusal))?;
        Ok(campaign)
    }

    fn targets(&self) -> Result<Targets, Wrong> {
        let mut categories = Vec::with_capacity(self.categories.len().min(Category::ALL.len()));
        for name in &self.categories {
            let category: Category = name.parse().map_err(|refusal| wrong("categories", &refusal))?;
            if !categories.contains(&category) {
                categories.push(category);
            }
        }
        let keywords = self.keywords.iter().map(|keyword| keyword.parse::<Keyword>());
        let countries = self.countries.iter().map(|country| country.parse::<Country>());
        Ok(Targets {
            categories,
            keywords: keywords.collect::<Result<_, _>>().map_err(|refusal| of_campaign(&refusal))?,
            countries: countries.collect::<Result<_, _>>().map_err(|refusal| of_campaign(&refusal))?,
        })
    }
}

fn wrong(field: &'static str, refusal: &dyn std::fmt::Display) -> Wrong {
    Wrong { field, message: refusal.to_string() }
}

fn of_creative(refusal: &BadCreative) -> Wrong {
    let field = match refusal {
        BadCreative::TitleLength | BadCreative::Characters => "title",
        BadCreative::TextLength => "text",
        BadCreative::Link => "link",
    };
    wrong(field, refusal)
}

fn of_campaign(refusal: &BadCampaign) -> Wrong {
    let field = match refusal {
        BadCampaign::Keyword | BadCampaign::SensitiveKeyword | BadCampaign::TooManyTargets => "keywords",
        BadCampaign::Country => "countries",
        BadCampaign::Bid => "bidPerThousand",
        BadCampaign::Budget => "budget",
        BadCampaign::Dates => "ends",
        BadCampaign::PerVisitorDay => "perVisitorDay",
    };
    wrong(field, refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId::from_bits(5);

    fn spec(extra: &str) -> Spec {
        let json = format!(
            r#"{{"title":"T","text":"X","link":"https://example.com","budget":"5","ends":9000,
                "bidPerThousand":"1.5"{extra}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_was_left_out_is_filled_in_and_stored_the_same() {
        let mut spec = spec("");
        let campaign = spec.campaign(ACCOUNT, Moment(7)).unwrap();
        assert_eq!(campaign.budget.daily, Nanos::new(5_000_000_000));
        assert_eq!((campaign.starts, campaign.per_visitor_day), (Moment(7), 3));
        let mut stored: Spec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(stored.campaign(ACCOUNT, Moment(8)).unwrap(), campaign);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (extra, field) in [
            (r#","categories":["politics"]"#, "categories"),
            (r#","keywords":["cancer"]"#, "keywords"),
            (r#","countries":["de"]"#, "countries"),
            (r#","dailyBudget":"6""#, "budget"),
            (r#","starts":9000"#, "ends"),
            (r#","perVisitorDay":0"#, "perVisitorDay"),
        ] {
            assert_eq!(spec(extra).campaign(ACCOUNT, Moment(7)).unwrap_err().field, field);
        }
        assert!(serde_json::from_str::<Spec>(r#"{"title":"T","price":"1"}"#).is_err());
    }
}
