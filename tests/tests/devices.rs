//! Plugins with a device key: what lets them in, what does not, and how a secret gives way to one.

use anyhow::{Context, Result};
use rekursing_protocol::{device::Purpose, frame::close};
use rekursing_tests::{
    browser::Window,
    device::Device,
    http::Page,
    link::{Knock, Link, Plugin, identify, offer},
    owner::Owner,
    relay::{FREE, Relay},
    scene::{ask, text},
    script::{Dialect, MODEL, Script},
};
use serde_json::{Value, json};

/// Identifies so on a new connection, and returns the code with which the relay closes it.
async fn refused(relay: &Relay, change: impl FnOnce(&Link) -> Result<Value>) -> Result<u16> {
    let mut link = Link::open(relay).await?;
    let identify = change(&link)?;
    link.send("identify", &identify).await?;
    link.closed().await
}

#[tokio::test]
async fn a_signature_lets_its_plugin_in_on_its_own_connection_alone() -> Result<()> {
    let relay = Relay::start().await?;
    let (one, other) = (Device::register(&relay, 1).await?, Device::register(&relay, 2).await?);
    let offer = offer(MODEL, 1);
    let mut link = Link::open(&relay).await?;
    let captured = one.answer(&relay, &link)?;
    link.send("identify", &one.identify(&offer, &captured)).await?;
    let ready = link.frame("ready").await?;
    assert!(ready.get("keyed").is_none(), "{ready}");

    let host = relay.address().to_string();
    let nonce = |link: &Link| link.hello()["nonce"].as_str().map(str::to_owned).context("no nonce");
    let wrong = |purpose, host: String, plugin: String| {
        let (one, offer) = (&one, &offer);
        move |link: &Link| Ok(one.identify(offer, &one.sign(purpose, &host, &plugin, &nonce(link)?)?))
    };
    let replayed = refused(&relay, |_| Ok(one.identify(&offer, &captured))).await?;
    assert_eq!(replayed, close::UNAUTHORIZED, "another connection has another nonce");
    for (purpose, host, plugin) in [
        (Purpose::Link, "rekursing.com".to_owned(), one.id.clone()),
        (Purpose::Link, host.clone(), other.id.clone()),
        (Purpose::Pass, host.clone(), one.id.clone()),
    ] {
        assert_eq!(refused(&relay, wrong(purpose, host, plugin)).await?, close::UNAUTHORIZED);
    }
    let stolen = refused(&relay, |link| {
        let signature = one.answer(&relay, link)?;
        let mut identify = one.identify(&offer, &signature);
        identify["plugin"] = json!(other.id);
        Ok(identify)
    });
    assert_eq!(stolen.await?, close::UNAUTHORIZED);
    for garbage in ["", "00", &"0".repeat(128), "not hex"] {
        let code = refused(&relay, |_| Ok(one.identify(&offer, garbage))).await?;
        assert_eq!(code, close::UNAUTHORIZED, "{garbage}");
    }
    assert_eq!(relay.stats().await?["plugins"], 1, "who was let in is still there");
    Ok(())
}

#[tokio::test]
async fn neither_secret_nor_signature_is_no_identity_and_a_key_belongs_to_both() -> Result<()> {
    let relay = Relay::start().await?;
    let (device, plugin) = (Device::register(&relay, 1).await?, Plugin::register(&relay).await?);
    let offer = offer(MODEL, 1);
    for fields in
        [&[] as &[&str], &["key"], &["key", "signature"], &["key", "secret"], &["secret", "signature"]]
    {
        let code = refused(&relay, |link| {
            let mut whole = device.identify(&offer, &device.answer(&relay, link)?);
            whole["secret"] = json!(plugin.secret);
            whole["key"] = json!(device.public());
            for field in ["secret", "signature", "key"] {
                if !fields.contains(&field) {
                    whole.as_object_mut().context("an object")?.remove(field);
                }
            }
            Ok(whole)
        });
        assert_eq!(code.await?, close::BAD_FRAME, "{fields:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_secret_gives_way_to_a_key_once_and_is_refused_from_then_on() -> Result<()> {
    let mut relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let device = Device::of(&plugin.id, 3);
    let offer = offer(MODEL, 1);
    let both = |relay: &Relay, link: &Link| {
        let mut both = device.identify(&offer, &device.answer(relay, link)?);
        (both["secret"], both["key"]) = (json!(plugin.secret), json!(device.public()));
        anyhow::Ok(both)
    };
    let mut forged = Link::open(&relay).await?;
    let mut wrong = both(&relay, &forged)?;
    wrong["secret"] = json!("not-the-secret");
    forged.send("identify", &wrong).await?;
    assert_eq!(forged.closed().await?, close::UNAUTHORIZED, "a key alone moves nobody");
    assert_eq!(plugin.earnings(&relay).await?.jobs, 0, "the secret still serves");

    // The second time is that of a plugin that has not heard of the first.
    for _ in 0..2 {
        let mut link = Link::open(&relay).await?;
        let both = both(&relay, &link)?;
        link.send("identify", &both).await?;
        assert_eq!(link.frame("ready").await?["keyed"], true);
    }
    relay.kill().await?;
    relay.restart().await?;
    let code = refused(&relay, |_| Ok(identify(&plugin, &offer))).await?;
    assert_eq!(code, close::UNAUTHORIZED, "the secret is over, also after a restart");
    assert!(plugin.earnings(&relay).await.is_err());
    let mut link = Link::open(&relay).await?;
    let signature = device.answer(&relay, &link)?;
    link.send("identify", &device.identify(&offer, &signature)).await?;
    link.frame("ready").await?;
    let earnings = device.pass(&relay).await?.get(&format!("/api/plugin/earnings/{}", plugin.id)).await?;
    assert_eq!(earnings.status, 200);

    // A key that is somebody's is nobody else's.
    let second = Plugin::register(&relay).await?;
    let same = Device::of(&second.id, 3);
    let mut link = Link::open(&relay).await?;
    let mut both = same.identify(&offer, &same.answer(&relay, &link)?);
    (both["secret"], both["key"]) = (json!(second.secret), json!(same.public()));
    link.send("identify", &both).await?;
    assert!(link.frame("ready").await?.get("keyed").is_none());
    assert_eq!(second.earnings(&relay).await?.jobs, 0, "its secret goes on serving");
    Ok(())
}

#[tokio::test]
async fn a_known_key_is_the_same_plugin_and_a_bad_one_none() -> Result<()> {
    let relay = Relay::start().await?;
    let device = Device::register(&relay, 1).await?;
    let visitor = relay.visitor();
    let again =
        visitor.post("/api/plugin/register", &json!({"key": device.public(), "name": "other"})).await?;
    assert_eq!(again.expect(200)?, json!({"pluginId": device.id}));
    for key in ["", "00", &"zz".repeat(32), &"00".repeat(32), &format!("01{}", "00".repeat(31))] {
        let answer = visitor.post("/api/plugin/register", &json!({"key": key})).await?;
        assert_eq!((answer.status, answer.json()?["error"]["field"].clone()), (400, json!("key")), "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pass_opens_its_own_plugins_routes_and_each_nonce_gives_one() -> Result<()> {
    let relay = Relay::start().await?;
    let (one, other) = (Device::register(&relay, 1).await?, Device::register(&relay, 2).await?);
    let pass = one.pass(&relay).await?;
    for path in ["/api/plugin/earnings/", "/api/plugin/payouts/", "/api/plugin/outlook/"] {
        assert_eq!(pass.get(&format!("{path}{}", one.id)).await?.status, 200);
        assert_eq!(pass.get(&format!("{path}{}", other.id)).await?.error_code()?, "invalid_secret");
    }
    let forged = Page::bearing(relay.address(), &format!("rpp_{}", "0".repeat(80)));
    assert_eq!(
        forged.get(&format!("/api/plugin/earnings/{}", one.id)).await?.error_code()?,
        "invalid_secret"
    );

    let host = relay.address().to_string();
    let nonce = Device::challenge(&relay).await?;
    let post = async |plugin: &str, nonce: &str, signature: &str| {
        let body = json!({"pluginId": plugin, "nonce": nonce, "signature": signature});
        relay.visitor().post("/api/plugin/pass", &body).await
    };
    for (purpose, host, plugin, signed) in [
        (Purpose::Link, host.as_str(), &one.id, nonce.as_str()),
        (Purpose::Pass, "rekursing.com", &one.id, &nonce),
        (Purpose::Pass, &host, &other.id, &nonce),
        (Purpose::Pass, &host, &one.id, "00"),
    ] {
        let answer = post(&one.id, &nonce, &one.sign(purpose, host, plugin, signed)?).await?;
        assert_eq!(answer.error_code()?, "invalid_signature", "{purpose:?} {host} {plugin} {signed}");
    }
    let signature = one.sign(Purpose::Pass, &host, &one.id, &nonce)?;
    let made_up = "0".repeat(80);
    let own = one.sign(Purpose::Pass, &host, &one.id, &made_up)?;
    assert_eq!(
        post(&one.id, &made_up, &own).await?.error_code()?,
        "invalid_signature",
        "not the relay's nonce"
    );
    assert_eq!(post(&one.id, &nonce, &signature).await?.status, 200);
    assert_eq!(post(&one.id, &nonce, &signature).await?.error_code()?, "invalid_signature", "a second time");
    Ok(())
}

#[tokio::test]
async fn under_a_name_that_is_not_its_own_the_relay_asks_for_no_signature() -> Result<()> {
    let relay = Relay::with(&format!("origins = [\"https://relay.example\"]\n{FREE}")).await?;
    for (host, is_own) in [("relay.example", true), ("evil.example", false)] {
        let link = Link::open_as(&relay, Knock { host: Some(host), ..Knock::default() }).await?;
        assert_eq!(link.hello()["nonce"].is_string(), is_own, "{host}");
        let page = relay.visitor().with("host", host);
        let challenge = page.post("/api/plugin/challenge", &json!({})).await?;
        assert_eq!(challenge.status, if is_own { 200 } else { 403 });
        let key = Device::of("", if is_own { 1 } else { 2 }).public();
        let answer = page.post("/api/plugin/register", &json!({"key": key})).await?.expect(201)?;
        assert_eq!(answer["secret"].is_string(), !is_own, "{host}: {answer}");
    }
    Ok(())
}

/// What a page of the extension finds of the device keys.
const KEYS: &str = "new Promise((resolve, reject) => { \
    const opening = indexedDB.open('device'); \
    opening.onerror = () => reject(opening.error); \
    opening.onsuccess = () => { \
        const all = opening.result.transaction('keys').objectStore('keys').getAll(); \
        all.onsuccess = async () => { \
            opening.result.close(); \
            const found = await Promise.all(all.result.map(async ({ privateKey }) => ({ \
                extractable: privateKey.extractable, \
                exported: await crypto.subtle.exportKey('pkcs8', privateKey).then(() => true, () => false) }))); \
            resolve(found); }; }; })";

#[tokio::test]
async fn the_extension_makes_a_key_that_nobody_can_copy_and_is_the_same_after_the_browser_was_closed()
-> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let before = owner.identity().await?;
    assert!(before["plugin"].is_string() && before.get("secret").is_none(), "{before}");
    let popup = owner.popup().await?;
    assert_eq!(popup.eval(KEYS).await?, json!([{"extractable": false, "exported": false}]));
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");

    let owner = owner.again().await?;
    let popup = owner.popup().await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    assert_eq!(owner.identity().await?, before);
    let stats = relay.stats().await?;
    assert_eq!((&stats["plugins"], &stats["sessions"][0]["pluginId"]), (&json!(1), &before["plugin"]));

    // What was earned can be seen, and so be paid out, while the extension is switched off.
    popup.eval("chrome.storage.local.set({ consent: { given: false, at: Date.now() } })").await?;
    popup.until("document.querySelector('#title').textContent === 'Off'").await?;
    let page = owner.open("earnings.html").await?;
    page.until("document.querySelector('#recent').children.length === 1").await?;
    assert_eq!(owner.earnings().await?.jobs, 1);
    assert_eq!(owner.browser().complaints(owner.extension()).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn an_extension_that_has_a_secret_moves_to_a_key_by_itself() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let plugin = Plugin::register(&relay).await?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let popup = owner.popup().await?;
    let identity = json!({"relay": relay.url("http"), "plugin": plugin.id, "secret": plugin.secret});
    popup.eval(&format!("chrome.storage.local.set({{ identity: {identity} }})")).await?;
    popup.eval("chrome.runtime.sendMessage({ type: 'restart' })").await?;
    popup.close().await?;
    let popup = owner.agree().await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    let moved =
        "chrome.storage.local.get('identity').then(({ identity }) => !('secret' in identity) || null)";
    popup.until_some(moved).await?;
    assert_eq!(owner.identity().await?, json!({"relay": relay.url("http"), "plugin": plugin.id}));
    assert!(plugin.earnings(&relay).await.is_err(), "the secret is refused");
    assert_eq!(owner.earnings().await?.jobs, 0);
    Ok(())
}
