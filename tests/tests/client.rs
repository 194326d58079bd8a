//! The client library of pages: in Chromium, in a worker and in Node, over lines that break, with its receipts
//! and its ads.

use std::fs;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use rekursing_tests::{
    browser::{Browser, Tab},
    database::Engine,
    eventually,
    eventually::PATIENCE,
    library::{self, TOLD, breaking, cuts, looks_right, scene, succeed},
    process::{Echo, Process},
    program,
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, Gate, MODEL, Reply},
    site::{self, Site},
};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn in_node_it_does_what_it_says() -> Result<()> {
    library::does_what_it_says(Command::new("node")).await
}

#[tokio::test]
async fn a_visitors_answer_has_the_ad_beside_it() -> Result<()> {
    const ASK: &str = "const [library, url, model] = process.argv.slice(1);
        const { GPUStreamingClient } = await import(library);
        const { ad, result } = await new GPUStreamingClient(url).requestInference('Which laptop should I buy?', model);
        const link = new URL(ad.link);
        const is = ad.title === 'Laptops' && link.origin === url && link.pathname.startsWith('/ad/click/');
        console.log(is && result === 'one two' ? 'ok' : JSON.stringify({ ad, result }));";
    let (relay, key) = Relay::advertised(Engine::Sqlite, FREE, "5.00", "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(8)).await?;
    let page = scene.relay.customer(&key);
    let terms = json!({
        "title": "Laptops", "text": "They last.", "link": "https://shop.example.com",
        "bidPerThousand": "2", "budget": "1", "ends": 9_000_000_000_000_u64,
    });
    let made = page.post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let campaign = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", " two"], &gate));
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", ASK]).arg(library::index());
    node.args([&scene.relay.url("http"), MODEL]);
    let chosen = async {
        eventually("an ad is chosen", || async {
            Ok((page.get(&campaign).await?.expect(200)?["reserved"] != "0").then_some(()))
        })
        .await?;
        gate.open(2);
        anyhow::Ok(())
    };
    tokio::try_join!(succeed(&mut node), chosen)?;
    scene.relay.audit().await
}

/// A page of another origin, which has the programs of `client.mjs`.
async fn page(site: &Site) -> Result<(Browser, Tab)> {
    site.put(
        "/",
        "text/html",
        "<!doctype html><html lang=en><title>A page</title><body><main><h1>A page</h1></main>",
    );
    for name in ["client.mjs", "client-cut.mjs", "client-worker.mjs"] {
        site.put(&format!("/{name}"), "text/javascript", fs::read_to_string(program::path(name))?);
    }
    let browser = Browser::start().await?;
    let tab = browser.open(site.url()).await?;
    tab.until("document.querySelector('main') !== null").await?;
    Ok((browser, tab))
}

/// Waits until a promise of the page comes to `ok`.
async fn go_well(tab: &Tab, promise: &str) -> Result<()> {
    let told = tab.comes_to(promise).await?;
    ensure!(told == "ok", "{promise}: {told}");
    Ok(())
}

#[tokio::test]
async fn in_a_page_of_another_origin_and_in_a_worker_it_does_the_same() -> Result<()> {
    let site = Site::start().await?;
    let (_browser, tab) = page(&site).await?;
    for way in [
        "import('/client.mjs').then(({ check }) => check(ASKED))",
        "new Promise((resolve) => {
            const worker = new Worker('/client-worker.mjs', { type: 'module' });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = ({ message }) => resolve(message);
            worker.postMessage(ASKED);
        })",
    ] {
        let (scene, key) = scene(site.url()).await?;
        let relay = scene.relay.url("http");
        let asked = json!({"library": format!("{relay}/client/index.js"), "relay": relay, "key": key, "model": MODEL});
        go_well(&tab, &way.replace("ASKED", &asked.to_string())).await?;
        looks_right(&scene).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_cut_at_random_bytes_hears_every_byte_once() -> Result<()> {
    library::hears_every_byte_once(|| Command::new("node")).await
}

#[tokio::test]
async fn a_page_that_is_cut_at_random_bytes_hears_them_in_chromium_too() -> Result<()> {
    let site = Site::start().await?;
    let (_browser, tab) = page(&site).await?;
    let (scene, key, line) = breaking(site.url()).await?;
    let served = format!("{}/client/index.js", scene.relay.url("http"));
    for key in [None, Some(&key)].iter().cycle() {
        if line.made() >= cuts()? {
            break;
        }
        let asked = json!({
            "library": served, "relay": line.url(), "model": MODEL, "text": TOLD.concat(), "times": 10, "key": key,
        });
        go_well(&tab, &format!("import('/client-cut.mjs').then(({{ check }}) => check({asked}))")).await?;
    }
    scene.relay.resolved().await?;
    scene.relay.audit().await
}

#[tokio::test]
async fn whoever_watches_is_told_who_comes_and_who_goes_until_he_stops() -> Result<()> {
    let relay = Relay::with(&format!("{FREE}watchers = 1\n")).await?;
    let mut node = Command::new("node");
    node.arg(program::path("client-watch.mjs")).arg(library::index()).arg(relay.url("http"));
    let mut watching = Process::start("watch", node, Echo::Aloud)?;
    assert_eq!(watching.line("on ").await?, "0 0");
    let scene = Scripted::before(relay, Dialect::LlamaCpp(1)).await?;
    assert_eq!(watching.line("on ").await?, "1 1");
    drop(scene.node);
    assert_eq!(watching.line("on ").await?, "0 0");
    watching.line("ok").await?;
    ensure!(watching.ended(PATIENCE).await?.success(), "it ended in anger");
    // His place is free again.
    let another = || async {
        let page = scene.relay.visitor().with("accept", "text/event-stream");
        let live = page.stream_of(Method::GET, "/api/live", Bytes::new()).await?;
        Ok((live.status == 200).then_some(()))
    };
    eventually("somebody else watches", another).await
}

#[tokio::test]
async fn it_waits_as_long_as_it_is_told_within_its_patience() -> Result<()> {
    let site = Site::start().await?;
    let models = || site::Reply::fine("application/json", r#"{"models":[]}"#);
    let answer = "id: 1\nevent: start\ndata: {\"jobId\":\"job_1\"}\n\nid: 2\nevent: token\ndata: {\"text\":\"hi\"}\n\n\
                  id: 3\nevent: done\ndata: {\"jobId\":\"job_1\",\"cost\":\"0\"}\n\n";
    for reply in [
        site::Reply::refusal(429, "rate_limited", Some(1)),
        site::Reply::refusal(503, "queue_full", Some(1)),
        models(),
        site::Reply::refusal(503, "overloaded", Some(1)),
        site::Reply::refusal(409, "idempotency_running", Some(1)),
        site::Reply::fine("text/event-stream", answer),
        site::Reply::refusal(429, "free_quota_used", Some(3_600)),
        site::Reply::refusal(503, "no_provider", None),
        site::Reply::refusal(503, "queue_full", Some(1)),
        site::Reply { status: 502, ..site::Reply::fine("text/html", "<h1>Bad gateway</h1>") },
        site::Reply::fine("application/json", "{\"models\":"),
        site::Reply::refusal(503, "queue_full", Some(15)),
    ] {
        site.next(reply);
    }
    let mut node = Command::new("node");
    succeed(node.arg(program::path("client-waits.mjs")).arg(library::index()).arg(site.url())).await
}

#[tokio::test]
async fn an_answer_whose_line_breaks_in_a_quiet_time_goes_on_and_a_date_is_waited_for_as_seconds_are()
-> Result<()> {
    let mut node = Command::new("node");
    succeed(node.arg(program::path("client-quiet.mjs")).arg(library::index())).await
}

/// Shows an ad below what can be seen, and counts the timers of a second and the calls.
const SHOW: &str = "
globalThis.timers = new Map();
const [set, clear] = [setTimeout, clearTimeout];
globalThis.setTimeout = (run, ms) => {
  const id = set(ms === 1_000 ? () => {} : run, ms);
  if (ms === 1_000) timers.set(id, run);
  return id;
};
globalThis.clearTimeout = (id) => {
  timers.delete(id);
  clear(id);
};
globalThis.pass = () => {
  for (const [id, run] of [...timers]) {
    timers.delete(id);
    run();
  }
};
globalThis.calls = [];
globalThis.fetch = async (url, { method, body, keepalive }) => {
  calls.push(`${method} ${url} ${body} ${keepalive}`);
  return calls.length > 1
    ? new Response('{}')
    : Response.json({ error: { code: 'ad_too_soon' } }, { status: 409, headers: { 'retry-after': '0.01' } });
};
// An observer of the test's own, made behind the element's, hears of the same change after it.
globalThis.settled = (element) => new Promise((resolve) => {
  const observer = new IntersectionObserver((entries) => {
    observer.disconnect();
    resolve(entries.at(-1).isIntersecting);
  }, { threshold: 0.5 });
  observer.observe(element);
});
document.querySelector('main').style.paddingTop = '4000px';
import('LIBRARY').then(() => {
  globalThis.ad = document.createElement('rekursing-ad');
  ad.ad = AD;
  document.querySelector('main').append(ad);
  return settled(ad);
})";

fn ad(link: &str) -> Value {
    json!({
        "title": "Laptops <b>that last</b>", "text": "<img src=x onerror=\"calls.push('ran')\">", "link": link,
        "site": "shop.example.com", "label": "Sponsored", "why": "It is about laptops.", "impressionToken": "s1",
    })
}

#[tokio::test]
async fn an_ad_is_told_as_seen_once_it_was_visible_for_a_second_and_never_before() -> Result<()> {
    let site = Site::start().await?;
    let (scene, _) = scene(site.url()).await?;
    let (browser, tab) = page(&site).await?;
    let relay = scene.relay.url("http");
    let show = SHOW.replace("LIBRARY", &format!("{relay}/client/index.js"));
    let ad = ad(&format!("{relay}/ad/click/c1"));
    assert_eq!(tab.eval(&show.replace("AD", &ad.to_string())).await?, false, "below the window");
    assert_eq!(tab.eval("[timers.size, calls.length]").await?, json!([0, 0]));

    let scroll = |to: &str| format!("scrollTo(0, {to}), settled(ad)");
    assert_eq!(tab.eval(&scroll("1e6")).await?, true);
    tab.until("timers.size === 1").await?;
    // Whoever scrolls away before the second is over has not seen it.
    assert_eq!(tab.eval(&scroll("0")).await?, false);
    tab.until("timers.size === 0").await?;
    assert_eq!(tab.eval(&scroll("1e6")).await?, true);
    tab.until("timers.size === 1").await?;
    // Nor has anybody who looks at another tab.
    let front = browser.open("about:blank").await?;
    tab.until("document.hidden && timers.size === 0").await?;
    assert_eq!(tab.eval("calls.length").await?, 0);
    front.close().await?;
    tab.until("!document.hidden && timers.size === 1").await?;
    // Out of the page, and in again.
    tab.eval("ad.remove()").await?;
    assert_eq!(tab.eval("timers.size").await?, 0);
    tab.eval("document.querySelector('main').append(ad)").await?;
    tab.eval(&scroll("1e6")).await?;
    tab.until("timers.size === 1").await?;
    tab.eval("pass()").await?;

    // Told too early, it is told again; then it is done.
    tab.until("calls.length === 2").await?;
    let call = format!("POST {relay}/api/ads/impressions {{\"token\":\"s1\"}} true");
    assert_eq!(tab.eval("calls").await?, json!([call, call]));
    tab.eval(&scroll("0")).await?;
    tab.eval(&scroll("1e6")).await?;
    assert_eq!(tab.eval("[timers.size, calls.length]").await?, json!([0, 2]));
    looks_like_an_ad(&tab).await
}

/// It has its label, its reason and its link, and runs nothing of what the advertiser wrote.
async fn looks_like_an_ad(tab: &Tab) -> Result<()> {
    let shown = tab
        .eval("[ad.role, ad.ariaLabel, ad.hidden, ad.shadowRoot.querySelectorAll('img, b').length]")
        .await?;
    assert_eq!(shown, json!(["region", "Sponsored", false, 0]));
    let text = tab.eval("ad.shadowRoot.textContent").await?;
    for part in
        ["Sponsored", "Laptops <b>that last</b>", "shop.example.com", "Why this ad?", "It is about laptops."]
    {
        ensure!(text.as_str().is_some_and(|text| text.contains(part)), "{part} is not in {text}");
    }
    let anchor = "(({ rel, target, href }) => [rel, target, new URL(href).pathname])(ad.shadowRoot.querySelector('a'))";
    assert_eq!(tab.eval(anchor).await?, json!(["sponsored noopener noreferrer", "_blank", "/ad/click/c1"]));
    tab.eval(&rekursing_tests::axe::source()?).await?;
    let faults = rekursing_tests::axe::faults(tab).await?;
    ensure!(faults.is_empty(), "{faults:?}");
    for nothing in ["null", "undefined", "{ title: 'x' }", "{ title: 'x', link: 'javascript:calls.push(1)' }"]
    {
        let hidden =
            tab.eval(&format!("ad.ad = {nothing}, [ad.hidden, ad.ad, ad.shadowRoot.textContent]")).await?;
        assert_eq!(hidden, json!([true, null, ""]), "{nothing}");
    }
    Ok(())
}
