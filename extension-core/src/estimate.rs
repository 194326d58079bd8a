//! What is left of the earnings after power: an estimate, because nobody measures what the computer drew.

use std::collections::BTreeMap;

use rekursing_protocol::{Day, Nanos, earnings::Earnings};
use serde::Serialize;

use crate::{agent::Memory, choices::Power};

/// What is left of the earnings after power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// What the answers of the models in the list have cost.
    pub cost: Nanos,
    /// All that was earned, less that.
    pub net: Nanos,
    /// What each day has cost, with tokens at the average of all models.
    pub days: BTreeMap<Day, Nanos>,
    /// Models whose speed was never measured here: their answers count as if they had cost nothing.
    pub unknown: Vec<String>,
}

impl Estimate {
    /// Estimates by the price of power and the speeds that were measured: answer tokens ÷ tokens per second ×
    /// watts. Reading prompts and idling are not in it.
    pub fn of(power: &Power, memory: &Memory, earnings: &Earnings) -> Estimate {
        let (mut cost, mut tokens, mut unknown) = (Nanos::ZERO, 0_u64, Vec::new());
        for model in &earnings.models {
            let speed = memory.speeds.get(&model.model);
            match speed.and_then(|speed| power.of_tokens(model.answer_tokens, *speed)) {
                Some(more) => {
                    cost = cost.checked_add(more).unwrap_or(cost);
                    tokens = tokens.saturating_add(model.answer_tokens);
                }
                None => unknown.push(model.model.clone()),
            }
        }
        let share = |part: u64| match tokens {
            0 => Nanos::ZERO,
            all => {
                let share = i128::from(cost.get()) * i128::from(part) / i128::from(all);
                Nanos::new(i64::try_from(share).unwrap_or(i64::MAX))
            }
        };
        let days = earnings.days.iter().map(|row| (row.day, share(row.answer_tokens))).collect();
        Estimate { cost, net: earnings.total.checked_sub(cost).unwrap_or(earnings.total), days, unknown }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::choices::Currency;

    #[test]
    fn power_is_taken_off_what_was_earned_where_the_speed_is_known() {
        let earnings: Earnings = serde_json::from_value(json!({
            "pluginId": "plg_00000000000000000000000001", "available": "0", "held": "0", "paid": "0", "today": "0",
            "last7Days": "0", "last30Days": "0", "total": "1", "jobs": 3,
            "days": [{"day": "2026-03-02", "jobs": 1, "promptTokens": 1, "answerTokens": 90_000, "earned": "1"}],
            "models": [
                {"model": "known", "jobs": 1, "promptTokens": 9, "answerTokens": 180_000, "earned": "0.6"},
                {"model": "unknown", "jobs": 1, "promptTokens": 9, "answerTokens": 180_000, "earned": "0.4"},
            ],
            "recent": [],
        }))
        .unwrap();
        let power = Power {
            watts: 300,
            per_kwh: Nanos::new(300_000_000),
            currency: Currency::default(),
            floor: false,
        };
        let memory = Memory { speeds: [("known".to_owned(), 50_000)].into(), ..Memory::default() };
        let estimate = Estimate::of(&power, &memory, &earnings);
        assert_eq!((estimate.cost, estimate.net), (Nanos::new(90_000_000), Nanos::new(910_000_000)));
        assert_eq!(estimate.days.values().copied().collect::<Vec<_>>(), [Nanos::new(45_000_000)]);
        assert_eq!(estimate.unknown, ["unknown"]);
        let nothing = Estimate::of(&power, &Memory::default(), &earnings);
        assert_eq!((nothing.cost, nothing.net), (Nanos::ZERO, earnings.total));
    }
}
