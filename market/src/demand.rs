//! Demand: what was asked for on this UTC day, by model family. It begins anew with the process.

use std::collections::HashMap;

use rekursing_protocol::{Moment, Span, Topics};

use crate::{
    model_name,
    request::{Request, Wish},
};

/// Most families that are counted apart: names come from pages, which can invent them.
const FAMILIES_MAX: usize = 1_000;

/// Longest name that is counted apart, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Most sets of topics that are counted apart.
const TOPICS_MAX: usize = 1_000;

/// Contexts by which requests are told apart: 256 tokens and its doubles.
const SIZES: usize = 16;

/// What was asked for and paid of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// Requests.
    pub(crate) requests: u64,
    /// Prompt tokens that were paid.
    pub(crate) prompt_tokens: u64,
    /// Answer tokens that were paid.
    pub(crate) answer_tokens: u64,
}

/// Everything of one day.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    day: u64,
    /// Since when it is counted.
    since: Moment,
    families: HashMap<Box<str>, Asked>,
    requests: u64,
    /// How many requests fit the context of this size, and none smaller.
    by_size: [u64; SIZES],
    /// Requests of accounts that are not verified, and of visitors.
    unverified: u64,
    /// Requests of which it was told what they are about, and how many are about what.
    told: u64,
    by_topics: HashMap<Topics, u64>,
}

impl Demand {
    /// Counts a request.
    pub(crate) fn asked(&mut self, now: Moment, request: &Request) {
        self.turn(now);
        self.requests += 1;
        let needs = request.prompt_tokens.saturating_add(request.answer_tokens_max.unwrap_or(1));
        self.by_size[size(needs)] += 1;
        self.unverified += u64::from(!request.is_verified);
        if let Some(topics) = request.topics {
            self.told += 1;
            if self.by_topics.len() < TOPICS_MAX || self.by_topics.contains_key(&topics) {
                *self.by_topics.entry(topics).or_default() += 1;
            }
        }
        if let Wish::Named(model) = &request.model
            && let Some(asked) = self.of_mut(model)
        {
            asked.requests += 1;
        }
    }

    /// Counts an answer that was paid.
    pub(crate) fn paid(&mut self, now: Moment, model: &str, prompt_tokens: u64, answer_tokens: u64) {
        self.turn(now);
        if let Some(asked) = self.of_mut(model) {
            asked.prompt_tokens = asked.prompt_tokens.saturating_add(prompt_tokens);
            asked.answer_tokens = asked.answer_tokens.saturating_add(answer_tokens);
        }
    }

    /// Returns what was asked for and paid of a model's family today.
    pub(crate) fn of(&self, now: Moment, model: &str) -> Asked {
        if self.day != now.day() {
            return Asked::default();
        }
        self.families.get(&*model_name::family(model)).copied().unwrap_or_default()
    }

    /// Returns for how long today's requests were counted.
    pub(crate) fn counted(&self, now: Moment) -> Span {
        if self.day == now.day() { now.since(self.since) } else { Span(0) }
    }

    /// Returns all requests of today.
    pub(crate) fn requests(&self, now: Moment) -> u64 {
        if self.day == now.day() { self.requests } else { 0 }
    }

    /// Returns how many of today's requests a context is certainly too small for, in thousandths.
    pub(crate) fn too_long_permille(&self, now: Moment, context: u32) -> u64 {
        if self.day != now.day() {
            return 0;
        }
        let longer: u64 = self.by_size[(size(context.into()) + 1).min(SIZES)..].iter().sum();
        (longer * 1_000).checked_div(self.requests).unwrap_or_default()
    }

    /// Returns how many of today's requests are not of verified accounts, in thousandths.
    pub(crate) fn unverified_permille(&self, now: Moment) -> u64 {
        if self.day != now.day() {
            return 0;
        }
        (self.unverified * 1_000).checked_div(self.requests).unwrap_or_default()
    }

    /// Returns how many of today's requests whose topics were told are about one of these, in thousandths.
    pub(crate) fn refused_permille(&self, now: Moment, refuses: Topics) -> u64 {
        if self.day != now.day() {
            return 0;
        }
        let touched = self.by_topics.iter().filter(|(topics, _)| topics.touches(refuses));
        let refused: u64 = touched.map(|(_, requests)| requests).sum();
        (refused * 1_000).checked_div(self.told).unwrap_or_default()
    }

    fn of_mut(&mut self, model: &str) -> Option<&mut Asked> {
        if model.len() > NAME_BYTES_MAX {
            return None;
        }
        let family = model_name::family(model);
        if self.families.len() >= FAMILIES_MAX && !self.families.contains_key(&*family) {
            return None;
        }
        Some(self.families.entry(family.into()).or_default())
    }

    fn turn(&mut self, now: Moment) {
        if self.day != now.day() {
            // Before the first day there was no process.
            let since = if self.day == 0 { now } else { Moment(now.day() * Span::DAY.0) };
            *self = Demand { day: now.day(), since, ..Demand::default() };
        }
    }
}

/// Returns the place of the smallest context that holds so many tokens.
fn size(tokens: u64) -> usize {
    let places = tokens.div_ceil(256).max(1).next_power_of_two().trailing_zeros();
    usize::try_from(places).unwrap_or(SIZES).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::tests::fixture::request;

    const NOW: Moment = Moment(1_000);

    fn long(prompt_tokens: u64) -> Request {
        Request { prompt_tokens, answer_tokens_max: Some(0), ..request(1) }
    }

    #[test]
    fn requests_and_paid_tokens_are_counted_by_family_until_midnight() {
        let mut demand = Demand::default();
        demand.asked(NOW, &request(1));
        demand.asked(NOW, &Request { model: Wish::Any, ..request(2) });
        demand.paid(NOW, "Qwen/Qwen2.5-7B-Instruct-GGUF", 10, 20);
        let expected = Asked { requests: 1, prompt_tokens: 10, answer_tokens: 20 };
        assert_eq!(demand.of(NOW, "qwen2.5:7b-instruct"), expected);
        assert_eq!(demand.requests(NOW), 2);
        let tomorrow = NOW + Span::DAY;
        assert_eq!(
            (demand.requests(tomorrow), demand.of(tomorrow, "qwen2.5:7b-instruct")),
            (0, Asked::default())
        );
        demand.asked(tomorrow, &request(3));
        assert_eq!(demand.requests(tomorrow), 1);
        assert_eq!(demand.counted(tomorrow + Span(5)), Span(5), "since the first request");
        let later = Moment(Span::DAY.0 * 2 + 7);
        demand.asked(later, &request(4));
        assert_eq!(demand.counted(later), Span(7), "since midnight");
    }

    #[test]
    fn a_context_misses_the_requests_that_are_longer() {
        let mut demand = Demand::default();
        for tokens in [0, 256, 257, 4_096, 4_097, u64::MAX] {
            demand.asked(NOW, &long(tokens));
        }
        for (context, permille) in [(256, 666), (512, 500), (4_096, 333), (8_192, 166), (u32::MAX, 0)] {
            assert_eq!(demand.too_long_permille(NOW, context), permille, "{context}");
        }
        assert_eq!(Demand::default().too_long_permille(Moment(0), 1), 0);
    }

    #[test]
    fn requests_are_counted_by_who_asks_and_by_what_they_are_about() {
        use rekursing_protocol::topic::Subject;
        let mut demand = Demand::default();
        let about = |topics| Request { topics, ..request(1) };
        let (politics, grief) = (Topics::from(Subject::Politics), Topics::from(Subject::Grief));
        for topics in [None, Some(Topics::NONE), Some(politics), Some(politics | grief), Some(grief)] {
            demand.asked(NOW, &about(topics));
        }
        demand.asked(NOW, &Request { is_verified: true, ..about(None) });
        assert_eq!(demand.unverified_permille(NOW), 833);
        assert_eq!(demand.refused_permille(NOW, politics), 500, "of those that were told");
        assert_eq!(demand.refused_permille(NOW, politics | grief), 750);
        assert_eq!(demand.refused_permille(NOW, Topics::UNREAD), 0);
        assert_eq!(demand.unverified_permille(NOW + Span::DAY), 0);
    }

    #[test]
    fn invented_names_are_bounded() {
        let mut demand = Demand::default();
        for number in 0..2 * FAMILIES_MAX {
            demand.asked(NOW, &Request { model: Wish::Named(format!("name-{number}x")), ..request(1) });
        }
        demand.asked(NOW, &Request { model: Wish::Named("x".repeat(NAME_BYTES_MAX + 1)), ..request(1) });
        assert_eq!(demand.families.len(), FAMILIES_MAX);
        assert_eq!(demand.requests(NOW), 2 * FAMILIES_MAX as u64 + 1);
    }
}
