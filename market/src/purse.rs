//! Purses: what a key may spend of its account's money, and what it has spent.
//!
//! A budget holds like a balance does: what is held for a job that runs counts as spent until the job
//! ends. A key that was made with another key spends within that one's limits too, so that nobody gets
//! more by making keys.

use std::{collections::HashMap, sync::Arc};

use rekursing_protocol::{KeyId, Moment, Nanos, Price};

use crate::{ledger::Account, model_name, refusal::Refusal, relevance::Gate};

/// What a key may do with its account's money. Nothing is limited by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most that is spent in one UTC day.
    pub budget_day: Option<Nanos>,
    /// Most that is spent in all.
    pub budget_total: Option<Nanos>,
    /// Models that may be asked, by exact name or by family, see [`crate::model_name`]; empty for all.
    pub models: Vec<String>,
    /// Highest price after the tier, each side apart; `u64::MAX` on a side that is not limited.
    pub price_max: Option<Price>,
    /// From when on the key opens nothing.
    pub expires: Option<Moment>,
    /// How close what is asked must be to a project's objectives.
    pub gate: Option<Gate>,
}

/// A key that spends.
#[derive(Debug, PartialEq, Eq)]
pub struct Spender {
    /// The key.
    pub key: KeyId,
    /// Its own limits.
    pub limits: Limits,
    /// The key that it was made with, whose limits hold for it too.
    pub maker: Option<Arc<Spender>>,
}

impl Limits {
    /// Tells whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }

    /// Tells whether a model may be asked.
    fn allows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|allowed| is_meant(allowed, model))
    }

    const fn has_budget(&self) -> bool {
        self.budget_day.is_some() || self.budget_total.is_some()
    }
}

/// Tells whether the name of an allowed model means this one: exactly that name where it says more than
/// its family, else the family.
fn is_meant(allowed: &str, model: &str) -> bool {
    if model_name::is_specific(allowed) {
        return allowed.trim().to_lowercase() == model.trim().to_lowercase();
    }
    model_name::family(allowed) == model_name::family(model)
}

impl Spender {
    /// Returns the key and those that it was made with, itself first.
    pub fn line(&self) -> impl Iterator<Item = &Spender> {
        std::iter::successors(Some(self), |spender| spender.maker.as_deref())
    }

    /// Tells whether the key may know of a project: one that is held to projects, by itself or by one that it was
    /// made with, knows of those alone.
    pub fn knows(&self, project: &str) -> bool {
        self.gates().next().is_none() || self.gates().any(|gate| gate.project == project)
    }

    /// Tells whether neither the key nor one that it was made with has any limit.
    pub fn is_unlimited(&self) -> bool {
        self.line().all(|spender| spender.limits.is_none())
    }

    /// Tells whether the key, or one that it was made with, has expired.
    pub fn is_expired(&self, now: Moment) -> bool {
        self.line().any(|spender| spender.limits.expires.is_some_and(|expires| expires <= now))
    }

    /// Tells whether the key may ask a model.
    pub fn allows(&self, model: &str) -> bool {
        self.line().all(|spender| spender.limits.allows(model))
    }

    /// Returns the models that the key may ask, by the shortest of the lists that hold for it; empty for all.
    pub fn models(&self) -> &[String] {
        let lists = self.line().map(|spender| &spender.limits.models).filter(|models| !models.is_empty());
        lists.min_by_key(|models| models.len()).map_or(&[], Vec::as_slice)
    }

    /// Returns everything that what the key asks must be close to.
    pub fn gates(&self) -> impl Iterator<Item = &Gate> {
        self.line().filter_map(|spender| spender.limits.gate.as_ref())
    }

    /// Returns the highest price that the key pays, each side apart; `None` for any.
    pub fn price_max(&self) -> Option<Price> {
        let prices = self.line().filter_map(|spender| spender.limits.price_max);
        prices.reduce(|least, price| Price::new(least.input.min(price.input), least.output.min(price.output)))
    }
}

/// What is left to spend, and what says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) left: Nanos,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Balance,
    Day(KeyId),
    Total(KeyId),
}

impl Room {
    /// Makes the room that a balance leaves, or what is held already.
    pub(crate) const fn of(left: Nanos) -> Room {
        Room { left, bound: Bound::Balance }
    }

    /// Narrows the room to what a budget leaves.
    fn within(&mut self, budget: Option<Nanos>, used: Nanos, bound: Bound) {
        let Some(budget) = budget else { return };
        let left = budget.checked_sub(used).unwrap_or_default().max(Nanos::ZERO);
        if left < self.left {
            *self = Room { left, bound };
        }
    }

    /// Returns the refusal of a page's job that needs more than is left.
    pub(crate) const fn refusal(self, needs: Nanos) -> Refusal {
        let available = self.left;
        match self.bound {
            Bound::Balance => Refusal::InsufficientFunds { needs, available },
            Bound::Day(key) => Refusal::KeyBudgetDay { key, needs, available },
            Bound::Total(key) => Refusal::KeyBudgetTotal { key, needs, available },
        }
    }
}

/// A charge that a key paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// When.
    pub at: Moment,
    /// Out of which account.
    pub payer: Account,
    /// With which key.
    pub spender: Arc<Spender>,
}

/// What one key and those made with it have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Set aside for jobs that run.
    pub held: Nanos,
    /// Spent in all.
    pub spent: Nanos,
    /// The UTC day of [`Taken::spent_day`].
    pub day: u64,
    /// Spent on that day.
    pub spent_day: Nanos,
}

impl Taken {
    /// Returns the figures as of a moment: a new day begins with nothing.
    fn on(self, day: u64) -> Taken {
        if self.day == day { self } else { Taken { day, spent_day: Nanos::ZERO, ..self } }
    }
}

/// What every key with a budget has taken.
#[derive(Debug, Default)]
pub(crate) struct Purses {
    /// No more of them than keys with a budget.
    taken: HashMap<KeyId, Taken>,
}

impl Purses {
    /// Notes what a key had taken before.
    pub(crate) fn restore(&mut self, key: KeyId, taken: Taken) {
        self.taken.insert(key, taken);
    }

    /// Returns what a key with a budget, and those made with it, have taken.
    pub(crate) fn taken(&self, now: Moment, key: KeyId) -> Taken {
        self.taken.get(&key).copied().unwrap_or_default().on(now.day())
    }

    /// Returns what is left to spend of a balance by a key.
    pub(crate) fn room(&self, now: Moment, spender: Option<&Spender>, balance: Nanos) -> Room {
        let mut room = Room::of(balance);
        for Spender { key, limits, .. } in budgeted(spender) {
            let taken = self.taken(now, *key);
            room.within(limits.budget_day, sum(taken.spent_day, taken.held), Bound::Day(*key));
            room.within(limits.budget_total, sum(taken.spent, taken.held), Bound::Total(*key));
        }
        room
    }

    /// Sets aside what there is room for.
    pub(crate) fn hold(&mut self, now: Moment, spender: Option<&Spender>, amount: Nanos) {
        self.each(now, spender, |taken| taken.held = sum(taken.held, amount));
    }

    /// Spends a part of what was set aside, or nothing of it, and gives the rest back.
    pub(crate) fn resolve(&mut self, now: Moment, spender: Option<&Spender>, held: Nanos, charge: Nanos) {
        self.each(now, spender, |taken| {
            taken.held = taken.held.checked_sub(held).expect("what was held is part of all that is held");
            taken.spent = sum(taken.spent, charge);
            taken.spent_day = sum(taken.spent_day, charge);
        });
    }

    /// Gives back a part of what was spent, to the day on which it was spent if that is not over.
    pub(crate) fn give_back(&mut self, now: Moment, charged: &Charged, amount: Nanos) {
        let is_today = charged.at.day() == now.day();
        let less =
            |sum: Nanos| sum.checked_sub(amount).expect("what was spent and what is given back fit 64 bits");
        self.each(now, Some(&charged.spender), |taken| {
            taken.spent = less(taken.spent);
            if is_today {
                taken.spent_day = less(taken.spent_day);
            }
        });
    }

    fn each(&mut self, now: Moment, spender: Option<&Spender>, change: impl Fn(&mut Taken)) {
        for Spender { key, .. } in budgeted(spender) {
            let taken = self.taken.entry(*key).or_default();
            *taken = taken.on(now.day());
            change(taken);
        }
    }
}

/// Returns the keys of a line that have a budget.
fn budgeted(spender: Option<&Spender>) -> impl Iterator<Item = &Spender> {
    spender.into_iter().flat_map(Spender::line).filter(|spender| spender.limits.has_budget())
}

/// Adds what is taken of a budget.
fn sum(one: Nanos, other: Nanos) -> Nanos {
    one.checked_add(other).expect("what is held and spent stays within a budget, which fits 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(limits: Limits, maker: Option<&Arc<Spender>>) -> Arc<Spender> {
        let bits = maker.map_or(1, |maker| maker.line().count() + 1);
        let key = KeyId::from_bits(u32::try_from(bits).unwrap());
        Arc::new(Spender { key, limits, maker: maker.cloned() })
    }

    #[test]
    fn a_model_is_allowed_by_its_family_or_by_its_exact_name() {
        for (allowed, model, expected) in [
            ("qwen2.5:7b-instruct", "Qwen/Qwen2.5-7B-Instruct-GGUF", true),
            ("qwen2.5-7b-instruct", "qwen2.5-7b-instruct@q8_0", true),
            ("qwen2.5-7b-instruct@q8_0", "qwen2.5-7b-instruct@q8_0", true),
            ("Qwen2.5-7b-instruct@Q8_0", "qwen2.5-7b-instruct@q8_0", true),
            ("qwen2.5-7b-instruct@q8_0", "qwen2.5-7b-instruct@q4_0", false),
            ("qwen2.5-7b-instruct@q8_0", "qwen2.5-7b-instruct", false),
            ("qwen2.5-7b", "qwen2.5-7b-instruct", false),
        ] {
            let limits = Limits { models: vec!["other".to_owned(), allowed.to_owned()], ..Limits::default() };
            assert_eq!(key(limits, None).allows(model), expected, "{allowed} {model}");
        }
        assert!(key(Limits::default(), None).allows("anything"));
    }

    #[test]
    fn a_key_that_was_made_with_another_stays_within_its_limits() {
        let maker = key(
            Limits {
                models: vec!["a".to_owned(), "b".to_owned()],
                price_max: Some(Price::new(10, 40)),
                expires: Some(Moment(100)),
                ..Limits::default()
            },
            None,
        );
        let made = key(
            Limits {
                models: vec!["b".to_owned()],
                price_max: Some(Price::new(20, 30)),
                expires: Some(Moment(200)),
                ..Limits::default()
            },
            Some(&maker),
        );
        assert_eq!([made.allows("a"), made.allows("b"), maker.allows("a")], [false, true, true]);
        assert_eq!(made.models(), ["b"]);
        assert_eq!(made.price_max(), Some(Price::new(10, 30)));
        assert_eq!([made.is_expired(Moment(99)), made.is_expired(Moment(100))], [false, true]);
        assert!(!key(Limits::default(), Some(&maker)).is_unlimited());
        assert!(key(Limits::default(), None).is_unlimited());
    }

    #[test]
    fn budgets_of_a_line_shrink_together_and_a_day_begins_with_nothing() {
        let budget = |day: i64, total: i64| Limits {
            budget_day: Some(Nanos::new(day)),
            budget_total: Some(Nanos::new(total)),
            ..Limits::default()
        };
        let maker = key(budget(50, 80), None);
        let made = key(budget(30, 1_000), Some(&maker));
        let (today, tomorrow) = (Moment(0), Moment(24 * 60 * 60 * 1_000));
        let mut purses = Purses::default();
        let left = |purses: &Purses, now, spender: &Arc<Spender>| {
            purses.room(now, Some(spender), Nanos::MAX).left.get()
        };
        purses.hold(today, Some(&made), Nanos::new(25));
        assert_eq!([left(&purses, today, &made), left(&purses, today, &maker)], [5, 25]);
        purses.resolve(today, Some(&made), Nanos::new(25), Nanos::new(20));
        assert_eq!([left(&purses, today, &made), left(&purses, today, &maker)], [10, 30]);
        purses.hold(today, Some(&maker), Nanos::new(30));
        assert_eq!(left(&purses, today, &made), 0, "the other key's budget is used up");
        let day_over = purses.room(today, Some(&made), Nanos::MAX);
        let refusal = Refusal::KeyBudgetDay { key: maker.key, needs: Nanos::new(1), available: Nanos::ZERO };
        assert_eq!(day_over.refusal(Nanos::new(1)), refusal);
        assert_eq!([left(&purses, tomorrow, &made), left(&purses, tomorrow, &maker)], [20, 20]);
        purses.resolve(tomorrow, Some(&maker), Nanos::new(30), Nanos::new(30));
        assert_eq!([left(&purses, tomorrow, &made), left(&purses, tomorrow, &maker)], [20, 20]);
        assert_eq!(
            purses.taken(tomorrow, maker.key),
            Taken { held: Nanos::ZERO, spent: Nanos::new(50), day: 1, spent_day: Nanos::new(30) }
        );
        assert_eq!(purses.room(today, None, Nanos::new(7)), Room::of(Nanos::new(7)));
    }
}
