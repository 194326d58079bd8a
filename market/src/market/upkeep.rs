//! Upkeep: what is held back is released, so is what ads bring too much, and who follows the market asks what it asks.

use std::collections::{HashMap, HashSet};

use rekursing_protocol::{Moment, Nanos, Price, Pricing, Span};

use super::Market;
use crate::{
    ledger::{Account, Cause, Transfer},
    pricing,
    record::Speed,
    shelf::ShelfId,
};

/// How often the medians are looked at: every offer is.
const REPRICE: Span = Span::secs(10);

impl Market {
    /// Gives owners what was held back for long enough.
    pub(super) fn release_due(&mut self, now: Moment) {
        while let Some((release_at, owner, amount)) = self.held_back.take_due(now) {
            // A correction may have taken part of it.
            let amount = amount.min(self.book.balance(Account::Held(owner)));
            if amount <= Nanos::ZERO {
                continue;
            }
            let transfer = Transfer {
                cause: Cause::Release,
                from: Account::Held(owner),
                to: Account::Owner(owner),
                amount,
                note: String::new(),
            };
            // Of what is due at one midnight a part may be released after the rest: a clock that was set
            // back lets that midnight come again.
            let id = format!("{owner}:{}:{}", release_at.0, now.0);
            match self.book.transfer(now, &id, transfer) {
                Ok(entry) => self.record(entry),
                // It is due again later.
                Err(_) => return self.held_back.add(release_at, owner, amount),
            }
        }
    }

    /// Gives the platform what ads have brought beyond what is kept for free answers, at midnight UTC.
    pub(super) fn release_surplus(&mut self, now: Moment) {
        let looked = self.free_kept_on.replace(now.day());
        // On the day of a start it may have been done before.
        let is_due = looked.is_some_and(|day| day < now.day());
        let Some(keep) = self.terms.free_keep_max.filter(|_| is_due) else { return };
        let amount = self.book.balance(Account::Free).checked_sub(keep).unwrap_or_default();
        if amount <= Nanos::ZERO {
            return;
        }
        let transfer = Transfer {
            cause: Cause::Surplus,
            from: Account::Free,
            to: Account::Platform,
            amount,
            note: String::new(),
        };
        // A clock that was set back lets a midnight come again.
        if let Ok(entry) = self.book.transfer(now, &now.0.to_string(), transfer) {
            self.record(entry);
        }
    }

    /// Lets those who follow the market ask what it asks.
    pub(super) fn reprice(&mut self, now: Moment) {
        if now.since(self.priced_at) < REPRICE {
            return;
        }
        self.priced_at = now;
        self.medians = self.medians_of_followed();
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

    /// Returns the medians of all classes that somebody follows.
    fn medians_of_followed(&self) -> HashMap<ShelfId, Price> {
        let stocks = self.sessions.iter().flatten().flat_map(|session| &session.stocks);
        let followed: HashSet<ShelfId> =
            stocks.filter(|stock| stock.follows()).filter_map(|stock| stock.shelves[1]).collect();
        followed.into_iter().filter_map(|class| Some((class, self.median_of(class)?))).collect()
    }

    /// Returns the median of what those ask who set a price of their own for models of a class and can be
    /// asked. Who follows has no voice in it, or followers would follow each other.
    fn median_of(&self, class: ShelfId) -> Option<Price> {
        let asks = self.shelves.at(class).members.iter().filter_map(|place| {
            let session = self.session(place.session);
            let stock = &session.stocks[usize::from(place.stock)];
            (!stock.follows() && !session.is_paused && !session.is_suspect).then_some(stock.ask)
        });
        pricing::median(&mut asks.collect::<Vec<_>>())
    }
}
