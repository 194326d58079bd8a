//! Direct providers: OpenAI-compatible servers that the operator runs, asked without any plugin.
//!
//! To the market an upstream is a session like any other. Requests are built and answers read by the
//! agent's own bridge.

mod job;
mod spec;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use dashmap::DashMap;
use rekursing_extension_core::bridge::server::{Kind, Model, Outcome, Probe};
use rekursing_protocol::{
    JobId, PluginId, SessionId,
    frame::{Heartbeat, Inventory},
};
use tokio::task::AbortHandle;

use crate::{
    delivery,
    desk::Face,
    house::House,
    outbox::{Order, Outbox},
    store::Upstream,
};
use job::Job;
pub use spec::Spec;

/// How often an upstream is looked at.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// How long one look may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Most bytes of an answer to a look.
const PROBE_BYTES_MAX: usize = 4 << 20;

/// The running upstreams.
#[derive(Debug, Default)]
pub struct Upstreams(DashMap<PluginId, Running>);

#[derive(Debug)]
struct Running {
    url: String,
    task: AbortHandle,
}

impl Upstreams {
    /// Returns who earns by the upstream at an address.
    pub fn at(&self, url: &str) -> Option<PluginId> {
        self.0.iter().find(|running| running.url == url).map(|running| *running.key())
    }
}

/// Starts an upstream that the store knows.
///
/// # Errors
/// When what was stored does not read.
pub fn revive(house: &Arc<House>, stored: &Upstream) -> Result<()> {
    let spec: Spec = serde_json::from_str(&stored.body)
        .with_context(|| format!("the stored upstream {} does not read", stored.plugin))?;
    start(house, stored.plugin, spec);
    Ok(())
}

/// Starts an upstream, in place of the one that ran for the same plugin.
pub fn start(house: &Arc<House>, plugin: PluginId, spec: Spec) {
    let url = spec.url.clone();
    let task = tokio::spawn(keep(Arc::clone(house), plugin, Arc::new(spec))).abort_handle();
    if let Some(older) = house.upstreams.0.insert(plugin, Running { url, task }) {
        older.task.abort();
    }
}

/// Looks for the upstream, serves while it is there, and begins anew.
async fn keep(house: Arc<House>, plugin: PluginId, spec: Arc<Spec>) {
    let client = match reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .build()
    {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "could not set up an upstream's client"),
    };
    let mut pause = tokio::time::interval(PROBE_EVERY);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if house.is_draining() {
            return;
        }
        if let Some((kind, models)) = look(&client, &spec).await {
            Session::join(&house, plugin, &spec, kind, models, client.clone()).serve().await;
        }
    }
}

/// Asks an upstream what it serves.
async fn look(client: &reqwest::Client, spec: &Spec) -> Option<(Kind, Vec<Model>)> {
    let mut probe = Probe::new(None);
    loop {
        let url = format!("{}{}", spec.url, probe.path());
        let request = spec.authorize(client.get(url)).timeout(PROBE_PATIENCE);
        let (status, body) = match request.send().await {
            Ok(response) => (response.status().as_u16(), bounded(response).await?),
            Err(_) => return None,
        };
        match probe.answered(status, &body) {
            None => {}
            Some(Outcome::Found { kind, shelf }) => return Some((kind, shelf.models)),
            Some(Outcome::TokenWanted | Outcome::OriginRefused | Outcome::Foreign | Outcome::Nothing) => {
                return None;
            }
        }
    }
}

async fn bounded(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.ok()? {
        body.extend_from_slice(&bytes);
        if body.len() > PROBE_BYTES_MAX {
            return None;
        }
    }
    Some(body)
}

/// One stretch of an upstream's presence.
struct Session {
    house: Arc<House>,
    id: SessionId,
    spec: Arc<Spec>,
    kind: Kind,
    models: Vec<Model>,
    outbox: Outbox,
    client: reqwest::Client,
    jobs: BTreeMap<JobId, Job>,
    beats: u64,
}

impl Session {
    fn join(
        house: &Arc<House>,
        plugin: PluginId,
        spec: &Arc<Spec>,
        kind: Kind,
        models: Vec<Model>,
        client: reqwest::Client,
    ) -> Session {
        let id = house.session_id();
        let outbox = Outbox::new(house.config.limits.session_queue);
        let face =
            Face { outbox: outbox.clone(), name: spec.name.as_str().into(), gpu: Arc::new(spec.gpu()) };
        house.desk.join_own(id, plugin, face, inventory(spec, &models));
        let (house, spec) = (Arc::clone(house), Arc::clone(spec));
        Session { house, id, spec, kind, models, outbox, client, jobs: BTreeMap::new(), beats: 0 }
    }

    /// Executes orders until the upstream is gone or the relay closes.
    async fn serve(mut self) {
        let mut look_again = tokio::time::interval(PROBE_EVERY);
        look_again.tick().await;
        loop {
            tokio::select! {
                orders = std::future::poll_fn(|context| self.outbox.poll_take(context)) => {
                    if orders.into_iter().any(|order| self.is_last(order)) {
                        return;
                    }
                }
                _ = look_again.tick() => {
                    let Some((kind, models)) = look(&self.client, &self.spec).await else { return };
                    self.beat();
                    if (kind, &models) != (self.kind, &self.models) {
                        self.house.desk.restock(self.id, inventory(&self.spec, &models));
                        (self.kind, self.models) = (kind, models);
                    }
                }
            }
        }
    }

    fn beat(&mut self) {
        self.beats += 1;
        self.jobs.retain(|_, job| job.is_running());
        let jobs = u16::try_from(self.jobs.len()).unwrap_or(u16::MAX);
        let beat = Heartbeat { n: self.beats, jobs, queue: 0, models: Vec::new() };
        self.house.desk.heartbeat(self.id, &beat);
    }

    /// Executes an order. Tells whether it ends the session.
    fn is_last(&mut self, order: Order) -> bool {
        match order {
            Order::Start(stream, lease) => {
                let wanted = stream.with_assignment(lease, |assignment| assignment.offer.model.clone());
                let model = self.models.iter().find(|model| Some(&model.offer.model) == wanted.as_ref());
                let server = model.map(|model| (self.kind, model.id.clone()));
                let job = stream.job;
                let house = Arc::clone(&self.house);
                delivery::begin(&house, &stream, lease);
                self.jobs.retain(|_, job| job.is_running());
                self.jobs.insert(job, Job::start(house, &self.client, &self.spec, server, stream, lease));
            }
            Order::Cancel(cancel) => drop(self.jobs.remove(&cancel.job)),
            Order::Credit(credit) => {
                if let Some(job) = self.jobs.get(&credit.job) {
                    job.allow(credit.bytes);
                }
            }
            Order::Settled(_) | Order::Drain(_) | Order::Steer(_) => {}
            Order::Close(_) => return true,
        }
        false
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.house.desk.leave(self.id);
    }
}

/// What an upstream offers, at the operator's price.
fn inventory(spec: &Spec, models: &[Model]) -> Inventory {
    let offers = models
        .iter()
        .filter(|model| spec.serves(&model.offer.model))
        .map(|model| {
            let mut offer = model.offer.clone();
            offer.slots = spec.slots();
            offer.price = spec.pricing();
            offer
        })
        .collect();
    Inventory { offers, slots: spec.slots(), ..Inventory::default() }
}
