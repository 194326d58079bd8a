//! Sessions as the market sees them: what is offered, what runs, and whether a job may come.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use rekursing_protocol::{
    AccountId, GroupId, JobId, Moment, Offer, PluginId, Price, Pricing, Serves, SessionId, Span, Topics,
};

use crate::{
    breaker::Breaker,
    holdback::Standing,
    record::{Reliability, Speed, whole},
    shelf::{Rank, ShelfId},
    terms::Terms,
};

/// One live connection of a plugin.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) plugin: PluginId,
    /// Whether it is a server of the operator's own.
    pub(crate) is_upstream: bool,
    /// The visitor for whom a page of its own network would be taken.
    pub(crate) network: Option<u64>,
    /// The page that the plugin belongs to, if it is one's own.
    pub(crate) account: Option<AccountId>,
    pub(crate) since: Moment,
    /// Counts sessions in the order in which they came.
    pub(crate) arrival: u64,
    /// The latest sign of life.
    pub(crate) alive: Moment,
    pub(crate) is_suspect: bool,
    /// Until when it may be resumed, while its socket is lost.
    pub(crate) suspended_until: Option<Moment>,
    pub(crate) is_paused: bool,
    /// When its owner's pause ends, as it says.
    pub(crate) paused_until: Option<Moment>,
    /// The group that the plugin is in.
    pub(crate) group: Option<GroupId>,
    /// What it asks of that group's accounts.
    pub(crate) group_ask: Price,
    pub(crate) serves: Serves,
    pub(crate) refuses: Topics,
    pub(crate) slots: u16,
    /// Requests waiting at the owner's server, by his own word.
    pub(crate) queue: u16,
    /// Until when the session asked to be left alone.
    pub(crate) resting_until: Moment,
    pub(crate) breaker: Breaker,
    pub(crate) reliability: Reliability,
    pub(crate) standing: Standing,
    pub(crate) stocks: Vec<Stock>,
    pub(crate) jobs: Vec<JobId>,
}

/// An offer of a session.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) offer: Arc<Offer>,
    /// Where it stands: kind, family, exact name.
    pub(crate) shelves: [Option<ShelfId>; 3],
    /// Its jobs that run.
    pub(crate) busy: u16,
    pub(crate) speed: Speed,
    /// What the owner asks.
    pub(crate) ask: Price,
    /// Its rank while it is open.
    pub(crate) open: Option<Rank>,
}

impl Stock {
    /// Tells whether the owner asks what others ask.
    pub(crate) fn follows(&self) -> bool {
        matches!(self.offer.price, Some(Pricing::Market { .. }))
    }
}

impl Session {
    /// Returns how many jobs run.
    pub(crate) fn busy(&self) -> u16 {
        u16::try_from(self.jobs.len()).unwrap_or(u16::MAX)
    }

    /// Tells whether a job of some offer may come.
    pub(crate) fn is_open(&self, now: Moment) -> bool {
        !self.is_paused
            && !self.is_suspect
            && !self.is_suspended()
            && self.busy() < self.slots
            && self.resting_until <= now
            && self.breaker.admits()
    }

    /// Tells whether it is in the market: strangers can ask it.
    pub(crate) fn is_public(&self) -> bool {
        self.serves != Serves::Group
    }

    /// Returns what it asks of friends. An owner who never asks less than something means friends too, though not
    /// more than he asks of strangers, by which he is ranked.
    pub(crate) fn ask_of_friends(&self, stock: &Stock) -> Price {
        self.group_ask.at_least(stock.offer.least.unwrap_or_default().at_most(stock.ask))
    }

    /// Tells whether its socket is lost and its plugin may be back.
    pub(crate) const fn is_suspended(&self) -> bool {
        self.suspended_until.is_some()
    }

    /// Tells whether it is suspended, or nothing was heard for so long that it may be gone.
    pub(crate) fn is_silent(&self, terms: &Terms, now: Moment) -> bool {
        self.is_suspended() || now.since(self.alive) >= terms.suspect_after
    }

    /// Returns how good an offer is at this moment: success rate × speed × promptness × stability ×
    /// load × the weight of its price.
    pub(crate) fn score(&self, terms: &Terms, now: Moment, stock: &Stock) -> f64 {
        let free = f64::from(self.slots.saturating_sub(self.busy())) / f64::from(self.slots.max(1));
        let load = free / f64::from(self.queue.saturating_add(1));
        self.reliability.success(terms, now)
            * self.reliability.stability()
            * stock.speed.tokens_per_second(terms)
            / (1.0 + stock.speed.first_token(terms))
            * load
            * price_weight(terms, stock.ask)
    }

    /// Finds the offer of a model.
    pub(crate) fn stock_mut(&mut self, model: &str) -> Option<&mut Stock> {
        self.stocks.iter_mut().find(|stock| stock.offer.model == model)
    }
}

/// Offers that many sessions make alike, kept once.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    offers: HashSet<Shared>,
    /// How many there were after the latest sweep.
    swept: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Shared(Arc<Offer>);

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // What is left out rarely differs where these agree; `Eq` compares all of it.
        (&self.0.model, &self.0.quantization, self.0.context, self.0.price, self.0.loaded).hash(state);
    }
}

impl Catalog {
    /// Returns the one copy of an offer.
    pub(crate) fn share(&mut self, offer: Offer) -> Arc<Offer> {
        let offer = Shared(Arc::new(offer));
        if let Some(known) = self.offers.get(&offer) {
            return Arc::clone(&known.0);
        }
        if self.offers.len() > 2 * self.swept + 64 {
            self.offers.retain(|shared| Arc::strong_count(&shared.0) > 1);
            self.swept = self.offers.len();
        }
        let shared = Arc::clone(&offer.0);
        self.offers.insert(offer);
        shared
    }
}

/// What is remembered of plugins that left, so that coming back wipes nothing clean.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    records: HashMap<PluginId, (u64, Keepsake)>,
    order: VecDeque<(u64, PluginId)>,
    stamp: u64,
}

/// What is remembered of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Keepsake {
    pub(crate) reliability: Reliability,
    pub(crate) breaker: Breaker,
    pub(crate) resting_until: Moment,
    speeds: Vec<(Arc<Offer>, Speed)>,
}

impl Keepsake {
    /// Returns the speed of a model.
    pub(crate) fn speed(&self, model: &str) -> Speed {
        let known = self.speeds.iter().find(|(offer, _)| offer.model == model);
        known.map(|(_, speed)| *speed).unwrap_or_default()
    }
}

impl Departed {
    /// Remembers a session that ends. One of which nothing is known costs nothing.
    pub(crate) fn keep(&mut self, terms: &Terms, session: Session) {
        let mut breaker = session.breaker;
        breaker.released();
        let speeds: Vec<_> = session
            .stocks
            .into_iter()
            .filter(|stock| stock.speed != Speed::default())
            .map(|stock| (stock.offer, stock.speed))
            .collect();
        if speeds.is_empty()
            && session.reliability == Reliability::default()
            && breaker == Breaker::default()
            && session.resting_until == Moment::default()
        {
            return;
        }
        let keepsake = Keepsake {
            reliability: session.reliability,
            breaker,
            resting_until: session.resting_until,
            speeds,
        };
        self.stamp += 1;
        self.records.insert(session.plugin, (self.stamp, keepsake));
        self.order.push_back((self.stamp, session.plugin));
        while self.order.len() > terms.departed_max {
            let Some((stamp, plugin)) = self.order.pop_front() else { return };
            if self.records.get(&plugin).is_some_and(|(current, _)| *current == stamp) {
                self.records.remove(&plugin);
            }
        }
    }

    /// Returns what is remembered of a plugin that comes back.
    pub(crate) fn take(&mut self, plugin: PluginId) -> Keepsake {
        self.records.remove(&plugin).map(|(_, keepsake)| keepsake).unwrap_or_default()
    }
}

/// Returns how much a price counts in the score: 1 for the default ask, the inverse square of the ratio
/// to it for dearer ones, and never more than the terms say for cheaper ones. Without that bound, who
/// asks nothing would have every job, however slow or unreliable.
fn price_weight(terms: &Terms, price: Price) -> f64 {
    // Answers cost more and are shorter than prompts: three parts of prompt, one of answer.
    let blend = |price: Price| (whole(price.input) * 0.75 + whole(price.output) * 0.25).max(1.0);
    let ratio = blend(terms.price_default) / blend(price);
    (ratio * ratio).min(whole(terms.price_weight_permille_max) / 1_000.0)
}

/// Returns when a span from now ends, for what rests.
pub(crate) fn rest_until(terms: &Terms, now: Moment) -> Moment {
    now + terms.rest.max(Span(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_counts_by_the_inverse_square_and_a_low_one_at_most_twice() {
        let terms = Terms { price_default: Price::new(50_000, 100_000), ..Terms::default() };
        for (input, output, weight) in [
            (0, 0, 2.0),
            (0, 1, 2.0),
            (10_000, 20_000, 2.0),
            (25_000, 50_000, 2.0),
            (40_000, 80_000, 1.562_5),
            (50_000, 100_000, 1.0),
            (100_000, 200_000, 0.25),
            (500_000, 1_000_000, 0.01),
            (Price::MAX, Price::MAX, 3.906_25e-11),
        ] {
            let counted = price_weight(&terms, Price::new(input, output));
            assert!((counted / weight - 1.0).abs() < 1e-9, "{input} {output}: {counted}");
        }
        let given_away = Terms { price_default: Price::new(0, 0), ..Terms::default() };
        assert!(price_weight(&given_away, Price::new(0, 0)) <= 2.0);
        assert!(price_weight(&given_away, Price::new(1_000, 1_000)) > 0.0);
    }
}
