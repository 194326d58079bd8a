//! The terms of trade: every limit and number of the market, with its unit.

use rekursing_protocol::{Nanos, Price, Span};

use crate::{steps::Steps, tier::TierTable};

/// Every limit and number of the market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The platform's part of each cost, in thousandths, rounded down, by what the owner's jobs have been
    /// charged this month.
    pub fee: Steps,
    /// A page's discount, in thousandths of each cost, by what it has been charged this month. It is taken
    /// from the fee and never from the owner.
    pub discount: Steps,
    /// What a page pays for a period without fee; `None` when none is sold.
    pub premium_price: Option<Nanos>,
    /// How long such a period is.
    pub premium_period: Span,
    /// The part of a new owner's earnings that is held back, in thousandths.
    pub holdback_permille: u64,
    /// For how long it is held back.
    pub holdback: Span,
    /// How long ago a trusted owner's first job was paid.
    pub trusted_after: Span,
    /// How many jobs of a trusted owner were paid, each with at least [`Terms::trusted_charge_min`].
    pub trusted_jobs: u64,
    /// How many pages paid them.
    pub trusted_pages: usize,
    /// The least charge of a job that counts for trust; what is free never does.
    pub trusted_charge_min: Nanos,
    /// The ask of an owner who set no price, in micro-dollars per million tokens.
    pub price_default: Price,
    /// How many times what is usual a page pays that names no highest price, see
    /// [`Terms::price_unnamed_max`]. Up to so many times [`Terms::price_default`] is usual everywhere.
    pub price_times_max: u64,
    /// The highest ask that a page pays that names no highest price, whatever is usual, in micro-dollars per
    /// million tokens.
    pub price_unnamed_max: Price,
    /// Paid jobs, by [`Terms::trusted_jobs`]'s count, from which on what an owner asks tells what is usual.
    pub voice_jobs_min: u64,
    /// Pages that must have paid them.
    pub voice_pages_min: usize,
    /// How long ago the first of them must have been paid.
    pub voice_after: Span,
    /// Fewest such owners of a class that make a market of it.
    pub voices_min: usize,
    /// The most by which the ask of who follows the market changes at a look, which is every ten seconds, in
    /// thousandths.
    pub follow_step_permille: u64,
    /// What each tier costs and asks for.
    pub tiers: TierTable,

    /// Answer tokens that a job may cost when the page set no limit; the context left may be less.
    pub answer_tokens_default: u64,
    /// Answer tokens for which an offer must have room when the page set no limit.
    pub answer_tokens_room_min: u64,
    /// Most answer tokens of a free job.
    pub free_answer_tokens_max: u64,
    /// Jobs that one free visitor may have answered per UTC day.
    pub free_jobs_per_day: u32,
    /// Longest prompt of a free answer, in tokens: whoever owns a plugin could ask it the longest of
    /// questions and spend the budget on himself.
    pub free_prompt_tokens_max: u64,
    /// Free visitors that are remembered per UTC day; further ones are refused.
    pub free_visitors_max: usize,
    /// Highest price, after the tier, that the free budget pays, in micro-dollars per million tokens.
    /// Without it an owner could ask for the moon and spend the budget on himself.
    pub free_price_max: Price,
    /// The most that one free answer may be expected to cost beyond what its ad is expected to bring. `None`:
    /// as much as there is.
    pub free_per_answer_max: Option<Nanos>,
    /// The most that is kept for free answers over midnight UTC; what there is above it is ads' surplus and
    /// becomes the platform's. `None`: all of it is kept.
    pub free_keep_max: Option<Nanos>,
    /// Free answers of the greatest length that are taken to have been before the first one.
    pub free_answers_prior: u64,
    /// Free answers after which older ones count half in how long one is expected to be.
    pub free_answers_window: u64,

    /// Groups that there may be.
    pub groups_max: usize,
    /// Members that a group may have, plugins and accounts together.
    pub group_members_max: usize,
    /// Groups that an account may be in.
    pub account_groups_max: usize,

    /// Attempts at a job after the first one failed before its first piece.
    pub retries_max: u32,
    /// How often another provider goes on with an answer that its owner has left.
    pub continuations_max: usize,
    /// Jobs that may wait for a slot, over all models.
    pub queue_max: usize,
    /// Longest time from a job's submission to its last assignment to a session.
    pub queue_wait: Span,

    /// Silence after which a session gets no new jobs.
    pub suspect_after: Span,
    /// Silence after which a session is closed and its jobs are lost to it.
    pub dead_after: Span,
    /// How long a session whose socket is lost may be resumed; nothing is when no session is.
    pub resume_within: Span,
    /// The longest that an attempt may take, which the shell sees to; whoever says earlier that the time was up has
    /// left.
    pub answer_time_max: Span,
    /// Sessions that may wait to be resumed; further ones leave at once.
    pub suspended_max: usize,
    /// Failures within [`Terms::breaker_window`] that park a session; at least 1.
    pub breaker_failures: usize,
    /// How long a failure is held against a session.
    pub breaker_window: Span,
    /// How long a session stays parked before one job probes it.
    pub breaker_park: Span,
    /// How long a session that said "not now" (busy, paused, loading) is left alone.
    pub rest: Span,

    /// Lowest success rate that may serve at all, in thousandths.
    pub trust_permille_min: u64,
    /// Time in which a success rate heals half of what it lost.
    pub trust_half_life: Span,
    /// Departed plugins whose record is remembered, so that reconnecting wipes nothing clean.
    pub departed_max: usize,

    /// Speed that is assumed of an offer that was never measured, in thousandths of a token per second.
    pub millitokens_per_second_prior: u64,
    /// Time to the first token that is assumed of an offer that was never measured.
    pub first_token_prior: Span,
    /// Fewest answer tokens from which a speed is measured; shorter answers say too little.
    pub measured_tokens_min: u64,

    /// Best offers among which two are drawn; at least 1.
    pub choices_max: usize,
    /// Lowest score that still counts among the best, in thousandths of the highest.
    pub choices_band_permille: u64,
    /// The most that a low price counts in the score, in thousandths of what [`Terms::price_default`]
    /// counts. Up to the inverse of [`Terms::choices_band_permille`] no price, not even nothing, shuts
    /// out an offer that is as good and asks the default.
    pub price_weight_permille_max: u64,

    /// Difference between the relay's count and the server's claim that is worth telling, in
    /// thousandths of the larger.
    pub discrepancy_permille: u64,
    /// Difference below which two counts never disagree, in tokens.
    pub discrepancy_tokens_min: u64,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            fee: Steps::new(50, dollars([(1_000, 40), (10_000, 30), (100_000, 20)])),
            discount: Steps::new(0, dollars([(100, 5), (1_000, 10), (10_000, 20)])),
            premium_price: Some(Nanos::new(5 * Nanos::DOLLAR.get())),
            premium_period: Span::secs(30 * 24 * 60 * 60),
            holdback_permille: 500,
            holdback: Span::secs(7 * 24 * 60 * 60),
            trusted_after: Span::secs(7 * 24 * 60 * 60),
            trusted_jobs: 100,
            trusted_pages: 3,
            // A hundred answer tokens at the default ask.
            trusted_charge_min: Nanos::new(10_000),
            price_default: Price::new(50_000, 100_000),
            price_times_max: 4,
            price_unnamed_max: Price::new(10_000_000, 20_000_000),
            voice_jobs_min: 5,
            voice_pages_min: 2,
            voice_after: Span::DAY,
            voices_min: 3,
            follow_step_permille: 50,
            tiers: TierTable::default(),
            answer_tokens_default: 2_048,
            answer_tokens_room_min: 16,
            free_answer_tokens_max: 1_024,
            free_prompt_tokens_max: 8_192,
            free_jobs_per_day: 50,
            free_visitors_max: 100_000,
            free_price_max: Price::new(2_000_000, 4_000_000),
            free_per_answer_max: None,
            free_keep_max: None,
            free_answers_prior: 20,
            free_answers_window: 20_000,
            groups_max: 10_000,
            group_members_max: 50,
            account_groups_max: 8,
            retries_max: 2,
            continuations_max: 2,
            queue_max: 1_000,
            queue_wait: Span::secs(30),
            suspect_after: Span::secs(25),
            dead_after: Span::secs(45),
            resume_within: Span::secs(30),
            answer_time_max: Span::secs(600),
            suspended_max: 12_000,
            breaker_failures: 3,
            breaker_window: Span::secs(60),
            breaker_park: Span::secs(15),
            rest: Span::secs(1),
            trust_permille_min: 300,
            trust_half_life: Span::secs(600),
            departed_max: 20_000,
            millitokens_per_second_prior: 20_000,
            first_token_prior: Span::secs(1),
            measured_tokens_min: 8,
            choices_max: 8,
            choices_band_permille: 500,
            price_weight_permille_max: 2_000,
            discrepancy_permille: 250,
            discrepancy_tokens_min: 16,
        }
    }
}

/// Makes steps of whole dollars.
fn dollars(steps: [(i64, u64); 3]) -> Vec<(Nanos, u64)> {
    steps.map(|(volume, permille)| (Nanos::new(volume * Nanos::DOLLAR.get()), permille)).to_vec()
}
