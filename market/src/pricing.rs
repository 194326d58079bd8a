//! Pricing: what an owner asks, and which tier an answer was.

use rekursing_protocol::{Price, Pricing, Span};

use crate::{
    meter::Usage,
    record::{Speed, rounded, whole},
    terms::Terms,
    tier::{Floor, Tier},
};

/// Seconds in an hour.
const HOUR: f64 = 3_600.0;

/// Returns what an owner asks, in micro-dollars per million tokens. `median` is what others ask for
/// models of the class.
///
/// A price per hour is spread over the answer tokens that the measured speed makes in one: USD per hour ÷
/// (tokens per second × 3,600). Prompt tokens, which take a fraction of the time, are asked for at half of
/// it, as in the relay's default ask. Rounded down.
pub(crate) fn ask(terms: &Terms, pricing: Option<Pricing>, speed: &Speed, median: Option<Price>) -> Price {
    match pricing {
        None => terms.price_default,
        Some(Pricing::Fixed(price)) => price,
        Some(Pricing::Hourly { per_hour }) => {
            // Nano-dollars ÷ 1,000 are micro-dollars; × 10⁶ tokens.
            let per_million = whole(per_hour.get().unsigned_abs()) * 1_000.0
                / (speed.tokens_per_second(terms).max(0.001) * HOUR);
            let output = rounded(per_million.floor()).min(Price::MAX);
            Price::new(output / 2, output)
        }
        Some(Pricing::Market { floor }) => {
            let market = median.unwrap_or(terms.price_default);
            Price::new(market.input.max(floor.input), market.output.max(floor.output))
        }
    }
}

/// Returns the median of each side; of an even number the lower of the middle two. `None` of nothing.
pub(crate) fn median(prices: &mut [Price]) -> Option<Price> {
    let middle = prices.len().checked_sub(1)? / 2;
    let side = |prices: &mut [Price], side: fn(&Price) -> u64| {
        prices.sort_unstable_by_key(side);
        side(&prices[middle])
    };
    Some(Price::new(side(prices, |price| price.input), side(prices, |price| price.output)))
}

/// Returns an ask that moves toward another, each side apart, by no more than the terms allow at once.
pub(crate) fn toward(terms: &Terms, from: Price, to: Price) -> Price {
    let side = |from: u64, to: u64, default: u64| {
        // Of next to nothing a part is nothing: the default ask's part brings it up again.
        let most = from.max(default).saturating_mul(terms.follow_step_permille) / 1_000;
        to.clamp(from.saturating_sub(most.max(1)), from.saturating_add(most.max(1)))
    };
    let default = terms.price_default;
    Price::new(side(from.input, to.input, default.input), side(from.output, to.output, default.output))
}

/// Returns the least of each side. `None` of nothing.
pub(crate) fn least(prices: &[Price]) -> Option<Price> {
    let least =
        |one: Price, other: &Price| Price::new(one.input.min(other.input), one.output.min(other.output));
    prices.split_first().map(|(first, rest)| rest.iter().fold(*first, least))
}

/// Returns the tier that an answer was, when it was asked for in one: that tier if it kept the floor of
/// speed and promptness, else the highest below whose floor it kept. A whole answer, or one of too few tokens
/// to have a speed, kept both if it was there by when a streamed one that just keeps them ends. The time for
/// which a provider may have waited for its page is not held against it.
pub(crate) fn tier_got(terms: &Terms, asked: Tier, usage: &Usage) -> Tier {
    let generation = usage.generation.0.saturating_sub(usage.stalled.0);
    let has_speed = usage.first_token > Span(0) && usage.answer_tokens >= terms.measured_tokens_min;
    let kept = |tier: &Tier| {
        let floor = &terms.tiers.of(*tier).floor;
        let (first_max, generation_max) =
            (whole(floor.first_token_max.0), longest(floor, usage.answer_tokens));
        if has_speed {
            return whole(usage.first_token.0) <= first_max && whole(generation) <= generation_max;
        }
        whole(usage.first_token.0.saturating_add(generation)) <= first_max + generation_max
    };
    Tier::ALL.into_iter().rev().filter(|tier| *tier <= asked).find(kept).unwrap_or(Tier::Low)
}

/// Returns the longest that so many tokens take that keep a floor's speed, in milliseconds.
fn longest(floor: &Floor, answer_tokens: u64) -> f64 {
    if floor.millitokens_per_second_min == 0 {
        return f64::INFINITY;
    }
    // Tokens ÷ (thousandths of a token ÷ 1,000) × 1,000 milliseconds.
    whole(answer_tokens) * 1_000_000.0 / whole(floor.millitokens_per_second_min)
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Nanos;

    use super::*;

    fn usage(answer_tokens: u64, first_token: u64, generation: u64) -> Usage {
        Usage {
            answer_tokens,
            first_token: Span(first_token),
            generation: Span(generation),
            ..Usage::default()
        }
    }

    #[test]
    fn an_hours_price_is_spread_over_what_the_measured_speed_makes() {
        let terms = Terms::default();
        let hourly = Some(Pricing::Hourly { per_hour: Nanos::new(500_000_000) });
        // Half a dollar for 3,600 × 50 tokens is 2.7777… USD per million.
        let mut speed = Speed::default();
        speed.measure(&terms, &usage(100, 10, 2_000));
        assert_eq!(ask(&terms, hourly, &speed, None), Price::new(1_388_888, 2_777_777));
        // Unmeasured, 20 tokens per second are assumed.
        assert_eq!(ask(&terms, hourly, &Speed::default(), None), Price::new(3_472_222, 6_944_444));
        let free = Some(Pricing::Hourly { per_hour: Nanos::ZERO });
        assert_eq!(ask(&terms, free, &speed, None), Price::new(0, 0));
    }

    #[test]
    fn who_follows_the_market_asks_its_median_and_never_less_than_the_floor() {
        let (terms, speed) = (Terms::default(), Speed::default());
        let mut asks = [(9, 1), (1, 5), (5, 9), (100, 100)].map(|(input, output)| Price::new(input, output));
        let middle = median(&mut asks);
        assert_eq!(middle, Some(Price::new(5, 5)));
        let follow = |input, output| Some(Pricing::Market { floor: Price::new(input, output) });
        assert_eq!(ask(&terms, follow(0, 0), &speed, middle), Price::new(5, 5));
        assert_eq!(ask(&terms, follow(0, 7), &speed, middle), Price::new(5, 7));
        assert_eq!(median(&mut []), None);
        assert_eq!(ask(&terms, follow(0, 0), &speed, None), terms.price_default);
    }

    #[test]
    fn an_answer_is_of_the_tier_whose_floor_it_kept() {
        let terms = Terms::default();
        // Ultra asks for 60 tokens per second and a first token within a second; high for 30 and two.
        for (asked, tokens, first, generation, got) in [
            (Tier::Ultra, 120, 900, 2_000, Tier::Ultra),
            (Tier::Ultra, 120, 1_500, 2_000, Tier::High),
            (Tier::Ultra, 120, 900, 3_000, Tier::High),
            (Tier::Ultra, 120, 900, 5_000, Tier::Standard),
            (Tier::High, 120, 2_500, 2_000, Tier::Standard),
            (Tier::Standard, 120, 90_000, 900_000, Tier::Standard),
            (Tier::Low, 120, 10, 100, Tier::Low),
            // Seven tokens have no speed, but an end.
            (Tier::Ultra, 7, 900, 200, Tier::Ultra),
            (Tier::Ultra, 7, 900, 1_000, Tier::High),
            (Tier::High, 7, 50, 7_000, Tier::Standard),
            // Held back and sent at once, behind the promised time to the first token.
            (Tier::High, 120, 6_000, 5, Tier::Standard),
        ] {
            assert_eq!(
                tier_got(&terms, asked, &usage(tokens, first, generation)),
                got,
                "{asked} {first} {generation}"
            );
        }
        // Whole answers: all that is known is when they were there.
        for (tokens, took, got) in [
            (300, 6_000, Tier::Ultra),
            (300, 6_001, Tier::High),
            (300, 12_000, Tier::High),
            (300, 12_001, Tier::Standard),
            (5, 2_000, Tier::High),
            (5, 3_000, Tier::Standard),
        ] {
            assert_eq!(tier_got(&terms, Tier::Ultra, &usage(tokens, 0, took)), got, "{tokens} in {took}");
        }
        for (stalled, got) in [(58_000, Tier::Ultra), (56_000, Tier::High), (1_000, Tier::Standard)] {
            let slowed = Usage { stalled: Span(stalled), ..usage(120, 900, 60_000) };
            assert_eq!(tier_got(&terms, Tier::Ultra, &slowed), got, "the page slept for {stalled}");
        }
    }
}
