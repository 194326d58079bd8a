//! Free answers: what one can be expected to cost, and who pays for that.
//!
//! A free answer needs two things. The account `free` has the whole hold, in cash, so nothing that happens
//! later can leave it below zero. And what the answer can be expected to cost is covered by what its ad can be
//! expected to bring and by what the operator adds to one answer. The first keeps the platform solvent at
//! every moment; the second keeps its cash from draining away.

use rekursing_protocol::{Nanos, OfferKind, Price};

use crate::{
    refusal::Refusal,
    request::{Payer, Request},
    terms::Terms,
};

/// How long answers are.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    answers: u64,
    tokens: u64,
}

impl Lengths {
    /// Notes an answer that was charged.
    pub(crate) fn note(&mut self, terms: &Terms, tokens: u64) {
        self.answers += 1;
        self.tokens = self.tokens.saturating_add(tokens);
        if self.answers >= terms.free_answers_window.max(2) {
            (self.answers, self.tokens) = (self.answers / 2, self.tokens / 2);
        }
    }

    /// Returns how many tokens a free answer can be expected to have, rounded up. Before the first one it is
    /// as many as there may be.
    pub(crate) fn expected(&self, terms: &Terms) -> u64 {
        self.mean(terms, terms.free_answer_tokens_max)
    }

    /// Returns how many tokens an answer usually has, rounded up. Before the first one it is an eighth of as many
    /// as one without a limit may have.
    pub(crate) fn usual(&self, terms: &Terms) -> u64 {
        self.mean(terms, terms.answer_tokens_default.div_ceil(8))
    }

    /// Returns the mean length, where before the first answer so many tokens are assumed.
    fn mean(&self, terms: &Terms, assumed: u64) -> u64 {
        let prior = terms.free_answers_prior.max(1);
        let assumed = prior.saturating_mul(assumed);
        self.tokens.saturating_add(assumed).div_ceil(self.answers.saturating_add(prior))
    }
}

/// What a free answer can be expected to cost, and how much of that is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) expected: Nanos,
    pub(crate) covered: Nanos,
}

impl Cover {
    /// Works out what an answer at this price is expected to cost with so many tokens, and what covers it;
    /// `None` where nothing has to, because somebody else pays or the operator gives all that there is.
    pub(crate) fn of(terms: &Terms, request: &Request, price: Price, answer_tokens: u64) -> Option<Cover> {
        let (Payer::Free { .. }, Some(added)) = (request.payer, terms.free_per_answer_max) else {
            return None;
        };
        let expected = price.cost(request.prompt_tokens, answer_tokens).unwrap_or(Nanos::MAX);
        let covered = request.ad_expected.checked_add(added).unwrap_or(Nanos::MAX);
        Some(Cover { expected, covered })
    }

    pub(crate) fn is_enough(self) -> bool {
        self.expected <= self.covered
    }

    pub(crate) const fn refusal(self) -> Refusal {
        Refusal::FreeNotCovered { expected: self.expected, covered: self.covered }
    }
}

/// Tells whether it may depend on its ad that a request is answered. Only then is it worth to wait for the ad
/// before a provider is looked for.
pub fn hangs_on_ad(terms: &Terms, request: &Request) -> bool {
    let most = terms.free_price_max;
    let price = request
        .price_max
        .map_or(most, |asked| Price::new(asked.input.min(most.input), asked.output.min(most.output)));
    let tokens = request.answer_tokens_max.unwrap_or(u64::MAX).min(terms.free_answer_tokens_max);
    request.kind == OfferKind::Text
        && Cover::of(terms, request, price, tokens).is_some_and(|cover| !cover.is_enough())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_expected_to_be_as_long_as_those_before() {
        let terms = Terms { free_answer_tokens_max: 1_000, free_answers_prior: 10, ..Terms::default() };
        let mut lengths = Lengths::default();
        assert_eq!(lengths.expected(&terms), 1_000, "as long as may be, before the first one");
        (0..10).for_each(|_| lengths.note(&terms, 200));
        assert_eq!(lengths.expected(&terms), 600);
        lengths.note(&terms, 200);
        assert_eq!(lengths.expected(&terms), 12_200_u64.div_ceil(21), "rounded up");
    }

    #[test]
    fn older_lengths_count_less_than_newer_ones() {
        let terms = Terms { free_answers_window: 100, free_answers_prior: 1, ..Terms::default() };
        let mut lengths = Lengths::default();
        (0..10_000).for_each(|_| lengths.note(&terms, 10));
        assert!(lengths.expected(&terms) < 40);
        (0..10_000).for_each(|_| lengths.note(&terms, 900));
        assert!(lengths.expected(&terms) > 890);
    }
}
