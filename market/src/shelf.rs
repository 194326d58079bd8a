//! Shelves: the index from a wish to the offers that answer to it, best first.
//!
//! Each offer stands on the shelf of its kind, on that of its family and, when its name is specific, on
//! that of its exact name. A shelf keeps apart the offers that could take a job at once, in the order in
//! which they are tried, so that a match looks at a few of them and never at all.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use rekursing_protocol::{Moment, OfferKind, Price};

use crate::{model_name, request::Wish};

/// Where a session's offer is found: the session's place and the offer's place within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StockRef {
    pub(crate) session: u32,
    pub(crate) stock: u16,
}

/// An open offer's place in the order of trying: by rank, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) rank: Rank,
    pub(crate) arrival: u64,
    pub(crate) at: StockRef,
}

/// How good an offer is: loaded ones before others, then by score. The better rank is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(u64);

impl Rank {
    const LOADED: u64 = 1 << 63;

    /// Makes a rank of a finite score that is not below zero; such floats order like their bits.
    pub(crate) fn new(is_loaded: bool, score: f64) -> Rank {
        let loaded = if is_loaded { Rank::LOADED } else { 0 };
        Rank(!(loaded | (score.max(0.0).to_bits() & !Rank::LOADED)))
    }

    pub(crate) const fn is_loaded(self) -> bool {
        !self.0 & Rank::LOADED != 0
    }

    pub(crate) fn score(self) -> f64 {
        f64::from_bits(!self.0 & !Rank::LOADED)
    }
}

/// A shelf's place among all.
pub(crate) type ShelfId = u32;

/// What a shelf is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    Kind(OfferKind),
    Family(Box<str>),
    Exact(Box<str>),
}

/// Offers that answer to one wish, and the jobs that wait for one of them.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// Every offer, open or not.
    pub(crate) members: BTreeSet<StockRef>,
    /// Those that could take a job at once, best first.
    pub(crate) open: BTreeSet<Place>,
    /// Jobs that wait, by their number in the order of submission.
    pub(crate) waiting: BTreeSet<u64>,
    /// The highest ask that a page pays that names no highest price, and as of when.
    pub(crate) ceiling: Option<(Moment, Price)>,
}

/// All shelves.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    by_label: HashMap<Label, ShelfId>,
    shelves: Vec<(Option<Label>, Shelf)>,
    free: Vec<ShelfId>,
    /// How many shelves are a family's.
    families: usize,
}

impl Shelves {
    pub(crate) fn at(&self, id: ShelfId) -> &Shelf {
        &self.shelves[id as usize].1
    }

    pub(crate) fn at_mut(&mut self, id: ShelfId) -> &mut Shelf {
        &mut self.shelves[id as usize].1
    }

    /// Returns the shelf that answers to a wish, unless it is empty.
    pub(crate) fn find(&self, wish: &Wish, kind: OfferKind) -> Option<ShelfId> {
        let stocked = |label: &Label| {
            let id = self.by_label.get(label).copied()?;
            (!self.at(id).members.is_empty()).then_some(id)
        };
        match wish {
            Wish::Any => stocked(&Label::Kind(kind)),
            Wish::Named(name) => exact(name)
                .and_then(|label| stocked(&label))
                .or_else(|| stocked(&Label::Family(model_name::family(name).into()))),
        }
    }

    /// Returns the shelves on which an offer of this name stands, made where they are missing.
    pub(crate) fn shelves_of(&mut self, model: &str, kind: OfferKind) -> [Option<ShelfId>; 3] {
        [
            Some(self.make(Label::Kind(kind))),
            Some(self.make(Label::Family(model_name::family(model).into()))),
            exact(model).map(|label| self.make(label)),
        ]
    }

    /// Forgets a shelf on which nothing stands and for which nothing waits.
    pub(crate) fn tidy(&mut self, id: ShelfId) {
        let (label, shelf) = &mut self.shelves[id as usize];
        if !shelf.members.is_empty() || !shelf.waiting.is_empty() {
            return;
        }
        shelf.ceiling = None;
        if let Some(label) = label.take() {
            self.by_label.remove(&label);
            self.families -= usize::from(matches!(label, Label::Family(_)));
            self.free.push(id);
        }
    }

    /// Returns every family's shelf.
    pub(crate) fn families(&self) -> impl Iterator<Item = &Shelf> {
        self.shelves
            .iter()
            .filter(|(label, _)| matches!(label, Some(Label::Family(_))))
            .map(|(_, shelf)| shelf)
    }

    /// Returns the place of the family of a name.
    pub(crate) fn family(&self, name: &str) -> Option<ShelfId> {
        self.by_label.get(&Label::Family(model_name::family(name).into())).copied()
    }

    /// Returns how many families there are.
    pub(crate) const fn family_count(&self) -> usize {
        self.families
    }

    /// Tells whether a shelf is a family's.
    pub(crate) fn is_family(&self, id: ShelfId) -> bool {
        matches!(self.shelves[id as usize].0, Some(Label::Family(_)))
    }

    /// Returns the places of so many families at most: those of which most offers could take a job at once, then
    /// those of which most are there; among equals whose best offer is better.
    pub(crate) fn widest_families(&self, most: usize) -> Vec<ShelfId> {
        let families = self.by_label.iter().filter(|(label, _)| matches!(label, Label::Family(_)));
        let mut ids: Vec<ShelfId> = families.map(|(_, id)| *id).collect();
        if ids.len() > most {
            let width = |id: &ShelfId| {
                let Shelf { open, members, .. } = self.at(*id);
                let best = open.first().map(|place| (place.rank, place.arrival));
                (Reverse((open.len(), members.len())), best, *id)
            };
            ids.select_nth_unstable_by_key(most, width);
            ids.truncate(most);
        }
        ids
    }

    /// Returns how many members and how many open offers all shelves have together.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let count = |size: fn(&Shelf) -> usize| self.shelves.iter().map(|(_, shelf)| size(shelf)).sum();
        (count(|shelf| shelf.members.len()), count(|shelf| shelf.open.len()))
    }

    fn make(&mut self, label: Label) -> ShelfId {
        if let Some(id) = self.by_label.get(&label) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.shelves.push((None, Shelf::default()));
            ShelfId::try_from(self.shelves.len() - 1).expect("three shelves per offer stay below 2³²")
        });
        self.families += usize::from(matches!(label, Label::Family(_)));
        self.shelves[id as usize].0 = Some(label.clone());
        self.by_label.insert(label, id);
        id
    }
}

fn exact(name: &str) -> Option<Label> {
    model_name::is_specific(name).then(|| Label::Exact(name.trim().to_lowercase().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_offers_come_first_and_then_the_higher_score() {
        let ranks =
            [(true, 9.5), (true, 1.0), (true, 0.0), (false, 1e9), (false, 2.0)].map(|(loaded, score)| {
                let rank = Rank::new(loaded, score);
                assert_eq!((rank.is_loaded(), rank.score().to_bits()), (loaded, f64::to_bits(score)));
                rank
            });
        assert!(ranks.is_sorted());
    }

    #[test]
    fn a_specific_wish_finds_exactly_that_name_while_there_is_one_and_else_the_family() {
        let mut shelves = Shelves::default();
        let stand = |shelves: &mut Shelves, model: &str, session| {
            for id in shelves.shelves_of(model, OfferKind::Text).into_iter().flatten() {
                shelves.at_mut(id).members.insert(StockRef { session, stock: 0 });
            }
        };
        stand(&mut shelves, "qwen2.5-7b-instruct", 1);
        stand(&mut shelves, "Qwen/Qwen2.5-7B-Instruct-GGUF", 2);
        let found = |name: &str| -> Vec<u32> {
            let shelf = shelves.find(&Wish::Named(name.to_owned()), OfferKind::Text);
            shelf.map_or_else(Vec::new, |id| shelves.at(id).members.iter().map(|at| at.session).collect())
        };
        assert_eq!(found("qwen2.5-7b-instruct"), [1, 2]);
        assert_eq!(found("QWEN2.5:7b-instruct"), [1, 2]);
        assert_eq!(found("qwen/qwen2.5-7b-instruct-gguf"), [2]);
        assert_eq!(found("qwen2.5-7b-instruct-q8_0"), [1, 2]);
        assert!(found("qwen2.5-14b-instruct").is_empty());
    }
}
