//! What the operator sees: metrics by job, never by token, and never a word of any prompt or answer.

use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use rekursing_market::Counts;
use rekursing_protocol::{FailCode, earnings::Receipt};

/// Counts a charge.
pub fn settled(receipt: &Receipt, complete: bool, discrepancy: bool) {
    let outcome = if complete { "done" } else { "cut" };
    counter!("rekursing_jobs_settled_total", "outcome" => outcome).increment(1);
    counter!("rekursing_tokens_total", "side" => "prompt").increment(receipt.prompt_tokens);
    counter!("rekursing_tokens_total", "side" => "answer").increment(receipt.answer_tokens);
    counter!("rekursing_charged_nanodollars_total").increment(receipt.charge.get().unsigned_abs());
    counter!("rekursing_fees_nanodollars_total").increment(receipt.fee.get().unsigned_abs());
    if discrepancy {
        counter!("rekursing_token_discrepancies_total").increment(1);
        tracing::debug!(job = %receipt.job_id, "the server's count of tokens is far from the relay's");
    }
}

/// Counts a refusal.
pub fn refused(code: &'static str) {
    counter!("rekursing_jobs_refused_total", "code" => code).increment(1);
}

/// Counts an answer that broke off.
pub fn failed(code: FailCode) {
    counter!("rekursing_jobs_failed_total", "code" => name(code)).increment(1);
}

/// Counts a frame that broke the rules of the link.
pub fn bad_frame(why: &'static str) {
    counter!("rekursing_bad_frames_total", "why" => why).increment(1);
}

/// Writes everything in Prometheus' text format.
pub fn render(
    handle: &PrometheusHandle,
    counts: &Counts,
    store_waiting: usize,
    store_healthy: bool,
) -> String {
    let set = |name: &'static str, value: usize| {
        // Counts of live things stay far below 2⁵³.
        gauge!(name).set(value as f64);
    };
    set("rekursing_sessions", counts.sessions);
    set("rekursing_sessions_suspect", counts.suspects);
    set("rekursing_sessions_parked", counts.parked);
    set("rekursing_slots", counts.slots);
    set("rekursing_jobs_running", counts.running);
    set("rekursing_jobs_waiting", counts.waiting);
    set("rekursing_holds_open", counts.open_holds);
    set("rekursing_store_waiting", store_waiting);
    set("rekursing_store_healthy", usize::from(store_healthy));
    counter!("rekursing_job_retries_total").absolute(counts.retries);
    counter!("rekursing_jobs_cancelled_total").absolute(counts.cancelled);
    handle.render()
}

/// The code as it stands in JSON.
fn name(code: FailCode) -> &'static str {
    match code {
        FailCode::Busy => "busy",
        FailCode::Paused => "paused",
        FailCode::ModelMissing => "model_missing",
        FailCode::ModelLoading => "model_loading",
        FailCode::ModelCrashed => "model_crashed",
        FailCode::ContextOverflow => "context_overflow",
        FailCode::BadRequest => "bad_request",
        FailCode::Unreachable => "unreachable",
        FailCode::Unauthorized => "unauthorized",
        FailCode::ServerError => "server_error",
        FailCode::Malformed => "malformed",
        FailCode::Cut => "cut",
        FailCode::Stalled => "stalled",
        FailCode::Empty => "empty",
        FailCode::Refused => "refused",
        FailCode::Cancelled => "cancelled",
    }
}
