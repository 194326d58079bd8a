//! Waiting for something to become so.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How long anything may take before a test gives up: long enough for a loaded machine of two cores.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often to look.
const PERIOD: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see, and returns it.
///
/// # Errors
/// Fails with `what` when [`PATIENCE`] ends first, or at once when looking fails.
pub async fn eventually<T, Look, Seen>(what: &str, look: Look) -> Result<T>
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<Option<T>>>,
{
    within(PATIENCE, what, look).await
}

/// Does what [`eventually`] does, within a limit that is itself a promise.
///
/// # Errors
/// Fails with `what` when the limit passes first, or at once when looking fails.
pub async fn within<T, Look, Seen>(limit: Duration, what: &str, mut look: Look) -> Result<T>
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            bail!("waited {limit:?} in vain: {what}");
        }
        sleep(PERIOD).await;
    }
}
