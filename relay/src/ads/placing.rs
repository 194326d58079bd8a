//! Placing an ad beside one answer, without a moment's delay to the answer.

use std::{sync::Arc, time::Duration};

use rekursing_market::{
    Payer,
    ads::{Choice, Country, Why},
};
use rekursing_protocol::{Nanos, frame::Call};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Ads, Use};
use crate::{stream::Stream, telemetry};

/// How long an answer that comes whole waits for its ad: the choice takes a thousandth of a second and
/// began long before.
const PATIENCE: Duration = Duration::from_millis(50);

/// An ad that is being chosen for an answer, if there is to be one.
#[derive(Debug)]
pub struct Placing(pub(super) Option<oneshot::Receiver<Placement>>);

/// An ad that was chosen. Dropped before it is sent, it is as if it had not been chosen.
#[derive(Debug)]
pub struct Placement {
    ads: Arc<Ads>,
    choice: Choice,
    sent: bool,
}

impl Placing {
    /// No ad: the answer is paid for.
    pub const fn none() -> Placing {
        Placing(None)
    }

    /// Begins to choose an ad for a free answer, beside the threads that serve sockets.
    pub fn begin(ads: &Arc<Ads>, stream: &Arc<Stream>, country: Option<Country>) -> Placing {
        let Payer::Free { visitor } = stream.work.payer else { return Placing::none() };
        if stream.work.call == Call::Embedding {
            return Placing::none();
        }
        ads.tally.lock().asked(ads.desk.now());
        if !ads.has_campaigns() {
            return Placing::none();
        }
        let (ads, stream) = (Arc::clone(ads), Arc::clone(stream));
        let (placed, wait) = oneshot::channel();
        tokio::task::spawn_blocking(move || match ads.place(&stream.work.fields, visitor, country) {
            // Where nobody waits any more, the placement is dropped.
            Ok(placement) => drop(placed.send(placement)),
            Err(why) => telemetry::no_ad(why),
        });
        Placing(Some(wait))
    }

    /// Returns the ad as JSON if it is there, once; it then counts as sent.
    pub fn take(&mut self) -> Option<Value> {
        let placement = self.0.as_mut()?.try_recv().ok()?;
        self.0 = None;
        Some(placement.send())
    }

    /// Waits a little for the ad.
    pub async fn wait(self) -> Option<Value> {
        let placement = tokio::time::timeout(PATIENCE, self.0?).await.ok()?.ok()?;
        Some(placement.send())
    }
}

impl Placement {
    pub(super) const fn new(ads: Arc<Ads>, choice: Choice) -> Placement {
        Placement { ads, choice, sent: false }
    }

    /// Returns what the ad can be expected to bring.
    pub const fn expected(&self) -> Nanos {
        self.choice.expected
    }

    /// Sends the ad: returns it as pages get it.
    pub(super) fn send(mut self) -> Value {
        self.sent = true;
        let now = self.ads.desk.now();
        self.ads.tally.lock().sent(now, self.choice.campaign);
        telemetry::ad("sent", Nanos::ZERO);
        let Choice { impression, campaign, creative, .. } = &self.choice;
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
            self.ads.release(self.choice.impression);
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
