//! The outlook of one plugin: why jobs do not come to it.

use rekursing_protocol::{
    Moment, PluginId, Price, Serves,
    outlook::{ModelOutlook, Obstacle, Outlook, Range, Wanted},
};

use super::Market;
use crate::{
    model_name, pricing,
    record::{rounded, whole},
    session::{Session, Stock},
    shelf::{Shelf, StockRef},
};

/// Models that are told among those asked for most.
const WANTED_MAX: usize = 10;

/// From how much above the median on a price is told as too high, in per cent.
const DEAR_PERCENT: u64 = 10;

/// From how many of all requests on a context is told as too small, in thousandths.
const TOO_SHORT_PERMILLE: u64 = 50;

/// From how many of today's requests on an owner is told that he turns them away, in thousandths.
const TURNED_AWAY_PERMILLE: u64 = 50;

/// What an obstacle weighs that keeps every job away; others weigh the thousandths of jobs they cost.
const EVERY: u64 = 1_000;

impl Market {
    /// Returns why jobs do not come to a plugin, in time that grows with the number of offers.
    pub fn outlook(&self, now: Moment, plugin: PluginId) -> Outlook {
        let wanted = self.wanted.clone();
        let at = self.by_plugin.get(&plugin).copied().filter(|at| !self.session(*at).is_suspended());
        let Some(at) = at else {
            return Outlook { obstacles: vec![Obstacle::NotConnected], wanted, ..Outlook::default() };
        };
        let session = self.session(at);
        let mut weighed = self.standing_in_the_way(now, session);
        for (number, stock) in session.stocks.iter().enumerate() {
            weighed.extend(self.of_model(now, at, number, stock, wanted.first()));
        }
        weighed.extend(self.turned_away(now, session));
        weighed.extend(self.newness(now, session).map(|new| (0, new)));
        // Of equal weight, in the order in which they are found.
        weighed.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Outlook {
            obstacles: weighed.into_iter().map(|(_, obstacle)| obstacle).collect(),
            models: session.stocks.iter().map(|stock| self.model_outlook(now, at, stock)).collect(),
            wanted,
            quality: None,
            counted_ms: self.demand.counted(now).0,
        }
    }

    /// Returns what keeps every job away.
    fn standing_in_the_way(&self, now: Moment, session: &Session) -> Vec<(u64, Obstacle)> {
        let success_permille = rounded(session.reliability.success(&self.terms, now) * 1_000.0);
        let lowest_permille = self.terms.trust_permille_min;
        let parked = session.breaker.parked_until().map(|until| Obstacle::Parked { until });
        let untrusted = (success_permille < lowest_permille)
            .then_some(Obstacle::Untrusted { success_permille, lowest_permille });
        let group_only = (!session.is_public()).then(|| {
            let group = session.group.and_then(|group| self.groups.get(group));
            // His own account is in it by the plugin, and asks others.
            let own = usize::from(session.account.is_some());
            let others = group.map(|group| self.groups.accounts_in(group).saturating_sub(own) as u64);
            Obstacle::GroupOnly { accounts: others }
        });
        let all = [
            group_only,
            session.stocks.is_empty().then_some(Obstacle::NoModel),
            session.is_paused.then_some(Obstacle::Paused),
            untrusted,
            parked,
            (self.demand.requests(now) == 0).then_some(Obstacle::NoDemand),
        ];
        all.into_iter().flatten().map(|obstacle| (EVERY + 1, obstacle)).collect()
    }

    /// Returns what the owner's own choice of requests keeps away.
    fn turned_away(&self, now: Moment, session: &Session) -> Vec<(u64, Obstacle)> {
        let mut found = Vec::new();
        if session.serves == Serves::Verified {
            let permille = self.demand.unverified_permille(now);
            found.push((permille, Obstacle::VerifiedOnly { permille }));
        }
        let permille = self.demand.refused_permille(now, session.refuses);
        found.push((permille, Obstacle::TopicRefused { permille }));
        found.retain(|(permille, _)| *permille >= TURNED_AWAY_PERMILLE);
        found
    }

    fn of_model(
        &self,
        now: Moment,
        at: u32,
        number: usize,
        stock: &Stock,
        most: Option<&Wanted>,
    ) -> Vec<(u64, Obstacle)> {
        let model = || stock.offer.model.clone();
        let mut found = Vec::new();
        let is_asked = self.demand.of(now, &stock.offer.model).requests > 0;
        if let Some(instead) = most.filter(|most| !is_asked && most.requests > 0) {
            found.push((EVERY, Obstacle::NotWanted { model: model(), instead: instead.clone() }));
        }
        if let Some(Range { median, .. }) = self.others(at, stock) {
            let percent = dearer(stock.ask, median);
            if percent >= DEAR_PERCENT {
                let weight = (100 + percent.saturating_mul(10)).min(EVERY - 1);
                found.push((weight, Obstacle::Dear { model: model(), percent, median }));
            }
        }
        let permille = self.demand.too_long_permille(now, stock.offer.context);
        if permille >= TOO_SHORT_PERMILLE {
            let context = stock.offer.context;
            found.push((permille, Obstacle::TooShort { model: model(), context, permille }));
        }
        let by = self.ahead(now, at, number, stock);
        if by > 0 && is_asked {
            found.push((200, Obstacle::Outranked { model: model(), by }));
        }
        found
    }

    /// Counts the sessions with room whose offers are so much better that this one is not drawn.
    fn ahead(&self, now: Moment, at: u32, number: usize, stock: &Stock) -> u64 {
        let Some(shelf) = self.class(stock) else { return 0 };
        let mine = self.session(at).score(&self.terms, now, stock);
        let band = whole(self.terms.choices_band_permille.max(1)) / 1_000.0;
        let me = StockRef { session: at, stock: u16::try_from(number).unwrap_or(u16::MAX) };
        let better = |place: &&crate::shelf::Place| {
            let is_public = self.session(place.at.session).is_public();
            is_public && place.at != me && place.at.session != at && place.rank.score() * band > mine
        };
        shelf.open.iter().filter(better).count() as u64
    }

    fn newness(&self, now: Moment, session: &Session) -> Option<Obstacle> {
        let standing = session.standing;
        if standing.is_trusted(&self.terms, now) {
            return None;
        }
        let known_at = (standing.jobs > 0).then(|| standing.since + self.terms.trusted_after);
        Some(Obstacle::New {
            jobs_left: self.terms.trusted_jobs.saturating_sub(standing.jobs),
            pages_left: self.terms.trusted_pages.saturating_sub(standing.pages) as u64,
            known_at,
        })
    }

    fn model_outlook(&self, now: Moment, at: u32, stock: &Stock) -> ModelOutlook {
        let asked = self.demand.of(now, &stock.offer.model);
        let others = self.class(stock).map_or(0, |shelf| {
            let mut sessions: Vec<u32> = shelf.members.iter().map(|place| place.session).collect();
            // Offers of one session stand side by side.
            sessions.dedup();
            sessions.retain(|other| *other != at && self.session(*other).is_public());
            sessions.len()
        });
        ModelOutlook {
            model: stock.offer.model.clone(),
            ask: stock.ask,
            others: others as u64,
            market: self.others(at, stock),
            requests: asked.requests,
            prompt_tokens: asked.prompt_tokens,
            answer_tokens: asked.answer_tokens,
        }
    }

    fn class(&self, stock: &Stock) -> Option<&Shelf> {
        let [_, class, _] = stock.shelves;
        class.map(|class| self.shelves.at(class))
    }

    /// Returns what others ask for models of the same class.
    fn others(&self, at: u32, stock: &Stock) -> Option<Range> {
        let members = self.class(stock)?.members.iter().filter(|place| place.session != at);
        let mut asks: Vec<Price> = members
            .filter_map(|place| {
                let session = self.session(place.session);
                let is_there = session.is_public()
                    && !session.is_paused
                    && !session.is_suspect
                    && !session.is_suspended();
                is_there.then(|| session.stocks[usize::from(place.stock)].ask)
            })
            .collect();
        let side = |pick: fn(u64, u64) -> u64| {
            let both = |one: Price, other: Price| {
                Price::new(pick(one.input, other.input), pick(one.output, other.output))
            };
            asks.iter().copied().reduce(both)
        };
        let (lowest, highest) = (side(u64::min)?, side(u64::max)?);
        Some(Range { lowest, highest, median: pricing::median(&mut asks)? })
    }

    /// Returns the models on offer that were asked for most, in time that grows with the number of models.
    pub(super) fn most_wanted(&self, now: Moment) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = self
            .shelves
            .families()
            .filter_map(|shelf| {
                let place = shelf.members.first()?;
                let offer = &self.session(place.session).stocks[usize::from(place.stock)].offer;
                let requests = self.demand.of(now, &offer.model).requests;
                (requests > 0).then(|| Wanted { model: model_name::plain(&offer.model), requests })
            })
            .collect();
        wanted.sort_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| one.model.cmp(&other.model))
        });
        wanted.truncate(WANTED_MAX);
        wanted
    }
}

/// Returns how much more than the median a prompt and an answer of one length cost, in per cent.
fn dearer(ask: Price, median: Price) -> u64 {
    let both = |price: Price| u128::from(price.input) + u128::from(price.output);
    let percent = (both(ask).saturating_sub(both(median)) * 100).checked_div(both(median));
    // Where others ask nothing, whatever is asked is very much more.
    percent
        .map_or(if both(ask) > 0 { 1_000 } else { 0 }, |percent| u64::try_from(percent).unwrap_or(u64::MAX))
}
