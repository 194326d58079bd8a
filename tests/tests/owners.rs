//! What an owner does on the extension's pages, with the real agent before a real relay.

use anyhow::{Context, Result};
use rekursing_tests::{
    browser::Window,
    eventually,
    false_relay::FalseRelay,
    http::Page,
    owner::Owner,
    relay::{FREE, Relay},
    scene::{ask, text},
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

/// Nothing is held back.
const FREELY: &str = "
[money]
holdback_permille = 0
";

/// A relay whose page has 100 dollars, and an owner who wants a cent for each token and has had two
/// jobs of some dollars.
async fn earning() -> Result<(Script, Relay, Owner)> {
    let (script, relay, owner, page) = offering().await?;
    earn(&owner, &page).await?;
    Ok((script, relay, owner))
}

/// The same before the first job, with the page.
async fn offering() -> Result<(Script, Relay, Owner, Page)> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    // It tells no usage, so the relay's own count of the prompt is what is paid.
    script.always(Reply::steps(vec![Step::token("well"), Step::finish("stop"), Step::done()]));
    let (relay, key) = Relay::funded(&format!("{FREE}{FREELY}"), "100.00").await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let popup = owner.popup().await?;
    let dear = "chrome.storage.local.get('config').then(({ config }) => chrome.storage.local.set({ config: \
                { ...config, price: { input: 10_000_000_000, output: 10_000_000_000 } } }))";
    popup.eval(dear).await?;
    popup.shows("#models", "$10,000.00").await?;
    popup.close().await?;
    let page = relay.customer(&key);
    Ok((script, relay, owner, page))
}

/// Has the owner do two jobs.
async fn earn(owner: &Owner, page: &Page) -> Result<()> {
    let mut question = ask(&"hello ".repeat(600));
    question["maxPrice"] = json!(10_000);
    for _ in 0..2 {
        let mut stream = page.stream("/api/llm/inference", &question).await?;
        assert_eq!(text(&stream.events().await?), "well");
    }
    let paid = || async { Ok((owner.earnings().await?.jobs == 2).then_some(())) };
    eventually("two jobs are paid", paid).await
}

#[tokio::test]
async fn the_first_run_goes_from_install_to_ready_by_clicks_and_nothing_connects_before_yes() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::undecided(Window::Headless).await?;
    let url = format!("chrome-extension://{}/welcome.html", owner.extension());
    owner.browser().target("page", &url).await.context("installing opens no welcome page")?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let welcome = owner.open("welcome.html").await?;
    welcome.shows("#server", "Not looked for yet").await?;
    assert_eq!(script.paths(), Vec::<String>::new(), "nobody has asked to look for a server");

    script.set_loaded(false);
    welcome.click("#look").await?;
    welcome.shows("#trouble", "no model loaded").await?;
    welcome.shows("#trouble-how", "Load a model").await?;
    script.set_loaded(true);
    welcome.shows("#server", "LM Studio").await?;
    welcome.shows("#models", MODEL).await?;
    assert!(script.jobs().is_empty());
    welcome.click("#try").await?;
    welcome.shows("#tried", "tokens per second, the first after").await?;
    welcome.shows("#proposed", "The power for a million answer tokens costs about").await?;
    welcome.click("#take").await?;
    welcome.shows("#models", "market, at least").await?;
    let kept = welcome
        .eval("chrome.storage.local.get('config').then(({ config }) => Object.keys(config.prices).join())");
    assert_eq!(kept.await?, MODEL);
    assert_eq!(script.jobs().len(), 1);
    assert_eq!(relay.stats().await?["plugins"], 0);

    welcome.click("#agree").await?;
    welcome.shows("#standing", "Ready for jobs").await?;
    // What everybody reads is written anew ten times a second.
    let is_on = || async { Ok((relay.stats().await?["plugins"] == 1).then_some(())) };
    eventually("the relay has it among those who are on", is_on).await?;
    drop(script);
    welcome.shows("#trouble", "Nothing answers").await?;
    welcome.shows("#trouble-how", "Start the server").await?;
    Ok(())
}

#[tokio::test]
async fn the_earnings_page_shows_the_relays_figures_and_checks_its_receipts() -> Result<()> {
    let (_script, _relay, owner) = earning().await?;
    let earnings = owner.earnings().await?;
    let page = owner.open("earnings.html").await?;
    page.until("document.querySelector('#recent').children.length === 2").await?;
    for (field, amount) in [
        ("available", earnings.available),
        ("held", earnings.held),
        ("in-payout", earnings.in_payout),
        ("paid", earnings.paid),
        ("total", earnings.total),
    ] {
        let shown = page.eval(&format!("document.querySelector('#{field}').dataset.usd")).await?;
        assert_eq!(shown, json!(amount.to_string()), "{field}");
    }
    page.shows("#models", MODEL).await?;
    page.shows("#reading", "2 jobs").await?;
    let back =
        "(day => { day.stepDown(); day.dispatchEvent(new Event('input')); })(document.querySelector('#day'))";
    page.eval(back).await?;
    page.shows("#reading", "0 jobs").await?;

    page.click("#recent button").await?;
    page.shows("#verdict", "The signature holds").await?;
    page.shows("#receipt-fields", &earnings.recent[0].receipt.job_id.to_string()).await?;
    assert!(page.eval("fetch('http://127.0.0.1:1/')").await.is_err(), "the page itself asks nobody");
    let text = page.eval("document.documentElement.outerHTML").await?;
    assert!(!text.as_str().context("no page")?.contains("rpp_"), "no pass is shown to a page");
    Ok(())
}

#[tokio::test]
async fn a_payout_is_made_once_its_cost_is_accepted_and_can_be_taken_back() -> Result<()> {
    let (_script, relay, owner, asker) = offering().await?;
    // Said before anything is earned, it does not have to wait for a day.
    let page = owner.open("earnings.html").await?;
    page.until("document.querySelector('#way').options.length === 3").await?;
    page.fill("#destination", "ada@example.com").await?;
    page.click("#method [type=submit]").await?;
    page.shows("#payouts-notice", "Done.").await?;
    page.close().await?;
    earn(&owner, &asker).await?;
    let before = owner.earnings().await?.available;
    let page = owner.open("earnings.html").await?;
    page.click("#order [type=submit]").await?;
    page.shows("#quote", "$0.25 is the cost").await?;
    assert_eq!(owner.earnings().await?.in_payout.to_string(), "0", "a question moves nothing");

    page.click("#accept").await?;
    page.shows("#made", "Asked for").await?;
    let during = owner.earnings().await?;
    assert!(during.in_payout.get() > 0 && during.available < before, "{during:?}");
    page.click("#made button").await?;
    page.shows("#made", "Taken back").await?;
    assert_eq!(owner.earnings().await?.available, before);

    page.click("#forget").await?;
    page.until("document.querySelector('#order').hidden").await?;
    page.fill("#destination", "nobody").await?;
    page.click("#method [type=submit]").await?;
    page.until("document.querySelector('#payouts-notice').dataset.tone === 'bad'").await?;
    let folder = tempfile::tempdir()?;
    owner.browser().save_to(folder.path()).await?;
    let month = page.eval("document.querySelector('#month').value").await?;
    let month = month.as_str().context("no month")?;
    for (format, line) in [
        ("csv", format!("{month},available,closing,,,,{before}")),
        ("json", format!("\"closing\":\"{before}\"")),
    ] {
        page.click(&format!("#{format}")).await?;
        let file = folder.path().join(format!("rekursing-{month}.{format}"));
        let saved = || async { Ok(std::fs::read_to_string(&file).ok().filter(|text| text.contains(&line))) };
        eventually("the statement is saved with the balance in it", saved).await?;
    }
    relay.audit().await
}

#[tokio::test]
async fn the_toolbar_says_how_things_stand_and_the_first_job_is_told_once() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (relay, silent) = tokio::try_join!(Relay::start(), FalseRelay::start())?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&silent.url("http"), &script.url()).await?;
    let popup = owner.agree().await?;
    let badge = |text: &str, color: &str, title: &str| {
        format!(
            "Promise.all([chrome.action.getBadgeText({{}}), chrome.action.getBadgeBackgroundColor({{}}), \
             chrome.action.getTitle({{}})]).then(([text, color, title]) => (text === '{text}' && \
             color.join() === '{color},255' && title.startsWith('Rekursing: {title}')) || null)"
        )
    };
    let (green, blue, grey, amber) = ("21,128,61", "29,95,191", "85,98,90", "138,90,0");
    let _caller = silent.caller().await?;
    popup.until_some(&badge("…", blue, "Connecting to the relay")).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    popup.until_some(&badge("on", green, "Ready for jobs")).await?;
    let told = "chrome.notifications.getAll().then(all => Object.keys(all).sort().join())";
    popup.until("chrome.storage.local.get('told').then(({ told }) => told.worked === false || null)").await?;
    assert_eq!(popup.eval(told).await?, "");
    let gate = Gate::default();
    gate.open(1);
    script.next(Reply::gated(&["one", " two"], &gate));
    let mut stream = relay.visitor().stream("/api/llm/inference", &ask("go")).await?;
    popup.until_some(&badge("1", green, "Working on 1 job")).await?;
    gate.open(1);
    stream.events().await?;
    popup.until_some(&format!("{told}.then(ids => ids === 'first' || null)")).await?;

    popup.click("#pause-on").await?;
    popup.until_some(&badge("II", grey, "Paused")).await?;
    popup.click("#taking").await?;
    popup.until_some(&badge("on", green, "Ready")).await?;
    popup.click("#pause-hour").await?;
    let until = popup
        .until_some("chrome.storage.local.get('paused').then(({ paused }) => paused.until ?? null)")
        .await?;
    let now = popup.eval("Date.now()").await?;
    let minutes = (until.as_f64().context("no moment")? - now.as_f64().context("no time")?) / 60_000.0;
    assert!((59.0..=60.0).contains(&minutes), "{minutes}");
    popup.click("#taking").await?;
    popup.until("!document.querySelector('#pauses').hidden").await?;
    popup.click("#pause-day").await?;
    let is_midnight = "chrome.storage.local.get('paused').then(({ paused }) => { const at = new Date(paused.until); \
                       return at.getHours() + at.getMinutes() === 0 && at - Date.now() <= 90_000_000 || null; })";
    popup.until_some(is_midnight).await?;
    drop(script);
    popup.until_some(&badge("!", amber, "No models to offer")).await?;

    // A click on a notification leads to the page that it is about.
    let worker = owner.worker().await?;
    worker.eval("chrome.notifications.onClicked.dispatch('first')").await?;
    let url = format!("chrome-extension://{}/earnings.html", owner.extension());
    owner.browser().target("page", &url).await?;
    Ok(())
}

#[tokio::test]
async fn an_owner_is_told_of_what_only_he_can_mend_unless_he_has_switched_that_off() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let relay = Relay::start().await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let popup = owner.popup().await?;
    // From here on the agent itself has nothing new to say, and it is as if it had said nothing before.
    popup.until("chrome.storage.local.get('told').then(({ told }) => told.worked === false || null)").await?;
    popup.eval("chrome.storage.local.set({ told: { needs: '' } })").await?;
    let sign = |paid: &str, needs: &str| {
        json!({"type": "sign", "sign": {
            "badge": "!", "color": "#b3261e", "key": "state_not_connected", "reason": {"code": "version"},
            "worked": true, "paid": paid, "needs": needs,
        }})
    };
    let told = || async {
        popup.eval("chrome.notifications.getAll().then(all => Object.keys(all).sort().join())").await
    };
    let send = |message: Value| {
        let call = format!("chrome.runtime.sendMessage({message}).then(() => true)");
        let popup = popup.clone();
        async move { popup.eval(&call).await }
    };
    send(sign("1", "")).await?;
    assert_eq!(told().await?, "", "what was so before anybody looked is no news");
    send(sign("1", "version")).await?;
    assert_eq!(told().await?, "needs");
    send(sign("1", "")).await?;
    assert_eq!(told().await?, "", "what is mended is not shown any more");
    send(sign("0.5", "")).await?;
    assert_eq!(told().await?, "", "what a rail took back is no payout");
    send(sign("2.5", "")).await?;
    assert_eq!(told().await?, "paid");
    popup.eval("chrome.notifications.clear('paid')").await?;

    // Whoever has set another destination of payouts, the owner hears of it once.
    let moved = |until: u64| {
        let mut sign = sign("2.5", "");
        sign["sign"]["moved"] = json!(until);
        sign
    };
    send(moved(7)).await?;
    assert_eq!(told().await?, "moved");
    popup.eval("chrome.notifications.clear('moved')").await?;
    send(moved(7)).await?;
    send(sign("2.5", "")).await?;
    send(moved(7)).await?;
    assert_eq!(told().await?, "");
    send(moved(8)).await?;
    assert_eq!(told().await?, "moved");
    popup.eval("chrome.notifications.clear('moved')").await?;

    // Each kind is switched off by a click, and on again.
    let switch = |wanted: bool| {
        let popup = popup.clone();
        async move {
            for kind in ["first", "paid", "needs"] {
                popup.click(&format!("#notices [name={kind}]")).await?;
            }
            let kept = format!(
                "chrome.storage.local.get('notices').then(({{ notices }}) => \
                 ['first', 'paid', 'needs'].every(kind => notices[kind] === {wanted}) || null)"
            );
            popup.until(&kept).await
        }
    };
    let unworked = |paid: &str| {
        let mut sign = sign(paid, "");
        sign["sign"]["worked"] = json!(false);
        sign
    };
    popup.click("#notices summary").await?;
    switch(false).await?;
    send(unworked("2.5")).await?;
    send(sign("3.5", "version")).await?;
    let mut later = sign("3.5", "version");
    later["sign"]["moved"] = json!(9);
    send(later).await?;
    assert_eq!(told().await?, "");
    let kept = popup.eval("chrome.storage.local.get('told').then(({ told }) => told.paid)").await?;
    assert_eq!(kept, "3.5", "what was not told is no news later");
    let another = owner.popup().await?;
    another.until("[...document.querySelectorAll('#notices input')].every(box => !box.checked)").await?;
    another.close().await?;
    switch(true).await?;
    send(unworked("3.5")).await?;
    send(sign("4.5", "version")).await?;
    assert_eq!(told().await?, "first,needs,paid");
    Ok(())
}
