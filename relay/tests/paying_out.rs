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

use hmac::{Hmac, Mac};
use rekursing_market::Account;
use rekursing_protocol::{Moment, Nanos, Span};
use rekursing_relay::{chance, payouts::Progress};
use rekursing_tests_rails::{
    Fault,
    chain::{self, Chain},
    paypal, stripe,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use case::{Case, Engine, TOKEN, on_both};

on_both! {
    every_rail_pays_once_and_gives_back_what_it_does_not_pay,
    what_is_told_twice_or_taken_back_later_moves_the_book_once,
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

/// What is told of a payout behind its end, on whatever day.
async fn what_is_told_twice_or_taken_back_later_moves_the_book_once(engine: Engine) {
    tokio::join!(
        what_paypal_says_again_and_again_is_booked_once(engine),
        what_stripe_reports_of_transfers_moves_nothing_and_what_it_took_back_is_booked_once(engine),
        usdc_that_arrived_is_paid_once_although_the_chain_replaced_its_block(engine),
        usdc_that_arrived_and_then_was_refused_by_another_chain_is_the_owners_again(engine),
    );
}

/// Longer than the worker waits between the few attempts that a test needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look.
const PERIOD: Duration = Duration::from_millis(50);

/// The secret with which Stripe signs what it reports.
const WEBHOOK_SECRET: &str = "whsec_test";

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
    case.earn().await;
    let (status, made) = case.own(Method::POST, "", json!({"amount": amount, "accept": cost})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
}

/// Looks until the one payout is as it should be, and returns everything that its owner is told.
async fn until(case: &Case, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = |payouts: &[Value]| {
        assert_eq!(payouts.len(), 1);
        is_so(&payouts[0])
    };
    until_all(case, is_so).await
}

/// The same of all payouts.
async fn until_all(case: &Case, are_so: impl Fn(&[Value]) -> bool) -> Value {
    let look = async {
        loop {
            let (_, all) = case.own(Method::GET, "", Value::Null).await;
            if are_so(all["payouts"].as_array().unwrap()) {
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

/// Time as a rail's worker would see it, which passes a day at once: within a day each payout that may change is
/// looked at.
struct Days {
    method: rekursing_rails::Method,
    now: Moment,
}

impl Days {
    fn of(case: &Case, method: rekursing_rails::Method) -> Days {
        Days { method, now: case.house.desk.now() }
    }

    /// Takes the steps of the next day, and returns how many there were.
    async fn pass(&mut self, case: &Case) -> usize {
        let end = self.now + Span::DAY;
        let mut steps = 0;
        while self.now < end {
            match case.house.payouts.step(self.method, self.now).await.unwrap() {
                Progress::Made => steps += 1,
                Progress::Rest(due) => self.now = due.map_or(end, |due| due.max(self.now)),
            }
        }
        self.now = end;
        steps
    }
}

/// Returns how many entries the book has, and what is where.
async fn book(case: &Case) -> (u64, Vec<Nanos>) {
    let audit = case.house.desk.store().audit().await.unwrap();
    assert_eq!(audit.wrong, None);
    let owner = Account::Owner(case.plugin.parse().unwrap());
    let (asked, sent) = (Account::PayoutRequested, Account::PayoutSent);
    let accounts = [owner, asked, sent, Account::Platform, Account::Shortfall, Account::Outside];
    (audit.entries, accounts.map(|account| case.house.desk.balance(account)).to_vec())
}

/// Lets Stripe report that something happened to a transfer.
async fn report(case: &Case, kind: &str, transfer: &Value) {
    let event = json!({"id": format!("evt_{kind}"), "type": kind, "data": {"object": transfer}}).to_string();
    let seconds = case.house.desk.wall().0 / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{event}").as_bytes());
    let signature = format!("t={seconds},v1={}", chance::hex(&mac.finalize().into_bytes()));
    let request = case.client.post(format!("{}/api/stripe/webhook", case.url)).body(event);
    let request = request.header("content-type", "application/json").header("stripe-signature", signature);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{kind}");
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

async fn what_paypal_says_again_and_again_is_booked_once(engine: Engine) {
    let (server, case) = by_paypal(engine).await;
    let mut days = Days::of(&case, rekursing_rails::Method::Paypal);
    ask(&case, "paypal", EMAIL, "7.25", "0.25").await;
    until_state(&case, "confirmed").await;
    let arrived = book(&case).await;
    assert!(days.pass(&case).await > 3, "it is asked about again and again");
    assert_eq!(book(&case).await, arrived);
    server.finish("SUCCESS", "REFUNDED");
    days.pass(&case).await;
    let all = until_state(&case, "returned").await;
    assert_eq!(all["available"], "19.75", "what PayPal took is gone");
    let returned = book(&case).await;
    for status in ["REFUNDED", "SUCCESS", "RETURNED"] {
        server.finish("SUCCESS", status);
        days.pass(&case).await;
        assert_eq!(book(&case).await, returned, "{status}");
    }
    assert_eq!(server.paid().len(), 1);
    ended(case).await;
}

async fn what_stripe_reports_of_transfers_moves_nothing_and_what_it_took_back_is_booked_once(engine: Engine) {
    let server = stripe::Server::start().await;
    let keys = Keys::new();
    let key = keys.file("stripe", stripe::KEY);
    let top_ups = format!(
        "[top_ups]\nurl = {:?}\nkey_file = {key:?}\nwebhook_secret_file = {:?}\n",
        server.url,
        keys.file("webhook", WEBHOOK_SECRET)
    );
    let case = Case::new(engine, &format!("{}{top_ups}", stripe_config(&server, &key))).await;
    let mut days = Days::of(&case, rekursing_rails::Method::Stripe);
    ask(&case, "stripe", ACCOUNT, "7.5", "0.1").await;
    until_state(&case, "confirmed").await;
    let arrived = book(&case).await;
    let reports = async || {
        let transfer = &server.transfers()[0];
        for kind in ["transfer.created", "transfer.updated", "transfer.reversed"] {
            report(&case, kind, transfer).await;
            report(&case, kind, transfer).await;
        }
    };
    reports().await;
    assert_eq!(book(&case).await, arrived, "nobody's word is taken for it");
    assert!(days.pass(&case).await > 3);
    assert_eq!(book(&case).await, arrived);
    server.take_back();
    reports().await;
    days.pass(&case).await;
    let all = until_state(&case, "returned").await;
    assert_eq!(all["available"], "19.98");
    let returned = book(&case).await;
    reports().await;
    days.pass(&case).await;
    assert_eq!(book(&case).await, returned);
    assert_eq!(server.paid().len(), 1);
    ended(case).await;
}

/// Pays by USDC until it has arrived, and then has the chain forget everything since it was asked for.
async fn forgotten_by_its_chain(engine: Engine) -> (Chain, Case, Days) {
    let (chain, case) = by_usdc(engine).await;
    let mut days = Days::of(&case, rekursing_rails::Method::Usdc);
    let before = chain.ask("evm_snapshot", json!([])).await;
    ask(&case, "usdc", ADDRESS, "12", "5").await;
    until(&case, |payout| payout["state"] == "sent" && payout["reason"].is_string()).await;
    chain.mine(2).await;
    days.pass(&case).await;
    until_state(&case, "sent").await;
    chain.mine(1).await;
    days.pass(&case).await;
    until_state(&case, "confirmed").await;
    assert_eq!(chain.ask("evm_revert", json!([before])).await, true);
    assert_eq!(chain.balance(ADDRESS).await, 0);
    (chain, case, days)
}

async fn usdc_that_arrived_is_paid_once_although_the_chain_replaced_its_block(engine: Engine) {
    let (chain, case, mut days) = forgotten_by_its_chain(engine).await;
    let arrived = book(&case).await;
    // Another payout, before anybody has seen that the first one is gone. Its place is not free for it.
    let (status, made) = case.own(Method::POST, "", json!({"amount": "7", "accept": "5"})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    // The worker has begun with it, and on the next day sees to both.
    until_all(&case, |payouts| payouts.iter().all(|payout| payout["state"] != "requested")).await;
    days.pass(&case).await;
    assert_eq!(chain.ask("txpool_status", json!([])).await["pending"], "0x2", "the first one is sent again");
    assert_eq!(book(&case).await.0, arrived.0 + 2, "the other one's request and that it is sent");
    chain.mine(3).await;
    days.pass(&case).await;
    until_all(&case, |payouts| payouts.iter().all(|payout| payout["state"] == "confirmed")).await;
    assert_eq!(chain.balance(ADDRESS).await, 7_000_000 + 2_000_000);
    let both = book(&case).await;
    chain.mine(3).await;
    assert!(days.pass(&case).await >= 2, "both are asked about");
    assert_eq!(book(&case).await, both);
    assert_eq!(chain.balance(ADDRESS).await, 9_000_000);
    ended(case).await;
}

async fn usdc_that_arrived_and_then_was_refused_by_another_chain_is_the_owners_again(engine: Engine) {
    let (chain, case, mut days) = forgotten_by_its_chain(engine).await;
    let arrived = book(&case).await;
    chain.block(ADDRESS).await;
    days.pass(&case).await;
    assert_eq!(book(&case).await, arrived, "it is sent again");
    chain.mine(3).await;
    days.pass(&case).await;
    until_state(&case, "returned").await;
    let returned = book(&case).await;
    assert_eq!(returned.0, arrived.0 + 1);
    assert_eq!(returned.1[0].checked_sub(arrived.1[0]), Some("7".parse().unwrap()), "what had arrived");
    days.pass(&case).await;
    assert_eq!(book(&case).await, returned);
    assert_eq!(chain.balance(ADDRESS).await, 0);
    ended(case).await;
}

async fn case_reason(case: &Case) -> Option<String> {
    let (_, all) = case.own(Method::GET, "", Value::Null).await;
    all["payouts"][0]["reason"].as_str().map(str::to_owned)
}
