//! Disputes: whoever paid says that an answer was wrong, what it earned is set aside, and the operator decides.

use anyhow::{Context, Result, ensure};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    axe,
    browser::{Browser, Tab},
    database::Engine,
    door::{SHA256, TOKEN, open, sign_in, there},
    eventually,
    http::Page,
    on_both,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL},
};
use serde_json::{Value, json};

on_both! {
    an_upheld_dispute_gives_the_charge_back_and_tells_both_sides_also_across_kills,
    a_rejected_dispute_leaves_everything_as_it_was_and_is_no_ones_to_open_again,
    thumbs_of_many_make_a_figure_and_those_of_one_do_not,
}

const OWN: &str = "/api/account/disputes";
const ALL: &str = "/api/operator/disputes";

/// A relay with a provider, a page with a dollar, the provider's owner, and the operator.
struct Case {
    scene: Scripted,
    page: Page,
    owner: Page,
    operator: Page,
}

impl Case {
    async fn on(engine: Engine) -> Result<Case> {
        let (relay, key) = Relay::keeping(engine, &format!("{SHA256}{FREE}"), "1.00").await?;
        let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
        let [page, owner, operator] =
            [key, scene.node.secret()?, TOKEN.to_owned()].map(|token| scene.relay.customer(&token));
        Ok(Case { scene, page, owner, operator })
    }

    /// Has a question answered that the page pays for.
    async fn answer(&self) -> Result<Value> {
        self.page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)
    }

    async fn balance(&self) -> Result<Value> {
        Ok(self.page.get("/api/account").await?.expect(200)?["balance"].clone())
    }

    /// What the owner has: available, held back and set aside.
    async fn earnings(&self) -> Result<Value> {
        self.owner.get(&format!("/api/plugin/earnings/{}", self.scene.node.plugin())).await?.expect(200)
    }

    async fn about(&self) -> Result<Value> {
        let path = format!("/api/plugin/disputes/{}", self.scene.node.plugin());
        Ok(self.owner.get(&path).await?.expect(200)?["disputes"][0].clone())
    }

    async fn own(&self) -> Result<Value> {
        Ok(self.page.get(OWN).await?.expect(200)?["disputes"][0].clone())
    }

    async fn step(&self, job: &str, step: &str, words: &str) -> Result<rekursing_tests::http::Answer> {
        self.operator.post(&format!("{ALL}/{job}/{step}"), &json!({"words": words})).await
    }

    async fn kill(&mut self) -> Result<()> {
        self.scene.relay.kill().await?;
        self.scene.relay.restart().await
    }
}

fn money(amount: &Value) -> Result<i64> {
    Ok(serde_json::from_value::<Nanos>(amount.clone())?.get())
}

async fn an_upheld_dispute_gives_the_charge_back_and_tells_both_sides_also_across_kills(
    engine: Engine,
) -> Result<()> {
    let mut case = Case::on(engine).await?;
    let answer = case.answer().await?;
    let job = answer["jobId"].as_str().context("a job")?.to_owned();
    let before = case.earnings().await?;
    let earned = money(&before["available"])? + money(&before["held"])?;
    assert!(earned > 0 && money(&before["held"])? > 0, "half of it is held back: {before}");

    let complaint = json!({"jobId": job, "reason": "nonsense", "words": "It says nothing."});
    let named = case.page.clone().with("idempotency-key", "k");
    let opened = named.post(OWN, &complaint).await?.expect(201)?["dispute"].clone();
    assert_eq!((&opened["state"], &opened["charge"]), (&json!("opened"), &answer["cost"]));
    assert_eq!(named.post(OWN, &complaint).await?.expect(201)?["dispute"], opened);
    assert_eq!(case.page.post(OWN, &complaint).await?.error_code()?, "disputed_before");
    for restart in [false, true] {
        if restart {
            case.kill().await?;
        }
        let told = case.earnings().await?;
        assert_eq!(
            [&told["available"], &told["held"]],
            [&json!("0"); 2],
            "nothing to be paid out or released"
        );
        assert_eq!((money(&told["disputed"])?, &told["recent"][0]["dispute"]), (earned, &json!("opened")));
        assert_eq!((case.own().await?, case.balance().await? == "1"), (opened.clone(), false));
        let about = case.about().await?;
        assert_eq!((money(&about["setAside"])?, &about["reason"]), (earned, &json!("nonsense")));
        assert!(about["words"].is_null() && about["account"].is_null(), "the owner is not told who: {about}");
        case.scene.relay.audit().await?;
    }
    let entry = json!({"entry": format!("settle:{job}"), "reason": "x"});
    let by_hand = case.operator.post("/api/operator/corrections", &entry).await?;
    assert_eq!(by_hand.error_code()?, "dispute_open");

    assert_eq!(case.page.get(ALL).await?.error_code()?, "operator_only");
    let listed = case.operator.get(ALL).await?.expect(200)?["disputes"][0].clone();
    assert_eq!((&listed["jobId"], &listed["words"]), (&json!(job), &json!("It says nothing.")));
    assert_eq!(case.page.get(&format!("{ALL}/{job}")).await?.error_code()?, "operator_only");
    let told = case.operator.get(&format!("{ALL}/{job}")).await?.expect(200)?["dispute"].clone();
    assert_eq!((&told["setAside"], &listed["setAside"]), (&told["earned"], &told["earned"]));
    let other = format!("{ALL}/job_00000000000000000000000000");
    assert_eq!(case.operator.get(&other).await?.error_code()?, "dispute_not_found");
    assert_eq!(case.step(&job, "uphold", "x").await?.error_code()?, "dispute_state");
    case.step(&job, "review", "").await?.expect(200)?;
    case.kill().await?;
    assert_eq!(case.about().await?["state"], "reviewed");
    assert_eq!(case.step(&job, "uphold", " ").await?.error_code()?, "bad_request");
    let upheld = case.step(&job, "uphold", "It is only one word.").await?.expect(200)?;
    assert_eq!(upheld["dispute"]["state"], "upheld");
    for restart in [false, true] {
        if restart {
            case.kill().await?;
        }
        assert_eq!(case.step(&job, "uphold", "again").await?.expect(200)?, upheld, "once");
        assert_eq!(case.step(&job, "reject", "no").await?.error_code()?, "dispute_state");
        assert_eq!(case.balance().await?, "1");
        let told = case.earnings().await?;
        assert_eq!([&told["available"], &told["held"], &told["disputed"], &told["total"]], [&json!("0"); 4]);
        let recent = &told["recent"][0];
        assert_eq!((&recent["givenBack"], &recent["dispute"]), (&answer["cost"], &json!("upheld")));
        for told in [case.own().await?, case.about().await?] {
            assert_eq!((&told["state"], &told["told"]), (&json!("upheld"), &json!("It is only one word.")));
        }
        let ledger = case.scene.relay.ledger()?;
        assert_eq!([ledger.balance("disputed")?, ledger.balance("platform")?], [Nanos::ZERO; 2]);
        assert_eq!((ledger.entries("dispute")?, ledger.entries("correction")?), (2, 3));
        let log = case.operator.get("/api/operator/log").await?.expect(200)?["log"].clone();
        let deeds = [&log[0], &log[1]].map(|line| line["what"].clone());
        assert_eq!(deeds, ["dispute_upheld", "dispute_reviewed"].map(Value::from));
        case.scene.relay.audit().await?;
    }
    let receipt = case.page.get(&format!("/api/jobs/{job}/receipt")).await?.expect(200)?;
    assert_eq!(receipt["givenBack"], answer["cost"]);
    let later = case.page.put(&format!("/api/jobs/{job}/thumb"), &json!({"up": true})).await?;
    assert_eq!((later.status, later.error_code()?.as_str()), (409, "disputed_before"));

    // What is set aside comes back, perhaps, so its account does not let a plugin go that nobody else reaches.
    let ask = json!({"prompt": "go", "model": MODEL});
    let job = eventually("the node is back", || async {
        let answer = case.page.post("/api/llm/inference", &ask).await?;
        Ok((answer.status == 200).then_some(answer.json()?["jobId"].clone()))
    })
    .await?;
    case.page.post(OWN, &json!({"jobId": job, "reason": "other"})).await?.expect(201)?;
    let own = format!("/api/account/plugins/{}", case.scene.node.plugin());
    let code = case.page.post("/api/account/pairings", &json!({})).await?.expect(201)?["code"].clone();
    let pairing = format!("/api/plugin/pairing/{}", case.scene.node.plugin());
    case.owner.post(&pairing, &json!({"code": code})).await?.expect(200)?;
    assert_eq!(case.page.delete(&format!("{own}/key")).await?.status, 204);
    assert_eq!(case.page.delete(&own).await?.error_code()?, "earnings_left");
    Ok(())
}

async fn a_rejected_dispute_leaves_everything_as_it_was_and_is_no_ones_to_open_again(
    engine: Engine,
) -> Result<()> {
    let mut case = Case::on(engine).await?;
    let job = case.answer().await?["jobId"].as_str().context("a job")?.to_owned();
    let (before, balance) = (case.earnings().await?, case.balance().await?);
    let complaint = json!({"jobId": job, "reason": "other"});
    case.page.post(OWN, &complaint).await?.expect(201)?;
    let told = case.operator.get(&format!("{ALL}/{job}")).await?.expect(200)?["dispute"].clone();
    for text in ["prompt", "answer"] {
        let hash = told["hashes"][text].as_str().context("a hash")?;
        assert!(
            told[text].is_null() && hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
        );
    }
    case.step(&job, "review", "").await?.expect(200)?;
    case.kill().await?;
    case.step(&job, "reject", "It is what was asked for.").await?.expect(200)?;
    for restart in [false, true] {
        if restart {
            case.kill().await?;
        }
        let told = case.earnings().await?;
        for name in ["available", "held", "releases", "disputed", "total"] {
            assert_eq!(told[name], before[name], "{name}");
        }
        assert_eq!(
            (&told["recent"][0]["dispute"], case.balance().await?),
            (&json!("rejected"), balance.clone())
        );
        assert_eq!(case.own().await?["told"], "It is what was asked for.");
        assert_eq!(case.page.post(OWN, &complaint).await?.error_code()?, "disputed_before");
        case.scene.relay.audit().await?;
    }
    // The operator may still think better of it.
    let entry = json!({"entry": format!("settle:{job}"), "reason": "it was wrong after all"});
    case.operator.post("/api/operator/corrections", &entry).await?.expect(201)?;
    assert_eq!(case.balance().await?, "1");
    case.scene.relay.audit().await
}

#[tokio::test]
async fn a_dispute_that_was_not_stored_when_the_relay_died_never_was() -> Result<()> {
    let mut case = Case::on(Engine::Sqlite).await?;
    let job = case.answer().await?["jobId"].clone();
    let complaint = json!({"jobId": job, "reason": "truncated"});
    let before = case.earnings().await?;
    let blocked = case.scene.relay.block()?;
    let opening = {
        let (page, complaint) = (case.page.clone(), complaint.clone());
        tokio::spawn(async move { page.post(OWN, &complaint).await })
    };
    eventually("it waits for the store", || async {
        let metrics = case.scene.relay.visitor().get("/metrics").await?;
        let waits = !String::from_utf8_lossy(&metrics.body).contains("rekursing_store_waiting 0");
        Ok(waits.then_some(()))
    })
    .await?;
    case.scene.relay.kill().await?;
    drop(blocked);
    assert!(opening.await?.is_err(), "nobody was told that it is open");
    case.scene.relay.restart().await?;
    assert_eq!(case.earnings().await?, before);
    assert_eq!(case.page.get(OWN).await?.expect(200)?["disputes"], json!([]));
    case.page.post(OWN, &complaint).await?.expect(201)?;
    case.scene.relay.audit().await
}

#[tokio::test]
async fn only_whoever_paid_disputes_and_not_without_end() -> Result<()> {
    let case = Case::on(Engine::Sqlite).await?;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        jobs.push(case.answer().await?["jobId"].clone());
    }
    let free = json!({"prompt": "go", "model": format!("{MODEL}:free")});
    let free = case.page.post("/api/llm/inference", &free).await?.expect(200)?["jobId"].clone();
    let stranger = case.scene.relay.customer(&case.scene.relay.key("1.00").await?);
    let unknown = "job_00000000000000000000000000";
    for (who, body, status, code) in [
        (&stranger, json!({"jobId": jobs[0], "reason": "other"}), 404, "job_not_found"),
        (&case.page, json!({"jobId": unknown, "reason": "other"}), 404, "job_not_found"),
        (&case.page, json!({"jobId": free, "reason": "other"}), 409, "not_disputable"),
        (&case.page, json!({"jobId": jobs[0], "reason": "boring"}), 400, "bad_request"),
        (&case.page, json!({"jobId": jobs[0], "reason": "other", "words": "\u{202e}"}), 400, "bad_request"),
        (&case.owner, json!({"jobId": jobs[0], "reason": "other"}), 401, "invalid_api_key"),
    ] {
        let refused = who.post(OWN, &body).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (status, code), "{body}");
    }
    let limited = case.page.post("/api/account/keys", &json!({"budgetTotal": "0.5"})).await?.expect(201)?;
    let limited = case.scene.relay.customer(limited["key"].as_str().context("a key")?);
    let refused = limited.post(OWN, &json!({"jobId": jobs[0], "reason": "other"})).await?;
    assert_eq!(refused.status, 403);
    for job in &jobs[..5] {
        case.page.post(OWN, &json!({"jobId": job, "reason": "other"})).await?.expect(201)?;
    }
    let sixth = json!({"jobId": jobs[5], "reason": "other"});
    assert_eq!(case.page.post(OWN, &sixth).await?.error_code()?, "too_many_disputes");
    // Whoever loses all of them is not heard for a while.
    for job in &jobs[..5] {
        let job = job.as_str().context("a job")?;
        case.step(job, "review", "").await?.expect(200)?;
        case.step(job, "reject", "It is right.").await?.expect(200)?;
    }
    assert_eq!(case.page.post(OWN, &sixth).await?.error_code()?, "too_many_disputes");
    let thumb = format!("/api/jobs/{unknown}/thumb");
    // From one address only so much is said within a minute.
    while case.page.put(&thumb, &json!({"up": true})).await?.error_code()? != "rate_limited" {}
    while case.page.post(OWN, &sixth).await?.error_code()? != "rate_limited" {}
    case.scene.relay.audit().await
}

#[tokio::test]
async fn what_is_attached_is_what_was_said_and_is_gone_once_it_is_decided() -> Result<()> {
    let case = Case::on(Engine::Sqlite).await?;
    let messages = json!([{"role": "user", "content": "Count to \"ten\"."}]);
    let prompt = json!("Count to ten.");
    // A streamed answer, a whole one, one in OpenAI's words, and one of the newest of them.
    let streamed = json!({"messages": messages, "model": MODEL, "stream": true});
    let mut stream = case.page.stream("/api/llm/inference", &streamed).await?;
    let mut text = String::new();
    let mut job = Value::Null;
    for event in stream.events().await? {
        let data: Value = serde_json::from_str(&event.data)?;
        text.push_str(data["text"].as_str().unwrap_or_default());
        job = if event.name == "done" { data["jobId"].clone() } else { job };
    }
    let whole = case.page.post("/api/llm/inference", &json!({"prompt": prompt, "model": MODEL})).await?;
    let chat = case.page.post("/v1/chat/completions", &json!({"messages": messages, "model": MODEL})).await?;
    let response = case.page.post("/v1/responses", &json!({"input": prompt, "model": MODEL})).await?;
    let (whole, chat, response) = (whole.expect(200)?, chat.expect(200)?, response.expect(200)?);
    let said = [
        (job, &messages, text.clone()),
        (whole["jobId"].clone(), &prompt, whole["result"].as_str().context("a text")?.to_owned()),
        (chat["rekursing"]["jobId"].clone(), &messages, text.clone()),
        (response["rekursing"]["jobId"].clone(), &prompt, text.clone()),
    ];
    assert!(!text.is_empty());
    for (job, prompt, answer) in &said {
        let complaint = |prompt: &Value, answer: &str, consent: bool| json!({"jobId": job, "reason": "nonsense", "consent": consent, "prompt": prompt, "answer": answer});
        let (other, more) = (json!("Count to nine."), format!("{answer} "));
        for (body, field) in [
            (complaint(prompt, answer, false), "consent"),
            (complaint(&other, answer, true), "prompt"),
            (complaint(prompt, &more, true), "answer"),
        ] {
            let refused = case.page.post(OWN, &body).await?.expect(400)?;
            assert_eq!(refused["error"]["field"], field, "{body}");
        }
        let opened = case.page.post(OWN, &complaint(prompt, answer, true)).await?.expect(201)?;
        assert_eq!(opened["dispute"]["attached"], true);
        let job = job.as_str().context("a job")?;
        let disputes = case.operator.get(ALL).await?.expect(200)?["disputes"].clone();
        let listed = disputes.as_array().and_then(|all| all.iter().find(|one| one["jobId"] == job));
        assert_eq!(listed.context("it is listed")?["attached"], true);
        assert!(!disputes.to_string().contains("Count"), "a list tells nothing of it: {disputes}");
        let alone = format!("{ALL}/{job}");
        let told = case.operator.get(&alone).await?.expect(200)?["dispute"].clone();
        assert_eq!((&told["answer"], &told["prompt"]), (&json!(answer), &json!(prompt.to_string())));
        assert!(told["hashes"]["answer"].as_str().is_some_and(|hash| hash.len() == 64), "{told}");
        let about = case.about().await?.to_string();
        assert!(!about.contains("Count"), "the owner reads nothing of it: {about}");
        case.step(job, "review", "").await?.expect(200)?;
        case.step(job, "reject", "It is right.").await?.expect(200)?;
        let told = case.operator.get(&alone).await?.expect(200)?["dispute"].clone();
        assert_eq!(
            [&told["answer"], &told["prompt"], &told["attached"]],
            [&json!(null), &json!(null), &json!(false)]
        );
    }
    case.scene.relay.audit().await
}

async fn thumbs_of_many_make_a_figure_and_those_of_one_do_not(engine: Engine) -> Result<()> {
    let mut case = Case::on(engine).await?;
    let id = case.scene.node.plugin().to_owned();
    case.owner.put(&format!("/api/plugin/channel/{id}"), &json!({"about": "x"})).await?.expect(200)?;
    let quality = async |case: &Case| -> Result<Value> {
        let outlook = case.owner.get(&format!("/api/plugin/outlook/{id}")).await?.expect(200)?;
        Ok(outlook["quality"].clone())
    };
    let thumb = |job: &Value| format!("/api/jobs/{}/thumb", job.as_str().unwrap_or_default());
    let up = |up: bool| json!({"up": up});
    for _ in 0..5 {
        let job = case.answer().await?["jobId"].clone();
        let told = case.page.put(&thumb(&job), &up(false)).await?.expect(200)?;
        assert_eq!(told, json!({"jobId": job, "up": false, "counts": true}));
    }
    assert_eq!(quality(&case).await?, Value::Null, "one account is no crowd");
    // A verified account's voice counts in full, and so do those of two.
    let mut pages = vec![case.page.clone()];
    for _ in 0..2 {
        pages.push(case.scene.relay.customer(&case.scene.relay.key("1.00").await?));
    }
    let mut last = Value::Null;
    for page in &pages {
        let account = eventually("the key opens its account", || async {
            let answer = page.get("/api/account").await?;
            Ok((answer.status == 200).then_some(answer.json()?["account"].clone()))
        })
        .await?;
        let mark = json!({"account": account, "verified": true});
        case.operator.post("/api/operator/verified", &mark).await?.expect(200)?;
        let ask = json!({"prompt": "go", "model": MODEL});
        let answer = eventually("there is money", || async {
            let answer = page.post("/api/llm/inference", &ask).await?;
            Ok((answer.status == 200).then_some(answer.json()?))
        })
        .await?;
        page.put(&thumb(&answer["jobId"]), &up(true)).await?.expect(200)?;
        last = answer["jobId"].clone();
    }
    // The first has five thumbs down and one up; the others one up each.
    let figure = json!({"permille": (166 + 2_000 + 4_000) / 8, "voices": 3});
    assert_eq!(quality(&case).await?, figure);
    pages[2].put(&thumb(&last), &up(false)).await?.expect(200)?;
    let changed = json!({"permille": (166 + 1_000 + 4_000) / 8, "voices": 3});
    assert_eq!(quality(&case).await?, changed, "the later thumb counts");
    let visitor = case.scene.relay.visitor();
    for _ in 0..2 {
        let free = visitor.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?;
        let free = free.expect(200)?;
        let token = case.scene.relay.customer(free["receiptToken"].as_str().context("a token")?);
        token.put(&thumb(&free["jobId"]), &up(true)).await?.expect(200)?;
        assert_eq!(token.put(&thumb(&last), &up(true)).await?.error_code()?, "job_not_found");
    }
    let crowd = json!({"permille": (166_000 + 1_000_000 + 250_000 + 4_000_000) / 8_250, "voices": 4});
    assert_eq!(quality(&case).await?, crowd, "free answers have one voice together");
    for stranger in [&pages[0], &case.owner, &case.operator] {
        assert_eq!(stranger.put(&thumb(&last), &up(true)).await?.error_code()?, "job_not_found");
    }
    eventually("everybody sees it", || async {
        let live = case.scene.relay.visitor().get("/api/live").await?.expect(200)?;
        Ok((live["providers"][0]["channel"]["quality"] == crowd).then_some(()))
    })
    .await?;
    case.kill().await?;
    assert_eq!(quality(&case).await?, crowd);
    let channel = case.scene.relay.visitor().get(&format!("/api/live/channels/{id}")).await?.expect(200)?;
    assert_eq!(channel["quality"], crowd);
    case.scene.relay.audit().await
}

/// Widths at which the pages are looked at.
const WIDTHS: [u32; 2] = [360, 1_200];

/// Goes elsewhere, or loads the page again, and waits until what is there is not what was.
async fn go(tab: &Tab, how: &str) -> Result<()> {
    tab.eval(&format!("globalThis.isOld = true, {how}")).await?;
    tab.until("globalThis.isOld === undefined && document.readyState === 'complete'").await
}

#[tokio::test]
async fn an_answer_gets_its_thumb_is_disputed_and_given_back_by_clicks() -> Result<()> {
    let (relay, key) = Relay::keeping(Engine::Sqlite, &format!("{SHA256}{FREE}"), "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let (relay, browser) = (&scene.relay, Browser::start().await?);
    let page = open(&browser, relay, "/").await?;
    page.eval(&format!("sessionStorage.setItem('key', '{key}')")).await?;
    go(&page, "location.reload()").await?;
    page.until("document.querySelector('#key')?.value.startsWith('rk_')").await?;
    page.until("document.querySelectorAll('#models input').length > 0").await?;
    page.fill("#question", "Count to ten.").await?;
    page.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    page.until("!document.querySelector('#go').disabled").await?;
    page.click("#go").await?;
    let pressed =
        |at: usize| format!("document.querySelectorAll('.thumbs button')[{at}]?.ariaPressed === 'true'");
    page.until("document.querySelectorAll('.thumbs button').length === 2").await?;
    page.click(".thumbs button:last-child").await?;
    page.until(&pressed(1)).await?;
    there(&page).await?;
    let mut wrong = axe::look(&page, "chat-thumbs", &WIDTHS).await?;
    // It is remembered with the conversation.
    go(&page, "location.reload()").await?;
    page.until("document.querySelectorAll('#conversations button').length > 0").await?;
    page.eval("document.querySelector('#conversations button').click()").await?;
    page.until(&pressed(1)).await?;
    page.click(".thumbs button:first-child").await?;
    page.until(&pressed(0)).await?;

    go(&page, "location.href = '/account.html'").await?;
    page.until("document.querySelectorAll('#entries button').length > 0").await?;
    // The chat leads here with the job.
    page.eval(
        "globalThis.job = /job_\\w+/.exec(document.querySelector('#entries button').getAttribute('aria-label'))[0]",
    )
    .await?;
    go(&page, "location.href = `/account.html?job=${job}`").await?;
    page.until("document.activeElement.id === 'dispute-reason'").await?;
    assert_eq!(page.eval("document.querySelector('#dispute-reason').value").await?, "", "none is chosen");
    page.click("#dispute [type=submit]").await?;
    page.shows("#dispute .wrong", "is needed").await?;
    page.eval(
        "(list => { list.value = 'nonsense'; list.dispatchEvent(new Event('input', {bubbles: true})); })(document.querySelector('#dispute-reason'))",
    )
    .await?;
    page.fill("#dispute-words", "It counts to three.").await?;
    page.click("#dispute-consent").await?;
    there(&page).await?;
    wrong.extend(axe::look(&page, "account-dispute", &WIDTHS).await?);
    page.click("#dispute [type=submit]").await?;
    page.shows("#dispute-go", "Yes, dispute it").await?;
    page.shows("#disputes-title + .note + #no-disputes", "None.").await?;
    page.click("#dispute [type=submit]").await?;
    page.shows("#dispute-outcome", "It is open").await?;
    page.shows("#disputes", "Nobody has looked at it yet").await?;

    let desk = open(&browser, relay, "/operator.html").await?;
    sign_in(&desk, TOKEN).await?;
    desk.shows("#disputes", "It counts to three.").await?;
    desk.click("#disputes .show").await?;
    desk.shows("#disputes", "Count to ten.").await?;
    desk.click("#disputes .review").await?;
    desk.shows("#disputes-outcome", "you look at it").await?;
    desk.until("!document.querySelector('#disputes .decision').hidden").await?;
    wrong.extend(axe::look(&desk, "operator-dispute", &WIDTHS).await?);
    desk.click("#disputes .uphold").await?;
    desk.until("document.querySelector('#disputes-outcome').dataset.tone === 'bad'").await?;
    desk.fill("#disputes .text", "It stops at three.").await?;
    desk.click("#disputes .uphold").await?;
    desk.shows("#disputes-outcome", "given back").await?;
    desk.shows("#decided", "It stops at three.").await?;
    desk.shows("#log", "dispute upheld").await?;

    go(&page, "location.reload()").await?;
    page.shows("#disputes", "The charge was given back").await?;
    page.shows("#disputes", "It stops at three.").await?;
    page.shows("#balance", "$1.00").await?;
    there(&page).await?;
    wrong.extend(axe::look(&page, "account-disputes", &WIDTHS).await?);

    // Whoever has answered reads it beside his GPU, and so what came to nothing.
    let [customer, owner, operator] =
        [key, scene.node.secret()?, TOKEN.to_owned()].map(|token| relay.customer(&token));
    let ask = json!({"prompt": "go", "model": MODEL});
    let answer = customer.post("/api/llm/inference", &ask).await?.expect(200)?;
    customer.post(OWN, &json!({"jobId": answer["jobId"], "reason": "offensive"})).await?.expect(201)?;
    let job = answer["jobId"].as_str().context("a job")?;
    for (step, words) in [("review", ""), ("reject", "It counts, and that is all.")] {
        operator.post(&format!("{ALL}/{job}/{step}"), &json!({"words": words})).await?.expect(200)?;
    }
    let code = customer.post("/api/account/pairings", &json!({})).await?.expect(201)?["code"].clone();
    let pairing = format!("/api/plugin/pairing/{}", scene.node.plugin());
    owner.post(&pairing, &json!({"code": code})).await?.expect(200)?;
    go(&page, "location.reload()").await?;
    page.until("document.querySelector('.gpu') !== null").await?;
    page.eval("document.querySelector('.gpu').scrollIntoView()").await?;
    page.shows(".gpu .disputed", "It insults").await?;
    page.shows(".gpu .disputed", "Decided for you.").await?;
    page.shows(".gpu .disputed", "The operator: It counts, and that is all.").await?;
    page.shows(".gpu .disputed", "Decided against you.").await?;
    page.shows(".gpu .disputed", "The operator: It stops at three.").await?;
    let told = page.eval("document.querySelector('.gpu').innerText.includes('It counts to three.')").await?;
    assert_eq!(told, false, "an owner is not told what a page says in its own words");
    there(&page).await?;
    wrong.extend(axe::look(&page, "account-gpu-disputes", &WIDTHS).await?);
    ensure!(wrong.is_empty(), "pictures in {}:\n{}", axe::pictures()?.display(), wrong.join("\n"));
    relay.audit().await
}
