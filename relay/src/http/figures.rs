//! Figures as readers see them.

use rekursing_protocol::Nanos;

/// Micro-dollars per million tokens as dollars per million tokens.
pub(crate) fn dollars(micros: u64) -> String {
    Nanos::new(i64::try_from(micros.saturating_mul(1_000)).unwrap_or(i64::MAX)).to_string()
}

/// A measured speed for a reader: one decimal, nothing when it was not measured.
pub(crate) fn tokens_per_second(millitokens: u64) -> Option<f64> {
    // Speeds stay far below 2⁵³.
    (millitokens > 0).then(|| (millitokens as f64 / 100.0).round() / 10.0)
}
