//! A thousand scripts and pieces of markup where the owner's pages show texts of others: all of them are
//! seen as what they are, and none does anything.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rekursing_extension_core::{agent::ServerView, bridge::server::Kind};
use rekursing_tests::{
    browser::{Tab, Window},
    owner::Owner,
    payloads::{MANY, TRAPS, payloads},
    recorded::{Recorded, is_a_state},
    script::{Dialect, Reply, Script},
};
use serde_json::{Value, json};

/// How many are shown at once.
const AT_ONCE: usize = 50;

/// A page with traps, and what it was made of before anybody else's text was in it.
struct Trapped {
    tab: Tab,
    census: Value,
}

async fn trapped(owner: &Owner, recorded: &Recorded, page: &str, ready: &str) -> Result<Trapped> {
    let tab = owner.browser().open("about:blank").await?;
    tab.before_all(TRAPS).await?;
    recorded.show_in(&tab, owner.extension(), page).await?;
    tab.until(ready).await?;
    let census = tab.eval("census()").await?;
    Ok(Trapped { tab, census })
}

impl Trapped {
    /// Shows another state and returns once every payload of it is seen as it is.
    async fn tell(&self, state: &Value, texts: &[String]) -> Result<()> {
        is_a_state(state)?;
        self.tab.eval(&format!("tellState({state})")).await?;
        self.sees(texts).await
    }

    /// Fails unless every text is in a text, a field or a name on the page, to the letter.
    async fn sees(&self, texts: &[String]) -> Result<()> {
        let all = "(texts => { const shown = [document.body.textContent, ...[...document.querySelectorAll('*')]\
                   .flatMap(e => [e.value, e.getAttribute('aria-label'), e.title])].join(' | '); \
                   return texts.filter(text => !shown.includes(text)); })";
        let missing = self.tab.eval(&format!("{all}({})", json!(texts))).await?;
        ensure!(missing == json!([]), "not seen as they are: {missing}");
        Ok(())
    }

    /// Fails unless nothing has happened.
    async fn stays_calm(self) -> Result<()> {
        // Whatever was set off has had its turn.
        self.tab.eval("document.body.offsetHeight, new Promise(done => setTimeout(done, 200))").await?;
        let seen = self.tab.eval("({traces, loaded: loaded(), at: location.pathname})").await?;
        ensure!(seen["traces"] == json!([]) && seen["loaded"] == "", "something ran: {seen}");
        let census = self.tab.eval("census()").await?;
        ensure!(census == self.census, "there is more than before: {census}\nand before: {}", self.census);
        self.tab.close().await
    }
}

/// A state in which every text of others is one of these.
fn state(texts: &[String]) -> Value {
    let mut state = Recorded::ready().state;
    let text = |at: usize| json!(texts[at % texts.len()]);
    let (model, job) = (state["models"][0].clone(), state["jobs"][0].clone());
    let with = |value: &Value, field: &str, text: &String| {
        let mut value = value.clone();
        value[field] = json!(text);
        value
    };
    state["models"] = texts.iter().map(|text| with(&model, "model", text)).collect();
    state["models"][0]["quantization"] = text(1);
    state["jobs"] = texts.iter().map(|text| with(&job, "model", text)).collect();
    state["withheld"] = json!(texts);
    state["outlook"] = texts
        .iter()
        .map(|text| json!({"code": text, "key": "hint_dear", "text": text, "values": [{"text": text}, {"number": 40}]}))
        .chain(texts.iter().map(|text| json!({"code": text, "key": text, "text": text})))
        .collect();
    state["gpu"] = json!({"vendor": text(0), "model": text(1), "class": "high", "raw": text(2)});
    state["server"]["address"] = text(3);
    for server in ["server", "servers"] {
        let server = if server == "servers" { &mut state["servers"][0] } else { &mut state["server"] };
        server["models"] = json!(texts);
    }
    state["trial"] = json!({
        "model": text(4), "running": false, "tokensPerSecond": null, "firstTokenMs": null,
        "failed": {"key": "", "text": text(5)},
    });
    state["closed"] = json!({"reason": {"code": "paused", "key": text(6), "text": text(6)}, "until": null});
    state
}

#[tokio::test]
async fn a_thousand_payloads_in_what_the_agent_says_run_nothing() -> Result<()> {
    let payloads = payloads();
    ensure!(payloads.len() == MANY, "only {} payloads", payloads.len());
    let owner = Owner::undecided(Window::Headless).await?;
    let ready = Recorded::ready();
    let popup = trapped(&owner, &ready, "popup.html", "true").await?;
    let welcome = trapped(&owner, &ready, "welcome.html", "true").await?;
    let options = trapped(&owner, &ready, "options.html", "true").await?;
    for texts in payloads.chunks(AT_ONCE) {
        let mut state = state(texts);
        popup.tell(&state, texts).await?;
        welcome.tell(&state, texts).await?;
        options.tell(&state, texts).await?;
        // The model server's and the relay's own words, where the page has none.
        for text in texts.iter().take(5) {
            state["closed"] = Value::Null;
            state["connection"] =
                json!({"phase": "waiting", "reason": {"code": "too_old", "key": text, "text": text}});
            popup.tell(&state, std::slice::from_ref(text)).await?;
        }
    }
    for page in [popup, welcome, options] {
        page.stays_calm().await?;
    }
    Ok(())
}

/// Chooses a model in the browser by each of these names, of which the agent says it in its own words and the model
/// in its own too, and returns those that are not seen as they are.
const NAMES: &str = "(async (state, weights, texts) => {
    const [name, standing, speed] = ['#name', '#state', '#speed'].map(place => document.querySelector(place));
    const missed = [];
    for (const text of texts) {
        const reason = { code: 'browser_slow', key: text, text };
        const [browser, trial] = [{ ...state.browser, reason }, { ...state.trial, model: text, failed: { key: '', text } }];
        await chrome.storage.local.set({ weights: { ...weights, name: text } });
        while (name.textContent !== text) await new Promise(done => setTimeout(done));
        tellState({ ...state, browser, trial });
        if (standing.textContent !== text || speed.textContent !== text) missed.push(text);
    }
    return missed;
})";

#[tokio::test]
async fn a_thousand_payloads_about_a_model_in_the_browser_run_nothing() -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    let mut state = Recorded::ready().state;
    state["browser"] = json!(ServerView { kind: Some(Kind::Browser), ..ServerView::default() });
    state["trial"] = json!({
        "model": "", "running": false, "tokensPerSecond": null, "firstTokenMs": null,
        "failed": {"key": "", "text": ""},
    });
    is_a_state(&state)?;
    let weights = json!({
        "name": "a model", "bytes": 7, "at": 7, "on": true, "stamp": 1, "from": "https://models.example/a.gguf",
    });
    let recorded = Recorded { state, ..Recorded::ready() }.storing("weights", weights.clone());
    let ready = "!document.querySelector('#running').hidden";
    let calm = trapped(&owner, &recorded, "browser.html", ready).await?;
    for texts in payloads().chunks(AT_ONCE) {
        let missed =
            calm.tab.eval(&format!("{NAMES}({}, {weights}, {})", recorded.state, json!(texts))).await?;
        ensure!(missed == json!([]), "not seen as they are: {missed}");
    }
    calm.stays_calm().await
}

#[tokio::test]
async fn a_thousand_payloads_in_what_the_relay_says_run_nothing() -> Result<()> {
    let payloads = payloads();
    let owner = Owner::undecided(Window::Headless).await?;
    let full = "document.querySelector('#made').children.length > 0";
    let calm = trapped(&owner, &Recorded::ready(), "earnings.html", full).await?;
    for texts in payloads.chunks(AT_ONCE) {
        let mut answers = Recorded::ready().answers;
        let (model, job) =
            (answers["earnings"][1]["models"][0].clone(), answers["earnings"][1]["recent"][0].clone());
        let payout = answers["payouts"][1]["payouts"][0].clone();
        let with = |value: &Value, fields: &[&str], text: &String| {
            let mut value = value.clone();
            fields.iter().for_each(|field| value[*field] = json!(text));
            value
        };
        answers["earnings"][1]["models"] = texts.iter().map(|text| with(&model, &["model"], text)).collect();
        answers["earnings"][1]["recent"] =
            texts.iter().map(|text| with(&job, &["model", "jobId"], text)).collect();
        let fields = ["reason", "destination", "reference", "method", "state", "payoutId"];
        answers["payouts"][1]["payouts"] = texts.iter().map(|text| with(&payout, &fields, text)).collect();
        let dispute = json!({
            "jobId": "", "charge": "1", "setAside": "1", "openedAt": 0, "reviewedAt": null, "decidedAt": null,
        });
        let said = ["model", "reason", "state", "told"];
        answers["disputes"][1]["disputes"] = texts.iter().map(|text| with(&dispute, &said, text)).collect();
        answers["payouts"][1]["method"]["destination"] = json!(texts[0]);
        answers["payout"][1]["quote"]["destination"] = json!(texts[1]);
        for (at, field) in ["state", "paidBy"].iter().enumerate() {
            answers["receipt"][1][field] = json!(texts[at]);
        }
        for (at, field) in ["model", "tier", "tierAsked"].iter().enumerate() {
            answers["receipt"][1]["settlement"][field] = json!(texts[at]);
        }
        // The answers are looked up when the page asks, so the same page goes on with others.
        calm.tab.eval(&format!("Object.assign(RECORDED.answers, {answers})")).await?;
        calm.tab.eval("document.querySelector('#again').click()").await?;
        let last = json!(texts[texts.len() - 1]);
        calm.tab
            .until(&format!("document.querySelector('#made').lastChild.textContent.includes({last})"))
            .await?;
        calm.sees(texts).await?;
        calm.tab.eval("document.querySelector('#recent button').click()").await?;
        calm.tab
            .until(&format!(
                "document.querySelector('#receipt-fields').textContent.includes({})",
                json!(texts[0])
            ))
            .await?;
        calm.tab.eval("document.querySelector('#receipt').close()").await?;
        let error = json!([500, {"error": {"code": texts[2], "message": texts[3]}}]);
        calm.tab
            .eval(&format!("(RECORDED.answers.payouts = {error}, document.querySelector('#again').click())"))
            .await?;
        calm.tab
            .until(&format!("document.querySelector('#payouts-notice').textContent === {}", json!(texts[3])))
            .await?;
    }
    calm.stays_calm().await
}

#[tokio::test]
async fn a_thousand_payloads_in_a_group_and_an_account_run_nothing() -> Result<()> {
    // A message of Chrome's takes no NUL into it.
    let payloads: Vec<String> = payloads().iter().map(|payload| payload.replace('\0', "\u{1}")).collect();
    let owner = Owner::undecided(Window::Headless).await?;
    let group = |texts: &[String]| {
        json!({"group": {
            "id": texts[0], "price": {"input": texts[1], "output": texts[2]}, "plugins": texts[1],
            "accounts": texts[2], "own": true, "membersMax": 50, "code": texts[3],
            "asked": {"input": texts[2], "output": texts[1]},
            "members": [{"id": texts[0], "name": texts[1]}, {"id": texts[2], "name": texts[3]}],
        }})
    };
    let ready = Recorded::ready().answering("group", 200, &group(&payloads));
    let ready = ready.answering("pairing", 200, &json!({"account": "acc_01KA60C3P7R9T1V3X5Z7B9D1FH"}));
    let full = "!document.querySelector('#in-group').hidden && !document.querySelector('#paired').hidden";
    let calm = trapped(&owner, &ready, "options.html", full).await?;
    let mut state = Recorded::ready().state;
    for (round, texts) in payloads.chunks(4).enumerate() {
        let answers = json!({"group": [200, group(texts)], "pairing": [200, {"account": texts[0]}]});
        // Another plugin than before: the page asks the relay for its group and its account.
        state["plugin"] = json!(format!("plg_{:026}", 1 + round));
        calm.tab.eval(&format!("Object.assign(RECORDED.answers, {answers}), tellState({state})")).await?;
        for (place, text) in [("#group-members", &texts[2]), ("#paired-with", &texts[0])] {
            let shown = format!("document.querySelector('{place}').textContent.includes({})", json!(text));
            calm.tab.until(&shown).await?;
        }
        calm.tell(&state, texts).await?;
        // A field is one line.
        calm.sees(&[texts[3].replace(['\r', '\n'], "")]).await?;
        let error = json!([500, {"error": {"code": texts[2], "message": texts[3]}}]);
        calm.tab
            .eval(&format!("(RECORDED.answers.group = {error}, dispatchEvent(new Event('focus')))"))
            .await?;
        let told = format!("document.querySelector('#group-outcome').textContent === {}", json!(texts[3]));
        calm.tab.until(&told).await?;
    }
    calm.stays_calm().await
}

#[tokio::test]
async fn a_thousand_payloads_as_names_and_errors_of_a_model_server_run_nothing() -> Result<()> {
    let payloads = payloads();
    let script = Script::start(Dialect::Plain).await?;
    let owner = Owner::undecided(Window::Headless).await?;
    // Nobody has said yes, so the relay is not asked for anything.
    owner.set("http://127.0.0.1:9", &script.url()).await?;
    let mut pages = Vec::new();
    for page in ["welcome.html", "options.html"] {
        let tab = owner.browser().open("about:blank").await?;
        tab.before_all(TRAPS).await?;
        tab.go(&format!("chrome-extension://{}/{page}", owner.extension())).await?;
        tab.until("document.body.dataset.painted").await?;
        let census = tab.eval("census()").await?;
        pages.push(Trapped { tab, census });
    }
    let welcome = &pages[0].tab;
    welcome.eval("document.querySelector('#look').click()").await?;
    welcome.until("document.querySelector('#models').textContent.includes('script-7b')").await?;
    let mut seen = 0;
    for texts in payloads.chunks(AT_ONCE) {
        script.always(Reply::json(500, &json!({"error": {"code": texts[0], "message": texts[1]}})));
        // A name of its own says that these names are the ones that are shown.
        let last = format!("last-of-{seen}");
        let names: Vec<String> = texts.iter().cloned().chain([last.clone()]).collect();
        script.set_names(&names);
        let look = "chrome.runtime.connect({name: 'state'}).postMessage({type: 'look'})";
        let shown = format!("document.querySelector('#models').textContent.includes({})", json!(last));
        // A look that is under way has asked before; so it is asked until the names are there.
        welcome
            .until(&format!(
                "{shown} || ({look}, new Promise(done => setTimeout(done, 300)).then(() => {shown} || null))"
            ))
            .await?;
        welcome.eval("document.querySelector('#try').click()").await?;
        let tried =
            welcome.until("/[Mm]odel server/.test(document.querySelector('#tried').textContent)").await;
        if tried.is_err() {
            bail!("it was tried: {}", welcome.eval("document.body.innerText").await?);
        }
        let rows = welcome.eval("document.querySelector('#models').children.length").await?;
        seen += rows.as_u64().and_then(|rows| rows.try_into().ok()).unwrap_or(0_usize);
    }
    // What is no name at all, or the same as another once its folder is cut off, is not offered.
    ensure!(seen > MANY / 4, "only {seen} names were shown");
    for page in pages {
        page.stays_calm().await?;
    }
    Ok(())
}

#[test]
fn the_payloads_are_a_thousand_different_ones() {
    let payloads = payloads();
    let different: BTreeSet<_> = payloads.iter().collect();
    assert_eq!(
        (payloads.len(), different.len() * 100 / MANY > 98),
        (MANY, true),
        "{} differ",
        different.len()
    );
}
