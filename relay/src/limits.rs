//! A key's limits, as its holders and the operator read them.

use rekursing_market::{Gate, Limits};
use rekursing_protocol::{Moment, Nanos, Price, Span, offer::MODEL_NAME_BYTES_MAX};
use serde_json::{Map, Value, json};

use crate::gate;

/// Most models that a key may be limited to.
const MODELS_MAX: usize = 32;

/// Refuses limits that nobody can mean, with the field of JSON and what is wrong with it.
pub fn check(limits: &Limits) -> Result<(), (&'static str, &'static str)> {
    let is_name = |name: &String| {
        !name.trim().is_empty() && name.len() <= MODEL_NAME_BYTES_MAX && !name.chars().any(char::is_control)
    };
    if limits.models.len() > MODELS_MAX || !limits.models.iter().all(is_name) {
        return Err(("models", "a key is limited to at most 32 models, each a name of 1 to 200 bytes"));
    }
    Ok(())
}

/// Returns the limits as fields of JSON, `null` where there is none.
pub fn fields(limits: &Limits) -> Map<String, Value> {
    let models = (!limits.models.is_empty()).then_some(&limits.models);
    let price = limits.price_max.map(|most| json!({"input": side(most.input), "output": side(most.output)}));
    let fields = [
        ("budgetPerDay", json!(limits.budget_day)),
        ("budgetTotal", json!(limits.budget_total)),
        ("models", json!(models)),
        ("maxPrice", json!(price)),
        ("expiresAt", json!(limits.expires)),
        ("objectives", json!(limits.gate.as_ref().map(gate::view))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the limits on one line, or nothing where there is none.
pub fn line(limits: &Limits) -> String {
    let mut parts = Vec::new();
    if let Some(budget) = limits.budget_day {
        parts.push(format!("{budget} a day"));
    }
    if let Some(budget) = limits.budget_total {
        parts.push(format!("{budget} in all"));
    }
    if !limits.models.is_empty() {
        parts.push(limits.models.join(", "));
    }
    if let Some(Price { input, output }) = limits.price_max {
        let side = |most| side(most).map_or_else(|| "any".to_owned(), |dollars| dollars.to_string());
        parts.push(format!("price {} / {}", side(input), side(output)));
    }
    if let Some(Gate { project, threshold_permille, .. }) = &limits.gate {
        let threshold = f64::from(*threshold_permille) / 1_000.0;
        parts.push(format!("at least {threshold} by {project}"));
    }
    if let Some(expires) = limits.expires {
        parts.push(format!("until {}", day(expires)));
    }
    parts.join("; ")
}

/// Dollars per million tokens; `None` where any price is paid.
fn side(micros: u64) -> Option<Nanos> {
    let nanos = i64::try_from(micros.checked_mul(1_000)?).ok()?;
    Some(Nanos::new(nanos))
}

/// Prints a moment in UTC as 2026-03-01 14:05:09.
pub fn time(moment: Moment) -> String {
    let seconds = moment.0 / 1_000 % 86_400;
    format!("{} {:02}:{:02}:{:02}", day(moment), seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Prints the UTC day of a moment as 2026-03-01, by Howard Hinnant's `civil_from_days`.
pub fn day(moment: Moment) -> String {
    let days = moment.0 / Span::DAY.0 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March, so that the leap day is the last of a year.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + u64::from(month >= 10);
    format!("{year}-{:02}-{day:02}", if month < 10 { month + 3 } else { month - 9 })
}

#[cfg(test)]
mod tests {
    use rekursing_market::relevance::Method;

    use super::*;

    fn limits() -> Limits {
        Limits {
            budget_day: Some(Nanos::new(500_000_000)),
            budget_total: Some(Nanos::new(10_000_000_000)),
            models: vec!["llama3.2:3b".to_owned(), "qwen2.5-7b".to_owned()],
            price_max: Some(Price::new(150_000, u64::MAX)),
            expires: Some(Moment(1_772_323_200_000)),
            gate: Some(Gate { project: "shop".to_owned(), threshold_permille: 300, method: Method::Auto }),
        }
    }

    #[test]
    fn limits_read_on_one_line_and_as_exact_texts() {
        let words = "0.5 a day; 10 in all; llama3.2:3b, qwen2.5-7b; price 0.15 / any; at least 0.3 by shop; \
                     until 2026-03-01";
        assert_eq!(line(&limits()), words);
        assert_eq!(line(&Limits::default()), "");
        assert_eq!(
            Value::Object(fields(&limits())),
            json!({
                "budgetPerDay": "0.5", "budgetTotal": "10", "models": ["llama3.2:3b", "qwen2.5-7b"],
                "maxPrice": {"input": "0.15", "output": null}, "expiresAt": 1_772_323_200_000_u64,
                "objectives": {"project": "shop", "threshold": 0.3, "method": "auto"},
            })
        );
        assert!(fields(&Limits::default()).values().all(Value::is_null));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_088, "2024-12-31"),
            (20_089, "2025-01-01"),
        ] {
            assert_eq!(day(Moment(days * Span::DAY.0)), expected);
        }
        assert_eq!(time(Moment(1_772_373_909_999)), "2026-03-01 14:05:09");
    }
}
