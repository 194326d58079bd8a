//! Plugins that are an account's own: paired by a code, seen and paid out by the account, never its provider.

use anyhow::{Context, Result, ensure};
use rekursing_protocol::{device::Purpose, frame::close};
use rekursing_tests::{
    axe,
    browser::Window,
    database::Engine,
    device::Device,
    eventually,
    false_relay::FalseRelay,
    http::Page,
    link::{Link, Plugin, identify, offer},
    on_both,
    owner::Owner,
    relay::{FREE, Relay},
    scene::{Scripted, ask, text},
    script::{Dialect, MODEL, Script},
};
use serde_json::{Value, json};

on_both! {
    an_account_pairs_a_plugin_sees_what_it_earns_and_lets_it_go,
    a_revoked_key_opens_nothing_and_its_account_still_reaches_what_was_earned,
}

const PAIRINGS: &str = "/api/account/pairings";
const PLUGINS: &str = "/api/account/plugins";

/// Makes a pairing code.
async fn code(account: &Page) -> Result<String> {
    let made = account.post(PAIRINGS, &json!({})).await?.expect(201)?;
    Ok(made["code"].as_str().context("no code")?.to_owned())
}

fn pairing(plugin: &str) -> String {
    format!("/api/plugin/pairing/{plugin}")
}

async fn an_account_pairs_a_plugin_sees_what_it_earns_and_lets_it_go(engine: Engine) -> Result<()> {
    let (mut relay, key) = Relay::keeping(engine, FREE, "1.00").await?;
    let account = relay.customer(&key);
    let device = Device::register(&relay, 1).await?;
    let owner = device.pass(&relay).await?;
    let earnings = format!("/api/plugin/earnings/{}", device.id);
    assert_eq!(account.get(&earnings).await?.error_code()?, "invalid_secret");
    assert_eq!(owner.get(&pairing(&device.id)).await?.expect(200)?["account"], Value::Null);

    let code = code(&account).await?;
    let typed = json!({"code": format!("{}-{}", code[..4].to_lowercase(), &code[4..])});
    let paired = owner.post(&pairing(&device.id), &typed).await?.expect(200)?;
    let name = account.get("/api/account").await?.expect(200)?["account"].clone();
    assert_eq!(paired["account"], name);
    assert_eq!(owner.post(&pairing(&device.id), &typed).await?.error_code()?, "already_paired");

    let own = format!("{PLUGINS}/{}", device.id);
    account.patch(&own, &json!({"name": "Ada's\u{200b} computer"})).await?.expect(200)?;
    assert_eq!(account.patch(&own, &json!({"name": "x".repeat(61)})).await?.status, 400);
    relay.kill().await?;
    relay.restart().await?;
    let (account, owner) = (relay.customer(&key), device.pass(&relay).await?);
    let listed = account.get(PLUGINS).await?.expect(200)?;
    let [one] = listed["plugins"].as_array().context("no list")?.as_slice() else {
        anyhow::bail!("not one plugin: {listed}");
    };
    assert_eq!((&one["pluginId"], &one["name"]), (&json!(device.id), &json!("Ada's computer")));
    assert_eq!((&one["live"], &one["total"], &one["held"]), (&json!(false), &json!("0"), &json!("0")));

    for path in [earnings.clone(), format!("/api/plugin/payouts/{}", device.id)] {
        account.get(&path).await?.expect(200)?;
    }
    let method = json!({"method": "paypal", "destination": "ada@example.com"});
    let path = format!("/api/plugin/payouts/{}/method", device.id);
    account.put(&path, &method).await?.expect(200)?;
    assert_eq!(owner.get(&path).await?.expect(200)?["destination"], "ada@example.com");
    // A copy of the device is believed like the device, so neither says where payouts go.
    let foreign = json!({"method": "paypal", "destination": "eve@example.com"});
    for refused in [owner.put(&path, &foreign).await?, owner.delete(&path).await?] {
        assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "payout_account_only"));
    }
    for (page, may) in [(&owner, false), (&account, true)] {
        let payouts = page.get(&format!("/api/plugin/payouts/{}", device.id)).await?.expect(200)?;
        assert_eq!(
            (&payouts["changeable"], &payouts["method"]["destination"]),
            (&json!(may), &json!("ada@example.com"))
        );
    }

    let stranger = relay.customer(&relay.key("1.00").await?);
    assert_eq!(stranger.get(&earnings).await?.error_code()?, "invalid_secret");
    assert_eq!(stranger.get(PLUGINS).await?.expect(200)?, json!({"plugins": []}));
    assert_eq!(stranger.delete(&own).await?.error_code()?, "plugin_not_found");
    assert_eq!(stranger.patch(&own, &json!({"name": "mine"})).await?.error_code()?, "plugin_not_found");
    let limited = account.post("/api/account/keys", &json!({"budgetTotal": "0.1"})).await?.expect(201)?;
    let limited = relay.customer(limited["key"].as_str().context("no key")?);
    for answer in [
        limited.get(PLUGINS).await?,
        limited.get(&earnings).await?,
        limited.post(PAIRINGS, &json!({})).await?,
    ] {
        assert_eq!(answer.error_code()?, "key_has_limits");
    }

    assert_eq!(account.delete(&own).await?.status, 204);
    assert_eq!(account.get(&earnings).await?.error_code()?, "invalid_secret");
    assert_eq!(owner.get(&path).await?.error_code()?, "payout_method_missing", "it was the account's");
    assert_eq!(owner.get(&pairing(&device.id)).await?.expect(200)?["account"], Value::Null);
    relay.kill().await?;
    relay.restart().await?;
    assert_eq!(relay.customer(&key).get(PLUGINS).await?.expect(200)?, json!({"plugins": []}));
    Ok(())
}

async fn a_revoked_key_opens_nothing_and_its_account_still_reaches_what_was_earned(
    engine: Engine,
) -> Result<()> {
    let (mut relay, key) = Relay::keeping(engine, FREE, "1.00").await?;
    let account = relay.customer(&key);
    let device = Device::register(&relay, 1).await?;
    let owner = device.pass(&relay).await?;
    let code = code(&account).await?;
    let method = format!("/api/plugin/payouts/{}/method", device.id);
    let foreign = json!({"method": "paypal", "destination": "eve@example.com"});
    owner.put(&method, &foreign).await?.expect(200)?;
    owner.post(&pairing(&device.id), &json!({"code": code})).await?.expect(200)?;
    let offer = offer(MODEL, 1);
    let mut link = Link::open(&relay).await?;
    link.send("identify", &device.identify(&offer, &device.answer(&relay, &link)?)).await?;
    link.frame("ready").await?;

    let revoke = format!("{PLUGINS}/{}/key", device.id);
    let stranger = relay.customer(&relay.key("1.00").await?);
    assert_eq!(stranger.delete(&revoke).await?.error_code()?, "plugin_not_found");
    assert_eq!(owner.delete(&revoke).await?.error_code()?, "invalid_api_key");
    for _ in 0..2 {
        assert_eq!(account.delete(&revoke).await?.status, 204);
    }
    assert_eq!(link.closed().await?, close::REVOKED);
    let earnings = format!("/api/plugin/earnings/{}", device.id);
    assert_eq!(owner.get(&earnings).await?.error_code()?, "key_revoked", "its pass is over too");
    for _ in 0..2 {
        let nonce = Device::challenge(&relay).await?;
        let signature = device.sign(Purpose::Pass, &relay.address().to_string(), &device.id, &nonce)?;
        let body = json!({"pluginId": device.id, "nonce": nonce, "signature": signature});
        assert_eq!(relay.visitor().post("/api/plugin/pass", &body).await?.error_code()?, "key_revoked");
        let again = json!({"name": "again", "key": device.public()});
        let answer = relay.visitor().post("/api/plugin/register", &again).await?;
        assert_eq!(answer.error_code()?, "key_revoked");
        let mut link = Link::open(&relay).await?;
        link.send("identify", &device.identify(&offer, &device.answer(&relay, &link)?)).await?;
        assert_eq!(link.closed().await?, close::REVOKED);
        relay.kill().await?;
        relay.restart().await?;
    }
    let account = relay.customer(&key);
    assert_eq!(account.get(&method).await?.error_code()?, "payout_method_missing", "it was the device's");
    let own = json!({"method": "paypal", "destination": "ada@example.com"});
    account.put(&method, &own).await?.expect(200)?;
    account.get(&earnings).await?.expect(200)?;
    let listed = account.get(PLUGINS).await?.expect(200)?;
    assert!(listed["plugins"][0]["revokedAt"].is_u64(), "{listed}");
    assert_eq!(
        account.delete(&format!("{PLUGINS}/{}", device.id)).await?.status,
        204,
        "it has earned nothing"
    );
    Ok(())
}

#[tokio::test]
async fn a_revoked_secret_is_worth_as_little_as_a_revoked_key() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let (account, plugin) = (relay.customer(&key), Plugin::register(&relay).await?);
    let owner = Page::bearing(relay.address(), &plugin.secret);
    let code = code(&account).await?;
    owner.post(&pairing(&plugin.id), &json!({"code": code})).await?.expect(200)?;
    assert_eq!(account.delete(&format!("{PLUGINS}/{}/key", plugin.id)).await?.status, 204);
    assert_eq!(owner.get(&pairing(&plugin.id)).await?.error_code()?, "key_revoked");
    assert_eq!(owner.delete(&pairing(&plugin.id)).await?.error_code()?, "key_revoked");
    let wrong = Page::bearing(relay.address(), "rps_wrong");
    assert_eq!(wrong.get(&pairing(&plugin.id)).await?.error_code()?, "invalid_secret", "nobody else is told");
    let mut link = Link::open(&relay).await?;
    link.send("identify", &identify(&plugin, &offer(MODEL, 1))).await?;
    assert_eq!(link.closed().await?, close::REVOKED);
    Ok(())
}

#[tokio::test]
async fn a_code_serves_once_and_after_five_wrong_ones_none_is_looked_at() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let account = relay.customer(&key);
    let [one, other] = [Plugin::register(&relay).await?, Plugin::register(&relay).await?];
    let pages = [&one, &other].map(|plugin| Page::bearing(relay.address(), &plugin.secret));
    let first = code(&account).await?;
    let second = code(&account).await?;
    let post = async |page: usize, code: &str| {
        let id = [&one.id, &other.id][page];
        pages[page].post(&pairing(id), &json!({"code": code})).await
    };
    assert_eq!(post(0, &first).await?.error_code()?, "wrong_pairing_code", "a new code ends the last");
    for wrong in ["", "ABCDEFGH", &second[..7], &"A".repeat(1_000)] {
        assert_eq!(post(0, wrong).await?.error_code()?, "wrong_pairing_code", "{wrong}");
    }
    assert_eq!(post(0, &second).await?.error_code()?, "rate_limited");
    assert_eq!(post(1, &second).await?.status, 200);
    assert_eq!(pages[1].delete(&pairing(&other.id)).await?.status, 204);
    assert_eq!(post(1, &second).await?.error_code()?, "wrong_pairing_code", "it has served");

    // Asked again by its name, a code is the same and so is a pairing.
    let named = relay.customer(&key).with("idempotency-key", "one");
    let codes = [code(&named).await?, code(&named).await?];
    assert_eq!(codes[0], codes[1]);
    let again = Page::bearing(relay.address(), &other.secret).with("idempotency-key", "two");
    for _ in 0..2 {
        again.post(&pairing(&other.id), &json!({"code": codes[0]})).await?.expect(200)?;
    }
    let foreign = pages[0].post(&pairing(&other.id), &json!({"code": "ABCDEFGH"})).await?;
    assert_eq!(foreign.error_code()?, "invalid_secret");
    Ok(())
}

#[tokio::test]
async fn an_accounts_own_plugin_answers_others_and_never_the_account_itself() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let (scene, account) = Scripted::around(relay, &key).await?;
    let other = scene.relay.customer(&scene.relay.key("5.00").await?);
    let seen =
        || async { Ok((other.get("/api/account").await?.expect(200)?["balance"] != "0").then_some(())) };
    eventually("the relay sees the other's balance", seen).await?;
    let owner = Page::bearing(scene.relay.address(), &scene.node.secret()?);
    let question = json!({"prompt": "go", "model": MODEL});
    let asked = async |page: &Page| page.post("/api/llm/inference", &question).await;
    assert_eq!(asked(&account).await?.status, 200);

    let code = code(&account).await?;
    let path = pairing(scene.node.plugin());
    owner.post(&path, &json!({"code": code})).await?.expect(200)?;
    let jobs = scene.script.jobs().len();
    let refused = asked(&account).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "only_own_provider"));
    assert_eq!(scene.script.jobs().len(), jobs, "nothing has reached the server");
    assert_eq!(asked(&other).await?.status, 200);
    let listed = account.get(PLUGINS).await?.expect(200)?;
    assert_eq!(listed["plugins"][0]["live"], true);
    assert_ne!(listed["plugins"][0]["total"], "0");

    assert_eq!(owner.delete(&path).await?.status, 204);
    assert_eq!(asked(&account).await?.status, 200);
    scene.relay.audit().await
}

#[tokio::test]
async fn a_computer_is_paired_by_clicks_and_the_account_page_can_be_read_by_everybody() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (relay, key) = Relay::funded(&format!("{FREE}\n[money]\nholdback_permille = 0\n"), "5.00").await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let mut stream = relay.customer(&key).stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");

    let account = owner.browser().open(&format!("{}/account.html", relay.url("http"))).await?;
    let axe = axe::source()?;
    account.until("!document.querySelector('#enter [type=submit]')?.disabled").await?;
    account.eval(&axe).await?;
    let mut wrong = axe::look(&account, "account-entry", &[360, 1_200]).await?;
    account.fill("#key", "rk_wrong").await?;
    account.click("#enter [type=submit]").await?;
    account
        .until("document.querySelector('#enter-outcome').textContent.includes('unknown or revoked')")
        .await?;
    account.fill("#key", &key).await?;
    account.click("#enter [type=submit]").await?;
    account.until("!document.querySelector('#inside').hidden").await?;
    account.until("document.querySelector('#balance').textContent.startsWith('$4.99')").await?;
    account.until("document.querySelector('#usage').children.length === 1").await?;
    account.click("#pair").await?;
    account.until("!document.querySelector('#code-shown').hidden").await?;
    wrong.extend(axe::look(&account, "account-code", &[360, 1_200]).await?);
    let code = account.eval("document.querySelector('#code').textContent").await?;

    let options = owner.options().await?;
    options.until("!document.querySelector('#pair').hidden").await?;
    options.fill("#code", "WRNG-WRNG").await?;
    options.click("#pair [type=submit]").await?;
    options.until("document.querySelector('#account-outcome').dataset.tone === 'bad'").await?;
    options.fill("#code", code.as_str().context("no code")?).await?;
    options.click("#pair [type=submit]").await?;
    options.until("document.querySelector('#paired-with').textContent.includes('acc_')").await?;
    account.until("document.querySelector('#gpus').children.length === 1").await?;
    account.until("document.querySelector('.live').textContent === 'Live'").await?;
    let earnings = owner.open("earnings.html").await?;
    earnings.until("document.querySelector('#method-cost').textContent.includes('account page')").await?;
    assert_eq!(earnings.eval("document.querySelector('#destination').matches(':disabled')").await?, true);
    earnings.eval(&axe).await?;
    wrong.extend(axe::look(&earnings, "earnings-paired", &[360, 800]).await?);
    earnings.close().await?;

    account.click(".rename").await?;
    account.fill(".new-name", "The one under the desk").await?;
    account.click(".naming [type=submit]").await?;
    account.until("document.querySelector('.gpu .name').textContent === 'The one under the desk'").await?;
    account.click(".pay").await?;
    account.until("document.querySelector('.method').options.length === 3").await?;
    account.fill(".destination", "nobody").await?;
    account.click(".way [type=submit]").await?;
    account.until("document.querySelector('.outcome').dataset.tone === 'bad'").await?;
    account.fill(".destination", "ada@example.com").await?;
    account.click(".way [type=submit]").await?;
    account.until("document.querySelector('.outcome').textContent.startsWith('Saved.')").await?;
    wrong.extend(axe::look(&account, "account-gpus", &[360, 1_200]).await?);
    account.click("button.channel").await?;
    account.until("!document.querySelector('.showing').hidden").await?;
    account.fill(".about", "On most evenings.").await?;
    account.click(".open-channel").await?;
    account.until("document.querySelector('.outcome').textContent === 'The channel is open.'").await?;
    let address = account.eval("document.querySelector('.shown').getAttribute('href')").await?;
    let shown = relay.visitor().get(address.as_str().context("an address")?).await?;
    let html = String::from_utf8_lossy(&shown.body).into_owned();
    assert!(shown.status == 200 && html.contains("On most evenings."), "{address}: {html}");
    wrong.extend(axe::look(&account, "account-channel", &[360, 1_200]).await?);
    account.click(".close-channel").await?;
    account.until("document.querySelector('.outcome').textContent === 'The channel is closed.'").await?;
    account.click(".unpair").await?;
    account
        .until("document.querySelector('.outcome').textContent.includes('its own extension alone')")
        .await?;

    options.eval(&axe).await?;
    wrong.extend(axe::look(&options, "options-paired", &[360, 800]).await?);
    options.click("#unpair").await?;
    options.until("!document.querySelector('#pair').hidden").await?;
    account.eval("location.reload()").await?;
    account
        .until("!document.querySelector('#no-gpus').hidden && !document.querySelector('#inside').hidden")
        .await?;

    // Paired once more, the device is lost, and its key revoked.
    account.click("#pair").await?;
    account.until("!document.querySelector('#code-shown').hidden").await?;
    let code = account.eval("document.querySelector('#code').textContent").await?;
    options.fill("#code", code.as_str().context("no code")?).await?;
    options.click("#pair [type=submit]").await?;
    account.until("document.querySelector('#gpus').children.length === 1").await?;
    account.click(".revoke").await?;
    account.until("document.querySelector('.outcome').textContent.includes('stays here')").await?;
    account.eval(&axe).await?;
    wrong.extend(axe::look(&account, "account-revoking", &[360, 1_200]).await?);
    account.click(".revoke").await?;
    account.until("document.querySelector('.live').textContent === 'Key revoked'").await?;
    assert_eq!(account.eval("document.querySelector('.revoke').hidden").await?, true);
    for _ in 0..2 {
        account.click(".unpair").await?;
    }
    account.until("document.querySelector('.outcome').textContent.includes('paid out first')").await?;
    let popup = owner.popup().await?;
    popup
        .until("document.body.textContent.includes('Your account has revoked the key of this device')")
        .await?;
    ensure!(wrong.is_empty(), "pictures in {}:\n{}", axe::pictures()?.display(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn before_consent_the_options_say_why_nothing_can_be_paired() -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    let options = owner.options().await?;
    options.until("!document.querySelector('#unregistered').hidden").await?;
    assert_eq!(options.eval("document.querySelector('#pair').hidden").await?, true);
    Ok(())
}

#[tokio::test]
async fn after_consent_is_taken_back_opening_the_options_asks_the_relay_nothing() -> Result<()> {
    let (script, relay) = tokio::try_join!(Script::start(Dialect::LmStudio(2)), FalseRelay::start())?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let popup = owner.agree().await?;
    let mut caller = relay.caller().await?;
    caller.welcome().await?;
    popup.close().await?;
    let options = owner.options().await?;
    let has_asked = || async {
        let asked = relay.asked();
        let are_asked = |what: &str| asked.iter().any(|one| one.contains(what));
        Ok(["/pairing/", "/group/", "/phones/"].into_iter().all(are_asked).then_some(()))
    };
    eventually("the page has asked what it shows", has_asked).await?;
    // What it shows may still move the button under a mouse.
    options.eval("document.querySelector('#withdraw').click()").await?;
    options.until("document.querySelector('#given').hidden").await?;
    options.close().await?;

    let asked = relay.asked().len();
    let options = owner.options().await?;
    options.shows("#unasked", "it asks the relay nothing by itself").await?;
    assert_eq!(relay.asked().len(), asked, "{:?}", relay.asked());
    // What was earned is still the owner's: a click asks.
    let is_asked = || async {
        if relay.asked().len() > asked {
            return Ok(Some(()));
        }
        // Between two agents a click is told that nobody was there, and whoever clicks does so again.
        options.click("#ask-pairing").await?;
        Ok(None)
    };
    eventually("the relay is asked", is_asked).await
}
