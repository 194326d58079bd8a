//! Estimates and choices of the market, in the words of pages.

use rekursing_market::{Choice, Estimate};
use rekursing_protocol::Span;
use serde_json::{Value, json};

/// Returns what an answer can be expected to be.
pub fn view(estimate: &Estimate) -> Value {
    json!({
        "model": estimate.model,
        "tier": estimate.tier.name(),
        "offers": estimate.offers,
        "promptTokens": estimate.prompt_tokens,
        "expectedTokens": estimate.answer_tokens,
        "maxTokens": estimate.answer_tokens_max,
        "expectedCost": estimate.cost,
        "mostCost": estimate.cost_max,
        "expectedFirstTokenSeconds": seconds(estimate.first_token),
        "expectedSeconds": seconds(estimate.time),
        "success": thousandths(estimate.success_permille),
        "quality": thousandths(estimate.quality_permille),
        "ready": estimate.is_ready,
    })
}

/// Returns what was chosen for a page that left it to the market, and why.
pub fn choice(choice: &Choice) -> Value {
    json!({
        "model": choice.estimate.model,
        "tier": choice.estimate.tier.name(),
        "expectedCost": choice.estimate.cost,
        "expectedSeconds": seconds(choice.estimate.time),
        "reasons": choice.reasons,
    })
}

fn seconds(span: Span) -> f64 {
    thousandths(span.0)
}

/// Figures for a reader stay far below 2⁵³.
fn thousandths(number: u64) -> f64 {
    number as f64 / 1_000.0
}
