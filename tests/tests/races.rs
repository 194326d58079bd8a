//! Many who want the same money at the same time.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    count,
    database::Engine,
    eventually,
    http::{Answer, Page},
    node::Node,
    on_both,
    relay::{FREE, Relay},
    script::{Dialect, Gate, MODEL, Reply, Script},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Jobs that are asked for at once.
const JOBS: usize = 100;

/// Jobs of one key, or visitors who ask beside one campaign, at once.
const RACING: usize = 64;

/// Jobs, or ads, for which there is money.
const PAID: usize = 10;

/// What one job may cost at most: 100 answer tokens at one micro-dollar.
const HOLD: Nanos = Nanos::new(100_000);

/// What [`PAID`] of them may cost.
const FOR_TEN: &str = "0.001";

/// What an ad costs that nobody bids against: the floor.
const IMPRESSION: Nanos = Nanos::new(100_000);

on_both! {
    of_a_hundred_jobs_with_money_for_ten_exactly_ten_run,
    of_sixty_four_jobs_with_a_keys_budget_for_ten_exactly_ten_run,
    of_sixty_four_free_answers_with_an_advertisers_budget_for_ten_exactly_ten_carry_the_ad,
}

/// How often each race is run, on a relay of its own each time.
fn rounds() -> Result<u64> {
    count("REKURSING_RACES", 1)
}

async fn of_a_hundred_jobs_with_money_for_ten_exactly_ten_run(engine: Engine) -> Result<()> {
    for _ in 0..rounds()? {
        let (relay, key) = Relay::keeping(engine, FREE, FOR_TEN).await?;
        let page = relay.customer(&key);
        let spent = exactly_ten_run(&relay, &page, JOBS, "insufficient_funds").await?;
        assert_eq!(relay.ledger()?.balance("page:")?.get(), 10 * HOLD.get() - spent);
    }
    Ok(())
}

async fn of_sixty_four_jobs_with_a_keys_budget_for_ten_exactly_ten_run(engine: Engine) -> Result<()> {
    for _ in 0..rounds()? {
        for (budget, left, code) in [
            ("budgetTotal", "leftTotal", "key_budget_total"),
            ("budgetPerDay", "leftToday", "key_budget_day"),
        ] {
            let (relay, key) = Relay::keeping(engine, FREE, "1.00").await?;
            let made = relay.customer(&key).post("/api/account/keys", &json!({budget: FOR_TEN})).await?;
            let made = made.expect(201)?;
            let page = relay.customer(made["key"].as_str().context("a key")?);
            let spent = exactly_ten_run(&relay, &page, RACING, code).await?;
            let key = page.get("/api/account").await?.expect(200)?["key"].clone();
            assert_eq!(dollars(&key["spent"])?.get(), spent);
            assert_eq!(dollars(&key[left])?.get(), 10 * HOLD.get() - spent);
        }
    }
    Ok(())
}

/// Asks for so many jobs at once with money for ten, and returns what those have cost that ran.
async fn exactly_ten_run(relay: &Relay, page: &Page, jobs: usize, code: &str) -> Result<i64> {
    let (script, _node) = serve(relay).await?;
    // Nobody ends, and so gives back what his answer did not cost, before everybody has asked.
    let gate = Gate::default();
    script.always(Reply::gated(&["one", " two"], &gate));
    let body = json!({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "go"}]});
    let mut asking = JoinSet::new();
    for _ in 0..jobs {
        let (page, body) = (page.clone(), body.clone());
        asking.spawn(async move { page.post("/v1/chat/completions", &body).await });
    }
    for _ in PAID..jobs {
        let refused = asking.join_next().await.context("a refusal")???;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (402, code));
    }
    let held = || async { Ok((relay.ledger()?.balance("escrow")?.get() == 10 * HOLD.get()).then_some(())) };
    eventually("ten holds are in the book", held).await?;
    arrived(&script, PAID).await?;
    assert_eq!(script.jobs().len(), PAID);
    gate.open(2 * PAID);
    let mut spent = 0;
    while let Some(answered) = asking.join_next().await {
        spent += dollars(&answered??.expect(200)?["rekursing"]["cost"])?.get();
    }
    let ledger = relay.resolved().await?;
    assert_eq!((ledger.settlements()?.len(), ledger.entries("hold")?), (PAID, 10));
    relay.audit().await?;
    Ok(spent)
}

async fn of_sixty_four_free_answers_with_an_advertisers_budget_for_ten_exactly_ten_carry_the_ad(
    engine: Engine,
) -> Result<()> {
    for _ in 0..rounds()? {
        exactly_ten_carry_the_ad(engine).await?;
    }
    Ok(())
}

async fn exactly_ten_carry_the_ad(engine: Engine) -> Result<()> {
    let config = format!("behind_proxy = true\n{FREE}[ads]\nseen_after_ms = 0\n");
    let (relay, key) = Relay::advertised(engine, &config, "0", "1.00").await?;
    let (script, _node) = serve(&relay).await?;
    let gate = Gate::default();
    script.always(Reply::gated(&["one", " two"], &gate));
    let advertiser = relay.customer(&key);
    // The tenth ad needs what is left above nine of them: its bid, though it pays the floor.
    let terms = json!({
        "title": "Laptops that last", "text": "Five years of spare parts.", "link": "https://example.com/",
        "categories": ["technology"], "bidPerThousand": "2", "budget": "0.0029", "ends": 9_000_000_000_000_u64,
    });
    let made = advertiser.post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let path = format!("/api/ads/campaigns/{}", made["id"].as_str().context("a campaign")?);
    let campaign = async || advertiser.get(&path).await?.expect(200);

    let mut asking = JoinSet::new();
    for number in 0..RACING {
        let visitor = relay.visitor().with("x-forwarded-for", &format!("2001:db8:{number:x}::1"));
        asking.spawn(async move {
            let body = json!({"prompt": "Which laptop should I buy?", "model": MODEL, "max_tokens": 10});
            let answer = visitor.post("/api/llm/inference", &body).await?.expect(200)?;
            anyhow::Ok((visitor, answer["ad"]["impressionToken"].clone()))
        });
    }
    arrived(&script, RACING).await?;
    eventually("ten ads are chosen", || async {
        let reserved = dollars(&campaign().await?["reserved"])?;
        Ok((reserved.get() == 10 * IMPRESSION.get()).then_some(()))
    })
    .await?;
    gate.open(2 * RACING);
    let mut seeing = JoinSet::new();
    while let Some(answered) = asking.join_next().await {
        let (visitor, token) = answered??;
        for _ in 0..if token.is_null() { 0 } else { 3 } {
            let (visitor, token) = (visitor.clone(), json!({"token": token}));
            seeing.spawn(async move { visitor.post("/api/ads/impressions", &token).await });
        }
    }
    assert_eq!(seeing.len(), 3 * PAID, "as many answers carry the ad");
    let mut counted = 0;
    while let Some(seen) = seeing.join_next().await {
        let seen: Answer = seen??;
        counted += usize::from(seen.expect(200)?["counted"] == true);
    }
    assert_eq!(counted, PAID, "each is counted once");
    let campaign = campaign().await?;
    assert_eq!(
        (dollars(&campaign["spent"])?.get(), &campaign["reserved"]),
        (10 * IMPRESSION.get(), &json!("0"))
    );
    let ledger = relay.resolved().await?;
    assert_eq!(ledger.transfers("impression")?.len(), PAID);
    assert_eq!(ledger.balance("advertiser:")?.get(), Nanos::DOLLAR.get() - 10 * IMPRESSION.get());
    relay.audit().await
}

/// Starts a server with more slots than anybody asks for, and an agent before it.
async fn serve(relay: &Relay) -> Result<(Script, Node)> {
    let script = Script::start(Dialect::LlamaCpp(200)).await?;
    let price = ["--slots", "200", "--price-input", "0", "--price-output", "1"];
    let node = Node::with(relay, &script.url(), &price).await?;
    Ok((script, node))
}

async fn arrived(script: &Script, jobs: usize) -> Result<()> {
    let look = || async { Ok((script.jobs().len() >= jobs).then_some(())) };
    eventually("the jobs are at the server", look).await
}

fn dollars(value: &Value) -> Result<Nanos> {
    value.as_str().with_context(|| format!("{value} is no amount"))?.parse().context("money is decimal")
}
