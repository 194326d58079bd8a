//! The chat: whoever asks somebody else loses nothing, what broke off is kept and counted, and what it will cost is
//! said before.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::{Browser, Tab},
    chat::{answered, look_again},
    door, eventually,
    http::Page,
    node::Node,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, Gate, MODEL, Reply, Script, Step},
};
use serde_json::{Value, json};

/// Opens the chat with the models that are there now.
async fn open(browser: &Browser, relay: &Relay, path: &str) -> Result<Tab> {
    let tab = door::open(browser, relay, path).await?;
    tab.resize(1_200, 1_000).await?;
    look_again(&tab).await?;
    Ok(tab)
}

async fn ask(tab: &Tab, question: &str) -> Result<()> {
    tab.until("document.querySelector('#go-text').innerText === 'Ask'").await?;
    tab.eval("document.querySelector('#question').focus()").await?;
    tab.enter(question).await?;
    tab.press("Enter").await
}

/// Asks another provider for the last answer, by the mouse.
async fn another(tab: &Tab) -> Result<()> {
    tab.until("document.querySelector('#go-text').innerText === 'Ask'").await?;
    tab.click(".turn:last-child .tools button:last-child").await
}

/// How many turns there are, and what the first one says.
async fn stands(tab: &Tab, turns: usize, text: &str) -> Result<()> {
    let first = format!("document.querySelector('.turn .prose').innerText === {}", json!(text));
    tab.until(&format!("document.querySelectorAll('.turn').length === {turns} && {first}")).await
}

#[tokio::test]
async fn somebody_else_is_asked_where_one_alone_was_and_an_answer_stays_until_there_is_another() -> Result<()>
{
    let scene = Scripted::start().await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, &format!("/?provider={}", scene.node.plugin())).await?;
    ask(&tab, "What is a river?").await?;
    answered(&tab, "one two three").await?;

    // There is nobody else, and the same one is not asked again.
    another(&tab).await?;
    tab.shows(".turn", "The answer from before stays.").await?;
    stands(&tab, 1, "one two three").await?;
    tab.shows(".turn .receipt", "Cost").await?;
    assert_eq!(scene.script.jobs().len(), 1);
    assert_eq!(tab.eval("document.querySelector('#only').hidden").await?, false);

    let second = Script::start(Dialect::LlamaCpp(4)).await?;
    let other = Node::start(&scene.relay, &second.url()).await?;
    let gate = Gate::default();
    second.next(Reply::gated(&["somebody", " else"], &gate));
    another(&tab).await?;
    second.job(0).await?;
    tab.shows(".turn:last-child .status", "Waiting").await?;
    stands(&tab, 2, "one two three").await?;
    gate.open(1);
    stands(&tab, 1, "somebody").await?;
    assert_eq!(tab.eval("document.querySelector('#only').hidden").await?, true);
    gate.open(1);
    answered(&tab, "somebody else").await?;
    assert_eq!(tab.eval("document.querySelector('.turn').innerText.includes('stays')").await?, false);

    // Who stops it before its first word has what there was.
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["never"], &gate));
    another(&tab).await?;
    scene.script.job(1).await?;
    stands(&tab, 2, "somebody else").await?;
    tab.press("Escape").await?;
    tab.shows(".turn", "You stopped it before the other answer began. The answer from before stays.").await?;
    stands(&tab, 1, "somebody else").await?;
    // What is kept is what is shown.
    tab.click("#fresh").await?;
    tab.click("#conversations button").await?;
    answered(&tab, "somebody else").await?;
    another(&tab).await?;
    answered(&tab, "one two three").await?;

    // Who follows a link asks its provider alone until he says otherwise.
    let alone = open(&browser, &scene.relay, &format!("/?provider={}", other.plugin())).await?;
    alone.until("!document.querySelector('#only').hidden").await?;
    let before = second.jobs().len();
    ask(&alone, "You?").await?;
    answered(&alone, "one two three").await?;
    assert_eq!(second.jobs().len(), before + 1);
    alone.click("#anybody").await?;
    alone.until("document.querySelector('#only').hidden").await?;
    alone
        .eval(
            "globalThis.asked = [], globalThis.take = fetch, \
             globalThis.fetch = (url, init) => { asked.push(init?.body); return take(url, init); }, undefined",
        )
        .await?;
    ask(&alone, "Anybody?").await?;
    answered(&alone, "one two three").await?;
    let wish =
        alone.eval("JSON.parse(asked.find(body => body?.includes('Anybody?'))).provider ?? null").await?;
    assert_eq!(wish, Value::Null);
    Ok(())
}

/// Waits until the page says that this day cost what the account has spent, and that this is more than before.
async fn counted(tab: &Tab, page: &Page, before: &str) -> Result<String> {
    let look = || async {
        let spent = page.get("/api/account").await?.expect(200)?["spent"].clone();
        let spent = spent.as_str().context("an amount")?.to_owned();
        let shown = tab.eval("document.querySelector('#spent').textContent").await?;
        Ok((spent != before && shown == format!("${spent}")).then_some(spent))
    };
    eventually("what was heard is counted", look).await
}

#[tokio::test]
async fn what_was_heard_of_an_answer_that_did_not_end_is_kept_marked_counted_and_can_be_used() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let page = scene.relay.customer(&key);
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/").await?;
    tab.fill("#key", &key).await?;
    let begun = |words: &str| Reply::steps(vec![Step::token(words), Step::token(" and so on"), Step::Hold]);

    scene.script.next(begun("Stopped"));
    ask(&tab, "First?").await?;
    tab.shows(".turn:last-child .prose", "Stopped and so on").await?;
    tab.press("Escape").await?;
    tab.shows(".turn:last-child .remark", "because you stopped it").await?;
    let spent = counted(&tab, &page, "0").await?;
    tab.shows(".turn:last-child .receipt", &format!("${spent}")).await?;
    // There is all that there is under a whole answer.
    tab.eval("navigator.clipboard.writeText = async (text) => { globalThis.copied = text; }").await?;
    tab.click(".turn:last-child .tools button").await?;
    tab.until("globalThis.copied === 'Stopped and so on'").await?;
    tab.click(".turn:last-child .thumbs button").await?;
    tab.until("document.querySelector('#news').textContent === 'Thank you, that is noted.'").await?;

    let broken = vec![Step::token("Broken"), Step::token(" and so on"), Step::Cut];
    scene.script.next(Reply::steps(broken));
    ask(&tab, "Second?").await?;
    tab.shows(".turn:last-child [role=alert]", "Ask again").await?;
    answered(&tab, "Broken and so on").await?;
    let spent = counted(&tab, &page, &spent).await?;

    // Who goes away in the middle finds it when he comes back, with what it cost.
    scene.script.next(begun("Left"));
    ask(&tab, "Third?").await?;
    tab.shows(".turn:last-child .prose", "Left and so on").await?;
    tab.eval("globalThis.isOld = true, location.reload(), undefined").await?;
    tab.until("globalThis.isOld === undefined && document.querySelector('#models')?.children.length > 0")
        .await?;
    let spent = counted(&tab, &page, &spent).await?;
    tab.click("#conversations button").await?;
    answered(&tab, "Left and so on").await?;
    let told =
        "[...document.querySelectorAll('.turn')].map(turn => turn.querySelector('.remark').textContent)";
    let told = tab.eval(told).await?;
    ensure!(told[0] == told[2] && told[0] == "The answer stops here because you stopped it.", "{told}");
    ensure!(told[1].as_str().is_some_and(|told| told.starts_with("The answer breaks off here. ")), "{told}");
    let costs =
        "[...document.querySelectorAll('.turn .receipt')].every(e => /\\$0\\.\\d/.test(e.textContent))";
    tab.until(costs).await?;
    assert_eq!(tab.eval("document.querySelectorAll('.turn .thumbs').length").await?, 3);

    // So does who begins another conversation in the middle.
    scene.script.next(begun("Another"));
    ask(&tab, "Fourth?").await?;
    tab.shows(".turn:last-child .prose", "Another and so on").await?;
    tab.click("#fresh").await?;
    counted(&tab, &page, &spent).await?;
    tab.click("#conversations button").await?;
    answered(&tab, "Another and so on").await?;
    tab.shows(".turn:last-child .remark", "because you stopped it").await?;

    // What broke off is asked for again where it stands.
    let kept = tab.eval("document.querySelectorAll('.turn').length").await?;
    scene.script.next(Reply::steps(vec![Step::token("Broken"), Step::Cut]));
    ask(&tab, "Fifth?").await?;
    tab.shows(".turn:last-child [role=alert]", "Ask again").await?;
    scene.script.next(Reply::text(&["whole"]));
    tab.click(".turn:last-child .failure button").await?;
    answered(&tab, "whole").await?;
    assert_eq!(tab.eval("document.querySelectorAll('.turn').length - 1").await?, kept);
    scene.relay.audit().await
}

#[tokio::test]
async fn the_choice_of_the_quality_says_what_the_chosen_model_costs_in_it_on_this_relay_and_how_fast_it_is()
-> Result<()> {
    let turned = "[tiers.low]\nprice_permille = 700\n[tiers.high]\nprice_permille = 3250\nanswers = 0\n\
                  tokens_per_second = 0\nfirst_token_ms = 60000\nsuccess_permille = 0\n\
                  quantization_bits = 0\n\
                  [tiers.ultra]\nprice_permille = 4000\n";
    let relay = Relay::with(&format!("{FREE}{turned}")).await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    script.always(Reply::text(&[" word"; 40]));
    let price = ["--price-input", "0.1", "--price-output", "0.4"];
    let _node = Node::with(&relay, &script.url(), &price).await?;
    let visitor = relay.visitor();
    let told = visitor.get("/api/llm/models").await?.expect(200)?;
    assert_eq!(told["tiers"]["low"]["pricePermille"], 700);
    assert_eq!(told["tiers"]["ultra"]["pricePermille"], 4_000);
    let tiers = &told["models"][0]["tiers"];
    assert_eq!(tiers["high"]["price"]["output"], json!({"min": "1.3", "max": "1.3"}));
    assert_eq!(tiers["ultra"], Value::Null);

    let browser = Browser::start().await?;
    let tab = open(&browser, &relay, "/").await?;
    let choose = async |tier: &str| {
        let choose = format!(
            "(tier => {{ tier.value = '{tier}'; tier.dispatchEvent(new Event('change')); }})(document.querySelector('#tier'))"
        );
        tab.eval(&choose).await
    };
    let names = tab.eval("[...document.querySelector('#tier').options].map(one => one.textContent)").await?;
    assert_eq!(names[0], "Low, 0.7 times the price");
    assert_eq!(names[1], "Standard");
    assert_eq!(names[2], "High, 3.25 times the price");
    for (tier, price) in [
        ("low", "$0.07 in, $0.28 out"),
        ("standard", "$0.10 in, $0.40 out"),
        ("high", "$0.325 in, $1.30 out"),
    ] {
        choose(tier).await?;
        tab.shows("#tier-terms", &format!("{MODEL}: {price}")).await?;
        tab.shows("#models .model", price).await?;
    }
    ask(&tab, "How fast?").await?;
    answered(&tab, "word word").await?;
    look_again(&tab).await?;
    tab.shows("#tier-terms", "tokens/s").await?;
    choose("ultra").await?;
    tab.shows("#tier-terms", "Nobody has shown yet").await?;
    tab.shows("#models .model", "Nobody in this quality").await
}

#[tokio::test]
async fn a_click_asks_what_is_proposed_and_another_leads_to_the_newest_line() -> Result<()> {
    let relay = Relay::start().await?;
    let browser = Browser::start().await?;
    let tab = browser.open(&relay.url("http")).await?;
    tab.resize(1_200, 500).await?;
    tab.shows("#welcome", "No GPU is connected").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    look_again(&tab).await?;
    let lines: Vec<String> = (0..60).map(|line| format!("line {line}\n\n")).collect();
    scene.script.always(Reply::text(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    tab.click("#starters li:nth-child(2) .starter").await?;
    answered(&tab, "line 59").await?;
    tab.shows(".asked", "Write a Python function that finds duplicate files.").await?;
    assert!(scene.script.job(0).await?.body.to_string().contains("duplicate files"));

    tab.until("document.querySelector('#to-end').hidden").await?;
    tab.eval("document.querySelector('#talk').scrollTop = 0").await?;
    tab.click("#to-end").await?;
    tab.until(
        "document.querySelector('#to-end').hidden && \
         (({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2)\
         (document.querySelector('#talk'))",
    )
    .await
}

#[tokio::test]
async fn a_dear_provider_is_paid_by_a_click_with_a_key_and_leads_to_receipt_and_dispute() -> Result<()> {
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let script = Script::start(Dialect::LlamaCpp(4)).await?;
    script.always(Reply::text(&["dear", " words"]));
    let price = ["--name", "Node b", "--price-input", "12.5", "--price-output", "25"];
    let node = Node::with(&relay, &script.url(), &price).await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &relay, &format!("/?provider={}", node.plugin())).await?;
    let short = &node.plugin()[node.plugin().len() - 6..];
    tab.shows("#only-name", &format!("Node b ({short})")).await?;

    // Whoever pays nothing is told so, and gets no button that would not help.
    ask(&tab, "Free?").await?;
    tab.shows(".turn [role=alert]", "Free answers take only cheap offers").await?;
    tab.shows(".turn .failure button", "Ask again").await?;

    tab.fill("#key", &key).await?;
    ask(&tab, "Paid?").await?;
    tab.shows(".turn:last-child .failure button", "Pay up to $12.50 / $25.00 per million tokens").await?;
    assert_eq!(script.jobs().len(), 0, "nobody is asked before that");
    tab.click(".turn:last-child .failure button").await?;
    answered(&tab, "dear words").await?;
    let job = relay.resolved().await?.settlements()?[0].job.clone();
    let links = "[...document.querySelectorAll('.turn:last-child .receipt a')]\
                 .map(link => [link.textContent, link.getAttribute('href')])";
    let wanted = json!([
        ["Receipt", format!("/account.html?receipt={job}")],
        ["Dispute", format!("/account.html?job={job}")]
    ]);
    assert_eq!(tab.eval(links).await?, wanted);
    // What was agreed to holds for the same wish of this conversation.
    ask(&tab, "Again?").await?;
    answered(&tab, "dear words").await?;
    assert_eq!(script.jobs().len(), 2);
    // It is there again when the page is, with its links, and not in another conversation.
    reload(&tab).await?;
    answered(&tab, "dear words").await?;
    assert_eq!(tab.eval("document.querySelectorAll('.turn .receipt a').length").await?, 4);
    tab.shows("#only-name", &format!("Node b ({short})")).await?;
    tab.click("#fresh").await?;
    reload(&tab).await?;
    assert_eq!(tab.eval("document.querySelectorAll('.turn').length").await?, 0);
    relay.audit().await
}

/// Loads the page again.
async fn reload(tab: &Tab) -> Result<()> {
    tab.eval("globalThis.isOld = true, location.reload(), undefined").await?;
    tab.until("globalThis.isOld === undefined && document.querySelector('#models')?.children.length > 0")
        .await
}

/// A provider before a scripted server, the key of an account with a dollar, and a chat in which that key was typed.
async fn paying() -> Result<(Scripted, String, Browser, Tab)> {
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/").await?;
    tab.fill("#key", &key).await?;
    tab.eval("document.querySelector('#key').dispatchEvent(new Event('input')), undefined").await?;
    Ok((scene, key, browser, tab))
}

/// What the browser keeps.
const KEPT: &str = "JSON.parse(localStorage.conversations ?? '[]')";

#[tokio::test]
async fn what_was_deleted_stays_so_and_a_conversation_that_is_opened_again_is_the_one_that_it_was()
-> Result<()> {
    let (scene, key, _browser, tab) = paying().await?;
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["one", " two"], &gate));
    ask(&tab, "The first?").await?;
    gate.open(1);
    stands(&tab, 1, "one").await?;

    // Another one is opened in the middle, then this one again: it knows what became of its answer.
    tab.click("#fresh").await?;
    tab.until("document.querySelectorAll('.turn').length === 0").await?;
    tab.click("#conversations button").await?;
    tab.shows(".turn .tools", "Copy").await?;
    tab.click("#conversations button").await?;
    ask(&tab, "The second?").await?;
    answered(&tab, "one two three").await?;
    tab.until(&format!(
        "{KEPT}.length === 1 && {KEPT}[0].turns.length === 2 && !{KEPT}[0].turns.some(turn => turn.owed)"
    ))
    .await?;
    assert_eq!(tab.eval(&format!("{KEPT}[0].turns[0].text")).await?, "one");

    // Deleted in the middle of an answer, it does not come back: not by its cost and not by leaving the page.
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["more", " of it"], &gate));
    ask(&tab, "The third?").await?;
    gate.open(1);
    tab.shows(".turn:last-child .prose", "more").await?;
    for _ in ["asks", "deletes"] {
        tab.click("#conversations button:last-of-type").await?;
    }
    tab.until("document.querySelectorAll('.turn').length === 0").await?;
    scene.relay.resolved().await?;
    let paid = scene.relay.customer(&key).get("/api/account").await?.expect(200)?["spent"].clone();
    let all = format!("document.querySelector('#spent').textContent === '$' + {paid}");
    tab.until(&all).await?;
    tab.eval("dispatchEvent(new Event('pagehide')), undefined").await?;
    assert_eq!(tab.eval(KEPT).await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn two_tabs_with_one_conversation_keep_each_others_answers_and_what_one_deletes_is_gone_in_both()
-> Result<()> {
    let scene = Scripted::start().await?;
    let browser = Browser::start().await?;
    let questions = || format!("{KEPT}.map(one => one.turns.map(turn => turn.question).sort().join())");
    let one = open(&browser, &scene.relay, "/").await?;
    ask(&one, "A?").await?;
    answered(&one, "one two three").await?;
    let other = open(&browser, &scene.relay, "/").await?;
    other.click("#conversations button").await?;
    ask(&other, "B?").await?;
    answered(&other, "one two three").await?;
    one.come_to_front().await?;
    ask(&one, "C?").await?;
    answered(&one, "one two three").await?;
    other.come_to_front().await?;
    ask(&other, "D?").await?;
    one.until(&format!("{}[0] === 'A?,B?,C?,D?'", questions())).await?;
    answered(&other, "one two three").await?;
    assert_eq!(other.eval(&questions()).await?, json!(["A?,B?,C?,D?"]));

    // It is deleted in the middle of an answer that the other tab gets.
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["more", " of it"], &gate));
    ask(&other, "E?").await?;
    gate.open(1);
    other.shows(".turn:last-child .prose", "more").await?;
    one.come_to_front().await?;
    for _ in ["asks", "deletes"] {
        one.click("#conversations li button:last-of-type").await?;
    }
    for tab in [&one, &other] {
        tab.until("document.querySelectorAll('.turn, #conversations li').length === 0").await?;
    }
    scene.relay.resolved().await?;
    other.come_to_front().await?;
    ask(&other, "F?").await?;
    answered(&other, "one two three").await?;
    other.eval("dispatchEvent(new Event('pagehide')), undefined").await?;
    assert_eq!(other.eval(&questions()).await?, json!(["F?"]));
    one.until("document.querySelectorAll('#conversations li').length === 1").await
}

/// Has a browser keep nothing of any site, as some do who are asked to, or nothing more.
const KEEPS_NOTHING: [&str; 2] = [
    "const deny = () => { throw new DOMException('Access is denied.', 'SecurityError'); };
     for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(globalThis, name, { get: deny });
     navigator.locks.request = async () => deny();",
    "Storage.prototype.setItem = () => { throw new DOMException('It is full.', 'QuotaExceededError'); };",
];

#[tokio::test]
async fn a_browser_that_keeps_nothing_or_has_no_room_asks_counts_lists_and_lets_in_all_the_same() -> Result<()>
{
    let (relay, key) = Relay::funded(FREE, "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let url = |path: &str| format!("{}{path}", scene.relay.url("http"));
    let page = scene.relay.customer(&key);
    let browser = Browser::start().await?;
    for script in KEEPS_NOTHING {
        let tab = browser.open("about:blank").await?;
        tab.resize(1_200, 1_000).await?;
        tab.before_all(script).await?;
        tab.go(&url("/")).await?;
        look_again(&tab).await?;
        let before = tab.eval("document.querySelector('#spent').textContent").await?;
        assert_eq!(before, "$0.00");
        let spent = page.get("/api/account").await?.expect(200)?["spent"].clone();
        tab.fill("#key", &key).await?;
        ask(&tab, "Is it kept?").await?;
        answered(&tab, "one two three").await?;
        tab.until("document.querySelector('#go-text').innerText === 'Ask'").await?;
        tab.until("document.querySelector('#spent').textContent !== '$0.00'").await?;
        assert_ne!(page.get("/api/account").await?.expect(200)?["spent"], spent);
        tab.click("#fresh").await?;
        tab.click("#conversations button").await?;
        answered(&tab, "one two three").await?;

        tab.go(&url("/account.html")).await?;
        door::sign_in(&tab, &key).await?;
        tab.shows("#balance", "$0.99").await?;
        tab.go(&url("/phone.html")).await?;
        tab.until("!document.querySelector('#unpaired').hidden").await?;
        // Whoever comes is seen to come.
        tab.go(&url("/live")).await?;
        tab.until("document.querySelectorAll('#providers > *').length === 1").await?;
        let second = Script::start(Dialect::LlamaCpp(4)).await?;
        let node = Node::start(&scene.relay, &second.url()).await?;
        tab.until("document.querySelectorAll('#providers > *').length === 2").await?;
        drop(node);
        tab.until("document.querySelectorAll('#providers > *').length === 1").await?;
        tab.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_given_no_clipboard_copies_all_the_same_and_says_where_it_could_not() -> Result<()> {
    let scene = Scripted::start().await?;
    let browser = Browser::start().await?;
    let tab = open(&browser, &scene.relay, "/").await?;
    scene.script.always(Reply::text(&["```rust\nfn main() {}\n```\n"]));
    ask(&tab, "Which program does nothing?").await?;
    answered(&tab, "fn main() {}").await?;
    tab.eval(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }), \
         addEventListener('copy', () => { globalThis.copied = document.activeElement.value; })",
    )
    .await?;
    for (button, text) in [(".tools button", "```rust\nfn main() {}\n```\n"), ("[data-copy]", "fn main() {}")]
    {
        tab.click(button).await?;
        tab.shows(button, "Copied").await?;
        assert_eq!(tab.eval("copied").await?, text);
        tab.shows(button, "Copy").await?;
    }
    assert_eq!(tab.eval("document.querySelectorAll('textarea').length").await?, 1);
    tab.eval("document.execCommand = () => false").await?;
    for button in [".tools button", "[data-copy]"] {
        tab.click(button).await?;
        tab.shows(button, "Could not copy").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_is_disputed_with_what_was_asked_also_where_an_earlier_one_was_replaced_since() -> Result<()>
{
    let (scene, _key, _browser, tab) = paying().await?;
    for question in ["The first?", "The second?", "The third?"] {
        ask(&tab, question).await?;
        answered(&tab, "one two three").await?;
        tab.until("document.querySelector('#go-text').innerText === 'Ask'").await?;
    }
    let second = Script::start(Dialect::LlamaCpp(4)).await?;
    second.always(Reply::text(&["something", " else"]));
    let _other = Node::start(&scene.relay, &second.url()).await?;
    tab.click(".turn:first-child .tools button:last-child").await?;
    stands(&tab, 3, "something else").await?;
    tab.until(&format!("{KEPT}[0].turns[0].text === 'something else'")).await?;
    let job = |at: usize| format!("{KEPT}[0].turns[{at}].job");
    let [middle, last] = [tab.eval(&job(1)).await?, tab.eval(&job(2)).await?];

    let form = async |job: &Value| {
        let job = job.as_str().context("a job")?;
        tab.go(&format!("{}/account.html?job={job}", scene.relay.url("http"))).await?;
        tab.until("document.activeElement.id === 'dispute-reason'").await?;
        tab.eval("document.querySelector('#dispute-consent').checkVisibility()").await
    };
    assert_eq!(form(&middle).await?, true);
    tab.eval(
        "(list => { list.value = 'nonsense'; list.dispatchEvent(new Event('input', {bubbles: true})); })(document.querySelector('#dispute-reason'))",
    )
    .await?;
    tab.click("#dispute-consent").await?;
    tab.click("#dispute [type=submit]").await?;
    tab.shows("#dispute-go", "Yes, dispute it").await?;
    tab.click("#dispute [type=submit]").await?;
    tab.shows("#dispute-outcome", "It is open").await?;

    // Where it is not known what was before a question, nothing can be attached.
    tab.eval(&format!(
        "localStorage.conversations = JSON.stringify({KEPT}.map(one => ({{ ...one, replaced: [] }})))"
    ))
    .await?;
    assert_eq!(form(&last).await?, false);
    Ok(())
}
