//! Discrepancies: where the model server's count of tokens is far from the relay's.
//!
//! Who counts wrongly shows over many jobs, so each is kept for the operator. Nothing of prompt or answer
//! is in it.

use rekursing_protocol::{JobId, Moment, PluginId};

use crate::{stream::Stream, tokens::Tokenizer};

/// One job at which the two counts are far from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// When it was charged.
    pub at: Moment,
    /// The job.
    pub job: JobId,
    /// Who served it.
    pub plugin: PluginId,
    /// With which model.
    pub model: String,
    /// Prompt and answer tokens by the relay's count.
    pub counted: (u64, u64),
    /// Prompt and answer tokens by the server's, where it says any.
    pub claimed: (Option<u64>, Option<u64>),
}

impl Discrepancy {
    /// Takes down a job's counts. `None` where the relay has no vocabulary of the model's family: there
    /// it counts bytes, and a difference says nothing of the server.
    pub fn of(stream: &Stream, at: Moment) -> Option<Discrepancy> {
        let assignment = stream.assignment()?;
        let model = &assignment.offer.model;
        if !matches!(Tokenizer::of_offer(&assignment.offer), Tokenizer::Family(_)) {
            return None;
        }
        let usage = stream.usage();
        Some(Discrepancy {
            at,
            job: stream.job,
            plugin: assignment.plugin,
            model: model.clone(),
            counted: (usage.prompt_tokens, usage.answer_tokens),
            claimed: (usage.claimed_prompt, usage.claimed_answer),
        })
    }
}
