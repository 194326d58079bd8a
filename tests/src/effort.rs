//! How much a test does: little in the usual run, and as much as somebody has time for in `cargo xtask prove`.

use anyhow::{Context, Result};

/// Returns the count that this variable says, or else the usual one.
///
/// # Errors
/// Fails when the variable is no number.
pub fn count(variable: &str, usual: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text} is no number")),
        Err(_) => Ok(usual),
    }
}
