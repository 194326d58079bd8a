//! Records: what the relay itself measured of a plugin. Claims are not measured and not kept.

use rekursing_protocol::{Moment, Span};

use crate::{meter::Usage, terms::Terms};

/// Weight of the latest answer in an average: about the last ten answers matter.
const LATEST: f64 = 0.2;

/// The least part of an answer's whole time that counts as its generation. No answer is measured at more than
/// a quarter above its tokens over all of its time, so that whoever holds tokens back gains next to nothing.
const TIME_SHARE_MIN: f64 = 0.8;

/// How reliable a plugin was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reliability {
    /// Success rate as of `at`, from 0 to 1.
    success: f32,
    /// How seldom it left in the middle of a job, from 0 to 1.
    stability: f32,
    at: Moment,
}

impl Default for Reliability {
    fn default() -> Reliability {
        Reliability { success: 1.0, stability: 1.0, at: Moment(0) }
    }
}

impl Reliability {
    /// Returns the success rate from 0 to 1; what it lost heals by half in each half-life.
    pub(crate) fn success(&self, terms: &Terms, now: Moment) -> f64 {
        let lives = seconds(now.since(self.at)) / seconds(terms.trust_half_life).max(0.001);
        1.0 - (1.0 - f64::from(self.success)) * (-lives).exp2()
    }

    /// Returns how seldom it leaves in the middle of a job, from 0 to 1.
    pub(crate) fn stability(&self) -> f64 {
        f64::from(self.stability)
    }

    pub(crate) fn succeeded(&mut self, terms: &Terms, now: Moment) {
        self.set_success(terms, now, 1.0);
        self.stability = narrow(f64::from(self.stability) + (1.0 - f64::from(self.stability)) * LATEST);
    }

    pub(crate) fn failed(&mut self, terms: &Terms, now: Moment) {
        self.set_success(terms, now, 0.0);
    }

    pub(crate) fn dropped(&mut self) {
        self.stability = narrow(f64::from(self.stability) * (1.0 - LATEST));
    }

    fn set_success(&mut self, terms: &Terms, now: Moment, latest: f64) {
        let before = self.success(terms, now);
        self.success = narrow(before + (latest - before) * LATEST);
        self.at = now;
    }
}

/// How fast one model of a plugin was.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Speed {
    /// Answers that were measured.
    answers: u32,
    /// Tokens per second.
    tokens_per_second: f32,
    /// Seconds to the first token.
    first_token: f32,
}

impl Speed {
    /// Returns how many answers were measured.
    pub(crate) const fn answers(&self) -> u32 {
        self.answers
    }

    /// Returns tokens per second, assumed when there is no measurement.
    pub(crate) fn tokens_per_second(&self, terms: &Terms) -> f64 {
        if self.tokens_per_second > 0.0 {
            return f64::from(self.tokens_per_second);
        }
        whole(terms.millitokens_per_second_prior) / 1_000.0
    }

    /// Returns thousandths of a token per second, 0 when there is no measurement.
    pub(crate) fn millitokens_per_second(&self) -> u64 {
        rounded(f64::from(self.tokens_per_second) * 1_000.0)
    }

    /// Returns seconds to the first token, assumed when there is no measurement.
    pub(crate) fn first_token(&self, terms: &Terms) -> f64 {
        if self.first_token > 0.0 { f64::from(self.first_token) } else { seconds(terms.first_token_prior) }
    }

    /// Returns the tokens per second of one answer; `None` when it was too short to say something. An answer
    /// that was held back and came in a burst was made in the time before it too.
    fn of(terms: &Terms, usage: &Usage) -> Option<f64> {
        let (first_token, generation) = (seconds(usage.first_token), seconds(usage.generation));
        let time = generation.max((first_token + generation) * TIME_SHARE_MIN);
        let is_measured = usage.answer_tokens >= terms.measured_tokens_min && time > 0.0;
        is_measured.then(|| whole(usage.answer_tokens) / time)
    }

    /// Returns the thousandths of a token per second of one answer; `None` when it was too short to say
    /// something.
    pub(crate) fn millitokens_of(terms: &Terms, usage: &Usage) -> Option<u64> {
        Speed::of(terms, usage).map(|speed| rounded(speed * 1_000.0))
    }

    /// Takes in an answer that was long enough to say something.
    pub(crate) fn measure(&mut self, terms: &Terms, usage: &Usage) {
        if usage.first_token > Span(0) {
            self.first_token = average(self.first_token, seconds(usage.first_token));
        }
        let Some(speed) = Speed::of(terms, usage) else { return };
        // A page that does not read says nothing against the provider.
        if usage.stalled > Span(0) && speed < f64::from(self.tokens_per_second) {
            return;
        }
        self.tokens_per_second = average(self.tokens_per_second, speed);
        self.answers = self.answers.saturating_add(1);
    }
}

/// Returns a non-negative number as whole thousandths or units.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(crate) fn rounded(number: f64) -> u64 {
    number.round() as u64
}

/// Returns a whole number for a measurement, which needs no more than 52 bits of it.
pub(crate) fn whole(number: u64) -> f64 {
    number as f64
}

fn seconds(span: Span) -> f64 {
    whole(span.0) / 1_000.0
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a measurement has")]
fn narrow(number: f64) -> f32 {
    number as f32
}

fn average(before: f32, latest: f64) -> f32 {
    if before > 0.0 {
        narrow(f64::from(before) + (latest - f64::from(before)) * LATEST)
    } else {
        narrow(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_rate_falls_with_failures_and_heals_with_time() {
        let (mut reliability, terms) = (Reliability::default(), Terms::default());
        for _ in 0..3 {
            reliability.failed(&terms, Moment(0));
        }
        let fallen = reliability.success(&terms, Moment(0));
        assert!((fallen - 0.512).abs() < 1e-3, "{fallen}");
        let healed = reliability.success(&terms, Moment(0) + terms.trust_half_life);
        assert!((healed - 0.756).abs() < 1e-3, "{healed}");
        reliability.succeeded(&terms, Moment(0));
        assert!(reliability.success(&terms, Moment(0)) > fallen);
    }

    #[test]
    fn a_speed_is_measured_from_answers_that_say_something() {
        let (mut speed, terms) = (Speed::default(), Terms::default());
        let answer = |answer_tokens, generation| Usage {
            answer_tokens,
            generation,
            first_token: Span(250),
            ..Usage::default()
        };
        speed.measure(&terms, &answer(3, Span(1)));
        assert_eq!((speed.answers(), speed.millitokens_per_second()), (0, 0));
        assert!((speed.tokens_per_second(&terms) - 20.0).abs() < 1e-6);
        assert!((speed.first_token(&terms) - 0.25).abs() < 1e-6);
        speed.measure(&terms, &answer(100, Span::secs(1)));
        assert_eq!((speed.answers(), speed.millitokens_per_second()), (1, 100_000));
        speed.measure(&terms, &answer(50, Span::secs(1)));
        assert_eq!(speed.millitokens_per_second(), 90_000);
    }

    #[test]
    fn an_answer_that_was_held_back_is_measured_by_the_time_that_it_took() {
        let terms = Terms::default();
        // 100 tokens in ten seconds, whatever of it precedes the first token.
        for (first, generation, most) in
            [(10_000, 0, 12_500), (9_990, 10, 12_500), (8_000, 2_000, 12_500), (2_000, 8_000, 12_500)]
        {
            let mut speed = Speed::default();
            let usage = Usage {
                answer_tokens: 100,
                first_token: Span(first),
                generation: Span(generation),
                ..Usage::default()
            };
            speed.measure(&terms, &usage);
            assert_eq!(speed.millitokens_per_second(), most, "{first} {generation}");
        }
    }

    #[test]
    fn a_page_that_does_not_read_lowers_no_speed_and_raises_none() {
        let (mut speed, terms) = (Speed::default(), Terms::default());
        let answer = |generation, stalled| Usage {
            answer_tokens: 100,
            first_token: Span(100),
            generation: Span(generation),
            stalled: Span(stalled),
            ..Usage::default()
        };
        speed.measure(&terms, &answer(2_000, 0));
        for _ in 0..10 {
            speed.measure(&terms, &answer(20_000, 19_900));
        }
        assert_eq!(speed.millitokens_per_second(), 50_000);
    }

    #[test]
    fn who_leaves_in_the_middle_is_less_stable() {
        let (mut reliability, terms) = (Reliability::default(), Terms::default());
        reliability.dropped();
        let dropped = reliability.stability();
        assert!(dropped < 1.0);
        reliability.succeeded(&terms, Moment(0));
        assert!(reliability.stability() > dropped);
    }
}
