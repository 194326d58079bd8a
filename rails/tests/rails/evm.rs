//! USDC against a real chain on this machine, which makes blocks when it is told to.

use rekursing_protocol::Nanos;
use rekursing_rails::{
    Attempt, BadDestination, BadSetup, Destination, Fate, Method, NotKnown, Order, Prepared, Rail, Refusal,
    Secret, Usdc, UsdcSetup,
};
use serde_json::json;

use crate::{
    IMPATIENCE, NOW, PATIENCE, amount, is_pending, is_silent, nowhere, order, prepared, refused,
    submit_at_once,
};
use rekursing_tests_rails::{
    Fault,
    chain::{Chain, KEY, NUMBER, PAYER, TOKEN},
};

const OWNER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const OTHER: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";

fn setup(url: &str) -> UsdcSetup {
    UsdcSetup {
        url: Secret::new(url),
        chain: NUMBER,
        token: TOKEN.parse().unwrap(),
        key: Secret::new(KEY),
        confirmations: 3,
        coin_price: amount("2500"),
        cost_max: amount("5"),
        patience: PATIENCE,
        minimum: Method::Usdc.minimum(),
    }
}

fn rail(chain: &Chain) -> Usdc {
    Usdc::new(setup(&chain.url)).unwrap()
}

async fn fate(rail: &Usdc, prepared: &Prepared) -> Fate {
    rail.look(prepared, None, NOW).await.unwrap()
}

fn is_confirmed(fate: &Fate) -> bool {
    matches!(fate, Fate::Confirmed { .. })
}

#[tokio::test]
async fn pays_and_tells_the_reference_and_the_cost_once_enough_blocks_follow() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "12.345678")).await;
    assert_eq!(fate(&rail, &prepared).await, Fate::Unknown);
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    for block in 0..3 {
        assert!(is_pending(&fate(&rail, &prepared).await), "after {block} blocks");
        chain.mine(1).await;
    }
    let Fate::Confirmed { reference, cost } = fate(&rail, &prepared).await else { panic!("not confirmed") };
    assert_eq!(reference, name);
    assert!(cost > Nanos::ZERO && cost < amount("5"), "{cost}");
    assert_eq!(chain.balance(OWNER).await, 12_345_678);
}

#[tokio::test]
async fn a_lost_reply_is_found_by_looking_and_nothing_is_paid_twice() {
    for fault in [Fault::LostReply, Fault::NoReply, Fault::FailedAfter] {
        let chain = Chain::start().await;
        let hasty = Usdc::new(UsdcSetup { patience: IMPATIENCE, ..setup(&chain.url) }).unwrap();
        let rail = rail(&chain);
        let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
        chain.faults.add(fault);
        assert!(is_silent(&hasty.submit(&prepared, Attempt::First, NOW).await), "{fault:?}");
        assert!(is_pending(&fate(&rail, &prepared).await));
        let name = rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
        chain.mine(3).await;
        assert_eq!(rail.submit(&prepared, Attempt::Again, NOW).await, Ok(name));
        chain.mine(3).await;
        assert!(is_confirmed(&fate(&rail, &prepared).await));
        assert_eq!(chain.balance(OWNER).await, 5_000_000, "{fault:?}");
    }
}

#[tokio::test]
async fn what_failed_before_it_was_done_is_unknown_and_is_done_by_submitting_again() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    chain.faults.add(Fault::FailedBefore);
    assert!(is_silent(&rail.submit(&prepared, Attempt::First, NOW).await));
    assert_eq!(fate(&rail, &prepared).await, Fate::Unknown);
    rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
    chain.mine(3).await;
    assert!(is_confirmed(&fate(&rail, &prepared).await));
}

#[tokio::test]
async fn the_same_bytes_at_once_pay_once() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    let names = submit_at_once(&rail, &prepared).await;
    assert!(names.iter().all(|name| name.is_ok() && *name == names[0]), "{names:?}");
    chain.mine(3).await;
    assert_eq!(chain.balance(OWNER).await, 5_000_000);
}

#[tokio::test]
async fn standing_orders_have_nonces_of_their_own_and_a_closed_one_gives_its_back() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let first = rail.prepare(&order(&rail, 1, OWNER, "1"), &[], NOW).await.unwrap();
    let closed = rail.prepare(&order(&rail, 2, OWNER, "2"), std::slice::from_ref(&first), NOW).await.unwrap();
    let standing = [first.clone(), closed.clone()];
    let third = rail.prepare(&order(&rail, 3, OWNER, "4"), &standing, NOW).await.unwrap();
    let again = rail.prepare(&order(&rail, 3, OWNER, "4"), std::slice::from_ref(&third), NOW).await;
    assert_eq!(again, Err(Refusal::Standing));
    for prepared in [&third, &first] {
        rail.submit(prepared, Attempt::First, NOW).await.unwrap();
    }
    chain.mine(3).await;
    assert_eq!(chain.balance(OWNER).await, 1_000_000);
    let standing = [third.clone()];
    let fourth = rail.prepare(&order(&rail, 4, OTHER, "8"), &standing, NOW).await.unwrap();
    rail.submit(&fourth, Attempt::First, NOW).await.unwrap();
    chain.mine(3).await;
    for prepared in [&first, &third, &fourth] {
        assert!(is_confirmed(&fate(&rail, prepared).await), "{prepared:?}");
    }
    assert_eq!((chain.balance(OWNER).await, chain.balance(OTHER).await), (5_000_000, 8_000_000));
    // The closed order's transaction has lost its place for good.
    assert!(matches!(refused(rail.submit(&closed, Attempt::First, NOW).await), Refusal::Rejected(_)));
    assert_eq!(chain.balance(OWNER).await, 5_000_000);
}

#[tokio::test]
async fn after_a_reorganisation_the_same_transaction_is_sent_again_and_paid_once() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    let before = chain.ask("evm_snapshot", json!([])).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    chain.mine(2).await;
    assert!(is_pending(&fate(&rail, &prepared).await));
    assert_eq!(chain.balance(OWNER).await, 5_000_000);
    assert_eq!(chain.ask("evm_revert", json!([before])).await, true);
    assert_eq!(fate(&rail, &prepared).await, Fate::Unknown);
    assert_eq!(chain.balance(OWNER).await, 0);
    assert_eq!(rail.submit(&prepared, Attempt::Again, NOW).await, Ok(name));
    chain.mine(3).await;
    assert!(is_confirmed(&fate(&rail, &prepared).await));
    assert_eq!(chain.balance(OWNER).await, 5_000_000);
}

#[tokio::test]
async fn a_confirmed_transfer_whose_blocks_are_replaced_is_no_longer_confirmed() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    chain.mine(3).await;
    assert!(is_confirmed(&fate(&rail, &prepared).await));
    chain.ask("anvil_reorg", json!([3, []])).await;
    let after = fate(&rail, &prepared).await;
    assert!(matches!(after, Fate::Unknown | Fate::Pending { .. }), "{after:?}");
    rail.submit(&prepared, Attempt::Again, NOW).await.unwrap();
    chain.mine(3).await;
    assert!(is_confirmed(&fate(&rail, &prepared).await));
    assert_eq!(chain.balance(OWNER).await, 5_000_000);
}

#[tokio::test]
async fn too_little_of_the_token_or_of_the_coin_is_refused() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let much = order(&rail, 1, OWNER, "1000000.000001");
    assert!(matches!(rail.prepare(&much, &[], NOW).await, Err(Refusal::Insufficient(_))));
    let all = prepared(&rail, &order(&rail, 2, OWNER, "1000000")).await;
    chain.ask("anvil_setBalance", json!([PAYER, "0x0"])).await;
    assert!(matches!(refused(rail.submit(&all, Attempt::First, NOW).await), Refusal::Insufficient(_)));
    assert!(is_silent(&rail.submit(&all, Attempt::Again, NOW).await));
    chain.ask("anvil_setBalance", json!([PAYER, "0xde0b6b3a7640000"])).await;
    rail.submit(&all, Attempt::First, NOW).await.unwrap();
    let more = order(&rail, 3, OWNER, "1");
    let standing = [all.clone()];
    // What is on its way counts as gone.
    assert!(matches!(rail.prepare(&more, &standing, NOW).await, Err(Refusal::Insufficient(_))));
}

#[tokio::test]
async fn a_wrong_address_is_refused_before_anything_is_signed() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    for (text, why) in [
        ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", BadDestination::Checksum),
        ("0x0000000000000000000000000000000000000000", BadDestination::Zero),
        (TOKEN, BadDestination::Token),
        (PAYER, BadDestination::Payer),
        ("ada@example.com", BadDestination::Address),
    ] {
        assert_eq!(rail.destination(text), Err(why), "{text}");
    }
    for (number, text) in [(2, TOKEN), (3, PAYER)] {
        let destination = Destination::read(Method::Usdc, text).unwrap();
        let order = Order { destination, ..order(&rail, number, OWNER, "5") };
        assert!(matches!(rail.prepare(&order, &[], NOW).await, Err(Refusal::Destination(_))), "{text}");
    }
    chain.block(OWNER).await;
    let blocked = rail.prepare(&order(&rail, 1, OWNER, "5"), &[], NOW).await;
    assert!(matches!(&blocked, Err(Refusal::Destination(words)) if words.contains("blocked")), "{blocked:?}");
}

#[tokio::test]
async fn a_transfer_that_the_token_refuses_comes_back_with_its_cost() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    chain.block(OWNER).await;
    chain.mine(3).await;
    let fate = fate(&rail, &prepared).await;
    assert!(matches!(&fate, Fate::Returned { cost, .. } if *cost > Nanos::ZERO), "{fate:?}");
    assert_eq!(chain.balance(OWNER).await, 0);
}

#[tokio::test]
async fn another_chain_and_a_node_that_is_away_certainly_send_nothing() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    let foreign = Usdc::new(UsdcSetup { chain: 1, ..setup(&chain.url) }).unwrap();
    assert!(matches!(refused(foreign.submit(&prepared, Attempt::First, NOW).await), Refusal::Rejected(_)));
    let away = Usdc::new(setup(&nowhere().await)).unwrap();
    assert!(matches!(refused(away.submit(&prepared, Attempt::First, NOW).await), Refusal::Unavailable(_)));
    assert!(is_silent(&away.submit(&prepared, Attempt::Again, NOW).await));
    assert_eq!(fate(&rail, &prepared).await, Fate::Unknown);
}

#[tokio::test]
async fn nothing_is_prepared_while_a_transfer_costs_too_much() {
    let chain = Chain::start().await;
    let dear = Usdc::new(UsdcSetup { cost_max: amount("0.01"), ..setup(&chain.url) }).unwrap();
    let outcome = dear.prepare(&order(&dear, 1, OWNER, "5"), &[], NOW).await;
    assert!(
        matches!(&outcome, Err(Refusal::Unavailable(words)) if words.contains("costs more")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_place_that_another_transaction_took_needs_a_person() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    chain.send(&json!({ "from": PAYER, "to": OTHER, "value": "0x1" })).await;
    chain.mine(3).await;
    assert!(matches!(refused(rail.submit(&prepared, Attempt::First, NOW).await), Refusal::Rejected(_)));
    assert!(is_silent(&rail.submit(&prepared, Attempt::Again, NOW).await));
    assert!(matches!(rail.look(&prepared, None, NOW).await, Err(NotKnown::Contradiction(_))));
}

#[tokio::test]
async fn a_receipt_counts_only_with_its_block_its_log_and_every_cost() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    let prepared = prepared(&rail, &order(&rail, 1, OWNER, "5")).await;
    let name = rail.submit(&prepared, Attempt::First, NOW).await.unwrap();
    chain.mine(3).await;
    let receipt = chain.ask("eth_getTransactionReceipt", json!([name])).await;
    let Fate::Confirmed { cost, .. } = fate(&rail, &prepared).await else { panic!("not confirmed") };
    let with = |field: &str, value: serde_json::Value| {
        let mut changed = receipt.clone();
        changed[field] = value;
        chain.lie("eth_getTransactionReceipt", changed);
    };
    // A chain above another charges for its place there: 10¹⁵ wei at 2,500 dollars.
    with("l1Fee", json!("0x38d7ea4c68000"));
    let dearer = cost.checked_add(amount("2.5")).unwrap();
    assert_eq!(fate(&rail, &prepared).await, Fate::Confirmed { reference: name, cost: dearer });
    with("logs", json!([]));
    assert!(matches!(rail.look(&prepared, None, NOW).await, Err(NotKnown::Contradiction(_))));
    with("blockHash", json!(format!("0x{}", "0".repeat(64))));
    assert!(is_pending(&fate(&rail, &prepared).await));
}

#[tokio::test]
async fn a_token_of_other_decimals_is_not_paid_out() {
    let chain = Chain::start().await;
    let rail = rail(&chain);
    chain.lie("eth_call", json!(format!("0x{:064x}", 18)));
    let outcome = rail.prepare(&order(&rail, 1, OWNER, "5"), &[], NOW).await;
    assert!(
        matches!(&outcome, Err(Refusal::Rejected(words)) if words.contains("18 decimals")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_setup_that_makes_no_sense_is_refused_and_a_good_one_prints_no_secret() {
    let url = nowhere().await;
    let bad = |setup: UsdcSetup| Usdc::new(setup).unwrap_err();
    assert!(matches!(bad(UsdcSetup { key: Secret::new("00"), ..setup(&url) }), BadSetup::Key));
    assert!(matches!(bad(UsdcSetup { confirmations: 0, ..setup(&url) }), BadSetup::Number(_)));
    assert!(matches!(bad(UsdcSetup { coin_price: Nanos::ZERO, ..setup(&url) }), BadSetup::Number(_)));
    assert!(matches!(bad(setup("http://node.example/v3/key")), BadSetup::Url));
    let rail = Usdc::new(setup(&format!("{url}/v3/the-nodes-key"))).unwrap();
    let printed = format!("{rail:?} {:?}", setup(&url));
    assert!(!printed.contains(KEY) && !printed.contains("the-nodes-key"), "{printed}");
}
