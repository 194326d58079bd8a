//! Auto: which model and tier to ask, where a page leaves that to the market.
//!
//! Every model in every tier that would answer is estimated from what was measured of those who would be
//! asked. The one with the most expected value per dollar is taken:
//!
//! ```text
//! success × quality^q × speed^s ÷ cost
//! ```
//!
//! where the page's objective is the exponents `q` and `s`. This is the weighted product model of decisions by
//! several criteria (Bridgman 1922; Miller and Starr 1969): only ratios count in it, so that no scale has to be
//! made up on which a second is worth so many cents.

use rekursing_protocol::{Nanos, Span};

use crate::{record::whole, refusal::Refusal, tier::Tier};

/// What a page values in an answer: how much quality and speed count beside each other and beside the cost,
/// which counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// Exponent of the quality, in thousandths.
    pub quality_permille: u32,
    /// Exponent of the speed, in thousandths.
    pub speed_permille: u32,
}

impl Objective {
    /// Highest exponent, in thousandths.
    pub const PERMILLE_MAX: u32 = 10_000;

    /// The objectives that have a name. With `quality`, an answer of twice the quality may cost sixteen times
    /// as much; with `balanced` four times.
    pub const NAMED: [(&'static str, Objective); 4] = [
        ("balanced", Objective { quality_permille: 2_000, speed_permille: 500 }),
        ("quality", Objective { quality_permille: 4_000, speed_permille: 250 }),
        ("speed", Objective { quality_permille: 1_000, speed_permille: 2_000 }),
        ("cost", Objective { quality_permille: 250, speed_permille: 0 }),
    ];

    /// Returns the objective of a name.
    pub fn named(name: &str) -> Option<Objective> {
        Objective::NAMED.into_iter().find(|(named, _)| *named == name).map(|(_, objective)| objective)
    }
}

impl Default for Objective {
    fn default() -> Objective {
        Objective::NAMED[0].1
    }
}

/// What a page says who leaves model and tier to the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auto {
    /// What it values.
    pub objective: Objective,
    /// By when the whole answer is to be expected; `None` for whenever.
    pub deadline: Option<Span>,
}

/// What an answer can be expected to be, before anybody is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The model's plain name, of the best offer.
    pub model: String,
    /// The tier.
    pub tier: Tier,
    /// Offers among which one would be drawn, as far as they were looked at.
    pub offers: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens that the answer can be expected to have.
    pub answer_tokens: u64,
    /// Most tokens that the answer may have.
    pub answer_tokens_max: u64,
    /// What it can be expected to cost, before any discount.
    pub cost: Nanos,
    /// What would be set aside for it: the most that it can cost.
    pub cost_max: Nanos,
    /// When its first token can be expected.
    pub first_token: Span,
    /// When its end can be expected.
    pub time: Span,
    /// How many of a thousand such answers come to their end.
    pub success_permille: u64,
    /// How good it can be expected to be, in thousandths, by the size of the model and the highest tier whose floor was kept.
    pub quality_permille: u64,
    /// Whether it would begin at once: somebody is free and has the model loaded.
    pub is_ready: bool,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The chosen model in its tier.
    pub estimate: Estimate,
    /// Why it was chosen, in sentences for a reader.
    pub reasons: Vec<String>,
}

/// Billions of parameters that a model is taken to have whose name does not say, and the most that are
/// believed of an owner whom nobody knows.
pub(crate) const BILLIONS_ASSUMED: f64 = 3.0;

/// Returns how good an answer can be expected to be, from 0 to 1: by the model's size and by the highest tier
/// whose floor was kept.
///
/// Of the size counts `b ÷ (b + 3)` of `b` billion parameters. That rises like the scores that makers of
/// open models publish for a family of sizes: steeply up to some 10 billion, and hardly above 70.
pub(crate) fn quality(billions: Option<f64>, reached: Option<Tier>) -> f64 {
    let billions = billions.unwrap_or(BILLIONS_ASSUMED);
    let kept = match reached {
        None | Some(Tier::Low) => 0.25,
        Some(Tier::Standard) => 0.5,
        Some(Tier::High) => 0.75,
        Some(Tier::Ultra) => 1.0,
    };
    billions / (billions + BILLIONS_ASSUMED) * kept
}

/// Chooses among estimates.
pub(crate) fn choose(auto: &Auto, estimates: &[Estimate]) -> Result<Choice, Refusal> {
    let is_in_time =
        |estimate: &&Estimate| auto.deadline.is_none_or(|most| estimate.is_ready && estimate.time <= most);
    let is_ready = |estimate: &&Estimate| estimate.is_ready;
    let in_time: Vec<&Estimate> = estimates.iter().filter(is_in_time).collect();
    let late = estimates.len() - in_time.len();
    // Who waits for a slot while another could begin gains nothing by it that is known.
    let ready: Vec<&Estimate> = in_time.iter().copied().filter(is_ready).collect();
    let mut ranked: Vec<(f64, &Estimate)> = if ready.is_empty() { in_time } else { ready }
        .into_iter()
        .map(|estimate| (worth(auto.objective, estimate), estimate))
        .collect();
    ranked.sort_by(|(one, first), (other, second)| {
        let by_name = || (first.cost, &first.model).cmp(&(second.cost, &second.model));
        other.total_cmp(one).then_with(by_name)
    });
    let Some((best, chosen)) = ranked.first().copied() else {
        let soonest = estimates.iter().filter(is_ready).map(|estimate| estimate.time).min();
        return Err(Refusal::TooLate { soonest });
    };
    let mut reasons = vec![
        format!("{} could answer{}", combinations(estimates.len()), too_late(late, auto.deadline)),
        format!("most expected value per dollar: {}", told(auto.objective, chosen)),
    ];
    if let Some((second, next)) = ranked.get(1) {
        // Both are finite, so the ratio of the values is too.
        let percent = ((second - best).exp() * 100.0).round();
        reasons.push(format!("next best at {percent} % of that: {}", told(auto.objective, next)));
    }
    if !chosen.is_ready {
        reasons.push("nobody is free who has a model loaded, so the answer may have to wait".to_owned());
    }
    Ok(Choice { estimate: chosen.clone(), reasons })
}

/// Returns the logarithm of an estimate's value per dollar.
fn worth(objective: Objective, estimate: &Estimate) -> f64 {
    let exponent = |permille: u32| f64::from(permille) / 1_000.0;
    // A millionth of a dollar is as good as nothing; below it no price would be too low to win.
    let cost = whole(estimate.cost.get().unsigned_abs().max(1_000));
    let least = |number: u64| whole(number.max(1));
    least(estimate.success_permille).ln()
        + exponent(objective.quality_permille) * least(estimate.quality_permille).ln()
        - exponent(objective.speed_permille) * least(estimate.time.0).ln()
        - cost.ln()
}

fn combinations(count: usize) -> String {
    let of = "of model and tier";
    if count == 1 { format!("1 combination {of}") } else { format!("{count} combinations {of}") }
}

fn too_late(late: usize, deadline: Option<Span>) -> String {
    match (late, deadline) {
        (0, _) | (_, None) => String::new(),
        (late, Some(Span(most))) => format!(", {late} of them not within {most} ms"),
    }
}

fn told(objective: Objective, estimate: &Estimate) -> String {
    let Estimate { model, tier, success_permille, quality_permille, time, cost, .. } = estimate;
    let Objective { quality_permille: q, speed_permille: s } = objective;
    let thousandths = |number: u64| format!("{}.{:03}", number / 1_000, number % 1_000);
    format!(
        "`{model}` in `{tier}` with success {}, quality {} (counts to the power of {}), {} s (speed counts to \
         the power of {}) and {cost} USD",
        thousandths(*success_permille),
        thousandths(*quality_permille),
        thousandths(q.into()),
        thousandths(time.0),
        thousandths(s.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(model: &str, tier: Tier, quality_permille: u64, cost: i64, ms: u64) -> Estimate {
        Estimate {
            model: model.to_owned(),
            tier,
            offers: 1,
            prompt_tokens: 100,
            answer_tokens: 200,
            answer_tokens_max: 2_000,
            cost: Nanos::new(cost),
            cost_max: Nanos::new(cost * 10),
            first_token: Span(200),
            time: Span(ms),
            success_permille: 1_000,
            quality_permille,
            is_ready: true,
        }
    }

    fn chosen(auto: &Auto, estimates: &[Estimate]) -> String {
        choose(auto, estimates).unwrap().estimate.model
    }

    fn market() -> Vec<Estimate> {
        vec![
            estimate("small", Tier::Low, 125, 8_000, 1_000),
            estimate("middle", Tier::Standard, 350, 40_000, 2_000),
            estimate("large", Tier::Ultra, 960, 500_000, 9_000),
        ]
    }

    #[test]
    fn each_objective_takes_what_it_values() {
        let by = |name: &str| {
            let auto = Auto { objective: Objective::named(name).unwrap(), deadline: None };
            chosen(&auto, &market())
        };
        assert_eq!(
            ["balanced", "quality", "speed", "cost"].map(by),
            ["middle", "large", "small", "small"].map(str::to_owned)
        );
        assert_eq!(Objective::named("best"), None);
        assert_eq!(Objective::default(), Objective::named("balanced").unwrap());
    }

    #[test]
    fn who_fails_more_often_is_worth_less() {
        let sure = estimate("sure", Tier::Low, 500, 10_000, 1_000);
        let unsure = Estimate { success_permille: 700, ..estimate("unsure", Tier::Low, 500, 8_000, 1_000) };
        assert_eq!(chosen(&Auto::default(), &[unsure.clone(), sure.clone()]), "sure");
        let cheap = Estimate { cost: Nanos::new(5_000), ..unsure };
        assert_eq!(chosen(&Auto::default(), &[cheap, sure]), "unsure");
    }

    #[test]
    fn a_deadline_leaves_out_who_is_expected_later_or_cannot_begin() {
        let quality = Objective::named("quality").unwrap();
        let within = |ms| Auto { objective: quality, deadline: Some(Span(ms)) };
        assert_eq!(chosen(&within(9_000), &market()), "large");
        assert_eq!(chosen(&within(8_999), &market()), "middle");
        assert_eq!(choose(&within(999), &market()), Err(Refusal::TooLate { soonest: Some(Span(1_000)) }));
        let mut busy = market();
        busy.iter_mut().for_each(|estimate| estimate.is_ready = false);
        assert_eq!(choose(&within(60_000), &busy), Err(Refusal::TooLate { soonest: None }));
        assert_eq!(chosen(&Auto { objective: quality, deadline: None }, &busy), "large", "it waits");
        busy[0].is_ready = true;
        assert_eq!(chosen(&Auto { objective: quality, deadline: None }, &busy), "small");
    }

    #[test]
    fn reasons_say_what_was_there_what_won_and_by_how_much() {
        let auto = Auto { deadline: Some(Span(5_000)), ..Auto::default() };
        let choice = choose(&auto, &market()).unwrap();
        assert_eq!(
            choice.reasons,
            [
                "3 combinations of model and tier could answer, 1 of them not within 5000 ms",
                "most expected value per dollar: `middle` in `standard` with success 1.000, quality 0.350 (counts \
                 to the power of 2.000), 2.000 s (speed counts to the power of 0.500) and 0.00004 USD",
                "next best at 90 % of that: `small` in `low` with success 1.000, quality 0.125 (counts to the \
                 power of 2.000), 1.000 s (speed counts to the power of 0.500) and 0.000008 USD",
            ]
        );
    }

    #[test]
    fn nothing_is_too_cheap_to_be_beaten() {
        let gift = estimate("gift", Tier::Low, 100, 0, 1_000);
        let good = estimate("good", Tier::Low, 900, 2_000, 1_000);
        assert_eq!(chosen(&Auto::default(), &[gift, good]), "good");
    }

    #[test]
    fn quality_rises_with_the_size_and_with_the_floor_that_was_kept() {
        let sizes = [0.5, 3.0, 7.0, 72.0, 9_999.0].map(|size| quality(Some(size), Some(Tier::Ultra)));
        assert!(sizes.is_sorted() && sizes[4] < 1.0, "{sizes:?}");
        assert!((quality(None, Some(Tier::Standard)) - 0.25).abs() < 1e-9);
        let tiers = Tier::ALL.map(|tier| quality(Some(7.0), Some(tier)));
        assert!(tiers.is_sorted(), "{tiers:?}");
    }
}
