//! Top-ups by Stripe Checkout.

use rekursing_protocol::AccountId;
use rekursing_rails::{
    Refusal, Secret,
    checkout::{Checkout, CheckoutError, Purpose, TopUp},
};

use rekursing_tests_rails::{
    Fault,
    stripe::{KEY, Server},
};

use crate::{PATIENCE, amount, nowhere};

fn top_up(key: &str, dollars: &str) -> TopUp {
    TopUp {
        account: AccountId::from_bits(7),
        purpose: Purpose::Answers,
        amount: amount(dollars),
        success_url: "https://rekursing.com/paid?session={CHECKOUT_SESSION_ID}".into(),
        cancel_url: "https://rekursing.com/account".into(),
        key: key.into(),
    }
}

#[tokio::test]
async fn a_page_carries_the_account_and_the_amount() {
    let server = Server::start().await;
    let checkout = Checkout::new(&server.url, Secret::new(KEY), PATIENCE).unwrap();
    let page = checkout.open(&top_up("k1", "20.05")).await.unwrap();
    assert_eq!(page.url, "https://checkout.stripe.com/c/pay/cs_test_1");
    let form = &server.pages()[0];
    let account = AccountId::from_bits(7).to_string();
    for (field, value) in [
        ("mode", "payment"),
        ("line_items[0][price_data][unit_amount]", "2005"),
        ("line_items[0][price_data][currency]", "usd"),
        ("metadata[account]", &account),
        ("payment_intent_data[metadata][account]", &account),
        ("success_url", "https://rekursing.com/paid?session={CHECKOUT_SESSION_ID}"),
    ] {
        assert_eq!(form[field], value);
    }
    assert!(!form.contains_key("metadata[for]"));
}

#[tokio::test]
async fn a_page_to_pay_for_ads_on_says_so() {
    let server = Server::start().await;
    let checkout = Checkout::new(&server.url, Secret::new(KEY), PATIENCE).unwrap();
    checkout.open(&TopUp { purpose: Purpose::Ads, ..top_up("k1", "20") }).await.unwrap();
    let form = &server.pages()[0];
    assert_eq!(form["metadata[for]"], "ads");
    assert_eq!(form["line_items[0][price_data][product_data][name]"], "Rekursing credit for ads");
}

#[tokio::test]
async fn the_same_key_is_the_same_page_also_after_a_lost_reply() {
    let server = Server::start().await;
    let checkout = Checkout::new(&server.url, Secret::new(KEY), PATIENCE).unwrap();
    server.faults.add(Fault::LostReply);
    assert!(matches!(checkout.open(&top_up("k1", "20")).await, Err(CheckoutError::Silent(_))));
    let page = checkout.open(&top_up("k1", "20")).await.unwrap();
    assert_eq!(checkout.open(&top_up("k1", "20")).await, Ok(page));
    assert_eq!(server.pages().len(), 1);
    assert!(checkout.open(&top_up("k1", "21")).await.is_err());
    assert_eq!(server.pages().len(), 1);
}

#[tokio::test]
async fn a_top_up_that_makes_no_sense_does_not_reach_stripe() {
    let checkout = Checkout::new(&nowhere().await, Secret::new(KEY), PATIENCE).unwrap();
    let bad = [
        top_up("k1", "0.49"),
        top_up("k1", "1.001"),
        top_up("k1", "-1"),
        top_up("", "1"),
        top_up("a b", "1"),
        TopUp { success_url: "javascript:alert(1)".into(), ..top_up("k1", "1") },
        TopUp { cancel_url: "/account".into(), ..top_up("k1", "1") },
    ];
    for top_up in bad {
        assert!(matches!(checkout.open(&top_up).await, Err(CheckoutError::Bad(_))), "{top_up:?}");
    }
    assert!(matches!(checkout.open(&top_up("k1", "1")).await, Err(CheckoutError::Silent(_))));
}

#[tokio::test]
async fn wrong_credentials_are_told_without_the_key() {
    let server = Server::start().await;
    let checkout = Checkout::new(&server.url, Secret::new("sk_live_wrong"), PATIENCE).unwrap();
    let outcome = checkout.open(&top_up("k1", "1")).await;
    assert!(matches!(outcome, Err(CheckoutError::Refused(Refusal::Credentials(_)))));
    assert!(!format!("{outcome:?} {checkout:?}").contains("sk_live_wrong"));
}
