//! Asks: what those who follow the market ask, and up to which ask a page is served that names no highest
//! price.
//!
//! Both go by what owners of a class ask. A plugin has one voice in it however many offers it makes, and none
//! while it cannot be asked, so that nobody speaks for a whole market.

use std::collections::{HashMap, HashSet};

use rekursing_protocol::{Moment, Price, Pricing, Span};

use super::Market;
use crate::{
    pricing,
    record::{Speed, whole},
    session::{Session, Stock},
    shelf::{ShelfId, StockRef},
    terms::Terms,
};

/// How often the medians are looked at: every offer is.
const REPRICE: Span = Span::secs(10);

/// For how long a ceiling is good: every offer on its shelf is looked at for it.
const CEILING: Span = Span::secs(1);

impl Market {
    /// Lets those who follow the market ask what it asks.
    pub(super) fn reprice(&mut self, now: Moment) {
        if now.since(self.priced_at) < REPRICE {
            return;
        }
        self.priced_at = now;
        self.medians = self.medians_of_followed(now);
        self.wanted = self.most_wanted(now);
        for at in 0..self.sessions.len() {
            let Some(session) = &self.sessions[at] else { continue };
            let at = u32::try_from(at).expect("sessions stay below 2³²");
            let asks: Vec<(usize, Price)> = session
                .stocks
                .iter()
                .enumerate()
                .filter(|(_, stock)| stock.follows())
                .map(|(number, stock)| (number, self.ask(stock.offer.price, &stock.speed, stock.shelves)))
                .filter(|(number, ask)| session.stocks[*number].ask != *ask)
                .collect();
            for (number, ask) in &asks {
                self.session_mut(at).stocks[*number].ask = *ask;
            }
            if !asks.is_empty() {
                self.reindex(now, at);
            }
        }
    }

    /// Returns what an owner asks by the latest medians.
    pub(super) fn ask(
        &self,
        pricing: Option<Pricing>,
        speed: &Speed,
        shelves: [Option<ShelfId>; 3],
    ) -> Price {
        let [_, class, _] = shelves;
        let median = class.and_then(|class| self.medians.get(&class).copied());
        pricing::ask(&self.terms, pricing, speed, median)
    }

    /// Returns what is asked in all classes that somebody follows: what it was, moved toward the median. A
    /// class that has no market at this moment stays where it is.
    fn medians_of_followed(&self, now: Moment) -> HashMap<ShelfId, Price> {
        let stocks = self.sessions.iter().flatten().flat_map(|session| &session.stocks);
        let followed: HashSet<ShelfId> =
            stocks.filter(|stock| stock.follows()).filter_map(|stock| stock.shelves[1]).collect();
        let moved = |class| {
            let before = self.medians.get(&class).copied();
            let median = self.median_of(now, class);
            // Also a class of which nothing was known begins at the default ask and goes there step by step.
            let from = before.unwrap_or(self.terms.price_default);
            let after = median.map(|median| pricing::toward(&self.terms, from, median));
            Some((class, after.or(before)?))
        };
        followed.into_iter().filter_map(moved).collect()
    }

    /// Returns the median of what known owners ask on a shelf who set a price of their own; `None` where they
    /// are too few. Who follows has no voice in it, or followers would follow each other.
    fn median_of(&self, now: Moment, shelf: ShelfId) -> Option<Price> {
        let mut voices = self.voices(now, shelf, |session, stock| {
            !stock.follows() && session.standing.has_voice(&self.terms, now)
        });
        if voices.len() < self.terms.voices_min {
            return None;
        }
        pricing::median(&mut voices)
    }

    /// Returns the highest ask that a page pays that names no highest price.
    pub(super) fn ceiling(&self, shelf: ShelfId) -> Price {
        self.shelves.at(shelf).ceiling.map_or(self.terms.price_unnamed_max, |(_, ceiling)| ceiling)
    }

    /// Looks at what is asked on a shelf, unless that was just done.
    pub(super) fn look_at_asks(&mut self, now: Moment, shelf: ShelfId) {
        let known = self.shelves.at(shelf).ceiling;
        if known.is_none_or(|(at, _)| now.since(at) >= CEILING) {
            let ceiling = self.ceiling_of(now, shelf);
            self.shelves.at_mut(shelf).ceiling = Some((now, ceiling));
        }
    }

    /// Looks at what is asked on those shelves of a session for which jobs wait.
    pub(super) fn look_at_asks_of(&mut self, now: Moment, at: u32) {
        let shelves = self.session(at).stocks.iter().flat_map(|stock| stock.shelves).flatten();
        let waited: Vec<ShelfId> =
            shelves.filter(|shelf| !self.shelves.at(*shelf).waiting.is_empty()).collect();
        for shelf in waited {
            self.look_at_asks(now, shelf);
        }
    }

    /// Returns so many times what is usual for a shelf, within the terms. Usual is the median of known owners;
    /// where they are too few, the least that anybody asks, because plugins that nobody knows cost nothing and
    /// many of them can ask alike. An exact name is as dear as its class: whoever makes one up is alone with it.
    fn ceiling_of(&self, now: Moment, shelf: ShelfId) -> Price {
        let terms = &self.terms;
        let shelf = self.class_of(shelf);
        let least = || pricing::least(&self.voices(now, shelf, |_, _| true));
        let usual = self.median_of(now, shelf).or_else(least);
        let Some(usual) = usual else { return terms.price_unnamed_max };
        let (least, most) = (self.usual_everywhere(), terms.price_unnamed_max);
        let side = |usual: u64, least: u64, most: u64| {
            usual.saturating_mul(terms.price_times_max).max(least).min(most)
        };
        Price::new(side(usual.input, least.input, most.input), side(usual.output, least.output, most.output))
    }

    /// Returns the ask up to which every page is served that names no highest price.
    pub(super) fn usual_everywhere(&self) -> Price {
        let Terms { price_default, price_times_max, price_unnamed_max: most, .. } = &self.terms;
        let side = |default: u64, most: u64| default.saturating_mul(*price_times_max).min(most);
        Price::new(side(price_default.input, most.input), side(price_default.output, most.output))
    }

    /// Returns the shelf of the class that an exact name belongs to, and any other shelf as it is.
    fn class_of(&self, shelf: ShelfId) -> ShelfId {
        let Some(place) = self.shelves.at(shelf).members.first() else { return shelf };
        let [_, class, exact] = self.session(place.session).stocks[usize::from(place.stock)].shelves;
        if exact == Some(shelf) { class.unwrap_or(shelf) } else { shelf }
    }

    /// Returns what each plugin asks on a shelf with those of its offers that count: the median of them.
    fn voices(&self, now: Moment, shelf: ShelfId, counts: impl Fn(&Session, &Stock) -> bool) -> Vec<Price> {
        let places: Vec<_> = self.shelves.at(shelf).members.iter().copied().collect();
        let plugins = places.chunk_by(|one, next| one.session == next.session);
        let voice = |places: &[StockRef]| {
            let session = self.session(places.first()?.session);
            let stocks = places.iter().map(|place| &session.stocks[usize::from(place.stock)]);
            let mut asks: Vec<Price> =
                stocks.filter(|stock| counts(session, stock)).map(|stock| stock.ask).collect();
            self.can_be_asked(now, session).then(|| pricing::median(&mut asks)).flatten()
        };
        plugins.filter_map(voice).collect()
    }

    /// Tells whether a session may get jobs, now or once its slots are free.
    fn can_be_asked(&self, now: Moment, session: &Session) -> bool {
        let success = session.reliability.success(&self.terms, now) * 1_000.0;
        session.is_public()
            && !session.is_paused
            && !session.is_suspect
            && !session.is_suspended()
            && !session.breaker.is_tripped()
            && success >= whole(self.terms.trust_permille_min)
    }
}
