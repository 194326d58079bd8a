//! A relay that is killed again and again in the middle of its work, and three books that have to agree:
//! what pages heard, what the owner did, and the ledger.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::{Engine, Ledger, Settlement},
    eventually,
    http::Page,
    link::{Link, Plugin, Received, offer},
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask},
    script::{Dialect, MODEL},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How often the relay is killed, unless the variable `REKURSING_KILLS` says otherwise.
const KILLS: u64 = 10;

/// Pages that ask at once.
const PAGES: usize = 8;

/// What the page's account begins with.
const BALANCE: &str = "1000.00";

on_both! {
    a_relay_that_is_killed_again_and_again_charges_every_answer_once_and_exactly,
    what_a_visitor_has_had_today_outlives_kill_9,
}

async fn what_a_visitor_has_had_today_outlives_kill_9(engine: Engine) -> Result<()> {
    let config = FREE.replace("jobs_per_day = 1000000", "jobs_per_day = 2");
    let (relay, _) = Relay::keeping(engine, &config, "0").await?;
    let mut scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let question = json!({"prompt": "go", "model": MODEL});
    let asked = async |scene: &Scripted| scene.relay.visitor().post("/api/llm/inference", &question).await;
    asked(&scene).await?.expect(200)?;
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    eventually("the owner is back", || async {
        let answer = asked(&scene).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    assert_eq!(asked(&scene).await?.error_code()?, "free_quota_used");
    assert_eq!(scene.script.jobs().len(), 2);
    scene.relay.audit().await
}

async fn a_relay_that_is_killed_again_and_again_charges_every_answer_once_and_exactly(
    engine: Engine,
) -> Result<()> {
    let kills = std::env::var("REKURSING_KILLS").ok().map(|count| count.parse()).transpose()?;
    let (mut relay, key) = Relay::keeping(engine, FREE, BALANCE).await?;
    let plugin = Plugin::register(&relay).await?;
    let page = relay.customer(&key);
    let journals = Arc::<Mutex<Journals>>::default();
    let mut random = Random(0x5EED);
    for round in 1..=kills.unwrap_or(KILLS) {
        // Somewhere between the first steps of the first jobs and the flow of many.
        let steps = 1 + random.below(120);
        work_until_killed(&mut relay, &plugin, &page, &journals, steps)
            .await
            .with_context(|| format!("round {round}, killed after {steps} steps"))?;
        relay.restart().await.with_context(|| format!("round {round}"))?;
        let ledger = relay.ledger()?;
        let quiet = || async { Ok((ledger.balance("escrow")? == Nanos::ZERO).then_some(())) };
        eventually("what died with the relay is given back", quiet).await?;
        agree(&ledger, &open(&journals)).with_context(|| format!("round {round}"))?;
    }
    assert!(!open(&journals).heard.is_empty(), "pages were answered");
    relay.audit().await
}

/// What whoever is not the relay wrote down, by job.
#[derive(Debug, Default)]
struct Journals {
    /// What a page was told at the end of its answer.
    heard: HashMap<String, Nanos>,
    /// Whole answers that the owner's plugin has sent.
    delivered: HashSet<String>,
    /// What the owner was told that he has earned.
    earned: HashMap<String, Nanos>,
}

fn open(journals: &Mutex<Journals>) -> MutexGuard<'_, Journals> {
    journals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds the ledger against the journals.
fn agree(ledger: &Ledger, journals: &Journals) -> Result<()> {
    let charges = ledger.settlements()?;
    let by_job: HashMap<&str, _> = charges.iter().map(|charge| (charge.job.as_str(), charge)).collect();
    assert_eq!(by_job.len(), charges.len(), "no job is charged twice");
    for (job, cost) in &journals.heard {
        let charge = by_job.get(job.as_str()).with_context(|| format!("{job} ended and is not charged"))?;
        assert_eq!(charge.charge, *cost, "{job} is charged what its page was told");
    }
    for (job, earned) in &journals.earned {
        let charge = by_job.get(job.as_str()).with_context(|| format!("{job} was earned and not charged"))?;
        assert_eq!(
            charge.charge.checked_sub(charge.fee),
            Some(*earned),
            "{job} earns what its owner was told"
        );
    }
    for job in by_job.keys() {
        assert!(journals.delivered.contains(*job), "{job} is charged and was never delivered");
    }
    let held: HashSet<String> = ledger.jobs("hold")?.into_iter().collect();
    let voided = ledger.jobs("void")?;
    assert!(voided.iter().all(|job| held.contains(job) && !by_job.contains_key(job.as_str())));

    let sum = |part: fn(&Settlement) -> Nanos| -> Nanos {
        Nanos::new(charges.iter().map(|charge| part(charge).get()).sum())
    };
    let (charged, fees) = (sum(|charge| charge.charge), sum(|charge| charge.fee));
    let owned = ["owner:", "held:"].map(|accounts| ledger.balance(accounts));
    let owned: i64 = owned.into_iter().map(|balance| balance.map(Nanos::get)).sum::<Result<_>>()?;
    assert_eq!(ledger.balance("platform")?, fees);
    assert_eq!(owned, charged.get() - fees.get());
    assert_eq!(ledger.balance("page:")?.get(), BALANCE.parse::<Nanos>()?.get() - charged.get());
    Ok(())
}

/// Lets pages and an owner work until they have taken so many steps, and kills the relay.
async fn work_until_killed(
    relay: &mut Relay,
    plugin: &Plugin,
    page: &Page,
    journals: &Arc<Mutex<Journals>>,
    steps: u64,
) -> Result<()> {
    let pid = i32::try_from(relay.process().pid()?).ok().and_then(Pid::from_raw).context("a process")?;
    let fuse = Arc::new(Fuse { left: AtomicU64::new(steps), pid });
    let link = Link::ready(relay, plugin, &offer(MODEL, 64)).await?;
    let mut work = JoinSet::new();
    work.spawn(serve(link, Arc::clone(journals), Arc::clone(&fuse)));
    for _ in 0..PAGES {
        work.spawn(browse(page.clone(), Arc::clone(journals), Arc::clone(&fuse)));
    }
    // What the relay had sent before its end arrives all the same.
    while let Some(ended) = work.join_next().await {
        ended?;
    }
    anyhow::ensure!(
        fuse.left.load(Ordering::Relaxed) == 0,
        "everybody has stopped before the relay was killed"
    );
    relay.kill().await
}

/// Kills the relay when so many steps are taken, in the very moment of the last one.
#[derive(Debug)]
struct Fuse {
    left: AtomicU64,
    pid: Pid,
}

impl Fuse {
    fn step(&self) {
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if before == Ok(1) {
            // One that is dead already shows when the three books are compared.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Asks, and asks again, until the relay is gone.
async fn browse(page: Page, journals: Arc<Mutex<Journals>>, fuse: Arc<Fuse>) {
    while let Ok(mut stream) = page.stream("/api/llm/inference", &ask("go")).await {
        let Ok(done) = stream.event("done").await else { return };
        let heard = || Some((text(&done["jobId"])?, text(&done["cost"])?.parse().ok()?));
        let (job, cost) = heard().expect("an end names its job and its cost");
        assert!(open(&journals).heard.insert(job, cost).is_none(), "a job ends once");
        fuse.step();
    }
}

/// Answers every job with the same words, until the relay is gone.
async fn serve(mut link: Link, journals: Arc<Mutex<Journals>>, fuse: Arc<Fuse>) {
    while let Ok(Received::Frame(kind, frame)) = link.next().await {
        match kind.as_str() {
            "start" => {
                let Ok(()) = answer(&mut link, &frame, &journals).await else { return };
            }
            "settled" => {
                let told = || Some((text(&frame["job"])?, text(&frame["earned"])?.parse().ok()?));
                let (job, earned) = told().expect("a settlement names its job and its earning");
                assert!(open(&journals).earned.insert(job, earned).is_none(), "a job is earned once");
            }
            _ => {}
        }
        fuse.step();
    }
}

async fn answer(link: &mut Link, start: &Value, journals: &Mutex<Journals>) -> Result<()> {
    let (job, lease) = (&start["job"], &start["lease"]);
    for (n, word) in ["one", " two", " three"].iter().enumerate() {
        link.send("text", &json!({"job": job, "lease": lease, "n": n, "text": word})).await?;
    }
    // Before it is sent: whether the relay reads it is not for the owner to know.
    open(journals).delivered.extend(text(job));
    link.send("done", &json!({"job": job, "lease": lease, "n": 3, "finish": "stop"})).await
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A linear congruential generator: the same kills in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
