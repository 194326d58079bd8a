//! Placing an ad beside one answer, without a moment's delay to the answer, unless there is to be no answer
//! without the ad.

use std::{sync::Arc, time::Duration};

use rekursing_market::{
    Payer,
    ads::{Choice, Country, Why},
};
use rekursing_protocol::{JobId, Nanos, receipt};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Ads, News, Use, may_stand_beside};
use crate::{stream::Stream, telemetry};

/// How long an answer that comes whole waits for its ad: the choice takes a thousandth of a second and
/// began long before, unless the machine is too busy for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// An ad that is being chosen for an answer, if there is to be one.
#[derive(Debug)]
pub struct Placing(Stage);

/// How far the choice is.
#[derive(Debug)]
enum Stage {
    /// There is no ad, or it was taken.
    Over,
    Choosing(oneshot::Receiver<Placement>),
    Chosen(Box<Placement>),
}

/// An ad that was chosen. Dropped before it is sent, it is as if it had not been chosen.
#[derive(Debug)]
pub struct Placement {
    ads: Arc<Ads>,
    job: JobId,
    choice: Choice,
    sent: bool,
}

impl Placing {
    /// No ad: the answer is paid for.
    pub const fn none() -> Placing {
        Placing(Stage::Over)
    }

    /// Begins to choose an ad for a free answer, beside the threads that serve sockets.
    pub fn begin(ads: &Arc<Ads>, stream: &Arc<Stream>, country: Option<Country>) -> Placing {
        let Payer::Free { visitor } = stream.work.payer else { return Placing::none() };
        if !may_stand_beside(&stream.work) || !ads.has_campaigns() {
            return Placing::none();
        }
        let (ads, stream) = (Arc::clone(ads), Arc::clone(stream));
        let (placed, wait) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            match ads.place(stream.job, &stream.work.fields, visitor, country) {
                // Where nobody waits any more, the placement is dropped.
                Ok(placement) => drop(placed.send(placement)),
                Err(why) => telemetry::no_ad(why),
            }
        });
        Placing(Stage::Choosing(wait))
    }

    /// An ad that was chosen already.
    #[cfg(test)]
    pub(super) fn chosen(placement: Placement) -> Placing {
        Placing(Stage::Chosen(Box::new(placement)))
    }

    /// Waits until the ad is chosen, for an answer that hangs on it, and no longer than `within`. Returns what
    /// it can be expected to bring: nothing as long as it is not there. It may still come beside the answer.
    pub async fn expected(&mut self, within: Duration) -> Nanos {
        if let Stage::Choosing(wait) = &mut self.0
            && let Ok(chosen) = tokio::time::timeout(within, wait).await
        {
            self.0 = chosen.map_or(Stage::Over, |placement| Stage::Chosen(Box::new(placement)));
        }
        match &self.0 {
            Stage::Chosen(placement) => placement.expected(),
            Stage::Over | Stage::Choosing(_) => Nanos::ZERO,
        }
    }

    /// Returns the ad as JSON if it is there, once; it then counts as sent.
    pub fn take(&mut self) -> Option<Value> {
        match std::mem::replace(&mut self.0, Stage::Over) {
            Stage::Over => None,
            Stage::Chosen(placement) => Some(placement.send()),
            Stage::Choosing(mut wait) => match wait.try_recv() {
                Ok(placement) => Some(placement.send()),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.0 = Stage::Choosing(wait);
                    None
                }
                Err(oneshot::error::TryRecvError::Closed) => None,
            },
        }
    }

    /// Waits a little for the ad.
    pub async fn wait(self) -> Option<Value> {
        let placement = match self.0 {
            Stage::Over => return None,
            Stage::Chosen(placement) => *placement,
            Stage::Choosing(wait) => tokio::time::timeout(PATIENCE, wait).await.ok()?.ok()?,
        };
        Some(placement.send())
    }
}

impl Placement {
    pub(super) const fn new(ads: Arc<Ads>, job: JobId, choice: Choice) -> Placement {
        Placement { ads, job, choice, sent: false }
    }

    /// Returns what the ad can be expected to bring.
    pub const fn expected(&self) -> Nanos {
        self.choice.expected
    }

    /// Sends the ad: returns it as pages get it, and keeps it for the answer's receipt.
    pub(super) fn send(mut self) -> Value {
        self.sent = true;
        let now = self.ads.desk.now();
        self.ads.tell(News::Sent(self.choice.impression, now));
        self.ads.tally.lock().sent(now, self.choice.campaign);
        telemetry::ad("sent", Nanos::ZERO);
        let Choice { impression, campaign, creative, prices, .. } = &self.choice;
        let ad = receipt::Ad {
            impression: *impression,
            campaign: *campaign,
            per_impression: prices.impression,
            per_click: prices.click,
        };
        self.ads.store().keep_ad(self.job, ad);
        let token = |to| self.ads.tokens.make(to, *impression, *campaign);
        json!({
            "title": creative.title(),
            "text": creative.text(),
            "link": format!("/ad/click/{}", token(Use::Clicked)),
            "site": creative.host(),
            "label": "Sponsored",
            "why": why(&self.choice.why),
            "impressionToken": token(Use::Seen),
        })
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if !self.sent {
            self.ads.tell(News::Unsent(self.choice.impression));
        }
    }
}

/// Says why an ad is shown, to whoever sees it.
fn why(why: &Why) -> String {
    match why {
        Why::Keyword(keyword) => format!("Your question mentions “{}”.", keyword.as_str()),
        Why::Category(category) => format!("Your question is about {}.", category.name().replace('_', " ")),
        Why::Anything => "This ad is shown beside any free answer.".to_owned(),
    }
}
