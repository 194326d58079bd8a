//! Many who want the same money at the same time.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    eventually,
    node::Node,
    on_both,
    relay::{FREE, Relay},
    script::{Dialect, Gate, MODEL, Reply, Script},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Jobs that are asked for at once.
const JOBS: usize = 100;

/// Jobs for which there is money.
const PAID: usize = 10;

/// What one job may cost at most: 100 answer tokens at one micro-dollar.
const HOLD: Nanos = Nanos::new(100_000);

on_both! {
    of_a_hundred_jobs_with_money_for_ten_exactly_ten_run,
}

async fn of_a_hundred_jobs_with_money_for_ten_exactly_ten_run(engine: Engine) -> Result<()> {
    let (relay, key) = Relay::keeping(engine, FREE, "0.001").await?;
    let script = Script::start(Dialect::LlamaCpp(200)).await?;
    let price = ["--slots", "200", "--price-input", "0", "--price-output", "1"];
    let _node = Node::with(&relay, &script.url(), &price).await?;
    // Nobody ends, and so gives back what his answer did not cost, before everybody has asked.
    let gate = Gate::default();
    script.always(Reply::gated(&["one", " two"], &gate));
    let mut asking = JoinSet::new();
    for _ in 0..JOBS {
        let page = relay.customer(&key);
        asking.spawn(async move {
            let body =
                json!({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "go"}]});
            page.post("/v1/chat/completions", &body).await
        });
    }
    for _ in PAID..JOBS {
        let refused = asking.join_next().await.context("a refusal")???;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (402, "insufficient_funds"));
    }
    let held = || async { Ok((relay.ledger()?.balance("escrow")?.get() == 10 * HOLD.get()).then_some(())) };
    eventually("ten holds are in the book", held).await?;
    let arrived = || async { Ok((script.jobs().len() >= PAID).then_some(())) };
    eventually("ten jobs at the server", arrived).await?;
    assert_eq!(script.jobs().len(), PAID);
    assert_eq!(relay.ledger()?.balance("page:")?, Nanos::ZERO);
    gate.open(2 * PAID);
    let mut spent = 0;
    while let Some(answered) = asking.join_next().await {
        let answer: Value = answered??.expect(200)?;
        let cost = answer["rekursing"]["cost"].as_str().context("a cost")?;
        spent += cost.parse::<Nanos>()?.get();
    }
    let ledger = relay.resolved().await?;
    assert_eq!((ledger.settlements()?.len(), ledger.entries("hold")?), (PAID, 10));
    assert_eq!(ledger.balance("page:")?.get(), 10 * HOLD.get() - spent);
    relay.audit().await
}
