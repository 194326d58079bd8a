//! Top-ups: pages pay in by card, and what Stripe reports is booked once.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    database::Engine,
    door::{SHA256, TOKEN},
    http::Page,
    on_both,
    process::Echo,
    relay::{Program, Relay},
    scene::Scripted,
    script::{Dialect, MODEL},
    stripe::{self, Stripe, WEBHOOK_SECRET},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOP_UPS: &str = "/api/account/top-ups";
const COMPLETED: &str = "checkout.session.completed";
const WITHDRAWN: &str = "charge.dispute.funds_withdrawn";
const REINSTATED: &str = "charge.dispute.funds_reinstated";

on_both! {
    a_payment_is_credited_once_less_the_cost_that_was_shown,
    what_goes_back_to_a_card_leaves_the_account_once,
    refunds_that_are_reported_together_are_taken_once,
    what_went_back_before_it_was_credited_is_never_to_be_spent,
    a_dispute_takes_what_stripe_took_and_gives_it_again_when_it_is_won,
    what_stripe_says_is_gone_goes_up_and_down,
    a_top_up_that_the_operator_took_back_is_not_taken_again_by_its_refund,
    the_charges_of_a_disputed_card_are_taken_back_and_fill_what_is_missing,
    an_advertiser_pays_in_for_ads_alone_and_what_goes_back_is_of_that,
}

/// A relay that takes payments, a page of it without money, that page's account, and the folder of the
/// secrets, which the relay reads at every start.
async fn relay(engine: Engine, stripe: &Stripe) -> Result<(Relay, Page, String, TempDir)> {
    let (config, folder) = stripe.set_up()?;
    let program = Program::new(engine, &format!("{SHA256}{config}"))?;
    let key = program.key("0").await?;
    let relay = Relay::of(program, "127.0.0.1:0", Echo::Aloud).await?;
    let page = relay.customer(&key);
    let account = page.get("/api/account").await?.expect(200)?["account"].clone();
    Ok((relay, page, account.as_str().context("an account")?.to_owned(), folder))
}

async fn balance(page: &Page) -> Result<Nanos> {
    let account = page.get("/api/account").await?.expect(200)?;
    Ok(account["balance"].as_str().context("a balance")?.parse()?)
}

fn nanos(dollars: &str) -> Result<Nanos> {
    Ok(dollars.parse()?)
}

async fn a_payment_is_credited_once_less_the_cost_that_was_shown(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (mut relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let named = page.clone().with("idempotency-key", "k");
    let amount = json!({"amount": "20.00"});
    let opened = named.post(TOP_UPS, &amount).await?.expect(201)?;
    assert_eq!(
        opened,
        json!({"session": "cs_test_1", "url": "https://checkout.stripe.com/c/pay/cs_test_1", "for": "answers",
            "amount": "20", "cost": "0.88", "credit": "19.12"})
    );
    assert_eq!(named.post(TOP_UPS, &amount).await?.expect(201)?, opened);
    relay.kill().await?;
    relay.restart().await?;
    assert_eq!(named.post(TOP_UPS, &amount).await?.expect(201)?, opened, "the same page after a crash");
    let other = named.post(TOP_UPS, &json!({"amount": "21.00"})).await?;
    assert_eq!((other.status, other.error_code()?), (409, "idempotency_key_reused".to_owned()));
    relay.tamper("UPDATE asked SET answer = NULL")?;
    relay.kill().await?;
    relay.restart().await?;
    assert_eq!(named.post(TOP_UPS, &amount).await?.expect(201)?, opened, "opened, and not yet answered");
    let other = named.post(TOP_UPS, &json!({"amount": "21.00"})).await?;
    assert_eq!(other.error_code()?, "idempotency_key_reused");
    assert_eq!((stripe.pages(), balance(&page).await?), (1, Nanos::ZERO));

    let session = stripe::paid("cs_test_1", &account, 2_000, "pi_1");
    let visitor = relay.visitor();
    let mut awaited = session.clone();
    awaited["payment_status"] = json!("unpaid");
    stripe::report(&visitor, WEBHOOK_SECRET, COMPLETED, &awaited).await?.expect(200)?;
    assert_eq!(balance(&page).await?, Nanos::ZERO);
    for _ in 0..3 {
        stripe::report(&visitor, WEBHOOK_SECRET, COMPLETED, &session).await?.expect(200)?;
        assert_eq!(balance(&page).await?, nanos("19.12")?);
    }
    relay.kill().await?;
    relay.restart().await?;
    let visitor = relay.visitor();
    stripe::report(&visitor, WEBHOOK_SECRET, COMPLETED, &session).await?.expect(200)?;
    assert_eq!(balance(&page).await?, nanos("19.12")?, "once, whatever happens between");
    let ledger = relay.ledger()?;
    assert_eq!((ledger.entries("top_up")?, ledger.entries("top_up_cost")?), (1, 1));

    let reports = (0..16).map(|_| async {
        let session = stripe::paid("cs_other", &account, 1_000, "pi_2");
        stripe::report(&visitor, WEBHOOK_SECRET, COMPLETED, &session).await?.expect(200)
    });
    futures_util::future::try_join_all(reports).await?;
    assert_eq!(balance(&page).await?, nanos("28.53")?, "one that nobody knew, at the cost of the day");
    relay.audit().await
}

async fn what_goes_back_to_a_card_leaves_the_account_once(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let visitor = relay.visitor();
    let tell = async |kind: &'static str, object: Value| {
        stripe::report(&visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    tell(COMPLETED, stripe::paid("cs_1", &account, 2_000, "pi_1")).await?;
    tell(COMPLETED, stripe::paid("cs_2", &account, 1_000, "pi_2")).await?;
    assert_eq!(balance(&page).await?, nanos("28.53")?);
    for (cents, left) in [(500, "23.53"), (500, "23.53"), (800, "20.53"), (500, "20.53")] {
        tell("charge.refunded", stripe::refunded("ch_1", &account, cents, "pi_1")).await?;
        assert_eq!(balance(&page).await?, nanos(left)?, "Stripe tells what went back in all");
    }
    for _ in 0..2 {
        tell(WITHDRAWN, stripe::dispute("dp_1", 1_000, "pi_2")).await?;
        assert_eq!(balance(&page).await?, nanos("10.53")?);
    }
    tell(WITHDRAWN, stripe::dispute("dp_2", 1_000, "pi_elsewhere")).await?;
    assert_eq!(balance(&page).await?, nanos("10.53")?, "another's payment is none of ours");
    tell(WITHDRAWN, stripe::dispute("dp_3", 1_200, "pi_1")).await?;
    assert_eq!(balance(&page).await?, Nanos::ZERO);
    let log = relay.operate(&["log", "--json"]).await?;
    let log: Value = serde_json::from_str(&log)?;
    assert_eq!(
        (&log[0]["what"], &log[0]["who"], &log[0]["amount"]),
        (&json!("uncovered"), &json!("stripe"), &json!("1.47")),
        "what nobody has any more is told to the operator: {log}"
    );
    relay.audit().await
}

async fn refunds_that_are_reported_together_are_taken_once(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let visitor = relay.visitor();
    stripe::report(&visitor, WEBHOOK_SECRET, COMPLETED, &stripe::paid("cs_1", &account, 10_000, "pi_1"))
        .await?
        .expect(200)?;
    assert_eq!(balance(&page).await?, nanos("96.8")?);
    let reports = (1..=8_u64).map(|dollars| {
        let refund = stripe::refunded("ch_1", &account, dollars * 100, "pi_1");
        let visitor = &visitor;
        async move { stripe::report(visitor, WEBHOOK_SECRET, "charge.refunded", &refund).await?.expect(200) }
    });
    futures_util::future::try_join_all(reports).await?;
    assert_eq!(balance(&page).await?, nanos("88.8")?, "eight dollars went back in all");
    relay.audit().await
}

async fn what_went_back_before_it_was_credited_is_never_to_be_spent(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (mut relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let visitor = relay.visitor();
    let tell = async |visitor: &Page, kind: &'static str, object: Value| {
        stripe::report(visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    let refund = |charge: &str, cents: u64, payment: &str| stripe::refunded(charge, &account, cents, payment);
    tell(&visitor, "charge.refunded", refund("ch_1", 2_000, "pi_1")).await?;
    tell(&visitor, "charge.refunded", refund("ch_2", 1_200, "pi_2")).await?;
    tell(&visitor, "charge.refunded", refund("ch_2", 500, "pi_2")).await?;
    tell(&visitor, WITHDRAWN, stripe::dispute("dp_3", 1_000, "pi_3")).await?;
    assert_eq!(balance(&page).await?, Nanos::ZERO, "nothing is taken before there is anything");
    relay.kill().await?;
    relay.restart().await?;
    let visitor = relay.visitor();
    // Of each payment, what went back of it is missing, and what it cost is not the platform's to lose.
    for (session, payment, cents, left) in [
        ("cs_2", "pi_2", 2_000, "7.12"),
        ("cs_3", "pi_3", 1_500, "11.385"),
        ("cs_1", "pi_1", 2_000, "10.505"),
    ] {
        for _ in 0..2 {
            tell(&visitor, COMPLETED, stripe::paid(session, &account, cents, payment)).await?;
            assert_eq!(balance(&page).await?, nanos(left)?, "{payment}");
        }
    }
    tell(&visitor, "charge.refunded", refund("ch_1", 2_000, "pi_1")).await?;
    tell(&visitor, WITHDRAWN, stripe::dispute("dp_3", 1_000, "pi_3")).await?;
    assert_eq!(balance(&page).await?, nanos("10.505")?, "once, whatever is reported again");
    tell(&visitor, "charge.refunded", refund("ch_2", 1_500, "pi_2")).await?;
    assert_eq!(balance(&page).await?, nanos("7.505")?);
    relay.audit().await
}

async fn a_dispute_takes_what_stripe_took_and_gives_it_again_when_it_is_won(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (mut relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let visitor = relay.visitor();
    let tell = async |visitor: &Page, kind: &'static str, object: Value| {
        stripe::report(visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    tell(&visitor, COMPLETED, stripe::paid("cs_1", &account, 2_000, "pi_1")).await?;
    let mut inquiry = stripe::dispute("dp_0", 2_000, "pi_1");
    inquiry["status"] = json!("warning_needs_response");
    for kind in ["charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"] {
        tell(&visitor, kind, inquiry.clone()).await?;
        assert_eq!(balance(&page).await?, nanos("19.12")?, "an inquiry takes nothing");
    }
    let dispute = || stripe::dispute("dp_1", 2_000, "pi_1");
    for _ in 0..2 {
        tell(&visitor, WITHDRAWN, dispute()).await?;
        assert_eq!(balance(&page).await?, Nanos::ZERO);
    }
    for _ in 0..2 {
        tell(&visitor, REINSTATED, dispute()).await?;
        assert_eq!(balance(&page).await?, nanos("19.12")?, "the account has again what it had");
        tell(&visitor, WITHDRAWN, dispute()).await?;
        assert_eq!(balance(&page).await?, nanos("19.12")?, "a late report takes nothing");
        relay.kill().await?;
        relay.restart().await?;
    }
    let visitor = relay.visitor();
    tell(&visitor, REINSTATED, stripe::dispute("dp_2", 500, "pi_1")).await?;
    tell(&visitor, WITHDRAWN, stripe::dispute("dp_2", 500, "pi_1")).await?;
    assert_eq!(balance(&page).await?, nanos("19.12")?, "reported the wrong way around");
    relay.audit().await
}

async fn what_stripe_says_is_gone_goes_up_and_down(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (mut relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let mut visitor = relay.visitor();
    let tell = async |visitor: &Page, second: u64, kind: &str, object: Value| {
        stripe::report_of(visitor, WEBHOOK_SECRET, kind, &object, second).await?.expect(200)
    };
    tell(&visitor, 1, COMPLETED, stripe::paid("cs_1", &account, 2_000, "pi_1")).await?;
    let refunded = |cents: u64| ("charge.refunded", stripe::refunded("ch_1", &account, cents, "pi_1"));
    let failed = |refund: &str, cents: u64| ("refund.failed", stripe::failed(refund, "ch_1", cents, "pi_1"));
    let lost = |cents: u64| (WITHDRAWN, stripe::dispute("dp_1", cents, "pi_1"));
    let won = |cents: u64| (REINSTATED, stripe::dispute("dp_1", cents, "pi_1"));
    for (second, (kind, object), left, why) in [
        (2, refunded(500), "14.12", "a refund"),
        (3, failed("re_1", 500), "19.12", "did not reach the card"),
        (3, failed("re_1", 500), "19.12", "which Stripe tells more than once"),
        (2, refunded(500), "19.12", "and this is what was before"),
        (5, refunded(500), "14.12", "made once more"),
        (4, refunded(0), "14.12", "told late"),
        (6, refunded(0), "19.12", "nothing of it is back any more"),
        (7, refunded(300), "16.12", "and a part"),
        (8, lost(1_000), "6.12", "a dispute"),
        (9, lost(1_500), "1.12", "which grows"),
        (9, lost(1_500), "1.12", "once"),
        (10, won(1_500), "16.12", "is won"),
        (9, lost(1_500), "16.12", "told late"),
        (11, lost(1_200), "4.12", "and lost after all"),
        (12, won(1_200), "16.12", "and won again"),
    ] {
        tell(&visitor, second, kind, object).await?;
        assert_eq!(balance(&page).await?, nanos(left)?, "{second} {kind}: {why}");
        relay.kill().await?;
        relay.restart().await?;
        visitor = relay.visitor();
        assert_eq!(balance(&page).await?, nanos(left)?, "after a crash at {second}");
    }
    tell(&visitor, 13, COMPLETED, stripe::paid("cs_free", &account, 0, "pi_free")).await?;
    assert_eq!(balance(&page).await?, nanos("16.12")?, "a code took everything off");
    relay.audit().await
}

async fn a_top_up_that_the_operator_took_back_is_not_taken_again_by_its_refund(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let (visitor, operator) = (relay.visitor(), relay.customer(TOKEN));
    let tell = async |kind: &'static str, object: Value| {
        stripe::report(&visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    let correct = async |entry: &str| {
        operator.post("/api/operator/corrections", &json!({"entry": entry, "reason": "fraud"})).await
    };
    for n in 1..=3 {
        let (session, payment) = (format!("cs_{n}"), format!("pi_{n}"));
        tell(COMPLETED, stripe::paid(&session, &account, 2_000, &payment)).await?;
    }
    assert_eq!(balance(&page).await?, nanos("57.36")?);
    correct("top_up:cs_1").await?.expect(201)?;
    assert_eq!(balance(&page).await?, nanos("37.36")?);
    for cents in [500, 2_000] {
        tell("charge.refunded", stripe::refunded("ch_1", &account, cents, "pi_1")).await?;
        assert_eq!(balance(&page).await?, nanos("37.36")?, "the account gave it before");
    }
    // A part that went back by card leaves the rest to the card as well.
    tell("charge.refunded", stripe::refunded("ch_2", &account, 500, "pi_2")).await?;
    assert_eq!(correct("top_up:cs_2").await?.error_code()?, "corrected_before");
    assert_eq!(balance(&page).await?, nanos("32.36")?);
    // What went back is taken back itself: then the operator has said who has it.
    tell(WITHDRAWN, stripe::dispute("dp_3", 2_000, "pi_3")).await?;
    assert_eq!(balance(&page).await?, nanos("12.36")?);
    correct("refund:dp_3").await?.expect(201)?;
    for kind in [WITHDRAWN, REINSTATED] {
        tell(kind, stripe::dispute("dp_3", 2_000, "pi_3")).await?;
        assert_eq!(balance(&page).await?, nanos("32.36")?, "{kind}");
    }
    relay.audit().await
}

async fn the_charges_of_a_disputed_card_are_taken_back_and_fill_what_is_missing(
    engine: Engine,
) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let relay = &scene.relay;
    let (visitor, operator) = (relay.visitor(), relay.customer(TOKEN));
    let tell = async |kind: &'static str, object: Value| {
        stripe::report(&visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    tell(COMPLETED, stripe::paid("cs_1", &account, 500, "pi_1")).await?;
    let paid = balance(&page).await?;
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let question = json!({"prompt": "go", "model": MODEL});
        let answer = page.post("/api/llm/inference", &question).await?.expect(200)?;
        jobs.push(answer["jobId"].as_str().context("a job")?.to_owned());
    }
    let spent = paid.checked_sub(balance(&page).await?).context("an amount")?;
    assert!(spent > Nanos::ZERO);
    tell(WITHDRAWN, stripe::dispute("dp_1", 500, "pi_1")).await?;
    let has = |account: &str| relay.ledger()?.balance(account);
    assert_eq!([balance(&page).await?, has("platform")?], [Nanos::ZERO; 2], "the fees went first");
    let cost = nanos("5")?.checked_sub(paid).context("a cost")?;
    for job in jobs {
        let body = json!({"entry": format!("settle:{job}"), "reason": "a stolen card"});
        operator.post("/api/operator/corrections", &body).await?.expect(201)?;
    }
    // What the payment service took for the payment is all that is lost.
    assert_eq!([balance(&page).await?, has("owner:")?, has("held:")?, has("platform")?], [Nanos::ZERO; 4]);
    assert_eq!(has("shortfall")?.get(), -cost.get());
    tell(REINSTATED, stripe::dispute("dp_1", 500, "pi_1")).await?;
    assert_eq!(balance(&page).await?, paid, "the dispute was won");
    // The fees that the dispute took are there again, and fill at midnight what giving them back left missing.
    assert_eq!(has("shortfall")?.get(), -has("platform")?.get());
    relay.audit().await
}

/// What an account can spend on answers and on its ads.
async fn balances(page: &Page) -> Result<[Nanos; 2]> {
    let account = page.get("/api/account").await?.expect(200)?;
    let [answers, ads] = [&account["balance"], &account["ads"]["balance"]]
        .map(|balance| balance.as_str().context("a balance").and_then(nanos));
    Ok([answers?, ads?])
}

async fn an_advertiser_pays_in_for_ads_alone_and_what_goes_back_is_of_that(engine: Engine) -> Result<()> {
    let stripe = Stripe::start().await?;
    let (mut relay, page, account, _secrets) = relay(engine, &stripe).await?;
    let opened = page.post(TOP_UPS, &json!({"amount": "20.00", "for": "ads"})).await?.expect(201)?;
    assert_eq!((&opened["for"], &opened["credit"]), (&json!("ads"), &json!("19.12")));
    assert_eq!(page.post(TOP_UPS, &json!({"amount": "20.00", "for": "fun"})).await?.status, 400);

    let tell = async |visitor: &Page, kind: &'static str, object: Value| {
        stripe::report(visitor, WEBHOOK_SECRET, kind, &object).await?.expect(200)
    };
    let for_ads = |session: &str, cents: u64, payment: &str| {
        let mut session = stripe::paid(session, &account, cents, payment);
        session["metadata"]["for"] = json!("ads");
        session
    };
    let visitor = relay.visitor();
    for _ in 0..2 {
        tell(&visitor, COMPLETED, for_ads("cs_test_1", 2_000, "pi_1")).await?;
        assert_eq!(balances(&page).await?, [Nanos::ZERO, nanos("19.12")?]);
    }
    // One that the relay does not know is told by what the page to pay on carried.
    tell(&visitor, COMPLETED, for_ads("cs_unknown", 1_000, "pi_2")).await?;
    tell(&visitor, COMPLETED, stripe::paid("cs_page", &account, 2_000, "pi_3")).await?;
    assert_eq!(balances(&page).await?, [nanos("19.12")?, nanos("28.53")?]);
    relay.kill().await?;
    relay.restart().await?;
    let visitor = relay.visitor();
    for _ in 0..2 {
        tell(&visitor, "charge.refunded", stripe::refunded("ch_1", &account, 500, "pi_1")).await?;
        assert_eq!(balances(&page).await?, [nanos("19.12")?, nanos("23.53")?], "a refund is of ads alone");
    }
    tell(&visitor, WITHDRAWN, stripe::dispute("dp_2", 1_000, "pi_2")).await?;
    assert_eq!(balances(&page).await?, [nanos("19.12")?, nanos("13.53")?], "and so is a dispute");
    tell(&visitor, REINSTATED, stripe::dispute("dp_2", 1_000, "pi_2")).await?;
    tell(&visitor, "charge.refunded", stripe::refunded("ch_3", &account, 100, "pi_3")).await?;
    assert_eq!(balances(&page).await?, [nanos("18.12")?, nanos("23.53")?]);

    let usage = page.get("/api/analytics/usage").await?.expect(200)?;
    let month = usage["to"].as_str().and_then(|day| day.get(..7)).context("no day")?.to_owned();
    let path = format!("/api/ads/statements/{month}");
    let statement = page.get(&path).await?.expect(200)?;
    let sheet = &statement["accounts"][0];
    assert_eq!((&statement["of"], &sheet["account"]), (&json!(account), &json!("ads")));
    assert_eq!((&sheet["opening"], &sheet["closing"]), (&json!("0"), &json!("23.53")));
    let line = |kind: &str, postings: u64, credit: &str, debit: &str| json!({"kind": kind, "postings": postings, "in": credit, "out": debit});
    assert_eq!(
        sheet["lines"],
        json!([
            line("correction", 1, "10", "0"),
            line("refund", 2, "0", "15"),
            line("top_up", 2, "30", "0"),
            line("top_up_cost", 2, "0", "1.47"),
        ])
    );
    let sheet = page.get(&format!("{path}?format=csv")).await?;
    let name = format!("attachment; filename=\"rekursing-ads-{account}-{month}.csv\"");
    assert_eq!(sheet.headers["content-disposition"], name.as_str());
    assert!(String::from_utf8(sheet.body.to_vec())?.ends_with(&format!("{month},ads,closing,,,,23.53\r\n")));
    assert_eq!(relay.ledger()?.balance("advertiser:")?, nanos("23.53")?);
    assert_eq!(relay.visitor().get(&path).await?.status, 401);
    relay.audit().await
}

#[tokio::test]
async fn what_is_not_signed_by_stripe_is_not_believed() -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, account, _secrets) = relay(Engine::Sqlite, &stripe).await?;
    let visitor = relay.visitor();
    let session = stripe::paid("cs_1", &account, 2_000, "pi_1");
    let forged = stripe::report(&visitor, "whsec_guessed", COMPLETED, &session).await?;
    assert_eq!((forged.status, forged.error_code()?), (400, "bad_signature".to_owned()));
    let unsigned = visitor.post("/api/stripe/webhook", &json!({"type": COMPLETED})).await?;
    assert_eq!(unsigned.error_code()?, "bad_signature");
    assert_eq!(balance(&page).await?, Nanos::ZERO);
    Ok(())
}

#[tokio::test]
async fn a_page_to_pay_on_is_opened_for_a_sensible_amount_while_stripe_answers() -> Result<()> {
    let stripe = Stripe::start().await?;
    let (relay, page, _, _secrets) = relay(Engine::Sqlite, &stripe).await?;
    for amount in ["4.99", "10000.01", "20.001", "-20", "0"] {
        let refused = page.post(TOP_UPS, &json!({"amount": amount})).await?;
        assert_eq!(refused.expect(400)?["error"]["field"], "amount", "{amount}");
    }
    assert_eq!(relay.visitor().post(TOP_UPS, &json!({"amount": "20"})).await?.status, 401);
    stripe.set_down(true);
    let named = page.with("idempotency-key", "k");
    let failed = named.post(TOP_UPS, &json!({"amount": "20"})).await?;
    assert_eq!((failed.status, failed.error_code()?), (502, "payment_service_failed".to_owned()));
    stripe.set_down(false);
    named.post(TOP_UPS, &json!({"amount": "20"})).await?.expect(201)?;
    assert_eq!(stripe.pages(), 1);
    Ok(())
}

#[tokio::test]
async fn a_relay_without_stripe_says_so() -> Result<()> {
    let (relay, key) = Relay::funded("", "0").await?;
    let page = relay.customer(&key);
    for (path, body) in [(TOP_UPS, json!({"amount": "20"})), ("/api/stripe/webhook", json!({}))] {
        let refused = page.post(path, &body).await?;
        assert_eq!((refused.status, refused.error_code()?), (503, "top_ups_not_set_up".to_owned()));
    }
    Ok(())
}
