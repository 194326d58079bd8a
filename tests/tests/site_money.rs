//! What the pages of account, operator and advertiser say of money, clicked through in Chromium: it is what the
//! ledger has, of real jobs, real ads and payments as Stripe reports them.

use anyhow::{Context, Result, ensure};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    browser::{Browser, Tab},
    database::{Engine, Ledger, Settlement},
    door::{SHA256, TOKEN, open, sign_in},
    eventually,
    http::Page,
    node::Node,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, Gate, MODEL, Reply, Script},
    stripe::{self, Stripe, WEBHOOK_SECRET},
};
use serde_json::{Value, json};

const INFERENCE: &str = "/api/llm/inference";

/// A question beside whose free answer an ad stands.
const QUESTION: &str = "Which laptop should I buy?";

/// The same without one.
const SENSITIVE: &str = "Which laptop can I use during chemotherapy?";

fn terms() -> Value {
    json!({
        "title": "Laptops that last", "text": "Five years of spare parts.", "link": "https://shop.example.com",
        "categories": ["technology"], "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    })
}

/// Writes an amount as the pages do: all digits below a dollar, cents above.
fn usd(amount: Nanos) -> String {
    let sign = if amount < Nanos::ZERO { "−" } else { "" };
    let (whole, parts) = (amount.get().abs() / Nanos::DOLLAR.get(), amount.get().abs() % Nanos::DOLLAR.get());
    let parts = format!("{parts:09}");
    let kept = if whole == 0 { &parts[..] } else { &parts[..2] };
    format!("{sign}${whole}.{:0<2}", kept.trim_end_matches('0'))
}

/// The same to the last digit, with which amounts add up.
fn exact(amount: Nanos) -> String {
    let text = amount.to_string();
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |text| ("−", text));
    let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
    format!("{sign}${whole}.{parts:0<2}")
}

/// The same of what is a sum of many: below a dollar the first four digits that tell something.
fn sum(amount: Nanos) -> String {
    let mut text = usd(amount);
    if let Some(parts) = text.split_once("$0.").map(|(_, parts)| parts) {
        let zeros = parts.len() - parts.trim_start_matches('0').len();
        text.truncate(text.len() - parts.len().saturating_sub(zeros + 4));
    }
    text
}

fn nanos(dollars: &str) -> Result<Nanos> {
    Ok(dollars.parse()?)
}

/// Waits until a fact of this name in a list of them says this.
async fn fact(tab: &Tab, list: &str, term: &str, value: &str) -> Result<()> {
    let facts = format!(
        "Object.fromEntries([...document.querySelectorAll('{list} > div')].map(one => [...one.children].map(e => e.textContent)))"
    );
    let says = format!("({facts})[{}] === {}", json!(term), json!(value));
    let waited = tab.until(&says).await;
    let shown = tab.eval(&facts).await?;
    waited.with_context(|| format!("{term} is not {value:?} in {shown}"))
}

/// Waits until a table has exactly these rows, as they are to be read.
async fn rows(tab: &Tab, body: &str, wanted: &[Vec<String>]) -> Result<()> {
    let shown = format!(
        "[...document.querySelectorAll('{body} > tr')].map(row => [...row.children].map(cell => cell.textContent))"
    );
    let waited =
        tab.until(&format!("JSON.stringify({shown}) === {}", json!(json!(wanted).to_string()))).await;
    let shown = tab.eval(&shown).await?;
    waited.with_context(|| format!("not {wanted:?} but {shown}"))
}

#[tokio::test]
async fn an_account_pays_in_begins_and_ends_premium_and_reads_all_that_moved_its_money() -> Result<()> {
    let stripe = Stripe::start().await?;
    let (config, _secrets) = stripe.set_up()?;
    let (relay, key) = Relay::funded(&format!("{FREE}{config}"), "1.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    let relay = &scene.relay;
    for _ in 0..51 {
        page.post(INFERENCE, &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    }
    let account = async || page.get("/api/account").await?.expect(200);
    let balance = async || nanos(account().await?["balance"].as_str().context("a balance")?);
    let browser = Browser::start().await?;
    let tab = open(&browser, relay, "/account.html").await?;
    sign_in(&tab, &key).await?;
    let before = balance().await?;
    tab.shows("#balance", &usd(before)).await?;

    // Of 51 answers and the credit of the beginning the latest 50 are shown, and then all.
    let shown = "document.querySelectorAll('#entries > tr').length";
    assert_eq!(tab.eval(shown).await?, 50);
    tab.click("#more").await?;
    tab.until(&format!("{shown} === 52 && document.querySelector('#more').hidden")).await?;
    let kinds = "[...document.querySelectorAll('#entries > tr')].map(row => row.children[1].textContent.split(':')[0])";
    assert_eq!(tab.eval(&format!("{kinds}.filter(kind => kind === 'Answer').length")).await?, 51);
    assert_eq!(tab.eval(&format!("{kinds}.at(-1)")).await?, "Credit");

    tab.fill("#top-up-amount", "20").await?;
    tab.click("#top-up [type=submit]").await?;
    let said = "Your card is charged $20.00. The payment costs $0.88, so $19.12 is added.";
    tab.shows("#top-up-terms", said).await?;
    let pay = tab.eval("document.querySelector('#top-up-go').href").await?;
    assert_eq!(pay, "https://checkout.stripe.com/c/pay/cs_test_1");
    let id = account().await?["account"].as_str().context("an account")?.to_owned();
    let paid = stripe::paid("cs_test_1", &id, 2_000, "pi_1");
    stripe::report(&relay.visitor(), WEBHOOK_SECRET, "checkout.session.completed", &paid)
        .await?
        .expect(200)?;
    let grown = before.checked_add(nanos("19.12")?).context("an amount")?;
    assert_eq!(balance().await?, grown);
    // Whoever has paid in another tab comes back to this one, and whoever paid in this one to the page anew.
    tab.eval("document.dispatchEvent(new Event('visibilitychange')), undefined").await?;
    tab.shows("#balance", &usd(grown)).await?;
    tab.go(&format!("{}/account.html?paid=cs_test_1", relay.url("http"))).await?;
    tab.shows("#balance", &usd(grown)).await?;
    tab.until(&format!("{kinds}.slice(0, 2).sort().join() === 'Cost of the payment,Paid in'")).await?;

    tab.shows("#premium-terms", "$5.00 for 30 days").await?;
    tab.click("#premium-change").await?;
    // It costs at once, so it is asked for twice.
    tab.shows("#premium-change", "Yes, begin for $5.00").await?;
    tab.click("#premium-change").await?;
    tab.shows("#premium-terms", ", and then goes on.").await?;
    let left = grown.checked_sub(nanos("5")?).context("an amount")?;
    tab.shows("#balance", &usd(left)).await?;
    assert_eq!((balance().await?, &account().await?["premium"]["renews"]), (left, &json!(true)));
    tab.shows("#premium-change", "Let it end").await?;
    tab.click("#premium-change").await?;
    tab.shows("#premium-terms", ", and then ends.").await?;
    tab.shows("#premium-change", "Let it go on").await?;
    assert_eq!((balance().await?, &account().await?["premium"]["renews"]), (left, &json!(false)));
    assert_eq!(relay.ledger()?.entries("premium")?, 1);
    relay.audit().await
}

#[tokio::test]
async fn an_account_joins_and_leaves_a_group_and_founds_joins_and_leaves_a_team_by_clicks() -> Result<()> {
    let limits = "group_tries_per_minute = 1000\n";
    let (relay, key) = Relay::funded(&format!("{FREE}{limits}"), "0").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    let relay = &scene.relay;
    let owner = relay.customer(&scene.node.secret()?);
    let group = format!("/api/plugin/group/{}", scene.node.plugin());
    let made = owner.post(&group, &json!({"input": "0.05", "output": "0"})).await?.expect(201)?;
    let code = made["group"]["code"].as_str().context("a code")?;

    let browser = Browser::start().await?;
    let tab = open(&browser, relay, "/account.html").await?;
    sign_in(&tab, &key).await?;
    let empty = "document.querySelector('#groups').children.length === 0";
    tab.until(empty).await?;
    tab.fill("#group-code", &code.to_lowercase()).await?;
    tab.click("#join [type=submit]").await?;
    tab.shows("#groups-outcome", "You are in the group.").await?;
    tab.shows("#groups", "$0.05 in, $0.00 out for a million tokens").await?;
    tab.shows("#groups", MODEL).await?;
    assert_eq!(page.get("/api/account").await?.expect(200)?["groups"][0]["accounts"], 1);
    tab.click("#groups button").await?;
    tab.shows("#groups-outcome", "You have left the group.").await?;
    tab.until(empty).await?;
    assert_eq!(page.get("/api/account").await?.expect(200)?["groups"], json!([]));

    relay.verify(&key).await?;
    tab.fill("#team-new", "Blue river").await?;
    tab.click("#team-found [type=submit]").await?;
    tab.shows("#team-outcome", "The team is founded.").await?;
    tab.shows("#team-name", "Blue river, one account").await?;
    let code = tab.eval("document.querySelector('#team-code').textContent").await?;

    // Somebody else types the code, in a browser of his own.
    let (other_browser, other_key) = (Browser::start().await?, relay.key("0").await?);
    let other = open(&other_browser, relay, "/account.html").await?;
    sign_in(&other, &other_key).await?;
    other.fill("#team-typed", code.as_str().context("a code")?).await?;
    other.click("#team-join [type=submit]").await?;
    other.shows("#team-outcome", "You are in the team.").await?;
    other.shows("#team-name", "Blue river, 2 accounts").await?;
    // Whoever has founded it puts the other out, who comes in again by the new code alone.
    let reload = "globalThis.isOld = true, location.reload(), undefined";
    let loaded = "globalThis.isOld === undefined && !document.querySelector('#inside').hidden";
    tab.eval(reload).await?;
    tab.until(loaded).await?;
    tab.click("#team-others button").await?;
    tab.shows("#team-outcome", "Removed. The team has a new code.").await?;
    tab.shows("#team-name", "Blue river, one account").await?;
    other.eval(reload).await?;
    other.until(loaded).await?;
    other.fill("#team-typed", code.as_str().context("a code")?).await?;
    other.click("#team-join [type=submit]").await?;
    other.until("document.querySelector('#team-outcome').dataset.tone === 'bad'").await?;
    let code = tab.eval("document.querySelector('#team-code').textContent").await?;
    other.fill("#team-typed", code.as_str().context("a code")?).await?;
    other.click("#team-join [type=submit]").await?;
    other.shows("#team-name", "Blue river, 2 accounts").await?;
    tab.click("#team-leave").await?;
    tab.shows("#team-leave", "Yes, leave it").await?;
    tab.shows("#team-name", "Blue river, one account").await?;
    tab.click("#team-leave").await?;
    tab.shows("#team-outcome", "You have left the team.").await?;
    tab.shows("#no-team", "Name of a new team").await?;
    assert_eq!(page.get("/api/account/team").await?.expect(200)?["team"], Value::Null);
    let team = relay.customer(&other_key).get("/api/account/team").await?.expect(200)?;
    assert_eq!((&team["team"]["name"], &team["team"]["members"]), (&json!("Blue river"), &json!(1)));
    Ok(())
}

/// Asks as a visitor, and has the ad beside the answer seen.
async fn sees_an_ad(visitor: &Page) -> Result<()> {
    let answer = visitor.post(INFERENCE, &json!({"prompt": QUESTION, "model": MODEL})).await?.expect(200)?;
    let token = json!({"token": answer["ad"]["impressionToken"]});
    visitor.post("/api/ads/impressions", &token).await?.expect(200).map(drop)
}

/// What the operator's page says of these charges and these ads that were seen, while one free answer more runs.
async fn sums(tab: &Tab, charges: &[Settlement], ads: Nanos, seen: u64, premium: Nanos) -> Result<()> {
    let all = |amounts: &mut dyn Iterator<Item = Nanos>| Nanos::new(amounts.map(Nanos::get).sum());
    let free: Vec<&Settlement> = charges.iter().filter(|charge| charge.payer == "free").collect();
    let fees = all(&mut charges.iter().map(|charge| charge.fee));
    let cost = all(&mut free.iter().map(|charge| charge.charge));
    let own = fees.get() - all(&mut free.iter().map(|charge| charge.fee)).get();
    let revenue = Nanos::new(own + ads.get() + premium.get());
    let permille = seen * 1_000 / u64::try_from(free.len() + 1)?;
    let fill = format!("{}.{} %", permille / 10, permille % 10);
    let per_thousand = Nanos::new(ads.get() * 1_000 / i64::try_from(free.len())?);
    for (term, value) in [
        ("Revenue", sum(revenue)),
        ("Fees", sum(fees)),
        ("Ads", sum(ads)),
        ("Premium", sum(premium)),
        ("Jobs", charges.len().to_string()),
        ("Free answers", free.len().to_string()),
        ("What they cost", sum(cost)),
        ("Ads that were seen, of what could have been", fill),
        ("Clicks on what was seen", "0.0 %".to_owned()),
        ("Ads bring per 1,000 free answers", sum(per_thousand)),
    ] {
        fact(tab, "#sums", term, &value).await?;
    }
    Ok(())
}

/// The rows of what the ledger has where.
fn cash(ledger: &Ledger) -> Result<Vec<Vec<String>>> {
    let accounts = [
        ("The platform’s own", "platform"),
        ("For free answers", "free"),
        ("Set aside for jobs that run", "escrow"),
        ("Owners, to be paid out", "owner:"),
        ("Owners, held back", "held:"),
        ("Owners, set aside for disputes", "disputed"),
        ("Payouts that were asked for", "payout:requested"),
        ("Payouts that were sent", "payout:sent"),
        ("Advertisers", "advertiser:"),
        ("Accounts", "page:"),
        ("Money that left and nobody had", "shortfall"),
        ("Outside", "outside"),
    ];
    let row = |(title, account): (&str, &str)| Ok(vec![title.to_owned(), exact(ledger.balance(account)?)]);
    accounts.into_iter().map(row).collect()
}

#[tokio::test]
async fn the_operators_figures_are_those_of_the_ledger_now_and_over_other_days() -> Result<()> {
    let config = format!("{SHA256}{FREE}[ads]\nseen_after_ms = 0\n[money]\nholdback_permille = 100\n");
    let (relay, key) = Relay::advertised(Engine::Sqlite, &config, "9.00", "3.00").await?;
    let (scene, page) = Scripted::around(relay, &key).await?;
    scene.script.always(Reply::text(&["one two three four five six seven eight nine ten"]));
    let visitor = scene.relay.visitor();
    page.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let ask = async |page: &Page, prompt: &str| {
        page.post(INFERENCE, &json!({"prompt": prompt, "model": MODEL})).await?.expect(200).map(drop)
    };
    // Three weeks ago: an ad beside each of two free answers, a third without, and a paid one.
    for _ in 0..2 {
        sees_an_ad(&visitor).await?;
    }
    ask(&visitor, SENSITIVE).await?;
    ask(&page, QUESTION).await?;
    scene.relay.resolved().await?;
    scene.relay.audit().await?;
    // Ads are counted for a moment before they are written; whoever asks for the sums has them written.
    scene.relay.customer(TOKEN).get("/api/analytics/revenue").await?.expect(200)?;
    let weeks_ago = scene.relay.ledger()?.settlements()?;
    for sums in ["sold", "posted", "ad_day"] {
        scene.relay.tamper(&format!("UPDATE {sums} SET day = day - 21"))?;
    }
    // Today: one ad beside two free answers, a paid one, premium, and one that runs at this moment.
    sees_an_ad(&visitor).await?;
    ask(&visitor, SENSITIVE).await?;
    ask(&page, QUESTION).await?;
    page.put("/api/account/premium", &json!({"renews": true, "price": "5"})).await?.expect(200)?;
    let ledger = scene.relay.resolved().await?;
    let all = ledger.settlements()?;
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["slowly"], &gate));
    let running =
        visitor.stream(INFERENCE, &json!({"prompt": SENSITIVE, "model": MODEL, "stream": true})).await?;
    eventually("it runs", || async { Ok((scene.relay.stats().await?["jobsRunning"] == 1).then_some(())) })
        .await?;

    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/operator.html").await?;
    sign_in(&tab, TOKEN).await?;
    let (ledger, stats) = (scene.relay.ledger()?, scene.relay.stats().await?);
    ensure!(
        ledger.balance("escrow")? > Nanos::ZERO && ledger.balance("held:")? > Nanos::ZERO,
        "both are used"
    );
    rows(&tab, "#cash", &cash(&ledger)?).await?;
    fact(&tab, "#now", "Answered since the start", &stats["jobsCompleted"].to_string()).await?;
    fact(&tab, "#now", "Places for jobs", &stats["slots"].to_string()).await?;
    for (term, value) in [
        ("Providers connected", "1"),
        ("Jobs that run", "1"),
        ("Jobs that wait", "0"),
        ("Rest after failures", "0"),
        ("Lost their connection, may come back", "0"),
        ("Holds open for too long", "0"),
        ("Payouts that got stuck", "0"),
        ("Last audit", "Every rule was kept"),
    ] {
        fact(&tab, "#now", term, value).await?;
    }
    let (ad, premium) = (100_000, nanos("5")?);
    sums(&tab, &all, Nanos::new(3 * ad), 3, premium).await?;
    let model =
        tab.eval("[...document.querySelectorAll('#by-model td')].map(cell => cell.textContent)").await?;
    let tokens: u64 = all.iter().map(|charge| charge.prompt_tokens + charge.answer_tokens).sum();
    assert_eq!((&model[0], &model[1]), (&json!(all.len().to_string()), &json!(tokens.to_string())));
    let days = |many: usize| format!("document.querySelectorAll('#days > tr').length === {many}");
    tab.until(&days(2)).await?;
    let choose = |days: &str| {
        format!(
            "(list => {{ list.value = '{days}'; list.dispatchEvent(new Event('change')); }})(document.querySelector('#span'))"
        )
    };
    tab.eval(&choose("7")).await?;
    tab.until(&days(1)).await?;
    sums(&tab, &all[weeks_ago.len()..], Nanos::new(ad), 1, premium).await?;
    tab.eval(&choose("90")).await?;
    tab.until(&days(2)).await?;
    sums(&tab, &all, Nanos::new(3 * ad), 3, premium).await?;
    gate.open(1);
    drop(running);
    Ok(())
}

/// Asks in the chat, and waits for the end of the answer.
async fn ask_in_the_chat(chat: &Tab, question: &str) -> Result<()> {
    chat.until("document.querySelector('#lamp').dataset.lit === 'true'").await?;
    chat.fill("#question", question).await?;
    chat.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    chat.click("#go").await?;
    chat.until("document.querySelector('.turn:last-child .tools') !== null").await
}

#[tokio::test]
async fn an_advertiser_reads_what_an_ad_in_the_chat_brought_pauses_it_and_has_the_statement_saved()
-> Result<()> {
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "5.00", "1.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    let _node = Node::start(&relay, &script.url()).await?;
    let advertiser = relay.customer(&key);
    let made = advertiser.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let path = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    let browser = Browser::start().await?;
    let folder = tempfile::tempdir()?;
    browser.save_to(folder.path()).await?;
    let chat = open(&browser, &relay, "/").await?;
    // An answer ends once there was time to choose the ad.
    let gate = Gate::default();
    script.next(Reply::gated(&["one", " two"], &gate));
    let chosen = async {
        eventually("an ad is chosen", || async {
            Ok((advertiser.get(&path).await?.expect(200)?["reserved"] != "0").then_some(()))
        })
        .await?;
        gate.open(2);
        anyhow::Ok(())
    };
    tokio::try_join!(ask_in_the_chat(&chat, QUESTION), chosen)?;
    eventually("the ad was seen", || async {
        Ok((advertiser.get(&path).await?.expect(200)?["impressions"] == 1).then_some(()))
    })
    .await?;
    chat.close().await?;

    let tab = open(&browser, &relay, "/advertise.html").await?;
    sign_in(&tab, &key).await?;
    let row = |state: &str| {
        ["Laptops that last", state, "$0.0001", "$1.00", "1", "0"].map(|cell| format!("'{cell}'")).join(",")
    };
    let cells =
        "[...document.querySelectorAll('#campaigns > tr > *')].slice(0, 6).map(cell => cell.textContent)";
    tab.until(&format!("{cells}.join('|') === [{}].join('|')", row("Runs"))).await?;
    tab.shows("#balance", "$0.9999").await?;
    tab.click("#campaigns [aria-label^=Report]").await?;
    for (term, value) in [
        ("Sent", "1"),
        ("Seen", "1"),
        ("Seen of those sent", "100.0 %"),
        ("Clicks", "0"),
        ("Spent", "$0.0001"),
    ] {
        fact(&tab, "#report-facts", term, value).await?;
    }
    assert_eq!(
        tab.eval("[...document.querySelectorAll('#report-days td')].map(cell => cell.textContent)").await?,
        json!(["1", "1", "0", "$0.0001"])
    );

    let visitor = relay.visitor();
    let title = async || {
        let question = json!({"prompt": QUESTION, "model": MODEL});
        let answer = visitor.post(INFERENCE, &question).await?.expect(200)?;
        anyhow::Ok(answer["ad"]["title"].clone())
    };
    tab.click("#campaigns [aria-label^=Pause]").await?;
    tab.shows("#campaigns-outcome", "Laptops that last: paused.").await?;
    tab.until(&format!("{cells}.join('|') === [{}].join('|')", row("Paused"))).await?;
    assert_eq!(title().await?, Value::Null);
    tab.click("#campaigns [aria-label^='Let it run']").await?;
    tab.shows("#campaigns-outcome", "Laptops that last: runs.").await?;
    tab.until(&format!("{cells}.join('|') === [{}].join('|')", row("Runs"))).await?;
    assert_eq!(title().await?, "Laptops that last");

    let month = tab.eval("document.querySelector('#month').value").await?;
    let month = month.as_str().context("a month")?;
    tab.click("#statement [type=submit]").await?;
    tab.shows("#statement-outcome", "The statement was saved.").await?;
    let statement = advertiser.get(&format!("/api/ads/statements/{month}?format=csv")).await?;
    let statement = String::from_utf8(statement.body.to_vec())?;
    ensure!(statement.contains("impression") && statement.contains("0.9999"), "{statement}");
    let file = folder.path().join(format!("rekursing-ads-{month}.csv"));
    eventually("the file is saved", || async {
        Ok(std::fs::read_to_string(&file).is_ok_and(|saved| saved == statement).then_some(()))
    })
    .await?;
    relay.audit().await
}
