//! Continuation: what is asked for when an owner leaves in the middle of an answer.
//!
//! What the page has read stays, and is charged to it without the prompt. The rest is another job with a hold
//! and a charge of its own, for whoever goes on: the prompt is paid to the one who ends the answer.

use rekursing_protocol::{FailCode, JobId, Nanos, Offer, OfferKind, PluginId};

use crate::{
    blame::{Blame, blame_begun},
    request::{Request, Wish},
    routing::Routing,
    terms::Terms,
};

/// An answer that ended in its middle.
#[derive(Debug, Clone, Copy)]
pub struct BrokenOff<'a> {
    /// Why.
    pub code: FailCode,
    /// Who left it.
    pub plugin: PluginId,
    /// With which model it was made.
    pub offer: &'a Offer,
    /// Its prompt's tokens, as this model has them.
    pub prompt_tokens: u64,
    /// The most tokens that it was to have.
    pub answer_tokens_max: u64,
    /// The tokens that the page has read.
    pub answer_tokens: u64,
    /// What they were charged.
    pub charge: Nanos,
}

/// Returns what to ask for so that the answer goes on as `job`: the same model and quantisation at the same
/// tier, within what is left of the page's limits. `None` when it does not: the owner's side is not at fault,
/// the page wants nobody else, nothing is left of a limit, or it has gone on often enough.
pub fn continuation(terms: &Terms, before: &Request, broken: &BrokenOff<'_>, job: JobId) -> Option<Request> {
    let is_one_chance = before.routing.as_deref().is_some_and(Routing::is_one_chance);
    let may_go_on = before.stream
        && !is_one_chance
        && before.kind == OfferKind::Text
        && matches!(blame_begun(broken.code), Blame::Owner | Blame::Left)
        && before.left_by.len() < terms.continuations_max;
    if !may_go_on {
        return None;
    }
    // A part that is as long as it may be has no rest.
    let left = broken.answer_tokens_max.checked_sub(broken.answer_tokens).filter(|left| *left > 0)?;
    let cost_max = match before.cost_max {
        Some(most) => Some(most.checked_sub(broken.charge).filter(|left| *left > Nanos::ZERO)?),
        None => None,
    };
    let quantizations = match broken.offer.quantization.as_str() {
        "" => before.quantizations.clone(),
        quantization => vec![quantization.to_owned()],
    };
    let mut left_by = before.left_by.clone();
    left_by.push(broken.plugin);
    Some(Request {
        job,
        model: Wish::Named(broken.offer.model.clone()),
        // What was read takes room in the context, and is nobody's prompt.
        prompt_tokens: broken.prompt_tokens.saturating_add(broken.answer_tokens),
        prompt_tokens_max: broken.prompt_tokens,
        answer_tokens_max: Some(left),
        cost_max,
        quantizations,
        // Below zero it uses up what the operator adds to a free answer, which is added once.
        ad_expected: before.ad_expected.checked_sub(broken.charge)?,
        left_by,
        ..before.clone()
    })
}
