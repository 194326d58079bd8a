//! What the operator sees: metrics by job, never by token, and never a word of any prompt or answer.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use rekursing_market::{Counts, payout::State};
use rekursing_protocol::{FailCode, JobId, Nanos, Span, earnings::Receipt};

use crate::{discrepancy::Discrepancy, store::Audit};

/// What only grows, each with its meaning.
const COUNTERS: &[(&str, &str)] = &[
    ("rekursing_ads_nanodollars_total", "What ads brought, in nano-dollars."),
    ("rekursing_ads_total", "Ads that were sent, seen and clicked."),
    ("rekursing_answers_without_ad_total", "Free answers beside which no ad was placed, by why."),
    ("rekursing_bad_frames_total", "Frames of plugins that broke the rules of the link, by why."),
    (
        "rekursing_answers_gone_on_total",
        "Answers that went on with another provider, by why the earlier left.",
    ),
    ("rekursing_charged_nanodollars_total", "What pages were charged, in nano-dollars."),
    ("rekursing_fees_nanodollars_total", "The platform's part of it, in nano-dollars."),
    ("rekursing_job_retries_total", "Attempts at jobs behind the first."),
    ("rekursing_jobs_cancelled_total", "Jobs whose page left or stopped them."),
    ("rekursing_jobs_failed_total", "Answers that broke off, by code."),
    ("rekursing_jobs_refused_total", "Requests for an answer or a rating that were refused, by code."),
    ("rekursing_jobs_settled_total", "Jobs that were charged, by outcome: complete (done) or not (cut)."),
    ("rekursing_payouts_total", "Payouts that have reached a state, by state."),
    ("rekursing_sessions_resumed_total", "Sessions that went on over another socket."),
    (
        "rekursing_token_discrepancies_total",
        "Charges at which the server's count of tokens was far from the relay's.",
    ),
    ("rekursing_tokens_total", "Tokens that were charged, by side: prompt or answer."),
];

/// What rises and falls, each with its meaning.
const GAUGES: &[(&str, &str)] = &[
    ("rekursing_audit_entries", "Ledger entries that the last audit looked at."),
    ("rekursing_audit_ok", "1 if the last audit found every rule of the ledger kept, else 0."),
    ("rekursing_audit_seconds", "How long the last audit took."),
    ("rekursing_holds_open", "Holds that no charge has resolved."),
    (
        "rekursing_clock_doubted_seconds",
        "By how much what leapt ahead of the clock within the last day is doubted in what is about money.",
    ),
    ("rekursing_holds_overdue", "Holds that the last audit found open for longer than a job can take."),
    ("rekursing_jobs_running", "Jobs at a provider."),
    ("rekursing_jobs_waiting", "Jobs that wait for a free slot."),
    ("rekursing_payouts_stuck", "Payouts at which a person should look."),
    ("rekursing_payouts_under_way", "Payouts that have not ended, by state."),
    ("rekursing_sessions", "Live sessions, of plugins and of upstreams."),
    ("rekursing_sessions_parked", "Sessions that rest after failures."),
    ("rekursing_sessions_suspended", "Sessions whose socket is lost and that may be resumed."),
    ("rekursing_sessions_suspect", "Sessions whose heartbeat is late."),
    ("rekursing_slots", "Jobs that all sessions take at once."),
    ("rekursing_store_healthy", "1 while the ledger can be written, else 0."),
    ("rekursing_store_waiting", "Writes that wait for the store."),
];

/// Gives every metric its meaning, for whoever reads them.
pub fn describe() {
    for &(name, meaning) in COUNTERS {
        describe_counter!(name, meaning);
    }
    for &(name, meaning) in GAUGES {
        describe_gauge!(name, meaning);
    }
}

/// Tells what an audit found, and how long it took.
pub fn audited(audit: &Audit, took: Span) {
    let Audit { entries, open_holds, wrong, .. } = audit;
    match wrong {
        None => tracing::info!(entries, open_holds, ms = took.0, "audited the book: every rule holds"),
        Some(wrong) => tracing::error!(entries, ms = took.0, wrong, "audited the book: it is wrong"),
    }
    // Counts of entries and of milliseconds stay below 2⁵³.
    gauge!("rekursing_audit_entries").set(*entries as f64);
    gauge!("rekursing_audit_ok").set(if wrong.is_none() { 1.0 } else { 0.0 });
    gauge!("rekursing_audit_seconds").set(took.0 as f64 / 1e3);
}

/// Tells by how much the clock is doubted.
pub fn lag(lag: Span) {
    gauge!("rekursing_clock_doubted_seconds").set(lag.0 as f64 / 1e3);
}

/// Tells of holds that have outlived their job's last deadline.
pub fn overdue(jobs: impl Iterator<Item = JobId>) {
    let mut count = 0_u32;
    for job in jobs {
        count += 1;
        tracing::error!(%job, "money is set aside for longer than a job can take");
    }
    gauge!("rekursing_holds_overdue").set(f64::from(count));
}

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
    }
}

/// Tells of a discrepancy that is kept.
pub fn disagreed(discrepancy: &Discrepancy) {
    let Discrepancy { job, plugin, model, counted, claimed, .. } = discrepancy;
    tracing::info!(
        %job, %plugin, model, ?counted, ?claimed,
        "the server's count of prompt and answer tokens is far from the relay's"
    );
}

/// Counts a request for an answer or a rating that was refused.
pub fn refused(code: &'static str) {
    counter!("rekursing_jobs_refused_total", "code" => code).increment(1);
}

/// Counts an answer that goes on with another provider.
pub fn gone_on(code: FailCode) {
    counter!("rekursing_answers_gone_on_total", "code" => name(code)).increment(1);
}

/// Counts an answer that broke off.
pub fn failed(code: FailCode) {
    counter!("rekursing_jobs_failed_total", "code" => name(code)).increment(1);
}

/// Counts a payout that has reached a state.
pub fn payout(state: State) {
    counter!("rekursing_payouts_total", "state" => state.name()).increment(1);
}

/// Tells how many payouts are under way, and at how many a person should look.
pub fn payouts_under_way(requested: usize, sent: usize, stuck: usize) {
    let set = |state: State, count: usize| {
        gauge!("rekursing_payouts_under_way", "state" => state.name()).set(count as f64);
    };
    set(State::Requested, requested);
    set(State::Sent, sent);
    gauge!("rekursing_payouts_stuck").set(stuck as f64);
}

/// Counts a session that goes on over another socket.
pub fn resumed() {
    counter!("rekursing_sessions_resumed_total").increment(1);
}

/// Counts a frame that broke the rules of the link.
pub fn bad_frame(why: &'static str) {
    counter!("rekursing_bad_frames_total", "why" => why).increment(1);
}

/// Counts what became of an ad (`sent`, `seen`, `clicked`), and what it cost.
pub fn ad(what: &'static str, cost: Nanos) {
    counter!("rekursing_ads_total", "what" => what).increment(1);
    counter!("rekursing_ads_nanodollars_total").increment(cost.get().unsigned_abs());
}

/// Counts a free answer without an ad.
pub fn no_ad(why: &'static str) {
    counter!("rekursing_answers_without_ad_total", "why" => why).increment(1);
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
    set("rekursing_sessions_suspended", counts.suspended);
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
        FailCode::TooLarge => "too_large",
        FailCode::Cut => "cut",
        FailCode::Stalled => "stalled",
        FailCode::TimeUp => "time_up",
        FailCode::Empty => "empty",
        FailCode::Refused => "refused",
        FailCode::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use rekursing_protocol::{Moment, Nanos};

    use super::*;

    #[test]
    fn every_metric_is_explained_to_its_reader_and_in_the_manual() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let receipt = Receipt {
            job_id: JobId::from_bits(1),
            at: Moment(1),
            model: "tiny".to_owned(),
            prompt_tokens: 1,
            answer_tokens: 1,
            charge: Nanos::new(2),
            fee: Nanos::new(1),
            earned: Nanos::new(1),
            held_back: Nanos::ZERO,
            release_at: None,
        };
        let text = metrics::with_local_recorder(&recorder, || {
            describe();
            audited(&Audit { entries: 1, open_holds: 0, held_since: vec![], wrong: None }, Span::millis(2));
            overdue(std::iter::empty());
            lag(Span::ZERO);
            settled(&receipt, true, true);
            refused("no_provider");
            failed(FailCode::Cut);
            gone_on(FailCode::Cut);
            bad_frame("a frame does not parse");
            ad("seen", Nanos::new(1));
            no_ad("sensitive");
            payout(State::Sent);
            resumed();
            payouts_under_way(0, 0, 0);
            render(&recorder.handle(), &Counts::default(), 0, true)
        });
        let manual = include_str!("../../docs/http.md");
        let (mut shown, mut explained) = (0, 0);
        for line in text.lines() {
            shown += usize::from(line.starts_with("# TYPE "));
            let Some((name, meaning)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' '))
            else {
                continue;
            };
            explained += 1;
            assert!(manual.contains(&format!("| `{name}` | {meaning} |")), "{name}: {meaning}");
        }
        assert_eq!((shown, explained), (COUNTERS.len() + GAUGES.len(), shown), "{text}");
    }
}
