//! PayPal's answers, as far as they matter here.

use rekursing_protocol::Nanos;
use serde::Deserialize;

use crate::http::clip;

/// A batch that was taken.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) batch_header: CreatedHeader,
}

#[derive(Deserialize)]
pub(super) struct CreatedHeader {
    pub(super) payout_batch_id: String,
}

/// A batch with its items.
#[derive(Deserialize)]
pub(super) struct Batch {
    pub(super) batch_header: Header,
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) batch_status: String,
    pub(super) sender_batch_header: SenderHeader,
}

#[derive(Deserialize)]
pub(super) struct SenderHeader {
    #[serde(default)]
    pub(super) sender_batch_id: String,
}

/// One payment of a batch.
#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) payout_item_id: String,
    #[serde(default)]
    pub(super) transaction_id: Option<String>,
    pub(super) transaction_status: String,
    #[serde(default)]
    pub(super) payout_item_fee: Option<Amount>,
    pub(super) payout_item: Ordered,
    #[serde(default)]
    pub(super) errors: Option<Problem>,
}

/// What was ordered of an item.
#[derive(Deserialize)]
pub(super) struct Ordered {
    pub(super) amount: Amount,
    pub(super) receiver: String,
}

#[derive(Deserialize)]
pub(super) struct Amount {
    pub(super) value: String,
    pub(super) currency: String,
}

/// Why PayPal did not do something.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Problem {
    pub(super) name: String,
    message: String,
    // PayPal sends an object in place of an empty list.
    details: serde_json::Value,
    links: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    field: String,
    issue: String,
    link: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

impl Item {
    /// Returns what PayPal took for the item; `None` when it is not an amount of dollars.
    pub(super) fn fee(&self) -> Option<Nanos> {
        match &self.payout_item_fee {
            None => Some(Nanos::ZERO),
            Some(fee) if fee.currency == "USD" => fee.value.parse().ok(),
            Some(_) => None,
        }
    }

    /// Returns why it failed, if PayPal says so.
    pub(super) fn reason(&self) -> Option<String> {
        let problem = self.errors.as_ref()?;
        let words = if problem.message.is_empty() { &problem.name } else { &problem.message };
        (!words.is_empty()).then(|| clip(words))
    }
}

impl Problem {
    /// Returns the name of the batch that already has this `sender_batch_id`, if that is the problem and
    /// PayPal tells the name.
    pub(super) fn original(&self) -> Option<String> {
        if !self.is_repetition() {
            return None;
        }
        let mut links = self.details().into_iter().flat_map(|detail| detail.link).collect::<Vec<_>>();
        links.extend(serde_json::from_value::<Vec<Link>>(self.links.clone()).unwrap_or_default());
        links.iter().find_map(|link| {
            let (_, rest) = link.href.split_once("/v1/payments/payouts/")?;
            let name = rest.split(['?', '/']).next()?;
            super::is_name(name).then(|| name.to_owned())
        })
    }

    /// Tells whether the problem is that the `sender_batch_id` was used before.
    pub(super) fn is_repetition(&self) -> bool {
        let repeats = |detail: &Detail| detail.field.eq_ignore_ascii_case("sender_batch_id");
        self.name == "USER_BUSINESS_ERROR" && self.details().iter().any(repeats)
    }

    /// Tells whether the problem is the receiver.
    pub(super) fn is_about_receiver(&self) -> bool {
        self.details().iter().any(|detail| detail.field.ends_with("receiver"))
    }

    /// Returns what PayPal says, for the operator.
    pub(super) fn words(&self) -> String {
        let issues = self.details().into_iter().map(|detail| detail.issue);
        let words = [self.name.clone(), self.message.clone()].into_iter().chain(issues);
        words.filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ")
    }

    fn details(&self) -> Vec<Detail> {
        serde_json::from_value(self.details.clone()).unwrap_or_default()
    }
}
