//! The pages of the site, clicked through in Chromium with what real jobs have made, looked at by axe in both
//! colours at 360 and 1200 pixels, and small enough for a slow line.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    axe,
    browser::{Browser, Tab},
    built,
    chat::{answered, look_again},
    database::Engine,
    door::{SHA256, TOKEN, open, sign_in},
    keyboard,
    node::Node,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::json;

/// Widths at which the pages are looked at.
const WIDTHS: [u32; 2] = [360, 1_200];

/// The same for the chat, which is as high as its window.
const WINDOWS: [(u32, u32); 2] = [(360, 740), (1_200, 1_000)];

/// Most bytes of all that Chromium fetches when somebody opens a page for the first time.
const FIRST_LOAD_MAX: u64 = 100_000;

/// Has a page allow notifications, and keep what they say.
const NOTIFIED: &str = "globalThis.told = [], globalThis.Notification = class extends EventTarget { \
                        static permission = 'granted'; static requestPermission = async () => 'granted'; \
                        constructor(title) { super(); told.push(title); } }, undefined";

/// A relay whose operator has a token, with a provider, and a key of an account with money for answers and ads.
async fn scene() -> Result<(Scripted, String)> {
    let config = format!("{SHA256}{FREE}");
    let (relay, key) = Relay::advertised(Engine::Sqlite, &config, "5.00", "3.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let page = scene.relay.customer(&key);
    page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    let free = json!({"prompt": "Which laptop should I buy?", "model": MODEL});
    scene.relay.visitor().post("/api/llm/inference", &free).await?.expect(200)?;
    Ok((scene, key))
}

/// Fails where a code or an id is broken in its middle on a phone's screen, the ids being of the broadest letters that
/// they can have.
async fn keeps_codes_whole(tab: &Tab) -> Result<()> {
    let broken = "(() => {
        const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
        const broken = [];
        for (let text = texts.nextNode(); text; text = texts.nextNode()) {
            text.data = text.data.replace(/\\b([a-z]+_)[0-9A-Z]{26}\\b/g, (id, kind) => kind + 'W'.repeat(26));
            for (const { 0: code, index } of text.data.matchAll(/[a-z]+_\\w+/gi)) {
                // A key, which is longer than a line, has to be.
                if (code.length > 32) continue;
                const range = document.createRange();
                range.setStart(text, index);
                range.setEnd(text, index + code.length);
                if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) broken.push(code);
            }
        }
        return broken;
    })()";
    tab.resize(360, 740).await?;
    let broken = tab.eval(broken).await?;
    ensure!(broken == json!([]), "broken in the middle: {broken}");
    Ok(())
}

/// Fails where a figure or a button of a table is not whole on a phone's screen, or has lost its column's name.
async fn shows_tables_whole(tab: &Tab) -> Result<()> {
    tab.resize(360, 740).await?;
    let cut = "[...document.querySelectorAll('table :is(tbody th, td, td button)')].filter(one => { \
               const {left, right, width} = one.getBoundingClientRect(); \
               return width > 0 && (left < 0 || right > innerWidth || one.scrollWidth > one.clientWidth + 1 \
                 || (one.localName === 'td' && !one.dataset.label)); \
               }).map(one => one.textContent)";
    let cut = tab.eval(cut).await?;
    ensure!(cut == json!([]), "not whole: {cut}");
    Ok(())
}

fn well(wrong: &[String]) -> Result<()> {
    ensure!(wrong.is_empty(), "pictures in {}:\n{}", axe::pictures()?.display(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_operator_sees_the_business_gives_credit_and_pauses_a_campaign() -> Result<()> {
    let (scene, key) = scene().await?;
    let terms = json!({
        "title": "Laptops that last", "text": "Five years of spare parts.", "link": "https://shop.example.com",
        "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    let page = scene.relay.customer(&key);
    page.post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/operator.html").await?;
    let mut wrong = axe::look(&tab, "operator-entry", &WIDTHS).await?;
    tab.until("!document.querySelector('#enter [type=submit]').disabled").await?;
    tab.fill("#key", "a wrong one").await?;
    tab.click("#enter [type=submit]").await?;
    tab.shows("#enter-outcome", "token").await?;
    sign_in(&tab, TOKEN).await?;
    tab.shows("#health", "All is well").await?;
    tab.until("document.querySelector('#days').children.length === 1").await?;
    tab.shows("#by-model", MODEL).await?;
    tab.until("document.querySelector('#providers').children.length === 1").await?;
    tab.shows("#cash", "$").await?;

    let account = page.get("/api/account").await?.expect(200)?;
    tab.fill("#credit-account", account["account"].as_str().context("an account")?).await?;
    tab.fill("#credit-amount", "abc").await?;
    tab.click("#credit [type=submit]").await?;
    tab.shows("#credit .wrong", "“Amount in dollars” takes an amount such as 20.00.").await?;
    tab.fill("#credit-amount", "1.25").await?;
    tab.click("#credit [type=submit]").await?;
    tab.shows("#credit-outcome", "$1.25 was given").await?;
    tab.shows("#log", "grant").await?;
    let after = page.get("/api/account").await?.expect(200)?;
    assert_ne!(after["balance"], account["balance"]);
    let together = "[...document.querySelectorAll('#cash td')].map(({textContent}) => { \
                    const [, sign, whole, parts] = /^(−?)\\$([\\d,]+)\\.(\\d+)$/.exec(textContent); \
                    return BigInt(`${sign && '-'}${whole.replaceAll(',', '')}${parts.padEnd(9, '0')}`); \
                    }).reduce((sum, one) => sum + one, 0n) === 0n";
    assert_eq!(tab.eval(together).await?, true, "what is on the screen adds up");
    tab.click("#campaigns button").await?;
    tab.shows("#campaigns-outcome", "paused").await?;
    let campaigns = page.get("/api/ads/campaigns").await?.expect(200)?;
    assert_eq!(campaigns["campaigns"][0]["state"], "paused");
    tab.click("#switches [data-name=channels]").await?;
    tab.shows("#switches-outcome", "Channels: switched off").await?;
    tab.shows("#log", "switched off").await?;
    let live = scene.relay.visitor().get("/live").await?;
    ensure!(String::from_utf8_lossy(&live.body).contains("switched off at the moment"), "the page says so");
    wrong.extend(axe::look(&tab, "operator", &WIDTHS).await?);
    shows_tables_whole(&tab).await?;
    tab.click("#switches [data-name=channels]").await?;
    tab.shows("#switches-outcome", "Channels: switched on").await?;
    well(&wrong)
}

#[tokio::test]
async fn the_operator_lets_one_payout_go_gives_one_back_and_sees_what_was_taken_and_refused() -> Result<()> {
    let config = format!("{SHA256}[money]\nholdback_permille = 0\n[payouts]\napproval = true\n");
    let (relay, key) = Relay::funded(&config, "30.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    // At the highest price there is, 600 tokens are 6 USD.
    script.always(Reply::text(&[" word"; 600]));
    let dear = ["--price-input", "0", "--price-output", "10000"];
    let node = Node::with(&relay, &script.url(), &dear).await?;
    let (page, owner, operator) =
        (relay.customer(&key), relay.customer(&node.secret()?), relay.customer(TOKEN));
    let payouts = format!("/api/plugin/payouts/{}", node.plugin());
    let method = json!({"method": "paypal", "destination": "ada@example.com"});
    owner.put(&format!("{payouts}/method"), &method).await?.expect(200)?;
    let question = json!({"prompt": "go", "model": MODEL, "maxPrice": "10000", "max_tokens": 1_000});
    for _ in 0..3 {
        page.post("/api/llm/inference", &question).await?.expect(200)?;
    }
    for _ in 0..2 {
        owner.post(&payouts, &json!({"amount": "5.50", "accept": "0.25"})).await?.expect(201)?;
    }
    script.whenever("break", Reply::json(500, &json!({"error": "out of memory"})));
    let broken = json!({"prompt": "break", "model": MODEL, "maxPrice": "10000", "max_tokens": 1_000});
    ensure!(page.post("/api/llm/inference", &broken).await?.status >= 500, "it breaks");

    let browser = Browser::start().await?;
    let tab = open(&browser, &relay, "/operator.html").await?;
    sign_in(&tab, TOKEN).await?;
    tab.until("document.querySelector('#errors').children.length === 1").await?;
    let times = "document.querySelector('#errors td:last-child').textContent";
    assert_eq!(
        tab.eval(times).await?,
        "1",
        "{}",
        tab.eval("document.querySelector('#errors').innerText").await?
    );
    let sums = operator.get("/api/analytics/revenue").await?.expect(200)?;
    let revenue: f64 = sums["revenue"].as_str().context("an amount")?.parse()?;
    ensure!(revenue > 0.0, "{sums}");
    for (term, value) in [("Revenue", format!("${revenue:.2}")), ("Jobs", "3".to_owned())] {
        let fact = format!(
            "[...document.querySelectorAll('#sums div')].find(one => one.firstChild.textContent === '{term}').lastChild.textContent"
        );
        assert_eq!(tab.eval(&fact).await?, json!(value), "{term}");
    }

    let many = |many: usize| format!("document.querySelectorAll('#payouts > li').length === {many}");
    tab.until(&many(2)).await?;
    let wrong = axe::look(&tab, "operator-payouts", &WIDTHS).await?;
    keeps_codes_whole(&tab).await?;
    tab.click("#payouts .approve").await?;
    tab.shows("#payouts-outcome", "Approved.").await?;
    let waits = "#payouts li:has(.approve:not([hidden]))";
    tab.until("document.querySelectorAll('#payouts .approve[hidden]').length === 1").await?;
    tab.click(&format!("{waits} .refuse")).await?;
    tab.fill(&format!("{waits} .text"), "Write to us first.").await?;
    tab.click(&format!("{waits} .reason [type=submit]")).await?;
    tab.shows("#payouts-outcome", "Given back to its owner.").await?;
    tab.until(&many(1)).await?;
    tab.shows("#log", "payout approved").await?;
    let view = owner.get(&payouts).await?.expect(200)?;
    let mut states: Vec<_> =
        (0..2).map(|at| (&view["payouts"][at]["state"], &view["payouts"][at]["reason"])).collect();
    states.sort_by_key(|(state, _)| state.to_string());
    assert_eq!(states[0], (&json!("cancelled"), &json!("Write to us first.")));
    assert_eq!(states[1].0, "requested", "no rail is there to take it");
    well(&wrong)?;
    relay.audit().await
}

#[tokio::test]
async fn an_advertiser_sees_the_ad_before_it_runs_and_what_it_brought() -> Result<()> {
    let (scene, key) = scene().await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/advertise.html").await?;
    let mut wrong = axe::look(&tab, "advertise-entry", &WIDTHS).await?;
    sign_in(&tab, &key).await?;
    tab.shows("#balance", "$3.00").await?;
    for (field, text) in [
        ("title", "Laptops that last"),
        ("text", "Five years of spare parts."),
        ("link", "https://shop.example.com/laptops"),
    ] {
        tab.fill(&format!("[name={field}]"), text).await?;
    }
    let title = "document.querySelector('#preview').shadowRoot.querySelector('a').textContent";
    assert_eq!(tab.until_some(title).await?, "Laptops that last");
    tab.click("#make [type=submit]").await?;
    tab.shows("#make-outcome", "“Budget in all, in dollars” is needed.").await?;
    tab.until("document.activeElement.name === 'budget'").await?;
    tab.shows("label:has([name=ends]) .wrong", "“Last day” is needed.").await?;
    wrong.extend(axe::look(&tab, "advertise-marked", &WIDTHS).await?);
    tab.click("[value=technology]").await?;
    for (field, text) in [("bidPerThousand", "2"), ("budget", "1")] {
        tab.fill(&format!("[name={field}]"), text).await?;
    }
    tab.eval("document.querySelector('[name=ends]').value = '2100-01-01'").await?;
    wrong.extend(axe::look(&tab, "advertise-form", &WIDTHS).await?);
    tab.click("#make [type=submit]").await?;
    tab.shows("#make-outcome", "Laptops that last runs.").await?;
    let page = scene.relay.customer(&key);
    let made = page.get("/api/ads/campaigns").await?.expect(200)?;
    assert_eq!(made["campaigns"][0]["categories"], json!(["technology"]));
    let free = json!({"prompt": "Which laptop should I buy?", "model": MODEL});
    let answer = scene.relay.visitor().post("/api/llm/inference", &free).await?.expect(200)?;
    assert_eq!(answer["ad"]["title"], "Laptops that last");
    tab.click("#campaigns button").await?;
    tab.shows("#report-title", "the latest 30 days").await?;
    tab.shows("#report-facts", "Sent").await?;
    tab.click("#campaigns [aria-label^=Edit]").await?;
    tab.shows("#make-title", "Change “Laptops that last”").await?;
    tab.fill("[name=budget]", "9").await?;
    tab.fill("[name=bidPerThousand]", "").await?;
    tab.fill("[name=bidPerClick]", "4").await?;
    tab.click("#make [type=submit]").await?;
    tab.shows("#make-outcome", "Laptops that last is changed.").await?;
    let changed = page.get("/api/ads/campaigns").await?.expect(200)?;
    let changed = &changed["campaigns"][0];
    assert_eq!(
        (&changed["budget"], &changed["dailyBudget"], &changed["bidPerThousand"], &changed["bidPerClick"]),
        (&json!("9"), &json!("9"), &json!("0"), &json!("4"))
    );
    for kept in ["text", "link", "categories", "starts", "ends", "perVisitorDay"] {
        assert_eq!(changed[kept], made["campaigns"][0][kept], "{kept} stays");
    }
    // What is left pays for no click.
    tab.shows("#campaigns", "Balance too low").await?;
    wrong.extend(axe::look(&tab, "advertise-report", &WIDTHS).await?);
    shows_tables_whole(&tab).await?;
    well(&wrong)
}

#[tokio::test]
async fn an_account_makes_and_revokes_a_key_and_reads_a_receipt_by_clicks() -> Result<()> {
    let (scene, key) = scene().await?;
    let shop = json!({"name": "Shop"});
    let shop = scene.relay.customer(&key).post("/api/account/keys", &shop).await?.expect(201)?;
    let shop = scene.relay.customer(shop["key"].as_str().context("a key")?);
    shop.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    scene.relay.verify(&key).await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/account.html").await?;
    sign_in(&tab, &key).await?;
    // Two were answered with all keys, and one with this one.
    let answers = "document.querySelector('#usage tr td:nth-child(3)')?.textContent";
    tab.until(&format!("{answers} === '2'")).await?;
    tab.eval("(list => { list.value = [...list.options].find(key => key.text === 'Shop').value; list.dispatchEvent(new Event('change')); })(document.querySelector('#usage-of'))")
        .await?;
    assert_eq!(tab.eval(answers).await?, "1");
    tab.eval("(make => { URL.createObjectURL = (blob) => { blob.text().then((text) => { globalThis.saved = text; }); return make.call(URL, blob); }; })(URL.createObjectURL)")
        .await?;
    tab.click("#statement [type=submit]").await?;
    tab.shows("#statement-outcome", "The statement was saved.").await?;
    tab.until("globalThis.saved?.trim().split('\\n').length > 2").await?;
    tab.click("#new summary").await?;
    tab.fill("[name=name]", "For a bot").await?;
    tab.fill("[name=budgetPerDay]", "0.50").await?;
    tab.fill("[name=maxPrice]", "0.8").await?;
    tab.fill("[name=models]", MODEL).await?;
    tab.click("#make [type=submit]").await?;
    let made = tab.until_some("document.querySelector('#made-key').textContent || null").await?;
    let child = scene.relay.customer(made.as_str().context("a key")?);
    let own = child.get("/api/account").await?.expect(200)?;
    assert_eq!((&own["key"]["name"], &own["key"]["budgetPerDay"]), (&json!("For a bot"), &json!("0.5")));
    tab.shows("#keys", "up to $0.80 a million tokens; $0.50 a day").await?;
    let revoke = "#keys [aria-label='Revoke For a bot']";
    tab.click(revoke).await?;
    tab.eval("[...document.querySelectorAll('#keys button')].find(b => b.dataset.sure).click()").await?;
    tab.shows("#keys-outcome", "Revoked").await?;
    assert_eq!(child.get("/api/account").await?.error_code()?, "invalid_api_key");

    tab.click("#entries button").await?;
    tab.shows("#receipt-check", "signature is right").await?;
    tab.shows("#receipt-facts", MODEL).await?;
    tab.fill("#group-code", "WRNG-WRNG-WRNG").await?;
    tab.click("#join [type=submit]").await?;
    tab.until("document.querySelector('#groups-outcome').dataset.tone === 'bad'").await?;
    tab.fill("#team-new", "Blue river").await?;
    tab.click("#team-found [type=submit]").await?;
    tab.shows("#team-outcome", "The team is founded.").await?;
    tab.shows("#team-name", "Blue river, one account").await?;
    tab.fill("#top-up-amount", "20").await?;
    tab.click("#top-up [type=submit]").await?;
    tab.until("document.querySelector('#top-up-outcome').dataset.tone === 'bad'").await?;
    keeps_codes_whole(&tab).await?;
    shows_tables_whole(&tab).await?;
    well(&axe::look(&tab, "account-full", &WIDTHS).await?)
}

#[tokio::test]
async fn who_is_on_a_channel_and_the_models_can_be_read_by_everybody_and_move() -> Result<()> {
    let (scene, key) = scene().await?;
    let Scripted { relay, mut node, script } = scene;
    let relay = &relay;
    let id = node.plugin().to_owned();
    let owner = relay.customer(&node.secret()?);
    let browser = Browser::start().await?;
    let live = open(&browser, relay, "/live").await?;
    live.until("document.querySelector('#providers').children.length === 1").await?;
    owner
        .put(&format!("/api/plugin/channel/{id}"), &json!({"about": "On most evenings."}))
        .await?
        .expect(200)?;
    // The page learns of the channel by itself, and then of what is served.
    live.until(&format!("document.querySelector('#providers a[href=\"/live/{id}\"]') !== null")).await?;
    let mut wrong = axe::look(&live, "live", &WIDTHS).await?;
    let page = relay.customer(&key);
    page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    live.until("document.querySelector('[data-now=jobsCompleted]').textContent === '3'").await?;

    let channel = open(&browser, relay, &format!("/live/{id}")).await?;
    channel.shows("#channel", "On most evenings.").await?;
    channel.click("#follow").await?;
    channel.shows("#outcome", "You follow this channel").await?;
    for tab in [&live, &channel] {
        tab.eval(NOTIFIED).await?;
    }
    channel.click("#notify").await?;
    channel.shows("#outcome", "You are told").await?;
    channel.shows("#notify", "Tell me no more").await?;
    wrong.extend(axe::look(&channel, "channel", &WIDTHS).await?);
    let teams = open(&browser, relay, "/live?of=teams").await?;
    teams.shows("main", "Nobody yet.").await?;
    assert_eq!(
        teams.eval("document.querySelector('nav [aria-current][href*=\"of=teams\"]').textContent").await?,
        "Teams"
    );
    wrong.extend(axe::look(&teams, "live-teams", &WIDTHS).await?);
    let models = open(&browser, relay, "/models").await?;
    models.shows("main", MODEL).await?;
    wrong.extend(axe::look(&models, "models", &WIDTHS).await?);
    let asked = models.eval("document.querySelector('main a').getAttribute('href')").await?;
    let chat = open(&browser, relay, asked.as_str().context("an address")?).await?;
    chat.until(&format!("document.querySelector('#models :checked')?.value === '{MODEL}'")).await?;

    node.process().kill().await?;
    live.until("document.querySelector('#providers').children.length === 0").await?;
    live.shows("#no-providers", "Nobody is on").await?;
    channel.shows("#state", "Off").await?;
    wrong.extend(axe::look(&live, "live-empty", &WIDTHS).await?);
    assert_eq!(channel.eval("told").await?, json!([]), "it was on already");
    let _node = node.again(relay, &script.url()).await?;
    channel.shows("#state", "On").await?;
    live.until("told.length === 1 && told[0].endsWith(' is on')").await?;
    assert_eq!(channel.eval("told").await?, json!([]), "one page tells");
    well(&wrong)
}

#[tokio::test]
async fn whoever_wants_to_be_told_is_told_once_whatever_page_of_the_site_is_open() -> Result<()> {
    let scene = Scripted::start().await?;
    let Scripted { relay, mut node, script } = scene;
    let id = node.plugin().to_owned();
    let owner = relay.customer(&node.secret()?);
    owner.put(&format!("/api/plugin/channel/{id}"), &json!({})).await?.expect(200)?;
    let browser = Browser::start().await?;
    let counted = format!(
        "{NOTIFIED}; globalThis.lines = 0; globalThis.EventSource = class extends EventSource {{ \
           constructor(...at) {{ super(...at); lines += 1; }} }}"
    );
    let channel = format!("/live/{id}");
    let show = async |path: &str| -> Result<Tab> {
        let tab = browser.open("about:blank").await?;
        tab.before_all(&counted).await?;
        tab.go(&format!("{}{path}", relay.url("http"))).await?;
        tab.until("location.protocol === 'http:' && document.readyState === 'complete'").await?;
        Ok(tab)
    };
    let chat = show("/").await?;
    let wish = show(&channel).await?;
    wish.click("#follow").await?;
    wish.click("#notify").await?;
    wish.shows("#outcome", "You are told while a page of this site is open.").await?;
    // The chat listens from when on there is something to tell of: once the page is closed that has listened so far.
    assert_eq!(chat.eval("lines").await?, 0);
    wish.close().await?;
    chat.until("lines === 1").await?;

    let mut tabs = vec![chat];
    for path in ["/models", "/account.html", &channel, "/live"] {
        tabs.push(show(path).await?);
    }
    while !tabs.is_empty() {
        let last = tabs.last().context("a page")?;
        last.until("document.querySelector('#providers').children.length === 1").await?;
        // One page listens for all, and tells.
        for (at, tab) in tabs.iter().enumerate() {
            tab.until(&format!("lines === {}", u8::from(at == 0))).await?;
        }
        node.process().kill().await?;
        last.until("document.querySelector('#providers').children.length === 0").await?;
        node = node.again(&relay, &script.url()).await?;
        last.until("document.querySelector('#providers').children.length === 1").await?;
        tabs[0].until("told.length === 1 && told[0].endsWith(' is on')").await?;
        for tab in &tabs[1..] {
            assert_eq!(tab.eval("told").await?, json!([]));
        }
        // Another page listens when this one is closed.
        tabs.remove(0).close().await?;
    }
    Ok(())
}

/// Asks by the keyboard, which is at the question.
async fn type_and_ask(tab: &Tab, question: &str) -> Result<()> {
    tab.until(
        "document.activeElement.id === 'question' && document.querySelector('#go-text').innerText === 'Ask'",
    )
    .await?;
    tab.enter(question).await?;
    tab.press("Enter").await
}

#[tokio::test]
async fn the_chat_can_be_read_by_everybody_in_every_state_and_used_by_the_keyboard_alone() -> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "1.00", "3.00").await?;
    let terms = json!({
        "title": "Laptops that last", "text": "Five years of spare parts.", "link": "https://shop.example.com",
        "categories": ["technology"], "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    relay.customer(&key).post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &relay, "/").await?;
    tab.shows("#welcome", "No GPU is connected").await?;
    let mut wrong = axe::look_in(&tab, "chat-nobody", &WINDOWS).await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    look_again(&tab).await?;
    wrong.extend(axe::look_in(&tab, "chat", &WINDOWS).await?);

    // The first stop of the keyboard leads over everything else to the question.
    tab.press("Tab").await?;
    tab.press("Enter").await?;
    // The end comes once there was time to choose the ad.
    let gate = Gate::default();
    let told = [
        "## Buying a laptop\n\nLook for **spare parts**:\n\n1. a battery\n2. `RAM`\n\n",
        "```rust\nfn main() {}\n```\n\n| part | years |\n|---|---|\n| battery | 3 |\n",
    ];
    scene.script.next(Reply::gated(&told, &gate));
    gate.open(1);
    type_and_ask(&tab, "Which laptop should I buy?").await?;
    tab.shows(".turn:last-child .prose", "spare parts").await?;
    gate.open(1);
    answered(&tab, "spare parts").await?;
    tab.until("document.querySelector('rekursing-ad') !== null").await?;
    wrong.extend(axe::look_in(&tab, "chat-answer", &WINDOWS).await?);
    keyboard::walk(&tab).await?;
    tab.eval("document.querySelector('.tools button').focus()").await?;
    tab.eval("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }").await?;
    tab.press("Enter").await?;
    tab.until("globalThis.copied?.startsWith('## Buying a laptop') && copied.endsWith('| battery | 3 |\\n')")
        .await?;
    tab.eval("document.querySelector('[data-copy]').focus()").await?;
    tab.press("Enter").await?;
    tab.until("copied === 'fn main() {}'").await?;

    // Where the panel does not fit beside the talk, it is opened and closed.
    tab.resize(360, 740).await?;
    tab.eval("document.querySelector('#panel-toggle').focus()").await?;
    tab.press("Enter").await?;
    tab.shows("#panel", "Conversations").await?;
    wrong.extend(axe::look_in(&tab, "chat-panel", &WINDOWS[..1]).await?);
    keyboard::walk(&tab).await?;
    tab.press("Escape").await?;
    tab.until("!document.querySelector('#panel').checkVisibility()").await?;

    scene.script.next(Reply::steps(vec![Step::token("Endless"), Step::Hold]));
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(&tab, "Go on").await?;
    tab.shows(".turn:last-child .prose", "Endless").await?;
    wrong.extend(axe::look_in(&tab, "chat-busy", &WINDOWS).await?);
    tab.press("Escape").await?;
    tab.shows(".turn:last-child", "because you stopped it").await?;
    // Nobody here has shown yet that he is quick and reliable.
    tab.resize(1_200, 1_000).await?;
    tab.eval("(tier => { tier.value = 'ultra'; tier.dispatchEvent(new Event('change')); })(document.querySelector('#tier'))")
        .await?;
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(&tab, "Do better").await?;
    tab.shows(".turn:last-child [role=alert]", "Ask again").await?;
    tab.shows(".turn:last-child [role=alert]", "Choose a lower one under Quality").await?;
    wrong.extend(axe::look_in(&tab, "chat-error", &WINDOWS).await?);
    let only = open(&browser, &scene.relay, &format!("/?provider={}", scene.node.plugin())).await?;
    look_again(&only).await?;
    wrong.extend(axe::look_in(&only, "chat-only", &WINDOWS).await?);
    well(&wrong)
}

/// Loads the page again.
async fn reload(tab: &Tab) -> Result<()> {
    tab.eval("globalThis.isOld = true, location.reload(), undefined").await?;
    tab.until("globalThis.isOld === undefined && document.querySelector('#models')?.children.length > 0")
        .await
}

/// What the list of conversations says.
async fn conversations(tab: &Tab, titles: &[&str]) -> Result<()> {
    let listed = "[...document.querySelectorAll('#conversations li > :first-child')].map(e => e.textContent)";
    tab.until(&format!("{listed}.join('|') === {}", json!(titles.join("|")))).await
}

#[tokio::test]
async fn conversations_are_kept_and_deleted_another_provider_is_asked_and_the_quality_is_chosen() -> Result<()>
{
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let page = scene.relay.customer(&key);
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/").await?;
    tab.resize(1_200, 1_000).await?;
    look_again(&tab).await?;
    tab.fill("#key", &key).await?;
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(&tab, "What is a river?").await?;
    answered(&tab, "one two three").await?;
    conversations(&tab, &["What is a river?"]).await?;

    let second = Script::start(Dialect::LlamaCpp(4)).await?;
    second.always(Reply::text(&["somebody else"]));
    let other = Node::start(&scene.relay, &second.url()).await?;
    tab.click(".tools button:last-child").await?;
    answered(&tab, "somebody else").await?;
    assert_eq!(tab.eval("document.querySelectorAll('.turn').length").await?, 1);
    // It is the same conversation, and the receipt is the new one's. Both were paid for.
    conversations(&tab, &["What is a river?"]).await?;
    let spent = page.get("/api/account").await?.expect(200)?["spent"].clone();
    let spent = format!("${}", spent.as_str().context("an amount")?);
    tab.until(&format!("document.querySelector('#spent').textContent === {}", json!(spent))).await?;

    tab.click("#fresh").await?;
    type_and_ask(&tab, "And a lake?").await?;
    tab.until("document.querySelector('.turn:last-child .tools') !== null").await?;
    conversations(&tab, &["And a lake?", "What is a river?"]).await?;
    reload(&tab).await?;
    conversations(&tab, &["And a lake?", "What is a river?"]).await?;
    // It is the one that was open.
    tab.shows(".turn .asked", "And a lake?").await?;
    tab.click("#conversations li:last-child button").await?;
    answered(&tab, "somebody else").await?;
    tab.shows(".turn .receipt", "Cost").await?;
    // Who goes on in it has all of it before the model.
    tab.eval("document.querySelector('#question').focus()").await?;
    second.always(Reply::text(&["deeper"]));
    scene.script.always(Reply::text(&["deeper"]));
    type_and_ask(&tab, "How deep?").await?;
    answered(&tab, "deeper").await?;
    conversations(&tab, &["What is a river?", "And a lake?"]).await?;
    let jobs = [scene.script.jobs(), second.jobs()].concat();
    let whole = jobs.iter().find(|job| job.body.to_string().contains("How deep?")).context("no job")?;
    assert_eq!(whole.body["messages"][1]["content"], "somebody else");

    let delete = "#conversations li:last-child button:last-child";
    tab.click(delete).await?;
    tab.shows(delete, "Delete for good").await?;
    tab.click(delete).await?;
    conversations(&tab, &["What is a river?"]).await?;
    reload(&tab).await?;
    conversations(&tab, &["What is a river?"]).await?;
    tab.click("#forget-all").await?;
    tab.shows("#forget-all", "Delete all for good").await?;
    tab.click("#forget-all").await?;
    tab.until("document.querySelector('#kept').hidden").await?;
    reload(&tab).await?;
    assert_eq!(tab.eval("document.querySelector('#kept').hidden").await?, true);

    // The quality is chosen by the keyboard too, kept as long as the tab, and asked for.
    assert_eq!(tab.eval("document.querySelector('#tier').value").await?, "standard");
    tab.eval("document.querySelector('#tier').focus()").await?;
    tab.press("ArrowUp").await?;
    tab.until("document.querySelector('#tier').value === 'low'").await?;
    reload(&tab).await?;
    assert_eq!(tab.eval("document.querySelector('#tier').value").await?, "low");
    tab.eval("globalThis.asked = [], globalThis.take = fetch, globalThis.fetch = (url, init) => { asked.push(init?.body); return take(url, init); }, undefined").await?;
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(&tab, "Cheaper?").await?;
    answered(&tab, "deeper").await?;
    tab.until("asked.some(body => body && JSON.parse(body).quality === 'low')").await?;
    asks_this_one(&browser, &scene, (&second, &other)).await?;
    asks_the_model_that_is_chosen(&tab, &scene.relay).await
}

/// Follows the link of each of two providers: he is asked, and the other one is not.
async fn asks_this_one(browser: &Browser, scene: &Scripted, (second, other): (&Script, &Node)) -> Result<()> {
    let asked = || [scene.script.jobs().len(), second.jobs().len()];
    for (plugin, at) in [(scene.node.plugin(), 0), (other.plugin(), 1)] {
        let only = open(browser, &scene.relay, &format!("/?provider={plugin}")).await?;
        only.resize(1_200, 1_000).await?;
        look_again(&only).await?;
        let mut expected = asked();
        for _ in 0..2 {
            expected[at] += 1;
            only.eval("document.querySelector('#question').focus()").await?;
            type_and_ask(&only, "You alone?").await?;
            only.until("document.querySelector('#news').textContent === 'The answer is complete.'").await?;
            assert_eq!(asked(), expected);
        }
        // The conversation stays his, also where it is opened again.
        let called = format!("provider {}", &plugin[plugin.len() - 6..]);
        let newest = "#conversations li:first-child";
        only.shows(&format!("{newest} .note"), &format!("Asks {called} alone")).await?;
        only.close().await?;
        let again = open(browser, &scene.relay, "/").await?;
        again.resize(1_200, 1_000).await?;
        look_again(&again).await?;
        again.click(&format!("{newest} button")).await?;
        again.shows("#only", &format!("Only {called} is asked")).await?;
        expected[at] += 1;
        again.eval("document.querySelector('#question').focus()").await?;
        type_and_ask(&again, "And now?").await?;
        again.until("document.querySelector('#news').textContent === 'The answer is complete.'").await?;
        assert_eq!(asked(), expected);
        again.click("#anybody").await?;
        again.until(&format!("document.querySelector('{newest} .note') === null")).await?;
        again.close().await?;
    }
    Ok(())
}

/// Chooses another model in the list, which shows its price and, once it is known, its speed.
async fn asks_the_model_that_is_chosen(tab: &Tab, relay: &Relay) -> Result<()> {
    let third = Script::start(Dialect::Plain).await?;
    third.set_names(&["other-3b".to_owned()]);
    third.always(Reply::text(&[" word"; 40]));
    let price = ["--price-input", "0.05", "--price-output", "0.2"];
    let _third = Node::with(relay, &third.url(), &price).await?;
    let row = "#models label:has([value='other-3b'])";
    look_again(tab).await?;
    tab.until(&format!("document.querySelector({}) !== null", json!(row))).await?;
    // The lowest tier is chosen, at 0.8 times the price.
    tab.shows(row, "$0.04 in, $0.16 out").await?;
    tab.click(&format!("{row} input")).await?;
    tab.until("document.querySelector('#chosen').textContent === 'other-3b'").await?;
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(tab, "And who are you?").await?;
    answered(tab, "word word").await?;
    tab.until("JSON.parse(asked.findLast(body => body)).model === 'other-3b'").await?;
    assert_eq!(third.job(0).await?.body["model"], "other-3b");
    look_again(tab).await?;
    tab.shows(row, "tokens/s").await
}

#[tokio::test]
async fn no_page_fetches_more_than_a_hundred_kilobytes_when_it_is_opened_for_the_first_time() -> Result<()> {
    let (scene, _key) = scene().await?;
    let owner = scene.relay.customer(&scene.node.secret()?);
    let channel = format!("/live/{}", scene.node.plugin());
    owner.put(&format!("/api/plugin/channel/{}", scene.node.plugin()), &json!({})).await?.expect(200)?;
    let browser = Browser::start().await?;
    let tab = browser.open("about:blank").await?;
    tab.fetch_anew().await?;
    for (path, there) in [
        ("/", "document.querySelector('#models').children.length > 0"),
        ("/live", "document.querySelector('#providers').children.length > 0"),
        (&channel, "document.querySelector('#channel') !== null"),
        ("/models", "document.querySelector('main a') !== null"),
        ("/phone.html", "!document.querySelector('#unpaired').hidden"),
        ("/account.html", "!document.querySelector('#enter [type=submit]').disabled"),
        ("/operator.html", "!document.querySelector('#enter [type=submit]').disabled"),
        ("/advertise.html", "!document.querySelector('#enter [type=submit]').disabled"),
    ] {
        tab.go(&format!("{}{path}", scene.relay.url("http"))).await?;
        tab.until(there).await?;
        let bytes = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
                     .reduce((sum, { transferSize }) => sum + transferSize, 0)";
        let bytes = tab.eval(bytes).await?.as_u64().context("no number of bytes")?;
        println!("{path}: {bytes} bytes of at most {FIRST_LOAD_MAX}");
        ensure!(
            (1_000..=FIRST_LOAD_MAX).contains(&bytes),
            "{path}: {bytes} bytes where {FIRST_LOAD_MAX} may be"
        );
    }
    Ok(())
}

/// Codes that no chat meets: those of other routes, and of wishes that it has not.
const ELSEWHERE: &str = "
account_not_found account_only ad_over ad_too_soon already_paired answer_too_large bad_signature bid_below_floor
budget_spent campaign_not_found cancelled channel_not_found corrected_before correction_uncovered device_keys_refused
dispute_not_found dispute_open dispute_state disputed_before earnings_left entry_not_found follows_too_many
group_full group_not_found group_price_changed in_group in_team invalid_phone invalid_secret invalid_signature
job_not_found key_has_limits key_line_too_long key_not_found key_revoked method_not_allowed no_word not_booked
not_connected not_correctable not_creator not_disputable not_ended not_in_group not_in_team operator_only other_visitor
payment_service_failed payout_account_only payout_held payout_method_missing payout_not_found payout_not_sent
payout_rail_differs payout_under_way phone_not_found plugin_not_found premium_costs_more premium_not_offered
project_not_found steering_off team_full team_name_taken team_not_earned too_many_campaigns too_many_disputes too_many_groups
too_many_keys too_many_payouts too_many_phones too_many_plugins too_many_projects top_ups_not_set_up
unsupported_media_type upgrade_required wrong_code wrong_pairing_code";

/// What of a sentence tells somebody to do.
const ADVICE: &str =
    "/(ask|choose|enter|begin|write|wait|come back|load|open|look|correct|take it out|pay in)/i";

#[tokio::test]
async fn every_code_that_a_chat_can_meet_has_a_sentence_that_says_what_helps() -> Result<()> {
    let table = std::fs::read_to_string(built::root().join("docs/http.md"))?;
    let (_, table) = table.split_once("## Codes").context("no table of codes")?;
    let codes = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let elsewhere: Vec<_> = ELSEWHERE.split_whitespace().collect();
    let mut met: Vec<_> = codes.filter(|code| !elsewhere.contains(code)).collect();
    ensure!(met.len() > 40, "only {} codes", met.len());

    let scene = Scripted::start().await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/").await?;
    look_again(&tab).await?;
    // The relay refuses with each of them in turn.
    let refuse = "(async (codes) => {
        const real = globalThis.fetch;
        let code;
        globalThis.fetch = async (url, init) => String(url).endsWith('/api/llm/inference')
            ? Response.json({ error: { code, message: 'what the relay says' } }, { status: 400 }) : real(url, init);
        const seen = {};
        for (code of codes) {
            const [question, form] = ['#question', '#composer'].map((place) => document.querySelector(place));
            question.value = 'go';
            form.requestSubmit();
            const alert = () => document.querySelector('.turn:last-child [role=alert] p');
            while (!alert() || document.querySelector('#go-text').textContent !== 'Ask') await new Promise(requestAnimationFrame);
            seen[code] = alert().textContent;
            document.querySelector('#fresh').click();
        }
        globalThis.fetch = real;
        return seen;
    })";
    let mut seen = tab.comes_to(&format!("{refuse}({})", json!(met))).await?;
    // What the library says of its own, it says only after it has tried again for long.
    for code in ["unreachable", "cut", "malformed"] {
        let words =
            format!("import('/failures.js').then(({{ words }}) => words({{ code: '{code}' }}, false)[0])");
        seen[code] = tab.eval(&words).await?;
        met.push(code);
    }
    let mut sentences = std::collections::BTreeSet::new();
    for code in &met {
        let sentence = seen[code].as_str().with_context(|| format!("nothing of {code}"))?;
        ensure!(!sentence.to_lowercase().contains("what the relay says"), "{code} has no words");
        ensure!(sentence.ends_with('.') && !sentence.contains(['!', '`', '_']), "{code}: {sentence}");
        let advises = tab.eval(&format!("{ADVICE}.test({})", json!(sentence))).await?;
        ensure!(advises == json!(true), "{code} does not say what helps: {sentence}");
        sentences.insert(sentence);
    }
    ensure!(sentences.len() == met.len(), "{} sentences for {} codes", sentences.len(), met.len());

    // A model server that fails is its owner's affair, and told as that.
    scene.script.whenever("break", Reply::json(500, &json!({"error": "out of memory"})));
    tab.eval("document.querySelector('#question').focus()").await?;
    type_and_ask(&tab, "Please break").await?;
    tab.shows(".turn:last-child [role=alert]", "failed at the computer that took your question").await
}

#[tokio::test]
async fn without_scripts_what_only_shows_is_whole_and_the_rest_says_where_to_read_on() -> Result<()> {
    let (scene, _key) = scene().await?;
    let owner = scene.relay.customer(&scene.node.secret()?);
    let plugin = scene.node.plugin();
    owner
        .put(&format!("/api/plugin/channel/{plugin}"), &json!({"about": "On most evenings."}))
        .await?
        .expect(200)?;
    let browser = Browser::start().await?;
    let tab = browser.open("about:blank").await?;
    tab.without_scripts().await?;
    let at = |path: &str| format!("{}{path}", scene.relay.url("http"));
    let channel = format!("/live/{plugin}");
    for (path, words) in [
        ("/live", ["Ask this one", MODEL, "UTC", "Leaders"]),
        (&channel, ["On most evenings.", MODEL, "Day by day", "Ask this one"]),
        ("/models", [MODEL, "Price of answers", "Reachable, 30 days", "Ask it"]),
    ] {
        tab.go(&at(path)).await?;
        for words in words {
            tab.shows("main", words).await.with_context(|| path.to_owned())?;
        }
        // Nothing is there that would do nothing.
        assert_eq!(
            tab.eval("[...document.querySelectorAll('button')].some(e => e.checkVisibility())").await?,
            false
        );
    }
    for (path, dead) in [
        ("/", "#composer, #panel, #starters, #fresh"),
        ("/account.html", "#enter, #inside"),
        ("/advertise.html", "#enter, #inside"),
        ("/operator.html", "#enter, #inside"),
        ("/phone.html", "#unpaired, #pair, #inside"),
    ] {
        tab.go(&at(path)).await?;
        tab.shows(".noscript", "a script, and scripts are off in this browser")
            .await
            .with_context(|| path.to_owned())?;
        tab.until("document.querySelector('.noscript a')?.checkVisibility()").await?;
        let dead = format!("[...document.querySelectorAll('{dead}')].some(e => e.checkVisibility())");
        assert_eq!(tab.eval(&dead).await?, false, "{path}");
        for width in WIDTHS {
            tab.resize(width, 740).await?;
            assert_eq!(axe::too_wide(&tab).await?, None, "{path}");
        }
    }
    Ok(())
}
