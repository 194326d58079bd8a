//! Payouts on the relay's real worker over real rails: PayPal and Stripe as they document themselves, USDC on
//! a chain of this machine; each with what can go wrong there, on both databases.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod case;

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rekursing_market::Account;
use rekursing_protocol::Nanos;
use rekursing_tests_rails::{
    Fault,
    chain::{self, Chain},
    paypal, stripe,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use case::{Case, Engine, TOKEN, on_both};

on_both! {
    every_rail_pays_once_and_gives_back_what_it_does_not_pay,
}

/// All of them at once, because they wait far more than they work: the worker tries again after ten seconds,
/// and then after twice as long.
async fn every_rail_pays_once_and_gives_back_what_it_does_not_pay(engine: Engine) {
    tokio::join!(
        paypal_pays_once_although_its_reply_was_lost(engine),
        paypal_pays_once_it_has_money_again_and_the_owner_is_told_meanwhile(engine),
        what_paypal_gives_back_is_the_owners_again(engine),
        what_paypal_does_not_pay_to_is_the_owners_again(engine),
        stripe_pays_and_what_it_did_not_take_comes_back(engine),
        stripe_pays_once_although_its_reply_was_lost(engine),
        stripe_pays_once_it_answers_again(engine),
        an_account_that_stripe_does_not_know_is_the_owners_again(engine),
        usdc_is_paid_once_although_the_reply_was_lost(engine),
        usdc_is_paid_once_although_its_block_was_replaced(engine),
        usdc_is_paid_once_there_is_coin_for_it_and_to_no_wrong_address(engine),
    );
}

/// Longer than the worker waits between the few attempts that a test needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look.
const PERIOD: Duration = Duration::from_millis(50);

const EMAIL: &str = "ada@example.com";
const ACCOUNT: &str = "acct_1MTfjCQ9PRzxEwkZ";
const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// Secrets of the operator's, in files.
struct Keys(TempDir);

impl Keys {
    fn new() -> Keys {
        Keys(tempfile::tempdir().unwrap())
    }

    /// Writes a file that only this user can read.
    fn file(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.0.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(secret.as_bytes()).unwrap();
        path
    }
}

fn paypal_config(server: &paypal::Server, secret: &Path) -> String {
    format!(
        "[payouts.paypal]\nurl = {:?}\nclient = {:?}\nsecret_file = {secret:?}\n",
        server.url,
        paypal::CLIENT
    )
}

fn stripe_config(server: &stripe::Server, key: &Path) -> String {
    format!("[payouts.stripe]\nurl = {:?}\nkey_file = {key:?}\nminimum = \"1\"\ncost = \"0.1\"\n", server.url)
}

fn usdc_config(url: &Path, key: &Path) -> String {
    format!(
        "[payouts.usdc]\nurl_file = {url:?}\nkey_file = {key:?}\nchain = {}\ntoken = {:?}\n\
         coin_price = \"2500\"\nconfirmations = 3\ncost = \"5\"\n",
        chain::NUMBER,
        chain::TOKEN
    )
}

/// Sets the method, and asks for a payout.
async fn ask(case: &Case, method: &str, destination: &str, amount: &str, cost: &str) {
    let wish = json!({"method": method, "destination": destination});
    let (status, set) = case.own(Method::PUT, "/method", wish).await;
    assert_eq!((status, &set["ready"]), (StatusCode::OK, &json!(true)), "{set}");
    let (status, made) = case.own(Method::POST, "", json!({"amount": amount, "accept": cost})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
}

/// Looks until the one payout is as it should be, and returns everything that its owner is told.
async fn until(case: &Case, is_so: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let (_, all) = case.own(Method::GET, "", Value::Null).await;
            assert_eq!(all["payouts"].as_array().unwrap().len(), 1);
            if is_so(&all["payouts"][0]) {
                return all;
            }
            sleep(PERIOD).await;
        }
    };
    timeout(PATIENCE, look).await.expect("it never comes to that")
}

/// Sees to it that nothing is on its way any more, and ends.
async fn ended(case: Case) {
    for account in [Account::PayoutRequested, Account::PayoutSent] {
        assert_eq!(case.house.desk.balance(account), Nanos::ZERO);
    }
    case.end().await;
}

async fn until_state(case: &Case, state: &str) -> Value {
    until(case, |payout| payout["state"] == state).await
}

/// A relay that pays by PayPal.
async fn by_paypal(engine: Engine) -> (paypal::Server, Case) {
    let server = paypal::Server::start().await;
    server.pay_as("SUCCESS", "SUCCESS");
    let keys = Keys::new();
    let case = Case::new(engine, &paypal_config(&server, &keys.file("paypal", paypal::SECRET))).await;
    (server, case)
}

/// A relay that pays by Stripe.
async fn by_stripe(engine: Engine) -> (stripe::Server, Case) {
    let server = stripe::Server::start().await;
    let keys = Keys::new();
    let case = Case::new(engine, &stripe_config(&server, &keys.file("stripe", stripe::KEY))).await;
    (server, case)
}

/// A relay that pays by USDC.
async fn by_usdc(engine: Engine) -> (Chain, Case) {
    let chain = Chain::start().await;
    let keys = Keys::new();
    let (url, key) = (keys.file("url", &chain.url), keys.file("usdc", chain::KEY));
    let case = Case::new(engine, &usdc_config(&url, &key)).await;
    (chain, case)
}

async fn paypal_pays_once_although_its_reply_was_lost(engine: Engine) {
    let (server, case) = by_paypal(engine).await;
    server.faults.add(Fault::LostReply);
    ask(&case, "paypal", EMAIL, "7.25", "0.25").await;
    let meanwhile = until(&case, |payout| payout["state"] == "sent" && payout["reason"].is_string()).await;
    assert_eq!(meanwhile["available"], "12.75", "nothing is given back while nobody can tell");
    let all = until_state(&case, "confirmed").await;
    assert_eq!((&all["payouts"][0]["reference"], &all["available"]), (&json!("T1"), &json!("12.75")));
    assert_eq!(server.paid(), [format!("{EMAIL} 7.00")]);
    ended(case).await;
}

async fn paypal_pays_once_it_has_money_again_and_the_owner_is_told_meanwhile(engine: Engine) {
    let (server, case) = by_paypal(engine).await;
    server.set_funds(699);
    ask(&case, "paypal", EMAIL, "7.25", "0.25").await;
    let told =
        until(&case, |payout| payout["reason"].as_str().is_some_and(|why| why.contains("funds"))).await;
    assert_eq!((&told["payouts"][0]["state"], &told["available"]), (&json!("sent"), &json!("12.75")));
    assert!(server.paid().is_empty());
    server.set_funds(700);
    until_state(&case, "confirmed").await;
    assert_eq!(server.paid(), [format!("{EMAIL} 7.00")]);
    ended(case).await;
}

async fn what_paypal_gives_back_is_the_owners_again(engine: Engine) {
    let (server, case) = by_paypal(engine).await;
    server.pay_as("SUCCESS", "RETURNED");
    ask(&case, "paypal", EMAIL, "7.25", "0.25").await;
    let all = until_state(&case, "returned").await;
    assert_eq!(all["available"], "20");
    assert_eq!(server.paid().len(), 1, "it is not sent again");
    ended(case).await;
}

async fn what_paypal_does_not_pay_to_is_the_owners_again(engine: Engine) {
    let (server, case) = by_paypal(engine).await;
    let wish = json!({"method": "paypal", "destination": "ada"});
    let (status, refused) = case.own(Method::PUT, "/method", wish).await;
    assert_eq!((status, &refused["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("destination")));
    ask(&case, "paypal", "nobody@invalid.example", "7.25", "0.25").await;
    let all = until_state(&case, "returned").await;
    assert_eq!(all["available"], "20");
    assert!(all["payouts"][0]["reason"].as_str().unwrap().contains("Receiver is invalid"), "{all}");
    assert!(server.paid().is_empty());
    ended(case).await;
}

async fn stripe_pays_and_what_it_did_not_take_comes_back(engine: Engine) {
    let (server, case) = by_stripe(engine).await;
    ask(&case, "stripe", ACCOUNT, "7.5", "0.1").await;
    let all = until_state(&case, "confirmed").await;
    assert_eq!(all["payouts"][0]["reference"], "tr_1MiN3gLkdIwHu7ix0");
    assert_eq!(all["available"], "12.58", "of ten cents it took two");
    assert_eq!(server.paid(), [format!("{ACCOUNT} 740")]);
    ended(case).await;
}

async fn stripe_pays_once_although_its_reply_was_lost(engine: Engine) {
    let (server, case) = by_stripe(engine).await;
    server.faults.add(Fault::LostReply);
    ask(&case, "stripe", ACCOUNT, "7.5", "0.1").await;
    until_state(&case, "confirmed").await;
    assert_eq!(server.paid(), [format!("{ACCOUNT} 740")]);
    ended(case).await;
}

async fn stripe_pays_once_it_answers_again(engine: Engine) {
    let (server, case) = by_stripe(engine).await;
    server.faults.add(Fault::FailedBefore);
    ask(&case, "stripe", ACCOUNT, "7.5", "0.1").await;
    until_state(&case, "confirmed").await;
    assert_eq!(server.paid(), [format!("{ACCOUNT} 740")]);
    ended(case).await;
}

async fn an_account_that_stripe_does_not_know_is_the_owners_again(engine: Engine) {
    let (server, case) = by_stripe(engine).await;
    ask(&case, "stripe", "acct_000000000000", "7.5", "0.1").await;
    let all = until_state(&case, "returned").await;
    assert_eq!(all["available"], "20");
    assert!(server.paid().is_empty());
    ended(case).await;
}

async fn usdc_is_paid_once_although_the_reply_was_lost(engine: Engine) {
    let (chain, case) = by_usdc(engine).await;
    chain.faults.add(Fault::LostReply);
    ask(&case, "usdc", ADDRESS, "12", "5").await;
    until(&case, |payout| payout["state"] == "sent" && payout["reason"].is_string()).await;
    chain.mine(3).await;
    let all = until_state(&case, "confirmed").await;
    assert!(all["payouts"][0]["reference"].as_str().unwrap().starts_with("0x"));
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000);
    chain.mine(3).await;
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000);
    ended(case).await;
}

async fn usdc_is_paid_once_although_its_block_was_replaced(engine: Engine) {
    let (chain, case) = by_usdc(engine).await;
    let before = chain.ask("evm_snapshot", json!([])).await;
    ask(&case, "usdc", ADDRESS, "12", "5").await;
    // Sent, and not deep enough in the chain.
    until(&case, |payout| payout["state"] == "sent" && payout["reason"].is_string()).await;
    chain.mine(2).await;
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000);
    assert_eq!(chain.ask("evm_revert", json!([before])).await, true);
    assert_eq!(chain.balance(ADDRESS).await, 0);
    // The worker finds that it is gone, and sends the same again.
    let again = async {
        while chain.ask("txpool_status", json!([])).await["pending"] != "0x1" {
            sleep(PERIOD).await;
        }
    };
    timeout(PATIENCE, again).await.expect("it is never sent again");
    chain.mine(3).await;
    until_state(&case, "confirmed").await;
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000);
    ended(case).await;
}

async fn usdc_is_paid_once_there_is_coin_for_it_and_to_no_wrong_address(engine: Engine) {
    let (chain, case) = by_usdc(engine).await;
    // A wrong checksum, the token itself, and the operator's own address.
    for wrong in ["0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", chain::TOKEN, chain::PAYER] {
        let wish = json!({"method": "usdc", "destination": wrong});
        let (status, refused) = case.own(Method::PUT, "/method", wish).await;
        let told = (status, &refused["error"]["field"]);
        assert_eq!(told, (StatusCode::BAD_REQUEST, &json!("destination")), "{wrong}");
    }
    chain.ask("anvil_setBalance", json!([chain::PAYER, "0x0"])).await;
    ask(&case, "usdc", ADDRESS, "12", "5").await;
    until(&case, |payout| payout["reason"].as_str().is_some_and(|why| why.contains("too little money")))
        .await;
    let (_, queue) = case.call(Method::GET, "/api/operator/payouts", TOKEN, Value::Null).await;
    assert_eq!(queue["payouts"][0]["reason"].as_str(), case_reason(&case).await.as_deref());
    chain.ask("anvil_setBalance", json!([chain::PAYER, "0xde0b6b3a7640000"])).await;
    until(&case, |payout| payout["state"] == "sent").await;
    let arrived = async {
        while chain.balance(ADDRESS).await == 0 {
            chain.mine(1).await;
            sleep(PERIOD).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("it never arrives");
    chain.mine(3).await;
    until_state(&case, "confirmed").await;
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000);
    ended(case).await;
}

async fn case_reason(case: &Case) -> Option<String> {
    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    all["payouts"][0]["reason"].as_str().map(str::to_owned)
}
