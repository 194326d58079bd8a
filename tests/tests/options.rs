//! The owner's choices, set in the settings page of a real Chromium and felt at the relay.

use std::time::Duration;

use anyhow::{Context, Result};
use rekursing_tests::{
    browser::{Tab, Window},
    built, eventually,
    owner::Owner,
    relay::Relay,
    scene::{ask, text},
    script::{Dialect, MODEL, Reply, Script, Step},
    settings::{choose, price, save, tick},
};
use serde_json::{Value, json};

/// Asks until the relay refuses with this code.
async fn refused(relay: &Relay, code: &str) -> Result<()> {
    let page = relay.visitor();
    let look = || async {
        let answer = page.post("/api/llm/inference", &ask("go")).await?;
        Ok((answer.status != 200 && answer.error_code()? == code).then_some(()))
    };
    eventually(&format!("jobs are refused with {code}"), look).await
}

/// Asks until an answer comes.
async fn answered(relay: &Relay) -> Result<()> {
    let page = relay.visitor();
    let question = json!({"prompt": "go", "model": MODEL});
    let look = || async {
        let answer = page.post("/api/llm/inference", &question).await?;
        Ok((answer.status == 200).then_some(()))
    };
    eventually("a job is answered", look).await
}

async fn standing(options: &Tab, says: &str) -> Result<()> {
    let says = format!("document.querySelector('#standing').textContent.includes({})", json!(says));
    options.until(&says).await.map(|_| ())
}

async fn offer(relay: &Relay) -> Result<Option<Value>> {
    let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
    let list = models["models"].as_array().context("no list of models")?;
    Ok(list.iter().find(|model| model["model"] == MODEL || model["id"] == MODEL).cloned())
}

/// Waits until so many slots are free.
async fn free(relay: &Relay, slots: u64) -> Result<()> {
    let look = || async { Ok(offer(relay).await?.filter(|model| model["slotsFree"] == slots).map(|_| ())) };
    eventually(&format!("{slots} slots are free"), look).await
}

#[tokio::test]
async fn a_pause_and_an_idle_rule_keep_jobs_away_until_they_end() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    answered(&relay).await?;
    options.click("[data-rest=hour]").await?;
    standing(&options, "No new jobs are taken until ").await?;
    refused(&relay, "provider_paused").await?;
    let kept = options
        .eval("chrome.storage.local.get('paused').then(kept => kept.paused.until > Date.now())")
        .await?;
    assert_eq!(kept, true);
    options.click("#resume").await?;
    standing(&options, "New jobs are taken.").await?;
    answered(&relay).await?;

    tick(&options, "#idle", true).await?;
    options.fill("#idle-minutes", "1").await?;
    // As Chrome tells the worker, which sleeps by now if nobody has woken it.
    options.eval("chrome.runtime.sendMessage({type: 'wake'})").await?;
    let worker = owner.worker().await?;
    let input = |state: &str| {
        let tell = format!("chrome.idle.onStateChanged.dispatch('{state}')");
        let worker = worker.clone();
        async move { worker.eval(&tell).await.map(|_| ()) }
    };
    input("active").await?;
    save(&options).await?;
    standing(&options, "Waiting until the computer is idle for 1 minute.").await?;
    refused(&relay, "provider_paused").await?;
    input("idle").await?;
    standing(&options, "New jobs are taken.").await?;
    answered(&relay).await?;
    input("active").await?;
    refused(&relay, "provider_paused").await?;
    let popup = owner.popup().await?;
    let shown =
        "document.querySelector('#status').textContent.includes('Waiting until the computer is idle')";
    popup.until(shown).await?;
    Ok(())
}

#[tokio::test]
async fn a_schedule_and_the_battery_keep_jobs_away() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    answered(&relay).await?;
    tick(&options, "#hours", true).await?;
    // Monday is the first row, and a day of Chrome's week 0 is Sunday: three days from here.
    let later =
        "document.querySelectorAll('.day')[(new Date().getDay() + 2) % 7].querySelector('.on').click()";
    options.eval(later).await?;
    save(&options).await?;
    standing(&options, "Outside your schedule. Jobs come again at 10:00 PM in 3 days.").await?;
    refused(&relay, "provider_paused").await?;
    tick(&options, "#hours", false).await?;
    tick(&options, "[data-path='when.mainsOnly']", true).await?;
    save(&options).await?;
    answered(&relay).await?;

    let agent = owner.agent().await?;
    let plugged = |charging: bool| {
        let agent = agent.clone();
        async move {
            let change = format!(
                "navigator.getBattery().then(battery => {{ Object.defineProperty(battery, 'charging', \
                 {{value: {charging}, configurable: true}}); battery.dispatchEvent(new Event('chargingchange')); }})"
            );
            agent.eval(&change).await.map(|_| ())
        }
    };
    plugged(false).await?;
    standing(&options, "Waiting until the computer is plugged in.").await?;
    refused(&relay, "provider_paused").await?;
    plugged(true).await?;
    answered(&relay).await
}

#[tokio::test]
async fn the_owners_own_use_comes_first_and_running_jobs_are_given_back() -> Result<()> {
    let script = Script::start(Dialect::LlamaCpp(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    tick(&options, "[data-path='when.ownUseFirst']", true).await?;
    tick(&options, "[data-path='when.giveBack']", true).await?;
    save(&options).await?;
    script.next(Reply::steps(vec![Step::token("one"), Step::Hold]));
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    stream.event("token").await?;
    script.set_busy(2);
    standing(&options, "Your model server works for you.").await?;
    script.job(0).await?.left(Duration::from_secs(5)).await?;
    // An answer that has begun cannot go to somebody else.
    assert_eq!(stream.event("error").await?["code"], "provider_failed");
    refused(&relay, "provider_paused").await
}

#[tokio::test]
async fn limits_prices_and_models_are_offered_as_they_are_set() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    options.until(&format!("document.querySelector('[data-model=\"{MODEL}\"]') !== null")).await?;
    let market = "document.querySelector('[data-model=\"script-7b\"] .others')?.textContent ?? ''";
    options.until(&format!("({market}) === 'Nobody else serves it now. Asked for 0 times today.'")).await?;
    choose(&options, MODEL, "fixed").await?;
    price(&options, MODEL, "0.25", "0.75").await?;
    options.fill("#context", "2048").await?;
    options.fill("#answer", "7").await?;
    save(&options).await?;
    let offered = || async {
        let model = offer(&relay).await?.unwrap_or_default().to_string();
        Ok((model.contains("0.75") && model.contains("2048")).then_some(()))
    };
    eventually("the relay lists the price and the context", offered).await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    assert_eq!(script.job(0).await?.body["max_tokens"], 7);

    // A day's tokens are spent with the first answer.
    options.fill("#day", "1").await?;
    save(&options).await?;
    answered(&relay).await?;
    standing(&options, "Today's limit of tokens (1) is reached.").await?;
    refused(&relay, "provider_paused").await?;
    options.fill("#day", "").await?;
    options.fill("#hour", "1").await?;
    save(&options).await?;
    standing(&options, "The limit of tokens per hour (1) is reached.").await?;
    refused(&relay, "provider_paused").await?;
    options.fill("#hour", "").await?;
    save(&options).await?;
    answered(&relay).await?;

    // The server has two slots.
    free(&relay, 2).await?;
    options.fill("#slots", "1").await?;
    save(&options).await?;
    free(&relay, 1).await?;

    tick(&options, &format!("[data-model=\"{MODEL}\"] .offered input"), false).await?;
    save(&options).await?;
    let withdrawn = || async { Ok(offer(&relay).await?.is_none().then_some(())) };
    eventually("the model is offered no more", withdrawn).await?;
    let popup = owner.popup().await?;
    popup
        .until("document.querySelector('#status').textContent.includes('None of the loaded models')")
        .await?;
    Ok(())
}

#[tokio::test]
async fn two_servers_share_the_jobs_and_each_says_how_it_is() -> Result<()> {
    let (first, second) =
        tokio::try_join!(Script::start(Dialect::LmStudio(1)), Script::start(Dialect::LlamaCpp(1)))?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &first.url()).await?;
    let options = owner.options().await?;
    options.click("#add-server").await?;
    options.fill("#server-1", &second.url()).await?;
    save(&options).await?;
    let health = |at: usize, says: &str| {
        format!("document.querySelectorAll('.health')[{at}].textContent.includes({})", json!(says))
    };
    options.until(&health(0, "LM Studio has script-7b.")).await?;
    options.until(&health(1, "llama.cpp has script-7b.")).await?;
    options.click("[aria-label='Test server 1']").await?;
    options.until(&health(0, "LM Studio has script-7b.")).await?;
    let both = async || Ok(offer(&relay).await?.filter(|offer| offer["slotsFree"] == 2));
    eventually("the relay has the slots of both", both).await?;
    for script in [&first, &second] {
        script.next(Reply::steps(vec![Step::token("here"), Step::Hold]));
    }
    let page = relay.visitor();
    let mut streams = Vec::new();
    for prompt in ["one", "two"] {
        let mut stream = page.stream("/api/llm/inference", &ask(prompt)).await?;
        stream.event("token").await?;
        streams.push(stream);
    }
    assert_eq!((first.jobs().len(), second.jobs().len()), (1, 1));
    drop(streams);

    drop(second);
    options.click("[aria-label='Test server 2']").await?;
    options.until(&health(1, "Nothing answers at the model server")).await?;
    answered(&relay).await?;
    Ok(())
}

#[tokio::test]
async fn a_wrong_field_is_marked_and_nothing_is_saved() -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    let options = owner.options().await?;
    tick(&options, "#hours", true).await?;
    options.fill("#watts", "much").await?;
    options.fill("#server", "localhost").await?;
    choose(&options, "", "hour").await?;
    options.click("button[type=submit]").await?;
    options.until("document.querySelector('#outcome').dataset.tone === 'bad'").await?;
    let wrong = options
        .eval("[...document.querySelectorAll('[data-error]')].filter(e => e.textContent).map(e => e.dataset.error).sort().join()")
        .await?;
    assert_eq!(wrong, "hours,kwh,price,server:0,watts");
    // The first wrong field has the focus, and its sentence belongs to it.
    let told = options
        .eval("document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent")
        .await?;
    assert_eq!(told, "Begin the address with http:// or https://.");
    let kept = options.eval("chrome.storage.local.get('config').then(kept => 'config' in kept)").await?;
    assert_eq!(kept, false);
    for width in [320, 380, 900] {
        options.resize(width, 800).await?;
        let overflow = options.eval("document.documentElement.scrollWidth - innerWidth").await?;
        assert!(overflow.as_i64().context("a width")? <= 0, "{overflow} pixels too wide at {width}");
    }
    let nameless = options
        .eval(
            "[...document.querySelectorAll('main input, main select, main button')].filter(e => e.offsetParent \
             && !e.labels?.length && !e.ariaLabel && !e.textContent.trim()).map(e => e.outerHTML)",
        )
        .await?;
    assert_eq!(nameless, json!([]));
    Ok(())
}

#[tokio::test]
async fn an_owner_takes_the_data_along_shows_the_log_and_deletes_everything() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("the-secret-prompt")).await?;
    assert_eq!(text(&stream.events().await?), "one two three");
    let options = owner.options().await?;
    let journal = options.eval("chrome.runtime.sendMessage({type: 'journal'})").await?;
    let journal = journal.as_str().context("no journal")?;
    assert!(journal.contains("job done model=script-7b") && journal.contains(" ready models=1"), "{journal}");
    assert!(!journal.contains("the-secret-prompt") && !journal.contains("127.0.0.1"), "{journal}");

    // What would be saved as a file is caught on its way.
    options
        .eval(
            "globalThis.saved = []; const make = URL.createObjectURL; \
             URL.createObjectURL = (blob) => { blob.text().then(text => saved.push(text)); return make(blob); }; \
             HTMLAnchorElement.prototype.click = function () { saved.name = this.download; };",
        )
        .await?;
    let token = "chrome.storage.local.get('config').then(({ config }) => \
                 chrome.storage.local.set({ config: { ...config, token: 'the-token' } }))";
    options.eval(token).await?;
    options.click("#export").await?;
    options.until("saved.length === 1").await?;
    tick(&options, "#secrets", true).await?;
    options.click("#export").await?;
    options.until("saved.length === 2").await?;
    let without = options.eval("JSON.parse(saved[0])").await?;
    let with = options.eval("JSON.parse(saved[1])").await?;
    assert_eq!(with["config"]["token"], "the-token");
    assert!(!without.to_string().contains("the-token"));
    assert!(with["identity"]["plugin"].is_string() && with["identity"].get("secret").is_none(), "{with}");
    assert_eq!(without["config"]["servers"][0]["address"], script.url());

    // The weights of a model in the browser lie elsewhere, and are deleted too.
    let browser = owner.open("browser.html").await?;
    browser.until("document.body.dataset.painted").await?;
    browser.choose("#file", &built::model("tiny-chat.gguf")).await?;
    browser.shows("#sum", "SHA-256").await?;
    let weights = "navigator.storage.getDirectory().then(root => Array.fromAsync(root.keys())).then(names => names.join())";
    assert_eq!(browser.eval(weights).await?, "weights");
    browser.close().await?;

    options.click("#erase").await?;
    options.click("#sure button[value=erase]").await?;
    let gone = || async { Ok((relay.stats().await?["plugins"] == 0).then_some(())) };
    eventually("the relay sees the plugin leave", gone).await?;
    let first_run = || async {
        let kept = owner.options().await?;
        let keys = kept.eval("chrome.storage.local.get().then(kept => Object.keys(kept).join())").await?;
        let state = kept
            .eval("document.querySelector('#given').hidden && document.querySelector('#server').value")
            .await?;
        let keys_left = kept.eval("indexedDB.databases().then(all => all.length)").await?;
        let weights_left = kept.eval(weights).await?;
        kept.close().await?;
        Ok((keys == "" && state == "" && keys_left == 0 && weights_left == "").then_some(()))
    };
    eventually("nothing is kept", first_run).await?;
    let popup = owner.popup().await?;
    popup.until("document.querySelector('#title').textContent === 'Off'").await?;
    Ok(())
}

#[tokio::test]
async fn a_model_of_lm_studio_is_loaded_and_unloaded_by_a_click_and_by_a_job() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    let health =
        |says: &str| format!("document.querySelector('.health').textContent.includes({})", json!(says));
    let asked = |what: &str| script.paths().iter().filter(|path| path.ends_with(what)).count();
    options.click("[aria-label='Unload script-7b']").await?;
    options.until(&health("no model loaded")).await?;
    assert_eq!((asked("/unload"), asked("/load")), (1, 0));
    options.click("[aria-label='Load script-7b']").await?;
    options.until(&health("LM Studio has script-7b.")).await?;
    assert_eq!(asked("/load"), 1);
    // Nothing else may be asked of the server, whoever in the extension tries.
    let agent = owner.agent().await?;
    let other = format!(
        "fetch('{}/api/v1/models/download', {{method: 'POST', body: '{{}}'}}).then(() => 'reached', () => 'stopped')",
        script.url()
    );
    assert_eq!(agent.eval(&other).await?, "stopped");
    assert_eq!(asked("/download"), 0);

    options.click("[aria-label='Unload script-7b']").await?;
    options.until(&health("no model loaded")).await?;
    tick(&options, "#on-demand", true).await?;
    options.fill("#unload", "5").await?;
    save(&options).await?;
    let listed = || async { Ok(offer(&relay).await?.map(|_| ())) };
    eventually("the model is offered though it is not loaded", listed).await?;
    answered(&relay).await?;
    assert_eq!(asked("/load"), 2);
    Ok(())
}

#[tokio::test]
async fn an_owner_takes_the_consent_back_and_copies_the_log() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    options.eval("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }").await?;
    options.click("#copy-log").await?;
    options.until("document.querySelector('#data-outcome').textContent.startsWith('Copied ')").await?;
    let copied = options.eval("copied").await?;
    assert!(copied.as_str().is_some_and(|text| text.contains(" ready models=1")), "{copied}");
    options.click("#withdraw").await?;
    let gone = || async { Ok((relay.stats().await?["plugins"] == 0).then_some(())) };
    eventually("the relay sees the plugin leave", gone).await?;
    options.until("document.querySelector('#given').hidden").await?;
    let popup = owner.popup().await?;
    popup.until("document.querySelector('#title').textContent === 'Off'").await
}

#[tokio::test]
async fn a_price_that_does_not_cover_the_power_is_warned_of_in_dollars_and_a_month_of_data_is_a_limit()
-> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    options.until(&format!("document.querySelector('[data-model=\"{MODEL}\"]') !== null")).await?;
    choose(&options, MODEL, "hour").await?;
    options.fill(&format!("[data-model=\"{MODEL}\"] [data-side=hour] input"), "0.01").await?;
    for (field, text) in [("#watts", "400"), ("#kwh", "0.30"), ("#currency", "EUR"), ("#dollars", "1.1")] {
        options.fill(field, text).await?;
    }
    save(&options).await?;
    let cost = format!("document.querySelector('[data-model=\"{MODEL}\"] .cost').textContent");
    options.until(&format!("{cost}.startsWith('This price does not cover the power')")).await?;
    options.fill(&format!("[data-model=\"{MODEL}\"] [data-side=hour] input"), "0.14").await?;
    save(&options).await?;
    options.until(&format!("!{cost}.startsWith('This price')")).await?;

    options.fill("#month", "0.001").await?;
    save(&options).await?;
    answered(&relay).await?;
    options.until("document.querySelector('#month-done').textContent.endsWith(' this month')").await
}

#[tokio::test]
async fn the_permission_for_an_address_ends_with_the_last_server_there() -> Result<()> {
    const ATTIC: &str = "http://127.0.0.2/*";
    const CELLAR: &str = "http://127.0.0.3/*";
    let owner = Owner::undecided(Window::Headless).await?;
    for host in [ATTIC, CELLAR] {
        owner.browser().grant(owner.extension(), host).await?;
    }
    let options = owner.options().await?;
    let set = "chrome.storage.local.set({ config: { servers: [{ address: 'http://127.0.0.2:1' }, \
               { address: 'http://127.0.0.2:2' }, { address: 'http://127.0.0.3:1' }] } })";
    options.eval(set).await?;
    options.close().await?;
    let options = owner.options().await?;
    let allowed = async || {
        let contains = |host: &str| format!("chrome.permissions.contains({{origins: ['{host}']}})");
        let attic = options.eval(&contains(ATTIC)).await?;
        Ok::<_, anyhow::Error>((attic == true, options.eval(&contains(CELLAR)).await? == true))
    };
    // What was granted before is asked for without a question.
    save(&options).await?;
    assert_eq!(allowed().await?, (true, true));
    options.click("#servers .server:first-child .remove").await?;
    save(&options).await?;
    assert_eq!(allowed().await?, (true, true), "another server is there");
    options.click("#servers .server:first-child .remove").await?;
    save(&options).await?;
    assert_eq!(allowed().await?, (false, true));
    Ok(())
}
