//! Payouts that are not sent are taken back for a charge that is given back, and when their pairing ends.

use rekursing_market::{
    EntryKind, Tier,
    ledger::{self, Settle, Settlement},
};
use rekursing_protocol::{AccountId, Gpu, JobId, Price};

use super::*;
use crate::store::{Pairing, Plugin};

on_both_waiting! {
    what_is_given_back_of_a_charge_is_found_in_payouts_that_are_not_sent,
    payouts_stay_where_they_are_when_all_of_them_do_not_make_a_charge_good,
    what_an_account_wanted_of_its_own_plugin_ends_with_the_pairing,
    what_a_plugin_wanted_itself_outlasts_the_pairing,
    what_a_plugin_wanted_itself_ends_with_its_key_and_what_its_account_wants_does_not,
}

const PAGE: AccountId = AccountId::from_bits(7);

/// An owner of 20 USD who is paired with an account.
async fn paired(place: Place) -> Case {
    let case = Case::with(place, "[payouts]\nwatch_days = 0\nunder_way = 9").await;
    let plugin = Plugin {
        id: OWNER,
        secret_hash: None,
        key: None,
        pairing: None,
        revoked: None,
        name: String::new(),
        gpu: Gpu::default(),
    };
    case.payouts.store().put_plugin(case.now, plugin).await.unwrap();
    let pairing = Pairing { account: PAGE, at: case.now };
    case.payouts.store().pair_plugin(OWNER, pairing).await.unwrap();
    case
}

/// A charge of which an owner has earned so much, without any fee.
fn charge(earned: &str) -> Settle {
    let price = Price::new(0, 1_000_000);
    let tokens = u64::try_from(usd(earned).get()).unwrap() / 1_000;
    let page = Account::Page(AccountId::from_bits(1));
    let (mut book, job) = (Book::default(), JobId::from_bits(1));
    book.grant(Moment(1), "1", page, usd(earned)).unwrap();
    let quote = ledger::Quote::new(price, 0, tokens).unwrap();
    book.hold(Moment(1), job, page, quote).unwrap();
    let settlement = Settlement {
        job,
        lease: 1,
        owner: OWNER,
        api_key: None,
        model: "m".to_owned(),
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: price,
        price,
        prompt_tokens: 0,
        answer_tokens: tokens,
        tier_permille: 1_000,
        fee_permille: 0,
        discount_permille: 0,
        holdback_permille: 0,
        release_at: Moment(9),
    };
    let entry = book.settle(Moment(2), settlement).unwrap();
    let EntryKind::Settle(settle) = entry.kind else { panic!() };
    assert_eq!(settle.earned(), usd(earned));
    *settle
}

async fn what_is_given_back_of_a_charge_is_found_in_payouts_that_are_not_sent(place: Place) {
    let mut case = Case::new(place).await;
    let mut asked = Vec::new();
    for amount in ["5", "6", "7"] {
        asked.push(case.ask(amount).await);
        case.now = case.now + Span::millis(1);
    }
    // The first is on its way by now.
    while case.state(&asked[0]).await == State::Requested {
        case.payouts.step(Method::Paypal, case.now).await.unwrap();
    }
    let states = async |case: &Case| {
        let mut states = Vec::new();
        for payout in &asked {
            states.push(case.state(payout).await);
        }
        states
    };
    let (sent, requested, cancelled) = (State::Sent, State::Requested, State::Cancelled);
    let recall = async |case: &Case, earned: &str| {
        drop(
            case.payouts
                .recall(&charge(earned), Nanos::ZERO, "http:127.0.0.1", "a stolen card", case.now)
                .await
                .unwrap(),
        );
    };
    assert_eq!(states(&case).await, [sent, requested, requested]);
    recall(&case, "2").await;
    assert_eq!(case.payouts.available(OWNER), usd("2"), "there was enough");
    recall(&case, "2.01").await;
    assert_eq!(states(&case).await, [sent, requested, cancelled], "the latest, and as many as it takes");
    assert_eq!(case.payouts.available(OWNER), usd("9"));
    assert_eq!(case.row(&asked[2]).await.reason.as_deref(), Some("a stolen card"));
    recall(&case, "15").await;
    assert_eq!(states(&case).await, [sent, cancelled, cancelled], "what is sent is not to be had");
    let log = case.payouts.store().operator_log(u64::MAX, 10).await.unwrap();
    let told: Vec<_> = log.iter().map(|line| (line.what.as_str(), line.amount)).collect();
    assert_eq!(told, [("payout_cancelled", Some(usd("6"))), ("payout_cancelled", Some(usd("7")))]);
    case.work().await;
    assert_eq!(case.rail.world.lock().paid(), usd("4.75").get(), "what was taken back is not paid");
    assert_eq!(case.balances(), ["15", "0", "0", "0", "-15"]);
}

async fn payouts_stay_where_they_are_when_all_of_them_do_not_make_a_charge_good(place: Place) {
    let case = Case::new(place).await;
    let payout = case.ask("5").await;
    let still =
        case.payouts.recall(&charge("20.01"), Nanos::ZERO, "http:127.0.0.1", "no", case.now).await.unwrap();
    assert_eq!(case.state(&payout).await, State::Requested);
    drop(still);
    assert_eq!(case.balances(), ["15", "5", "0", "0", "-20"]);
    assert!(case.payouts.store().operator_log(u64::MAX, 10).await.unwrap().is_empty());
}

async fn what_an_account_wanted_of_its_own_plugin_ends_with_the_pairing(place: Place) {
    let mut case = paired(place).await;
    let wanted = || Wish { account: Some(PAGE), ..wish("eve@example.com") };
    case.payouts.set_method(OWNER, wanted(), case.now).await.unwrap();
    case.now = case.now + Span::DAY;
    let sent = case.ask("5").await;
    while case.state(&sent).await == State::Requested {
        case.payouts.step(Method::Paypal, case.now).await.unwrap();
    }
    case.now = case.now + Span::millis(1);
    let asked = case.ask("6").await;
    case.payouts
        .set_method(OWNER, Wish { account: Some(PAGE), ..wish("eva@example.com") }, case.now)
        .await
        .unwrap();
    case.payouts.unpair(OWNER, case.now).await.unwrap();
    assert!(case.payouts.method(OWNER).await.unwrap().is_none());
    assert_eq!([case.state(&sent).await, case.state(&asked).await], [State::Sent, State::Cancelled]);
    assert_eq!(case.row(&asked).await.reason.as_deref(), Some("the plugin was let go"));
    assert_eq!(case.payouts.available(OWNER), usd("15"), "also what went where it was wanted before");
    // A call of the account that was under way meanwhile comes too late.
    let denied = case.payouts.set_method(OWNER, wanted(), case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::LetGo), "{denied:?}");
    case.payouts.run_due(case.now + Span(9 * Span::DAY.0)).await.unwrap();
    assert_eq!(case.payouts.store().payouts_of(OWNER).await.unwrap().len(), 2, "no schedule is left");
    let set = case.payouts.set_method(OWNER, wish("ada@example.com"), case.now).await.unwrap();
    assert_eq!(set.held_until, case.now + Span::DAY, "another destination than the last");
    let mut case = case.restart();
    case.work().await;
    assert_eq!(case.rail.world.lock().paid(), usd("4.75").get());
    assert_eq!(case.balances()[0], "15");
}

async fn what_a_plugin_wanted_itself_outlasts_the_pairing(place: Place) {
    let case = paired(place).await;
    let asked = case.ask("6").await;
    case.payouts.unpair(OWNER, case.now).await.unwrap();
    assert_eq!(case.payouts.method(OWNER).await.unwrap().unwrap().destination, "ada@example.com");
    assert_eq!(case.state(&asked).await, State::Requested);
    assert_eq!(case.balances(), ["14", "6", "0", "0", "-20"]);
}

async fn what_a_plugin_wanted_itself_ends_with_its_key_and_what_its_account_wants_does_not(place: Place) {
    let case = paired(place).await;
    let asked = case.ask("6").await;
    case.payouts.revoke(OWNER, case.now).await.unwrap();
    assert!(case.payouts.method(OWNER).await.unwrap().is_none());
    assert_eq!(case.state(&asked).await, State::Cancelled);
    assert_eq!(case.row(&asked).await.reason.as_deref(), Some("the plugin's key was revoked"));
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    // A call of the plugin that was under way meanwhile comes too late.
    let denied = case.payouts.set_method(OWNER, wish("eve@example.com"), case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Revoked), "{denied:?}");

    let wanted = Wish { account: Some(PAGE), ..wish("ada@example.com") };
    case.payouts.set_method(OWNER, wanted, case.now).await.unwrap();
    let asked = case.ask("7").await;
    let case = case.restart();
    case.payouts.revoke(OWNER, case.now).await.unwrap();
    assert_eq!(case.payouts.method(OWNER).await.unwrap().unwrap().account, Some(PAGE));
    assert_eq!(case.state(&asked).await, State::Requested);
    assert_eq!(case.balances(), ["13", "7", "0", "0", "-20"]);
}
