//! What goes on at a relay until it is killed.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use rekursing_tests::{
    http::Page,
    link::{Link, Plugin, Received, identify, offer},
    script::MODEL,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    cast::{Cast, PAYOUT_COST, PREMIUM_BALANCE, open},
    journals::{Heard, Journals, Who},
};

/// Pages that ask at once: for ordinary answers, for dear ones, with the key that has a budget, and without a
/// key.
const PAGES: usize = 3;
const DEAR_PAGES: usize = 2;
const LIMITED_PAGES: usize = 2;
const VISITORS: usize = 2;

/// A model so dear that an owner has something to be paid out after a few answers.
const DEAR_MODEL: &str = "dear-1b";

/// A question that ads stand beside.
const QUESTION: &str = "Which laptop should I buy?";

/// The budget of a key, which is soon spent.
const BUDGET: &str = "0.0005";

/// Where everybody writes, and what counts what they do.
#[derive(Clone)]
struct Work {
    journals: Arc<Mutex<Journals>>,
    fuse: Arc<Fuse>,
}

/// Lets everybody work until they have taken so many steps, and kills the relay.
pub(super) async fn work_until_killed(cast: &mut Cast, round: u64, steps: u64) -> Result<()> {
    let limits = json!({"name": "limited", "budgetTotal": BUDGET});
    let made = cast.page.post("/api/account/keys", &limits).await?.expect(201)?;
    let limited = cast.relay.customer(made["key"].as_str().context("a key")?);
    let fresh = cast.relay.customer(&cast.fresh);
    cast.limited = Some(limited.clone());

    let pid = i32::try_from(cast.relay.process().pid()?).ok().and_then(Pid::from_raw).context("a process")?;
    let fuse = Arc::new(Fuse { left: AtomicU64::new(steps), pid });
    let work = Work { journals: cast.journal(), fuse: Arc::clone(&fuse) };
    let link = ready(cast).await?;
    let (tell, told) = mpsc::unbounded_channel();
    let mut all = JoinSet::new();
    all.spawn(serve(link, work.clone(), tell));
    all.spawn(cash(cast.relay.customer(&cast.plugin.secret), cast.plugin.clone(), work.clone(), told));
    all.spawn(upgrade(fresh, work.clone()));
    for _ in 0..PAGES {
        all.spawn(browse(cast.page.clone(), question("go", MODEL), Who::Page, work.clone()));
    }
    for _ in 0..DEAR_PAGES {
        let mut body = question("go", DEAR_MODEL);
        body["maxPrice"] = json!("10000");
        all.spawn(browse(cast.page.clone(), body, Who::Page, work.clone()));
    }
    for _ in 0..LIMITED_PAGES {
        all.spawn(browse(limited.clone(), question("go", MODEL), Who::Limited, work.clone()));
    }
    for seat in 0..VISITORS {
        all.spawn(visit(cast.relay.visitor(), format!("{round:x}:{seat}"), work.clone()));
    }
    // What the relay had sent before its end arrives all the same.
    while let Some(ended) = all.join_next().await {
        ended?;
    }
    anyhow::ensure!(
        fuse.left.load(Ordering::Relaxed) == 0,
        "everybody has stopped before the relay was killed"
    );
    cast.relay.kill().await?;
    cast.fresh = cast.relay.key(PREMIUM_BALANCE).await?;
    Ok(())
}

/// Connects the owner's plugin, which offers an ordinary model and a dear one.
async fn ready(cast: &Cast) -> Result<Link> {
    let mut dear = offer(DEAR_MODEL, 64);
    dear["price"] = json!({"input": 10_000_000_000_u64, "output": 10_000_000_000_u64});
    let mut identify = identify(&cast.plugin, &offer(MODEL, 64));
    identify["inventory"]["offers"] = json!([offer(MODEL, 64), dear]);
    let mut link = Link::open(&cast.relay).await?;
    link.send("identify", &identify).await?;
    link.frame("ready").await?;
    Ok(link)
}

fn question(prompt: &str, model: &str) -> Value {
    json!({"prompt": prompt, "model": model, "stream": true, "maxTokens": 10})
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
            // One that is dead already shows when the books are compared.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Asks, and asks again, until the relay is gone or the money.
async fn browse(page: Page, body: Value, who: Who, work: Work) {
    while ask(&page, &body, who, &work).await.is_some() {}
}

/// Asks once, and returns the ad beside the answer, if there is one. `None` where there is no end.
async fn ask(page: &Page, body: &Value, who: Who, work: &Work) -> Option<Option<Value>> {
    let mut stream = page.stream("/api/llm/inference", body).await.ok()?;
    let mut ad = None;
    loop {
        let event = stream.next().await.ok()??;
        let data = serde_json::from_str::<Value>(&event.data);
        match event.name.as_str() {
            "ad" => ad = Some(data.expect("an ad is JSON")),
            "done" => {
                let done = data.expect("an end is JSON");
                let heard = || Some((text(&done["jobId"])?, text(&done["cost"])?.parse().ok()?));
                let (job, cost) = heard().expect("an end names its job and its cost");
                let before = open(&work.journals).heard.insert(job, Heard { cost, who });
                assert!(before.is_none(), "a job ends once");
                work.fuse.step();
                return Some(ad);
            }
            _ => {}
        }
    }
}

/// Asks without a key, each time as somebody else, and says that the ad was seen.
async fn visit(visitor: Page, seat: String, work: Work) {
    let body = question(QUESTION, MODEL);
    for number in 0_u16.. {
        let page = visitor.clone().with("x-forwarded-for", &format!("2001:db8:{seat}:{number:x}::1"));
        let Some(ad) = ask(&page, &body, Who::Visitor, &work).await else { return };
        let Some(ad) = ad else { continue };
        open(&work.journals).seen.0 += 1;
        let token = json!({"token": ad["impressionToken"]});
        let Ok(answer) = page.post("/api/ads/impressions", &token).await else { return };
        if answer.json().is_ok_and(|json| json["counted"] == true) {
            open(&work.journals).seen.1 += 1;
        }
        work.fuse.step();
    }
}

/// Becomes premium, and asks.
async fn upgrade(page: Page, work: Work) {
    let Ok(Ok(account)) = page.get("/api/account").await.map(|answer| answer.expect(200)) else { return };
    let account = format!("page:{}", text(&account["account"]).expect("an account"));
    open(&work.journals).premium.insert(account.clone(), false);
    let wish = json!({"renews": true, "price": "1"});
    let Ok(answer) = page.put("/api/account/premium", &wish).await else { return };
    // Where its account was opened a moment ago, its money may not have come yet.
    if answer.status != 200 {
        return;
    }
    open(&work.journals).premium.insert(account, true);
    work.fuse.step();
    browse(page, question("go", MODEL), Who::Premium, work).await;
}

/// Answers every job with the same words, until the relay is gone, and tells of each that was paid.
async fn serve(mut link: Link, work: Work, paid: mpsc::UnboundedSender<()>) {
    while let Ok(Received::Frame(kind, frame)) = link.next().await {
        match kind.as_str() {
            "start" => {
                let Ok(()) = answer(&mut link, &frame, &work.journals).await else { return };
            }
            "settled" => {
                let told = || Some((text(&frame["job"])?, text(&frame["earned"])?.parse().ok()?));
                let (job, earned) = told().expect("a settlement names its job and its earning");
                assert!(open(&work.journals).earned.insert(job, earned).is_none(), "a job is earned once");
                // Whoever waits for it may have stopped.
                let _ = paid.send(());
            }
            _ => {}
        }
        work.fuse.step();
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

/// Asks for all that the owner has, whenever something was paid for.
async fn cash(owner: Page, plugin: Plugin, work: Work, mut paid: mpsc::UnboundedReceiver<()>) {
    let path = format!("/api/plugin/payouts/{}", plugin.id);
    while paid.recv().await.is_some() {
        while paid.try_recv().is_ok() {}
        open(&work.journals).payouts_asked += 1;
        let Ok(answer) = owner.post(&path, &json!({"amount": "all", "accept": PAYOUT_COST})).await else {
            return;
        };
        // Most of the time there is too little yet.
        if answer.status != 201 {
            continue;
        }
        let made = answer.json().expect("a payout is JSON")["payout"].clone();
        let told = || Some((text(&made["payoutId"])?, text(&made["amount"])?.parse().ok()?));
        let (id, amount) = told().expect("a payout names itself and its amount");
        assert!(open(&work.journals).payouts.insert(id, amount).is_none(), "a payout is made once");
        work.fuse.step();
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
