//! The work on payouts for as long as the relay runs: one worker per rail, and one for the schedule.

use std::{sync::Arc, time::Duration};

use rekursing_market::payout;
use rekursing_protocol::Moment;
use rekursing_rails::Method;
use tokio::task::JoinSet;

use super::{Payouts, Progress};
use crate::telemetry;

/// How long nothing may be looked at, whatever is due: what another process changes wakes nobody.
const PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after the store has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Works until it is dropped, which it can be at any point.
pub async fn work(payouts: Arc<Payouts>) {
    let mut workers = JoinSet::new();
    for method in payouts.rails.methods() {
        workers.spawn(rail(Arc::clone(&payouts), method));
    }
    workers.spawn(schedule(payouts));
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker of payouts has died");
        }
    }
}

async fn rail(payouts: Arc<Payouts>, method: Method) {
    loop {
        // Whoever wakes between the look and the wait is not missed.
        let woken = payouts.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let now = payouts.desk.now();
        let pause = match payouts.step(method, now).await {
            Ok(Progress::Made) => continue,
            Ok(Progress::Rest(due)) => due.map_or(PAUSE, |due| until(due, now)),
            Err(error) => {
                tracing::error!(%method, error = format!("{error:#}"), "could not go on with a payout");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn schedule(payouts: Arc<Payouts>) {
    let mut tick = tokio::time::interval(PAUSE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = payouts.desk.now();
        if let Err(error) = payouts.finish_decided(now).await {
            tracing::error!(error = format!("{error:#}"), "could not finish a payout that has ended");
        }
        if let Err(denial) = payouts.run_due(now).await {
            tracing::error!(%denial, "could not make the payouts that are due");
        }
        if let Err(error) = payouts.tell(now).await {
            tracing::error!(error = format!("{error:#}"), "could not count payouts");
        }
    }
}

impl Payouts {
    /// Tells the operator's metrics what is under way.
    async fn tell(&self, now: Moment) -> anyhow::Result<()> {
        let under_way = self.store().payouts_counted().await?;
        let sent = under_way.iter().filter(|(_, sent)| sent.is_some()).count();
        let stuck = under_way.iter().filter(|(tries, sent)| payout::is_stuck(*tries, *sent, now));
        telemetry::payouts_under_way(under_way.len() - sent, sent, stuck.count());
        Ok(())
    }
}

fn until(due: Moment, now: Moment) -> Duration {
    Duration::from_millis(due.since(now).0).min(PAUSE)
}
