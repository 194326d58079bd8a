//! The model in the browser: offered once it has shown that it is fast enough, and while it is.

use rekursing_protocol::Offer;

use super::{Agent, Why};

/// Slowest that it may be, in thousandths of a token per second. A page waits a minute for a hundred tokens at this
/// speed; below it, answers cost their owner a good record and bring next to nothing.
const MILLITOKENS_PER_SECOND_MIN: u64 = 2_000;

impl Agent {
    /// Tells whether an offer is fast enough. What a model server has is measured by the relay; what runs in the
    /// browser must have passed a self-test before, and is not offered any more once jobs show that it is slow.
    pub(super) fn is_fast_enough(&self, offer: &Offer) -> bool {
        !offer.browser || self.memory.speeds.get(&offer.model) >= Some(&MILLITOKENS_PER_SECOND_MIN)
    }

    /// Tells whether a model is that of the browser.
    pub(super) fn is_in_browser(&self, model: &str) -> bool {
        self.config.browser.as_deref() == Some(model)
    }

    /// Returns the model in the browser whose speed is not known and that was not tried since it is there.
    pub(super) fn untried(&self) -> Option<Offer> {
        let is_seen = |offer: &Offer| self.trial.seen().is_some_and(|seen| seen.model == offer.model);
        let is_new = |offer: &Offer| !self.memory.speeds.contains_key(&offer.model) && !is_seen(offer);
        self.watch.offers().into_iter().find(|offer| offer.browser && is_new(offer))
    }

    /// Returns why nothing is offered though the model in the browser is there.
    pub(super) fn kept_back(&self) -> Option<Why> {
        let offers = self.watch.offers();
        let mut chosen = offers.iter().filter(|offer| self.config.models.offers(&offer.model)).peekable();
        let slow = chosen.peek().is_some() && chosen.all(|offer| !self.is_fast_enough(offer));
        let model = self.config.browser.as_deref().filter(|_| slow)?;
        Some(if self.memory.speeds.contains_key(model) { Why::BrowserSlow } else { Why::BrowserUntried })
    }

    /// Forgets what was measured of weights that are there no longer: others of the same name may come.
    pub(super) fn forget_browser(&mut self, model: Option<&str>) {
        let Some(model) = model else { return };
        self.memory.speeds.remove(model);
        self.trial.forget(model);
    }
}
