//! What an account and its own plugin may undo of their pairing, where there are earnings.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod case;

use rekursing_market::{Account, payout::CHANGE_WAIT};
use rekursing_protocol::{AccountId, KeyId, PluginId, Span};
use rekursing_relay::{
    chance,
    store::{Key, Pairing},
};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use case::{Case, Engine, on_both};

on_both! {
    a_day_after_the_pairing_the_account_alone_undoes_it,
    a_plugin_whose_key_is_revoked_is_not_let_go_before_its_earnings_are_paid_out,
}

const ACCOUNT: AccountId = AccountId::from_bits(7);
const KEY: &str = "rk_0123456789abcdef";

/// A relay whose plugin has earned 20 USD and was paired so long ago with an account, which has a key.
async fn paired(engine: Engine, ago: Span) -> Case {
    let case = Case::new(engine, "").await;
    case.earn().await;
    let now = case.house.desk.now();
    let key = Key {
        hash: chance::digest(KEY),
        id: KEY[..11].parse::<KeyId>().unwrap(),
        name: String::new(),
        account: ACCOUNT,
        maker: None,
        limits: rekursing_market::Limits::default(),
        created: now,
        revoked: false,
    };
    case.house.desk.store().put_key(key, 1).await.unwrap();
    let (plugin, pairing) = (id(&case), Pairing { account: ACCOUNT, at: now - ago });
    case.house.desk.store().pair_plugin(plugin, pairing).await.unwrap();
    case.house.plugins.pair(plugin, Some(pairing));
    case
}

fn id(case: &Case) -> PluginId {
    case.plugin.parse().unwrap()
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

async fn a_day_after_the_pairing_the_account_alone_undoes_it(engine: Engine) {
    let case = paired(engine, Span(CHANGE_WAIT.0 - 60_000)).await;
    let path = format!("/api/plugin/pairing/{}", case.plugin);
    let leave = async |bearer: &str| case.call(Method::DELETE, &path, bearer, Value::Null).await;
    assert_eq!(leave(&case.secret).await.0, StatusCode::NO_CONTENT, "whoever was talked into it has a day");
    let pairing = Pairing { account: ACCOUNT, at: case.house.desk.now() - CHANGE_WAIT };
    case.house.desk.store().pair_plugin(id(&case), pairing).await.unwrap();
    case.house.plugins.pair(id(&case), Some(pairing));
    let (status, refused) = leave(&case.secret).await;
    assert_eq!((status, code(&refused)), (StatusCode::FORBIDDEN, "account_only"));
    assert_eq!(leave(KEY).await.0, StatusCode::NO_CONTENT);
    case.end().await;
}

async fn a_plugin_whose_key_is_revoked_is_not_let_go_before_its_earnings_are_paid_out(engine: Engine) {
    let case = paired(engine, Span::DAY).await;
    let own = format!("/api/account/plugins/{}", case.plugin);
    let delete = async |path: &str| case.call(Method::DELETE, path, KEY, Value::Null).await;
    assert_eq!(delete(&format!("{own}/key")).await.0, StatusCode::NO_CONTENT);
    let (status, refused) = delete(&own).await;
    assert_eq!((status, code(&refused)), (StatusCode::CONFLICT, "earnings_left"));
    let (status, refused) = case.own(Method::GET, "", Value::Null).await;
    assert_eq!((status, code(&refused)), (StatusCode::UNAUTHORIZED, "key_revoked"));
    let path = format!("/api/plugin/payouts/{}", case.plugin);
    let (status, payouts) = case.call(Method::GET, &path, KEY, Value::Null).await;
    assert_eq!((status, &payouts["available"]), (StatusCode::OK, &Value::from("20")));
    let left = rekursing_market::ledger::Transfer {
        cause: rekursing_market::ledger::Cause::Correction,
        from: Account::Owner(id(&case)),
        to: Account::Outside,
        amount: "20".parse().unwrap(),
        note: "for a test".to_owned(),
    };
    case.house.desk.transfer("paid", left).await.unwrap();
    assert_eq!(delete(&own).await.0, StatusCode::NO_CONTENT);
    case.end().await;
}
