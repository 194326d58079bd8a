//! Paces: how fast the latest answers of each model family came, whoever gave them.

use std::collections::{HashMap, VecDeque};

use rekursing_protocol::{Moment, Span};

use crate::{meter::Usage, model_name, record::Speed, terms::Terms};

/// How long an answer tells something of its model.
const PACE_SPAN: Span = Span::millis(30 * 60 * 1_000);

/// Most answers of one family that are looked at, the latest.
const ANSWERS_MAX: usize = 200;

/// Two quantiles of measurements, each one that was measured (the nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// Half of the answers were no worse.
    pub p50: u64,
    /// 99 of 100 answers were no worse.
    pub p99: u64,
}

/// How fast the answers of a model were in the last half hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Answers that were measured, 200 at most.
    pub answers: usize,
    /// Milliseconds from the assignment to the first token; the 99th is among the slowest.
    pub first_token_ms: Quantiles,
    /// Thousandths of a token per second; the 99th is among the slowest.
    pub millitokens_per_second: Quantiles,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    at: Moment,
    first_token_ms: u64,
    millitokens_per_second: u64,
}

/// The latest answers by model family. Families are those of offers that answered, so there are no more of
/// them than plugins brought, and one whose answers are all too old is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    families: HashMap<String, VecDeque<Answer>>,
}

impl Paces {
    /// Takes in an answer that was streamed and long enough to say something.
    pub(crate) fn measure(&mut self, terms: &Terms, now: Moment, model: &str, usage: &Usage) {
        let Some(millitokens_per_second) = Speed::millitokens_of(terms, usage) else { return };
        // A whole answer comes at its end, and what a page did not read says nothing of who answered.
        if usage.first_token == Span(0) || usage.stalled > Span(0) {
            return;
        }
        let answers = self.families.entry(model_name::family(model)).or_default();
        if answers.len() >= ANSWERS_MAX {
            answers.pop_front();
        }
        answers.push_back(Answer { at: now, first_token_ms: usage.first_token.0, millitokens_per_second });
    }

    /// Forgets what is too old to tell something.
    pub(crate) fn forget(&mut self, now: Moment) {
        self.families.retain(|_, answers| {
            while answers.front().is_some_and(|answer| now.since(answer.at) > PACE_SPAN) {
                answers.pop_front();
            }
            !answers.is_empty()
        });
    }

    /// Returns how fast a model's answers were; nothing where none was measured.
    pub(crate) fn of(&self, now: Moment, model: &str) -> Option<Pace> {
        let answers = self.families.get(&model_name::family(model))?;
        let fresh: Vec<&Answer> = answers.iter().filter(|answer| now.since(answer.at) <= PACE_SPAN).collect();
        if fresh.is_empty() {
            return None;
        }
        let first_tokens = fresh.iter().map(|answer| answer.first_token_ms).collect();
        // The slowest are those of the fewest tokens per second.
        let speeds = fresh.iter().map(|answer| u64::MAX - answer.millitokens_per_second).collect();
        let Quantiles { p50, p99 } = quantiles(speeds);
        Some(Pace {
            answers: fresh.len(),
            first_token_ms: quantiles(first_tokens),
            millitokens_per_second: Quantiles { p50: u64::MAX - p50, p99: u64::MAX - p99 },
        })
    }
}

/// Returns the quantiles of some values, the smaller the better.
fn quantiles(mut values: Vec<u64>) -> Quantiles {
    values.sort_unstable();
    let rank = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
    Quantiles { p50: rank(50), p99: rank(99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(first_token: u64, tokens: u64) -> Usage {
        Usage {
            answer_tokens: tokens,
            first_token: Span::millis(first_token),
            generation: Span::millis(10_000),
            ..Usage::default()
        }
    }

    #[test]
    fn half_of_the_answers_and_99_of_100_were_no_slower() {
        let (mut paces, terms) = (Paces::default(), Terms::default());
        for answer in 1..=100 {
            paces.measure(&terms, Moment(0), "Qwen/Qwen2.5-7B-GGUF", &usage(answer, answer * 100));
        }
        let pace = paces.of(Moment(0), "qwen2.5-7b").unwrap();
        assert_eq!(pace.answers, 100);
        assert_eq!(pace.first_token_ms, Quantiles { p50: 50, p99: 99 });
        let Quantiles { p50, p99 } = pace.millitokens_per_second;
        assert!(p99 < p50, "the 99th is among the slowest: {pace:?}");
        assert_eq!(paces.of(Moment(0), "another"), None);
    }

    #[test]
    fn what_is_older_than_half_an_hour_tells_nothing_and_is_forgotten() {
        let (mut paces, terms) = (Paces::default(), Terms::default());
        paces.measure(&terms, Moment(0), "one", &usage(1, 500));
        let late = Moment(0) + PACE_SPAN + Span::millis(1);
        assert_eq!(paces.of(late, "one"), None);
        paces.forget(late);
        assert!(paces.families.is_empty());
    }

    #[test]
    fn no_more_than_the_latest_are_kept_and_short_or_whole_answers_are_none() {
        let (mut paces, terms) = (Paces::default(), Terms::default());
        for at in 0..300 {
            paces.measure(&terms, Moment(at), "one", &usage(1, 500));
        }
        assert_eq!(paces.of(Moment(300), "one").unwrap().answers, ANSWERS_MAX);
        paces.measure(&terms, Moment(0), "two", &usage(0, 500));
        paces.measure(&terms, Moment(0), "two", &usage(1, 1));
        assert_eq!(paces.of(Moment(0), "two"), None);
    }
}
