//! Owners' phones: let in by a code that opens once, seeing and steering one plugin, and put out again.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    axe,
    browser::{Browser, Tab},
    database::Engine,
    eventually,
    http::Page,
    link::{Link, Plugin, offer},
    node::Node,
    on_both,
    owner::Owner,
    picture,
    relay::{FREE, Relay},
    scene::{ask, text},
    script::{Dialect, MODEL, Reply, Script},
};
use serde_json::{Value, json};

on_both! {
    a_phone_is_let_in_by_a_code_once_sees_and_steers_its_plugin_and_is_put_out,
}

/// Widths at which the page is looked at: a phone's, and that of a computer where its address is opened.
const WIDTHS: [u32; 2] = [360, 1_200];

/// What a model costs that is priced by the phone.
const PRICE: &str = r#"{"input": "0.05", "output": "0.2"}"#;

async fn code(owner: &Page, plugin: &str) -> Result<String> {
    let made = owner.post(&format!("/api/plugin/phones/{plugin}/code"), &json!({})).await?.expect(201)?;
    Ok(made["code"].as_str().context("no code")?.to_owned())
}

/// Pairs a phone of this name, and returns it.
async fn paired(relay: &Relay, code: &str, name: &str) -> Result<Page> {
    let paired =
        relay.visitor().post("/api/phone", &json!({"code": code, "name": name})).await?.expect(201)?;
    Ok(Page::bearing(relay.address(), paired["token"].as_str().context("no token")?))
}

/// Has a phone wish something, and the plugin by hand say this of it. Returns the wish and the phone's answer.
async fn wish(
    phone: &Page,
    link: &mut Link,
    (path, body): (&str, Value),
    refused: Value,
) -> Result<(Value, u16, String)> {
    let asked = phone.post(path, &body);
    let told = async {
        let steer = link.frame("steer").await?;
        let mut steered = json!({"n": steer["n"]});
        if !refused.is_null() {
            steered["refused"] = refused;
        }
        link.send("steered", &steered).await?;
        anyhow::Ok(steer["wish"].clone())
    };
    let (answer, wish) = tokio::try_join!(asked, told)?;
    let code = if answer.status == 204 { String::new() } else { answer.error_code()? };
    Ok((wish, answer.status, code))
}

async fn a_phone_is_let_in_by_a_code_once_sees_and_steers_its_plugin_and_is_put_out(
    engine: Engine,
) -> Result<()> {
    let (mut relay, key) = Relay::keeping(engine, FREE, "1.00").await?;
    let plugin = Plugin::register(&relay).await?;
    let owner = Page::bearing(relay.address(), &plugin.secret);
    let account = relay.customer(&key);
    let pairing = account.post("/api/account/pairings", &json!({})).await?.expect(201)?;
    let typed = json!({"code": pairing["code"]});
    owner.post(&format!("/api/plugin/pairing/{}", plugin.id), &typed).await?.expect(200)?;
    let phones = format!("/api/plugin/phones/{}", plugin.id);
    account.get(&phones).await?.expect(200)?;
    let outlasting = account.post(&format!("{phones}/code"), &json!({})).await?;
    assert_eq!(
        outlasting.error_code()?,
        "invalid_secret",
        "a phone of the account's would outlast the pairing"
    );
    assert_eq!(account.delete(&format!("/api/account/plugins/{}", plugin.id)).await?.status, 204);
    let opened = code(&owner, &plugin.id).await?;
    ensure!(opened.len() == 16, "{opened}");
    let phone = paired(&relay, &opened, "Ada's\u{200b} phone").await?;
    let again = relay.visitor().post("/api/phone", &json!({"code": opened, "name": ""})).await?;
    assert_eq!(again.error_code()?, "wrong_pairing_code", "a code opens once");
    let seen = phone.get("/api/phone").await?.expect(200)?;
    assert_eq!(
        (&seen["pluginId"], &seen["live"], &seen["models"]),
        (&json!(plugin.id), &json!(false), &json!([]))
    );
    assert_eq!((&seen["earnings"]["total"], &seen["payout"]), (&json!("0"), &Value::Null));
    let away = phone.post("/api/phone/pause", &json!({"rest": "hour"})).await?;
    assert_eq!((away.status, away.error_code()?), (409, "not_connected".to_owned()));

    let mut link = Link::ready(&relay, &plugin, &offer(MODEL, 1)).await?;
    let pause = ("/api/phone/pause", json!({"rest": "tomorrow"}));
    let (wished, status, _) = wish(&phone, &mut link, pause.clone(), Value::Null).await?;
    assert_eq!((wished, status), (json!({"rest": "tomorrow"}), 204));
    let price = json!({"model": MODEL, "input": "0.05", "output": "0.2"});
    let (wished, status, _) = wish(&phone, &mut link, ("/api/phone/price", price), Value::Null).await?;
    let ask = json!({"input": 50_000, "output": 200_000});
    assert_eq!((wished, status), (json!({"price": {"model": MODEL, "ask": ask}}), 204));
    let (_, status, refused) = wish(&phone, &mut link, pause.clone(), json!("off")).await?;
    assert_eq!((status, refused.as_str()), (409, "steering_off"));
    let (_, status, refused) = wish(&phone, &mut link, pause, json!("model")).await?;
    assert_eq!((status, refused.as_str()), (404, "model_not_found"));
    for (path, body) in [
        ("/api/phone/pause", json!({"rest": "for ever"})),
        ("/api/phone/price", json!({"model": MODEL, "input": "-1", "output": "0"})),
        ("/api/phone/price", json!({"model": MODEL, "input": "0.0000001", "output": "0"})),
    ] {
        assert_eq!(phone.post(path, &body).await?.error_code()?, "bad_request", "{body}");
    }
    let seen = phone.get("/api/phone").await?.expect(200)?;
    assert_eq!((&seen["live"], &seen["paused"], &seen["jobs"]), (&json!(true), &json!(false), &json!(0)));
    assert_eq!(seen["models"], json!([{"id": MODEL, "price": {"input": "1", "output": "2"}}]));

    // It has no more of its plugin than this.
    let method = format!("/api/plugin/payouts/{}/method", plugin.id);
    let elsewhere = json!({"method": "paypal", "destination": "thief@example.com"});
    assert_eq!(phone.put(&method, &elsewhere).await?.error_code()?, "invalid_secret");
    assert_eq!(
        phone.get(&format!("/api/plugin/earnings/{}", plugin.id)).await?.error_code()?,
        "invalid_secret"
    );
    let all = json!({"amount": "all"});
    assert_eq!(phone.post("/api/phone/payout", &all).await?.error_code()?, "payout_method_missing");
    owner.put(&method, &json!({"method": "paypal", "destination": "ada@example.com"})).await?.expect(200)?;
    let seen = phone.get("/api/phone").await?.expect(200)?;
    assert_eq!(
        (&seen["payout"]["method"], &seen["payout"]["destination"]),
        (&json!("paypal"), &json!("ada@example.com"))
    );
    ensure!(phone.post("/api/phone/payout", &all).await?.status >= 400, "there is nothing to pay out");

    drop(link);
    relay.kill().await?;
    relay.restart().await?;
    phone.get("/api/phone").await?.expect(200)?;
    let owner = Page::bearing(relay.address(), &plugin.secret);
    for name in ["two", "three", "four", "five"] {
        paired(&relay, &code(&owner, &plugin.id).await?, name).await?;
    }
    let more = owner.post(&format!("{phones}/code"), &json!({})).await?;
    assert_eq!(more.error_code()?, "too_many_phones");
    let listed = owner.get(&phones).await?.expect(200)?;
    assert_eq!(
        (&listed["phones"][0]["name"], &listed["phones"][4]["name"]),
        (&json!("Ada's phone"), &json!("five"))
    );
    let first = listed["phones"][0]["phoneId"].as_str().context("no id")?;
    let stranger = Plugin::register(&relay).await?;
    let stranger = Page::bearing(relay.address(), &stranger.secret);
    assert_eq!(stranger.delete(&format!("{phones}/{first}")).await?.error_code()?, "invalid_secret");
    assert_eq!(owner.delete(&format!("{phones}/{first}")).await?.status, 204);
    assert_eq!(owner.delete(&format!("{phones}/{first}")).await?.error_code()?, "phone_not_found");
    assert_eq!(phone.get("/api/phone").await?.error_code()?, "invalid_phone");

    let right = code(&owner, &plugin.id).await?;
    for _ in 0..5 {
        let wrong =
            relay.visitor().post("/api/phone", &json!({"code": "AAAABBBBCCCCDDDD", "name": ""})).await?;
        assert_eq!(wrong.error_code()?, "wrong_pairing_code");
    }
    let late = relay.visitor().post("/api/phone", &json!({"code": right, "name": ""})).await?;
    assert_eq!(late.error_code()?, "rate_limited", "after five wrong ones no code is looked at");
    Ok(())
}

/// Reads the code that the settings show off the screen, as a camera does, in light and in dark colours.
async fn photographed(options: &Tab) -> Result<String> {
    options.click("#show-phone").await?;
    options.until("document.querySelector('#qr path')?.getBBox().width > 30").await?;
    options.eval("document.querySelector('#qr').scrollIntoView({ block: 'center' }), undefined").await?;
    let shown = options.until_some("document.querySelector('#phone-address').textContent || null").await?;
    let mut read = String::new();
    for scheme in ["dark", "light"] {
        options.prefer(scheme).await?;
        read = picture::code(&options.screenshot().await?)?;
        ensure!(shown == read, "the {scheme} code says {read}, and beside it stands {shown}");
    }
    Ok(read)
}

/// Opens the address that the camera has read, and pairs the phone.
async fn pair(owner: &Owner, options: &Tab) -> Result<Tab> {
    let address = photographed(options).await?;
    let phone = owner.browser().open(&address).await?;
    phone.resize(360, 800).await?;
    phone.shows("#pair", "Pair only with a code of your own computer").await?;
    assert_eq!(phone.eval("location.hash").await?, "", "the code stays nowhere");
    phone.click("#pair button").await?;
    phone.shows("#standing", "Takes jobs").await?;
    options.shows("#phone-outcome", "The phone is paired").await?;
    Ok(phone)
}

#[tokio::test]
async fn a_payout_is_asked_for_by_the_phone_once_its_cost_was_shown() -> Result<()> {
    let (relay, key) = Relay::funded("[money]\nholdback_permille = 0\n", "30.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    // At the highest price there is, 600 tokens are 6 USD: enough for a payout.
    script.always(Reply::text(&[" word"; 600]));
    let dear = ["--price-input", "0", "--price-output", "10000"];
    let node = Node::with(&relay, &script.url(), &dear).await?;
    let owner = Page::bearing(relay.address(), &node.secret()?);
    let payouts = format!("/api/plugin/payouts/{}", node.plugin());
    let method = json!({"method": "paypal", "destination": "ada@example.com"});
    owner.put(&format!("{payouts}/method"), &method).await?.expect(200)?;
    let question = json!({"prompt": "go", "model": MODEL, "maxPrice": "10000", "max_tokens": 1_000});
    relay.customer(&key).post("/api/llm/inference", &question).await?.expect(200)?;
    let opened = code(&owner, node.plugin()).await?;
    let browser = Browser::start().await?;
    let phone = browser.open(&format!("{}/phone.html#{opened}", relay.url("http"))).await?;
    phone.click("#pair button").await?;
    phone.shows("#payout-terms", "PayPal to ada@example.com").await?;
    phone.click("#payout-ask").await?;
    phone.shows("#payout-outcome", "It costs $0.25").await?;
    assert_eq!(owner.get(&payouts).await?.expect(200)?["payouts"], json!([]), "a question moves nothing");
    phone.click("#payout-ask").await?;
    phone.shows("#payout-outcome", "is on its way").await?;
    let view = owner.get(&payouts).await?.expect(200)?;
    assert_eq!(view["payouts"][0]["state"], "requested", "no rail is there to take it");
    assert_eq!(view["payouts"][0]["destination"], "ada@example.com");
    relay.audit().await
}

/// How many computers a phone's page lets its owner choose from.
const COMPUTERS: &str = "document.querySelector('#computers').checkVisibility() ? document.querySelector('#computer').options.length : 1";

/// Pairs another computer in another tab of the phone, as its camera does, and forgets it. Returns what axe says.
async fn second_computer(relay: &Relay, owner: &Owner, phone: &Tab) -> Result<Vec<String>> {
    let first = phone.until_some("JSON.parse(localStorage.getItem('phones'))[0].pluginId").await?;
    let other = Plugin::register(relay).await?;
    let opened = code(&Page::bearing(relay.address(), &other.secret), &other.id).await?;
    let address = phone.eval("location.href").await?;
    let address = format!("{}#{opened}", address.as_str().context("no address")?);
    let tab = owner.browser().open(&address).await?;
    tab.shows("#standing", "Takes jobs").await?;
    tab.click("#pair button").await?;
    tab.shows("#standing", "Not connected").await?;
    tab.until(&format!("({COMPUTERS}) === 2")).await?;
    phone.until(&format!("({COMPUTERS}) === 2")).await?;
    phone.shows("#standing", "Takes jobs").await?;
    tab.eval(&axe::source()?).await?;
    let wrong = axe::look(&tab, "phone-two", &WIDTHS).await?;

    let choose = |plugin: &str| {
        format!(
            "(list => {{ list.value = '{plugin}'; list.dispatchEvent(new Event('change')); }})(document.querySelector('#computer'))"
        )
    };
    tab.eval(&choose(first.as_str().context("no plugin")?)).await?;
    tab.shows("#standing", "Takes jobs").await?;
    tab.eval(&choose(&other.id)).await?;
    tab.shows("#standing", "Not connected").await?;
    tab.click("#forget").await?;
    tab.click("#forget").await?;
    tab.shows("#standing", "Takes jobs").await?;
    for tab in [&tab, phone] {
        tab.until(&format!("({COMPUTERS}) === 1")).await?;
    }
    tab.close().await?;
    Ok(wrong)
}

#[tokio::test]
async fn an_owner_pairs_a_phone_by_its_camera_pauses_and_prices_the_computer_from_it_and_puts_it_out()
-> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::with(FREE).await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    let phone = pair(&owner, &options).await?;
    phone.eval(&axe::source()?).await?;
    assert_eq!(phone.installability().await?, json!([]));
    let mut wrong = axe::look(&phone, "phone", &WIDTHS).await?;
    wrong.extend(second_computer(&relay, &owner, &phone).await?);

    phone.click("[data-rest=hour]").await?;
    phone.shows("#standing", "Paused until ").await?;
    phone.click("[data-rest=none]").await?;
    phone.shows("#standing", "Takes jobs").await?;
    phone.click("[data-rest=said]").await?;
    phone.shows("#jobs-outcome", "takes no new jobs").await?;
    phone.shows("#standing", "Takes no new jobs").await?;
    let refused = relay.visitor().post("/api/llm/inference", &ask("go")).await?;
    assert_eq!(refused.error_code()?, "provider_paused");
    owner.popup().await?.shows("#steered", "Paused from your phone").await?;
    wrong.extend(axe::look(&phone, "phone-paused", &WIDTHS).await?);
    phone.click("[data-rest=none]").await?;
    phone.shows("#standing", "Takes jobs").await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");

    let asked: Value = serde_json::from_str(PRICE)?;
    phone.fill("#prices [name=input]", "0.05").await?;
    phone.fill("#prices [name=output]", "0.2").await?;
    phone.click("#prices button").await?;
    phone.shows("#prices .outcome", "Saved on your computer").await?;
    eventually("everybody reads the price", || async {
        let live = relay.visitor().get("/api/live").await?.expect(200)?;
        Ok((live["providers"][0]["models"][0]["price"] == asked).then_some(()))
    })
    .await?;
    let kept = "chrome.storage.local.get('config').then(({ config }) => Object.values(config.prices)[0])";
    assert_eq!(options.eval(kept).await?, json!({"input": 50_000, "output": 200_000}));

    options.click("#steering").await?;
    let switched = || async {
        phone.click("[data-rest=hour]").await?;
        let said = phone.until_some("document.querySelector('#jobs-outcome').textContent || null").await?;
        phone.eval("document.querySelector('[data-rest=none]').offsetParent && document.querySelector('[data-rest=none]').click()").await?;
        Ok(said.as_str().is_some_and(|said| said.contains("switched off")).then_some(()))
    };
    eventually("the phone changes nothing any more", switched).await?;

    options.click("#phone-list button").await?;
    phone.shows("#outcome", "not paired any more").await?;
    phone.shows("#unpaired", "Not paired").await?;
    wrong.extend(axe::look(&phone, "phone-unpaired", &WIDTHS).await?);
    ensure!(wrong.is_empty(), "pictures in {}:\n{}", axe::pictures()?.display(), wrong.join("\n"));
    relay.audit().await
}

#[tokio::test]
async fn a_phone_that_was_paired_before_there_could_be_several_computers_stays_paired() -> Result<()> {
    let relay = Relay::with(FREE).await?;
    let (first, second) = (Plugin::register(&relay).await?, Plugin::register(&relay).await?);
    let mut tokens = Vec::new();
    for plugin in [&first, &second] {
        let opened = code(&Page::bearing(relay.address(), &plugin.secret), &plugin.id).await?;
        let body = json!({"code": opened, "name": "My phone"});
        tokens.push(relay.visitor().post("/api/phone", &body).await?.expect(201)?["token"].clone());
    }
    let browser = Browser::start().await?;
    let phone = browser.open(&format!("{}/phone.html", relay.url("http"))).await?;
    phone.shows("#unpaired", "Not paired").await?;
    let reload = "globalThis.isOld = true, location.reload(), undefined";
    phone.eval(&format!("localStorage.setItem('phone', {}), {reload}", tokens[0])).await?;
    phone
        .until("globalThis.isOld === undefined && document.querySelector('#inside')?.checkVisibility()")
        .await?;
    let kept = "JSON.parse(localStorage.getItem('phones')).map(one => one.pluginId).join()";
    phone.until(&format!("{kept} === {}", json!(first.id))).await?;
    assert_eq!(phone.eval("localStorage.getItem('phone')").await?, Value::Null, "it is taken over once");

    // Beside what is kept already it becomes one of several, and what is taken over twice is there once.
    let one = json!([{"pluginId": second.id, "token": tokens[1], "name": "Second"}, {"pluginId": first.id, "token": tokens[0], "name": "First"}]);
    let keep = format!(
        "localStorage.setItem('phones', JSON.stringify({one})), localStorage.setItem('phone', {})",
        tokens[0]
    );
    phone.eval(&format!("{keep}, {reload}")).await?;
    phone.until(&format!("globalThis.isOld === undefined && ({COMPUTERS}) === 2")).await?;
    phone.until("document.querySelector('#inside').checkVisibility()").await?;
    Ok(())
}
