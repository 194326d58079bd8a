//! The meter rule: how many tokens of an answer are charged.
//!
//! The relay counts what it delivered. The server's own figure is a claim: it may lower the charge and
//! never raises it, and a large difference is told.

use rekursing_protocol::Span;

use crate::terms::Terms;

/// What was delivered of a job, by the relay's count, and what the server claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prompt tokens by the relay's count.
    pub prompt_tokens: u64,
    /// Answer tokens delivered, by the relay's count.
    pub answer_tokens: u64,
    /// Prompt tokens that the server claims; zero says nothing.
    pub claimed_prompt: Option<u64>,
    /// Answer tokens that the server claims; zero says nothing.
    pub claimed_answer: Option<u64>,
    /// Time from the assignment to the first token; zero when it was not measured, as of a whole answer,
    /// which comes at its end.
    pub first_token: Span,
    /// Time from the first token to the last, of a whole answer from the assignment to its end; zero when
    /// it was not measured.
    pub generation: Span,
    /// The part of the generation in which the provider may have waited for a page that did not read.
    pub stalled: Span,
}

/// What is charged of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// Whether count and claim differ by a large share.
    pub discrepancy: bool,
}

/// Returns what is charged: the smaller of count and claim on each side, within what the hold covers.
pub fn metered(terms: &Terms, usage: &Usage, prompt_tokens_max: u64, answer_tokens_max: u64) -> Metered {
    let lower = |count: u64, claim: Option<u64>| match claim {
        Some(claim) if claim > 0 => count.min(claim),
        Some(_) | None => count,
    };
    Metered {
        prompt_tokens: lower(usage.prompt_tokens, usage.claimed_prompt).min(prompt_tokens_max),
        answer_tokens: lower(usage.answer_tokens, usage.claimed_answer).min(answer_tokens_max),
        discrepancy: disagree(terms, usage.prompt_tokens, usage.claimed_prompt)
            || disagree(terms, usage.answer_tokens, usage.claimed_answer),
    }
}

fn disagree(terms: &Terms, count: u64, claim: Option<u64>) -> bool {
    let Some(claim) = claim.filter(|claim| *claim > 0) else {
        return false;
    };
    let difference = count.abs_diff(claim);
    let large = u128::from(count.max(claim)) * u128::from(terms.discrepancy_permille) / 1_000;
    difference >= terms.discrepancy_tokens_min && u128::from(difference) > large
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_the_smaller_of_count_and_claim_within_the_hold() {
        // count, claim, most → charged, told
        for (count, claim, max, charged, told) in [
            (100, None, 1_000, 100, false),
            (100, Some(0), 1_000, 100, false),
            (100, Some(90), 1_000, 90, false),
            (100, Some(110), 1_000, 100, false),
            (100, Some(10_000), 1_000, 100, true),
            (100, Some(10), 1_000, 10, true),
            (3, Some(9), 1_000, 3, false),
            (500, None, 64, 64, false),
            (0, Some(500), 1_000, 0, true),
            (u64::MAX, Some(u64::MAX), 7, 7, false),
        ] {
            let usage = Usage { answer_tokens: count, claimed_answer: claim, ..Usage::default() };
            let metered = metered(&Terms::default(), &usage, 0, max);
            assert_eq!((metered.answer_tokens, metered.discrepancy), (charged, told), "{count} {claim:?}");
        }
    }

    #[test]
    fn never_charges_more_prompt_than_the_page_was_told() {
        let usage = Usage { prompt_tokens: 90, claimed_prompt: Some(95), ..Usage::default() };
        assert_eq!(metered(&Terms::default(), &usage, 80, 0).prompt_tokens, 80);
        assert_eq!(metered(&Terms::default(), &usage, 100, 0).prompt_tokens, 90);
    }
}
