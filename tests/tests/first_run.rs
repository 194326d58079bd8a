//! The first run, clicked through in a real Chromium: before llama.cpp's own server, and with everything that can
//! stand in the way. Each failure says its sentence, and its button mends it.

use anyhow::{Context, Result, ensure};
use rekursing_protocol::{VERSION, frame::close};
use rekursing_tests::{
    browser::{Tab, Window},
    eventually,
    false_relay::{Caller, FalseRelay, PLUGIN},
    line::Line,
    model_server::{self, ModelServer},
    owner::Owner,
    relay::Relay,
    scene::{ask, ask_tiny, text},
    script::{Dialect, MODEL, Script, header},
    settings::save,
};
use serde_json::{Value, json};

/// Addresses at which the extension looks by itself, beside LM Studio's. Nobody listens on the first port.
const NOWHERE: &str = "MAP 127.0.0.1:11434 127.0.0.9:1, MAP 127.0.0.1:8080 127.0.0.9:1, \
                       MAP 127.0.0.1:9931 127.0.0.9:1, MAP 127.0.0.1:8000 127.0.0.9:1, \
                       MAP 127.0.0.1:52415 127.0.0.9:1";

/// Waits for a page of the extension's that a button has opened.
async fn opened(owner: &Owner, page: &str) -> Result<Tab> {
    let url = format!("chrome-extension://{}/{page}", owner.extension());
    let target = owner.browser().target("page", &url).await?;
    let tab = owner.browser().attach(&target).await?;
    tab.until("document.readyState === 'complete'").await?;
    Ok(tab)
}

/// Waits for the settings that a button has opened.
async fn changing(owner: &Owner) -> Result<Tab> {
    let options = opened(owner, "options.html").await?;
    options.until("document.querySelector('#prices .price') !== null").await?;
    Ok(options)
}

/// Takes away what keeps the extension's origin from the model server.
const WITHOUT_THE_RULE: &str = "chrome.declarativeNetRequest.getDynamicRules().then((rules) => \
    chrome.declarativeNetRequest.updateDynamicRules({ removeRuleIds: rules.filter(({ action }) => \
        action.requestHeaders?.some(({ header }) => header === 'origin')).map(({ id }) => id) }))";

/// Goes to the welcome page that installing has opened, of an owner with this relay and server.
async fn installed(owner: &Owner, relay: &str, server: &str) -> Result<Tab> {
    let welcome = opened(owner, "welcome.html").await.context("installing opens no welcome page")?;
    owner.set(relay, server).await?;
    welcome.shows("#server", "Not looked for yet").await?;
    Ok(welcome)
}

/// Says yes, and waits until a page gets an answer.
async fn start(welcome: &Tab, relay: &Relay) -> Result<()> {
    assert_eq!(relay.stats().await?["plugins"], 0, "nothing connects before the owner has said yes");
    welcome.click("#agree").await?;
    welcome.shows("#standing", "Ready for jobs").await?;
    welcome.shows("#done", "You can close this page").await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    Ok(())
}

/// Waits until the first step says what is the matter and how to mend it.
async fn trouble(welcome: &Tab, says: &str, how: &str) -> Result<()> {
    welcome.shows("#trouble-text", says).await?;
    welcome.shows("#trouble-how", how).await
}

/// Waits until the last step says so, with this button.
async fn standing(welcome: &Tab, says: &str, button: &str) -> Result<()> {
    welcome.shows("#standing-text", says).await?;
    welcome.shows("#standing-button", button).await
}

#[tokio::test]
async fn an_owner_of_a_real_server_earns_a_few_clicks_after_installing() -> Result<()> {
    let (server, relay) = tokio::try_join!(ModelServer::start(), Relay::start())?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), server.url()).await?;
    welcome.click("#look").await?;
    welcome.shows("#server", "llama.cpp").await?;
    welcome.shows("#models", model_server::MODEL).await?;
    welcome.click("#try").await?;
    welcome.shows("#tried", model_server::MODEL).await?;
    welcome.shows("#tried", "tokens per second").await?;
    welcome.click("#take").await?;
    welcome.shows("#models", "market, at least").await?;
    assert_eq!(relay.stats().await?["plugins"], 0, "nothing connects before the owner has said yes");
    welcome.click("#agree").await?;
    welcome.shows("#standing", "Ready for jobs").await?;

    let key = relay.key("1.00").await?;
    let page = relay.customer(&key);
    let asked = || async {
        let answer = page.stream("/api/llm/inference", &ask_tiny("Echo: blue river k7x2")).await;
        let Ok(mut stream) = answer else { return Ok(None) };
        Ok((stream.status == 200).then_some(text(&stream.events().await?)))
    };
    assert_eq!(eventually("the relay knows the key", asked).await?, "blue river k7x2");
    let paid = || async { Ok(Some(owner.earnings().await?).filter(|earnings| earnings.jobs == 1)) };
    let earnings = eventually("the job is paid", paid).await?;
    let popup = owner.popup().await?;
    popup
        .until(&format!("document.querySelector('#earned-total').dataset.usd === '{}'", earnings.total))
        .await?;
    relay.audit().await
}

#[tokio::test]
async fn no_server_is_found_until_one_is_started() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (line, relay) = tokio::try_join!(Line::to(script.address()), Relay::start())?;
    line.take_down();
    let lm_studio = line.url("http").replace("http://", "MAP 127.0.0.1:1234 ");
    let owner = Owner::flagged(&[&format!("--host-resolver-rules={lm_studio}, {NOWHERE}")]).await?;
    let welcome = installed(&owner, &relay.url("http"), "").await?;
    welcome.click("#look").await?;
    trouble(&welcome, "No model server was found.", "Its port is 1234.").await?;
    welcome.shows("#options", "Set its address or token").await?;

    // Who has said yes already is told in the popup, and led back here.
    welcome.click("#agree").await?;
    let popup = owner.popup().await?;
    popup.shows("#remedy", "No model server was found.").await?;
    popup.shows("#remedy-button", "Start a model server").await?;
    welcome.close().await?;
    popup.click("#remedy-button").await?;
    let welcome = opened(&owner, "welcome.html#steps").await?;
    trouble(&welcome, "No model server was found.", "switch the server on").await?;
    line.put_up();
    welcome.click("#look").await?;
    welcome.shows("#server", "LM Studio").await?;
    welcome.shows("#models", MODEL).await?;
    welcome.shows("#standing", "Ready for jobs").await
}

#[tokio::test]
async fn a_silent_server_gets_another_address() -> Result<()> {
    let script = Script::start(Dialect::LlamaCpp(2)).await?;
    let (line, relay) = tokio::try_join!(Line::to(script.address()), Relay::start())?;
    line.take_down();
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &line.url("http")).await?;
    welcome.click("#look").await?;
    trouble(&welcome, "Nothing answers at the model server's address.", "Start the server.").await?;
    welcome.shows("#options", "Change the address").await?;
    welcome.click("#options").await?;
    let options = changing(&owner).await?;
    options.fill("#server", &script.url()).await?;
    save(&options).await?;
    options.close().await?;
    welcome.shows("#server", "llama.cpp").await?;
    start(&welcome, &relay).await
}

#[tokio::test]
async fn what_is_no_model_server_gets_another_address() -> Result<()> {
    let script = Script::start(Dialect::Plain).await?;
    let (other, relay) = tokio::try_join!(FalseRelay::start(), Relay::start())?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &other.url("http")).await?;
    welcome.click("#look").await?;
    welcome.shows("#trouble-text", "it is no model server. Check the port.").await?;
    welcome.shows("#options", "Change the address").await?;
    welcome.click("#options").await?;
    let options = changing(&owner).await?;
    options.fill("#server", &script.url()).await?;
    save(&options).await?;
    options.close().await?;
    welcome.shows("#models", MODEL).await?;
    start(&welcome, &relay).await
}

#[tokio::test]
async fn a_server_that_wants_a_token_gets_it_and_nobody_else_does() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    script.want_token("the-token");
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &script.url()).await?;
    welcome.click("#look").await?;
    trouble(&welcome, "The model server wants an API token.", "goes to that address alone.").await?;
    welcome.shows("#options", "Enter the token").await?;
    welcome.click("#options").await?;
    let options = changing(&owner).await?;
    options.fill("#token", "the-token").await?;
    save(&options).await?;
    options.close().await?;
    welcome.shows("#server", "LM Studio").await?;
    start(&welcome, &relay).await?;
    assert_eq!(header(&script.job(0).await?.head, "authorization"), Some("Bearer the-token"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_looked_for_gets_the_token_under_the_address_that_the_owner_sees() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    script.want_token("the-token");
    let relay = Relay::start().await?;
    let lm_studio = script.url().replace("http://", "MAP 127.0.0.1:1234 ");
    let owner = Owner::flagged(&[&format!("--host-resolver-rules={lm_studio}, {NOWHERE}")]).await?;
    let welcome = installed(&owner, &relay.url("http"), "").await?;
    welcome.click("#look").await?;
    let wants =
        "The model server at http://127.0.0.1:1234 wants an API token. If it is yours, enter its token.";
    trouble(&welcome, wants, "goes to that address alone.").await?;
    welcome.click("#options").await?;
    let options = opened(&owner, "options.html").await?;
    options.shows("#servers .health", wants).await?;
    options.fill("#token", "the-token").await?;
    options.until("document.querySelector('#server').value === 'http://127.0.0.1:1234'").await?;
    save(&options).await?;
    let kept = options.eval("chrome.storage.local.get('config').then(({ config }) => config)").await?;
    assert_eq!(kept["servers"], json!([{"address": "http://127.0.0.1:1234", "token": "the-token"}]));
    assert_eq!(kept["token"], Value::Null);
    options.close().await?;
    welcome.shows("#server", "LM Studio").await?;
    start(&welcome, &relay).await?;
    assert_eq!(header(&script.job(0).await?.head, "authorization"), Some("Bearer the-token"));
    Ok(())
}

#[tokio::test]
async fn ollama_in_the_network_is_reached_once_chrome_allows_it_and_never_hears_of_an_extension() -> Result<()>
{
    const HOST: &str = "http://127.0.0.2/*";
    const REFUSED: &str =
        "chrome.permissions.request = async (wish) => { globalThis.wish = wish; return false; }";
    let script = Script::on("127.0.0.2:0", Dialect::Ollama).await?;
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), "").await?;
    let options = owner.options().await?;
    options.eval(REFUSED).await?;
    options.fill("#server", &script.url()).await?;
    options.click("button[type=submit]").await?;
    assert_eq!(options.until_some("globalThis.wish ?? null").await?, json!({"origins": [HOST]}));
    options.shows("#outcome", "Nothing was saved: without your permission").await?;
    // As after a permission that was taken back again.
    options.eval("chrome.permissions.request = async () => true").await?;
    save(&options).await?;
    options.close().await?;

    welcome.click("#look").await?;
    trouble(&welcome, "Chrome does not let the extension reach this address yet.", "Chrome asks you once")
        .await?;
    assert_eq!(script.paths(), Vec::<String>::new(), "an address that is not allowed was asked");
    welcome.shows("#allow", "Allow this address").await?;
    // What Chrome asks then no test can answer; whom it has been answered for before it does not ask again.
    owner.browser().grant(owner.extension(), HOST).await?;
    welcome.click("#allow").await?;
    welcome.shows("#server", "Ollama").await?;
    // The test of the speed is the first `POST`: only that would name an origin.
    welcome.click("#try").await?;
    welcome.shows("#tried", "tokens per second").await?;
    assert_eq!(header(&script.job(0).await?.head, "origin"), None);
    start(&welcome, &relay).await
}

#[tokio::test]
async fn a_refused_origin_is_let_through_by_a_button() -> Result<()> {
    let script = Script::start(Dialect::Ollama).await?;
    script.set_refusing(true);
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &script.url()).await?;
    welcome.click("#look").await?;
    trouble(&welcome, "refuses what comes from a browser extension", "You need no environment variable.")
        .await?;
    welcome.shows("#allow", "Let it through").await?;
    script.set_refusing(false);
    welcome.click("#allow").await?;
    welcome.shows("#server", "Ollama").await?;
    welcome.click("#try").await?;
    welcome.shows("#tried", "tokens per second").await?;
    start(&welcome, &relay).await?;
    let jobs = script.jobs();
    assert_eq!(jobs.len(), 2);
    for job in &jobs {
        assert_eq!(header(&job.head, "origin"), None, "{}", job.path);
    }

    // Without the rule Chrome names the extension, and the server turns it away by itself.
    let worker = owner.worker().await?;
    worker.eval(WITHOUT_THE_RULE).await?;
    welcome.click("#try").await?;
    welcome.shows("#trouble-text", "refuses what comes from a browser extension").await?;
    assert_eq!(script.jobs().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_model_gets_one() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    script.set_loaded(false);
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &script.url()).await?;
    welcome.click("#look").await?;
    trouble(&welcome, "The model server has no model loaded.", "choose one under Developer").await?;
    welcome.shows("#options", "Load a model").await?;
    script.set_loaded(true);
    welcome.click("#look").await?;
    welcome.shows("#models", MODEL).await?;
    start(&welcome, &relay).await
}

#[tokio::test]
async fn models_of_a_cloud_are_not_offered_and_one_of_ones_own_is() -> Result<()> {
    let script = Script::start(Dialect::OllamaCloud).await?;
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &script.url()).await?;
    welcome.click("#look").await?;
    trouble(&welcome, "only models of a provider's cloud", "with the name of a model that it downloads")
        .await?;
    welcome.shows("#options", "Load a model on my GPU").await?;
    let port = script.end();
    let address = port.address().to_string();
    let start_again = || async { Ok(Script::on(&address, Dialect::Ollama).await.ok()) };
    let script = eventually("its port is free again", start_again).await?;
    welcome.click("#look").await?;
    welcome.shows("#models", MODEL).await?;
    start(&welcome, &relay).await?;
    assert_eq!(script.jobs().len(), 1);
    let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
    ensure!(!models.to_string().contains("far-away"), "a model of a cloud is offered: {models}");
    Ok(())
}

#[tokio::test]
async fn a_relay_that_is_away_is_tried_again() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let line = Line::to(relay.address()).await?;
    line.take_down();
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &line.url("http"), &script.url()).await?;
    welcome.click("#look").await?;
    welcome.shows("#models", MODEL).await?;
    welcome.click("#agree").await?;
    standing(&welcome, "The relay cannot be reached. Trying again.", "Try now").await?;
    welcome.shows("#standing-how", "sign in to the network first").await?;
    line.put_up();
    welcome.click("#standing-button").await?;
    welcome.shows("#standing", "Ready for jobs").await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    Ok(())
}

/// An owner who has said yes before a false relay, and the welcome page.
async fn before_a_false_relay(relay: &FalseRelay, script: &Script) -> Result<(Owner, Tab)> {
    let owner = Owner::undecided(Window::Headless).await?;
    let welcome = installed(&owner, &relay.url("http"), &script.url()).await?;
    assert_eq!(script.paths(), Vec::<String>::new(), "nobody has asked to look for a server");
    welcome.click("#look").await?;
    welcome.shows("#models", MODEL).await?;
    let reached = (relay.connections(), relay.asked());
    assert_eq!(reached, (0, Vec::new()), "nothing connects before the owner has said yes");
    welcome.click("#agree").await?;
    Ok((owner, welcome))
}

async fn welcomed(relay: &FalseRelay) -> Result<Caller> {
    let mut caller = relay.caller().await?;
    let offers: &Value = &caller.identify()["inventory"]["offers"];
    ensure!(offers[0]["model"] == MODEL, "nothing is offered: {offers}");
    caller.welcome().await?;
    Ok(caller)
}

#[tokio::test]
async fn a_wrong_clock_is_told_by_how_much_and_looked_at_again() -> Result<()> {
    let (script, relay) = tokio::try_join!(Script::start(Dialect::LmStudio(2)), FalseRelay::start())?;
    relay.set_ahead(3 * 3_600 + 60);
    let (_owner, welcome) = before_a_false_relay(&relay, &script).await?;
    let _caller = welcomed(&relay).await?;
    standing(&welcome, "This computer's clock is 3 hours behind. Set it.", "Look at the clock again").await?;
    welcome.shows("#standing-how", "best to be set by itself").await?;
    relay.set_ahead(-20 * 60 - 30);
    welcome.click("#standing-button").await?;
    standing(&welcome, "This computer's clock is 20 minutes ahead. Set it.", "Look at the clock again")
        .await?;
    relay.set_ahead(0);
    welcome.click("#standing-button").await?;
    welcome.shows("#standing", "Ready for jobs").await
}

#[tokio::test]
async fn a_version_that_is_too_old_looks_for_an_update() -> Result<()> {
    let (script, relay) = tokio::try_join!(Script::start(Dialect::LmStudio(2)), FalseRelay::start())?;
    relay.set_version(VERSION + 1);
    let (owner, welcome) = before_a_false_relay(&relay, &script).await?;
    standing(&welcome, "This version is too old for the relay. Update it.", "Look for an update").await?;
    welcome.shows("#standing-how", "within a few hours").await?;
    let popup = owner.popup().await?;
    popup.shows("#remedy-button", "Look for an update").await?;
    // There is none, so it is only tried again; by now the relay takes this version.
    relay.set_version(VERSION);
    welcome.click("#standing-button").await?;
    let _caller = welcomed(&relay).await?;
    welcome.shows("#standing", "Ready for jobs").await
}

#[tokio::test]
async fn a_relay_that_knows_the_extension_no_more_gets_no_new_one_before_the_owner_was_asked() -> Result<()> {
    let (script, relay) = tokio::try_join!(Script::start(Dialect::LmStudio(2)), FalseRelay::start())?;
    let (owner, welcome) = before_a_false_relay(&relay, &script).await?;
    let registrations = || relay.asked().iter().filter(|asked| *asked == "POST /api/plugin/register").count();
    let caller = welcomed(&relay).await?;
    assert_eq!(registrations(), 1);
    caller.close(close::UNAUTHORIZED).await?;
    standing(&welcome, "The relay does not know this computer.", "Connect again").await?;
    welcome.click("#standing-button").await?;
    let options = opened(&owner, "options.html").await?;
    options.until("document.querySelector('#sure-renew').open").await?;
    options.shows("#renew-text", &format!("what {PLUGIN} has earned and was not paid")).await?;
    options.click("#sure-renew button[value=retry]").await?;
    let caller = welcomed(&relay).await?;
    assert_eq!(registrations(), 1, "once more as before");
    caller.close(close::UNAUTHORIZED).await?;
    options.close().await?;

    standing(&welcome, "The relay does not know this computer.", "Connect again").await?;
    welcome.click("#standing-button").await?;
    let options = opened(&owner, "options.html").await?;
    options.until("document.querySelector('#sure-renew').open").await?;
    options.click("#sure-renew button[value=renew]").await?;
    let _caller = welcomed(&relay).await?;
    assert_eq!(registrations(), 2);
    let kept = "chrome.storage.local.get('memory').then(({ memory }) => memory.unknown[0].plugin)";
    assert_eq!(options.eval(kept).await?, PLUGIN);
    Ok(())
}
