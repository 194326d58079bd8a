//! `quality: "auto"`: what a page says who leaves model and tier to the market.

use rekursing_market::{Auto, Objective};
use rekursing_protocol::Span;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::Problem;

/// Longest deadline, in milliseconds.
const DEADLINE_MS_MAX: u64 = 3_600_000;

/// Reads the fields that go with `quality: "auto"`, and stand beside no other.
pub(super) fn read(
    is_auto: bool,
    objective: Option<&RawValue>,
    deadline: Option<&RawValue>,
) -> Result<Option<Auto>, Problem> {
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "null");
    if !is_auto {
        return match (given(objective), given(deadline)) {
            (true, _) => {
                Err(Problem::field("objective", "objective stands beside `quality: \"auto\"` alone"))
            }
            (_, true) => Err(Problem::field("deadline", "deadline stands beside `quality: \"auto\"` alone")),
            (false, false) => Ok(None),
        };
    }
    let objective = objective.filter(|raw| given(Some(raw))).map(self::objective).transpose()?;
    let deadline = deadline.filter(|raw| given(Some(raw))).map(self::deadline).transpose()?;
    Ok(Some(Auto { objective: objective.unwrap_or_default(), deadline }))
}

/// Reads a name, or the two weights themselves; one that is left out is that of `balanced`.
fn objective(raw: &RawValue) -> Result<Objective, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Weights {
        quality: Option<f64>,
        speed: Option<f64>,
    }
    let wrong = || {
        let message = "objective is balanced, quality, speed or cost, or an object of the weights quality and \
                       speed, each from 0 to 10";
        Problem::field("objective", message)
    };
    if let Ok(name) = serde_json::from_str::<String>(raw.get()) {
        return Objective::named(&name).ok_or_else(wrong);
    }
    if !raw.get().starts_with('{') {
        return Err(wrong());
    }
    let weights: Weights = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let permille = |weight: Option<f64>, otherwise: u32| match weight {
        None => Ok(otherwise),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded in the pattern")]
        Some(weight @ 0.0..=10.0) => Ok((weight * 1_000.0).round() as u32),
        Some(_) => Err(wrong()),
    };
    let balanced = Objective::default();
    Ok(Objective {
        quality_permille: permille(weights.quality, balanced.quality_permille)?,
        speed_permille: permille(weights.speed, balanced.speed_permille)?,
    })
}

fn deadline(raw: &RawValue) -> Result<Span, Problem> {
    match raw.get().parse::<u64>() {
        Ok(ms @ 1..=DEADLINE_MS_MAX) => Ok(Span::millis(ms)),
        Ok(_) | Err(_) => {
            Err(Problem::field("deadline", "deadline is a whole number of milliseconds from 1 to 3600000"))
        }
    }
}
