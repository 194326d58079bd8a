//! A relay that is killed again and again in the middle of its work, and the books that have to agree: what
//! pages heard, what the owner did and was told, what the rail has paid, and the ledger.

mod cast;
mod journals;
mod load;

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    count,
    database::Engine,
    eventually, on_both,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL},
};
use serde_json::json;

use cast::Cast;
use load::work_until_killed;

/// How often the relay is killed, unless the variable `REKURSING_KILLS` says otherwise.
const KILLS: u64 = 10;

on_both! {
    a_relay_that_is_killed_again_and_again_moves_no_money_twice_and_loses_none,
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

async fn a_relay_that_is_killed_again_and_again_moves_no_money_twice_and_loses_none(
    engine: Engine,
) -> Result<()> {
    let kills = count("REKURSING_KILLS", KILLS)?;
    let mut cast = Cast::meet(engine).await?;
    let (mut random, mut under_way) = (Random(0x5EED), 0_u64);
    let mut round = 0;
    // What is rare may need more kills than a few to be seen.
    while round < kills || (kills >= KILLS && round < 3 * kills && !cast.journals().did().is_everything()) {
        round += 1;
        // Somewhere between the first steps of the first jobs and the flow of many.
        let steps = 1 + random.below(160);
        work_until_killed(&mut cast, round, steps)
            .await
            .with_context(|| format!("round {round}, killed after {steps} steps"))?;
        under_way += u64::from(cast.has_payouts_under_way()?);
        cast.relay.restart().await.with_context(|| format!("round {round}"))?;
        let ledger = cast.relay.ledger()?;
        let quiet = || async { Ok((ledger.balance("escrow")? == Nanos::ZERO).then_some(())) };
        eventually("what died with the relay is given back", quiet).await?;
        cast.agree().await.with_context(|| format!("round {round}"))?;
        cast.relay.audit().await.with_context(|| format!("round {round}"))?;
    }
    cast.all_is_paid_out().await?;
    cast.agree().await?;
    let did = cast.journals().did();
    eprintln!("{round} kills on {engine:?}, {under_way} of them with a payout under way: {did}");
    assert!(kills < KILLS || did.is_everything(), "{did}");
    cast.relay.audit().await
}

/// A linear congruential generator: the same kills in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
